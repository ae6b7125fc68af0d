#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-only
"""Breaks one line of the protection at a time and counts how often a fast test notices.

    tools/soak/mutants.py [--module NAME ...] [--sample N] [--seed S] [--jobs N] [--longest S]

A mutant is a copy of the firmware in which one comparison, sign or constant is another, or one
operand of an `and` or `or`, or one `not`, is gone. It runs against the tests of tests/unit and
tests/cpython that import its module or a module of the protection that does, the shortest first;
those that take longer than `--longest` seconds of the processor are left out. The first that
fails, or takes too long, kills it.

0, 1, indices, and the sizes of `bytes` are left as they are. mutants.toml lists the mutants that
change nothing, each with its reason; what is listed there and is no mutant, or is killed, is
stale. The exit code is 0 when nothing is stale and 95 % of all others were killed.
"""

import argparse
import ast
import copy
import os
import random
import resource
import runpy
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from types import SimpleNamespace

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tests")]

from check_tree import imports, listed_files  # noqa: E402 - the path must come first

PACKAGE = "parallelator.protection"
FOLDER = "lib/parallelator/protection"
EQUIVALENT = "tools/soak/mutants.toml"
LEAST_PCT = 95
_COMPARED = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
}
"""What becomes of a comparison: its neighbour, and what it is not."""
_SIGNS = {ast.Add: ast.Sub, ast.Sub: ast.Add}
_LATE_TIMES = 10
_LATE_S = 3
"""A test that takes so many times its time on the processor, and this, goes on for ever."""


class Mutant(SimpleNamespace):
    """One change of one module.

    Attributes:
        module: its name; line: number of the line; text: the line; change: what became what.
        source: the changed module.
    """


class Test(SimpleNamespace):
    """One file of tests: its `path` in the repository, and the `seconds` that it takes."""


def versions(node):
    """Yield the syntax nodes that can stand in place of `node`."""
    if isinstance(node, ast.Compare):
        for k, op in enumerate(node.ops):
            for other in _COMPARED.get(type(op), ()):
                new = copy.deepcopy(node)
                new.ops[k] = other()
                yield new
    elif isinstance(node, (ast.BinOp, ast.AugAssign)) and type(node.op) in _SIGNS:
        new = copy.deepcopy(node)
        new.op = _SIGNS[type(node.op)]()
        yield new
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.Not)):
        yield node.operand
    elif isinstance(node, ast.BoolOp):
        for k in range(len(node.values)):
            rest = node.values[:k] + node.values[k + 1 :]
            yield ast.BoolOp(node.op, rest) if rest[1:] else rest[0]
    elif isinstance(node, ast.Constant) and type(node.value) is int and node.value > 1:
        yield ast.Constant(10 * node.value)


def kept(parent, node):
    """Return whether `node` stays as it is: an index, or the size of a block of memory."""
    if isinstance(node, ast.Call):
        return ast.unparse(node.func) in ("bytes", "bytearray")
    return isinstance(parent, ast.Subscript) and isinstance(node, ast.Constant)


def places(parent):
    """Yield (node, a function that puts another in its place) of all below `parent`."""
    for field, value in ast.iter_fields(parent):
        for at, node in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if isinstance(node, ast.AST) and not kept(parent, node):
                if at is None:
                    yield node, partial(setattr, parent, field)
                else:
                    yield node, partial(value.__setitem__, at)
                yield from places(node)


def mutants(module, text):
    """Yield every `Mutant` of the module named `module` with the source `text`."""
    lines = text.splitlines()
    tree = ast.parse(text)
    for node, put in list(places(tree)):
        for new in versions(node):
            change = f"{ast.unparse(node)} -> {ast.unparse(new)}"
            put(new)
            source = ast.unparse(tree)
            put(node)
            at = node.lineno
            yield Mutant(
                module=module, line=at, text=lines[at - 1].strip(), change=change, source=source
            )


def imported(path, names):
    """Return those of the modules `names` of the protection that the file `path` imports."""
    found = {module for _, module in imports(ast.parse((ROOT / path).read_text()), path)}
    return {name for name in names if f"{PACKAGE}.{name}" in found}


def tests_of(names):
    """Return {module: paths of the tests that import it, or a module that does}."""
    uses = {name: imported(f"{FOLDER}/{name}.py", names) for name in names}
    result = {name: [] for name in names}
    for path in listed_files(ROOT):
        if path.startswith(("tests/unit/test_", "tests/cpython/test_")):
            reached, new = set(), imported(path, names)
            while new:
                reached |= new
                new = set().union(*(uses[name] for name in new)) - reached
            for name in reached:
                result[name].append(path)
    return result


