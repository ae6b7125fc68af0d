# SPDX-License-Identifier: GPL-3.0-only
"""Leads the self-test before a show: a task that `show.self_test` loads and starts.

It only asks the guard, as everybody does, and for less: a battery to rest, to come back, and while
it rests to let its ALERT fire. Batteries rest one by one until as few are left as can surely carry
the load, then they take turns: the next one joins, and is seen to carry, before the one that
carried longest rests. So each is seen to open and to close with as much current as there is.
Nothing rests that is needed, and whatever happens meanwhile ends the test and brings all back.
"""

import asyncio
from array import array

from micropython import const

from parallelator import catalog
from parallelator.catalog import (
    ABSENT,
    AUTO,
    FIRE,
    LOCKED,
    OFF,
    ON,
    REST,
    RESUME,
    TRIPPED,
    UNCONTROLLED,
)
from parallelator.show.results import keep, let_go, signal
from parallelator.show.selftest import ALERT, LEAST_MA, UNMEASURED, Findings, Window, median
from parallelator.snapshot import (
    BATTERIES,
    BOARDS,
    CHANNELS,
    NO_CHARGE,
    NO_TEMPERATURE,
    RIG,
)

_POLL_MS = const(160)  # a scan: each reading is new
_SETTLE_MS = const(480)
_BASE_MS = const(1920)
_OPEN_MS = const(960)
_CARRY_MS = const(960)
_FIRE_MS = const(400)
_OPENS_MS = const(500)
_JOINS_MS = const(6000)
_BACK_MS = const(14000)
_LONGEST_MS = const(170000)
_LOAD_MA = const(300)
"""Less than this in all is no load: then batteries are compared in pairs."""
_UNEVEN_PCT = const(130)
_SHARE_PCT = const(75)
"""Of those that are left none may carry more than this share of its limit, if they share with so
much unevenness."""
_STRAINED_PCT = const(90)
_LOW_MARGIN_MV = const(300)
_WORST_MOHM = const(60)
_LEAST_FREE_KB = const(12)


class Stop(Exception):
    """The test ends before its time; its argument says why, one of STOPS."""


