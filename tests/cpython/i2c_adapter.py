# SPDX-License-Identifier: GPL-3.0-only
"""The simulated chips on I2C for drivers that run under CPython.

test_second_opinion.py puts CircuitPython drivers and those of the firmware on one `I2C`, which has
the methods that both call. `load` imports a CircuitPython driver.
"""

import errno
import importlib
import sys
from types import ModuleType

# The real ones refuse to be imported on a computer without such pins; the drivers need these
# names in annotations only.
_STANDINS = {"busio": ("I2C", "SPI"), "digitalio": ("DigitalInOut",)}


def load(name):
    """Import the CircuitPython driver `name`."""
    for module, names in _STANDINS.items():
        sys.modules[module] = ModuleType(module)
        vars(sys.modules[module]).update(dict.fromkeys(names, object))
    return importlib.import_module(name)


class I2C:
    """An I2C in the manner of CircuitPython's `busio.I2C` and of MicroPython's `machine.I2C`.

    Args:
        chips: simulated chips, each at its own address.

    Attributes:
        now_us: time of the transactions; they take none.
    """

    def __init__(self, chips):
        self.now_us = 0
        self._chips = {chip.address: chip for chip in chips}
        self._locked = False

    def try_lock(self):
        """Lock I2C; True when it was free."""
        free = not self._locked
        self._locked = True
        return free

    def unlock(self):
        """Unlock I2C."""
        self._locked = False

    def scan(self):
        """Return the addresses that answer, in order."""
        return sorted(address for address, chip in self._chips.items() if chip.powered)

    def writeto(self, address, buffer, *, start=0, end=None):
        """Write the bytes, the first of which addresses a register; none only calls the chip.

        Raises:
            OSError: ENODEV, no chip answers.
        """
        chip = self._chip(address)
        data = bytes(buffer[start:end])
        if data:
            chip.write(data[0], data[1:], self.now_us)

    def readfrom_into(self, address, buffer, *, start=0, end=None):
        """Fill the buffer from the register addressed last; raises as `writeto`."""
        chip = self._chip(address)
        chip.read(chip.pointer, memoryview(buffer)[start:end], self.now_us)

    def writeto_then_readfrom(
        self, address, out_buffer, in_buffer, *, out_start=0, out_end=None, in_start=0, in_end=None
    ):
        """Write, then read without a stop between; raises as `writeto`."""
        self.writeto(address, out_buffer, start=out_start, end=out_end)
        self.readfrom_into(address, in_buffer, start=in_start, end=in_end)

    def readfrom_mem_into(self, address, register, buffer):
        """Fill the buffer from `register`, as MicroPython has it; raises as `writeto`."""
        self._chip(address).read(register, buffer, self.now_us)

    def _chip(self, address):
        chip = self._chips.get(address)
        if chip is None or not chip.powered:
            raise OSError(errno.ENODEV, "no answer")
        return chip
