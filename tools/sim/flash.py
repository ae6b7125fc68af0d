# SPDX-License-Identifier: GPL-3.0-only
"""The ESP32's file system in a file of the host: a LittleFS image, and power that goes.

For runs of what was deployed (run.py --image), and for the stand-in of a device in tests/device.
"""

BLOCK = 4096


class Flash:
    """A block device with the extended interface, as LittleFS wants it.

    Args:
        file: open for reading and writing, or its like; its size is that of the flash.
        cut: number of the write in the middle of which the power goes, 0 = it stays.
        power_off: function without arguments that is called then; no write comes after.

    Attributes:
        writes: so far, since the start.
    """

    def __init__(self, file, cut=0, power_off=None):
        self._file = file
        self._cut = cut
        self._power_off = power_off
        self._blocks = file.seek(0, 2) // BLOCK
        self.writes = 0

    def readblocks(self, number, buf, offset=0):
        self._file.seek(number * BLOCK + offset)
        self._file.readinto(buf)

    def writeblocks(self, number, buf, offset=0):
        self.writes += 1
        if self._cut and self.writes > self._cut:
            return
        self._file.seek(number * BLOCK + offset)
        if self.writes == self._cut:
            self._file.write(memoryview(buf)[: len(buf) // 2])
            self._power_off()
        else:
            self._file.write(buf)

    def ioctl(self, op, arg):
        if op == 4:
            return self._blocks
        if op == 5:
            return BLOCK
        return 0
