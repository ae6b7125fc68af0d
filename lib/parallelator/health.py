"""Watches the controller's own memory. A task of app."""

import asyncio
import gc

from micropython import const

from parallelator.snapshot import RIG, Alarm

LEAST_BYTES = const(8192)
"""Less than this free: a page, a log or a message may fail next, the guard needs nothing."""
_PERIOD_MS = const(10000)
_SMALL_HEAP = const(1048576)
_GARBAGE = const(8192)


def keep_compact(free, set_threshold):
    """Have garbage collected after every 8 KB, on a controller without PSRAM.

    If the heap filled up first, what lives would lie scattered over all of it, and the holes
    between would be too small for a page. With PSRAM there is room, and a collection takes long.

    Args:
        free: bytes free; set_threshold: function that takes the bytes between two collections.
    """
    if free < _SMALL_HEAP:
        set_threshold(_GARBAGE)


def look(snap, emit, free, collect):
    """Raise or clear the alarm `heap_low`.

    Args:
        snap: the `Snapshot`; emit: function (code, i, state, reason, value) that records an event.
        free: function that returns the bytes free, garbage not counted; collect: frees garbage.
    """
    low = free() < LEAST_BYTES
    if low:
        collect()
        low = free() < LEAST_BYTES
    if snap.alarm(Alarm.HEAP_LOW, RIG, low) and low:
        emit("heap_low", RIG, 0, 0, free())


async def watch(snap, emit):
    """Look every 10 s, for ever."""
    while True:
        look(snap, emit, gc.mem_free, gc.collect)
        await asyncio.sleep_ms(_PERIOD_MS)
