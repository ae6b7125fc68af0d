# SPDX-License-Identifier: GPL-3.0-only
"""Model of the TI INA228 current, voltage, energy and charge monitor (data sheet SLYS021).

The simulated world makes one per battery. To the INA237 it adds four bits of resolution and two
accumulators. Its temperature compensation of the shunt (TEMPCOMP, SHUNT_TEMPCO) is not modelled:
the bits are kept and change nothing, as at 25 degrees C.
"""

from micropython import const

from sim.chips import BUS, SHUNT, clip
from sim.chips.ina237 import Ina237

_CONFIG = const(0x00)
_SHUNT_TEMPCO = const(0x03)
_VSHUNT = const(0x04)
_VBUS = const(0x05)
_CURRENT = const(0x07)
_POWER = const(0x08)
_ENERGY = const(0x09)
_CHARGE = const(0x0A)
_DIAG_ALRT = const(0x0B)
_TEMP_LIMIT = const(0x10)

_RSTACC = const(0x4000)
_ENERGYOF = const(0x0800)
_CHARGEOF = const(0x0400)

# What the accumulators count, per step of their registers: CHARGE is CURRENT times seconds and
# ENERGY a sixteenth of POWER times seconds (section 8.1.2).
_CHARGE_US = const(1000000)
_ENERGY_US = const(16000000)


class Ina228(Ina237):
    """One INA228 on the plant.

    Args:
        address, i, plant, shunt_uohm, now_us: as of `Sensor`.
        device_id: what DEVICE_ID reads, 0x2280 and the revision of the die.
    """

    ACCUMULATES = True

    # Section 7.6.1.
    _WRITABLE = Ina237._WRITABLE.copy()
    _WRITABLE.update(
        {
            _CONFIG: (0x0000, 0x7FF0),
            _SHUNT_TEMPCO: (0x0000, 0x3FFF),
            _TEMP_LIMIT: (0x7FFF, 0xFFFF),
        }
    )
    _WIDE = {_VSHUNT: 3, _VBUS: 3, _CURRENT: 3, _POWER: 3, _ENERGY: 5, _CHARGE: 5}

    _EXTRA_BITS = 4

    def __init__(self, address, i, plant, shunt_uohm=2000, device_id=0x2281, now_us=0):
        super().__init__(address, i, plant, shunt_uohm, device_id, now_us)

    def follow(self, now_us):
        """As of `Sensor`, and accumulates."""
        self.accumulate(now_us)
        super().follow(now_us)

    def accumulate(self, now_us):
        """Adds every conversion since the last call to ENERGY and CHARGE (section 7.3.2).

        To be called at least every 30 segments of the plant. Equal conversions are added at once.
        """
        inputs = self._inputs
        start = self._start
        window = self._conversion
        done = self._count(now_us, window)
        k = self._accumulated
        while k < done:
            begin = start + k * window
            same = (self.plant.constant_until(begin) - start) // window
            after = min(done, max(k + 1, same))
            us = (after - k) * window
            vshunt = self._vshunt_over(begin, begin + window)
            vbus = self._vbus_over(begin, begin + window)
            if inputs & SHUNT:
                self._charge_us += clip(self._current(vshunt), self._shunt_high) * us
            if inputs & BUS:
                self._energy_us += self._power(vshunt, vbus) * us
            k = after
        self._accumulated = k
        if not -(1 << 39) * _CHARGE_US <= self._charge_us < (1 << 39) * _CHARGE_US:
            self._charge_us = 0
            self._overflows |= _CHARGEOF
        if self._energy_us >= (1 << 40) * _ENERGY_US:
            self._energy_us = 0
            self._overflows |= _ENERGYOF

    def _reset(self, now_us):
        self._charge_us = self._energy_us = self._overflows = 0
        super()._reset(now_us)

    def _start_clock(self, now_us):
        self._accumulated = 0
        super()._start_clock(now_us)

    def _write(self, reg, value, now_us):
        """RSTACC clears the accumulators and itself."""
        if reg == _CONFIG and value & _RSTACC:
            self.accumulate(now_us)
            self._charge_us = self._energy_us = 0
            value -= _RSTACC
        super()._write(reg, value, now_us)

    def _value(self, reg, now_us):
        """Reading ENERGY or CHARGE clears its overflow flag."""
        if reg == _ENERGY:
            self.accumulate(now_us)
            self._overflows &= ~_ENERGYOF
            return self._energy_us // _ENERGY_US
        if reg == _CHARGE:
            self.accumulate(now_us)
            self._overflows &= ~_CHARGEOF
            return self._charge_us // _CHARGE_US
        value = super()._value(reg, now_us)
        return value | self._overflows if reg == _DIAG_ALRT else value
