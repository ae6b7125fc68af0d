# SPDX-License-Identifier: GPL-3.0-only
"""The current sensors of the rig: found, set up, read and checked. Owned by `guard`.

A voltage far from the last one is read again at once: two that agree are believed, however bad
they are; a reading that nothing confirms is a failed read and never becomes the reference. A
current that jumps beyond its hard limit is read again, too, and what is read then counts.
"""

from array import array

from micropython import const

from parallelator.catalog import Reason
from parallelator.hardware import ina2xx, ina_models
from parallelator.hardware.ina_models import MODELS
from parallelator.snapshot import BATTERIES, CHANNELS

_BASE = const(0x40)
_LOW_PCT = const(70)
_HIGH_PCT = const(130)
_AGREE_PCT = const(2)
_LOST_MS = const(500)
_LOST_READS = const(3)
_LOST_LATE_READS = const(2)
"""Failed reads that are enough after _LOST_MS: a single one may just follow a time in which the
guard could not run."""
_RANGE_PCT = const(90)
_LOW_MARGIN_MV = const(300)
_NUMBER = const(0x7000)
"""Base of the numbers that the chips are told apart by: as limits of a voltage beyond 85 V."""


class Sensors:
    """The sensors of 16 places.

    Args:
        i2c: a `hardware.i2c.I2c`; snap: the `Snapshot` to fill.
        limits: a `rules.Limits`, for the ALERT limits; shunt_uohm: shunt resistance, microohm.
        zero_ma: array of what each sensor reads without a current, as of `zero.Zero`.

    Attributes:
        chips: the driver of each place, None where no chip answers.
        found: mask of the places whose chip answers.
        low: mask of those whose ALERT does not tell of a low voltage, see `watch_low`.
        garbled: readings so far that a second one did not confirm.
    """

    def __init__(
        self, i2c: "I2c", snap: "Snapshot", limits: "Limits", shunt_uohm: int, zero_ma: "array"
    ):
        self._i2c = i2c
        self._snap = snap
        self._limits = limits
        self._shunt_uohm = shunt_uohm
        self._zero_ma = zero_ma
        self._drivers = {MODELS[0]: ina_models.driver(MODELS[0])}
        self._misses = bytearray(BATTERIES)
        self._marks = bytearray(BATTERIES)
        self._rescued = 0
        self._plans = {}
        self.low = 0
        self.chips: list = [None] * BATTERIES
        self.found = 0
        self.garbled = 0

    def detect(self, i: int):
        """The driver for the chip at place i, None when none answers. Allocates nothing, but for
        the first chip of a model other than the INA237, whose driver it imports."""
        model = ina_models.detect(self._i2c, _BASE + i)
        if model and model not in self._drivers:
            self._drivers[model] = ina_models.driver(model)
        driver = self._drivers[model] if model else None
        self._marks[i] = driver.MARK if driver else 0
        return driver

    def aliases(self, mask: int, answered: int):
        """Which of the chips answer for one another, as a late SDA makes them; allocates nothing.

        The address pins are sampled anew in every transaction (SBOS547: "on every bus
        communication"), so that a chip may miss its own number, take its neighbour's or spoil
        what is read of it.

        Args:
            mask: places that are not set up, whose chips get numbers.
            answered: those of them where `detect` has just found one.

        Returns:
            int: mask of the places that share their answers, of those set up before, too.
        """
        i2c = self._i2c
        for i in range(BATTERIES):
            if mask >> i & 1:
                ina2xx.write_mark(i2c, _BASE + i, self._marks[i], _number(i))
        found = 0
        for i in range(BATTERIES):
            chip = self.chips[i]
            if mask >> i & 1:
                due = _number(i)
            elif chip and _are_neighbours(i, mask):
                due = chip.standing(self._marks[i])
            else:
                continue
            value = self._mark(i)
            if value == due or value is None and not answered >> i & 1:
                continue
            twins = 0 if value is None else _twins(value, due, mask)
            if twins or mask >> i & 1 and self._mark(i) != due:
                found |= 1 << i | twins
        return 0 if i2c.stuck else found

    def _mark(self, i: int):
        return ina2xx.read_mark(self._i2c, _BASE + i, self._marks[i])

    def refusal(self, driver: "type[Ina2xx] | Ina2xx", limits: "Limits | None" = None):
        """SENSOR_RANGE when such a chip cannot measure up to the limits, or to others, so that a
        trip could never come, else NONE: a `Reason`."""
        limits = limits or self._limits
        most_ma = max(
            limits.hard_discharge_ma, limits.hard_charge_ma, limits.discharge_ma, limits.charge_ma
        )
        range_ma = driver.RANGE_UV * 1000 // self._shunt_uohm * _RANGE_PCT // 100
        if most_ma > range_ma or limits.max_voltage_mv > driver.MAX_MV:
            return Reason.SENSOR_RANGE
        return Reason.NONE

    def adopt(self, i: int, driver: "type[Ina2xx]"):
        """Set up the chip at place i; True when it takes its settings and is ready to be read."""
        self.chips[i] = driver(self._i2c, _BASE + i, self._shunt_uohm)
        if not self.configure(i):
            self.chips[i] = None
            return False
        self.found |= 1 << i
        self._misses[i] = 0
        self._snap.voltage_mv[i] = 0
        return True

    def configure(self, i: int):
        """Write chip i's settings and limits again; True when they read back."""
        limits = self._limits
        centre_mv = (limits.min_voltage_mv + limits.max_voltage_mv) // 2
        chip = self.chips[i]
        low = self.low >> i & 1
        good = chip.configure(
            limits.hard_discharge_ma,
            limits.hard_charge_ma,
            centre_mv,
            limits.hard_low_mv,
            limits.hard_high_mv,
        )
        # Chips with the same settings share one tuple of them, to save memory.
        for other in self.chips:
            if other is not None and other.settings == chip.settings:
                chip.settings = other.settings
                break
        return good and (not low or chip.watch_low(False))

    def plans(self, limits: "Limits"):
        """What each model of the chips is told of such limits, for `prepare`: a dict; None when
        one of them cannot measure up to them."""
        plans = {}
        for chip in self.chips:
            if chip and type(chip) not in plans:
                if self.refusal(chip, limits):
                    return None
                plans[type(chip)] = chip.plan(
                    limits.hard_discharge_ma,
                    limits.hard_charge_ma,
                    limits.hard_low_mv,
                    limits.hard_high_mv,
                )
        return plans

    def prepare(self, plans: dict):
        """The limits have become those of `plans`, which `relimit` writes."""
        self._plans = plans

    def relimit(self, i: int):
        """Write the limits that were prepared into chip i; True when there is such a chip."""
        limits, chip = self._limits, self.chips[i]
        plan = self._plans.get(type(chip))
        if plan:
            chip.relimit(plan, (limits.min_voltage_mv + limits.max_voltage_mv) // 2)
        return plan is not None

    def watch_low(self, i: int):
        """Battery i is about to close, or is read: below its hard limit it is only ever connected
        to be charged, and its ALERT must not tell of that."""
        voltage_mv = self._snap.voltage_mv[i]
        if self.low >> i & 1:
            high = voltage_mv > self._limits.hard_low_mv + _LOW_MARGIN_MV
            if high and self.chips[i].watch_low(True):
                self.low &= ~(1 << i)
        elif voltage_mv <= self._limits.hard_low_mv:
            self.ignore_low(i)

    def ignore_low(self, i: int):
        """Have chip i's ALERT not tell of a low voltage; True when that is new."""
        chip = self.chips[i]
        if self.low >> i & 1 or not chip or not chip.watch_low(False):
            return False
        self.low |= 1 << i
        return True

    def drop(self, i: int):
        """Forget chip i: it must be found again."""
        self._snap.valid[i] = 0
        self.chips[i] = None
        self.low &= ~(1 << i)
        self.found &= ~(1 << i)

    def read(self, i: int):
        """Read battery i into the snapshot; True when its values are new and believed."""
        chip = self.chips[i]
        voltage_mv = chip.voltage_mv()
        if voltage_mv is None:
            return False
        last_mv = self._snap.voltage_mv[i]
        if not last_mv * _LOW_PCT <= voltage_mv * 100 <= last_mv * _HIGH_PCT:
            first_mv = voltage_mv
            voltage_mv = _confirmed(chip, first_mv)
            if voltage_mv is None or not _agree(first_mv, voltage_mv):
                self.garbled += 1
            if voltage_mv is None:
                return False
        current_ma = self.current_ma(i)
        if current_ma is None:
            return False
        if not -self._limits.hard_charge_ma <= current_ma <= self._limits.hard_discharge_ma:
            current_ma = self._confirmed_ma(i, current_ma)
            if current_ma is None:
                return False
        self._snap.voltage_mv[i] = voltage_mv
        self._snap.current_ma[i] = current_ma
        self._misses[i] = 0
        if self._rescued:
            self._rescued &= ~(1 << i // CHANNELS)
        return True

    def current_ma(self, i: int):
        """Battery i's current in mA, its sensor's zero taken off; None without an answer."""
        chip = self.chips[i]
        current_ma = chip.current_ma() if chip else None
        return None if current_ma is None else current_ma - self._zero_ma[i]

    def _confirmed_ma(self, i: int, current_ma: int):
        limits = self._limits
        last_ma = self._snap.current_ma[i]
        if current_ma > 0:
            known = last_ma > limits.hard_discharge_ma
        else:
            known = last_ma < -limits.hard_charge_ma
        return current_ma if known else self.current_ma(i)

    def missed(self, i: int, unread_ms: int):
        """A read of battery i failed.

        Args:
            unread_ms: time since its last good reading, or since it was found.

        Returns:
            bool: True when the sensor now counts as lost.
        """
        self._misses[i] += 1
        if self._misses[i] < (_LOST_READS if unread_ms < _LOST_MS else _LOST_LATE_READS):
            return False
        b = i // CHANNELS
        if self._rescued >> b & 1 or not self._whole_board_fails(b):
            return True
        # When all of a board fail at once, I2C is more likely stuck: free it, and read once more.
        self._rescued |= 1 << b
        self._i2c.recover()
        return False

    def _whole_board_fails(self, b: int):
        for i in range(b * CHANNELS, b * CHANNELS + CHANNELS):
            if self.chips[i] and not self._misses[i]:
                return False
        return True

    def clear_alert(self, i: int):
        """Read battery i's flags, which releases a latched ALERT.

        Returns:
            int or None: ALERT, HIGH, LOW of ina2xx for the limits that were passed, 0 when none
            was; None when nobody can tell.
        """
        return self.chips[i].clear_alert() if self.chips[i] else None

    def alert_ma(self, i: int):
        """What tripped battery i's ALERT: its present current, at least the limit it passed."""
        limits = self._limits
        current_ma = self.current_ma(i)
        if current_ma is None or current_ma >= 0:
            return max(current_ma or 0, limits.hard_discharge_ma)
        return min(current_ma, -limits.hard_charge_ma)

    def read_current(self, i: int):
        """Read battery i's current alone into the snapshot; mA, None when it does not answer."""
        current_ma = self.current_ma(i)
        if current_ma is not None:
            self._snap.current_ma[i] = current_ma
        return current_ma

    def hears_charge(self, i: int):
        """True when battery i's chip tells of a charge beyond the hard limit by its ALERT."""
        return self.chips[i] is not None and self.chips[i].ON_CHARGE


def _number(i: int):
    # What two chips answer together, the AND of their numbers, is that of no third.
    return _NUMBER | i << 5 | (BATTERIES - 1 - i) << 1


def _twins(value: int, due: int, mask: int):
    """The place of `mask` whose number is in a value that is not as due, as a mask."""
    for k in range(BATTERIES):
        if mask >> k & 1 and (value == _number(k) or value == due & _number(k)):
            return 1 << k
    return 0


def _are_neighbours(i: int, mask: int):
    # Two whose addresses differ in one of the two pins: of one board, or of the same channel.
    channels = 0x1111 << i % CHANNELS
    return mask & (15 << i // CHANNELS * CHANNELS | channels) != 0


def _confirmed(chip: "Ina2xx", first_mv: int):
    second_mv = chip.voltage_mv()
    if second_mv is None:
        return None
    if _agree(first_mv, second_mv):
        return second_mv
    third_mv = chip.voltage_mv()
    if third_mv is not None and (_agree(first_mv, third_mv) or _agree(second_mv, third_mv)):
        return third_mv
    return None


def _agree(a_mv: int, b_mv: int):
    return abs(a_mv - b_mv) * 100 <= max(a_mv, b_mv) * _AGREE_PCT
