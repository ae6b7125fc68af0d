# SPDX-License-Identifier: GPL-3.0-only
"""Tests the referee on closings: states, distances, groups, locks and wishes. No firmware."""

from parallelator import settings
from parallelator.catalog import TRIPPED, WAITING
from refereed import (
    FAR,
    INRUSH_MA,
    TOO_SOON,
    TRIPPED_TOO_OFTEN,
    UNEXPLAINED,
    WIDE,
    Rig,
    fail_start,
    running,
    running_two_of_three,
    tells_a_wide_start,
)
from sim.evidence import FOREVER, RefereeLimits
from sim.failures import Failures

SOON = "started too soon after a failure"


def test_only_what_waits_may_close():
    for state, found in ((WAITING, []), (TRIPPED, [(1, "closed without having waited")])):
        rig = Rig(0.8)
        rig.state[0] = state
        rig.move(True, 1)
        rig.move(False, 1)
        assert [entry for entry in rig.found() if entry[1] != UNEXPLAINED] == found
    rig = Rig(0.8)
    rig.snap = None
    rig.wait(10)
    rig.move(True, 1)
    assert (1, "closed without having waited") in rig.found()


def test_a_closing_by_a_falsified_write_is_nobodys_fault():
    rig = Rig(0.8)
    rig.wait(10)
    rig.world.wires.upset[0x20] = rig.world.now_us
    rig.wait(1)
    rig.move(True, 1)
    rig.wait(50)
    rig.move(False, 1)
    assert rig.found() == []


def test_a_pack_joins_from_within_the_offset():
    # Away from 0.8, a hundredth of a charge is 56 mV above and 70 mV below.
    for soc, wrong in ((0.88, False), (0.9, True), (0.74, False), (0.72, True)):
        rig = Rig(0.8, 0.8, 0.8, soc)
        rig.wait(1000)
        rig.close(1, 2, 3)
        rig.wait(1000)
        rig.close(4)
        assert ((4, FAR) in rig.found()) == wrong, soc


def test_a_joining_pack_is_judged_by_what_could_be_known():
    def joins(rig):
        rig.close(3)
        return (3, FAR) in rig.found()

    assert joins(running_two_of_three(0.95))
    # A moment before, its voltage was another one, or it was read wrongly.
    for ms, wrong in ((100, False), (200, True)):
        step = {"at": 2.5, "do": "set_battery", "n": 3, "soc": 0.95}
        rig = running_two_of_three(0.8, steps=[step])
        rig.wait(ms)
        assert joins(rig) == wrong, ms
    rig = running_two_of_three(0.95)
    rig.world.wires.upset[0x42] = rig.world.now_us
    rig.wait(50)
    assert not joins(rig)
    # A weld has connected it already.
    rig = running_two_of_three(0.95, steps=[{"at": 2, "do": "switch_weld", "n": 3}])
    assert not joins(rig)


def test_a_reading_may_be_from_before_another_opened():
    # Its sensor shows 9 A too much, which count 0.27 V at twice the resistance of its battery.
    for ms, wrong in ((60, False), (400, True)):
        rig = Rig(0.8, 0.8, 0.9)
        rig.wait(1000)
        rig.close(1, 2)
        rig.feel(1, ma=9000)
        rig.wait(1000)
        rig.found()
        rig.open(2)
        rig.feel(1)
        rig.wait(ms)
        rig.close(3)
        assert ((3, FAR) in rig.found()) == wrong, ms


def test_the_boards_of_a_group_close_within_20_ms():
    for pause_ms, found in ((15, [(5, WIDE)]), (25, [(5, FAR)])):
        rig = Rig(0.8, 0.8, 0.8, 0.8, 0.9)
        rig.wait(1000)
        rig.close(1, 2)
        rig.wait(pause_ms)
        rig.close(5)
        assert rig.found() == found, pause_ms


def test_a_group_lies_within_the_start_spread():
    for soc, found in ((0.82, []), (0.84, [(2, WIDE)])):
        rig = Rig(0.8, soc)
        rig.wait(1000)
        rig.close(1, 2)
        assert rig.found() == found, soc


