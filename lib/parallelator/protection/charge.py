"""What adds up, in integers with the remainder kept: ampere-hours, hours. Called by `guard`."""

from micropython import const

_MAH = const(3600000)
"""One mAh in mA*ms."""


def count(snap: "Snapshot", i, current_ma, dt_ms):
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


def count_time(snap: "Snapshot", i, dt_ms):
    """Add `dt_ms` to the time battery i spent ON."""
    rest = snap.on_rest_ms[i] + dt_ms
    if rest >= 1000:
        snap.on_s[i] += rest // 1000
        rest %= 1000
    snap.on_rest_ms[i] = rest
