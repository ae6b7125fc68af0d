#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-only
"""A rig of the simulator that is updated as one of hardware is. Run by make.

    tools/device/simulated.py install FOLDER    # make sim UPDATES=1
    tools/device/simulated.py bundle            # make bundle SIM=1, make update SIM=1

FOLDER stands for the ESP32's file system: it gets the application and the key, as `make deploy`
brings them, unless an application is there already. The bundle is build/simulated.bundle; it has
code for this host, which no ESP32 takes.
"""

import argparse
import shutil
import sys
from pathlib import Path

from device import build, bundle, key

MARCH = "x64"
BUILD = build.ROOT / "build/simulated"
BUNDLE = build.ROOT / "build/simulated.bundle"
SLOT = "app-a"
POINTER = "app"


def install(folder, built, key_text):
    """Bring a build and the key into a folder that has no application; returns whether it did."""
    if (folder / POINTER).exists():
        return False
    shutil.rmtree(folder / SLOT, ignore_errors=True)
    shutil.copytree(built / build.APP, folder / SLOT)
    shutil.copy(built / build.MANIFEST, folder / SLOT)
    (folder / "update.key").write_bytes(key_text)
    (folder / POINTER).write_text(SLOT)
    return True


def main():
    """Install or make the bundle; return the exit code."""
    parser = argparse.ArgumentParser(description="A rig of the simulator that can be updated.")
    parser.add_argument("what", choices=("install", "bundle"))
    parser.add_argument("folder", type=Path, nargs="?")
    key.add_option(parser)
    options = parser.parse_args()
    if options.what == "install" and (options.folder / POINTER).exists():
        print("The rig runs what it was updated to. Delete build/sim to begin anew.")
        return 0
    try:
        text = key.load(options.key)
    except key.KeyFault as error:
        print(f"simulated: {error}", file=sys.stderr)
        return 1
    build.build(BUILD, MARCH)
    if options.what == "install":
        install(options.folder, BUILD, text)
    else:
        BUNDLE.write_bytes(bundle.bundle(BUILD, text))
        print(f"{BUNDLE.name}: version {build.version()}, for the simulator")
    return 0


if __name__ == "__main__":
    sys.exit(main())
