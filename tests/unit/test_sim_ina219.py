# SPDX-License-Identifier: GPL-3.0-only
"""Tests the simulated INA219 (tools/sim/chips/ina219.py).

Expected values are worked out from the data sheet (SBOS448), not from the model.
"""

import ina237_bench
from sim.chips import Comparators
from sim.chips.ina219 import Ina219
from sim.plant import Plant

CONFIG, VSHUNT, VBUS, POWER, CURRENT, CALIBRATION = range(6)
CNVR, OVF = 2, 1

CYCLE = 2 * 532
"""Of the configuration after reset, 0x399F: bus and shunt, 12 bits each."""


class Bench(ina237_bench.Bench):
    """The bench of the INA237 with an INA219 in its place."""

    def __init__(self, config=None, now_us=0, **settings):
        super().__init__(None, now_us)
        self.chip = Ina219(0x40, 0, self.plant, now_us=now_us, **settings)
        if config is not None:
            self.put(CONFIG, config, now_us)


def test_reset_values():
    bench = Bench()
    for reg, wanted in (
        (CONFIG, 0x399F),
        (VSHUNT, 0),
        (VBUS, 0),
        (POWER, 0),
        (CURRENT, 0),
        (CALIBRATION, 0),
        (0x06, 0),
        (0xFE, 0),
        (0xFF, 0),
    ):
        found = bench.get(reg, 100)
        assert found == wanted, f"{reg:#x}: {found:#x} is not {wanted:#x}"


def test_what_writes_change():
    bench = Bench()
    bench.put(CONFIG, 0x7FFF, 0)
    assert bench.get(CONFIG, 0) == 0x3FFF
    bench.put(CALIBRATION, 0xFFFF, 0)
    assert bench.get(CALIBRATION, 0) == 0xFFFE
    for reg in (VSHUNT, VBUS, POWER, CURRENT, 0x06):
        bench.put(reg, 0x1230, 0)
        assert bench.get(reg, 0) == 0
    bench.chip.write(CALIBRATION, b"\x12", 0)
    assert bench.get(CALIBRATION, 0) == 0xFFFE and bench.chip.pointer == CALIBRATION
    bench.put(CONFIG, 0xBFFF, 0)
    assert bench.get(CONFIG, 0) == 0x399F and bench.get(CALIBRATION, 0) == 0


def test_conversion_times():
    # Table 5: resolutions of 9 to 12 bits, whatever the third bit; 1 to 128 samples of 12 bits.
    times = (
        84,
        148,
        276,
        532,
        84,
        148,
        276,
        532,
        532,
        1064,
        2128,
        4256,
        8512,
        17024,
        34048,
        68096,
    )
    for field in range(16):
        for mode, reg, length_us in (
            (5, VSHUNT, times[field]),
            (6, VBUS, times[15 - field]),
            (7, VSHUNT, times[field] + times[15 - field]),
        ):
            bench = Bench(0x3800 | (15 - field) << 7 | field << 3 | mode, now_us=1000)
            bench.amps(10, 1000)
            bench.volts(24, 1000)
            assert bench.get(reg, 999 + length_us) == 0
            assert bench.get(reg, 1000 + length_us) & ~7 == (2000 if reg == VSHUNT else 48000)


