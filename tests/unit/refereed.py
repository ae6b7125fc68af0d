# SPDX-License-Identifier: GPL-3.0-only
"""A plant moved by hand and watched by a referee, for the tests of the referee."""

from parallelator import settings
from parallelator.catalog import ON, TRIPPED, WAITING
from sim import scenario
from sim.referee import Referee, RefereeLimits
from sim.scenario import Script
from sim.world import World

HARD = "closed beyond the hard current limit"
HOT = "closed beyond the overload sum"
UNEXPLAINED = "opened without a cause"
FAR = "joined from too far away"
WIDE = "a group wider than the start spread"
TRIPPED_TOO_OFTEN = "closed though it tripped too often"
KEPT_OFF = "kept off without a cause"
TOO_SOON = "closed before its delay was over"
INRUSH_MA = 35000
"""More than a start may take."""


class Rig:
    """A world whose switches the test moves, watched by a referee.

    Args:
        socs: state of charge of each battery; steps: of the scenario; sensors: kind of the
            sensor by battery number, where it is no INA237; bms: of the first battery; source,
            bus_uf: of the scenario; limits: other settings. The hard limit is 15 A, in the first
            300 ms of a start 30 A.
    """

    def __init__(self, *socs, steps=(), sensors=None, bms=None, source=(), bus_uf=0, **limits):
        packs = [{"n": n, "soc": soc} for n, soc in enumerate(socs, 1)]
        for n, kind in (sensors or {}).items():
            packs[n - 1]["sensor"] = kind
        if bms:
            packs[0]["bms"] = bms
        plan = {"batteries": packs, "steps": list(steps), "source": list(source), "bus_uf": bus_uf}
        plan = scenario.complete(plan)
        self.world = world = World(plan, True, 1, 1, None)
        world.script = Script(plan, world, None)
        world.observers.append(self)
        values = settings.Values({})
        values["limits.hard_current_pct"] = 150
        for key, value in limits.items():
            values["limits." + key] = value
        self.referee = Referee(world, RefereeLimits(values))
        self.state = bytearray(16)
        self.reason = bytearray(16)
        self.trips = bytearray(16)
        self.bus_locked = False
        self.snap = self
        self._latch = bytearray(4)
        for chip in world.expanders:
            if chip:
                chip.write(2, b"\x00\x00", 0)
                chip.write(6, b"\xf0\x00", 0)

    def stepped(self, at_us):
        self.referee.stepped(at_us, self.snap)

    def switched(self, at_us, before):
        self.referee.switched(at_us, before)

    def played(self, at_us, step):
        self.referee.played(at_us, step)

    def restarted(self, at_us):
        self.referee.restarted(at_us)

    def wait(self, ms):
        """Let time pass."""
        self.world.spend(ms * 1000)

    def move(self, closed, *numbers):
        """Move the switches of these batteries, one write a board."""
        for b in range(4):
            bits = sum(8 >> (n - 1) % 4 for n in numbers if (n - 1) // 4 == b)
            if bits:
                self._latch[b] = self._latch[b] | bits if closed else self._latch[b] & ~bits
                self.world.expanders[b].write(2, bytes((self._latch[b],)), self.world.now_us)

    def close(self, *numbers):
        """Close as the firmware does: waiting before, on afterwards."""
        for n in numbers:
            self.state[n - 1] = WAITING
        self.move(True, *numbers)
        for n in numbers:
            self.state[n - 1] = ON

    def open(self, *numbers):
        self.move(False, *numbers)
        for n in numbers:
            self.state[n - 1] = TRIPPED

    def feel(self, n, ma=0, mv=0):
        """What sensor n sees beside the truth, from now on."""
        self.world.plant.inject_current(n - 1, ma)
        self.world.plant.inject_voltage(n - 1, mv)
        self.world._step(self.world.now_us)

    def found(self):
        """What was reported since the last call: list of (battery, text)."""
        self.referee.stepped(self.world.now_us, self.snap)
        found = [(n, text) for _, n, text in self.referee.violations]
        self.referee.violations.clear()
        return found

    def trip(self, n, for_ms=20):
        """A hard over-current, and the opening that has to follow."""
        self.feel(n, ma=20000)
        self.wait(for_ms)
        self.open(n)
        self.feel(n)


def tells_a_wide_start(rig):
    """A load opens batteries 1, 3 and 4; 12 s later 1 to 4 start, of which 2 lies too far away for
    a first start. True when the referee says so."""
    for n in (1, 3, 4):
        rig.feel(n, ma=20000)
    rig.wait(20)
    rig.open(1, 3, 4)
    for n in (1, 3, 4):
        rig.feel(n)
    rig.wait(12000)
    rig.found()
    rig.close(1, 2, 3, 4)
    return WIDE in {text for _, text in rig.found()}


def running(*socs, **options):
    """A rig whose packs are on for two seconds."""
    rig = Rig(*socs, **options)
    rig.wait(1000)
    rig.close(*range(1, len(socs) + 1))
    rig.wait(2000)
    assert rig.found() == []
    return rig


def running_two_of_three(soc, **options):
    """Batteries 1 and 2 are on, 3 is as full as given, and it is 2.5 s."""
    rig = Rig(0.8, 0.8, soc, **options)
    rig.wait(1000)
    rig.close(1, 2)
    rig.wait(1500)
    return rig


def fail_start(rig, pause_s):
    """A group of two starts after a pause and takes too much."""
    rig.wait(int(pause_s * 1000))
    rig.close(1, 2)
    for n in (1, 2):
        rig.feel(n, ma=INRUSH_MA)
    rig.wait(30)
    rig.open(1, 2)
    for n in (1, 2):
        rig.feel(n)
