# SPDX-License-Identifier: GPL-3.0-only
"""What the MicroPython programs of the bench share: the simulator, set up and played."""

import sys

ROOT = __file__.rsplit("/tools/bench/", 1)[0]
sys.path[:] = [
    ROOT + "/tools/sim/standins",
    ".frozen",  # before the sources: where the firmware is frozen, that is what is measured
    ROOT + "/lib",
    ROOT + "/tools",
    ROOT + "/build/mpy-lib",
]

from sim import harness, scenario, threads  # noqa: E402 - the path must come first

sys.modules["_thread"] = threads  # frozen, the firmware imports all that it needs at once

SIZES = (1, 4, 8, 16)
BUSY_TASKS = 3
"""Tasks of the busy rig that always have something to do, as web, log and MQTT may have."""
OFF_AND_ON = {
    "max_trips": 1000,
    "reconnect_delay_ms": 1000,
    "join_interval_ms": 100,
    "start_delay_ms": 1000,
}
"""Limits that bring a battery back soon, for many trips in a row."""


def play(sabotage=None, card=None, **plan):
    """Play a scenario given as keywords in virtual time; returns its report.

    Args:
        sabotage, card: as of `harness.run`.
    """
    plan["settings"] = dict(plan.get("settings", {}), serial_messages=False)
    plan.setdefault("name", "bench")
    plan = scenario.complete(plan)
    return harness.run(ROOT, plan, True, quiet=True, sabotage=sabotage, card=card)


class Load:
    """Keeps the controller busy: tasks that are always ready to run.

    Attributes:
        resumptions: how often they ran.
    """

    def __init__(self):
        self.resumptions = 0

    def hook(self):
        """Sabotage for `play`: the tasks start with the guard."""
        import asyncio

        from parallelator.protection.guard import Guard

        start = Guard.start

        def start_all(guard):
            start(guard)
            for _ in range(BUSY_TASKS):
                asyncio.create_task(self._toil())

        Guard.start = start_all

    async def _toil(self):
        import asyncio

        while True:
            self.resumptions += 1
            await asyncio.sleep_ms(0)


def random(seed):
    """Endless whole numbers below 2**31 (a linear congruential generator)."""
    while True:
        seed = (seed * 1103515245 + 12345) & 0x7FFFFFFF
        yield seed >> 8
