# SPDX-License-Identifier: GPL-3.0-only
"""A rig for people on a host that has other work: virtual time, held back to that of the host.

    micropython -X heapsize=64m tools/bench/paced.py --scenario F --port P --flash DIR --sd IMAGE
        --hurry S

Everything takes as long as on a plain ESP32 (see the cost model), and a host that is late makes
the rig slower, not late. The first S seconds pass as fast as they can. It runs until it is killed.
"""

import sys
import time

from rig import ROOT

from sim import harness, scenario
from sim.chips.sdcard import SdCard
from sim.chips.sdimage import Image

LATE_US = 50000


class Pace:
    """Waits for the host's clock in each step of the world, from `begin_us` on."""

    switched = played = restarted = lambda self, *rest: None

    def __init__(self, begin_us):
        self._begin_us = begin_us
        self._ahead_us = 0
        self._host_us = time.ticks_us()

    def stepped(self, now_us):
        """A step of virtual time; what the host is late by is forgotten."""
        host_us = time.ticks_us()
        passed_us = time.ticks_diff(host_us, self._host_us)
        self._host_us = host_us
        if now_us < self._begin_us:
            return
        self._ahead_us = max(self._ahead_us + now_us - self._begin_us - passed_us, -LATE_US)
        self._begin_us = now_us
        if self._ahead_us > 0:
            time.sleep_us(self._ahead_us)


def main(args):
    """Runs for ever; options that it does not know are ignored."""
    plan = scenario.load(args["--scenario"])
    plan["duration_s"] = None
    pace = Pace(int(args["--hurry"]) * 1000000)

    def hook():
        from sim import current

        if pace not in current.world.observers:
            current.world.observers.append(pace)

    harness.run(
        ROOT,
        plan,
        True,
        port=int(args["--port"]),
        flash=args["--flash"],
        card=SdCard(Image(harness.SD_SECTORS, args["--sd"])),
        sabotage=hook,
    )


main({sys.argv[k]: sys.argv[k + 1] for k in range(1, len(sys.argv), 2)})
