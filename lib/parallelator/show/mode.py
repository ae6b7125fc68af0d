# SPDX-License-Identifier: GPL-3.0-only
"""Show mode: until its end only the protection, *off* and *all off* act. Loaded when it begins and
let go when it is over.

Its end is an uptime, `Rig.show`, which RTC memory keeps as it keeps delays: it needs no clock and
survives every reset, but not a power cut. While the output is dark, what brings it back is taken.
"""

import asyncio
import sys

from micropython import const

from parallelator.catalog import ON
from parallelator.formats import minute_of_day
from parallelator.snapshot import BATTERIES, RIG, carries

_POLL_MS = const(1000)
_MINUTE_S = const(60)
_HOUR_S = const(3600)
_DAY_S = const(86400)
_MOST_MIN = const(1440)
_TAKEN = ("off", "known", "show", "login", "logout", "setup")
_TAKEN_DARK = ("on", "auto", "reset", "disconnected")


def is_held(snap: "Snapshot", word: str):
    """True for what has to wait for the end of the show.

    Args:
        word: what is asked for, the last word of its path or its command by MQTT.
    """
    if word in _TAKEN:
        return False
    dark = not any(snap.state[i] == ON or carries(snap, i) for i in range(BATTERIES))
    return not (dark and word in _TAKEN_DARK)


def begin(rig: "Rig", end: "float | str"):
    """Begin show mode, or move the end of the one that stands.

    Args:
        end: minutes from now, 1 to 1440, or the next time that local clocks show, as "23:00".

    Returns:
        str or None: why not, a code of `refused` in messages/.
    """
    if rig.selftest and not isinstance(rig.selftest, str):
        return "selftest_running"
    left_s = seconds(rig.clock, end)
    if not left_s:
        return "show_clock" if left_s is None else "show_end"
    followed = rig.show[0]
    rig.show[0] = rig.snap.uptime_s + left_s
    rig.events.emit("show_begun", RIG, 0, 0, (left_s + _MINUTE_S - 1) // _MINUTE_S)
    if not followed:
        asyncio.create_task(rig.run_after_guard(follow(rig)))
    return None


def finish(rig: "Rig"):
    """End show mode; `follow` tells it."""
    rig.show[0] = min(rig.show[0], rig.snap.uptime_s)


async def follow(rig: "Rig"):
    """Wait for the end of the show, tell it, and free the memory of this module."""
    while rig.show_s():
        await asyncio.sleep_ms(_POLL_MS)
    rig.show[0] = 0
    rig.events.emit("show_over", RIG, 0, 0, 0)
    package = sys.modules.get("parallelator.show")
    if sys.modules.pop("parallelator.show.mode", None) and hasattr(package, "mode"):
        del package.mode  # pyright: ignore - what the import has put there


def seconds(clock: "Clock", end: "float | str"):
    """Seconds from now to `end` as of `begin`.

    Returns:
        int or None: 0 when it is no such end, None for a time of day while the clock is not set.
    """
    now_s = clock.unix()
    if not isinstance(end, str):
        return round(end * _MINUTE_S) if 1 <= end <= _MOST_MIN else 0
    wanted = minute_of_day(end)
    if wanted is None or now_s is None:
        return 0 if wanted is None else None
    now_min = minute_of_day(clock.local(now_s)[11:16])
    least_s = (wanted - now_min) % _MOST_MIN * _MINUTE_S - now_s % _MINUTE_S
    left_s = least_s if least_s > 0 else least_s + _DAY_S
    # The night on which the clocks change.
    for step_s in (0, -_HOUR_S, _HOUR_S):
        shown = clock.local(now_s + left_s + step_s)[11:16]
        if left_s + step_s > 0 and minute_of_day(shown) == wanted:
            return left_s + step_s
    return left_s  # a time that the clocks skip


def until(rig: "Rig"):
    """The end of the show as people read it: "23:00" on local clocks, or "40 min" from now."""
    left_s = rig.show_s()
    now_s = rig.clock.unix()
    if now_s is None:
        return "%d min" % ((left_s + _MINUTE_S - 1) // _MINUTE_S)
    return rig.clock.local(now_s + left_s)[11:16]
