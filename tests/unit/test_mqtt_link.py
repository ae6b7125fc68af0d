# SPDX-License-Identifier: GPL-3.0-only
"""MQTT packets, byte for byte, and how invalid ones are treated."""

import asyncio
import gc
import random
import time

from parallelator.clock import Clock
from parallelator.network.mqtt_link import Denied, Garbage, Link
from parallelator.scheduler import Scheduler


class Stream:
    """What the broker sends, and what was written to it."""

    out_buf = b""

    def __init__(self, data=b""):
        self._data = data
        self.written = b""

    async def readexactly(self, size):
        if len(self._data) < size:
            raise EOFError
        data = self._data[:size]
        self._data = self._data[size:]
        return data

    def write(self, data):
        self.written += bytes(data)


class Bench:
    """A link on such a stream, and what it has heard."""

    def __init__(self, data=b"", user=b""):
        self.heard = []
        self.stream = Stream(data)
        within = Scheduler(Clock(time), None).within
        self.link = Link(b"rig", user, b"pw", (b"a/status", b"offline"), self.note, within)
        self.link._connect = self.connect

    async def connect(self, *_):
        self.link._stream = self.stream

    def note(self, *message):
        self.heard.append(message)

    async def open(self):
        """Opens the link; returns itself."""
        await self.link.open("127.0.0.1", 1883)
        return self


def after(*packets):
    """A Bench that has received these packets: bytes, or the exception that they ended in."""
    bench = Bench(b"\x20\x02\x00\x00" + b"".join(packets))

    async def main():
        await bench.open()
        while True:
            await bench.link.receive()

    try:
        asyncio.run(main())
    except (EOFError, Garbage) as error:
        bench.end = type(error)
    return bench


def opened(answer, user=b""):
    """A Bench whose broker answers the opening so, or the exception."""
    try:
        return asyncio.run(Bench(answer, user).open())
    except (EOFError, Garbage, Denied) as error:
        return error


def message(topic, payload, first=0x30):
    """A PUBLISH packet."""
    length = 2 + len(topic) + len(payload)
    size = bytes((length,)) if length < 128 else bytes((length & 127 | 128, length >> 7))
    return bytes((first,)) + size + bytes((0, len(topic))) + topic + payload


def test_the_opening_is_that_of_mqtt_3_1_1():
    written = opened(b"\x20\x02\x00\x00").stream.written
    will = b"\x00\x08a/status\x00\x07offline"
    # clean session, will, will retained; keep-alive 30 s
    expected = b"\x00\x04MQTT\x04\x26\x00\x1e\x00\x03rig" + will
    assert written == bytes((0x10, len(expected))) + expected, written
    written = opened(b"\x20\x02\x00\x00", "Zoé".encode()).stream.written
    assert b"\x04MQTT\x04\xe6" in written
    assert written.endswith(will + b"\x00\x04Zo\xc3\xa9\x00\x02pw"), written


def test_answers_to_the_opening():
    for code in (1, 4, 5):
        denied = opened(bytes((0x20, 2, 0, code)))
        assert isinstance(denied, Denied) and denied.args[0] == code
    assert isinstance(opened(b"\x20\x02\x00"), EOFError)
    for answer in (b"HTTP/1.0 400 Bad Request\r\n\r\n" + bytes(200), b"\x20\x03\x00\x00\x00"):
        assert isinstance(opened(answer), Garbage), answer
    assert isinstance(opened(b"\xd0\x00"), Garbage)


def test_what_is_sent():
    async def main():
        bench = await Bench(b"\x20\x02\x00\x00").open()
        bench.stream.written = b""
        await bench.link.subscribe(b"a/+/set")
        await bench.link.publish("a/é".encode(), b"x" * 200, True)
        await bench.link.ping()
        return bench.stream.written

    expected = b"\x82\x0c\x00\x01\x00\x07a/+/set\x00"
    expected += b"\x31\xce\x01\x00\x04a/\xc3\xa9" + b"x" * 200 + b"\xc0\x00"
    assert asyncio.run(main()) == expected


def test_messages_are_heard():
    bench = after(message(b"a/b", b"ON"), message(b"c", b"", 0x31), message(b"d", b"y" * 500))
    assert bench.heard == [(b"a/b", b"ON", False), (b"c", b"", True), (b"d", b"y" * 500, False)]
    assert bench.end is EOFError


