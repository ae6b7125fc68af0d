# SPDX-License-Identifier: GPL-3.0-only
"""Start-up, trip, cooling, rejoining, locking and reset, through guard, chips and plant."""

from support import clean, moves, play, state_at

LEVEL = [{"n": n, "soc": 0.8} for n in range(1, 5)]
BEYOND_HARD_MA = 22000
"""The hard limit is twice the continuous one, 20 A."""


def pulse(n, at_s, ma, for_s=0.2):
    """Steps that add `ma` to what sensor n sees, for a while."""
    return [
        {"at": at_s, "do": "inject_current", "n": n, "ma": ma},
        {"at": at_s + for_s, "do": "inject_current", "n": n, "ma": 0},
    ]


def test_nothing_closes_before_the_start_delay_and_then_the_group_does():
    report = play(duration_s=8, batteries=LEVEL)
    clean(report)
    for n in range(1, 5):
        assert state_at(report, n, 1.5)[0] == "absent"
        assert state_at(report, n, 4) == ("waiting", "starting")
        assert state_at(report, n, 7)[0] == "on"
        ((closed_s, closed),) = moves(report, n)
        assert closed and 5.0 <= closed_s <= 6.5, closed_s


def test_a_group_start_carries_a_load_that_one_pack_could_not():
    report = play(duration_s=10, load=[[0, 40]])
    clean(report)
    assert all(state_at(report, n, 9)[0] == "on" for n in range(1, 17))
    assert len(report["switch_writes"]) == 16


def test_packs_outside_the_start_spread_join_one_by_one():
    packs = LEVEL[:2] + [{"n": 3, "soc": 0.75}, {"n": 4, "soc": 0.74}]
    # Under load: while nobody carries it, the bus may be dead, and all that fit close at once.
    report = play(duration_s=12, batteries=packs, load=[[0, 4]])
    clean(report)
    started = moves(report, 1)[0][0]
    third = moves(report, 3)[0][0]
    fourth = moves(report, 4)[0][0]
    assert moves(report, 2)[0][0] == started
    # The interval is one between two that join; a start has none before or after it.
    assert third > started and fourth - third >= 0.45, (started, third, fourth)


def test_a_start_beyond_the_limit_proves_the_sensor_no_liar():
    # ALERT is cleared at every tick then, and a fast i2c reads it again before a new conversion.
    again = [{"at": 8 + 2.013 * k, "do": "request", "n": 1, "action": "reset"} for k in range(10)]
    report = play(
        duration_s=30,
        batteries=LEVEL[:1],
        settings={"i2c_khz": 400, "limits": {"hard_current_pct": 150, "max_trips": 8}},
        load=[[0, 21]],
        steps=again,
    )
    clean(report)
    assert len(moves(report, 1)) > 15
    assert "sensor_lost" not in [reason for _, _, _, reason in report["timeline"]]


def test_a_pack_too_empty_or_too_full_stays_off_and_says_why():
    packs = LEVEL[:2] + [{"n": 3, "soc": 0.4}, {"n": 4, "soc": 1.0}]
    report = play(duration_s=12, batteries=packs)
    clean(report)
    assert state_at(report, 3, 11) == ("waiting", "bus_higher")
    assert state_at(report, 4, 11) == ("waiting", "bus_lower")
    assert moves(report, 3) == moves(report, 4) == []


def test_hard_overcurrent_opens_within_25_ms_and_counts():
    report = play(duration_s=12, batteries=LEVEL, steps=pulse(2, 10, BEYOND_HARD_MA))
    clean(report)
    ((crossed, opened, n, reason),) = report["reactions"]
    assert (n, reason) == (2, "overcurrent") and opened - crossed <= 25
    assert state_at(report, 2, 11) == ("tripped", "overcurrent")
    assert state_at(report, 1, 11)[0] == "on"


def test_an_overcurrent_of_5_ms_is_caught_by_its_alert_alone():
    # Longer than two averaging windows, shorter than any two samples of the scan.
    report = play(duration_s=12, steps=pulse(9, 10.0013, BEYOND_HARD_MA, 0.005))
    clean(report)
    assert state_at(report, 9, 11) == ("tripped", "overcurrent")


def test_hard_overcurrent_while_charging_opens_too():
    report = play(duration_s=12, batteries=LEVEL, steps=pulse(2, 10, -BEYOND_HARD_MA))
    clean(report)
    assert state_at(report, 2, 11) == ("tripped", "overcurrent")


