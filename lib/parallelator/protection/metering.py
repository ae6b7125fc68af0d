# SPDX-License-Identifier: GPL-3.0-only
"""What is metered of each pack: ampere-hours, hours, the resistance inside it. Called by `guard`.

What adds up does so in integers with the remainder kept. The resistance comes from the steps of
the pack's own load. Nothing is switched for it: two steady readings around a step of the current
give R = -dV / dI. Relaxation within the few scans of a step counts as resistance: it also acts
when a pack joins.
"""

from array import array

from micropython import const

from parallelator.snapshot import BATTERIES

_MAH = const(3600000)
"""One mAh in mA*ms."""
_STEADY_MA = const(200)
_STEP_MA = const(2000)
_AGE = const(5)
"""Readings after which a steady one is too old to be the other side of a step."""
_LEAST_MOHM = const(5)
_MOST_MOHM = const(500)
_STEPS = const(3)
"""Steps that are seen before a resistance is believed."""


def count_charge(snap: "Snapshot", i: int, current_ma: int, dt_ms: int):
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


def count_time(snap: "Snapshot", i: int, dt_ms: int):
    """Add `dt_ms` to the time battery i spent ON."""
    rest = snap.on_rest_ms[i] + dt_ms
    if rest >= 1000:
        snap.on_s[i] += rest // 1000
        rest %= 1000
    snap.on_rest_ms[i] = rest


class Resistance:
    """Measures while packs are connected; allocates nothing.

    Args:
        snap: the `Snapshot`; its `r_mohm` is filled, 0 = not known yet.
    """

    def __init__(self, snap: "Snapshot"):
        self._r_mohm = snap.r_mohm
        self._mean_mohm = array("h", bytes(2 * BATTERIES))
        self._steps = bytearray(BATTERIES)
        self._last_ma = array("i", bytes(4 * BATTERIES))
        self._steady_ma = array("i", bytes(4 * BATTERIES))
        self._steady_mv = array("i", bytes(4 * BATTERIES))
        self._age = bytearray(BATTERIES)

    @property
    def kept(self):
        """What a reset must not forget: rows as `records.rtc_state.RtcState` takes them."""
        return (
            (self._r_mohm, "h", 0, _MOST_MOHM, False),
            (self._mean_mohm, "h", 0, _MOST_MOHM, False),
            (self._steps, "B", 0, _STEPS, False),
        )

    def sample(self, i: int, voltage_mv: int, current_ma: int):
        """A healthy reading of the connected battery i, one per scan."""
        steady = -_STEADY_MA <= current_ma - self._last_ma[i] <= _STEADY_MA
        self._last_ma[i] = current_ma
        if not steady:
            if self._age[i]:
                self._age[i] -= 1
            return
        step_ma = current_ma - self._steady_ma[i]
        if self._age[i] and not -_STEP_MA < step_ma < _STEP_MA:
            self._learn(i, (self._steady_mv[i] - voltage_mv) * 1000 // step_ma)
        self._steady_ma[i] = current_ma
        self._steady_mv[i] = voltage_mv
        self._age[i] = _AGE

    def opened(self, i: int):
        """Battery i is not connected: what it reads next is no step of its load."""
        self._age[i] = 0

    def forget(self, i: int):
        """Sensor i is gone: it may come back with another pack."""
        self._r_mohm[i] = self._mean_mohm[i] = self._steps[i] = self._age[i] = 0

    def _learn(self, i: int, mohm: int):
        if not _LEAST_MOHM <= mohm <= _MOST_MOHM:
            return
        if self._steps[i] < _STEPS:
            self._steps[i] += 1
        if self._steps[i] == 1:
            self._mean_mohm[i] = mohm
        else:
            self._mean_mohm[i] += (mohm - self._mean_mohm[i]) // 4
        if self._steps[i] == _STEPS:
            self._r_mohm[i] = self._mean_mohm[i]
