# SPDX-License-Identifier: GPL-3.0-only
"""Starts, failures and trials of the output: windows, pauses, verdicts."""

from parallelator import settings
from parallelator.catalog import Reason
from parallelator.protection import rules
from parallelator.protection.starts import DOUBT, EMPTY, FULL, Starts
from parallelator.snapshot import Snapshot


def rig(**changes):
    values = settings.Values({})
    values.given.update({"limits." + key: value for key, value in changes.items()})
    snap = Snapshot()
    events = []
    starts = Starts(snap, rules.Limits(values), lambda *event: events.append(event[0]))
    return starts, snap, events


def test_who_joins_a_start_in_its_first_second_shares_it():
    starts, _, _ = rig()
    starts.begin(0b1)
    starts.pass_time(310)
    starts.begin(0b10, 0b1)
    assert starts.inrush_ma() == 0 and starts.group == 0b11
    starts.begin(0b100, 0)
    assert starts.inrush_ma() and starts.group == 0b100, "nobody of them is on any more"
    starts.pass_time(1010)
    starts.begin(0b1000, 0b100)
    assert starts.inrush_ma() and starts.group == 0b1000, "their second is over"


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


def test_what_flows_between_empty_ones_is_neither_a_load_nor_a_charger():
    assert verdict(EMPTY, 900, 300, -700, -500) is None
    assert verdict(EMPTY, 900, 300, -700, -301) is None, "199 mA of four"
    assert verdict(EMPTY, 900, 300, -700, -300) == 0
    assert verdict(EMPTY, 900, 300, -700, -699) is None
    assert verdict(EMPTY, 900, 300, -700, -700) == 0b1111
    assert verdict(EMPTY, 900, 300, -1400) is None, "one sensor may lie"
    assert verdict(EMPTY, 5000, 5001, -10000) is None and verdict(EMPTY, 5000, 5001, -10001) == 0


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


def test_a_charger_that_is_too_strong_is_tried_at_once_but_only_once():
    starts, _, _ = rig()
    starts.begin_trial(EMPTY, 0b11, 0)
    starts.fail(True)
    starts.end_trial(0)
    assert starts.trial_due(2)
    starts.begin_trial(EMPTY, 0b11, 0)
    starts.end_trial(0)
    assert not starts.trial_due(2), "that one ended otherwise"


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


# Failures one after the other, windows, resets


def failed(starts, times=1, by_charge=False):
    """The pauses after so many failures of an output that ran for a second."""
    pauses = []
    for _ in range(times):
        starts.begin(0b11)
        starts.pass_time(1000)
        pauses.append(starts.fail(by_charge))
    return pauses


def test_the_pauses_grow_from_the_third_failure_on_until_the_tenth_locks():
    starts, snap, events = rig()
    pauses = failed(starts, 10)
    assert pauses == [10000, 10000, 60000, 120000, 300000] + [600000] * 4 + [0]
    assert snap.bus_locked and events == ["bus_start_failed"] * 9 + ["bus_locked"]
    starts.pass_time(600000)
    assert starts.holds() == Reason.BUS_OVERLOAD, "the lock outlasts every pause"
    starts.forgive()
    assert not snap.bus_locked and not starts.holds() and failed(starts) == [10000]


def test_what_opens_within_a_second_of_a_failure_belongs_to_it():
    starts, snap, events = rig()
    assert failed(starts) == [10000]
    starts.pass_time(999)
    assert starts.fail(False) == 9001 and starts.fails == 1 and len(events) == 1
    starts.pass_time(1)
    assert starts.fail(False) == 10000 and starts.fails == 2, "what another one held all the time"
    for fails in range(3, 11):
        assert len(failed(starts)) == 1 and starts.fails == fails
    assert snap.bus_locked and starts.fail(False) == 0 and starts.fails == 10


def test_a_pause_holds_to_its_end():
    starts, _, _ = rig(start_delay_ms=0)
    assert failed(starts) == [10000]
    starts.pass_time(9999)
    assert starts.holds() == Reason.BUS_OVERLOAD
    starts.pass_time(1)
    assert not starts.holds()


def test_failures_count_for_two_hours_from_the_first():
    for later_s, fails in ((7200, 3), (7201, 1)):
        starts, snap, _ = rig()
        snap.uptime_s = 100
        failed(starts)
        snap.uptime_s = 200
        failed(starts)
        snap.uptime_s = 100 + later_s
        failed(starts)
        assert starts.fails == fails, later_s
        snap.uptime_s += 7200
        failed(starts)
        assert starts.fails == (1 if fails == 3 else 2), "from the new first one"


def test_a_minute_without_a_failure_forgets_whose_fault_it_was():
    for held_ms, forgotten in ((59999, False), (60000, True)):
        starts, _, _ = rig()
        failed(starts, 2, by_charge=True)
        starts.begin(0b11)
        starts.pass_time(held_ms)
        assert starts.wide == starts.by_charge == (not forgotten)
        starts.fail(False)
        assert starts.pause_ms == (10000 if forgotten else 60000)


def test_after_a_minute_a_first_start_may_fail_once_more():
    for held_ms, pause_ms in ((59999, 10000), (60000, 1000)):
        starts, _, _ = rig()
        starts.begin(0b11)
        assert starts.fail(False) == 1000
        starts.begin(0b11)
        starts.pass_time(held_ms)
        starts.begin(0b11)
        assert starts.fail(False) == pause_ms, held_ms


def test_a_start_is_noted_when_it_begins_and_when_it_has_succeeded():
    starts, _, _ = rig()
    assert not starts.changed
    starts.begin(0b11)
    assert starts.changed and starts.group == 0b11
    starts.pass_time(1)
    assert starts.changed, "until that was noted"
    starts.note()
    starts.pass_time(998)
    assert not starts.changed
    starts.pass_time(1)
    assert starts.changed
    starts.note()
    starts.pass_time(1000)
    assert not starts.changed


