# SPDX-License-Identifier: GPL-3.0-only
"""How long the first live screen, a tap and the news take when people open the page at once.

    micropython -X heapsize=64m tools/bench/phones.py PHONES KHZ PORT

Sixteen batteries under load, MQTT each second, the log on a card, a plain ESP32 in virtual time.
Each phone asks as a browser does: the page, then style and program together, then words and live
stream together. Then each logs in and taps in turns with the others. What radio and browser take
is not in it. Prints a line of JSON, times in ms.
"""

import json
import sys

from rig import play

from bench.visitor import PASSWORD, Visitor, hook, receive
from sim.chips.sdcard import SdCard
from sim.chips.sdimage import Image

SECTORS = 131072
OPEN_US = 20000000
PAUSE_US = 1500000
TAPS = ((3, 9), (5, 14), (7, 12), (2, 16))
"""Batteries that the phones switch off and on again."""
NEXT = {"": ("/",), "/": ("/style.css", "/app.js"), "/app.js": ("/messages.json", "/api/live")}
LIVE = "/api/live"


class Phone(Visitor):
    """A browser with the page.

    Args:
        port: of the page; own: the batteries that it switches.

    Attributes:
        live_us: from opening the page until it shows live data; gap_us: longest time between two
            frames; taps: (battery, us) of each *off*; news: us from such a tap until a frame
            tells of it.
    """

    def __init__(self, port, own):
        super().__init__(port)
        self._links = None
        self._text = {}
        self._due_us = OPEN_US
        self._frame_us = None
        self._steps = [("/api/login", {"password": PASSWORD})]
        for n in own:
            self._steps += [("/api/batteries/%d/%s" % (n, to), {}) for to in ("off", "auto")]
        self.live_us = None
        self.gap_us = 0
        self.taps = []
        self.news = []

    def act(self, now_us):
        """Do what can be done now without waiting."""
        if now_us < self._due_us and not self._links:
            return
        if self._links is None:
            self._links = {}
            self._follow("")
        for path in list(self._links):
            data = receive(self._links[path])
            if data:
                self._text[path] += data
            elif data == b"":
                self._links.pop(path).close()
                self._finished(path)
        if LIVE in self._links:
            self._read(now_us)
        if self.live_us is None:
            if b"\n\ndata: [" in self._text.get(LIVE, b"") and len(self._links) == 1:
                self.live_us = now_us - OPEN_US
                self._due_us = now_us + PAUSE_US
        elif now_us >= self._due_us and self._steps and len(self._links) == 1:
            path, body = self._steps.pop(0)
            if path.endswith("/off"):
                self.taps.append((int(path.split("/")[3]), now_us))
            self._open("POST", path, body)
            self._due_us = now_us + PAUSE_US

    def _follow(self, path):
        for following in NEXT.get(path, ()):
            self._open("GET", following, None)

    def _open(self, method, path, body):
        self._links[path] = self._ask(method, path, body)
        self._text[path] = b""

    def _finished(self, path):
        head = self._text.pop(path).split(b"\r\n\r\n")[0].decode()
        if head.split(" ")[1] not in ("200", "202"):
            raise ValueError("%s: %s" % (path, head[:60]))
        for line in head.split("\r\n"):
            if line.lower().startswith("set-cookie:"):
                self._cookie = line.split(":", 1)[1].split(";")[0].strip()
        self._follow(path)

    def _read(self, now_us):
        """The newest whole frame."""
        *_, frame, _ = [b"", b""] + self._text[LIVE].split(b"\n\n")
        if self.live_us is None or not frame.startswith(b"data: ["):
            return
        self._text[LIVE] = self._text[LIVE].rsplit(b"\n\n", 1)[1]
        if self._frame_us:
            self.gap_us = max(self.gap_us, now_us - self._frame_us)
        self._frame_us = now_us
        if len(self.news) < len(self.taps):
            n, asked_us = self.taps[-1]
            if json.loads(frame[6:])[4 + n][2] == 1:  # its wish
                self.news.append(now_us - asked_us)

    @property
    def done(self):
        return not self._steps and self._links is not None and len(self._links) == 1

    def leave(self):
        """Close everything."""
        for link in self._links.values():
            link.close()


class Phones:
    """All of them."""

    def __init__(self, port, count):
        self.all = [Phone(port, own) for own in TAPS[:count]]

    def act(self, now_us):
        """As of each."""
        for phone in self.all:
            phone.act(now_us)


def main():
    """Measure one rig."""
    count, khz, port = map(int, sys.argv[1:])
    phones = Phones(port, count)
    report = play(
        lambda: hook(phones),
        card=SdCard(Image(SECTORS)),
        controller="plain",
        duration_s=60,
        settings={
            "web": {"port": port, "password": PASSWORD},
            "mqtt": {"interval_s": 1, "commands": True},
            "pack": {"capacity_mah": 20000},
            "i2c_khz": khz,
        },
        load=[[0, 30]],
        steps=[{"at": 0, "do": "broker"}],
    )
    for phone in phones.all:
        phone.leave()
        if not phone.done:
            raise ValueError("%s: not answered in time" % phone.asking)
    opened = [
        min(
            ms - asked_us / 1000
            for ms, number, closed in report["switch_writes"]
            if number == n and not closed and ms * 1000 > asked_us
        )
        for phone in phones.all
        for n, asked_us in phone.taps
    ]
    worst = lambda times: max(times) / 1000  # noqa: E731
    print(
        json.dumps(
            {
                "phones": count,
                "khz": khz,
                "live": worst([phone.live_us for phone in phones.all]),
                "tap": max(opened),
                "news": worst([us for phone in phones.all for us in phone.news]),
                "gap": worst([phone.gap_us for phone in phones.all]),
                "tick": report["ticks"]["worst_ms"],
                "violations": len(report["violations"]),
            }
        )
    )


main()
