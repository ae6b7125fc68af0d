"""Tests the simulated INA237 (tools/sim/chips/ina237.py) and `Comparators` (tools/sim/chips).

Expected values are worked out from the data sheet (SBOSA20), not from the model.
"""

import random

from sim.chips import Comparators
from sim.chips.ina237 import Ina237
from sim.plant import Plant

CONFIG, ADC_CONFIG, SHUNT_CAL = 0x00, 0x01, 0x02
VSHUNT, VBUS, DIETEMP, CURRENT, POWER = 0x04, 0x05, 0x06, 0x07, 0x08
DIAG, SOVL, SUVL, BOVL, BUVL, TEMP_LIMIT, PWR_LIMIT = range(0x0B, 0x12)

ALATCH, CNVR, SLOWALERT, APOL = 0x8000, 0x4000, 0x2000, 0x1000
MATHOF, TMPOL, SHNTOL, SHNTUL, BUSOL, BUSUL, POL = 0x200, 0x80, 0x40, 0x20, 0x10, 0x08, 0x04
CNVRF, MEMSTAT = 0x02, 0x01
FLAGS = 0xFC

BUS_AND_SHUNT = 0xB6C1
"""Bus and shunt, 280 us each, 4 averages: a cycle of 2240 us of four conversions."""
CYCLE = 2240


class Bench:
    """A chip alone with a pack at 27.125 V whose sensor inputs are set by injection."""

    def __init__(self, adc=None, now_us=0, **settings):
        self.plant = Plant([{"n": 1, "soc": 0.65, "capacity_ah": 1000}])
        self.rest_v = self.plant.voltage_v[0]
        self.plant.step(now_us)
        self.chip = Ina237(0x40, 0, self.plant, now_us=now_us, **settings)
        if adc is not None:
            self.put(ADC_CONFIG, adc, now_us)

    def put(self, reg, word, now_us):
        self.chip.write(reg, bytes((word >> 8 & 0xFF, word & 0xFF)), now_us)

    def get(self, reg, now_us, size=2):
        buf = bytearray(size)
        self.chip.read(reg, buf, now_us)
        return int.from_bytes(buf, "big")

    def signed(self, reg, now_us):
        word = self.get(reg, now_us)
        return word - ((word & 0x8000) << 1)

    def flags(self, now_us):
        return self.get(DIAG, now_us) & FLAGS

    def amps(self, amps, now_us):
        self.plant.inject_current(0, amps * 1000)
        self.plant.step(now_us)

    def volts(self, volts, now_us):
        self.plant.inject_voltage(0, (volts - self.rest_v) * 1000)
        self.plant.step(now_us)


def test_reset_values():
    bench = Bench()
    for reg, wanted in (
        (CONFIG, 0x0000),
        (ADC_CONFIG, 0xFB68),
        (SHUNT_CAL, 0x1000),
        (0x03, 0),
        (VSHUNT, 0),
        (VBUS, 0),
        (DIETEMP, 0),
        (CURRENT, 0),
        (DIAG, 0x0001),
        (SOVL, 0x7FFF),
        (SUVL, 0x8000),
        (BOVL, 0x7FFF),
        (BUVL, 0x0000),
        (TEMP_LIMIT, 0x7FF0),
        (PWR_LIMIT, 0xFFFF),
        (0x12, 0),
        (0x3E, 0x5449),
        (0x3F, 0x2370),
    ):
        found = bench.get(reg, 100)
        assert found == wanted, f"{reg:#x}: {found:#x} is not {wanted:#x}"
    assert bench.get(POWER, 100, 3) == 0
    assert Bench(device_id=0x2381).get(0x3F, 0) == 0x2381


