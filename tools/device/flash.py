#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-only
"""Puts MicroPython onto a blank ESP32, or a newer one onto a rig. Run by `make flash`.

    tools/device/flash.py [--port PORT] [--controller CONTROLLER] [--keep]

mpflash fetches the image and calls esptool. Everything on the controller is erased; with --keep
the files stay, which is for a newer image on a rig.
"""

import argparse
import subprocess
import sys

from device.link import DeviceError, find_port

VERSION = "1.29.0"
CONTROLLERS = (
    "ESP32_GENERIC",
    "ESP32_GENERIC-SPIRAM",
    "ESP32_GENERIC_S3",
    "ESP32_GENERIC_S3-SPIRAM_OCT",
)
"""The second of each kind is for a module with PSRAM; the S3's first knows the usual one, too."""

MPFLASH = "build/flash/bin/mpflash"


def command(port, controller, keep):
    """The call of mpflash, a list of arguments."""
    board, _, variant = controller.partition("-")
    image = ("--board", board, "--version", VERSION, "--method", "esptool")
    image += ("--variant", variant) if variant else ()
    erase = "--no-erase" if keep else "--erase"
    return [MPFLASH, "flash", "--serial", port, *image, "--bootloader", "none", erase]


def main():
    """Flash; return the exit code."""
    parser = argparse.ArgumentParser(description="Put MicroPython onto an ESP32.")
    parser.add_argument("--port", help="serial port; without it the only USB one")
    parser.add_argument("--controller", choices=CONTROLLERS, default=CONTROLLERS[0])
    parser.add_argument("--keep", action="store_true", help="keep the files on the device")
    options = parser.parse_args()
    try:
        port = find_port(options.port)
    except DeviceError as error:
        print(f"flash: {error}", file=sys.stderr)
        return 1
    code = subprocess.run(command(port, options.controller, options.keep)).returncode
    if code:
        print("flash: It failed. Hold BOOT, press RESET, let go of both, and try again.")
    else:
        print("Next: make deploy")
    return code


if __name__ == "__main__":
    sys.exit(main())
