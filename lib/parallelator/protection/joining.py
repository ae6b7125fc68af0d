# SPDX-License-Identifier: GPL-3.0-only
"""Who may join, and when: one by one onto a live bus, as a group onto a dead one. Run by `guard`.

Sets of batteries are 16-bit masks, bit i = battery i. No hardware, no clock; `scratch` is a kept
array('i') of 16, so that nothing is allocated.
"""

from array import array

from micropython import const

from parallelator.catalog import WAITING, Reason
from parallelator.protection import rules
from parallelator.snapshot import BATTERIES, RIG

_AFTER_RESET_MS = const(1000)
_SHARE_PCT = const(80)
"""Predicted currents stay within this share of the hard limit."""


class Connector:
    """Applies the functions below, once per join_interval_ms.

    Args:
        snap: the `Snapshot`; limits: a `rules.Limits`; states: a `States`.
        emit: function (code, i, state, reason, value) that records an event.
    """

    def __init__(self, snap: "Snapshot", limits: "Limits", states: "States", emit: "Emit"):
        self._snap = snap
        self._limits = limits
        self._states = states
        self._emit = emit
        self._scratch = array("i", bytes(4 * BATTERIES))
        self._boot_ms = limits.start_delay_ms
        self._pause_ms = 0
        self._ready = 0

    def hasten(self):
        """The controller knows the rig from before a reset: readings prove themselves sooner."""
        self._boot_ms = min(self._boot_ms, _AFTER_RESET_MS)

    def choose(self, dt_ms: int):
        """Who may close now; the others learn why not.

        Args:
            dt_ms: time since the last call.

        Returns:
            int: mask of the batteries to close, 0 = none; more than one starts a dead bus.
        """
        self._boot_ms = max(self._boot_ms - dt_ms, 0)
        self._pause_ms -= dt_ms
        if self._pause_ms > 0:
            return 0
        self._pause_ms = self._limits.join_interval_ms
        ready = 0
        for i in range(BATTERIES):
            if self._snap.state[i] == WAITING and self._may_join(i):
                ready |= 1 << i
        steady = ready == self._ready
        self._ready = ready
        if not ready:
            return 0
        states = self._states
        live = states.on | states.held | states.stuck
        if live:
            return self._next(ready, live)
        # A dead bus is started when the same ones were ready the last time: so those that recover
        # together start together.
        return self._group(ready) if steady else 0

    def _may_join(self, i: int):
        snap = self._snap
        reason = rules.outside(self._limits, snap.voltage_mv[i])
        if not reason:
            if self._boot_ms:
                reason = Reason.STARTING
            elif snap.bus_locked:
                reason = Reason.BUS_OVERLOAD
            else:
                reason = Reason.IN_TURN
        snap.reason[i] = reason
        return reason == Reason.IN_TURN and snap.valid[i]

    def _next(self, ready: int, live: int):
        snap = self._snap
        limits = self._limits
        bus_mv = bus_rest_mv(snap, live, limits.pack_mohm, self._scratch)
        best = 0
        best_mv = rules.NEVER
        for i in range(BATTERIES):
            if ready >> i & 1:
                delta_mv = snap.voltage_mv[i] - bus_mv
                pack_mohm = snap.r_mohm[i] or limits.pack_mohm
                reason = refusal(limits, snap, live, delta_mv, pack_mohm)
                if reason:
                    snap.reason[i] = reason
                elif abs(delta_mv) < best_mv:
                    best = 1 << i
                    best_mv = abs(delta_mv)
        return best

    def _group(self, ready: int):
        group = start_group(self._snap, ready, self._limits.start_spread_mv, self._scratch)
        for i in range(BATTERIES):
            if ready >> i & 1 and not group >> i & 1:
                self._snap.reason[i] = Reason.START_SPREAD
        self._emit("group_start", RIG, 0, 0, size(group))
        return group


def size(mask: int):
    """How many batteries a mask holds."""
    count = 0
    while mask:
        mask &= mask - 1
        count += 1
    return count


