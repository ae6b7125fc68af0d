# SPDX-License-Identifier: GPL-3.0-only
"""The text of GET /api/state, kept while it is up to date. Used by api, for polls and streams."""

import asyncio

from micropython import const

from parallelator.snapshot import BATTERIES
from parallelator.views import battery_view, rig_view

from . import dump, joined

_PIECE = const(1100)


class StateText:
    """The state as JSON in pieces of about 1 KB, without its last key `logged_in`.

    Built again when a second has passed, a state, reason or wish has changed, or an event has
    happened: as fresh as the frames of the live stream.

    Args:
        rig: the `Rig`; access: an auth.Auth.
    """

    def __init__(self, rig: "Rig", access: "Auth"):
        self._rig = rig
        self._access = access
        self._key = None
        self._pieces = None
        self._building = asyncio.Lock()

    def sweep(self):
        """Gives the memory back (some 6 KB) when nobody has asked for a second."""
        if self._key != self._present():
            self._pieces = None

    async def pieces(self, logged_in: bool):
        """List of bytes; other tasks run while they are made.

        Those who ask meanwhile get the same: four copies at once would not fit in the memory.
        """
        async with self._building:
            key = self._present()
            pieces = self._pieces
            if pieces is None or key != self._key:
                self._pieces = None
                pieces = await self._made()
                self._key = key
                self._pieces = pieces
        return pieces + [b',"logged_in":true}' if logged_in else b',"logged_in":false}']

    async def _made(self):
        pieces = []
        waiting = ""
        for part in self._parts():
            waiting += part
            if len(waiting) >= _PIECE:
                pieces.append(waiting.encode())
                waiting = ""
            await asyncio.sleep_ms(0)
        pieces.append(waiting.encode())
        return pieces

    def _present(self):
        rig = self._rig
        snap = rig.snap
        return (
            snap.uptime_s,
            rig.events.count,
            bytes(snap.state),
            bytes(snap.reason),
            bytes(snap.wish),
        )

    def _parts(self):
        rig = self._rig
        head = rig_view(rig)
        yield ""
        head["writable"] = self._access.writable()
        yield dump(head)[:-1] + ',"batteries":['
        yield from joined(_battery(rig, i) for i in range(BATTERIES))
        yield '],"alarms":['
        yield from joined(dump(alarm) for alarm in rig.alarms())
        yield "]"


def _battery(rig: "Rig", i: int):
    return dump(battery_view(rig.snap, i, rig.settings["batteries.%d.label" % (i + 1)]))
