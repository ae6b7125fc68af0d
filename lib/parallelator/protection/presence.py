# SPDX-License-Identifier: GPL-3.0-only
"""Which boards and sensors are there, and whether they are still what they were. Run by `guard`.

A chip that was reset or plugged in live has lost its settings and reads a healthy 0 A: so one chip
is checked in each tick. What does not answer is looked for again, with growing pauses.
"""

from array import array

from micropython import const

from parallelator.catalog import ABSENT, Reason
from parallelator.hardware.ina2xx import ALERT, FRESH, HIGH, INTACT, LOW
from parallelator.snapshot import BATTERIES, BOARDS, CHANNELS, RIG, missing

_PROBE_MS = const(1000)
_PROBE_CAP_MS = const(8000)
_VERIFY_TICKS = const(4)
_BOARD_PROBE_TICKS = const(50)
_TEMPERATURE_ROUNDS = const(2)
_ALIAS_ROUNDS = const(3)
_CLEAN_PROBES = const(4)


class Presence:
    """Boards and sensors of one rig.

    Args:
        clock: a `clock.Clock`; snap: the `Snapshot`; switches: a `Switches`.
        sensors: a `Sensors`; states: a `States`; output: an `Output`.
        emit: function (code, i, state, reason, value) that records an event.

    Attributes:
        boards: bit b set while expander b answers.
        alert_proven: mask of the batteries whose ALERT line is proven to work.
        suspect: battery whose chip failed its check and is to be checked again at once, or -1.
        returned: mask of the batteries that go on after their board came back.
        measured: battery whose temperature the last `prove_one` read, or -1.
        shown: the flags that it read: ALERT, HIGH, LOW of ina2xx.
        aliased: mask of the places whose chips answer for one another.
        outdated: mask of the chips that hold the limits of before.
    """

    def __init__(
        self,
        clock: "Clock",
        snap: "Snapshot",
        switches: "Switches",
        sensors: "Sensors",
        states: "States",
        output: "Output",
        emit: "Emit",
    ):
        self._diff = clock.diff
        self._snap = snap
        self._switches = switches
        self._sensors = sensors
        self._states = states
        self._output = output
        self._emit = emit
        self._probed = array("i", bytes(4 * BATTERIES))
        self._pause = array("i", [_PROBE_MS] * BATTERIES)
        self._stale = bytearray(BATTERIES)
        self._clean = bytearray(BATTERIES)
        self._turn = 0
        self._unproven = 0
        self._round = 0
        self._high = 0
        self.boards = 0
        self.alert_proven = 0
        self.suspect = -1
        self.returned = 0
        self.measured = -1
        self.shown = 0
        self.aliased = 0
        self.outdated = 0

    def start(self, now: int):
        """First look at everything: every board with all switches off, every sensor set up."""
        for b in range(BOARDS):
            if self._switches.start(b):
                self.boards |= 1 << b
        drivers = [self._sensors.detect(i) for i in range(BATTERIES)]
        found = sum(1 << i for i in range(BATTERIES) if drivers[i])
        for i in range(BATTERIES):
            self._probed[i] = now
            self._snap.reason[i] = Reason.NOT_FOUND
        for _ in range(_ALIAS_ROUNDS):
            self._note_aliases(self._sensors.aliases(found, found), now)
        for i in range(BATTERIES):
            driver = drivers[i]
            if driver and not self.aliased >> i & 1 and self._fits(i, driver):
                self._adopt(i, driver)
                self._prove_alert(i)
        self._unproven = 0
        self.check_topology()

    # Sensors

    def probe(self, i: int, now: int):
        """Look for the missing sensor i when its pause is over; True when I2C was used."""
        if self._diff(now, self._probed[i]) < self._pause[i]:
            return False
        self._probed[i] = now
        driver = self._sensors.detect(i)
        if driver and self._is_alone(i, now) and self._fits(i, driver):
            self._emit("sensor_found", i, self._snap.state[i], 0, 0)
            if self._adopt(i, driver):
                self.check_topology()
                return True
        self._pause[i] = min(self._pause[i] * 2 or _PROBE_MS, _PROBE_CAP_MS)
        return True

    def _is_alone(self, i: int, now: int):
        # Those that answered for one another are tried together.
        bit = 1 << i
        aliased = self._sensors.aliases(self.aliased | bit, bit)
        self._note_aliases(aliased, now)
        if not self.aliased & bit:
            return True
        if aliased:
            return False
        # By chance they may answer one by one for once.
        self._clean[i] += 1
        self._pause[i] = _PROBE_MS // 2
        if self._clean[i] < _CLEAN_PROBES:
            return False
        self.aliased &= ~bit
        self._snap.alarm("address_alias", i, False)
        return True

    def _fits(self, i: int, driver: "type[Ina2xx]"):
        reason = self._sensors.refusal(driver)
        if reason:
            self._explain_absence(i, reason)
        return not reason

    def _explain_absence(self, i: int, reason: int):
        if self._snap.state[i] == ABSENT:
            self._snap.reason[i] = reason

    def _note_aliases(self, mask: int, now: int):
        snap = self._snap
        for i in range(BATTERIES):
            if mask >> i & 1:
                self.aliased |= 1 << i
                self._clean[i] = 0
                if snap.alarm("address_alias", i, True):
                    self._emit("address_alias", i, snap.state[i], 0, 0)
                if self._sensors.chips[i]:
                    self.lose_sensor(i, now)
                self._explain_absence(i, Reason.ADDRESS_ALIAS)

    def _adopt(self, i: int, driver: "type[Ina2xx]"):
        if not self._sensors.adopt(i, driver):
            self._explain_absence(i, Reason.NOT_FOUND)
            return False
        self._pause[i] = _PROBE_MS
        self._stale[i] = 0
        self._unproven |= 1 << i
        return True

    def lose_sensor(self, i: int, now: int):
        """Sensor i is gone: its battery opens unless its board holds it."""
        bit = 1 << i
        self._sensors.drop(i)
        self._probed[i] = now
        self.alert_proven &= ~bit
        self._unproven &= ~bit
        self._states.stuck &= ~bit | self._high
        if not self._states.held & bit:
            self._states.lose(i, Reason.SENSOR_LOST)
        self.check_topology()

    def prove_one(self, now: int):
        """Check settings, limits and conversions of one chip; write again what it has lost.

        Returns:
            int: the battery whose flags showed a passed limit (reading has cleared them), or -1;
            `shown` tells which.
        """
        self.measured = -1
        if self.outdated:
            # One that does not take its limits is mended when its turn comes to be checked.
            for i in range(BATTERIES):
                if self.outdated >> i & 1:
                    self.outdated &= ~(1 << i)
                    if self._sensors.relimit(i):
                        break
            return -1
        if self._unproven:
            return self._prove_next_alert()
        i = self.suspect
        self.suspect = -1
        if i < 0:
            i = self._next_chip()
        chip = self._sensors.chips[i]
        if chip is None:
            return -1
        shown = chip.prove()
        if shown is None:
            # It does not answer: the scan counts that.
            return -1
        if not shown & INTACT:
            self._mend(i, now)
        elif shown & FRESH:
            self._stale[i] = 0
            if self._round % _TEMPERATURE_ROUNDS == 0:
                self._measure(i, chip)
        else:
            self._doubt(i, now)
        return self._show(i, shown)

    def _show(self, i: int, shown: int):
        self.shown = shown & (ALERT | HIGH | LOW)
        return i if self.shown else -1

    def _next_chip(self):
        for _ in range(BATTERIES):
            self._turn = (self._turn + 1) & (BATTERIES - 1)
            if not self._turn:
                self._round += 1
            if self._sensors.chips[self._turn]:
                break
        return self._turn

    def _measure(self, i: int, chip: "Ina2xx"):
        celsius_mc = chip.temperature_mc()
        if celsius_mc is not None:
            self._snap.temperature_c[i] = celsius_mc // 1000
            self.measured = i

    def _doubt(self, i: int, now: int):
        # No new conversion: look again, then set it up anew, then give it up, a tick apart each.
        self._stale[i] += 1
        self.suspect = i
        if self._stale[i] == 2:
            self._mend(i, now)
        elif self._stale[i] > 2:
            self.lose_sensor(i, now)

    def _mend(self, i: int, now: int):
        self._emit("sensor_reset", i, self._snap.state[i], 0, 0)
        if not self._sensors.configure(i):
            self.lose_sensor(i, now)

    # ALERT lines

    def doubt_alert(self, i: int):
        """Battery i's ALERT was low without a cause: ignored until it is proven to work."""
        self.alert_proven &= ~(1 << i)
        self._unproven |= 1 << i

    def _prove_next_alert(self):
        for i in range(BATTERIES):
            if self._unproven >> i & 1:
                self._unproven &= ~(1 << i)
                return self._show(i, self._prove_alert(i))
        return -1

    def _prove_alert(self, i: int):
        # Toggle the polarity and see the expander's input follow; return the flags that this read.
        chip = self._sensors.chips[i]
        if not chip or not chip.HAS_ALERT or not self.boards >> i // CHANNELS & 1:
            self.alert_proven &= ~(1 << i)
            return 0
        inverted = chip.invert_alert(True)
        follows = inverted is not None and self._switches.alert_low(i)
        restored = chip.invert_alert(False)
        if follows and restored is not None and self._switches.alert_low(i) is False:
            self.alert_proven |= 1 << i
        else:
            self.alert_proven &= ~(1 << i)
        shown = (inverted or 0) | (restored or 0)
        dead = not self.alert_proven >> i & 1
        if dead and shown & LOW and self._sensors.ignore_low(i):
            # A voltage of nothing, as of a pack whose BMS is open, holds the line.
            return shown | self._prove_alert(i)
        if self._snap.alarm("alert_dead", i, dead) and dead:
            self._emit("alert_dead", i, self._snap.state[i], 0, 0)
        return shown

    def fire(self, i: int, begun: bool, now: int):
        """Let the ALERT of battery i, which is open, fire by a limit that every current is beyond,
        and see whether its line brings it. Takes two calls, a conversion between them.

        Args:
            begun: True for the second call.

        Returns:
            bool: True when there has to be a second one; else the limit is as it was, and
            `alert_proven` tells.
        """
        chip = self._sensors.chips[i]
        bit = 1 << i
        if not chip or not chip.HAS_ALERT:
            return False
        if not begun:
            self.alert_proven &= ~bit
            chip.clear_alert()
            chip.drop_limit(True)
            return True
        low = self._switches.alert_low(i)
        restored = chip.drop_limit(False)
        shown = chip.clear_alert() or 0
        if not restored:
            self._mend(i, now)
        heard = low and shown & ALERT and self._switches.alert_low(i) is False
        if heard and not self._unproven & bit and self._sensors.chips[i]:
            self.alert_proven |= bit
        if self._snap.alarm("alert_dead", i, not heard) and not heard:
            self._emit("alert_dead", i, self._snap.state[i], 0, 0)
        return False

    # Boards

    def watch_boards(self, ticks: int):
        """Verify one board in turn, notice lost ones, try to reach them again.

        Args:
            ticks: number of the present tick.
        """
        switches = self._switches
        if ticks % _VERIFY_TICKS == 0:
            turn = ticks // _VERIFY_TICKS
            b = turn % BOARDS
            if self.boards >> b & 1:
                if turn & BOARDS:
                    switches.verify_polarity(b)
                else:
                    switches.verify(b)
        if switches.stray:
            switches.judge_pins()
        for b in range(BOARDS):
            board = 15 << b * CHANNELS
            if not self.boards >> b & 1:
                # One try a second; at every tick while somebody there shall open.
                if ticks % _BOARD_PROBE_TICKS == b or self._states.held & ~switches.wanted & board:
                    self._seek_board(b, self._states.held & board)
            elif not switches.present >> b & 1:
                self._lose_board(b)
                self._seek_board(b, self._states.held & board)
        switches.count_wrong()
        self._watch_pins()
        if switches.faulty:
            for i in range(0, BATTERIES, CHANNELS):
                if switches.faulty >> i // CHANNELS & 1:
                    self.lock_board(i, Reason.SWITCH_FAULT)
            switches.faulty = 0

    def _watch_pins(self):
        # What is open though it was closed, and pins that do not follow.
        switches, states = self._switches, self._states
        if switches.restored:
            self._note_restored(switches.restored)
            switches.restored = 0
        if switches.fallen | switches.low:
            for i in range(BATTERIES):
                if states.on & switches.fallen & 1 << i:
                    states.release(i)
                elif states.on & switches.low & 1 << i:
                    states.trip(i, Reason.PIN_LOW, 0)
            switches.fallen = switches.low = 0
        changed = switches.high ^ self._high
        if changed:
            self._high = switches.high
            for i in range(BATTERIES):
                if changed >> i & 1:
                    self._note_high(i, bool(self._high >> i & 1))

    def _note_restored(self, boards: int):
        for b in range(BOARDS):
            if boards >> b & 1:
                self._emit("expander_reset", RIG, 0, 0, b + 1)
                self._unproven |= self._sensors.found & 15 << b * CHANNELS

    def _note_high(self, i: int, high: bool):
        # The battery carries whatever its switch is told.
        self._snap.alarm("pin_high", i, high)
        if high:
            self._states.stuck |= 1 << i
            self._emit("pin_high", i, self._snap.state[i], 0, 0)
        else:
            self._states.stuck &= ~(1 << i)

    def lock_board(self, i: int, reason: int):
        """The board of battery i does not switch as told: all its batteries open and lock."""
        if reason == Reason.WIRING_MAP:
            self._snap.alarm("wiring_map", i, True)
        first = i // CHANNELS * CHANNELS
        for k in range(first, first + CHANNELS):
            if self._snap.state[k] != ABSENT:
                self._states.fault(k, reason)

    def _lose_board(self, b: int):
        self.boards &= ~(1 << b)
        self._emit("expander_lost", RIG, 0, 0, b + 1)
        self._output.fall_silent(b)
        may_be_closed = self._states.on | self._switches.unsure(b)
        for i in range(b * CHANNELS, b * CHANNELS + CHANNELS):
            self.alert_proven &= ~(1 << i)
            if may_be_closed >> i & 1:
                self._states.lose_control(i)
            else:
                self._switches.wanted &= ~(1 << i)
                self._states.lose(i, Reason.EXPANDER_LOST)
        self.check_topology()

    def _seek_board(self, b: int, held: int):
        stands = self._switches.rejoin(b) if held else False
        if stands:
            self._regain_board(b, held)
        elif stands is not None and self._switches.start(b):
            self._regain_board(b, 0)

    def _regain_board(self, b: int, standing: int):
        self.boards |= 1 << b
        self.returned |= standing
        self._emit("expander_back", RIG, 0, 0, b + 1)
        self._output.answer(b)
        for i in range(b * CHANNELS, b * CHANNELS + CHANNELS):
            if self._sensors.chips[i]:
                self._unproven |= 1 << i
            else:
                # Its sensor is there again, too: one that stands closed has to be read at once.
                self._pause[i] = 0
            if standing >> i & 1:
                self._states.resume(i)
            elif self._states.held >> i & 1:
                self._states.regain_control(i)
        self.check_topology()

    def check_topology(self):
        """Raise or clear the alarm that a complete rig of the known boards lacks something."""
        snap = self._snap
        snap.boards = self.boards
        snap.sensors = self._sensors.found
        for i in range(BATTERIES):
            if snap.sensors >> i & 1:
                snap.known_boards |= 1 << i // CHANNELS
        snap.known_boards |= self.boards
        wrong = not self.boards or missing(snap, None) > 0
        if snap.alarm("topology", RIG, wrong):
            self._emit("topology" if wrong else "topology_good", RIG, 0, 0, missing(snap, None))
