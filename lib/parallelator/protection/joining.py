# SPDX-License-Identifier: GPL-3.0-only
"""Who may close, and when: one by one onto a live output, as a group onto a dead one.

Sets of batteries are 16-bit masks, bit i = battery i. No hardware, no clock, and nothing is
allocated. What is known of the output is `output.Output`'s to say; what follows a start is
`starts.Starts`' to judge.
"""

from array import array

from micropython import const

from parallelator.catalog import TRIPPED, WAITING, Reason
from parallelator.protection import rules
from parallelator.protection.output import insert
from parallelator.protection.starts import DOUBT, EMPTY, FULL
from parallelator.snapshot import BATTERIES, RIG

_SHARE_PCT = const(80)
"""Predicted currents stay within this share of the hard limit."""
_TRIAL_MA = const(40000)
_ODD_MA = const(500)
"""Beyond this a current that flows through an open switch is the sensor's fault."""
_UNSTEADY_MS = const(5000)
_TREND_MS = const(60000)
_LONGEST_MS = const(36000000)  # what will fit in ten hours or more, nobody waits for
_LOOK_MS = const(80)
"""Between two looks at who is ready for a dead output; half of a scan."""
_STEADY_LOOKS = const(2)
_RELIEF_MS = const(10000)
_RELIEF_OFFSETS = const(2)
_RELIEF_PCT = const(80)
"""A set that cannot help everybody must take a fifth of the worst load at least."""