def trips(rig, count, pause_ms=100):
    for _ in range(count):
        rig.close(1)
        rig.wait(2000)
        rig.trip(1)
        rig.wait(pause_ms)


def test_after_the_fifth_trip_only_a_reset_lets_it_close():
    rig = running(0.8, 0.8, reconnect_delay_ms=0)
    rig.open(1)
    rig.found()
    trips(rig, 4)
    rig.close(1)
    assert rig.found() == []
    rig.wait(2000)
    rig.trip(1)
    rig.wait(2000)
    rig.restarted(rig.world.now_us)
    rig.close(1)
    assert rig.found() == [(1, TRIPPED_TOO_OFTEN)]
    rig.open(1)
    rig.found()
    rig.referee.requested(rig.world.now_us, "reset", 0)
    rig.close(1)
    assert rig.found() == []


def test_a_pack_that_tripped_stays_off_for_its_delay_over_a_reset_but_not_over_a_power_cut():
    for wait_ms, cause, wish, found in (
        (9000, None, None, [(1, TOO_SOON)]),
        (9700, None, None, []),
        (9000, 2, None, [(1, TOO_SOON)]),
        (9000, 3, None, [(1, TOO_SOON)]),
        (9000, 1, None, []),
        (9000, None, "on", []),
        (9000, None, "auto", [(1, TOO_SOON)]),
    ):
        rig = running(0.8, 0.8)
        rig.trip(1)
        rig.wait(1000)
        if cause:
            rig.world.reset_cause = cause
            rig.restarted(rig.world.now_us)
        if wish:
            rig.referee.requested(rig.world.now_us, wish, 0)
        rig.wait(wait_ms - 1000)
        rig.close(1)
        assert rig.found() == found, (wait_ms, cause, wish)


def test_a_trip_right_before_a_reset_may_be_forgotten():
    for ms, found in ((30, []), (100, [(1, TOO_SOON)])):
        rig = running(0.8, 0.8)
        rig.trip(1)
        rig.wait(ms)
        rig.world.reset_cause = 2
        rig.restarted(rig.world.now_us)
        rig.wait(3000)
        rig.close(1)
        assert rig.found() == found, ms


def test_what_a_reset_or_a_cut_storage_forgets_is_no_lock():
    for wait_ms, cut, found in (
        (900, False, []),
        (1100, False, [(1, TRIPPED_TOO_OFTEN)]),
        (1100, True, []),
    ):
        rig = running(0.8, 0.8, reconnect_delay_ms=0)
        rig.open(1)
        rig.found()
        trips(rig, 5)
        rig.world.nvs_cut = cut
        rig.wait(wait_ms - 100)
        rig.restarted(rig.world.now_us)
        rig.close(1)
        assert rig.found() == found, (wait_ms, cut)


def test_a_trip_is_forgiven_in_time():
    for on_s, found in ((80, [(1, TRIPPED_TOO_OFTEN)]), (120, [])):
        rig = running(0.8, 0.8, trip_decay_s=100, max_trips=2, reconnect_delay_ms=0)
        rig.open(1)
        rig.found()
        trips(rig, 1)
        rig.close(1)
        rig.wait(on_s * 1000)
        rig.trip(1)
        rig.wait(100)
        rig.close(1)
        assert rig.found() == found, on_s


def test_uncounted_and_unclear_openings_lock_nothing():
    rig = running(0.8, 0.8, max_trips=1)
    rig.feel(1, mv=-7000)
    rig.wait(100)
    rig.open(1)
    rig.feel(1)
    rig.wait(200)
    rig.close(1)
    rig.wait(2000)
    rig.world.wires.upset[0x40] = rig.world.now_us
    rig.trip(1)
    rig.wait(200)
    rig.close(1)
    assert rig.found() == []
    rig = running(0.8, 0.8, max_trips=1)
    rig.feel(1, ma=20000, mv=-7000)
    rig.wait(20)
    rig.open(1)
    rig.feel(1)
    rig.wait(200)
    rig.close(1)
    assert rig.found() == []


