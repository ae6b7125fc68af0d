# SPDX-License-Identifier: GPL-3.0-only
"""Finds bad contacts by how the packs share the current. Pure; run by app, after each look of
`cascade`.

All packs hang on one output: what a sensor shows, less what the path behind it drops, is the
voltage of the output, the same for all. Where a pack that gives current shows more, or one that
is charged less, a plug, joint or switch behind its sensor has too much resistance
(`contact_output`). What lies before the sensor counts as resistance of the pack: when that grows
by half since the start while that of the others does not, cells are too slow to have caused it,
so a plug, fuse or cable there has (`contact_battery`). The slow growth of years is told by
`energy.health`. The resistance is found here from smaller steps than those of
`protection.metering`, since a bad contact leaves its pack only small ones: where all packs
together have taken a step of the load, even the little that one took of it tells its resistance.
The step has to be new: cells relax for minutes after it, which looks like resistance.
"""

from array import array

from micropython import const

from parallelator.protection.output import insert
from parallelator.show.cascade import PERIOD_S
from parallelator.snapshot import BATTERIES, CHANNELS, carries

_CODES = ("contact_battery", "contact_output")
_HELD_S = const(60)
"""How long a contact has to be bad to be told, and good to be told no more."""
_SMOOTH = const(4)  # looks of a mean
_GROWN_MOHM = const(15)
_LEAST_MOHM = const(12)
"""What is too much before a sensor, and behind it."""
_SURE_MA = const(1000)
_SEEN_MA = const(300)
"""A pack with more is judged as good, or as bad."""
_IDLE_MA = const(500)
"""With less in every pack all sensors should show the same; what they do not is their error. Of a
sensor whose error is not known at all, with twice as much: batteries that have just joined
exchange that, and half of a path drops half of _ZEROED_MV then."""
_ZEROED_MV = const(20)
_RAW_MV = const(100)
"""What has to be too much of sensors whose error is known, and of others: an INA237 may be wrong
by 0.3 %."""
_UNKNOWN = const(255)
_STEP_MA = const(300)
_STEP_MOHM = const(1000)
_SAMPLES = const(8)
"""The first resistance comes of so many steps of the load, of so much for each pack; none is
higher."""
_GONE_MV = const(4000)  # nothing is plugged in
_TOLD = const(128)