class SelfTest:
    """One self-test.

    Args:
        rig: the `Rig`.

    Attributes:
        found: the `Findings`. n: battery it is at, 0 = none. step, steps: how far it has come.
        stopped: why it ended early, one of STOPS, else None.
        load_ma: the largest sum of the currents.
    """

    def __init__(self, rig: "Rig"):
        self._rig = rig
        self._limits = rig.guard.limits
        self._before, self._after = Window(), Window()
        self._wishes, self._saves = rig.guard.wishes, rig.saves
        self._began = rig.clock.ms()
        self._calls, self._slips = rig.i2c.transactions, list(rig.i2c.board_slips)
        self._asked = False
        self._on = []  # those that carry, the one that does so longest first
        self._watched = self._dangers()
        self.found = Findings()
        self.n = self.step = self.load_ma = 0
        self.steps = 1
        self.stopped = None
        self.text: str | None = None

    def stop(self):
        """Somebody wants it to end."""
        self._asked = True

    async def run(self):
        """Test, bring everything back, and keep the result."""
        rig = self._rig
        rig.events.emit("selftest_begun", RIG, 0, 0, 0)
        rig.verdict = catalog.RUNNING  # pyright: ignore - None until then
        text = verdict = None
        try:
            try:
                await self._lead()
            except Stop as why:
                self.stopped = why.args[0]
            self._give_back()
            self.n = 0
            await self._wait_for_all()
            for _ in self._looking_around():
                await asyncio.sleep_ms(0)
            text = await keep(rig, self)
            verdict = catalog.VERDICTS[self._tell()]
        finally:
            self._give_back()
            rig.selftest = text  # pyright: ignore - None or a text
            rig.verdict = verdict  # pyright: ignore - None or a word
            let_go(rig)

    def _tell(self):
        """Tells how it ended; returns the worst level."""
        worst = [self.found.verdict(n) for n in [0] + self.present()]
        emit = self._rig.events.emit
        if self.stopped:
            emit("selftest_stopped", RIG, 0, 0, 0)
        emit("selftest", RIG, 0, 0, sum(level > UNMEASURED for level in worst))
        return max(worst)

    def present(self):
        """The numbers of the batteries that there should be."""
        snap = self._rig.snap
        return [
            i + 1
            for i in range(BATTERIES)
            if snap.known_boards >> i // CHANNELS & 1 and not snap.unused >> i & 1
        ]

    # The steps

    async def _lead(self):
        snap = self._rig.snap
        order = [i for i in range(BATTERIES) if snap.state[i] == ON and snap.wish[i] == AUTO]
        self._note_states()
        window = await self._gather(self._before, _BASE_MS)
        self.found.shared(_mask(order), window, self._limits.path_mohm)
        for n, code, _, _ in self.found.rows:
            if code == "reversed":
                raise Stop("fault")  # nobody knows what flows
            if code == "no_current" and n - 1 in order:
                order.remove(n - 1)
        if self.load_ma < _LOAD_MA:
            order = _spread(order, window.mv)
        self._on = order[:]
        self.steps = max(3 * len(order), 1)
        rested = 0
        while rested < len(order) - 1 and self._may_rest(order[rested]):
            await self._rest(order[rested])
            rested += 1
        if not rested:
            self.found.tell(0, "load", self.load_ma)
            return
        for i in order:
            if snap.lent >> i & 1:
                await self._resume(i)
            if len(self._on) > 1 and self._may_rest(self._on[0]):
                await self._rest(self._on[0])

    def _may_rest(self, i: int):
        """True when the others surely carry without battery i what is carried now."""
        snap, limits = self._rig.snap, self._limits
        left = [k for k in self._on if k != i]
        if not left:
            return False
        if self.load_ma < _LOAD_MA:
            return True
        total_ma = self._total_ma()
        if total_ma < 0 and len(left) < len(self._on) + self._resting() - 1:
            return False  # a charger: never more than one less
        limit_ma = limits.discharge_ma if total_ma > 0 else limits.charge_ma
        share_ma = self.load_ma // len(left)
        if share_ma * _UNEVEN_PCT > limit_ma * _SHARE_PCT:
            return False
        # Those that are left share as they do now. One that sagged far would look like another
        # voltage of the output, which nobody could join.
        left_ma = max(abs(total_ma - snap.current_ma[i]), 1)
        rest_mv = [
            snap.voltage_mv[k] + snap.current_ma[k] * limits.pack_mohm // 1000 for k in self._on
        ]
        for k, mv in zip(self._on, rest_mv):
            far_mv = abs(mv - median(rest_mv)) * abs(total_ma) // left_ma
            if k != i and far_mv > limits.voltage_offset_mv // 2:
                return False
        for k in left:
            mohm = max(snap.r_mohm[k], self.found.r_mohm[k] or 0, _WORST_MOHM)
            fall_mv = max(share_ma - abs(snap.current_ma[k]), 0) * mohm // 1000
            if total_ma > 0:
                if snap.voltage_mv[k] - fall_mv < limits.min_voltage_mv + _LOW_MARGIN_MV:
                    return False
            elif snap.voltage_mv[k] + fall_mv > limits.max_voltage_mv - _LOW_MARGIN_MV:
                return False
        return True

    def _total_ma(self):
        snap = self._rig.snap
        return sum(snap.current_ma[i] for i in range(BATTERIES) if snap.valid[i])

    def _resting(self):
        lent = self._rig.snap.lent
        return sum(lent >> i & 1 for i in range(BATTERIES))

    async def _rest(self, i: int):
        """Battery i opens, and its ALERT fires."""
        rig, found = self._rig, self.found
        self.n = i + 1
        self.step += 1
        await self._gather(self._before, _CARRY_MS)
        self._on.remove(i)
        self._watched.append(("stuck_closed", i))  # the step itself tells
        rig.guard.submit(REST, i)
        await self._until(lambda: rig.snap.state[i] == OFF, _OPENS_MS)
        if rig.snap.state[i] != OFF:
            raise Stop("trip")
        await self._settle()
        after = await self._gather(self._after, _OPEN_MS)
        if not found.opened(i, self._before, after):
            raise Stop("fault")
        if not found.measured[i] & ALERT and rig.guard.alert_proven >> i & 1:
            rig.guard.submit(FIRE, i)
            await self._until(lambda: rig.guard.alert_proven >> i & 1, _FIRE_MS)
            found.measured[i] |= ALERT
            found.note(i + 1, "alert", not rig.guard.alert_proven >> i & 1, "")

    async def _resume(self, i: int):
        """Battery i comes back, and is seen to carry."""
        rig, found = self._rig, self.found
        self.n = i + 1
        self.step += 1
        await self._gather(self._before, _POLL_MS)
        rig.guard.submit(RESUME, i)
        await self._until(lambda: rig.snap.state[i] == ON, _JOINS_MS)
        if rig.snap.state[i] != ON:
            found.note(i + 1, "not_back", 1, catalog.reason_name(rig.snap.reason[i]))
            raise Stop("fault")
        await self._settle()
        after = await self._gather(self._after, _CARRY_MS)
        mask = _mask(self._on)
        found.shared(mask | 1 << i, after, self._limits.path_mohm)
        carries = self.load_ma < _LOAD_MA or abs(after.ma[i]) >= LEAST_MA
        if found.closed(i, mask, self._before, after) and carries:
            self._on.append(i)

    # Watching

    def _dangers(self):
        return [
            row[:2]
            for row in self._rig.snap.alarms()
            if row[0] == "i2c_fault" or catalog.severity(row[0]) == "danger"
        ]

    def _watch(self):
        """Note how much flows; raises Stop when anything happens that is not of the test."""
        rig, snap, limits = self._rig, self._rig.snap, self._limits
        if self._asked:
            raise Stop("asked")
        if rig.guard.wishes != self._wishes:
            raise Stop("wish")
        if rig.saves != self._saves:
            raise Stop("settings")
        new = [row[0] for row in self._dangers() if row not in self._watched]
        if rig.i2c.stuck or new:
            raise Stop("danger" if new and new[0] != "i2c_fault" else "i2c")
        if any(snap.state[i] != ON for i in self._on):
            raise Stop("trip")
        for i in self._on:
            ma, mv = snap.current_ma[i], snap.voltage_mv[i]
            limit_ma = limits.discharge_ma if ma > 0 else limits.charge_ma
            if abs(ma) * 100 > limit_ma * _STRAINED_PCT or mv < limits.min_voltage_mv:
                raise Stop("grown")
        if rig.clock.diff(rig.clock.ms(), self._began) > _LONGEST_MS:
            raise Stop("time")

    async def _settle(self):
        await self._until(lambda: False, _SETTLE_MS)

    async def _until(self, true: "Callable[[], object]", most_ms: int):
        await asyncio.sleep_ms(_POLL_MS // 2)
        while most_ms > 0 and not true():
            await asyncio.sleep_ms(_POLL_MS // 2)
            most_ms -= _POLL_MS // 2
            self._watch()

    async def _gather(self, window: Window, ms: int):
        """Fill a window with the readings of so many ms."""
        snap = self._rig.snap
        window.clear()
        while ms > 0:
            await asyncio.sleep_ms(_POLL_MS)
            ms -= _POLL_MS
            self._watch()
            window.add(snap.current_ma, snap.voltage_mv)
            self.load_ma = max(self.load_ma, abs(self._total_ma()))
        window.close()
        return window

    # The end

    def _give_back(self):
        for i in range(BATTERIES):
            if self._rig.snap.lent >> i & 1:
                self._rig.guard.submit(RESUME, i)

    async def _wait_for_all(self):
        snap = self._rig.snap
        for _ in range(_BACK_MS // _POLL_MS):
            if not snap.lent:
                return
            await asyncio.sleep_ms(_POLL_MS)

    def _note_states(self):
        snap = self._rig.snap
        for n in self.present():
            state = snap.state[n - 1]
            if state != ON:
                bad = state in (ABSENT, LOCKED, TRIPPED, UNCONTROLLED)
                why = catalog.reason_name(snap.reason[n - 1])
                self.found.note(n, "state", 1 + bad, why or catalog.state_name(state))

    def _looking_around(self):
        """What needs no step: states, alarms, heat, charge, cables, clock, radio, memory,
        settings: a generator with short steps."""
        rig, found, snap = self._rig, self.found, self._rig.snap
        self._note_states()
        yield
        for code, i, _ in snap.alarms():
            severity = catalog.SEVERITIES.index(catalog.severity(code)) - 1
            if code != "alert_dead":
                found.note(0 if i == RIG else i + 1, "alarm", severity, code)
            elif not found.measured[i] & ALERT:
                found.note(i + 1, "alert", 1, "")
        yield
        found.heat([None if c == NO_TEMPERATURE else c for c in snap.temperature_c])
        yield
        charges = zip(snap.soc_pct, snap.soc_error_pct)
        found.charge([None if row[0] == NO_CHARGE else row for row in charges])
        yield
        if rig.meter:
            for n in self.present():
                pct = rig.meter.health.percent(n - 1)
                if pct is not None:
                    found.note(n, "capacity_low", 100 - pct, pct)
        yield
        calls = max((rig.i2c.transactions - self._calls) // max(_ones(snap.boards), 1), 1)
        for b in range(BOARDS):
            slips = (rig.i2c.board_slips[b] - self._slips[b]) * 1000 // calls
            found.note(b + 1, "cable", slips, slips)
        yield
        rest_mv = [
            snap.voltage_mv[i] if snap.valid[i] and i + 1 in self.present() else None
            for i in range(BATTERIES)
        ]
        found.fit(rig.settings, rig.meter is not None, rest_mv)
        yield
        found.note(0, "clock", rig.clock.unix() is None, "")
        free_kb = rig.collector.free >> 10
        found.note(0, "memory", 0 < free_kb < _LEAST_FREE_KB, free_kb)
        self._look_at_radio()

    def _look_at_radio(self):
        if not self._rig.settings["wifi.ssid"]:
            return
        dbm = signal(self._rig)
        if dbm is None:
            self.found.note(0, "wifi", 1, "")
        else:
            self.found.note(0, "signal", -dbm, dbm)


def begin(rig: "Rig"):
    """Start a self-test.

    Returns:
        str or None: why not, a code of `refused` in messages/: nothing is on, or a battery is near
        a limit.
    """
    if not any(state == ON for state in rig.snap.state):
        return "selftest_none"
    if rig.guard.strained():
        return "selftest_strained"
    test = SelfTest(rig)
    rig.selftest = test  # pyright: ignore - None until then
    asyncio.create_task(rig.run_after_guard(test.run()))
    return None


def _mask(places: list):
    return sum(1 << i for i in places)


def _ones(mask: int):
    return sum(mask >> k & 1 for k in range(BOARDS))


def _spread(order: list, voltage_mv: array):
    """Places in an order in which neighbours differ by as much voltage as can be."""
    order = sorted(order, key=lambda i: voltage_mv[i])
    half = (len(order) + 1) // 2
    mixed = []
    for k in range(half):
        mixed += order[k : k + 1] + order[half + k : half + k + 1]
    return mixed
