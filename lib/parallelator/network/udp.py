# SPDX-License-Identifier: GPL-3.0-only
"""UDP sockets that never block. Used by dns, sntp and captive."""

import errno
import socket
from asyncio import core  # pyright: ignore - the stubs lack it; its queue of sockets


def opened(port: int = 0):
    """A socket on UDP `port`, 0 for any; its calls raise OSError instead of waiting.

    Raises:
        OSError: the port is taken, or there is no socket left.
    """
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address("0.0.0.0", port))
    except OSError:
        sock.close()
        raise
    return sock


def address(ip: str, port: int):
    """What `sendto` takes and `recvfrom` gives for an IPv4 address "a.b.c.d", see
    `formats.is_ip`.

    Never for a name: asking for one here would block.
    """
    return socket.getaddrinfo(ip, port)[0][-1]


def receive(sock: "Socket", size: int):
    """Awaitable: the next datagram as (its first `size` bytes, address of the sender).

    Raises:
        OSError: the network is gone, or a host told that nobody listens there.
    """
    while True:
        yield core._io_queue.queue_read(sock)
        try:
            return sock.recvfrom(size)
        except OSError as error:
            if error.errno != errno.EAGAIN:  # a datagram that was damaged on its way
                raise


def host(peer: "tuple | Buffer"):
    """The "a.b.c.d" of an address: of (host, port) on the ESP32, of a sockaddr_in on Unix."""
    return peer[0] if isinstance(peer, tuple) else "%d.%d.%d.%d" % tuple(peer[4:8])


def port_of(peer: "tuple | Buffer"):
    """The port of an address."""
    return peer[1] if isinstance(peer, tuple) else peer[2] << 8 | peer[3]
