# SPDX-License-Identifier: GPL-3.0-only
"""The referee finds a broken firmware by the right rule, and a sound one clean.

Every scenario of a sabotage is also played without it, and is clean.
"""

import sabotage
from sim import harness, scenario
from support import ROOT, clean, play

LEVEL = [{"n": n, "soc": 0.8} for n in range(1, 5)]


def pulse(n, at_s, ma, for_s=0.2):
    """Steps that add `ma` to what sensor n sees, for a while."""
    return [
        {"at": at_s, "do": "inject_current", "n": n, "ma": ma},
        {"at": at_s + for_s, "do": "inject_current", "n": n, "ma": 0},
    ]


def five_trips(n):
    steps = []
    for k in range(5):
        steps += pulse(n, 10 + 2 * k, 25000)
    return steps


QUICK = {"limits": {"reconnect_delay_ms": 1000}}


def found(break_it, what, **plan):
    """Assert that a plan is clean, and that with the sabotage the referee says `what`."""
    plan["settings"] = dict(plan.get("settings", {}))
    clean(play(**plan))
    violations = play(break_it, **plan)["violations"]
    assert what in {text for _, _, text in violations}, violations
    return violations


def test_a_fuller_pack_that_joins():
    packs = LEVEL[:3] + [{"n": 4, "soc": 0.98}]
    violations = found(
        sabotage.a_fuller_pack_joins,
        "joined from too far away",
        duration_s=10,
        batteries=packs,
        load=[[0, 8]],
    )
    assert violations[0][1] == 4, violations


def test_an_ignored_alert():
    steps = []
    for k in range(8):
        steps += pulse(2 * k + 1, 8 + 0.4137 * k, 25000)
    found(
        sabotage.alerts_are_ignored,
        "closed beyond the hard current limit",
        duration_s=12,
        load=[[0, 24]],
        steps=steps,
    )


def test_an_off_that_is_not_retried():
    steps = [
        {"at": 8, "do": "expander_nack", "board": 0},
        {"at": 8.001, "do": "request", "n": 2, "action": "off"},
        {"at": 8.03, "do": "expander_nack", "board": 0, "on": False},
    ]
    for what in ("closed while not on", "closed though switched off"):
        found(sabotage.an_off_is_not_retried, what, duration_s=9, batteries=LEVEL, steps=steps)


def test_a_stale_reading_that_is_used():
    steps = [{"at": 8, "do": "sensor_freeze", "n": 2}]
    found(
        sabotage.stale_readings_are_used,
        "closed beyond the hard current limit",
        duration_s=10,
        batteries=LEVEL,
        load=[[0, 8], [8.1, 110]],
        steps=steps,
    )
    found(
        sabotage.stale_readings_are_used,
        "closed without a valid reading",
        duration_s=10,
        batteries=LEVEL,
        steps=steps,
    )


def test_a_forgotten_lock():
    for kind in ("controller_reset", "power_cycle"):
        found(
            sabotage.locks_are_forgotten,
            "closed though it tripped too often",
            duration_s=28,
            batteries=LEVEL,
            settings=QUICK,
            load=[[0, 8]],
            steps=five_trips(2) + [{"at": 20, "do": kind}],
        )


def test_imbalance_without_the_odd_one():
    steps = [{"at": 8, "do": "inject_voltage", "n": 4, "mv": 1500}]
    violations = found(
        sabotage.the_odd_one_is_the_reference,
        "closed though out of balance",
        duration_s=11,
        batteries=LEVEL,
        steps=steps,
    )
    assert {n for _, n, _ in violations} == {4}, violations


def test_outputs_enabled_before_the_latch_is_clear():
    steps = [
        {"at": 8, "do": "board_unplug", "board": 0},
        {"at": 9, "do": "board_plug", "board": 0},
    ]
    found(
        sabotage.outputs_before_latch,
        "closed without having waited",
        duration_s=12,
        batteries=LEVEL,
        steps=steps,
    )


