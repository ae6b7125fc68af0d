# SPDX-License-Identifier: GPL-3.0-only
"""Judges closings from the plant's truth. Called by the referee.

What a closing is, the truth says, not the firmware: a *join* when packs that carry current hold
the output, a *start* when nobody does, one onto an *idle* output when they hold it and carry
nothing, or more than can be believed: then it may pass for a start. A closing that the firmware
calls a trial is judged by `trials`.

A join: the pack lies within voltage_offset_mv of the packs that hold the output, compared at
rest; neither its circulating current nor its total nor anybody's is predicted to be too much; one
per join_interval_ms. Where somebody is beyond the continuous limit it may be *relief* instead: any
number together within twice the offset, once in 10 s, that leaves everybody inside 80 % of the
hard limit or lowers the highest share by a fifth.

A start: the group lies within start_spread_mv, after a failed one within voltage_offset_mv and
with predicted currents inside 80 % of the hard limit.

A pack below its voltage limit joins only what is charged, one that opened by a voltage has
recovered, a full one is not charged. The order of an operator is obeyed, a lock and a pause kept.
"""

from sim.evidence import CARRIES_A, FALSIFIED_US, FOREVER, HARD, INRUSH, INRUSH_US, LOOSE, MS, S
from sim.truth import MOST_PREDICTED, QUANTUM_V, STRAY_A

_WAITING, _ON = 2, 3

_RECOVERY_US = 100 * MS
_OBEY_US = 30 * MS  # a wish may come while a closing is under way
_ENTERED_US = 60 * MS  # a closing has its state by then
_UNSEEN_US = 400 * MS  # a delay counts from the reading before the trip
_TOGETHER_US = 20 * MS
_FORGOTTEN_US = 30 * S  # until a battery has left the voltage that it was last seen at
_STALLED_US = 400 * MS
"""A pause of the host, on its own clock, that may fall between the boards of one start."""
_YOUNG_US = 350 * MS
_STARTING_US = S
_STARTING_SLACK_US = 250 * MS
_STUCK_US = 700 * MS  # 500 ms of samples: what carries current for longer is on the bus
_CHARGED_US = S
_FOUND_US = 12 * S  # the longest pause between two probes, and two seconds of valid readings
_ASKED_US = 61 * S
_RELIEF_US = 9500 * MS
_CONVERSION_US = 2440  # of an INA237: nobody sees what is shorter
_SHORTER = 0.9
_BEYOND = 0.97
_LOWERED = 0.9
_SMALL_A = 0.3


class _Join:
    """What there was when somebody closed onto an output that packs hold.

    Args:
        live: the packs that hold it; told, stray: those that the firmware may take for such.
        truth: a `truth.Truth`.

    Attributes:
        idle: True when none of `live` carried a current that says what the output is.
        before: their currents.
        commanded: False when only welds hold it, which the firmware may take for a dead output.
        share_a: what the load takes of one more;
        bus_v: voltage at rest; slack_v: by how much the firmware's may differ from it.
        worst: the highest current as a share of its continuous limit.
        joined: those that closed together so far; relief: True when that was to relieve somebody.
    """

    def __init__(self, at_us, live, told, stray, truth):
        self.at_us = at_us
        self.live = live
        self.before = [truth.before_a(pack, at_us) for pack in live]
        known = [amps for pack, amps in zip(live, self.before) if not pack.is_doubtful()]
        self.idle = not any(truth.speaks(amps) for amps in known)
        self.worst = max(truth.load_share(amps) for amps in self.before)
        self.bus_v = truth.bus_v(live)
        self.seen_v = [truth.seen_v([pack], at_us) for pack in live]
        read = [pack for pack in told if not pack.blind]
        carry = [pack for pack in read if abs(truth.before_a(pack, at_us)) > CARRIES_A]
        views = [carry, truth.agreeing(carry, at_us), read, read + stray, live]
        if len(carry) == 2:
            # Of two that contradict each other one that joins may fit either.
            views += [carry[:1], carry[1:]]
        moments_us = truth.moments_us(at_us)
        seen_v = [truth.seen_v(view, us) for view in views if view for us in moments_us]
        self.slack_v = QUANTUM_V + max(abs(seen - self.bus_v) for seen in seen_v)
        self.commanded = any(pack.closed for pack in live)
        self.share_a = sum(self.before) / (len(live) + 1)
        self.joined = []
        self.relief = False


