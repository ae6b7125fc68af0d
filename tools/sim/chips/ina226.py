# SPDX-License-Identifier: GPL-3.0-only
"""Model of the TI INA226 current and voltage monitor (data sheet SBOS547).

The simulated world makes one per battery. Section numbers are those of revision B.
"""

from micropython import const

from sim.chips import BUS, RESTLESS, SHUNT, UNBOUNDED, signed
from sim.chips.ina219 import Ina219

_CONFIG = const(0x00)
_VBUS = const(0x02)
_CALIBRATION = const(0x05)
_MASK_ENABLE = const(0x06)
_ALERT_LIMIT = const(0x07)
_MANUFACTURER_ID = const(0xFE)
_DIE_ID = const(0xFF)

_SOL = const(0x8000)
_SUL = const(0x4000)
_BOL = const(0x2000)
_BUL = const(0x1000)
_POL = const(0x0800)
_CNVR = const(0x0400)
_AFF = const(0x0010)
_CVRF = const(0x0008)
_OVF = const(0x0004)
_APOL = const(0x0002)
_LEN = const(0x0001)

_CONVERSION_US = (140, 204, 332, 588, 1100, 2116, 4156, 8244)
_AVERAGES = (1, 4, 16, 64, 128, 256, 512, 1024)


class Ina226(Ina219):
    """One INA226 on the plant.

    Args:
        address, i, plant, shunt_uohm, now_us: as of `Sensor`.
    """

    # Section 7.1; bits 14 to 12 of CONFIG always read 100.
    _WRITABLE = {
        _CONFIG: (0x4127, 0x0FFF),
        _CALIBRATION: (0x0000, 0x7FFF),
        _MASK_ENABLE: (0x0000, 0xFC03),
        _ALERT_LIMIT: (0x0000, 0xFFFF),
    }

    # Sections 7.1.4 and 7.1.5.
    _CURRENT_DIVISOR = 2048
    _POWER_DIVISOR = 20000

    def alert_low(self, now_us):
        """True while the chip pulls its open-drain ALERT line low."""
        if not self.powered:
            return False
        if not self.calm():
            self.follow(now_us)
        mask = self._reg[_MASK_ENABLE]
        ready = mask & _CNVR and self._is_ready(now_us)
        return bool(self._flags or ready) != bool(mask & _APOL)

    def bounds(self):
        """See `Sensor`."""
        low_a = low_v = -UNBOUNDED
        high_a = high_v = UNBOUNDED
        limit = self._reg[_ALERT_LIMIT]
        function = self._function()
        if function == _POL:
            return RESTLESS
        if function == _SOL:
            high_a = signed(limit) / self._shunt_per_a
        elif function == _SUL:
            low_a = signed(limit) / self._shunt_per_a
        elif function == _BOL:
            high_v = limit / self._bus_per_v
        elif function == _BUL:
            low_v = limit / self._bus_per_v
        return low_a, high_a, low_v, high_v

    def _start_clock(self, now_us):
        """As CONFIG says (section 7.1.1)."""
        config = self._reg[_CONFIG]
        self._shunt_per_a = self.shunt_uohm / 2.5
        self._shunt_high = self._bus_high = 0x7FFF
        self._shunt_low = -0x8000
        self._bus_per_v = 800.0  # 1.25 mV
        self._run(
            _CONVERSION_US[config >> 3 & 7],
            _CONVERSION_US[config >> 6 & 7],
            _AVERAGES[config >> 9 & 7],
            now_us,
        )

    def _value(self, reg, now_us):
        """Reading MASK_ENABLE clears CVRF, and with LEN the alert (section 7.1.7)."""
        if reg == _MASK_ENABLE:
            return self._read_mask(now_us)
        if reg == _VBUS:
            return self._vbus_at(now_us)
        if reg == _MANUFACTURER_ID:
            return 0x5449
        if reg == _DIE_ID:
            return 0x2260
        return self._result(reg, now_us)

    def _read_mask(self, now_us):
        if not self.calm():
            self.follow(now_us)
        value = self._reg[_MASK_ENABLE] | self._flags
        if self._is_ready(now_us):
            value |= _CVRF
        if self._overflow(now_us):
            value |= _OVF
        if value & _LEN:
            self._flags = 0
            self._compare_from(now_us)
        self._clear_ready(now_us)
        return value

    def _function(self):
        """The highest alert function that is set, 0 for none (section 6.3.1.2)."""
        for function in (_SOL, _SUL, _BOL, _BUL, _POL):
            if self._reg[_MASK_ENABLE] & function:
                return function
        return 0

    def _compare(self, begin_us, end_us):
        """The one comparator, at the end of a cycle (section 6.3.1.2)."""
        function = self._function()
        inputs = self._inputs
        limit = self._reg[_ALERT_LIMIT]
        vshunt = self._vshunt_over(begin_us, end_us)
        vbus = self._vbus_over(begin_us, end_us)
        beyond = (
            (function == _SOL and inputs & SHUNT and vshunt > signed(limit))
            or (function == _SUL and inputs & SHUNT and vshunt < signed(limit))
            or (function == _BOL and inputs & BUS and vbus > limit)
            or (function == _BUL and inputs & BUS and vbus < limit)
            or (function == _POL and inputs & BUS and self._power(vshunt, vbus) > limit)
        )
        if beyond:
            self._flags = _AFF
        elif not self._reg[_MASK_ENABLE] & _LEN:
            self._flags = 0
