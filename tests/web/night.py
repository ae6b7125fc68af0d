# SPDX-License-Identifier: GPL-3.0-only
"""Makes the image of an SD card with the points of the past day, for the charts, and its logs.

    micropython tests/web/night.py IMAGE UNIX_S

Needs lib/ and tools/ on MICROPYPATH. The rig of boot 77 ran until 20 minutes before UNIX_S: at
27 V, falling a volt within the day, 30 A from 20 to 4 hours before, else 2 A. Its logs have a row
a minute of two days.
"""

import asyncio
import os
import sys
import time

from parallelator.catalog import LOG_COLUMNS, names
from parallelator.clock import Clock
from parallelator.records.card import READY
from parallelator.records.chart_store import ChartStore
from parallelator.records.history import SERIES, SPANS, Ring
from sim.chips.sdimage import Image

STEP_S, POINTS = SPANS[-1]
DAY_S = 86400


class Rig:
    """Card, clock and snapshot of a `ChartStore` in one."""

    state = READY
    writable = True
    volume = None
    losses = 0

    def __init__(self, end_s):
        self.uptime_s = STEP_S * POINTS
        self._end_s = end_s

    def unix(self, ago_s):
        """As `Clock.unix`."""
        return self._end_s - ago_s


def main(path, unix_s):
    image = Image(131072, path)
    os.mount(image.volume(), "/sd")
    ring = Ring(STEP_S, POINTS)
    for k in range(POINTS):
        amps = 30 if 12 <= k < 60 else 2
        for series in range(SERIES):
            share = amps if series == 0 else amps / 16
            ring.add(series, 27000 - 1000 * k // POINTS - 3 * series, int(1000 * share))
        ring.close(None)
    rig = Rig(int(unix_s) - 1200)
    asyncio.run(ChartStore(ring, rig, rig, rig, 77)._save())
    write_logs(int(unix_s) - 1200)
    os.umount("/sd")
    image.close()


def write_logs(end_s):
    """The logs of the day of UTC that `end_s` is in and of the day before."""
    clock = Clock(time)
    clock.set(end_s)
    os.mkdir("/sd/log")
    for begin_s in (end_s // DAY_S * DAY_S - DAY_S, end_s // DAY_S * DAY_S):
        with open("/sd/log/%s.csv" % clock.stamp(begin_s)[:10], "w") as file:
            file.write(",".join(["time", "uptime_ms", "battery"] + names(LOG_COLUMNS)) + "\n")
            for unix_s in range(begin_s, min(begin_s + DAY_S, end_s), 60):
                file.write("%s,%d,1,26300" % (clock.stamp(unix_s), 1000 * (unix_s - begin_s)))
                file.write("," * (len(LOG_COLUMNS) - 1) + "\n")


main(*sys.argv[1:])
