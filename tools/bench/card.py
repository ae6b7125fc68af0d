# SPDX-License-Identifier: GPL-3.0-only
"""What the log costs the SD card: bytes written per byte of log, and how long the card keeps busy.

    micropython -X heapsize=64m tools/bench/card.py LAYOUT INTERVAL_S SECONDS

Sixteen batteries under load on a card of 32 GB with folders from earlier, the clock known from
the fifth second on. Prints a line of JSON.
"""

import json
import sys

from rig import play

from sim.chips.sdcard import SdCard
from sim.chips.sdimage import Image

SECTORS = 32 << 21
CLOCK_AT_MS = 5000
UNIX_S = 1784000000


def hook():
    """Sabotage for `play`: a browser sets the clock."""
    import asyncio

    from parallelator.app import App

    start = App._start

    def started(app, name, job):
        async def browser():
            await asyncio.sleep_ms(CLOCK_AT_MS)
            app.rig.set_time(UNIX_S)
            await asyncio.sleep_ms(1 << 28)

        if name == "log":
            start(app, "browser", browser)
        return start(app, name, job)

    App._start = started


def main():
    """Measure."""
    layout, interval_s, duration_s = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    image = Image(SECTORS)
    volume = image.volume()
    volume.mkdir("/log")
    volume.mkdir("/counters")
    card = SdCard(image)
    report = play(
        hook,
        card=card,
        duration_s=duration_s,
        settings={"log": {"interval_s": interval_s, "layout": layout}},
        load=[[0, 0], [10, 40]],
    )
    log_bytes = sum(entry[3] for entry in image.volume().ilistdir("/log"))
    print(
        json.dumps(
            {
                "layout": layout,
                "interval_s": interval_s,
                "log_per_day": log_bytes * 86400 // duration_s,
                "written_per_day": report["sd"]["bytes"] * 86400 // duration_s,
                "ratio": report["sd"]["bytes"] / log_bytes,
                "violations": len(report["violations"]),
                "alloc": len(report["alloc_violations"]),
            }
        )
    )


main()
