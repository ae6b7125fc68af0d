# SPDX-License-Identifier: GPL-3.0-only
"""Parts of the HTTP server without a browser: request head, body length, writer, shutdown."""

import asyncio
import os
import time

from parallelator import settings
from parallelator.clock import Clock
from parallelator.records.events import Events
from parallelator.scheduler import Scheduler
from parallelator.snapshot import Snapshot
from parallelator.web import Refused, server
from parallelator.web.server import Writer, body_length, parse_head

PORT = 10000 + int.from_bytes(os.urandom(2), "big") % 20000
WITHIN = Scheduler(Clock(time), None).within


def refusal(function, *args):
    """The HTTP status with which a call refuses."""
    try:
        result = function(*args)
        if hasattr(result, "send"):
            asyncio.run(result)
    except Refused as error:
        return error.args[0]
    return None


def test_head():
    text = "POST /a?b=%20c HTTP/1.1\r\nhOST: rig\r\nCOOKIE:  a=b  \r\nOrigin:\r\nX: y"
    method, url, version, headers = asyncio.run(parse_head(text))
    assert (method, url, version) == ("POST", "/a?b=%20c", "1.1")
    assert headers == {"Host": "rig", "Cookie": "a=b", "Origin": ""}


def test_forms_of_a_target():
    def head(line, *more):
        text = "\r\n".join((line, "Host: other") + more)
        _, url, _, headers = asyncio.run(parse_head(text))
        return url, headers["Host"]

    assert head("GET http://rig:8080/api/state?a=b HTTP/1.1") == ("/api/state?a=b", "rig:8080")
    assert head("GET HTTPS://Rig/a//b HTTP/1.1") == ("/a//b", "Rig")
    assert head("GET http://rig HTTP/1.1") == ("/", "rig")
    assert head("OPTIONS * HTTP/1.1") == ("*", "other")
    assert head("GET /http://x HTTP/1.1") == ("/http://x", "other")
    for line in ("GET * HTTP/1.1", "GET rig/ HTTP/1.1", "GET ftp://rig/ HTTP/1.1"):
        assert refusal(parse_head, line + "\r\nHost: rig") == 400, line


def test_several_cookie_lines_are_one():
    text = "GET / HTTP/1.0\r\nCookie: a=1\r\ncookie: b=2"
    assert asyncio.run(parse_head(text))[3] == {"Cookie": "a=1; b=2"}
    assert refusal(parse_head, "GET / HTTP/1.0\r\nOrigin: a\r\nOrigin: b") == 400


def test_limits_of_the_head_are_exact():
    line = "GET / HTTP/1.0"
    assert refusal(parse_head, line + "\r\nA: b" * 40) is None
    assert refusal(parse_head, line + "\r\nA: b" * 41) == 431
    assert refusal(parse_head, "GET /?" + "x" * 510 + " HTTP/1.0") is None
    assert refusal(parse_head, "GET /?" + "x" * 511 + " HTTP/1.0") == 414
    assert refusal(parse_head, "GET /" + "x" * 95 + "? HTTP/1.0") is None
    assert refusal(parse_head, "GET /" + "x" * 96 + "? HTTP/1.0") == 414


def test_body_length():
    assert body_length({}) == 0
    assert body_length({"Content-Length": "16384"}) == 16384
    assert body_length({"Content-Length": "00016"}) == 16
    assert refusal(body_length, {"Content-Length": "16385"}) == 413
    assert refusal(body_length, {"Content-Length": "000016"}) == 413
    for text in ("-1", "", "1.0", "0x10", "1 2", "1,2"):
        assert refusal(body_length, {"Content-Length": text}) == 400, text


class Stream:
    """Remembers what is written at once."""

    out_buf = b""

    def __init__(self):
        self.writes = []

    def write(self, data):
        self.writes.append(bytes(data))

    async def drain(self):
        pass


def test_the_writer_joins_small_writes_and_copies_no_large_one():
    async def main():
        stream = Stream()
        writer = Writer(stream, Clock(time), WITHIN)
        for _ in range(30):
            await writer.awrite(b"Header: value\r\n")
        assert stream.writes == []
        await writer.flush()
        assert stream.writes == [b"Header: value\r\n" * 30]
        for size in (500, 300, 200, 1000, 1500, 1200, 20):
            await writer.awrite(b"x" * size)
        await writer.flush()
        assert [len(data) for data in stream.writes[1:]] == [500, 500, 1000, 1500, 1200, 20]

    asyncio.run(main())


def test_a_client_that_does_not_read_is_dropped():
    async def main():
        outcome = []

        async def serve(reader, stream):
            writer = Writer(stream, Clock(time), WITHIN, 300)
            try:
                while True:
                    await writer.awrite(bytes(60000))
            except asyncio.TimeoutError:
                outcome.append("dropped")
            stream.close()
            await stream.wait_closed()

        listener = await asyncio.start_server(serve, "127.0.0.1", PORT)
        _, stream = await asyncio.open_connection("127.0.0.1", PORT)
        for _ in range(50):
            await asyncio.sleep_ms(100)
            if outcome:
                break
        stream.close()
        await stream.wait_closed()
        listener.close()
        await listener.wait_closed()
        assert outcome == ["dropped"]

    asyncio.run(main())


class Network:
    """A radio without an access point: it is its own `wifi`."""

    ap_ip = ""

    def __init__(self):
        self.wifi = self

    def hostname(self):
        return "rig"


class Rig:
    """What `serve` asks of a rig before anybody asks for more than the stream."""

    boot = 1
    meter = cascade = report = verdict = None
    saves = 0
    pending = {}
    events = Events(None)

    def __init__(self, port):
        self.settings = settings.Values({})
        self.settings["web.port"] = port
        self.snap = Snapshot()
        self.clock = Clock(time)
        self.network = Network()
        scheduler = Scheduler(self.clock, None)
        self.run_after_guard = scheduler.run_after_guard
        self.within = scheduler.within

    def alarms(self):
        return []

    def show_s(self):
        return 0

    def button_held(self):
        return False


def test_cancel_closes_the_port_and_the_connections():
    rig = Rig(PORT + 1)

    async def main():
        for _ in range(2):  # the second time works only if the port is free again
            task = asyncio.create_task(server.serve(rig))
            await asyncio.sleep_ms(100)
            reader, stream = await asyncio.open_connection("127.0.0.1", PORT + 1)
            stream.write(b"GET /api/live HTTP/1.0\r\n\r\n")
            await stream.drain()
            assert (await reader.readline()).startswith(b"HTTP/1.0 200")
            line = b"head"
            while line and not line.startswith(b"data: ["):  # up to the first frame
                line = await reader.readline()
            assert line
            task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                pass
            await asyncio.wait_for(reader.read(-1), 1)  # ends: the connection is closed
            stream.close()
            await stream.wait_closed()

    asyncio.run(main())


def test_a_port_that_is_taken_is_an_error():
    async def main():
        async def nobody(reader, stream):
            pass

        listener = await asyncio.start_server(nobody, "0.0.0.0", PORT + 2)
        try:
            await server.serve(Rig(PORT + 2))
            raise AssertionError("served on a taken port")
        except OSError:
            pass
        listener.close()
        await listener.wait_closed()

    asyncio.run(main())