def test_a_sensor_that_shows_a_charge_that_is_none_opens_nobody_else():
    # With its own battery open it could pass for one that cannot be opened and drinks.
    for load_a in (0, 2, 40):
        steps = pulse(5, 10, -24000, 5)
        report = play(duration_s=18, load=[[0, load_a]], steps=steps)
        clean(report)
        opened = {n for _, n, closed in report["switch_writes"] if not closed}
        assert opened == {5}, (load_a, opened)


def test_cooling_counts_from_the_trip():
    report = play(duration_s=25, batteries=LEVEL, steps=pulse(2, 10, BEYOND_HARD_MA))
    clean(report)
    assert state_at(report, 2, 19.0)[0] == "tripped"
    assert state_at(report, 2, 20.9)[0] == "on"
    (_, _), (opened_s, _), (closed_s, closed) = moves(report, 2)
    assert closed and 10.0 <= closed_s - opened_s <= 10.7, closed_s - opened_s


def test_the_fifth_counted_trip_locks_and_only_a_reset_unlocks():
    steps = []
    for k in range(5):
        steps += pulse(2, 10 + 12 * k, BEYOND_HARD_MA)
    steps += [
        {"at": 100, "do": "request", "n": 2, "action": "on"},
        {"at": 110, "do": "request", "n": 2, "action": "reset"},
    ]
    report = play(duration_s=115, batteries=LEVEL, steps=steps)
    clean(report)
    assert state_at(report, 2, 50)[0] == "tripped"
    assert state_at(report, 2, 59) == ("locked", "overcurrent")
    assert state_at(report, 2, 109)[0] == "locked"
    assert state_at(report, 2, 114)[0] == "on"
    assert len(moves(report, 2)) == 11


def test_overload_opens_after_the_inverse_time():
    # Battery 1 alone carries 14 A of at most 10 A: 4.6 s at 1.4 times the limit.
    report = play(duration_s=20, batteries=LEVEL[:1], load=[[0, 0], [10, 14]])
    clean(report)
    opened_s = moves(report, 1)[1][0]
    assert 4.5 <= opened_s - 10 <= 4.75, opened_s
    # It was the last one that was on: the load's fault, which is counted against the output.
    assert state_at(report, 1, 16) == ("tripped", "bus_overload")


def test_undervoltage_opens_one_of_four_uncounted_and_returns_at_the_margin():
    steps = [
        {"at": 10, "do": "inject_voltage", "n": 3, "mv": -4500},
        {"at": 30, "do": "inject_voltage", "n": 3, "mv": -3600},
        {"at": 50, "do": "inject_voltage", "n": 3, "mv": 0},
    ]
    report = play(duration_s=56, batteries=LEVEL, steps=steps)
    clean(report)
    opened_s = moves(report, 3, 9)[0][0]
    assert 1.0 <= opened_s - 10 <= 1.2, opened_s
    assert state_at(report, 3, 49) == ("tripped", "undervoltage")
    assert state_at(report, 3, 55)[0] == "on"
    assert all(len(moves(report, n)) == 1 for n in (1, 2, 4))


def test_overvoltage_opens_after_half_a_second_and_at_once_far_above():
    steps = [
        {"at": 10, "do": "inject_voltage", "n": 1, "mv": 2300},
        {"at": 10, "do": "inject_voltage", "n": 2, "mv": 4000},
    ]
    report = play(duration_s=14, batteries=LEVEL, steps=steps)
    clean(report)
    slow_s = moves(report, 1, 9)[0][0] - 10
    fast_s = moves(report, 2, 9)[0][0] - 10
    assert 0.5 <= slow_s <= 0.65 and fast_s <= 0.12, (slow_s, fast_s)
    assert state_at(report, 1, 13) == ("tripped", "overvoltage")


def test_a_silent_sensor_opens_its_battery_and_the_battery_returns():
    steps = [
        {"at": 10, "do": "sensor_nack", "n": 2},
        {"at": 20, "do": "sensor_nack", "n": 2, "on": False},
    ]
    report = play(duration_s=40, batteries=LEVEL, steps=steps)
    clean(report)
    assert moves(report, 2, 9)[0][0] - 10 <= 0.5
    assert state_at(report, 2, 12) == ("absent", "sensor_lost")
    assert state_at(report, 2, 39)[0] == "on"


def test_off_opens_within_100_ms_and_auto_joins_again():
    steps = [
        {"at": 10, "do": "request", "n": 2, "action": "off"},
        {"at": 15, "do": "request", "n": 2, "action": "auto"},
    ]
    report = play(duration_s=20, batteries=LEVEL, steps=steps)
    clean(report)
    assert moves(report, 2, 9)[0][0] - 10 <= 0.1
    assert state_at(report, 2, 14) == ("off", "operator")
    assert state_at(report, 2, 19)[0] == "on"


