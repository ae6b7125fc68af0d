# SPDX-License-Identifier: GPL-3.0-only
"""Properties of the state machine, whatever happens to the batteries in whatever order."""

from hypothesis import given
from hypothesis import settings as searching
from hypothesis import strategies as st

from parallelator import settings
from parallelator.catalog import (
    ABSENT,
    ACTIONS,
    AUTO,
    LOCKED,
    OFF,
    ON,
    TRIPPED,
    UNCONTROLLED,
    WAITING,
    WISH_OFF,
    Reason,
)
from parallelator.protection import rules
from parallelator.protection.joining import Connector
from parallelator.protection.output import Output
from parallelator.protection.starts import Starts
from parallelator.protection.states import States
from parallelator.snapshot import Snapshot

PACKS = 4
TRIPS = (
    Reason.OVERCURRENT,
    Reason.OVERVOLTAGE,
    Reason.UNDERVOLTAGE,
    Reason.OVERLOAD,
    Reason.OVERTEMPERATURE,
    Reason.IMBALANCE,
)
PACK = st.integers(0, PACKS - 1)
HAPPENINGS = st.lists(
    st.one_of(
        st.tuples(st.just("trip"), PACK, st.sampled_from(TRIPS)),
        st.tuples(st.just("pass"), PACK, st.integers(0, 30000)),
        st.tuples(st.just("wish"), PACK, st.sampled_from(("off", "auto", "on"))),
        st.tuples(st.just("reset"), PACK, st.none()),
        st.tuples(st.just("volts"), PACK, st.sampled_from((23000, 27000, 27000, 31000))),
        st.tuples(st.just("lose"), PACK, st.none()),
        st.tuples(st.just("find"), PACK, st.none()),
        st.tuples(st.just("join"), PACK, st.none()),
        st.tuples(st.just("join"), PACK, st.none()),
        st.tuples(st.just("fault"), PACK, st.none()),
    ),
    max_size=40,
)


class Switches:
    """Obeys at once; keeps what is closed and every closing."""

    def __init__(self):
        self.closed = 0
        self.closings = []

    def close(self, mask):
        self.closed |= mask
        self.closings.append(mask)
        return mask

    def open(self, mask):
        self.closed &= ~mask


class Rig:
    """The states of a rig with its connector, driven by happenings."""

    def __init__(self, trip_decay_s=0):
        values = settings.Values({})
        values["limits.trip_decay_s"] = trip_decay_s
        values["limits.start_delay_ms"] = 0
        self.limits = rules.Limits(values)
        self.snap = Snapshot()
        self.switches = Switches()
        judge = rules.Judge(self.limits)
        self.output = Output(self.snap, self.limits)
        self.starts = Starts(self.snap, self.limits, self.emit)
        self.states = States(
            self.snap,
            self.switches,
            self.limits,
            judge,
            self.output,
            self.starts,
            self.emit,
        )
        self.connector = Connector(
            self.snap, self.limits, self.states, self.output, self.starts, self.emit
        )
        for i in range(PACKS):
            self.snap.voltage_mv[i] = 27000
            self.snap.valid[i] = 1
            self.states.settle(i)
        self.happen("join", 0, None)
        assert self.switches.closed == (1 << PACKS) - 1

    def admitted(self, group):
        """What must hold of every battery at the moment it is told to close."""
        for i in range(PACKS):
            if group >> i & 1:
                assert self.snap.valid[i]
                assert not self.states.lock[i] and self.snap.wish[i] == AUTO
                if self.starts.trial >> i & 1:
                    assert self.snap.state[i] in (WAITING, TRIPPED)
                    assert self.snap.voltage_mv[i] >= 21000
                else:
                    assert self.snap.state[i] == WAITING and self.snap.eta_ms[i] == 0
                    assert 24000 <= self.snap.voltage_mv[i] <= 30000

    def emit(self, *event):
        pass

    def happen(self, what, i, value):
        snap, states = self.snap, self.states
        if what == "trip" and snap.state[i] == ON:
            states.trip(i, value, 0)
        elif what == "pass" and snap.state[i] != ON:
            states.count_down(i, value)
        elif what == "wish" and states.refusal(value, i) is None:
            states.obey(ACTIONS.index(value), i)
        elif what == "reset":
            states.obey(ACTIONS.index("reset"), i)
        elif what == "volts":
            snap.voltage_mv[i] = value
        elif what == "lose":
            snap.valid[i] = 0
            states.lose(i, Reason.SENSOR_LOST)
        elif what == "find" and snap.state[i] == ABSENT:
            snap.valid[i] = 1
            states.settle(i)
        elif what == "fault" and snap.state[i] != ABSENT:
            states.fault(i, Reason.SWITCH_FAULT)
        elif what == "join":
            # Delays pass, then the connector looks three times, as a dead output wants it.
            for k in range(PACKS):
                states.count_down(k, 600000 if snap.state[k] == TRIPPED else 0)
            self.starts.pass_time(600000)
            for _ in range(3):
                fresh = sum(1 << k for k in range(PACKS) if snap.valid[k])
                self.output.look(states.on, states.held, states.stuck, fresh, 1000)
                group = self.connector.choose(fresh)
                if group:
                    self.admitted(group)
                    if not self.output.live:
                        self.starts.begin(group)
                    states.connect(group)
                if self.starts.trial:
                    states.end_trial(0)


