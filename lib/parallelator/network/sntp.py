# SPDX-License-Identifier: GPL-3.0-only
"""Asks a time server for the wall time (SNTP, RFC 4330). Run by app.

The last source counts. A browser may set the clock; then the server is asked at once, so that its
time is used in the end. Nothing is scheduled by wall time.
"""

import asyncio
import errno
import os
import struct

from micropython import const

from .udp import address, opened, receive

_ANSWER_MS = const(2000)
_FIRST_RETRY_S = const(15)  # RFC 4330 section 10 allows no shorter one
_PERIOD_S = const(3600)
_BELIEVED_S = const(60)
_AGREEMENT_S = const(2)
_REQUEST = b"\x23" + bytes(39)  # version 4, client; the transmit time follows
_SIZE = const(48)
_UNIX_OF_1900 = -2208988800  # start of era 0; the next one begins in 2036 (section 3)
_ERA_S = 1 << 32
_FIRST_S = const(1704067200)  # 2024-01-01
_END_S = const(3124224000)  # 2069-01-01


class Sntp:
    """Keeps the clock of a rig right.

    Args:
        clock: a `clock.Clock`.
        settings: `settings["time.ntp"]` is the server, a name or an IP, "" for none; read at
            each use.
        resolve: async function (name) that returns an IP or raises OSError.
        take: function (unix_s) that sets the clock.
        within: as of `scheduler.Scheduler`; port: where the server listens.
    """

    def __init__(
        self,
        clock: "Clock",
        settings: "Values",
        resolve: "Callable[[str], Awaitable]",
        take: "Callable[[int], object]",
        within: "Callable[[int, Coroutine], Coroutine]",
        port: int = 123,
    ):
        self._clock = clock
        self._settings = settings
        self._resolve = resolve
        self._take = take
        self._within = within
        self._port = port
        self._wanted = asyncio.Event()
        self._jump_s = None

    def wake(self):
        """Ask soon: the network has come up, or somebody has set the clock or the server."""
        self._wanted.set()

    async def run(self):
        """Ask each hour; after a failure in 15 s, then less and less often."""
        retry_s = _FIRST_RETRY_S
        while True:
            server = self._settings["time.ntp"]
            done = not server
            if server:
                try:
                    done = self._judge(await self._ask(server))
                except OSError:
                    self._jump_s = None
            wait_s = _PERIOD_S if done else retry_s
            retry_s = _FIRST_RETRY_S if done else min(2 * retry_s, _PERIOD_S)
            try:
                await self._within(wait_s * 1000, self._wanted.wait())
                self._wanted.clear()
                retry_s = _FIRST_RETRY_S
            except asyncio.TimeoutError:
                continue

    def _judge(self, unix_s: int):
        """True when a time is used. One that is a minute off needs a second answer like it."""
        known_s = self._clock.unix()
        if known_s is not None and abs(unix_s - known_s) > _BELIEVED_S:
            before_s = self._jump_s
            self._jump_s = unix_s - known_s
            if before_s is None or abs(self._jump_s - before_s) > _AGREEMENT_S:
                return False
        self._jump_s = None
        self._take(unix_s)
        return True

    async def _ask(self, server: str):
        """The time by the server in seconds since 1970, or OSError."""
        target = address(await self._resolve(server), self._port)
        await asyncio.sleep_ms(0)
        sock = opened()
        try:
            await asyncio.sleep_ms(0)
            # A random transmit time says nothing about us and cannot be guessed.
            nonce = os.urandom(8)
            began_ms = self._clock.ms()
            sock.sendto(_REQUEST + nonce, target)
            await asyncio.sleep_ms(0)
            time_ms = await self._within(_ANSWER_MS, _answer(sock, target, nonce))
            way_ms = self._clock.diff(self._clock.ms(), began_ms) // 2
            return (time_ms + way_ms + 500) // 1000
        except asyncio.TimeoutError:
            raise OSError(errno.ETIMEDOUT)
        finally:
            sock.close()


async def _answer(sock: "Socket", server: "tuple | Buffer", nonce: bytes):
    """The first answer that can be believed, in ms since 1970."""
    while True:
        packet, sender = await receive(sock, 2 * _SIZE)
        time_ms = parsed(packet, nonce) if sender == server else None
        if time_ms is not None:
            return time_ms


def parsed(packet: bytes, nonce: bytes):
    """The time that a server's answer tells, in ms since 1970; None if it is not to be believed.

    Section 5: it must be a server's (mode 4) of a known version, synchronised (no leap alarm,
    stratum 1 to 15; 0 is a refusal), and repeat our transmit time. Its year must be 2024 to 2068.
    """
    if len(packet) < _SIZE:
        return None
    first, stratum = packet[0], packet[1]
    if first & 7 != 4 or first >> 3 & 7 not in (3, 4) or first >> 6 == 3:
        return None
    if not 1 <= stratum <= 15 or packet[24:32] != nonce:
        return None
    seconds, fraction = struct.unpack_from(">II", packet, 40)
    unix_s = seconds + _UNIX_OF_1900
    if seconds < 1 << 31:
        unix_s += _ERA_S
    if not _FIRST_S <= unix_s < _END_S:
        return None
    return unix_s * 1000 + (fraction * 1000 >> 32)
