# SPDX-License-Identifier: GPL-3.0-only
"""tools/soak/mutants.py counts what dies, what survives, and what is listed without a cause."""

import re
import subprocess
import sys

import pytest

from manuals import ROOT
from soak import mutants

TOOLS = (
    *("tools/soak/mutants.py", "tools/check_tree.py"),
    *("tests/run.py", "tests/asserts.py", "tests/unit/micropython_runner.py"),
)
MODULE = """\
_LEAST = const(2)

def beyond(value):
    return value >= _LEAST and value < 9
"""
TEST = """\
from parallelator.protection import user

def test_beyond():
    assert not user.beyond(1) and user.beyond(2) and user.beyond(8) and not user.beyond(99)
"""
EQUIVALENT = """\
[half.'return value >= _LEAST and value < 9']
'value < 9 -> value <= 9' = 'Nobody asks for 9.'
"""
FILES = {
    ".gitignore": "/build/\n",
    "lib/parallelator/__init__.py": "",
    "lib/parallelator/protection/__init__.py": "",
    "lib/parallelator/protection/half.py": "from micropython import const\n" + MODULE,
    "lib/parallelator/protection/user.py": "from parallelator.protection.half import beyond\n",
    "tests/unit/test_user.py": TEST,
    "tests/unit/test_other.py": "def test_nothing():\n    assert False\n",
    "tools/soak/mutants.toml": EQUIVALENT,
}


@pytest.fixture
def measure(tmp_path):
    """A function (files, *options) that returns (exit code, output) of the tool on FILES."""

    def run(files, *options):
        subprocess.run(["git", "init", "-q", tmp_path], check=True)
        tools = {path: (ROOT / path).read_text() for path in TOOLS}
        for path, text in (tools | FILES | files).items():
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(text)
        (tmp_path / "build").mkdir()
        for name in ("venv", "mpy-lib"):
            (tmp_path / "build" / name).symlink_to(ROOT / "build" / name)
        command = [sys.executable, tmp_path / "tools/soak/mutants.py", "--jobs=1", *options]
        done = subprocess.run(command, capture_output=True, text=True, timeout=200)
        for path, text in FILES.items():
            assert path in files or (tmp_path / path).read_text() == text, path
        return done.returncode, done.stdout + done.stderr

    return run


def changes(expression):
    return [m.change.split(" -> ")[1] for m in mutants.mutants("m", "x = " + expression)]


def test_what_becomes_of_a_line():
    assert changes("a < b") == ["a <= b", "a >= b"] and changes("a >= b") == ["a > b", "a < b"]
    assert changes("a > b") == ["a >= b", "a <= b"] and changes("a <= b") == ["a < b", "a > b"]
    assert changes("a == b") == ["a != b"] and changes("a != b") == ["a == b"]
    assert changes("0 < a < 5") == ["0 <= a < 5", "0 >= a < 5", "0 < a <= 5", "0 < a >= 5", "50"]
    assert changes("a + b - c") == ["a + b + c", "a - b"] and changes("-a") == ["a"]
    assert changes("a or b and not c") == ["b and (not c)", "a", "not c", "b", "c"]
    assert changes("const(300)") == ["3000"] and changes("(60, 1)") == ["600"]
    assert changes("a[2] * bytes(4) + a[2 * b]")[1:] == ["20"], "indices and sizes stay"
    assert changes("0 if a is None else 1") == []
    (only,) = mutants.mutants("m", "x = 1\nx += y  # and so on\n")
    assert (only.line, only.text) == (2, "x += y  # and so on")
    assert only.source == "x = 1\nx -= y"


def test_the_killed_the_equivalent_and_the_survivor(measure):
    code, output = measure({})
    assert code == 1, output
    assert "\nhalf               8       6     0           1         1      85.7\n" in output
    assert "\nall                8       6     0           1         1      85.7\n" in output
    where = "lib/parallelator/protection/half.py:5: return value >= _LEAST and value < 9"
    assert f"survived: {where}\n          9 -> 90\n" in output and output.count("survived:") == 1


def test_all_but_equivalents_killed_is_a_success(measure):
    test = TEST.replace("beyond(99)", "beyond(10)")
    code, output = measure({"tests/unit/test_user.py": test}, "--module=half")
    assert code == 0 and "survived:" not in output and "stale" not in output, output


def test_what_is_listed_must_be_a_mutant_that_nobody_kills(measure):
    test = TEST.replace("beyond(99)", "beyond(9)")
    old = "[half.'return value']\n'1 -> 10' = 'Once.'\n"
    code, output = measure(
        {"tests/unit/test_user.py": test, "tools/soak/mutants.toml": EQUIVALENT + old}
    )
    assert code == 1, output
    assert "stale: no such mutant: ('half', 'return value', '1 -> 10')" in output
    assert "stale: not equivalent, a test kills it: ('half'," in output


def test_an_endless_mutant_is_killed(measure):
    endless = "def beyond(value):\n    while value > 9:\n        value -= 1\n    return value\n"
    files = {
        "lib/parallelator/protection/half.py": endless,
        "tests/unit/test_user.py": TEST.split("assert")[0] + "assert user.beyond(12) == 9\n",
        "tools/soak/mutants.toml": "",
    }
    code, output = measure(files)
    assert code == 0 and re.search(r"^all +4 +\d+ +[1-4] +0 +0 ", output, re.MULTILINE), output


def test_a_sample_is_so_many_of_each_module(measure):
    _, output = measure({}, "--sample=3", "--seed=7")
    assert "\nhalf               3 " in output and "stale" not in output, output


def test_a_test_that_fails_by_itself_is_told(measure):
    code, output = measure({"tests/unit/test_user.py": TEST.replace("beyond(1)", "beyond(2)")})
    assert code == 1 and "test_user.py fails without a mutant" in output, output