def test_a_stuck_voltage_is_the_same_at_rest():
    for more_mv, found in ((0, []), (300, [(2, WIDE)])):
        rig = Rig(0.8, 0.8)
        rig.world.plant.lie(0, stuck_mv=round(1000 * rig.world.plant.rest_v(1)) + more_mv)
        rig.world.plant.load_a = 28
        rig.wait(1000)
        rig.close(1, 2)
        assert rig.found() == found, more_mv


PAUSES_S = (5, 1, 10, 10, 60, 120, 300) + 4 * (600,)
"""Before the first start and after each failure."""


def test_the_tenth_failure_locks_the_output():
    # Whether the first counts, which is tried again at once, is left open.
    rig = Rig(0.8, 0.8)
    for pause_s in PAUSES_S:
        fail_start(rig, pause_s)
        assert rig.found() == [], pause_s
    rig.wait(700000)
    # A locked output explains why its packs are off.
    assert rig.found() == []
    rig.close(1)
    assert rig.found() == [(1, "closed though the bus is locked")]
    rig.referee.requested(rig.world.now_us, "reset", -1)
    rig.open(1)
    rig.found()
    rig.wait(1000)
    rig.close(1)
    assert rig.found() == []


def test_only_failures_within_two_hours_lock():
    for apart_s, locked in ((700, True), (801, False)):
        failures = Failures(RefereeLimits(settings.Values({})))
        for k in range(10):
            failures.note(1000000 * apart_s * k, True)
        assert (failures.over_us() == FOREVER) == locked, apart_s


def test_any_wish_tries_a_locked_output_at_once():
    rig = Rig(0.8, 0.8)
    for pause_s in PAUSES_S:
        fail_start(rig, pause_s)
    rig.referee.requested(rig.world.now_us, "on", 1)
    rig.close(1, 2)
    assert rig.found() == []


def test_a_lock_before_the_tenth_failure_is_none():
    for failures, wrong in ((8, True), (10, False)):
        rig = Rig(0.8, 0.8)
        for pause_s in PAUSES_S[:failures]:
            fail_start(rig, pause_s)
        rig.bus_locked = True
        rig.wait(300)
        told = (1, "the output is locked without a cause")
        assert (told in rig.found()) == wrong, failures


def test_after_failures_the_output_rests_longer_and_longer():
    for failures, pause_s in ((1, 1), (2, 10), (3, 10), (4, 60), (6, 300)):
        for share, wrong in ((0.8, True), (1, False)):
            rig = Rig(0.8, 0.8)
            for before_s in PAUSES_S[:failures]:
                fail_start(rig, before_s)
            rig.wait(int(pause_s * share * 1000))
            rig.close(1, 2)
            found = (1, SOON) in rig.found()
            assert found == wrong, (failures, share)


def test_what_the_opening_of_a_board_does_to_the_next_is_no_failed_start():
    # 25 A each, and 50 A of those that open last; 30 A are allowed.
    for ms, wrong in ((1, False), (10, True)):
        rig = Rig(*(8 * (0.8,)))
        rig.world.plant.load_a = 200
        rig.wait(5000)
        rig.close(*range(1, 9))
        rig.wait(100)
        rig.open(1, 2, 3, 4)
        rig.wait(ms)
        rig.open(5, 6, 7, 8)
        rig.wait(500)
        rig.found()
        rig.close(*range(1, 9))
        assert ((1, SOON) in rig.found()) == wrong, ms


def test_an_output_that_a_weld_holds_is_joined_and_not_started():
    for weld in (False, True):
        steps = [{"at": 5.1, "do": "switch_weld", "n": 4}] if weld else []
        rig = Rig(0.8, 0.8, 0.8, 0.8, steps=steps)
        rig.world.plant.load_a = 8
        fail_start(rig, 5)
        rig.wait(500)
        rig.close(3)
        assert ((3, SOON) in rig.found()) == (not weld), weld


