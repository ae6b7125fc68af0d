# SPDX-License-Identifier: GPL-3.0-only
"""Model of the TI INA219 current and voltage monitor (data sheet SBOS448).

The simulated world makes one per battery. The chip has no limits, no ALERT line and no ID. Its
9 to 11 bit settings only change the time of a conversion here: the data sheet does not say how
the results of such a conversion are rounded.
"""

from micropython import const

from sim.chips import BUS, SHUNT, UNBOUNDED, Sensor, clip

_CONFIG = const(0x00)
_VSHUNT = const(0x01)
_VBUS = const(0x02)
_POWER = const(0x03)
_CURRENT = const(0x04)
_CALIBRATION = const(0x05)

_BRNG = const(0x2000)

_CNVR = const(0x0002)
_OVF = const(0x0001)

_RESOLUTION_US = (84, 148, 276, 532)

_RANGE_16V = const(4000)
_LIMIT_26V = const(6500)


class Ina219(Sensor):
    """One INA219 on the plant; its successor, the INA226, has the same first six registers.

    Args:
        address, i, plant, shunt_uohm, now_us: as of `Sensor`.
    """

    # Section 8.6.2.
    _WRITABLE = {_CONFIG: (0x399F, 0x3FFF), _CALIBRATION: (0x0000, 0xFFFE)}

    # CURRENT is the shunt voltage times CALIBRATION over the first, POWER is CURRENT times the
    # bus voltage over the second (sections 8.6.3.3 and 8.6.3.4).
    _CURRENT_DIVISOR = 4096
    _POWER_DIVISOR = 5000

    def __init__(self, address, i, plant, shunt_uohm=2000, now_us=0):
        super().__init__(address, i, plant, shunt_uohm, now_us)

    def alert_low(self, now_us):
        """False: there is no such line."""
        return False

    def bounds(self):
        """See `Sensor`."""
        return -UNBOUNDED, UNBOUNDED, -UNBOUNDED, UNBOUNDED

    def _start_clock(self, now_us):
        """As CONFIG says (section 8.6.2.1).

        The register tops out at 26 V in the 32 V range: the inputs stand no more (section 7.1).
        """
        config = self._reg[_CONFIG]
        self._shunt_per_a = self.shunt_uohm / 10
        self._shunt_high = 4000 << (config >> 11 & 3)
        self._shunt_low = -self._shunt_high
        self._bus_per_v = 250.0  # 4 mV
        self._bus_high = _LIMIT_26V if config & _BRNG else _RANGE_16V
        self._run(_conversion_us(config >> 3), _conversion_us(config >> 7), 1, now_us)

    def _run(self, shunt_us, bus_us, averages, now_us):
        """Starts the clock; the three bits of MODE are continuous, bus and shunt."""
        mode = self._reg[_CONFIG] & 7
        self._inputs = (BUS if mode & 2 else 0) | (SHUNT if mode & 1 else 0)
        if not self._inputs or self._frozen:
            return
        conversion_us = (bus_us if mode & 2 else 0) + (shunt_us if mode & 1 else 0)
        self._begin(now_us, conversion_us, averages, mode & 4 > 0)
        self._set_window(True, now_us)

    def _current(self, vshunt):
        """CURRENT before it is clipped."""
        return round(vshunt * self._reg[_CALIBRATION] / self._CURRENT_DIVISOR)

    def _power(self, vshunt, vbus):
        """POWER before it is clipped."""
        return abs(clip(self._current(vshunt), 0x7FFF)) * vbus // self._POWER_DIVISOR

    def _overflow(self, now_us):
        if not self._reg[_CALIBRATION]:
            return False
        vshunt = self._vshunt_at(now_us)
        current = self._current(vshunt)
        return current != clip(current, 0x7FFF) or (
            self._power(vshunt, self._vbus_at(now_us)) > 0xFFFF
        )

    def _value(self, reg, now_us):
        """Reading POWER clears CNVR."""
        if reg == _VBUS:
            value = self._vbus_at(now_us) << 3
            if self._is_ready(now_us):
                value |= _CNVR
            return value | _OVF if self._overflow(now_us) else value
        if reg == _POWER:
            self._clear_ready(now_us)
        return self._result(reg, now_us)

    def _result(self, reg, now_us):
        if reg == _VSHUNT:
            return self._vshunt_at(now_us)
        if reg == _POWER:
            return min(0xFFFF, self._power(self._vshunt_at(now_us), self._vbus_at(now_us)))
        if reg == _CURRENT:
            return clip(self._current(self._vshunt_at(now_us)), 0x7FFF)
        return self._reg[reg] if reg in self._WRITABLE else 0

    def _compare(self, begin_us, end_us):
        """There are no limits."""


def _conversion_us(field):
    """Time of the settings in the 4 low bits: resolution, or 2 to 128 samples of 12 bits."""
    if field & 8:
        return 532 << (field & 7)
    return _RESOLUTION_US[field & 3]
