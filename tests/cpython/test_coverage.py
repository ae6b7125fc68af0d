# SPDX-License-Identifier: GPL-3.0-only
"""tools/coverage.py counts what ran and what did not, in the lines of the original files."""

import re
import subprocess
import sys

import pytest

from manuals import ROOT

TOOLS = (
    *("tools/coverage.py", "tools/coverage_probe.py", "tools/check_tree.py"),
    *("tests/run.py", "tests/asserts.py", "tests/unit/micropython_runner.py"),
)

COMPOUND = """\
def run():
    for i in range(3):
        if i == 1:
            continue
        elif i > 5:
            a = 1
    else:
        a = 2
    while a:
        try:
            raise OSError
            a = 3
        except ValueError:
            a = 4
        except OSError:
            a = 0
        else:
            a = 5
        finally:
            b = a
    with open(__file__):
        return
        # nothing

        a = 6
"""

FUNCTIONS = '''\
"""Not a statement."""
from micropython import const
import asyncio
_SIZE = const(3)

def same(function):
    return function

@same
class A:
    """Nor this."""
    x = bytearray(_SIZE)
    @property
    @same
    def used(self):
        return self.x

async def work():
    count = 0
    def inner():
        nonlocal count
        count += 1
        async def never():
            return 1
    await asyncio.sleep(0)
    inner()
    return (lambda: count)()

def run():
    assert "_SIZE" not in globals() and A().used
    assert len(same("half"
                    " 🔋")) == 6
    with open(__file__) as file:
        assert "same(" + '"half' in file.read()
    return asyncio.run(work())
'''

ONE_LINE = """\
import micropython as m
def run(): m.heap_lock(); one(0); m.heap_unlock()
def one(x):
    if x: return 1
    a = 1; b = 2
    while x: x = 0
    if a: pass
    else: b = 3
def unused(): return 2; return 3
"""

LIVES = "from test_all import lives\nif len(lives) == 1:\n    a = 1\nelse:\n    a = 2\n"
HALF = "def run(x):\n    if x:\n        return 1\n    return 2\n"

PACKAGE = "lib/parallelator/"
FUNCTION_FILES = {
    "compound": (COMPOUND, 18, "6, 12-14, 18, 25", 5),
    "functions": (FUNCTIONS, 24, "24", 1),
    "one_line": (ONE_LINE, 18, "4, 6, 8, 9", 5),
}
CASES = {f"{PACKAGE}{name}.py": case for name, case in FUNCTION_FILES.items()} | {
    f"{PACKAGE}lives.py": (LIVES, 4, "", 0),
    f"{PACKAGE}shared.py": (HALF, 4, "", 0),
    f"{PACKAGE}web/raises.py": ("a = 1\nraise ValueError\na = 2\n", 3, "3", 1),
    f"{PACKAGE}web/unknown.py": ("a = 1\nb = 2\n", 2, "1-2", 2),
    "boot.py": ("a = 1\nif a == 2:\n    a = 3\n", 3, "3", 1),
}
"""Path to source, statements, lines of the missed ones, how many these are."""

TESTS = f"""
import os
import sys

ROOT = __file__.rsplit("/tests/", 1)[0]
MICROPYTHON = ROOT + "/build/venv/bin/micropython -c '%s'"
lives = []

def test_functions():
    for name in {list(FUNCTION_FILES)}:
        getattr(__import__("parallelator." + name), name).run()

def test_forgotten_modules():
    for _ in range(2):
        for name in list(sys.modules):
            if name.startswith("parallelator"):
                del sys.modules[name]
        lives.append(None)
        import parallelator.lives

def test_other_processes():
    from parallelator import shared

    shared.run(0)
    assert os.system(MICROPYTHON % "from parallelator import shared as s; s.run(1)") == 0
    assert os.system(MICROPYTHON % "import parallelator.web.raises")

def test_boot():
    with open(ROOT + "/boot.py") as file:
        exec(compile(file.read(), "boot.py", "exec"), {{"__name__": "__main__"}})
"""

USE = "from parallelator.protection import half\n\ndef test_half():\n    assert half.run(0) == 2\n"


def build(root, files):
    """Make a repository in `root` with the tools and `files`, {path: text}."""
    subprocess.run(["git", "init", "-q", root], check=True)
    tools = {path: (ROOT / path).read_text() for path in TOOLS}
    nothing = {".gitignore": "/build/\n", "tests/sim/test_x.py": "def test_x():\n    pass\n"}
    for path, text in (tools | nothing | files).items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    (root / "build").mkdir()
    for name in ("venv", "mpy-lib"):
        (root / "build" / name).symlink_to(ROOT / "build" / name)


def measure(root, *minima):
    """Return (exit code, output) of the tool in the repository `root`."""
    command = [sys.executable, root / "tools/coverage.py", *(f"--under={one}" for one in minima)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    return done.returncode, done.stdout + done.stderr


def row(output, name):
    """Return (statements, missed, per cent, missed lines) of a file or folder in the table."""
    found = re.search(rf"^{re.escape(name)} +(\d+) +(\d+) +([\d.]+)(?:  (.*))?$", output, re.M)
    assert found, output
    return int(found[1]), int(found[2]), float(found[3]), found[4] or ""


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    """The tool's output for a repository with all CASES."""
    root = tmp_path_factory.mktemp("all")
    sources = {path: case[0] for path, case in CASES.items()}
    empty = {f"{PACKAGE}__init__.py": "", f"{PACKAGE}web/__init__.py": ""}
    build(root, sources | empty | {"tests/unit/test_all.py": TESTS})
    code, output = measure(root, "web=40")
    assert code == 0, output
    assert all((root / path).read_text() == source for path, source in sources.items())
    return output


@pytest.mark.parametrize("path", CASES)
def test_statements_and_missed_lines_of_a_file(output, path):
    _, statements, lines, missed = CASES[path]
    per_cent = round(100 * (statements - missed) / statements, 1)
    assert row(output, path) == (statements, missed, per_cent, lines)


def test_a_folder_sums_up_its_files_and_folders(output):
    assert row(output, PACKAGE + "web/") == (5, 3, 40, "")
    statements, missed = (sum(case[k] for case in CASES.values()) for k in (1, 3))
    assert row(output, "./")[:2] == (statements, missed)
    assert row(output, PACKAGE)[:2] == (statements - 3, missed - 1)
    assert "__init__.py" not in output, "a file without statements has no row"


def test_minima_failing_tests_and_marks_of_an_earlier_run(tmp_path):
    half, test = PACKAGE + "protection/half.py", "tests/unit/test_half.py"
    empty = dict.fromkeys((f"{PACKAGE}protection/__init__.py", f"{PACKAGE}web/__init__.py"), "")
    build(tmp_path, empty | {half: HALF, test: USE})
    code, output = measure(tmp_path, "protection=75", "protection=75.1", "web=1")
    assert code == 1 and row(output, half) == (4, 1, 75, "3"), output
    faults = re.findall(f"^coverage: {PACKAGE}(.+)", output, re.M)
    assert faults == ["protection/ has 75.0 %, needs 75.1 %", "web/ has no statements"]
    (tmp_path / test).write_text("def test_nothing():\n    assert False\n")
    code, output = measure(tmp_path)
    assert code == 1 and "coverage: the tests failed" in output, output
    assert row(output, half) == (4, 4, 0, "1-4")
