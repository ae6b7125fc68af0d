# SPDX-License-Identifier: GPL-3.0-only
"""The curve of a rig's own cells: learned, kept in the flash, told. Called by `meter`."""

from array import array

from micropython import const

from parallelator.energy import keep, kept
from parallelator.energy.curve import POINTS
from parallelator.energy.learning import PHASES, RECORD_BYTES, Learner
from parallelator.snapshot import BATTERIES, RIG

_CURVE, _LEARN = "curve", "learn"
_CURVE_BYTES = const(44)
_IDLE_S = const(60)
"""Time without a current after which an empty rig has ended its discharge."""

START, OWN, TYPED = "start", "own", "settings"
"""Where the curve in use comes from."""


class Calibration:
    """Gives a `Charge` the curve of its rig, and learns it.

    Args:
        charge: the `Charge`; label_mah: as of `Learner`.
        typed: the curve of the settings, None when they have none: then nothing is learned.
        store: a `Storage` or its like; emit: function (code, i, state, reason, value).

    Attributes:
        nights: discharges that the curve comes from. learner: the `Learner`.
    """

    def __init__(
        self,
        charge: "Charge",
        label_mah: list,
        typed: "list | None",
        store: "Storage",
        emit: "Callable[[str, int, int, int, int], object]",
    ):
        self._charge = charge
        self._store = store
        self._emit = emit
        self._typed = typed is not None
        self.nights = 0
        self.learner = Learner(label_mah)
        if self._typed:
            charge.use(typed)
            return
        self.nights, *curve = array("H", kept(store, _CURVE, _CURVE_BYTES))
        if self.nights:
            charge.use(curve)
        self.learner.recall(kept(store, _LEARN, RECORD_BYTES))

    def ended(self, i: int):
        """The charger has ended for pack i."""
        self.learner.ended(i)
        keep(self._store, _LEARN, self.learner.record())

    def look(self, i: int, voltage_mv: int, current_ma: int, r_mohm: int):
        """Pack i gives, or rests: as of `Charge.look`, after it."""
        self.learner.look(i, self._charge.rest_mv(i, voltage_mv, current_ma, r_mohm))

    def follow(self, net_mah: int, on: int, idle_s: int):
        """Time went by.

        Args:
            net_mah, on: as of `Learner.follow`; idle_s: since when no current flows.
        """
        if self._typed:
            return
        learner = self.learner
        if learner.follow(net_mah, on):
            keep(self._store, _LEARN, learner.record())
        if idle_s >= _IDLE_S and learner.is_empty(self._charge.curve):
            curve = learner.finish(self._charge.curve, self.nights)
            if curve:
                self.nights += 1
                self._charge.use(curve)
                keep(self._store, _CURVE, bytes(array("H", [self.nights] + curve)))
                self._emit("curve_learned", RIG, 0, 0, self.nights)
            keep(self._store, _LEARN, learner.record())

    def forget(self):
        """Back to the start curve; what is learned begins anew."""
        self.nights = 0
        self.learner.forget("")
        self._charge.use(None)
        for key, size in ((_CURVE, _CURVE_BYTES), (_LEARN, RECORD_BYTES)):
            keep(self._store, key, bytes(size))

    def view(self):
        """As `GET /api/calibration` shows it: a dict.

        `phase`: "charge" until all packs that are on are full, then "discharge"; `full`: the
        numbers of those; `discharged_pct`: what left the rig since, of what their labels promise;
        `left_over`: why the last discharge gave no curve, "charged", "joined", "sparse" or
        "capacity"; `curve`: rest voltages of a cell, mV, at 0 to 100 % in steps of `step_pct`, its
        `source` and the `nights` that it comes from.
        """
        learner = self.learner
        return {
            "phase": PHASES[learner.phase],
            "full": [i + 1 for i in range(BATTERIES) if learner.full >> i & 1],
            "discharged_pct": int(max(learner.share, 0.0) * 100),
            "left_over": learner.left_over or None,
            "source": TYPED if self._typed else OWN if self.nights else START,
            "nights": self.nights,
            "curve": [int(mv + 0.5) for mv in self._charge.curve],
            "step_pct": 100 // (POINTS - 1),
        }
