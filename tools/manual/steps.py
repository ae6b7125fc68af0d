"""What the steps of a scenario take, read from tools/sim/scenario.py. Called by tables.py."""

import ast
from pathlib import Path

SCENARIO = Path(__file__).resolve().parents[1] / "sim/scenario.py"


def steps():
    """Every step: name to {key: None if it must be given, else its default as text, "" = none}.

    Raises:
        ValueError: a step reads its keys in a way that is not known here.
    """
    tree = ast.parse(SCENARIO.read_text())
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    table = next(node.value for node in tree.body if _named(node) == "STEPS")
    found = {}
    for name, function in zip(table.keys, table.values, strict=True):
        if isinstance(function, ast.Name):
            found[name.value] = _keys(functions, functions[function.id])
        else:
            # `request` goes to the firmware, not into the world.
            found[name.value] = _keys(functions, _branch(tree, name.value))
    return found


def _named(node):
    return node.targets[0].id if isinstance(node, ast.Assign) else None


def _branch(tree, name):
    """The body of the `if step["do"] == name`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and f"== '{name}'" in ast.unparse(node.test):
            return ast.Module(node.body, [])
    raise ValueError(f"scenario.py: nothing plays the step {name}")


def _keys(functions, body):
    keys = {}
    for node in ast.walk(body):
        if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.In):
            if ast.unparse(node.comparators[0]) == "step":
                keys.update(dict.fromkeys(_choices(body, node.left), ""))
        elif isinstance(node, ast.Subscript) and ast.unparse(node.value) == "step":
            if isinstance(node.slice, ast.Constant):
                keys.setdefault(node.slice.value)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "step.get":
            key, *default = (ast.literal_eval(arg) for arg in node.args if _is_plain(arg))
            keys[key] = repr(default[0]).lower().strip("'") if default else ""
        elif isinstance(node, ast.Call) and any(ast.unparse(arg) == "step" for arg in node.args):
            for key, default in _keys(functions, functions[node.func.id]).items():
                keys.setdefault(key, default)
    keys.pop("do", None)
    return keys


def _is_plain(node):
    return isinstance(node, ast.Constant)


def _choices(body, node):
    """What `node` of `node in step` may be: itself, or what its loop goes through."""
    if isinstance(node, ast.Constant):
        return [node.value]
    for loop in ast.walk(body):
        if isinstance(loop, ast.comprehension) and ast.unparse(loop.target) == node.id:
            return ast.literal_eval(loop.iter)
    raise ValueError(f"scenario.py: {ast.unparse(node)} in step")
