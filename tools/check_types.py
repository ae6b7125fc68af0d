#!/usr/bin/env python3
"""Checks the firmware's calls against the type stubs of the ESP32; `make check` calls it.

Every call of `machine`, `network`, `esp32`, `os`, `time`, `asyncio` and their like must exist,
with these arguments, in the MicroPython that the firmware is built for and in the oldest one that
it supports. pyright does the checking, on a copy with types for what docstrings only say.

Prints one line per fault, `path:line: what is wrong (version)`, and exits with 1 when there is
any.
"""

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import build_page

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "build/types"
PYRIGHT = build_page.NPM / "node_modules/.bin/pyright"
VERSIONS = ("1.29", "1.25")
"""Versions of MicroPython; `tools/stubs-<version>.txt` pins the stubs of each."""

SOURCES = ("boot.py", "main.py", "lib/**/*.py")
DRIVER = ROOT / "build/mpy-lib/sdcard.py"
"""Read for the types that our SD driver inherits; its own faults are not ours."""

HANDED_OVER = {
    "I2c.connect": ": 'typing.Callable[[], handed_over.I2C]'",
    "Clock.time": "_",  # so that the name stands for the module
    "i2c": ": 'handed_over.I2c'",
    "clock": ": 'handed_over.Clock'",
    "cs": ": 'handed_over.Pin'",
    "events": ": 'handed_over.Events'",
    "snap": ": 'handed_over.Snapshot'",
    "spi": ": 'handed_over.SPI'",
    "store": ": 'handed_over.NVS'",
}
"""Parameter, of every function or of one class, to what follows its name in the checked copy."""

STUBS = {
    "handed_over.pyi": """\
from esp32 import NVS as NVS
from machine import I2C as I2C, SPI as SPI, Pin as Pin
from parallelator.clock import Clock as Clock
from parallelator.hardware.i2c import I2c as I2c
from parallelator.records.events import Events as Events
from parallelator.snapshot import Snapshot as Snapshot
""",
    # What pyright makes of its sources is narrower than what it takes.
    "microdot.pyi": "from typing import Any\ndef __getattr__(name: str) -> Any: ...\n",
}

STRING_IO = (
    # It has what any file has, and `getvalue`.
    "stdlib/io.pyi",
    "\nclass StringIO:",
    "\nimport typing\nclass StringIO(typing.Any):",
)
CORRECTIONS = {
    "1.29": (
        STRING_IO,
        # Ticks that are no whole numbers cannot lie in arrays.
        ("time.pyi", "def ticks_ms() -> _TicksMs", "def ticks_ms() -> int"),
        ("time.pyi", "def ticks_us() -> _TicksUs", "def ticks_us() -> int"),
        (
            "time.pyi",
            "ticks: _Ticks, delta: int, /) -> _Ticks",
            "ticks: int, delta: int, /) -> int",
        ),
    ),
    "1.25": (
        STRING_IO,
        # `timeout` is in ports/esp32/machine_i2c.c since MicroPython 1.12,
        (
            "machine.pyi",
            "sda: PinLike, freq: int = 400_000)",
            "sda: PinLike, freq: int = 400_000, timeout: int = 50_000)",
        ),
        # wait_for_ms in extmod/asyncio/funcs.py since 1.13: it takes what wait_for does.
        (
            "stdlib/asyncio/__init__.pyi",
            "\nfrom .tasks import sleep_ms",
            "\nwait_for_ms = wait_for\nfrom .tasks import sleep_ms",
        ),
    ),
}
"""Version to (stub, text, what it should be): where the stubs are narrower than MicroPython."""

RULES = (
    "reportArgumentType",
    "reportAttributeAccessIssue",
    "reportCallIssue",
    "reportIndexIssue",
    "reportMissingImports",
    "reportUndefinedVariable",
)


def typed(source):
    """The source with the types of HANDED_OVER, each line where it was.

    Annotations go: they are viper's, whose pointers take any buffer.
    """
    lines = source.splitlines(keepends=True)
    edits = []
    tree = ast.parse(source)
    owners = {
        id(function): node.name + "."
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        for function in node.body
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for arg in node.args.args:
            own = HANDED_OVER.get(owners.get(id(node), "") + arg.arg)
            text = own or HANDED_OVER.get(arg.arg, "")
            edits.append((arg.lineno, arg.col_offset + len(arg.arg), arg.end_col_offset, text))
    for number, begin, end, text in sorted(edits, reverse=True):
        line = lines[number - 1]
        lines[number - 1] = line[:begin] + text + line[end:]
    return "import handed_over, time, typing; " + "".join(lines)


def stubs(version):
    """Bring the stubs of `version` up to what is pinned; return their folder."""
    pinned = ROOT / f"tools/stubs-{version}.txt"
    folder = WORK / f"stubs-{version}"
    have = folder / pinned.name
    wanted = pinned.read_text() + repr(CORRECTIONS[version])
    if not have.exists() or have.read_text() != wanted:
        shutil.rmtree(folder, ignore_errors=True)
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        options = ["--no-deps", "--target", folder, "--requirement", pinned]
        subprocess.run([*pip, *options], check=True)
        for name, wrong, right in CORRECTIONS[version]:
            text = (folder / name).read_text()
            if wrong not in text:
                raise ValueError(f"{name} of {version} no longer has: {wrong}")
            write(folder / name, text.replace(wrong, right))
        write(have, wanted)
    return folder


def prepare(root, version, project):
    """Lay out the firmware of the tree `root` in the folder `project` for pyright."""
    shutil.rmtree(project, ignore_errors=True)
    for pattern in SOURCES:
        for path in root.glob(pattern):
            write(project / path.relative_to(root), typed(path.read_text()))
    write(project / "others/sdcard.py", typed(DRIVER.read_text()))
    for name, text in STUBS.items():
        write(project / "others" / name, text)
    folder = os.path.relpath(stubs(version), project)
    config = {
        "include": ["boot.py", "main.py", "lib"],
        "extraPaths": ["lib", "others", folder],
        "typeshedPath": folder,
        "typeCheckingMode": "off",
        "reportMissingModuleSource": False,
        **dict.fromkeys(RULES, True),
    }
    write(project / "pyrightconfig.json", json.dumps(config))


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def faults(root, work=WORK):
    """Return the faults of the firmware of the tree `root` as lines; `work` takes the copies."""
    build_page.install()
    running = {}
    for version in VERSIONS:
        prepare(root, version, work / version)
        running[version] = subprocess.Popen(
            [PYRIGHT, "--outputjson"], cwd=work / version, stdout=subprocess.PIPE, text=True
        )
    found = []
    for version, process in running.items():
        report = json.loads(process.communicate()[0])
        for entry in report["generalDiagnostics"]:
            path = Path(entry["file"]).relative_to((work / version).resolve())
            line = entry["range"]["start"]["line"] + 1
            message = entry["message"].split("\n")[0]
            found.append(f"{path}:{line}: {message} (MicroPython {version})")
        if not report["summary"]["filesAnalyzed"]:
            found.append(f"no file was checked (MicroPython {version})")
    return found


def main():
    """Check the repository this file lies in; return the exit code."""
    found = faults(ROOT)
    print("\n".join(found) if found else "check_types: no fault")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
