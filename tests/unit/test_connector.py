"""When batteries close: the reasons of those that wait, the pauses, the steady group."""

from parallelator import settings
from parallelator.catalog import ON, WAITING, Reason
from parallelator.protection import rules
from parallelator.protection.connector import Connector
from parallelator.snapshot import Snapshot


class States:
    on = 0
    held = 0
    stuck = 0


def rig(*millivolts):
    """Batteries that wait at these voltages; start_delay_ms is over."""
    values = settings.defaults()
    values["limits.start_delay_ms"] = 0
    snap = Snapshot()
    for i, millivolt in enumerate(millivolts):
        snap.voltage_mv[i] = millivolt
        snap.state[i] = WAITING
        snap.valid[i] = 1
    states = States()
    return Connector(snap, rules.Limits(values), states, lambda *event: None), snap, states


def test_a_dead_bus_waits_until_the_group_is_steady():
    connector, snap, _ = rig(27000, 27010)
    assert connector.choose(500) == 0
    snap.state[2] = WAITING
    snap.valid[2] = 1
    snap.voltage_mv[2] = 27020
    assert connector.choose(500) == 0
    assert connector.choose(500) == 0b111


def test_one_battery_at_a_time_joins_a_live_bus_the_nearest_first():
    connector, snap, states = rig(27000, 27300, 27100)
    states.on = 1
    snap.state[0] = ON
    assert connector.choose(500) == 0b100
    assert connector.choose(490) == 0
    snap.state[2] = ON
    states.on = 0b101
    assert connector.choose(10) == 0b010


def test_a_voltage_outside_the_window_keeps_a_battery_off_whatever_the_bus_does():
    for millivolt, reason in ((30001, Reason.OVERVOLTAGE), (23999, Reason.UNDERVOLTAGE)):
        connector, snap, states = rig(millivolt, millivolt)
        states.on = 0b10
        snap.state[1] = 0
        assert connector.choose(500) == 0 and snap.reason[0] == reason
        connector, snap, states = rig(millivolt)
        assert connector.choose(500) == connector.choose(500) == 0
        assert snap.reason[0] == reason


def test_a_locked_bus_starts_nobody_and_says_so():
    connector, snap, _ = rig(27000, 27000)
    snap.bus_locked = True
    assert connector.choose(500) == connector.choose(500) == 0
    assert snap.reason[0] == Reason.BUS_OVERLOAD


def test_a_stale_reading_does_not_join():
    connector, snap, _ = rig(27000, 27000)
    snap.valid[1] = 0
    connector.choose(500)
    assert connector.choose(500) == 0b01


def test_those_left_out_of_a_start_are_told_why():
    connector, snap, _ = rig(27000, 27000, 26000)
    connector.choose(500)
    assert connector.choose(500) == 0b011
    assert snap.reason[2] == Reason.START_SPREAD and snap.reason[0] == Reason.IN_TURN


def test_held_and_stuck_batteries_are_the_bus():
    for held, stuck in ((1, 0), (0, 1)):
        connector, snap, states = rig(27000, 28000)
        states.held, states.stuck = held, stuck
        snap.state[0] = 0
        assert connector.choose(500) == 0
        assert snap.reason[1] == Reason.BUS_LOWER
