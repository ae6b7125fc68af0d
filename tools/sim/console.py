#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-only
"""Runs a simulated rig at a terminal: Ctrl-C, a lost terminal or the end of this program end it.

    tools/sim/console.py COMMAND...

The rig, run.py with --attached, does not get the signal itself. MicroPython on a host obeys it at
once, wherever it is: while it allocates memory, it would be left locked, and the rig would hang.
The standard input of the rig is closed instead, which it looks at between two steps. A second
signal kills it.
"""

import signal
import subprocess
import sys

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main():
    """Run COMMAND to its end; its exit code."""
    rig = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, process_group=0)

    def end(*_):
        if rig.stdin.closed:
            rig.kill()
        rig.stdin.close()

    for number in SIGNALS:
        signal.signal(number, end)
    return rig.wait()


if __name__ == "__main__":
    sys.exit(main())
