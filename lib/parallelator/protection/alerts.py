# SPDX-License-Identifier: GPL-3.0-only
"""What an ALERT, or a flag that was read, brings about. Run by `guard`.

The line of an ALERT and the flags of its sensor are two witnesses. Flags are cleared by each read:
so every read that shows one comes here. Where several tell of too much current, the cell of one
may be shorted: that battery drinks from the others and opens alone.
"""

from micropython import const

from parallelator.catalog import Reason
from parallelator.hardware.ina2xx import ALERT, HIGH, LOW
from parallelator.protection import rules
from parallelator.snapshot import BATTERIES, IDLE_MA

_CONFIRM_PCT = const(80)
"""The share of the hard limit that a current has to reach to confirm a flag."""
_EARLY = const(6)
"""So many are read within a conversion, at 400 kHz, and may show the one that raised the ALERT."""


class Alerts:
    """The ALERTs of one rig.

    Args:
        snap: the `Snapshot`; switches: a `Switches`; sensors: a `Sensors`; states: a `States`.
        presence: a `Presence`; judge: a `rules.Judge`; limits: a `rules.Limits`.
        emit: function (code, i, state, reason, value) that records an event.

    Attributes:
        flagged: mask of batteries with a voltage beyond its hard limit by their flags: the first
            of two samples.
        unsure: mask of those with a current beyond it by their flags, which none confirms yet.
    """

    def __init__(
        self,
        snap: "Snapshot",
        switches: "Switches",
        sensors: "Sensors",
        states: "States",
        presence: "Presence",
        judge: rules.Judge,
        limits: "Limits",
        emit: "Emit",
    ):
        self._snap = snap
        self._switches = switches
        self._sensors = sensors
        self._states = states
        self._presence = presence
        self._judge = judge
        self._limits = limits
        self._emit = emit
        self._pressed = 0  # those that wait for what an opening has brought
        self._excused = 0  # those that waited for it until this tick
        self._feeding = self._drinking = self._over = 0
        self._told_s = -1
        self.flagged = 0
        self.unsure = 0

    def watched(self):
        """Mask of the batteries whose ALERT matters."""
        return self._states.on & self._presence.alert_proven

    def clear(self, mask: int):
        """Release the ALERTs of `mask`, whatever they told of."""
        for i in range(BATTERIES):
            if mask >> i & 1:
                self._sensors.clear_alert(i)

    def answer(self, alerts: int):
        """The ALERTs of `alerts`, 0 = none, are low in this tick."""
        pressed = self._excused = self._pressed
        self._pressed = 0
        again = alerts & self.flagged
        if again:
            self._open_flagged(again)
        alone = not (alerts & (alerts - 1) or alerts & pressed)
        alerts &= ~again
        if not alerts:
            return
        self._feeding = self._drinking = self._over = 0
        if alone:
            self._answer_one(alerts)
        else:
            self._look(alerts | self._hiding_charge(), alerts)
            self._answer_several(alerts, pressed)

    def _open_flagged(self, mask: int):
        # A voltage beyond its limit in a second sample.
        self.flagged &= ~mask
        self._switches.open(mask)
        for i in range(BATTERIES):
            if mask >> i & 1:
                self._trip(i, self._sensors.clear_alert(i))

    def _answer_one(self, bit: int):
        # It opens at once if it drinks, else when no other has fallen a conversion later, and
        # not for a voltage alone.
        i = 0
        while bit >> i != 1:
            i += 1
        self._look(bit, bit)
        if self._over & self._drinking:
            self._open_over()
            self._pressed = self.watched()  # what they gave to it may still show
            return
        shown = self._sensors.clear_alert(i)
        if self._switches.alert_lines() & self.watched() & ~bit:
            self._hear(i, shown or 0)
            self._answer_several(bit, bit)
        elif self._over or shown is None or shown & ALERT:
            self._switches.open(bit)
            self._trip(i, ALERT)
        elif shown:
            self.flagged |= bit
        elif self._switches.alert_low(i):
            self._switches.open(bit)
            self._trip(i, 0)

    def _answer_several(self, alerts: int, known: int):
        # Those that drink while others feed open at once, the others if they are still beyond
        # their limit in the next tick.
        if not self._drinking:
            late = self._switches.alert_lines() & self.watched() & ~alerts
            self._look(late, late)
            alerts |= late
            self._look_again()
            # By now their conversion is over that the event fell into.
            self._look(self._hiding_charge() & ~alerts, 0)
        if self._feeding and self._drinking:
            self._over = self._drinking
            self._pressed = (self.watched() | alerts) & ~self._drinking
        over = self._open_over()
        for i in range(BATTERIES):
            if (alerts & self._pressed) >> i & 1:
                self._judge.restart(i)
            elif alerts & ~over & 1 << i:
                self._excuse(i, known >> i & 1)

    def _look(self, mask: int, alerts: int):
        # Read the currents of `mask`.
        for i in range(BATTERIES):
            bit = 1 << i
            if not mask & bit:
                continue
            current_ma = self._sensors.read_current(i)
            if current_ma is None:
                self._over |= alerts & bit
                continue
            share = rules.hard_share(self._limits, current_ma)
            if current_ma < 0 and share >= _CONFIRM_PCT:
                self._drinking |= bit
            if alerts & bit and current_ma > IDLE_MA:
                self._feeding |= bit
            if alerts & bit and share > 100:
                self._over |= bit

    def _look_again(self):
        left = _EARLY
        for i in range(BATTERIES):
            bit = 1 << i
            if left and self._over & ~self._drinking & bit:
                left -= 1
                self._over &= ~bit
                self._look(bit, bit)

    def _hiding_charge(self):
        # Those on whose charge no ALERT would tell of.
        mask = self._states.on
        for i in range(BATTERIES):
            if self._presence.alert_proven >> i & 1 and self._sensors.hears_charge(i):
                mask &= ~(1 << i)
        return mask

    def _open_over(self):
        over = self._over
        self._switches.open(over)
        for i in range(BATTERIES):
            if over >> i & 1 and self._states.on >> i & 1:
                self._states.trip(i, Reason.OVERCURRENT, self._snap.current_ma[i])
        return over

    def _trip(self, i: int, shown: "int | None"):
        # Battery i is open; its flags tell why. Without a flag its line is faulty.
        states, limits = self._states, self._limits
        if not states.on >> i & 1:
            return
        if shown is None or shown & ALERT:
            states.trip(i, Reason.OVERCURRENT, self._sensors.alert_ma(i))
        elif shown & HIGH:
            mv = max(self._snap.voltage_mv[i], limits.hard_high_mv)
            states.trip(i, Reason.OVERVOLTAGE, mv)
        elif shown & LOW:
            mv = min(self._snap.voltage_mv[i], limits.hard_low_mv)
            states.trip(i, Reason.UNDERVOLTAGE, mv)
        else:
            self._presence.doubt_alert(i)
            states.trip(i, Reason.FALSE_ALERT, self._snap.current_ma[i])

    def _excuse(self, i: int, known: int):
        # Battery i's ALERT is one of several, but its current is inside the limit.
        shown = self._sensors.clear_alert(i)
        if shown is None:
            return
        self._hear(i, shown)
        if not shown | known:
            self._presence.doubt_alert(i)
        elif shown & ALERT and not known:
            self._tell_unconfirmed(i)

    # Flags

    def read(self, i: int, shown: int):
        """A proof has read flags of battery i, which is on, and so cleared them.

        Args:
            shown: ALERT, HIGH, LOW of ina2xx.
        """
        bit = 1 << i
        self._hear(i, shown)
        if not shown & ALERT:
            return
        self._feeding = self._drinking = self._over = 0
        self._look(bit, bit)
        if rules.hard_share(self._limits, self._snap.current_ma[i]) < _CONFIRM_PCT:
            self.unsure |= bit
        elif self._switches.alert_lines() & self.watched() & ~bit:
            self._answer_several(bit, bit)
        else:
            self._switches.open(bit)
            self._trip(i, ALERT)

    def settle(self, i: int):
        """Battery i, which is unsure, was read again: the reading confirms its flag, or the flag
        itself, once more; else it was no more than an event."""
        self.unsure &= ~(1 << i)
        if not self._states.on >> i & 1:
            return
        if rules.hard_share(self._limits, self._snap.current_ma[i]) < _CONFIRM_PCT:
            shown = self._sensors.clear_alert(i) or 0
            self._hear(i, shown)
            if not shown & ALERT or (self._pressed | self._excused) >> i & 1:
                self._tell_unconfirmed(i)
                return
        self._states.trip(i, Reason.OVERCURRENT, self._sensors.alert_ma(i))

    def _hear(self, i: int, shown: int):
        if shown & (HIGH | LOW):
            self.flagged |= 1 << i

    def _tell_unconfirmed(self, i: int):
        # One a second is enough: what all of them feel is one event.
        current_ma = self._snap.current_ma[i]
        if rules.hard_share(self._limits, current_ma) >= _CONFIRM_PCT:
            return
        if self._told_s != self._snap.uptime_s:
            self._told_s = self._snap.uptime_s
            self._emit("flag_unconfirmed", i, self._snap.state[i], 0, current_ma)
