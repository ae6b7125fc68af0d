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
    "lfp": (2833, 3132, 3177, 3190, 3213, 3226, 3240, 3252, 3262, 3264, 3265)
    + (3268, 3271, 3275, 3283, 3296, 3304, 3308, 3309, 3314, 3392),
}
"""Rest voltages of a cell in mV from empty to full, for a rig that has no curve of its own. NMC:
the mean of what is published of Molicel P42A, Samsung 40T and a Samsung INR21700 (S. Sunil and
others, IEEE Trans. Instrum. Meas. 2025, C/20 to C/32). LiFePO4: the table of LibreSolar's charge
controllers."""

_LEAST, _MOST = -0.05, 1.05


def start(chemistry: str, empty_mv: float):
    """The start curve from a cell's lowest voltage on.

    Args:
        chemistry: a key of START_MV; empty_mv: where the settings call a cell empty, mV.

    Returns:
        array: POINTS rest voltages in mV, rising.
    """
    table = START_MV[chemistry]
    empty = min(max(charge_at(table, empty_mv), 0.0), 0.5)
    last = POINTS - 1
    return array("f", (volts_at(table, empty + (1 - empty) * k / last) for k in range(POINTS)))


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