@given(HAPPENINGS)
def test_a_switch_is_closed_exactly_while_its_battery_is_on(happenings):
    rig = Rig()
    for happening in happenings:
        rig.happen(*happening)
        on = sum(1 << i for i in range(PACKS) if rig.snap.state[i] == ON)
        assert rig.switches.closed == rig.states.on == on


@searching(max_examples=600)
@given(HAPPENINGS)
def test_a_switch_closes_only_by_the_rules_that_admit_it(happenings):
    rig = Rig()
    for happening in happenings:
        closings = len(rig.switches.closings)
        rig.happen(*happening)
        assert happening[0] == "join" or len(rig.switches.closings) == closings


@given(HAPPENINGS)
def test_a_lock_ends_by_a_reset_and_by_nothing_else(happenings):
    rig = Rig()
    for happening in happenings:
        locked = bytes(rig.states.lock)
        rig.happen(*happening)
        for i in range(PACKS):
            if locked[i] and not (happening[0] == "reset" and happening[1] == i):
                assert rig.states.lock[i]
                assert rig.snap.state[i] in (LOCKED, ABSENT, UNCONTROLLED)
                assert not rig.switches.closed >> i & 1


@searching(max_examples=600)
@given(HAPPENINGS)
def test_counts_only_grow_without_decay_and_reset_or_when_the_load_is_at_fault(happenings):
    rig = Rig()
    for happening in happenings:
        trips = list(rig.snap.trips)
        was_on = [state == ON for state in rig.snap.state]
        starting = rig.starts.starting()
        rig.happen(*happening)
        dark = happening[0] == "trip" and (starting or not rig.states.on)
        for i in range(PACKS):
            if not (happening[0] == "reset" and happening[1] == i):
                counted = happening[0] == "trip" and happening[1] == i and was_on[i]
                counted = counted and happening[2] in rules.COUNTED
                change = rig.snap.trips[i] - trips[i]
                assert change == counted or dark and change in (-1, 0)
            assert rig.snap.trips[i] < 5 or rig.states.lock[i]


@given(HAPPENINGS)
def test_an_operators_off_lasts_until_the_operator_says_otherwise(happenings):
    rig = Rig()
    for happening in happenings:
        wishes = bytes(rig.snap.wish)
        rig.happen(*happening)
        for i in range(PACKS):
            if wishes[i] == WISH_OFF and not (happening[0] == "wish" and happening[1] == i):
                assert rig.snap.wish[i] == WISH_OFF
            if rig.snap.wish[i] == WISH_OFF:
                assert rig.snap.state[i] in (OFF, LOCKED, ABSENT)


@given(st.sampled_from(TRIPS), st.integers(0, 9990))
def test_a_tripped_battery_stays_off_for_its_delay(reason, early_ms):
    rig = Rig()
    rig.states.connect(1)
    rig.states.trip(0, reason, 0)
    rig.states.count_down(0, early_ms)
    assert rig.snap.state[0] == TRIPPED
