# SPDX-License-Identifier: GPL-3.0-only
"""Resolves names to IPv4 addresses and never blocks, unlike `getaddrinfo`. Used by mqtt and sntp.

Messages are those of RFC 1035 section 4. Names under `.local` are asked for by multicast
(RFC 6762 section 5.1), all others from the name server of the network.
"""

import asyncio
import errno
import os
import struct

from micropython import const

from parallelator.formats import is_ip

from .udp import address, opened, receive

MDNS_GROUP = "224.0.0.251"
MDNS_PORT = const(5353)
TYPE_A = const(1)
CLASS_IN = const(1)
_TYPE_CNAME = const(5)
_NAME_ERROR = const(3)
_TRIES_MS = (1000, 2000, 3000)
_SIZE = const(512)  # RFC 1035 section 4.2.1: no answer over UDP is longer
_CACHED = const(8)
_LONGEST_S = const(3600)
_STEPS = const(40)  # labels and jumps of a name; more is a loop, or takes too long


class Resolver:
    """Asks for addresses and remembers the last eight as long as their answers allow, at most 1 h.

    Args:
        snap: the `Snapshot`, for its uptime.
        server: function without arguments that gives the IP of the name server, or "".
        within: as of `scheduler.Scheduler`; port, mdns_port: where servers listen.
    """

    def __init__(
        self,
        snap: "Snapshot",
        server: "Callable[[], str]",
        within: "Callable[[int, Coroutine], Coroutine]",
        port: int = 53,
        mdns_port: int = MDNS_PORT,
    ):
        self._snap = snap
        self._server = server
        self._within = within
        self._port = port
        self._mdns_port = mdns_port
        self._cache = {}

    async def resolve(self, name: str):
        """The IPv4 address "a.b.c.d" of `name`, which may be an address. Takes 6 s at most.

        Raises:
            OSError: EINVAL no host name; EHOSTUNREACH no name server; ENOENT no such host or
                without an IPv4 address; ETIMEDOUT no answer; EIO the server failed.
        """
        if is_ip(name):
            return name
        name = name.lower()
        now_s = self._snap.uptime_s
        for known, (_, until_s) in list(self._cache.items()):
            if until_s <= now_s:
                del self._cache[known]
        if name not in self._cache:
            found, ttl_s = await self._ask(name)
            if ttl_s == 0:
                return found
            if len(self._cache) == _CACHED:
                del self._cache[min(self._cache, key=lambda known: self._cache[known][1])]
            self._cache[name] = (found, self._snap.uptime_s + min(ttl_s, _LONGEST_S))
        return self._cache[name][0]

    async def _ask(self, name: str):
        question = encoded(name) + struct.pack(">HH", TYPE_A, CLASS_IN)
        if name.endswith(".local"):
            server = None
            target = address(MDNS_GROUP, self._mdns_port)
        else:
            ip = self._server()
            if not is_ip(ip) or ip == "0.0.0.0":
                raise OSError(errno.EHOSTUNREACH)
            server = target = address(ip, self._port)
        sock = opened()
        try:
            for wait_ms in _TRIES_MS:
                ident = os.urandom(2)
                # Recursion desired, one question.
                sock.sendto(ident + b"\x01\0\0\1\0\0\0\0\0\0" + question, target)
                try:
                    return await self._within(wait_ms, _answer(sock, server, ident, question))
                except asyncio.TimeoutError:
                    continue
        finally:
            sock.close()
        raise OSError(errno.ETIMEDOUT)


async def _answer(sock: "Socket", server: "tuple | Buffer | None", ident: bytes, question: bytes):
    """The first valid answer to the query; other packets are ignored."""
    while True:
        packet, sender = await receive(sock, _SIZE)
        if server is not None and sender != server:
            continue
        answer = await parsed(packet, ident, question)
        if answer is None:
            continue
        code, found, ttl_s = answer
        if found:
            return found, ttl_s
        raise OSError(errno.EIO if code not in (0, _NAME_ERROR) else errno.ENOENT)


def encoded(name: str):
    """A host name as labels (RFC 1035 section 3.1).

    Raises:
        OSError: EINVAL, it is no host name.
    """
    packed = b""
    for label in name.rstrip(".").split("."):
        if not 1 <= len(label) <= 63 or any(not "!" <= char <= "~" for char in label):
            raise OSError(errno.EINVAL)
        packed += bytes((len(label),)) + label.encode()
    if len(packed) > 253:
        raise OSError(errno.EINVAL)
    return packed + b"\0"


def name_at(packet: bytes, at: int):
    """The name at offset `at` of a message: (its labels in lower case, offset behind it).

    Raises:
        IndexError, ValueError: it is damaged, or a loop.
    """
    labels = []
    after = None
    for _ in range(_STEPS):
        size = packet[at]
        if size >= 0xC0:
            after = after or at + 2
            at = (size & 0x3F) << 8 | packet[at + 1]
        elif size > 63:
            raise ValueError
        elif size:
            labels.append(packet[at + 1 : at + 1 + size].lower())
            at += 1 + size
        else:
            return labels, after or at + 1
    raise ValueError


async def parsed(packet: bytes, ident: bytes, question: bytes):
    """What an answer says: (response code, "a.b.c.d" or None, seconds it holds).

    None when it is damaged, or no answer to this query. Aliases are followed in the order in
    which they stand. Other tasks run between two names: those in 512 bytes can take 0.1 s.

    Args:
        ident: the two bytes of the query; question: its name, type and class.
    """
    try:
        flags, questions, answers = struct.unpack_from(">HHH", packet, 2)
        # A response to a standard query.
        if packet[:2] != ident or flags & 0xF800 != 0x8000 or questions > 1:
            return None
        at = 12
        if questions:
            at += len(question)
            if packet[12:at].lower() != question.lower():
                return None
        wanted, _ = name_at(question, 0)
        holds_s = 0x7FFFFFFF
        for _ in range(answers):
            await asyncio.sleep_ms(0)
            owner, at = name_at(packet, at)
            kind, group, ttl_s, size = struct.unpack_from(">HHIH", packet, at)
            at += 10
            if at + size > len(packet):
                return None
            if owner == wanted and group & 0x7FFF == CLASS_IN:
                holds_s = min(holds_s, ttl_s)
                if kind == TYPE_A and size == 4:
                    return flags & 15, "%d.%d.%d.%d" % tuple(packet[at : at + 4]), holds_s
                if kind == _TYPE_CNAME:
                    await asyncio.sleep_ms(0)
                    wanted, _ = name_at(packet, at)
            at += size
    except (IndexError, ValueError):
        return None
    return flags & 15, None, 0
