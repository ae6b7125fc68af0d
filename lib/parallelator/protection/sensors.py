"""The current sensors of the rig: found, set up, read with doubt. Owned by `guard`.

A voltage far from the last one is read again at once: two that agree are the truth, however bad;
a reading that nothing confirms is a failed read and never becomes the reference.
"""

from micropython import const

from parallelator.hardware import ina2xx
from parallelator.snapshot import BATTERIES

_BASE = const(0x40)
_LOW_PCT = const(70)
_HIGH_PCT = const(130)
_AGREE_PCT = const(2)
_LOST_MS = const(500)
_LOST_READS = const(3)


class Sensors:
    """The sensors of 16 places.

    Args:
        bus: a `hardware.bus.Bus`; snap: the `Snapshot` to fill.
        limits: a `rules.Limits`, for the ALERT limits; shunt_uohm: shunt resistance, microohm.

    Attributes:
        chips: the driver of each place, None where no chip answers.
        found: how many chips answer.
    """

    def __init__(self, bus, snap, limits, shunt_uohm):
        self._bus = bus
        self._snap = snap
        self._limits = limits
        self._shunt_uohm = shunt_uohm
        self._word = bytearray(2)
        self._misses = bytearray(BATTERIES)
        self.chips = [None] * BATTERIES
        self.found = 0

    def detect(self, i):
        """The driver for the chip at place i, None when none answers. Allocates nothing."""
        return ina2xx.detect(self._bus, _BASE + i, self._word)

    def adopt(self, i, driver):
        """Set up the chip at place i; True when it is ready to be read."""
        chip = driver(self._bus, _BASE + i, self._shunt_uohm)
        if not chip.configure(self._limits.hard_discharge_ma, self._limits.hard_charge_ma):
            return False
        self.chips[i] = chip
        self.found += 1
        self._misses[i] = 0
        self._snap.voltage_mv[i] = 0
        return True

    def read(self, i):
        """Read battery i into the snapshot; True when its values are new and believed."""
        chip = self.chips[i]
        voltage_mv = chip.voltage_mv()
        if voltage_mv is None:
            return False
        last_mv = self._snap.voltage_mv[i]
        if not last_mv * _LOW_PCT <= voltage_mv * 100 <= last_mv * _HIGH_PCT:
            voltage_mv = _confirmed(chip, voltage_mv)
            if voltage_mv is None:
                return False
        current_ma = chip.current_ma()
        if current_ma is None:
            return False
        self._snap.voltage_mv[i] = voltage_mv
        self._snap.current_ma[i] = current_ma
        self._misses[i] = 0
        return True

    def missed(self, i, unread_ms):
        """A read of battery i failed.

        Args:
            unread_ms: time since its last good reading.

        Returns:
            bool: True when the sensor now counts as lost; it must be found again.
        """
        self._misses[i] += 1
        if unread_ms < _LOST_MS and self._misses[i] < _LOST_READS:
            return False
        self._snap.valid[i] = 0
        self.chips[i] = None
        self.found -= 1
        return True

    def clear_alert(self, i):
        """Read battery i's flags, which releases a latched ALERT; nothing without a chip."""
        if self.chips[i]:
            self.chips[i].take_alert()

    def alert_ma(self, i):
        """What tripped battery i's ALERT: its present current, at least the limit it passed."""
        limits = self._limits
        current_ma = self.chips[i].current_ma() if self.chips[i] else None
        if current_ma is None or current_ma >= 0:
            return max(current_ma or 0, limits.hard_discharge_ma)
        return min(current_ma, -limits.hard_charge_ma)


def _confirmed(chip, first_mv):
    second_mv = chip.voltage_mv()
    if second_mv is None:
        return None
    if _agree(first_mv, second_mv):
        return second_mv
    third_mv = chip.voltage_mv()
    if third_mv is not None and (_agree(first_mv, third_mv) or _agree(second_mv, third_mv)):
        return third_mv
    return None


def _agree(a_mv, b_mv):
    return abs(a_mv - b_mv) * 100 <= max(a_mv, b_mv) * _AGREE_PCT
