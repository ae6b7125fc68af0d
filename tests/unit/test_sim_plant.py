# SPDX-License-Identifier: GPL-3.0-only
"""Tests the physics of the simulator (tools/sim/plant.py): nodes, charges, relaxation, faults."""

import random
from math import exp

from sim.plant import FOREVER, RING, Plant

S = 1000000


def close(found, wanted, tolerance=1e-9):
    assert abs(found - wanted) <= tolerance, f"{found} is not {wanted}"


def rig(*socs, **common):
    """A plant of NMC packs with these states of charge, and its number of packs."""
    return Plant([dict(n=k + 1, soc=soc, **common) for k, soc in enumerate(socs)])


def close_all(plant, count, now_us=0):
    for i in range(count):
        plant.set_gate(i, True)
    plant.step(now_us)


def run(plant, start_us, end_us, tick_us=10000):
    for now_us in range(start_us + tick_us, end_us + 1, tick_us):
        plant.step(now_us)


def refused(call, *parts):
    try:
        call()
    except ValueError as error:
        for part in parts:
            assert part in str(error), f"{part} not in: {error}"
    else:
        raise AssertionError("no ValueError")


def test_bad_packs_are_named():
    refused(lambda: Plant([{"n": 17}]), "packs[0].n", "17", "1 to 16")
    refused(lambda: Plant([{"n": 1}, {}]), "packs[1].n", "None")
    refused(lambda: Plant([{"n": 1.5}]), "packs[0].n", "1.5")
    refused(lambda: Plant([{"n": True}]), "packs[0].n", "True")
    refused(lambda: Plant([{"n": 1}, {"n": 1}]), "packs[1].n", "1", "twice")
    refused(lambda: Plant([{"n": 1, "soc": 1.01}]), "soc", "1.01", "0 to 1")
    refused(lambda: Plant([{"n": 1, "r_mohm": 0}]), "r_mohm", "0", "1 to 10000")
    refused(lambda: Plant([{"n": 1, "r_mohm": float("nan")}]), "r_mohm", "nan")
    refused(lambda: Plant([{"n": 1, "capacity_ah": "20"}]), "packs[0].capacity_ah", "20")
    refused(lambda: Plant([{"n": 1, "chemistry": "lead"}]), "chemistry", "lead", "lfp8s, nmc7s")
    refused(lambda: Plant([{"n": 1, "volts": 3}]), "volts", "capacity_ah")
    refused(lambda: Plant([{"n": 1}]).set_pack(1, soc=0.5), "battery 2")
    refused(lambda: Plant([{"n": 1}]).set_pack(0, voltage_mv=-1), "battery 1.voltage_mv", "-1")


def test_rest_voltages():
    packs = [{"n": 1, "soc": 1}, {"n": 2, "soc": 0}, {"n": 3, "soc": 0.85}]
    plant = Plant(packs + [{"n": 16, "soc": 0.5, "chemistry": "lfp8s"}])
    plant.step(5 * S)
    close(plant.voltage_v[0], 29.4)
    close(plant.voltage_v[1], 20.3)
    close(plant.voltage_v[2], 7 * 4.06)
    close(plant.voltage_v[15], 8 * 3.30)
    assert plant.voltage_v[3] == 0 and plant.bus_v == 0
    assert not any(plant.current_a)


def test_default_packs_lie_close_together():
    packs = [{"n": n} for n in range(1, 17)]
    plant = Plant(packs, seed=7)
    assert 0.01 < max(plant.voltage_v) - min(plant.voltage_v) < 0.05
    assert plant.voltage_v == Plant(packs, seed=7).voltage_v
    assert plant.voltage_v != Plant(packs, seed=8).voltage_v


def test_voltage_sets_the_state_of_charge():
    plant = rig(0.5, 0.5)
    for mv in (20300, 22000, 24000, 25620, 27000, 29400):
        plant.set_pack(0, voltage_mv=mv)
        plant.step(0)
        close(plant.voltage_v[0], mv / 1000)
    plant.set_pack(0, voltage_mv=35000)
    plant.set_pack(1, voltage_mv=1000)
    plant.step(0)
    close(plant.voltage_v[0], 29.4)
    close(plant.soc[1], 0.0)


