# SPDX-License-Identifier: GPL-3.0-only
"""How good each pack still is: its capacity against the label's, its resistance against its own of
before and that of the others. Called by `meter`."""

from array import array

from micropython import const

from parallelator.energy import keep, kept
from parallelator.snapshot import BATTERIES

_KEY = "r_first"
_SURE = 0.05
"""Deviation of a capacity that is told."""
_TIRED_PCT = const(80)
_GROWN = 1.5
"""Capacity under which, and growth of the resistance over which a pack is told of."""
_OTHERS = const(2)
"""Packs beside one whose resistances are needed to tell its growth from that of a cold night."""


class Health:
    """Watches the packs of one rig.

    Args:
        charge: a `Charge`; snap: the `Snapshot`, for its resistances; store: a `Storage` or its
            like, which keeps the first resistance of each pack; emit: function (code, i, state,
            reason, value) that records an event.

    Attributes:
        first_mohm: array of 16: the first resistance of each pack, 0 = not known.
    """

    def __init__(
        self,
        charge: "Charge",
        snap: "Snapshot",
        store: "Storage",
        emit: "Callable[[str, int, int, int, int], object]",
    ):
        self._charge = charge
        self._snap = snap
        self._store = store
        self._emit = emit
        self.first_mohm = array("H", kept(store, _KEY, 2 * BATTERIES))
        # A capacity that is low at a start was told before it; resistances are measured anew.
        self._tired = sum(1 << i for i in range(BATTERIES) if self._is_tired(i))
        self._grown = 0

    def percent(self, i: int):
        """Capacity of pack i in per cent of the label's, None while it is not known."""
        share, deviation = self._charge.health(i)
        return int(share * 100 + 0.5) if deviation <= _SURE else None

    def _is_tired(self, i: int):
        pct = self.percent(i)
        return pct is not None and pct < _TIRED_PCT

    def _growth(self, i: int):
        # Resistance of pack i over its first, 0 when one of them is not known.
        return self._snap.r_mohm[i] / self.first_mohm[i] if self.first_mohm[i] else 0

    def _is_grown(self, i: int):
        others = [self._growth(j) for j in range(BATTERIES) if j != i]
        others = sorted(growth for growth in others if growth)
        return len(others) >= _OTHERS and self._growth(i) > _GROWN * others[len(others) // 2]

    def forget(self, i: int):
        """Pack i is another one."""
        self._tired &= ~(1 << i)
        self._grown &= ~(1 << i)
        self.begin(i, 0)

    def begin(self, i: int, r_mohm: int):
        """The first resistance of pack i was `r_mohm`; 0: it is to be measured."""
        if self.first_mohm[i] != r_mohm:
            self.first_mohm[i] = r_mohm
            keep(self._store, _KEY, bytes(self.first_mohm))

    def arrange(self, places: list):
        """The packs were exchanged among each other: see `Charge.arrange`."""
        first_mohm, tired, grown = list(self.first_mohm), self._tired, self._grown
        self._tired = self._grown = 0
        for i, place in enumerate(places):
            self.first_mohm[i] = first_mohm[place]
            self._tired |= (tired >> place & 1) << i
            self._grown |= (grown >> place & 1) << i
        keep(self._store, _KEY, bytes(self.first_mohm))

    def look(self, i: int):
        """Look at pack i, whose charge was corrected just now; tell what is new."""
        bit = 1 << i
        if self._is_tired(i) and not self._tired & bit:
            self._tired |= bit
            self._emit("capacity_low", i, 0, 0, self.percent(i) or 0)
        r_mohm = self._snap.r_mohm[i]
        if r_mohm and not self.first_mohm[i]:
            self.begin(i, r_mohm)
        elif self._is_grown(i) and not self._grown & bit:
            self._grown |= bit
            self._emit("resistance_grown", i, 0, 0, r_mohm)