class Closings:
    """What closes, and whether it may.

    Args:
        world: the `World`; limits: an `evidence.RefereeLimits`; packs: list of `evidence.Pack`.
        truth: a `truth.Truth`; failures: a `supply.Failures`; trials: a `trials.Trials`.
        report: function (at_us, pack, what).

    Attributes:
        group: the packs that last closed onto an output that nobody supplied.
    """

    def __init__(self, world, limits, packs, truth, failures, trials, report):
        self._world = world
        self._limits = limits
        self._packs = packs
        self._truth = truth
        self._failures = failures
        self._trials = trials
        self._report = report
        self._stalled_us = 0 if world.virtual else _STALLED_US
        self.group = []
        self._group_us = self._relief_us = self._joined_us = -FOREVER
        self._young_us = -FOREVER
        self._group_told = self._idle = False
        self._start_failed = True
        self._pending = []
        self._join = None

    def restarted(self, at_us):
        """The controller restarts: a start whose first second that cuts off has failed."""
        if self.is_starting(at_us) and not self._start_failed:
            self._start_failed = True
            self._failures.note(at_us, False)
        self._group_us = self._relief_us = -FOREVER
        self._pending.clear()

    # Starts that fail

    def is_surely_starting(self, at_us):
        """True in the first second after the start of an output that surely was dead."""
        young = at_us - self._group_us < _STARTING_US - _STARTING_SLACK_US
        return young and not self._idle

    def is_starting(self, at_us):
        """True as long as an opening may pass for one of the first second."""
        return at_us - self._group_us < _STARTING_US + _STARTING_SLACK_US

    def is_young(self, at_us):
        """True in the time of a start in which the limits change."""
        return at_us - self._young_us < _YOUNG_US

    def start_fails(self, at_us, night):
        """True when over-currents open the group that has just started a dead output.

        It takes two of the group, or its only one: a single one of several opens alone. One that
        lasts from the opening of one board to that of the next is no cause of it.

        Args:
            night: True when it may be that all are empty instead, or that a trial ends, to which
                the limits of a start do not apply.
        """
        if not self.is_starting(at_us):
            return False
        over = [p for p in self.group if p.moment_us((HARD, INRUSH)) >= self._group_us]
        least = min(len(self.group), 2)
        if len(over) < least:
            return False
        if not self._start_failed:
            seen = sum(p.lasted_us((HARD, INRUSH)) > _CONVERSION_US for p in over) >= least
            self._start_failed = seen
            told = all(at_us - max(p.excused_us, p.blind_us) > S for p in over)
            surely = seen and told and not night and self.is_surely_starting(at_us)
            self._failures.note(at_us, surely)
        return True

    def has_failed(self, at_us, opening):
        """True when a start surely has failed: so many opened, `opening` now, or are beyond for
        long enough to be seen."""
        beyond = sum(
            p is opening or p.opened_us > self._group_us or self._is_seen_beyond(p)
            for p in self.group
        )
        return self.is_surely_starting(at_us) and beyond >= min(len(self.group), 2)

    def _is_seen_beyond(self, pack):
        return pack.is_beyond_hard() and pack.lasted_us((HARD, INRUSH)) > _CONVERSION_US

    # Closings

    def judge(self, at_us, joined, snap):
        """Judge the packs of `joined`, which closed at this moment; `snap` may be None."""
        honest = [pack for pack in joined if at_us - pack.falsified_us > FALSIFIED_US]
        for pack in joined:
            pack.joined_low = pack.surely_started = False
            pack.start_us = None
            if at_us - self._young_us < INRUSH_US:
                # Who joins that soon is under the limits of the start, too.
                pack.start_us = self._young_us
                group_is_young = at_us - self._group_us < INRUSH_US
                pack.surely_started = group_is_young and all(p.surely_started for p in self.group)
        for pack in honest:
            self._judge_wish(pack, at_us)
            state = None if snap is None else snap.state[pack.i]
            self._pending.append((pack, at_us, state, self._outside(pack, at_us)))
        if snap is None:
            self.settle(at_us, None, 0)
        others = [pack for pack in self._packs if pack not in joined]
        if not any(pack.stray_us or self._truth.is_live(pack, at_us) for pack in others):
            self._failures.judge(at_us, honest, self._report)
        self._judge_place(at_us, joined, honest)

    def _judge_place(self, at_us, joined, honest):
        """Join or start?"""
        truth = self._truth
        others = [pack for pack in self._packs if pack not in joined]
        live = [pack for pack in others if truth.is_live(pack, at_us)]
        told = [pack for pack in others if pack.closed or pack.held]
        stray = [pack for pack in others if pack.stray_us is not None or truth.lies(pack)]
        join = self._join
        if join and at_us - join.at_us <= _TOGETHER_US:
            if join.idle:
                self._add(joined, at_us, False)
            if truth.are_measured(joined, at_us):
                self._judge_join(at_us, honest, join)
        elif at_us - self._group_us <= _TOGETHER_US:
            self._add(joined, at_us, self.group[0].surely_started)
            self._judge_group(at_us)
        elif any(self._is_known(pack, at_us) for pack in live):
            join = _Join(at_us, live, told, stray, truth)
            if join.idle and self.is_surely_starting(at_us):
                self._add(joined, at_us, False)  # currents beyond all reason tell of no output
            elif join.idle:
                self._begin_group(joined, at_us, False)
                self._idle = True
            if truth.are_measured(joined + live, at_us):
                self._join = join
                self._judge_join(at_us, honest, join)
                if not join.idle:
                    self._joined_us = at_us
        else:
            silent = any(pack.held for pack in told)
            carried = any(at_us - pack.stray_us > _STUCK_US for pack in stray if pack.stray_us)
            if not (live or silent or carried):
                self._begin_group(joined, at_us, not told and not stray)
                self._judge_group(at_us)
            else:
                self._begin_doubtful(joined, at_us)

    def _is_unseen(self, pack, at_us):
        # Its sensor does not answer for it, or has not been found again.
        return at_us - max(pack.blind_us, pack.excused_us) < _FOUND_US

    def _is_known(self, pack, at_us):
        # One whose board has been silent for long, or since before a restart, is not where it was
        # seen last.
        if pack.unknown:
            return False
        if pack.held and pack.blind and at_us - pack.held_us > _FORGOTTEN_US:
            return False
        return pack.closed or not self._is_unseen(pack, at_us)

    def _begin_doubtful(self, joined, at_us):
        """A start that may be none, for somebody may hold the output."""
        self._begin_group(joined, at_us, False)
        self._idle = self._group_told = True

    def _begin_group(self, joined, at_us, surely):
        self.group = []
        self._idle = False
        self._group_us = at_us
        self._group_told = self._start_failed = False
        self._add(joined, at_us, surely)

    def _add(self, joined, at_us, surely):
        self.group += joined
        self._young_us = at_us
        for pack in joined:
            pack.start_us = at_us
            pack.surely_started = surely and abs(self._truth.before_a(pack, at_us)) <= STRAY_A

    def _judge_group(self, at_us):
        rest = [self._truth.rest_v(pack) for pack in self.group]
        far_v = self._limits.spread_v
        if self._failures.may_be_wide(at_us):
            far_v = max(far_v, self._limits.offset_v)
        if (
            not self._group_told
            and not any(self._is_excused(pack, at_us) for pack in self.group)
            and max(rest) - min(rest) > far_v + QUANTUM_V
            and self._truth.are_measured(self.group, at_us)
        ):
            self._group_told = True
            self._later(self.group[-1], at_us, "a group wider than the start spread")

    def _is_excused(self, pack, at_us):
        # Voltages that are not those of the firmware: its sensor does not tell the truth.
        return pack.blind or at_us - pack.blind_us < S

    # Joins

    def _judge_join(self, at_us, honest, join):
        """`join` is what there was when the first of those that close together closed."""
        truth = self._truth
        limits = self._limits
        fresh = [pack for pack in honest if self._is_fresh(pack, at_us)]
        near_v = max(limits.offset_v, limits.spread_v) if join.idle else limits.offset_v
        distances = [abs(truth.rest_v(pack) - join.bus_v) for pack in fresh]
        join.joined += fresh
        far = [distance_v > near_v + join.slack_v for distance_v in distances]
        wrong = [not join.idle and self._is_too_much(pack, join) for pack in fresh]
        needed = join.worst > _BEYOND and not join.idle
        if needed and (len(join.joined) > 1 or True in far or True in wrong):
            near_v = 2 * limits.offset_v
            if len(join.joined) > 1 or True in far:
                if (
                    join.commanded
                    and not join.relief
                    and join.at_us - self._relief_us < _RELIEF_US
                ):
                    self._later(fresh[0], at_us, "relieved again within ten seconds")
                join.relief = True
                self._relief_us = join.at_us
            wrong = [False] * len(fresh)
            for pack in fresh:
                # Judged when all have closed, board after board.
                self._later(pack, at_us, lambda pack=pack: self._relieves_nobody(pack, join))
        elif fresh and not join.idle:
            soon = join.at_us - self._joined_us < limits.join_us * _SHORTER or len(join.joined) > 1
            paused = join.at_us - self._group_us < self._stalled_us
            if soon and not paused and join.commanded and join.worst < _BEYOND:
                self._later(fresh[-1], at_us, "joined before its turn")
        for k, pack in enumerate(fresh):
            if distances[k] > near_v + join.slack_v:
                self._later(pack, at_us, "joined from too far away")
            elif wrong[k]:
                self._later(pack, at_us, "joined with too much current")

    def _is_fresh(self, pack, at_us):
        """True when it was open, and so seen, before it closed."""
        plant = self._world.plant
        return not plant.cannot_open(pack.i) and abs(self._truth.before_a(pack, at_us)) <= STRAY_A

    def _flows_too_much(self, pack, join):
        """True when its total is too much, both as predicted and as it really flows."""
        predicted_a = self._truth.circulating_a(pack, join.bus_v, len(join.live)) + join.share_a
        flows_a = self._world.plant.current_a[pack.i]
        total_a = max(min(abs(predicted_a), abs(flows_a)) - self._slack_a(pack, join), 0)
        return self._truth.is_beyond_share(total_a if flows_a > 0 else -total_a, MOST_PREDICTED)

    def _slack_a(self, pack, join):
        rest_v = self._truth.rest_v(pack)
        return _SMALL_A + self._truth.circulating_a(pack, rest_v - join.slack_v, len(join.live))

    def _is_too_much(self, pack, join):
        """True when one that joins without need gets too much."""
        limits = self._limits
        predicted_a = self._truth.circulating_a(pack, join.bus_v, len(join.live))
        flows_a = self._world.plant.current_a[pack.i] - join.share_a
        most_a = limits.discharge_a if predicted_a > 0 else limits.charge_a
        circulates_a = min(abs(predicted_a), abs(flows_a)) - self._slack_a(pack, join)
        return circulates_a > most_a * MOST_PREDICTED or self._flows_too_much(pack, join)

    def _relieves_nobody(self, pack, join):
        """What is wrong when relief gets too much, and lowers no other's share by a fifth."""
        amps = self._world.plant.current_a
        flows_a = [amps[other.i] for other in join.live + [pack]]
        wrong = self._flows_too_much(pack, join) and not (
            self._lowers(flows_a, join) or self._lowers(self._predicted_a(join), join)
        )
        return "joined with too much current" if wrong else None

    def _lowers(self, amps, join):
        return max(self._truth.load_share(here_a) for here_a in amps) <= join.worst * _LOWERED

    def _predicted_a(self, join):
        # Of all that are connected then, by the resistances of the settings.
        volts = join.seen_v + [self._truth.rest_v(pack) for pack in join.joined]
        ohm = self._limits.pack_ohm + self._limits.path_ohm
        mean_v = sum(volts) / len(volts)
        share_a = sum(join.before) / len(volts)
        return [(here_v - mean_v) / ohm + share_a for here_v in volts]

    def _later(self, pack, at_us, what):
        """Report it unless the closing turns out to be a trial, which is judged by itself.

        Args:
            what: a text, or a function that returns one or None.
        """
        self._pending.append((pack, at_us, None, what))

    # What may close at all

    def _judge_wish(self, pack, at_us):
        if pack.off and at_us - pack.wish_us > _OBEY_US:
            self._report(at_us, pack, "closed though the operator wants it off")
        if at_us + _UNSEEN_US < pack.cool_us:
            self._report(at_us, pack, "closed before its delay was over")
        if pack.sure >= self._limits.max_trips:
            self._report(at_us, pack, "closed though it tripped too often")
        if pack.loose >= LOOSE:
            self._report(at_us, pack, "closed though its contact is loose")

    def _outside(self, pack, at_us):
        """What is wrong with the voltage of a pack that closes, unless it is on trial."""
        truth = self._truth
        limits = self._limits
        if not truth.are_measured([pack], at_us) or self._is_excused(pack, at_us):
            return None
        volts = truth.rest_v(pack)
        others = [other for other in self._packs if other is not pack]
        live = [other for other in others if truth.is_live(other, at_us)]
        charged = at_us - truth.charged_us < _CHARGED_US or any(
            truth.before_a(other, at_us) < -CARRIES_A for other in live
        )
        if volts < limits.low_v - QUANTUM_V:
            pack.joined_low = True
            if volts < limits.floor_v - QUANTUM_V:
                return "closed below the charge floor"
            return None if charged else "closed though nothing charges it"
        low_v = limits.healthy_low_v - 3 * QUANTUM_V
        asked = at_us - pack.asked_us < _ASKED_US
        if pack.empty and volts < low_v and not charged and not asked:
            return "closed before it recovered"
        surely_charged = live and all(truth.before_a(other, at_us) < -CARRIES_A for other in live)
        high_v = limits.healthy_high_v if pack.full else limits.high_v
        if surely_charged and volts > high_v + 3 * QUANTUM_V:
            if self._world.plant.current_a[pack.i] < -4 * CARRIES_A:
                return "closed though full and the output is charged"
        return None

    def settle(self, at_us, snap, trial):
        """Decide what was closed a moment ago: by now the firmware says what it is.

        Args:
            trial: the firmware's reason for a battery on trial.
        """
        if not self._pending:
            return
        waiting = []
        on_trial = set()
        for entry in self._pending:
            pack, closed_us, state, what = entry
            if snap is not None and snap.state[pack.i] == _ON:
                if snap.reason[pack.i] == trial or pack.on_trial:
                    if not pack.on_trial and state is not None:
                        pack.joined_low = False
                        self._trials.begin(pack, closed_us)
                    on_trial.add(pack)
                    continue
            elif snap is not None and at_us - closed_us < _ENTERED_US and pack.closed:
                waiting.append(entry)
                continue
            if state is not None and state != _WAITING or snap is None:
                self._report(closed_us, pack, "closed without having waited")
            if callable(what):
                what = what()
            if what and pack not in on_trial:
                self._report(closed_us, pack, what)
        self._pending = waiting
