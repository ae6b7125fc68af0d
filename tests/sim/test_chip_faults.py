# SPDX-License-Identifier: GPL-3.0-only
"""Chips that lie: several ALERTs at once, flags nobody confirms, pins, registers, addresses."""

from support import clean, moves, play, state_at

SHIFT_S = 0.00713
"""From one run to the next a fault falls elsewhere in the tick."""
COUNTED = ("overcurrent", "overload", "overvoltage", "overtemperature", "switch_fault")


def packs(count, **details):
    return [dict({"n": n, "soc": 0.5}, **details) for n in range(1, count + 1)]


class Seen:
    """Events of a run, as (code, number), and the alarms at its end, as {(code, number)}."""

    def __init__(self):
        self.events = []
        self.snap = None

    def note(self):
        from parallelator.records import events
        from parallelator.snapshot import Snapshot

        # Not closures: calling one with so many arguments would allocate.
        def emit(log, code, i, state, reason, value, honest=events.Events.emit, seen=self):
            honest(log, code, i, state, reason, value)
            seen.events.append((code, i + 1))

        def made(snap, honest=Snapshot.__init__, seen=self):
            honest(snap)
            seen.snap = snap

        events.Events.emit = emit
        Snapshot.__init__ = made

    @property
    def alarms(self):
        return {(code, i + 1) for code, i, _ in self.snap.alarms()}


def watched(**plan):
    """The report of a run, whose ticks may allocate, and what was `Seen`."""
    seen = Seen()
    report = play(sabotage=seen.note, **plan)
    assert report["violations"] == [], report["violations"]
    return report, seen


# Several ALERTs


def short_a_cell(rig, load_a, at_s, **plan):
    steps = [{"at": at_s, "do": "set_battery", "n": 1, "voltage_mv": 22400}]
    plan.setdefault("settings", {"limits": {"hard_current_pct": 150}})
    report = play(duration_s=16, batteries=rig, load=[[0, 0], [8, load_a]], steps=steps, **plan)
    clean(report)
    return report


def test_a_shorted_cell_opens_its_battery_alone():
    for rig, load_a, runs in ((packs(8), 45, 4), (packs(3), 18, 6), (packs(2), 8, 2)):
        for k in range(runs):
            report = short_a_cell(rig, load_a, 12 + SHIFT_S * k)
            assert state_at(report, 1, 13) == ("tripped", "overcurrent"), (len(rig), k)
            for pack in rig[1:]:
                assert len(moves(report, pack["n"])) == 1, (len(rig), k, moves(report, pack["n"]))


def test_so_it_does_when_no_alert_tells_of_its_charge():
    opened = 0
    for k in range(6):
        report = short_a_cell(packs(8, sensor="ina226"), 45, 12 + SHIFT_S * k)
        assert state_at(report, 1, 13) == ("tripped", "overcurrent"), k
        opened += sum(len(moves(report, n)) > 1 for n in range(2, 9))
    # The first of the others may be alone with its ALERT for a moment.
    assert opened <= 1, opened


def test_all_that_are_beyond_their_limit_open_within_80_ms():
    for numbers in (range(1, 17), (3, 4), (1, 6, 11, 16)):
        for k in range(6):
            at_s = 10 + SHIFT_S * k
            steps = [{"at": at_s, "do": "inject_current", "n": n, "ma": 25000} for n in numbers]
            report = play(duration_s=11, load=[[0, 24]], steps=steps)
            clean(report)
            took = [opened - crossed for crossed, opened, _, _ in report["reactions"]]
            assert len(took) == len(numbers) and max(took) < 80, (numbers, k, took)


def test_a_pulse_that_all_feel_for_three_ms_opens_nobody():
    told = 0
    for k in range(8):
        at_s = 10 + SHIFT_S * k
        steps = []
        for n in range(1, 9):
            steps.append({"at": at_s, "do": "inject_current", "n": n, "ma": 25000})
            steps.append({"at": at_s + 0.003, "do": "inject_current", "n": n, "ma": 0})
        report, seen = watched(duration_s=11, batteries=packs(8), load=[[0, 12]], steps=steps)
        assert all(len(moves(report, n)) == 1 for n in range(1, 9)), k
        count = [code for code, _ in seen.events].count("flag_unconfirmed")
        assert count <= 1, (k, seen.events)
        told += count
    assert told > 3, told


