"""Answers for HOSTNAME.local on the network (multicast DNS, RFC 6762). Run by network.

One host name with its IPv4 address, no services: as much as a browser needs. An image of
MicroPython that answers by itself holds the port already; then there is nothing left to do here.

Left out: known-answer suppression (section 7.1), and the tie between two rigs that claim one name
within a second (8.2), which both then notice when they announce it.
"""

import asyncio
import socket
import struct

from micropython import const

from parallelator.snapshot import RIG

from .dns import CLASS_IN, MDNS_GROUP, MDNS_PORT, TYPE_A, encoded, name_at
from .udp import address, host, opened, port_of, receive

_SIZE = const(1024)
_IP = const(0)  # IPPROTO_IP, not named on every port
_PROBE_MS = const(250)  # section 8.1
_PROBES = const(3)
_ANNOUNCED_MS = const(1000)  # section 8.3
_ANNOUNCEMENTS = const(2)
_TTL_S = const(120)  # section 10
_LEGACY_TTL_S = const(10)  # section 6.7
_TYPE_AAAA = const(28)
_TYPE_NSEC = const(47)
_ANY = const(255)
_TOP = const(0x8000)  # of a class: flush the cache in a record, unicast wanted in a question
_RESPONSE = const(0x8400)
_NAMES = const(9)


class Mdns:
    """The name of one rig.

    Args:
        hostname: what it shall be called, a label; a taken one gets a number, `-2` to `-9`.
        emit: function (code, i, state, reason, value) that records an event.
        port: where everybody listens.

    Attributes:
        name: what it is called, without `.local`.
    """

    def __init__(self, hostname, emit, port=MDNS_PORT):
        self._hostname = hostname
        self._emit = emit
        self._port = port
        self._number = 1
        self._use(hostname)

    def _use(self, name):
        self.name = name
        self._encoded = encoded(name + ".local")
        self._labels = name_at(self._encoded, 0)[0]

    async def serve(self, ips):
        """Claim the name and answer for it until cancelled; for ever silent without an address.

        Returns when somebody else has the name: then under a new one.

        Args:
            ips: the rig's own addresses, a tuple.

        Raises:
            OSError: EADDRINUSE the image answers by itself; another: the network has just gone.
        """
        if not ips:
            await asyncio.Event().wait()
        sock = opened(self._port)
        try:
            for ip in ips:
                sock.setsockopt(_IP, socket.IP_ADD_MEMBERSHIP, _packed(MDNS_GROUP) + _packed(ip))
            group = address(MDNS_GROUP, self._port)
            for k in range(_PROBES + _ANNOUNCEMENTS):
                for ip in ips:
                    sock.sendto(self._probe(ip) if k < _PROBES else self._told(ip), group)
                try:
                    wait_ms = _PROBE_MS if k < _PROBES else _ANNOUNCED_MS
                    await asyncio.wait_for_ms(self._listen(sock, ips), wait_ms)
                    return
                except asyncio.TimeoutError:
                    continue
            await self._listen(sock, ips)
        finally:
            sock.close()

    async def _listen(self, sock, ips):
        """Answer until somebody else is heard under the name; then take another one."""
        group = address(MDNS_GROUP, self._port)
        while True:
            packet, sender = await receive(sock, _SIZE)
            try:
                if packet[2] & 0x80:
                    if any(ip not in ips for ip in owners(packet, self._labels)):
                        break
                    continue
                kind, unicast = asked(packet, self._labels)
            except (IndexError, ValueError):
                continue
            if kind is None:
                continue
            near = host(sender).rsplit(".", 1)[0] + "."
            ip = [ip for ip in ips if ip.startswith(near)] or ips
            legacy = port_of(sender) != self._port
            reply = self._told(ip[0], kind, packet[:2] if legacy else None)
            sock.sendto(reply, sender if legacy or unicast else group)
        self._number = self._number % _NAMES + 1
        self._use(self._hostname + ("-%d" % self._number if self._number > 1 else ""))
        self._emit("name_taken", RIG, 0, 0, self._number)

    def _told(self, ip, kind=TYPE_A, query=None):
        """A response: the address, and that there is none of another kind (section 6.1).

        Args:
            kind: what was asked for; query: the two bytes of its number when a resolver of plain
                DNS asks, who gets the question back and no flag it does not know (section 6.7).
        """
        legacy = query is not None
        group = CLASS_IN if legacy else CLASS_IN | _TOP
        ttl_s = _LEGACY_TTL_S if legacy else _TTL_S
        records = [
            struct.pack(">HHIH", TYPE_A, group, ttl_s, 4) + _packed(ip),
            # The next name is this one; of its first window one byte tells: type 1.
            struct.pack(">HHIH", _TYPE_NSEC, group, ttl_s, 5) + b"\xc0\x0c\0\1\x40",
        ]
        if kind == _TYPE_AAAA:
            records.reverse()
        packet = struct.pack(">HHHHH", _RESPONSE, legacy, 1, 0, 1) + self._encoded
        if legacy:
            packet += struct.pack(">HH", kind, CLASS_IN) + b"\xc0\x0c"
        return (query or b"\0\0") + packet + records[0] + b"\xc0\x0c" + records[1]

    def _probe(self, ip):
        """A question whether anybody has the name, with what we want it for (section 8.1).

        For any record, and for an address once more: small responders know no other question.
        """
        group = CLASS_IN | _TOP
        packet = struct.pack(">HHHHHH", 0, 0, 2, 0, 1, 0) + self._encoded
        packet += struct.pack(">HHHHH", _ANY, group, 0xC00C, TYPE_A, group)
        return packet + struct.pack(">HHHIH", 0xC00C, TYPE_A, CLASS_IN, _TTL_S, 4) + _packed(ip)


def asked(packet, labels):
    """What a query wants of a name: (type, True when by unicast), (None, False) when nothing.

    Args:
        packet: a message whose response flag is not set; labels: of the name, in lower case.

    Raises:
        IndexError, ValueError: it is damaged.
    """
    opcode, questions = struct.unpack_from(">HH", packet, 2)
    at = 12
    if opcode & 0x7800 == 0:
        for _ in range(questions):
            name, at = name_at(packet, at)
            kind, group = struct.unpack_from(">HH", packet, at)
            at += 4
            if (
                name == labels
                and kind in (TYPE_A, _TYPE_AAAA, _ANY)
                and group & ~_TOP in (CLASS_IN, _ANY)
            ):
                return kind, bool(group & _TOP)
    return None, False


def owners(packet, labels):
    """The IPs that a response gives to a name, a list.

    Raises:
        IndexError, ValueError: it is damaged.
    """
    counts = struct.unpack_from(">HHHH", packet, 4)
    at = 12
    for _ in range(counts[0]):
        at = name_at(packet, at)[1] + 4
    found = []
    for _ in range(counts[1] + counts[2] + counts[3]):
        name, at = name_at(packet, at)
        kind, _, ttl_s, size = struct.unpack_from(">HHIH", packet, at)
        at += 10 + size
        if name == labels and kind == TYPE_A and size == 4 and ttl_s:
            found.append("%d.%d.%d.%d" % tuple(packet[at - 4 : at]))
    return found


def _packed(ip):
    return bytes(int(part) for part in ip.split("."))