def test_voltage_settles_the_rc_pair():
    plant = rig(0.5)
    close_all(plant, 1)
    plant.load_a = 10.0
    run(plant, 0, 20 * S)
    plant.set_gate(0, False)
    plant.solve(20 * S)
    plant.set_pack(0, voltage_mv=25000)
    plant.step(20 * S)
    close(plant.voltage_v[0], 25.0)


def test_single_pack_under_load():
    plant = rig(0.5, r_mohm=100)
    close_all(plant, 1)
    plant.load_a = 10.0
    plant.step(0)
    ocv = 7 * 3.73
    close(plant.current_a[0], 10.0)
    close(plant.voltage_v[0], ocv - 10 * 0.070)
    close(plant.bus_v, ocv - 10 * 0.090)
    close(plant.rest_v(0), ocv)


def test_rc_relaxation():
    plant = rig(0.5, r_mohm=100, capacity_ah=1000)
    close_all(plant, 1)
    plant.load_a = 10.0
    plant.step(0)
    run(plant, 0, 20 * S)
    plant.set_gate(0, False)
    plant.solve(20 * S)
    charged = 10 * 0.030 * (1 - exp(-1))
    ocv = plant.voltage_v[0] + charged
    close(plant.rest_v(0), plant.voltage_v[0])
    run(plant, 20 * S, 40 * S)
    close(plant.voltage_v[0], ocv - charged * exp(-1), 1e-3)
    run(plant, 40 * S, 240 * S)
    rest_v = 7 * (3.66 + (plant.soc[0] - 0.4) * 0.7)
    slow_v = 10 * 0.015 * (1 - exp(-20 / 600)) * exp(-220 / 600)
    close(plant.voltage_v[0], rest_v - slow_v, 1e-5)


def test_rc_is_exact_for_any_step_length():
    fine, coarse = rig(0.5), rig(0.5)
    for plant in (fine, coarse):
        plant.load_a = 8.0
        close_all(plant, 1)
    for now_us in range(1000, 900001, 1000):
        fine.solve(now_us)
    coarse.solve(900000)
    close(fine.voltage_v[0], coarse.voltage_v[0])
    close(fine.out_ah[0], coarse.out_ah[0], 1e-12)


def test_node_balance_and_shares():
    random.seed(3)
    plant = Plant([{"n": n, "soc": random.uniform(0.02, 1)} for n in range(1, 17)])
    regimes = set()
    now_us = 0
    for _ in range(600):
        for i in range(16):
            plant.set_gate(i, random.random() < 0.3)
        plant.load_a = random.choice((0.0, 5.0, 45.0, 400.0, 3000.0))
        plant.source_a = random.choice((0.0, 0.0, 4.0, 30.0, 400.0))
        now_us += random.choice((0, 1, 10000, 1000000))
        plant.step(now_us)
        carried = sum(plant.current_a) + plant.output.source_a - plant.output.load_a
        close(carried, 0.0, 1e-6)
        assert 0 <= plant.output.source_a <= plant.source_a
        close(plant.output.load_a, plant.load_a * min(1, plant.bus_v / 12), 1e-6)
        if plant.source_a and any(plant.closed(i) for i in range(16)):
            tapering = plant.output.source_a < plant.source_a
            assert plant.bus_v <= 29.4 + 1e-9 or plant.output.source_a == 0
            assert not tapering or plant.bus_v >= 29.4 - 1e-9
            regimes.add(("source", tapering, plant.output.source_a == 0))
        regimes.add(("load", plant.bus_v < 12))
        for i in range(16):
            ohm = 0.7 * 0.030 + 0.020
            wanted = (plant.rest_v(i) - plant.bus_v) / ohm if plant.closed(i) else 0.0
            close(plant.current_a[i], wanted, 1e-9)
            close(plant.voltage_v[i], plant.rest_v(i) - plant.current_a[i] * 0.021, 1e-9)
    assert len(regimes) == 4, regimes


def test_charger_tapers_and_never_sinks():
    plant = rig(0.9, 0.9)
    close_all(plant, 2)
    plant.source_a = 200.0
    plant.step(0)
    close(plant.bus_v, 29.4)
    assert 0 < plant.output.source_a < 200
    assert plant.current_a[0] < 0
    plant.source_a = 2.0
    plant.step(0)
    close(plant.output.source_a, 2.0)
    assert plant.bus_v < 29.4
    plant.set_charger(limit_v=28.0)
    plant.solve(0)
    close(plant.output.source_a, 0.0)
    close(plant.current_a[0], 0.0)
    assert plant.bus_v > 28.0


