# SPDX-License-Identifier: GPL-3.0-only
"""Tests the referee on packs that could be on the bus and are not. No firmware."""

from parallelator.catalog import LOCKED
from refereed import KEPT_OFF, Rig, fail_start, running, running_two_of_three


def test_a_healthy_pack_is_kept_off_for_a_pause_at_most():
    # The reconnect delay, doubled once, 500 ms for each of two packs and five seconds.
    rig = running(0.8, 0.8)
    rig.trip(1)
    rig.wait(25000)
    assert rig.found() == []
    rig.wait(2000)
    assert rig.found() == [(1, KEPT_OFF)]


def kept_off(n, soc, ms=60000, **options):
    """Whether battery n, 3 or 5 of a rig whose 1 and 2 are on, is reported as kept off."""
    socs = [0.8, 0.8, soc, 0.8, 0.8]
    rig = Rig(*socs[:n], **options)
    rig.wait(1000)
    rig.close(1, 2)
    if n == 5:
        rig.close(3, 4)
    rig.wait(ms)
    return (n, KEPT_OFF) in rig.found()


def test_one_that_carries_nothing_does_not_tell_what_the_others_hold():
    # With the one of 0.8, which is level with the output, the median is 56 mV lower.
    for soc, kept in ((0.752, True), (0.743, False)):
        rig = Rig(0.768, 0.8, 0.82, 0.82, soc)
        rig.wait(1000)
        rig.close(1, 2, 3, 4)
        rig.wait(60000)
        assert ((5, KEPT_OFF) in rig.found()) == kept, soc


def test_the_pause_after_failed_starts_holds_beside_a_weld_too():
    for failures, kept in ((0, True), (4, False)):
        rig = Rig(0.8, 0.8, 0.8)
        rig.wait(6000)
        for pause_s in (5, 2, 11, 11)[:failures]:
            fail_start(rig, pause_s)
        rig.world.plant.load_a = 2
        rig.world.plant.weld(0)
        rig.wait(40000)
        assert ((3, KEPT_OFF) in rig.found()) == kept, failures
        rig.wait(120000)
        assert (3, KEPT_OFF) in rig.found() or kept, "not for ever"


def test_nobody_is_kept_off_who_has_a_reason():
    def lasting(do, **where):
        return {"steps": [dict(where, do=do, at=2)]}

    assert kept_off(3, 0.8) and kept_off(5, 0.8)
    # Too far, too hot, too much inrush or a share of it too near the hard limit; a wrong sensor.
    assert not kept_off(3, 0.7)
    assert not kept_off(3, 0.95)
    assert not kept_off(3, 0.8, **lasting("sensor_heat", n=3, c=71))
    assert kept_off(3, 0.75, voltage_offset_mv=1000)
    assert not kept_off(3, 0.7, voltage_offset_mv=1000)
    assert kept_off(3, 0.715, voltage_offset_mv=1000)
    assert not kept_off(3, 0.715, voltage_offset_mv=1000, hard_current_pct=100)
    assert not kept_off(3, 0.8, sensors={3: "ina219"})
    # Too low to come back: 24.15 V of 25 V.
    rig = Rig(0.1)
    rig.wait(60000)
    assert rig.found() == []
    # A fault of its own, and a board that may still hold its batteries.
    assert not kept_off(3, 0.8, **lasting("sensor_nack", n=3))
    assert not kept_off(3, 0.8, **lasting("sensor_freeze", n=3))
    assert not kept_off(3, 0.8, **lasting("expander_nack", board=0))
    assert not kept_off(5, 0.8, **lasting("expander_nack", board=1))
    assert not kept_off(5, 0.8, **lasting("expander_nack", board=0))
    # A fuse that blew behind its sensor, one before it, its own BMS, a cable that broke.
    assert not kept_off(3, 0.8, **lasting("fuse_blow", n=3, side="bus"))
    assert not kept_off(3, 0.8, **lasting("fuse_blow", n=3))
    assert not kept_off(3, 0.8, **lasting("bms_open", n=3))
    assert not kept_off(5, 0.8, **lasting("line_cut", board=1, wire="sda"))
    # Delays: 5 s and ten for probes, 2.5 s of turns, five of patience.
    assert not kept_off(5, 0.8, ms=20000) and kept_off(5, 0.8, ms=23000)
    assert not kept_off(5, 0.8, start_delay_ms=60000)
    assert not kept_off(5, 0.8, join_interval_ms=10000)


