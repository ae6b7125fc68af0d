# SPDX-License-Identifier: GPL-3.0-only
"""The I2C of the 32-bit runs of heap32.py, and its chips: a full rig of 16 batteries at rest.

As much of the chips as the guard looks at: see tools/sim/chips for whole ones.
"""

from array import array

PACK_MV = 26000
PACK_MA = 2500
SURGE_MA = 60000


class I2C:
    """As machine.I2C; it allocates nothing, and passes numbers instead of bytes.

    Attributes:
        surge: the battery, from 0, that SURGE_MA flow out of, -1 = none.
    """

    surge = -1

    def __init__(self, unit, scl, sda, freq, timeout):
        self.sensors = [array("H", bytes(32)) for _ in range(16)]
        self.expanders = [bytearray(b"\xff" * 8) for _ in range(4)]
        for chip in self.sensors:
            self.reset(chip)

    def reset(self, chip):
        for register in range(16):
            chip[register] = 0
        chip[1] = 0xFB68
        chip[2] = 0x1000
        chip[11] = 1
        chip[12] = chip[14] = 0x7FFF
        chip[13] = 0x8000

    def readfrom_mem_into(self, address, register, buf):
        if address >= 0x40:
            value = self.sensor(address - 0x40, register)
        else:
            value = self.port(address - 0x20, register)
            if len(buf) == 2:
                value = value << 8 | self.port(address - 0x20, register ^ 1)
        for k in range(len(buf) - 1, -1, -1):
            buf[k] = value & 0xFF
            value >>= 8

    def readfrom_mem(self, address, register, count):
        data = bytearray(count)
        self.readfrom_mem_into(address, register, data)
        return data

    def writeto(self, address, data):
        register = data[0]
        if address < 0x40:
            for k in range(1, len(data)):
                self.expanders[address - 0x20][register ^ k - 1] = data[k]
        elif register == 0 and data[1] & 0x80:
            self.reset(self.sensors[address - 0x40])
        else:
            self.sensors[address - 0x40][register] = data[1] << 8 | data[2]

    def sensor(self, i, register):
        if register == 4:
            drawn = SURGE_MA if i == I2C.surge else PACK_MA
            return drawn * 2 // 5 if self.closed(i) else 0  # 2 mOhm, 5 uV a step
        if register == 5:
            return PACK_MV * 8 // 25  # 3.125 mV a step
        if register == 6:
            return 30 * 8 << 4  # 125 m degrees a step
        if register == 11:
            return self.sensors[i][11] | 2  # a conversion is always fresh
        if register == 0x3E:
            return 0x5449
        return 0x2370 if register == 0x3F else self.sensors[i][register]

    def closed(self, i):
        chip = self.expanders[i >> 2]
        return chip[2] & ~chip[6] & 8 >> (i & 3)

    def port(self, b, register):
        chip = self.expanders[b]
        if register > 1:
            return chip[register]
        level = chip[2 + register] | chip[6 + register]
        for c in range(0 if register else 4):
            if self.sensors[4 * b + c][11] & 0x1000:  # ALERT inverted: low at rest
                level &= ~(0x80 >> c)
        return level
