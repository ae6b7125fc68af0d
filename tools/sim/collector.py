# SPDX-License-Identifier: GPL-3.0-only
"""Stand-in for MicroPython's `gc` in virtual time: the heap of the controller, not of the host.

run.py's harness puts it in the place of the built-in module before the firmware is imported.
"""


class Collector:
    """The functions of `gc` that the firmware calls.

    Args:
        world: the `World` that waits while garbage is collected.
    """

    def __init__(self, world):
        self._world = world

    def collect(self):
        self._world.collect()

    def threshold(self, count):
        self._world.threshold = count

    def mem_free(self):
        return self._world.free_bytes()

    def mem_alloc(self):
        return self._world.costs.heap_bytes
