# SPDX-License-Identifier: GPL-3.0-only
"""The last ten minutes, hour and day of the rig and of each battery, for the charts. Filled by
app's task, read by the API; the day is kept on the SD card by `chart_store`.

Three preallocated rings of 17 series: 60 points of 10 s, 30 of two minutes, 72 of twenty, 8586
bytes in all, and 204 for the sums of each ring's current point. The newest point overwrites the
oldest.

A point has 53 bytes: the median of its voltages, and 3 of each series, 12 bits for how far its
voltage is from that, in mV, and 12 for its current, in 10 mA. Up to 255 they hold that exactly,
what is more to 0.4 % of it.
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
"""Of a point that `Ring.save` has made."""
_POINT = const(53)
_UNKNOWN_MV = const(65535)
_MOST_MV = const(65534)
"""Where `save` and the median end: stands for this voltage or more; the sensors reach 102 V."""
_SAVED_MA = const(20)  # 16 bits then reach 655 A, the sum of 16 batteries at 40 A
_MOST_UNITS = const(32767)
_UNIT_MA = const(10)
_PLUS = const(0x800)
# What the upper five of the 12 bits of a number stand for: what it begins with, and what each of
# the lower seven adds. The first half is of those below zero; the first of all stands for nothing,
# so that a voltage of zeros is one that is not known.
_BASES = tuple(sign * (128 << k >> 1 & -128) for sign in (-1, 1) for k in range(16))
_STEPS = tuple(sign * (1 << max(k - 1, 0)) for sign in (-1, 1) for k in range(16))
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
        self._ring = bytearray(_POINT * points)
        self._sums = array("i", bytes(4 * 3 * SERIES))

    @property
    def oldest(self):
        """The number of the oldest point that may be known, at most 0 until there are many."""
        return max(self.count - self.points, self._first)

    def add(self, series: int, voltage_mv: int, current_ma: int):
        """Add a reading to the current point."""
        sums = self._sums
        at = 3 * series
        sums[at] += 1
        sums[at + 1] += voltage_mv
        sums[at + 2] += current_ma

    def close(self, coarser: "Ring | None"):
        """Write the means of the readings into the ring and begin a new point.

        Args:
            coarser: the `Ring` whose point this one is a part of, or None.
        """
        sums = self._sums
        means = []
        for series in range(SERIES):
            at = 3 * series
            samples = sums[at]
            mean = None
            if samples:
                mean = sums[at + 1] // samples, round(sums[at + 2] / samples)
                if coarser:
                    coarser.add(series, *mean)
            means.append(mean)
            sums[at] = sums[at + 1] = sums[at + 2] = 0
        self._write(self.count, means)
        self.count += 1

    def _write(self, k: int, means: list):
        """Point k gets these means, of each series (mV, mA), or None where nothing is known."""
        ring = self._ring
        at = k % self.points * _POINT
        known = sorted(mean[0] for mean in means if mean)
        median = min(known[len(known) // 2], _MOST_MV) if known else 0
        pack_into("<H", ring, at, median)
        at += 2
        for mean in means:
            code = 0
            if mean:
                units = (mean[1] + _UNIT_MA // 2) // _UNIT_MA
                code = _coded(mean[0] - median) | _coded(units) << 12
            pack_into("<HB", ring, at, code & 0xFFFF, code >> 16)
            at += 3

    def read(self, series: int, begin: int, end: int):
        """Points `begin` to `end` - 1 of a series.

        Args:
            series: 0..16; end: at most `count`.

        Returns:
            (voltages in mV, currents in mA): two lists, None where nothing was known and in the
            place of points that are overwritten by now; of points that `save` has kept, 65534 mV,
            655340 and -655360 mA stand for that or more.
        """
        voltages: list = [None] * (end - begin)
        currents = voltages[:]
        ring, points = self._ring, self.points
        bases, steps = _BASES, _STEPS
        for k in range(max(begin, self.oldest), end):
            at = k % points * _POINT
            here = at + 2 + 3 * series
            code = ring[here] | ring[here + 1] << 8
            high = code >> 7 & 31
            if code & 0xFFF:
                median = ring[at] | ring[at + 1] << 8
                voltages[k - begin] = median + bases[high] + (code & 127) * steps[high]
                code = code >> 12 | ring[here + 2] << 4
                high = code >> 7
                currents[k - begin] = (bases[high] + (code & 127) * steps[high]) * _UNIT_MA
        return voltages, currents

    def save(self, k: int, record: "bytearray | memoryview"):
        """Copy point k into a bytearray of POINT_BYTES."""
        for series in range(SERIES):
            (mv,), (ma,) = self.read(series, k, k + 1)
            units = 0
            if mv is None:
                mv = _UNKNOWN_MV
            else:
                mv = min(mv, _MOST_MV)
                units = min(max(round(ma / _SAVED_MA), -_MOST_UNITS - 1), _MOST_UNITS)
            pack_into("<Hh", record, 4 * series, mv, units)

    def restore(self, k: int, record: "bytearray | memoryview"):
        """Take point k, before 0 and not yet overwritten, over from what `save` made."""
        means = []
        for series in range(SERIES):
            mv, units = unpack_from("<Hh", record, 4 * series)
            means.append(None if mv == _UNKNOWN_MV else (mv, units * _SAVED_MA))
        self._write(k, means)
        self._first = min(self._first, k)

    def forget(self, k: int):
        """Point k is not known."""
        at = k % self.points * _POINT
        self._ring[at : at + _POINT] = bytes(_POINT)


def _coded(number: int):
    """The 12 bits that stand for a whole number, the nearest that there is."""
    size = abs(number)
    shift = 0
    while size > 255:
        shift += 1
        size = abs(number) + (1 << shift - 1) >> shift
    return (shift << 7) + size | (0 if number < 0 else _PLUS)


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
