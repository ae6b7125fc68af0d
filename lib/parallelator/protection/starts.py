# SPDX-License-Identifier: GPL-3.0-only
"""Starts of a dead output, trials, and what follows when the output fails. Run by `guard`.

A load that takes too much is the load's fault: it is counted once, against the output, and no
battery is locked for it. A trial closes batteries that must not start for a few readings, because
the rig cannot learn in any other way whether a charger or a load is there.
"""

from array import array

from micropython import const

from parallelator.catalog import Reason
from parallelator.snapshot import BATTERIES, IDLE_MA, RIG

START_MS = const(1000)
"""The first second after a start: an over-current in it is the load's fault."""
_INRUSH_MS = const(300)
_INRUSH_MA = const(40000)
_TRIAL_READS = const(2)
_PATIENCE_MS = const(10000)
_ASKED_PATIENCE_MS = const(60000)
_DISCHARGE_MA = const(100)
_LONGEST_PAUSE_MS = const(60000)
_TRIALS_ALONE = const(10)
_AGAIN_MS = const(1000)
_SAME_MS = const(1000)
"""Within this time of a failure another one without a start between is the same."""
_HELD_S = const(60)
_LATER_S = (60, 120, 300, 600)
_FAILURES = const(10)
_WINDOW_S = const(7200)
_AFTER_RESET_MS = const(1000)
_MOST_MS = const(3600000)
_KEPT = const(9)

EMPTY = const(1)
FULL = const(2)
DOUBT = const(3)


