"""Model of the TI INA237 and INA238 current and voltage monitors (data sheets SBOSA20, SLYS025).

The simulated world makes one per battery. Section numbers below are those of SBOSA20. Both chips
have the same registers; the INA237 documents no DEVICE_ID.
"""

from array import array

from micropython import const

from sim.chips import RESTLESS, UNBOUNDED, Sensor
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

_RST = const(0x8000)
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

# The three low bits of MODE choose the inputs, the high one continuous conversion (table 7-6).
_BUS = const(1)
_SHUNT = const(2)
_TEMPERATURE = const(4)

# Register: value after reset, bits a write can change (section 7.6.1).
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

_CONVERSION_US = (50, 84, 150, 280, 540, 1052, 2074, 4120)
_AVERAGES = (1, 4, 16, 64, 128, 256, 512, 1024)

_VBUS_PER_V = 320.0  # 3.125 mV
_DIETEMP_PER_C = 8.0  # 125 m°C


class Ina237(Sensor):
    """One INA237 or INA238 on the plant.

    Args:
        address: 7-bit bus address, 0x40..0x4F.
        i: battery place 0..15 on the plant.
        plant: a `sim.plant.Plant`.
        shunt_uohm: shunt in micro-ohms.
        device_id: what DEVICE_ID reads, 0x2370 or 0x2381.
        now_us: time of power-on.

    Attributes:
        heat_c: die temperature in degrees C; the limit sees a change within 50 ms.
    """

    def __init__(self, address, i, plant, shunt_uohm=2000, device_id=0x2370, now_us=0):
        super().__init__(address, i, plant, shunt_uohm)
        self.heat_c = 25.0
        self._device_id = device_id
        self._frozen = False
        self._reg = array("H", bytes(2 * (_PWR_LIMIT + 1)))
        self._reset(now_us)

    def power_on(self, now_us):
        """Supply back after a brown-out: everything as after power-on, and answering again.

        A `freeze` outlives it.
        """
        self.powered = True
        self.pointer = 0
        self._reset(now_us)

    def freeze(self, on, now_us):
        """Conversions stop (true): results stay as they are, CNVRF stays 0; or start anew."""
        self._settle(now_us)
        self._stop(now_us)
        self._ready = False
        self._frozen = on
        self._start_clock(now_us)

    def write(self, reg, data, now_us):
        """A bus write: reg is the pointer byte, data the bytes after it (none: pointer only).

        Two data bytes make a write; read-only and reserved registers ignore it. Writing ADC_CONFIG
        or changing CONFIG starts the conversions anew.
        """
        self.pointer = reg
        if len(data) < 2 or reg not in _WRITABLE:
            return
        value = data[0] << 8 | data[1]
        if reg == _CONFIG and value & _RST:
            self._reset(now_us)
            return
        value &= _WRITABLE[reg][1]
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

    def read(self, reg, buf, now_us):
        """A bus read: fills buf from register reg, high byte first; 0xFF beyond its end.

        Reserved registers read 0. Reading DIAG_ALRT clears CNVRF, and with ALATCH the flags.
        """
        self.pointer = reg
        if reg == _VSHUNT:
            value = self._vshunt_at(now_us)
        elif reg == _VBUS:
            value = self._vbus_at(now_us)
        else:
            value = self._value(reg, now_us)
        if len(buf) == 2 and reg != _POWER:
            buf[0] = value >> 8 & 0xFF
            buf[1] = value & 0xFF
        else:
            _fill(buf, value, 3 if reg == _POWER else 2)

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
            or reg[_TEMP_LIMIT] != _WRITABLE[_TEMP_LIMIT][0]
            or reg[_PWR_LIMIT] != _WRITABLE[_PWR_LIMIT][0]
        ):
            return RESTLESS
        low = _signed(reg[_SUVL])
        high = _signed(reg[_SOVL])
        return (
            low / self._vshunt_per_a if low > -0x8000 else -UNBOUNDED,
            high / self._vshunt_per_a if high < 0x7FFF else UNBOUNDED,
            reg[_BUVL] / _VBUS_PER_V if reg[_BUVL] else -UNBOUNDED,
            reg[_BOVL] / _VBUS_PER_V if reg[_BOVL] < 0x7FFF else UNBOUNDED,
        )

    def _reset(self, now_us):
        if self.watch is not None:
            self.watch.disturb()
        for reg, (value, _) in _WRITABLE.items():
            self._reg[reg] = value
        self._vshunt = self._vbus = self._dietemp = 0
        self._flags = 0
        self._ready = False
        self._start = FOREVER
        self._start_clock(now_us)

    def _settle(self, now_us):
        if self.watch is not None:
            self.watch.disturb()
        self.follow(now_us)

    def _start_clock(self, now_us):
        """Starts the stopped clock as CONFIG and ADC_CONFIG say (sections 7.3.4 and 7.6.1)."""
        reg = self._reg
        self._vshunt_per_a = self.shunt_uohm / (1.25 if reg[_CONFIG] & _ADCRANGE else 5)
        adc = reg[_ADC_CONFIG]
        self._inputs = inputs = adc >> 12 & 7
        if not inputs or self._frozen:
            return
        conversion_us = 0
        for bit, shift in ((_BUS, 9), (_SHUNT, 6), (_TEMPERATURE, 3)):
            if inputs & bit:
                conversion_us += _CONVERSION_US[adc >> shift & 7]
        delay_us = (reg[_CONFIG] >> 6 & 0xFF) * 2000
        self._begin(now_us + delay_us, conversion_us, _AVERAGES[adc & 7], bool(adc >> 15))
        self._set_window(reg[_DIAG_ALRT] & _SLOWALERT, now_us)

    def _hold(self, now_us):
        self._vshunt = self._vshunt_at(now_us)
        self._vbus = self._vbus_at(now_us)
        self._dietemp = self._dietemp_at(now_us)

    def _vshunt_at(self, now_us):
        cycle = self._cycle
        if now_us < self._start + cycle or not self._inputs & _SHUNT:
            return self._vshunt
        end = self._start + self._count(now_us, cycle) * cycle
        mean = self.plant.mean_current(self.i, end - cycle, end)
        return self._shunt_code(mean)

    def _vbus_at(self, now_us):
        cycle = self._cycle
        if now_us < self._start + cycle or not self._inputs & _BUS:
            return self._vbus
        end = self._start + self._count(now_us, cycle) * cycle
        mean = self.plant.mean_voltage(self.i, end - cycle, end)
        return _bus_code(mean)

    def _dietemp_at(self, now_us):
        if now_us < self._start + self._cycle or not self._inputs & _TEMPERATURE:
            return self._dietemp
        return self._temperature_code()

    def _shunt_code(self, current_a):
        return _clip(round(current_a * self._vshunt_per_a), 0x7FFF)

    def _temperature_code(self):
        return _clip(round(self.heat_c * _DIETEMP_PER_C), 0x7FF)

    def _current(self, vshunt):
        """CURRENT before it is clipped: the full scale of the shunt over SHUNT_CAL (8.1.2)."""
        cal = self._reg[_SHUNT_CAL]
        return round(vshunt * 4096 / cal) if cal else 0

    def _power(self, vshunt, vbus):
        return abs(_clip(self._current(vshunt), 0x7FFF)) * vbus >> 6

    def _value(self, reg, now_us):
        if reg == _DIAG_ALRT:
            return self._read_diag(now_us)
        if reg == _DIETEMP:
            return self._dietemp_at(now_us) << 4
        if reg == _CURRENT:
            return _clip(self._current(self._vshunt_at(now_us)), 0x7FFF)
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
        if not -0x8000 <= self._current(self._vshunt_at(now_us)) <= 0x7FFF:
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
        vshunt = self._vshunt
        vbus = self._vbus
        flags = 0
        if inputs & _SHUNT:
            vshunt = self._shunt_code(self.plant.mean_current(self.i, begin_us, end_us))
            if vshunt > _signed(reg[_SOVL]):
                flags |= _SHNTOL
            if vshunt < _signed(reg[_SUVL]):
                flags |= _SHNTUL
        if inputs & _BUS:
            vbus = _bus_code(self.plant.mean_voltage(self.i, begin_us, end_us))
            if vbus > reg[_BOVL]:
                flags |= _BUSOL
            if vbus < reg[_BUVL]:
                flags |= _BUSUL
        if inputs & _TEMPERATURE and self._temperature_code() > _signed(reg[_TEMP_LIMIT]) >> 4:
            flags |= _TMPOL
        if self._power(vshunt, vbus) >> 8 > reg[_PWR_LIMIT]:
            flags |= _POL
        if reg[_DIAG_ALRT] & _ALATCH:
            flags |= self._flags
        self._flags = flags


def _fill(buf, value, width):
    for k in range(len(buf)):
        width -= 1
        buf[k] = value >> 8 * width & 0xFF if width >= 0 else 0xFF


def _bus_code(voltage_v):
    return min(0x7FFF, max(0, round(voltage_v * _VBUS_PER_V)))


def _clip(code, top):
    return min(top, max(-top - 1, code))


def _signed(word):
    return word - ((word & 0x8000) << 1)