def test_bus_without_packs():
    plant = rig(0.5)
    plant.source_a = 5.0
    plant.load_a = 2.0
    plant.step(0)
    assert (plant.bus_v, plant.output.load_a, plant.output.source_a) == (29.4, 2.0, 2.0)
    plant.load_a = 5.0
    plant.step(0)
    assert (plant.bus_v, plant.output.load_a, plant.output.source_a) == (0.0, 0.0, 0.0)


def test_dead_bus_draws_nothing():
    plant = rig(0.5)
    plant.load_a = 45.0
    plant.step(0)
    assert plant.bus_v == 0 and plant.output.load_a == 0
    close_all(plant, 1)
    plant.load_a = 3000.0
    plant.step(0)
    assert 0 < plant.bus_v < 12
    close(plant.output.load_a, 3000.0 * plant.bus_v / 12, 1e-6)


def test_charge_is_conserved():
    plant = rig(0.82, 0.8, 0.75, 0.79)
    close_all(plant, 4)
    wanted_ah = 0.0
    now_us = 0
    for load, source, dt in ((0, 0, 7), (20, 0, 13), (45, 10, 11), (0, 30, 5), (3, 0, 29)):
        plant.load_a, plant.source_a = float(load), float(source)
        plant.step(now_us)
        run(plant, now_us, now_us + dt * S)
        now_us += dt * S
        plant.solve(now_us)
        wanted_ah += (load - source) * dt / 3600
    close(sum(plant.out_ah) - sum(plant.in_ah), wanted_ah, 1e-9)
    assert sum(plant.in_ah) > 0.01
    plant.solve(now_us + S)
    plant.solve(now_us + 2 * S)
    for i, soc in enumerate((0.82, 0.8, 0.75, 0.79)):
        close(plant.soc[i], soc - (plant.out_ah[i] - plant.in_ah[i]) / 20, 1e-4)


def test_charge_ends_with_the_switch():
    plant = rig(0.5)
    close_all(plant, 1)
    plant.load_a = 36.0
    plant.step(0)
    plant.set_gate(0, False)
    plant.step(123457)
    close(plant.out_ah[0], 36.0 * 123457e-6 / 3600, 1e-12)
    plant.solve(50 * S)
    close(plant.out_ah[0], 36.0 * 123457e-6 / 3600, 1e-12)


def test_two_packs_equalise():
    plant = rig(0.6, 0.5, capacity_ah=1)
    close_all(plant, 2)
    first = plant.current_a[0]
    close(first, (7 * 3.83 - 7 * 3.73) / (2 * 0.041), 1e-9)
    run(plant, 0, 1800 * S, 100000)
    plant.solve(1800 * S)
    close(plant.out_ah[0], plant.in_ah[1], 1e-12)
    assert plant.current_a[0] < first / 50
    close(plant.rest_v(0), plant.rest_v(1), 0.02)


def test_voltage_goes_on_beyond_full_and_empty():
    plant = rig(1.0, capacity_ah=1)
    close_all(plant, 1)
    plant.source_a = 10.0
    plant.set_charger(limit_v=60.0)
    run(plant, 0, 30 * S)
    assert plant.soc[0] > 1.05 and plant.rest_v(0) > 29.8
    plant = rig(0.0, capacity_ah=1)
    close_all(plant, 1)
    plant.load_a = 36.0
    run(plant, 0, 200 * S)
    plant.set_gate(0, False)
    run(plant, 200 * S, 400 * S)
    assert plant.soc[0] < -0.05 and 0 < plant.voltage_v[0] < 17


def test_faults_and_override():
    plant = rig(0.5, 0.5, 0.5, 0.5, 0.5)

    def conducting():
        plant.step(0)
        return [i for i in range(16) if plant.closed(i)]

    assert conducting() == []
    plant.weld(1)
    assert conducting() == [1]
    plant.override(0, True)
    plant.stick_open(2)
    plant.override(1, True)
    assert conducting() == [0, 1, 3, 4]
    plant.override(0, False)
    plant.override(1, False)
    plant.mend(1)
    plant.set_gate(2, True)
    plant.set_gate(3, True)
    plant.set_gate(8, True)
    assert conducting() == [3]
    plant.mend(2)
    assert conducting() == [2, 3]
    assert list(plant.switch[:4]) == [0, 0, 1, 1]
    plant.load_a = 6.0
    plant.step(0)
    close(plant.current_a[2] + plant.current_a[3], 6.0)