# False flags and lines


def test_one_byte_in_2000_disturbed_trips_nobody():
    report = play(
        duration_s=420,
        batteries=packs(8),
        load=[[0, 0], [8, 20]],
        steps=[{"at": 10, "do": "bus_noise", "rate": 0.0005}],
    )
    clean(report)
    assert not [entry for entry in report["timeline"] if entry[2] in ("tripped", "locked")]
    assert not [entry for entry in report["timeline"] if entry[3] == "overcurrent"]
    assert all(end <= 9000 for _, end in report["dark_ms"]), report["dark_ms"]


def some_flags_are_false():
    from parallelator.hardware.ina2xx import ALERT, Ina237

    calls = [0]

    def prove(chip, honest=Ina237.prove, calls=calls):
        calls[0] += 1
        shown = honest(chip)
        return shown | ALERT if shown is not None and calls[0] % 100 == 0 else shown

    Ina237.prove = prove


def test_a_flag_that_no_current_and_no_second_look_confirms_is_an_event():
    seen = Seen()

    def sabotage():
        seen.note()
        some_flags_are_false()

    report = play(
        sabotage=sabotage, duration_s=60, batteries=packs(8), load=[[0, 0], [8, 20]], steps=[]
    )
    clean(report)
    assert all(len(moves(report, n)) == 1 for n in range(1, 9))
    told = [code for code, _ in seen.events].count("flag_unconfirmed")
    assert 10 <= told <= 14, told


def test_a_line_that_falls_alone_opens_its_battery_for_two_seconds():
    steps = [{"at": 10, "do": "alert_stuck", "n": 2, "level": 0}]
    report, seen = watched(duration_s=20, batteries=packs(4), load=[[0, 8]], steps=steps)
    (_, (opened_s, _), (closed_s, _)) = moves(report, 2)
    assert opened_s < 10.05 and 2 <= closed_s - opened_s < 3, (opened_s, closed_s)
    assert state_at(report, 2, 11) == ("tripped", "false_alert")
    assert ("alert_dead", 2) in seen.alarms


def test_lines_that_fall_together_open_nobody():
    steps = [{"at": 10, "do": "alert_stuck", "n": n, "level": 0} for n in range(1, 5)]
    report, seen = watched(duration_s=14, batteries=packs(8), load=[[0, 16]], steps=steps)
    assert all(len(moves(report, n)) == 1 for n in range(1, 9))
    assert {n for code, n in seen.alarms if code == "alert_dead"} == {1, 2, 3, 4}


# The expander


def test_a_pin_that_stays_low_keeps_its_battery_off_without_a_lock():
    steps = [
        {"at": 10, "do": "pin_stuck", "n": 3, "level": 0},
        {"at": 40, "do": "pin_stuck", "n": 3, "level": 0, "on": False},
    ]
    report = play(duration_s=70, batteries=packs(4), load=[[0, 8]], steps=steps)
    clean(report)
    assert moves(report, 3, 9)[0][0] < 10.1, moves(report, 3)
    assert state_at(report, 3, 15) == ("tripped", "pin_low")
    assert state_at(report, 3, 69)[0] == "on"
    assert all(len(moves(report, n)) == 1 for n in (1, 2, 4))
    assert "locked" not in [state for _, _, state, _ in report["timeline"]]


