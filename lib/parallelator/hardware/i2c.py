# SPDX-License-Identifier: GPL-3.0-only
"""I2C: bounded transactions, counted errors, recovery. Used by the chips, owned by guard.

No call here raises: a transaction that fails returns False. Reads and writes allocate nothing
while the bus is healthy. What went wrong is judged by the time it took and by the level of the
lines: the number of the error is that of the driver, and each says something else. Source of the
recovery: UM10204 (I2C specification), section 3.1.16.
"""

from array import array

from micropython import const

_SLOW_US = const(5000)
"""A call to a missing chip fails within 0.3 ms; one that takes longer than this has timed out."""
_MOST = const(0x1FFFFFFF)
"""Half of what is no object: at 500 a second, twelve days."""
_FAILED_US = const(30000)
"""The time that failed calls may take in one tick."""


class I2c:
    """The wire to the chips of one rig.

    Args:
        connect: function (kHz) that returns a fresh `machine.I2C` of this clock.
        release: function without arguments that clocks a stuck SDA free; True when both lines
            are high.
        idle: function without arguments that is True while both lines are high.
        clock: a `clock.Clock`; khz: its own clock.

    Attributes:
        khz: the clock it runs at.
        transactions, errors, timeouts, recoveries: counts since boot; the first begins anew at
            2**29.
        byte, word: buffers of one and of two bytes for whoever reads a register.
        slips: failed calls that came through when they were tried again, or ran out of time.
        board_slips: array of 4: the first kind of these, by board.
        answered: True when a chip has answered since `begin`.
        stuck: True once a line stays low, a call runs out of time or failed calls have taken 30 ms
            in one tick, and then every call fails at once until `recover` succeeds.
    """

    def __init__(
        self,
        connect: "Callable[[int], I2C]",
        release: "Callable[[], bool]",
        idle: "Callable[[], bool]",
        clock: "Clock",
        khz: int = 100,
    ):
        self._connect = connect
        self._release = release
        self._idle = idle
        self._us = clock.us
        self._diff = clock.diff
        self.khz = khz
        self._i2c = connect(khz)
        self._failed_us = 0
        self._command = bytearray(2)
        self._triple = bytearray(3)
        self.byte = bytearray(1)
        self.word = bytearray(2)
        self.transactions = 0
        self.errors = 0
        self.timeouts = 0
        self.recoveries = 0
        self.slips = 0
        self.board_slips = array("i", bytes(16))
        self.answered = False
        self.stuck = False

    def begin(self):
        """Start a tick: what failed calls take counts from here."""
        self._failed_us = 0
        self.answered = False
        self.transactions &= _MOST

    def run_at(self, khz: int):
        """Change the clock, kHz, between two calls."""
        self.khz = khz
        self._i2c = self._connect(khz)

    def read(self, address: int, register: int, buf: bytearray):
        """Fill `buf` from `register` of the chip at `address`; one retry."""
        if self.stuck:
            return False
        self.transactions += 1
        began_us = self._us()
        try:
            self._i2c.readfrom_mem_into(address, register, buf)
            self.answered = True
            return True
        except OSError:
            if not self._may_retry(began_us):
                return False
        began_us = self._us()
        try:
            self._i2c.readfrom_mem_into(address, register, buf)
            self.answered = True
            self._slip(address)
            return True
        except OSError:
            self._may_retry(began_us)
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
        began_us = self._us()
        try:
            self._i2c.writeto(address, data)
            self.answered = True
            return True
        except OSError:
            if not self._may_retry(began_us):
                return False
        began_us = self._us()
        try:
            self._i2c.writeto(address, data)
            self.answered = True
            self._slip(address)
            return True
        except OSError:
            self._may_retry(began_us)
            return False

    def _slip(self, address: int):
        self.slips += 1
        self.board_slips[address >> 2 & 3 if address & 0x40 else address & 3] += 1

    def _may_retry(self, began_us: int):
        took_us = self._diff(self._us(), began_us)
        self._failed_us += took_us
        self.errors += 1
        if took_us >= _SLOW_US:
            self.timeouts += 1
            self.slips += 1
        self.stuck = took_us >= _SLOW_US or self._failed_us >= _FAILED_US or not self._idle()
        return not self.stuck

    def recover(self):
        """Free SDA with up to nine clocks and a STOP; once both are high, build the unit anew.

        Returns:
            bool: True when I2C is idle again; when False, it stays `stuck`.
        """
        self.recoveries += 1
        self.stuck = not self._release()
        if not self.stuck:
            self._i2c = self._connect(self.khz)
        self._failed_us = 0
        return not self.stuck
