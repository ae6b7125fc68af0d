# SPDX-License-Identifier: GPL-3.0-only
"""Plays scenarios for the tables of stage.py: a line of JSON in, a line of JSON out.

    micropython -X heapsize=64m tools/bench/play.py

With `every_s` in its line, `pages` tells each so many seconds what the page shows. An answer
starts with `VERDICT`, as those of the campaign do.
"""

import json
import sys

from rig import play


class Page:
    """What the page shows from time to time.

    Args:
        every_s: how often, in seconds.

    Attributes:
        shown: list of dicts, one a look: hours, volts, amperes, connected,
            locked (the output), alarms, reasons (of those that are off).
    """

    def __init__(self, every_s):
        self._every_us = every_s * 1000000
        self._due_us = self._every_us
        self.shown = []

    def hook(self):
        """Sabotage for `play`: looks after a cycle of the guard."""
        from parallelator.protection.guard import Guard
        from sim import current

        tick = Guard.tick

        def watched(guard):
            tick(guard)
            if current.world.now_us >= self._due_us:
                self._due_us += self._every_us
                self._look(current.world)

        Guard.tick = watched

    def _look(self, world):
        from parallelator import catalog, snapshot

        snap = world.observers[0].snap
        millivolts, milliamperes = snapshot.bus(snap)
        known = [i for i in range(snapshot.BATTERIES) if snap.state[i] or snap.valid[i]]
        off = [i for i in known if not snapshot.connected(snap, i)]
        self.shown.append(
            {
                "hours": world.now_us / 3600e6,
                "volts": None if millivolts is None else millivolts / 1000,
                "amperes": milliamperes / 1000,
                "connected": len(known) - len(off),
                "locked": snap.bus_locked,
                "alarms": _counted([code for code, _, _ in snap.alarms()]),
                "reasons": _counted([catalog.reason_name(snap.reason[i]) for i in off]),
            }
        )


def _counted(codes):
    return {code: codes.count(code) for code in set(codes)}


def _mark_trials(report):
    """Say of each closing whether it was a trial to its end."""
    for closing in report["closings"]:
        end_ms = closing["opened_ms"] or report["end_ms"]
        said = [
            (state, reason)
            for ms, n, state, reason in report["timeline"]
            if n == closing["n"] and closing["closed_ms"] <= ms < end_ms
        ]
        closing["trial"] = said[-1:] == [("on", "trial")]


def answer(plan):
    """Play a scenario; returns what the tables need of its report."""
    page = Page(plan.pop("every_s", 1 << 30))
    report = play(page.hook, **plan)
    _mark_trials(report)
    told = {key: report[key] for key in ("dark_ms", "violations", "closings", "alloc_violations")}
    told["locked"] = [entry for entry in report["timeline"] if entry[2] == "locked"]
    told["on_ms"] = [[ms, n] for ms, n, state, _ in report["timeline"] if state == "on"]
    told["pages"] = page.shown
    told["failures"] = []
    return told


for line in sys.stdin:
    print("VERDICT" + json.dumps(answer(json.loads(line))))
