# SPDX-License-Identifier: GPL-3.0-only
"""Tests the referee on what joins a supplied output: turns, currents, relief, voltages. No
firmware."""

from refereed import FAR, TRIPPED_TOO_OFTEN, UNEXPLAINED, Rig, running

TURN = "joined before its turn"
AGAIN = "relieved again within ten seconds"
MUCH = "joined with too much current"
UNCHARGED = "closed though nothing charges it"
UNRECOVERED = "closed before it recovered"
FULL = "closed though full and the output is charged"
LOW = 0.08
"""23.8 V, below the limit of 24 V and above the charge floor."""


def loaded(load_a, *socs, on=2, **options):
    """A rig whose first packs carry a load; the others wait."""
    rig = Rig(*socs, **options)
    rig.world.plant.load_a = load_a
    rig.wait(1000)
    rig.close(*range(1, on + 1))
    rig.wait(2000)
    rig.found()
    return rig


def test_one_joins_at_a_time():
    for ms, wrong in ((400, True), (480, False)):
        rig = loaded(4, 0.8, 0.8, 0.8, 0.8)
        rig.close(3)
        rig.wait(ms)
        rig.close(4)
        assert ((4, TURN) in rig.found()) == wrong, ms
    rig = loaded(4, 0.8, 0.8, 0.8, 0.8)
    rig.close(3, 4)
    assert (4, TURN) in rig.found()


def test_packs_that_are_on_and_carry_nothing_may_be_joined_together():
    rig = loaded(0, 0.8, 0.8, 0.8, 0.8)
    rig.close(3, 4)
    assert rig.found() == []
    rig = loaded(0, 0.8, 0.8, 0.8, 0.95)
    rig.close(3, 4)
    assert rig.found() == [(4, FAR)]


def test_a_join_stays_inside_its_currents():
    # 1.2 V on 50 mOhm to one and a half times as much: 18 A of 10 A.
    for soc, limit_ma, wrong in ((0.97, 10000, True), (0.97, 20000, False), (0.83, 10000, False)):
        rig = loaded(
            4,
            *(0.8, 0.8, soc),
            voltage_offset_mv=2000,
            max_discharge_current_ma=limit_ma,
            max_charge_current_ma=20000,
            max_current_ma=20000,
            hard_current_pct=200,
        )
        rig.close(3)
        assert ((3, MUCH) in rig.found()) == wrong, (soc, limit_ma)


def test_relief_comes_together_and_from_twice_as_far():
    # 30 A of two that may carry 10 A each for long; 0.93 lies 0.77 V above 0.8.
    for load_a, found in ((18, [(3, FAR), (4, TURN), (4, FAR)]), (30, [])):
        rig = loaded(load_a, 0.8, 0.8, 0.93, 0.93, hard_current_pct=300)
        rig.close(3, 4)
        assert sorted(rig.found()) == found, load_a
    rig = loaded(30, 0.8, 0.8, 1.0, hard_current_pct=300)
    rig.close(3)
    assert (3, FAR) in rig.found()


def test_relief_comes_once_in_ten_seconds():
    for s, wrong in ((9, True), (10, False)):
        rig = loaded(70, *(7 * (0.8,)), hard_current_pct=400)
        rig.close(3, 4)
        rig.wait(s * 1000)
        rig.found()
        rig.close(5, 6)
        assert ((5, AGAIN) in rig.found()) == wrong, s


def test_one_that_fits_by_what_could_be_known_is_no_relief():
    # 0.93 lies 0.77 V above 0.8: by 100 mOhm for each of them, 17 A make up for more than that.
    for mohm, wrong in ((30, True), (100, False)):
        rig = loaded(70, 0.8, 0.8, 0.8, 0.8, 0.93, hard_current_pct=400, pack_resistance_mohm=mohm)
        rig.close(3, 4)
        rig.wait(1000)
        rig.found()
        rig.close(5)
        assert ((5, AGAIN) in rig.found()) == wrong, mohm


