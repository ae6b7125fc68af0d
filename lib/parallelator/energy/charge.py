# SPDX-License-Identifier: GPL-3.0-only
"""The state of charge of each pack, with its uncertainty. Pure: it reads no clock and no sensor.

Charge is counted every second, in whole numbers. Every five minutes the voltage is looked at: less
what resistance, relaxation and the branch of charge or discharge explain, it is the rest voltage
of the curve, give or take what these are uncertain by. An interval of voltage is an interval of
charge: wide where the curve is flat. A Kalman filter of two states, charge and capacity, takes it
in. What curve and corrections are wrong by is much the same at the next look: it is a third
quantity, considered but not estimated (S. F. Schmidt, NASA SP-141, 1966), so that many looks with
the same error make nothing certain. It is another one once the charge has moved on. As much again
counts as the look's own: a look at a flat place beside one at a steep place has the error in
volts, and not in charge, and would else seem to have measured it.

What the last look showed beside the curve is kept: the same pack shows it again after a
power-off, whatever the curve is wrong by; another one does not.

The capacity follows from what is counted between the charger's end and a place that the voltage
tells well, near empty. The filter alone learns it slowly: its looks on the way take for an error
of the charge what is one of the capacity. The surest such measure stands, it is not averaged.
"""

from array import array
from math import exp, sqrt

from micropython import const

from parallelator.energy.curve import charge_at, empty, start, volts_at
from parallelator.snapshot import BATTERIES

_FAST_S = const(60)
_SLOW_S = const(2700)
_FAST_SHARE, _SLOW_SHARE = 0.35, 0.85
"""Time constants of relaxation, and their resistances as shares of the pack's: V. Pop and others,
Battery Management Systems (2008), has the like of both chemistries."""
_FAST_SCALE = const(64)
_SLOW_SCALE = const(8192)
_FULL_S = const(180)
_TAIL = const(20)  # a charger has ended when it gives less than this part of the capacity an hour
_MAS = const(3600)
"""mA*s in one mAh."""
_OHM_MAS = 3.6e6
"""Resistance of a pack that has shown none yet: 1 Ohm per Ah, in Ohm * mA*s."""
_BRANCH_LENGTH = 0.05
_ERROR_LENGTH = 0.15
"""Charge that changes the branch, and the error of the curve."""
_UNKNOWN = 0.3
"""Deviation of a charge that nobody knows."""
_CAPACITY = 0.12
"""Deviation of the capacity from what of the label's is usable."""
_COMMON = 0.97
"""At most so much of what a look tells is taken for an error that the charge has already."""
_ASLEEP, _MOVED_MV = 0.012, 8.0
"""What charge, and a cell's voltage, may move by while the power is off."""
_SENSOR_MA, _GAIN = 3.0, 0.004
"""Errors of the current sensor once its zero is known."""
_BESIDE = 0.012
"""Deviation of the charge at which a point of the curve lies in a pack."""
_START_MV, _OWN_MV = 22.0, 8.0
"""What the start curve and a curve of the rig's own are wrong by, mV."""
_SAME_MV, _SAME = 5.0, 0.018
"""What the same pack shows otherwise after a power-off, mV; what charge was not saved by then."""
_SURE = const(4)
"""Deviations that tell another pack."""
_DEEP = 0.4
"""Charge that has to be gone since the charger's end for the capacity to be seen."""
_COUNTED = 0.012
"""Deviation of such a measure besides that of the place: of the end, and of the count."""
_UNCOUNTED = -9.0
"""Stands for what left since the charger's end when nobody has counted it."""
_SPAN = 0.003
"""Least deviation of what a voltage tells of the charge above empty."""
_UNSEEN = const(-128)
_PARTS = const(50000)
_CAPACITY_PARTS = const(180)
_DEVIATION_PARTS = const(500)
_OF_CAPACITY_PARTS = const(1000)
_SLOW_PARTS = const(200)
_BELOW = 0.1
"""Scales of what is kept, and the charge that is kept as 0: below empty."""

