# SPDX-License-Identifier: GPL-3.0-only
"""The heap that the firmware takes on a 32-bit chip, measured in a 32-bit MicroPython.

Called by sizes.py, which shows what each module takes, and by tools/memory.py, which shows what
the whole rig takes.

The WebAssembly port of MicroPython has the ESP32's objects: 32-bit words, heap blocks of 16 bytes,
the same .mpy files, qstrs and asyncio tasks. In it runs what `make build` builds, with stand-ins
for the ESP32's modules that take no part in the figures: heap32_standins.py, and chips in
heap32_chips.py.

Frozen modules need an image of their own: frozen.sh builds one of the unix port for 32 bits.

Different from the ESP32: viper code is bytecode; files, sockets, the broker and the FAT volume are
stand-ins of their size; asyncio's streams and select are missing (some 1 KB); floats are double.
"""

import contextlib
import io
import json
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from mpremote.romfs import make_romfs

from device import build

ROOT = build.ROOT
HERE = Path(__file__).resolve().parent
NPM = ROOT / "build/npm/node_modules"
WORK = ROOT / "build/heap32"
SETUP = WORK / "setup"
FROZEN = ROOT / "build/frozen/micropython32.run"
STANDINS_BYTES = 8704
TABLES = 1 + 1 / 64 + 1 / 128
"""Of a heap, with the tables of its blocks."""

STANDINS = ("heap32_standins.py", "heap32_chips.py")
VERSIONS = ("1.29", "1.25")
VIPER = re.compile(r"^@micropython\.viper\n(def \w+\()(.+)\) -> int:", re.MULTILINE)


def tree():
    """Build the firmware for a machine without a native emitter, and what stands in for the rest;
    return the folder."""
    shutil.rmtree(SETUP, ignore_errors=True)
    SETUP.mkdir(parents=True)
    for name in STANDINS:
        shutil.copy(HERE / name, SETUP)
    build.build(WORK / "tree")
    for name, source in build.modules():
        text = source.read_text()
        plain = VIPER.sub(lambda m: m[1] + re.sub(r": \w+", "", m[2]) + "):", text)
        if plain != text:
            path = WORK / source.name
            path.write_text(plain)
            target = WORK / "tree" / build.APP / name.with_suffix(".mpy")
            build.compile_module(name, path, target, build.MARCH)
    umqtt = WORK / "tree/lib/umqtt/simple.mpy"
    build.compile_module("umqtt.py", build.MODULES / "umqtt/simple.py", umqtt, build.MARCH)
    return WORK / "tree"


def run(version, folder, seconds=0, in_place=False):
    """Run the firmware; return the report of heap32.mjs.

    Args:
        version: of VERSIONS; folder: the built tree; seconds: how long the rig runs after the
            import of every module.
        in_place: the modules lie in a ROM file system, and their code runs where it lies.

    Returns:
        dict: `modules`, bytes of heap by module; `imported`, their sum; `names`, what of it is
        names, which frozen modules would not need; with seconds also
        `steady`, the most in use after a collection in the second half, `state` and `frames`
        (sent to live clients).
    """
    image = []
    if in_place:
        image = [WORK / "rom.img"]
        with contextlib.redirect_stdout(io.StringIO()):
            image[0].write_bytes(make_romfs(str(folder / build.APP), mpy_cross=False))
    command = [
        "node",
        HERE / "heap32.mjs",
        NPM / f"micropython-{version}",
        folder,
        SETUP,
        ",".join(build.ordered()),
        str(seconds),
        *image,
    ]
    return report_of(command, f"MicroPython {version}", seconds)


def run_frozen(folder, seconds, heap_kb=4096, mapped=False):
    """As `run`, with frozen modules, after frozen.sh.

    Args:
        heap_kb: of blocks for the firmware, in one piece.
        mapped: True for a report that heap_map.py makes a table of.

    Returns:
        dict: as `run`, without `modules`; `most`, what was in use at most, garbage counted.
    """
    heap = int((heap_kb * 1024 + STANDINS_BYTES) * TABLES)
    with tempfile.TemporaryDirectory() as work:
        flash = Path(work)
        (flash / "sd").mkdir()
        shutil.copy(folder / "config.json", flash)
        shutil.copytree(folder / build.APP / "page", flash / "app/page")
        messages = "app/parallelator/messages"
        shutil.copytree(folder / messages, flash / messages)
        code = f"import heap32_frozen; heap32_frozen.main({work!r}, {seconds}, {mapped})"
        command = [FROZEN, "-X", f"heapsize={heap}", "-c", code]
        report = report_of(command, f"frozen, in {heap_kb} KB", seconds)
        if mapped:
            report["heap"] = (flash / "heap").read_bytes()
    if report["standins"] > STANDINS_BYTES:
        raise SystemExit(f"heap32: the stand-ins take {report['standins']} bytes")
    return report


def least_heap(folder, seconds, low, high):
    """The smallest heap in which `run_frozen` has everything on, in KB; None if above `high`.

    Args:
        low, high: where to look for it, in steps of 4 KB.
    """
    least = None
    while low <= high:
        heap_kb = (low + high) // 8 * 4
        try:
            run_frozen(folder, seconds, heap_kb)
        except SystemExit:
            low = heap_kb + 4
        else:
            least = heap_kb
            high = heap_kb - 4
    return least


def report_of(command, name, seconds):
    """Run a command; return the report in the last line that it prints."""
    process = subprocess.run(command, capture_output=True, text=True)
    if process.returncode:
        raise SystemExit(f"heap32: {name}: {process.stdout[-2000:]}{process.stderr}")
    *said, last = process.stdout.splitlines()
    report = json.loads(last) | {"said": said}
    if seconds and not everything_on(report, seconds):
        raise SystemExit(f"heap32: not everything was on: {report}\n{process.stderr}")
    return report


def everything_on(report, seconds):
    """True when all batteries, four live clients, the log and MQTT were at work all the time, and
    no task and no answer failed."""
    state = report["state"]
    busy = min(state["frames"]) >= seconds // 2 and min(state["log_bytes"], state["published"]) > 0
    failed = any(state["failures"]) or state["failed_answers"]
    return busy and state["wifi"] and state["on"] == 16 and not failed


def table(folder, seconds):
    """(lines, in use): what the rig takes in each way to run it, as text; in bytes for the last.

    Args:
        folder: the built tree, from before frozen.sh; seconds: how long each runs.
    """
    ways = (
        ("MicroPython 1.29, .mpy files", lambda: run("1.29", folder, seconds)),
        ("MicroPython 1.25, .mpy files", lambda: run("1.25", folder, seconds)),
        ("MicroPython 1.29, in a ROM file system", lambda: run("1.29", folder, seconds, True)),
        ("MicroPython 1.25, frozen", lambda: run_frozen(folder, seconds)),
    )
    lines = [f"{'32-bit heap, KB':40}{'names':>8}{'code':>8}{'data':>8}{'in use':>8}"]
    for name, way in ways:
        report = way()
        names, imported, used = report["names"], report["imported"], report["steady"]
        parts = (names, imported - names, used - imported, used)
        lines.append(f"{name:40}" + "".join(f"{part / 1024:8.1f}" for part in parts))
    return lines, used
