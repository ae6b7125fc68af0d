"""The rig's name by multicast DNS on loopback, heard and disputed by python-zeroconf."""

import os
import select
import socket
import struct
import subprocess
from pathlib import Path

import pytest
import zeroconf

ROOT = Path(__file__).resolve().parents[2]
MICROPYTHON = ROOT / "build/venv/bin/micropython"
GROUP = ("224.0.0.251", 5353)
A, AAAA, NSEC, IN = 1, 28, 47, 1
RIG = """
import asyncio
import sys
from parallelator.network import mdns
opened = mdns.opened
def on_loopback(port):
    sock = opened(port)
    sock.setsockopt(0, 32, bytes((127, 0, 0, 1)))  # IP_MULTICAST_IF of Linux
    return sock
mdns.opened = on_loopback
async def main():
    responder = mdns.Mdns("NAME", lambda code, *_: print(code, responder.name))
    while True:
        await responder.serve(("127.0.0.1",))
asyncio.run(main())
"""


class Responder:
    """The firmware's responder in a MicroPython process."""

    def __init__(self, name):
        environment = os.environ | {"MICROPYPATH": f"{ROOT / 'lib'}:.frozen"}
        self.process = subprocess.Popen(
            [MICROPYTHON, "-c", RIG.replace("NAME", name)],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )

    def said(self, seconds=10):
        """The next line it prints, "" when there is none in time."""
        ready, _, _ = select.select([self.process.stdout], [], [], seconds)
        return self.process.stdout.readline().strip() if ready else ""


@pytest.fixture
def name(request):
    """A host name that no other run uses."""
    return f"rig-{os.getpid()}-{len(request.node.name)}"


@pytest.fixture
def start():
    """Starts responders, ends them."""
    running = []

    def started(name):
        running.append(Responder(name))
        return running[-1]

    yield started
    for responder in running:
        responder.process.kill()
        responder.process.wait()


@pytest.fixture
def neighbour():
    """python-zeroconf on loopback."""
    with zeroconf.Zeroconf(interfaces=["127.0.0.1"]) as running:
        yield running


def heard(neighbour, name, seconds=10):
    """The addresses that the neighbour finds under NAME.local."""
    resolver = zeroconf.AddressResolverIPv4(f"{name}.local.")
    resolver.request(neighbour, seconds * 1000)
    return resolver.parsed_addresses()


def asked(name, kind, port=0, bits=0):
    """Asks by plain DNS from a port of its own until an answer comes: a parsed message."""
    question = b"".join(bytes((len(p),)) + p.encode() for p in (name, "local")) + b"\0"
    query = b"id" + struct.pack(">HHHHH", 0, 1, 0, 0, 0) + question
    query += struct.pack(">HH", kind, IN | bits)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
        sock.bind(("127.0.0.1", port))
        sock.settimeout(0.5)
        for _ in range(20):
            sock.sendto(query, GROUP)
            try:
                return zeroconf.DNSIncoming(sock.recv(1500))
            except TimeoutError:
                continue
    raise AssertionError("nobody answers")


def test_a_neighbour_finds_the_rig(start, neighbour, name):
    start(name)
    assert heard(neighbour, name) == ["127.0.0.1"]
    assert heard(neighbour, name.upper()) == ["127.0.0.1"]
    assert heard(neighbour, name + "x", 1) == []


def test_a_plain_resolver_gets_its_question_back(start, name):
    start(name)
    answer = asked(name.upper(), A)
    assert answer.id == int.from_bytes(b"id", "big") and answer.is_response()
    assert [(q.name, q.type) for q in answer.questions] == [(f"{name.upper()}.local.", A)] or [
        (q.name, q.type) for q in answer.questions
    ] == [(f"{name}.local.", A)]
    address, nsec = answer.answers()
    assert (address.type, address.address) == (A, socket.inet_aton("127.0.0.1"))
    assert address.ttl <= 10 and not address.unique
    assert (nsec.type, nsec.rdtypes) == (NSEC, [A])


def test_that_there_is_no_ipv6_address_is_said_at_once(start, name):
    start(name)
    nsec, address = asked(name, AAAA).answers()
    assert (nsec.type, nsec.rdtypes, address.type) == (NSEC, [A], A)


def claim(neighbour, name, ip):
    """Tells everybody that NAME.local is at `ip`."""
    out = zeroconf.DNSOutgoing(0x8400)
    record = zeroconf.DNSAddress(f"{name}.local.", A, 0x8001, 120, socket.inet_aton(ip))
    out.add_answer_at_time(record, 0)
    neighbour.send(out)


def test_a_taken_name_is_left_to_its_owner(start, neighbour, name):
    rig = start(name)
    # As if it answered the rig's probes: on one host several sockets share the port, and an
    # answer by unicast would reach only one of them.
    said = ""
    for _ in range(200):
        if said := rig.said(0.05):
            break
        claim(neighbour, name, "10.9.9.9")
    assert said == f"name_taken {name}-2"
    assert heard(neighbour, f"{name}-2") == ["127.0.0.1"]


def test_a_name_that_somebody_takes_later_is_given_up(start, neighbour, name):
    rig = start(name)
    assert heard(neighbour, name) == ["127.0.0.1"]
    claim(neighbour, name, "127.0.0.1")
    assert rig.said(1) == "", "its own address is nobody else's"
    claim(neighbour, name, "10.9.9.9")
    assert rig.said() == f"name_taken {name}-2"


def test_damaged_messages_are_passed_over(start, neighbour, name):
    rig = start(name)
    assert heard(neighbour, name) == ["127.0.0.1"]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
        for flags in (b"\0\0", b"\x84\0"):
            whole = b"\0\0" + flags + b"\0\1\0\1\0\1\0\1" + b"\x03rig\x05local\0" + bytes(20)
            for end in range(len(whole)):
                sock.sendto(whole[:end], GROUP)
            sock.sendto(b"\0\0" + flags + b"\xff\xff" * 4 + b"\xc0\x0c" * 200, GROUP)
    asked(name, A)
    assert rig.process.poll() is None and rig.said(0.2) == ""
