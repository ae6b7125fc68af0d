# SPDX-License-Identifier: GPL-3.0-only
"""A browser for stepper.py: asks for one thing after the other, beside two live streams."""

import json

import usocket

PASSWORD = "backstage"
FIRST_US = 10000000
PAUSE_US = 200000
PLAIN = "/api/openapi.json"
"""Asked for as a program does, which does not take gzip."""
STREAMS = 2
HEAD_END = b"\r\n\r\n"
RECEIVED = 2048
"""Bytes at most that arrive in a millisecond."""

VISITS = (
    ("GET", "/", None, 200),
    ("GET", "/style.css", None, 200),
    ("GET", "/app.js", None, 200),
    ("GET", "/charts.js", None, 200),
    ("GET", "/messages.json", None, 200),
    ("GET", "/messages.json?language=fr", None, 200),
    ("GET", "/api/openapi.json", None, 200),
    ("GET", "/api/state", None, 200),
    ("GET", "/api/events?after=0", None, 200),
    ("GET", "/api/history", None, 200),
    ("GET", "/api/history?n=3&span=300", None, 200),
    ("GET", "/api/history?span=86400", None, 200),
    ("GET", "/api/system", None, 200),
    ("GET", "/api/settings", None, 200),
    ("GET", "/api/settings/schema", None, 200),
    ("GET", "/metrics", None, 200),
    ("GET", "/log", None, 200),
    ("GET", "/api/blackbox", None, 200),
    ("GET", "/api/blackbox/1-1", None, 200),
    ("GET", "/api/logs", None, 200),
    ("GET", "/api/logs/boot-0001.csv", None, 200),
    ("GET", "/api/nothing", None, 404),
    ("POST", "/api/login", {"password": "wrong"}, 401),
    ("POST", "/api/login", {"password": PASSWORD}, 200),
    ("POST", "/api/batteries/3/off", {}, 202),
    ("POST", "/api/batteries/3/auto", {}, 202),
    ("PATCH", "/api/settings", {"limits": {"max_trips": 6}}, 200),
    ("PATCH", "/api/settings", {"limits": {"max_trips": "six", "min_voltage_mv": 31000}}, 422),
    ("POST", "/api/time", {"unix_s": 1800000000}, 200),
    ("GET", "/api/state", None, 200),
    ("DELETE", "/api/logs/boot-0001.csv", None, 200),
    ("POST", "/api/logout", {}, 200),
)
"""Method, path and body of what a browser asks for in turn, and the status of the answer."""


class Visitor:
    """A browser: streams that stay open, and one request after the other.

    Args:
        port: of the page.

    Attributes:
        LONGEST_S: it should have all answers by then.
        STREAMS: live streams beside; VISITS: what it asks for, as VISITS above.
        asking: what it asks for at the moment; done: True when it has all answers.
    """

    LONGEST_S = FIRST_US // 1000000 + 3 * len(VISITS)
    STREAMS = STREAMS
    VISITS = VISITS

    def __init__(self, port):
        self._port = port
        self._streams = []
        self._socket = None
        self._due_us = FIRST_US
        self._next = 0
        self._answer = b""
        self._cookie = ""
        self.asking = ""

    def act(self, now_us):
        """Do what can be done now without waiting."""
        if now_us < self._due_us:
            return
        for stream in self._streams:
            receive(stream)
        if self._socket:
            data = receive(self._socket)
            if data:
                if HEAD_END not in self._answer:  # all of it that is looked at
                    self._answer += data
            elif data == b"":
                self._finish(now_us)
        elif len(self._streams) < self.STREAMS:
            self._streams.append(self._ask("GET", "/api/live", None))
            self._due_us = now_us + PAUSE_US
        elif self._next < len(self.VISITS):
            self._begin(now_us)
            self._next += 1

    def _begin(self, now_us):
        self._socket = self._ask(*self.VISITS[self._next][:3])

    def _ask(self, method, path, body):
        self.asking = "%s %s" % (method, path)
        text = json.dumps(body) if body is not None else ""
        asked = usocket.socket()
        asked.connect(usocket.getaddrinfo("127.0.0.1", self._port)[0][-1])
        asked.setblocking(False)
        head = (
            "%s %s HTTP/1.1" % (method, path),
            "Host: localhost:%d" % self._port,
            "Cookie: " + self._cookie,
            "Content-Type: application/json",
            "Content-Length: %d" % len(text),
            "Accept-Encoding: " + ("identity" if path == PLAIN else "gzip"),
        )
        asked.write("\r\n".join(head) + "\r\n\r\n" + text)
        return asked

    def _finish(self, now_us):
        self._socket.close()
        self._socket = None
        self._due_us = now_us + PAUSE_US
        head = self._answer.split(HEAD_END)[0].decode()
        status = int(head.split(" ")[1])
        if status != self.VISITS[self._next - 1][3]:
            raise ValueError("%s: answered with %d" % (self.asking, status))
        for line in head.split("\r\n"):
            if line.lower().startswith("set-cookie:"):
                self._cookie = line.split(":", 1)[1].split(";")[0].strip()
        self._answer = b""

    @property
    def done(self):
        return self._next == len(self.VISITS) and not self._socket

    def leave(self):
        """Close every stream."""
        for stream in self._streams:
            stream.close()


def receive(stream):
    """What a socket has now: bytes, b"" at the end, None when there is nothing now."""
    try:
        return stream.recv(RECEIVED)
    except OSError:
        return None


def hook(visitor):
    """Sabotage for `play`: the phone looks every millisecond, as the radio would."""
    from sim import current

    class Radio:
        switched = played = restarted = lambda self, *rest: None

        def stepped(self, now_us):
            visitor.act(now_us)

    current.world.observers.append(Radio())
