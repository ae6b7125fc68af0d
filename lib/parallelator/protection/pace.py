"""The clock of I2C, when it is left to the rig: proves 400 kHz, falls back to 100. Run by `guard`.

What is proven is not the isolators' data sheet but this rig: registers whose contents are known
are read at 400 kHz, a few after each tick that has nothing better to do, so that nothing else
runs at a clock that is not proven.
"""

from array import array

from micropython import const

from parallelator.snapshot import BATTERIES, RIG

SLOW_KHZ = const(100)
FAST_KHZ = const(400)
PROOFS = const(5000)
"""Reads without an error that prove the fast clock."""
_READS = const(5)
_ERRORS = const(3)
_ERRORS_MS = const(10000)

_PROVING = const(0)
_FAST = const(1)
_SLOW = const(2)


class Pace:
    """Which clock I2C runs at.

    Args:
        clock: a `clock.Clock`; i2c: a `hardware.i2c.I2c`, which runs at SLOW_KHZ.
        sensors: a `Sensors`; emit: function (code, i, state, reason, value) that records an event.
    """

    def __init__(self, clock: "Clock", i2c: "I2c", sensors, emit):
        self._diff = clock.diff
        self._i2c = i2c
        self._sensors = sensors
        self._emit = emit
        self._state = _PROVING
        self._proven = 0
        self._turn = 0
        self._known = 0
        self._at_ms = array("i", bytes(4 * _ERRORS))
        self._errors = 0

    def step(self, now, calm):
        """A tick is over.

        Args:
            now: its time, ticks in ms; calm: True when there is time for what can wait.
        """
        if self._state == _FAST:
            self._watch(now)
        elif self._state == _PROVING and calm and self._sensors.found:
            self._prove()

    def _prove(self):
        i2c = self._i2c
        known = i2c.errors
        i2c.run_at(FAST_KHZ)
        good = True
        for _ in range(_READS):
            while not self._sensors.chips[self._turn]:
                self._turn = (self._turn + 1) % BATTERIES
            good = good and self._sensors.chips[self._turn].check_setting() is True
            self._turn = (self._turn + 1) % BATTERIES
        good = good and i2c.errors == known
        self._proven += _READS
        if good and self._proven >= PROOFS:
            self._state = _FAST
            self._known = self._seen()
            self._emit("i2c_clock", RIG, 0, 0, FAST_KHZ)
            return
        i2c.run_at(SLOW_KHZ)
        if not good:
            self._give_up()

    def _seen(self):
        return self._i2c.slips + self._sensors.garbled

    def _watch(self, now):
        seen = self._seen()
        while self._known != seen:
            self._known += 1
            self._at_ms[self._errors % _ERRORS] = now
            self._errors += 1
            first_ms = self._at_ms[self._errors % _ERRORS]  # of the last three
            if self._errors >= _ERRORS and self._diff(now, first_ms) <= _ERRORS_MS:
                self._i2c.run_at(SLOW_KHZ)
                self._give_up()
                return

    def _give_up(self):
        self._state = _SLOW
        self._emit("i2c_clock", RIG, 0, 0, SLOW_KHZ)
