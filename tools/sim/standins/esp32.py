"""Stand-in for MicroPython's `esp32`: non-volatile storage that outlives a controller reset."""

from errno import ENOENT

from sim import current


class NVS:
    """One namespace of the storage (the ESP32's `esp32.NVS`)."""

    def __init__(self, namespace):
        self._store = current.world.nvs.setdefault(namespace, {})

    def get_i32(self, key):
        return self._get(key)

    def set_i32(self, key, value):
        self._store[key] = value

    def get_blob(self, key, buffer):
        value = self._get(key)
        buffer[: len(value)] = value
        return len(value)

    def set_blob(self, key, value):
        self._store[key] = bytes(value)

    def erase_key(self, key):
        self._get(key)
        del self._store[key]

    def commit(self):
        current.world.spend(current.world.costs.nvs_write_us)

    def _get(self, key):
        if key not in self._store:
            raise OSError(ENOENT)
        return self._store[key]
