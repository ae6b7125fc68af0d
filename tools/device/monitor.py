#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-only
"""Shows what a device says on its serial port. Run by `make monitor`.

    tools/device/monitor.py [--port PORT]

It sends nothing: Ctrl-C ends the monitor, not the rig. A device that is unplugged is waited for.
"""

import argparse
import sys
import time

import serial

from device.link import DeviceError, find_port

BAUD = 115200
_RETRY_S = 0.5


def lines(port):
    """What comes in, as text, for ever."""
    while True:
        try:
            with serial.Serial(port, BAUD, timeout=_RETRY_S) as link:
                while True:
                    yield link.read(link.in_waiting or 1).decode(errors="replace")
        except OSError as error:
            yield f"\n({error}; waiting for {port})\n"
            time.sleep(_RETRY_S)


def main():
    """Show until Ctrl-C; return the exit code."""
    parser = argparse.ArgumentParser(description="Show what a device says.")
    parser.add_argument("--port", help="serial port; without it the only USB one")
    options = parser.parse_args()
    try:
        port = find_port(options.port)
    except DeviceError as error:
        print(f"monitor: {error}", file=sys.stderr)
        return 1
    print(f"What {port} says. Ctrl-C ends this and nothing else.")
    try:
        for text in lines(port):
            print(text, end="", flush=True)
    except KeyboardInterrupt:
        print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
