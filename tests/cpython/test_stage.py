# SPDX-License-Identifier: GPL-3.0-only
"""The tables of the stage: what they play, and what counts as a miss."""

import pytest

from bench import contract, faults, nights
from sim.scenario import STEPS
from soak.scenarios import LEFT_OUT


def test_every_step_of_the_simulator_is_among_the_faults():
    played = {
        step["do"] for fault in faults.FAULTS for step in fault.before + fault.begin + fault.end
    }
    assert set(STEPS) - LEFT_OUT == played


def test_the_load_is_one_that_the_rest_can_carry():
    for cell in faults.cells(faults.SIZES, ""):
        rest = cell.size - len(cell.fault.struck(cell.size))
        asked_a = max(row[1] for row in cell.plan["load"])
        assert asked_a <= 0.8 * 10 * max(rest, 1), cell.name
        assert all(4 * step.get("board", 0) < cell.size for step in cell.plan["steps"]), cell.name


def told(cell, **more):
    report = {
        "failures": [],
        "dark_ms": [],
        "violations": [],
        "alloc_violations": [],
        "locked": [],
    }
    return cell.judge(dict(report, **more))


@pytest.mark.parametrize(
    "name, size, moment, dark_ms, missed",
    [
        ("switch_weld", 2, faults.RUNNING, [[0, 5600]], False),
        ("switch_weld", 2, faults.RUNNING, [[0, 5600], [13000, 13001]], True),
        ("switch_weld", 1, faults.RUNNING, [[13000, 13001]], False),
        ("switch_weld", 2, faults.START, [[0, 15000]], False),
        ("switch_weld", 2, faults.START, [[0, 5600], [15001, 15002]], True),
        ("override", 4, faults.RUNNING, [[13000, 13001]], False),
        ("override", 8, faults.RUNNING, [[13000, 13001]], True),
        ("power_cycle", 4, faults.RUNNING, [[12000, 27000]], False),
        ("power_cycle", 4, faults.RUNNING, [[12000, 27001]], True),
        ("power_cycle", 4, faults.START, [[0, 20600]], False),
        ("power_cycle", 4, faults.START, [[0, 20601]], True),
    ],
)
def test_how_long_it_may_be_dark(name, size, moment, dark_ms, missed):
    (fault,) = (fault for fault in faults.FAULTS if fault.name == name)
    assert (
        bool(told(faults.Cell(fault, size, "load", moment), dark_ms=dark_ms)["missed"]) == missed
    )


def test_a_lock_of_a_healthy_battery_and_a_violation_are_misses():
    (fault,) = (fault for fault in faults.FAULTS if fault.name == "switch_weld")
    cell = faults.Cell(fault, 4, "idle", faults.RUNNING)
    assert not told(cell, locked=[[1, 2, "locked", "switch_fault"]])["missed"]
    assert told(cell, locked=[[1, 3, "locked", "switch_fault"]])["missed"]
    assert told(cell, violations=[[1, 3, "opened without a cause"]])["missed"]


def closing(n, closed_ms, opened_ms, trial=False):
    return {"n": n, "closed_ms": closed_ms, "opened_ms": opened_ms, "trial": trial}


def test_a_night_counts_closings_locks_and_the_time_to_the_charge():
    night = nights.nights(0.1)[0]
    dawn_ms = night.charger_s * 1000
    report = {
        "failures": [],
        "violations": [],
        "alloc_violations": [],
        "locked": [],
        "dark_ms": [[1000, 3000]],
        "pages": [],
        "closings": [closing(n, 1000 * n, dawn_ms - 1000) for n in range(1, 17)]
        + [closing(1, dawn_ms - 900, dawn_ms - 800, True)]
        + [closing(n, dawn_ms + 1000 * n, None) for n in range(1, 17)],
    }
    figures = night.judge(report)
    assert figures["most"] == 2 and figures["trials"] == 1 and figures["dark_s"] == 2
    assert figures["together_s"] == 16 and not figures["missed"]
    report["closings"] += [closing(3, 5, 6)] * 2
    report["locked"] = [[5, 3, "locked", "overload"]]
    assert len(night.judge(report)["missed"]) == 2
    report["closings"] = [c for c in report["closings"] if c["n"] != 4]
    assert len(night.judge(report)["missed"]) == 3


def test_the_code_has_the_numbers_of_the_contract():
    for text, promised, _, where in contract.NUMBERS:
        assert contract.located(where).value == promised, text


def test_a_number_of_the_contract_is_changed_where_it_stands():
    node = contract.located("rules.RULES OVERVOLTAGE 1 3")
    text = (contract.ROOT / contract.file_of("rules")).read_text()
    before, after = text.splitlines(), contract.changed(text, node).splitlines()
    assert [(a, b) for a, b in zip(before, after, strict=True) if a != b] == [
        (line := before[node.lineno - 1], line.replace(" 500,", " 600,"))
    ]
