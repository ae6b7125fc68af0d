# SPDX-License-Identifier: GPL-3.0-only
"""Tests the referee on trials: how long, how often, with whom, and what is left. No firmware."""

from parallelator.catalog import TRIPPED, Reason
from refereed import UNEXPLAINED, Rig, running, tells_a_wide_start

LONG = "on trial for too long"
SOON = "a trial too soon after another"
UNASKED = "closed without having waited"
LOW = 0.08


def rig_of(*socs, **options):
    rig = Rig(*socs, **options)
    rig.wait(6000)
    return rig


def on_trial(rig, *numbers):
    """These close, although they do not wait, and the firmware calls it a trial."""
    for n in numbers:
        rig.state[n - 1] = TRIPPED
    rig.move(True, *numbers)
    for n in numbers:
        rig.state[n - 1] = 3
        rig.reason[n - 1] = Reason.TRIAL
    rig.wait(10)


def end(rig, *numbers):
    rig.open(*numbers)
    for n in numbers:
        rig.reason[n - 1] = Reason.UNDERVOLTAGE


def test_a_trial_needs_no_cause_and_no_waiting():
    rig = rig_of(LOW, LOW)
    on_trial(rig, 1, 2)
    rig.wait(50)
    end(rig, 1, 2)
    assert rig.found() == []


def test_what_is_no_trial_has_to_wait():
    rig = rig_of(LOW, LOW)
    for n in (1, 2):
        rig.state[n - 1] = TRIPPED
    rig.move(True, 1, 2)
    rig.state[0] = rig.state[1] = 3
    rig.wait(50)
    found = rig.found()
    assert (1, UNASKED) in found and (1, "closed though nothing charges it") in found


def test_a_trial_that_gives_lasts_60_ms():
    for ms, wrong in ((130, False), (200, True)):
        rig = rig_of(LOW, LOW)
        rig.world.plant.load_a = 5
        on_trial(rig, 1, 2)
        rig.wait(ms - 10)
        end(rig, 1, 2)
        assert ((1, LONG) in rig.found()) == wrong, ms


def test_a_trial_without_a_current_lasts_10_s_or_a_minute_when_asked_for():
    for s, asked, wrong in ((10, False, False), (12, False, True), (60, True, False)):
        rig = rig_of(LOW, LOW)
        if asked:
            rig.referee.requested(rig.world.now_us, "on", 0)
        on_trial(rig, 1, 2)
        rig.wait(s * 1000)
        end(rig, 1, 2)
        assert ((1, LONG) in rig.found()) == wrong, s


def test_a_trial_that_charges_goes_on():
    rig = rig_of(LOW, LOW)
    rig.world.plant.source_a = 4
    rig.referee.requested(rig.world.now_us, "on", 0)
    on_trial(rig, 1, 2)
    rig.wait(30000)
    rig.reason[0] = rig.reason[1] = 0
    rig.wait(1000)
    assert rig.found() == []


def test_an_empty_pack_that_is_not_charged_does_not_stay():
    for source_a, wrong in ((0, True), (8, False)):
        rig = running(0.8, 0.8)
        for n in (1, 2):
            rig.feel(n, mv=-4300)
        rig.wait(1100)
        rig.open(1, 2)
        for n in (1, 2):
            rig.feel(n, mv=-3900)
        rig.wait(20000)
        rig.found()
        rig.world.plant.source_a = source_a
        rig.world.plant.load_a = 3
        rig.wait(300)
        on_trial(rig, 1, 2)
        rig.wait(50)
        rig.reason[0] = rig.reason[1] = 0
        rig.wait(60)
        told = (1, "stays after a trial that did not charge it")
        assert (told in rig.found()) == wrong, source_a


def test_empty_packs_are_tried_less_and_less_often():
    rig = rig_of(LOW, LOW)
    for pause_s in (10, 20, 40, 60, 60):
        on_trial(rig, 1, 2)
        rig.wait(50)
        end(rig, 1, 2)
        rig.wait(pause_s * 1000)
    assert rig.found() == []
    for asked in (False, True):
        on_trial(rig, 1, 2)
        rig.wait(50)
        end(rig, 1, 2)
        rig.found()
        rig.wait(45000)
        if asked:
            rig.referee.requested(rig.world.now_us, "reset", 0)
        on_trial(rig, 1, 2)
        rig.wait(50)
        end(rig, 1, 2)
        assert ((1, SOON) in rig.found()) != asked
        rig.wait(61000)


