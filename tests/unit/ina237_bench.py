# SPDX-License-Identifier: GPL-3.0-only
"""A bench for the tests of the simulated INA237: register names, and a chip with one pack."""

from sim.chips.ina237 import Ina237
from sim.plant import Plant

CONFIG, ADC_CONFIG, SHUNT_CAL = 0x00, 0x01, 0x02
VSHUNT, VBUS, DIETEMP, CURRENT, POWER = 0x04, 0x05, 0x06, 0x07, 0x08
DIAG, SOVL, SUVL, BOVL, BUVL, TEMP_LIMIT, PWR_LIMIT = range(0x0B, 0x12)

ALATCH, CNVR, SLOWALERT, APOL = 0x8000, 0x4000, 0x2000, 0x1000
MATHOF, TMPOL, SHNTOL, SHNTUL, BUSOL, BUSUL, POL = 0x200, 0x80, 0x40, 0x20, 0x10, 0x08, 0x04
CNVRF, MEMSTAT = 0x02, 0x01
FLAGS = 0xFC

BUS_AND_SHUNT = 0xB6C1
"""Bus and shunt, 280 us each, 4 averages: a cycle of 2240 us of four conversions."""
CYCLE = 2240


class Bench:
    """A chip alone with a pack at 27.125 V whose sensor inputs are set by injection."""

    def __init__(self, adc=None, now_us=0, **settings):
        self.plant = Plant([{"n": 1, "soc": 0.65, "capacity_ah": 1000}])
        self.rest_v = self.plant.voltage_v[0]
        self.plant.step(now_us)
        self.chip = Ina237(0x40, 0, self.plant, now_us=now_us, **settings)
        if adc is not None:
            self.put(ADC_CONFIG, adc, now_us)

    def put(self, reg, word, now_us):
        self.chip.write(reg, bytes((word >> 8 & 0xFF, word & 0xFF)), now_us)

    def get(self, reg, now_us, size=2):
        buf = bytearray(size)
        self.chip.read(reg, buf, now_us)
        return int.from_bytes(buf, "big")

    def signed(self, reg, now_us):
        word = self.get(reg, now_us)
        return word - ((word & 0x8000) << 1)

    def flags(self, now_us):
        return self.get(DIAG, now_us) & FLAGS

    def amps(self, amps, now_us):
        self.plant.inject_current(0, amps * 1000)
        self.plant.step(now_us)

    def volts(self, volts, now_us):
        self.plant.inject_voltage(0, (volts - self.rest_v) * 1000)
        self.plant.step(now_us)
