# SPDX-License-Identifier: GPL-3.0-only
"""The snapshot's alarms: each place its own, for every code and every battery."""

from parallelator import catalog
from parallelator.snapshot import BATTERIES, RIG, Snapshot, bus, missing


def alarms(rig_only):
    for code, _, _, holds in catalog.CODES:
        if holds & catalog.ALARM and bool(holds & catalog.RIG_ONLY) == rig_only:
            yield code


def test_every_alarm_has_a_place_of_its_own():
    snap = Snapshot()
    wanted = [(code, i) for code in alarms(False) for i in range(BATTERIES)]
    wanted += [(code, RIG) for code in alarms(True)]
    for second, (code, i) in enumerate(wanted):
        snap.uptime_s = second
        assert snap.alarm(code, i, True) and not snap.alarm(code, i, True)
    assert snap.alarms() == [(code, i, second) for second, (code, i) in enumerate(wanted)]
    for code, i in wanted:
        assert snap.alarm(code, i, False) and not snap.alarm(code, i, False)
        assert (code, i) not in [one[:2] for one in snap.alarms()]
    assert snap.alarms() == []


def test_an_alarm_that_the_catalogue_does_not_know_is_refused():
    snap = Snapshot()
    for code in ("joined", "nonsense"):
        try:
            snap.alarm(code, RIG, True)
            raise AssertionError(code)
        except ValueError:
            pass


def test_the_leds_tell_the_alarms_that_say_so():
    snap = Snapshot()
    snap.alarm("low_soon", 3, True)
    assert snap.alarmed == 0
    snap.alarm("stuck_closed", 3, True)
    snap.alarm("stuck_closed", 15, True)
    assert snap.alarmed == 0x8008
    snap.alarm("stuck_closed", 3, False)
    assert snap.alarmed == 0x8000


def test_what_is_on_the_bus_counts_whatever_it_was_told():
    snap = Snapshot()
    assert bus(snap) == (None, 0)
    for i, state, reason, current_ma in (
        (0, catalog.ON, catalog.Reason.NONE, 4000),
        (1, catalog.OFF, catalog.Reason.OPERATOR, -150),  # what a sensor shows of nothing
        (2, catalog.LOCKED, catalog.Reason.SWITCH_FAULT, 60000),
        (3, catalog.ABSENT, catalog.Reason.SENSOR_OFFSET, 900),
        (4, catalog.TRIPPED, catalog.Reason.OVERVOLTAGE, -5000),
    ):
        snap.state[i] = state
        snap.reason[i] = reason
        snap.valid[i] = 1
        snap.current_ma[i] = current_ma
        snap.voltage_mv[i] = 26000 + i
    assert bus(snap) == (26002, 59000)
    snap.valid[0] = snap.valid[4] = 0
    assert bus(snap) == (26002, 60000)


def test_nothing_is_missing_where_no_battery_is_expected():
    snap = Snapshot()
    snap.known_boards = snap.boards = 1
    snap.sensors = 1
    assert missing(snap, None) == 3
    snap.unused = 0xFFFC
    found = []
    assert missing(snap, lambda what, n: found.append((what, n))) == 1
    assert found == [("sensor", 2)]