class Connector:
    """Chooses who closes.

    Args:
        snap: the `Snapshot`; limits: a `rules.Limits`; states: a `States`; output: an `Output`.
        starts: a `Starts`; emit: function (code, i, state, reason, value) that records an event.
    """

    def __init__(
        self,
        snap: "Snapshot",
        limits: "Limits",
        states: "States",
        output: "Output",
        starts: "Starts",
        emit: "Emit",
    ):
        self._snap = snap
        self._limits = limits
        self._states = states
        self._output = output
        self._starts = starts
        self._emit = emit
        self._scratch = array("i", bytes(4 * BATTERIES))
        self._unsteady_ms = array("h", bytes(2 * BATTERIES))
        self._pause_ms = 0
        self._passed_ms = 0
        self._minute_ms = 0
        self._gap_mv = array("h", bytes(2 * BATTERIES))
        self._steady = 0
        self._relief_ms = 0
        self._ready = 0

    def due(self, dt_ms: int):
        """True when it is time to choose, `dt_ms` after the last call."""
        self._relief_ms -= dt_ms
        self._pause_ms -= dt_ms
        self._passed_ms += dt_ms
        self._minute_ms += dt_ms
        return self._pause_ms <= 0 and not self._starts.trial

    def choose(self, fresh: int):
        """Who may close now; the others learn why not.

        Args:
            fresh: mask of the batteries whose reading speaks for the present.

        Returns:
            int: mask of the batteries to close together, 0 = none.
        """
        before = self._ready
        ready = self._ready = self._find_ready(fresh, before)
        if self._output.live:
            self._pause_ms = self._limits.join_interval_ms
            return self._relieve(ready) or self._next(ready)
        reason = self._starts.holds()
        if reason:
            self._pause_ms = _LOOK_MS
            self._tell_all(ready, reason)
            return 0
        # Those that are ready within a scan start together.
        self._steady = self._steady + 1 if ready == before else 0
        self._pause_ms = _LOOK_MS if self._steady < _STEADY_LOOKS else 2 * _LOOK_MS
        if self._steady < _STEADY_LOOKS or self._steady % _STEADY_LOOKS:
            return 0
        return self._start(ready, fresh)

    def _start(self, ready: int, fresh: int):
        # What is held by its voltage takes part at once when a person or a charger asks for it,
        # and what is full when a start without it has failed.
        output, starts = self._output, self._starts
        held = 0 if output.closed else self._held_by_voltage(fresh, ready)
        together = held if starts.asked_ms or starts.by_charge else 0
        if ready and (together or starts.wide and self._are_full(held)):
            trial = self._trial(ready, held, ready)
            if trial:
                return trial
        group = self._group(ready) if ready else 0
        if group or output.closed:
            return group
        return self._trial(ready, together or (0 if ready else held))

    def _find_ready(self, fresh: int, before: int):
        # One that is now inside and now outside of its limits is left aside, and delays nobody.
        snap = self._snap
        ready = 0
        passed_ms, self._passed_ms = self._passed_ms, 0
        live = self._output.live
        for i in range(BATTERIES):
            bit = 1 << i
            if not live:
                self._gap_mv[i] = snap.join_ms[i] = 0
            fit = snap.state[i] == WAITING and fresh & bit and self._is_fit(i)
            if fit and self._is_odd(i):
                snap.reason[i] = Reason.SENSOR_OFFSET
                fit = False
            if self._unsteady_ms[i] > 0:
                self._unsteady_ms[i] -= passed_ms
                if snap.state[i] == WAITING:
                    snap.reason[i] = Reason.UNSTEADY
            elif fit:
                ready |= bit
                if not before & bit:
                    snap.reason[i] = Reason.IN_TURN
            elif before & fresh & bit and snap.state[i] == WAITING:
                self._unsteady_ms[i] = _UNSTEADY_MS
        return ready

    def _is_odd(self, i: int):
        """True when battery i shows a current while it is open, and nothing else tells of it."""
        odd = self._states.stuck & ~self._output.moved
        return odd >> i & 1 and abs(self._snap.current_ma[i]) > _ODD_MA

    def _is_fit(self, i: int):
        snap = self._snap
        voltage_mv = snap.voltage_mv[i]
        reason = rules.outside(self._limits, voltage_mv)
        if reason == Reason.UNDERVOLTAGE and self._output.charging:
            if voltage_mv >= self._limits.charge_floor_mv:
                return True
        if reason:
            snap.reason[i] = reason
        return not reason

    def _tell_all(self, mask: int, reason: int):
        for i in range(BATTERIES):
            if mask >> i & 1:
                self._snap.reason[i] = reason

    # A live output

    def _next(self, ready: int):
        best = 0
        best_mv = rules.NEVER
        minute = self._minute_ms >= _TREND_MS
        if minute:
            self._minute_ms = 0
        for i in range(BATTERIES):
            gap_mv = 0
            if ready >> i & 1:
                reason = self.refusal(i)
                delta_mv = abs(self._snap.voltage_mv[i] - self._output.rest_mv)
                self._snap.reason[i] = reason or Reason.IN_TURN
                if reason:
                    if reason == Reason.BUS_LOWER or reason == Reason.BUS_HIGHER:
                        gap_mv = delta_mv - self._limits.voltage_offset_mv
                elif delta_mv < best_mv:
                    best = 1 << i
                    best_mv = delta_mv
            if gap_mv <= 0:
                self._gap_mv[i] = self._snap.join_ms[i] = 0
            elif minute:
                self._estimate(i, gap_mv)
        return best

    def _estimate(self, i: int, gap_mv: int):
        # When battery i will fit, were the gap to close as it did in the last minute.
        closed_mv = self._gap_mv[i] - gap_mv
        self._gap_mv[i] = gap_mv
        join_ms = gap_mv * _TREND_MS // closed_mv if closed_mv > 0 else 0
        self._snap.join_ms[i] = join_ms if join_ms <= _LONGEST_MS else 0

    def refusal(self, i: int):
        """Whether battery i may join the live output.

        Returns:
            int: `Reason.NONE`, or INRUSH, or BUS_LOWER or BUS_HIGHER when the output is lower or
            higher, OVERVOLTAGE when it would be charged although it is full, DOUBTFUL_BUS when
            it does not fit a battery that may be connected.
        """
        output, limits = self._output, self._limits
        here_mv = self._snap.voltage_mv[i]
        # Of two that contradict each other it must fit one, and stand the other.
        fit_mv, other_mv = output.rest_mv, output.other_mv
        reason = self._offset_refusal(here_mv - fit_mv)
        if reason and other_mv:
            fit_mv, other_mv = other_mv, fit_mv
            reason = self._offset_refusal(here_mv - fit_mv)
        if reason:
            return reason
        circulating_ma = self._circulating_ma(i, here_mv - fit_mv)
        if not -limits.charge_ma <= circulating_ma <= limits.discharge_ma:
            return Reason.INRUSH
        if other_mv and abs(self._circulating_ma(i, here_mv - other_mv)) > self._hard_ma():
            return Reason.INRUSH
        joining = output.predict(output.closed | 1 << i, output.total_ma)
        if beyond_share(limits, joining[i], 0):
            return Reason.INRUSH
        if self._states.is_full(i) and joining[i] < 0:
            return Reason.OVERVOLTAGE
        amps = self._snap.current_ma
        for k in range(BATTERIES):
            if output.closed >> k & 1 and beyond_share(limits, joining[k], amps[k]):
                return Reason.INRUSH
        return Reason.NONE if self._fits_doubtful(i) else Reason.DOUBTFUL_BUS

    def _offset_refusal(self, delta_mv: int):
        if delta_mv > self._limits.voltage_offset_mv:
            return Reason.BUS_LOWER
        if delta_mv < -self._limits.voltage_offset_mv:
            return Reason.BUS_HIGHER
        return Reason.NONE

    def _circulating_ma(self, i: int, delta_mv: int):
        count = size(self._output.closed)
        return 1000 * delta_mv * count // (self._output.resistance_mohm(i) * (count + 1))

    def _hard_ma(self):
        limits = self._limits
        return min(
            limits.hard_discharge_ma or limits.discharge_ma,
            limits.hard_charge_ma or limits.charge_ma,
        )

    def _fits_doubtful(self, i: int):
        output, limits = self._output, self._limits
        for k in range(BATTERIES):
            if output.doubtful >> k & 1:
                delta_mv = self._snap.voltage_mv[i] - output.at_rest_mv(k)
                mohm = output.resistance_mohm(i) + output.resistance_mohm(k)
                if abs(delta_mv) > limits.voltage_offset_mv:
                    return False
                if abs(1000 * delta_mv // mohm) > min(limits.charge_ma, limits.discharge_ma):
                    return False
        return True

    def _relieve(self, ready: int):
        # Somebody carries more than it may for long: others come to its help, in one write, from
        # further away than one that joins without need.
        output, limits = self._output, self._limits
        if self._relief_ms > 0 or not ready:
            return 0
        amps = self._snap.current_ma
        helped = output.closed
        for i in range(BATTERIES):
            if output.pinned >> i & 1 and amps[i] < 0 and not output.charging:
                helped &= ~(1 << i)  # whoever joins feeds it still more
        worst = self._worst_pct(helped, amps)
        if worst <= 100:
            return 0
        far_mv = _RELIEF_OFFSETS * limits.voltage_offset_mv
        count = 0
        for i in range(BATTERIES):
            if ready >> i & 1:
                delta_mv = abs(self._snap.voltage_mv[i] - output.rest_mv)
                if delta_mv <= far_mv and self._fits_doubtful(i):
                    insert(self._scratch, count, delta_mv << 4 | i)
                    count += 1
        best = joiners = 0
        best_pct = worst * _RELIEF_PCT // 100
        for at in range(count):
            joiners |= 1 << (self._scratch[at] & 15)
            predicted = output.predict(output.closed | joiners, output.total_ma)
            if self._inside_share(output.closed | joiners, predicted):
                best = joiners
                break
            pct = self._worst_pct(output.closed | joiners, predicted)
            if pct < best_pct:
                best, best_pct = joiners, pct
        if best:
            self._relief_ms = _RELIEF_MS
            self._emit("relief", RIG, 0, 0, size(best))
        return best

    def _worst_pct(self, mask: int, amps: "array"):
        worst = 0
        limits = self._limits
        for i in range(BATTERIES):
            if mask >> i & 1:
                here = amps[i]
                limit_ma = limits.discharge_ma if here > 0 else limits.charge_ma
                worst = max(worst, abs(here) * 100 // limit_ma)
        return worst

    def _inside_share(self, mask: int, predicted: "array"):
        for i in range(BATTERIES):
            if mask >> i & 1 and beyond_share(self._limits, predicted[i], 0):
                return False
        return True

    # An output that may be dead

    def _group(self, ready: int):
        """The batteries that start the output together, 0 = none fits."""
        candidates = 0
        for i in range(BATTERIES):
            if ready >> i & 1:
                reason = self._connected_refusal(i)
                self._snap.reason[i] = reason or Reason.IN_TURN
                if not reason:
                    candidates |= 1 << i
        group = self.largest_group(candidates, self._starts.wide)
        for i in range(BATTERIES):
            if (candidates & ~group) >> i & 1:
                self._snap.reason[i] = Reason.START_SPREAD
        if group:
            self._emit("group_start", RIG, 0, 0, size(group))
        return group

    def _connected_refusal(self, i: int):
        # Those that are connected and carry nothing may be alone on the output, or not at all.
        limits = self._limits
        for k in range(BATTERIES):
            if self._output.closed >> k & 1:
                delta_mv = self._snap.voltage_mv[i] - self._output.at_rest_mv(k)
                reason = self._offset_refusal(delta_mv)
                if reason:
                    return reason
                circulating_ma = abs(self._circulating_ma(i, delta_mv))
                if circulating_ma > min(limits.charge_ma, limits.discharge_ma):
                    return Reason.INRUSH
        return Reason.NONE if self._fits_doubtful(i) else Reason.DOUBTFUL_BUS

    def largest_group(self, mask: int, wide: bool):
        """The largest group of `mask` that may close together; of equal ones the fuller.

        Args:
            wide: False for the first start: within start_spread_mv, currents between them inside
                the continuous limits. True after a start that failed, for a trial, for a relief:
                within voltage_offset_mv, and 80 % of the hard limits.
        """
        spread_mv = self._limits.voltage_offset_mv if wide else self._limits.start_spread_mv
        count = 0
        for i in range(BATTERIES):
            if mask >> i & 1:
                insert(self._scratch, count, self._snap.voltage_mv[i] << 4 | i)
                count += 1
        best = best_size = low = 0
        for high in range(count):
            while (self._scratch[high] >> 4) - (self._scratch[low] >> 4) > spread_mv:
                low += 1
            group = self._from(low, high)
            while not self._stands_itself(group, wide) and low < high:
                low += 1
                group = self._from(low, high)
            if high - low + 1 >= best_size and self._stands_itself(group, wide):
                best = group
                best_size = high - low + 1
        return best

    def _from(self, low: int, high: int):
        group = 0
        for at in range(low, high + 1):
            group |= 1 << (self._scratch[at] & 15)
        return group

    def _stands_itself(self, group: int, wide: bool):
        # Those that cannot be opened take part, whether they are told to or not.
        limits = self._limits
        group |= self._output.pinned
        predicted = self._output.predict(group, 0)
        for i in range(BATTERIES):
            if group >> i & 1:
                if wide and limits.hard_charge_ma:
                    if beyond_share(limits, predicted[i], 0):
                        return False
                elif not -limits.charge_ma <= predicted[i] <= limits.discharge_ma:
                    return False
        return True

    def _held_by_voltage(self, fresh: int, ready: int):
        """Those that are full, or those that are empty, whichever are more; 0 when others are
        tripped as well, which will start without them."""
        snap, states, limits = self._snap, self._states, self._limits
        full = empty = others = 0
        for i in range(BATTERIES):
            bit = 1 << i
            waits = snap.state[i] == WAITING and not (ready >> i & 1 or self._unsteady_ms[i] > 0)
            if (snap.state[i] == TRIPPED or waits) and not self._is_odd(i):
                if self._is_delayed(i) and not self._starts.asked_ms or not fresh & bit:
                    others |= bit
                elif states.is_full(i):
                    if snap.voltage_mv[i] <= limits.hard_high_mv:
                        full |= bit
                elif not states.is_empty(i):
                    others |= bit
                elif snap.voltage_mv[i] >= limits.charge_floor_mv:
                    empty |= bit
        if others and not self._starts.asked_ms:
            return 0
        return full if size(full) > size(empty) else empty

    def _is_delayed(self, i: int):
        # What a voltage holds off for longer than the first delay still takes part in trials:
        # they alone find the charger, or the load.
        snap, states = self._snap, self._states
        if not snap.eta_ms[i]:
            return False
        first_s = self._limits.reconnect_delay_ms // 1000
        off_s = snap.uptime_s - snap.since_s[i]
        return off_s <= first_s or not (states.is_full(i) or states.is_empty(i))

    def _are_full(self, held: int):
        # Those that a voltage holds are all full or all empty.
        for i in range(BATTERIES):
            if held >> i & 1:
                return self._states.is_full(i)
        return False

    def _trial(self, ready: int, held: int, needed: int = 0xFFFF):
        """The batteries that close for a moment, so that the rig learns what the output is.

        One of `needed` is among them: what can start does not wait for others.
        """
        starts = self._starts
        candidates = ready | held
        count = size(candidates)
        if not candidates or not starts.trial_due(count):
            return 0
        group = self.largest_group(candidates, True)
        together = size(group)
        # Never one of many alone; but those that no half of them fits must not stay dark.
        if (
            together < 2
            and together * 2 < count
            or not group & needed
            or not self._stands_trial(group)
        ):
            return 0
        kind = (FULL if self._are_full(held) else EMPTY) if held else DOUBT
        starts.begin_trial(kind, group, group & ready)
        return group

    def _stands_trial(self, group: int):
        # The worst that each may meet: all doubtful ones, at the voltage they had last.
        output = self._output
        predicted = output.predict(group | output.doubtful, 0)
        for i in range(BATTERIES):
            if group >> i & 1 and abs(predicted[i]) > _TRIAL_MA:
                return False
        return True


def size(mask: int):
    """How many batteries a mask holds."""
    count = 0
    while mask:
        mask &= mask - 1
        count += 1
    return count


def beyond_share(limits: "Limits", predicted_ma: int, now_ma: int):
    """True when a current exceeds its share of the hard limit and is worse than the present."""
    hard_ma = limits.hard_discharge_ma if predicted_ma > 0 else limits.hard_charge_ma
    return (
        hard_ma > 0
        and abs(predicted_ma) > hard_ma * _SHARE_PCT // 100
        and abs(predicted_ma) > abs(now_ma)
    )
