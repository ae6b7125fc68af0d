# SPDX-License-Identifier: GPL-3.0-only
"""I2C fails as a whole: nothing opens that stands as commanded, and what is due comes first."""

from sim.wires import DRIVERS
from support import clean, moves, play, state_at

EIGHT = [{"n": n, "soc": 0.5} for n in range(1, 9)]
TIGHT = {"limits": {"hard_current_pct": 150}}


def outage(duration_s=30, steps=(), **plan):
    """Eight packs under 20 A; SDA is low from 20 s on until 1500 clocks have come."""
    plan.setdefault("settings", TIGHT)
    steps = [{"at": 20, "do": "bus_stuck", "clocks": 1500}] + list(steps)
    return play(
        duration_s=duration_s, batteries=EIGHT, load=[[0, 0], [10, 20]], steps=steps, **plan
    )


def test_a_measuring_fault_of_two_seconds_darkens_nothing():
    for driver in DRIVERS:
        report = outage(60, driver=driver)
        clean(report)
        for n in range(1, 9):
            assert len(moves(report, n)) == 1, (driver, n, moves(report, n))
            assert state_at(report, n, 59)[0] == "on"
        states = {state for ms, _, state, _ in report["timeline"] if ms > 19000}
        assert not states & {"absent", "tripped", "uncontrolled"}, states
        assert report["i2c"]["recoveries"] == 1 and report["resets"] == 0


def test_an_off_that_is_asked_for_meanwhile_comes_first_and_alone():
    for driver in DRIVERS:
        report = outage(
            steps=[{"at": 21, "do": "request", "n": 3, "action": "off"}], driver=driver
        )
        clean(report)
        assert [closed for _, closed in moves(report, 3)] == [1, 0]
        assert moves(report, 3)[1][0] < 25
        assert all(len(moves(report, n)) == 1 for n in range(1, 9) if n != 3)


def test_a_pack_beyond_its_limit_at_the_end_opens_then_and_alone():
    for driver in DRIVERS:
        steps = [{"at": 20.5, "do": "inject_current", "n": 5, "ma": 30000}]
        report = outage(steps=steps, driver=driver)
        assert [closed for _, closed in moves(report, 5)][:2] == [1, 0]
        assert all(len(moves(report, n)) == 1 for n in range(1, 9) if n != 5)


def test_a_pack_that_lost_its_sensor_in_the_outage_opens_half_a_second_after():
    report = outage(steps=[{"at": 21, "do": "sensor_nack", "n": 2}])
    (_, (opened_s, _)) = moves(report, 2)[:2]
    assert state_at(report, 2, 29) == ("absent", "sensor_lost") and opened_s < 25, opened_s
    assert all(len(moves(report, n)) == 1 for n in range(1, 9) if n != 2)


def test_a_time_that_nobody_saw_is_no_evidence():
    # Below its limit before and after, never for a second in sight.
    steps = [
        {"at": 19.6, "do": "inject_voltage", "n": 4, "mv": -3000},
        {"at": 23.8, "do": "inject_voltage", "n": 4, "mv": 0},
    ]
    report = outage(steps=steps)
    assert len(moves(report, 4)) == 1, moves(report, 4)


def test_a_cable_that_is_cut_is_an_outage_too():
    everybody = [
        {"at": at_s, "do": "sensor_nack", "n": n, "on": on}
        for at_s, on in ((20, True), (22, False))
        for n in range(1, 9)
    ]
    everybody += [
        {"at": at_s, "do": "expander_nack", "board": b, "on": on}
        for at_s, on in ((20, True), (22, False))
        for b in (0, 1)
    ]
    for driver in DRIVERS:
        report = play(
            duration_s=30,
            batteries=EIGHT,
            load=[[0, 0], [10, 20]],
            steps=everybody,
            driver=driver,
        )
        assert all(len(moves(report, n)) == 1 for n in range(1, 9)), report["timeline"]
        assert all(state_at(report, n, 29)[0] == "on" for n in range(1, 9))


def test_an_expander_that_was_silent_alone_opens_nothing_when_it_returns():
    steps = [
        {"at": 20, "do": "expander_nack", "board": 1},
        {"at": 23, "do": "expander_nack", "board": 1, "on": False},
    ]
    report = play(duration_s=30, batteries=EIGHT, load=[[0, 0], [10, 20]], steps=steps)
    clean(report)
    assert state_at(report, 6, 22)[0] == "uncontrolled"
    for n in range(1, 9):
        assert len(moves(report, n)) == 1 and state_at(report, n, 29)[0] == "on", n


def test_what_carried_while_its_expander_was_silent_is_not_taken_for_a_weld_later():
    steps = [
        {"at": 20, "do": "expander_nack", "board": 1},
        {"at": 23, "do": "expander_nack", "board": 1, "on": False},
        {"at": 25, "do": "sensor_lie", "n": 6, "offset_ma": -55000},
    ]
    report = play(duration_s=30, batteries=EIGHT, load=[[0, 0], [10, 20], [21, 30]], steps=steps)
    clean(report)
    for n in range(1, 9):
        assert (state_at(report, n, 29)[0] == "on") == (n != 6), n


def test_an_off_waits_for_the_expander_that_is_silent():
    steps = [
        {"at": 20, "do": "expander_nack", "board": 1},
        {"at": 21, "do": "request", "n": 6, "action": "off"},
        {"at": 23, "do": "expander_nack", "board": 1, "on": False},
    ]
    report = play(duration_s=30, batteries=EIGHT, load=[[0, 0], [10, 20]], steps=steps)
    (_, (opened_s, _)) = moves(report, 6)
    assert 23 < opened_s < 24.3 and state_at(report, 6, 29)[0] == "off"
    assert all(len(moves(report, n)) == 1 for n in range(1, 9) if n != 6)


def test_a_board_whose_cable_was_loose_for_long_goes_on_as_it_stands():
    # Its sensors were given up, and are looked for at once when it is back.
    cut = {"do": "line_cut", "board": 1, "wire": "scl"}
    for lasted_s in (2, 7, 20):
        steps = [cut | {"at": 20}, cut | {"at": 20 + lasted_s, "on": False}]
        report = play(
            duration_s=25 + lasted_s, batteries=EIGHT, load=[[0, 0], [10, 20]], steps=steps
        )
        clean(report)
        assert state_at(report, 6, 19 + lasted_s)[0] == "uncontrolled"
        for n in range(1, 9):
            assert len(moves(report, n)) == 1, (lasted_s, n, moves(report, n))
            assert state_at(report, n, 24 + lasted_s)[0] == "on", (lasted_s, n)
