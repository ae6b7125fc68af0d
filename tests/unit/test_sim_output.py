# SPDX-License-Identifier: GPL-3.0-only
"""Tests what hangs on the simulated output: capacitors, shorts, inrush and chargers.

What is expected comes from the laws of circuits, worked out here and not by the simulator.
"""

import random
from math import exp

from sim.chips import Comparators
from sim.chips.ina237 import Ina237
from sim.plant import FOREVER, Plant

S = 1000000
MS = 1000
OHM = 0.7 * 0.030 + 0.020
"""From the cells of a pack of 30 mOhm to the bus."""
REST_V = 7 * 3.73
KNEE_V = 12


def close(found, wanted, tolerance=1e-9):
    assert abs(found - wanted) <= tolerance, f"{found} is not {wanted}"


def rig(count, uf=0, soc=0.5):
    return Plant([{"n": n, "soc": soc} for n in range(1, count + 1)], bus_uf=uf)


def switch(plant, closed, count, now_us):
    plant.step(now_us)
    for i in range(count):
        plant.set_gate(i, closed)
    plant.step(now_us)


def live(plant, until_us):
    """The plant lives as in the world, which steps it whenever it wants; returns the segments:
    (begin, end, bus voltage, sum of the packs' currents, load, source)."""
    segments = []
    now_us = plant._solved_us
    while now_us < until_us:
        found = (plant.bus_v, sum(plant.current_a), plant.output.load_a, plant.output.source_a)
        begin_us = now_us
        now_us = min(plant.due_us, now_us + 10 * MS, until_us)
        assert now_us > begin_us
        segments.append((begin_us, now_us) + found)
        plant.step(now_us)
    plant.solve(until_us)
    return segments


def coulombs(segments, column=3):
    """Charge in the packs' column 3, the load's 4 or the charger's 5."""
    return sum(segment[column] * (segment[1] - segment[0]) / 1e6 for segment in segments)


def test_capacitors_take_their_charge_with_the_time_constant_of_the_circuit():
    for count, uf in ((1, 40000), (4, 40000), (16, 40000), (1, 2000), (16, 500)):
        plant = rig(count, uf)
        plant.step(3 * MS)
        switch(plant, True, count, 3 * MS)
        tau_us = OHM / count * uf
        passed_c = 0.0
        segments = live(plant, 3 * MS + int(30 * tau_us) + 200 * MS)
        for begin_us, end_us, _, amps, _, _ in segments:
            passed_c += amps * (end_us - begin_us) / 1e6
            # What has left the packs until the end of each segment, by e^(-t/RC).
            wanted_c = uf / 1e6 * REST_V * (1 - exp(-(end_us - 3 * MS) / tau_us))
            close(passed_c, wanted_c, 1e-3 * uf / 1e6 * REST_V)
        close(plant.peak_a[0], REST_V / OHM, 0.01)
        close(plant.bus_v, REST_V, 2e-3)
        # Half of what a source gives while it fills a capacitor stays in the resistance.
        wanted_a2s = uf / 1e6 * REST_V**2 / 2 / OHM / count
        share = plant.a2s[0] / wanted_a2s
        assert 0.9 < share < 1.0001 if tau_us < 80 else 0.985 < share < 1.0001, (count, uf, share)


def test_capacitors_that_are_full_draw_nothing_and_feed_the_load_when_the_packs_are_gone():
    plant = rig(2, 40000)
    switch(plant, True, 2, 0)
    live(plant, S)
    switch(plant, False, 2, S)
    plant.solve(100 * S)
    close(plant.bus_v, REST_V, 2e-3)
    switch(plant, True, 2, 100 * S)
    assert abs(plant.current_a[0]) < 0.05 and plant.peak_a[0] < 0.05
    live(plant, 101 * S)
    switch(plant, False, 2, 101 * S)
    plant.load_a = 20.0
    plant.step(101 * S)
    full_v = plant.output.start_v
    live(plant, 101 * S + 10 * MS)
    close(plant.output.start_v, full_v - 20 * 0.010 / 0.040, 5e-5)
    # At 12 V the load becomes a resistor of 0.6 Ohm: RC is 24 ms.
    knee_us = 101 * S + int((full_v - KNEE_V) * 0.040 / 20 * S)
    live(plant, knee_us + 24 * MS)
    close(plant.output.start_v, KNEE_V * exp(-1), 5e-3)
    live(plant, 103 * S)
    assert plant.bus_v < 1e-3


