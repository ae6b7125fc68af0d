# SPDX-License-Identifier: GPL-3.0-only
"""The ESP32's slots for images, and the boot loader that chooses one of them.

`otadata` has two entries, each in a sector of its own: number, state and CRC. The boot loader
takes the valid one with the higher number. It marks a new image before it starts it, and gives up
one that it finds marked at the next reset, unless the application has confirmed it in between.
Source: ESP-IDF, bootloader_utility.c and esp_ota_ops.c, and of MicroPython esp32_partition.c, with
CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE, which every image of MicroPython has.
"""

import struct
from binascii import crc32

from device import esp_image

BLOCK = 4096
LABELS = ("ota_0", "ota_1")
ADDRESSES = (0x10000, 0x1F0000)
SIZE = 0x1E0000

NEW, PENDING, VALID, INVALID, ABORTED = range(5)
_ENTRY = "<I20sII"
_ENTRY_BYTES = 32
_UNUSED = 0xFFFFFFFF

FAIL = -1
NOT_VALID = 0x1503
"""ESP_ERR_OTA_VALIDATE_FAILED"""
TOO_FAR = 0x104
"""ESP_ERR_INVALID_SIZE"""


class Fault(Exception):
    """What ESP-IDF answers to what it does not do; its number is the argument."""


class Partitions:
    """Two slots, in the first of which an image runs.

    Args:
        chip: name of the chip; image: bytes of the image that was flashed, into the first slot.
        spend: function (kind) called in the middle of each "erase" and each "write" of the flash:
            time passes, or the power goes and it raises.

    Attributes:
        running: number of the slot that runs; version: as its image tells.
    """

    def __init__(self, chip, image, spend):
        self._chip = chip
        self._blocks = ({}, {})
        self._otadata = (_erased(_ENTRY_BYTES), _erased(_ENTRY_BYTES))
        for k in range(0, len(image), BLOCK):
            block = image[k : k + BLOCK]
            self._blocks[0][k // BLOCK] = bytearray(block) + _erased(BLOCK - len(block))
        self.running = 0
        self.version = None
        self._spend = lambda kind: None  # who flashed it has started it once
        self.boot()
        self._spend = spend

    def read(self, slot, at, count):
        """Bytes of a slot."""
        if at + count > SIZE:
            raise Fault(TOO_FAR)
        found = bytearray()
        while count:
            block = self._blocks[slot].get(at // BLOCK)
            begin = at % BLOCK
            step = min(count, BLOCK - begin)
            found += _erased(step) if block is None else block[begin : begin + step]
            at += step
            count -= step
        return bytes(found)

    def erase(self, slot, at, count):
        """Erase whole blocks of a slot."""
        if at % BLOCK or count % BLOCK or at + count > SIZE:
            raise Fault(TOO_FAR)
        for number in range(at // BLOCK, (at + count) // BLOCK):
            block = self._blocks[slot].setdefault(number, _erased(BLOCK))
            self._erase(block)

    def write(self, slot, at, data):
        """Write into a slot: bits become 0 and never 1."""
        if at + len(data) > SIZE:
            raise Fault(TOO_FAR)
        while data:
            step = BLOCK - at % BLOCK
            block = self._blocks[slot].setdefault(at // BLOCK, _erased(BLOCK))
            self._write(block, at % BLOCK, data[:step])
            at += step
            data = data[step:]

    def valid(self, slot):
        """The version of the image in a slot, None when it cannot be started."""
        try:
            chip, version, _ = esp_image.inspect(lambda at, n: self.read(slot, at, n), SIZE)
        except (ValueError, Fault):
            return None
        return version if chip == self._chip else None

    def chosen(self):
        """The slot that is started next, as esp_ota_get_boot_partition tells."""
        active = self._active()
        return self._slot(active) if active is not None else 0

    def set_boot(self, slot):
        """Choose the slot that is started next."""
        if self.valid(slot) is None:
            raise Fault(NOT_VALID)
        active = self._active()
        if active is None:
            self._put(0, slot + 1, NEW)
        elif self._slot(active) == slot:
            self._put(active, self._entry(active)[0], NEW)
        else:
            self._put(1 - active, self._entry(active)[0] + 1, NEW)

    def confirm(self):
        """What runs is good: the boot loader does not give it up."""
        active = self._active()
        if active is None:
            raise Fault(FAIL)
        number, state = self._entry(active)
        if state != VALID:
            self._put(active, number, VALID)

    def boot(self):
        """After a reset: choose a slot and start what is in it.

        Raises:
            RuntimeError: there is nothing that can be started.
        """
        for k in (0, 1):
            number, state = self._entry(k)
            if state == PENDING:
                self._put(k, number, ABORTED)
        active = self._active()
        blank = all(self._blank(k) for k in (0, 1))
        first = 0
        if active is not None:
            first = self._slot(active)
            number, state = self._entry(active)
            if state == NEW:
                self._put(active, number, PENDING)
        for slot in (first, 1 - first):
            self.version = self.valid(slot)
            if self.version is not None:
                if blank:
                    self._put(0, slot + 1, VALID)
                self.running = slot
                return
        raise RuntimeError("no image can be started")

    def _entry(self, k):
        number, _, state, _ = struct.unpack(_ENTRY, self._otadata[k])
        return number, state

    def _blank(self, k):
        return self._otadata[k] == _erased(_ENTRY_BYTES)

    def _good(self, k):
        number, _, state, crc = struct.unpack(_ENTRY, self._otadata[k])
        return number != _UNUSED and crc == _crc(number) and state not in (INVALID, ABORTED)

    def _active(self):
        good = [k for k in (0, 1) if self._good(k)]
        return max(good, key=lambda k: self._entry(k)[0]) if good else None

    def _slot(self, k):
        return (self._entry(k)[0] - 1) % len(LABELS)

    def _put(self, k, number, state):
        self._erase(self._otadata[k])
        entry = struct.pack(_ENTRY, number, b"\xff" * 20, state, _crc(number))
        self._write(self._otadata[k], 0, entry)

    def _erase(self, sector):
        half = len(sector) // 2
        sector[:half] = _erased(half)
        self._spend("erase")
        sector[half:] = _erased(len(sector) - half)

    def _write(self, sector, at, data):
        half = len(data) // 2
        for k in range(half):
            sector[at + k] &= data[k]
        self._spend("write")
        for k in range(half, len(data)):
            sector[at + k] &= data[k]


def _erased(count):
    return bytearray(b"\xff" * count)


def _crc(number):
    # The ROM's begins with all bits set, and undoes nothing at the end.
    return crc32(struct.pack("<I", number), _UNUSED)
