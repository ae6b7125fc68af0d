# SPDX-License-Identifier: GPL-3.0-only
"""Stand-in for MicroPython's `_thread`: what the firmware starts is over at once.

The firmware uses a thread only for a call that waits while other threads run.
"""

from sim import current


def start_new_thread(function, args):
    """Run a function as in a thread of its own: it takes no time of its caller's."""
    air = current.world.air
    air.in_thread = True
    try:
        function(*args)
    finally:
        air.in_thread = False
