# SPDX-License-Identifier: GPL-3.0-only
"""Judges a run by what the plant really did and the scenario did to it. Called by the recorder.

Of the firmware it uses what it says of itself: a closed switch has to belong to a battery that
waited and is on, or is on trial; locks and counted trips are judged, and a lock after a fault of
its board is accepted. It never looks at what the firmware measures.

An opening needs a cause: a limit of `evidence.RULES` that was passed for its time; the end of a
trial; an operator; a fault of the sensor or of the board within the last 3 s; two over-currents of
a group that has just started, which open the whole group; a pack that cannot be opened and must
not be fed. An outage of I2C is none. What a falsified write has opened is closed again in the same
tick, which is no join. An over-current by which the packs feed one that is charged beyond its
limit opens that one alone, unless it lasts after that.

*The load's fault*: when the last packs open on current or on a collapse of the voltage, and every
pack that opened in the 30 s before opened so in the same direction, no pack counts it, and the
output has failed once.

*Went dark though healthy packs were on*: the last switches opened, a load is there, and those that
opened within the last 500 ms without a cause of their own could carry it.
"""

from sim.closings import Closings
from sim.evidence import (
    ASTRAY,
    CARRIES_A,
    CHANNELS,
    FALSIFIED_US,
    FOREVER,
    HARD,
    IMBALANCE,
    INRUSH,
    LOST_US,
    MS,
    NO_SHARE,
    OF_LOAD,
    OVER,
    RULES,
    UNDER,
    UNDER_HARD,
    UNSEEN,
    UNWISHED,
    Pack,
    RefereeLimits,  # noqa: F401 - who makes a Referee needs them
    S,
)
from sim.failures import Failures
from sim.supply import Supply
from sim.trials import Trials
from sim.truth import PREDICTED, QUANTUM_V, Truth
from sim.wires import EVERYBODY

BATTERIES = 16
_ON, _UNCONTROLLED = 3, 6
_POWERED_ON = 1
TRIAL = 22
ALL = 16
_LOCAL = (
    "alert",
    "switch",
    "pin",
    "expander",
    "board",
    "override",
    "line",
    "bms",
    "fuse",
    "contact",
)
"""Steps after which openings and readings of a board are explained, by their first word."""
_NO_STATES = bytes(BATTERIES)
_SENSORS, _EXPANDERS = 0x40, 0x20

_RECOVERY_US = 100 * MS  # an I2C fault may take this long on top of any bound
_NOTICED_US = 50 * MS  # a board that is silent for less is not given up
_RETURN_US = 1600 * MS  # a silent board is tried once a second, and has 500 ms for its readings
_AFTERMATH_US = 3 * S  # how long a fault explains an opening
_UNDONE_US = 20 * MS  # what a falsified write did is undone within this
_KEPT_US = S  # what happened this shortly before a reset may be forgotten
_LOAD_US = 29 * S  # within which packs open for the same load
_LAST_US = 200 * MS  # what several report together lies within this
_BLACKOUT_US = 500 * MS
_SHARED_A = 2.0
_CHARGER_V = 0.3
_LOOK_US = 200 * MS
_REAL_SLACK_US = 2 * S
_BALANCE_V = 0.03  # readings of two packs are a scan apart


