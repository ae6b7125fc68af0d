# SPDX-License-Identifier: GPL-3.0-only
"""What each current sensor reads while its pack is open: its zero. Run by `guard`.

A pack that is open carries nothing, so what its sensor shows is the sensor's own. A small zero is
taken off. A larger one is only taken off when it is the same with the output live and dead, since
a switch that leaks reads like it; beyond half an ampere the sensor is not believed any more.
"""

from array import array

from micropython import const

from parallelator.snapshot import BATTERIES, CHANNELS, NO_TEMPERATURE

_OPEN_MS = const(10000)
_STEADY_MA = const(50)
_SMALL_MA = const(100)
_MOST_MA = const(500)
_HOTTER_C = const(10)
_UNKNOWN = const(0x7FFF)  # far from every zero

GOOD = const(1)
"""The zero is known and taken off."""
DOUBTFUL = const(2)
"""It is too large to be taken off."""
BAD = const(3)
"""The sensor cannot be believed."""


class Zero:
    """Measures the zeros of one rig.

    Args:
        temperature_c: array of the sensors' dies in degrees Celsius, as of `Snapshot`.

    Attributes:
        ma: what is taken off each reading, mA.
    """

    def __init__(self, temperature_c: "array"):
        self._celsius = temperature_c
        self._open_ms = array("h", bytes(2 * BATTERIES))
        self._first_ma = array("i", bytes(4 * BATTERIES))
        self._sum_ma = array("i", bytes(4 * BATTERIES))
        self._readings = bytearray(BATTERIES)
        self._live_ma = array("h", [_UNKNOWN] * BATTERIES)
        self._dead_ma = array("h", [_UNKNOWN] * BATTERIES)
        self.ma = array("h", bytes(2 * BATTERIES))

    @property
    def kept(self):
        """What a reset must not forget: a row as `records.rtc_state.RtcState` takes it."""
        return ((self.ma, "h", -_MOST_MA, _MOST_MA, False),)

    def closed(self, i: int):
        """Pack i is connected, or carries although it is not: its zero cannot be seen."""
        self._open_ms[i] = 0

    def forget(self, i: int):
        """The sensor of pack i is gone: another may come."""
        self._open_ms[i] = self.ma[i] = 0
        self._live_ma[i] = self._dead_ma[i] = _UNKNOWN

    def sample(self, i: int, current_ma: int, dt_ms: int, live: bool):
        """A reading of pack i, which is open.

        Args:
            current_ma: with the zero taken off; dt_ms: since the last one; live: whether the
                output is.

        Returns:
            int: GOOD, DOUBTFUL or BAD once ten seconds were steady, else 0.
        """
        raw_ma = current_ma + self.ma[i]
        steady = -_STEADY_MA <= raw_ma - self._first_ma[i] <= _STEADY_MA
        if not self._open_ms[i] or not steady:
            self._open_ms[i] = 1
            self._first_ma[i] = self._sum_ma[i] = raw_ma
            self._readings[i] = 1
            return 0
        self._sum_ma[i] += raw_ma
        self._readings[i] += 1
        self._open_ms[i] = min(self._open_ms[i] + dt_ms, _OPEN_MS)
        if self._open_ms[i] < _OPEN_MS and self._readings[i] < 255:
            return 0
        self._open_ms[i] = 0
        return self._take(i, self._sum_ma[i] // self._readings[i], live)

    def _take(self, i: int, zero_ma: int, live: bool):
        if abs(zero_ma) > _MOST_MA:
            return BAD
        if self._leaks(i):
            return DOUBTFUL if abs(zero_ma) > _SMALL_MA else 0
        if live:
            self._live_ma[i] = zero_ma
        else:
            self._dead_ma[i] = zero_ma
        if abs(zero_ma) <= _SMALL_MA:
            self.ma[i] = zero_ma
            return GOOD
        if abs(self._live_ma[i] - self._dead_ma[i]) <= _STEADY_MA:
            self.ma[i] = zero_ma
        return DOUBTFUL

    def _leaks(self, i: int):
        """True when die i is ten degrees hotter than most of its board: something flows there."""
        first = i // CHANNELS * CHANNELS
        others = cooler = 0
        for k in range(first, first + CHANNELS):
            if k != i and self._celsius[k] != NO_TEMPERATURE:
                others += 1
                cooler += self._celsius[k] + _HOTTER_C <= self._celsius[i]
        return 2 * cooler > others
