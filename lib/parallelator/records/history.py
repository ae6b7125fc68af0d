"""The last ten minutes of the rig and of each battery, for the charts. Filled by app's task, read
by the API.

Preallocated rings of 120 points, one for 5 s each: 17 series of 4 bytes a point are 8160 bytes,
the sums of the point in the making 204. The newest point overwrites the oldest.
"""

import asyncio
from array import array

from micropython import const

from parallelator.snapshot import BATTERIES, summary

POINTS = const(120)
STEP_S = const(5)
_SERIES = const(17)
_UNKNOWN_MV = const(65535)
_CURRENT_UNIT_MA = const(20)  # 16 bits then reach 655 A, the sum of 16 batteries at 40 A
_POLL_MS = const(250)


class History:
    """Means over 5 s of voltage and current.

    Args:
        snap: the `Snapshot`.

    Attributes:
        count: points taken since boot.
        end_s: uptime in s at the end of the last one.
    """

    def __init__(self, snap):
        self._snap = snap
        self._mv = array("H", bytes(2 * _SERIES * POINTS))
        self._units = array("h", bytes(2 * _SERIES * POINTS))
        self._sum_mv = array("i", bytes(4 * _SERIES))
        self._sum_ma = array("i", bytes(4 * _SERIES))
        self._samples = array("i", bytes(4 * _SERIES))
        self.count = 0
        self.end_s = 0

    def sample(self):
        """Add the present readings to the point in the making; unknown ones are left out."""
        snap = self._snap
        bus = summary(snap)["bus"]
        if bus["voltage_mv"] is not None:
            self._add(0, bus["voltage_mv"], bus["current_ma"])
        for i in range(BATTERIES):
            if snap.valid[i]:
                self._add(i + 1, snap.voltage_mv[i], snap.current_ma[i])

    def _add(self, series, voltage_mv, current_ma):
        self._sum_mv[series] += voltage_mv
        self._sum_ma[series] += current_ma
        self._samples[series] += 1

    def close_point(self):
        """Write the means of the samples into the rings and begin a new point."""
        at = self.count % POINTS
        for series in range(_SERIES):
            samples = self._samples[series]
            mv = _UNKNOWN_MV
            units = 0
            if samples:
                mv = self._sum_mv[series] // samples
                units = round(self._sum_ma[series] / (samples * _CURRENT_UNIT_MA))
            self._mv[series * POINTS + at] = mv
            self._units[series * POINTS + at] = units
            self._sum_mv[series] = self._sum_ma[series] = self._samples[series] = 0
        self.count += 1
        self.end_s = self._snap.uptime_s

    def read(self, series, begin, end):
        """Points `begin` to `end` - 1 of a series, counted since boot.

        Args:
            series: 0 for the rig, 1..16 for a battery; end: at most `count`.

        Returns:
            (voltages in mV, currents in mA): two lists, None where nothing was known and in the
            place of points that are overwritten by now.
        """
        oldest = self.count - POINTS
        voltages = []
        currents = []
        for k in range(begin, end):
            at = series * POINTS + k % POINTS
            known = k >= oldest and self._mv[at] != _UNKNOWN_MV
            voltages.append(self._mv[at] if known else None)
            currents.append(self._units[at] * _CURRENT_UNIT_MA if known else None)
        return voltages, currents

    async def run(self):
        """Sample every second and close a point every 5 s of uptime, for ever."""
        snap = self._snap
        seen_s = snap.uptime_s
        while True:
            await asyncio.sleep_ms(_POLL_MS)
            if snap.uptime_s == seen_s:
                continue
            seen_s = snap.uptime_s
            self.sample()
            if seen_s >= self.end_s + STEP_S:
                await asyncio.sleep_ms(0)
                self.close_point()
