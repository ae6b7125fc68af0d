#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-only
"""Puts an image with all of a rig onto an ESP32. Run by `make flash`.

    tools/device/flash.py [--port PORT] [--keep] [--image NAME] [--release VERSION]
                          [--releases ADDRESS]
    tools/device/flash.py [--port PORT] [--keep] --controller CONTROLLER

The image is the one that `make image` built, or that of the release. Everything on the controller
is erased; with --keep settings, locks and counts stay, which is for a newer image on a rig. With
--controller it is MicroPython alone, for `make deploy`: mpflash fetches it and calls esptool.
"""

import argparse
import json
import subprocess
import sys

from device import build
from device.image import board, fetch, images
from device.link import DeviceError, attach, find_port

CONTROLLERS = tuple(image.stock for image in images.IMAGES)
MPFLASH = "build/flash/bin/mpflash"
ASK_S = 5
"""How long a rig may take to answer Ctrl-C."""

OFF = "Every switch is off."
PULL = "If batteries are connected, pull their fuses now: meanwhile nothing protects them."


def command(port, controller, keep):
    """The call of mpflash, a list of arguments."""
    name, _, variant = controller.partition("-")
    image = ("--board", name, "--version", images.MICROPYTHON, "--method", "esptool")
    image += ("--variant", variant) if variant else ()
    erase = "--no-erase" if keep else "--erase"
    return [MPFLASH, "flash", "--serial", port, *image, "--bootloader", "none", erase]


def micropython(port, controller, keep):
    """Flash MicroPython alone; return the exit code."""
    code = subprocess.run(command(port, controller, keep)).returncode
    print(f"flash: {board.DEAF}" if code else "Next: make deploy")
    return code


def open_switches(port):
    """Ctrl-C for a rig that runs; returns whether it answered, with every switch off."""
    try:
        attach(port, ASK_S).close()
    except DeviceError:
        return False
    return True


def ability(psram):
    """What a rig will be able to do, with PSRAM or without, in words of the firmware."""
    words = json.loads((build.LIB / "parallelator/messages/en.json").read_text())["console"]
    return words["psram" if psram else "no_psram"]


def flash(port, name, version, releases, keep):
    """Flash an image with all of a rig.

    Args:
        name: of the image, None = the one that fits; version: of the firmware; releases: address
            of the releases, None = the project's; keep: what is on it.

    Raises:
        DeviceError, fetch.FetchFault: what is wrong; nothing was written unless esptool failed.
    """
    off = open_switches(port)
    found = board.look(port)
    try:
        image = images.named(name) if name else board.fitting(found)
        print(f"{found.kind}, {found.flash_mb} MB of flash, {seen(found)}")
        board.check(found, image)
        print(ability(found.psram_mb or image.name == "esp32-psram"))
        print(OFF if off else PULL)
        content = fetch.content(image, version, releases)
        fault = images.fault(image, content)
        if fault:
            raise DeviceError(f"The image {image.name} cannot be used: {fault}.")
        board.write(port, found, image, content, keep)
    except Exception:
        board.let_go(port)
        raise
    print(f"{image.name} {version} is on it. Next: make monitor; in a minute it shows its Wi-Fi.")


def seen(found):
    """What is known of the PSRAM of a board, in words."""
    if found.psram_mb:
        return f"{found.psram_mb} MB of PSRAM"
    if found.chip == "ESP32":
        return "no PSRAM seen; a WROVER has some that is not: IMAGE=esp32-psram"
    return "no PSRAM"


def main():
    """Flash; return the exit code."""
    parser = argparse.ArgumentParser(description="Put an image onto an ESP32.")
    parser.add_argument("--port", help="serial port; without it the only USB one")
    parser.add_argument("--keep", action="store_true", help="settings, locks and counts stay")
    parser.add_argument("--image", choices=[image.name for image in images.IMAGES])
    parser.add_argument("--release", default=build.version(), help="version of the firmware")
    parser.add_argument("--releases", help="address of the releases")
    parser.add_argument("--controller", choices=CONTROLLERS, help="MicroPython alone")
    options = parser.parse_args()
    try:
        port = find_port(options.port)
        if options.controller:
            return micropython(port, options.controller, options.keep)
        flash(port, options.image, options.release, options.releases, options.keep)
    except (DeviceError, fetch.FetchFault) as error:
        print(f"flash: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