def reset(starts, snap, since_s=0):
    """What stands after a reset of the controller, and what `recall` returned."""
    starts.note()
    again, new, events = rig()
    new.uptime_s = since_s
    for (kept, _, low, high, _), (row, _, _, _, _) in zip(starts.kept, again.kept):
        for k in range(len(kept)):
            assert low <= kept[k] <= high <= 3600000, (k, kept[k])
            row[k] = kept[k]
    return again, again.recall(), new


def test_a_reset_in_the_first_second_is_a_failed_start():
    starts, snap, _ = rig()
    starts.begin(0b11)
    again, pause_ms, _ = reset(starts, snap)
    assert pause_ms == 1000 and again.wide and again.fails == 0
    again.begin(0b11)
    again, pause_ms, _ = reset(again, snap)
    assert pause_ms == 10000 and again.fails == 1


def test_a_reset_after_a_first_failure_starts_with_whoever_stands_it():
    starts, snap, _ = rig()
    starts.begin(0b11)
    starts.fail(False)
    again, pause_ms, _ = reset(starts, snap)
    assert again.wide and not pause_ms and again.pause_ms == 1000


def test_a_reset_forgets_no_failure_and_no_pause():
    starts, snap, _ = rig()
    failed(starts, 3, by_charge=True)
    again, pause_ms, new = reset(starts, snap)
    assert pause_ms == 0 and again.pause_ms == 60000 and again.fails == 3
    assert again.wide and again.by_charge
    assert [alarm[0] for alarm in new.alarms()] == ["bus_overload"]
    assert failed(again) == [120000]


def test_a_reset_after_two_failures_raises_no_alarm_and_after_ten_it_locks():
    starts, snap, _ = rig()
    failed(starts, 2)
    again, _, new = reset(starts, snap)
    assert again.wide and not again.by_charge and not new.alarms() and not new.bus_locked
    failed(again, 8)
    again, _, new = reset(again, snap)
    assert new.bus_locked and [alarm[0] for alarm in new.alarms()] == ["bus_overload"]
    starts, snap, _ = rig()
    again, _, new = reset(starts, snap)
    assert not again.wide and not again.by_charge and not again.fails


def test_a_lock_whose_failures_lie_a_minute_apart_is_an_alarm_after_a_reset():
    starts, snap, _ = rig()
    for _ in range(10):
        failed(starts)
        starts.begin(0b11)
        starts.pass_time(60000)
    again, _, new = reset(starts, snap)
    assert new.bus_locked and [alarm[0] for alarm in new.alarms()] == ["bus_overload"]
    assert not again.wide


def test_the_first_start_after_a_reset_waits_a_second():
    starts, snap, _ = rig()
    again, _, _ = reset(starts, snap)
    again.pass_time(999)
    assert again.holds() == Reason.STARTING
    again.pass_time(1)
    assert not again.holds()


def test_a_reset_forgets_no_trial_and_none_of_its_pauses():
    starts, snap, _ = rig()
    for _ in range(9):
        starts.begin_trial(EMPTY, 0b11, 0)
        starts.end_trial(0)
    again, _, _ = reset(starts, snap)
    again.pass_time(59999)
    assert not again.trial_due(2)
    again.pass_time(1)
    assert again.trial_due(1)
    again.begin_trial(EMPTY, 0b11, 0)
    again.end_trial(0)
    again.pass_time(60000)
    assert not again.trial_due(1) and again.trial_due(2)


def test_a_trial_that_succeeds_ends_the_pauses_and_one_of_another_kind_keeps_them():
    starts, _, events = rig()
    for _ in range(3):
        starts.begin_trial(EMPTY, 0b11, 0)
        starts.end_trial(0)
    starts.ask()
    starts.begin_trial(EMPTY, 0b11, 0)
    starts.end_trial(0b01)
    assert not starts.trial and not starts.asked_ms
    assert starts.trial_due(2), "without a pause"
    assert events == ["trial", "trial", "trial_done"], "told anew after an operator's wish"
    starts.begin_trial(EMPTY, 0b11, 0)
    starts.end_trial(0)
    starts.pass_time(10000)
    assert starts.trial_due(2) and events[3:] == ["trial"], "the first pause again"


def test_a_person_and_a_charger_try_at_once():
    starts, _, _ = rig()
    starts.begin_trial(EMPTY, 0b11, 0)
    starts.end_trial(0)
    assert not starts.trial_due(2)
    starts.by_charge = True
    assert starts.trial_due(2)
    starts.by_charge = False
    starts.ask()
    assert starts.trial_due(2)
    starts.pass_time(60000)
    starts.begin_trial(EMPTY, 0b11, 0)
    starts.end_trial(0)
    starts.pass_time(10000)
    assert starts.trial_due(2), "a wish begins the pauses anew"


def test_a_trial_that_fails_is_no_first_start():
    starts, _, _ = rig()
    starts.begin(0b11)
    starts.begin_trial(EMPTY, 0b11, 0)
    assert starts.fail(False) == 10000 and starts.fails == 1


def test_one_witness_of_two_and_currents_below_the_threshold_decide_nothing():
    assert verdict(FULL, 100, 0, mv=30001) == 0
    assert verdict(FULL, 100, mv=30001) == 1
    assert verdict(FULL, -49, 0, mv=29900) == 0b11
    assert verdict(FULL, 99, 99, mv=30001) == 0
    assert verdict(EMPTY, -49, -49) is None
    assert verdict(EMPTY, 0, 0, 0, sure=0b10, patience_ms=10000) == 0b10
    assert verdict(DOUBT, 10000, 0, sure=0) == 0b11
