# SPDX-License-Identifier: GPL-3.0-only
"""The last ten minutes, hour and day of the rig and of each battery, for the charts. Filled by
app's task, read by the API; the day is kept on the SD card by `chart_store`.

Three preallocated rings of 17 series, 4 bytes a point: 60 points of 10 s, 30 of two minutes, 72 of
twenty, 11016 bytes in all, and 204 for the sums of each ring's current point.
The newest point overwrites the oldest.
"""

import asyncio
from array import array
from struct import pack_into, unpack_from

from micropython import const

from parallelator.snapshot import BATTERIES, bus

SERIES = const(17)
"""0 is the rig, 1..16 are the batteries."""
SPANS = ((10, 60), (120, 30), (1200, 72))
"""Seconds of a point and number of points of each ring; a step divides the next one."""
POINT_BYTES = const(68)
_UNKNOWN_MV = const(65535)
_MOST_MV = const(65534)
"""Stands for this voltage or more; the sensors reach 102 V."""
_CURRENT_UNIT_MA = const(20)  # 16 bits then reach 655 A, the sum of 16 batteries at 40 A
_MOST_UNITS = const(32767)
_POLL_MS = const(250)


class Ring:
    """Means of voltage and current over equal steps of uptime.

    Point k is the mean from uptime k * step_s to (k + 1) * step_s; points before 0 are of an
    earlier boot.

    Attributes:
        step_s: seconds of a point; points: how many are kept.
        count: the number of the current point, the one that readings are added to.
    """

    def __init__(self, step_s: int, points: int):
        self.step_s = step_s
        self.points = points
        self.count = 0
        self._first = 0
        self._mv = array("H", bytes(2 * SERIES * points))
        self._units = array("h", bytes(2 * SERIES * points))
        self._sum_mv = array("i", bytes(4 * SERIES))
        self._sum_ma = array("i", bytes(4 * SERIES))
        self._samples = array("i", bytes(4 * SERIES))
        for at in range(len(self._mv)):
            self._mv[at] = _UNKNOWN_MV

    @property
    def oldest(self):
        """The number of the oldest point that may be known, at most 0 until there are many."""
        return max(self.count - self.points, self._first)

    def add(self, series: int, voltage_mv: int, current_ma: int):
        """Add a reading to the current point."""
        self._sum_mv[series] += voltage_mv
        self._sum_ma[series] += current_ma
        self._samples[series] += 1

    def close(self, coarser: "Ring | None"):
        """Write the means of the readings into the ring and begin a new point.

        Args:
            coarser: the `Ring` whose point this one is a part of, or None.
        """
        at = self.count % self.points
        for series in range(SERIES):
            samples = self._samples[series]
            mv = _UNKNOWN_MV
            units = 0
            if samples:
                mv = self._sum_mv[series] // samples
                units = round(self._sum_ma[series] / (samples * _CURRENT_UNIT_MA))
                if coarser:
                    coarser.add(series, mv, units * _CURRENT_UNIT_MA)
                mv = min(mv, _MOST_MV)
                units = min(max(units, -_MOST_UNITS - 1), _MOST_UNITS)
            self._put(at, series, mv, units)
            self._sum_mv[series] = self._sum_ma[series] = self._samples[series] = 0
        self.count += 1

    def _put(self, at: int, series: int, mv: int, units: int):
        self._mv[series * self.points + at] = mv
        self._units[series * self.points + at] = units

    def read(self, series: int, begin: int, end: int):
        """Points `begin` to `end` - 1 of a series.

        Args:
            series: 0..16; end: at most `count`.

        Returns:
            (voltages in mV, currents in mA): two lists, None where nothing was known and in the
            place of points that are overwritten by now; 65534 mV, 655340 and -655360 mA stand
            for that or more.
        """
        oldest = self.oldest
        voltages = []
        currents = []
        for k in range(begin, end):
            at = series * self.points + k % self.points
            known = k >= oldest and self._mv[at] != _UNKNOWN_MV
            voltages.append(self._mv[at] if known else None)
            currents.append(self._units[at] * _CURRENT_UNIT_MA if known else None)
        return voltages, currents

    def save(self, k: int, record: "bytearray | memoryview"):
        """Copy point k into a bytearray of POINT_BYTES."""
        for series in range(SERIES):
            at = series * self.points + k % self.points
            pack_into("<Hh", record, 4 * series, self._mv[at], self._units[at])

    def restore(self, k: int, record: "bytearray | memoryview"):
        """Take point k, before 0 and not yet overwritten, over from what `save` made."""
        for series in range(SERIES):
            mv, units = unpack_from("<Hh", record, 4 * series)
            self._put(k % self.points, series, mv, units)
        self._first = min(self._first, k)

    def forget(self, k: int):
        """Point k is not known."""
        for series in range(SERIES):
            self._put(k % self.points, series, _UNKNOWN_MV, 0)


class History:
    """The three rings of one rig.

    Args:
        snap: the `Snapshot`.

    Attributes:
        rings: a `Ring` for each of SPANS.
    """

    def __init__(self, snap: "Snapshot"):
        self._snap = snap
        self.rings = [Ring(step_s, points) for step_s, points in SPANS]

    def ring(self, span_s: int):
        """The finest ring that reaches `span_s` back, else the coarsest."""
        for ring in self.rings:
            if ring.step_s * ring.points >= span_s:
                break
        return ring

    def sample(self):
        """Add the present readings to the finest ring; unknown ones are left out."""
        snap = self._snap
        bus_mv, bus_ma = bus(snap)
        ring = self.rings[0]
        if bus_mv is not None:
            ring.add(0, bus_mv, bus_ma)
        for i in range(BATTERIES):
            if snap.valid[i]:
                ring.add(i + 1, snap.voltage_mv[i], snap.current_ma[i])

    async def close_points(self):
        """Close the points whose time is over: those of a ring make those of the next."""
        finest = self.rings[0]
        while finest.count < self._snap.uptime_s // finest.step_s:
            for ring, coarser in zip(self.rings, self.rings[1:] + [None]):
                ring.close(coarser)
                await asyncio.sleep_ms(0)
                if coarser is None or ring.count * ring.step_s % coarser.step_s:
                    break

    async def run(self):
        """Sample every second, for ever."""
        snap = self._snap
        seen_s = snap.uptime_s
        while True:
            await asyncio.sleep_ms(_POLL_MS)
            if snap.uptime_s != seen_s:
                seen_s = snap.uptime_s
                await self.close_points()
                self.sample()
