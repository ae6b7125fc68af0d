# SPDX-License-Identifier: GPL-3.0-only
"""Cells in series: their rest voltage, and how it follows what flowed. Called by plant once a
second.

A pack's rest voltage is that of its curve, plus the branch it is on (hysteresis), less what still
relaxes slowly. The curves follow the slow-discharge curves in the data sheets of 18650 NMC cells
(steep below 10 %, nearly straight to 4.2 V) and of LiFePO4 cells (flat from 20 to 90 %, a knee at
both ends). That one fast and one slow RC pair describe how the voltage comes back, the slow one
over minutes to an hour, is common to equivalent-circuit models (L. Pei and others, J. Power
Sources 253, 2014). That LiFePO4 rests 10 to 25 mV a cell higher after charge than after discharge,
and changes branch within some per cent of its charge, is measured by A. Marongiu and others,
Applied Energy 171, 2016; the one state that goes to 1 or -1 with the charge that passes is G.
Plett's (J. Power Sources 134, 2004). In NMC this gap is too small to matter here. All values are
our own rounding of that common picture, not one maker's table.
"""

from math import exp

CURVES = {
    "nmc7s": (
        7,
        (0.0, 0.05, 0.10, 0.20, 0.30, 0.40, 0.50, 0.60, 0.70, 0.80, 0.90, 1.0),
        (2.90, 3.30, 3.45, 3.55, 3.61, 3.66, 3.73, 3.83, 3.92, 4.02, 4.10, 4.20),
    ),
    "lfp8s": (
        8,
        (0.0, 0.05, 0.10, 0.20, 0.30, 0.40, 0.50, 0.60, 0.70, 0.80, 0.90, 0.97, 1.0),
        (2.50, 3.00, 3.20, 3.25, 3.28, 3.29, 3.30, 3.31, 3.33, 3.335, 3.34, 3.37, 3.60),
    ),
}
"""Cells in series, state of charge (0..1) and rest voltage of one cell (V) per chemistry."""

RELAXATION = {"nmc7s": (0.15, 600e6, 0.0), "lfp8s": (0.4, 900e6, 0.008)}
"""Per chemistry: the slow R as a share of the pack's `r_mohm`, on top of it; its time constant in
us; half of the gap between the branches of charge and discharge, V a cell."""

_BRANCH_SHARE = 0.03


class Cells:
    """The cells of one pack.

    Args:
        chemistry: a key of CURVES; capacity_ah: of the pack.

    Attributes:
        soc: state of charge; beyond 0 and 1 the curve goes on along its end slope.
        branch: from -1, at rest after discharge, to 1, after charge.
        slow_a: current through the slow R, A.
    """

    def __init__(self, chemistry, capacity_ah):
        self._count, self._socs, self._volts = CURVES[chemistry]
        self._share, self._tau_us, half_v = RELAXATION[chemistry]
        self._half_v = half_v
        self._capacity_ah = capacity_ah
        self._slow_ohm = 0.0
        self.soc = 0.0
        self.settle()

    def set_resistance(self, ohm):
        """The slow R is a share of the pack's resistance."""
        self._slow_ohm = ohm * self._share

    def settle(self):
        """Long at rest, between the branches."""
        self.branch = self.slow_a = 0.0

    def set_rest(self, volts):
        """Settle where the curve has this voltage of the pack, within 0..1."""
        self.settle()
        soc = _interpolate(self._volts, self._socs, volts / self._count)
        self.soc = min(1.0, max(0.0, soc))

    def pass_charge(self, ah, us):
        """Charge left the pack (it entered: below 0), evenly within so many us."""
        self.soc -= ah / self._capacity_ah
        if self._half_v and ah:
            aim = -1 if ah > 0 else 1
            way = 1 - exp(-abs(ah) / (_BRANCH_SHARE * self._capacity_ah))
            self.branch += (aim - self.branch) * way
        if us:
            self.slow_a += (ah * 3.6e9 / us - self.slow_a) * (1 - exp(-us / self._tau_us))

    def rest_v(self):
        """What the pack shows without current once its fast RC pair is at rest, V."""
        cell_v = _interpolate(self._socs, self._volts, self.soc) + self.branch * self._half_v
        return self._count * cell_v - self.slow_a * self._slow_ohm


def _interpolate(xs, ys, x):
    """Straight lines through the points, xs rising; the outer two go on beyond the ends."""
    k = 1
    while k < len(xs) - 1 and x > xs[k]:
        k += 1
    return ys[k] + (x - xs[k]) * (ys[k] - ys[k - 1]) / (xs[k] - xs[k - 1])
