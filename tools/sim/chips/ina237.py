# SPDX-License-Identifier: GPL-3.0-only
"""Model of the TI INA237 and INA238 current and voltage monitors (data sheets SBOSA20, SLYS025).

The simulated world makes one per battery. Section numbers below are those of SBOSA20. Both chips
have the same registers; the INA237 documents no DEVICE_ID.
"""

from micropython import const

from sim.chips import BUS, RESTLESS, SHUNT, TEMPERATURE, UNBOUNDED, Sensor, clip, signed
from sim.plant import FOREVER

_CONFIG = const(0x00)
_ADC_CONFIG = const(0x01)
_SHUNT_CAL = const(0x02)
_VSHUNT = const(0x04)
_VBUS = const(0x05)
_DIETEMP = const(0x06)
_CURRENT = const(0x07)
_POWER = const(0x08)
_DIAG_ALRT = const(0x0B)
_SOVL = const(0x0C)
_SUVL = const(0x0D)
_BOVL = const(0x0E)
_BUVL = const(0x0F)
_TEMP_LIMIT = const(0x10)
_PWR_LIMIT = const(0x11)
_MANUFACTURER_ID = const(0x3E)
_DEVICE_ID = const(0x3F)

_ADCRANGE = const(0x0010)

_ALATCH = const(0x8000)
_CNVR = const(0x4000)
_SLOWALERT = const(0x2000)
_APOL = const(0x1000)
_MATHOF = const(0x0200)
_TMPOL = const(0x0080)
_SHNTOL = const(0x0040)
_SHNTUL = const(0x0020)
_BUSOL = const(0x0010)
_BUSUL = const(0x0008)
_POL = const(0x0004)
_CNVRF = const(0x0002)
_MEMSTAT = const(0x0001)

_CONVERSION_US = (50, 84, 150, 280, 540, 1052, 2074, 4120)
_AVERAGES = (1, 4, 16, 64, 128, 256, 512, 1024)


