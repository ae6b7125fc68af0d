# SPDX-License-Identifier: GPL-3.0-only
"""Tests the limits and the ALERT pin of the simulated INA237, and `Comparators` (tools/sim/chips).

Expected values are worked out from the data sheet (SBOSA20), not from the model.
"""

import random

from ina237_bench import (
    ADC_CONFIG,
    ALATCH,
    APOL,
    BOVL,
    BUS_AND_SHUNT,
    BUSOL,
    BUSUL,
    BUVL,
    CNVR,
    CNVRF,
    CONFIG,
    CYCLE,
    DIAG,
    MEMSTAT,
    POL,
    PWR_LIMIT,
    SHNTOL,
    SHNTUL,
    SLOWALERT,
    SOVL,
    SUVL,
    TEMP_LIMIT,
    TMPOL,
    VBUS,
    VSHUNT,
    Bench,
)
from sim.chips import Comparators
from sim.chips.ina237 import Ina237
from sim.plant import Plant


def armed(limits, diag, adc=BUS_AND_SHUNT):
    bench = Bench(adc)
    for reg, word in limits:
        bench.put(reg, word, 0)
    bench.put(DIAG, diag, 0)
    return bench


def test_shunt_limits_are_strict():
    for latch in (0, ALATCH):
        bench = armed([(SOVL, 4000), (SUVL, 0x10000 - 2000)], latch | SLOWALERT)
        now_us = 0
        for amps, flag in (
            (10.0, 0),
            (10.0025, SHNTOL),
            (0.0, 0),
            (-5.0, 0),
            (-5.0025, SHNTUL),
            (5.0, 0),
        ):
            bench.amps(amps, now_us)
            bench.chip.follow(now_us + 2 * CYCLE)
            bench.flags(now_us + 2 * CYCLE)
            now_us += 4 * CYCLE
            assert bench.chip.alert_low(now_us) == bool(flag)
            assert bench.flags(now_us) == flag


def test_bus_limits_are_strict():
    bench = armed([(BOVL, 9600), (BUVL, 7680)], SLOWALERT)
    now_us = 0
    for volts, flag in ((24.0, 0), (23.9969, BUSUL), (27, 0), (30.0, 0), (30.0031, BUSOL)):
        bench.volts(volts, now_us)
        now_us += 4 * CYCLE
        assert bench.chip.alert_low(now_us) == bool(flag)
        assert bench.flags(now_us) == flag


def test_temperature_and_power_limits():
    bench = armed([(TEMP_LIMIT, 680 << 4)], SLOWALERT, 0xFB68)
    assert bench.flags(9000) == 0
    bench.chip.heat_c = 85.0
    bench.plant.solve(9000)
    assert bench.flags(20000) == 0
    bench.chip.heat_c = 85.125
    bench.plant.solve(20000)
    assert bench.flags(30000) == TMPOL
    # 27.125 V * 10 A: VBUS 8680 * CURRENT 4000 / 64 = 542500, 2119 whole units of PWR_LIMIT.
    bench = armed([(PWR_LIMIT, 2119)], SLOWALERT)
    bench.amps(10, 0)
    assert bench.flags(9000) == 0
    bench.put(PWR_LIMIT, 2118, 9000)
    assert bench.flags(20000) == POL


def test_only_converted_inputs_are_compared():
    bench = armed([(SOVL, 100), (BOVL, 100), (TEMP_LIMIT, 0x10)], SLOWALERT, 0x9B68)
    bench.amps(10, 0)
    assert bench.flags(9000) == BUSOL
    bench = armed([(SOVL, 100), (BOVL, 100), (TEMP_LIMIT, 0x10)], SLOWALERT, 0xEB68)
    bench.amps(10, 0)
    assert bench.flags(9000) == SHNTOL | TMPOL


