# SPDX-License-Identifier: GPL-3.0-only
"""Judges what is not done: the second promise of the contract. Called by the referee five times a
second.

*Kept off without a cause*: a pack whose voltage, sensor, board, temperature, wish and counted
trips let it join what is there, with a margin in the firmware's favour, for longer than its
longest delay, its turn and 5 s of patience.

*The load has no supply*: there is a load and less than 12 V, the largest set of able packs within
start_spread_mv could carry the load at 80 % of its continuous limits, and each of the set has been
able for longer than the rules can use: 15 s from power-on or a reset (more as start_delay_ms is
more than 5 s); after an opening 5 s, or reconnect_delay_ms where it may have been counted; 10 s
after a fault of its own (2 s of valid readings, 5 s, turns); the pause after a failure of the
output; where only a trial can tell, as with full packs, a board that does not answer or a pack
that carries current though open, 1 s more, and trial_interval_ms after a trial in vain; and 5 s
of patience.

*Not charged though a charger is there*: an empty pack above the charge floor, a charger that has
more to give than the load takes, and the pack stays off for longer than the longest pause of a
trial, its patience and its delays; onto a supplied output two minutes.

*Went dark though healthy packs were on*: see `Referee`. *Locked for another's fault*: a pack is
locked that had no fault of its own board and cannot have had enough counted trips; *counted for
another's fault*: it is counted more trips than it can have had. *Told to be on though it is open*:
for longer than it takes to see that a switch does not follow.
"""

from sim.evidence import CARRIES_A, FOREVER, GIVES_A, LOOSE, MS, S
from sim.truth import PREDICTED, QUANTUM_V, STRAY_A

_ON, _LOCKED = 3, 5

_FOUND_US = 10 * S  # the longest pause between two probes, and two seconds of valid readings
_PATIENCE_US = 5 * S
_BOOT_US = 15 * S
_START_DELAY_US = 5 * S  # of the 15 s, as the settings have it at first
_DARK_DELAY_US = 5 * S
_DOUBT_US = S  # until a silent board is judged
_LONGEST_TRIAL_US = 75 * S  # its longest pause, patience and a reading
_CHARGING_US = 120 * S
_LIED_US = 15 * S
_SPARE = 0.8
_CHARGER_A = 0.2
_DRAWN_US = 4 * S
_COUNTED_US = 300 * MS
_OPEN_US = 2 * S


