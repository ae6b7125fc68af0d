# SPDX-License-Identifier: GPL-3.0-only
"""The controller's non-volatile storage, which reports its first fault. Made by app."""

from micropython import const

# MicroPython raises the numbers of ESP-IDF, below zero.
_NOT_FOUND = const(-0x1102)  # ESP_ERR_NVS_NOT_FOUND
_OTHER_TYPE = const(-0x1103)  # ESP_ERR_NVS_TYPE_MISMATCH


class Storage:
    """As `esp32.NVS`, for numbers and bytes.

    Args:
        nvs: an `esp32.NVS`; tell: function without arguments, called at the first fault.
        pauses: the `Pauses`: everybody waits while the flash is written.

    Raises:
        OSError: in every method: nothing is kept under this key; or a fault, which is reported.
    """

    def __init__(self, nvs: "NVS | NoStorage", tell: "Callable[[], object]", pauses: "Pauses"):
        self._nvs = nvs
        self._tell = tell
        self._pauses = pauses
        self._told = False

    def get_i32(self, key: str) -> int:
        """The number that is kept under `key`."""
        return self._try(lambda: self._nvs.get_i32(key))

    def get_blob(self, key: str, buffer: bytearray):
        """Fill the buffer with what is kept under `key`; returns its length.

        What is not as long as the buffer is a fault, and leaves it as it was or half filled.
        """
        size = self._try(lambda: self._nvs.get_blob(key, buffer))
        if size != len(buffer):
            self.fault()
            raise OSError(_NOT_FOUND)
        return size

    def set_i32(self, key: str, value: int):
        """Keep a number, -2^31 to 2^31 - 1, from the next `commit` on."""
        self._set(key, lambda: self._nvs.set_i32(key, value))

    def set_blob(self, key: str, value: "Buffer"):
        """Keep bytes from the next `commit` on."""
        self._set(key, lambda: self._nvs.set_blob(key, value))

    def commit(self):
        """Write what was set to the flash."""
        self._try(lambda: self._pauses.flash(self._nvs.commit))

    def fault(self):
        """Report a fault: a value that was kept cannot be used."""
        if not self._told:
            self._told = True
            self._tell()

    def _set(self, key: str, job: "Callable[[], object]"):
        try:
            job()
        except OSError as error:
            if error.errno != _OTHER_TYPE:
                self.fault()
                raise error
            self._try(lambda: self._nvs.erase_key(key))
            self._try(job)

    def _try(self, job: "Callable[[], object]"):
        try:
            return job()
        except OSError as error:
            if error.errno != _NOT_FOUND:
                self.fault()
            raise error