def test_currents_beyond_belief_pass_for_a_dead_output():
    # 18 A are 1.2 times the hard limit. A start of two boards fails and counts for nobody.
    for load_a, wrong in ((32, True), (40, False)):
        rig = loaded(load_a, *(6 * (0.8,)), max_trips=1)
        rig.close(3, 5)
        rig.wait(320)
        for n in (3, 5):
            rig.feel(n, ma=20000)
        rig.wait(20)
        rig.open(3, 5)
        for n in (3, 5):
            rig.feel(n)
        rig.wait(3000)
        rig.found()
        rig.close(3, 5)
        found = rig.found()
        for n, what in ((5, AGAIN), (3, TRIPPED_TOO_OFTEN), (5, TRIPPED_TOO_OFTEN)):
            assert ((n, what) in found) == wrong, (load_a, n, what)


def test_a_low_pack_joins_only_what_is_charged():
    for source_a, wrong in ((0, True), (8, False)):
        rig = loaded(0, LOW, LOW, LOW)
        rig.world.plant.source_a = source_a
        rig.wait(1000)
        rig.found()
        rig.close(3)
        assert ((3, UNCHARGED) in rig.found()) == wrong, source_a
    rig = loaded(0, 0.005, 0.005, 0.005)
    rig.world.plant.source_a = 8
    rig.wait(1000)
    rig.found()
    rig.close(3)
    assert (3, "closed below the charge floor") in rig.found()


def charged_and_given(ms, on_trial=False):
    """What is found of a low pack that joined what was charged, and gives for a time."""
    rig = loaded(0, LOW, LOW, LOW)
    rig.world.plant.source_a = 8
    rig.wait(1000)
    rig.close(3)
    rig.wait(1000)
    rig.world.plant.source_a = 0
    rig.world.plant.load_a = 3
    rig.found()
    rig.wait(ms)
    return rig


def test_a_low_pack_that_gives_opens_after_a_second():
    rig = charged_and_given(900)
    rig.open(3)
    assert (3, UNEXPLAINED) in rig.found()
    rig = charged_and_given(1050)
    rig.open(3)
    assert (3, UNEXPLAINED) not in rig.found()
    rig = charged_and_given(1600)
    assert (3, "closed though it joined to be charged and gives") in rig.found()


def empty(rig):
    """Battery 1 opens since it is empty."""
    rig.feel(1, mv=-4300)
    rig.wait(1100)
    rig.open(1)
    rig.feel(1, mv=-3800)
    rig.wait(1000)
    assert rig.found() == []


def test_an_empty_pack_waits_for_its_margin_or_a_person():
    # At rest 24.3 V: above the limit and 0.7 V below the recovery.
    for volts_mv, wish, wrong in ((-3800, None, True), (-3000, None, False), (-3800, "on", False)):
        rig = running(0.8, 0.8, voltage_offset_mv=5000)
        empty(rig)
        rig.feel(1, mv=volts_mv)
        if wish:
            rig.referee.requested(rig.world.now_us, wish, 0)
        rig.wait(300)
        rig.close(1)
        assert ((1, UNRECOVERED) in rig.found()) == wrong, (volts_mv, wish)


def test_an_empty_pack_joins_what_has_just_begun_to_be_charged():
    for charged_ms, wrong in ((0, True), (100, False)):
        rig = running(0.8, 0.8, 0.8, voltage_offset_mv=5000)
        empty(rig)
        rig.feel(1, mv=-3800)
        rig.wait(300)
        if charged_ms:
            rig.world.plant.source_a = 8
            rig.wait(charged_ms)
        rig.close(1)
        assert ((1, UNRECOVERED) in rig.found()) == wrong, charged_ms


def test_a_full_pack_joins_only_if_it_is_not_charged():
    # At 0.8 the packs stand at 28.14 V; 27.8 V is its recovery.
    for source_a, wrong in ((8, True), (0, False)):
        rig = running(0.8, 0.8, max_voltage_mv=28300)
        rig.feel(1, mv=300)
        rig.wait(600)
        rig.open(1)
        rig.feel(1)
        assert rig.found() == []
        rig.world.plant.source_a = source_a
        rig.wait(1000)
        rig.close(1)
        assert ((1, FULL) in rig.found()) == wrong, source_a


def test_the_load_s_fault_counts_for_no_pack():
    for pause_s, wrong in ((1, False), (32, True)):
        rig = running(0.8, 0.8, max_trips=1, reconnect_delay_ms=0)
        rig.trip(1)
        rig.wait(pause_s * 1000)
        rig.found()
        rig.trip(2)
        rig.wait(20000)
        rig.close(1, 2)
        assert ((1, TRIPPED_TOO_OFTEN) in rig.found()) == wrong, pause_s