def test_a_limit_in_the_wrong_unit():
    for ma in (25000, -25000):
        found(
            sabotage.a_limit_in_microamps,
            "closed beyond the hard current limit",
            duration_s=9,
            batteries=LEVEL,
            steps=pulse(2, 8, ma),
        )


def test_a_group_that_is_too_wide():
    packs = [{"n": n, "soc": 0.6 + 0.05 * n} for n in range(1, 5)]
    found(
        sabotage.anybody_starts_a_dead_bus,
        "a group wider than the start spread",
        duration_s=7,
        batteries=packs,
    )


def test_a_closing_without_its_state():
    found(sabotage.closings_are_not_entered, "closed while not on", duration_s=8, batteries=LEVEL)


def test_an_off_that_is_not_obeyed():
    steps = [{"at": 8, "do": "request", "n": 2, "action": "off"}]
    found(
        sabotage.an_off_is_not_obeyed,
        "closed though switched off",
        duration_s=10,
        batteries=LEVEL,
        steps=steps,
    )
    steps.append({"at": 10, "do": "controller_reset"})
    found(
        sabotage.locks_are_forgotten,
        "closed though the operator wants it off",
        duration_s=17,
        batteries=LEVEL,
        steps=steps,
    )


OVERLOADED = {"batteries": LEVEL[:3], "load": [[0, 90]]}
"""Half as much again as three may give for a moment."""


def test_starts_that_are_not_counted():
    found(
        sabotage.starts_are_not_counted,
        "started too soon after a failure",
        duration_s=14,
        settings=QUICK,
        **OVERLOADED,
    )


def test_an_output_that_is_not_started_again():
    plan = dict(OVERLOADED, load=[[0, 90], [6.5, 10]])
    what = "the load has no supply"
    found(sabotage.what_failed_is_not_started_again, what, duration_s=25, **plan)


def test_a_load_that_counts_against_the_packs():
    what = "counted for another's fault"
    plan = dict(OVERLOADED, load=[[0, 10], [40, 70]])
    found(sabotage.the_load_is_every_packs_fault, what, duration_s=43, **plan)


def test_a_trial_that_leaves_empty_packs_on():
    # At 24.3 V under a load that empties them at once; the charger never comes.
    found(
        sabotage.a_charger_is_not_asked_for,
        "stays after a trial that did not charge it",
        duration_s=60,
        batteries=[{"n": n, "soc": 0.09, "capacity_ah": 1} for n in range(1, 5)],
        load=[[0, 4]],
    )


def test_one_trip_that_opens_everybody():
    found(
        sabotage.one_trip_opens_all,
        "went dark though healthy packs were on",
        duration_s=9,
        batteries=LEVEL,
        load=[[0, 10]],
        steps=pulse(2, 8, 25000),
    )


def test_an_opening_for_nothing():
    steps = [{"at": 8, "do": "inject_voltage", "n": 2, "mv": 900}]
    found(
        sabotage.a_limit_is_too_low,
        "opened without a cause",
        duration_s=10,
        batteries=LEVEL,
        steps=steps,
    )


def test_limits_that_nobody_judges():
    for mv, what in (
        (2300, "closed above the voltage limit"),
        (4000, "closed above the hard voltage limit"),
        (-4500, "closed below the voltage limit"),
        (-8000, "closed below the hard voltage limit"),
    ):
        steps = [{"at": 8, "do": "inject_voltage", "n": 1, "mv": mv}]
        found(sabotage.voltage_is_not_judged, what, duration_s=10, batteries=LEVEL, steps=steps)
    found(
        sabotage.overload_is_not_judged,
        "closed beyond the overload sum",
        duration_s=15,
        batteries=LEVEL[:1],
        load=[[0, 0], [8, 14]],
    )


def test_a_pack_that_never_returns():
    violations = found(
        sabotage.nobody_returns,
        "kept off without a cause",
        duration_s=45,
        batteries=LEVEL,
        settings=QUICK,
        steps=pulse(2, 8, 25000),
    )
    assert [n for _, n, _ in violations] == [2], violations


