# SPDX-License-Identifier: GPL-3.0-only
"""The INA2xx current and voltage sensors: what they share, and the INA237. Called by
protection/sensors; the other chips are in `ina_others`.

Positive current leaves the battery (IN+ is the battery side). Current comes from the shunt
voltage, so that neither calibration nor the CURRENT register is needed. Every driver has the same
methods; those that read return None when the chip does not answer and allocate nothing.

Sources: TI data sheets SBOSA20 (INA237), SLYS021 (INA228), SBOS547 (INA226) and SBOS448 (INA219),
each in its register descriptions.
"""

from micropython import const

# Flags that `prove` returns.
INTACT = const(1)
FRESH = const(2)
ALERT = const(4)
HIGH = const(8)
LOW = const(16)

RESET = const(0x8000)
_LEAST = const(0x8000)  # the lowest number of 16 bits: every current is above it


class Ina2xx:
    """What the family shares.

    Args:
        i2c: a `hardware.i2c.I2c`.
        address: 0x40..0x4F.
        shunt_uohm: resistance of the shunt, 100..100000 microohm.

    Attributes:
        settings: (register, value) of each that `configure` has written.

    Class attributes:
        NAME: of the chip.
        RANGE_UV: full scale of the shunt input as configured, microvolt.
        MAX_MV: highest voltage that its inputs stand, mV.
        plan: function (discharge_ma, charge_ma, low_mv, high_mv) of limits as `configure` takes
            them: what is written into which register.
        HAS_ALERT: whether it has an ALERT output; ON_CHARGE: whether that tells of a charge, too.
        MARK: a register that may hold any even number up to 0x7FFE until it is configured.
    """

    NAME: str
    RANGE_UV: int
    MAX_MV: int
    current_ma: "Callable[[], int | None]"
    voltage_mv: "Callable[[], int | None]"
    plan: "Callable[[int, int, int, int], tuple]"
    HAS_ALERT = True
    ON_CHARGE = False
    MARK: int
    _FLAGS = 0  # register with the settings and flags of ALERT
    _CONTROL = 0  # what is written to it
    _CONTROL_BITS = 0  # its bits that are settings
    _INVERT = 0  # the polarity bit
    _FRESH_BIT = 0
    _ALERT_BITS = 0
    _HIGH_BIT = 0
    _LOW_BIT = 0
    _LIMIT = 0  # register of the upper limit of the current
    _LOW_LIMIT = 0  # register of the lower limit of the voltage

    def __init__(self, i2c: "I2c", address: int, shunt_uohm: int):
        self._i2c = i2c
        self._address = address
        self._shunt_uohm = shunt_uohm
        self.settings = ()
        self._checked = 0
        self._deaf_low = False

    def configure(
        self,
        discharge_ma: int,
        charge_ma: int,
        centre_mv: int = 0,
        low_mv: int = 0,
        high_mv: int = 0,
    ):
        """Reset the chip, set conversions and the ALERT limits, and read everything back.

        Args:
            discharge_ma, charge_ma: ALERT beyond these, both positive; 0 = none.
            centre_mv: a voltage inside the allowed window, mV; a chip finer than 1 mV rounds
                away from it, so that the first code beyond a limit is beyond it in whole mV.
            low_mv, high_mv: ALERT outside of these, too; 0 = none. Not every chip can.

        Returns:
            bool: True when everything reads back as written.
        """
        self._centre_mv = centre_mv
        self.settings = self.plan(discharge_ma, charge_ma, low_mv, high_mv)
        self._deaf_low = False
        if not self._write(0, RESET):
            return False
        for register, value in self.settings:
            if not self._write(register, value):
                return False
        for register, value in self.settings:
            if self._read(register) != value and self._read(register) != value:
                return False
        return self._control(0) is not None

    def relimit(self, plan: tuple, centre_mv: int):
        """Write other ALERT limits while the chip goes on; allocates nothing. Whether it has taken
        them shows `prove`.

        Args:
            plan: what `plan` says of them; centre_mv: as of `configure`.
        """
        self._centre_mv = centre_mv
        for register, value in plan:
            deaf = self._deaf_low and register == self._LOW_LIMIT
            if value != self.standing(register) and not deaf:
                self._write(register, value)
        self.settings = plan

    def invert_alert(self, on: bool):
        """Set or restore the polarity of ALERT, to prove its line.

        Returns:
            int or None: what `clear_alert` returns, as the read back clears the flags, too; None
            when it does not read back.
        """
        return self._control(self._INVERT if on else 0)

    def _control(self, extra: int):
        if not self._CONTROL:
            return 0
        if not self._write(self._FLAGS, self._CONTROL | extra):
            return None
        found = self._read(self._FLAGS)
        if found is None or found & self._CONTROL_BITS != self._CONTROL | extra:
            return None
        return self._passed(found)

    def standing(self, register: int):
        """What `register` holds since `configure`, 0 when that does not write it."""
        for written, value in self.settings:
            if written == register:
                return value
        return 0

    def drop_limit(self, on: bool):
        """Let ALERT tell of any current, as one beyond its limit, or of those again that it was
        set up for; True when the limit reads back."""
        value = _LEAST if on else self.standing(self._LIMIT)
        if not self._write(self._LIMIT, value):
            return False
        return self._read(self._LIMIT) == value

    def prove(self):
        """Read the flags, and one of the settings in turn: is this still the chip we set up?

        What is not as written is read once more, since one answer may be garbled.

        Returns:
            int or None: INTACT when control bits and setting are as written, FRESH when a
            conversion was completed since the last call, ALERT when a limit of the current was
            passed, HIGH or LOW when one of the voltage was (reading clears them); None when the
            chip does not answer.
        """
        flags = self._read(self._FLAGS)
        if flags is None:
            return None
        intact = self.check_setting()
        if intact is False:
            self._checked -= 1
            intact = self.check_setting()
        if intact is None:
            return None
        shown = self._passed(flags) | (FRESH if flags & self._FRESH_BIT else 0)
        if flags & self._CONTROL_BITS != self._CONTROL:
            flags = self._read(self._FLAGS)
            if flags is None:
                return None
            shown |= self._passed(flags)
        if intact and flags & self._CONTROL_BITS == self._CONTROL:
            shown |= INTACT
        return shown

    def check_setting(self):
        """Read one of the settings, in turn.

        Returns:
            bool or None: True when it is as written; None when the chip does not answer.
        """
        self._checked = (self._checked + 1) % len(self.settings)
        register, value = self.settings[self._checked]
        if self._deaf_low and register == self._LOW_LIMIT:
            value = 0
        found = self._read(register)
        return None if found is None else found == value

    def watch_low(self, on: bool):
        """Have ALERT tell of a voltage below its limit, or not: while the battery is charged from
        below. True when it was acknowledged; a chip that cannot tell needs nothing."""
        if on == (not self._deaf_low) or not self._LOW_LIMIT:
            return True
        if not self._write(self._LOW_LIMIT, self.standing(self._LOW_LIMIT) if on else 0):
            return False
        self._deaf_low = not on
        return True

    def clear_alert(self):
        """Release a latched ALERT by reading its flags.

        Returns:
            int or None: ALERT, HIGH, LOW for the limits that were passed, 0 when none was; None
            without an answer.
        """
        flags = self._read(self._FLAGS)
        return None if flags is None else self._passed(flags)

    def _passed(self, flags: int):
        shown = ALERT if flags & self._ALERT_BITS else 0
        if flags & self._HIGH_BIT:
            shown |= HIGH
        return shown | LOW if flags & self._LOW_BIT else shown

    def temperature_mc(self):
        """Die temperature in thousandths of a degree Celsius, None when it has no sensor."""
        return None

    def _whole_ma(self, code: int, scale: int, divisor: int):
        # Rounded to the nearest mA; `scale / divisor` is mA * microohm of one code.
        shunt = self._shunt_uohm * divisor
        return (code * scale + shunt // 2) // shunt

    def _read(self, register: int):
        word = self._i2c.word
        if not self._i2c.read(self._address, register, word):
            return None
        return word[0] << 8 | word[1]

    def _write(self, register: int, value: int):
        return self._i2c.write16(self._address, register, value)


class Ina237(Ina2xx):
    """INA237 and INA238: 16 bits, 5 uV shunt and 3.125 mV bus steps.

    Bus, shunt and die are converted in turn, 280, 280 and 50 us, and averaged over four: a new
    result every 2.44 ms. ALERT is latched and compared after averaging (ALATCH, SLOWALERT).
    """

    NAME = "INA237"
    ON_CHARGE = True
    MARK = 0x0E
    RANGE_UV = 163840
    MAX_MV = 85000
    _FLAGS = 0x0B
    _CONTROL = 0xA000
    _CONTROL_BITS = 0xF000
    _INVERT = 0x1000
    _FRESH_BIT = 0x0002
    _ALERT_BITS = 0x0060
    _HIGH_BIT = 0x0010
    _LOW_BIT = 0x0008
    _LIMIT = 0x0C
    _LOW_LIMIT = 0x0F
    _LIMIT_LSB_UV = 5

    def plan(self, discharge_ma: int, charge_ma: int, low_mv: int, high_mv: int):
        over = self._limit_code(discharge_ma) if discharge_ma else 0x7FFF
        under = -self._limit_code(charge_ma) & 0xFFFF if charge_ma else 0x8000
        # The last code that reads as high_mv and the first that reads as low_mv.
        high = min((high_mv * 1000 + 999) // 3125, 0x7FFF) if high_mv else 0x7FFF
        low = min((low_mv * 1000 + 3124) // 3125, 0x7FFF)
        return ((0x01, 0xF6C1), (0x0C, over), (0x0D, under), (0x0E, high), (0x0F, low))

    def _limit_code(self, current_ma: int):
        return min(current_ma * self._shunt_uohm // (1000 * self._LIMIT_LSB_UV), 0x7FFF)

    def current_ma(self):
        """Current in mA, positive = discharge; None when the chip does not answer."""
        code = self._read(0x04)
        return None if code is None else self._whole_ma(signed(code), 5000, 1)

    def voltage_mv(self):
        """Voltage of the battery in mV, rounded down; None when the chip does not answer."""
        code = self._read(0x05)
        return None if code is None else code * 3125 // 1000

    def temperature_mc(self):
        """Die temperature in thousandths of a degree Celsius."""
        code = self._read(0x06)
        return None if code is None else (signed(code) >> 4) * 125


def signed(code: int):
    """A register of 16 bits as the signed number that it holds."""
    return code - 0x10000 if code & 0x8000 else code


def write_mark(i2c: "I2c", address: int, register: int, number: int):
    """Write a number to the MARK register of a chip that is not set up; True when acknowledged."""
    return i2c.write16(address, register, number)


def read_mark(i2c: "I2c", address: int, register: int):
    """What the MARK register of a chip holds, None when it does not answer."""
    return value_of(i2c.word) if i2c.read(address, register, i2c.word) else None


def value_of(word: bytearray):
    """The number in a register of 16 bits."""
    return word[0] << 8 | word[1]