def test_what_writes_change():
    bench = Bench()
    for reg, wanted in (
        (CONFIG, 0x3FD0),
        (SHUNT_CAL, 0x7FFF),
        (DIAG, 0xF001),
        (SOVL, 0x7EFF),
        (SUVL, 0x7EFF),
        (BOVL, 0x7EFF),
        (BUVL, 0x7EFF),
        (TEMP_LIMIT, 0x7EF0),
        (PWR_LIMIT, 0x7EFF),
    ):
        bench.put(reg, 0x7EFF if reg >= SOVL else 0x7FFF, 0)
        if reg == DIAG:
            bench.put(reg, 0xFFFF, 0)
        found = bench.get(reg, 0)
        assert found == wanted, f"{reg:#x}: {found:#x} is not {wanted:#x}"
    for reg in (VSHUNT, VBUS, DIETEMP, CURRENT, 0x3E, 0x3F, 0x03, 0x12):
        before = bench.get(reg, 0)
        bench.put(reg, 0x1234, 0)
        assert bench.get(reg, 0) == before


def test_pointer_and_short_writes():
    bench = Bench()
    bench.chip.write(SOVL, b"", 0)
    assert bench.chip.pointer == SOVL
    bench.chip.write(SOVL, b"\x12", 0)
    assert bench.get(SOVL, 0) == 0x7FFF
    bench.get(VBUS, 0)
    assert bench.chip.pointer == VBUS


def test_reads_of_other_lengths():
    bench = Bench()
    bench.put(SOVL, 0x1234, 0)
    assert bench.get(SOVL, 0, 1) == 0x12
    assert bench.get(SOVL, 0, 3) == 0x1234FF
    assert bench.get(VSHUNT, 0, 4) == 0x0000FFFF
    bench.amps(10, 0)
    power = bench.get(POWER, 20000, 3)
    assert power > 0x10000
    assert bench.get(POWER, 20000, 2) == power >> 8
    assert bench.get(POWER, 20000, 4) == power << 8 | 0xFF


def test_reset_bit():
    bench = Bench(BUS_AND_SHUNT)
    bench.put(SOVL, 100, 0)
    bench.put(DIAG, ALATCH, 0)
    bench.amps(10, 0)
    assert bench.chip.alert_low(5000)
    bench.put(CONFIG, 0x8010, 5000)
    assert bench.get(CONFIG, 5000) == 0 and bench.get(SOVL, 5000) == 0x7FFF
    assert bench.get(ADC_CONFIG, 5000) == 0xFB68 and bench.get(VSHUNT, 5000) == 0
    assert not bench.chip.alert_low(5000) and bench.get(DIAG, 5000) == MEMSTAT
    assert bench.get(VSHUNT, 5000 + 3155) == 0
    assert bench.get(VSHUNT, 5000 + 3156) == 4000


def test_results_come_at_the_end_of_a_cycle():
    bench = Bench()
    bench.amps(10, 0)
    cycle = 3 * 1052
    for reg, wanted in ((VSHUNT, 4000), (VBUS, 8680), (DIETEMP, 200 << 4), (CURRENT, 4000)):
        assert bench.get(reg, cycle - 1) == 0
        assert bench.get(reg, cycle) == wanted
    bench.amps(20, cycle)
    assert bench.get(VSHUNT, 2 * cycle - 1) == 4000
    assert bench.get(VSHUNT, 2 * cycle) == 8000


def test_cycle_lengths():
    times = (50, 84, 150, 280, 540, 1052, 2074, 4120)
    averages = (1, 4, 16, 64, 128, 256, 512, 1024)
    for code in range(8):
        for avg in range(8):
            for mode, fields, count in (
                (0xA, code << 6 | 0x0E38 & ~0x01C0, 1),
                (0xB, code << 9 | code << 6, 2),
                (0xE, code << 6 | code << 3, 2),
                (0xF, code << 9 | code << 6 | code << 3, 3),
            ):
                bench = Bench(mode << 12 | fields | avg, now_us=1000)
                bench.amps(10, 1000)
                end = 1000 + times[code] * averages[avg] * count
                assert bench.get(VSHUNT, end - 1) == 0
                assert bench.get(VSHUNT, end) == 4000


