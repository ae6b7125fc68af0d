# SPDX-License-Identifier: GPL-3.0-only
"""How much of a FAT volume is free, from its allocation table itself. Used by card.

FAT32 keeps how many clusters are free, and where to look for the next one, in a block called
FSInfo. Both are hints: they are stale after a card was pulled, and unknown after some cameras.
FatFs believes them; without them it reads the whole table in one call, which takes up to a minute.
So FatFs is told here that the number is unknown, and where a free cluster is: that place was found
in short steps.
Block numbers and offsets are those of Microsoft's FAT specification, version 1.03.
"""

import struct

import micropython
from micropython import const

BLOCK = const(512)
_PARTITIONS = (446, 462, 478, 494)
_GPT = const(0xEE)
_FAT12 = const(4085)  # clusters at most
_FAT16 = const(65525)
_LEAD = const(0x41615252)
_MIDDLE = const(0x61417272)
_SIGN = const(0xAA55)
_FREE_AT = const(488)
_UNKNOWN = const(0xFFFFFFFF)


class FatSpace:
    """The card as FatFs sees it: a block device like the one it is made of.

    Args:
        device: a block device with blocks of 512 bytes.
        block: a bytearray of BLOCK, which others may use between two calls.

    Attributes:
        cluster: bytes of a cluster; 0 when the table cannot be counted: FAT12, or no FAT.
        gpt: True for a card with a GUID partition table, which FatFs does not know.
        written: blocks written so far.

    Raises:
        OSError: the card does not answer.
    """

    def __init__(self, device: "SpiCard", block: bytearray):
        self._device = device
        self._block = block
        self._info = None
        self._next = 2
        self.cluster = 0
        self.gpt = False
        self.written = 0
        start = self._volume()
        if start is not None:
            self._measure(start)

    def _read(self, number: int):
        self._device.readblocks(number, self._block)
        return self._block

    def _volume(self):
        """The first block of the volume that FatFs mounts, None when there is none."""
        block = self._read(0)
        if _is_volume(block):
            return 0
        if block[510:] != b"\x55\xaa":
            return None
        self.gpt = block[_PARTITIONS[0] + 4] == _GPT
        starts = [_u32(block, at + 8) for at in _PARTITIONS if block[at + 4]]
        for start in starts:
            if start and _is_volume(self._read(start)):
                return start
        return None

    def _measure(self, start: int):
        block = self._block
        size, per_cluster, reserved, tables = struct.unpack_from("<HBHB", block, 11)
        entries, blocks = struct.unpack_from("<HH", block, 17)
        table = _u16(block, 22) or _u32(block, 36)
        used = reserved + tables * table + entries * 32 // BLOCK
        clusters = ((blocks or _u32(block, 32)) - used) // (per_cluster or 1)
        if size != BLOCK or not per_cluster or clusters <= _FAT12:
            return
        self.cluster = per_cluster * BLOCK
        self._entries = clusters + 2
        self._table = start + reserved
        self._width = 2 if clusters <= _FAT16 else 4
        if self._width == 4 and _u16(block, 48) == 1:
            self._info = start + 1
            try:
                hint = _u32(self._read(self._info), _FREE_AT + 4)
            except OSError:
                return  # it is only a hint
            if 2 <= hint < self._entries:
                self._next = hint

    def counting(self):
        """Count the free clusters, a block of the table a step, first where they are likely.

        Yields:
            int: those found so far.

        Raises:
            OSError: the card does not answer.
        """
        found = 0
        a_block = BLOCK // self._width
        blocks = (self._entries + a_block - 1) // a_block
        first = self._next // a_block
        for k in range(first, first + blocks):
            at = k % blocks
            block = self._read(self._table + at)
            end = min(a_block, self._entries - at * a_block)
            free = free_entries(block, 0 if at else 2, end, self._width)
            if free and not found:
                # FatFs begins with the cluster after this one.
                self._next = max(at * a_block - 1, 1)
            found += free
            yield found

    # The block device

    def readblocks(self, number: int, buf: "bytearray | memoryview"):
        """As that of the card, but FSInfo is made up here."""
        if number == self._info:
            buf[:] = bytes(BLOCK)
            struct.pack_into("<I", buf, 0, _LEAD)
            struct.pack_into("<III", buf, _FREE_AT - 4, _MIDDLE, _UNKNOWN, self._next)
            struct.pack_into("<H", buf, BLOCK - 2, _SIGN)
        else:
            self._device.readblocks(number, buf)

    def writeblocks(self, number: int, buf: "Buffer"):
        """As that of the card."""
        self.written += len(buf) // BLOCK
        self._device.writeblocks(number, buf)

    def ioctl(self, op: int, arg: int):
        """As that of the card."""
        return self._device.ioctl(op, arg)


def _u16(block: bytearray, at: int):
    return struct.unpack_from("<H", block, at)[0]


def _u32(block: bytearray, at: int):
    return struct.unpack_from("<I", block, at)[0]


def _is_volume(block: bytearray):
    """True for the first block of a FAT volume, as FatFs knows it."""
    named = block[54:57] == b"FAT" or block[82:86] == b"FAT3"
    return block[510:] == b"\x55\xaa" and block[0] in (0xE8, 0xE9, 0xEB) and named


@micropython.viper
def free_entries(block: ptr8, begin: int, end: int, width: int) -> int:  # noqa: F821 - of viper
    """How many entries of a block of the table, from `begin` on and before `end`, are free.

    Args:
        width: bytes of an entry, 2 or 4; of four the upper four bits mean nothing.
    """
    count = 0
    for k in range(begin, end):
        at = k * width
        used = int(block[at]) | int(block[at + 1])
        if width == 4:
            used |= int(block[at + 2]) | int(block[at + 3]) & 15
        if used == 0:
            count += 1
    return count
