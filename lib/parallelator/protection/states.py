# SPDX-License-Identifier: GPL-3.0-only
"""The state of every battery, and every way from one state to another. Owned by `guard`.

A switch is opened first, and the reason told afterwards. A battery that is not connected is put by
`settle` into the state it belongs in, from its lock, its wish, its delay and its voltage alone.
"""

from array import array

from micropython import const

from parallelator.catalog import (
    ABSENT,
    AUTO,
    LOCKED,
    OFF,
    ON,
    REASONS,
    TRIPPED,
    UNCONTROLLED,
    WAITING,
    WISH_OFF,
    Reason,
)
from parallelator.protection import rules
from parallelator.snapshot import ALL, BATTERIES, IDLE_MA, RIG

_REPEAT_S = const(3600)
_RECENT_S = const(30)
"""Batteries that open within this time of each other may have opened for the same load."""
_COLLAPSE_PCT = const(80)
_DARK_DELAY_MS = const(5000)
"""The longest delay of a dead output that no voltage asks for."""
_LOOSE = const(3)
_CHARGED_MS = const(60000)
_MOST_TRIPS = const(32767)
_FALSE_ALERT_MS = const(2000)
_LENT_MS = const(15000)

_OFF = const(0)
_ON = const(2)
_RESET = const(3)


