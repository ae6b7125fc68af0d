"""Keeps wishes, trips and locks across reboots, in non-volatile storage. Run by app.

Written when something changed, after the switch has opened: a write takes some 20 ms, so never
from the guard's tick. What a power cut within that moment loses is the change itself.
"""

import asyncio
import struct

from micropython import const

from parallelator.snapshot import BATTERIES, REASONS, RIG, WISH_OFF, Alarm

_KEY = "fleet"
_VERSION = const(1)
_SIZE = const(66)  # 2 + 4 for each battery
_PERIOD_MS = const(100)


def count_boot(store):
    """The number of this boot since `store` was last erased, 1 or more; counts it."""
    try:
        number = store.get_i32("boots") + 1
    except OSError:
        number = 1
    store.set_i32("boots", number)
    store.commit()
    return number


class Keeper:
    """One record: version, bus lock, and wish, lock and trips of each battery.

    Args:
        store: an `esp32.NVS` or its like.
        snap: the `Snapshot`; locks: the guard's `locks`.
    """

    def __init__(self, store, snap, locks):
        self._store = store
        self._snap = snap
        self._locks = locks
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
        snap.alarm(Alarm.BUS_OVERLOAD, RIG, snap.bus_locked)
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
        snap = self._snap
        record = self._record
        record[0] = _VERSION
        record[1] = snap.bus_locked
        for i in range(BATTERIES):
            struct.pack_into(
                "<BBH", record, 2 + 4 * i, snap.wish[i], self._locks[i], snap.trips[i]
            )
        if record == self._saved:
            return False
        self._store.set_blob(_KEY, record)
        self._store.commit()
        self._saved[:] = record
        return True

    async def run(self):
        """Save what changes, for ever."""
        while True:
            self.save()
            await asyncio.sleep_ms(_PERIOD_MS)
