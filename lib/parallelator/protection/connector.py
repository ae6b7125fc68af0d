"""When batteries close: one by one onto a live bus, as a group onto a dead one. Run by `guard`."""

from array import array

from parallelator.catalog import WAITING, Reason
from parallelator.protection import joining, rules
from parallelator.snapshot import BATTERIES, RIG


class Connector:
    """Applies the rules of `joining`, once per join_interval_ms.

    Args:
        snap: the `Snapshot`; limits: a `rules.Limits`; states: a `States`.
        emit: function (code, i, state, reason, value) that records an event.
    """

    def __init__(self, snap: "Snapshot", limits, states, emit):
        self._snap = snap
        self._limits = limits
        self._states = states
        self._emit = emit
        self._scratch = array("i", bytes(4 * BATTERIES))
        self._boot_ms = limits.start_delay_ms
        self._pause_ms = 0
        self._ready = 0

    def choose(self, dt_ms):
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
        # A dead bus waits for company: those that recover together start together.
        return self._group(ready) if steady else 0

    def _may_join(self, i):
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

    def _next(self, ready, live):
        snap = self._snap
        limits = self._limits
        bus_mv = joining.bus_rest_mv(snap, live, limits.pack_mohm, self._scratch)
        best = 0
        best_mv = rules.NEVER
        for i in range(BATTERIES):
            if ready >> i & 1:
                delta_mv = snap.voltage_mv[i] - bus_mv
                pack_mohm = snap.r_mohm[i] or limits.pack_mohm
                reason = joining.refusal(limits, snap, live, delta_mv, pack_mohm)
                if reason:
                    snap.reason[i] = reason
                elif abs(delta_mv) < best_mv:
                    best = 1 << i
                    best_mv = abs(delta_mv)
        return best

    def _group(self, ready):
        group = joining.start_group(self._snap, ready, self._limits.start_spread_mv, self._scratch)
        for i in range(BATTERIES):
            if ready >> i & 1 and not group >> i & 1:
                self._snap.reason[i] = Reason.START_SPREAD
        self._emit("group_start", RIG, 0, 0, joining.size(group))
        return group
