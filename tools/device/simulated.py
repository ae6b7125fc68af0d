#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-only
"""A rig of the simulator that is updated as one of hardware is. Run by make.

    tools/device/simulated.py install FOLDER [--image esp32]    # make sim UPDATES=1
    tools/device/simulated.py bundle [--image esp32]            # make bundle SIM=1, and update

FOLDER stands for the ESP32's file system: it gets the application and the key, as `make deploy`
brings them, unless an application is there already. The bundle is build/simulated.bundle; it has
code for this host, which no ESP32 takes.

With --image the rig is one whose firmware is frozen into an image, and FOLDER gets the key alone,
as `make key` brings it. The image in its bundle is a small one with the right head: of what
is updated to, only the number comes, and the code is that of this repository.
"""

import argparse
import shutil
import sys
from pathlib import Path

from device import build, bundle, esp_image, key

MARCH = "x64"
BUILD = build.ROOT / "build/simulated"
BUNDLE = build.ROOT / "build/simulated.bundle"
SLOT = "app-a"
POINTER = "app"
IMAGE = "esp32"
"""The one that the simulator can stand for."""

FILLING = bytes(range(256)) * 1024


class SimulatedFault(Exception):
    """Why it cannot be tried, for the person at the keyboard."""


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


def install_image(folder, key_text):
    """Bring the key into the folder of a rig with an image, and forget which slot ran before."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / POINTER).unlink(missing_ok=True)
    (folder / "update.key").write_bytes(key_text)


def run(options):
    """Do what the command line says.

    Raises:
        key.KeyFault, SimulatedFault
    """
    if options.image and options.image != IMAGE:
        raise SimulatedFault(f"the simulated rig with an image is a plain ESP32: IMAGE={IMAGE}")
    installs = options.what == "install"
    if installs and not options.image and (options.folder / POINTER).exists():
        print("The rig runs what it was updated to. Delete build/sim to begin anew.")
        return
    text = key.load(options.key)
    if installs and options.image:
        install_image(options.folder, text)
    elif installs:
        build.build(BUILD, MARCH)
        install(options.folder, BUILD, text)
    elif options.image:
        content = esp_image.make(options.version, FILLING)
        BUNDLE.write_bytes(bundle.image_bundle(content, options.version, text))
    else:
        build.build(BUILD, MARCH)
        BUNDLE.write_bytes(bundle.bundle(BUILD, text))
    if not installs:
        version = options.version if options.image else build.version()
        kind = "an image" if options.image else "files"
        print(f"{BUNDLE.name}: version {version}, {kind}, for the simulator")


def main():
    """Install or make the bundle; return the exit code."""
    parser = argparse.ArgumentParser(description="A rig of the simulator that can be updated.")
    parser.add_argument("what", choices=("install", "bundle"))
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--image", help="a rig with an image, not one of files")
    parser.add_argument("--version", default=build.version(), help="of the image in the bundle")
    key.add_option(parser)
    try:
        run(parser.parse_args())
    except (key.KeyFault, SimulatedFault) as error:
        print(f"simulated: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