class Ina237(Sensor):
    """One INA237 or INA238 on the plant.

    Args:
        address, i, plant, shunt_uohm, now_us: as of `Sensor`.
        device_id: what DEVICE_ID reads, 0x2370 or 0x2381.
    """

    # Section 7.6.1.
    _WRITABLE = {
        _CONFIG: (0x0000, 0x3FD0),
        _ADC_CONFIG: (0xFB68, 0xFFFF),
        _SHUNT_CAL: (0x1000, 0x7FFF),
        _DIAG_ALRT: (0x0000, 0xF000),
        _SOVL: (0x7FFF, 0xFFFF),
        _SUVL: (0x8000, 0xFFFF),
        _BOVL: (0x7FFF, 0x7FFF),
        _BUVL: (0x0000, 0x7FFF),
        _TEMP_LIMIT: (0x7FF0, 0xFFF0),
        _PWR_LIMIT: (0xFFFF, 0xFFFF),
    }
    _WIDE = {_POWER: 3}

    _EXTRA_BITS = 0
    """Bits of a result below the last one of an INA237.

    The limits have none of them, and the 24-bit registers as many reserved ones below.
    """

    def __init__(self, address, i, plant, shunt_uohm=2000, device_id=0x2370, now_us=0):
        extra = self._extra = self._EXTRA_BITS
        self._device_id = device_id
        self._bus_high = self._shunt_high = (0x8000 << extra) - 1
        self._shunt_low = -0x8000 << extra
        self._bus_per_v = 320.0 * (1 << extra)  # 3.125 mV
        self._dietemp_per_c = 8.0 * (1 << extra)  # 125 m°C
        super().__init__(address, i, plant, shunt_uohm, now_us)

    def alert_low(self, now_us):
        """True while the chip pulls its open-drain ALERT line low.

        Conversion-ready shows with ALATCH only: without, it is a pulse too short to be met.
        """
        if not self.powered:
            return False
        if not self.calm():
            self.follow(now_us)
        diag = self._reg[_DIAG_ALRT]
        if not diag & (_CNVR | _APOL):
            return self._flags > 0
        ready = diag & _CNVR and diag & _ALATCH and self._is_ready(now_us)
        return bool(self._flags or ready) != bool(diag & _APOL)

    def bounds(self):
        """See `Sensor`."""
        reg = self._reg
        if self._start == FOREVER:
            return -UNBOUNDED, UNBOUNDED, -UNBOUNDED, UNBOUNDED
        if (
            not self._continuous
            or reg[_TEMP_LIMIT] != self._WRITABLE[_TEMP_LIMIT][0]
            or reg[_PWR_LIMIT] != self._WRITABLE[_PWR_LIMIT][0]
        ):
            return RESTLESS
        low = signed(reg[_SUVL])
        high = signed(reg[_SOVL])
        per_a = self._shunt_per_a / (1 << self._extra)
        per_v = self._bus_per_v / (1 << self._extra)
        return (
            low / per_a if low > -0x8000 else -UNBOUNDED,
            high / per_a if high < 0x7FFF else UNBOUNDED,
            reg[_BUVL] / per_v if reg[_BUVL] else -UNBOUNDED,
            reg[_BOVL] / per_v if reg[_BOVL] < 0x7FFF else UNBOUNDED,
        )

    def _reset(self, now_us):
        self._dietemp = 0
        super()._reset(now_us)

    def _write(self, reg, value, now_us):
        """Writing ADC_CONFIG or changing CONFIG starts the conversions anew."""
        if value == self._reg[reg] and reg != _ADC_CONFIG:
            return
        self._settle(now_us)
        if reg == _CONFIG or reg == _ADC_CONFIG:
            self._stop(now_us)
            self._reg[reg] = value
            if reg == _ADC_CONFIG and value >> 12 & 7:
                self._ready = False
            self._start_clock(now_us)
        else:
            self._reg[reg] = value
            self._set_window(self._reg[_DIAG_ALRT] & _SLOWALERT, now_us)

    def _start_clock(self, now_us):
        """As CONFIG and ADC_CONFIG say (sections 7.3.4 and 7.6.1).

        The three low bits of MODE choose the inputs, the high one continuous conversion.
        """
        reg = self._reg
        step_uv = 1.25 if reg[_CONFIG] & _ADCRANGE else 5
        self._shunt_per_a = self.shunt_uohm * (1 << self._extra) / step_uv
        adc = reg[_ADC_CONFIG]
        self._inputs = inputs = adc >> 12 & 7
        if not inputs or self._frozen:
            return
        conversion_us = 0
        for bit, shift in ((BUS, 9), (SHUNT, 6), (TEMPERATURE, 3)):
            if inputs & bit:
                conversion_us += _CONVERSION_US[adc >> shift & 7]
        delay_us = (reg[_CONFIG] >> 6 & 0xFF) * 2000
        self._begin(now_us + delay_us, conversion_us, _AVERAGES[adc & 7], bool(adc >> 15))
        self._set_window(reg[_DIAG_ALRT] & _SLOWALERT, now_us)

    def _hold(self, now_us):
        super()._hold(now_us)
        self._dietemp = self._dietemp_at(now_us)

    def _dietemp_at(self, now_us):
        if now_us < self._start + self._cycle or not self._inputs & TEMPERATURE:
            return self._dietemp
        return self._temperature_code()

    def _temperature_code(self):
        return clip(round(self.heat_c * self._dietemp_per_c), 0x7FFF >> 4 - self._extra)

    def _current(self, vshunt):
        """CURRENT before it is clipped: the full scale of the shunt over SHUNT_CAL (8.1.2)."""
        cal = self._reg[_SHUNT_CAL]
        return round(vshunt * 4096 / cal) if cal else 0

    def _power(self, vshunt, vbus):
        current = clip(self._current(vshunt), self._shunt_high)
        return abs(current) * vbus >> 6 + 2 * self._extra

    def _value(self, reg, now_us):
        """Reading DIAG_ALRT clears CNVRF, and with ALATCH the flags."""
        if reg == _VSHUNT:
            return self._vshunt_at(now_us) << self._extra
        if reg == _VBUS:
            return self._vbus_at(now_us) << self._extra
        if reg == _DIAG_ALRT:
            return self._read_diag(now_us)
        if reg == _DIETEMP:
            return self._dietemp_at(now_us) << 4 - self._extra
        if reg == _CURRENT:
            current = clip(self._current(self._vshunt_at(now_us)), self._shunt_high)
            return current << self._extra
        if reg == _POWER:
            return self._power(self._vshunt_at(now_us), self._vbus_at(now_us))
        if reg == _MANUFACTURER_ID:
            return 0x5449
        if reg == _DEVICE_ID:
            return self._device_id
        return self._reg[reg] if reg <= _PWR_LIMIT else 0

    def _read_diag(self, now_us):
        if not self.calm():
            self.follow(now_us)
        value = self._reg[_DIAG_ALRT] | self._flags | _MEMSTAT
        if self._is_ready(now_us):
            value |= _CNVRF
        current = self._current(self._vshunt_at(now_us))
        if current != clip(current, self._shunt_high):
            value |= _MATHOF
        if value & _ALATCH:
            self._flags = 0
            self._compare_from(now_us)
        self._clear_ready(now_us)
        return value

    def _compare(self, begin_us, end_us):
        """The limit comparators over one window (section 7.3.6, table 7-1)."""
        reg = self._reg
        inputs = self._inputs
        extra = self._extra
        vshunt = self._vshunt_over(begin_us, end_us)
        vbus = self._vbus_over(begin_us, end_us)
        flags = 0
        if inputs & SHUNT:
            if vshunt > signed(reg[_SOVL]) << extra:
                flags |= _SHNTOL
            if vshunt < signed(reg[_SUVL]) << extra:
                flags |= _SHNTUL
        if inputs & BUS:
            if vbus > reg[_BOVL] << extra:
                flags |= _BUSOL
            if vbus < reg[_BUVL] << extra:
                flags |= _BUSUL
        if inputs & TEMPERATURE:
            if self._temperature_code() > signed(reg[_TEMP_LIMIT]) >> 4 - extra:
                flags |= _TMPOL
        if self._power(vshunt, vbus) >> 8 > reg[_PWR_LIMIT]:
            flags |= _POL
        if reg[_DIAG_ALRT] & _ALATCH:
            flags |= self._flags
        self._flags = flags