def test_mean_across_a_step_is_exact():
    bench = Bench(BUS_AND_SHUNT)
    bench.amps(10, 0)
    bench.amps(30, CYCLE + 560)
    assert bench.signed(VSHUNT, 2 * CYCLE - 1) == 4000
    assert bench.signed(VSHUNT, 2 * CYCLE) == 4000 // 4 + 12000 * 3 // 4
    assert bench.signed(VSHUNT, 3 * CYCLE) == 12000
    bench.volts(20, 3 * CYCLE)
    bench.volts(30, 3 * CYCLE + 1120)
    assert bench.get(VBUS, 4 * CYCLE) == 8000
    assert bench.get(VBUS, 5 * CYCLE) == 9600


def test_quantisation():
    bench = Bench(BUS_AND_SHUNT)
    now_us = 0
    for amps, code in ((0.0, 0), (1.0, 400), (1.0012, 400), (1.0013, 401), (-1.0012, -400)):
        bench.amps(amps, now_us)
        now_us += 3 * CYCLE
        assert bench.signed(VSHUNT, now_us) == code
    for volts, code in ((23.9969, 7679), (24.0, 7680), (24.0015, 7680), (24.0016, 7681)):
        bench.volts(volts, now_us)
        now_us += 3 * CYCLE
        assert bench.get(VBUS, now_us) == code


def test_ranges_and_clipping():
    bench = Bench(BUS_AND_SHUNT, shunt_uohm=1000)
    now_us = 0
    for config, amps, code in (
        (0x00, 10, 2000),
        (0x00, 163.835, 32767),
        (0x00, 200, 32767),
        (0x00, -163.84, -32768),
        (0x00, -500, -32768),
        (0x10, 10, 8000),
        (0x10, 40.95875, 32767),
        (0x10, 41, 32767),
        (0x10, -41, -32768),
    ):
        bench.put(CONFIG, config, now_us)
        bench.amps(amps, now_us)
        now_us += 3 * CYCLE
        assert bench.signed(VSHUNT, now_us) == code
    bench.volts(-3, now_us)
    assert bench.get(VBUS, now_us + 3 * CYCLE) == 0
    bench.volts(200, now_us)
    assert bench.get(VBUS, now_us + 3 * CYCLE) == 0x7FFF


def test_current_and_power():
    # The worked example of the data sheet: 6 A and 48 V at 16.2 mOhm, 10 A of full scale.
    bench = Bench(shunt_uohm=16200)
    bench.put(SHUNT_CAL, 4050, 0)
    bench.amps(6, 0)
    bench.volts(48, 0)
    now_us = 20000
    assert bench.get(VSHUNT, now_us) == 19440
    assert bench.get(VBUS, now_us) == 15360
    assert abs(bench.get(CURRENT, now_us) - 19660.8) < 1
    power = bench.get(POWER, now_us, 3)
    assert abs(power * 0.2 * 10 / 32768 - 288) < 0.02
    bench.amps(-6, now_us)
    assert abs(bench.signed(CURRENT, 2 * now_us) + 19660.8) < 1
    assert bench.get(POWER, 2 * now_us, 3) == power
    assert not bench.get(DIAG, 2 * now_us) & MATHOF
    bench.put(SHUNT_CAL, 2000, 2 * now_us)
    assert bench.signed(CURRENT, 2 * now_us) == -32768
    assert bench.get(DIAG, 2 * now_us) & MATHOF
    bench.put(SHUNT_CAL, 0, 2 * now_us)
    assert bench.get(CURRENT, 2 * now_us) == 0


def test_die_temperature():
    bench = Bench()
    for heat, word in ((25.0, 200 << 4), (85.06, 680 << 4), (85.07, 681 << 4), (-0.125, 0xFFF0)):
        bench.chip.heat_c = heat
        assert bench.get(DIETEMP, 5000) == word


def test_modes_choose_the_inputs():
    for mode in range(16):
        bench = Bench(0xFB68, 0)
        bench.amps(10, 0)
        bench.put(ADC_CONFIG, mode << 12 | 0x0B68, 0)
        found = [bool(bench.get(reg, 8000)) for reg in (VBUS, VSHUNT, DIETEMP)]
        assert found == [bool(mode & bit) for bit in (1, 2, 4)], mode