def test_a_long_message_is_skipped_and_the_next_one_heard():
    bench = after(message(b"a", bytes(5000)), b"\xd0\x00", message(b"b", b"ON"))
    assert bench.heard == [(b"a", None, False), (b"b", b"ON", False)]
    assert bench.link.skipped == 1 and bench.link.pongs == 1


def test_the_broker_refuses_a_subscription():
    assert after(b"\x90\x03\x00\x01\x00").link.refused == 0
    assert after(b"\x90\x03\x00\x01\x80").link.refused == 1


def test_what_is_no_mqtt_ends_the_connection():
    for packet in (
        b"\x30\x80\x80\x80\x80\x01",  # a length of five bytes
        b"\x30\x01a",  # no room for a topic
        b"\x30\x04\x00\x09ab",  # a topic longer than its packet
        message(b"a", b"ON", 0x32),  # QoS 1
        message(b"a", b"ON", 0x36),
        b"\xd0\x01x",
        b"\x90\x02\x00\x01",
        b"\x20\x02\x00\x00",
        b"\x00\x00",
    ):
        bench = after(packet, message(b"b", b"ON"))
        assert bench.end is Garbage and bench.heard == [], packet


def test_noise_does_no_harm():
    random.seed(8)
    heads = (0x30, 0x31, 0x90, 0xD0)
    for _ in range(3000):
        noise = bytes(random.getrandbits(8) for _ in range(random.getrandbits(5)))
        length = random.getrandbits(5)
        bench = after(bytes((heads[random.getrandbits(2)], length)), noise)
        assert bench.end in (EOFError, Garbage)
        for topic, payload, _ in bench.heard:
            assert len(topic) + len(payload) + 2 <= 31


def packet(first, body):
    """A packet with a length of two bytes at most."""
    length = len(body)
    size = bytes((length,)) if length < 128 else bytes((length & 127 | 128, length >> 7))
    return bytes((first,)) + size + body


def test_whatever_a_broker_sends_ends_well():
    bodies = (b"", b"\x00", b"\x00\x00", b"\x00\x01a", b"\xff\xff", b"\x00\x00\x80", bytes(130))
    for first in range(256):
        for body in bodies:
            bench = after(packet(first, body), message(b"b", b"ON"))
            assert bench.end in (EOFError, Garbage), (first, body)
            if bench.end is Garbage:
                assert bench.heard == [], (first, body)
            else:
                assert bench.heard[-1] == (b"b", b"ON", False), (first, body)
                assert first & 0xF6 == 0x30 or first in (0xD0, 0x90, 0xB0), first


def test_a_message_without_end_is_skipped_without_memory():
    class Endless(Stream):
        """A message of 268 MB, the longest there is, of which so much is sent."""

        left = 300000
        most = 0

        async def readexactly(self, size):
            if self._data:
                return await Stream.readexactly(self, size)
            self.left -= size
            if self.left < 0:
                raise EOFError
            gc.collect()
            self.most = max(self.most, gc.mem_alloc())
            return bytes(size)

    for topic in (b"a/battery/1/set", b""):
        head = b"\x20\x02\x00\x00\x30\xff\xff\xff\x7f" + bytes((0, len(topic))) + topic
        bench = Bench()
        bench.stream = Endless(head)
        gc.collect()
        before = gc.mem_alloc()

        async def main(bench=bench):
            await bench.open()
            await bench.link.receive()

        try:
            asyncio.run(main())
        except EOFError:
            pass
        assert bench.stream.left < 0 and bench.heard == [(topic, None, False)], bench.heard
        assert bench.stream.most - before < 4000, bench.stream.most - before


def test_a_long_message_with_a_wrong_topic_is_skipped_as_well():
    for size in (b"\xff\xff", b"\x03\x00", b"\x02\x57"):
        bench = after(packet(0x30, size + bytes(598)), message(b"b", b"ON"))
        assert bench.heard == [(b"b", b"ON", False)] and bench.link.skipped == 1, size


def test_a_message_in_pieces_is_that_message():
    texts = ["x" * 300, "é" * 200, "", "end"]

    async def main():
        bench = await Bench(b"\x20\x02\x00\x00").open()
        bench.stream.written = b""
        await bench.link.publish_pieces(b"a/b", lambda: iter(texts))
        pieces = bench.stream.written
        bench.stream.written = b""
        await bench.link.publish(b"a/b", "".join(texts).encode(), True)
        assert pieces == bench.stream.written
        bench.stream.written = b""
        await bench.link.unsubscribe(b"a/#")
        return bench.stream.written

    assert asyncio.run(main()) == b"\xa2\x07\x00\x01\x00\x03a/#"
