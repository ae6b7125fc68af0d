# SPDX-License-Identifier: GPL-3.0-only
"""Watches the controller's memory and clock, and chooses when garbage is collected. Used by app.

A collection stops everything else: for 0.1 ms for each KB in use, five times that where the heap
lies in PSRAM. So the guard's task makes it right after a tick, while no battery is beyond a limit,
and before the heap is so full that a collection comes at any moment.
"""

import asyncio

from micropython import const

from parallelator.pauses import GC, Pauses
from parallelator.snapshot import RIG

LEAST_BYTES = const(8192)
"""With less free memory a page, a log or a message may fail; the guard needs none."""
SLOW_MS = const(40)
"""What a collection may take: with a tick and the opening it leaves a trip within 80 ms."""
SMALL_HEAP = const(1048576)
"""Bytes: a controller with less free heap at its start has no PSRAM."""
_PERIOD_MS = const(10000)
_LEAD_MS = const(15)  # of the 20 between two ticks
_LATER_MS = const(200)  # so overdue, it comes with less time than _LEAD_MS before a tick
_LATEST_MS = const(1000)  # also while a battery is beyond a limit
_SHORTEST_MS = const(250)
_LONGEST_MS = const(60000)
_START_MS = const(4000)  # the first battery joins after five seconds
_START_BYTES = const(4096)
_CLOCK_S = const(600)
_GROWTH_BYTES = const(524288)
_BLOCK_BYTES = const(1024)
_MOST_GARBAGE = const(262144)  # half of what the heap in PSRAM has for it


class Collector:
    """Collects garbage at moments that suit the guard.

    Args:
        gc: the module `gc`; clock: a `clock.Clock`; snap: the `Snapshot`.
        emit: function (code, i, state, reason, value) that records an event.
        trip_pending: function that returns True while a battery is beyond a limit.

    Attributes:
        pauses: the `Pauses` of the rig; free: bytes of heap after the last collection.
    """

    def __init__(
        self,
        gc: "Any",
        clock: "Clock",
        snap: "Snapshot",
        emit: "Emit",
        trip_pending: "Callable[[], bool]",
    ):
        self._gc = gc
        self._clock = clock
        self._snap = snap
        self._emit = emit
        self.pauses = Pauses(clock)
        self._trip_pending = trip_pending
        self._due = self._last = clock.ms()
        self.free = 0

    def collect_if_due(self, left_ms: int):
        """Collect if that is due and the moment is good, or if it is long overdue.

        Args:
            left_ms: time before the guard's next tick.
        """
        overdue_ms = self._clock.diff(self._clock.ms(), self._due)
        if overdue_ms < 0:
            return
        good = left_ms >= _LEAD_MS or overdue_ms >= _LATER_MS
        if good and not self._trip_pending() or overdue_ms >= _LATEST_MS:
            self.collect()

    def collect(self):
        """Collect now, raise or clear the alarms of the heap, and choose the next time.

        That is when half of the free bytes will be garbage, if it grows as fast as before.
        """
        gc, clock = self._gc, self._clock
        began = clock.ms()
        free = gc.mem_free()  # takes its time as well: it looks at every block
        gc.collect()
        self.free = gc.mem_free()
        took_ms = clock.diff(clock.ms(), began)
        self.pauses.note(GC, took_ms)
        passed_ms = max(clock.diff(began, self._last), 1)
        self._last = began
        room = min(self.free // 2, _MOST_GARBAGE)
        period_ms = room * passed_ms // max(self.free - free, 1)
        period_ms = min(max(period_ms, _SHORTEST_MS), _LONGEST_MS)
        self._due = clock.add(clock.ms(), period_ms)
        self._tell("heap_low", self.free < LEAST_BYTES, self.free)
        self._tell("gc_slow", took_ms > SLOW_MS, took_ms + SLOW_MS)

    def _tell(self, code: str, active: bool, value: int):
        if self._snap.alarm(code, RIG, active) and active:
            self._emit(code, RIG, 0, 0, value)


def prepare(free: int, set_threshold: "Callable[[int], object]"):
    """Get the heap ready for a rig that is about to start; returns what must be kept as long.

    A small heap, that of a controller without PSRAM, has its garbage collected after every 4 KB
    while the rig starts: if it filled up first, what lives would lie scattered over all of it, and
    the holes between would be too small for a page. One in PSRAM is made to grow now: it would
    later, which takes up to 3 s, and an area that holds nothing is given back (py/gc.c).

    Args:
        free: bytes free; set_threshold: function that takes the bytes between two collections.
    """
    if free < SMALL_HEAP:
        set_threshold(_START_BYTES)
        return None
    blocks = [bytearray(_BLOCK_BYTES) for _ in range(_GROWTH_BYTES // _BLOCK_BYTES)]
    return blocks[-1]


async def watch(snap: "Snapshot", clock: "Clock", set_threshold: "Callable[[int], object]"):
    """End the time of the start after 4 s; from then on look at the clock, for ever.

    Args:
        set_threshold: as of `prepare`. After the start no collection is due after a number
            of bytes: the frames of the guard's functions would count, too.
    """
    await asyncio.sleep_ms(_START_MS)
    set_threshold(-1)
    while True:
        snap.alarm("clock_unset", RIG, clock.unix() is None and snap.uptime_s > _CLOCK_S)
        await asyncio.sleep_ms(_PERIOD_MS)