class States:
    """The batteries of one rig.

    Args:
        snap: the `Snapshot` to fill; switches: a `protection.switches.Switches`.
        limits: a `rules.Limits`; judge: a `rules.Judge`; output: an `Output`.
        starts: a `Starts`; emit: function (code, i, state, reason, value) that records an event.

    Attributes:
        on: mask of the batteries that are ON.
        held: mask of the UNCONTROLLED ones; stuck: mask of those that carry current though open.
        lock: Reason of each battery's lock, NONE = not locked.
        changed: True after an opening, until somebody has noted it.
    """

    def __init__(
        self,
        snap: "Snapshot",
        switches: "Switches",
        limits: "Limits",
        judge: "Judge",
        output: "Output",
        starts: "Starts",
        emit: "Emit",
    ):
        self._snap = snap
        self._switches = switches
        self._limits = limits
        self._judge = judge
        self._output = output
        self._starts = starts
        self._emit = emit
        self._cause = bytearray(BATTERIES)
        self._repeats = bytearray(BATTERIES)
        self._repeat_s = _words()
        self._healthy_ms = _words()
        self._healthy_s = _words()
        self._owed = 0
        self._full = 0
        self._counted = 0
        self._fell = 0
        self._fell_s = _words()
        self._loaded = 0
        self._loaded_sign = 0
        self._peak_ma = 0
        self._collapsed = False
        self._charged_ms = 0
        self._lent_ms = 0
        self.lock = bytearray(BATTERIES)
        self.on = 0
        self.held = 0
        self.stuck = 0
        self.changed = False

    # Over a reset

    @property
    def kept(self):
        """What a reset must not forget: rows as `records.rtc_state.RtcState` takes them."""
        snap, limits = self._snap, self._limits
        reasons = len(REASONS) - 1
        return (
            (snap.eta_ms, "i", 0, rules.cooling_ms(limits, 255), False),
            (snap.trips, "h", 0, _MOST_TRIPS, False),
            (self.lock, "B", 0, reasons, False),
            (self._cause, "B", 0, reasons, False),
            (self._repeats, "B", 0, 255, False),
            (self._repeat_s, "i", -_REPEAT_S, 0, True),
            (self._healthy_s, "i", 0, limits.trip_decay_s, False),
        )

    def recall(self):
        """What is kept is back after a reset: a start that it cut off counts as failed."""
        pause_ms = self._starts.recall()
        for i in range(BATTERIES):
            if pause_ms and not self._cause[i]:
                self._cause[i] = Reason.BUS_OVERLOAD
                self._snap.eta_ms[i] = pause_ms

    # Onto the bus

    def connect(self, mask: int):
        """Close the switches of `mask`, which the joining rules have admitted."""
        closed = self._switches.close(mask)
        self.on |= closed
        self._counted &= ~closed
        self._fell &= ~closed
        for i in range(BATTERIES):
            if closed >> i & 1:
                self._judge.clear(i)
                self._output.forget(i)
                if not self._starts.trial >> i & 1:
                    self._snap.switchings[i] += 1
                self._enter(i, ON, Reason.TRIAL if self._starts.trial >> i & 1 else Reason.NONE)
        self._snap.lent &= ~closed
        if closed:
            self._snap.alarm("bus_unheld", RIG, False)
        return closed

    def pass_time(self, dt_ms: int):
        """`dt_ms` passed."""
        self._charged_ms = self._charged_ms + dt_ms if self._output.charging else 0
        if self._charged_ms >= _CHARGED_MS:
            self._charged_ms = 0
            self._snap.alarm("rig_empty", RIG, False)
        if self._snap.lent:
            self._lent_ms -= dt_ms
            if self._lent_ms <= 0:
                for i in range(BATTERIES):
                    self.give_back(i)
                self._snap.lent = 0

    # Lent to a self-test

    def rest(self, i: int):
        """Open battery i for a self-test, unless it is the only one; whatever becomes of the test,
        it comes back 15 s after the last request."""
        bit = 1 << i
        if self.on & bit and self.on != bit:
            self._lent_ms = _LENT_MS
            self._snap.lent |= bit
            self._snap.wish[i] = WISH_OFF
            self._open(bit)
            self.settle(i)

    def give_back(self, i: int):
        """Battery i, which rests, joins again as soon as the rules allow."""
        if self._snap.lent >> i & 1:
            self._lent_ms = _LENT_MS
            self._snap.wish[i] = AUTO
            if self._snap.state[i] == OFF:
                self.settle(i)

    # Trials

    def end_trial(self, stays: int):
        """Open those on trial but `stays`, which are connected like others from now on."""
        trial = self._starts.trial
        self._open(trial & ~stays)
        self._starts.end_trial(stays & trial)
        for i in range(BATTERIES):
            if trial >> i & 1:
                if stays >> i & 1:
                    self._cause[i] = Reason.NONE
                    self._snap.reason[i] = Reason.NONE
                else:
                    self.settle(i)

    # Off the bus

    def trip(self, i: int, reason: int, value: int):
        """Open battery i for `reason` and decide how it may return.

        Args:
            value: what was measured, mA or mV.
        """
        bit = 1 << i
        starts = self._starts
        if starts.trial & bit:
            self._fail_trial(i, reason, value)
            return
        starting = reason == Reason.OVERCURRENT and starts.starting() and starts.group & bit
        self._fall(bit)
        self._note_load(i, reason, value)
        if self._is_spent(i, reason, value):
            reason, value = Reason.UNDERVOLTAGE, self._snap.voltage_mv[i]
        self._emit("trip", i, TRIPPED, reason, value)
        self._cause[i] = reason
        if reason == Reason.OVERVOLTAGE:
            self._full |= bit
        if reason in rules.COUNTED and not self._is_chargers(i, reason, value):
            self._count(i, reason)
        else:
            first_ms = _FALSE_ALERT_MS if reason == Reason.FALSE_ALERT else 0
            self._snap.eta_ms[i] = self._uncounted_delay(i, first_ms)
            if reason == Reason.NO_SHARE and self._repeats[i] >= _LOOSE:
                self.lock[i] = Reason.LOOSE_CONTACT
        self.settle(i)
        others = starts.group & ~bit
        over = self._over(others) if starting else 0
        if over:
            # Two of those that started together, or all of them: the load takes too much.
            others &= self.on
            self._fall(others)
            if self.on | self.held:
                over &= starts.group
            else:
                # Those that the same load opened before were not at fault, either.
                loaded = self._recent(self._loaded)
                over = self._recent(over)
                if not self._recent(0xFFFF) & ~(over | others | loaded):
                    over |= loaded
            self._fail_output(others | over)
        elif not self.on | self.held:
            self._fall_dark()

    def _over(self, others: int):
        # Who has opened on too much current when a start fails by one more, 0 while it does not.
        if others & ~self.on & self._loaded:
            return self._loaded
        for i in range(BATTERIES):
            if others >> i & 1 and self._cause[i] != Reason.OVERCURRENT:
                return 0
        # One that is closed and carries nothing does not conduct, as it seems.
        return 0 if self.on & self._output.carriers else self._starts.group

    def _fail_trial(self, i: int, reason: int, value: int):
        # The output takes too much, or broke down: it is no battery's fault.
        self._emit("trip", i, TRIPPED, reason, value)
        if reason == Reason.OVERCURRENT or reason == Reason.UNDERVOLTAGE:
            self._starts.fail(reason == Reason.OVERCURRENT and value < 0)
        self.end_trial(0)

    def _count(self, i: int, reason: int):
        snap = self._snap
        snap.trips[i] += 1
        self._counted |= 1 << i
        self._healthy_ms[i] = self._healthy_s[i] = 0
        snap.eta_ms[i] = rules.cooling_ms(self._limits, 0)
        if snap.trips[i] >= self._limits.max_trips:
            self.lock[i] = reason

    def _is_chargers(self, i: int, reason: int, voltage_mv: int):
        # In the first 3 % above the limit it is the charger that is too high, when another
        # battery is about as full; a rig of one cannot tell.
        if reason != Reason.OVERVOLTAGE or voltage_mv > self._limits.hard_high_mv:
            return False
        near_mv = self._limits.max_voltage_mv - rules.CHARGER_MV
        known = False
        for k in range(BATTERIES):
            if k != i and self._snap.state[k] != ABSENT:
                known = True
                if self.on >> k & 1 and self._snap.voltage_mv[k] >= near_mv:
                    break
        else:
            if known:
                return False
        if self._snap.alarm("charger_high", RIG, True):
            self._emit("charger_high", RIG, 0, 0, voltage_mv)
        return True

    def spare(self, mask: int):
        """Open those that feed a battery which cannot be opened; they return when they fit."""
        self._fall(mask)
        for i in range(BATTERIES):
            if mask >> i & 1:
                self._cause[i] = Reason.FEEDING
                self._snap.eta_ms[i] = self._uncounted_delay(i)
                self._emit("trip", i, TRIPPED, Reason.FEEDING, self._snap.current_ma[i])
                self.settle(i)

    # The load's fault

    def _note_load(self, i: int, reason: int, value: int):
        # Those that opened on current in the same direction, or on a collapse of the voltage.
        of_current = reason == Reason.OVERCURRENT or reason == Reason.OVERLOAD
        collapse = reason == Reason.UNDERVOLTAGE and value <= self._limits.hard_low_mv
        if not of_current and not collapse:
            return
        sign = -1 if of_current and value < 0 else 1
        if sign != self._loaded_sign or not self._recent(self._loaded):
            self._loaded = self._peak_ma = 0
            self._collapsed = False
            self._loaded_sign = sign
        self._loaded |= 1 << i
        if of_current:
            self._peak_ma = max(self._peak_ma, abs(value))
        elif value < self._output.rest_mv * _COLLAPSE_PCT // 100:
            self._collapsed = True

    def _recent(self, mask: int):
        """Those of `mask` that opened by themselves within the last 30 s, and are open."""
        snap = self._snap
        for i in range(BATTERIES):
            if not self._fell >> i & 1 or snap.uptime_s - self._fell_s[i] > _RECENT_S:
                mask &= ~(1 << i)
        return mask

    def _fall_dark(self):
        # The last battery has opened: was it the batteries, the load, or the end of the night?
        loaded = self._recent(self._loaded)
        if not loaded:
            self._loaded = self._loaded_sign = self._peak_ma = 0
            self._collapsed = False
        if self._is_night_over():
            self._end_empty()
        elif loaded and not self._recent(0xFFFF) & ~loaded:
            self._fail_output(loaded)

    def _is_spent(self, i: int, reason: int, current_ma: int):
        """True when battery i, itself nearly empty, carries too much because the others are."""
        snap, limits = self._snap, self._limits
        if reason != Reason.OVERCURRENT and reason != Reason.OVERLOAD:
            return False
        if current_ma < 0 or self._is_violent(current_ma):
            return False
        if snap.voltage_mv[i] >= limits.min_voltage_mv + limits.uv_hysteresis_mv // 4:
            return False
        present = empty = 0
        for k in range(BATTERIES):
            if snap.state[k] != ABSENT and snap.wish[k] != WISH_OFF:
                present += 1
                empty += k != i and self._is_spent_off(k)
        return present <= 2 * empty

    def _is_spent_off(self, i: int):
        # What a load pulls below the window is not empty for that, nor what has recovered.
        loaded = self.on | (self._loaded if self._cause[i] != Reason.UNDERVOLTAGE else 0)
        return self.is_empty(i) and not loaded >> i & 1 and not self._is_recovered(i)

    def _is_violent(self, current_ma: int):
        hard_ma = self._limits.hard_discharge_ma
        return hard_ma and current_ma >= 2 * hard_ma

    def _is_night_over(self):
        if self._loaded_sign < 0 or self._collapsed or self._is_violent(self._peak_ma):
            return False
        present = empty = 0
        for i in range(BATTERIES):
            if self._snap.state[i] != ABSENT and self._snap.wish[i] != WISH_OFF:
                present += 1
                if self._is_spent_off(i):
                    empty += 1
                elif not self._loaded >> i & 1:
                    return False
        return 0 < present <= 2 * empty

    def _end_empty(self):
        if self._snap.alarm("rig_empty", RIG, True):
            self._emit("rig_empty", RIG, 0, 0, 0)
        for i in range(BATTERIES):
            if self._loaded >> i & 1 and self._cause[i] != Reason.UNDERVOLTAGE:
                self._refund(i)
                self._cause[i] = Reason.UNDERVOLTAGE
                self._snap.eta_ms[i] = self._uncounted_delay(i)
                self.settle(i)
        self._fell &= ~self._loaded
        self._loaded = 0

    def _fail_output(self, group: int):
        self._loaded |= group
        if self._is_night_over():
            self._end_empty()
            return
        pause_ms = self._starts.fail(self._loaded_sign < 0)
        self._fell &= ~group
        self._loaded &= ~group
        for i in range(BATTERIES):
            if group >> i & 1:
                self._refund(i)
                if not self.lock[i]:
                    self._cause[i] = Reason.BUS_OVERLOAD
                    self._snap.eta_ms[i] = pause_ms
                self.settle(i)

    def _refund(self, i: int):
        # What was counted just now is not this battery's fault.
        if self._counted >> i & 1:
            self._counted &= ~(1 << i)
            self._snap.trips[i] -= 1
            if self.lock[i] == self._cause[i]:
                self.lock[i] = Reason.NONE

    def release(self, i: int):
        """Battery i's switch was found open though it was closed: read anew, it may join again."""
        self._open(1 << i)
        self._snap.valid[i] = 0
        self.settle(i)

    def lose(self, i: int, reason: int):
        """Open battery i, whose sensor or expander is gone; it returns as after a trip."""
        snap = self._snap
        self._fall(1 << i)
        if snap.state[i] != ABSENT:
            cause = self._cause[i]
            lasts = cause == Reason.UNDERVOLTAGE or cause in rules.COUNTED
            if not lasts or not snap.eta_ms[i] and self._is_recovered(i):
                self._cause[i] = reason
            snap.eta_ms[i] = max(snap.eta_ms[i], self._uncounted_delay(i))
            self._enter(i, ABSENT, reason)

    def lose_control(self, i: int):
        """Battery i's expander is gone while its switch was closed: it may still carry load."""
        self.on &= ~(1 << i)
        self.held |= 1 << i
        self._snap.alarm("uncontrolled", i, True)
        self._enter(i, UNCONTROLLED, Reason.EXPANDER_LOST)

    def regain_control(self, i: int):
        """Battery i's expander is back, and has been told and seen to open its switch."""
        self.held &= ~(1 << i)
        self._owed &= ~(1 << i)
        self._snap.alarm("uncontrolled", i, False)
        self.lose(i, Reason.EXPANDER_LOST)

    def resume(self, i: int):
        """Battery i's expander is back, and its switch stands as it was told: it goes on."""
        bit = 1 << i
        self.held &= ~bit
        self.on |= bit
        self._output.forget(i)
        self._snap.alarm("uncontrolled", i, False)
        if self._switches.wanted & bit:
            self._enter(i, ON, Reason.NONE)
        elif self._owed & bit:
            self._owed &= ~bit
            self.trip(i, self._cause[i], self._snap.current_ma[i])
        else:
            self._open(bit)
            self.settle(i)

    def owe(self, i: int, reason: int):
        """Battery i is beyond a limit but out of control: it opens once its expander answers."""
        if self._switches.wanted >> i & 1:
            self._cause[i] = reason
            self._owed |= 1 << i
            self._switches.wanted &= ~(1 << i)

    def fault(self, i: int, reason: int):
        """Battery i's switch does not do what it is told: off and locked."""
        self._fall(1 << i)
        self.lock[i] = reason
        self.settle(i)

    def _fall(self, mask: int):
        # Open without an operator's wish.
        fallen = mask & self.on
        self._open(mask)
        self._fell |= fallen
        self._loaded &= ~fallen
        for i in range(BATTERIES):
            if fallen >> i & 1:
                self._fell_s[i] = self._snap.uptime_s

    def _open(self, mask: int):
        self._switches.open(mask)
        self.changed = True
        last = mask & self.on
        self._output.opened(last)
        self.on &= ~mask
        self._starts.trial &= ~mask
        if last and not self.on | self.held | self.stuck:
            current_ma = 0
            for i in range(BATTERIES):
                if last >> i & 1:
                    current_ma += self._snap.current_ma[i]
            if current_ma < -IDLE_MA:
                # A charger is now alone on the bus.
                self._snap.alarm("bus_unheld", RIG, True)
                self._emit("bus_unheld", RIG, 0, 0, current_ma)

    def _uncounted_delay(self, i: int, first_ms: int = 0):
        uptime_s = self._snap.uptime_s
        if uptime_s - self._repeat_s[i] > _REPEAT_S:
            self._repeats[i] = 0
        delay = rules.cooling_ms(self._limits, self._repeats[i], first_ms)
        self._repeats[i] = min(self._repeats[i] + 1, 255)
        self._repeat_s[i] = uptime_s
        return delay

    # At rest

    def settle(self, i: int):
        """Put a battery that is not connected, and reads valid, into the state it belongs in."""
        snap = self._snap
        cause = self._cause[i]
        if self.lock[i]:
            self._enter(i, LOCKED, self.lock[i])
        elif snap.wish[i] == WISH_OFF:
            lent = snap.lent >> i & 1
            self._enter(i, OFF, Reason.SELF_TEST if lent else Reason.OPERATOR)
        elif snap.eta_ms[i] or not self._is_recovered(i):
            cause = cause or rules.outside(self._limits, snap.voltage_mv[i])
            if cause == Reason.OVERVOLTAGE:
                self._full |= 1 << i
            self._enter(i, TRIPPED, cause)
        else:
            if cause == Reason.UNDERVOLTAGE:
                snap.alarm("rig_empty", RIG, False)
            self._cause[i] = Reason.NONE
            self._enter(i, WAITING, Reason.STARTING)

    def _is_recovered(self, i: int):
        snap, output = self._snap, self._output
        return rules.recovered(
            self._limits,
            self._cause[i],
            snap.voltage_mv[i],
            snap.temperature_c[i],
            output.live,
            output.charging,
        )

    def is_empty(self, i: int):
        """True when battery i is below the window, or opened because it was."""
        low = self._snap.voltage_mv[i] < self._limits.min_voltage_mv
        return low or self._cause[i] == Reason.UNDERVOLTAGE

    def is_full(self, i: int):
        """True when battery i is above the window, or was and has not come down since."""
        limits, voltage_mv = self._limits, self._snap.voltage_mv[i]
        if voltage_mv > limits.max_voltage_mv:
            self._full |= 1 << i
        elif voltage_mv <= limits.max_voltage_mv - limits.ov_hysteresis_mv:
            self._full &= ~(1 << i)
        return self._full >> i & 1

    def count_down(self, i: int, dt_ms: int):
        """`dt_ms` passed for a battery that is not ON; a tripped one may become WAITING."""
        snap = self._snap
        if snap.eta_ms[i]:
            snap.eta_ms[i] = max(snap.eta_ms[i] - dt_ms, 0)
            if snap.eta_ms[i] > _DARK_DELAY_MS and self._is_needed(i):
                snap.eta_ms[i] = _DARK_DELAY_MS
            if self._cause[i] == Reason.BUS_OVERLOAD and self.on & self._output.carriers:
                # What others carry again needs no start: the pause before it is no matter.
                snap.eta_ms[i] = min(snap.eta_ms[i], self._limits.reconnect_delay_ms)
        if snap.state[i] == TRIPPED and not snap.eta_ms[i]:
            self.settle(i)

    def _is_needed(self, i: int):
        """True when the output is dead, and battery i waits for no voltage, count or load."""
        cause = self._cause[i]
        return (
            not self.on | self.held
            and cause not in rules.COUNTED
            and cause != Reason.UNDERVOLTAGE
            and cause != Reason.BUS_OVERLOAD
        )

    def forgive(self, i: int, dt_ms: int):
        """`dt_ms` passed in good health while ON: one trip is forgiven per trip_decay_s."""
        if not self._snap.trips[i] or not self._limits.trip_decay_s:
            return
        self._healthy_ms[i] += dt_ms
        if self._healthy_ms[i] >= 1000:
            self._healthy_s[i] += self._healthy_ms[i] // 1000
            self._healthy_ms[i] %= 1000
            if self._healthy_s[i] >= self._limits.trip_decay_s:
                self._healthy_s[i] = 0
                self._snap.trips[i] -= 1

    def _enter(self, i: int, state: int, reason: int):
        snap = self._snap
        if snap.state[i] != state:
            snap.state[i] = state
            snap.since_s[i] = snap.uptime_s
            snap.reason[i] = reason
            if not (snap.lent >> i & 1 and OFF <= state <= ON):  # one does not tell of a test
                self._emit("joined" if state == ON else "state", i, state, reason, 0)
        snap.reason[i] = reason

    # Wishes of the operator

    def refusal(self, action: str, i: int):
        """Why a wish is refused: `locked`, `absent`; `battery` when i is RIG and it is not a
        reset, which alone concerns the whole rig. None when it is granted.
        """
        if i == RIG:
            return None if action == "reset" else "battery"
        if action in ("on", "auto") and self.lock[i]:
            return "locked"
        if action == "on" and self._snap.state[i] == ABSENT:
            return "absent"
        return None

    def obey(self, action: int, i: int):
        """Carry out a wish (index into ACTIONS) for battery i or ALL, or RIG: reset the bus."""
        if i == RIG:
            if action == _RESET:
                self._reset_bus()
        elif i == ALL:
            if action == _OFF:
                self._open(self.on)  # one write for each board
            self._emit("wish_all", RIG, 0, 0, action)
            for k in range(BATTERIES):
                self._grant(action, k)
        else:
            if action == _RESET:
                self._emit("reset_done", i, self._snap.state[i], 0, 0)
            else:
                self._emit("wish", i, self._snap.state[i], 0, action)
            self._grant(action, i)

    def _grant(self, action: int, i: int):
        snap = self._snap
        state = snap.state[i]
        if action == _RESET:
            self.lock[i] = self._repeats[i] = snap.trips[i] = 0
            snap.alarm("wiring_map", i, False)
            self._ask()
        else:
            snap.lent &= ~(1 << i)
            snap.wish[i] = WISH_OFF if action == _OFF else AUTO
            if action == _ON and not self.lock[i]:
                snap.eta_ms[i] = 0
                self._ask()
                if self._cause[i] == Reason.UNDERVOLTAGE:
                    # The operator knows that a charger is there: no margin to the limit is needed.
                    self._cause[i] = Reason.NONE
        if state == ON:
            if action == _OFF:
                self._open(1 << i)
                self.settle(i)
        elif state == UNCONTROLLED:
            if action == _OFF:
                self._switches.wanted &= ~(1 << i)
        elif state != ABSENT:
            self.settle(i)

    def _ask(self):
        """An operator wants a dead output to be tried at once."""
        if self.on | self.held:
            return
        self._starts.ask()
        for i in range(BATTERIES):
            if self._cause[i] == Reason.BUS_OVERLOAD:
                self._snap.eta_ms[i] = 0
                if self._snap.state[i] == TRIPPED:
                    self.settle(i)

    def _reset_bus(self):
        self._starts.forgive()
        self._ask()
        self._emit("bus_reset", RIG, 0, 0, 0)


def _words():
    return array("i", bytes(4 * BATTERIES))
