# SPDX-License-Identifier: GPL-3.0-only
"""Stand-in for MicroPython's `select`: waiting passes the simulator's time."""

from uselect import POLLERR, POLLHUP, POLLIN, POLLOUT  # noqa: F401
from uselect import poll as host_poll

from sim import current


class poll:  # noqa: N801 - the name MicroPython gives it
    """A poll object whose wait is the world's."""

    def __init__(self):
        self._poll = host_poll()
        self._watched = set()

    def register(self, stream, *flags):
        self._watched.add(id(stream))
        self._poll.register(stream, *flags)

    def modify(self, stream, flags):
        self._poll.modify(stream, flags)

    def unregister(self, stream):
        self._watched.discard(id(stream))
        self._poll.unregister(stream)

    def ipoll(self, timeout_ms=-1):
        """Ready streams; waits up to `timeout_ms` of the rig's time, for ever when negative."""
        return current.world.wait(timeout_ms, self._poll if self._watched else None)
