# SPDX-License-Identifier: GPL-3.0-only
"""What a simulated SD card keeps, and the checksums of its wire. For sdcard.py and the harness."""

import os

from micropython import const

BLOCK = const(512)
_ZEROS = bytes(BLOCK)


class Image:
    """The blocks of a card: in memory, or in a file that any FAT tool opens.

    Args:
        sectors: capacity in blocks of 512 bytes.
        path: file to keep them in, made when it is missing; None = memory.

    Attributes:
        sectors: as given, or the size of the file that was there.
        fresh: True when nothing was ever written.
    """

    def __init__(self, sectors, path=None):
        self.sectors = sectors
        self.fresh = True
        self._blocks = {}
        self._file = None
        if path:
            try:
                self._file = open(path, "r+b")  # noqa: SIM115 - until `close`
                self.sectors = self._file.seek(0, 2) // BLOCK
                self.fresh = not self.sectors
            except OSError:
                self._file = open(path, "w+b")  # noqa: SIM115
            if self.fresh:
                self.sectors = sectors
                self._file.seek(sectors * BLOCK - 1)
                self._file.write(b"\0")

    def read(self, number):
        """Block `number` as bytes."""
        if not self._file:
            return self._blocks.get(number, _ZEROS)
        self._file.seek(number * BLOCK)
        return self._file.read(BLOCK)

    def write(self, number, data):
        """Keep 512 bytes as block `number`."""
        self.fresh = False
        if not self._file:
            if data == _ZEROS:
                self._blocks.pop(number, None)
            else:
                self._blocks[number] = bytes(data)
            return
        self._file.seek(number * BLOCK)
        self._file.write(data)
        self._file.flush()

    def close(self):
        """Let go of the file."""
        if self._file:
            self._file.close()

    def volume(self):
        """The FAT volume on it, as a PC's card reader sees it; a fresh image is formatted first.

        The firmware never formats: a card that it cannot read may hold what somebody wants back.
        """
        if self.fresh:
            os.VfsFat.mkfs(self)
        return os.VfsFat(self)

    def fill(self, free):
        """Add a file so large that only about `free` bytes stay free."""
        volume = self.volume()
        size, _, _, left = volume.statvfs("/")[1:5]
        with volume.open("/filler.bin", "wb") as file:
            for _ in range(left - 1 - free // size):
                file.write(bytes(size))

    # The block device of MicroPython

    def readblocks(self, number, buf):
        for k in range(len(buf) // BLOCK):
            buf[k * BLOCK : (k + 1) * BLOCK] = self.read(number + k)

    def writeblocks(self, number, buf):
        for k in range(len(buf) // BLOCK):
            self.write(number + k, buf[k * BLOCK : (k + 1) * BLOCK])

    def ioctl(self, op, arg):
        return {4: self.sectors, 5: BLOCK}.get(op)


def checksum7(data):
    """CRC7 of a command or a register [4.5]: G(x) = x^7 + x^3 + 1."""
    register = 0
    for byte in data:
        for k in range(7, -1, -1):
            feedback = (register >> 6 ^ byte >> k) & 1
            register = (register << 1 & 0x7F) ^ (0x09 if feedback else 0)
    return register


def table16():
    """What each value of a byte does to a CRC16: G(x) = x^16 + x^12 + x^5 + 1."""
    table = []
    for byte in range(256):
        value = byte << 8
        for _ in range(8):
            value = (value << 1 ^ (0x1021 if value & 0x8000 else 0)) & 0xFFFF
        table.append(value)
    return tuple(table)


def checksum16(data, table):
    """CRC16 of a block [4.5], with the table of `table16`."""
    value = 0
    for byte in data:
        value = (value << 8 & 0xFFFF) ^ table[value >> 8 ^ byte]
    return value
