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
    TRIPPED,
    UNCONTROLLED,
    WAITING,
    WISH_OFF,
    Reason,
)
from parallelator.protection import rules
from parallelator.snapshot import ALL, BATTERIES, IDLE_MA, RIG

_REPEAT_S = const(3600)
_START_MS = const(1000)
_START_FAILURES = const(3)
_START_WINDOW_S = const(600)
_FALSE_ALERT_MS = const(2000)

_OFF = const(0)
_ON = const(2)
_RESET = const(3)


class States:
    """The batteries of one rig.

    Args:
        snap: the `Snapshot` to fill; switches: a `protection.switches.Switches`.
        limits: a `rules.Limits`; judge: a `rules.Judge`; balance: a `rules.Balance`.
        emit: function (code, i, state, reason, value) that records an event.

    Attributes:
        on: mask of the batteries that are ON.
        held: mask of the UNCONTROLLED ones; stuck: mask of those that carry current though open.
        lock: Reason of each battery's lock, NONE = not locked.
        starting_ms: what is left of the first second after the start of a dead bus.
    """

    def __init__(
        self,
        snap: "Snapshot",
        switches: "Switches",
        limits: "Limits",
        judge: "Judge",
        balance: "Balance",
        emit: "Emit",
    ):
        self._snap = snap
        self._switches = switches
        self._limits = limits
        self._judge = judge
        self._balance = balance
        self._emit = emit
        self._cause = bytearray(BATTERIES)
        self._repeats = bytearray(BATTERIES)
        self._repeat_s = _words()
        self._healthy_ms = _words()
        self._healthy_s = _words()
        self._owed = 0
        self._start_fails = 0
        self._start_fail_s = 0
        self.lock = bytearray(BATTERIES)
        self.on = 0
        self.held = 0
        self.stuck = 0
        self.starting_ms = 0
        self._joining_ms = 0
        self._joined = 0
        self._failed_joins = 0

    # Onto the bus

    def connect(self, mask: int):
        """Close the switches of `mask`, which the joining rules have admitted."""
        if self._joined & self.on:
            self._failed_joins = 0
        closed = self._switches.close(mask)
        self.on |= closed
        self._joined = closed
        self._joining_ms = _START_MS
        for i in range(BATTERIES):
            if closed >> i & 1:
                self._judge.clear(i)
                self._snap.switchings[i] += 1
                self._enter(i, ON, Reason.NONE)
        if closed:
            self._snap.alarm("bus_unheld", RIG, False)
        return closed

    def start(self, group: int):
        """Close the group that starts a dead bus; over-current is now the bus's fault."""
        self.starting_ms = _START_MS
        return self.connect(group)

    def pass_time(self, dt_ms: int):
        """`dt_ms` passed since whoever closed last."""
        if self.starting_ms > 0:
            self.starting_ms -= dt_ms
        if self._joining_ms > 0:
            self._joining_ms -= dt_ms
            if self._joining_ms <= 0 and self._joined & self.on:
                self._failed_joins = 0

    # Off the bus

    def trip(self, i: int, reason: int, value: int):
        """Open battery i for `reason` and decide how it may return.

        Args:
            value: what was measured, mA or mV.
        """
        if self.starting_ms > 0 and reason == Reason.OVERCURRENT:
            self._fail_start()
            return
        snap = self._snap
        self._open(1 << i)
        self._emit("trip", i, TRIPPED, reason, value)
        self._cause[i] = reason
        if reason in rules.COUNTED:
            snap.trips[i] += 1
            self._healthy_ms[i] = self._healthy_s[i] = 0
            snap.eta_ms[i] = rules.cooling_ms(self._limits, 0)
            if snap.trips[i] >= self._limits.max_trips:
                self.lock[i] = reason
        else:
            first_ms = _FALSE_ALERT_MS if reason == Reason.FALSE_ALERT else 0
            snap.eta_ms[i] = self._uncounted_delay(i, first_ms)
        self.settle(i)
        if reason == Reason.OVERCURRENT and self._joined_in_vain(i, value):
            group = self.on
            self._open(group)
            self._cool(group)
            self._failed_joins = 0

    def release(self, i: int):
        """Battery i's switch was found open though it was closed: it may join again."""
        self._open(1 << i)
        self.settle(i)

    def lose(self, i: int, reason: int):
        """Open battery i, whose sensor or expander is gone; it returns as after a trip."""
        snap = self._snap
        self._open(1 << i)
        if snap.state[i] != ABSENT:
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
        self._open(1 << i)
        self.lock[i] = reason
        self.settle(i)

    def _fail_start(self):
        # An over-current right after a start is the load's fault: it counts against the bus.
        snap = self._snap
        group = self.on
        self._open(group)
        self.starting_ms = 0
        if snap.uptime_s - self._start_fail_s > _START_WINDOW_S:
            self._start_fails = 0
        if not self._start_fails:
            self._start_fail_s = snap.uptime_s
        self._start_fails += 1
        snap.bus_locked = self._start_fails >= _START_FAILURES
        if snap.bus_locked:
            snap.alarm("bus_overload", RIG, True)
        self._emit(
            "bus_locked" if snap.bus_locked else "bus_start_failed",
            RIG,
            0,
            Reason.BUS_OVERLOAD,
            self._start_fails,
        )
        self._cool(group)

    def _joined_in_vain(self, i: int, current_ma: int):
        """True when battery i, which has just tripped, is the second one in a row that joined and
        carried the load alone. The switches of the others do not conduct, then, and only a group
        can start the dead bus. After one such trip, the sensor of that battery may be wrong."""
        others = self.on
        if not (others and self._joined >> i & 1 and self._joining_ms > 0 and current_ma > 0):
            return False
        for k in range(BATTERIES):
            if others >> k & 1 and abs(self._snap.current_ma[k]) > IDLE_MA:
                self._failed_joins = 0
                return False
        self._failed_joins |= 1 << i
        return self._failed_joins & self._failed_joins - 1 != 0 and not self.held | self.stuck

    def _cool(self, group: int):
        for i in range(BATTERIES):
            if group >> i & 1:
                self._cause[i] = Reason.BUS_OVERLOAD
                self._snap.eta_ms[i] = self._limits.reconnect_delay_ms
                self.settle(i)

    def _open(self, mask: int):
        self._switches.open(mask)
        last = mask & self.on
        self.on &= ~mask
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
            self._enter(i, OFF, Reason.OPERATOR)
        elif snap.eta_ms[i] or not rules.recovered(
            self._limits, cause, snap.voltage_mv[i], self._balance.charging
        ):
            self._enter(i, TRIPPED, cause or rules.outside(self._limits, snap.voltage_mv[i]))
        else:
            self._cause[i] = Reason.NONE
            self._enter(i, WAITING, Reason.STARTING)

    def count_down(self, i: int, dt_ms: int):
        """`dt_ms` passed for a battery that is not ON; a tripped one may become WAITING."""
        snap = self._snap
        if snap.eta_ms[i]:
            snap.eta_ms[i] = max(snap.eta_ms[i] - dt_ms, 0)
        if snap.state[i] == TRIPPED and not snap.eta_ms[i]:
            self.settle(i)

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
        else:
            snap.wish[i] = WISH_OFF if action == _OFF else AUTO
            if action == _ON and not self.lock[i]:
                snap.eta_ms[i] = 0
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

    def _reset_bus(self):
        self._snap.bus_locked = False
        self._start_fails = 0
        self._snap.alarm("bus_overload", RIG, False)
        self._emit("bus_reset", RIG, 0, 0, 0)


def _words():
    return array("i", bytes(4 * BATTERIES))
