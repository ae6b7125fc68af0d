# SPDX-License-Identifier: GPL-3.0-only
"""Keeps wishes, trips and locks across reboots, in non-volatile storage. Run by app.

A write stops the processor for some 20 ms and wears the flash, so it is never made in the guard's
tick, and not in the middle of an event that opens one battery after the other.

A lock, a counted trip and an off must not be forgotten. They are written when nothing has changed
for 100 ms and no battery is beyond a limit, or after a second; an off that follows another within
five seconds is written when these are over. Every other change makes the state less strict: it
waits until the last write is five seconds old and no battery is strained, however long that takes;
after a power cut before that, the stricter state is back. So wishes that come and go cost two
writes in five seconds at most, and none while they return to what is stored.
"""

import asyncio
import struct

from micropython import const

from parallelator.catalog import AUTO, REASONS, WISH_OFF
from parallelator.snapshot import BATTERIES, RIG

_KEY = "fleet"
_VERSION = const(1)
_SIZE = const(66)  # 2 + 4 for each battery
_MOST_TRIPS = const(32767)
_PERIOD_MS = const(100)
_RETRY_MS = const(60000)
_MOST_BOOTS = const(0x7FFFFFFF)
_PATIENCE = const(10)
"""Looks after which a change is written even at a bad moment."""
_PAUSE = const(50)
"""Looks between an off and the next that is written at once, and before a change that can wait."""
_LOCK = const(2)
_OFF = const(1)


def count_boot(store: "Storage"):
    """The number of this boot since `store` was last erased, 1 or more; counts it."""
    try:
        number = max(store.get_i32("boots"), 0) % _MOST_BOOTS + 1
    except OSError:
        number = 1
    try:
        store.set_i32("boots", number)
        store.commit()
    except OSError:
        pass  # the storage has reported it; the rig must start all the same
    return number


class NvsState:
    """One block: version, lock of the bus, and wish, lock and trips of each battery.

    Args:
        store: a `Storage` or its like.
        snap: the `Snapshot`; guard: the `Guard`, of it `locks`, `trip_pending` and `strained`.
    """

    def __init__(self, store: "Storage", snap: "Snapshot", guard: "Guard"):
        self._store = store
        self._snap = snap
        self._guard = guard
        self._locks = guard.locks
        self._seen = bytearray(_SIZE)
        self._waited = 0
        self._since_off = _PAUSE
        self._since_write = _PAUSE
        self._record = bytearray(_SIZE)
        self._saved = bytearray(_SIZE)

    def restore(self):
        """Bring the last record back, before the guard starts.

        Returns:
            bool: False when there is none, or none that can be trusted.
        """
        record = self._record
        try:
            self._store.get_blob(_KEY, record)
        except OSError:
            return False
        if record[0] != _VERSION:
            self._store.fault()
            return False
        self._saved[:] = record
        snap = self._snap
        snap.bus_locked = bool(record[1])
        snap.alarm("bus_overload", RIG, snap.bus_locked)
        for i in range(BATTERIES):
            wish, lock, trips = struct.unpack_from("<BBH", record, 2 + 4 * i)
            snap.wish[i] = min(wish, WISH_OFF)
            self._locks[i] = min(lock, len(REASONS) - 1)
            snap.trips[i] = min(trips, _MOST_TRIPS)
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
        self._since_write = 0
        return True

    def look(self):
        """Save what has not changed since the last look, unless it is a bad moment."""
        self._pack()
        still = self._record == self._seen
        self._seen[:] = self._record
        self._since_off = min(self._since_off + 1, _PAUSE)
        self._since_write = min(self._since_write + 1, _PAUSE)
        haste = self._haste()
        if haste == _LOCK or haste == _OFF and self._since_off == _PAUSE:
            self._waited += 1
            if still and not self._guard.trip_pending() or self._waited >= _PATIENCE:
                self.save()
                if haste == _OFF:
                    self._since_off = 0
            return
        self._waited = 0
        if still and self._since_write == _PAUSE and not self._guard.strained():
            self.save()

    def _haste(self):
        """How urgent a write is: _LOCK when a lock or a trip is not in the flash yet, else _OFF
        when an off is not, else 0."""
        record = self._record
        saved = self._saved
        haste = 0
        if record == saved:
            return haste
        if record[1] > saved[1]:
            return _LOCK
        for at in range(2, _SIZE, 4):
            lock = record[at + 1]
            trips = record[at + 2] | record[at + 3] << 8
            if lock and lock != saved[at + 1] or trips > saved[at + 2] | saved[at + 3] << 8:
                return _LOCK
            if record[at] > saved[at]:
                haste = _OFF
        return haste

    def _pack(self):
        snap = self._snap
        record = self._record
        record[0] = _VERSION
        record[1] = snap.bus_locked
        for i in range(BATTERIES):
            wish = AUTO if snap.lent >> i & 1 else snap.wish[i]
            struct.pack_into("<BBH", record, 2 + 4 * i, wish, self._locks[i], snap.trips[i])

    async def run(self):
        """Save what changes, for ever."""
        while True:
            pause_ms = _PERIOD_MS
            try:
                self.look()
            except OSError:
                pause_ms = _RETRY_MS  # the storage has reported it
            await asyncio.sleep_ms(pause_ms)
