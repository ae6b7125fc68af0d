# SPDX-License-Identifier: GPL-3.0-only
"""Invariants of the architecture, checked in the source."""

import ast
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2] / "lib/parallelator"
PROTECTION = PACKAGE / "protection"
CHIPS = ("ina2xx", "ina_models", "ina_others", "tca9555")


def tree(path):
    return ast.parse(path.read_text())


def calls(path, name):
    """Every call of a method `name` in a file: what it is called on, as text."""
    return [
        ast.unparse(node.func.value)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == name
    ]


def test_a_switch_closes_in_one_place():
    closings = {
        path.name: [on for on in calls(path, "close") if "switches" in on]
        for path in PACKAGE.rglob("*.py")
    }
    assert {name: on for name, on in closings.items() if on} == {"states.py": ["self._switches"]}
    setters = [
        (path.name, ast.unparse(node))
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(tree(path))
        if isinstance(node, ast.AugAssign)
        and isinstance(node.op, ast.BitOr)
        and ast.unparse(node.target).endswith("wanted")
    ]
    assert setters == [("switches.py", "self.wanted |= mask")]


def test_only_the_rules_that_admit_a_battery_connect_it():
    # `connect` and `start` close; only guard calls them, with what the connector chose.
    callers = {
        path.name: [on for on in calls(path, "connect") + calls(path, "start") if "states" in on]
        for path in PACKAGE.rglob("*.py")
    }
    assert {name: len(on) for name, on in callers.items() if on} == {"guard.py": 2}
    chosen = [node for node in ast.walk(tree(PROTECTION / "guard.py")) if is_choice(node)]
    assert len(chosen) == 1


def is_choice(node):
    return isinstance(node, ast.Assign) and "self._connector.choose(" in ast.unparse(node.value)


def test_only_the_guards_parts_touch_the_bus():
    users = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        for name in ("read", "write8", "write16")
        if any(on.endswith("i2c") for on in calls(path, name))
    }
    assert users == {f"hardware/{name}.py" for name in CHIPS}


def test_limits_reach_the_rules_from_the_settings_and_from_nowhere_else():
    makers = {
        path.name
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("Limits")
    }
    # The rig makes some of settings that are about to be saved, to see whether they fit.
    assert makers == {"app.py", "rig.py"}
    for path in PROTECTION.glob("*.py"):
        for node in ast.walk(tree(path)):
            if isinstance(node, (ast.Assign, ast.AugAssign)):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                for target in targets:
                    text = ast.unparse(target)
                    assert not text.startswith(("limits.", "lim.", "self._limits.")), text


def test_every_task_asks_the_guard_before_its_steps():
    # This task asks the guard itself.
    own = {"protect"}
    made = [
        node
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("asyncio.")
    ]
    runners = {node.args[0].func.attr for node in made if node.func.attr in ("create_task", "run")}
    assert {name.lstrip("_") for name in runners - own} == {"run_after_guard"}, runners
    assert own <= runners
    assert not {node.func.attr for node in made} & {"gather", "wait_for", "wait_for_ms"}
