# SPDX-License-Identifier: GPL-3.0-only
"""Tests what lies between cells and sensor in the simulator: BMS, plug, fuses, and sensors that
lie."""

from sim.plant import HONEST, Plant

S = 1000000
MS = 1000
OHM = 0.041
"""From the cells of a pack of 30 mOhm to the bus: 21 of the pack, 20 of the path."""


def close(found, wanted, tolerance=1e-9):
    assert abs(found - wanted) <= tolerance, f"{found} is not {wanted}"


def rig(*socs, **first):
    """A plant whose packs are on at 0 s; `first` are other keys of the first."""
    packs = [{"n": n, "soc": soc} for n, soc in enumerate(socs, 1)]
    packs[0].update(first)
    plant = Plant(packs)
    for i in range(len(socs)):
        plant.set_gate(i, True)
    plant.step(0)
    return plant


def live(plant, begin_us, end_us):
    """The world steps the plant whenever it wants, and each 10 ms."""
    now_us = begin_us
    while now_us < end_us:
        now_us = min(plant.due_us, now_us + 10 * MS, end_us)
        plant.step(now_us)


def test_a_sensor_in_front_of_an_open_bms_or_fuse_sees_the_bus_or_nothing():
    for opens, mends in (
        (lambda plant: plant.move_bms(0, True), lambda plant: plant.move_bms(0, False)),
        (
            lambda plant: plant.blow_fuse(0, "battery"),
            lambda plant: plant.blow_fuse(0, "battery", False),
        ),
    ):
        plant = rig(0.5, 0.8, 0.8)
        plant.load_a = 9.0
        opens(plant)
        plant.step(1)
        bus_v = 7 * 4.02 - 4.5 * OHM
        assert plant.cannot_conduct(0) and not plant.closed(0) and plant.current_a[0] == 0
        close(plant.current_a[1], 4.5)
        close(plant.sensed_v[0], bus_v, 1e-7)
        assert plant.sensed_a[0] == 0
        plant.set_gate(0, False)
        plant.step(2)
        assert plant.sensed_v[0] == 0
        plant.set_gate(0, True)
        mends(plant)
        plant.step(3)
        assert plant.closed(0) and not plant.cannot_conduct(0)
        # Behind a closed switch it comes back with what the voltages make of it.
        bus_v = (7 * 3.73 + 2 * 7 * 4.02 - 9 * OHM) / 3
        close(plant.current_a[0], (7 * 3.73 - bus_v) / OHM, 1e-4)


def test_a_fuse_behind_the_sensor_leaves_it_the_pack_alone():
    plant = rig(0.5, 0.8)
    plant.load_a = 5.0
    plant.blow_fuse(0, "bus")
    plant.step(1)
    close(plant.sensed_v[0], 7 * 3.73, 1e-7)
    close(plant.current_a[1], 5.0)
    plant.set_gate(0, False)
    plant.step(2)
    close(plant.sensed_v[0], 7 * 3.73, 1e-7)
    plant.blow_fuse(0, "battery")
    plant.blow_fuse(0, "bus", False)
    plant.step(3)
    assert plant.sensed_v[0] == 0 and plant.cannot_conduct(0)


def test_a_plug_adds_its_resistance_before_the_sensor():
    plant = rig(0.5)
    plant.load_a = 10.0
    plant.set_contact(0, 50)
    plant.step(0)
    close(plant.sensed_v[0], 7 * 3.73 - 10 * 0.071)
    close(plant.bus_v, 7 * 3.73 - 10 * 0.091)
    plant.set_pack(0, r_mohm=100)
    plant.set_contact(0, 20)
    plant.step(0)
    close(plant.sensed_v[0], 7 * 3.73 - 10 * 0.090)
    plant.set_contact(0, 0)
    plant.step(0)
    close(plant.sensed_v[0], 7 * 3.73 - 10 * 0.070)


def test_a_plug_bounces_in_its_rhythm_and_no_charge_is_lost():
    plant = rig(0.5, 0.5)
    plant.load_a = 8.0
    live(plant, 0, S)
    plant.set_contact(0, 0, (3 * MS, 40 * MS, 10 * MS, 247 * MS), S)
    plant.step(S)
    before = plant.out_ah[0], plant.out_ah[1]
    conducting = []
    for now_us in range(S, 2 * S, 500):
        plant.step(now_us)
        conducting.append(plant.closed(0))
    pattern = [False] * 6 + [True] * 80 + [False] * 20 + [True] * 494
    assert conducting == (pattern * 4)[:2000]
    plant.solve(2 * S)
    close(plant.out_ah[0] + plant.out_ah[1] - sum(before), 8.0 / 3600, 1e-9)
    # In contact for 287 of 300 ms, it carries half as long as the other is no fuller.
    share = (plant.out_ah[0] - before[0]) * 3600 / 4.0
    close(share, 3 * 0.287 + 0.087, 0.005)
    plant.set_contact(0, 0)
    plant.step(2 * S)
    live(plant, 2 * S, 3 * S)
    assert plant.closed(0)


