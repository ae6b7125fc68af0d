# SPDX-License-Identifier: GPL-3.0-only
"""Who may join: median rest voltage, circulating currents, start groups; reasons and pauses."""

from array import array

from parallelator import settings
from parallelator.catalog import ON, WAITING, Reason
from parallelator.protection import joining, rules
from parallelator.snapshot import Snapshot

SCRATCH = array("i", bytes(64))


def rig(*pairs):
    """A snapshot whose first batteries read these (mV, mA), and the mask of them all."""
    snap = Snapshot()
    for i, (voltage_mv, current_ma) in enumerate(pairs):
        snap.voltage_mv[i] = voltage_mv
        snap.current_ma[i] = current_ma
    return snap, (1 << len(pairs)) - 1


def limits(**changes):
    values = settings.defaults()
    values.update({"limits." + key: value for key, value in changes.items()})
    return rules.Limits(values)


def test_size_counts_the_batteries_of_a_mask():
    assert [joining.size(mask) for mask in (0, 1, 0x8001, 0xFFFF)] == [0, 1, 2, 16]


def test_the_bus_at_rest_is_the_median_of_what_the_packs_would_show_unloaded():
    snap, mask = rig((26000, 5000), (25900, 4000), (26050, -2000))
    assert joining.bus_rest_mv(snap, mask, 30, SCRATCH) == 26020
    snap, mask = rig((26000, 0), (26100, 0))
    assert joining.bus_rest_mv(snap, mask, 30, SCRATCH) == 26050
    assert joining.bus_rest_mv(snap, 2, 30, SCRATCH) == 26100


def test_a_measured_pack_is_taken_at_its_own_resistance():
    snap, mask = rig((26000, 5000), (25900, 4000), (26050, -2000))
    snap.r_mohm[1] = 60
    assert joining.bus_rest_mv(snap, mask, 30, SCRATCH) == 26140
    tight = limits(max_current_ma=3000, hard_current_pct=0)
    snap, mask = rig((26000, 0))
    assert joining.refusal(tight, snap, mask, 360, 30) == Reason.INRUSH
    assert joining.refusal(tight, snap, mask, 360, 40) == Reason.NONE


def test_the_offset_counts_both_ways():
    snap, mask = rig(*[(26000, 0)] * 4)
    wide = limits(
        max_current_ma=40000,
        max_discharge_current_ma=40000,
        max_charge_current_ma=40000,
        hard_current_pct=0,
    )
    assert joining.refusal(wide, snap, mask, 500, 30) == Reason.NONE
    assert joining.refusal(wide, snap, mask, 501, 30) == Reason.BUS_LOWER
    assert joining.refusal(wide, snap, mask, -500, 30) == Reason.NONE
    assert joining.refusal(wide, snap, mask, -501, 30) == Reason.BUS_HIGHER


def test_a_predicted_circulating_current_beyond_the_limit_refuses_both_ways():
    # One connected pack: 1000 * 300 * 1 / (2 * 50) = 3000 mA.
    snap, mask = rig((26000, 0))
    tight = limits(max_current_ma=3000, hard_current_pct=0)
    assert joining.refusal(tight, snap, mask, 300, 30) == Reason.NONE
    assert joining.refusal(tight, snap, mask, 301, 30) == Reason.INRUSH
    assert joining.refusal(tight, snap, mask, -301, 30) == Reason.INRUSH
    fuller = limits(max_charge_current_ma=2000, hard_current_pct=0)
    assert joining.refusal(fuller, snap, mask, -250, 30) == Reason.INRUSH
    assert joining.refusal(fuller, snap, mask, 250, 30) == Reason.NONE


def test_the_share_of_the_load_counts_within_80_per_cent_of_the_hard_limit():
    # 4 packs at 12 A: the fifth takes 9.6 A, and 4 A more at 250 mV: 13.6 A of 12 A allowed.
    snap, mask = rig(*[(26000, 12000)] * 4)
    assert joining.refusal(limits(), snap, mask, 0, 30) == Reason.NONE
    assert joining.refusal(limits(), snap, mask, 250, 30) == Reason.INRUSH


