# SPDX-License-Identifier: GPL-3.0-only
"""How long people wait for a full rig: its page, its state, a tap, a login, the metrics.

    micropython -X heapsize=64m tools/bench/people.py CONTROLLER KHZ PORT

Sixteen batteries under load, a phone with a live stream, MQTT each second, the log on a card; one
request after the other, in virtual time. Prints a line of JSON, times in ms; `worst` of each.
"""

import json
import sys

from rig import play

from bench.visitor import PASSWORD, Visitor, hook
from sim.chips.sdcard import SdCard
from sim.chips.sdimage import Image

SECTORS = 131072
ROUNDS = 5
PAGE = ("/", "/style.css", "/app.js", "/charts.js", "/messages.json", "/api/state")
VISITS = (
    [("GET", path, None, 200) for path in PAGE]
    + [("GET", "/api/state", None, 200), ("GET", "/metrics", None, 200)] * ROUNDS
    + [("POST", "/api/login", {"password": PASSWORD}, 200)] * 3
    + [
        ("POST", "/api/batteries/%d/%s" % (n, action), {}, 202)
        for n in (3, 9, 14)
        for action in ("off", "auto")
    ]
)


class Timed(Visitor):
    """A phone that times its answers.

    Attributes:
        took_us: (method, path, us) of each answer; taps: (battery, us) of each *off*.
    """

    STREAMS = 1
    VISITS = VISITS

    def __init__(self, port):
        super().__init__(port)
        self.took_us = []
        self.taps = []
        self._asked_us = 0

    def _begin(self, now_us):
        self._asked_us = now_us
        _, path, _, _ = self.VISITS[self._next]
        if path.endswith("/off"):
            self.taps.append((int(path.split("/")[3]), now_us))
        super()._begin(now_us)

    def _finish(self, now_us):
        method, path, _, _ = self.VISITS[self._next - 1]
        super()._finish(now_us)
        self.took_us.append((path, now_us - self._asked_us))


def plan(controller, khz, port):
    """The scenario, as keywords of `play`."""
    return {
        "controller": controller,
        "duration_s": 60,
        "settings": {
            "web": {"port": port, "password": PASSWORD},
            "mqtt": {"interval_s": 1, "commands": True},
            "i2c_khz": khz,
        },
        "load": [[0, 30]],
        "steps": [{"at": 0, "do": "broker"}],
    }


def worst(visitor, moves):
    """What a phone waited for at most, ms.

    Args:
        moves: (ms, battery, closed) of each move of a switch.
    """
    if not visitor.done:
        raise ValueError("%s: not answered in time" % visitor.asking)

    def worst_ms(path):
        return max(us for asked, us in visitor.took_us if asked == path) / 1000

    opened = []
    for n, asked_us in visitor.taps:
        opened.append(
            min(
                ms - asked_us / 1000
                for ms, number, closed in moves
                if number == n and not closed and ms * 1000 > asked_us
            )
        )
    return {
        "page": sum(us for _, us in visitor.took_us[: len(PAGE)]) / 1000,
        "state": worst_ms("/api/state"),
        "tap": max(opened),
        "login": worst_ms("/api/login"),
        "metrics": worst_ms("/metrics"),
    }


def main():
    """Measure one controller."""
    controller, khz, port = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    visitor = Timed(port)
    scene = plan(controller, khz, port)
    report = play(lambda: hook(visitor), card=SdCard(Image(SECTORS)), **scene)
    visitor.leave()
    row = worst(visitor, report["switch_writes"])
    row["controller"], row["khz"] = controller, khz
    row["load_pct"] = report["ticks"]["load_pct"]
    row["gap_ms"] = report["ticks"]["worst_ms"]
    row["violations"] = len(report["violations"])
    print(json.dumps(row))


if __name__ == "__main__":
    main()