def test_a_bms_opens_below_its_lowest_voltage_after_its_delay_and_wakes_with_a_charger():
    plant = rig(0.5, bms={"min_mv": 26000, "delay_ms": 200})
    plant.load_a = 4.0
    plant.step(0)
    live(plant, 0, S)
    assert plant.closed(0)  # 26.1 V at rest, 84 mV less under load, and little more in a second
    plant.load_a = 12.0
    plant.step(S)
    live(plant, S, S + 199 * MS)
    assert plant.closed(0)
    live(plant, S + 199 * MS, S + 200 * MS)
    assert not plant.closed(0) and plant.bus_v == 0
    plant.load_a = 0.0
    live(plant, S + 200 * MS, 5 * S)
    assert not plant.closed(0)
    # A charger on the output does not reach it through an open switch.
    plant.set_gate(0, False)
    plant.source_a = 6.0
    live(plant, 5 * S, 6 * S)
    assert plant.bus_v == 29.4 and plant.cannot_conduct(0)
    plant.set_gate(0, True)
    plant.step(6 * S)
    close(plant.current_a[0], -6.0)
    live(plant, 6 * S, 20 * S)
    assert plant.closed(0)


def test_a_bms_that_does_not_wake_waits_for_a_hand():
    plant = rig(0.5, bms={"min_mv": 26000, "charge_wake": False, "delay_ms": 0})
    plant.load_a = 12.0
    plant.step(0)
    assert not plant.closed(0)
    plant.load_a, plant.source_a = 0.0, 6.0
    live(plant, 0, 2 * S)
    assert not plant.closed(0)
    # It takes the charge though it is still below what it would open at.
    plant.set_pack(0, voltage_mv=25000)
    plant.move_bms(0, False)
    live(plant, 2 * S, 4 * S)
    assert plant.closed(0)


def test_a_bms_opens_above_its_highest_voltage_and_closes_for_a_load():
    plant = rig(0.9, 0.9, bms={"max_mv": 29000, "delay_ms": 0})
    plant.source_a = 40.0
    plant.step(0)
    live(plant, 0, S)
    # 20 A into 28.7 V over 21 mOhm: 29.12 V. Then its sensor sees the charger at the other pack.
    assert not plant.closed(0) and plant.closed(1)
    close(plant.sensed_v[0], plant.bus_v)
    plant.source_a, plant.load_a = 0.0, 12.0
    live(plant, S, 3 * S)
    assert plant.closed(0) and plant.current_a[0] > 5


def test_a_bms_opens_beyond_its_current_only_when_it_lasts():
    plant = Plant([{"n": 1, "soc": 0.5, "bms": {"max_a": 30}}], bus_uf=40000)
    plant.set_gate(0, True)
    plant.step(0)
    live(plant, 0, 500 * MS)
    assert plant.peak_a[0] > 600 and plant.closed(0)
    plant.set_resistor(500)
    plant.step(500 * MS)
    live(plant, 500 * MS, 598 * MS)
    assert plant.closed(0) and plant.current_a[0] > 45
    live(plant, 598 * MS, 605 * MS)
    assert not plant.closed(0)
    plant.set_resistor(0)
    plant.source_a = 5.0
    live(plant, 605 * MS, 3 * S)
    assert not plant.closed(0)


def test_a_sensor_that_lies():
    plant = rig(0.5, 0.5)
    plant.load_a = 20.0
    plant.step(0)
    volts = 7 * 3.73 - 10 * 0.021
    for lie, amps, felt_v in (
        ({"gain_pct": 90}, 9.0, volts),
        ({"sign": -1}, -10.0, volts),
        ({"offset_ma": -300}, 9.7, volts),
        ({"gain_pct": 110, "sign": -1, "offset_ma": 500}, -10.5, volts),
        ({"stuck_ma": 0}, 0.0, volts),
        ({"stuck_ma": -2500, "gain_pct": 50}, -2.5, volts),
        ({"voltage_pct": 50}, 10.0, volts / 2),
        ({"offset_mv": 700}, 10.0, volts + 0.7),
        ({"stuck_mv": 25000}, 10.0, 25.0),
        ({}, 10.0, volts),
    ):
        plant.lie(0, **lie)
        plant.step(0)
        close(plant.sensed_a[0], amps)
        close(plant.sensed_v[0], felt_v)
        close(plant.current_a[0], 10.0)
        close(plant.voltage_v[0], volts)
        close(plant.sensed_a[1], 10.0)
    plant.lie(0, stuck_ma=1000)
    plant.inject_current(0, 200)
    plant.step(0)
    close(plant.sensed_a[0], 1.2)
    plant.lie(0, **HONEST)
    plant.inject_current(0, 0)
    plant.step(0)
    close(plant.sensed_a[0], 10.0)


def test_a_bms_that_no_current_reaches_does_not_wake():
    for cut in (
        lambda plant: plant.blow_fuse(0, "battery"),
        lambda plant: plant.blow_fuse(0, "bus"),
        lambda plant: plant.set_contact(0, 0, (10 * S, 10 * S), 0),
    ):
        plant = rig(0.5, bms={"min_mv": 26500, "delay_ms": 0})
        plant.source_a = 6.0
        assert not plant.closed(0)
        cut(plant)
        live(plant, 0, 2 * S)
        assert not plant.closed(0)
        plant.blow_fuse(0, "battery", False)
        plant.blow_fuse(0, "bus", False)
        plant.set_contact(0, 0)
        live(plant, 2 * S, 3 * S)
        assert plant.closed(0)
