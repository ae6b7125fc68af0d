# SPDX-License-Identifier: GPL-3.0-only
"""Tests what the simulated INA228 (tools/sim/chips/ina228.py) has beyond the INA237.

Expected values are worked out from the data sheet (SLYS021), not from the model.
"""

import ina237_bench
from ina237_bench import (
    ADC_CONFIG,
    ALATCH,
    BOVL,
    BUS_AND_SHUNT,
    BUSOL,
    BUSUL,
    BUVL,
    CONFIG,
    CURRENT,
    CYCLE,
    DIAG,
    DIETEMP,
    POL,
    POWER,
    PWR_LIMIT,
    SHNTOL,
    SHNTUL,
    SHUNT_CAL,
    SLOWALERT,
    SOVL,
    SUVL,
    TEMP_LIMIT,
    TMPOL,
    VBUS,
    VSHUNT,
)
from sim.chips import Comparators
from sim.chips.ina228 import Ina228
from sim.plant import Plant

SHUNT_TEMPCO, ENERGY, CHARGE = 0x03, 0x09, 0x0A
RSTACC, ENERGYOF, CHARGEOF = 0x4000, 0x0800, 0x0400
S = 1000000


class Bench(ina237_bench.Bench):
    """The bench of the INA237 with an INA228 in its place."""

    def __init__(self, adc=None, now_us=0, **settings):
        super().__init__(None, now_us)
        self.chip = Ina228(0x40, 0, self.plant, now_us=now_us, **settings)
        if adc is not None:
            self.put(ADC_CONFIG, adc, now_us)

    def code(self, reg, now_us):
        """The 20 bits of a result, with their sign."""
        word = self.get(reg, now_us, 3)
        assert word & 15 == 0
        return (word >> 4) - ((word & 0x800000) >> 3)

    def charge(self, now_us):
        word = self.get(CHARGE, now_us, 5)
        return word - ((word & 1 << 39) << 1)

    def energy(self, now_us):
        return self.get(ENERGY, now_us, 5)


def test_reset_values():
    bench = Bench()
    for reg, size, wanted in (
        (CONFIG, 2, 0x0000),
        (ADC_CONFIG, 2, 0xFB68),
        (SHUNT_CAL, 2, 0x1000),
        (SHUNT_TEMPCO, 2, 0),
        (VSHUNT, 3, 0),
        (VBUS, 3, 0),
        (DIETEMP, 2, 0),
        (CURRENT, 3, 0),
        (POWER, 3, 0),
        (ENERGY, 5, 0),
        (CHARGE, 5, 0),
        (DIAG, 2, 0x0001),
        (SOVL, 2, 0x7FFF),
        (SUVL, 2, 0x8000),
        (BOVL, 2, 0x7FFF),
        (BUVL, 2, 0x0000),
        (TEMP_LIMIT, 2, 0x7FFF),
        (PWR_LIMIT, 2, 0xFFFF),
        (0x3E, 2, 0x5449),
        (0x3F, 2, 0x2281),
    ):
        found = bench.get(reg, 100, size)
        assert found == wanted, f"{reg:#x}: {found:#x} is not {wanted:#x}"
    assert Bench(device_id=0x2280).get(0x3F, 0) == 0x2280


def test_what_writes_change():
    bench = Bench()
    for reg, wanted in (
        (CONFIG, 0x3FF0),
        (SHUNT_CAL, 0x7FFF),
        (SHUNT_TEMPCO, 0x3FFF),
        (DIAG, 0xF001),
        (SOVL, 0x7FFF),
        (BUVL, 0x7FFF),
        (TEMP_LIMIT, 0x7FFF),
    ):
        bench.put(reg, 0xFFFF if reg == DIAG else 0x7FFF, 0)
        found = bench.get(reg, 0)
        assert found == wanted, f"{reg:#x}: {found:#x} is not {wanted:#x}"
    for reg in (VSHUNT, VBUS, CURRENT, POWER, ENERGY, CHARGE):
        bench.put(reg, 0x1234, 0)
        assert bench.get(reg, 0, 5) >> 16 == 0