def test_the_scenarios_of_the_repository_are_clean():
    for name in ("demo", "trips"):
        plan = scenario.load("%s/tools/sim/scenarios/%s.json" % (ROOT, name))
        plan["settings"]["serial_messages"] = False
        report = harness.run(ROOT, plan, True, quiet=True)
        clean(report)
        assert report["failed"] == [], report["failed"]


def for_a_while(do, n=None, board=None, until_s=14, **details):
    """Steps: a fault from 8 s on that ends at until_s."""
    step = dict(details, do=do, n=n) if board is None else dict(details, do=do, board=board)
    return [dict(step, at=8), dict(step, at=until_s, on=False)]


FAULTS = (
    [{"at": 8, "do": "bus_stuck", "clocks": 9}] + pulse(2, 8.01, 20000),
    [{"at": 8, "do": "bus_noise", "rate": 0.001}, {"at": 20, "do": "bus_noise", "rate": 0}],
    for_a_while("sensor_nack", n=3) + pulse(3, 8.1, 20000, 3),
    for_a_while("sensor_freeze", n=3) + pulse(3, 8.1, 20000, 3),
    [{"at": 8 + k, "do": "sensor_reset", "n": k} for k in range(1, 5)],
    [{"at": 8, "do": "sensor_corrupt", "n": 2, "factor": 1.2, "reads": 60}],
    [{"at": at_s, "do": "sensor_heat", "n": 2, "c": c} for at_s, c in ((8, 95), (14, 40))],
    [{"at": 8, "do": "alert_stuck", "n": 2, "level": 0}],
    for_a_while("expander_nack", board=0) + pulse(2, 8.1, 20000, 3),
    [{"at": 8, "do": "expander_reset", "board": 0}],
    for_a_while("switch_weld", n=1) + [{"at": 9, "do": "request", "n": 1, "action": "off"}],
    for_a_while("switch_stuck_open", n=1),
    for_a_while("pin_stuck", n=2, level=0),
    for_a_while("pin_stuck", n=2, level=1) + [{"at": 9, "do": "request", "n": 2, "action": "off"}],
    for_a_while("alias", n=3, other=2, share=0.2),
    [{"at": 8, "do": "expander_corrupt", "board": 0, "register": 4, "value": 255}],
    [{"at": 8, "do": "expander_corrupt", "board": 0, "register": 6, "value": 0xFA}],
    [{"at": 8, "do": "expander_corrupt", "board": 0, "register": 2, "value": 0xA0}],
    for_a_while("override", board=0) + [{"at": 12, "do": "controller_reset"}],
    [{"at": 8, "do": "set_battery", "n": 1, "voltage_mv": 26000}],
    [{"at": 8, "do": "nvs_cut"}] + five_trips(2) + [{"at": 20, "do": "power_cycle"}],
    [
        {"at": 8, "do": "controller_reset"},
        {"at": 8.001, "do": "bus_stuck", "clocks": 9},
        {"at": 8.1, "do": "controller_reset"},
    ],
)
"""Faults that a sound firmware survives without a violation."""


def test_faults_are_no_violations():
    for steps in FAULTS:
        report = play(duration_s=40, batteries=LEVEL, load=[[0, 20]], steps=steps)
        assert report["violations"] == [], (steps, report["violations"])


def test_the_storage_is_counted_and_can_be_cut():
    steps = [
        {"at": 8, "do": "request", "n": 1, "action": "off"},
        {"at": 10, "do": "nvs_cut"},
        {"at": 11, "do": "request", "n": 2, "action": "off"},
        {"at": 13, "do": "controller_reset"},
    ]
    report = play(duration_s=20, batteries=LEVEL, steps=steps)
    clean(report)
    # Two boots with three numbers each, and a record for each change; what came after the cut is
    # not remembered.
    assert 8 <= report["nvs_writes"] <= 10, report["nvs_writes"]
    assert [closed for ms, n, closed in report["switch_writes"] if n == 1] == [1, 0]
    assert [closed for ms, n, closed in report["switch_writes"] if n == 2] == [1, 0, 1]
