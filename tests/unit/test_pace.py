# SPDX-License-Identifier: GPL-3.0-only
"""The clock of I2C that is left to the rig: when it is proven, and when it is given up."""

import time

from parallelator.clock import Clock
from parallelator.protection.pace import FAST_KHZ, PROOFS, SLOW_KHZ, Pace
from parallelator.snapshot import BATTERIES


class Wire:
    """Counts as `hardware.i2c.I2c` does."""

    def __init__(self):
        self.clocks = []
        self.errors = self.slips = 0

    def run_at(self, khz):
        self.clocks.append(khz)


class Chip:
    """A sensor whose settings read as written until `good` is something else."""

    good = True

    def __init__(self, wire):
        self._wire = wire
        self.read_at = set()
        self.reads = 0

    def check_setting(self):
        self.reads += 1
        self.read_at.add(self._wire.clocks[-1])
        return self.good


class Sensors:
    garbled = 0

    def __init__(self, wire, places):
        self.chips = [Chip(wire) if i in places else None for i in range(BATTERIES)]
        self.found = sum(1 << i for i in places)


class Bench:
    def __init__(self, places=(3, 9)):
        self.wire = Wire()
        self.sensors = Sensors(self.wire, places)
        self.told = []
        self.now = 0
        self.pace = Pace(
            Clock(time), self.wire, self.sensors, lambda code, i, *rest: self.told.append(rest[-1])
        )

    def step(self, ticks=1, calm=True):
        for _ in range(ticks):
            self.now += 20
            self.pace.step(self.now, calm)
        return self.told

    def fast(self):
        self.step(PROOFS)
        assert self.told == [FAST_KHZ] and self.wire.clocks[-1] == FAST_KHZ
        return self


def test_it_is_proven_by_so_many_reads_and_nothing_else_is_at_the_fast_clock():
    bench = Bench()
    assert bench.step(PROOFS // 5 - 1) == [] and bench.wire.clocks[-1] == SLOW_KHZ
    assert bench.step() == [FAST_KHZ] and bench.wire.clocks[-1] == FAST_KHZ
    for chip in bench.sensors.chips:
        assert chip is None or chip.read_at == {FAST_KHZ}


def test_five_thousand_reads_prove_it():
    for places in ((3, 9), (0, 5, 15)):
        bench = Bench(places)
        while not bench.told:
            bench.step()
        assert sum(chip.reads for chip in bench.sensors.chips if chip) == 5000


def test_it_waits_for_a_calm_tick_and_for_a_sensor():
    bench = Bench()
    assert bench.step(PROOFS, calm=False) == [] and bench.wire.clocks == []
    bench = Bench(places=())
    assert bench.step(PROOFS) == [] and bench.wire.clocks == []


def test_one_error_while_it_is_proven_leaves_the_slow_clock():
    for good in (False, None):
        bench = Bench()
        bench.step(100)
        bench.sensors.chips[9].good = good
        assert bench.step(PROOFS) == [SLOW_KHZ] and bench.wire.clocks[-1] == SLOW_KHZ
    bench = Bench()
    bench.step(100)
    check = bench.sensors.chips[3].check_setting

    def at_the_second_try():
        bench.wire.errors += 1
        return check()

    bench.sensors.chips[3].check_setting = at_the_second_try
    assert bench.step(PROOFS) == [SLOW_KHZ]


def test_three_errors_within_ten_seconds_bring_the_slow_clock_back_for_good():
    bench = Bench().fast()
    bench.wire.slips += 1
    bench.step(250)
    bench.sensors.garbled += 1
    bench.step(249)
    assert bench.told == [FAST_KHZ]
    bench.wire.slips += 1
    assert bench.step() == [FAST_KHZ, SLOW_KHZ] and bench.wire.clocks[-1] == SLOW_KHZ
    assert bench.step(PROOFS) == [FAST_KHZ, SLOW_KHZ]


def test_errors_further_apart_are_those_of_any_wire():
    bench = Bench().fast()
    for _ in range(20):
        bench.wire.slips += 1
        bench.step(260)  # 5.2 s
    assert bench.told == [FAST_KHZ]
    bench.wire.slips += 3
    assert bench.step() == [FAST_KHZ, SLOW_KHZ]
