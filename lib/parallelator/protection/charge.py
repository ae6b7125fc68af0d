"""Ampere-hours in integers: whole mAh and the remainder in mA*ms. Called by `guard`."""

from micropython import const

_MAH = const(3600000)
"""One mAh in mA*ms."""


def count(snap, i, current_ma, dt_ms):
    """Add `dt_ms` (0..1000) of `current_ma` to battery i's discharge or charge."""
    if current_ma >= 0:
        rest = snap.discharge_rest[i] + current_ma * dt_ms
        if rest >= _MAH:
            snap.discharge_mah[i] += rest // _MAH
            rest %= _MAH
        snap.discharge_rest[i] = rest
    else:
        rest = snap.charge_rest[i] - current_ma * dt_ms
        if rest >= _MAH:
            snap.charge_mah[i] += rest // _MAH
            rest %= _MAH
        snap.charge_rest[i] = rest
