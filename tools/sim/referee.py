# SPDX-License-Identifier: GPL-3.0-only
"""Judges a run by what the plant really did and the scenario did to it. Called by the recorder.

It never looks at the firmware's numbers. Of its states it uses two things: a closed switch has to
belong to a battery that waited and is on, and a lock after a fault of its board is accepted.
"""

from sim.closings import Closings
from sim.evidence import (
    ASTRAY,
    CHANNELS,
    HARD,
    IMBALANCE,
    MS,
    RULES,
    UNSEEN,
    UNWISHED,
    Pack,
    RefereeLimits,  # noqa: F401 - who makes a Referee needs them
    S,
)
from sim.plant import STUCK_OPEN
from sim.wires import EVERYBODY

BATTERIES = 16
_ON, _UNCONTROLLED = 3, 6
_NO_STATES = bytes(BATTERIES)
_SENSORS, _EXPANDERS = 0x40, 0x20

_RECOVERY_US = 100 * MS  # an I2C fault may take this long on top of any bound
_AFTERMATH_US = 3 * S  # how long a fault explains an opening
_KEPT_US = S  # what happened this shortly before a reset may be forgotten
_CAPACITORS_US = 20 * MS
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
        self._closings = Closings(world, limits, self._packs, self._slack_us, self._report)
        self._snap = None
        self._states = bytearray(BATTERIES)
        self._solution = -1
        self._look_us = 0
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
        if plant.solutions == self._solution and (snap is None or snap.state == self._states):
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
        top = 0.0
        bottom = 1000.0
        for pack in self._packs:
            if not pack.closed:
                continue
            i = pack.i
            v = volts[i]
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
        if self._uneven or top - bottom > self._limits.imbalance_v - _BALANCE_V:
            self._compare(at_us)
        if at_us >= self._look_us:
            self._look_us = at_us + _LOOK_US
            if self._world.at_prompt:
                return
            self._closings.look_at_the_open(at_us, states, not self._held)

    def switched(self, at_us, before):
        """Gates moved; `before` holds the old ones. Comes right after `stepped`."""
        gates = self._world.plant.switch
        joined = []
        for pack in self._packs:
            if gates[pack.i] and not before[pack.i]:
                joined.append(pack)
            elif before[pack.i] and not gates[pack.i]:
                self._judge_opening(pack, at_us)
        if joined:
            self._ended = False
            self._closings.judge(at_us, joined, self._snap)
        for pack in joined:
            pack.close(at_us)
            self._follow(pack, at_us)

    def played(self, at_us, step):
        """A step of the scenario is about to be played."""
        do = step["do"]
        kind = do.split("_")[0]
        self._faults_changed = True
        if kind != "request":
            self._closings.stir(at_us)
        if kind == "sensor":
            i = step["n"] - 1
            if do == "sensor_freeze":
                change = self._frozen.add if step.get("on", True) else self._frozen.discard
                change(i)
            self._pack(i).go_blind(at_us)
        elif kind in ("alert", "switch", "pin", "expander", "board", "override"):
            board = step["board"] if "board" in step else (step["n"] - 1) // CHANNELS
            self._trouble(at_us, board)
        elif kind in ("bus", "controller", "power"):
            self._trouble(at_us, None)
        elif kind == "alias":
            for n in (step["n"], step["other"]):
                self._pack(n - 1).suffer(at_us)

    def requested(self, at_us, action, i):
        """The firmware accepted a wish of the operator; i is -1 for the bus."""
        self._solution = -1
        if i < 0:
            self._closings.pardon()
            return
        pack = self._pack(i)
        if pack is None:
            return
        if action == "reset":
            pack.pardon()
        else:
            pack.off = action == "off"
            pack.wish_us = at_us
            if pack.off:
                pack.off_us = at_us

    def ended(self):
        """The firmware ends and opens every switch, which needs no other cause."""
        self._ended = True

    def restarted(self, at_us):
        """The controller resets: states are unknown until its guard ticks again."""
        self._snap = None
        self._solution = -1
        forgotten = self._world.nvs_cut
        self._closings.restarted(at_us, forgotten)
        for pack in self._packs:
            pack.forget(at_us, forgotten, _KEPT_US)

    # Faults

    def _pack(self, i):
        for pack in self._packs:
            if pack.i == i:
                return pack

    def _trouble(self, at_us, board):
        for pack in self._packs:
            if board is None or pack.board == board:
                pack.suffer(at_us)

    def _note_faults(self, at_us):
        if self._faults_changed:
            self._faults_changed = False
            self._find_faults()
        if self._faulty:
            for pack in self._packs:
                if pack.lost or pack.mistaken:
                    pack.suffer(at_us)
                if pack.blind:
                    pack.go_blind(at_us)
        if self._world.wires.clocks_left:
            self._trouble(at_us, None)
        upset = self._world.wires.upset
        if upset:
            for pack in self._packs:
                for address in (EVERYBODY, _SENSORS + pack.i, _EXPANDERS + pack.board):
                    if address in upset:
                        pack.suffer(upset[address])
                        if address != EVERYBODY:
                            pack.falsified_us = upset[address]
            upset.clear()

    def _find_faults(self):
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
            pack.held = pack.lost and (pack.held or pack.closed)
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
        from_us = max(span.since_us, pack.trouble_us + _RECOVERY_US)
        if rule == HARD and pack in self._closings.group:
            from_us = max(from_us, pack.closed_us + _CAPACITORS_US)
        alert_works = pack.i not in self._world.alert_levels
        if at_us - from_us > pack.bound_us(rule, alert_works) + self._slack_us:
            span.told = True
            self._report(at_us, pack, RULES[rule][0])

    def _compare(self, at_us):
        """Imbalance by the contract's definition, on both sides of the tolerance."""
        plant = self._world.plant
        limit_v = self._limits.imbalance_v
        closed = [pack for pack in self._packs if plant.switch[pack.i] and pack.closed]
        closed.sort(key=lambda pack: plant.sensed_v[pack.i])
        volts = [plant.sensed_v[pack.i] for pack in closed]
        count = len(volts)
        median_v = (volts[count // 2] + volts[(count - 1) // 2]) / 2 if count else 0.0
        self._uneven = False
        for k in range(count):
            pack = closed[k]
            # At the border of oddness the reference may be the highest or the next one.
            odd_v = volts[-1] - median_v if count > 2 else 0.0
            most_v = least_v = volts[-1] - volts[k]
            if k == count - 1:
                most_v = least_v = odd_v
            elif odd_v > limit_v + _BALANCE_V:
                most_v = least_v = volts[-2] - volts[k]
            elif odd_v > limit_v - _BALANCE_V:
                least_v = volts[-2] - volts[k]
            near = most_v > limit_v - _BALANCE_V
            pack.spans[IMBALANCE].note(at_us, near, least_v > limit_v + _BALANCE_V)
            if near:
                self._uneven = pack.stirred = True

    # Openings

    def _judge_opening(self, pack, at_us):
        causes = [
            rule
            for rule in range(len(RULES))
            if RULES[rule][2] is not None
            and pack.spans[rule].explains(at_us, RULES[rule][2], self._slack_us)
        ]
        counted = [rule for rule in causes if RULES[rule][3]]
        faulty = (
            at_us - max(pack.trouble_us, pack.blind_us) <= _AFTERMATH_US
            or pack.i in self._world.alert_levels
            or self._world.sensors[pack.i].heat_c > self._limits.trip_c - 1
        )
        start_fails = self._closings.start_fails(at_us)
        dead = self._world.plant.fault[pack.i] == STUCK_OPEN
        off = pack.off or at_us - pack.off_us <= RULES[UNWISHED][1] + self._slack_us
        if not (causes or start_fails or faulty or dead or off or self._ended):
            self._report(at_us, pack, "opened without a cause")
        pack.open(at_us)
        may_count = counted or faulty and self._snap is not None and not pack.lost
        if may_count and not (start_fails and self._closings.starting(at_us)):
            surely = counted == causes and not faulty and not start_fails and not pack.off
            pack.trip(at_us, surely)

    def _report(self, at_us, pack, what):
        self.violations.append([round(at_us / 1000, 3), pack.i + 1, what])
