# SPDX-License-Identifier: GPL-3.0-only
"""Pulls the SD card out and puts it back, again and again, while the rig logs. Run by a test.

    micropython -X heapsize=64m tools/soak/pulls.py IMAGE PULLS

The card is kept in IMAGE, for `fsck.fat`. Every pull comes after another number of blocks written,
0.2 s later the card is back. Some seconds before the end it loses all that it is told to write.
Prints a line of JSON: events counted by code, blocks written, the last and the torn rows.
"""

import json
import os
import sys

ROOT = __file__.rsplit("/tools/soak/", 1)[0]
sys.path[:] = [
    ROOT + "/tools/sim/standins",
    ROOT + "/lib",
    ROOT + "/tools",
    ROOT + "/build/mpy-lib",
    ".frozen",
]

from sim import current, harness, scenario  # noqa: E402 - the path must come first
from sim.chips.sdcard import SdCard  # noqa: E402
from sim.chips.sdimage import Image  # noqa: E402

SECTORS = 131072
BATTERIES = 4
OUT_US = 200000
STEP_S = 13
MOST_BLOCKS = 6


class Puller:
    """Pulls a card after each of several numbers of blocks.

    Attributes:
        left: pulls still to come; events: code to how often.
    """

    def __init__(self, card, pulls):
        self.card = card
        self.left = pulls
        self.events = {}
        self._at = 60
        self._back_us = None
        self.emit = None

    def hook(self):
        """For `harness.run`."""
        from parallelator.protection.guard import Guard
        from parallelator.records.events import Events

        current.listener = self
        self.emit = Events.emit
        Events.emit = _heard
        tick = Guard.tick

        def watched(guard):
            tick(guard)
            self._pull(current.world.now_us)

        Guard.tick = watched

    def _pull(self, now_us):
        card = self.card
        if self._back_us is not None:
            if now_us >= self._back_us:
                card.insert()
                self._back_us = None
                self._at = card.written + 1 + self.left * 5 % MOST_BLOCKS
        elif self.left and card.written >= self._at:
            self.left -= 1
            card.remove(now_us)
            self._back_us = now_us + OUT_US


def _heard(events, code, i, state, reason, value):
    # Not a closure, see sim/guard_probe.py.
    current.probe.unlock()
    counts = current.listener.events
    counts[code] = counts.get(code, 0) + 1
    current.listener.emit(events, code, i, state, reason, value)


def main():
    """Play it."""
    path = sys.argv[1]
    pulls = int(sys.argv[2])
    path = path if path.startswith("/") else os.getcwd() + "/" + path
    card = SdCard(Image(SECTORS, path))
    puller = Puller(card, pulls)
    duration_s = pulls * STEP_S + 30
    plan = {
        "name": "pulls",
        "batteries": BATTERIES,
        "load": [[0, 20]],
        "settings": {"serial_messages": False, "log": {"keep_free_mb": 10}},
        "duration_s": duration_s,
        "steps": [{"at": duration_s - 5.03, "do": "sd_cut"}],
    }
    report = harness.run(
        ROOT, scenario.complete(plan), True, quiet=True, sabotage=puller.hook, card=card
    )
    with card.image.volume().open("/log/boot-0001.csv", "r") as file:
        rows = [row for row in file.read().split("\n") if row[:1] != "#"]
    commas = rows[0].count(",")
    card.image.close()
    print(
        json.dumps(
            {
                "left": puller.left,
                "events": puller.events,
                "violations": report["violations"],
                "blocks": card.written,
                "last_s": int(rows[-2].split(",")[1]) // 1000,
                "duration_s": duration_s,
                "torn": [row for row in rows[1:-1] if row and row.count(",") != commas],
            }
        )
    )


main()