def test_a_connected_pack_pushed_beyond_its_share_refuses():
    # A full pack joins one that is being charged at 11.5 A: it would take 2 A more.
    snap, mask = rig((26000, -11500))
    assert joining.refusal(limits(), snap, mask, 800 // 2, 30) == Reason.NONE
    snap, mask = rig((26000, -4000), (26000, -11500), (26000, 12000))
    assert joining.refusal(limits(), snap, mask, 450, 30) == Reason.INRUSH


def test_joining_that_relieves_an_overloaded_pack_is_not_refused_for_it():
    snap, mask = rig((26000, 14900), (26000, 3000))
    assert joining.refusal(limits(), snap, mask, 100, 30) == Reason.NONE


def test_the_largest_group_starts_and_the_higher_voltage_wins_a_tie():
    snap, _ = rig((26000, 0), (26100, 0), (26140, 0), (27000, 0), (27100, 0))
    assert joining.start_group(snap, 0b11111, 150, SCRATCH) == 0b00111
    assert joining.start_group(snap, 0b11011, 150, SCRATCH) == 0b11000
    assert joining.start_group(snap, 0b00001, 150, SCRATCH) == 0b00001


def test_the_border_of_the_start_spread_is_inside():
    snap, mask = rig((26000, 0), (26150, 0))
    assert joining.start_group(snap, mask, 150, SCRATCH) == 0b11
    snap, mask = rig((26000, 0), (26151, 0))
    assert joining.start_group(snap, mask, 150, SCRATCH) == 0b10


class States:
    on = 0
    held = 0
    stuck = 0


def waiting(*millivolts):
    """Batteries that wait at these voltages; start_delay_ms is over."""
    values = settings.defaults()
    values["limits.start_delay_ms"] = 0
    snap = Snapshot()
    for i, millivolt in enumerate(millivolts):
        snap.voltage_mv[i] = millivolt
        snap.state[i] = WAITING
        snap.valid[i] = 1
    states = States()
    return joining.Connector(snap, rules.Limits(values), states, lambda *event: None), snap, states


def test_a_dead_bus_waits_until_the_group_is_steady():
    connector, snap, _ = waiting(27000, 27010)
    assert connector.choose(500) == 0
    snap.state[2] = WAITING
    snap.valid[2] = 1
    snap.voltage_mv[2] = 27020
    assert connector.choose(500) == 0
    assert connector.choose(500) == 0b111


def test_one_battery_at_a_time_joins_a_live_bus_the_nearest_first():
    connector, snap, states = waiting(27000, 27300, 27100)
    states.on = 1
    snap.state[0] = ON
    assert connector.choose(500) == 0b100
    assert connector.choose(490) == 0
    snap.state[2] = ON
    states.on = 0b101
    assert connector.choose(10) == 0b010


def test_a_voltage_outside_the_window_keeps_a_battery_off_whatever_the_bus_does():
    for millivolt, reason in ((30001, Reason.OVERVOLTAGE), (23999, Reason.UNDERVOLTAGE)):
        connector, snap, states = waiting(millivolt, millivolt)
        states.on = 0b10
        snap.state[1] = 0
        assert connector.choose(500) == 0 and snap.reason[0] == reason
        connector, snap, states = waiting(millivolt)
        assert connector.choose(500) == connector.choose(500) == 0
        assert snap.reason[0] == reason


def test_a_locked_bus_starts_nobody_and_says_so():
    connector, snap, _ = waiting(27000, 27000)
    snap.bus_locked = True
    assert connector.choose(500) == connector.choose(500) == 0
    assert snap.reason[0] == Reason.BUS_OVERLOAD


def test_a_stale_reading_does_not_join():
    connector, snap, _ = waiting(27000, 27000)
    snap.valid[1] = 0
    connector.choose(500)
    assert connector.choose(500) == 0b01


def test_those_left_out_of_a_start_are_told_why():
    connector, snap, _ = waiting(27000, 27000, 26000)
    connector.choose(500)
    assert connector.choose(500) == 0b011
    assert snap.reason[2] == Reason.START_SPREAD and snap.reason[0] == Reason.IN_TURN


def test_held_and_stuck_batteries_are_the_bus():
    for held, stuck in ((1, 0), (0, 1)):
        connector, snap, states = waiting(27000, 28000)
        states.held, states.stuck = held, stuck
        snap.state[0] = 0
        assert connector.choose(500) == 0
        assert snap.reason[1] == Reason.BUS_LOWER
