# SPDX-License-Identifier: GPL-3.0-only
"""The one owner of I2C and the switches: sense, decide, switch, every tick.

`tick` is synchronous, never re-entered, allocates nothing in steady state and waits for nobody.
Everybody else reads the snapshot and leaves requests with `submit`.
"""

from array import array

from micropython import const

from parallelator.catalog import (
    ABSENT,
    ACTIONS,
    DISCONNECTED,
    ON,
    REQUESTS,
    UNCONTROLLED,
    Reason,
)
from parallelator.protection import metering, rules
from parallelator.protection.alerts import Alerts
from parallelator.protection.joining import Connector
from parallelator.protection.outage import Outage
from parallelator.protection.output import FRESH_MS, Output
from parallelator.protection.presence import Presence
from parallelator.protection.sensors import Sensors
from parallelator.protection.starts import DOUBT, Starts
from parallelator.protection.states import States
from parallelator.protection.warnings import Warnings
from parallelator.protection.zero import BAD, GOOD, Zero
from parallelator.snapshot import (
    ALL,
    BATTERIES,
    BOARDS,
    CHANNELS,
    IDLE_MA,
    RIG,
    STRAY_MA,
    connected,
)

TICK_MS = const(20)
_PROOF_TICKS = const(2)
_READS = const(2)
_URGENT_READS = const(2)
_VALID_MS = const(2000)
_QUIET_MS = const(20)
_STUCK_MS = const(500)
_FED_MS = const(1000)
_MAP_MS = const(300)
_GAP_MS = const(400)
"""The time before a reading for which it may prove something, at most: two scans and a half."""
_CHARGE_GAP_MS = const(1000)
_REQUESTS = const(32)
_DISCONNECTED = const(4)  # places in REQUESTS
_REST = const(5)
_RESUME = const(6)
_FIRE = const(7)
_LED_TICKS = const(8)


