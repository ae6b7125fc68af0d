# SPDX-License-Identifier: GPL-3.0-only
"""The last ten seconds of every reading, for the black box. Filled by the guard.

A preallocated ring of 1280 readings of 6 bytes each, 7680 in all. A scan takes 100 readings a
second and looks at the bus after each round, so that they last 12.0 s with 16 batteries, 10.2 s
with 4. The newest overwrites the oldest.
"""

from struct import pack_into

from micropython import const

ENTRY = const(6)
"""Bytes of an entry, little-endian: place << 11 | time in steps, mod 2048; mV; current in units.
"""
ENTRIES = const(1280)
BUS = const(16)
"""The place of the bus; 0..15 are those of the batteries."""
STEP_MS = const(8)
STEPS = const(2048)
MOST_MV = const(65535)
"""The most that an entry holds: it stands for this voltage or more, up to 102 V with an INA237."""
UNIT_MA = const(10)  # 16 bits then reach 327 A, more than 16 batteries may carry
_SIZE = const(7680)
_COUNT_MASK = const(0x1FFFFFFF)


class SampleRing:
    """The readings of one rig.

    Attributes:
        count: entries so far; wraps at 2**29, after 29 days.
    """

    def __init__(self):
        self._ring = bytearray(_SIZE)
        self._at = 0
        self.count = 0

    def sample(self, place: int, now_ms: int, voltage_mv: int, current_ma: int):
        """Add a reading. Allocates nothing.

        Args:
            place: 0..15 or BUS; now_ms: ticks; voltage_mv: 0 or more, MOST_MV is kept of more;
            current_ma: positive = discharge; beyond 327 A it is cut.
        """
        at = self._at
        units = min(max((current_ma + UNIT_MA // 2) // UNIT_MA, -32768), 32767)
        mv = min(voltage_mv, MOST_MV)
        pack_into("<HHh", self._ring, at, place << 11 | now_ms >> 3 & 2047, mv, units)
        at += ENTRY
        self._at = at if at < _SIZE else 0
        self.count = self.count + 1 & _COUNT_MASK

    def add(self, place: int, voltage_mv: int, current_ma: int):
        """Add a reading from between two of the scan, with the time of the last one."""
        steps = self._ring[self._at - ENTRY] | self._ring[self._at - ENTRY + 1] << 8
        self.sample(place, (steps & STEPS - 1) * STEP_MS, voltage_mv, current_ma)

    def behind(self, number: int):
        """How many entries were added after `number` was the count."""
        return self.count - number & _COUNT_MASK

    def since(self, number: int, most: int):
        """Entries from `number` on, or from the oldest that is left.

        Args:
            most: how many to return at most.

        Returns:
            (number of the entry after the last returned, memoryview of the entries): the view is
            empty when there is no new one, and good until other tasks run.
        """
        behind = min(self.behind(number), ENTRIES)
        begin = (self._at - behind * ENTRY) % _SIZE
        entries = min(behind, most, (_SIZE - begin) // ENTRY)
        piece = memoryview(self._ring)[begin : begin + entries * ENTRY]
        return self.count - behind + entries & _COUNT_MASK, piece
