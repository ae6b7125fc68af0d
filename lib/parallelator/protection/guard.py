"""The one owner of the bus and the switches: sense, decide, switch, every tick.

`tick` is synchronous, never re-entered, allocates nothing in steady state and waits for nobody.
Everybody else reads the snapshot and leaves requests with `submit`.
"""

from array import array

from micropython import const

from parallelator.protection import charge, joining, rules
from parallelator.protection.connector import Connector
from parallelator.protection.fleet import ACTIONS, Fleet
from parallelator.protection.sensors import Sensors
from parallelator.snapshot import ABSENT, BATTERIES, BOARDS, CHANNELS, ON, RIG, Alarm, Reason

TICK_MS = const(10)
_READS = const(2)
_URGENT_READS = const(2)
_VALID_MS = const(2000)
_PROBE_MS = const(1000)
_QUIET_MS = const(20)
_STUCK_MA = const(200)
_STUCK_MS = const(500)
_CHARGE_GAP_MS = const(1000)
_REQUESTS = const(32)
_VERIFY_TICKS = const(8)
_LED_TICKS = const(16)
_BOARD_PROBE_TICKS = const(100)


class Guard:
    """Protects one rig.

    Args:
        clock: a `clock.Clock`; bus: a `hardware.bus.Bus`; snap: the `Snapshot` to fill.
        switches: a `protection.switches.Switches`.
        limits: a `rules.Limits`; shunt_uohm: shunt resistance, microohm.
        emit: function (code, i, state, reason, value) that records an event; i may be RIG.
    """

    def __init__(self, clock, bus, snap, switches, limits, shunt_uohm, emit):
        self._ms = clock.ms
        self._diff = clock.diff
        self._bus = bus
        self._snap = snap
        self._switches = switches
        self._emit = emit
        self._judge = rules.Judge(limits)
        self._sensors = Sensors(bus, snap, limits, shunt_uohm)
        self._fleet = Fleet(snap, switches, limits, self._judge, emit)
        self._connector = Connector(snap, limits, self._fleet, emit)
        self._now = 0
        self._sub_ms = 0
        self._ticks = 0
        self._next = 0
        self._urgent = 0
        self._boards = 0
        self._quiet_ms = 0
        self._probed = _words()
        self._seen = _words()
        self._valid_ms = _words()
        self._stuck_ms = _words()
        self._queue = bytearray(2 * _REQUESTS)
        self._queued = 0

    # Start and stop

    def start(self):
        """First scan: every expander with all switches off, every sensor found and set up."""
        self._bus.begin()
        self._now = self._ms()
        for b in range(BOARDS):
            if self._switches.start(b):
                self._boards |= 1 << b
        for i in range(BATTERIES):
            self._seen[i] = self._probed[i] = self._now
            self._snap.reason[i] = Reason.NOT_FOUND
            driver = self._sensors.detect(i)
            if driver:
                self._sensors.adopt(i, driver)
        self._check_topology()

    def all_off(self):
        """Open every switch, whatever the state: the last act before the firmware ends."""
        for b in range(BOARDS):
            self._bus.begin()
            if self._bus.stuck:
                self._bus.recover()
            self._switches.start(b)

    # Requests

    def submit(self, action, i):
        """Queue an operator's wish for the next tick. Never blocks.

        Args:
            action: one of ACTIONS; i: battery 0..15, or RIG with "reset" for the bus.

        Returns:
            str or None: why it is refused: `locked`, `absent`, `busy`; None = accepted.
        """
        refused = None if i == RIG else self._fleet.refusal(action, i)
        if refused:
            return refused
        if self._queued >= _REQUESTS:
            return "busy"
        self._queue[2 * self._queued] = ACTIONS.index(action)
        self._queue[2 * self._queued + 1] = i + 1
        self._queued += 1
        return None

    def _serve_requests(self):
        for k in range(self._queued):
            self._fleet.obey(self._queue[2 * k], self._queue[2 * k + 1] - 1)
        self._queued = 0

    # The tick

    def tick(self):
        """One cycle: ALERTs, requests, openings, boards, a share of the scan, closings, LEDs."""
        now = self._ms()
        dt = self._diff(now, self._now)
        self._now = now
        self._ticks += 1
        self._bus.begin()
        self._watch_alerts(dt)
        if self._queued:
            self._serve_requests()
        self._switches.flush()
        self._watch_boards()
        self._scan()
        group = self._connector.choose(dt)
        if group:
            self._connect(group)
        self._count_time(dt)
        self._show()
        if self._bus.stuck:
            self._recover_bus()

    def _watch_alerts(self, dt):
        fleet = self._fleet
        alerts = self._switches.poll(fleet.on)
        if alerts:
            if self._quiet_ms > 0:
                self._clear_alerts(alerts)
            else:
                self._answer_alerts(alerts)
        if self._quiet_ms > 0:
            self._quiet_ms -= dt
        if fleet.starting_ms > 0:
            fleet.starting_ms -= dt

    def _answer_alerts(self, alerts):
        # Off first, all boards; the flags only tell why.
        self._switches.open(alerts)
        self._clear_alerts(alerts)
        for i in range(BATTERIES):
            if alerts & self._fleet.on & 1 << i:
                self._fleet.trip(i, Reason.OVERCURRENT, self._sensors.alert_ma(i))

    def _clear_alerts(self, mask):
        for i in range(BATTERIES):
            if mask >> i & 1:
                self._sensors.clear_alert(i)

    def _connect(self, group):
        self._clear_alerts(group)
        if self._fleet.on | self._fleet.held | self._fleet.stuck:
            closed = self._fleet.connect(group)
        else:
            self._quiet_ms = _QUIET_MS
            closed = self._fleet.start(group)
        self._urgent |= closed

    # The scan

    def _scan(self):
        reads = _READS
        urgent = self._urgent
        if urgent:
            self._urgent = 0
            left = _URGENT_READS
            for i in range(BATTERIES):
                if urgent >> i & 1:
                    if left:
                        left -= 1
                        if self._sensors.chips[i]:
                            self._visit(i)
                    else:
                        self._urgent |= 1 << i
            reads -= 1
        i = self._next
        for _ in range(BATTERIES):
            if self._sensors.chips[i]:
                self._visit(i)
                reads -= 1
            elif self._diff(self._now, self._probed[i]) >= _PROBE_MS:
                self._probed[i] = self._now
                self._find(i)
                reads -= 1
            i = (i + 1) & (BATTERIES - 1)
            if not reads:
                break
        self._next = i

    def _visit(self, i):
        snap = self._snap
        now = self._now
        dt = max(self._diff(now, self._seen[i]), 0)
        if not self._sensors.read(i):
            if self._sensors.missed(i, dt):
                self._lose_sensor(i)
            return
        self._seen[i] = now
        if not snap.valid[i]:
            snap.valid[i] = 1
            self._valid_ms[i] = 0
        current_ma = snap.current_ma[i]
        charge.count(snap, i, current_ma, min(dt, _CHARGE_GAP_MS))
        if snap.state[i] == ON:
            if self._quiet_ms <= 0:
                self._judge_sample(i, current_ma, dt)
        else:
            self._attend(i, current_ma, dt)

    def _judge_sample(self, i, current_ma, dt):
        voltage_mv = self._snap.voltage_mv[i]
        reason = self._judge.sample(i, voltage_mv, current_ma, dt)
        if reason:
            of_voltage = reason == Reason.OVERVOLTAGE or reason == Reason.UNDERVOLTAGE
            self._fleet.trip(i, reason, voltage_mv if of_voltage else current_ma)
        elif self._judge.urgent:
            self._urgent |= 1 << i
        else:
            self._fleet.forgive(i, dt)

    def _attend(self, i, current_ma, dt):
        # A battery that is not on: its delays, its return, and current it should not carry.
        fleet = self._fleet
        self._watch_stuck(i, current_ma, dt)
        fleet.count_down(i, dt)
        if self._snap.state[i] == ABSENT and self._boards >> i // CHANNELS & 1:
            self._valid_ms[i] += min(dt, _CHARGE_GAP_MS)
            if self._valid_ms[i] >= _VALID_MS:
                fleet.settle(i)

    def _watch_stuck(self, i, current_ma, dt):
        fleet = self._fleet
        bit = 1 << i
        if -_STUCK_MA <= current_ma <= _STUCK_MA or fleet.held & bit:
            self._stuck_ms[i] = 0
            if fleet.stuck & bit:
                fleet.stuck &= ~bit
                self._snap.alarm(Alarm.STUCK_CLOSED, i, False)
        elif not fleet.stuck & bit:
            self._stuck_ms[i] += dt
            if self._stuck_ms[i] >= _STUCK_MS:
                fleet.stuck |= bit
                self._snap.alarm(Alarm.STUCK_CLOSED, i, True)
                self._emit("stuck_closed", i, self._snap.state[i], 0, current_ma)

    # Presence of sensors and boards

    def _find(self, i):
        driver = self._sensors.detect(i)
        if driver:
            self._emit("sensor_found", i, self._snap.state[i], 0, 0)
            if self._sensors.adopt(i, driver):
                self._check_topology()

    def _lose_sensor(self, i):
        self._probed[i] = self._now
        self._stuck_ms[i] = 0
        self._fleet.stuck &= ~(1 << i)
        if not self._fleet.held >> i & 1:
            self._fleet.lose(i, Reason.SENSOR_LOST)
        self._check_topology()

    def _watch_boards(self):
        switches = self._switches
        if self._ticks % _VERIFY_TICKS == 0:
            b = self._ticks // _VERIFY_TICKS % BOARDS
            if self._boards >> b & 1:
                switches.verify(b)
        for b in range(BOARDS):
            if self._boards >> b & 1:
                if not switches.present >> b & 1:
                    self._lose_board(b)
            elif self._fleet.held >> b * CHANNELS & 15 or self._ticks % _BOARD_PROBE_TICKS == b:
                if switches.start(b):
                    self._regain_board(b)
        if switches.faulty:
            for i in range(BATTERIES):
                if switches.faulty >> i // CHANNELS & 1 and self._snap.state[i] != ABSENT:
                    self._fleet.fault(i)
            switches.faulty = 0

    def _lose_board(self, b):
        self._boards &= ~(1 << b)
        self._emit("expander_lost", RIG, 0, 0, b)
        for i in range(b * CHANNELS, b * CHANNELS + CHANNELS):
            self._switches.wanted &= ~(1 << i)
            if self._fleet.on >> i & 1:
                self._fleet.lose_control(i)
            else:
                self._fleet.lose(i, Reason.EXPANDER_LOST)
        self._check_topology()

    def _regain_board(self, b):
        self._boards |= 1 << b
        self._emit("expander_back", RIG, 0, 0, b)
        for i in range(b * CHANNELS, b * CHANNELS + CHANNELS):
            self._valid_ms[i] = 0
            if self._fleet.held >> i & 1:
                self._fleet.regain_control(i)
        self._check_topology()

    def _check_topology(self):
        boards = joining.size(self._boards)
        wrong = not boards or boards * CHANNELS != self._sensors.found
        self._snap.boards = self._boards
        if self._snap.alarm(Alarm.TOPOLOGY, RIG, wrong):
            self._emit("topology" if wrong else "topology_good", RIG, 0, 0, self._sensors.found)

    def _recover_bus(self):
        self._emit("bus_fault", RIG, 0, 0, self._bus.timeouts)
        recovered = self._bus.recover()
        self._snap.alarm(Alarm.BUS_FAULT, RIG, not recovered)
        if recovered:
            self._emit("bus_recovered", RIG, 0, 0, self._bus.recoveries)

    # Housekeeping

    def _count_time(self, dt):
        self._sub_ms += dt
        if self._sub_ms >= 1000:
            self._snap.uptime_s += self._sub_ms // 1000
            self._sub_ms %= 1000

    def _show(self):
        b = self._ticks % _LED_TICKS
        if b < BOARDS and self._boards >> b & 1:
            self._switches.show(b, self._snap.state, self._sub_ms < 500)


def _words():
    return array("i", bytes(4 * BATTERIES))