def test_a_loaded_bus_leaves_no_share_for_the_one_that_waits():
    for load_a, wrong in ((10, True), (40, False)):
        rig = running_two_of_three(0.8)
        rig.world.plant.load_a = load_a
        rig.wait(60000)
        assert ((3, KEPT_OFF) in rig.found()) == wrong, load_a


def test_a_lock_is_believed_after_a_fault_of_the_board_only():
    for faulted in (False, True):
        rig = running_two_of_three(0.8)
        if faulted:
            rig.world.wires.upset[0x20] = rig.world.now_us
        rig.state[2] = LOCKED
        rig.wait(60000)
        assert ((3, KEPT_OFF) in rig.found()) != faulted, faulted
    rig.referee.requested(rig.world.now_us, "reset", 2)
    rig.wait(60000)
    assert rig.found() == [(3, "locked for another's fault"), (3, KEPT_OFF)]


def test_a_trip_that_may_count_may_lock():
    # After a falsified reading nobody outside knows what was counted, until it is forgiven.
    for on_s, wrong in ((5, False), (20, True)):
        rig = running(0.8, 0.8, max_trips=3, trip_decay_s=10, reconnect_delay_ms=1000)
        for _ in range(2):
            rig.wait(on_s * 1000)
            rig.world.wires.upset[0x40] = rig.world.now_us
            rig.trip(1)
            rig.wait(200)
            rig.close(1)
        rig.world.wires.upset[0x40] = rig.world.now_us
        rig.wait(100)
        rig.open(1)
        rig.wait(120000)
        assert ((1, KEPT_OFF) in rig.found()) == wrong, on_s
    rig = running(0.8, 0.8, max_trips=1)
    rig.world.wires.upset[0x40] = rig.world.now_us
    rig.trip(1)
    rig.wait(60000)
    assert rig.found() == []
    rig.referee.requested(rig.world.now_us, "reset", 0)
    rig.wait(60000)
    assert rig.found() == [(1, KEPT_OFF)]


def test_a_failed_start_counts_against_nobody():
    rig = Rig(0.8, 0.8, max_trips=1)
    fail_start(rig, 1)
    rig.wait(60000)
    assert rig.found() == [(1, KEPT_OFF), (2, KEPT_OFF)]


def test_a_dead_bus_has_to_be_started():
    rig = Rig(0.8, 0.8)
    rig.wait(20000)
    assert rig.found() == []
    rig.wait(4000)
    assert rig.found() == [(1, KEPT_OFF), (2, KEPT_OFF)]


def test_a_bus_that_dies_lets_everybody_wait_anew():
    rig = Rig(0.8, 0.8, 0.8)
    for _ in range(4):
        rig.wait(8000)
        rig.close(1, 2)
        rig.wait(1500)
        rig.trip(1)
        rig.open(2)
    assert (3, KEPT_OFF) not in rig.found()
    rig.wait(25000)
    assert (3, KEPT_OFF) in rig.found()


def test_a_person_who_asks_for_it_waits_for_a_start():
    rig = Rig(0.8, 0.8, reconnect_delay_ms=1000)
    for before_s in (5, 1, 1, 1):
        fail_start(rig, before_s)
    rig.wait(40000)
    rig.referee.requested(rig.world.now_us, "reset", 0)
    rig.wait(1000)
    assert rig.found() == []
    rig.wait(10000)
    assert rig.found() == [(1, KEPT_OFF), (2, KEPT_OFF)]


def test_a_bus_that_comes_alive_lets_everybody_join_in_their_turn():
    rig = Rig(0.8, 0.8, 0.84)
    for before_s in (5, 1, 10, 10):
        fail_start(rig, before_s)
    rig.wait(60000)
    rig.close(1, 2)
    rig.wait(500)
    assert rig.found() == []
    rig.wait(20000)
    assert rig.found() == [(3, KEPT_OFF)]
