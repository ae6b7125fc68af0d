# SPDX-License-Identifier: GPL-3.0-only
"""A stream gets a frame a second, and one at most 200 ms after a change of state."""

import asyncio

from parallelator.catalog import TRIPPED
from parallelator.snapshot import Snapshot
from parallelator.web import live


class Paces:
    """An asyncio that counts how long it was asked to sleep, and trips battery 5 in between."""

    Event = asyncio.Event

    def __init__(self, snap, trips_at_ms):
        self._snap = snap
        self._trips_at_ms = trips_at_ms
        self.slept_ms = 0

    async def sleep_ms(self, ms):
        if self.slept_ms >= self._trips_at_ms:
            self._snap.state[4] = TRIPPED
        self.slept_ms += ms


class Rig:
    """What a frame tells of."""

    meter = cascade = report = verdict = None
    saves = 0

    def __init__(self, snap):
        self.snap = snap

    def alarms(self):
        return ()

    def show_s(self):
        return 0


def waited_ms(trips_at_ms):
    """How long the next frame takes to come when battery 5 trips meanwhile."""
    snap = Snapshot()
    here = live.Live(Rig(snap))
    here.clients = 1
    live.asyncio = Paces(snap, 10000)
    asyncio.run(here.step())
    live.asyncio = paces = Paces(snap, trips_at_ms)
    asyncio.run(here.step())
    assert here.number == 2
    return paces.slept_ms


def test_a_frame_a_second():
    assert waited_ms(10000) == 1000


def test_a_change_of_state_is_pushed_within_200_ms():
    for trips_at_ms in range(0, 1000, 100):
        assert waited_ms(trips_at_ms) <= trips_at_ms + 200


def test_a_frame_for_which_there_is_no_memory_is_left_out():
    snap = Snapshot()
    here = live.Live(Rig(snap))
    here.clients = 1
    live.asyncio = Paces(snap, 10000)
    made = live.frame

    async def short(rig, number):
        raise MemoryError

    live.frame = short
    try:
        asyncio.run(here.step())
    finally:
        live.frame = made
    assert here.number == 0
    asyncio.run(here.step())
    assert here.number == 1