def test_reads_of_other_lengths():
    bench = Bench()
    bench.amps(-1, 0)
    bench.volts(24, 0)
    assert bench.get(VSHUNT, 20000, 3) == 0x1000000 - (6400 << 4)
    assert bench.get(VSHUNT, 20000, 2) == 0x10000 - (6400 >> 4)
    assert bench.get(VBUS, 20000, 4) == (122880 << 4) << 8 | 0xFF
    assert bench.get(CHARGE, 20000, 6) & 0xFF == 0xFF
    assert bench.get(0x3F, 20000, 3) == 0x2281FF


def test_worked_example():
    # Sections 8.2.2.3 and 8.2.2.5: 6 A and 48 V at 16.2 mOhm, 10 A of full scale, one hour.
    bench = Bench(shunt_uohm=16200)
    bench.put(SHUNT_CAL, 4050, 0)
    bench.amps(6, 0)
    bench.volts(48, 0)
    now_us = 3600 * S
    assert bench.code(VSHUNT, now_us) == 311040
    assert bench.code(VBUS, now_us) == 245760
    assert bench.get(DIETEMP, now_us) == 3200
    assert abs(bench.code(CURRENT, now_us) - 314572) <= 1
    assert abs(bench.get(POWER, now_us, 3) - 4718604) <= 15
    assert abs(bench.charge(now_us) / 1132462080 - 1) < 5e-6
    assert abs(bench.energy(now_us) / 1061683200 - 1) < 5e-6


def test_resolution_and_ranges():
    bench = Bench(BUS_AND_SHUNT, shunt_uohm=1000)
    now_us = 0
    for config, amps, code in (
        (0x00, 0.0003125, 1),
        (0x00, -0.0004, -1),
        (0x00, 163.8396875, 524287),
        (0x00, 200, 524287),
        (0x00, -163.84, -524288),
        (0x00, -500, -524288),
        (0x10, 0.000078125, 1),
        (0x10, 10, 128000),
        (0x10, 41, 524287),
        (0x10, -41, -524288),
    ):
        bench.put(CONFIG, config, now_us)
        bench.amps(amps, now_us)
        now_us += 3 * CYCLE
        assert bench.code(VSHUNT, now_us) == code
    for volts, code in ((24.0001, 122881), (24.00009, 122880), (-3, 0), (200, 524287)):
        bench.volts(volts, now_us)
        now_us += 3 * CYCLE
        assert bench.code(VBUS, now_us) == code


def test_die_temperature():
    bench = Bench()
    for heat, word in ((25.0, 3200), (25.0078125, 3201), (-0.0078125, 0xFFFF), (-40, 0xEC00)):
        bench.chip.heat_c = heat
        assert bench.get(DIETEMP, 5000) == word


def test_limits_have_sixteen_bits():
    # 4000 steps of 5 uV are 10 A; 9600 and 7680 of 3.125 mV are 30 and 24 V.
    bench = Bench(BUS_AND_SHUNT)
    for reg, word in ((SOVL, 4000), (SUVL, 0x10000 - 2000), (BOVL, 9600), (BUVL, 7680)):
        bench.put(reg, word, 0)
    bench.put(DIAG, SLOWALERT, 0)
    now_us = 0
    for amps, volts, flags in (
        (10.0, 30.0, 0),
        (10.0003, 30.0003, SHNTOL | BUSOL),
        (-5.0, 24.0, 0),
        (-5.0003, 23.9997, SHNTUL | BUSUL),
    ):
        bench.amps(amps, now_us)
        bench.volts(volts, now_us)
        now_us += 4 * CYCLE
        assert bench.chip.alert_low(now_us) == bool(flags)
        assert bench.flags(now_us) == flags
    bench.put(CONFIG, 0x10, now_us)
    bench.volts(27, now_us)
    for amps, flags in ((2.5, 0), (2.5002, SHNTOL), (-1.25, 0), (-1.2502, SHNTUL)):
        bench.amps(amps, now_us)
        now_us += 4 * CYCLE
        assert bench.flags(now_us) == flags