# Charge that comes back of what is put in; voltage of a cell at the charger's end, mV; charge
# then; half of the gap between the branches, mV.
_KINDS = {"nmc": (0.9985, 4130, 0.985, 1.5), "lfp": (0.992, 3420, 1.0, 7.0)}
CHEMISTRIES = tuple(sorted(_KINDS))


class Charge:
    """The packs of one rig.

    Args:
        chemistry: one of CHEMISTRIES; cells: in series.
        capacity_mah: what the label of each pack says, a list of 16; 0 = not known.
        empty_mv: lowest voltage of a pack, mV.
        curve: rest voltages of a cell as of `curve.start`, from a calibration; None: the start
            curve.

    Attributes:
        capacity: array of 16: the charge from full to empty as a share of the label's.
        curve: the curve in use.
    """

    def __init__(
        self,
        chemistry: str,
        cells: int,
        capacity_mah: list,
        empty_mv: int,
        curve: "array | list | None" = None,
    ):
        self._cells = cells
        self._eta, full_mv, self._full, self._gap_mv = _KINDS[chemistry]
        self._full_mv = full_mv * cells
        self._empty_mv = empty_mv
        self._start = chemistry, empty_mv / cells
        self._usable = 1 - empty(*self._start)
        self._beside_mv = array("b", bytes(BATTERIES))  # the last look, beside the curve
        self.use(curve)
        self._label_mas = array("f", (max(mah, 1) * float(_MAS) for mah in capacity_mah))
        self._charge = _floats()
        self.capacity = _floats()
        # Covariances of charge s, capacity c and the error e of the curve, whose variance is 1.
        self._ss, self._sc, self._cc = _floats(), _floats(), _floats()
        self._se, self._ce = _floats(), _floats()
        self._branch = _floats()  # -1 after discharge, 1 after charge
        self._moved_mv = _floats()
        self._since_full = _floats()  # what left since then, as a share of the label's
        self._out_mas = _words()  # since the charge was settled, mA*s
        self._fast, self._slow = _words(), _words()
        self._seconds = array("h", bytes(2 * BATTERIES))
        self._full_s = bytearray(BATTERIES)
        for i in range(BATTERIES):
            self._begin(i)

    def use(self, curve: "array | list | None"):
        """From now on `curve` of the rig's own cells holds; None: the start curve."""
        self.curve = curve or start(*self._start)
        self._curve_mv = _OWN_MV if curve else _START_MV
        for i in range(BATTERIES):
            self._beside_mv[i] = _UNSEEN

    def forget(self, i: int):
        """Pack i is another one, or was never seen: nothing is known of it."""
        self._begin(i)

    def _begin(self, i: int):
        self._charge[i], self.capacity[i] = 0.5, self._usable
        self._ss[i], self._sc[i], self._cc[i] = _UNKNOWN**2, 0.0, _CAPACITY**2
        self._se[i] = self._ce[i] = self._branch[i] = 0.0
        self._slow[i] = self._out_mas[i] = self._seconds[i] = self._full_s[i] = 0
        self._beside_mv[i] = _UNSEEN
        self.wake(i)

    def arrange(self, places: list):
        """The packs were exchanged among each other: pack i is that which was at places[i]."""
        for values in (
            self._charge, self.capacity, self._ss, self._sc, self._cc, self._se, self._ce,
            self._branch, self._moved_mv, self._beside_mv, self._since_full, self._out_mas,
            self._fast, self._slow, self._seconds, self._full_s,
        ):  # fmt: skip
            before = list(values)
            for i, place in enumerate(places):
                values[i] = before[place]

    def know(self, i: int, share: float, deviation: float):
        """What a discharge or another rig has shown of the capacity of pack i, if that is surer:
        as `health` gives it."""
        if 0 < deviation * deviation < self._cc[i]:
            self.capacity[i] = min(max(share, 0.4), 1.4)
            self._cc[i] = deviation * deviation
            self._sc[i] = self._ce[i] = 0.0

    def wake(self, i: int):
        """The power was off: what pack i did meanwhile is not known."""
        self._ss[i] += _ASLEEP**2
        self._since_full[i] = _UNCOUNTED
        self._slow[i] //= 2
        self._fast[i] = 0
        slow_v = self._slow[i] / _SLOW_SCALE * _OHM_MAS / self._label_mas[i]
        self._moved_mv[i] = _MOVED_MV + abs(slow_v) / self._cells

    def count(self, i: int, out_mas: int, seconds: int):
        """Charge left pack i (it entered: below 0).

        Args:
            out_mas: how much, mA*s; seconds: within this time, 1..10.
        """
        self._out_mas[i] += out_mas
        self._seconds[i] += seconds
        ma = out_mas // seconds
        self._fast[i] += (ma * _FAST_SCALE - self._fast[i]) * seconds // _FAST_S
        self._slow[i] += (ma * _SLOW_SCALE - self._slow[i]) * seconds // _SLOW_S

    def ended(self, i: int, voltage_mv: int, current_ma: int, seconds: int):
        """Watch for the charger's end; True when pack i has been full for three minutes, once."""
        if voltage_mv < self._full_mv:
            self._full_s[i] = 0
            return False
        if abs(current_ma) > self.label_mah(i) // _TAIL:
            return False
        before = self._full_s[i]
        self._full_s[i] = min(before + seconds, _FULL_S + 1)
        return before < _FULL_S <= self._full_s[i]

    def full(self, i: int):
        """Pack i is full: what `ended` has seen."""
        self._settle(i)
        self._take(i, self._full - self._charge[i], 0.0, 0.01)
        self._since_full[i] = 0.0
        self._beside_mv[i] = 0

    def look(self, i: int, voltage_mv: int, current_ma: int, r_mohm: int):
        """Correct pack i by its voltage.

        Args:
            voltage_mv, current_ma: of the same moment; r_mohm: of the pack, 0 = not known.
        """
        self._settle(i)
        rest, doubt = self._rest(i, voltage_mv, current_ma, r_mohm)
        middle, half = self._seen(i, rest, doubt)
        gone = self._full - middle
        if min(gone, self._since_full[i]) > _DEEP:
            share = self._since_full[i] / gone
            self.know(i, share, share * sqrt(half * half + _COUNTED * _COUNTED) / gone)
        self._take(i, middle - self._charge[i], half, half)
        known = volts_at(self.curve, min(max(self._charge[i], 0.0), 1.0))
        beside = int(self._within(rest) - known)
        # Further from the curve than it is wrong by is not the pack, but a charger near its end.
        self._beside_mv[i] = beside if abs(beside) <= 2 * self._curve_mv else _UNSEEN

    def is_another(self, i: int, voltage_mv: int, current_ma: int, r_mohm: int):
        """True when what pack i shows at power-on contradicts what it showed last: no charge
        within what may have changed has that voltage."""
        if self._beside_mv[i] == _UNSEEN:
            return False
        rest, doubt = self._rest(i, voltage_mv, current_ma, r_mohm)
        rest = self._within(rest) - self._beside_mv[i]
        wide = _SURE * sqrt(doubt + _SAME_MV * _SAME_MV)
        charge, near = self.now(i)[0], _SURE * _SAME
        low = charge_at(self.curve, rest - wide) - near
        return not low <= charge <= charge_at(self.curve, rest + wide) + near

    def now(self, i: int):
        """(charge of pack i, its standard deviation) at this moment, both as shares of 1."""
        return self._charge[i] + self._moved(i), sqrt(self._ss[i])

    def health(self, i: int):
        """(capacity of pack i as a share of the label's, its standard deviation)."""
        return self.capacity[i], sqrt(self._cc[i])

    def left_mah(self, i: int, lasting_ma: int, voltage_mv: int, current_ma: int, r_mohm: int):
        """What pack i can still give until its voltage is the lowest one, mAh.

        The charge tells it, and how far the voltage is above the lowest, the surer of them more:
        where the curve is steep, near empty, that is the voltage.

        Args:
            lasting_ma: the current of discharge, as it will last; all others: as of `look`.
        """
        ohm, curve = self._ohm(i, r_mohm), self.curve
        drop_mv = lasting_ma * ohm * (1 + _FAST_SHARE + _SLOW_SHARE)
        floor = charge_at(curve, (self._empty_mv + drop_mv) / self._cells)
        left = self._charge[i] + self._moved(i) - max(floor, 0.0)
        rest, doubt = self._rest(i, voltage_mv, current_ma, r_mohm)
        above = (voltage_mv + (current_ma - lasting_ma) * ohm - self._empty_mv) / self._cells
        two = 2 * sqrt(doubt + self._curve_mv * self._curve_mv)
        seen = charge_at(curve, rest) - charge_at(curve, rest - above)
        half = (charge_at(curve, rest + two) - charge_at(curve, rest + two - above) - seen) / 2
        left += (seen - left) * self._ss[i] / (self._ss[i] + half * half + _SPAN * _SPAN)
        return max(left, 0.0) * self.full_mah(i)

    def row(self, i: int):
        """What is kept of pack i: seven whole numbers that `recall` takes, see ROW."""
        charge, deviation = self.now(i)
        slow = self._slow[i] // _SLOW_SCALE * _SLOW_PARTS // (self.label_mah(i) or 1)
        return (
            int(min(max(charge + _BELOW, 0.0), 1.2) * _PARTS + 0.5),
            int(self.capacity[i] * _CAPACITY_PARTS + 0.5),
            int(min(deviation, 0.5) * _DEVIATION_PARTS + 0.5) or 1,
            int(min(sqrt(self._cc[i]), 0.25) * _OF_CAPACITY_PARTS + 0.5) or 1,
            min(max(slow, -127), 127),
            int(self._branch[i] * 100),
            self._beside_mv[i],
        )

    def recall(self, i: int, row: "tuple | list"):
        """Take over what `row` gave.

        How far the error is the curve's is not kept: nearly all of it, to be careful.
        """
        charge, capacity, deviation, of_capacity, slow, branch, self._beside_mv[i] = row
        self._charge[i] = charge / _PARTS - _BELOW
        self.capacity[i] = min(max(capacity / _CAPACITY_PARTS, 0.4), 1.4)
        self._ss[i] = (deviation / _DEVIATION_PARTS) ** 2
        self._cc[i] = (of_capacity / _OF_CAPACITY_PARTS) ** 2
        self._se[i] = -0.9 * deviation / _DEVIATION_PARTS
        self._sc[i] = self._ce[i] = self._moved_mv[i] = 0.0
        self._slow[i] = slow * self.label_mah(i) // _SLOW_PARTS * _SLOW_SCALE
        self._branch[i] = branch / 100

    def label_mah(self, i: int):
        """What the label of pack i says, mAh."""
        return int(self._label_mas[i]) // _MAS

    def full_mah(self, i: int):
        """The charge of pack i from full to empty, mAh."""
        return self.capacity[i] * self._label_mas[i] / _MAS

    def _moved(self, i: int):
        """The share by which the charge moved since it was settled."""
        out = self._out_mas[i]
        eta = self._eta if out < 0 else 1.0
        return -out * eta / (self._label_mas[i] * self.capacity[i])

    def _settle(self, i: int):
        """Charge and uncertainties follow what was counted."""
        moved = self._moved(i)
        by_c = -moved / self.capacity[i]
        ss, sc, cc = self._ss[i], self._sc[i], self._cc[i]
        drift = _SENSOR_MA * self._seconds[i] / self._label_mas[i]
        gain = _GAIN * moved
        self._charge[i] += moved
        self._since_full[i] -= moved * self.capacity[i]
        self._ss[i] = ss + by_c * (2 * sc + by_c * cc) + drift * drift + gain * gain
        self._sc[i] = sc + by_c * cc
        fades = exp(-abs(moved) / _ERROR_LENGTH)
        self._se[i] = (self._se[i] + by_c * self._ce[i]) * fades
        self._ce[i] *= fades
        if moved:
            aim = 1.0 if moved > 0 else -1.0
            self._branch[i] += (aim - self._branch[i]) * (1 - exp(-abs(moved) / _BRANCH_LENGTH))
        self._moved_mv[i] *= exp(-self._seconds[i] / _SLOW_S)
        self._out_mas[i] = self._seconds[i] = 0

    def _ohm(self, i: int, r_mohm: int):
        return r_mohm / 1000 if r_mohm else _OHM_MAS / self._label_mas[i]

    def rest_mv(self, i: int, voltage_mv: int, current_ma: int, r_mohm: int):
        """The rest voltage of a cell of pack i that its voltage under load tells, mV.

        Args: as of `look`.
        """
        return self._rest(i, voltage_mv, current_ma, r_mohm)[0]

    def _rest(self, i: int, voltage_mv: int, current_ma: int, r_mohm: int):
        # `rest_mv`, and its variance by what load and relaxation are not known of.
        ohm, cells, moved = self._ohm(i, r_mohm), self._cells, self._moved_mv[i]
        direct = current_ma * ohm
        fast = self._fast[i] / _FAST_SCALE * ohm * _FAST_SHARE
        slow = self._slow[i] / _SLOW_SCALE * ohm * _SLOW_SHARE
        rest = (voltage_mv + direct + fast + slow) / cells - self._gap_mv * self._branch[i]
        sure = 0.25 if r_mohm else 1.0
        drops = (sure * direct) ** 2 + (0.7 * fast) ** 2 + (0.7 * slow) ** 2
        return rest, drops / (cells * cells) + moved * moved

    def _within(self, rest: float):
        return min(max(rest, self.curve[0]), self.curve[-1])

    def _seen(self, i: int, rest: float, doubt: float):
        """(charge, deviation) that `_rest` of pack i tells.

        The deviation is half of that within which 2 deviations of the voltage lie: beside a knee
        of the curve one alone would show the steep side only.
        """
        gap = self._gap_mv * (1.1 - 0.7 * abs(self._branch[i]))
        beyond = 2 * (rest - self._within(rest))
        wrong = self._curve_mv * self._curve_mv + gap * gap + beyond * beyond
        two = 2 * sqrt(doubt + wrong)
        low = charge_at(self.curve, rest - two)
        high = charge_at(self.curve, rest + two)
        half = (high - low) / 4
        return (low + high) / 2, sqrt(half * half + _BESIDE * _BESIDE)

    def _take(self, i: int, off: float, shared: float, own: float):
        """Take in a measured charge that is `off` the estimate.

        Args:
            shared: the part of its deviation that the next look will have too; own: the rest.
        """
        se, ce = self._se[i], self._ce[i]
        if shared:
            # More would be none of this look's, or turn the correction round.
            least = -min(shared, _COMMON * self._ss[i] / shared)
            if se < least:
                ce *= least / se
                se = least
        to_s, to_c = self._ss[i] + shared * se, self._sc[i] + shared * ce
        to_e = se + shared
        total = to_s + shared * to_e + own * own
        total = max(total, off * off / 4)  # what contradicts counts little, however sure it seems
        by_s, by_c = to_s / total, to_c / total
        self._charge[i] = min(max(self._charge[i] + by_s * off, -0.02), 1.02)
        self.capacity[i] = min(max(self.capacity[i] + by_c * off, 0.4), 1.4)
        self._ss[i] = max(self._ss[i] - by_s * to_s, 1e-6)
        self._sc[i] -= by_s * to_c
        self._cc[i] = max(self._cc[i] - by_c * to_c, 1e-5)
        self._se[i] = se - by_s * to_e
        self._ce[i] = ce - by_c * to_e


def _floats():
    return array("f", bytes(4 * BATTERIES))


def _words():
    return array("i", bytes(4 * BATTERIES))