def test_on_skips_what_is_left_of_a_cooling_delay():
    steps = pulse(2, 10, BEYOND_HARD_MA) + [{"at": 12, "do": "request", "n": 2, "action": "on"}]
    report = play(duration_s=15, batteries=LEVEL, steps=steps)
    clean(report)
    assert state_at(report, 2, 11.9)[0] == "tripped"
    assert state_at(report, 2, 13)[0] == "on"


def test_starts_into_an_overload_are_counted_against_the_output_and_nobody_else():
    report = play(duration_s=60, batteries=LEVEL[:3], load=[[0, 75]])
    clean(report)
    for n in (1, 2, 3):
        # Once more after a second, since the capacitors are charged then, twice after the delay,
        # and from then on after a minute and more.
        starts = [at_s for at_s, closed in moves(report, n) if closed]
        pauses = [starts[k + 1] - starts[k] for k in range(len(starts) - 1)]
        assert len(pauses) == 3 and 1.3 <= pauses[0] <= 2, pauses
        assert all(10.3 <= pause <= 11 for pause in pauses[1:]), pauses
        assert len(moves(report, n)) == 8, moves(report, n)
        assert state_at(report, n, 39)[0] == state_at(report, n, 59)[0] == "tripped"
        assert state_at(report, n, 59)[1] == "bus_overload"


def test_a_pack_alone_that_starts_into_an_overload_keeps_its_sensor():
    # For 20 ms its ALERT is cleared as often as it comes; here for longer, so four times. Each
    # time its flags are read, which must not pass for a chip that does not convert.
    doubts = [0]

    def stretch():
        from parallelator.protection.guard import Guard
        from parallelator.protection.presence import Presence

        tick = Guard.tick
        doubt = Presence._doubt

        def doubted(presence, i, now):
            doubts[0] += 1
            doubt(presence, i, now)

        def stretched(guard):
            tick(guard)
            if guard._quiet_ms == 20:
                guard._quiet_ms = 35

        Guard.tick = stretched
        Presence._doubt = doubted

    report = play(stretch, duration_s=8, batteries=[{"n": 1, "soc": 0.8}], load=[[0, 200]])
    clean(report)
    assert [closed for _, closed in moves(report, 1)] == [1, 0, 1, 0], "a first start is two"
    assert state_at(report, 1, 7.9) == ("tripped", "bus_overload"), report["timeline"]
    assert doubts[0] <= 1, doubts


def test_a_reset_of_the_controller_opens_everything_first():
    report = play(duration_s=20, batteries=LEVEL, steps=[{"at": 10, "do": "controller_reset"}])
    clean(report)
    assert report["resets"] == 1
    for n in range(1, 5):
        opened_s = moves(report, n, 9)[0][0]
        assert opened_s - 10 <= 0.01, opened_s
        assert state_at(report, n, 19)[0] == "on"


def test_an_unplugged_board_leaves_the_others_alone():
    steps = [
        {"at": 10, "do": "board_unplug", "board": 1},
        {"at": 15, "do": "board_plug", "board": 1},
    ]
    report = play(duration_s=60, load=[[0, 20]], steps=steps)
    clean(report)
    assert all(len(moves(report, n)) == 1 for n in (1, 2, 3, 4, 9, 10, 11, 12, 13, 14, 15, 16))
    for n in (5, 6, 7, 8):
        assert state_at(report, n, 14)[0] in ("uncontrolled", "absent")
        assert state_at(report, n, 59)[0] == "on"
        assert [closed for _, closed in moves(report, n)] == [1, 0, 1]


def test_a_silent_expander_leaves_its_batteries_uncontrolled_until_it_answers():
    steps = [
        {"at": 10, "do": "expander_nack", "board": 0},
        {"at": 15, "do": "expander_nack", "board": 0, "on": False},
    ]
    report = play(duration_s=30, batteries=LEVEL, load=[[0, 8]], steps=steps)
    assert report["alloc_violations"] == []
    for n in range(1, 5):
        assert state_at(report, n, 14) == ("uncontrolled", "expander_lost")
        assert state_at(report, n, 16.1) == ("on", "") and moves(report, n, 9) == []


def test_a_stuck_bus_is_clocked_free():
    report = play(duration_s=15, batteries=LEVEL, steps=[{"at": 10, "do": "bus_stuck"}])
    clean(report)
    assert report["i2c"]["recoveries"] == 1
    assert all(state_at(report, n, 14)[0] == "on" for n in range(1, 5))