def test_temperature_and_power_limits():
    bench = Bench()
    bench.put(TEMP_LIMIT, 85 * 128, 0)
    bench.chip.heat_c = 85.0
    assert bench.flags(9000) == 0
    bench.chip.heat_c = 85.0079
    bench.plant.solve(9000)
    assert bench.flags(20000) == TMPOL
    # 138880 of VBUS times 64000 of CURRENT: POWER is 542500, 2119 times 256 and a bit.
    bench = Bench(BUS_AND_SHUNT)
    bench.put(PWR_LIMIT, 2119, 0)
    bench.amps(10, 0)
    assert bench.get(POWER, 9000, 3) == 542500
    assert bench.flags(9000) == 0
    bench.put(PWR_LIMIT, 2118, 9000)
    assert bench.flags(20000) == POL


def test_bounds_are_those_of_the_limits():
    bench = Bench(BUS_AND_SHUNT)
    for reg, word in ((SOVL, 4000), (SUVL, 0x10000 - 2000), (BOVL, 9600), (BUVL, 7680)):
        bench.put(reg, word, 0)
    assert bench.chip.bounds() == (-5.0, 10.0, 24.0, 30.0)


def test_every_conversion_counts_and_none_is_averaged():
    bench = Bench(BUS_AND_SHUNT)
    bench.amps(10, 0)
    bench.volts(24, 0)
    # SHUNT_CAL 0x1000: CURRENT repeats VSHUNT, 64000; POWER is 480000. A conversion is 560 us.
    assert bench.charge(559) == 0
    assert bench.charge(560) == 64000 * 560 // S
    assert bench.charge(5 * 560) == 64000 * 5 * 560 // S
    assert bench.energy(50 * 560 + 300) == 480000 * 50 * 560 // 16 // S


def test_accumulators_follow_steps_and_signs():
    bench = Bench(BUS_AND_SHUNT)
    total_us = charge = energy = 0
    for amps, volts, conversions in ((10, 24, 500), (-20, 30, 300), (0, 28, 1000), (5, 20, 77)):
        bench.amps(amps, total_us)
        bench.volts(volts, total_us)
        total_us += 560 * conversions
        charge += amps * 6400 * 560 * conversions
        energy += abs(amps) * 6400 * volts * 5120 // 16384 * 560 * conversions
    assert bench.charge(total_us) == charge // S
    assert bench.energy(total_us) == energy // 16 // S
    bench.amps(-50, total_us)
    assert bench.charge(total_us + 560 * 10000) == (charge - 320000 * 5600000) // S < 0
    # A step inside a conversion counts with its share of it.
    bench = Bench(BUS_AND_SHUNT)
    bench.amps(0, 0)
    bench.amps(40, 560 * 2000 + 140)
    assert bench.charge(560 * 2001) == 192000 * 560 // S
    assert bench.charge(560 * 4001) == (192000 * 560 + 256000 * 560 * 2000) // S


def test_what_stops_and_clears_the_accumulators():
    bench = Bench(BUS_AND_SHUNT)
    bench.amps(10, 0)
    end_us = 560 * 20000
    full = bench.charge(end_us)
    assert full == 64000 * end_us // S
    bench.put(ADC_CONFIG, 0x06C1, end_us)
    assert bench.charge(3 * end_us) == full and bench.energy(3 * end_us) > 0
    bench.put(CONFIG, RSTACC, 3 * end_us)
    assert bench.get(CONFIG, 3 * end_us) == 0
    assert bench.charge(3 * end_us) == bench.energy(3 * end_us) == 0
    bench.put(ADC_CONFIG, BUS_AND_SHUNT, 3 * end_us)
    assert bench.charge(4 * end_us) == full
    bench.put(CONFIG, RSTACC, 5 * end_us)
    assert bench.charge(5 * end_us) == bench.energy(5 * end_us) == 0
    assert bench.charge(6 * end_us) == full
    bench.put(SHUNT_CAL, 0, 6 * end_us)
    assert bench.charge(7 * end_us) == full
    bench.put(SHUNT_CAL, 0x0800, 7 * end_us)
    assert bench.charge(8 * end_us) == 3 * full
    bench.chip.freeze(True, 8 * end_us)
    assert bench.charge(9 * end_us) == 3 * full
    bench.chip.freeze(False, 9 * end_us)
    assert bench.charge(10 * end_us) == 5 * full
    bench.put(CONFIG, 0x8000, 10 * end_us)
    assert bench.charge(10 * end_us) == bench.energy(10 * end_us) == 0


