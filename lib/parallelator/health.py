# SPDX-License-Identifier: GPL-3.0-only
"""Watches the controller's own memory and clock. A task of app."""

import asyncio
import gc

from micropython import const

from parallelator.snapshot import RIG

LEAST_BYTES = const(8192)
"""With less free memory a page, a log or a message may fail; the guard needs none."""
_PERIOD_MS = const(10000)
_TIDY_MS = const(250)
_START_MS = const(4000)  # the first battery joins after five seconds
_START_BYTES = const(4096)
_CLOCK_S = const(600)
_SMALL_HEAP = const(1048576)


def look(
    snap: "Snapshot", emit: "Emit", free: "Callable[[], int]", collect: "Callable[[], object]"
):
    """Raise or clear the alarm `heap_low`.

    Args:
        snap: the `Snapshot`; emit: function (code, i, state, reason, value) that records an event.
        free: function that returns the bytes free, garbage not counted; collect: frees garbage.
    """
    low = free() < LEAST_BYTES
    if low:
        collect()
        low = free() < LEAST_BYTES
    if snap.alarm("heap_low", RIG, low) and low:
        emit("heap_low", RIG, 0, 0, free())


def start_compact(free: int, set_threshold: "Callable[[int], object]"):
    """Have garbage collected after every 4 KB while the rig starts; True for a small heap.

    A small heap is that of a controller without PSRAM. If it filled up before the first
    collection, the objects that remain would be scattered over all of it, and the gaps between
    them too small for a page. With PSRAM there is room, and a collection takes long.

    Args:
        free: bytes free; set_threshold: function that takes the bytes between two collections.
    """
    if free < _SMALL_HEAP:
        set_threshold(_START_BYTES)
    return free < _SMALL_HEAP


async def watch(snap: "Snapshot", emit: "Emit", small: bool, clock: "Clock"):
    """Look every 10 s, for ever; if the heap is small, collect garbage four times a second.

    After the start no collection is due after a number of bytes: the frames of the guard's
    functions would count, too.
    """
    await asyncio.sleep_ms(_START_MS)
    gc.threshold(-1)
    while True:
        look(snap, emit, gc.mem_free, gc.collect)
        snap.alarm("clock_unset", RIG, clock.unix() is None and snap.uptime_s > _CLOCK_S)
        for _ in range(_PERIOD_MS // _TIDY_MS if small else 0):
            await asyncio.sleep_ms(_TIDY_MS)
            gc.collect()
        if not small:
            await asyncio.sleep_ms(_PERIOD_MS)
