"""Keeps wishes, trips and locks across reboots, in non-volatile storage. Run by app.

A write keeps everybody off the processor for some 20 ms, so it is never made in the guard's tick,
and not in the middle of an event that opens one battery after the other: what changed is written
when it has been still for 100 ms and nobody presses, or after a second. What a power cut before
that loses is the change itself.
"""

import asyncio
import struct

from micropython import const

from parallelator.catalog import REASONS, WISH_OFF
from parallelator.snapshot import BATTERIES, RIG

_KEY = "fleet"
_VERSION = const(1)
_SIZE = const(66)  # 2 + 4 for each battery
_PERIOD_MS = const(100)
_PATIENCE = const(10)
"""Looks after which a change is written even at a bad moment."""


def count_boot(store: "NVS"):
    """The number of this boot since `store` was last erased, 1 or more; counts it."""
    try:
        number = store.get_i32("boots") + 1
    except OSError:
        number = 1
    store.set_i32("boots", number)
    store.commit()
    return number


class NvsState:
    """One block: version, lock of the bus, and wish, lock and trips of each battery.

    Args:
        store: an `esp32.NVS` or its like.
        snap: the `Snapshot`; locks: the guard's `locks`.
        trip_pending: function without arguments, True while a battery is beyond a limit.
    """

    def __init__(self, store: "NVS", snap: "Snapshot", locks, trip_pending):
        self._store = store
        self._snap = snap
        self._locks = locks
        self._trip_pending = trip_pending
        self._seen = bytearray(_SIZE)
        self._waited = 0
        self._record = bytearray(_SIZE)
        self._saved = bytearray(_SIZE)

    def restore(self):
        """Bring the last record back, before the guard starts.

        Returns:
            bool: False when there is none, or none that can be trusted.
        """
        record = self._saved
        try:
            size = self._store.get_blob(_KEY, record)
        except OSError:
            return False
        if size != _SIZE or record[0] != _VERSION:
            return False
        snap = self._snap
        snap.bus_locked = bool(record[1])
        snap.alarm("bus_overload", RIG, snap.bus_locked)
        for i in range(BATTERIES):
            wish, lock, trips = struct.unpack_from("<BBH", record, 2 + 4 * i)
            snap.wish[i] = min(wish, WISH_OFF)
            self._locks[i] = min(lock, len(REASONS) - 1)
            snap.trips[i] = trips
        return True

    def save(self):
        """Write the record when it differs from the last one written; True when it did.

        Raises:
            OSError: the storage is full or worn.
        """
        self._pack()
        record = self._record
        if record == self._saved:
            return False
        self._store.set_blob(_KEY, record)
        self._store.commit()
        self._saved[:] = record
        return True

    def look(self):
        """Save what has not changed since the last look, unless it is a bad moment."""
        self._pack()
        still = self._record == self._seen
        self._seen[:] = self._record
        self._waited = self._waited + 1 if self._record != self._saved else 0
        if still and not self._trip_pending() or self._waited >= _PATIENCE:
            self.save()

    def _pack(self):
        snap = self._snap
        record = self._record
        record[0] = _VERSION
        record[1] = snap.bus_locked
        for i in range(BATTERIES):
            struct.pack_into(
                "<BBH", record, 2 + 4 * i, snap.wish[i], self._locks[i], snap.trips[i]
            )

    async def run(self):
        """Save what changes, for ever."""
        while True:
            self.look()
            await asyncio.sleep_ms(_PERIOD_MS)