def test_every_charge_is_somewhere():
    random.seed(5)
    for uf in (300, 4000, 40000):
        plant = rig(3, uf, soc=0.7)
        now_us, into_c = 0, 0.0
        for _ in range(120):
            for i in range(3):
                plant.set_gate(i, random.random() < 0.5)
            plant.load_a = random.choice((0.0, 0.0, 6.0, 45.0, 900.0))
            plant.source_a = random.choice((0.0, 0.0, 8.0, 60.0))
            plant.set_resistor(random.choice((0, 0, 0, 5, 400)))
            plant.step(now_us)
            segments = live(plant, now_us + random.choice((37, 900, 4 * MS, 130 * MS)))
            now_us = segments[-1][1]
            into_c += coulombs(segments) + coulombs(segments, 5) - coulombs(segments, 4)
            close(plant.output.start_v, into_c * 1e6 / uf, 1e-5)
            assert -1e-6 < plant.output.start_v < 31
            for _, _, _, _, load_a, source_a in segments:
                assert source_a >= -1e-9 and load_a >= -1e-9
        packs_c = 3600 * (sum(plant.out_ah) - sum(plant.in_ah))
        assert packs_c > 10


def test_late_steps_lose_no_charge():
    seen, late = rig(2, 40000), rig(2, 40000)
    for plant in (seen, late):
        plant.load_a = 12.0
        switch(plant, True, 2, 0)
    live(seen, 300 * MS)
    late.step(300 * MS)
    seen.solve(300 * MS)
    late.solve(300 * MS)
    for i in range(2):
        close(late.out_ah[i], seen.out_ah[i], 1e-9)
    close(late.peak_a[0], seen.peak_a[0], 1e-6)


def test_a_charger_fills_capacitors_evenly_and_stops_at_its_voltage():
    plant = rig(1, 10000)
    plant.source_a = 5.0
    plant.set_charger(limit_v=28.0)
    plant.step(0)
    live(plant, 20 * MS)
    close(plant.output.start_v, 5 * 0.020 / 0.010, 1e-6)
    live(plant, S)
    close(plant.output.start_v, 28.0, 1e-6)
    close(plant.output.source_a, 0.0, 1e-9)
    plant.load_a = 2.0
    plant.step(S)
    live(plant, 2 * S)
    close(plant.output.start_v, 28.0, 1e-6)
    close(plant.output.source_a, 2.0, 1e-9)


def test_the_rest_of_the_way_is_the_balance_without_capacitors():
    for load_a, source_a, limit_v, mohm in (
        (30, 0, 29.4, 0),
        (0, 200, 27.0, 0),
        (0, 200, 25.0, 0),
        (3, 8, 29.4, 0),
        (900, 0, 29.4, 0),
        (5, 20, 29.4, 10),
    ):
        ends = []
        for uf in (0, 8000):
            plant = rig(2, uf)
            plant.load_a, plant.source_a = float(load_a), float(source_a)
            plant.set_charger(limit_v=limit_v)
            plant.set_resistor(mohm)
            switch(plant, True, 2, 0)
            live(plant, 400 * MS)
            plant.solve(400 * MS)
            ends.append(plant)
        close(ends[1].bus_v, ends[0].bus_v, 2e-3)
        close(ends[1].current_a[0], ends[0].current_a[0], 0.05)
        close(ends[1].output.source_a, ends[0].output.source_a, 0.1)


