# SPDX-License-Identifier: GPL-3.0-only
"""TCA9555/TCA9535: the 16-bit expander of a board. Called by protection/switches.

Source: TI SCPS200 (TCA9555), register map in section 8.6. Port 0 carries four switch outputs and
four ALERT inputs, port 1 the LEDs. The command byte goes out with every read, because the chip
moves its register pointer to the other register of the pair.
"""

from micropython import const

_INPUT = const(0x00)
_OUTPUT = const(0x02)
_POLARITY = const(0x04)
_DIRECTION = const(0x06)


class Tca9555:
    """One expander.

    Args:
        i2c: a `hardware.i2c.I2c`.
        address: 0x20..0x23.
        inputs: port 0 bits that are inputs (the ALERT lines); all others are outputs.
    """

    def __init__(self, i2c: "I2c", address: int, inputs: int):
        self._i2c = i2c
        self._address = address
        self._inputs = inputs

    def start(self, bits: int, leds: int):
        """Write everything: the latches, then what enables the outputs.

        The order matters: the latch powers up as 0xFF, and enabling the outputs before it is
        seen to be as told would close all four switches (SCPS200 section 8.6.2). One write that
        was disturbed is written again.

        Args:
            bits: of the switch outputs (port 0), 0..255; leds: of port 1, 0..255.

        Returns:
            bool: True when every step was acknowledged.
        """
        i2c = self._i2c
        at = self._address
        for _ in range(2):
            if not i2c.write8(at, _OUTPUT, bits) or not i2c.read(at, _OUTPUT, i2c.byte):
                return False
            if i2c.byte[0] == bits:
                break
        else:
            return False
        return (
            i2c.write8(at, _OUTPUT + 1, leds)
            and i2c.write16(at, _POLARITY, 0)
            and i2c.write16(at, _DIRECTION, self._inputs << 8)
        )

    def switches(self, bits: int):
        """Write the switch outputs (port 0 latch, 0..255); True when acknowledged."""
        return self._i2c.write8(self._address, _OUTPUT, bits)

    def leds(self, bits: int):
        """Write the LED outputs (port 1 latch, 0..255); True when acknowledged."""
        return self._i2c.write8(self._address, _OUTPUT + 1, bits)

    def levels(self):
        """Port 0 as its pins stand, 0..255, None when the chip does not answer."""
        byte = self._i2c.byte
        if self._i2c.read(self._address, _INPUT, byte):
            return byte[0]
        return None

    def outputs(self):
        """Latch and direction of port 0, read back.

        Returns:
            int or None: latch << 8 | direction; None when the chip does not answer. A direction
            of 0xFF means that the expander was reset and all its outputs float.
        """
        byte = self._i2c.byte
        if not self._i2c.read(self._address, _OUTPUT, byte):
            return None
        latch = byte[0]
        if not self._i2c.read(self._address, _DIRECTION, byte):
            return None
        return latch << 8 | byte[0]

    def polarity(self):
        """Polarity of port 0, 0..255, None when the chip does not answer.

        A bit that is set inverts what is read of its pin, and nothing else: of port 1, which is
        all outputs, it does not matter.
        """
        byte = self._i2c.byte
        if self._i2c.read(self._address, _POLARITY, byte):
            return byte[0]
        return None
