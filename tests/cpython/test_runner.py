# SPDX-License-Identifier: GPL-3.0-only
"""tests/run.py counts every way in which a test file can go wrong, and passes what is good."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

RUN = Path(__file__).resolve().parent.parent / "run.py"

PASSING = """
import asyncio

def test_plain():
    pass

async def test_async():
    await asyncio.sleep(0)
"""

STRAY_TASK = """
import asyncio

async def stray():
    raise ValueError("nobody waits for this")

async def test_a_stray():
    asyncio.create_task(stray())
    await asyncio.sleep(0.01)

async def test_b_starts_afresh():
    await asyncio.sleep(0.01)
"""

STRAY_IN_PLAIN_TEST = """
import asyncio

async def stray():
    raise ValueError("nobody waits for this")

async def wait():
    await asyncio.sleep(0.01)

async def work():
    asyncio.create_task(stray())
    await wait()

def test_a_stray():
    asyncio.run(work())

def test_b_leaves_a_task():
    asyncio.create_task(stray())

def test_c_starts_afresh():
    asyncio.run(wait())
"""

GOOD_AND_BAD = """
def test_bad():
    assert 1 == 2

def test_good():
    pass
"""

# assert under MicroPython: what is told of it
TOLD = {
    "f(2) == 3": "found 2, wanted == 3",
    "'a' != 'a'": "found 'a', wanted != 'a'",
    "0 <= f(2) < 2, 'said'": "found 2, wanted < 2: said",
    "(3) not in [2, 3]": "found 3, wanted not in [2, 3]",
    "f(0) is None": "found 0, wanted is None",
    "not [5]": "found [5], wanted a false value",
    "f(1) and 'é' in 'e', f'{1}'": r"found '\xe9', wanted in 'e': 1",
    "1 == 1 and f(0)": "",
    "any([])": "",
    "(\n        f(2)\n        == 3  # never\n    )": "found 2, wanted == 3",
    "f(sys.path.append(2) or 1) == sys.path.pop() and 1 == len(__file__)": "found 1, wanted == 2",
    "'x' * 5000 == 1": "found '" + "x" * 999 + "..., wanted == 1",
}

PYTEST_LEAK = """
import subprocess

def test_leaves_a_process_behind():
    process = subprocess.Popen(["sleep", "60"])
    open({pid_file!r}, "w").write(str(process.pid))
"""

PYTEST_MEETING = """
import time
from pathlib import Path

def test_the_others_run_too():
    folder = Path(__file__).parent
    Path(__file__).with_suffix(".here").touch()
    deadline = time.monotonic() + 30
    while len(list(folder.glob("*.here"))) < 4:
        assert time.monotonic() < deadline
        time.sleep(0.05)
"""

# (folder, source, passed, failed, text that the output must have)
FILES = {
    "good": ("unit", PASSING, 2, 0, "ok "),
    "sim": ("sim", PASSING, 2, 0, "ok "),
    "assertion": ("unit", GOOD_AND_BAD, 1, 1, "AssertionError: found 1, wanted == 2"),
    "async failure": ("unit", "async def test_x():\n    raise OSError(5)\n", 0, 1, "OSError"),
    "stray task": ("unit", STRAY_TASK, 1, 1, "nobody waits for this"),
    "stray in a plain test": ("unit", STRAY_IN_PLAIN_TEST, 2, 1, "nobody waits for this"),
    "import error": ("unit", "import no_such_module\n", 0, 1, "no_such_module"),
    "syntax error": ("unit", "def test_x(:\n", 0, 1, "SyntaxError"),
    "no tests": ("unit", "def check():\n    pass\n", 0, 1, "no test in this file"),
    "exit in a test": ("unit", "def test_x():\n    raise SystemExit(0)\n", 0, 1, "SystemExit"),
    "exit at import": ("unit", "raise SystemExit(0)\n", 0, 1, "no result, exit code 0"),
    "crash": (
        "unit",
        "import uctypes\n\ndef test_x():\n    uctypes.bytearray_at(0, 1)[0]\n",
        0,
        1,
        "killed by SIGSEGV",
    ),
    "hang": ("sim", "def test_x():\n    while True:\n        pass\n", 0, 1, "took too long"),
    "pytest good": ("cpython", "def test_x():\n    pass\n", 1, 0, "ok "),
    "pytest assertion": ("cpython", GOOD_AND_BAD, 1, 1, "assert 1 == 2"),
    "pytest import error": ("web", "import no_such_module\n", 0, 1, "no_such_module"),
    "pytest no tests": ("cpython", "", 0, 1, "exit code 5"),
    "pytest exit": ("cpython", "import os\n\nos._exit(0)\n", 0, 1, "no result, exit code 0"),
    "pytest killed": ("cpython", "import os\n\nos.abort()\n", 0, 1, "killed by SIGABRT"),
    "pytest hang": ("cpython", "while True:\n    pass\n", 0, 1, "took too long"),
    "pytest skipped": (
        "cpython",
        "import pytest\n\ndef test_x():\n    pytest.skip()\n",
        0,
        1,
        "FAIL",
    ),
}


def write(root, folder, name, source):
    (root / folder).mkdir(exist_ok=True)
    (root / folder / name).write_text(source)
    return root / folder / name


def start(*arguments):
    """Run tests/run.py; return (exit code, output)."""
    command = [sys.executable, RUN, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    return done.returncode, done.stderr + done.stdout


@pytest.fixture
def run(tmp_path):
    """Return a function that runs tests/run.py on `tmp_path`: (exit code, output)."""
    return lambda *arguments: start(*arguments, tmp_path)


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What is said of each of FILES, by name; those that hang have a run of their own."""
    root = tmp_path_factory.mktemp("all")
    parts = {}
    for timeout, hang in (("2", True), ("60", False)):
        names = [name for name in FILES if ("hang" in name) == hang]
        files = [write(root, FILES[name][0], f"test_{name}.py", FILES[name][1]) for name in names]
        code, output = start("--timeout", timeout, *files)
        passed, failed = (sum(FILES[name][k] for name in names) for k in (2, 3))
        assert (code, output.splitlines()[-1]) == (1, f"{passed} passed, {failed} failed")
        for part in re.split("^(?=ok  |FAIL  )", output, flags=re.MULTILINE)[1:]:
            parts[re.search(r"test_(.+)\.py", part)[1]] = part
    return parts


