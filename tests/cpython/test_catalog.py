# SPDX-License-Identifier: GPL-3.0-only
"""The catalogue is the only list of codes, and nothing of a code is forgotten."""

import ast
import json
import re
from pathlib import Path

import pytest

import firmware

ROOT = Path(__file__).resolve().parents[2]
LIB = ROOT / "lib/parallelator"
catalog = firmware.catalog()
ALARMS = {row[0] for row in catalog.CODES if row[3] & catalog.ALARM}
EVENTS = {row[0] for row in catalog.CODES if row[3] & catalog.EVENT}
KINDS = {
    "codes": ALARMS | EVENTS,
    "states": set(catalog.names(catalog.STATES)),
    "reasons": set(catalog.names(catalog.REASONS)) - {""},
    "actions": set(catalog.ACTIONS),
    "clears": set(catalog.CLEARS),
}
"""Kind to its codes; a list of four and more of one kind is a copy of the catalogue."""


def sources():
    """Path to syntax tree of every module of the firmware but the catalogue."""
    paths = [path for path in LIB.rglob("*.py") if path.name != "catalog.py"]
    return {path: ast.parse(path.read_text()) for path in paths}


def told(trees, method):
    """What literals are the first argument of calls of `method` or `_method`: (place, code)."""
    for path, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and node.args:
                name = getattr(node.func, "attr", getattr(node.func, "id", ""))
                if name.lstrip("_") == method:
                    for part in ast.walk(node.args[0]):
                        if isinstance(part, ast.Constant) and isinstance(part.value, str):
                            yield f"{path.relative_to(ROOT)}:{node.lineno}", part.value


def test_rows_are_whole():
    for code, severity, unit, holds in catalog.CODES:
        assert severity in catalog.SEVERITIES and unit in catalog.UNITS, code
        assert holds & (catalog.ALARM | catalog.EVENT), code
        assert holds & (catalog.PAGE | catalog.LOG | catalog.MQTT), code
        assert not holds & catalog.ACKNOWLEDGE or holds & catalog.ALARM, code
    codes = catalog.names(catalog.CODES)
    assert len(codes) == len(set(codes))
    rig_only = [bool(row[3] & catalog.RIG_ONLY) for row in catalog.CODES if row[0] in ALARMS]
    assert rig_only == sorted(rig_only), "alarms of one battery come first"
    for _, severity, ends, *_ in catalog.STATES:
        assert severity in catalog.SEVERITIES and ends in (*catalog.CLEARS, None)
    for _, unit, ends, states in catalog.REASONS:
        assert unit in catalog.UNITS and ends in (*catalog.CLEARS, None)
        assert set(states.split()) <= KINDS["states"]


@pytest.mark.parametrize("language", ["en", "fr"])
def test_every_code_has_its_words_and_every_word_its_code(language):
    words = json.loads((LIB / f"messages/{language}.json").read_text())
    assert set(words["alarm"]) == ALARMS
    assert set(words["event"]) == EVENTS
    assert set(words["state"]) == KINDS["states"]
    assert set(words["reason"]) == KINDS["reasons"] | {""}
    assert set(words["action"]) == KINDS["actions"]
    assert set(words["clears"]) == KINDS["clears"]


def test_every_code_is_raised_and_what_is_raised_has_a_row():
    trees = sources()
    emitted, raised = list(told(trees, "emit")), list(told(trees, "alarm"))
    assert [place for place, code in emitted if code not in EVENTS] == []
    assert [place for place, code in raised if code not in ALARMS] == []
    literals = {
        node.value
        for tree in trees.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert (ALARMS | EVENTS) - literals == set(), "in the catalogue, but nothing raises them"


def copies(text):
    """Lists in a Python or JavaScript source that hold four or more codes of one kind."""
    for found in re.findall(r"[\[({]\s*((?:[\"']\w+[\"'],?\s*){4,})[\])}]", text):
        listed = set(re.findall(r"[\"'](\w+)[\"']", found))
        for kind, codes in KINDS.items():
            if len(listed & codes) >= 4:
                yield kind, sorted(listed & codes)


def test_no_other_list_of_codes():
    found = {}
    for folder, pattern in (("lib", "*.py"), ("lib", "*.js"), ("tools", "*.py")):
        for path in (ROOT / folder).rglob(pattern):
            if path.name != "catalog.py":
                found |= {path.relative_to(ROOT): one for one in copies(path.read_text())}
    assert found == {}


def test_a_copy_is_found():
    for text in (
        'A = ("trip", "boot", "joined", "wish")',
        "const CALM = ['trip', 'boot', 'x',\n  'joined', 'wish'];",
        'X = {"off", "on", "tripped", "locked"}',
    ):
        assert len(list(copies(text))) == 1, text
    assert list(copies('A = ("trip", "boot", "joined", "other")')) == []


def test_each_number_is_the_place_of_its_code():
    for k, state in enumerate(catalog.names(catalog.STATES)):
        assert getattr(catalog, state.upper()) == k
    numbers = {name.lower(): k for name, k in vars(catalog.Reason).items() if name.isupper()}
    codes = ["none", *catalog.names(catalog.REASONS[1:])]
    assert numbers == {code: k for k, code in enumerate(codes)}


def test_alarms_come_first_and_of_them_those_of_a_battery():
    flags = [row[3] & (catalog.ALARM | catalog.RIG_ONLY) for row in catalog.CODES]
    assert flags == sorted(flags, key=(catalog.ALARM, catalog.ALARM | catalog.RIG_ONLY, 0).index)
    assert flags.count(catalog.ALARM) == catalog.BATTERY_ALARMS
    assert len(flags) - flags.count(0) == catalog.ALARMS