def test_a_sensor_averages_the_inrush_up_to_its_full_scale():
    plant = rig(1, 40000)
    plant.step(0)
    chip = Ina237(0x40, 0, plant)
    watch = Comparators([chip], plant)
    chip.write(0x01, b"\xf6\xc1", 0)  # 280 us, 280 us, 50 us, four of them: a cycle is 2.44 ms
    chip.write(0x0B, b"\xa0\x00", 0)  # latched, compared after averaging
    chip.write(0x0C, (15000 * 2 // 5).to_bytes(2, "big"), 0)
    cycle_us = 2440
    begin_us = 10 * cycle_us
    plant.step(begin_us)
    watch.follow_all(begin_us)
    switch(plant, True, 1, begin_us)
    watch.follow_all(begin_us)
    now_us = begin_us
    found = []
    while now_us < begin_us + 8 * cycle_us:
        now_us = min(plant.due_us, now_us + 10 * MS)
        plant.step(now_us)
        watch.follow_all(now_us)
    tau_us = OHM * 40000
    buf = bytearray(2)
    for k in range(6):
        mean_a = 0.0
        for us in range(k * cycle_us, (k + 1) * cycle_us, 10):
            mean_a += min(REST_V / OHM * exp(-us / tau_us), 81.92) * 10 / cycle_us
        at_us = begin_us + (k + 1) * cycle_us
        code = chip._vshunt_over(at_us - cycle_us, at_us)
        found.append((code / 400, mean_a))
    for amps, wanted_a in found:
        close(amps, wanted_a, 1.0)
    assert found[0][0] > 80 and found[1][0] < 80 and found[4][0] < 3, found
    assert chip.alert_low(now_us)
    chip.read(0x0B, buf, now_us)
    assert buf[1] & 0x40


def test_a_resistor_across_the_output():
    plant = rig(4)
    plant.set_resistor(5)
    switch(plant, True, 4, 0)
    close(sum(plant.current_a), REST_V / (OHM / 4 + 0.005))
    close(plant.bus_v, sum(plant.current_a) * 0.005)
    close(plant.output.load_a, sum(plant.current_a))
    plant.set_resistor(0)
    plant.step(1)
    assert abs(plant.current_a[0]) < 1e-3
    switch(plant, False, 4, 2)
    plant.set_resistor(1000)
    plant.source_a = 5.0
    plant.step(3)
    close(plant.bus_v, 5.0)
    plant.set_resistor(10000)
    plant.step(4)
    close(plant.bus_v, 29.4)
    close(plant.output.source_a, 2.94)


def test_the_load_rushes_in_whenever_the_output_gets_its_supply():
    for uf in (0, 1000):
        plant = rig(2, uf)
        plant.load_a = 4.0
        plant.set_inrush(5, 120 * MS)
        plant.step(0)
        for begin_us in (S, 3 * S):
            switch(plant, True, 2, begin_us)
            if not uf:
                close(plant.output.load_a, 20.0)
                assert plant.due_us == begin_us + 120 * MS
            live(plant, begin_us + 119 * MS)
            close(plant.output.load_a, 20.0)
            live(plant, begin_us + 121 * MS)
            close(plant.output.load_a, 4.0)
            # A second pack, or none that leaves, is no new supply.
            switch(plant, False, 1, begin_us + 200 * MS)
            switch(plant, True, 1, begin_us + 300 * MS)
            close(plant.output.load_a, 4.0)
            switch(plant, False, 2, begin_us + S)
            live(plant, begin_us + 2 * S)
            assert plant.bus_v < 1e-3
        plant.set_inrush(1, 0)
        switch(plant, True, 2, 6 * S)
        live(plant, 6 * S + 50 * MS)
        close(plant.output.load_a, 4.0)


def test_a_charger_that_needs_a_battery():
    plant = rig(1)
    plant.source_a = 6.0
    plant.set_charger(needs_v=20.0, delay_us=2 * S)
    plant.step(0)
    live(plant, 5 * S)
    assert plant.bus_v == 0 and plant.output.source_a == 0
    switch(plant, True, 1, 5 * S)
    live(plant, 7 * S - 10 * MS)
    assert plant.output.source_a == 0 and abs(plant.current_a[0]) < 1e-9
    live(plant, 7 * S + 60 * MS)
    close(plant.current_a[0], -6.0)
    live(plant, 8 * S)
    switch(plant, False, 1, 8 * S)
    assert plant.bus_v == 0 and plant.output.source_a == 0
    # A pack below what it needs does not wake it; without a need it keeps the output alive.
    plant.set_pack(0, voltage_mv=20300)
    plant.set_charger(needs_v=20.5)
    switch(plant, True, 1, 9 * S)
    live(plant, 20 * S)
    assert plant.output.source_a == 0
    switch(plant, False, 1, 20 * S)
    plant.set_charger(needs_v=0)
    plant.load_a = 2.0
    plant.step(20 * S + 1)
    assert (plant.bus_v, plant.output.source_a) == (29.4, 2.0)


def test_a_charger_ends_at_its_voltage():
    plant = rig(1, soc=0.9)
    plant.source_a = 30.0
    plant.set_charger(limit_v=29.0)
    switch(plant, True, 1, 0)
    amps = (29.0 - 7 * 4.10) / OHM
    close(plant.output.source_a, amps)
    close(plant.current_a[0], -amps)


def test_a_plant_without_any_of_it_asks_for_no_step():
    plant = rig(16)
    plant.load_a, plant.source_a = 30.0, 5.0
    switch(plant, True, 16, 0)
    for now_us in range(0, S, 10 * MS):
        plant.step(now_us)
        assert plant.due_us == FOREVER


def test_the_cost_of_a_closing_begins_with_it():
    plant = rig(1)
    plant.load_a = 36.0
    switch(plant, True, 1, 0)
    plant.solve(2 * S)
    close(plant.a2s[0], 36.0**2, 1e-6)
    close(plant.peak_a[0], 36.0)
    plant.load_a = 3.0
    plant.step(2 * S)
    plant.solve(3 * S)
    close(plant.peak_a[0], 36.0)
    plant.set_gate(0, True)
    plant.solve(4 * S)
    close(plant.a2s[0], 36.0**2, 1e-6)
    switch(plant, False, 1, 4 * S)
    switch(plant, True, 1, 5 * S)
    plant.source_a = 8.0
    plant.step(5 * S)
    plant.solve(5 * S + 400 * MS)
    close(plant.a2s[0], 25.0 * 0.4, 1e-6)
    plant.source_a = 0.0
    plant.step(5 * S + 400 * MS)
    plant.solve(9 * S)
    close(plant.peak_a[0], 5.0)
    close(plant.a2s[0], 25.0 * 0.4 + 9.0 * 0.6, 1e-6)