def test_an_output_of_which_a_restart_leaves_nothing_known_may_be_started():
    for restarts in (False, True):
        silent = {"at": 4, "do": "expander_nack", "board": 1}
        rig = Rig(*(6 * (0.8,)), steps=[silent])
        rig.world.plant.load_a = 10
        rig.wait(1000)
        rig.close(5, 6)
        rig.wait(6000)
        if restarts:
            rig.restarted(rig.world.now_us)
        rig.wait(6000)
        rig.found()
        rig.close(1, 2, 3)
        told = (3, "joined before its turn") in rig.found()
        assert told != restarts, restarts


def test_those_that_never_started_since_they_are_low_are_empty():
    for soc, wrong in ((0.8, True), (0.05, False)):
        rig = Rig(0.8, 0.8, soc, soc)
        fail_start(rig, 5)
        rig.wait(500)
        rig.found()
        rig.close(1, 2)
        assert ((1, SOON) in rig.found()) == wrong, soc


def test_the_end_of_the_night_is_no_failed_start():
    for empty in ((), (3, 4)):
        rig = running(0.8, 0.8, 0.8, 0.8)
        for n in empty:
            rig.feel(n, mv=-4300)
        rig.wait(1100)
        rig.open(1, 2, 3, 4)
        rig.wait(5000)
        fail_start(rig, 5)
        rig.wait(500)
        rig.found()
        rig.close(1, 2)
        assert ((1, SOON) in rig.found()) == (not empty), empty


def test_a_board_that_is_gone_leaves_open_whether_the_load_was_too_much():
    # Its pack fell with it, and the firmware may know or not: the next start may be a wide one.
    cut = {"do": "line_cut", "board": 1, "wire": "supply"}
    steps = [dict(cut, at=9), dict(cut, at=20, on=False)]
    rig = Rig(0.8, 0.84, 0.8, 0.8, 0.8, steps=steps)
    rig.wait(5000)
    rig.close(1, 3, 4, 5)
    rig.wait(8000)
    assert not tells_a_wide_start(rig)


def test_what_a_power_cut_opens_leaves_open_whether_the_load_was_too_much():
    for cut in (True, False):
        rig = Rig(0.8, 0.84, 0.8, 0.8, 0.8)
        rig.wait(5000)
        rig.close(1, 3, 4, 5)
        rig.wait(9000)
        if cut:
            rig.played(rig.world.now_us, {"do": "power_cycle"})
        rig.open(1, 3, 4, 5)
        rig.world.reset_cause = 1
        rig.restarted(rig.world.now_us)
        rig.wait(6000)
        rig.close(1, 3, 4)
        rig.wait(2000)
        assert tells_a_wide_start(rig) != cut, cut


def test_those_that_are_not_there_are_no_part_of_the_night():
    for steps, wrong in (([], True), ([{"at": 1, "do": "board_unplug", "board": 1}], False)):
        rig = Rig(*(6 * (0.8,)), steps=steps)
        rig.wait(2000)
        rig.feel(3, mv=-4300)
        rig.feel(4, mv=-4300)
        fail_start(rig, 5)
        rig.wait(500)
        rig.found()
        rig.close(1, 2)
        assert ((1, SOON) in rig.found()) == wrong, steps


def test_a_pin_that_stays_high_is_seen_to_hold_the_output():
    for step, wrong in (({"do": "pin_stuck", "level": 1}, False), ({"do": "switch_weld"}, True)):
        rig = Rig(0.8, 0.8, 0.8, 0.8, steps=[dict(step, at=5.1, n=4)])
        fail_start(rig, 5)
        rig.wait(500)
        rig.found()
        rig.close(3)
        assert ((3, SOON) in rig.found()) == wrong, step


def test_a_start_is_seen_as_one_whenever_it_comes():
    for pause_ms in range(10, 400, 39):
        rig = Rig(0.8, 0.8)
        for pause_s in (0, 1, 10):
            fail_start(rig, pause_s + pause_ms / 1000)
        assert rig.found() == [], pause_ms
        rig.wait(pause_ms)
        rig.close(1, 2)
        assert rig.found() == [(1, SOON)], pause_ms


