# SPDX-License-Identifier: GPL-3.0-only
"""Cut and mutated packets: no exception leaves a parser, its memory and its work are bounded.

`make test` tries 2,000 on each parser, `make soak` 50,000 (SOAK=1): always the same ones.
"""

import asyncio
import gc
import struct

from mutations import COUNT, flat, mutations
from parallelator.network import captive, dns, sntp
from parallelator.network.mqtt_link import Denied, Garbage
from test_captive import query, question
from test_mqtt import Bench as Rig
from test_mqtt_link import Bench, message
from test_sntp import NONCE
from test_sntp import packet as time_answer

LARGEST = 512
"""Bytes of a datagram that are taken in, and of an MQTT packet."""
NAME = "www.broker.example"
NAME_STEPS = 40
ACCEPTED = b"\x20\x02\x00\x00"


def record(owner, kind, data):
    return owner + struct.pack(">HHIH", kind, 1, 60, len(data)) + data


def name_answers():
    """Right answers to the question for NAME: one address, two behind an alias, none."""
    asked = question(NAME)
    alias = dns.encoded("cdn.example")
    address = b"\x0a\x01\x02\x03"
    head = b"id\x81\x80\0\1\0%c\0\0\0\0" + asked
    return (
        head.replace(b"%c", b"\1") + record(b"\xc0\x0c", 1, address),
        head.replace(b"%c", b"\3")
        + record(b"\xc0\x0c", 5, alias)
        + 2 * record(b"\xc0" + bytes((len(asked) + 24,)), 1, address),
        head.replace(b"%c", b"\1") + record(b"\xc0\x0c", 28, bytes(16)),
        head.replace(b"%c", b"\0").replace(b"\x81\x80", b"\x81\x83"),
    )


def test_answers_of_name_servers():
    asked = question(NAME)

    def parse(packet):
        answer = asyncio.run(dns.parsed(packet, b"id", asked))
        assert answer is None or len(answer) == 3
        return answer and answer[1]

    for packet in name_answers()[:2]:
        assert parse(packet) == "10.1.2.3"
    assert 0 < flat(parse, name_answers()) < COUNT


def test_a_record_that_is_shorter_than_it_says_is_no_answer():
    asked = question(NAME)
    head = b"id\x81\x80\0\1\0\1\0\0\0\0" + asked + b"\xc0\x0c"
    whole = head + struct.pack(">HHIH", 1, 1, 60, 4) + b"\x0a\x01\x02\x03"
    for size in range(4):
        for packet in (whole[: len(whole) - 4 + size], whole[:-5] + bytes((size,)) + whole[-4:]):
            answer = asyncio.run(dns.parsed(packet, b"id", asked))
            assert answer is None or answer[1] is None, packet


class Counted(bytearray):
    """A packet that counts how often a byte or a part is taken out of it."""

    taken = 0

    def __getitem__(self, at):
        Counted.taken += 1
        return bytes(self)[at]


class Sleeper:
    """asyncio that notes what was taken out of a packet between two of its sleeps."""

    def __init__(self):
        self.most = 0
        self.sleeps = 0

    async def sleep_ms(self, ms):
        self.note()
        self.sleeps += 1

    def note(self):
        self.most = max(self.most, Counted.taken)
        Counted.taken = 0


def test_others_go_on_between_two_names_of_an_answer():
    asked = question(".".join("abcdefghijklmnopqrstuvwxyzabcdefghijkl"))
    full = b"id\x81\x80\0\1\xff\xff\0\0\0\0" + asked
    while len(full) < LARGEST - 14:
        full += record(b"\xc0\x0c", 5, b"\xc0\x0c")
    dns.asyncio = sleeper = Sleeper()
    try:
        dns.parsed(Counted(full), b"id", asked).send(None)
    except StopIteration as stop:
        assert stop.value is None
    finally:
        dns.asyncio = asyncio
    sleeper.note()
    assert sleeper.sleeps > 50 and sleeper.most <= 2 * NAME_STEPS + 10, sleeper.most


def test_questions_on_the_access_point():
    def parse(packet):
        return captive.answered(packet, "192.168.4.1")

    seeds = [query("captive.apple.com"), query("x"), query("a.b.c.d.e.f", 28), query(NAME, 255)]
    assert 0 < flat(parse, seeds) < COUNT
    for packet in mutations(seeds, 200):
        reply = parse(packet)
        assert reply is None or len(reply) <= len(packet) + 16


def test_answers_of_time_servers():
    seeds = [time_answer(), time_answer(head=b"\x1c\x01"), time_answer(head=b"\xe4\x02")]
    assert 0 < flat(lambda packet: sntp.parsed(packet, NONCE), seeds) < COUNT


# MQTT