def test_latch_holds_until_the_flags_are_read():
    bench = armed([(SOVL, 4000)], ALATCH | SLOWALERT)
    bench.amps(20, 0)
    assert not bench.chip.alert_low(CYCLE - 1)
    assert bench.chip.alert_low(CYCLE)
    bench.amps(0, 2 * CYCLE)
    bench.chip.follow(2 * CYCLE)
    assert bench.chip.alert_low(20 * CYCLE)
    bench.get(VSHUNT, 20 * CYCLE)
    assert bench.chip.alert_low(20 * CYCLE)
    assert bench.get(DIAG, 20 * CYCLE) == ALATCH | SLOWALERT | SHNTOL | CNVRF | MEMSTAT
    assert not bench.chip.alert_low(20 * CYCLE)
    assert bench.get(DIAG, 20 * CYCLE) == ALATCH | SLOWALERT | MEMSTAT


def test_latch_comes_back_with_the_next_window():
    bench = armed([(SOVL, 4000)], ALATCH | SLOWALERT)
    bench.amps(20, 0)
    now_us = 3 * CYCLE + 700
    assert bench.chip.alert_low(now_us)
    assert bench.flags(now_us) == SHNTOL
    assert not bench.chip.alert_low(4 * CYCLE - 1)
    assert bench.chip.alert_low(4 * CYCLE)


def test_transparent_flags_follow_the_input():
    bench = armed([(SOVL, 4000)], SLOWALERT)
    bench.amps(20, 0)
    assert bench.flags(CYCLE) == SHNTOL
    assert bench.flags(CYCLE) == SHNTOL
    bench.amps(0, 2 * CYCLE)
    assert bench.chip.alert_low(3 * CYCLE - 1)
    assert not bench.chip.alert_low(3 * CYCLE)
    assert bench.flags(3 * CYCLE) == 0


def test_slow_alert_averages():
    # 30 A during one of the four conversions of a cycle, 4 A else: 10.5 A on average.
    for diag, limit, seen in (
        (ALATCH, 11 * 400, True),
        (ALATCH | SLOWALERT, 11 * 400, False),
        (ALATCH | SLOWALERT, 10 * 400, True),
    ):
        bench = armed([(SOVL, limit)], diag)
        bench.amps(4, 0)
        bench.amps(30, 4 * CYCLE + 560)
        bench.amps(4, 4 * CYCLE + 1120)
        assert not bench.chip.alert_low(4 * CYCLE + 1119)
        assert bench.chip.alert_low(4 * CYCLE + 1120) == (seen and not diag & SLOWALERT)
        assert bench.chip.alert_low(9 * CYCLE) == seen


def test_short_crossing_is_seen_when_the_average_is_beyond():
    for length, seen in ((1000, False), (1200, True)):
        bench = armed([(SOVL, 4000)], ALATCH | SLOWALERT)
        bench.amps(0, 0)
        bench.amps(20, 10 * CYCLE + 300)
        bench.amps(0, 10 * CYCLE + 300 + length)
        assert bench.chip.alert_low(30 * CYCLE) == seen


def test_conversion_ready_on_the_pin():
    bench = armed([], ALATCH | CNVR)
    assert not bench.chip.alert_low(CYCLE - 1)
    assert bench.chip.alert_low(CYCLE)
    bench.get(DIAG, CYCLE)
    assert not bench.chip.alert_low(CYCLE)
    assert bench.chip.alert_low(2 * CYCLE)
    assert not armed([], CNVR).chip.alert_low(2 * CYCLE)


def test_alert_polarity():
    bench = armed([(SOVL, 4000)], APOL | SLOWALERT)
    assert bench.chip.alert_low(CYCLE)
    bench.amps(20, CYCLE)
    assert not bench.chip.alert_low(2 * CYCLE)


def test_limit_change_counts_from_the_next_window():
    bench = armed([], ALATCH | SLOWALERT)
    bench.amps(20, 0)
    now_us = 5 * CYCLE + 100
    bench.put(SOVL, 4000, now_us)
    assert not bench.chip.alert_low(6 * CYCLE - 1)
    assert bench.chip.alert_low(6 * CYCLE)


