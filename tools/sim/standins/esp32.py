# SPDX-License-Identifier: GPL-3.0-only
"""Stand-in for MicroPython's `esp32`: non-volatile storage, and the slots for images."""

from sim import current
from sim.partitions import ADDRESSES, BLOCK, LABELS, SIZE, Fault

HEAP_DATA = 4
_NAME_CHARS = 15
# MicroPython raises the numbers of ESP-IDF, below zero.
_NOT_FOUND = (-0x1102, "ESP_ERR_NVS_NOT_FOUND")
_TYPE_MISMATCH = (-0x1103, "ESP_ERR_NVS_TYPE_MISMATCH")
_KEY_TOO_LONG = (-0x1109, "ESP_ERR_NVS_KEY_TOO_LONG")
_INVALID_LENGTH = (-0x110C, "ESP_ERR_NVS_INVALID_LENGTH")
_FAULTS = {
    -1: "ESP_FAIL",
    0x104: "ESP_ERR_INVALID_SIZE",
    0x1503: "ESP_ERR_OTA_VALIDATE_FAILED",
}
_ENOENT = 2
_COUNT, _SIZE, _ERASE = 4, 5, 6


def idf_heap_info(capabilities):
    """Size, free, largest free piece, least free of each region: all free is in one piece here,
    which `gc.mem_free` counts."""
    return []


class NVS:
    """One namespace of the storage (the ESP32's `esp32.NVS`).

    What was set reads back at once and is kept by `commit`: a reset before that loses it, and so
    does a commit after the scenario's `nvs_cut`.

    Raises:
        OSError: in every method: no such key, another type, a name longer than 15 characters, a
            buffer that is too small.
    """

    def __init__(self, namespace):
        self._kept = current.world.nvs.setdefault(_checked(namespace), {})
        self._changed = {}

    def get_i32(self, key):
        return self._get(key, int)

    def set_i32(self, key, value):
        if not -0x80000000 <= value <= 0x7FFFFFFF:
            raise OverflowError
        self._set(key, value)

    def get_blob(self, key, buffer):
        value = self._get(key, bytes)
        if len(value) > len(buffer):
            raise OSError(*_INVALID_LENGTH)
        buffer[: len(value)] = value
        return len(value)

    def set_blob(self, key, value):
        self._set(key, bytes(value))

    def erase_key(self, key):
        if self._value(key) is None:
            raise OSError(*_NOT_FOUND)
        self._changed[key] = None

    def commit(self):
        world = current.world
        world.write_flash(world.costs.nvs_write_us)
        world.nvs_writes += len(self._changed)
        if not world.nvs_cut:
            self._kept.update(self._changed)
        self._changed = {}

    def _get(self, key, kind):
        value = self._value(key)
        if value is None:
            raise OSError(*_NOT_FOUND)
        if not isinstance(value, kind):
            raise OSError(*_TYPE_MISMATCH)
        return value

    def _set(self, key, value):
        kept = self._value(_checked(key))
        if kept is not None and isinstance(kept, int) != isinstance(value, int):
            raise OSError(*_TYPE_MISMATCH)
        self._changed[key] = value

    def _value(self, key):
        return self._changed[key] if key in self._changed else self._kept.get(key)


class Partition:
    """A slot for an image (the ESP32's `esp32.Partition`, of which `find` is left out).

    Args:
        which: BOOT, RUNNING or a label.

    Raises:
        OSError: in the constructor: there is none; in every method: what ESP-IDF answers.
    """

    BOOT, RUNNING = 0, 1
    TYPE_APP, TYPE_DATA = 0, 1

    def __init__(self, which):
        chip = current.world.partitions
        if which in LABELS:
            self._slot = LABELS.index(which)
        elif which in (self.BOOT, self.RUNNING):
            self._slot = chip.running if which == self.RUNNING else chip.chosen()
        else:
            raise ValueError if isinstance(which, int) else OSError(_ENOENT)

    def info(self):
        """(type, subtype, address, size, label, encrypted)."""
        slot = self._slot
        return self.TYPE_APP, 0x10 + slot, ADDRESSES[slot], SIZE, LABELS[slot], False

    def readblocks(self, number, buf, offset=0):
        """Fill `buf` from a block on, or from `offset` bytes behind its begin."""
        at = number * BLOCK + offset
        buf[:] = _answer(lambda chip: chip.read(self._slot, at, len(buf)))

    def writeblocks(self, number, buf, offset=None):
        """Write from a block on. Without `offset` the blocks are erased before."""
        at = number * BLOCK + (offset or 0)
        if offset is None:
            _answer(lambda chip: chip.erase(self._slot, at, len(buf)))
        _answer(lambda chip: chip.write(self._slot, at, bytes(buf)))

    def ioctl(self, command, number):
        """4: how many blocks; 5: bytes of each; 6: erase one."""
        if command == _COUNT:
            return SIZE // BLOCK
        if command == _SIZE:
            return BLOCK
        if command == _ERASE:
            _answer(lambda chip: chip.erase(self._slot, number * BLOCK, BLOCK))
        return 0 if command <= _ERASE else None

    def set_boot(self):
        """Start this one from the next reset on, on trial."""
        _answer(lambda chip: chip.set_boot(self._slot))

    def get_next_update(self):
        """The slot that is to be written."""
        return Partition(LABELS[1 - self._slot])

    @classmethod
    def mark_app_valid_cancel_rollback(cls):
        """End the trial of the image that runs."""
        _answer(lambda chip: chip.confirm())


def _answer(job):
    try:
        return job(current.world.partitions)
    except Fault as fault:
        code = fault.args[0]
        raise OSError(-code, _FAULTS[code])


def _checked(name):
    if len(name) > _NAME_CHARS:
        raise OSError(*_KEY_TOO_LONG)
    return name