def test_mean_across_a_step_is_exact():
    bench = Bench()
    bench.amps(10, 0)
    bench.amps(30, CYCLE + CYCLE // 4)
    assert bench.get(VSHUNT, 2 * CYCLE - 1) == 2000
    assert bench.get(VSHUNT, 2 * CYCLE) == 2000 // 4 + 6000 * 3 // 4


def test_gain_ranges_clip():
    # Full scale is 40 mV times 1, 2, 4 or 8, both ways.
    bench = Bench(shunt_uohm=10000)
    now_us = 0
    for gain in range(4):
        top = 4000 << gain
        bench.put(CONFIG, 0x219F | gain << 11, now_us)
        for code in (top - 1, top, 1 - top, -top):
            bench.amps(code / 1000, now_us)
            now_us += 3 * CYCLE
            assert bench.signed(VSHUNT, now_us) == code
        for beyond in (top + 1, 2 * top):
            for sign in (1, -1):
                bench.amps(sign * beyond / 1000, now_us)
                now_us += 3 * CYCLE
                assert bench.signed(VSHUNT, now_us) == sign * top


def test_bus_ranges_clip():
    bench = Bench()
    now_us = 0
    for config, volts, code in (
        (0x399F, 12.0, 3000),
        (0x399F, 12.0019, 3000),
        (0x399F, 12.0021, 3001),
        (0x399F, 26.0, 6500),
        (0x399F, 29.4, 6500),
        (0x399F, -3, 0),
        (0x199F, 15.996, 3999),
        (0x199F, 16.0, 4000),
        (0x199F, 24, 4000),
    ):
        bench.put(CONFIG, config, now_us)
        bench.volts(volts, now_us)
        now_us += 3 * CYCLE
        assert bench.get(VBUS, now_us) == code << 3 | CNVR


def test_current_and_power():
    # The worked example of the data sheet: 10 A and 11.98 V at 2 mOhm, steps of 1 mA and 20 mW.
    bench = Bench()
    bench.put(CALIBRATION, 20480, 0)
    bench.amps(10, 0)
    bench.volts(11.98, 0)
    assert bench.get(VSHUNT, 9000) == 2000 and bench.get(VBUS, 9000) == 2995 << 3 | CNVR
    assert bench.get(CURRENT, 9000) == 10000 and bench.get(POWER, 9000) == 5990
    bench.amps(-10, 9000)
    assert bench.signed(CURRENT, 18000) == -10000 and bench.get(POWER, 18000) == 5990
    bench.put(CALIBRATION, 0, 18000)
    assert bench.get(CURRENT, 18000) == bench.get(POWER, 18000) == 0


def test_overflow():
    bench = Bench()
    bench.amps(20, 0)
    bench.volts(24, 0)
    bench.put(CALIBRATION, 32768, 0)
    assert not bench.get(VBUS, 9000) & OVF and bench.signed(CURRENT, 9000) == 32000
    bench.put(CALIBRATION, 33600, 9000)
    assert bench.get(VBUS, 9000) & OVF and bench.signed(CURRENT, 9000) == 32767
    bench.put(CALIBRATION, 0, 9000)
    assert not bench.get(VBUS, 9000) & OVF


def test_conversion_ready():
    bench = Bench()
    assert not bench.get(VBUS, CYCLE - 1) & CNVR
    assert bench.get(VBUS, CYCLE) & CNVR and bench.get(VBUS, CYCLE) & CNVR
    bench.get(POWER, CYCLE)
    assert not bench.get(VBUS, 2 * CYCLE - 1) & CNVR
    assert bench.get(VBUS, 2 * CYCLE) & CNVR
    bench.put(CONFIG, 0x399F, 3 * CYCLE)
    assert not bench.get(VBUS, 4 * CYCLE - 1) & CNVR
    assert bench.get(VBUS, 4 * CYCLE) & CNVR
    for shutdown in (0x3998, 0x399C):
        bench.put(CONFIG, shutdown, 5 * CYCLE)
        assert bench.get(VBUS, 9 * CYCLE) & CNVR


def test_modes_choose_the_inputs():
    for mode in range(8):
        bench = Bench()
        bench.amps(10, 0)
        bench.put(CONFIG, 0x3998 | mode, 0)
        found = [bench.get(VSHUNT, 8000) > 0, bench.get(VBUS, 8000) >> 3 > 0]
        assert found == [bool(mode & 1), bool(mode & 2)], mode


def test_triggered_converts_once_and_shutdown_keeps_the_results():
    bench = Bench(0x399B)
    bench.amps(10, 0)
    bench.chip.follow(CYCLE)
    bench.amps(20, CYCLE)
    bench.chip.follow(9 * CYCLE)
    assert bench.get(VSHUNT, 90 * CYCLE) == 2000
    bench.put(CONFIG, 0x399B, 100 * CYCLE)
    assert bench.get(VSHUNT, 101 * CYCLE - 1) == 2000
    assert bench.get(VSHUNT, 101 * CYCLE) == 4000
    bench.put(CONFIG, 0x3998, 200 * CYCLE)
    bench.amps(30, 200 * CYCLE)
    assert bench.get(VSHUNT, 300 * CYCLE) == 4000


def test_triggered_result_is_kept_while_watched():
    plant = Plant([{"n": n, "soc": 0.7} for n in range(1, 5)])
    chips = [Ina219(0x40 + i, i, plant) for i in range(4)]
    watch = Comparators(chips, plant)
    plant.inject_current(2, 5000)
    for now_us in range(0, 4000000, 10000):
        if now_us == 100000:
            chips[2].write(CONFIG, b"\x39\x9b", now_us)
        if now_us == 120000:
            plant.inject_current(2, 0)
        plant.step(now_us)
        watch.follow_all(now_us)
    buf = bytearray(2)
    chips[2].read(VSHUNT, buf, 4000000)
    assert buf == b"\x03\xe8"
    assert all(chip.calm() for chip in chips)


def test_there_is_no_alert():
    bench = Bench()
    bench.amps(200, 0)
    bench.volts(200, 0)
    assert not bench.chip.alert_low(9000)
    bench.chip.follow(9000)
    assert not bench.chip.alert_low(9000)
    infinite = float("inf")
    assert bench.chip.bounds() == (-infinite, infinite, -infinite, infinite)


def test_brown_out_and_frozen_chip():
    bench = Bench()
    bench.amps(20, 0)
    bench.put(CALIBRATION, 20480, 0)
    bench.chip.freeze(True, 9 * CYCLE)
    bench.amps(30, 9 * CYCLE)
    assert bench.get(VSHUNT, 20 * CYCLE) == 4000 and not bench.get(VBUS, 20 * CYCLE) & CNVR
    bench.chip.freeze(False, 20 * CYCLE)
    assert bench.get(VSHUNT, 21 * CYCLE) == 6000 and bench.get(VBUS, 21 * CYCLE) & CNVR
    bench.chip.powered = False
    bench.chip.power_on(30 * CYCLE)
    assert bench.chip.powered and bench.chip.pointer == 0
    assert bench.get(CALIBRATION, 30 * CYCLE) == bench.get(VSHUNT, 30 * CYCLE) == 0
    assert bench.get(VSHUNT, 31 * CYCLE) == 6000
