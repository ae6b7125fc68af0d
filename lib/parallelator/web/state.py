# SPDX-License-Identifier: GPL-3.0-only
"""The text of GET /api/state, piece by piece: the whole would take 5 KB. Used by api, for polls
and streams."""

from parallelator.snapshot import BATTERIES
from parallelator.views import battery_view, rig_view

from . import dump, joined


def pieces(rig: "Rig", writable: bool, logged_in: bool):
    """Yields the state as JSON, a battery at a time, for other tasks to run between.

    What changes meanwhile shows in the pieces that follow.

    Args:
        writable: whether the rig takes changes; logged_in: whether whoever asks may make them.
    """
    head = rig_view(rig)
    yield ""
    head["writable"] = writable
    head["max_discharge_ma"] = _most(rig, "discharge")
    head["max_charge_ma"] = _most(rig, "charge")
    head["pending"] = len(rig.pending)
    head["saves"] = rig.saves
    unused = rig.snap.unused & ~rig.snap.sensors
    head["unused"] = [i + 1 for i in range(BATTERIES) if unused >> i & 1]
    yield dump(head)[:-1] + ',"batteries":['
    head = None
    yield from joined(_battery(rig, i) for i in range(BATTERIES))
    yield '],"alarms":['
    yield from joined(dump(alarm) for alarm in rig.alarms())
    yield '],"logged_in":true}' if logged_in else '],"logged_in":false}'


def _most(rig: "Rig", way: str):
    """The current that a battery may carry for ever, in mA, as `protection.rules` has it."""
    limit = rig.settings["limits.max_%s_current_ma" % way]
    return min(limit, rig.settings["limits.max_current_ma"])


def _battery(rig: "Rig", i: int):
    return dump(battery_view(rig, i))
