#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-only
"""Builds the page: lib/parallelator/web/ui/ bundled and gzipped into build/page/. Run by make.

Installs what tools/package.json pins under build/npm/ first. Ends with an error when the whole
page is larger than MAX_BYTES. The description of the API is for programs: it does not count.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import zlib
from pathlib import Path

import firmware
import guide
import openapi

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "lib/parallelator/web/ui"
NPM = ROOT / "build/npm"
BUNDLE = ROOT / "build/bundle"
GENERATED = ROOT / "build/generated"
PAGE = ROOT / "build/page"
LINK = ROOT / "build/mpy-lib/page"
MAX_BYTES = 70 * 1024
DESCRIPTION = "openapi.json"
OLDEST_BROWSERS = "es2021"
COMMENT = re.compile(rb" *<!--.*?-->\n?", re.DOTALL)
WINDOW_BITS = 13
"""8 KB: the memory that the rig takes to unpack a file for clients without gzip (`web.files`)."""


def install():
    """Bring build/npm up to what tools/package.json says."""
    wanted = (ROOT / "tools/package.json").read_bytes()
    have = NPM / "package.json"
    if (NPM / "node_modules").is_dir() and have.exists() and have.read_bytes() == wanted:
        return
    shutil.rmtree(NPM, ignore_errors=True)
    NPM.mkdir(parents=True)
    options = ("--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error")
    have.write_bytes(wanted)
    try:
        subprocess.run(["npm", "install", *options], cwd=NPM, check=True)
    except subprocess.CalledProcessError:
        have.unlink()
        raise


def write_catalog():
    """What the page has to know of the codes, as a module of JavaScript: the module `catalog`."""
    catalog = firmware.catalog()
    codes = {
        code: {"severity": severity, "unit": unit, "byHand": bool(holds & catalog.BY_HAND)}
        for code, severity, unit, holds in catalog.CODES
    }
    alarms = {
        code: {
            "rank": 2 * catalog.SEVERITIES.index(severity) + bool(holds & catalog.FIRST),
            "mayBeKnown": bool(holds & catalog.ACKNOWLEDGE),
        }
        for code, severity, _, holds in catalog.CODES[: catalog.ALARMS]
    }
    tests = {code: unit for code, unit, *_ in firmware.selftest().FINDINGS if unit}
    units = {reason: unit for reason, unit, *_ in catalog.REASONS if unit}
    GENERATED.mkdir(parents=True, exist_ok=True)
    (GENERATED / "catalog.js").write_text(
        f"export const CODES = {json.dumps(codes)};\n"
        f"export const ALARMS = {json.dumps(alarms)};\n"
        f"export const STATES = {json.dumps({row[0]: row[1] for row in catalog.STATES})};\n"
        f"export const TEST_UNITS = {json.dumps(tests)};\n"
        f"export const REASON_UNITS = {json.dumps(units)};\n"
    )


def bundle():
    """Bundle scripts and styles; what is not needed at once stays a file of its own."""
    shutil.rmtree(BUNDLE, ignore_errors=True)
    command = [
        NPM / "node_modules/.bin/esbuild",
        SOURCES / "app.js",
        SOURCES / "charts.js",
        SOURCES / "qr.js",
        SOURCES / "report.js",
        SOURCES / "settings.js",
        SOURCES / "setup.js",
        SOURCES / "style.css",
        "--external:./charts.js",
        "--external:./qr.js",
        "--external:./report.js",
        "--external:./settings.js",
        "--bundle",
        "--minify",
        "--format=esm",
        f"--target={OLDEST_BROWSERS}",
        "--charset=utf8",
        f"--outdir={BUNDLE}",
        "--log-level=warning",
    ]
    folders = os.pathsep.join(map(str, (NPM / "node_modules", GENERATED)))
    environment = os.environ | {"NODE_PATH": folders}
    subprocess.run(command, check=True, env=environment)


def files():
    """Name and content of each file of the page."""
    for name in ("index.html", "setup.html", "manifest.json", "icon.svg"):
        yield name, COMMENT.sub(b"", (SOURCES / name).read_bytes())
    for path in sorted(BUNDLE.iterdir()):
        yield path.name, path.read_bytes()
    yield "guide.html", guide.page().encode()
    yield DESCRIPTION, json.dumps(openapi.document(), separators=(",", ":")).encode()


def pack(content):
    """`content` as gzip."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 16 + WINDOW_BITS, 9)
    return packer.compress(content) + packer.flush()


def main():
    """Build, print the sizes; return the exit code."""
    install()
    write_catalog()
    bundle()
    shutil.rmtree(PAGE, ignore_errors=True)
    PAGE.mkdir(parents=True)
    total = 0
    for name, content in files():
        packed = pack(content)
        (PAGE / f"{name}.gz").write_bytes(packed)
        total += 0 if name == DESCRIPTION else len(packed)
        print(f"{name:14} {len(content):7} bytes, {len(packed):6} gzipped")
    print(f"{'page':14} {'':7}        {total:6} gzipped, {MAX_BYTES} allowed")
    if not LINK.exists():
        LINK.unlink(missing_ok=True)
        LINK.symlink_to("../page")
    return 0 if total <= MAX_BYTES else 1


if __name__ == "__main__":
    sys.exit(main())
