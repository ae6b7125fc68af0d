# SPDX-License-Identifier: GPL-3.0-only
"""Stand-in for MicroPython's `socket`: a reset of the controller closes what it opened.

The rig's network is the host's loopback, where its well-known UDP ports may be taken or forbidden:
the world says which port stands for each.
"""

from usocket import *  # noqa: F403
from usocket import getaddrinfo as _host_getaddrinfo
from usocket import socket as _host_socket

from sim import current

IP_ADD_MEMBERSHIP = 35  # the unix port of 1.25 does not have it
_DISCARD = 9
_UDP_PORTS = (53, 123, 5353)


def socket(*args):
    """A socket of the host."""
    sockets = current.world.sockets
    sockets[:] = [known for known in sockets if known.fileno() >= 0]
    opened = _host_socket(*args)
    sockets.append(opened)
    return opened


def getaddrinfo(host, port, *args):
    """Addresses of the host; a well-known port without a stand-in is any to bind, deaf to ask."""
    if port in _UDP_PORTS:
        port = current.world.ports.get(port, 0 if host == "0.0.0.0" else _DISCARD)
    return _host_getaddrinfo(host, port, *args)