def test_the_pauses_are_those_of_empty_packs_and_begin_anew_after_a_success():
    # The first is of packs inside the window, the second of empty ones: then no pause is doubled.
    rig = rig_of(0.8, 0.8, LOW, LOW)
    for numbers, wrong in (((1, 2), []), ((3, 4), []), ((3, 4), []), ((3, 4), [(3, SOON)])):
        on_trial(rig, *numbers)
        rig.wait(50)
        end(rig, *numbers)
        assert [one for one in rig.found() if one[1] == SOON] == wrong, numbers
        rig.wait(10000)
    rig = rig_of(LOW, LOW, source=[[0, 20]])
    on_trial(rig, 1, 2)
    rig.wait(50)
    rig.reason[0] = rig.reason[1] = Reason.NONE
    rig.wait(1000)
    end(rig, 1, 2)
    rig.found()
    rig.wait(1000)
    on_trial(rig, 1, 2)
    assert (1, SOON) not in rig.found()


def test_a_rig_of_one_is_tried_ten_times():
    rig = rig_of(LOW)
    for k in range(12):
        on_trial(rig, 1)
        rig.wait(50)
        end(rig, 1)
        told = (1, "a trial too often of a rig of one") in rig.found()
        assert told == (k > 10), k
        rig.wait(61000)


def test_nobody_below_the_floor_and_nobody_too_far_is_tried():
    rig = rig_of(0.005, LOW)
    on_trial(rig, 1, 2)
    assert (1, "on trial below the charge floor") in rig.found()
    rig = rig_of(0.1, 1.0)
    on_trial(rig, 1, 2)
    assert (2, "on trial with too far a pack") in rig.found()


def test_a_supplied_output_is_not_tried():
    rig = running(0.8, 0.8, 0.8)
    rig.open(3)
    rig.wait(2000)
    rig.found()
    on_trial(rig, 3)
    assert (3, "a trial though the output has its supply") in rig.found()


def test_what_a_restart_has_left_closed_is_no_supply_that_it_knows():
    for restarts in (False, True):
        silent = {"at": 8, "do": "expander_nack", "board": 1}
        rig = rig_of(*(6 * (0.8,)), steps=[silent])
        rig.world.plant.load_a = 10
        rig.close(5, 6)
        rig.wait(3000)
        if restarts:
            rig.restarted(rig.world.now_us)
        rig.found()
        on_trial(rig, 1, 2)
        supplied = (1, "a trial though the output has its supply") in rig.found()
        assert supplied != restarts, restarts


def test_what_nobody_can_read_is_no_supply():
    # Its two packs go on, as far as anybody knows: the others start, relieve or try.
    steps = [{"at": 9, "do": "line_cut", "board": 1, "wire": "sda"}]
    rig = rig_of(*(6 * (0.8,)), steps=steps, hard_current_pct=300)
    rig.world.plant.load_a = 28
    rig.close(5, 6)
    rig.wait(4000)
    rig.found()
    on_trial(rig, 1, 2)
    end(rig, 1, 2)
    assert rig.found() == []
    rig.wait(1000)
    rig.close(1, 2, 3, 4)
    rig.wait(1000)
    rig.open(3, 4)
    rig.wait(100)
    rig.close(3)
    rig.found()
    rig.close(4)
    assert (4, "relieved again within ten seconds") not in rig.found()


def test_who_carries_nothing_on_a_board_that_is_silent_is_no_known_supply():
    for load_a, wrong in ((0, False), (5, True)):
        rig = rig_of(*(6 * (0.8,)), steps=[{"at": 9, "do": "expander_nack", "board": 1}])
        rig.world.plant.load_a = load_a
        rig.close(5, 6)
        rig.wait(4000)
        rig.found()
        on_trial(rig, 1, 2)
        told = {text for _, text in rig.found()}
        assert ("a trial though the output has its supply" in told) == wrong, load_a


def test_the_limit_of_a_start_is_none_of_a_trial():
    for trial in (True, False):
        rig = rig_of(LOW, LOW, hard_current_pct=0)
        if trial:
            on_trial(rig, 1, 2)
        else:
            rig.close(1, 2)
        rig.wait(15)
        for n in (1, 2):
            rig.feel(n, ma=45000)
        rig.wait(20)
        end(rig, 1, 2)
        for n in (1, 2):
            rig.feel(n)
        rig.wait(500)
        rig.found()
        rig.close(1, 2)
        assert ((1, "started too soon after a failure") in rig.found()) != trial, trial


def test_the_end_of_a_trial_says_nothing_of_a_load_that_comes_later():
    rig = rig_of(0.8, 0.84, 0.8, 0.8, LOW, LOW)
    on_trial(rig, 5, 6)
    rig.wait(50)
    end(rig, 5, 6)
    rig.wait(1000)
    rig.close(1, 3, 4)
    rig.wait(2000)
    assert not tells_a_wide_start(rig)


def test_only_what_is_on_trial_may_open_so():
    rig = rig_of(0.8, 0.8)
    rig.close(1, 2)
    rig.wait(2000)
    rig.open(1, 2)
    assert rig.found() == [(1, UNEXPLAINED), (2, UNEXPLAINED)]