def test_brown_out_and_supply():
    bench = armed([(SOVL, 4000)], ALATCH | SLOWALERT)
    bench.amps(20, 0)
    assert bench.chip.alert_low(CYCLE)
    bench.chip.powered = False
    assert not bench.chip.alert_low(CYCLE)
    bench.chip.power_on(9 * CYCLE)
    assert bench.chip.powered and bench.chip.pointer == 0
    assert bench.get(SOVL, 9 * CYCLE) == 0x7FFF and bench.get(VSHUNT, 9 * CYCLE) == 0
    assert not bench.chip.alert_low(20 * CYCLE)
    assert bench.get(VSHUNT, 9 * CYCLE + 3156) == 8000


def test_frozen_chip():
    bench = armed([(SOVL, 4000)], ALATCH | SLOWALERT)
    bench.amps(10, 0)
    bench.chip.freeze(True, 4 * CYCLE)
    bench.amps(20, 4 * CYCLE)
    for now_us in (5 * CYCLE, 500 * CYCLE):
        assert bench.get(VSHUNT, now_us) == 4000
        assert bench.get(DIAG, now_us) == ALATCH | SLOWALERT | MEMSTAT
        assert not bench.chip.alert_low(now_us)
    bench.put(ADC_CONFIG, BUS_AND_SHUNT, 500 * CYCLE)
    assert bench.get(VSHUNT, 510 * CYCLE) == 4000
    bench.chip.freeze(False, 510 * CYCLE)
    assert bench.get(VSHUNT, 511 * CYCLE - 1) == 4000
    assert bench.get(VSHUNT, 511 * CYCLE) == 8000
    assert bench.chip.alert_low(511 * CYCLE)


class Watched:
    """Sixteen watched chips with SOVL at 10 A, latched and averaged, and what they compared."""

    def __init__(self):
        self.plant = Plant([{"n": n, "soc": 0.7} for n in range(1, 17)])
        self.chips = [Ina237(0x40 + i, i, self.plant) for i in range(16)]
        self.compared = 0
        for chip in self.chips:
            chip.write(ADC_CONFIG, b"\xb6\xc1", 0)
            chip.write(SOVL, b"\x0f\xa0", 0)
            chip.write(DIAG, b"\xa0\x00", 0)
            chip._compare = self.counting(chip._compare)
        self.watch = Comparators(self.chips, self.plant)

    def counting(self, compare):
        def counted(begin_us, end_us):
            self.compared += 1
            compare(begin_us, end_us)

        return counted

    def run(self, start_us, end_us):
        for now_us in range(start_us, end_us, 10000):
            self.step(now_us)

    def step(self, now_us):
        self.plant.step(now_us)
        self.watch.follow_all(now_us)

    def alerts(self, now_us):
        return [i for i, chip in enumerate(self.chips) if chip.alert_low(now_us)]


def test_calm_chips_are_left_alone():
    rig = Watched()
    rig.run(0, 50000)
    settled = rig.compared
    rig.run(50000, 1000000)
    assert rig.compared == settled and all(chip.calm() for chip in rig.chips)
    rig.plant.inject_current(5, 11000)
    rig.step(1000000)
    # 11 A begin within cycle 447, whose mean is 6.3 A.
    assert rig.alerts(448 * CYCLE - 1) == []
    assert rig.alerts(448 * CYCLE) == [5]
    rig.run(1010000, 1040000)
    assert rig.compared <= settled + 16 * 4
    rig.plant.inject_current(5, 0)
    rig.run(1040000, 1060000)
    assert all(chip.calm() for chip in rig.chips)
    assert rig.alerts(1060000) == [5]


def test_excursion_before_a_limit_change_is_not_forgotten():
    rig = Watched()
    rig.plant.inject_current(3, 9000)
    rig.run(0, 220000)
    limit_us = 100 * CYCLE + 10
    rig.chips[3].write(SOVL, (2000).to_bytes(2, "big"), limit_us)
    rig.plant.inject_current(3, 0)
    rig.step(limit_us + 1500)
    rig.run(230000, 260000)
    assert rig.alerts(260000) == [3]


