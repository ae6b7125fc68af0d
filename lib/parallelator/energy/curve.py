# SPDX-License-Identifier: GPL-3.0-only
"""The rest voltage of a cell against the charge that is usable, both ways. Called by `charge`.

Charge is 0 at rest at the lowest voltage of the settings and 1 at the charger's end.
"""

from array import array

from micropython import const

POINTS = const(21)
"""Points of a curve: charge 0, 5, ... 100 %."""

START_MV = {
    "nmc": (2566, 3221, 3359, 3436, 3489, 3541, 3586, 3622, 3658, 3695, 3741)
    + (3789, 3838, 3886, 3934, 3982, 4026, 4065, 4088, 4112, 4188),
    "lfp": (2561, 3100, 3183, 3200, 3220, 3237, 3252, 3261, 3271, 3275, 3278)
    + (3282, 3285, 3289, 3295, 3305, 3313, 3318, 3322, 3327, 3403),
}
"""Rest voltages of a cell in mV from empty to full, for a rig that has no curve of its own. NMC:
the mean of what is published of Molicel P42A, Samsung 40T and a Samsung INR21700 (S. Sunil and
others, IEEE Trans. Instrum. Meas. 2025, C/20 to C/32). LiFePO4: the mean of the table of
LibreSolar's charge controllers, that of an A123 cell in D. McQueeney's JetiLuaDFM and the
LithiumWerks APR18650M1B of S. Sunil and others (C/32), which lies 13 to 36 mV above the two."""

_LEAST, _MOST = -0.05, 1.05


def start(chemistry: str, empty_mv: float):
    """The start curve from a cell's lowest voltage on.

    Args:
        chemistry: a key of START_MV; empty_mv: where the settings call a cell empty, mV.

    Returns:
        array: POINTS rest voltages in mV, rising.
    """
    table, least, last = START_MV[chemistry], empty(chemistry, empty_mv), POINTS - 1
    return array("f", (volts_at(table, least + (1 - least) * k / last) for k in range(POINTS)))


def empty(chemistry: str, empty_mv: float):
    """What of a cell's charge is below its lowest voltage, as a share of all; as of `start`."""
    return min(max(charge_at(START_MV[chemistry], empty_mv), 0.0), 0.5)


def volts_at(curve: "array | tuple | list", charge: float):
    """The rest voltage of a cell in mV; beyond both ends the slope goes on."""
    at = charge * (POINTS - 1)
    k = min(max(int(at), 0), POINTS - 2)
    return curve[k] + (curve[k + 1] - curve[k]) * (at - k)


def charge_at(curve: "array | tuple | list", mv: float):
    """The charge at a rest voltage of a cell in mV: the reverse of `volts_at`, -0.05 to 1.05."""
    low, high = 0, POINTS - 1
    while high - low > 1:
        k = (low + high) // 2
        if curve[k] <= mv:
            low = k
        else:
            high = k
    rise = max(curve[high] - curve[low], 0.1)
    charge = (low + (mv - curve[low]) / rise) / (POINTS - 1)
    return min(max(charge, _LEAST), _MOST)