def test_a_pin_that_stays_high_is_told_and_counts_as_connected():
    steps = [
        {"at": 10, "do": "pin_stuck", "n": 3, "level": 1},
        {"at": 12, "do": "request", "n": 3, "action": "off"},
        {"at": 20, "do": "pin_stuck", "n": 3, "level": 1, "on": False},
    ]
    report, seen = watched(duration_s=18, batteries=packs(4), load=[[0, 8]], steps=steps[:2])
    assert ("pin_high", 3) in seen.alarms and ("stuck_closed", 3) not in seen.alarms
    assert state_at(report, 3, 17) == ("off", "operator")
    report, seen = watched(duration_s=22, batteries=packs(4), load=[[0, 8]], steps=steps)
    assert ("pin_high", 3) in seen.events and ("pin_high", 3) not in seen.alarms
    # It alone holds the output: the others are to join it, not to start.
    steps = [{"at": 10, "do": "pin_stuck", "n": 3, "level": 1}]
    steps += [{"at": 12, "do": "request", "n": n, "action": "off"} for n in range(1, 5)]
    steps += [{"at": 14, "do": "request", "n": n, "action": "auto"} for n in (1, 2, 4)]
    report, seen = watched(duration_s=18, batteries=packs(4), load=[[0, 8]], steps=steps)
    assert [code for code, _ in seen.events].count("group_start") == 1
    assert all(state_at(report, n, 17)[0] == "on" for n in (1, 2, 4))


def test_no_corrupt_register_closes_opens_or_locks_for_long():
    for register in range(2, 8):
        for value, off in ((0x00, ()), (0xFF, (2,)), (0x5A, (2,)), (0xA5, ())):
            steps = [{"at": 8, "do": "request", "n": n, "action": "off"} for n in off]
            step = {"at": 10.003, "do": "expander_corrupt", "board": 0}
            steps.append(dict(step, register=register, value=value))
            report = play(duration_s=16, batteries=packs(8), load=[[0, 16]], steps=steps)
            where = (register, value, off)
            assert report["alloc_violations"] == [], where
            states = {state for _, _, state, _ in report["timeline"]}
            assert not states & {"locked", "uncontrolled"}, (where, states)
            for n in range(1, 9):
                ends = "off" if n in off else "on"
                assert state_at(report, n, 15)[0] == ends, (where, n, report["timeline"])
                for _, number, closed in report["switch_writes"]:
                    assert number < 5 or closed
            open_s = [move for n in off for move in moves(report, n, 9)]
            for at_s, closed in open_s:
                assert not closed or at_s < 10.01, (where, open_s)


def test_a_polarity_that_turned_over_trips_nobody_and_is_put_right():
    for value in (0xFF, 0x0F, 0x80, 0x08):
        step = {"at": 10, "do": "expander_corrupt", "board": 0, "register": 4, "value": value}
        report, seen = watched(
            duration_s=14, batteries=packs(8), load=[[0, 16]], steps=[dict(step)]
        )
        assert ("expander_reset", 0) in seen.events, value
        opened = [n for n in range(1, 9) if len(moves(report, n)) > 1]
        # One line alone that falls is a false alert.
        assert opened == ([1] if value == 0x80 else []), (value, opened)
        assert not [code for code, _ in seen.alarms if code in ("alert_dead", "pin_high")]


# Addresses


def test_chips_that_answer_for_each_other_stay_off_until_they_do_no_more():
    for n, other, seed in ((3, 4, 1), (3, 4, 2), (5, 6, 1), (5, 6, 3)):
        steps = [
            {"at": 0, "do": "alias", "n": n, "other": other},
            {"at": 20, "do": "alias", "n": n, "other": other, "on": False},
        ]
        report, seen = watched(
            duration_s=50, batteries=packs(8), load=[[0, 12]], steps=steps, seed=seed
        )
        for k in (n, other):
            assert ("address_alias", k) in seen.events, (n, k, seed)
            assert state_at(report, k, 19.9) == ("absent", "address_alias"), (n, k, seed)
        for k in range(1, 9):
            assert state_at(report, k, 49)[0] == "on", (n, k, seed)
            if k not in (n, other):
                assert len(moves(report, k)) == 1, (n, k, seed)
        assert not [code for code, _ in seen.alarms if code == "address_alias"], (n, seed)


def test_chips_that_answer_for_themselves_are_never_taken_for_others():
    for sensor in ("ina237", "ina228", "ina226"):
        report, seen = watched(duration_s=8, batteries=packs(16, sensor=sensor))
        assert "address_alias" not in [code for code, _ in seen.events]
        assert all(state_at(report, n, 7)[0] == "on" for n in range(1, 17))
