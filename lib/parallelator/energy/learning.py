# SPDX-License-Identifier: GPL-3.0-only
"""Learns the curve of a rig's own cells between a full and an empty rig. Pure; called by `meter`.

The rig is taken for one large pack: packs in parallel share one voltage, so what they gave
together since they were full, as a share of what their labels promise, is the place on the curve.
Every discharge from full to empty counts, whether a person asked for it or not.
"""

from array import array
from math import ceil

from micropython import const

from parallelator.energy.curve import POINTS, charge_at, volts_at

CHARGE = const(0)
DISCHARGE = const(1)
PHASES = ("charge", "discharge")
_BINS = const(52)
_BIN = 0.025
"""Share of the label's charge that is averaged into one voltage."""
_BEGUN = 0.01
"""What has to leave a full rig before its discharge counts as begun."""
_BACK = 0.02
"""What may be charged in between."""
_EMPTY = 0.12
"""Charge, by the curve known so far, at which a rig that rests counts as empty."""
_LEAST, _MOST = 0.5, 1.25
"""Capacity that is believed, as a share of the label's."""
_SEEN = 0.8
"""Share of the bins that need a voltage."""
_MOST_NIGHTS = const(4)
_MOST_MAH = const(1000000000)
_PARTS = const(10)
_SHARES = const(10000)
"""Scales of what is kept: of a mV, of a share."""
_HEAD = const(16)
RECORD_BYTES = const(120)