class Referee:
    """Collects violations of a run.

    Args:
        world: the `World`; limits: a `RefereeLimits`.

    Attributes:
        violations: list of [ms, battery number, what].
    """

    def __init__(self, world, limits):
        self._world = world
        self._limits = limits
        self._packs = [Pack(chip.i, chip, limits) for chip in world.sensors if chip]
        # In real time the host may be busy with something else.
        self._slack_us = 0 if world.virtual else _REAL_SLACK_US
        packs = self._packs
        truth = self._truth = Truth(world, limits, packs)
        failures = self._failures = Failures(limits)
        self._trials = Trials(world, limits, packs, truth, self._report)
        self._closings = Closings(
            world, limits, packs, truth, failures, self._trials, self._report
        )
        self._supply = Supply(
            world, limits, packs, truth, failures, self._trials, self._slack_us, self._report
        )
        self._snap = None
        self._states = bytearray(BATTERIES)
        self._solution = -1
        self._look_us = 0
        self._cut_us = -FOREVER
        self._uneven = False
        self._faults_changed = True
        self._faulty = False
        self._frozen = set()
        self._held = False
        self._ended = False
        self.violations = []

    # What the world reports

    def stepped(self, at_us, snap):
        """A segment of the plant begins, or the firmware (its snapshot `snap`) changed a state."""
        plant = self._world.plant
        self._closings.settle(at_us, snap, TRIAL)
        stay = self._trials.follow(at_us, snap, TRIAL)
        if (
            not stay
            and plant.solutions == self._solution
            and (snap is None or snap.state == self._states)
            and not self._closings.is_young(at_us)
        ):
            return
        self._solution = plant.solutions
        self._snap = snap
        self._states[:] = _NO_STATES if snap is None else snap.state
        self._note_faults(at_us)
        states = self._states
        gates = plant.switch
        amps = plant.sensed_a
        volts = plant.sensed_v
        low_a, high_a, low_v, high_v = self._limits.calm
        top = total = 0.0
        bottom = 1000.0
        count = idle = 0
        for pack in self._packs:
            if not pack.closed:
                continue
            i = pack.i
            v = volts[i]
            count += 1
            total += abs(amps[i])
            if -CARRIES_A < amps[i] < CARRIES_A:
                idle += 1
            if v > top:
                top = v
            if v < bottom:
                bottom = v
            if (
                pack.stirred
                or not gates[i]
                or states[i] != _ON
                or pack.off
                or pack.blind
                or not low_a <= amps[i] <= high_a
                or not low_v <= v <= high_v
            ):
                self._follow(pack, at_us)
        if (
            self._uneven
            or top - bottom > self._limits.imbalance_v - _BALANCE_V
            or idle
            and total > _SHARED_A * (count - idle) * 0.9
        ):
            self._compare(at_us)
        if at_us >= self._look_us:
            self._look_us = at_us + _LOOK_US
            if self._world.at_prompt:
                return
            self._supply.look(at_us, snap, states, not self._held)

    def switched(self, at_us, before):
        """Gates moved; `before` holds the old ones. Comes right after `stepped`."""
        gates = self._world.plant.switch
        joined = []
        opened = False
        for pack in self._packs:
            if gates[pack.i] and not before[pack.i]:
                joined.append(pack)
            elif before[pack.i] and not gates[pack.i]:
                opened = not self._judge_opening(pack, at_us) or opened
        if opened and not any(pack.closed for pack in self._packs):
            self._judge_end(at_us, any(pack.held for pack in self._packs))
        if joined:
            self._ended = False
            meant = [pack for pack in joined if not self._is_undone(pack, at_us)]
            if meant:
                self._closings.judge(at_us, meant, self._snap)
        for pack in joined:
            pack.close(at_us)
            self._follow(pack, at_us)

    def played(self, at_us, step):
        """A step of the scenario is about to be played."""
        do = step["do"]
        kind = do.split("_")[0]
        self._faults_changed = True
        if kind != "request":
            self._truth.stirred_us = at_us
        if kind == "sensor":
            i = step["n"] - 1
            if do == "sensor_freeze":
                change = self._frozen.add if step.get("on", True) else self._frozen.discard
                change(i)
            self._pack(i).go_blind(at_us)
        elif kind in _LOCAL:
            board = step["board"] if "board" in step else (step["n"] - 1) // CHANNELS
            self._trouble(at_us, board)
            if do in ("expander_corrupt", "expander_reset"):
                for pack in self._packs:
                    if pack.i // CHANNELS == board:
                        pack.falsified_us = at_us
        elif kind in ("bus", "controller", "power"):
            self._trouble(at_us, None, kind != "bus")
            if kind == "power":
                self._cut_us = at_us
        elif kind == "alias":
            for n in (step["n"], step["other"]):
                self._pack(n - 1).suffer(at_us)

    def requested(self, at_us, action, i):
        """The firmware accepted a wish of the operator; i is -1 for the bus."""
        self._solution = -1
        if action in ("on", "reset"):
            self._failures.ask(at_us)
            self._trials.ask(at_us)
        if i < 0:
            self._failures.pardon()
            return
        for pack in self._packs:
            if i in (pack.i, ALL):
                pack.wish(at_us, action)

    def ended(self):
        """The firmware ends and opens every switch, which needs no other cause."""
        self._ended = True

    def restarted(self, at_us):
        """The controller resets: states are unknown until its guard ticks again."""
        self._snap = None
        self._solution = -1
        forgotten = self._world.nvs_cut
        powered_on = self._world.reset_cause == _POWERED_ON
        self._closings.restarted(at_us)
        self._failures.restarted(at_us, forgotten, powered_on)
        self._trials.restarted()
        self._supply.restarted(at_us)
        for pack in self._packs:
            pack.forget(at_us, forgotten, _KEPT_US, powered_on)

    # Faults

    def _pack(self, i):
        for pack in self._packs:
            if pack.i == i:
                return pack

    def _trouble(self, at_us, board, excused=True):
        for pack in self._packs:
            if board is None or pack.board == board:
                pack.suffer(at_us, excused)

    def _note_faults(self, at_us):
        if self._faults_changed:
            self._faults_changed = False
            self._find_faults(at_us)
        if self._faulty:
            for pack in self._packs:
                if pack.lost or pack.mistaken:
                    pack.suffer(at_us)
                if pack.mistaken:
                    pack.falsified_us = at_us
                if pack.blind:
                    pack.go_blind(at_us)
        if self._world.wires.clocks_left:
            self._trouble(at_us, None, False)
        upset = self._world.wires.upset
        if upset:
            for pack in self._packs:
                for address in (EVERYBODY, _SENSORS + pack.i, _EXPANDERS + pack.board):
                    if address in upset:
                        pack.suffer(upset[address], address != EVERYBODY)
                        if address != EVERYBODY:
                            pack.falsified_us = upset[address]
                        if address == _SENSORS + pack.i:
                            pack.misread()
            upset.clear()

    def _find_faults(self, at_us):
        world = self._world
        silent = world.wires.silent
        self._faulty = self._held = False
        aliases = world.wires.aliases
        mistaken = set(aliases) | {other for other, _ in aliases.values()}
        for pack in self._packs:
            chip = world.sensors[pack.i]
            expander = world.expanders[pack.board]
            pack.blind = not chip.powered or chip.address in silent or pack.i in self._frozen
            pack.lost = not expander.powered or expander.address in silent
            held = pack.lost and (pack.held or pack.closed)
            if held and not pack.held:
                pack.held_us = at_us
            elif pack.held and not held and at_us - pack.held_us > _NOTICED_US:
                pack.returned_us = at_us
            pack.held = held
            pack.mistaken = chip.address in mistaken
            self._faulty = self._faulty or pack.lost or pack.blind or pack.mistaken
            self._held = self._held or pack.held

    # Closed switches

    def _follow(self, pack, at_us):
        spans = pack.spans
        for rule in range(len(spans)):
            span = spans[rule]
            if span.since_us is not None and not span.told:
                self._judge_span(pack, rule, span, at_us)
        plant = self._world.plant
        i = pack.i
        if not plant.switch[i]:
            pack.rest(at_us)
            return
        pack.sense(at_us, plant.sensed_a[i], plant.sensed_v[i])
        state = self._states[i]
        spans[UNSEEN].note(at_us, False, pack.blind)
        spans[UNWISHED].note(at_us, False, bool(pack.off))
        spans[ASTRAY].note(at_us, False, state != _ON and state != _UNCONTROLLED)
        pack.settle()

    def _judge_span(self, pack, rule, span, at_us):
        from_us = max(span.since_us, pack.trouble_us + _RECOVERY_US, pack.returned_us + _RETURN_US)
        alert_works = pack.i not in self._world.alert_levels
        over = sum(p.moment_us((HARD, INRUSH)) > at_us - _LAST_US for p in self._packs)
        if at_us - from_us > pack.bound_us(rule, alert_works, over > 1) + self._slack_us:
            span.told = True
            self._report(at_us, pack, RULES[rule][0])

    def _compare(self, at_us):
        """What is judged by comparing the packs that are on."""
        closed = [pack for pack in self._packs if self._world.plant.switch[pack.i] and pack.closed]
        self._uneven = False
        if closed:
            self._compare_voltages(at_us, closed)
            self._compare_currents(at_us, closed)

    def _compare_voltages(self, at_us, closed):
        """Imbalance by the contract's definition, on both sides of the tolerance.

        Those that carry are compared with; where one carries as much as that takes, one that
        carries a little less or more may or may not.
        """
        plant = self._world.plant
        limit_v = self._limits.imbalance_v
        closed.sort(key=lambda pack: plant.sensed_v[pack.i])
        most = self._imbalances(closed, 2 * CARRIES_A, max)
        least = self._imbalances(closed, CARRIES_A / 2, min)
        for k, pack in enumerate(closed):
            near = max(most[k], least[k]) > limit_v - _BALANCE_V
            clear = min(most[k], least[k]) > limit_v + _BALANCE_V
            clear = clear and self._others_carry(closed, pack)
            pack.spans[IMBALANCE].note(at_us, near, clear)
            if near:
                self._uneven = pack.stirred = True

    def _imbalances(self, closed, carried_a, choose):
        """How far each of `closed`, from the lowest up, is out of balance, at most or at least."""
        plant = self._world.plant
        limit_v = self._limits.imbalance_v
        carry = [pack for pack in closed if abs(plant.sensed_a[pack.i]) > carried_a] or closed
        volts = [plant.sensed_v[pack.i] for pack in carry]
        count = len(volts)
        median_v = (volts[count // 2] + volts[(count - 1) // 2]) / 2
        odd_v = volts[-1] - median_v if count > 2 else 0.0
        found = []
        for pack in closed:
            volt = plant.sensed_v[pack.i]
            low_v = [volts[-1] - volt]
            if pack is carry[-1]:
                low_v = [odd_v]
            elif odd_v > limit_v + _BALANCE_V:
                low_v = [volts[-2] - volt]
            elif odd_v > limit_v - _BALANCE_V:
                low_v.append(volts[-2] - volt)
            found.append(choose(low_v))
        return found

    def _others_carry(self, closed, pack):
        """True when each of those that stay would be inside its continuous limit by itself."""
        amps = self._world.plant.sensed_a
        others = [other for other in closed if other is not pack]
        return all(
            self._truth.load_share(amps[other.i] + amps[pack.i] / len(others)) < 0.9
            for other in others
        )

    def _compare_currents(self, at_us, closed):
        """One that carries nothing while the others carry 2 A or more on average."""
        amps = self._world.plant.sensed_a
        total_a = sum(abs(amps[pack.i]) for pack in closed)
        # What the others took over from one that opened is known when they are read again.
        settled = at_us - max(pack.opened_us for pack in self._packs) > LOST_US
        for pack in closed:
            own_a = abs(amps[pack.i])
            others_a = (total_a - own_a) / max(len(closed) - 1, 1)
            near = own_a < 1.4 * CARRIES_A and others_a > 0.9 * _SHARED_A and len(closed) > 2
            # Two of the others at least: the sensor of one may lie.
            seen = sum(abs(amps[p.i]) > 1.1 * _SHARED_A for p in closed if p is not pack)
            clear = near and own_a < 0.6 * CARRIES_A and others_a > 1.1 * _SHARED_A and seen > 1
            # One that is level with the output carries nothing, and rightly so.
            plant = self._world.plant
            clear = clear and settled and abs(plant.sensed_v[pack.i] - plant.bus_v) > 0.09
            pack.spans[NO_SHARE].note(at_us, near, clear)
            if near:
                self._uneven = pack.stirred = True

    # Openings

    def _is_undone(self, pack, at_us):
        # Its opening: a falsified write was that, which the firmware takes back in the same tick.
        return (
            pack.opened_us - pack.falsified_us <= FALSIFIED_US
            and at_us - pack.opened_us <= _UNDONE_US
            and self._states[pack.i] == _ON
        )

    def _judge_opening(self, pack, at_us):
        """Judge the opening of a pack; returns whether it was the end of a trial."""
        trial = self._trials.opened(pack, at_us)
        causes = [rule for rule in range(len(RULES)) if self._explains(pack, rule, at_us)]
        faulty = (
            at_us - max(pack.excused_us, pack.blind_us) <= _AFTERMATH_US
            or pack.i in self._world.alert_levels
            or self._world.sensors[pack.i].heat_c > self._limits.trip_c - 1
        )
        start_fails = self._closings.start_fails(at_us, trial or self._is_night())
        start_fails = start_fails and pack in self._closings.group
        off = pack.off or at_us - pack.off_us <= RULES[UNWISHED][1] + self._slack_us
        pack.explained = bool(
            causes
            or start_fails
            or trial
            or faulty
            or off
            or self._ended
            or self._truth.cannot_conduct(pack)
            or self._supply.feeds(at_us)
        )
        if not pack.explained:
            self._report(at_us, pack, "opened without a cause")
        pack.open(at_us, trial)
        self._closings.settle(at_us, self._snap, TRIAL)
        if trial:
            # It ends at the first reading beyond a hard limit.
            charged = pack.amps() < -PREDICTED * self._limits.hard_charge_a
            beyond = charged or pack.amps() > PREDICTED * self._limits.hard_discharge_a
            if faulty or beyond or any(rule in OF_LOAD for rule in causes):
                self._failures.note(at_us, False)
            if charged:
                self._trials.forgive()
            return True
        self._note_cause(pack, at_us, causes, faulty or off)
        counted = [rule for rule in causes if RULES[rule][3]]
        if counted == [OVER] and causes == counted and self._is_chargers(pack):
            counted = []
        may_count = counted or faulty and self._snap is not None and not pack.lost
        pack.may_cool = bool(may_count)
        if may_count and not (start_fails and self._closings.has_failed(at_us, pack)):
            surely = counted == causes and not faulty and not start_fails and not pack.off
            if counted == [OVER]:
                surely = surely and not self._may_be_chargers(pack)
            pack.trip(at_us, bool(surely and not self._is_night()))
        return False

    def _explains(self, pack, rule, at_us):
        """True when `rule` was broken for its time, so that the pack had to open."""
        after_us = RULES[rule][2]
        if after_us is None or not pack.spans[rule].explains(at_us, after_us, self._slack_us):
            return False
        return not (rule in (HARD, INRUSH) and self._is_sunk(pack, at_us))

    def _is_sunk(self, pack, at_us):
        """True when it gave too much only as long as another one drank.

        That other one reports it, and opens first: what flows after that decides.
        """
        if pack.amps() < 0:
            return False
        seen_us = pack.moment_us((HARD, INRUSH))
        for other in self._packs:
            if other is pack or other.amps() >= 0 or other.beyond >= 0 or not other.alerts():
                continue
            drinks = other.moment_us((HARD, INRUSH)) >= seen_us - 5 * MS
            if not drinks or at_us - other.trouble_us <= _AFTERMATH_US or other.blind:
                continue
            if other.i not in self._world.alert_levels and (
                other.closed or other.opened_us >= seen_us
            ):
                return True
        return False

    def _note_cause(self, pack, at_us, causes, other):
        """What its last opening says of the output, and of its voltage."""
        pack.by_load = 0
        cut = at_us == self._cut_us
        pack.torn = pack.lost or cut or at_us - pack.falsified_us <= FALSIFIED_US
        pack.may_load = (
            other
            and pack.excused_us < at_us
            or any(rule in OF_LOAD or rule == UNDER for rule in causes)
        )
        if causes and all(rule in OF_LOAD for rule in causes) and not other:
            # A pulse may be over by now.
            amps = pack.beyond if HARD in causes or INRUSH in causes else pack.amps()
            pack.by_load = 1 if amps > 0 or UNDER_HARD in causes else -1
        if not pack.by_load:
            pack.other_us = at_us
        if causes == [NO_SHARE]:
            pack.loose += 1
        if causes and all(rule in (UNDER, UNDER_HARD) for rule in causes) and not other:
            pack.empty = True
        if causes == [OVER] and not other:
            pack.full = True

    def _is_chargers(self, pack):
        """True when an over-voltage surely is the charger's: another one is as full."""
        return len(self._packs) == 1 or self._fullest_other_v(pack) > (
            self._limits.high_v - _CHARGER_V + _BALANCE_V
        )

    def _is_night(self):
        """True when so many are empty that what the others carry is the end of the night."""
        there = [pack for pack in self._packs if not pack.lost]
        return len(there) <= 2 * sum(
            pack.empty or pack.off is not False or self._is_low(pack) for pack in there
        )

    def _is_low(self, pack):
        """True when it may be open as empty: below the voltage limit, or not yet recovered."""
        volts = self._world.plant.sensed_v[pack.i]
        return not pack.closed and volts < self._limits.healthy_low_v + QUANTUM_V

    def _may_be_chargers(self, pack):
        return self._fullest_other_v(pack) > self._limits.high_v - _CHARGER_V - _BALANCE_V

    def _fullest_other_v(self, pack):
        volts = self._world.plant.sensed_v
        return max([volts[p.i] for p in self._packs if p is not pack and p.closed] + [0.0])

    def _judge_end(self, at_us, doubtful):
        """The last switch opened, other than by a restart: was it the load?

        Args:
            doubtful: True when the firmware may still take others for connected.
        """
        if self._snap is None or at_us == self._cut_us:
            return
        # Whether one that went with its board has opened is left open.
        packs = [pack for pack in self._packs if not pack.torn]
        recent = [pack for pack in packs if at_us - pack.fell_us < _LOAD_US]
        longer = [pack for pack in self._packs if at_us - pack.opened_us < _LOAD_US + 2 * S]
        possibly = recent and all(pack.may_load for pack in recent)
        sign = longer[0].by_load
        surely = (
            not doubtful
            and not self._is_night()
            and all(
                pack.by_load == sign and pack.other_us < at_us - _LOAD_US - 2 * S
                for pack in longer
            )
        )
        if possibly or self._closings.is_starting(at_us):
            for pack in longer:
                pack.refund(at_us, surely)
                if pack.by_load or pack.amps() > self._limits.discharge_a:
                    pack.empty = False  # its voltage may have been pulled down
            self._failures.note(at_us, False)
            for pack in longer:
                pack.may_cool = True
        if self._truth.dark() and not self._ended and not doubtful:
            lost = [
                pack
                for pack in self._packs
                if at_us - pack.opened_us < _BLACKOUT_US and not pack.explained
            ]
            if lost and len(lost) * self._limits.discharge_a >= self._world.plant.load_a:
                self._report(at_us, lost[0], "went dark though healthy packs were on")

    def _report(self, at_us, pack, what):
        self.violations.append([round(at_us / 1000, 3), pack.i + 1, what])