def test_triggered_result_is_kept_while_watched():
    rig = Watched()
    rig.plant.inject_current(2, 5000)
    rig.run(0, 100000)
    # 64 averages, 35.84 ms, compared conversion by conversion.
    rig.chips[2].write(DIAG, b"\x80\x00", 100000)
    rig.chips[2].write(ADC_CONFIG, b"\x36\xc3", 100000)
    rig.run(100000, 140000)
    rig.plant.inject_current(2, 0)
    rig.run(140000, 4000000)
    buf = bytearray(2)
    rig.chips[2].read(VSHUNT, buf, 4000000)
    assert buf == b"\x07\xd0"
    assert rig.chips[2].calm()


class Thorough(Ina237):
    """Compares every window by itself, without a shortcut."""

    def follow(self, now_us):
        done = self._count(now_us, self.window_us)
        while self._compared < done:
            begin = self._start + self._compared * self.window_us
            self._compare(begin, begin + self.window_us)
            self._compared += 1
        if not self._continuous and self._count(now_us, self._cycle):
            self._stop(now_us)


def test_shortcuts_change_nothing():
    """Chips that look at every window, chips alone and watched chips always agree."""
    random.seed(11)
    alerts = calm = 0
    for _ in range(20):
        plant = Plant([{"n": n, "soc": 0.7} for n in range(1, 5)])
        thorough = [Thorough(0x40 + i, i, plant) for i in range(4)]
        alone = [Ina237(0x40 + i, i, plant) for i in range(4)]
        watched = [Ina237(0x40 + i, i, plant) for i in range(4)]
        watch = Comparators(watched, plant)
        now_us = 0
        for _ in range(400):
            now_us += random.choice((10000, 10000, 10000, 3000, 500, 0))
            if random.random() < 0.05:
                plant.inject_current(random.randrange(4), random.choice((0, 0, 0, 12000, -9000)))
                plant.inject_voltage(random.randrange(4), random.choice((0, 0, 0, 3000, -5000)))
            plant.step(now_us)
            watch.follow_all(now_us)
            for chip in thorough + alone:
                chip.follow(now_us)
            if random.random() < 0.02:
                i = random.randrange(4)
                reg, word = random.choice(WRITES)
                for chip in (thorough[i], alone[i], watched[i]):
                    chip.write(reg, word.to_bytes(2, "big"), now_us)
            now_us += random.randrange(10) * 50
            look = random.random() < 0.05
            for trio in zip(thorough, alone, watched):
                seen = [everything(chip, now_us, look) for chip in trio]
                assert seen[0] == seen[1] == seen[2], seen
                alerts += seen[0][0]
                calm += trio[2].calm()
    assert alerts > 500 and calm > 5000, (alerts, calm)


def everything(chip, now_us, look):
    """The level of the ALERT pin and, if asked for, the registers that change by themselves."""
    seen = [chip.alert_low(now_us)]
    if look:
        for reg in (VSHUNT, VBUS, DIAG):
            buf = bytearray(2)
            chip.read(reg, buf, now_us)
            seen.append(bytes(buf))
    return seen


WRITES = (
    (ADC_CONFIG, 0xB6C1),
    (ADC_CONFIG, 0xFB68),
    (ADC_CONFIG, 0xB000),
    (ADC_CONFIG, 0x36C1),
    (CONFIG, 0x0010),
    (CONFIG, 0x0000),
    (CONFIG, 0x8000),
    (DIAG, 0xA000),
    (DIAG, 0x8000),
    (DIAG, 0x2000),
    (DIAG, 0xC000),
    (SOVL, 4000),
    (SOVL, 0x7FFF),
    (SUVL, 0x10000 - 3000),
    (BOVL, 9300),
    (BUVL, 7680),
)