def streams():
    """What a broker may send after it has accepted."""
    birth = message(b"homeassistant/status", b"online")
    command = message(b"parallelator/stage/battery/3/set", b"OFF")
    subscribed = b"\x90\x03\x00\x01\x00"
    kept = message(b"homeassistant/device/parallelator_1/battery_3/config", b"{}", 0x31)
    return (
        subscribed + b"\x90\x03\x00\x02\x80" + command + b"\xd0\x00",
        birth + command + message(b"parallelator/stage/battery/17/set", b"on", 0x31),
        b"\xd0\x00" + message(b"a", bytes(600)) + command,
        kept + message(b"parallelator/stage/battery/all/set", b"auto") + b"\xb0\x02\x00\x03",
        message(b"parallelator/stage/set", b"RESET") + command + kept,
        message("parallelator/stage/battery/é/set".encode(), "é".encode()) + b"\xd0\x00" + birth,
    )


def test_what_a_broker_sends():
    rig = Rig(commands=True)
    rig.rig.guard = Guard()
    rig.rig.restart = lambda: None
    rig.mqtt._commands = rig.mqtt._listening = True
    heard = rig.mqtt._heard

    def parse(data):
        bench = Bench(ACCEPTED + data)
        bench.link._heard = heard
        rig.mqtt._lost = None
        rig.mqtt._allowed_until_s = 0  # so many commands are not held back

        async def main():
            await bench.open()
            await rig.mqtt._receive(bench.link)

        asyncio.run(main())
        assert isinstance(rig.mqtt._lost, (EOFError, Garbage)), rig.mqtt._lost
        return rig.rig.guard.took()

    assert COUNT // 20 < flat(parse, streams()) < COUNT


class Guard:
    """Takes every request."""

    _submitted = 0

    def submit(self, action, i):
        assert -1 <= i <= 16
        self._submitted += 1

    def took(self):
        """Requests since the last call."""
        taken = self._submitted
        self._submitted = 0
        return taken


def test_answers_to_the_opening():
    refused = 0

    def parse(data):
        nonlocal refused
        try:
            asyncio.run(Bench(data).open())
            return True
        except (EOFError, Garbage):
            return False
        except Denied:
            refused += 1
            return False

    assert 0 < flat(parse, [ACCEPTED, b"\x20\x02\x00\x05", ACCEPTED + b"\xd0\x00"]) < COUNT
    assert refused


class Endless:
    """A broker that sends a head, and then zeros for ever.

    Attributes:
        largest: what was asked for at once; reads: how often.
    """

    out_buf = b""

    def __init__(self, head):
        self._head = ACCEPTED + head
        self.largest = self.reads = 0

    async def readexactly(self, size):
        self.largest = max(self.largest, size)
        self.reads += 1
        if self.reads > 1000:
            raise EOFError
        data = self._head[:size]
        self._head = self._head[size:]
        return data + bytes(size - len(data))

    def write(self, data):
        pass


def ended(head):
    """What the link makes of an endless stream: (the exception, the stream)."""
    bench = Bench()
    bench.stream = Endless(head)

    async def main():
        await bench.open()
        while True:
            await bench.link.receive()

    try:
        asyncio.run(main())
    except (EOFError, Garbage) as error:
        return type(error), bench.stream


def test_a_message_without_an_end_is_thrown_away_in_small_pieces():
    for head in (b"\x30\xff\xff\xff\x7f", b"\x31\x81\x04", b"\x30\x80\x80\x80\x01"):
        _, stream = ended(head)
        assert stream.largest <= 128, (head, stream.largest)


def test_the_longest_packet_takes_six_kilobytes_at_most():
    topic = b"\x01\x00" + b"a" * 256
    for body in (topic + b"x" * 254, b"\xff\xff" + b"x" * 510):
        bench = Bench(ACCEPTED)
        pieces = [b"\x30", b"\x80", b"\x04", body]

        async def received(size, pieces=pieces):
            return pieces.pop(0)

        async def main(bench=bench, received=received):
            await bench.open()
            bench.stream.readexactly = received
            gc.collect()
            gc.disable()  # so all is counted, also what is done with before the rest comes
            used = gc.mem_alloc()
            try:
                await bench.link.receive()
            except Garbage:
                pass
            return gc.mem_alloc() - used

        spent = asyncio.run(main())
        gc.enable()
        assert pieces == [] and spent < 6 << 10, spent


def test_only_a_message_may_be_long():
    for kind in range(16):
        if kind != 3:
            for size in (b"\xff\xff\xff\x7f", b"\x81\x04"):
                end, stream = ended(bytes((kind << 4,)) + size)
                assert end is Garbage and stream.reads < 10, (kind, end, stream.reads)
    for head in (b"\x30\xff\xff\xff\xff", b"\x30\x80\x80\x80\x80", b"\xff\xff\xff\xff\xff\xff"):
        end, stream = ended(head)
        assert end is Garbage and stream.reads < 10, (head, end)