def test_shutdown_keeps_the_results():
    bench = Bench(BUS_AND_SHUNT)
    bench.amps(10, 0)
    bench.put(ADC_CONFIG, 0x06C1, 5000)
    assert bench.get(DIAG, 5001) & CNVRF
    bench.amps(20, 6000)
    for now_us in (6000, 500000, 90000000):
        assert bench.get(VSHUNT, now_us) == 4000
    assert not bench.get(DIAG, 90000000) & CNVRF


def test_triggered_converts_once():
    bench = Bench(0x36C1)
    bench.amps(10, 0)
    assert bench.get(VSHUNT, CYCLE - 1) == 0
    assert bench.get(VSHUNT, CYCLE) == 4000
    bench.amps(20, CYCLE)
    for k in range(40):
        bench.amps(20 + k, 10000 + 1000 * k)
        bench.chip.follow(10000 + 1000 * k)
    assert bench.get(VSHUNT, 60000) == 4000
    assert bench.get(DIAG, 60000) & CNVRF
    assert not bench.get(DIAG, 60000) & CNVRF
    bench.put(ADC_CONFIG, 0x36C1, 60000)
    assert bench.get(VSHUNT, 60000 + CYCLE - 1) == 4000
    assert bench.get(VSHUNT, 60000 + CYCLE) == 59 * 400


def test_triggered_compares_once():
    bench = Bench(0x36C1)
    bench.put(SOVL, 4000, 0)
    bench.put(DIAG, ALATCH, 0)
    bench.amps(5, 0)
    bench.amps(50, CYCLE)
    bench.chip.follow(9000)
    assert bench.flags(9000) == 0
    bench.put(ADC_CONFIG, 0x36C1, 9000)
    assert bench.flags(9000 + 559) == 0
    assert bench.flags(9000 + 560) == SHNTOL
    assert bench.flags(9000 + CYCLE) == SHNTOL
    assert bench.flags(90000) == 0


def test_conversion_delay():
    bench = Bench()
    bench.put(CONFIG, 5 << 6, 0)
    bench.put(ADC_CONFIG, BUS_AND_SHUNT, 1000)
    bench.amps(10, 0)
    assert bench.get(VSHUNT, 1000 + 10000 + CYCLE - 1) == 0
    assert bench.get(VSHUNT, 1000 + 10000 + CYCLE) == 4000


def test_conversion_ready():
    bench = Bench(BUS_AND_SHUNT)
    assert not bench.get(DIAG, CYCLE - 1) & CNVRF
    assert bench.get(DIAG, CYCLE) & CNVRF
    assert not bench.get(DIAG, 2 * CYCLE - 1) & CNVRF
    bench.get(VSHUNT, 3 * CYCLE)
    assert bench.get(DIAG, 3 * CYCLE) & CNVRF
    bench.put(ADC_CONFIG, BUS_AND_SHUNT, 9 * CYCLE)
    assert not bench.get(DIAG, 10 * CYCLE - 1) & CNVRF
    assert bench.get(DIAG, 10 * CYCLE) & CNVRF


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


def test_calm_chips_are_left_alone():
    plant = Plant([{"n": n, "soc": 0.7} for n in range(1, 17)])
    chips = [Ina237(0x40 + i, i, plant) for i in range(16)]
    for chip in chips:
        chip.write(ADC_CONFIG, b"\xb6\xc1", 0)
        chip.write(SOVL, b"\x0f\xa0", 0)
        chip.write(DIAG, b"\xa0\x00", 0)
    watch = Comparators(chips, plant)
    followed = []
    for chip in chips:
        follow = chip.follow
        chip.follow = lambda now_us, follow=follow: (followed.append(now_us), follow(now_us))
    for now_us in range(0, 1000000, 10000):
        plant.step(now_us)
        watch.follow_all(now_us)
    assert followed[-1] <= 20000
    plant.inject_current(5, 11000)
    plant.step(1000000)
    watch.follow_all(1000000)
    # 11 A begin within cycle 447, whose mean is 6.3 A.
    assert not chips[5].alert_low(448 * CYCLE - 1)
    assert [i for i in range(16) if chips[i].alert_low(448 * CYCLE)] == [5]


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
