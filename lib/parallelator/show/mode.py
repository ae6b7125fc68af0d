# SPDX-License-Identifier: GPL-3.0-only
"""Show mode: until its end only the protection, *off* and *all off* act. Loaded when it begins and
let go when it is over.

Its end is an uptime, `Rig.show`, which RTC memory keeps as it keeps delays: it needs no clock and
survives every reset, but not a power cut. While the output is dark, what brings it back is taken.
What is counted meanwhile the card keeps every five minutes; see `tally` and `report`.
"""

import asyncio
import os

from micropython import const

from parallelator.catalog import ON
from parallelator.formats import minute_of_day
from parallelator.records.card import Opened, make_folder
from parallelator.records.fatfile import there
from parallelator.show import UNTOLD
from parallelator.snapshot import BATTERIES, RIG, carries

_POLL_MS = const(1000)
_MINUTE_S = const(60)
_HOUR_S = const(3600)
_DAY_S = const(86400)
_MOST_MIN = const(1440)
_KEEP_S = const(300)
_SUM_BYTES = const(4)
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


async def follow(rig: "Rig", resumed: bool = False):
    """Count what the show takes until its end; then tell that, keep its report, and free the
    memory of these modules.

    Args:
        resumed: True after a start of the controller: the show goes on, or a power cut or the
            restart has ended it, and only its report is left to do.
    """
    tally = await _begun(rig, resumed)
    kept_s = rig.snap.uptime_s - _KEEP_S
    while rig.show_s():
        if tally and rig.snap.uptime_s - kept_s >= _KEEP_S:
            kept_s = rig.snap.uptime_s
            await _keep(rig, tally)
        await asyncio.sleep_ms(_POLL_MS)
        if tally:
            await _count(rig, tally)
    cut = not rig.show[0]
    rig.show[0] = 0
    if not cut:
        rig.events.emit("show_over", RIG, 0, 0, 0)
    # One by one, so that no tick waits for all of them.
    from parallelator.show.last_ten import let_go

    if tally:
        await asyncio.sleep_ms(0)
        import parallelator.show.outlook  # noqa: F401

        await asyncio.sleep_ms(0)
        from parallelator.show.report import keep

        await keep(rig, tally, cut)
        _forget(rig.card)
    let_go("mode", "outlook", "report", "tally")


async def _begun(rig: "Rig", resumed: bool):
    """The `Tally` of a show; None when there is none to tell of, or no memory for it."""
    await asyncio.sleep_ms(0)
    from parallelator.show.tally import Tally

    left_s = rig.show_s()
    try:
        tally = Tally(rig.snap, rig.boot, 0 if resumed else rig.events.count)
        if resumed:
            await asyncio.sleep_ms(0)
            kept = _recall(rig, tally)
            if not kept and not left_s:
                return None
            if not kept:
                tally = Tally(rig.snap, rig.boot, 0)
            tally.resume(left_s, kept)
    except MemoryError:
        return None
    return tally


async def _count(rig: "Rig", tally: "Tally"):
    for steps in (
        tally.looking(rig.guard.balance, rig.meter, rig.cascade),
        tally.hearing(rig.events),
    ):
        for _ in steps:
            await asyncio.sleep_ms(0)


async def _keep(rig: "Rig", tally: "Tally"):
    """What was counted so far goes on the card."""
    tally.mark(rig.show_s(), rig.clock.unix())
    if not rig.card.writable:
        return
    try:
        make_folder(UNTOLD[: UNTOLD.rindex("/")])
        # A file that is there is overwritten, so that no new block is allocated.
        with Opened(rig.card, UNTOLD, "r+b" if there(UNTOLD) else "wb") as file:
            file.write(tally.checksum(rig.datalog.number).to_bytes(_SUM_BYTES, "little"))
            for part in tally.parts():
                await asyncio.sleep_ms(0)
                file.write(part)
    except OSError as error:
        rig.card.fail(error)


def _forget(card: "Card"):
    if card.mounted and there(UNTOLD):
        try:
            os.remove(UNTOLD)
        except OSError as error:
            card.fail(error)


def _recall(rig: "Rig", tally: "Tally"):
    """Fill a tally with what the card has kept of a show of this rig; False when it has not."""
    if not rig.card.mounted or not there(UNTOLD):
        return False
    try:
        with Opened(rig.card, UNTOLD, "rb") as file:
            checksum = file.read(_SUM_BYTES)
            for part in tally.parts():
                file.readinto(part)  # pyright: ignore - a file of bytes has it
    except OSError as error:
        rig.card.fail(error)
        return False
    return checksum == tally.checksum(rig.datalog.number).to_bytes(_SUM_BYTES, "little")


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