def test_resistance_change():
    plant = rig(0.5)
    close_all(plant, 1)
    plant.load_a = 10.0
    plant.set_pack(0, r_mohm=200)
    plant.step(0)
    close(plant.voltage_v[0], 7 * 3.73 - 10 * 0.14)
    close(plant.bus_v, 7 * 3.73 - 10 * 0.16)


def test_quiet_steps_do_not_solve():
    plant = rig(0.5, 0.6)
    close_all(plant, 2)
    before = plant.solutions
    for now_us in range(0, 50000, 10000):
        plant.step(now_us)
    assert plant.solutions == before
    plant.step(50000)
    assert plant.solutions == before + 1
    for change in (
        lambda: setattr(plant, "load_a", 7.0),
        lambda: setattr(plant, "source_a", 1.0),
        lambda: plant.set_gate(0, False),
        lambda: plant.set_pack(0, soc=0.4),
        lambda: plant.inject_voltage(0, 5),
        lambda: plant.inject_current(0, 5),
        lambda: plant.weld(0),
        lambda: plant.override(0, True),
    ):
        before = plant.solutions
        change()
        plant.step(50001)
        assert plant.solutions == before + 1


def test_no_way_back_in_time():
    plant = rig(0.5)
    plant.solve(1000)
    refused(lambda: plant.step(999), "1 us")


def test_injections_touch_the_sensors_only():
    plant = rig(0.5, 0.5)
    plant.inject_current(0, -1500)
    plant.inject_voltage(1, 250)
    plant.step(0)
    close(plant.sensed_a[0], -1.5)
    close(plant.sensed_v[1], 7 * 3.73 + 0.25)
    assert plant.current_a[0] == 0 and plant.bus_v == 0
    close(plant.voltage_v[1], 7 * 3.73)
    plant.inject_current(0, 0)
    plant.inject_voltage(1, 0)
    plant.step(10)
    close(plant.sensed_a[0], 0.0)
    close(plant.mean_current(0, 0, 20), -0.75)


def test_means_are_exact():
    plant = rig(0.5)
    for k in range(10):
        plant.inject_current(0, 1000 * k)
        plant.inject_voltage(0, -100 * k)
        plant.step(1000 * k)
    close(plant.mean_current(0, 9000, 9100), 9.0)
    close(plant.mean_current(0, 8500, 9500), 8.5)
    close(plant.mean_current(0, 8900, 9300), (8 * 100 + 9 * 300) / 400)
    close(plant.mean_current(0, 2500, 5250), (2 * 500 + 3 * 1000 + 4 * 1000 + 5 * 250) / 2750)
    close(plant.mean_current(0, 3100, 3200), 3.0)
    close(plant.mean_voltage(0, 8500, 9500), 7 * 3.73 - 0.85)
    close(plant.mean_voltage(0, 9000, 9001), 7 * 3.73 - 0.9)
    assert plant.constant_until(2500) == 3000 and plant.constant_until(2999) == 3000
    assert plant.constant_until(3000) == 4000 and plant.constant_until(9000) == FOREVER


def test_ring_ends_with_the_oldest_segment():
    plant = rig(0.5)
    count = RING + 20
    for k in range(count):
        plant.inject_current(0, 1000 * k)
        plant.step(1000 * k)
    oldest = count - RING
    close(plant.mean_current(0, 0, 1000 * (oldest + 1)), float(oldest))
    a_us, b_us = 1000 * (oldest - 3), 1000 * (oldest + 2)
    close(plant.mean_current(0, a_us, b_us), (4 * oldest + oldest + 1) / 5)
    assert plant.constant_until(5) == 1000 * (oldest + 1)


def test_solving_twice_at_one_time_keeps_one_segment():
    plant = rig(0.5)
    plant.step(1000)
    plant.inject_current(0, 4000)
    plant.step(2000)
    for _ in range(RING):
        plant.inject_current(0, 8000)
        plant.step(2000)
    close(plant.mean_current(0, 1000, 3000), 4.0)
