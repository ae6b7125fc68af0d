#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-only
"""Writes lib/package.json, with which `mpremote mip install` fetches the application as source.

    tools/device/package.py

Run it when a module came or went; a test says so. What mip installs goes to /lib, and needs a
controller with PSRAM: compiling on the device takes more memory than a plain ESP32 has.
"""

import json
import sys

from device.build import LIB, version

PACKAGE = LIB / "package.json"
MICRODOT = "https://raw.githubusercontent.com/miguelgrinberg/microdot/v2.7.0/src/"
MODULES = ("__init__.py", "microdot.py")


def document():
    """The text of lib/package.json."""
    paths = [*LIB.rglob("*.py"), *LIB.glob("parallelator/messages/*.json")]
    names = sorted(path.relative_to(LIB).as_posix() for path in paths)
    urls = [[name, name] for name in names]
    urls += [[f"microdot/{name}", f"{MICRODOT}microdot/{name}"] for name in MODULES]
    package = {"version": version(), "urls": urls, "deps": [["sdcard", "latest"]]}
    return json.dumps(package, indent=1) + "\n"


def main():
    """Write the file; return the exit code."""
    PACKAGE.write_text(document())
    return 0


if __name__ == "__main__":
    sys.exit(main())