class Learner:
    """What the discharge of one rig has shown so far.

    Args:
        label_mah: what the label of each pack promises, a list of 16.

    Attributes:
        phase: CHARGE: it waits for a full rig; DISCHARGE: it follows what leaves it.
        full: mask of the packs that have reached the charger's end.
        share: what left since they were full, as a share of what their labels promise.
        left_over: how a discharge ended without a curve: "" = none did, else "charged", "joined",
            "sparse" or "capacity".
    """

    def __init__(self, label_mah: list):
        self._label_mah = label_mah
        self._mv = array("f", bytes(4 * _BINS))
        self._looks = bytearray(_BINS)
        self.forget("")

    def forget(self, left_over: str):
        """Begin anew: wait for a full rig."""
        self.phase = CHARGE
        self.full = 0
        self.share = self._most = 0.0
        self._from_mah = _MOST_MAH
        self.left_over = left_over

    def ended(self, i: int):
        """The charger has ended for pack i."""
        self.full |= 1 << i

    def swapped(self, i: int):
        """Pack i is another one."""
        self.full &= ~(1 << i)

    def follow(self, net_mah: int, on: int):
        """Time went by.

        Args:
            net_mah: what left all packs since they exist, less what entered them, mAh.
            on: mask of the packs that are on.

        Returns:
            bool: True when the place has come into another bin, which is worth keeping.
        """
        if self.phase == CHARGE:
            self._wait(net_mah, on)
            return self.phase == DISCHARGE
        if on & ~self.full:
            self.forget("joined")
            return True
        before = int(self.share / _BIN)
        self.share = self._share(net_mah)
        self._most = max(self._most, self.share)
        if not self._most - _BACK <= self.share < _MOST:
            self.forget("charged" if self.share < _MOST else "capacity")
            return True
        return int(self.share / _BIN) != before

    def _wait(self, net_mah: int, on: int):
        if not on or on & ~self.full:
            self._from_mah = _MOST_MAH
            return
        self._from_mah = min(self._from_mah, net_mah)
        self.share = self._share(net_mah)
        if self.share > _BEGUN:
            self.phase = DISCHARGE
            self._most = self.share
            self._looks[:] = bytes(_BINS)
            self.left_over = ""

    def _share(self, net_mah: int):
        full_mah = sum(mah for i, mah in enumerate(self._label_mah) if self.full >> i & 1)
        return (net_mah - self._from_mah) / full_mah

    def look(self, i: int, rest_mv: float):
        """The rest voltage of a cell of pack i, mV, as its voltage under load tells."""
        if self.phase == DISCHARGE and self.full >> i & 1:
            k = min(int(max(self.share, 0.0) / _BIN), _BINS - 1)
            looks = self._looks[k] = min(self._looks[k] + 1, 255)
            self._mv[k] += (rest_mv - self._mv[k]) / looks if looks > 1 else rest_mv - self._mv[k]

    def is_empty(self, known: "array | list"):
        """True when the last voltages are those of an empty rig, by the curve `known` so far."""
        return self.phase == DISCHARGE and self._rest(known)[1] < _EMPTY

    def _rest(self, known: "array | list"):
        # (the last bin with a voltage, the charge there by a curve); charge 1 without any.
        for k in range(_BINS - 1, -1, -1):
            if self._looks[k]:
                return k, charge_at(known, self._mv[k])
        return 0, 1.0

    def finish(self, known: "array | list", nights: int):
        """The rig is empty: what came of it.

        Args:
            known: the curve in use; nights: how many discharges it comes from, 0 = it is not the
                rig's own. Its shape stands for what lies beyond both ends.

        Returns:
            list or None: the new curve, as of `curve.start`, whole mV; None: `left_over` says why.
        """
        last, rest = self._rest(known)
        seen = sum(1 for k in range(last + 1) if self._looks[k])
        end = self._middle(last, last)
        total = end * _BIN / (1 - max(rest, 0.0))
        if seen < ceil(_SEEN * (last + 1)):
            self.forget("sparse")
            return None
        if not _LEAST < total < _MOST:
            self.forget("capacity")
            return None
        points = POINTS - 1
        weight = min(nights, _MOST_NIGHTS)
        learned, least = [], 0
        for k in range(points + 1):
            mv = self._at((1 - k / points) * total / _BIN, k / points, known, last, rest)
            mv = (mv + weight * known[k]) / (1 + weight)
            least = max(int(mv + 0.5), least + 1)
            learned.append(least)
        self.forget("")
        return learned

    def _at(self, place: float, charge: float, known: "array | list", last: int, rest: float):
        # The voltage at a place in bins; beyond the first and the last that of the shape known.
        below = int(place + 0.5) - 1
        if place >= self._middle(last, last):
            below = last
        before, after = self._near(below, -1), self._near(below + 1, 1)
        if before < 0:
            at = 1 - (1 - rest) * self._middle(after, last) / self._middle(last, last)
            return self._mv[after] + volts_at(known, charge) - volts_at(known, at)
        if after > last:
            return self._mv[last] + volts_at(known, charge) - volts_at(known, rest)
        begin = self._middle(before, last)
        share = (place - begin) / (self._middle(after, last) - begin)
        return self._mv[before] + (self._mv[after] - self._mv[before]) * share

    def _middle(self, k: int, last: int):
        # The middle of bin k, in bins; of the last one that of what was discharged of it.
        return (k + (min(self._most / _BIN, k + 1) if k == last else k + 1)) / 2

    def _near(self, k: int, step: int):
        # The nearest bin with a voltage from k on; -1 or _BINS when there is none.
        while 0 <= k < _BINS and not self._looks[k]:
            k += step
        return min(max(k, -1), _BINS)

    # Over a restart

    def record(self):
        """What a restart must not lose: RECORD_BYTES that `recall` takes."""
        kept = array("i", (self.phase, self._from_mah, self.full, int(self._most * _SHARES)))
        mv = array("H", (int(self._mv[k] * _PARTS) if self._looks[k] else 0 for k in range(_BINS)))
        return bytes(kept) + bytes(mv)

    def recall(self, record: "bytes | bytearray"):
        """Take over what `record` gave."""
        self.phase, self._from_mah, self.full, most = array("i", record[:_HEAD])
        self._most = self.share = most / _SHARES
        for k, mv in enumerate(array("H", record[_HEAD:])):
            self._mv[k] = mv / _PARTS
            self._looks[k] = min(mv, 1)