@pytest.mark.parametrize("name", FILES)
def test_each_kind_of_file_is_counted(told, name):
    folder, _, passed, failed, text = FILES[name]
    counts = f"{passed} passed, {failed} failed" if failed else f"{passed} passed"
    assert f"/{folder}/test_{name}.py  {counts}  " in told[name].splitlines()[0]
    assert text in told[name]


def test_a_failing_assert_tells_what_it_found_and_where(run, tmp_path):
    source, wanted = "import sys\n\ndef f(x):\n    return x\n\n", []
    for k, (condition, told) in enumerate(TOLD.items()):
        wanted += [
            f'File "{tmp_path}/unit/test_x.py", line {source.count(chr(10)) + 2}, in test_{k:02}',
            f"AssertionError: {told}".strip(),
        ]
        source += f"def test_{k:02}():\n    assert {condition}\n"
    write(tmp_path, "unit", "test_x.py", source)
    lines = [line.strip() for line in run()[1].splitlines()]
    assert [line for line in lines if 'test_x.py",' in line or "AssertionError" in line] == wanted


def test_a_run_without_any_test_fails(run, tmp_path):
    assert run() == (1, "0 passed, 0 failed\n")


def test_k_selects_by_test_name_and_by_file_name(run, tmp_path):
    write(tmp_path, "unit", "test_a.py", PASSING)
    write(tmp_path, "cpython", "test_b.py", "def test_plain():\n    pass\n")
    code, output = run("-k", "plain")
    assert (code, output.splitlines()[-1]) == (0, "2 passed, 0 failed")
    code, output = run("-k", "test_a")
    assert (code, output.splitlines()[-1]) == (0, "2 passed, 0 failed")
    code, output = run("-k", "nowhere")
    assert (code, output.splitlines()[-1]) == (1, "0 passed, 0 failed")


@pytest.mark.parametrize("folder", ["cpython", "web"])
def test_four_files_run_at_a_time_be_they_of_one_kind(run, tmp_path, folder):
    for k in range(4):
        write(tmp_path, folder, f"test_{k}.py", PYTEST_MEETING)
    code, output = run()
    assert (code, output.splitlines()[-1]) == (0, "4 passed, 0 failed")


def test_a_missing_file_is_an_error(tmp_path):
    code, output = start(tmp_path / "test_none.py")
    assert code == 2
    assert "does not exist" in output


def test_what_a_test_leaves_running_is_ended(run, tmp_path):
    pid_file = tmp_path / "pid"
    write(tmp_path, "cpython", "test_leak.py", PYTEST_LEAK.format(pid_file=str(pid_file)))
    assert run()[0] == 0
    state = Path("/proc", pid_file.read_text(), "stat")
    deadline = time.monotonic() + 5
    while state.exists() and state.read_text().split()[2] != "Z":
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_an_interrupt_ends_the_tests_too(tmp_path):
    write(tmp_path, "unit", "test_hang.py", FILES["hang"][1])
    process = subprocess.Popen([sys.executable, RUN, tmp_path], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 10
    while not (children := running_with(tmp_path / "unit/test_hang.py")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.terminate()
    assert process.wait(10) != 0
    assert children and not running_with(tmp_path / "unit/test_hang.py")


def running_with(path):
    """Return the ids of the processes with `path` as an argument."""
    wanted = os.fsencode(path)  # of the copy that MicroPython runs, the end of its path
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (process / "cmdline").read_bytes().split(b"\0")
            if any(argument.endswith(wanted) for argument in arguments):
                found.append(process.name)
        except OSError:
            pass
    return found
