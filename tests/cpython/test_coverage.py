"""tools/coverage.py counts what ran and what did not, in the lines of the original files."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
TOOLS = (
    "tools/coverage.py",
    "tools/coverage_probe.py",
    "tools/check_tree.py",
    "tests/asserts.py",
    "tests/run.py",
    "tests/unit/micropython_runner.py",
)

BRANCHES = """\
def run():
    if True:
        a = 1
    elif a:
        a = 2
    else:
        a = 3
    if a == 2:
        a = 4
    else:
        a = 5
    return a
"""

LOOPS = """\
def run():
    for i in range(3):
        if i == 1:
            continue
        if i > 5:
            break
    else:
        i = 9
    while i:
        i = 0
    else:
        i = 1
    for _ in ():
        pass
"""

EXCEPTIONS = """\
def run():
    try:
        raise ValueError
        a = 1
    except OSError:
        a = 2
    except ValueError:
        a = 3
    else:
        a = 4
    finally:
        a = 5
    try:
        a = 6
    finally:
        del a
"""

CONTEXTS = """\
class Context:
    def __enter__(self):
        return self
    def __exit__(self, *error):
        return True

def run():
    with Context():
        raise ValueError
        a = 1
    with Context(), Context() as c:
        a = c
"""

DECORATORS = '''\
def same(function):
    return function

@same
@same
def run():
    return unused

@same
def unused():
    """Not a statement."""
    global g
    g = 1
'''

CLASSES = '''\
"""Not a statement."""
from micropython import const
_SIZE = const(3)
class A:
    """Nor this."""
    SIZE = const(4)
    x = bytearray(_SIZE)
    def unused(self):
        return self.x
    @property
    def used(self):
        return self.SIZE
def run():
    assert "_SIZE" not in globals()
    return A().used
'''

NESTED = """\
def run():
    count = 0
    def inner():
        nonlocal count
        count += 1
        def never():
            return 1
    inner()
    f = lambda: 1
    return count
"""

ASYNC = """\
import asyncio

async def work():
    await asyncio.sleep(0)
    for i in range(2):
        await asyncio.sleep(0)
        if i == 9:
            await asyncio.sleep(9)
    return i

async def unused():
    await work()

def run():
    return asyncio.run(work())
"""

RETURNS = """\
def run():
    if run:
        return 1
    a = 1
    # nothing

    return a
"""

ONE_LINE = """\
def run(): return one(0)
def one(x):
    if x: return 1
    a = 1; b = 2
    while x: x = 0
    for i in range(2): a = i
    if a: pass
    else: b = 3
def unused(): return 2; return 3
"""

TEXT = """\
def run():
    emit = str
    text = emit("half"
                " 🔋")
    with open(__file__) as file:
        assert "emit(" + '"half' in file.read()
    assert len(text) == 6
"""

LOCKED = """\
import micropython

def run():
    micropython.heap_lock()
    try:
        a = 0
        for i in range(3):
            a += i
    finally:
        micropython.heap_unlock()
"""

LIVES = """\
from test_all import lives
if len(lives) == 1:
    a = 1
else:
    a = 2
if len(lives) > 2:
    a = 3
"""

COMMON = {
    ".gitignore": "/build/\n__pycache__/\n",
    "tests/sim/test_nothing.py": "def test_nothing():\n    pass\n",
}

HALF = "def run(x):\n    if x:\n        return 1\n    return 2\n"

PACKAGE = "lib/parallelator/"
# path: (source, statements, lines with missed ones, how many are missed)
FILES = {
    "branches": (BRANCHES, 10, "4-7, 9", 4),
    "loops": (LOOPS, 12, "6, 14", 2),
    "exceptions": (EXCEPTIONS, 11, "4-6, 10", 3),
    "contexts": (CONTEXTS, 11, "10", 1),
    "decorators": (DECORATORS, 6, "13", 1),
    "classes": (CLASSES, 12, "9", 1),
    "nested": (NESTED, 9, "7", 1),
    "asynchronous": (ASYNC, 12, "8, 12", 2),
    "returns": (RETURNS, 5, "4-7", 2),
    "one_line": (ONE_LINE, 17, "3, 5, 8, 9", 5),
    "text": (TEXT, 6, "", 0),
    "locked": (LOCKED, 8, "", 0),
}
CASES = {f"{PACKAGE}{name}.py": case for name, case in FILES.items()} | {
    f"{PACKAGE}lives.py": (LIVES, 6, "7", 1),
    f"{PACKAGE}shared.py": (HALF, 4, "", 0),
    f"{PACKAGE}web/exits.py": ("import sys\nsys.exit(3)\na = 1\n", 3, "3", 1),
    f"{PACKAGE}web/raises.py": ("a = 1\nraise ValueError\na = 2\n", 3, "3", 1),
    f"{PACKAGE}web/unknown.py": ("a = 1\nb = 2\n", 2, "1-2", 2),
    "boot.py": ("a = 1\nif a == 2:\n    a = 3\n", 3, "3", 1),
}

TESTS = f"""
import os
import sys

