# SPDX-License-Identifier: GPL-3.0-only
"""DNS queries of a phone on the access point: every name gets the rig's address."""

import asyncio
import struct
import time

from parallelator.clock import Clock
from parallelator.network import captive, dns, udp
from parallelator.scheduler import Scheduler
from sim.servers import bind


def question(name, kind=1, group=1):
    return dns.encoded(name) + struct.pack(">HH", kind, group)


def query(name, kind=1, group=1, flags=0x100, questions=1):
    return b"id" + struct.pack(">HHHHH", flags, questions, 0, 0, 0) + question(name, kind, group)


def test_every_name_is_the_rig():
    for name in ("captive.apple.com", "Connectivitycheck.GStatic.com", "x"):
        reply = captive.answered(query(name), "192.168.4.1")
        code, ip, ttl_s = asyncio.run(dns.parsed(reply, b"id", question(name)))
        assert (code, ip) == (0, "192.168.4.1") and ttl_s <= 10


def test_other_types_have_no_record_and_no_error():
    for kind, group in ((28, 1), (65, 1), (255, 1), (1, 3)):
        reply = captive.answered(query("example.org", kind, group), "192.168.4.1")
        parsed = asyncio.run(dns.parsed(reply, b"id", question("example.org", kind, group)))
        assert parsed == (0, None, 0)


def test_what_is_no_query_gets_no_answer():
    good = query("example.org")
    assert captive.answered(good, "192.168.4.1")
    for end in range(len(good)):
        assert captive.answered(good[:end], "192.168.4.1") is None, end
    for flags, questions in ((0x8180, 1), (0x2800, 1), (0x100, 0), (0x100, 2)):
        wrong = query("example.org", flags=flags, questions=questions)
        assert captive.answered(wrong, "192.168.4.1") is None
    assert captive.answered(good[:12] + b"\xc0\x0c" + good[14:], "192.168.4.1") is None


def test_it_answers_on_its_port_until_it_is_cancelled():
    class Snap:
        uptime_s = 0

    probe = udp.socket.socket(udp.socket.AF_INET, udp.socket.SOCK_DGRAM)
    port = bind(probe)
    probe.close()

    async def asked():
        task = asyncio.create_task(captive.answer_names("192.168.4.1", port))
        await asyncio.sleep_ms(1)
        within = Scheduler(Clock(time), None).within
        resolver = dns.Resolver(Snap(), lambda: "127.0.0.1", within, port)
        found = []
        for name in ("captive.apple.com", "example.org"):
            found.append(await resolver.resolve(name))
        task.cancel()
        await asyncio.sleep_ms(1)
        udp.opened(port).close()
        return found

    assert asyncio.run(asked()) == ["192.168.4.1", "192.168.4.1"]


def test_without_an_access_point_it_is_silent():
    async def waited():
        try:
            await asyncio.wait_for_ms(captive.answer_names("", 1), 20)
        except asyncio.TimeoutError:
            return True

    assert asyncio.run(waited())