class Starts:
    """The starts, trials and failures of one output.

    Args:
        snap: the `Snapshot`; limits: a `rules.Limits`.
        emit: function (code, i, state, reason, value) that records an event.

    Attributes:
        group: mask of those that closed together last; age_ms: time since then, a minute at most
            and after a failure.
        trial: mask of the batteries that are on trial; kind: EMPTY, FULL or DOUBT, of the last.
        trials: those since one last succeeded.
        by_charge: True when the output failed last because it gave too much.
        wide: True when the next start takes whoever stands it, since the last one failed.
        asked_ms: what is left of the minute after an operator's *On* or *reset* of a dead output,
            in which it is tried at once.
        pause_ms: what is left before the next start.
        fails: failures within two hours.
        changed: True when a start begins or has succeeded, until that was noted.
    """

    def __init__(self, snap: "Snapshot", limits: "Limits", emit: "Emit"):
        self._snap = snap
        self._limits = limits
        self._emit = emit
        self._boot_ms = limits.start_delay_ms
        self._first_s = 0
        self._kept = array("i", bytes(4 * _KEPT))
        self._kept_s = array("i", bytes(4))
        self._in_a_row = 0
        self._tried_again = False
        self._patience_ms = 0
        self._failing_ms = 0
        self._trial_pause_ms = 0
        self._empty_pause_ms = limits.trial_interval_ms
        self.trials = 0
        self._reads = 0
        self._sure = 0
        self.group = 0
        self.age_ms = _LONGEST_PAUSE_MS
        self.trial = 0
        self.kind = 0
        self.wide = self.by_charge = False
        self.asked_ms = 0
        self.pause_ms = 0
        self.fails = 0
        self.changed = False

    # Over a reset

    @property
    def kept(self):
        """What a reset must not forget: rows as `records.rtc_state.RtcState` takes them."""
        return (
            (self._kept, "i", 0, _MOST_MS, False),
            (self._kept_s, "i", -_WINDOW_S, 0, True),
        )

    def note(self):
        """Put what changes into what is kept. Called before it is saved."""
        kept = self._kept
        kept[0] = self.starting()
        kept[1] = self._tried_again
        kept[2] = self.fails
        kept[3] = self._in_a_row
        kept[4] = self.pause_ms
        kept[5] = self.trials
        kept[6] = self._trial_pause_ms
        kept[7] = self._empty_pause_ms
        kept[8] = self.by_charge
        self._kept_s[0] = self._first_s
        self.changed = False

    def recall(self):
        """What is kept is back after a reset.

        Returns:
            int: the pause in ms when the reset cut a start off, which has failed so; else 0.
        """
        kept = self._kept
        self._boot_ms = min(self._boot_ms, _AFTER_RESET_MS)
        self._tried_again = kept[1] > 0
        self.fails = kept[2]
        self._in_a_row = kept[3]
        self.pause_ms = kept[4]
        self.trials = kept[5]
        self._trial_pause_ms = kept[6]
        self._empty_pause_ms = kept[7]
        self.by_charge = kept[8] > 0
        self._first_s = self._kept_s[0]
        self.wide = self._tried_again or self._in_a_row > 0
        if kept[0]:
            self.age_ms = 0
            return self.fail(self.by_charge)
        if self.fails >= _FAILURES:
            self._snap.bus_locked = True
        self._snap.alarm("bus_overload", RIG, self._in_a_row > 2 or self._snap.bus_locked)
        return 0

    def pass_time(self, dt_ms: int):
        """`dt_ms` passed."""
        self._boot_ms = max(self._boot_ms - dt_ms, 0)
        self.pause_ms = max(self.pause_ms - dt_ms, 0)
        self._failing_ms = max(self._failing_ms - dt_ms, 0)
        self._trial_pause_ms = max(self._trial_pause_ms - dt_ms, 0)
        self.asked_ms = max(self.asked_ms - dt_ms, 0)
        if self.age_ms < _LONGEST_PAUSE_MS:
            started = self.starting()
            self.age_ms += dt_ms
            self.changed = self.changed or started and not self.starting()
            if self.age_ms >= _HELD_S * 1000:
                self._in_a_row = 0
                self.wide = self.by_charge = self._tried_again = False
        if self.trial:
            self._patience_ms -= dt_ms

    def holds(self):
        """The Reason why a dead output may not be started now, NONE = it may."""
        if self._boot_ms:
            return Reason.STARTING
        if self.pause_ms or self._snap.bus_locked:
            return Reason.BUS_OVERLOAD
        return Reason.NONE

    def begin(self, group: int, on: int = 0):
        """`group` was closed onto an output that may be dead.

        Who joins those of `on` in the first second of theirs shares it: the currents of a start
        are allowed once, for what hangs on the output is charged.
        """
        if self.starting() and self.group & on:
            self.group |= group
        else:
            self.group = group
            self.age_ms = self._failing_ms = 0
        self.asked_ms = 0
        self.changed = True

    def ask(self):
        """An operator's *On* or *reset*: what is dead is tried at once, locked or not."""
        self.asked_ms = _ASKED_PATIENCE_MS
        self._snap.bus_locked = False
        self.pause_ms = self._trial_pause_ms = self.trials = 0
        self._empty_pause_ms = self._limits.trial_interval_ms

    # The first second

    def starting(self):
        """True in the first second after a start."""
        return self.age_ms < START_MS

    def inrush_ma(self):
        """In the first 300 ms the current that opens all the same, mA; then 0: the limits hold.

        Motors, converters and lamps take a multiple of their current while they start.
        """
        if self.age_ms >= _INRUSH_MS or self.trial:
            return 0
        limits = self._limits
        hard_ma = max(limits.hard_discharge_ma, limits.hard_charge_ma)
        return min(2 * hard_ma, _INRUSH_MA) if hard_ma else _INRUSH_MA

    # Failures

    def fail(self, by_charge: bool):
        """The output took too much, gave too much (`by_charge`), or broke down.

        Returns:
            int: the pause before the next start in ms; 0 = the output is locked.
        """
        snap = self._snap
        if self._failing_ms:
            return 0 if snap.bus_locked else self.pause_ms
        self._failing_ms = _SAME_MS
        first = self.starting() and not self._tried_again and not self.trial
        self.age_ms = _LONGEST_PAUSE_MS
        self.wide = True
        self.by_charge = by_charge
        if first:
            # Its capacitors are charged now.
            self._tried_again = True
            self.pause_ms = _AGAIN_MS
            self._emit("bus_start_failed", RIG, 0, Reason.BUS_OVERLOAD, self.fails)
            return self.pause_ms
        if not self.fails or snap.uptime_s - self._first_s > _WINDOW_S:
            self.fails = 0
            self._first_s = snap.uptime_s
        self.fails += 1
        self._in_a_row += 1
        later = self._in_a_row - 3
        if later < 0:
            self.pause_ms = self._limits.reconnect_delay_ms
        else:
            self.pause_ms = 1000 * _LATER_S[min(later, len(_LATER_S) - 1)]
        snap.bus_locked = self.fails >= _FAILURES
        snap.alarm("bus_overload", RIG, later >= 0 or snap.bus_locked)
        self._emit(
            "bus_locked" if snap.bus_locked else "bus_start_failed",
            RIG,
            0,
            Reason.BUS_OVERLOAD,
            self.fails,
        )
        return 0 if snap.bus_locked else self.pause_ms

    def forgive(self):
        """An operator has reset the output."""
        self.fails = self._in_a_row = 0
        self._snap.alarm("bus_overload", RIG, False)
        self.ask()

    # Trials

    def trial_due(self, candidates: int):
        """Whether a trial may begin; `candidates`: how many batteries could take part."""
        if self.asked_ms or self.by_charge:
            return True
        if not self._limits.trial_interval_ms or self._trial_pause_ms:
            return False
        return candidates > 1 or self.trials < _TRIALS_ALONE

    def begin_trial(self, kind: int, group: int, sure: int):
        """`group` closes on trial; those of `sure` stay unless the output takes too much."""
        if not self.trials:
            self._emit("trial", RIG, 0, Reason.TRIAL, kind)
        self.trials += 1
        self.by_charge = False  # the next one waits, unless this one meets such a charger again
        self.kind = kind
        self.trial = group
        self._sure = sure
        self._patience_ms = _ASKED_PATIENCE_MS if self.asked_ms else _PATIENCE_MS
        self._reads = 0

    def probing(self):
        """True while the trial needs the currents of all its batteries at once."""
        return self.trial and self._reads < _TRIAL_READS

    def round_done(self):
        """The currents of all that are on trial were read once more."""
        self._reads += 1

    def verdict(self):
        """What the readings of the trial say so far.

        Returns:
            int or None: mask of the batteries that stay connected, 0 = none; None: go on.
        """
        if self._reads < _TRIAL_READS:
            return None
        amps = self._snap.current_ma
        limits = self._limits
        total_ma = charged = discharged = beyond = packs = inside = 0
        for i in range(BATTERIES):
            if self.trial >> i & 1:
                packs += 1
                total_ma += amps[i]
                charged += amps[i] <= -IDLE_MA
                discharged += amps[i] >= _DISCHARGE_MA
                beyond += not -limits.charge_ma <= amps[i] <= limits.discharge_ma
                if self._snap.voltage_mv[i] <= limits.max_voltage_mv:
                    inside |= 1 << i
        witnesses = min(packs, 2)
        if self.kind == DOUBT:
            return 0 if beyond else self.trial
        if self.kind == FULL:
            if discharged >= witnesses:
                return self.trial
            return self._sure if charged else inside
        # What some give and others take in is between them: their sum tells of the output.
        if charged >= witnesses and total_ma <= -IDLE_MA * packs:
            return self.trial
        if beyond or discharged >= witnesses and total_ma >= IDLE_MA * packs:
            return self._sure
        return None if self._patience_ms > 0 else self._sure

    def end_trial(self, stays: int):
        """The trial is over; `stays`: mask of those that stay connected."""
        self.trial = 0
        if stays:
            self._emit("trial_done", RIG, 0, Reason.TRIAL, self.kind)
            self.trials = 0
            self._empty_pause_ms = self._limits.trial_interval_ms
            self._trial_pause_ms = 0
        elif self.kind == EMPTY:
            self._trial_pause_ms = self._empty_pause_ms
            self._empty_pause_ms = min(2 * self._empty_pause_ms, _LONGEST_PAUSE_MS)
        else:
            self._trial_pause_ms = self._limits.trial_interval_ms
        self.asked_ms = 0
