# SPDX-License-Identifier: GPL-3.0-only
"""Tests the simulated INA226 (tools/sim/chips/ina226.py).

Expected values are worked out from the data sheet (SBOS547), not from the model.
"""

import random

import ina237_bench
from sim.chips import Comparators
from sim.chips.ina226 import Ina226
from sim.plant import Plant

CONFIG, VSHUNT, VBUS, POWER, CURRENT, CALIBRATION, MASK, LIMIT = range(8)
SOL, SUL, BOL, BUL, POL, CNVR = 0x8000, 0x4000, 0x2000, 0x1000, 0x0800, 0x0400
AFF, CVRF, OVF, APOL, LEN = 0x10, 0x08, 0x04, 0x02, 0x01

AVERAGED = 0x42DF
"""Bus and shunt, 588 us each, 4 averages: a cycle of 4704 us."""
CYCLE = 4704


class Bench(ina237_bench.Bench):
    """The bench of the INA237 with an INA226 in its place."""

    def __init__(self, config=None, now_us=0, **settings):
        super().__init__(None, now_us)
        self.chip = Ina226(0x40, 0, self.plant, now_us=now_us, **settings)
        if config is not None:
            self.put(CONFIG, config, now_us)


def armed(mask, limit, config=AVERAGED):
    bench = Bench(config)
    bench.put(LIMIT, limit & 0xFFFF, 0)
    bench.put(MASK, mask, 0)
    return bench


def test_reset_values():
    bench = Bench()
    for reg, wanted in (
        (CONFIG, 0x4127),
        (VSHUNT, 0),
        (VBUS, 0),
        (POWER, 0),
        (CURRENT, 0),
        (CALIBRATION, 0),
        (MASK, 0),
        (LIMIT, 0),
        (0x08, 0),
        (0xFD, 0),
        (0xFE, 0x5449),
        (0xFF, 0x2260),
    ):
        found = bench.get(reg, 100)
        assert found == wanted, f"{reg:#x}: {found:#x} is not {wanted:#x}"
    assert bench.get(0xFF, 100, 3) == 0x2260FF


def test_what_writes_change():
    bench = Bench()
    for reg, word, wanted in (
        (CONFIG, 0x7FF8, 0x4FF8),
        (CONFIG, 0x0000, 0x4000),
        (CALIBRATION, 0xFFFF, 0x7FFF),
        (MASK, 0xFFFF, 0xFC03),
        (LIMIT, 0xFFFF, 0xFFFF),
    ):
        bench.put(reg, word, 0)
        found = bench.get(reg, 0)
        assert found == wanted, f"{reg:#x}: {found:#x} is not {wanted:#x}"
    for reg in (VSHUNT, VBUS, POWER, CURRENT, 0xFE, 0xFF, 0x08):
        before = bench.get(reg, 0)
        bench.put(reg, 0x1234, 0)
        assert bench.get(reg, 0) == before
    bench.chip.write(LIMIT, b"\x12", 0)
    assert bench.get(LIMIT, 0) == 0xFFFF
    bench.put(CONFIG, 0x8000, 0)
    assert bench.get(CONFIG, 0) == 0x4127
    assert bench.get(LIMIT, 0) == bench.get(MASK, 0) == bench.get(CALIBRATION, 0) == 0


def test_cycle_lengths():
    times = (140, 204, 332, 588, 1100, 2116, 4156, 8244)
    averages = (1, 4, 16, 64, 128, 256, 512, 1024)
    for code in range(8):
        for avg in range(8):
            both_us = (times[code] + times[5]) * averages[avg]
            for mode, reg, length_us in (
                (5, VSHUNT, times[5] * averages[avg]),
                (6, VBUS, times[code] * averages[avg]),
                (7, VSHUNT, both_us),
                (7, VBUS, both_us),
            ):
                bench = Bench(avg << 9 | code << 6 | 5 << 3 | mode, now_us=1000)
                bench.amps(10, 1000)
                assert bench.get(reg, 999 + length_us) == 0
                assert bench.get(reg, 1000 + length_us) == (8000 if reg == VSHUNT else 21700)


