# SPDX-License-Identifier: GPL-3.0-only
"""Judges trials: closings by which the firmware asks whether a load or a charger is there.

A trial is what the firmware calls so (state `on`, reason `trial`). The contract allows it while
nothing else is on, of packs above the charge floor whose predicted currents stay under 40 A, for
60 ms; longer while it is charged, while it neither takes nor gives for 10 s, after an operator's
*On* for 60 s. What is left of it must be packs that may be on. Between two lies trial_interval_ms,
doubled each time up to a minute while the packs are empty; a rig of one stops after ten.
"""

from sim.evidence import CARRIES_A, FOREVER, GIVES_A, MS, S
from sim.truth import QUANTUM_V

_TRIAL_US = 150 * MS  # 60 ms, a gap between two ticks and a collection
_IDLE_US = 10500 * MS
_ASKED_US = 61 * S
_RECOVERY_US = 100 * MS
_LONGEST_PAUSE_US = 60 * S
_SHORTER = 0.9
_WORST_A = 44.0
_BEFORE_US = S
_CHARGED_US = S
_ALONE = 10
_CLEAR_A = 0.03


class Trials:
    """The trials of one rig.

    Args:
        world: the `World`; limits: an `evidence.RefereeLimits`; packs: list of `evidence.Pack`.
        truth: a `truth.Truth`; report: function (at_us, pack, what).

    Attributes:
        members: packs on trial; ended_us: when the last trial ended.
    """

    def __init__(self, world, limits, packs, truth, report):
        self._world = world
        self._limits = limits
        self._packs = packs
        self._truth = truth
        self._report = report
        self.members = []
        self._began_us = self.ended_us = self._asked_us = -FOREVER
        self._loud_us = self._idle_us = None
        self._told = False
        self._in_vain = self._empty_in_vain = 0
        self._is_empty = self._forgiven = False

    def ask(self, at_us):
        """An operator's *On* or *reset*: the next trial may come at once."""
        self._asked_us = at_us
        self._in_vain = self._empty_in_vain = 0

    def forgive(self):
        """The next trial may come at once: a restart, a success, a charger that was too strong."""
        self._forgiven = True
        self._in_vain = self._empty_in_vain = 0

    def restarted(self):
        """What was on trial is open."""
        self.members = []
        self.ended_us = -FOREVER
        self.forgive()

    def begin(self, pack, closed_us):
        """`pack` closed at closed_us, and the firmware calls that a trial."""
        if not self.members:
            self._begin(pack, closed_us)
        pack.on_trial = True
        self.members.append(pack)
        volts = self._truth.rest_v(pack)
        if volts < self._limits.floor_v - QUANTUM_V:
            self._report(closed_us, pack, "on trial below the charge floor")
        self._is_empty = self._is_empty or pack.empty or volts < self._limits.low_v + QUANTUM_V
        mean_v = sum(self._truth.rest_v(other) for other in self.members) / len(self.members)
        ohm = self._limits.pack_ohm + self._limits.path_ohm
        if not self._told and abs(volts - mean_v) / ohm > _WORST_A:
            self._told = True
            self._report(closed_us, pack, "on trial with too far a pack")

    def _begin(self, pack, closed_us):
        self._began_us = closed_us
        self._loud_us = self._idle_us = None
        self._told = self._is_empty = False
        others = [
            other
            for other in self._truth.conducting()
            if other.closed
            and closed_us - other.closed_us > _BEFORE_US
            and not (other.is_doubtful() or other.unknown or self._is_silent(other, closed_us))
        ]
        if others and self._truth.are_measured(others, closed_us):
            self._report(closed_us, pack, "a trial though the output has its supply")
        pause_us = self._limits.trial_us
        if self._empty_in_vain > 1:
            pause_us <<= min(self._empty_in_vain - 1, 10)
            pause_us = min(pause_us, max(_LONGEST_PAUSE_US, self._limits.trial_us))
        asked = self._forgiven or self._asked_us >= self.ended_us
        self._forgiven = False
        if not asked and closed_us - self.ended_us < pause_us * _SHORTER:
            self._report(closed_us, pack, "a trial too soon after another")
        if not asked and len(self._packs) == 1 and self._in_vain > _ALONE:
            self._report(closed_us, pack, "a trial too often of a rig of one")

    def _is_silent(self, pack, at_us):
        # Its board does not answer, and its sensor shows nothing that it could be known by.
        return pack.held and abs(self._truth.before_a(pack, at_us)) <= CARRIES_A + _CLEAR_A

    def follow(self, at_us, snap, trial):
        """Look at the trial that goes on; `trial` is the firmware's reason for it.

        Returns:
            bool: True when a member stays, for which the limits of others hold from now on.
        """
        stay = [
            pack
            for pack in self.members
            if pack.closed and snap is not None and snap.reason[pack.i] != trial
        ]
        for pack in stay:
            self._stay(pack, at_us)
        if self.members and not self._told:
            self._follow(at_us)
        return bool(stay)

    def _follow(self, at_us):
        limits = self._limits
        amps = [self._world.plant.current_a[pack.i] for pack in self.members]
        giving = sum(a > GIVES_A + _CLEAR_A for a in amps)
        mean_a = sum(amps) / len(amps)
        beyond = max(amps) > 1.1 * limits.discharge_a or min(amps) < -1.1 * limits.charge_a
        idle = mean_a > _CLEAR_A - CARRIES_A
        loud = giving >= min(len(amps), 2) and mean_a > CARRIES_A + _CLEAR_A or idle and beyond
        self._loud_us = _since(loud, self._loud_us, at_us)
        self._idle_us = _since(idle, self._idle_us, at_us)
        trouble_us = max(pack.trouble_us for pack in self.members) + _RECOVERY_US
        patience_us = _IDLE_US
        if self._began_us - self._asked_us < _ASKED_US:
            patience_us = _ASKED_US
        if (
            loud
            and at_us - max(self._loud_us, trouble_us) > _TRIAL_US
            or idle
            and at_us - self._idle_us > patience_us
        ):
            self._told = True
            self._report(at_us, self.members[0], "on trial for too long")

    def _stay(self, pack, at_us):
        """`pack` goes on as others do: is it one that may?"""
        pack.on_trial = False
        self.members.remove(pack)
        self.forgive()
        self.ended_us = at_us
        current_a = self._world.plant.current_a
        amps = current_a[pack.i]
        if not self._truth.are_measured([pack], at_us):
            return
        # One that is a little fuller may give to the others that are charged with it.
        charged = sum(current_a[other.i] for other in self._truth.conducting()) < -CARRIES_A
        charged = charged or at_us - self._truth.charged_us < _CHARGED_US
        if pack.empty and amps > GIVES_A and not charged:
            self._report(at_us, pack, "stays after a trial that did not charge it")
        if pack.full and amps < -4 * CARRIES_A:
            self._report(at_us, pack, "stays full after a trial that charges it")

    def opened(self, pack, at_us):
        """`pack` opened; if it was on trial, that is its end, and needs no other cause."""
        if not pack.on_trial:
            return False
        pack.on_trial = False
        self.members.remove(pack)
        if not self.members and at_us != self.ended_us:
            self._in_vain += 1
            self._empty_in_vain = self._empty_in_vain + 1 if self._is_empty else 0
            self.ended_us = at_us
        return True


def _since(holds, since_us, at_us):
    return (at_us if since_us is None else since_us) if holds else None
