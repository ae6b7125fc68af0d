# SPDX-License-Identifier: GPL-3.0-only
"""I2C that fails as a whole, and what has to prove itself when something answers again.

Run by `guard`. While nothing answers the outputs hold, nobody becomes absent, and openings that
are due stay pending. It is judged by who answers, never by the number of an error.
"""

from micropython import const

from parallelator.catalog import Reason
from parallelator.protection import rules
from parallelator.snapshot import BATTERIES, BOARDS, RIG

_UNSEEN_MS = const(500)
"""After a longer outage every timed row begins anew."""
_RETURN_MS = const(500)


class Outage:
    """The outages of one rig.

    Args:
        i2c: a `hardware.i2c.I2c`; snap: the `Snapshot`; switches: a `Switches`.
        sensors: a `Sensors`; states: a `States`; judge: a `rules.Judge`; limits: a `Limits`.
        emit: function (code, i, state, reason, value) that records an event.

    Attributes:
        on: True from the first tick in which nothing answered until `end`.
        doubted: mask of the batteries that have to read valid, and inside their limits, twice.
    """

    def __init__(
        self,
        i2c: "I2c",
        snap: "Snapshot",
        switches: "Switches",
        sensors: "Sensors",
        states: "States",
        judge: rules.Judge,
        limits: "Limits",
        emit: "Emit",
    ):
        self._i2c = i2c
        self._snap = snap
        self._switches = switches
        self._sensors = sensors
        self._states = states
        self._judge = judge
        self._limits = limits
        self._emit = emit
        self._lasted_ms = 0
        self._left_ms = 0
        self._read_once = 0
        self.on = False
        self.doubted = 0

    def holds(self, dt: int):
        """True while nothing answers, `dt` ms after the last tick; tries to free I2C."""
        if not self._all_silent():
            return False
        if not self.on:
            self.on = True
            self._lasted_ms = 0
            self._snap.alarm("i2c_fault", RIG, True)
            self._emit("i2c_fault", RIG, 0, 0, self._i2c.timeouts)
        self._lasted_ms += dt
        self._i2c.recover()
        return True

    def _all_silent(self):
        if self._switches.silent != self._switches.present or self._i2c.answered:
            return False
        for i in range(BATTERIES):
            chip = self._sensors.chips[i]
            if chip and chip.voltage_mv() is not None:
                return False
        return self._switches.present > 0 or self._sensors.found > 0

    def end(self):
        """Something answers again: off first, then see whether the others stand as commanded."""
        self.on = False
        self._snap.alarm("i2c_fault", RIG, False)
        self._emit("i2c_recovered", RIG, 0, 0, self._i2c.recoveries)
        self._switches.flush()
        for b in range(BOARDS):
            if self._switches.present >> b & 1 & ~(self._switches.silent >> b):
                self._switches.rejoin(b)
        if self._lasted_ms > _UNSEEN_MS:
            for i in range(BATTERIES):
                if self._states.on >> i & 1:
                    self._judge.restart(i)
        self.doubt(self._states.on)

    def doubt(self, mask: int):
        """What the batteries of `mask` were while nobody saw them is not known."""
        self.doubted |= mask
        self._read_once = 0
        self._left_ms = _RETURN_MS

    def read(self, i: int):
        """Battery i of the doubted ones was read; True when it shall be read again at once."""
        limits = self._limits
        current_ma = self._snap.current_ma[i]
        if self._outside(i):
            return True
        if rules.is_beyond_hard(limits, current_ma):
            return True
        if self._read_once >> i & 1:
            self.doubted &= ~(1 << i)
            return False
        self._read_once |= 1 << i
        return True

    def pass_time(self, dt: int):
        """`dt` ms passed: who is in doubt for too long opens."""
        if not self.doubted:
            return
        self._left_ms -= dt
        self.doubted &= self._states.on
        if self._left_ms > 0:
            return
        for i in range(BATTERIES):
            if self.doubted >> i & 1:
                reason = self._outside(i)
                if reason and self._snap.valid[i]:
                    self._states.trip(i, reason, self._snap.voltage_mv[i])
                else:
                    self._states.lose(i, Reason.SENSOR_LOST)
        self.doubted = 0

    def _outside(self, i: int):
        snap, limits = self._snap, self._limits
        counts_mv = rules.counting_mv(limits, snap.voltage_mv[i], snap.current_ma[i])
        return rules.outside(limits, counts_mv)

    def recover(self):
        """I2C is stuck, but not all is silent: free it."""
        self._emit("i2c_fault", RIG, 0, 0, self._i2c.timeouts)
        recovered = self._i2c.recover()
        self._snap.alarm("i2c_fault", RIG, not recovered)
        if recovered:
            self._emit("i2c_recovered", RIG, 0, 0, self._i2c.recoveries)
