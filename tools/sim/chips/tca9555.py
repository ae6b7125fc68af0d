# SPDX-License-Identifier: GPL-3.0-only
"""Model of the TI TCA9555 16-bit expander (data sheet SCPS200); a TCA9535 differs in no register.

The simulated world makes one per mother board, hands it the I2C transactions and turns its pins
into gates and LEDs.
"""

from micropython import const

_OUTPUT = const(2)
_POLARITY = const(4)
_DIRECTION = const(6)

_POWER_ON = b"\x00\x00\xff\xff\x00\x00\xff\xff"


class Tca9555:
    """One expander.

    Args:
        address: 7-bit I2C address, 0x20..0x27.
        external: external(now_us) returns the 16 levels the outside gives the pins as inputs,
            bit 0 = P00, bit 15 = P17. What the pull-ups inside a TCA9555 do is part of them.
        changed: changed(chip, now_us) is called after every write to an output or direction
            register and after `power_on`.

    Attributes:
        powered: False while the chip does not answer (set by the world; see `power_on`).
        pointer: register the next byte goes to or comes from: the command byte, moved within its
            pair by every byte written or read.
        stuck: pin (0..15) to the level at which it stays, whatever drives it.
    """

    def __init__(self, address, external, changed):
        self.address = address
        self.powered = True
        self.pointer = 0
        self.stuck = {}
        self._external = external
        self._changed = changed
        self._reg = bytearray(_POWER_ON)

    def power_on(self, now_us):
        """Supply back after a brown-out: outputs latched high but every pin an input."""
        self.powered = True
        self.pointer = 0
        self._reg[:] = _POWER_ON
        self._changed(self, now_us)

    def corrupt(self, reg, value, now_us):
        """A register (2..7) holds something else than was written to it."""
        self._reg[reg] = value
        self._changed(self, now_us)

    def write(self, reg, data, now_us):
        """An I2C write: reg is the command byte (its low 3 bits count), data the bytes after it.

        Bytes alternate between the two registers of the pair. What goes to the input registers has
        no effect.
        """
        reg &= 7
        for byte in data:
            self._reg[reg] = byte
            reg ^= 1
        self.pointer = reg
        if len(data) and (reg & 6 == _OUTPUT or reg & 6 == _DIRECTION):
            self._changed(self, now_us)

    def read(self, reg, buf, now_us):
        """An I2C read: fills buf from register reg, alternating within the pair.

        A read without a command byte goes on at `pointer`.
        """
        reg &= 7
        k = 0
        while k < len(buf):
            buf[k] = self._reg[reg] if reg >= _OUTPUT else self._input(reg, now_us)
            reg ^= 1
            k += 1
        self.pointer = reg

    def driven_high(self, bit):
        """True when pin `bit` (0..15) is an output that drives high, whatever its level is then;
        else it drives low or floats.
        """
        mask = 1 << (bit & 7)
        port = bit >> 3
        return bool(self._reg[_OUTPUT + port] & mask and not self._reg[_DIRECTION + port] & mask)

    def _input(self, port, now_us):
        reg = self._reg
        inputs = reg[_DIRECTION + port]
        outside = self._external(now_us) >> 8 * port
        levels = outside & inputs | reg[_OUTPUT + port] & ~inputs
        if self.stuck:
            for bit, level in self.stuck.items():
                if bit >> 3 == port:
                    mask = 1 << (bit & 7)
                    levels = levels | mask if level else levels & ~mask
        return levels & 0xFF ^ reg[_POLARITY + port]
