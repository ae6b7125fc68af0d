# SPDX-License-Identifier: GPL-3.0-only
"""The self-test on the whole firmware: what it finds on faulty rigs, and that it harms none."""

from sim import current
from support import clean, play, state_at
from test_records import Run

BEGIN_S = 12
UNUSED = {"batteries": {str(n): {"mode": "unused"} for n in (6, 7, 8)}}
FACTS = ("clock", "sd_absent")
"""What these worlds lack: a network that tells the time, and a card."""


def tested(faults=(), batteries=5, load=6, **plan):
    """Play a rig of one and a quarter boards; returns report, verdicts by number and findings."""
    steps = [dict({"at": BEGIN_S - 0.5}, **fault) for fault in faults]
    steps += plan.pop("steps", [])
    report = play(
        batteries=batteries,
        duration_s=plan.pop("duration_s", 62),
        settings=UNUSED,
        load=[[0, load]] if type(load) is int else load,
        steps=steps + [{"at": BEGIN_S, "do": "selftest"}],
        **plan,
    )
    clean(report)
    result = report["selftest"]
    verdicts = {row["n"]: row["verdict"] for row in result["batteries"]}
    rows = [row for row in result["findings"] if not {row["code"], row["value"]} & set(FACTS)]
    return report, verdicts, {(row["n"], row["code"]): row for row in rows}


def dark_s(report):
    """Seconds without supply after the start of the test."""
    return sum(max(end - max(begin, 1000 * BEGIN_S), 0) for begin, end in report["dark_ms"]) / 1000


def all_back(report, numbers):
    return all(state_at(report, n, report["end_ms"] / 1000)[0] == "on" for n in numbers)


def test_a_good_rig_is_go_its_load_is_never_without_supply_and_all_come_back():
    report, verdicts, found = tested()
    assert not found, found
    assert set(verdicts.values()) == {"go"} and len(verdicts) == 5
    result = report["selftest"]
    assert result["stopped"] is None and 5900 < result["load_ma"] < 6100
    assert all(15 < mohm < 30 for mohm in result["r_mohm"][:5]), "70 % of 30 at once"
    assert all(row["missing"] == ["soc"] for row in result["batteries"])
    opened = {row[1] for row in report["timeline"] if row[3] == "self_test"}
    assert opened == {1, 2, 3, 4, 5}
    assert dark_s(report) == 0 and all_back(report, range(1, 6))


def test_without_a_load_batteries_are_compared_in_pairs_and_what_is_not_seen_is_not_good():
    packs = [{"n": n, "soc": 0.8 + 0.004 * n} for n in range(1, 6)]
    report, verdicts, found = tested(batteries=packs, load=0)
    assert not found and set(verdicts.values()) == {"go"}, (verdicts, found)
    alike = [{"n": n, "soc": 0.8} for n in range(1, 6)]
    report, verdicts, found = tested(batteries=alike, load=0)
    assert not found and set(verdicts.values()) == {"unmeasured"}, (verdicts, found)
    assert all_back(report, range(1, 6))


def test_faulty_switches_contacts_and_sensors_are_found():
    for fault, code, level in (
        ({"do": "switch_weld"}, "not_off", "no_go"),
        ({"do": "switch_stuck_open"}, "no_current", "no_go"),
        ({"do": "contact", "mohm": 20}, "resistance_high", "watch"),
        ({"do": "contact", "mohm": 200}, "resistance_high", "no_go"),
        ({"do": "sensor_lie", "offset_ma": 300}, "zero", "no_go"),
        ({"do": "sensor_lie", "gain_pct": 80}, "gain", "no_go"),
        ({"do": "sensor_lie", "sign": -1}, "reversed", "no_go"),
        ({"do": "alert_stuck", "level": 1}, "alert", "watch"),
    ):
        report, verdicts, found = tested([dict(fault, n=3)])
        assert found[3, code]["level"] == level and verdicts[3] == level, (fault, verdicts, found)
        assert {n for n, _ in found} == {3}, (fault, found)
        assert dark_s(report) == 0, fault
        assert fault["do"] != "contact" or all_back(report, range(1, 6)), fault


def test_a_bad_contact_is_never_left_alone_with_the_load():
    # It would seem to be another voltage, and keep all others out.
    for n in (3, 5):
        report, verdicts, found = tested([{"do": "contact", "mohm": 200, "n": n}], load=4)
        assert found[n, "resistance_high"]["level"] == "no_go"
        assert {row[0] for row in found} == {n}, found
        assert all_back(report, range(1, 6)) and dark_s(report) == 0


def test_a_load_that_fewer_cannot_carry_is_not_tried():
    report, verdicts, found = tested(load=32)
    assert (0, "load") in found and set(verdicts.values()) == {"unmeasured"}
    assert not [row for row in report["timeline"] if row[3] == "self_test"]


def test_any_touch_and_a_load_that_grows_end_it_and_all_come_back():
    touched = {"at": 20, "do": "request", "n": 2, "action": "reset"}
    for steps, load, why in (
        ([touched], [[0, 6]], ("wish",)),
        ((), [[0, 6], [25, 30]], ("grown", "trip")),
    ):
        report, verdicts, found = tested(steps=list(steps), load=load, duration_s=45)
        assert report["selftest"]["stopped"] in why, report["selftest"]
        assert "unmeasured" in verdicts.values()
        assert all_back(report, range(1, 6)) and dark_s(report) == 0


def test_a_reset_in_its_middle_leaves_no_battery_off():
    report = play(
        batteries=5,
        duration_s=45,
        settings=UNUSED,
        load=[[0, 6]],
        steps=[{"at": BEGIN_S, "do": "selftest"}, {"at": 27, "do": "power_cycle"}],
    )
    clean(report)
    assert [row for row in report["timeline"] if row[3] == "self_test"]
    assert all_back(report, range(1, 6))


def test_before_the_firmware_is_there_nobody_can_begin_one():
    # It mounts its card then.
    run = Run(batteries=2, duration_s=8, load=[[0, 4]], steps=[{"at": 0.02, "do": "selftest"}])
    clean(run.report)
    assert run.report["selftest"] is None and state_at(run.report, 1, 8)[0] == "on"


def test_an_alert_that_fires_leaves_each_chip_with_its_limit():
    for sensor, register in (("ina237", 0x0C), ("ina226", 0x07)):
        packs = [{"n": n, "sensor": sensor} for n in range(1, 6)]
        report, verdicts, found = tested(batteries=packs)
        assert not found and set(verdicts.values()) == {"go"}, (sensor, verdicts, found)
        assert all("fast" not in row["missing"] for row in report["selftest"]["batteries"])
        limits = {chip._reg[register] for chip in current.world.sensors if chip}
        assert len(limits) == 1 and limits.pop() < 0x8000, sensor
