#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-only
"""Measures which statements of the firmware the tests run; `make coverage` calls it.

    tools/coverage.py [--under FOLDER=PER_CENT ...]

MicroPython offers no trace, so a copy of the repository under build/coverage/ gets a mark in
front of every statement of the firmware: `ran[7] = 1` on a bytearray, which allocates nothing and
so may run under the heap lock of the simulator's guard tick. The tests of tests/unit and tests/sim
run in that copy, and every MicroPython process leaves its marks behind (see coverage_probe.py).

Lines are those of the repository's files. A docstring, `global` and `nonlocal` are no statements;
`else`, `except` and `finally` count by what stands under them. The exit code is 0 when all tests
passed and no folder is under its minimum.
"""

import argparse
import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path, PurePosixPath

from check_tree import listed_files

ROOT = Path(__file__).resolve().parent.parent
OUTPUT = ROOT / "build/coverage"
TREE = OUTPUT / "tree"
MARKS = OUTPUT / "marks"
PACKAGE = "lib/parallelator/"
NAME = "_statements_ran"


class DoubleQuoted(str):
    """Text that `ast.unparse` writes in double quotes, as tests look for it in the firmware."""

    def __repr__(self):
        return json.dumps(self, ensure_ascii=False)


class Marker(ast.NodeTransformer):
    """Puts a mark in front of every statement.

    Attributes:
        lines: the line of every statement, in the order of the marks.
    """

    def __init__(self):
        self.lines = []

    def visit(self, node):
        """Return `node`, after its mark if it is a statement that does something."""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            node.value = DoubleQuoted(node.value)
        if not isinstance(node, ast.stmt):
            return self.generic_visit(node)
        text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if text or isinstance(node, ast.Global | ast.Nonlocal):
            return node
        mark = ast.parse(f"{NAME}[{len(self.lines)}] = 1").body[0]
        self.lines.append(node.lineno)
        return [mark, self.generic_visit(node)]


def instrument(path, source):
    """Return (`source` with marks, the line of every statement) of the file `path`."""
    marker = Marker()
    tree = marker.visit(ast.parse(source, path))
    marks = f'__import__("coverage_probe").marks("{path}", {len(marker.lines)})'
    return f"{NAME} = {marks}\n{ast.unparse(tree)}\n", marker.lines


def make_tree():
    """Copy the repository to TREE, the firmware with marks; return {path: statement lines}."""
    shutil.rmtree(OUTPUT, ignore_errors=True)
    lines = {}
    for path in listed_files(ROOT):
        copy = TREE / path
        copy.parent.mkdir(parents=True, exist_ok=True)
        if path in ("boot.py", "main.py") or path.startswith(PACKAGE) and path.endswith(".py"):
            text, lines[path] = instrument(path, (ROOT / path).read_text())
            copy.write_text(text)
        else:
            shutil.copy(ROOT / path, copy)
    (TREE / "build").mkdir()
    for name in ("venv", "mpy-lib"):
        (TREE / "build" / name).symlink_to(ROOT / "build" / name)
    MARKS.mkdir()
    return lines


def run_tests():
    """Run TREE's tests for MicroPython; return whether all passed."""
    command = [sys.executable, TREE / "tests/run.py", TREE / "tests/unit", TREE / "tests/sim"]
    return not subprocess.run(command, env=os.environ | {"COVERAGE_MARKS": MARKS}).returncode


def collect(lines):
    """Return {path: [(line, whether it ran) of every statement]} from what is in MARKS."""
    ran = {path: bytearray(len(numbers)) for path, numbers in lines.items()}
    for file in MARKS.iterdir():
        for line in file.read_text().splitlines():
            path, _, marks = line.partition(" ")
            pairs = zip(ran[path], bytes.fromhex(marks), strict=True)
            ran[path] = bytearray(a | b for a, b in pairs)
    return {path: list(zip(lines[path], ran[path], strict=True)) for path in lines}


def missed_ranges(statements):
    """Return the lines of the missed statements as text: `7, 12-15`.

    A range spans missed statements without one that ran between them.
    """
    ranges = []
    missing = False
    for line, ran in statements:
        if not ran:
            if missing:
                ranges[-1][1] = line
            else:
                ranges.append([line, line])
        missing = not ran
    return ", ".join(f"{a}" if a == b else f"{a}-{b}" for a, b in ranges)


def row(name, statements, remark=""):
    """Return (table row, per cent that ran) of a file's or a folder's statements."""
    missed = sum(not ran for _, ran in statements)
    per_cent = 100 * (1 - missed / len(statements))
    text = f"{name:42} {len(statements):10} {missed:6} {per_cent:8.1f}  {remark}"
    return text.rstrip(), per_cent


def report(files):
    """Print the table of all files and folders; return {folder: per cent that ran}."""
    folders = {}
    print(f"\n{'file':42} {'statements':>10} {'missed':>6} {'per cent':>8}  missed lines")
    for path, statements in files.items():
        if statements:
            print(row(path, statements, missed_ranges(statements))[0])
            for folder in PurePosixPath(path).parents:
                folders.setdefault(f"{folder}/", []).extend(statements)
    print()
    result = {}
    for folder in sorted(folders):
        text, result[folder] = row(folder, folders[folder])
        print(text)
    return result


def minimum(text):
    """Return (folder, per cent) of the text FOLDER=PER_CENT, for argparse."""
    folder, per_cent = text.split("=")
    return f"{PACKAGE}{folder}/", float(per_cent)


def main():
    """Parse the command line, measure, report; return the exit code."""
    parser = argparse.ArgumentParser(description="Measure statement coverage on MicroPython.")
    parser.add_argument(
        "--under",
        metavar="FOLDER=PER_CENT",
        type=minimum,
        action="append",
        default=[],
        help=f"fail when a folder of {PACKAGE} has less",
    )
    options = parser.parse_args()
    lines = make_tree()
    passed = run_tests()
    reached = report(collect(lines))
    faults = [] if passed else ["the tests failed: the figures are not complete"]
    for folder, wanted in options.under:
        if folder not in reached:
            faults.append(f"{folder} has no statements")
        elif reached[folder] < wanted:
            faults.append(f"{folder} has {reached[folder]:.1f} %, needs {wanted:g} %")
    for fault in faults:
        print(f"\ncoverage: {fault}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