class Sharing:
    """Follows one rig.

    Args:
        snap: the `Snapshot`; limits: the `rules.Limits` in force; emit: function (code, i, state,
            reason, value) that records an event; its value is the resistance that is too much, in
            mOhm.
    """

    def __init__(self, snap: "Snapshot", limits: "Limits", emit: "Emit"):
        self._snap = snap
        self._limits = limits
        self._emit = emit
        self._ma = array("i", bytes(4 * BATTERIES))  # the mean
        self._sum_mv = array("i", bytes(4 * BATTERIES))  # _SMOOTH times its mean, 0 = it is off
        self._zero_mv = bytearray([_UNKNOWN] * BATTERIES)  # error of the sensor, plus _RAW_MV
        # In eighths; from BATTERIES on the first, or < 0: so many steps of the load so far.
        self._mohm = array("h", bytes(4 * BATTERIES))
        self._order = array("i", bytes(4 * BATTERIES + 4))
        self._count = self._total_ma = 0
        self._seconds = bytearray(2 * BATTERIES)  # of the batteries' side first; and _TOLD

    def looking(self, on: int):
        """Look at the rig anew: a generator, each step takes 2 ms at most.

        Args:
            on: mask of the packs that carry the output.
        """
        yield from self._look_outside(on)
        yield
        yield from self._look_inside(on)

    def _look_inside(self, on: int):
        """Compare the resistance of each pack with its first, and its growth with the others'."""
        snap, mohm, order = self._snap, self._mohm, self._order
        order[0] = 100  # a pack that is alone is compared with itself
        count = 1
        for i in range(BATTERIES):
            if i % CHANNELS == 0:
                yield
            if not snap.sensors >> i & 1 or snap.voltage_mv[i] < _GONE_MV:
                mohm[BATTERIES + i] = mohm[i] = 0
                self._zero_mv[i] = _UNKNOWN
                self._clear(0, i)
                self._clear(1, i)
            elif mohm[BATTERIES + i] > 0:
                insert(order, count, mohm[i] * 100 // mohm[BATTERIES + i])
                count += 1
        usual_pct = order[(count - 1) // 2]
        for i in range(BATTERIES):
            if i % CHANNELS == 0:
                yield
            first = mohm[BATTERIES + i]
            if first > 0 and on >> i & 1:
                usual_mohm = first * usual_pct // 800
                least_mohm = max(_GROWN_MOHM, usual_mohm // 2)
                excess_mohm = mohm[i] // 8 - usual_mohm
                bad, good = excess_mohm >= least_mohm, excess_mohm < least_mohm // 2
                self._judge(0, i, excess_mohm, bad, good)

    def _look_outside(self, on: int):
        """Compare what each sensor says of the output."""
        snap, ma, order = self._snap, self._ma, self._order
        path_mohm = self._limits.path_mohm
        way = -1 if sum(ma) < 0 else 1
        count = most_ma = total_ma = 0
        for i in range(BATTERIES):
            if i % CHANNELS == 0:
                yield
            # One that has opened since `cascade` looked rests at a voltage of its own.
            if not (on >> i & 1 and carries(snap, i)):
                self._sum_mv[i] = ma[i] = 0
            else:
                sum_mv, mv = self._sum_mv[i], snap.voltage_mv[i]
                ahead_ma = snap.current_ma[i] - ma[i]
                ma[i] += ahead_ma // _SMOOTH if sum_mv else ahead_ma
                sum_mv += mv - sum_mv // _SMOOTH if sum_mv else _SMOOTH * mv
                self._sum_mv[i] = sum_mv
                total_ma += snap.current_ma[i]
                most_ma = max(most_ma, abs(ma[i]), abs(snap.current_ma[i]))
                output_mv = sum_mv // _SMOOTH - ma[i] * path_mohm // 1000
                if self._zero_mv[i] != _UNKNOWN:
                    output_mv -= self._zero_mv[i] - _RAW_MV
                insert(order, count, way * output_mv << 4 | i)
                count += 1
        step_ma = min(abs(total_ma - sum(ma)), abs(total_ma - self._total_ma))
        moved = count == self._count and step_ma >= _STEP_MA * count
        self._count, self._total_ma = count, total_ma
        # A contact makes nobody better: the good one of two is that which drops less.
        usual = order[(count - 1) // 2]
        for at in range(count):
            if at % CHANNELS == 0:
                yield
            i = order[at] & 15
            if moved:
                self._measure(i)
            if count < 2:
                return
            excess_mv = (order[at] >> 4) - (usual >> 4)
            unknown = self._zero_mv[i] == _UNKNOWN
            if most_ma < _IDLE_MA << unknown:
                self._zero(i, way * excess_mv)
                continue
            # The path may have half of what the settings say, or half as much again.
            excess_mv -= abs(ma[i] - ma[usual & 15]) * path_mohm // 2000
            carried_ma = way * ma[i]
            if carried_ma >= _SEEN_MA:
                mohm = excess_mv * 1000 // carried_ma
                least_mv = _RAW_MV if unknown else _ZEROED_MV
                bad = mohm >= _LEAST_MOHM and excess_mv >= least_mv
                good = mohm < _LEAST_MOHM // 2 and carried_ma >= _SURE_MA
                self._judge(1, i, mohm, bad, good)

    def _measure(self, i: int):
        """The load has just taken a step: what the current and the voltage of pack i differ from
        their means tells its resistance."""
        step_ma = self._snap.current_ma[i] - self._ma[i]
        if not step_ma:
            return
        found = (self._sum_mv[i] // _SMOOTH - self._snap.voltage_mv[i]) * 1000 // step_ma
        if not 0 < found < _STEP_MOHM:
            return
        mohm, first = self._mohm, BATTERIES + i
        mohm[i] += 2 * found - mohm[i] // 4 if mohm[i] else 8 * found
        if mohm[first] <= 0:
            mohm[first] -= 1
            if mohm[first] == -_SAMPLES:
                mohm[first] = mohm[i]

    def _zero(self, i: int, error_mv: int):
        """The sensor of pack i shows so much more than the others, without a current."""
        if self._zero_mv[i] != _UNKNOWN:
            error_mv = self._zero_mv[i] - _RAW_MV + error_mv // _SMOOTH
        if -_RAW_MV <= error_mv <= _RAW_MV:
            self._zero_mv[i] = error_mv + _RAW_MV

    def _judge(self, side: int, i: int, mohm: int, bad: bool, good: bool):
        """A look at pack i on the side of the battery, 0, or of the output, 1."""
        seconds, at = self._seconds, side * BATTERIES + i
        told = seconds[at] & _TOLD
        if not (good if told else bad):
            # A load that comes and goes shows it now and then only.
            if bad if told else good:
                seconds[at] = told
            return
        seconds[at] += PERIOD_S
        if seconds[at] - told < _HELD_S:
            return
        if told:
            self._clear(side, i)
            return
        seconds[at] = _TOLD
        self._snap.alarm(_CODES[side], i, True)
        self._emit(_CODES[side], i, self._snap.state[i], 0, mohm)

    def _clear(self, side: int, i: int):
        at = side * BATTERIES + i
        if self._seconds[at] & _TOLD:
            self._snap.alarm(_CODES[side], i, False)
        self._seconds[at] = 0