def test_each_accumulator_needs_its_input():
    for adc, charge, energy in ((0xA6C1, True, False), (0x96C1, False, True)):
        bench = Bench(BUS_AND_SHUNT)
        bench.amps(10, 0)
        bench.put(ADC_CONFIG, adc, 2 * CYCLE)
        bench.put(CONFIG, RSTACC, 2 * CYCLE)
        assert bool(bench.charge(S)) == charge and bool(bench.energy(S)) == energy


def test_triggered_adds_one_cycle():
    bench = Bench(0x36C1)
    bench.amps(40, 0)
    bench.chip.follow(CYCLE)
    bench.amps(20, CYCLE)
    bench.chip.follow(9 * CYCLE)
    assert bench.charge(50 * CYCLE) == 256000 * CYCLE // S


def test_overflow_of_the_charge():
    # With SHUNT_CAL at a quarter 60 A fill CURRENT: 524287 steps a second for 12.1 days.
    almost_us = 2**39 // 524288 * S - S
    for amps in (60, -60):
        bench = Bench(BUS_AND_SHUNT)
        bench.put(SHUNT_CAL, 0x0400, 0)
        bench.amps(amps, 0)
        assert abs(abs(bench.charge(almost_us)) - 2**39) < 3e6
        assert not bench.get(DIAG, almost_us) & CHARGEOF
        over_us = almost_us + 10 * S
        assert bench.get(DIAG, over_us) & (CHARGEOF | ENERGYOF) == CHARGEOF
        assert bench.get(DIAG, over_us) & CHARGEOF
        assert bench.charge(over_us) == 0
        assert not bench.get(DIAG, over_us) & CHARGEOF
        assert 0 < bench.charge(over_us + S) * amps / 60 < 600000


def test_overflow_of_the_energy():
    # POWER is 138880 * 524287 / 16384 or 4444151: ENERGY is full after 45.8 days.
    bench = Bench(BUS_AND_SHUNT)
    bench.put(SHUNT_CAL, 0x0400, 0)
    bench.amps(60, 0)
    full_us = 2**40 * 16 // 4444151 * S
    assert not bench.get(DIAG, full_us - S) & ENERGYOF
    assert bench.get(DIAG, full_us + 2 * S) & ENERGYOF
    assert bench.energy(full_us + 2 * S) == 0
    assert not bench.get(DIAG, full_us + 2 * S) & ENERGYOF


def test_watched_and_calm_chips_accumulate():
    """Over more segments than the plant keeps; next to chips that are asked at every step."""
    plant = Plant([{"n": n, "soc": 0.7} for n in range(1, 5)])
    watched = [Ina228(0x40 + i, i, plant) for i in range(4)]
    alone = [Ina228(0x44 + i, i, plant) for i in range(4)]
    for chip in watched + alone:
        chip.write(ADC_CONFIG, b"\xb6\xc1", 0)
        chip.write(SOVL, (20000).to_bytes(2, "big"), 0)
        chip.write(DIAG, b"\x80\x00", 0)
    watch = Comparators(watched, plant)
    for now_us in range(0, 60 * S, 10000):
        if now_us % 70000 == 0:
            plant.inject_current(now_us // 70000 % 4, now_us % 9001)
        plant.step(now_us)
        watch.follow_all(now_us)
        for chip in alone:
            chip.follow(now_us)
    assert all(chip.calm() for chip in watched)
    for pair in zip(watched, alone):
        for reg in (ENERGY, CHARGE):
            words = []
            for chip in pair:
                buf = bytearray(5)
                chip.read(reg, buf, 60 * S)
                words.append(int.from_bytes(buf, "big"))
            assert words[0] == words[1] > 10000


def test_brown_out():
    bench = Bench(BUS_AND_SHUNT)
    bench.put(SOVL, 4000, 0)
    bench.put(DIAG, ALATCH, 0)
    bench.amps(20, 0)
    assert bench.chip.alert_low(CYCLE) and bench.charge(S)
    bench.chip.powered = False
    assert not bench.chip.alert_low(CYCLE)
    bench.chip.power_on(2 * S)
    assert bench.charge(2 * S) == bench.energy(2 * S) == bench.code(VSHUNT, 2 * S) == 0
    assert bench.get(SOVL, 2 * S) == 0x7FFF
    assert bench.code(VSHUNT, 2 * S + 3156) == 128000