class Supply:
    """Who could be on, and for how long?

    Args:
        world: the `World`; limits: an `evidence.RefereeLimits`; packs: list of `evidence.Pack`.
        truth: a `truth.Truth`; failures: a `failures.Failures`; trials: a `trials.Trials`.
        slack_us: added to every pause; report: function (at_us, pack, what).
    """

    def __init__(self, world, limits, packs, truth, failures, trials, slack_us, report):
        self._world = world
        self._limits = limits
        self._packs = packs
        self._truth = truth
        self._failures = failures
        self._trials = trials
        self._slack_us = slack_us
        self._report = report
        self._boot_us = 0
        self._alive = False
        self._dark_us = None
        self._dark_told = False

    def restarted(self, at_us):
        """The controller restarts."""
        self._boot_us = at_us

    def look(self, at_us, snap, states, undisturbed):
        """Judge what is not on.

        Args:
            states: the firmware's states, of `snap` (or None); undisturbed: False while it cannot
                know the output.
        """
        self._truth.note(at_us)
        waiting = [pack for pack in self._packs if not pack.closed]
        for pack in waiting:
            self._note_stray(pack, at_us)
        live = self._truth.conducting()
        if self._alive != bool(live):
            # Everybody waits anew: the same group may start the output again, until it is locked,
            # and the others join it in their turn.
            for pack in waiting:
                pack.ready_us = None
        self._alive = bool(live)
        self._failures.hold(at_us, bool(live) and not self._truth.dark())
        self._look_at_absent(at_us, waiting, live, states, undisturbed)
        self._look_at_dark(at_us, waiting, live, states, undisturbed)
        self._look_at_empty(at_us, waiting, live, states)
        self._look_at_drawn(at_us, live)
        if snap is not None:
            self._look_at_locks(at_us, snap)

    def _note_stray(self, pack, at_us):
        plant = self._world.plant
        if abs(plant.sensed_a[pack.i]) <= STRAY_A:
            pack.stray_us = None
        elif pack.stray_us is None:
            pack.stray_us = at_us
        if self._truth.lies(pack):
            pack.lied_us = at_us
            pack.empty = False
        volts = plant.sensed_v[pack.i]
        if volts >= self._limits.healthy_low_v + QUANTUM_V:
            pack.empty = False
        if volts <= self._limits.healthy_high_v:
            pack.full = False

    # Kept off

    def _look_at_absent(self, at_us, waiting, live, states, undisturbed):
        truth = self._truth
        sensed = self._world.plant.sensed_a
        bus_v = truth.bus_v(live) if live else None
        seeming = [pack for pack in self._packs if pack.closed or pack.stray_us is not None]
        # Who carries nothing says nothing.
        carry = [pack for pack in seeming if truth.speaks(sensed[pack.i])]
        seen_v = [truth.seen_v(view, at_us) for view in (seeming, carry) if view]
        current = [sensed[pack.i] for pack in seeming]
        # The pause after failed starts holds, too, where one that cannot be opened carries alone.
        alone = live and not any(pack.closed for pack in live)
        paused = alone and at_us < self._failures.over_us()
        for pack in waiting:
            if not (
                undisturbed
                and not paused
                and self._is_healthy(pack, at_us, states[pack.i])
                and self._is_inside(pack, live)
                and (not live or self._is_near(pack, bus_v))
                and all(self._is_welcome(pack, volts, current) for volts in seen_v)
            ):
                pack.ready_us = None
            elif pack.ready_us is None:
                pack.ready_us = at_us
                pack.told = False
            elif not pack.told and at_us > self._latest_us(pack, live):
                pack.told = True
                self._report(at_us, pack, "kept off without a cause")

    def _is_healthy(self, pack, at_us, state):
        """True when nothing but its voltage can keep a pack from joining."""
        return not (
            pack.off is not False
            or not pack.fits
            or pack.blind
            or pack.lost
            or pack.maybe >= self._limits.max_trips
            or pack.loose >= LOOSE
            or pack.faulted
            and state == _LOCKED
            or self._truth.cannot_conduct(pack)
            or self._world.plant.closed(pack.i)
            or self._world.sensors[pack.i].heat_c > self._limits.alarm_c - 1
            or at_us - pack.lied_us < _LIED_US
        )

    def _is_inside(self, pack, live):
        limits = self._limits
        high_v = limits.healthy_high_v
        if live and all(self._world.plant.current_a[other.i] > GIVES_A for other in live):
            high_v = limits.high_v - QUANTUM_V
        return limits.healthy_low_v <= self._world.plant.sensed_v[pack.i] <= high_v

    def _is_near(self, pack, bus_v):
        return abs(self._truth.rest_v(pack) - bus_v) < self._limits.offset_v - QUANTUM_V

    def _is_welcome(self, pack, bus_v, current):
        """The tests of a join, each with a margin in the firmware's favour."""
        limits = self._limits
        truth = self._truth
        if not self._is_near(pack, bus_v):
            return False
        count = len(current)
        circulating_a = truth.circulating_a(pack, bus_v, count)
        most_a = limits.discharge_a if circulating_a > 0 else limits.charge_a
        if max(current) < CARRIES_A and min(current) > -CARRIES_A:
            # The others carry nothing else: it joins them as one of a start.
            most_a = min(limits.discharge_a, limits.charge_a)
        if abs(circulating_a) > most_a * PREDICTED:
            return False
        joining_a = circulating_a + sum(current) / (count + 1)
        if truth.is_beyond_share(joining_a, PREDICTED):
            return False
        return not any(
            truth.is_beyond_share(amps - joining_a / count, PREDICTED) for amps in current
        )

    def _latest_us(self, pack, live):
        """When a pack that may join has to be on the bus at the latest."""
        limits = self._limits
        latest_us = max(
            pack.ready_us + _FOUND_US,
            self._boot_us + limits.start_us + _FOUND_US,
            max(pack.opened_us, pack.trouble_us, pack.blind_us) + pack.pause_us(),
        )
        if not live:
            latest_us = max(latest_us, self._failures.over_us())
        return latest_us + limits.join_us * len(self._packs) + _PATIENCE_US + self._slack_us

    # A load without supply

    def _look_at_dark(self, at_us, waiting, live, states, undisturbed):
        if live or not self._truth.dark():
            self._dark_us = None
            self._dark_told = False
            return
        if self._dark_us is None:
            self._dark_us = at_us
        late = []
        for pack in waiting:
            volts = self._world.plant.sensed_v[pack.i]
            if not (
                self._is_healthy(pack, at_us, states[pack.i])
                and self._limits.healthy_low_v <= volts < 1.03 * self._limits.high_v - QUANTUM_V
            ):
                pack.able_us = None
                continue
            if pack.able_us is None:
                pack.able_us = at_us
            if at_us > self._dark_latest_us(pack, undisturbed):
                late.append(pack)
        if late and not self._dark_told and self._carries(late):
            self._dark_told = True
            self._report(at_us, late[0], "the load has no supply")

    def _dark_latest_us(self, pack, undisturbed):
        limits = self._limits
        cooling_us = _DARK_DELAY_US
        if pack.may_cool:
            cooling_us = max(cooling_us, limits.reconnect_us)
        latest_us = max(
            self._dark_us,
            pack.able_us + (_FOUND_US if pack.able_us > self._dark_us else 0),
            pack.opened_us + cooling_us,
            max(pack.trouble_us, pack.blind_us) + _FOUND_US,
            self._boot_us + _BOOT_US - _PATIENCE_US + max(limits.start_us - _START_DELAY_US, 0),
            self._failures.over_us(),
        )
        full = self._world.plant.sensed_v[pack.i] > limits.healthy_high_v
        strange = any(
            other.stray_us is not None or other.closed or other.lost for other in self._packs
        )
        if full or strange or not undisturbed:
            if not limits.trial_us:
                return FOREVER
            latest_us += _DOUBT_US
            if self._trials.ended_us >= self._dark_us:
                latest_us += limits.trial_us
        return latest_us + limits.join_us + _PATIENCE_US + self._slack_us

    def _carries(self, packs):
        """True when the largest set that may start together carries the load with ease."""
        rest = sorted(self._truth.rest_v(pack) for pack in packs)
        spread_v = self._limits.spread_v - QUANTUM_V
        most = max(sum(low <= volts <= low + spread_v for volts in rest) for low in rest)
        return most * self._limits.discharge_a * _SPARE >= self._world.plant.load_a

    # An empty pack and a charger

    def _look_at_empty(self, at_us, waiting, live, states):
        if self._trials.members:
            return  # what comes of it is seen when it is over
        for pack in self._packs:
            if pack.closed and at_us - pack.closed_us > S:
                pack.starved_us = None
        plant = self._world.plant
        limits = self._limits
        spare_a = plant.source_a - plant.load_a
        charger = spare_a > _CHARGER_A * len(self._packs) and not (live and self._truth.dark())
        bus_v = self._truth.bus_v(live) if live else None
        for pack in waiting:
            empty_v = limits.healthy_low_v if pack.empty else limits.low_v
            if not (
                charger
                and limits.trial_us
                and len(self._packs) > 1
                and limits.floor_v + QUANTUM_V < plant.sensed_v[pack.i] < empty_v
                and self._is_healthy(pack, at_us, states[pack.i])
                and (not live or self._is_charged(pack, bus_v, live))
            ):
                pack.starved_us = None
            elif pack.starved_us is None:
                pack.starved_us = at_us
            elif pack.starved_us != FOREVER and at_us > self._charged_latest_us(pack, live):
                pack.starved_us = FOREVER
                self._report(at_us, pack, "not charged though a charger is there")

    def _is_charged(self, pack, bus_v, live):
        current = [self._world.plant.current_a[other.i] for other in live]
        return max(current) < -CARRIES_A and self._is_welcome(pack, bus_v, current)

    def _charged_latest_us(self, pack, live):
        latest_us = max(
            pack.starved_us,
            self._boot_us + self._limits.start_us + _FOUND_US,
            max(pack.fell_us, pack.trouble_us, pack.blind_us) + pack.pause_us(),
            self._failures.over_us(),
        )
        pause_us = max(_LONGEST_TRIAL_US, self._limits.trial_us + _FOUND_US)
        return latest_us + (_CHARGING_US if live else pause_us) + _PATIENCE_US + self._slack_us

    # A pack that cannot be opened

    def _look_at_drawn(self, at_us, live):
        """One that is charged beyond its hard limit though its gate is open, and is fed."""
        plant = self._world.plant
        hard_a = self._limits.hard_charge_a
        for pack in self._packs:
            amps = plant.current_a[pack.i]
            drawn = pack in live and not plant.switch[pack.i] and not pack.closed
            fed = any(other.closed and plant.current_a[other.i] > STRAY_A for other in live)
            span = pack.drawn
            span.note(
                at_us,
                drawn and amps < -PREDICTED * hard_a,
                drawn and fed and not pack.blind and amps < -1.1 * hard_a,
            )
            if span.since_us is not None and not span.told:
                if at_us - max(span.since_us, pack.trouble_us) > _DRAWN_US + self._slack_us:
                    span.told = True
                    self._report(at_us, pack, "charged beyond its hard limit, and still fed")

    def feeds(self, at_us):
        """True when a pack that cannot be opened explains that others open."""
        charge_a = self._limits.charge_a
        for pack in self._packs:
            span = pack.drawn
            if span.lasted_us() > 800 * MS and at_us - span.seen_us < _FOUND_US:
                return True
            if not pack.closed and self._world.plant.current_a[pack.i] < -charge_a * PREDICTED:
                return span.lasted_us() > 800 * MS
        return False

    # Locks and counts

    def _look_at_locks(self, at_us, snap):
        limits = self._limits
        gates = self._world.plant.switch
        for pack in self._packs:
            i = pack.i
            idle = snap.state[i] == _ON and not gates[i] and not pack.lost
            earned = pack.faulted or pack.maybe >= limits.max_trips or pack.loose >= LOOSE
            locked = snap.state[i] == _LOCKED and not earned
            over = snap.trips[i] > pack.maybe and not pack.faulted
            for span, wrong, after_us, what in (
                (pack.overlocked, locked, _COUNTED_US, "locked for another's fault"),
                (pack.overcounted, over, _COUNTED_US, "counted for another's fault"),
                (pack.overclosed, idle, _OPEN_US, "told to be on though it is open"),
            ):
                # What the load has done is taken back when the last pack has opened.
                span.note(at_us, wrong, wrong)
                if span.since_us is not None and not span.told:
                    if at_us - span.since_us > after_us:
                        span.told = True
                        self._report(at_us, pack, what)
        self._failures.judge_lock(at_us, snap.bus_locked, self._packs[0], self._report)
