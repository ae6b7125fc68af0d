"""Stand-in for MicroPython's `socket`: a reset of the controller closes what it opened."""

from usocket import *  # noqa: F403
from usocket import socket as _host_socket

from sim import current


def socket(*args):
    """A socket of the host."""
    opened = _host_socket(*args)
    current.world.sockets.append(opened)
    return opened
