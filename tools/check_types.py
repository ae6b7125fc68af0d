#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-only
"""Checks the firmware's calls against the type stubs of the ESP32; `make check` calls it.

Every call of `machine`, `network`, `esp32`, `os`, `time`, `asyncio` and their like must exist,
with these arguments, in the MicroPython that the firmware is built for and in the oldest one that
it supports. pyright does the checking. An annotation is text, `clock: "Clock"`, and costs nothing
in the .mpy; pyproject.toml lists the classes that it may name without an import.

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
from check_tree import annotation_names

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "build/types"
PYRIGHT = build_page.NPM / "node_modules/.bin/pyright"
VERSIONS = ("1.29", "1.25")
"""Versions of MicroPython; `tools/stubs-<version>.txt` pins the stubs of each."""

MODULES = ROOT / "build/mpy-lib"

FOREIGN = {
    "I2C": "machine",
    "Lock": "asyncio",
    "NVS": "esp32",
    "Pin": "machine",
    "Request": "microdot",
    "Response": "microdot",
    "SPI": "machine",
    "SSLContext": "ssl",
    "StreamReader": "asyncio",
    "StreamWriter": "asyncio",
    "Task": "asyncio",
    "WDT": "machine",
}
"""Classes that no file of the firmware has, and their modules."""

TYPES = """\
import socket, typing
from typing import Any as Any, Awaitable as Awaitable, Callable as Callable
from typing import Coroutine as Coroutine, IO as IO, Iterable as Iterable, Protocol
Generator = typing.Generator[Any, Any, Any]
Socket = socket.socket
Buffer = bytes | bytearray | memoryview
Emit = Callable[[str, int, int, int, int], object]
ptr8 = Any  # viper's, which takes any buffer
class Time(Protocol):
    def ticks_ms(self) -> int: ...
    def ticks_us(self) -> int: ...
    def ticks_diff(self, end: int, begin: int, /) -> int: ...
    def ticks_add(self, ticks: int, delta: int, /) -> int: ...
    def sleep_us(self, us: int, /) -> Any: ...
    def time(self) -> float: ...
    def gmtime(self, secs: int, /) -> tuple[int, ...]: ...
"""
"""What annotations name besides classes: an `Emit` takes what `Events.emit` takes, and `Time` is
what `Clock` is made from."""

MICRODOT = "from typing import Any\ndef __getattr__(name: str) -> Any: ...\n"
"""Microdot takes more types than pyright infers from its sources, so nothing of it is checked."""

STRING_IO = (
    # It has what any file has, and `getvalue`.
    "stdlib/io.pyi",
    "\nclass StringIO:",
    "\nimport typing\nclass StringIO(typing.Any):",
)
PARTITION = (
    # It is found by BOOT and RUNNING, too, and takes any buffer: ports/esp32/esp32_partition.c.
    ("esp32.pyi", "self, id: str, block_size", "self, id: str | int, block_size"),
    ("esp32.pyi", "buf: bytearray, offset", "buf: bytearray | memoryview, offset"),
    ("esp32.pyi", "buf: bytes | bytearray, offset", "buf: bytes | bytearray | memoryview, offset"),
)
CORRECTIONS = {
    "1.29": (
        STRING_IO,
        *PARTITION,
        # Ticks are whole numbers, which fit into arrays.
        ("time.pyi", "def ticks_ms() -> _TicksMs", "def ticks_ms() -> int"),
        ("time.pyi", "def ticks_us() -> _TicksUs", "def ticks_us() -> int"),
        (
            "time.pyi",
            "ticks: _Ticks, delta: int, /) -> _Ticks",
            "ticks: int, delta: int, /) -> int",
        ),
        # It raises a RuntimeError where there is none.
        (
            "stdlib/asyncio/tasks.pyi",
            "current_task() -> Task[Any] | None",
            "current_task() -> Task",
        ),
    ),
    "1.25": (
        STRING_IO,
        *PARTITION,
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


def known(lib):
    """Return the stub that gives every file of the folder `lib` what its annotations name."""
    modules = dict(FOREIGN)
    for path in lib.rglob("*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef):
                modules[node.name] = ".".join(path.relative_to(lib).with_suffix("").parts)
    names = sorted(annotation_names() & modules.keys())
    return TYPES + "".join(f"from {modules[name]} import {name} as {name}\n" for name in names)


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
    """Tell pyright in the folder `project` about the firmware of the tree `root`."""
    folder = os.path.relpath(stubs(version), project)
    tree = os.path.relpath(root, project)
    write(project / "__builtins__.pyi", known(root / "lib"))
    write(project / "microdot.pyi", MICRODOT)
    config = {
        "include": [f"{tree}/{name}" for name in ("boot.py", "main.py", "lib")],
        "extraPaths": [tree, f"{tree}/lib", ".", folder, os.path.relpath(MODULES, project)],
        "typeshedPath": folder,
        "typeCheckingMode": "off",
        "reportMissingModuleSource": False,
        **dict.fromkeys(RULES, True),
    }
    write(project / "pyrightconfig.json", json.dumps(config))


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def faults(root, work=WORK, versions=VERSIONS):
    """Return the faults of the firmware of the tree `root` as lines.

    Args:
        work: folder for the copies; versions: those of MicroPython to check it against.
    """
    build_page.install()
    running = {}
    for version in versions:
        prepare(root, version, work / version)
        running[version] = subprocess.Popen(
            [PYRIGHT, "--outputjson"], cwd=work / version, stdout=subprocess.PIPE, text=True
        )
    found = []
    for version, process in running.items():
        report = json.loads(process.communicate()[0])
        for entry in report["generalDiagnostics"]:
            path = Path(entry["file"]).relative_to(root.resolve())
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
