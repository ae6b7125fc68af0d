# SPDX-License-Identifier: GPL-3.0-only
"""Leads a phone on the access point to the rig: every name gets the rig's address. Run by network.

The request with which a phone checks for the internet then reaches the rig, and web.setup answers
it with the way to the set-up page, which the phone shows by itself.
"""

import asyncio
import struct

from micropython import const

from .dns import CLASS_IN, TYPE_A, name_at
from .udp import opened, receive

_SIZE = const(512)
_TTL_S = const(5)  # a phone that leaves must not keep our answers


async def answer_names(ip: str, port: int = 53):
    """Answer queries with the access point's `ip` until cancelled; if it is "", only wait.

    Raises:
        OSError: the port is taken, or there is no socket left.
    """
    if not ip:
        await asyncio.Event().wait()
    sock = opened(port)
    try:
        while True:
            query, sender = await receive(sock, _SIZE)
            reply = answered(query, ip)
            if reply:
                try:
                    sock.sendto(reply, sender)
                except OSError:
                    continue  # it has left, or asks again
    finally:
        sock.close()


def answered(query: bytes, ip: str):
    """The answer to a query: `ip` for any name, no record of another type; None for anything else.

    Args:
        query: a message of RFC 1035; ip: "a.b.c.d".
    """
    try:
        flags, questions = struct.unpack_from(">HH", query, 2)
        _, at = name_at(query, 12)
        kind, group = struct.unpack_from(">HH", query, at)
    except (IndexError, ValueError):
        return None
    if flags & 0xF800 or questions != 1 or len(query) < at + 4:
        return None
    found = kind == TYPE_A and group == CLASS_IN
    # Authoritative; recursion as it was desired.
    head = query[:2] + struct.pack(">HHHHH", 0x8480 | flags & 0x100, 1, found, 0, 0)
    reply = head + query[12 : at + 4]
    if found:
        reply += struct.pack(">HHHIH", 0xC00C, TYPE_A, CLASS_IN, _TTL_S, 4)
        reply += bytes(int(part) for part in ip.split("."))
    return reply
