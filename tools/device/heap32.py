"""The heap that the firmware takes on a 32-bit chip, measured in a 32-bit MicroPython.

Called by build.py, which shows what each module takes, and by tools/memory.py, which shows what
the whole rig takes.

The WebAssembly port of MicroPython has the ESP32's objects: 32-bit words, heap blocks of 16 bytes,
the same .mpy files, qstrs and asyncio tasks. In it runs what `make build` builds, with stand-ins
for the ESP32's modules that take no part in the figures: heap32_standins.py, and chips in
heap32.mjs.

Different from the ESP32: viper code is bytecode; files, sockets and the FAT volume are stand-ins
of their size; asyncio's streams and select are missing (some 1 KB); floats are double.
"""

import ast
import contextlib
import io
import json
import re
import subprocess
from pathlib import Path

from mpremote.romfs import make_romfs

from device import build

ROOT = build.ROOT
HERE = Path(__file__).resolve().parent
NPM = ROOT / "build/npm/node_modules"
WORK = ROOT / "build/heap32"
VERSIONS = ("1.29", "1.25")
VIPER = re.compile(r"^@micropython\.viper\n(def \w+\()(.+)\) -> int:", re.MULTILINE)


def tree():
    """Build the firmware for a machine without a native emitter; return the folder."""
    build.build(WORK / "tree")
    for name, source in build.modules():
        text = source.read_text()
        plain = VIPER.sub(lambda m: m[1] + re.sub(r": \w+", "", m[2]) + "):", text)
        if plain != text:
            path = WORK / source.name
            path.write_text(plain)
            target = WORK / "tree" / build.APP / name.with_suffix(".mpy")
            build.compile_module(name, path, target, build.MARCH)
    return WORK / "tree"


def order():
    """The modules of the firmware, each after those that it imports while it is imported; not
    those of the languages, of which it imports one when it starts."""
    sources = {}
    for name, source in build.modules():
        if source.parent == build.WORDS:
            continue
        parts = name.with_suffix("").parts
        sources[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = source
    seen = set()
    done = []

    def visit(module):
        if module not in sources or module in seen:
            return
        seen.add(module)
        parent = module.rpartition(".")[0]
        visit(parent)
        package = module if sources[module].name == "__init__.py" else parent
        for node in ast.parse(sources[module].read_text()).body:
            if isinstance(node, ast.Import):
                for alias in node.names:
                    visit(alias.name)
            elif isinstance(node, ast.ImportFrom):
                inside = ".".join(filter(None, (package, node.module)))
                base = inside if node.level else node.module
                visit(base)
                for alias in node.names:
                    visit(f"{base}.{alias.name}")
        done.append(module)

    for module in sources:
        visit(module)
    return done


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
        HERE / "heap32_standins.py",
        ",".join(order()),
        str(seconds),
        *image,
    ]
    process = subprocess.run(command, capture_output=True, text=True)
    if process.returncode:
        raise SystemExit(f"heap32: MicroPython {version}: {process.stderr}")
    report = json.loads(process.stdout.splitlines()[-1])
    if seconds and not everything_on(report):
        raise SystemExit(f"heap32: not everything was on: {report}\n{process.stderr}")
    return report


def everything_on(report):
    """True when all batteries, four live clients and the log were at work, and nothing failed."""
    state = report["state"]
    busy = min(report["frames"]) > 0 and state["log_bytes"] > 0 and state["wifi"]
    return busy and state["on"] == 16 and not any(state["failures"])


def table(seconds):
    """(lines, in use): what the rig takes in each way to run it, as text and in bytes."""
    folder = tree()
    lines = [f"{'32-bit heap, KB':36}{'names':>8}{'code':>8}{'data':>8}{'in use':>8}"]
    found = []
    for version, in_place in (("1.29", False), ("1.25", False), ("1.29", True)):
        report = run(version, folder, seconds, in_place)
        name = f"MicroPython {version}, " + ("in a ROM file system" if in_place else ".mpy files")
        names, imported, used = report["names"], report["imported"], report["steady"]
        parts = (names, imported - names, used - imported, used)
        lines.append(f"{name:36}" + "".join(f"{part / 1024:8.1f}" for part in parts))
        found.append(used)
    return lines, found
