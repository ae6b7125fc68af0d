"""The INA2xx current and voltage sensors. Called by protection/readings.

Positive current leaves the battery (IN+ is the battery side). Current comes from the shunt
voltage, so that neither calibration nor the CURRENT register is needed.
Sources: TI SBOSA20 (INA237) and SBOSA14 (INA238), register maps in section 7.6.
"""

from micropython import const

_ADC_CONFIG = const(0x01)
_CONFIG = const(0x00)
_VSHUNT = const(0x04)
_VBUS = const(0x05)
_DIAG_ALRT = const(0x0B)
_SOVL = const(0x0C)
_SUVL = const(0x0D)
_MANUFACTURER = const(0x3E)
_DEVICE = const(0x3F)

_TEXAS_INSTRUMENTS = const(0x5449)
_INA228 = const(0x228)

_CONTINUOUS = const(0xB6C1)
"""Bus and shunt, 280 us each, 4 averages: a new result every 2.24 ms (section 7.6.1.2)."""
_LATCHED = const(0xA000)
"""ALERT latched, and compared after averaging (ALATCH, SLOWALERT; section 7.6.1.12)."""
_CONTROL_BITS = const(0xF000)
_SHUNT_LIMIT_FLAGS = const(0x0060)
_SHUNT_LSB_UV = const(5)
_BUS_LSB_UV = const(3125)
_RESET = const(0x8000)


class Ina237:
    """One INA237 or INA238 on a shunt.

    Args:
        bus: a `hardware.bus.Bus`.
        address: 0x40..0x4F.
        shunt_uohm: resistance of the shunt, 100..100000 microohm.
    """

    RANGE_UV = 163840
    """Full scale of the shunt input with ADCRANGE 0, in microvolt (section 6.5)."""

    def __init__(self, bus, address, shunt_uohm):
        self._bus = bus
        self._address = address
        self._shunt_uohm = shunt_uohm
        self._word = bytearray(2)

    def configure(self, discharge_ma, charge_ma):
        """Reset the chip, set conversions and the ALERT limits, and read them back.

        Args:
            discharge_ma, charge_ma: ALERT beyond these, both positive; 0 = no ALERT.

        Returns:
            bool: True when everything reads back as written.
        """
        at = self._address
        bus = self._bus
        over = self._limit_code(discharge_ma) if discharge_ma else 0x7FFF
        under = -self._limit_code(charge_ma) & 0xFFFF if charge_ma else 0x8000
        if not (
            bus.write16(at, _CONFIG, _RESET)
            and bus.write16(at, _SOVL, over)
            and bus.write16(at, _SUVL, under)
            and bus.write16(at, _DIAG_ALRT, _LATCHED)
            and bus.write16(at, _ADC_CONFIG, _CONTINUOUS)
        ):
            return False
        control = self._read(_DIAG_ALRT)
        return (
            control is not None
            and control & _CONTROL_BITS == _LATCHED
            and self._read(_ADC_CONFIG) == _CONTINUOUS
            and self._read(_SOVL) == over
            and self._read(_SUVL) == under
        )

    def _limit_code(self, current_ma):
        return min(current_ma * self._shunt_uohm // (1000 * _SHUNT_LSB_UV), 0x7FFF)

    def current_ma(self):
        """Current through the shunt in mA, positive = discharge; None when it does not answer."""
        if not self._bus.read(self._address, _VSHUNT, self._word):
            return None
        code = self._word[0] << 8 | self._word[1]
        if code & 0x8000:
            code -= 0x10000
        shunt = self._shunt_uohm
        return (code * (1000 * _SHUNT_LSB_UV) + shunt // 2) // shunt

    def voltage_mv(self):
        """Voltage of the battery in mV, rounded down; None when the chip does not answer."""
        if not self._bus.read(self._address, _VBUS, self._word):
            return None
        return (self._word[0] << 8 | self._word[1]) * _BUS_LSB_UV // 1000

    def take_alert(self):
        """Read and so clear the latched ALERT.

        Returns:
            bool or None: True when a current limit caused it, None when it does not answer.
        """
        flags = self._read(_DIAG_ALRT)
        return None if flags is None else bool(flags & _SHUNT_LIMIT_FLAGS)

    def _read(self, register):
        if not self._bus.read(self._address, register, self._word):
            return None
        return self._word[0] << 8 | self._word[1]


def detect(bus, address, word):
    """The driver class for the chip at `address`, None when none of the family answers.

    Args:
        word: a kept bytearray of 2, so that a probe without an answer allocates nothing.
    """
    if not bus.read(address, _MANUFACTURER, word):
        return None
    if word[0] << 8 | word[1] != _TEXAS_INSTRUMENTS or not bus.read(address, _DEVICE, word):
        return None
    return None if word[0] << 4 | word[1] >> 4 == _INA228 else Ina237
