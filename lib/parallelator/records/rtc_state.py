# SPDX-License-Identifier: GPL-3.0-only
"""Keeps in RTC memory what a reset must not forget: delays, heat, counts. Run by the guard.

RTC memory survives every reset but those by power and by the EN button, and wears nothing. It
holds two copies, each with a checksum, the format and a running number; they are written in turn,
and the newer one that is whole counts. A write puts the same bytes over the copy whose turn it is
not: a reset in the middle of it costs the copy that was being written, and never both.

A copy is a head and then the arrays of the table that the guard gives, as they lie in memory.
"""

import struct
from binascii import crc32

from micropython import const

_FORMAT = const(1)
"""Another one is not believed. Adding to the table changes it by itself: so does its size."""
_HEAD = "<IIII"  # CRC-32 of the rest of the copy; format; running number; uptime in s
_HEAD_BYTES = const(16)
_CRC_BYTES = const(4)


class RtcState:
    """The two copies of one rig; made before its guard starts, and brings back what they hold.

    Of each row every value is kept within its lowest and its highest. The stricter one counts, so
    that nothing becomes less than it is already: the larger one, where no value is negative. A
    time of the last run becomes one of this run, before 0: the time that the reset took is not
    counted.

    Args:
        content: what RTC memory holds now; write: function (bytes) that puts them there, as both
            come from `controller.rtc_memory`.
        snap: the `Snapshot`, for the uptime.
        table: rows (array, its type as a letter of `struct`, lowest, highest, is_time).

    Attributes:
        found: False when no copy was whole: power came on.
    """

    def __init__(
        self,
        content: "bytes | memoryview",
        write: "Callable[[bytearray], object]",
        snap: "Snapshot",
        table: tuple,
    ):
        self._write = write
        self._snap = snap
        sizes = [struct.calcsize(_layout(row)) for row in table]
        size = _HEAD_BYTES + sum(sizes)
        self._copies = "%ds" * len(sizes) % tuple(sizes)
        self._arrays = [row[0] for row in table]
        self._size = size
        self._format = _FORMAT << 16 | size
        block = bytearray(2 * size)
        found = bytes(content[: 2 * size])
        block[: len(found)] = found
        self._block = block
        whole = memoryview(block)
        self._checked = [whole[at + _CRC_BYTES : at + size] for at in (0, size)]
        self._number, uptime_s = self._newest()
        self.found = self._number > 0
        if self.found:
            self._restore(table, uptime_s)

    def _newest(self):
        """Number and uptime of the newer whole copy; 0, 0 when there is none."""
        newest = uptime_s = 0
        for k in range(2):
            crc, form, number, written_s = struct.unpack_from(_HEAD, self._block, k * self._size)
            if form == self._format and number > newest and crc == crc32(self._checked[k]):
                newest, uptime_s = number, written_s
        return newest, uptime_s

    def _restore(self, table: tuple, uptime_s: int):
        at = self._number % 2 * self._size + _HEAD_BYTES
        for row in table:
            values, _, lowest, highest, is_time = row
            layout = _layout(row)
            for k, value in enumerate(struct.unpack_from(layout, self._block, at)):
                if is_time:
                    values[k] = min(max(value - uptime_s, lowest), highest)
                else:
                    value = min(max(value, lowest), highest)
                    values[k] = value if lowest < 0 else max(value, values[k])
            at += struct.calcsize(layout)

    def save(self):
        """Write the older copy anew. The checksum may take 32 bytes of the heap."""
        number = self._number + 1
        k = number % 2
        at = k * self._size
        block = self._block
        struct.pack_into("<III", block, at + _CRC_BYTES, self._format, number, self._snap.uptime_s)
        struct.pack_into(self._copies, block, at + _HEAD_BYTES, *self._arrays)
        struct.pack_into("<I", block, at, crc32(self._checked[k]))
        self._number = number
        self._write(block)


def _layout(row: tuple):
    return "<%d%s" % (len(row[0]), row[1])
