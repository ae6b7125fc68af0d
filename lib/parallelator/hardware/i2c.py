# SPDX-License-Identifier: GPL-3.0-only
"""I2C: bounded transactions, counted errors, recovery. Used by the chips, owned by guard.

No call here raises: a transaction that fails returns False. Reads and writes allocate nothing
while the bus is healthy. Source of the recovery: UM10204 (I2C specification), section 3.1.16.
"""

import errno

from micropython import const

_TIMEOUTS_PER_TICK = const(2)


class I2c:
    """The wire to the chips of one rig.

    Args:
        connect: function without arguments that returns a fresh `machine.I2C`.
        release: function without arguments that clocks a stuck SDA free; True when it is high.

    Attributes:
        transactions, errors, timeouts, recoveries: counts since boot.
        stuck: True after two time-outs in one tick, and then every call fails at once until
            `recover` succeeds.
    """

    def __init__(self, connect: "Callable[[], I2C]", release: "Callable[[], bool]"):
        self._connect = connect
        self._release = release
        self._i2c = connect()
        self._timeouts_now = 0
        self._command = bytearray(2)
        self._triple = bytearray(3)
        self.transactions = 0
        self.errors = 0
        self.timeouts = 0
        self.recoveries = 0
        self.stuck = False

    def begin(self):
        """Start a tick: time-outs count from here."""
        self._timeouts_now = 0

    def read(self, address: int, register: int, buf: bytearray):
        """Fill `buf` from `register` of the chip at `address`; one retry after a NACK."""
        if self.stuck:
            return False
        self.transactions += 1
        try:
            self._i2c.readfrom_mem_into(address, register, buf)
            return True
        except OSError as error:
            if not self._may_retry(error):
                return False
        try:
            self._i2c.readfrom_mem_into(address, register, buf)
            return True
        except OSError as error:
            self._may_retry(error)
            return False

    def write8(self, address: int, register: int, value: int):
        """Write one byte (0..255) to `register`."""
        self._command[0] = register
        self._command[1] = value
        return self._write(address, self._command)

    def write16(self, address: int, register: int, value: int):
        """Write 16 bits (0..0xFFFF), most significant byte first, to `register`."""
        self._triple[0] = register
        self._triple[1] = value >> 8
        self._triple[2] = value & 0xFF
        return self._write(address, self._triple)

    def _write(self, address: int, data: bytearray):
        if self.stuck:
            return False
        self.transactions += 1
        try:
            self._i2c.writeto(address, data)
            return True
        except OSError as error:
            if not self._may_retry(error):
                return False
        try:
            self._i2c.writeto(address, data)
            return True
        except OSError as error:
            self._may_retry(error)
            return False

    def _may_retry(self, error: OSError):
        self.errors += 1
        if error.errno != errno.ETIMEDOUT:
            return True
        self.timeouts += 1
        self._timeouts_now += 1
        self.stuck = self._timeouts_now >= _TIMEOUTS_PER_TICK
        return False

    def recover(self):
        """Free SDA with up to nine clocks and a STOP, then build the I2C object anew.

        Returns:
            bool: True when I2C is idle again; when False, it stays `stuck`.
        """
        self.recoveries += 1
        self.stuck = not self._release()
        self._i2c = self._connect()
        self._timeouts_now = 0
        return not self.stuck