ROOT = __file__.rsplit("/tests/", 1)[0]
lives = []

def test_functions():
    for name in {list(FILES)}:
        getattr(__import__("parallelator." + name), name).run()

def test_forgotten_modules():
    for _ in range(2):
        for name in list(sys.modules):
            if name.startswith("parallelator"):
                del sys.modules[name]
        lives.append(None)
        import parallelator.lives

def test_children():
    command = ROOT + "/build/venv/bin/micropython -c 'import parallelator.web.%s'"
    assert os.system(command % "exits") == 3 << 8
    assert os.system(command % "raises") == 1 << 8

def test_two_processes():
    from parallelator import shared

    shared.run(0)
    command = ROOT + "/build/venv/bin/micropython -c 'from parallelator import shared as s; %s'"
    assert os.system(command % "s.run(1)") == 0
"""

BOOT = """
def test_boot():
    with open(__file__.rsplit("/tests/", 1)[0] + "/boot.py") as file:
        exec(compile(file.read(), "boot.py", "exec"), {"__name__": "__main__"})
"""

USE = "from parallelator.protection import half\n\ndef test_half():\n    assert half.run(0) == 2\n"


def build(root, files):
    """Make a repository in `root` with the tools and `files`, {path: text}."""
    subprocess.run(["git", "init", "-q", root], check=True)
    for path in TOOLS:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, root / path)
    for path, text in (COMMON | files).items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    (root / "build").mkdir()
    for name in ("venv", "mpy-lib"):
        (root / "build" / name).symlink_to(ROOT / "build" / name)


def measure(root, *options):
    """Return (exit code, output) of the tool in the repository `root`."""
    command = [sys.executable, root / "tools/coverage.py", *options]
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
    tests = {"tests/sim/test_all.py": TESTS, "tests/unit/test_boot.py": BOOT}
    build(root, sources | empty | tests)
    code, output = measure(root)
    assert code == 0, output
    assert all((root / path).read_text() == source for path, source in sources.items())
    return output


@pytest.fixture
def half(tmp_path):
    """A repository with a folder at 75 % and another without any statement."""
    files = {"protection/half.py": HALF, "protection/__init__.py": "", "web/__init__.py": ""}
    package = {PACKAGE + path: text for path, text in files.items()}
    build(tmp_path, package | {PACKAGE + "app.py": "a = 1\n", "tests/unit/test_half.py": USE})
    return tmp_path


@pytest.mark.parametrize("path", CASES)
def test_statements_and_missed_lines_of_a_file(output, path):
    _, statements, lines, missed = CASES[path]
    per_cent = round(100 * (statements - missed) / statements, 1)
    assert row(output, path) == (statements, missed, per_cent, lines)


def test_a_folder_sums_up_its_files_and_folders(output):
    assert row(output, PACKAGE + "web/") == (8, 4, 50, "")
    everything = row(output, "./")
    assert everything[:2] == (
        sum(case[1] for case in CASES.values()),
        sum(case[3] for case in CASES.values()),
    )
    assert row(output, PACKAGE)[:2] == (everything[0] - 3, everything[1] - 1)


def test_a_file_without_statements_has_no_row(output):
    assert "__init__.py" not in output


@pytest.mark.parametrize(
    "options, code, fault",
    [
        (["protection=75"], 0, None),
        (["protection=75.1"], 1, "protection/ has 75.0 %, needs 75.1 %"),
        (["protection=75", "protection=76"], 1, "protection/ has 75.0 %, needs 76 %"),
        (["web=1"], 1, "web/ has no statements"),
        (["protection"], 2, "invalid minimum value"),
    ],
)
def test_minimum(half, options, code, fault):
    found, output = measure(half, *(f"--under={option}" for option in options))
    assert found == code, output
    assert fault in output if fault else "coverage:" not in output


def test_failing_tests_fail_the_run_and_still_count(half):
    path = half / "tests/unit/test_half.py"
    path.write_text(USE + "\ndef test_late():\n    assert False\n")
    code, output = measure(half)
    assert code == 1
    assert "the tests failed" in output
    assert row(output, PACKAGE + "protection/half.py") == (4, 1, 75, "3")


def test_marks_of_an_earlier_run_are_forgotten(half):
    measure(half)
    path = half / "tests/unit/test_half.py"
    path.write_text("def test_nothing():\n    pass\n")
    code, output = measure(half)
    assert code == 0, output
    assert row(output, PACKAGE + "protection/half.py") == (4, 4, 0, "1-4")