class Tree:
    """A copy of the repository in the folder `path`, whose protection can be replaced."""

    def __init__(self, path):
        self._path = path
        for name in listed_files(ROOT):
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, path / name)
        (path / "build").mkdir()
        for name in ("venv", "mpy-lib"):
            (path / "build" / name).symlink_to(ROOT / "build" / name)
        self._run = runpy.run_path(str(path / "tests/run.py"))

    def passes(self, test, timeout):
        """Return whether the file of tests passes within `timeout` seconds, None if it is late."""
        options = SimpleNamespace(k="", show=False)
        command = self._run["command"](self._path / test, options, "", os.devnull)
        process = subprocess.Popen(
            command if self._run["on_micropython"](self._path / test) else [*command, "-x"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self._path,
            # What Python compiled before would be taken for what is changed within its second.
            env=self._run["ENVIRONMENT"] | {"PYTHONDONTWRITEBYTECODE": "1"},
            start_new_session=True,
        )
        try:
            return process.wait(timeout) == 0
        except subprocess.TimeoutExpired:
            return None
        finally:
            self._run["kill_group"](process)
            process.wait()

    def fate(self, mutant, tests):
        """Return what became of a mutant: `killed`, `late` or `survived`."""
        file = self._path / FOLDER / f"{mutant.module}.py"
        original = file.read_text()
        file.write_text(mutant.source)
        try:
            for test in tests:
                passed = self.passes(test.path, _LATE_TIMES * test.seconds + _LATE_S)
                if not passed:
                    return "late" if passed is None else "killed"
            return "survived"
        finally:
            file.write_text(original)


def measured(tree, paths, longest):
    """Return {path: `Test`} of those that take at most `longest` seconds of the processor.

    Raises:
        SystemExit: one fails although nothing is mutated.
    """
    result = {}
    for path in sorted(paths):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        if not tree.passes(path, 600):
            sys.exit(f"mutants: {path} fails without a mutant")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds = after.ru_utime - before.ru_utime
        if seconds <= longest:
            result[path] = Test(path=path, seconds=seconds)
        else:
            print(f"left out, {seconds:.0f} s: {path}", flush=True)
    return result


def equivalents():
    """Return {(module, text of the line, change): reason} of mutants.toml."""
    listed = tomllib.loads((ROOT / EQUIVALENT).read_text())
    return {
        (module, line, change): reason
        for module, rows in listed.items()
        for line, changes in rows.items()
        for change, reason in changes.items()
    }


def key(mutant):
    """Return what mutants.toml calls a mutant."""
    return mutant.module, mutant.text, mutant.change


def run(chosen, tests, known, folder, jobs):
    """Return [(mutant, fate)] of the mutants `chosen`, `jobs` at a time, and print survivors.

    Args:
        tests: {module: [Test]}; known: the `equivalents`; folder: for copies of the repository.
    """
    trees = SimpleQueue()
    for k in range(jobs):
        trees.put(Tree(folder / str(k)))

    def one(mutant):
        tree = trees.get()
        try:
            return tree.fate(mutant, tests[mutant.module])
        finally:
            trees.put(tree)

    results = []
    with ThreadPoolExecutor(jobs) as pool:
        for mutant, fate in zip(chosen, pool.map(one, chosen), strict=True):
            results.append((mutant, fate))
            if fate == "survived" and key(mutant) not in known:
                where = f"{FOLDER}/{mutant.module}.py:{mutant.line}"
                print(f"survived: {where}: {mutant.text}\n          {mutant.change}", flush=True)
    return results


def report(results, known):
    """Print the table by module; return the per cent of all that were killed."""
    print(f"\n{'module':12} mutants  killed  late  equivalent  survived  per cent")
    for module in [*sorted({mutant.module for mutant, _ in results}), ""]:
        fates = [
            "equivalent" if fate == "survived" and key(mutant) in known else fate
            for mutant, fate in results
            if module in ("", mutant.module)
        ]
        count = {fate: fates.count(fate) for fate in ("killed", "late", "equivalent", "survived")}
        judged = len(fates) - count["equivalent"]
        per_cent = 100 * (1 - count["survived"] / judged) if judged else 100
        figures = "{killed:7} {late:5} {equivalent:11} {survived:9}".format(**count)
        print(f"{module or 'all':12} {len(fates):7} {figures} {per_cent:9.1f}")
    return per_cent


def stale(results, known, names, every):
    """Yield what is wrong with mutants.toml; every: the keys of all mutants of `names`."""
    killed = {key(mutant) for mutant, fate in results if fate != "survived"}
    alive = {key(mutant) for mutant, fate in results if fate == "survived"}
    for entry in known:
        if entry[0] in names and entry not in every:
            yield f"no such mutant: {entry}"
        elif entry in killed - alive:
            yield f"not equivalent, a test kills it: {entry}"


def parsed():
    """Return the command line."""
    parser = argparse.ArgumentParser(description="Count the mutants that the fast tests kill.")
    parser.add_argument("--module", action="append", help="only of this module; may be repeated")
    parser.add_argument("--sample", type=int, help="so many of each module, drawn at random")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--longest", type=float, default=5, help="seconds of a fast test")
    return parser.parse_args()


def main():
    """Run the mutants, report; return the exit code."""
    options = parsed()
    known = equivalents()
    started = time.monotonic()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    names = {path.stem for path in (ROOT / FOLDER).glob("*.py")} - {"__init__"}
    reaching = tests_of(names)
    chosen, every = [], set()
    asked = sorted(options.module or names)
    for name in asked:
        found = list(mutants(name, (ROOT / FOLDER / f"{name}.py").read_text()))
        every.update(key(mutant) for mutant in found)
        if options.sample is not None and options.sample < len(found):
            found = random.Random(f"{options.seed} {name}").sample(found, options.sample)
        chosen += sorted(found, key=lambda mutant: mutant.line)
    with tempfile.TemporaryDirectory() as folder:
        paths = set().union(*(reaching[name] for name in asked))
        fast = measured(Tree(Path(folder, "first")), paths, options.longest)
        order = sorted(fast, key=lambda path: fast[path].seconds)
        tests = {name: [fast[path] for path in order if path in reaching[name]] for name in asked}
        results = run(chosen, tests, known, Path(folder), options.jobs)
    per_cent = report(results, known)
    faults = list(stale(results, known, asked, every))
    for fault in faults:
        print(f"stale: {fault}")
    print(f"{time.monotonic() - started:.0f} s")
    return 1 if faults or per_cent < LEAST_PCT else 0


if __name__ == "__main__":
    sys.exit(main())
