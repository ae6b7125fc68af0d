# SPDX-License-Identifier: GPL-3.0-only
"""Starts, failures and trials of the output: windows, pauses, verdicts."""

from parallelator import settings
from parallelator.catalog import Reason
from parallelator.protection import rules
from parallelator.protection.starts import DOUBT, EMPTY, FULL, Starts
from parallelator.snapshot import Snapshot


def rig(**changes):
    values = settings.defaults()
    values.update({"limits." + key: value for key, value in changes.items()})
    snap = Snapshot()
    events = []
    starts = Starts(snap, rules.Limits(values), lambda *event: events.append(event[0]))
    return starts, snap, events


def test_the_first_start_waits_for_its_delay():
    starts, _, _ = rig()
    starts.pass_time(4999)
    assert starts.holds() == Reason.STARTING
    starts.pass_time(1)
    assert not starts.holds()


def test_the_windows_of_a_start():
    starts, _, _ = rig()
    assert not starts.starting() and not starts.inrush_ma(), "nothing has started"
    starts.begin(0b1)
    starts.pass_time(299)
    assert starts.inrush_ma() == 40000
    starts.pass_time(1)
    assert not starts.inrush_ma() and starts.starting()
    starts.pass_time(699)
    assert starts.starting()
    starts.pass_time(1)
    assert not starts.starting()


def test_twice_the_hard_limit_or_40_amperes_open_in_the_first_300_ms():
    for changes, most_ma in (
        ({"max_current_ma": 5000}, 20000),
        ({"max_charge_current_ma": 2000}, 40000),
        ({"max_current_ma": 3000, "hard_current_pct": 150}, 9000),
        ({"hard_current_pct": 0}, 40000),
    ):
        starts, _, _ = rig(**changes)
        starts.begin(0b1)
        assert starts.inrush_ma() == most_ma, changes


def test_a_first_start_that_fails_is_tried_once_more_after_a_second():
    starts, _, events = rig()
    starts.begin(0b11)
    assert starts.fail(False) == 1000 and starts.wide and not starts.fails
    starts.begin(0b11)
    assert starts.fail(False) == 10000 and starts.fails == 1
    assert events == ["bus_start_failed"] * 2


def test_an_output_that_fails_while_it_runs_waits_at_once():
    starts, _, _ = rig()
    starts.begin(0b11)
    starts.pass_time(1000)
    assert starts.fail(False) == 10000 and starts.fails == 1


def test_what_held_a_minute_begins_the_pauses_anew_but_not_the_count():
    starts, snap, _ = rig()
    for k in range(9):
        starts.begin(0b11)
        starts.pass_time(60000)
        assert not starts.wide
        assert starts.fail(True) == 10000 and starts.by_charge, k
    alarms = [alarm[0] for alarm in snap.alarms()]
    assert "bus_overload" not in alarms
    starts.begin(0b11)
    starts.pass_time(60000)
    assert starts.fail(True) == 0 and snap.bus_locked


def test_the_alarm_comes_with_the_third_failure():
    starts, snap, _ = rig()
    for k in range(3):
        starts.begin(0b11)
        starts.pass_time(1000)
        starts.fail(False)
        assert ("bus_overload" in [alarm[0] for alarm in snap.alarms()]) == (k == 2)
    starts.forgive()
    assert not snap.alarms() and not starts.fails and not starts.pause_ms


# Trials


def verdict(kind, *amps, sure=0, mv=26000, patience_ms=0, asked=False, **changes):
    starts, snap, _ = rig(**changes)
    if asked:
        starts.ask()
    group = (1 << len(amps)) - 1
    starts.begin_trial(kind, group, sure)
    for i, current_ma in enumerate(amps):
        snap.current_ma[i] = current_ma
        snap.voltage_mv[i] = mv
    assert starts.probing() and starts.verdict() is None
    starts.round_done()
    assert starts.probing() and starts.verdict() is None, "two readings at least"
    starts.round_done()
    assert not starts.probing()
    starts.pass_time(patience_ms)
    return starts.verdict()


def test_empty_ones_stay_when_they_are_charged():
    assert verdict(EMPTY, -50, -50, -50) == 0b111
    assert verdict(EMPTY, -50, 0, 0) is None, "one sensor may lie"
    assert verdict(EMPTY, -50) == 1, "a rig of one has one witness"
    assert verdict(EMPTY, -50, -50, 100) is None


def test_empty_ones_open_as_soon_as_two_discharge():
    assert verdict(EMPTY, 100, 100, 0) == 0
    assert verdict(EMPTY, 100, 99, 0) is None
    assert verdict(EMPTY, 100) == 0
    assert verdict(EMPTY, 100, 100, 100, sure=0b100) == 0b100


def test_empty_ones_wait_ten_seconds_for_a_charger_and_a_minute_when_asked():
    assert verdict(EMPTY, 0, 0, patience_ms=9999) is None
    assert verdict(EMPTY, 0, 0, patience_ms=10000) == 0
    assert verdict(EMPTY, 0, 0, asked=True, patience_ms=59999) is None
    assert verdict(EMPTY, 0, 0, asked=True, patience_ms=60000) == 0


def test_full_ones_stay_when_they_discharge_and_without_current_inside_the_window():
    assert verdict(FULL, 100, 100, mv=30100) == 0b11
    assert verdict(FULL, 0, 0, mv=30000) == 0b11 and verdict(FULL, 0, 0, mv=30001) == 0
    assert verdict(FULL, -50, 0, mv=29900) == 0
    assert verdict(FULL, -50, 0, mv=29900, sure=0b10) == 0b10


def test_a_doubtful_output_keeps_those_inside_the_continuous_limit():
    assert verdict(DOUBT, 10000, -10000) == 0b11
    assert verdict(DOUBT, 10001, 0) == 0 and verdict(DOUBT, 0, -10001) == 0


def test_the_pauses_between_trials():
    starts, _, _ = rig()
    pauses = []
    for _ in range(5):
        assert starts.trial_due(2)
        starts.begin_trial(EMPTY, 0b11, 0)
        starts.end_trial(0)
        pause_s = 0
        while not starts.trial_due(2):
            starts.pass_time(1000)
            pause_s += 1
        pauses.append(pause_s)
    assert pauses == [10, 20, 40, 60, 60]
    starts.begin_trial(FULL, 0b11, 0)
    starts.end_trial(0)
    starts.pass_time(9999)
    assert not starts.trial_due(2)
    starts.pass_time(1)
    assert starts.trial_due(2)


def test_a_rig_of_one_tries_ten_times_and_then_when_it_is_asked():
    starts, _, events = rig()
    for _ in range(10):
        assert starts.trial_due(1)
        starts.begin_trial(EMPTY, 0b1, 0)
        starts.end_trial(0)
        starts.pass_time(60000)
    assert not starts.trial_due(1) and starts.trial_due(2)
    assert events == ["trial"], "told once"
    starts.ask()
    assert starts.trial_due(1)


def test_no_trials_without_an_interval_but_those_that_are_asked_for():
    starts, _, _ = rig(trial_interval_ms=0)
    assert not starts.trial_due(2)
    starts.ask()
    assert starts.trial_due(2)


def test_an_inrush_is_none_of_a_trial():
    starts, _, _ = rig()
    starts.begin_trial(EMPTY, 0b11, 0)
    starts.begin(0b11)
    assert not starts.inrush_ma()


def test_an_on_is_good_for_a_minute():
    starts, _, _ = rig()
    starts.ask()
    starts.pass_time(59999)
    assert starts.asked_ms
    starts.pass_time(1)
    assert not starts.asked_ms
