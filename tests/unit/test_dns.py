# SPDX-License-Identifier: GPL-3.0-only
"""Names by UDP: answers, aliases, cache, and servers that lie, delay or die."""

import asyncio
import errno
import struct
import time

from parallelator.clock import Clock
from parallelator.network import dns
from parallelator.scheduler import Scheduler
from sim.servers import NameServer

NAMES = {
    "broker.example": "10.1.2.3",
    "alias.example": "broker.example",
    "loop.example": "loop.example",
}


class Snap:
    """The uptime, set by hand."""

    uptime_s = 0


class Net:
    """A resolver and its server, which answers as long as a test runs."""

    def __init__(self, **options):
        dns._TRIES_MS = (40, 40, 40)
        self.server = NameServer(NAMES, **options)
        self.snap = Snap()
        self.ip = "127.0.0.1"
        port = self.server.port
        within = Scheduler(Clock(time), None).within
        self.resolver = dns.Resolver(self.snap, lambda: self.ip, within, port, port)

    async def _serve(self):
        while True:
            self.server.serve(time.ticks_us())
            await asyncio.sleep_ms(1)

    def ask(self, name):
        """The address, or the name of the error."""

        async def asked():
            serving = asyncio.create_task(self._serve())
            try:
                return await self.resolver.resolve(name)
            except OSError as error:
                return errno.errorcode[error.errno]
            finally:
                serving.cancel()

        return asyncio.run(asked())


def test_an_address_needs_no_server():
    net = Net()
    net.ip = ""
    assert net.ask("192.168.7.1") == "192.168.7.1"
    assert net.ask("0.0.0.0") == "0.0.0.0"
    assert net.server.asked == 0


def test_a_name_and_an_alias():
    net = Net()
    assert net.ask("broker.example") == "10.1.2.3"
    assert net.ask("Alias.Example") == "10.1.2.3"
    assert net.server.asked == 2


def test_an_answer_is_kept_as_long_as_it_says():
    net = Net(ttl_s=60)
    for uptime_s in (100, 159, 160, 219, 220):
        net.snap.uptime_s = uptime_s
        assert net.ask("broker.example") == "10.1.2.3"
    assert net.server.asked == 3
    net.server.names["broker.example"] = "10.1.2.4"
    net.snap.uptime_s = 279
    assert net.ask("BROKER.example") == "10.1.2.3"
    net.snap.uptime_s = 280
    assert net.ask("broker.example") == "10.1.2.4"


def test_no_answer_is_kept_for_more_than_an_hour_or_without_a_life():
    for ttl_s, asked in ((0xFFFFFFFF, 2), (0, 3)):
        net = Net(ttl_s=ttl_s)
        for uptime_s in (0, 3599, 3600):
            net.snap.uptime_s = uptime_s
            assert net.ask("broker.example") == "10.1.2.3"
        assert net.server.asked == asked, (ttl_s, net.server.asked)


def test_the_cache_is_bounded_and_gives_up_what_ends_first():
    net = Net()
    for k in range(9):
        net.server.names["host%d.example" % k] = "10.0.0.%d" % k
        net.snap.uptime_s = k
        assert net.ask("host%d.example" % k) == "10.0.0.%d" % k
    assert len(net.resolver._cache) == 8
    assert net.ask("host1.example") == "10.0.0.1" and net.server.asked == 9
    assert net.ask("host0.example") == "10.0.0.0" and net.server.asked == 10


def test_refusals_name_what_is_wrong():
    net = Net()
    assert net.ask("nobody.example") == "ENOENT"
    assert net.ask("loop.example") == "ENOENT"
    for name in ("", "a..b", "two words.example", "x" * 64 + ".example", "abcdefg." * 40):
        assert net.ask(name) == "EINVAL", name
    assert net.server.asked == 2
    for ip in ("", "0.0.0.0", "dns.example"):
        net.ip = ip
        assert net.ask("other.example") == "EHOSTUNREACH", ip


def test_a_silent_server_is_asked_three_times():
    net = Net()
    net.server.delay_us = None
    assert net.ask("broker.example") == "ETIMEDOUT"
    assert net.server.asked == 3


def test_a_server_that_died_is_an_error():
    net = Net()
    net.server.close()
    net.server.serve = lambda now_us: None
    assert net.ask("broker.example") == "ETIMEDOUT"


def test_a_slow_answer_to_an_older_query_is_not_taken():
    net = Net()
    net.server.delay_us = 60000
    assert net.ask("broker.example") == "ETIMEDOUT"


def forged(honest):
    """Answers that must not be believed, then the honest one."""
    other = honest.replace(b"\x06broker", b"\x06broken")
    yield bytes((honest[0] ^ 1,)) + honest[1:]  # of another query
    yield honest[:2] + b"\x01" + honest[3:]  # a query
    yield honest[:2] + b"\x91" + honest[3:]  # a status, not a query's answer
    yield other  # for another question
    yield b""
    yield honest[:11]
    for end in range(12, len(honest)):
        yield honest[:end]
    yield honest[:12] + b"\xc0\x0c" + honest[14:]  # a name that points to itself
    yield honest[:4] + b"\xff\xff" + honest[6:]  # 65535 questions
    yield honest


def test_forged_answers_are_passed_over():
    net = Net()
    net.server.lie = forged
    assert net.ask("broker.example") == "10.1.2.3"
    assert net.server.asked == 1


def test_another_owner_type_or_class_is_no_answer():
    question = dns.encoded("a.example") + b"\0\1\0\1"
    record = struct.pack(">HHIH", 1, 1, 60, 4) + b"\x0a\0\0\1"
    head = b"id\x81\x80\0\1\0\1\0\0\0\0" + question

    def parsed(tail):
        return asyncio.run(dns.parsed(head + tail, b"id", question))

    assert parsed(b"\xc0\x0c" + record) == (0, "10.0.0.1", 60)
    assert parsed(b"\xc0\x0c\0\1\x80\1" + record[4:]) == (0, "10.0.0.1", 60), "RFC 6762 flush bit"
    assert parsed(dns.encoded("b.example") + record) == (0, None, 0)
    assert parsed(b"\xc0\x0c\0\x1c" + record[2:]) == (0, None, 0)
    assert parsed(b"\xc0\x0c\0\1\0\3" + record[4:]) == (0, None, 0)


def test_a_server_that_fails_says_so():
    net = Net()
    net.server.lie = lambda honest: [honest[:3] + b"\x82\0\1\0\0\0\0\0\0" + honest[12:]]
    assert net.ask("broker.example") == "EIO"


def test_an_answer_of_somebody_else_is_not_taken():
    net = Net()
    stranger = NameServer()
    net.server.lie = lambda honest: stranger.send(honest, net.server.asker) or ()
    assert net.ask("broker.example") == "ETIMEDOUT"
    net.server.lie = lambda honest: net.server.send(honest, net.server.asker) or ()
    assert net.ask("broker.example") == "10.1.2.3"


def test_names_under_local_are_asked_by_multicast():
    net = Net()
    net.server.names["homeassistant.local"] = "192.168.1.9"
    net.ip = ""
    asked = []
    address = dns.address

    def noted(ip, port):
        asked.append(ip)
        return address("127.0.0.1", port)

    dns.address = noted
    try:
        assert net.ask("homeassistant.local") == "192.168.1.9"
    finally:
        dns.address = address
    assert asked == ["224.0.0.251"]
