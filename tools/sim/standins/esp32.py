# SPDX-License-Identifier: GPL-3.0-only
"""Stand-in for MicroPython's `esp32`: non-volatile storage that outlives a controller reset."""

from sim import current

_NAME_CHARS = 15
# MicroPython raises the numbers of ESP-IDF, below zero.
_NOT_FOUND = (-0x1102, "ESP_ERR_NVS_NOT_FOUND")
_TYPE_MISMATCH = (-0x1103, "ESP_ERR_NVS_TYPE_MISMATCH")
_KEY_TOO_LONG = (-0x1109, "ESP_ERR_NVS_KEY_TOO_LONG")
_INVALID_LENGTH = (-0x110C, "ESP_ERR_NVS_INVALID_LENGTH")


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


def _checked(name):
    if len(name) > _NAME_CHARS:
        raise OSError(*_KEY_TOO_LONG)
    return name
