# SPDX-License-Identifier: GPL-3.0-only
"""Plays rigs that lose something, for cascade.py: a line of JSON in, a line of JSON out.

    micropython -X heapsize=64m tools/bench/cascade_play.py

A line is a scenario with `lost` (a pack 0..15, or 16 and a board) and `at_s`, when it is lost. An
answer starts with `VERDICT`, as those of the campaign do.
"""

import json
import sys

from rig import play

BEFORE_US = 100000
SETTLED_US = 3000000
DARK_V = 12
BEYOND = 1.002
"""Of its limit: a current that is beyond it for sure."""


class Witness:
    """What the firmware says before the loss, and what the plant does after it.

    Args:
        lost, at_s: as in the scenario; limit_a: continuous limit of a pack.

    Attributes:
        said: what the firmware tells right before the loss.
        opened: packs that it opened by a limit; beyond: packs that carry more than their limit;
            dark: the load had no supply.
    """

    def __init__(self, lost, at_s, limit_a):
        self._lost = lost
        self._at_us = int(at_s * 1000000)
        self._limit_a = limit_a * BEYOND
        self._told = [0, 0]
        self._since_s = [None, None]
        self.said = None
        self._risk = self._dark_us = 0
        self.opened, self.beyond, self.dark = set(), set(), False

    def hook(self):
        """Sabotage for `play`: looks after each cycle of the guard, and at the end of each look
        of the cascade."""
        from parallelator.app import App
        from parallelator.protection.guard import Guard
        from parallelator.show.cascade import Cascade
        from sim import current

        tick, make = Guard.tick, App.__init__
        apps = []

        def made(app, *rest):
            make(app, *rest)
            apps[:] = [app]

        def watched(guard):
            tick(guard)
            if apps and apps[0].rig.cascade:
                self._look(current.world, apps[0].rig)

        tell = Cascade.tell

        def heard(cascade, kind, risk):
            tell(cascade, kind, risk)
            self._risk = cascade.risk(self._lost)

        Cascade.tell = heard
        App.__init__ = made
        Guard.tick = watched

    def _look(self, world, rig):
        now_us, watch = world.now_us, rig.cascade
        # The third is what holds when the first battery has ended.
        for kind, told in enumerate(watch.told[: len(self._told)]):
            if bool(told) != bool(self._told[kind]):
                self._since_s[kind] = now_us / 1000000
            self._told[kind] = told
        if not watch.on and self.said is None:
            self._dark_us = now_us
        if now_us < self._at_us - BEFORE_US:
            return
        if self.said is None:
            plant = world.plant
            self.said = {
                "told": list(self._told),
                "since_s": list(self._since_s),
                "risk": self._risk,
                "promise_a": watch.promise_a,
                "load_a": plant.load_a,
                "on": watch.on,
                "lit_s": (now_us - self._dark_us) / 1000000,
                "amps": [round(a, 2) for a in plant.current_a],
                "r_mohm": list(rig.snap.r_mohm),
                "soc": [round(soc, 3) for soc in plant.soc],
            }
        if now_us > self._at_us:
            self._look_after(world, rig.snap)

    def _look_after(self, world, snap):
        from parallelator.catalog import LOCKED, TRIPPED, Reason

        plant, lost = world.plant, self._lost
        limits = Reason.OVERLOAD, Reason.OVERCURRENT, Reason.UNDERVOLTAGE
        self.dark = self.dark or plant.load_a > 0 and plant.bus_v < DARK_V
        for i in range(16):
            if i == lost or lost >= 16 and i // 4 == lost - 16:
                continue
            if snap.state[i] in (TRIPPED, LOCKED) and snap.reason[i] in limits:
                self.opened.add(i)
            settled = world.now_us > self._at_us + SETTLED_US
            if settled and plant.current_a[i] > self._limit_a:
                self.beyond.add(i)


def answer(plan):
    """Play a rig; returns what was said and what came of it."""
    lost, at_s = plan.pop("lost"), plan.pop("at_s")
    limit_a = plan["settings"]["limits"]["max_discharge_current_ma"] / 1000
    witness = Witness(lost, at_s, limit_a)
    report = play(witness.hook, **plan)
    return {
        "said": witness.said,
        "opened": sorted(witness.opened),
        "beyond": sorted(witness.beyond),
        "dark": witness.dark,
        "alloc": report["alloc_violations"],
        "failures": [],
    }


for line in sys.stdin:
    print("VERDICT" + json.dumps(answer(json.loads(line))))
