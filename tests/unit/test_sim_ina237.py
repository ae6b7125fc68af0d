# SPDX-License-Identifier: GPL-3.0-only
"""Tests the registers and conversions of the simulated INA237 (tools/sim/chips/ina237.py).

Expected values are worked out from the data sheet (SBOSA20), not from the model.
"""

from ina237_bench import (
    ADC_CONFIG,
    ALATCH,
    BOVL,
    BUS_AND_SHUNT,
    BUVL,
    CNVRF,
    CONFIG,
    CURRENT,
    CYCLE,
    DIAG,
    DIETEMP,
    MATHOF,
    MEMSTAT,
    POWER,
    PWR_LIMIT,
    SHNTOL,
    SHUNT_CAL,
    SOVL,
    SUVL,
    TEMP_LIMIT,
    VBUS,
    VSHUNT,
    Bench,
)


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
        (SHUNT_CAL, 0x7EDB),
        (DIAG, 0xF001),
        (SOVL, 0xFEDB),
        (SUVL, 0xFEDB),
        (BOVL, 0x7EDB),
        (BUVL, 0x7EDB),
        (TEMP_LIMIT, 0xFED0),
        (PWR_LIMIT, 0xFEDB),
    ):
        bench.put(reg, 0x7FFF if reg == CONFIG else 0xFEDB, 0)
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
    for wait_us, ready in ((CYCLE - 1, False), (CYCLE, True)):
        bench = Bench(BUS_AND_SHUNT)
        bench.get(DIAG, 3 * CYCLE)
        bench.put(ADC_CONFIG, BUS_AND_SHUNT, 9 * CYCLE)
        assert bool(bench.get(DIAG, 9 * CYCLE + wait_us) & CNVRF) == ready
