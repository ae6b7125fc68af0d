# SPDX-License-Identifier: GPL-3.0-only
"""The INA228, INA226 and INA219. Called by ina_models; sources as in ina2xx."""

from parallelator.hardware.ina2xx import Ina2xx, Ina237, signed


class Ina228(Ina237):
    """INA228: 20 bits, 0.3125 uV shunt and 0.1953125 mV bus steps; limits as the INA237's."""

    NAME = "INA228"

    def __init__(self, i2c: "I2c", address: int, shunt_uohm: int):
        super().__init__(i2c, address, shunt_uohm)
        self._triple = bytearray(3)

    def current_ma(self):
        """Current in mA, positive = discharge; None when the chip does not answer."""
        code = self._read20(0x04)
        if code is None:
            return None
        if code & 0x80000:
            code -= 0x100000
        return self._whole_ma(code, 625, 2)

    def voltage_mv(self):
        """Voltage in mV, rounded away from `centre_mv`; None when the chip does not answer."""
        code = self._read20(0x05)
        if code is None:
            return None
        # 25/128 mV a step.
        down = code * 25 >> 7
        return down if down < self._centre_mv else code * 25 + 127 >> 7

    def temperature_mc(self):
        """Die temperature in thousandths of a degree Celsius, 7.8125 a step."""
        code = self._read(0x06)
        return None if code is None else signed(code) * 125 >> 4

    def _read20(self, register: int):
        triple = self._triple
        if not self._i2c.read(self._address, register, triple):
            return None
        return triple[0] << 12 | triple[1] << 4 | triple[2] >> 4


class Ina226(Ina2xx):
    """INA226: 16 bits, 2.5 uV shunt and 1.25 mV bus steps; ALERT compares discharge only.

    Bus and shunt, 332 us each, averaged over four: a new result every 2.66 ms.
    """

    NAME = "INA226"
    MARK = 0x07
    RANGE_UV = 81920
    MAX_MV = 36000
    _FLAGS = 0x06
    _CONTROL = 0x8001
    _CONTROL_BITS = 0xFC03
    _INVERT = 0x0002
    _FRESH_BIT = 0x0008
    _ALERT_BITS = 0x0010
    _LIMIT = 0x07

    def plan(self, discharge_ma: int, charge_ma: int, low_mv: int, high_mv: int):
        over = min(discharge_ma * self._shunt_uohm // 2500, 0x7FFF) if discharge_ma else 0x7FFF
        return ((0x00, 0x4297), (0x07, over))

    def current_ma(self):
        """Current in mA, positive = discharge; None when the chip does not answer."""
        code = self._read(0x01)
        return None if code is None else self._whole_ma(signed(code), 2500, 1)

    def voltage_mv(self):
        """Voltage of the battery in mV, rounded down; None when the chip does not answer."""
        code = self._read(0x02)
        return None if code is None else code * 5 // 4


class Ina219(Ina2xx):
    """INA219: 12 bits, 10 uV shunt and 4 mV bus steps; no ALERT, no identification.

    Shunt range 160 mV, bus range 32 V, four samples each: a new result every 4.26 ms. It is fit
    for 12 V packs only: its inputs stop at 26 V.
    """

    NAME = "INA219"
    RANGE_UV = 160000
    MAX_MV = 26000
    HAS_ALERT = False
    MARK = 0x05
    _FLAGS = 0x02
    _FRESH_BIT = 0x0002

    def plan(self, discharge_ma: int, charge_ma: int, low_mv: int, high_mv: int):
        return ((0x00, 0x3557),)

    def prove(self):
        """As the others; reading the power register clears the conversion flag."""
        shown = super().prove()
        if shown is None or self._read(0x03) is None:
            return None
        return shown

    def current_ma(self):
        """Current in mA, positive = discharge; None when the chip does not answer."""
        code = self._read(0x01)
        return None if code is None else self._whole_ma(signed(code), 10000, 1)

    def voltage_mv(self):
        """Voltage of the battery in mV; None when the chip does not answer."""
        code = self._read(0x02)
        return None if code is None else (code >> 3) * 4


DRIVERS = {"ina228": Ina228, "ina226": Ina226, "ina219": Ina219}
"""The drivers by their names among MODELS."""