def test_who_joins_in_the_first_moments_may_open_when_they_are_over():
    # Currents beyond all reason tell of no output: whether that is a start of its own is open.
    rig = Rig(*[0.8] * 8)
    rig.wait(1000)
    rig.world.plant.load_a = 40
    rig.close(1, 2)
    rig.wait(100)
    rig.played(rig.world.now_us, {"do": "load"})
    rig.wait(60)
    rig.close(3)
    rig.world.spend(300)
    rig.close(5)
    rig.feel(5, ma=9000)
    rig.wait(150)
    rig.open(5)
    assert (5, UNEXPLAINED) not in rig.found()


def test_current_felt_just_before_a_start_is_no_live_bus():
    # Where it was felt for longer, nobody can say whether that is a start: it may fail as one.
    for before_ms, found in ((200, [(1, SOON)]), (1500, [])):
        rig = Rig(0.8, 0.8, 0.8, 0.8, 0.8)
        rig.wait(1000)
        for n in (4, 5):
            rig.feel(n, ma=INRUSH_MA)
        rig.wait(before_ms)
        rig.close(1, 2, 3, 4, 5)
        rig.wait(20)
        rig.open(1, 2, 3, 4, 5)
        assert rig.found() == [], before_ms
        rig.wait(100)
        rig.close(1, 2, 3)
        assert rig.found() == found, before_ms


def test_a_lost_board_keeps_the_bus_alive_for_the_firmware():
    # It cannot know that the unplugged packs are off: no join is a start, no trip the bus's.
    steps = [{"at": 2, "do": "board_unplug", "board": 1}]
    rig = Rig(0.8, 0.8, 0.8, 0.8, 0.8, steps=steps, reconnect_delay_ms=0)
    rig.wait(1000)
    rig.close(5)
    rig.wait(2000)
    for _ in range(3):
        rig.close(1)
        rig.trip(1)
        rig.wait(1000)
    rig.close(2)
    assert rig.found() == []


def test_a_trip_later_than_a_second_after_the_start_is_the_packs_own():
    rig = Rig(0.8, 0.8, max_trips=1, reconnect_delay_ms=0)
    rig.wait(1000)
    rig.close(1, 2)
    rig.wait(1500)
    rig.trip(1)
    rig.wait(200)
    rig.close(1)
    assert rig.found() == [(1, TRIPPED_TOO_OFTEN)]


def test_what_is_switched_off_opens_within_100_ms_and_stays_off():
    for ms, found in ((95, []), (125, [(1, "closed though switched off")])):
        rig = running(0.8, 0.8)
        rig.referee.requested(rig.world.now_us, "off", 0)
        rig.wait(ms)
        rig.open(1)
        assert rig.found() == found, ms
    rig.wait(2000)
    rig.restarted(rig.world.now_us)
    rig.close(1)
    assert rig.found() == [(1, "closed though the operator wants it off")]
    rig.open(1)
    rig.referee.requested(rig.world.now_us, "auto", 0)
    rig.close(1)
    assert rig.found() == []
    for ms, wrong in ((20, False), (40, True)):
        rig = running_two_of_three(0.8)
        rig.referee.requested(rig.world.now_us, "off", 2)
        rig.wait(ms)
        rig.close(3)
        assert ((3, "closed though the operator wants it off") in rig.found()) == wrong, ms


def test_an_off_that_is_taken_back_at_once_explains_an_opening_for_100_ms():
    for ms, wrong in ((95, False), (125, True)):
        rig = running(0.8, 0.8)
        for action in ("off", "auto"):
            rig.referee.requested(rig.world.now_us, action, 0)
        rig.wait(ms)
        rig.open(1)
        assert ((1, UNEXPLAINED) in rig.found()) == wrong, ms


def test_a_wish_right_before_a_reset_may_be_forgotten_or_not():
    for closes in (True, False):
        rig = running_two_of_three(0.8)
        rig.referee.requested(rig.world.now_us, "off", 2)
        rig.wait(900)
        rig.restarted(rig.world.now_us)
        rig.wait(100)
        if closes:
            rig.close(3)
        rig.wait(60000)
        assert rig.found() == [], closes