class Guard:
    """Protects one rig.

    Args:
        clock: a `clock.Clock`; i2c: a `hardware.i2c.I2c`; snap: the `Snapshot` to fill.
        switches: a `protection.switches.Switches`.
        limits: a `rules.Limits`; shunt_uohm: shunt resistance, microohm.
        emit: function (code, i, state, reason, value) that records an event; i may be RIG.
        sample: function (i, now_ms, voltage_mv, current_ma) told of every good reading; i = 16
            is the bus, after each round of the scan: mean voltage of the connected batteries
            (0 = none) and the sum of their currents. Both allocate nothing in steady state.
        any_clock: True when I2C, which runs at 100 kHz, may run as fast as it proves to carry.

    Attributes:
        save: function () that keeps what `kept` holds; one that does nothing until it is set.
        resistance: the `metering.Resistance` of the packs. balance: the `rules.Balance`.
        wishes: how many requests were accepted so far, but for those of a self-test.
    """

    def __init__(
        self,
        clock: "Clock",
        i2c: "I2c",
        snap: "Snapshot",
        switches: "Switches",
        limits: "Limits",
        shunt_uohm: int,
        emit: "Emit",
        sample: "Callable[[int, int, int, int], None]",
        any_clock: bool = False,
    ):
        self._ms = clock.ms
        self._diff = clock.diff
        self._i2c = i2c
        self._snap = snap
        self._switches = switches
        self._emit = emit
        self._sample = sample
        self.limits = self._limits = limits
        self._judge = rules.Judge(limits)
        self.balance = rules.Balance(snap, limits)
        self._warnings = Warnings(snap, limits, self.balance, emit)
        self.resistance = metering.Resistance(snap)
        self._zero = Zero(snap.temperature_c)
        self._sensors = Sensors(i2c, snap, limits, shunt_uohm, self._zero.ma)
        self._output = Output(snap, limits)
        self._starts = Starts(snap, limits, emit)
        self._states = States(
            snap, switches, limits, self._judge, self._output, self._starts, emit
        )
        self._connector = Connector(snap, limits, self._states, self._output, self._starts, emit)
        self._presence = Presence(
            clock, snap, switches, self._sensors, self._states, self._output, emit
        )
        self._alerts = Alerts(
            snap, switches, self._sensors, self._states, self._presence, self._judge, limits, emit
        )
        if TICK_MS * BATTERIES != rules.SCAN_MS * _READS:
            raise ValueError("a scan takes no %d ms" % rules.SCAN_MS)
        self._pace = None
        if any_clock:
            from parallelator.protection.pace import Pace

            self._pace = Pace(clock, i2c, self._sensors, emit)
        self._now = self._sub_ms = self._looked = 0
        self._ticks = self._next = self._urgent = 0
        self._quiet_ms = self._map_ms = self._begun = 0
        self._closed = self._fresh = self._unfed = 0
        self._outage = Outage(
            i2c, snap, switches, self._sensors, self._states, self._judge, limits, emit
        )
        self._seen = _words()
        self._valid_ms = _words()
        self._stuck_ms = _words()
        self._queue = bytearray(2 * _REQUESTS)
        self._queued = 0
        self._fired, self.wishes = False, 0
        self._saved_s = -1
        self.save = lambda: None

    @property
    def locks(self):
        """The Reason of each battery's lock, NONE = not locked: 16 bytes, kept across reboots."""
        return self._states.lock

    @property
    def kept(self):
        """What a reset must not forget: rows as `records.rtc_state.RtcState` takes them."""
        return (
            self._states.kept
            + self._starts.kept
            + self._judge.kept
            + self.resistance.kept
            + self._zero.kept
        )

    @property
    def alert_proven(self):
        """Mask of the batteries whose ALERT is proven to work."""
        return self._presence.alert_proven

    @property
    def trials(self):
        """How many trials there were since one last succeeded."""
        return self._starts.trials

    def trip_pending(self):
        """True while a connected battery is beyond a limit: nothing must delay the guard then."""
        return self._judge.trip_pending(self._states.on)

    def strained(self):
        """True while a trip is pending or a connected battery carries more than 80 % of a limit,
        and in the first second after a start: work that can wait must not delay the guard then."""
        states = self._states
        return (
            self._starts.starting()
            or self._starts.trial != 0
            or self.trip_pending()
            or self._judge.strained(states.on, self._snap.current_ma)
        )

    # Start and stop

    def start(self):
        """First scan: every expander with all switches off, every sensor found and set up."""
        self._i2c.begin()
        self._presence.start(self._ms())
        self._now = self._looked = self._ms()
        for i in range(BATTERIES):
            self._seen[i] = self._now
            if not self._sensors.chips[i]:
                self.resistance.forget(i)
                self._zero.forget(i)

    def recall(self):
        """What is kept is back after a reset: go on from there. Called once, before a tick."""
        self._states.recall()

    def all_off(self):
        """Open every switch, whatever the state: the last act before the firmware ends."""
        for b in range(BOARDS):
            self._i2c.begin()
            if self._i2c.stuck:
                self._i2c.recover()
            self._switches.start(b)

    def keep(self):
        """Save what a reset must not forget, each second and after an opening.

        Called after every tick: it may take some bytes of the heap. Only at a start it is a part
        of the tick, while no battery is on.
        """
        changed = self._states.changed or self._starts.changed
        if changed or self._snap.uptime_s != self._saved_s:
            self._states.changed = False
            self._starts.note()
            self._saved_s = self._snap.uptime_s
            self.save()

    def expect(self, unused: int):
        """Expect a battery at every place but those of the mask `unused`."""
        self._snap.unused = unused
        self._presence.check_topology()

    def plans(self, limits: "Limits"):
        """What `adopt` needs to hold to these limits; None when a sensor cannot measure up to
        them, and they have to wait for a restart."""
        return self._sensors.plans(limits)

    def adopt(self, limits: "Limits", plans: dict):
        """Hold to these limits from the next tick on, the sensors within a second.

        Args:
            plans: as `plans` has found them. Apart, so that none of the two steps is long.

        Returns:
            bool: False when a connected battery is beyond one, and they have to wait for a
            restart: saving alone switches nothing off.
        """
        snap = self._snap
        for i in range(BATTERIES):
            voltage_mv, current_ma = snap.voltage_mv[i], snap.current_ma[i]
            if connected(snap, i) and (
                rules.outside(limits, rules.counting_mv(limits, voltage_mv, current_ma))
                or not -limits.charge_ma <= current_ma <= limits.discharge_ma
                or snap.temperature_c[i] > limits.temperature_trip_c
                or self.balance.lag_mv(i, voltage_mv) > limits.imbalance_mv
            ):
                return False
        for name, limit in limits.__dict__.items():
            setattr(self._limits, name, limit)
        self._judge.renew()
        self._sensors.prepare(plans)
        self._presence.outdated = self._sensors.found
        return True

    # Requests

    def submit(self, action: str, i: int):
        """Queue an operator's wish for the next tick. Never blocks.

        Args:
            action: one of REQUESTS; i: battery 0..15, ALL, or RIG with "reset" for the bus; the
                board 0..3 that is DISCONNECTED.

        Returns:
            str or None: why it is refused: as `States.refusal`, `not_silent` when a board or a
            sensor of it answers, or none of its batteries is out of control, or `busy`; None =
            accepted.
        """
        refused = None
        if action == DISCONNECTED:
            refused = None if self._is_silent(i) else "not_silent"
        elif i != ALL and action in ACTIONS:
            refused = self._states.refusal(action, i)
        if refused:
            return refused
        if self._queued >= _REQUESTS:
            return "busy"
        kind = REQUESTS.index(action)
        self._queue[2 * self._queued] = kind
        self._queue[2 * self._queued + 1] = i + 1
        self._queued += 1
        self.wishes += kind <= _DISCONNECTED
        return None

    def _serve_requests(self):
        queue, states = self._queue, self._states
        served = 0
        while served < self._queued:
            action = queue[2 * served]
            i = queue[2 * served + 1] - 1
            if action < _DISCONNECTED:
                states.obey(action, i)
            elif action == _REST:
                states.rest(i)
            elif action == _RESUME:
                states.give_back(i)
            elif action == _FIRE:
                rests = self._snap.reason[i] == Reason.SELF_TEST
                self._fired = rests and self._presence.fire(i, self._fired, self._now)
                if self._fired:
                    break  # it and what comes after it is served in the next tick
            elif self._is_silent(i):
                self._let_go(i)
            served += 1
        self._queued -= served
        for at in range(2 * self._queued if served else 0):
            queue[at] = queue[2 * served + at]

    def _is_silent(self, b: int):
        """True when batteries of board b may be connected, and nothing of it answers."""
        board = 15 << b * CHANNELS
        return self._states.held & board != 0 and not self._sensors.found & board

    def _let_go(self, b: int):
        # An operator has seen that its batteries hang on nothing.
        self._emit("disconnected", RIG, 0, 0, b + 1)
        for i in range(b * CHANNELS, b * CHANNELS + CHANNELS):
            if self._states.held >> i & 1:
                self._states.regain_control(i)

    # The tick

    def tick(self):
        """One cycle: ALERTs, requests, openings, part of the scan, a chip check, closing, LEDs."""
        now = self._ms()
        dt = self._diff(now, self._now)
        self._now = now
        self._ticks += 1
        self._i2c.begin()
        states = self._states
        alerts = self._switches.poll(self._alerts.watched())
        if self._outage.holds(dt):
            if self._queued:
                self._serve_requests()
            states.pass_time(dt)
            self._count_time(dt)
            return
        if self._outage.on:
            self._outage.end()
            self._take_up(states.on)
        self._switches.count_silent()
        self._watch_alerts(alerts, dt)
        self._warnings.deadline(dt if states.on | states.held | states.stuck else 0)
        if self._queued:
            self._serve_requests()
        self._switches.flush()
        self._presence.watch_boards(self._ticks)
        if self._presence.returned:
            self._outage.doubt(self._presence.returned)
            self._urgent |= self._presence.returned
            self._presence.returned = 0
        if self._starts.probing():
            self._probe()
        else:
            self._scan()
            self._prove(alerts)
        self._outage.pass_time(dt)
        self._starts.pass_time(dt)
        if self._starts.trial:
            self._watch_trial()
        elif self._connector.due(dt):
            self._look_at_output()
            group = self._connector.choose(self._fresh)
            if group:
                self._connect(group)
        self._count_time(dt)
        self._show()
        if self._pace:
            self._pace.step(now, not (self._urgent or alerts or self._starts.starting()))
        if self._i2c.stuck:
            self._outage.recover()

    def _take_up(self, mask: int):
        # What they carry counts from now on, not from their last reading.
        self._urgent |= mask
        for i in range(BATTERIES):
            if mask >> i & 1:
                self._seen[i] = self._now

    def _watch_alerts(self, alerts: int, dt: int):
        states = self._states
        if self._quiet_ms > 0:
            self._alerts.clear(alerts)
        elif self._starts.inrush_ma():
            self._watch_inrush(alerts)
        else:
            self._alerts.answer(alerts)
        if self._quiet_ms > 0:
            self._quiet_ms -= dt
        if self._map_ms > 0:
            self._map_ms -= dt
        states.pass_time(dt)

    def _watch_inrush(self, alerts: int):
        # Right after a start the limits do not hold yet, whatever ALERT says. The second that
        # opens takes the others with it.
        for i in range(BATTERIES):
            if (alerts & self._states.on) >> i & 1 and self._sensors.chips[i]:
                self._sensors.clear_alert(i)
                current_ma = self._sensors.current_ma(i)
                if current_ma is not None and abs(current_ma) > self._starts.inrush_ma():
                    self._states.trip(i, Reason.OVERCURRENT, current_ma)

    def _connect(self, group: int):
        for i in range(BATTERIES):
            if group >> i & 1:
                self._sensors.watch_low(i)
        self._alerts.clear(group)
        if self._output.live:
            closed = self._states.connect(group)
        else:
            self._quiet_ms = _QUIET_MS
            self._begun = self._ms()
            self._starts.begin(group, self._states.on)
            self.keep()  # a load that takes the controller down must not do so for ever
            closed = self._states.connect(group)
        self._take_up(closed)
        self._closed = closed
        self._map_ms = _MAP_MS

    # Trials, and the output

    def _probe(self):
        # The first readings of a trial: the currents of all at once, nothing else is connected.
        for i in range(BATTERIES):
            current_ma = self._sensors.current_ma(i) if self._starts.trial >> i & 1 else None
            if current_ma is None:
                continue
            self._snap.current_ma[i] = current_ma
            if rules.is_beyond_hard(self._limits, current_ma):
                self._states.trip(i, Reason.OVERCURRENT, current_ma)
                return
        self._starts.round_done()

    def _watch_trial(self):
        stays = self._starts.verdict()
        if stays is None:
            return
        doubtful = self._output.doubtful & self._states.held if stays else 0
        self._states.end_trial(stays)
        self._take_up(stays)
        for i in range(BATTERIES):
            if doubtful >> i & 1 and self._starts.kind == DOUBT:
                # They are not on the output: those that stay would feed them, or they those.
                self._states.regain_control(i)

    def _look_at_output(self):
        fresh = 0
        snap, states = self._snap, self._states
        for i in range(BATTERIES):
            if snap.valid[i] and self._diff(self._now, self._seen[i]) <= FRESH_MS:
                fresh |= 1 << i
        self._fresh = fresh
        looked_ms = self._diff(self._now, self._looked)
        self._looked = self._now
        output = self._output
        output.pin(self._switches.high & states.stuck)
        output.look(states.on, states.held, states.stuck, fresh, looked_ms)
        for b in range(BOARDS):
            board = states.held & 15 << b * CHANNELS
            if board and not board & fresh and output.departed(b, looked_ms):
                for i in range(b * CHANNELS, b * CHANNELS + CHANNELS):
                    if board >> i & 1:
                        states.regain_control(i)

    # The scan

    def _scan(self):
        urgent = self._urgent | self._alerts.flagged | self._alerts.unsure
        reads = _READS - 1 if urgent else _READS
        i = self._next
        for _ in range(BATTERIES):
            if self._sensors.chips[i]:
                self._visit(i)
                reads -= 1
            elif self._presence.probe(i, self._now):
                # The delay of the battery goes on while its sensor is away.
                self._states.count_down(i, max(self._diff(self._now, self._seen[i]), 0))
                self._seen[i] = self._now
                # Setting up a sensor that was found takes the time that is left of a tick.
                reads = 0 if self._sensors.chips[i] else reads - 1
            i = (i + 1) & (BATTERIES - 1)
            if not i:
                self._look_around()
            if not reads:
                break
        self._next = i
        if urgent:
            self._visit_urgent(urgent)

    def _visit_urgent(self, urgent: int):
        # After the others: by now the conversion that raised a flag is not the last one any more.
        alerts = self._alerts
        left = _URGENT_READS
        for i in range(BATTERIES):
            if left and urgent >> i & 1:
                left -= 1
                self._urgent &= ~(1 << i)
                if alerts.flagged >> i & 1:
                    alerts.flagged &= ~(1 << i)
                    self._judge.flagged(i)
                if self._sensors.chips[i]:
                    self._visit(i)
                if alerts.unsure >> i & 1:
                    alerts.settle(i)

    def _look_around(self):
        balance = self.balance
        balance.look(self._states.on)
        self._look_at_output()
        self._sample(BATTERIES, self._now, balance.mean_mv, balance.total_ma)
        self._spare_pinned()
        missed = self._output.missed()
        if missed >= 0 and not self._states.on >> missed & 1:
            self._disbelieve(missed, self._snap.current_ma[missed])
        if not self._output.charging:
            self._snap.alarm("charger_high", RIG, False)

    def _spare_pinned(self):
        # A battery that cannot be opened takes too much: those that feed it open instead.
        output, limits, states = self._output, self._limits, self._states
        amps = self._snap.current_ma
        fed = -1
        for i in range(BATTERIES):
            if output.pinned & output.closed & ~states.on & 1 << i:
                if limits.hard_charge_ma and amps[i] < -limits.hard_charge_ma:
                    fed = i
        if fed < 0:
            self._unfed = self._now
        if self._diff(self._now, self._unfed) < _FED_MS:
            return
        self._unfed = self._now
        stays = output.closed
        feeders = 0
        while stays & states.on:
            predicted = output.predict(stays, output.total_ma)
            if predicted[fed] >= -limits.charge_ma:
                break
            worst = -1
            for i in range(BATTERIES):
                if stays & states.on & 1 << i and (worst < 0 or predicted[i] > predicted[worst]):
                    worst = i
            stays &= ~(1 << worst)
            feeders |= 1 << worst
        states.spare(feeders)

    def _visit(self, i: int):
        # `dt` is the real time, for what goes on without readings: delays, hours. A reading
        # proves something for _GAP_MS before it at most.
        snap = self._snap
        now = self._now
        dt = max(self._diff(now, self._seen[i]), 0)
        if not self._sensors.read(i):
            if self._sensors.missed(i, dt):
                self._stuck_ms[i] = 0
                self.resistance.forget(i)
                self._output.forget(i)
                self._zero.forget(i)
                self._presence.lose_sensor(i, now)
            return
        self._seen[i] = now
        if not snap.valid[i]:
            snap.valid[i] = 1
            self._valid_ms[i] = 0
        current_ma = snap.current_ma[i]
        self._sample(i, now, snap.voltage_mv[i], current_ma)
        metering.count_charge(snap, i, current_ma, min(dt, _CHARGE_GAP_MS))
        if self._sensors.low >> i & 1:
            self._sensors.watch_low(i)
        if snap.state[i] == ON:
            self._zero.closed(i)
            if self._outage.doubted >> i & 1 and self._outage.read(i):
                self._urgent |= 1 << i
            if not self._is_quiet():
                self._judge_sample(i, current_ma, dt)
        else:
            self._attend(i, current_ma, dt)

    def _is_quiet(self):
        # The tick that closes does so near its end: counting ticks would be short of 20 ms.
        return self._quiet_ms > 0 or (
            self._starts.starting() and self._diff(self._ms(), self._begun) < _QUIET_MS
        )

    def _prove(self, alerts: int):
        if self._quiet_ms > 0 or alerts and self._starts.inrush_ma():
            # Its ALERT may have been cleared just now: flags show no conversion so soon.
            return
        if self._fired:
            return  # a limit is not as it should be until the next tick
        if self._ticks % _PROOF_TICKS and self._presence.suspect < 0:
            return
        i = self._presence.prove_one(self._now)
        if i >= 0 and self._states.on >> i & 1:
            if self._starts.inrush_ma():
                self._watch_inrush(1 << i)
            else:
                self._alerts.read(i, self._presence.shown)
        i = self._presence.measured
        if i >= 0:
            celsius = self._snap.temperature_c[i]
            self._warnings.temperature(i, celsius)
            if self._states.on >> i & 1:
                reason = self._judge.temperature(i, celsius)
                if reason:
                    self._states.trip(i, reason, celsius)

    def _judge_sample(self, i: int, current_ma: int, dt: int):
        voltage_mv = self._snap.voltage_mv[i]
        balance = self.balance
        seen_ms = min(dt, _GAP_MS)
        inrush_ma = self._starts.inrush_ma()
        if self._starts.trial >> i & 1:
            if rules.is_beyond_hard(self._limits, current_ma):
                self._states.trip(i, Reason.OVERCURRENT, current_ma)
            return
        if inrush_ma:
            if abs(current_ma) > inrush_ma:
                self._states.trip(i, Reason.OVERCURRENT, current_ma)
            return
        reason = self._judge.sample(
            i,
            voltage_mv,
            current_ma,
            balance.lag_mv(i, voltage_mv),
            seen_ms,
            balance.unshared_ma(voltage_mv, current_ma),
        )
        if reason == Reason.IMBALANCE and self._would_overload(i):
            self._warnings.out_of_balance(i, voltage_mv)
        elif reason:
            of_current = reason == Reason.OVERCURRENT or reason == Reason.OVERLOAD
            if reason == Reason.NO_SHARE:
                self._output.leave(i)
                of_current = True
            self._states.trip(i, reason, current_ma if of_current else voltage_mv)
        elif self._judge.urgent:
            self._urgent |= 1 << i
        else:
            self._states.forgive(i, seen_ms)
            self._warnings.connected(i, voltage_mv, current_ma, seen_ms)
            self.resistance.sample(i, voltage_mv, current_ma)
            metering.count_time(self._snap, i, dt)

    def _would_overload(self, i: int):
        """True when the others could not carry without battery i what it carries."""
        output, limits = self._output, self._limits
        others = output.closed & ~(1 << i)
        if not others:
            return True
        predicted = output.predict(others, output.total_ma)
        for k in range(BATTERIES):
            if others >> k & 1 and not -limits.charge_ma <= predicted[k] <= limits.discharge_ma:
                return True
        return False

    def _attend(self, i: int, current_ma: int, dt: int):
        # A battery that is not on: its delays, its return, and current it should not carry.
        states = self._states
        seen_ms = min(dt, _GAP_MS)
        if self._snap.state[i] == UNCONTROLLED:
            reason = self._judge.sample(i, self._snap.voltage_mv[i], current_ma, 0, seen_ms)
            if reason:
                states.owe(i, reason)
        else:
            self._judge.rest(i, current_ma, dt)
        self._warnings.opened(i)
        self.resistance.opened(i)
        if not self._measure_zero(i, current_ma, seen_ms):
            return
        self._output.watch_open(i, self._snap.voltage_mv[i], current_ma, states.stuck)
        self._watch_stuck(i, current_ma, seen_ms)
        states.count_down(i, dt)
        if self._snap.state[i] == ABSENT and self._presence.boards >> i // CHANNELS & 1:
            self._valid_ms[i] += seen_ms
            if self._valid_ms[i] >= _VALID_MS:
                states.settle(i)

    def _measure_zero(self, i: int, current_ma: int, seen_ms: int):
        """Look at what the sensor of battery i reads without a current; False while it lies."""
        states, output = self._states, self._output
        bit = 1 << i
        if (states.held | output.moved) & bit:
            self._zero.closed(i)
            return True
        shown = self._zero.sample(i, current_ma, seen_ms, output.live)
        lies = self._snap.reason[i] == Reason.SENSOR_OFFSET and self._snap.state[i] == ABSENT
        if shown == BAD:
            self._disbelieve(i, current_ma)
            return False
        if shown:
            self._warnings.sensor_offset(i, shown > GOOD, current_ma)
        return not lies or shown > 0

    def _disbelieve(self, i: int, current_ma: int):
        # Its sensor is wrong: off until it reads a zero again.
        self._states.lose(i, Reason.SENSOR_OFFSET)
        self._warnings.sensor_offset(i, True, current_ma)
        self._states.stuck &= ~(1 << i)
        self._snap.alarm("stuck_closed", i, False)

    def _watch_stuck(self, i: int, current_ma: int, seen_ms: int):
        states = self._states
        bit = 1 << i
        if self._switches.high & bit:
            # It may carry at any time: `presence` tells of it.
            return
        if -STRAY_MA <= current_ma <= STRAY_MA or states.held & bit:
            self._stuck_ms[i] = 0
            if states.stuck & bit:
                states.stuck &= ~bit
                self._snap.alarm("stuck_closed", i, False)
        elif not states.stuck & bit:
            if self._map_ms > 0 and not self._stuck_ms[i] and self._moved_instead(i):
                self._presence.lock_board(i, Reason.WIRING_MAP)
                return
            self._stuck_ms[i] += seen_ms
            if self._stuck_ms[i] >= _STUCK_MS:
                states.stuck |= bit
                self._output.pinned |= bit & self._output.moved
                self._snap.alarm("stuck_closed", i, True)
                self._emit("stuck_closed", i, self._snap.state[i], 0, current_ma)

    def _moved_instead(self, i: int):
        # Battery i began to carry current right after another of its board was told to close:
        # when that one carries none, the board's wiring map is wrong.
        if self._closed >> i & 1:
            return False
        current_ma = self._snap.current_ma
        told = self._closed & ~self._urgent & 15 << i // CHANNELS * CHANNELS
        for k in range(BATTERIES):
            if told >> k & 1 and -IDLE_MA <= current_ma[k] <= IDLE_MA:
                return True
        return False

    # Housekeeping

    def _count_time(self, dt: int):
        self._sub_ms += dt
        if self._sub_ms >= 1000:
            self._snap.uptime_s += self._sub_ms // 1000
            self._sub_ms %= 1000

    def _show(self):
        b = self._ticks % _LED_TICKS
        if b < BOARDS and self._presence.boards >> b & 1:
            self._switches.show(b, self._snap.state, self._snap.alarmed, self._sub_ms < 500)


def _words():
    return array("i", bytes(4 * BATTERIES))