def test_modes_choose_the_inputs():
    for mode in range(8):
        bench = Bench()
        bench.amps(10, 0)
        bench.put(CONFIG, 0x0120 | mode, 0)
        found = [bool(bench.get(reg, 8000)) for reg in (VSHUNT, VBUS)]
        assert found == [bool(mode & 1), bool(mode & 2)], mode


def test_quantisation_and_clipping():
    bench = Bench()
    now_us = 0
    for amps, code in (
        (1.0, 800),
        (1.0006, 800),
        (1.0007, 801),
        (-1.0007, -801),
        (40.95875, 32767),
        (41, 32767),
        (-40.96, -32768),
        (-50, -32768),
    ):
        bench.amps(amps, now_us)
        now_us += 9000
        assert bench.signed(VSHUNT, now_us) == code
    for volts, code in ((24.0, 19200), (24.0007, 19201), (-1, 0), (40.95875, 32767), (50, 32767)):
        bench.volts(volts, now_us)
        now_us += 9000
        assert bench.get(VBUS, now_us) == code


def test_mean_across_a_step_is_exact():
    bench = Bench(AVERAGED)
    bench.amps(10, 0)
    bench.amps(30, CYCLE + CYCLE // 4)
    assert bench.get(VSHUNT, 2 * CYCLE - 1) == 8000
    assert bench.get(VSHUNT, 2 * CYCLE) == 8000 // 4 + 24000 * 3 // 4


def test_current_and_power():
    # The worked example of section 6.5: 10 A and 11.98 V at 2 mOhm, CALIBRATION 2560.
    bench = Bench()
    bench.put(CALIBRATION, 2560, 0)
    bench.amps(10, 0)
    bench.volts(11.98, 0)
    assert bench.get(VSHUNT, 9000) == 8000 and bench.get(VBUS, 9000) == 9584
    assert bench.get(CURRENT, 9000) == 10000 and bench.get(POWER, 9000) == 4792
    bench.amps(-10, 9000)
    assert bench.signed(CURRENT, 18000) == -10000 and bench.get(POWER, 18000) == 4792
    assert not bench.get(MASK, 18000) & OVF
    bench.put(CALIBRATION, 0x7FFF, 18000)
    assert bench.signed(CURRENT, 18000) == -32768
    assert bench.get(MASK, 18000) & OVF
    bench.put(CALIBRATION, 0, 18000)
    assert bench.get(CURRENT, 18000) == bench.get(POWER, 18000) == 0
    assert not bench.get(MASK, 18000) & OVF


def test_conversion_ready():
    bench = Bench(AVERAGED)
    assert not bench.get(MASK, CYCLE - 1) & CVRF
    assert bench.get(MASK, CYCLE) & CVRF
    assert not bench.get(MASK, 2 * CYCLE - 1) & CVRF
    bench.get(VSHUNT, 3 * CYCLE)
    assert bench.get(MASK, 3 * CYCLE) & CVRF
    bench.put(CONFIG, AVERAGED, 9 * CYCLE)
    assert not bench.get(MASK, 10 * CYCLE - 1) & CVRF
    bench.put(CONFIG, AVERAGED & ~7, 11 * CYCLE)
    assert bench.get(MASK, 20 * CYCLE) & CVRF


def test_triggered_converts_and_compares_once():
    bench = armed(SOL | LEN, 8000, AVERAGED & ~4)
    bench.amps(5, 0)
    bench.amps(50, CYCLE)
    bench.chip.follow(9 * CYCLE)
    assert bench.get(VSHUNT, 9 * CYCLE) == 4000
    assert bench.get(MASK, 9 * CYCLE) == SOL | LEN | CVRF
    bench.put(CONFIG, AVERAGED & ~4, 10 * CYCLE)
    assert not bench.chip.alert_low(11 * CYCLE - 1)
    assert bench.chip.alert_low(11 * CYCLE)
    assert bench.get(VSHUNT, 20 * CYCLE) == 32767


def test_limits_are_strict():
    # 8000 steps of 2.5 uV are 10 A; 24000 of 1.25 mV are 30 V.
    for function, limit, steps in (
        (SOL, 8000, ((10, False), (10.0013, True), (-20, False))),
        (SUL, -4000, ((-5, False), (-5.0013, True), (20, False))),
        (BOL, 24000, ((30, False), (30.0013, True), (20, False))),
        (BUL, 19200, ((24, False), (23.9987, True), (30, False))),
    ):
        bench = armed(function, limit)
        now_us = 0
        for value, low in steps:
            (bench.amps if function & (SOL | SUL) else bench.volts)(value, now_us)
            now_us += 3 * CYCLE
            assert bench.chip.alert_low(now_us) == low
            assert bool(bench.get(MASK, now_us) & AFF) == low


def test_power_limit():
    bench = armed(POL, 4792)
    bench.put(CALIBRATION, 2560, 0)
    bench.volts(11.98, 0)
    bench.amps(10, 0)
    assert not bench.chip.alert_low(3 * CYCLE)
    bench.amps(-10.01, 3 * CYCLE)
    assert bench.chip.alert_low(6 * CYCLE)


def test_the_highest_function_wins():
    functions = (SOL, SUL, BOL, BUL, POL)
    for first in range(5):
        lower = sum(functions[first:])
        # 10 A and 24 V against the limit -1, which is the highest as a bus voltage or a power.
        bench = armed(lower, -1)
        bench.amps(10, 0)
        bench.volts(24, 0)
        assert bench.chip.alert_low(2 * CYCLE) == (functions[first] in (SOL, BUL))


def test_only_converted_inputs_are_compared():
    for config, compared in ((AVERAGED & ~1, BOL), (AVERAGED & ~2, SOL)):
        for function in (SOL, BOL):
            bench = Bench(AVERAGED)
            bench.amps(10, 0)
            bench.put(CONFIG, config, 2 * CYCLE)
            bench.put(LIMIT, 100, 2 * CYCLE)
            bench.put(MASK, function, 2 * CYCLE)
            assert bench.get(VSHUNT, 9 * CYCLE) == 8000 and bench.get(VBUS, 9 * CYCLE) == 21700
            assert bench.chip.alert_low(9 * CYCLE) == (function == compared)


def test_latch_holds_until_mask_enable_is_read():
    bench = armed(SOL | LEN, 8000)
    bench.amps(20, 0)
    assert not bench.chip.alert_low(CYCLE - 1)
    assert bench.chip.alert_low(CYCLE)
    bench.amps(0, 2 * CYCLE)
    bench.chip.follow(2 * CYCLE)
    bench.get(VSHUNT, 20 * CYCLE)
    assert bench.chip.alert_low(20 * CYCLE)
    assert bench.get(MASK, 20 * CYCLE) == SOL | LEN | AFF | CVRF
    assert not bench.chip.alert_low(20 * CYCLE)
    assert bench.get(MASK, 20 * CYCLE) == SOL | LEN
    bench.amps(20, 20 * CYCLE)
    assert bench.get(MASK, 22 * CYCLE + 10) & AFF
    assert not bench.chip.alert_low(23 * CYCLE - 1)
    assert bench.chip.alert_low(23 * CYCLE)


def test_transparent_alert_follows_the_input():
    bench = armed(SOL, 8000)
    bench.amps(20, 0)
    assert bench.get(MASK, CYCLE) & AFF and bench.get(MASK, CYCLE) & AFF
    bench.amps(0, 2 * CYCLE)
    assert bench.chip.alert_low(3 * CYCLE - 1)
    assert not bench.chip.alert_low(3 * CYCLE)
    assert not bench.get(MASK, 3 * CYCLE) & AFF


def test_the_mean_of_a_cycle_is_compared():
    # 30 A during a quarter of a cycle, 4 A else: 10.5 A on average.
    for limit, seen in ((11, False), (10, True)):
        bench = armed(SOL | LEN, limit * 800)
        bench.amps(4, 0)
        bench.amps(30, 4 * CYCLE + CYCLE // 4)
        bench.amps(4, 4 * CYCLE + CYCLE // 2)
        assert not bench.chip.alert_low(5 * CYCLE - 1)
        assert bench.chip.alert_low(9 * CYCLE) == seen


def test_conversion_ready_on_the_pin_and_polarity():
    bench = armed(CNVR, 0)
    assert not bench.chip.alert_low(CYCLE - 1)
    assert bench.chip.alert_low(CYCLE)
    assert bench.get(MASK, CYCLE) == CNVR | CVRF
    assert not bench.chip.alert_low(CYCLE)
    bench = armed(SOL | APOL, 8000)
    assert bench.chip.alert_low(CYCLE)
    bench.amps(20, CYCLE)
    assert not bench.chip.alert_low(2 * CYCLE)


def test_brown_out_and_frozen_chip():
    bench = armed(SOL | LEN, 8000)
    bench.amps(20, 0)
    assert bench.chip.alert_low(CYCLE)
    bench.chip.freeze(True, 3 * CYCLE)
    bench.amps(30, 3 * CYCLE)
    assert bench.get(VSHUNT, 9 * CYCLE) == 16000
    assert bench.get(MASK, 9 * CYCLE) == SOL | LEN | AFF
    bench.chip.freeze(False, 9 * CYCLE)
    assert bench.get(VSHUNT, 10 * CYCLE) == 24000 and bench.chip.alert_low(10 * CYCLE)
    bench.chip.powered = False
    assert not bench.chip.alert_low(10 * CYCLE)
    bench.chip.power_on(20 * CYCLE)
    assert bench.chip.powered and bench.chip.pointer == 0
    assert bench.get(LIMIT, 20 * CYCLE) == bench.get(VSHUNT, 20 * CYCLE) == 0
    assert not bench.chip.alert_low(30 * CYCLE) and bench.get(VSHUNT, 30 * CYCLE) == 24000


def test_bounds_are_those_of_the_function():
    none = (-float("inf"), float("inf"), -float("inf"), float("inf"))
    for mask, limit, index, bound in (
        (SOL, 8000, 1, 10.0),
        (SUL, -4000, 0, -5.0),
        (BOL, 24000, 3, 30.0),
        (BUL, 19200, 2, 24.0),
    ):
        wanted = list(none)
        wanted[index] = bound
        assert armed(mask, limit).chip.bounds() == tuple(wanted)
    assert Bench().chip.bounds() == none
    low_a, high_a, low_v, high_v = armed(POL, 100).chip.bounds()
    assert low_a > high_a and low_v > high_v


WRITES = (
    (CONFIG, AVERAGED),
    (CONFIG, 0x4127),
    (CONFIG, AVERAGED & ~7),
    (CONFIG, AVERAGED & ~4),
    (CONFIG, 0x8000),
    (MASK, SOL | LEN),
    (MASK, SUL),
    (MASK, BOL | LEN),
    (MASK, BUL),
    (MASK, SOL | CNVR),
    (LIMIT, 8000),
    (LIMIT, 0x10000 - 3000),
    (LIMIT, 20000),
)


def test_watched_chips_agree_with_chips_alone():
    random.seed(7)
    alerts = calm = 0
    for _ in range(20):
        plant = Plant([{"n": n, "soc": 0.7} for n in range(1, 5)])
        alone = [Ina226(0x40 + i, i, plant) for i in range(4)]
        watched = [Ina226(0x40 + i, i, plant) for i in range(4)]
        watch = Comparators(watched, plant)
        now_us = 0
        for _ in range(400):
            now_us += random.choice((10000, 10000, 10000, 3000, 500))
            if random.random() < 0.05:
                plant.inject_current(random.randrange(4), random.choice((0, 0, 0, 12000, -9000)))
                plant.inject_voltage(random.randrange(4), random.choice((0, 0, 0, 3000, -5000)))
            plant.step(now_us)
            watch.follow_all(now_us)
            for chip in alone:
                chip.follow(now_us)
            if random.random() < 0.03:
                i = random.randrange(4)
                reg, word = random.choice(WRITES)
                for chip in (alone[i], watched[i]):
                    chip.write(reg, word.to_bytes(2, "big"), now_us)
            look = random.random() < 0.05
            for pair in zip(alone, watched):
                seen = [everything(chip, now_us, look) for chip in pair]
                assert seen[0] == seen[1], seen
                alerts += seen[0][0]
                calm += pair[1].calm()
    assert alerts > 500 and calm > 1000, (alerts, calm)


def everything(chip, now_us, look):
    """The level of the ALERT pin and, if asked for, the registers that change by themselves."""
    seen = [chip.alert_low(now_us)]
    if look:
        for reg in (VSHUNT, VBUS, MASK):
            buf = bytearray(2)
            chip.read(reg, buf, now_us)
            seen.append(bytes(buf))
    return seen