def rest_mv(voltage_mv: int, current_ma: int, pack_mohm: int):
    """The voltage a loaded pack would show at rest: V + I * R, in mV, mA, mOhm."""
    return voltage_mv + current_ma * pack_mohm // 1000


def bus_rest_mv(snap: "Snapshot", mask: int, pack_mohm: int, scratch: "array"):
    """Median rest voltage in mV of the connected batteries in `mask` (at least one).

    Args:
        pack_mohm: resistance of those that are not measured.
    """
    count = 0
    for i in range(BATTERIES):
        if mask >> i & 1:
            mohm = snap.r_mohm[i] or pack_mohm
            _insert(scratch, count, rest_mv(snap.voltage_mv[i], snap.current_ma[i], mohm), 0)
            count += 1
    return (scratch[count // 2] + scratch[(count - 1) // 2]) // 2


def _insert(scratch: "array", count: int, value: int, shift: int):
    at = count
    while at and scratch[at - 1] >> shift > value >> shift:
        scratch[at] = scratch[at - 1]
        at -= 1
    scratch[at] = value


def refusal(limits: "Limits", snap: "Snapshot", mask: int, delta_mv: int, pack_mohm: int):
    """Whether a battery may join the live bus of the batteries in `mask`.

    Args:
        limits: a `rules.Limits`; snap: the readings; mask: the connected batteries, not empty.
        delta_mv: voltage of the candidate at rest minus that of the bus, mV.
        pack_mohm: resistance inside the candidate.

    Returns:
        int: `Reason.NONE`, or INRUSH, or BUS_LOWER or BUS_HIGHER when the bus is lower or higher.
    """
    if delta_mv > limits.voltage_offset_mv:
        return Reason.BUS_LOWER
    if delta_mv < -limits.voltage_offset_mv:
        return Reason.BUS_HIGHER
    count = size(mask)
    total_ma = 0
    for i in range(BATTERIES):
        if mask >> i & 1:
            total_ma += snap.current_ma[i]
    resistance = (pack_mohm + limits.path_mohm) * (count + 1)
    circulating_ma = 1000 * delta_mv * count // resistance
    if not -limits.charge_ma <= circulating_ma <= limits.discharge_ma:
        return Reason.INRUSH
    joining_ma = circulating_ma + total_ma // (count + 1)
    if _beyond_share(limits, joining_ma, 0):
        return Reason.INRUSH
    relief_ma = joining_ma // count
    for i in range(BATTERIES):
        if mask >> i & 1:
            now_ma = snap.current_ma[i]
            if _beyond_share(limits, now_ma - relief_ma, now_ma):
                return Reason.INRUSH
    return Reason.NONE


def _beyond_share(limits: "Limits", predicted_ma: int, now_ma: int):
    """True when a current exceeds its share of the hard limit and is worse than the present."""
    hard_ma = limits.hard_discharge_ma if predicted_ma > 0 else limits.hard_charge_ma
    return (
        hard_ma > 0
        and abs(predicted_ma) > hard_ma * _SHARE_PCT // 100
        and abs(predicted_ma) > abs(now_ma)
    )


def start_group(snap: "Snapshot", mask: int, spread_mv: int, scratch: "array"):
    """The largest group of `mask` that may close together onto a dead bus.

    Args:
        snap: readings; mask: the candidates; spread_mv: highest minus lowest allowed, mV.

    Returns:
        int: mask of the group; among equally large groups the one of the higher voltage.
    """
    count = 0
    for i in range(BATTERIES):
        if mask >> i & 1:
            # The low four bits hold the index; the voltage above them is what is sorted by.
            _insert(scratch, count, snap.voltage_mv[i] << 4 | i, 4)
            count += 1
    best_size = 0
    best_low = 0
    low = 0
    for high in range(count):
        while (scratch[high] >> 4) - (scratch[low] >> 4) > spread_mv:
            low += 1
        if high - low + 1 >= best_size:
            best_size = high - low + 1
            best_low = low
    group = 0
    for at in range(best_low, best_low + best_size):
        group |= 1 << (scratch[at] & 15)
    return group
