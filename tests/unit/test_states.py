# SPDX-License-Identifier: GPL-3.0-only
"""States and wishes: what an operator may do, and what no wish can do."""

from parallelator import settings
from parallelator.catalog import (
    ABSENT,
    ACTIONS,
    LOCKED,
    OFF,
    ON,
    REASONS,
    TRIPPED,
    UNCONTROLLED,
    WAITING,
    Reason,
)
from parallelator.protection import rules
from parallelator.protection.output import Output
from parallelator.protection.starts import EMPTY, Starts
from parallelator.protection.states import States
from parallelator.snapshot import ALL, RIG, Snapshot


class Switches:
    """Switches that obey at once and remember."""

    def __init__(self):
        self.closed = 0
        self.openings = []

    def close(self, mask):
        self.closed |= mask
        return mask

    def open(self, mask):
        if self.closed & mask:
            self.openings.append(mask)
        self.closed &= ~mask


def rig(state=WAITING, batteries=16):
    """The states of a rig whose batteries read 27 V and are in `state`."""
    snap = Snapshot()
    limits = rules.Limits(settings.Values({}))
    events = []
    emit = lambda *event: events.append(event)  # noqa: E731 - short
    output = Output(snap, limits)
    starts = Starts(snap, limits, emit)
    states = States(snap, Switches(), limits, rules.Judge(limits), output, starts, emit)
    for i in range(batteries):
        snap.voltage_mv[i] = 27000
        snap.state[i] = state
        snap.valid[i] = 1
    return states, snap, events


def start(states, group):
    states._starts.begin(group)
    states.connect(group)


def wish(states, action, i):
    states.obey(ACTIONS.index(action), i)


def test_a_locked_battery_refuses_on_and_auto_and_stays_locked_whatever_is_wished():
    states, snap, _ = rig()
    states.connect(12)
    for _ in range(5):
        states.trip(2, Reason.OVERCURRENT, 20000)
    assert snap.state[2] == LOCKED and states.lock[2] == Reason.OVERCURRENT
    assert states.refusal("on", 2) == states.refusal("auto", 2) == "locked"
    assert states.refusal("off", 2) is None and states.refusal("reset", 2) is None
    for action in ("on", "auto", "off", "auto"):
        wish(states, action, 2)
        assert snap.state[2] == LOCKED
    wish(states, "reset", 2)
    assert snap.trips[2] == 0 and snap.state[2] == TRIPPED


def test_a_battery_found_outside_the_window_says_why_it_waits():
    states, snap, events = rig(ABSENT)
    for voltage_mv, reason in ((23000, Reason.UNDERVOLTAGE), (30500, Reason.OVERVOLTAGE)):
        snap.voltage_mv[3] = voltage_mv
        states.settle(3)
        assert (snap.state[3], snap.reason[3]) == (TRIPPED, reason)
    assert events[0][3] == Reason.UNDERVOLTAGE
    snap.voltage_mv[3] = 24500
    states.settle(3)
    assert snap.state[3] == WAITING


def test_a_battery_without_sensor_refuses_on():
    states, _, _ = rig(ABSENT)
    assert states.refusal("on", 0) == "absent" and states.refusal("auto", 0) is None


def test_off_survives_the_end_of_cooling_and_auto_waits_for_it():
    states, snap, _ = rig()
    states.connect(1)
    states.trip(0, Reason.OVERCURRENT, 20000)
    wish(states, "off", 0)
    assert snap.state[0] == OFF
    states.count_down(0, 4000)
    wish(states, "auto", 0)
    assert snap.state[0] == TRIPPED and snap.eta_ms[0] == 6000
    states.count_down(0, 6000)
    assert snap.state[0] == WAITING


def test_a_counted_trip_is_forgiven_after_an_hour_on():
    states, snap, _ = rig()
    states.connect(3)
    states.trip(0, Reason.OVERCURRENT, 20000)
    snap.state[0] = ON
    for _ in range(3599):
        states.forgive(0, 1000)
    assert snap.trips[0] == 1
    states.forgive(0, 1000)
    assert snap.trips[0] == 0


def test_uncounted_trips_wait_longer_each_time_within_the_hour():
    states, snap, _ = rig()
    waits = []
    for _ in range(3):
        states.trip(0, Reason.UNDERVOLTAGE, 23000)
        waits.append(snap.eta_ms[0])
        snap.uptime_s += 60
    assert waits == [10000, 20000, 40000] and snap.trips[0] == 0
    snap.uptime_s += 3540
    states.trip(0, Reason.UNDERVOLTAGE, 23000)
    assert snap.eta_ms[0] == 80000, "an hour after the last"
    snap.uptime_s += 3601
    states.trip(0, Reason.UNDERVOLTAGE, 23000)
    assert snap.eta_ms[0] == 10000


def test_a_glitch_of_a_board_does_not_forget_what_a_battery_waits_for():
    for reason, bad, good in (
        (Reason.UNDERVOLTAGE, 24400, 25000),
        (Reason.OVERVOLTAGE, 29800, 29500),
    ):
        states, snap, _ = rig()
        states.connect(3)
        states.trip(0, reason, 23000 if reason == Reason.UNDERVOLTAGE else 30500)
        snap.eta_ms[0] = 0
        snap.voltage_mv[0] = bad
        states.settle(0)
        states.lose(0, Reason.EXPANDER_LOST)
        assert (snap.state[0], snap.reason[0]) == (ABSENT, Reason.EXPANDER_LOST)
        snap.eta_ms[0] = 0
        states.settle(0)
        assert (snap.state[0], snap.reason[0]) == (TRIPPED, reason)
        snap.voltage_mv[0] = good
        states.settle(0)
        assert snap.state[0] == WAITING


def started(states, group, ago_ms=0):
    start(states, group)
    states._starts.pass_time(ago_ms)


def tried_again(states):
    """The second try, which every first start gets, has failed too."""
    states._starts._tried_again = True


def test_two_of_a_group_in_its_first_second_are_the_loads_fault_and_open_it_all():
    states, snap, events = rig()
    started(states, 0b111, 999)
    states.trip(0, Reason.OVERCURRENT, 21000)
    assert states.on == 0b110 and snap.reason[0] == Reason.OVERCURRENT and snap.trips[0] == 1
    states.trip(1, Reason.OVERCURRENT, 21000)
    assert states.on == 0 and not any(snap.trips)
    assert [snap.reason[i] for i in range(3)] == [Reason.BUS_OVERLOAD] * 3
    assert [snap.eta_ms[i] for i in range(3)] == [1000] * 3, "tried once more after a second"
    assert "bus_start_failed" in [event[0] for event in events]


def test_the_only_one_of_a_start_is_the_load_s_witness():
    states, snap, _ = rig()
    started(states, 0b1, 500)
    states.trip(0, Reason.OVERCURRENT, 21000)
    assert snap.trips[0] == 0 and snap.reason[0] == Reason.BUS_OVERLOAD


def test_all_of_a_start_are_its_witnesses_whatever_sign_one_sensor_gives():
    for others, trips in ((0, 0), (0b100, 1), (0b1000, 0)):
        states, snap, _ = rig()
        snap.trips[1] = 4
        states.connect(others)
        states._output.carriers = 0b100  # battery 4 carries nothing
        started(states, 0b11, 500)
        states.trip(0, Reason.OVERCURRENT, 21000)
        states.trip(1, Reason.OVERCURRENT, -21000)
        assert (snap.trips[0], snap.trips[1]) == (trips, 4 + trips), others
        assert bool(states.lock[1]) == bool(trips) and states.on == others


def test_one_of_several_in_the_first_second_opens_alone_and_counts():
    states, snap, _ = rig()
    started(states, 0b111, 500)
    states.trip(2, Reason.OVERCURRENT, -21000)
    assert states.on == 0b011 and snap.trips[2] == 1


def test_the_load_that_opens_them_all_counts_for_none_however_long_they_ran():
    states, snap, _ = rig()
    started(states, 0b111, 60000)
    for i in range(3):
        states.trip(i, Reason.OVERLOAD, 14000)
        snap.uptime_s += 10
    assert not any(snap.trips) and snap.reason[0] == Reason.BUS_OVERLOAD
    assert [snap.eta_ms[i] for i in range(3)] == [10000] * 3


def test_a_start_that_pulls_voltages_down_is_no_end_of_the_night():
    states, snap, events = rig()
    started(states, 0xFFFF, 500)
    for i in range(16):
        snap.voltage_mv[i] = 23000
    states.trip(0, Reason.OVERCURRENT, 21000)
    states.trip(1, Reason.OVERCURRENT, 21000)
    assert "rig_empty" not in [event[0] for event in events]
    assert list(snap.state) == [TRIPPED] * 16 and not any(snap.trips)
    assert list(snap.reason) == [Reason.BUS_OVERLOAD] * 16


def test_an_end_of_the_night_in_a_start_settles_all_that_took_part():
    states, snap, events = rig()
    for i in range(12):
        snap.state[i], states._cause[i], snap.voltage_mv[i] = TRIPPED, Reason.UNDERVOLTAGE, 23000
    started(states, 0xF000, 500)
    for i in (12, 13):
        states.trip(i, Reason.OVERCURRENT, 21000)
    assert "rig_empty" in [event[0] for event in events] and states.on == 0
    assert list(snap.state) == [TRIPPED] * 16


def test_one_that_joined_a_start_and_fell_with_it_is_not_at_fault():
    states, snap, _ = rig()
    started(states, 0b11, 500)
    states.connect(0b1100)
    states.trip(2, Reason.OVERCURRENT, 21000)
    states.trip(0, Reason.OVERCURRENT, 21000)
    states.trip(1, Reason.OVERCURRENT, 21000)
    states.trip(3, Reason.OVERCURRENT, 21000)
    assert not any(snap.trips)


def test_a_failed_start_clears_those_that_the_same_load_opened_before():
    for reason, trips in ((Reason.OVERLOAD, 0), (Reason.IMBALANCE, 1)):
        states, snap, _ = rig()
        started(states, 0b1111, 60000)
        states.trip(3, reason, 14000)
        snap.uptime_s += 10
        states.trip(1, Reason.OVERCURRENT, 21000)
        states.trip(2, Reason.OVERCURRENT, 21000)
        states.release(0)
        started(states, 0b1, 500)
        states.trip(0, Reason.OVERCURRENT, 21000)
        assert list(snap.trips[:3]) == [0, trips, trips]


def test_a_lock_by_the_loads_fault_is_taken_back():
    states, snap, _ = rig()
    snap.trips[1] = 4
    started(states, 0b11, 60000)
    states.trip(1, Reason.OVERCURRENT, 21000)
    assert snap.state[1] == LOCKED
    states.trip(0, Reason.OVERCURRENT, 21000)
    assert snap.trips[1] == 4 and not states.lock[1] and snap.state[1] == TRIPPED


def test_who_opened_otherwise_or_long_before_makes_it_everybodys_own_fault():
    def last(prepare, sign=1):
        states, snap, _ = rig()
        started(states, 0b11, 60000)
        prepare(states, snap)
        states.trip(0, Reason.OVERCURRENT, 21000 * sign)
        return snap.trips[0]

    def hot(states, snap):
        states.trip(1, Reason.OVERTEMPERATURE, 90)

    def charged(states, snap):
        states.trip(1, Reason.OVERCURRENT, -21000)

    def lost(states, snap):
        states.lose(1, Reason.SENSOR_LOST)

    def long_ago(states, snap):
        states.trip(1, Reason.OVERTEMPERATURE, 90)
        snap.uptime_s += 31

    def collapsed(states, snap):
        states.trip(1, Reason.UNDERVOLTAGE, 20000)

    def above_the_hard_limit(states, snap):
        states.trip(1, Reason.UNDERVOLTAGE, 21601)

    def below_from_the_start(states, snap):
        snap.voltage_mv[5] = 23000
        states.settle(5)
        assert snap.state[5] == TRIPPED
        states.trip(1, Reason.OVERCURRENT, 21000)

    def above_it_after_an_overload(states, snap):
        states.trip(1, Reason.OVERCURRENT, 21000)
        states.connect(0b10)
        above_the_hard_limit(states, snap)

    assert [last(hot), last(charged), last(lost), last(above_the_hard_limit)] == [1, 1, 1, 1]
    assert last(above_it_after_an_overload) == 1
    assert last(below_from_the_start) == 0, "it was never connected"

    def told_by_alert(states, snap):
        states.trip(1, Reason.UNDERVOLTAGE, 21600)

    assert [last(long_ago), last(collapsed), last(told_by_alert)] == [0, 0, 0]


def test_what_still_carries_is_no_dark_output():
    states, snap, _ = rig()
    started(states, 0b111, 60000)
    states.trip(0, Reason.OVERCURRENT, 21000)
    states.trip(1, Reason.OVERCURRENT, 21000)
    assert (snap.trips[0], snap.trips[1]) == (1, 1) and states.on == 0b100


def test_the_pauses_after_failures_and_the_lock_at_the_tenth():
    states, snap, events = rig()
    tried_again(states)
    pauses = []
    for _ in range(9):
        started(states, 0b11)
        tried_again(states)
        states.trip(0, Reason.OVERCURRENT, 21000)
        states.trip(1, Reason.OVERCURRENT, 21000)
        pauses.append(snap.eta_ms[0] // 1000)
        assert not snap.bus_locked
        snap.uptime_s += 600
    assert pauses == [10, 10, 60, 120, 300, 600, 600, 600, 600]
    started(states, 0b11)
    states.trip(0, Reason.OVERCURRENT, 21000)
    states.trip(1, Reason.OVERCURRENT, 21000)
    assert snap.bus_locked and not any(snap.trips)
    states.obey(ACTIONS.index("reset"), RIG)
    assert not snap.bus_locked


def test_an_on_of_any_battery_tries_a_failed_output_at_once():
    for action in ("on", "reset"):
        states, snap, _ = rig()
        tried_again(states)
        started(states, 0b11)
        tried_again(states)
        states.trip(0, Reason.OVERCURRENT, 21000)
        states.trip(1, Reason.OVERCURRENT, 21000)
        snap.bus_locked = True
        wish(states, action, 5)
        assert not snap.bus_locked and states._starts.pause_ms == 0
        assert [snap.state[0], snap.state[1]] == [WAITING, WAITING]


def test_failures_within_two_hours_add_up_and_no_others():
    states, snap, _ = rig()
    tried_again(states)
    for _ in range(20):
        started(states, 0b11)
        states.trip(0, Reason.OVERCURRENT, 21000)
        states.trip(1, Reason.OVERCURRENT, 21000)
        snap.uptime_s += 900
    assert not snap.bus_locked


def test_what_a_failure_explained_is_no_reason_against_the_next():
    states, snap, _ = rig()
    tried_again(states)
    started(states, 0b11, 60000)
    states.trip(0, Reason.OVERLOAD, 14000)
    states.trip(1, Reason.OVERLOAD, 14000)
    snap.uptime_s += 1
    started(states, 0b1100, 2000)
    states.trip(2, Reason.OVERLOAD, 14000)
    states.trip(3, Reason.OVERLOAD, 14000)
    assert not any(snap.trips) and states._starts.fails == 2


# The end of the night


def emptied(half, peak_ma=15000):
    """Four batteries at 24.2 V; `half` of them are empty, the others trip on `peak_ma`."""
    states, snap, events = rig(batteries=4)
    started(states, 0b1111, 60000)
    for i in range(4):
        snap.voltage_mv[i] = 24200
    for i in range(half):
        states.trip(i, Reason.UNDERVOLTAGE, 23900)
    for i in range(half, 4):
        states.trip(i, Reason.OVERCURRENT, peak_ma)
    return states, snap, events


def test_the_end_of_the_night_is_no_overload():
    states, snap, events = emptied(2)
    assert [snap.reason[i] for i in range(4)] == [Reason.UNDERVOLTAGE] * 4
    assert not any(snap.trips) and not snap.bus_locked and not states._starts.fails
    told = [event[3] for event in events if event[0] == "trip"]
    assert told == [Reason.UNDERVOLTAGE] * 4


def test_one_that_is_spent_shares_the_loads_fault_with_one_that_takes_far_too_much():
    for ago_ms in (0, 60000):
        states, snap, _ = emptied(2)
        snap.uptime_s += 31
        started(states, 0b1100, ago_ms)
        tried_again(states)
        states.trip(2, Reason.OVERCURRENT, 21000)
        assert snap.reason[2] == Reason.UNDERVOLTAGE
        states.trip(3, Reason.OVERCURRENT, 45000)
        assert states._starts.fails == 1 and not any(snap.trips)
        assert [snap.reason[i] for i in (2, 3)] == [Reason.BUS_OVERLOAD] * 2


def test_what_a_load_pulls_below_the_window_is_not_empty():
    for reason in (Reason.OVERLOAD, Reason.OVERCURRENT):
        states, snap, events = rig(batteries=4)
        started(states, 0b1111, 60000)
        snap.voltage_mv[0] = 23900
        states.trip(0, Reason.UNDERVOLTAGE, 23900)
        snap.uptime_s += 31
        for i in range(1, 4):
            snap.voltage_mv[i] = 23500
        for i in range(1, 4):
            states.trip(i, reason, 15000)
        assert states._starts.fails == 1 and not any(snap.trips), reason
        assert [snap.reason[i] for i in range(1, 4)] == [Reason.BUS_OVERLOAD] * 3
        assert "rig_empty" not in [event[0] for event in events]


def test_a_night_that_ends_without_any_overload_is_told_too():
    for before_ma in (0, 40000, -15000):
        states, snap, events = rig(batteries=4)
        started(states, 0b1111, 60000)
        if before_ma:
            states.trip(3, Reason.OVERCURRENT, before_ma)
            snap.uptime_s += 31
            states._cause[3] = Reason.UNDERVOLTAGE
        for i in range(4):
            snap.voltage_mv[i] = 24400  # under load 23900
            states.trip(i, Reason.UNDERVOLTAGE, 23900)
        assert ("rig_empty", RIG) in [alarm[:2] for alarm in snap.alarms()], before_ma
        assert [event[0] for event in events].count("rig_empty") == 1
        assert not states._starts.fails


def test_one_that_is_hot_is_no_empty_one():
    states, snap, events = rig(batteries=4)
    started(states, 0b1111, 60000)
    for i in range(3):
        states.trip(i, Reason.UNDERVOLTAGE, 23900)
    states.trip(3, Reason.OVERTEMPERATURE, 90)
    assert not snap.alarms() and "rig_empty" not in [event[0] for event in events]


def test_too_few_empty_ones_or_a_violent_current_are_an_overload():
    _, snap, _ = emptied(1)
    assert Reason.OVERCURRENT in [snap.reason[i] for i in range(4)]
    _, snap, _ = emptied(2, 40000)
    assert Reason.OVERCURRENT in [snap.reason[i] for i in range(4)]


def test_a_rig_whose_last_full_ones_cannot_carry_alone_says_that_it_is_empty():
    states, snap, events = rig(batteries=4)
    started(states, 0b1111, 60000)
    states._output.rest_mv = 26000
    for i in range(2):
        snap.voltage_mv[i] = 24400
        states.trip(i, Reason.UNDERVOLTAGE, 23900)
    snap.uptime_s += 60
    for i in (2, 3):
        states.trip(i, Reason.OVERLOAD, 12000)
    assert "rig_empty" in [event[0] for event in events]
    assert [snap.eta_ms[i] for i in (2, 3)] == [10000, 10000]
    assert [snap.reason[i] for i in range(4)] == [Reason.UNDERVOLTAGE] * 4
    assert not any(snap.trips)
    states._output.charging = True
    states.pass_time(59999)
    assert ("rig_empty", RIG) in [alarm[:2] for alarm in snap.alarms()]
    states.pass_time(1)
    assert ("rig_empty", RIG) not in [alarm[:2] for alarm in snap.alarms()]


def test_what_has_recovered_while_it_waits_is_empty_no_more():
    for recovered_mv, empty in ((25000, False), (24999, True)):
        states, snap, events = rig(batteries=2)
        started(states, 0b11, 60000)
        states.trip(0, Reason.UNDERVOLTAGE, 23900)
        snap.voltage_mv[0] = recovered_mv
        assert snap.eta_ms[0]
        states.trip(1, Reason.OVERLOAD, 12000)
        assert ("rig_empty" in [event[0] for event in events]) == empty, recovered_mv


def test_one_that_ends_the_night_again_and_again_waits_longer_each_time():
    states, snap, _ = rig(batteries=2)
    snap.voltage_mv[0] = 24400
    started(states, 0b11, 60000)
    states.trip(0, Reason.UNDERVOLTAGE, 23900)
    waits = []
    for _ in range(3):
        states.trip(1, Reason.OVERLOAD, 12000)
        waits.append(snap.eta_ms[1])
        snap.uptime_s += 60
        states.connect(0b10)
    assert waits == [10000, 20000, 40000]


def test_a_voltage_that_collapses_by_a_fifth_is_no_end_of_the_night():
    for voltage_mv, empty in ((20799, False), (20800, True)):
        states, snap, events = rig(batteries=4)
        started(states, 0b1111, 60000)
        states._output.rest_mv = 26000
        for i, value in enumerate((23900, 23900, voltage_mv, voltage_mv)):
            snap.voltage_mv[i] = 24400
            states.trip(i, Reason.UNDERVOLTAGE, value)
        assert ("rig_empty" in [event[0] for event in events]) == empty, voltage_mv


# Full batteries


def overfilled(others_mv, voltage_mv=30100):
    """A battery that trips at `voltage_mv` beside others that are connected at `others_mv`."""
    states, snap, _ = rig(batteries=1 + len(others_mv))
    states.connect((1 << 1 + len(others_mv)) - 1)
    for k, other_mv in enumerate(others_mv):
        snap.voltage_mv[1 + k] = other_mv
    states.trip(0, Reason.OVERVOLTAGE, voltage_mv)
    alarms = [alarm[0] for alarm in snap.alarms()]
    return snap.trips[0], "charger_high" in alarms


def test_a_charger_that_is_too_high_is_no_batterys_fault():
    assert overfilled([29700]) == (0, True)
    assert overfilled([29699]) == (1, False)
    assert overfilled([29699, 29700]) == (0, True)
    assert overfilled([]) == (0, True), "a rig of one cannot tell"
    assert overfilled([29900], 30901) == (1, False), "beyond 3 % it is its own"


def test_a_full_battery_stays_full_until_it_has_come_down():
    states, snap, _ = rig()
    states.connect(1)
    states.trip(0, Reason.OVERVOLTAGE, 30100)
    snap.voltage_mv[0] = 29600
    assert states.is_full(0)
    snap.voltage_mv[0] = 29500
    assert not states.is_full(0)


def test_what_rose_above_the_window_after_it_opened_for_something_else_is_full():
    states, snap, _ = rig()
    states.connect(0b11)
    states.trip(0, Reason.UNDERVOLTAGE, 23900)
    snap.voltage_mv[0] = 30001
    assert states.is_full(0)
    snap.voltage_mv[0] = 29600
    assert states.is_full(0)


# Trials


def test_what_stays_after_a_trial_is_connected_like_others():
    states, snap, events = rig(TRIPPED)
    states._starts.begin_trial(EMPTY, 0b111, 0)
    start(states, 0b111)
    assert [snap.reason[i] for i in range(3)] == [Reason.TRIAL] * 3
    states.end_trial(0b011)
    assert states.on == 0b011 and not states._starts.trial
    assert [snap.reason[0], snap.state[2]] == [Reason.NONE, WAITING]
    assert "trial_done" in [event[0] for event in events]


def test_a_trial_that_meets_too_much_ends_at_once_as_a_failed_start():
    states, snap, _ = rig(TRIPPED)
    states._starts.pass_time(5000)
    states._starts.begin_trial(EMPTY, 0b111, 0)
    start(states, 0b111)
    states.trip(1, Reason.OVERCURRENT, 30000)
    assert states.on == 0 and not any(snap.trips) and states._starts.fails == 1
    assert states._starts.holds() == Reason.BUS_OVERLOAD


# No share


def test_a_battery_that_carries_nothing_three_times_within_an_hour_has_a_loose_contact():
    states, snap, _ = rig()
    states.connect(0b111)
    for k in range(3):
        states.connect(1)
        assert not states.lock[0], k
        states.trip(0, Reason.NO_SHARE, 0)
        snap.uptime_s += 60
    assert states.lock[0] == Reason.LOOSE_CONTACT and snap.trips[0] == 0


def test_a_dead_output_waits_five_seconds_for_what_no_voltage_holds():
    states, snap, _ = rig()
    states.connect(0b11)
    states.trip(0, Reason.IMBALANCE, 25000)
    states.count_down(0, 0)
    assert snap.eta_ms[0] == 10000, "the output is live"
    states.lose(1, Reason.SENSOR_LOST)
    states.count_down(0, 0)
    assert snap.eta_ms[0] == 5000
    snap.eta_ms[0] = 60000
    states._cause[0] = Reason.UNDERVOLTAGE
    states.count_down(0, 0)
    assert snap.eta_ms[0] == 60000


def test_only_a_reset_concerns_the_whole_rig():
    states, snap, _ = rig()
    snap.bus_locked = True
    for action in ("on", "off", "auto"):
        assert states.refusal(action, RIG) == "battery"
        wish(states, action, RIG)
        assert snap.bus_locked, action
    assert states.refusal("reset", RIG) is None
    wish(states, "reset", RIG)
    assert not snap.bus_locked


def test_an_overcurrent_after_the_first_second_counts_for_its_battery():
    states, snap, _ = rig()
    started(states, 0b111, 1000)
    states.trip(0, Reason.OVERCURRENT, 20000)
    states.trip(1, Reason.OVERCURRENT, 20000)
    assert snap.trips[0] == 1 and states.on == 0b100


def test_an_operators_on_lets_an_empty_pack_inside_the_window_return_to_be_charged():
    states, snap, _ = rig()
    for voltage_mv, state in ((24050, WAITING), (23990, TRIPPED)):
        states.connect(1)
        states.trip(0, Reason.UNDERVOLTAGE, 23900)
        snap.voltage_mv[0] = voltage_mv
        states.count_down(0, 600000)
        assert snap.state[0] == TRIPPED
        wish(states, "on", 0)
        assert snap.state[0] == state


def test_all_off_opens_all_at_once_and_lasts():
    states, snap, events = rig()
    switches = states._switches
    states.connect(0x0FF0)
    snap.state[15] = ABSENT
    wish(states, "off", ALL)
    assert switches.openings == [0x0FF0] and not switches.closed and not states.on
    assert list(snap.wish) == [1] * 16 and list(snap.state) == [OFF] * 15 + [ABSENT]
    told = [event for event in events if event[0].startswith("wish")]
    assert told == [("wish_all", RIG, 0, 0, ACTIONS.index("off"))]
    wish(states, "auto", ALL)
    assert list(snap.wish) == [0] * 16 and list(snap.state) == [WAITING] * 15 + [ABSENT]


def test_reset_of_all_ends_every_lock():
    states, snap, _ = rig()
    states.connect(14)
    for i in (1, 2):
        for _ in range(5):
            states.trip(i, Reason.OVERCURRENT, 20000)
    assert [snap.state[1], snap.state[2]] == [LOCKED, LOCKED]
    wish(states, "auto", ALL)
    assert [snap.state[1], snap.state[2]] == [LOCKED, LOCKED], "only a reset ends a lock"
    wish(states, "reset", ALL)
    assert not any(states.lock) and not any(snap.trips)


def over_a_reset(states, snap):
    """The states of the next run: every array of the table taken over, the uptime begins anew."""
    after, fresh, events = rig(ABSENT)
    states._starts.note()
    before = states.kept + states._starts.kept
    for old, new in zip(before, after.kept + after._starts.kept):
        for k, value in enumerate(old[0]):
            new[0][k] = value - snap.uptime_s if new[4] else value
    after.recall()
    return after, fresh, events


def test_a_pack_that_cools_is_tripped_for_the_same_reason_after_a_reset():
    states, snap, _ = rig()
    states.connect(3)
    states.trip(0, Reason.OVERCURRENT, 20000)
    states.count_down(0, 4000)
    states, snap, _ = over_a_reset(states, snap)
    states.settle(0)
    assert (snap.state[0], snap.reason[0]) == (TRIPPED, Reason.OVERCURRENT)
    assert snap.eta_ms[0] == 6000 and snap.trips[0] == 1
    states.count_down(0, 6000)
    assert snap.state[0] == WAITING


def test_repeats_go_on_over_a_reset_and_end_an_hour_after_the_last():
    for apart_s, delay_ms in ((3000, 40000), (3000, 80000), (3700, 10000)):
        states, snap, _ = rig()
        snap.uptime_s = 5000
        states.trip(0, Reason.UNDERVOLTAGE, 23000)
        states.trip(0, Reason.UNDERVOLTAGE, 23000)
        if delay_ms == 80000:
            states.trip(0, Reason.UNDERVOLTAGE, 23000)
        states, snap, _ = over_a_reset(states, snap)
        snap.uptime_s = apart_s
        states.trip(0, Reason.UNDERVOLTAGE, 23000)
        assert snap.eta_ms[0] == delay_ms, (apart_s, snap.eta_ms[0])


def test_a_start_that_a_reset_cut_off_has_failed():
    states, snap, _ = rig()
    pauses = []
    for _ in range(4):
        start(states, 0b111)
        states, snap, events = over_a_reset(states, snap)
        assert [event[0] for event in events] == ["bus_start_failed"]
        for i in range(16):
            states.settle(i)
            assert (snap.state[i], snap.reason[i]) == (TRIPPED, Reason.BUS_OVERLOAD)
        pauses.append(snap.eta_ms[0])
        states._starts.pass_time(snap.eta_ms[0])
        for i in range(16):
            states.count_down(i, snap.eta_ms[i])
    assert pauses == [1000, 10000, 10000, 60000]


def test_the_pause_of_a_start_is_over_for_all_once_others_carry():
    states, snap, _ = rig()
    for _ in range(4):
        start(states, 0b11)
        states.trip(0, Reason.OVERCURRENT, 21000)
        states.trip(1, Reason.OVERCURRENT, 21000)
        states._starts.pass_time(1000)
    assert list(snap.eta_ms)[:2] == [60000, 60000]
    states.connect(0b100)
    states.count_down(0, 1000)
    assert snap.eta_ms[0] == 59000, "what it carries is not known yet"
    states._output.carriers = 0b100
    states.count_down(0, 1000)
    assert snap.eta_ms[0] == 10000, "its own delay stays"
    states.count_down(0, 1000)
    assert snap.eta_ms[0] == 9000


def test_a_start_whose_first_second_is_over_has_not_failed():
    states, snap, _ = rig()
    started(states, 0b111, 1000)
    _, snap, events = over_a_reset(states, snap)
    assert events == [] and not any(snap.eta_ms)


def test_failures_their_pause_and_the_lock_of_the_output_survive_a_reset():
    states, snap, _ = rig()
    tried_again(states)
    for k in range(10):
        assert not snap.bus_locked
        start(states, 0b1)
        states.trip(0, Reason.OVERCURRENT, 21000)
        left_ms = states._starts.pause_ms
        states, snap, events = over_a_reset(states, snap)
        assert events == [] and states._starts.pause_ms == left_ms, k
    assert snap.bus_locked
    states.obey(ACTIONS.index("reset"), RIG)
    _, snap, _ = over_a_reset(states, snap)
    assert not snap.bus_locked


def test_progress_towards_forgiveness_survives_a_reset():
    states, snap, _ = rig()
    states.connect(3)
    states.trip(0, Reason.OVERCURRENT, 20000)
    for _ in range(3000):
        states.forgive(0, 1000)
    states, snap, _ = over_a_reset(states, snap)
    for _ in range(599):
        states.forgive(0, 1000)
    assert snap.trips[0] == 1
    states.forgive(0, 1000)
    assert snap.trips[0] == 0


def test_openings_and_starts_are_to_be_kept_at_once():
    states, _, _ = rig()
    states._starts.begin(1)
    assert states._starts.changed
    states._starts.note()
    states._starts.pass_time(999)
    assert not states._starts.changed
    states._starts.pass_time(1)
    assert states._starts.changed
    for act in (
        lambda states: states.trip(0, Reason.OVERVOLTAGE, 31000),
        lambda states: states.lose(0, Reason.SENSOR_LOST),
        lambda states: states.fault(0, Reason.SWITCH_FAULT),
    ):
        states, _, _ = rig()
        states.connect(1)
        states.changed = False
        act(states)
        assert states.changed


def alarms(snap):
    return [alarm[:2] for alarm in snap.alarms()]


def test_what_is_kept_lies_in_its_range():
    states, snap, _ = rig()
    rows = {id(row[0]): row[2:4] for row in states.kept}
    assert rows[id(snap.trips)] == (0, 32767) and rows[id(states._repeat_s)] == (-3600, 0)
    assert rows[id(states.lock)] == (0, len(REASONS) - 1) == rows[id(states._cause)]
    assert rows[id(states._repeats)] == (0, 255) and rows[id(states._healthy_s)] == (0, 3600)


def test_a_closing_counts_unless_it_is_a_trial():
    states, snap, _ = rig()
    states._starts.begin_trial(EMPTY, 0b10, 0)
    assert states.connect(0b11) == 0b11
    assert [snap.switchings[0], snap.switchings[1]] == [1, 0]
    assert [snap.reason[0], snap.reason[1]] == [Reason.NONE, Reason.TRIAL]


def test_a_charger_that_is_left_alone_is_an_alarm_until_a_battery_closes():
    for ma, alone in (((-26, -25), True), ((-25, -25), False), ((5000, 0), False)):
        states, snap, events = rig()
        states.connect(0b11)
        snap.current_ma[0], snap.current_ma[1] = ma
        wish(states, "off", ALL)
        assert (("bus_unheld", RIG) in alarms(snap)) == alone, ma
        states.connect(0)
        assert (("bus_unheld", RIG) in alarms(snap)) == alone
        states.connect(0b100)
        assert not alarms(snap)
    for held in ("held", "stuck"):
        states, snap, _ = rig()
        states.connect(1)
        snap.current_ma[0] = -5000
        setattr(states, held, 0b100)
        wish(states, "off", 0)
        assert not alarms(snap), held


def test_those_that_feed_one_that_cannot_be_opened_are_spared_and_wait():
    states, snap, events = rig()
    states.connect(0b111)
    snap.current_ma[1] = 4000
    states.spare(0b110)
    assert states.on == 0b001 and snap.eta_ms[1] == snap.eta_ms[2] == 10000
    assert [snap.state[i] for i in range(3)] == [ON, TRIPPED, TRIPPED]
    assert snap.reason[1] == Reason.FEEDING and not any(snap.trips)
    assert ("trip", 1, TRIPPED, Reason.FEEDING, 4000) in events


def tripped_for(reason, value, voltage_mv=24200, empty=8, off=0, absent=0):
    """What a battery's trip is told for while `empty` of sixteen are empty and open."""
    states, snap, events = rig()
    states.connect(0xFFFF >> empty)
    for i in range(16):
        snap.voltage_mv[i] = 23900 if i >= 16 - empty else 24900
    for i in range(1, 1 + off):
        snap.wish[i] = 1
    for i in range(1 + off, 1 + off + absent):
        snap.state[i] = ABSENT
    snap.voltage_mv[0] = voltage_mv
    states.trip(0, reason, value)
    return [event for event in events if event[0] == "trip"][0][3:]


def test_who_is_nearly_empty_and_carries_for_the_empty_is_empty_too():
    spent = (Reason.UNDERVOLTAGE, 24200)
    for reason in (Reason.OVERCURRENT, Reason.OVERLOAD):
        assert tripped_for(reason, 21000) == spent
        assert tripped_for(reason, 0) == spent and tripped_for(reason, -1)[0] == reason
        assert tripped_for(reason, 39999) == spent and tripped_for(reason, 40000)[0] == reason
        assert tripped_for(reason, 21000, 24249)[0] == Reason.UNDERVOLTAGE
        assert tripped_for(reason, 21000, 24250)[0] == reason
        assert tripped_for(reason, 21000, empty=7)[0] == reason
        assert tripped_for(reason, 21000, empty=7, off=2) == spent
        assert tripped_for(reason, 21000, empty=7, absent=2) == spent
    assert tripped_for(Reason.IMBALANCE, 21000)[0] == Reason.IMBALANCE


def test_a_false_alert_waits_two_seconds_first():
    states, snap, _ = rig()
    states.connect(1)
    states.trip(0, Reason.FALSE_ALERT, 0)
    assert snap.eta_ms[0] == 2000 and not snap.trips[0]
    states.trip(0, Reason.FALSE_ALERT, 0)
    assert snap.eta_ms[0] == 4000


def test_a_trip_on_charge_of_a_trial_is_the_chargers():
    for reason, value, fails, by_charge in (
        (Reason.OVERCURRENT, -21000, 1, True),
        (Reason.OVERCURRENT, 21000, 1, False),
        (Reason.UNDERVOLTAGE, -1, 1, False),
        (Reason.OVERTEMPERATURE, 90, 0, False),
    ):
        states, snap, _ = rig(TRIPPED)
        states._starts.begin_trial(EMPTY, 0b11, 0)
        states.connect(0b11)
        states.trip(1, reason, value)
        assert states.on == 0 and states._starts.fails == fails, reason
        assert states._starts.by_charge == by_charge, reason


def test_a_charger_whose_current_opens_them_all_has_failed_the_output():
    for sign in (1, -1):
        states, snap, _ = rig()
        started(states, 0b11, 60000)
        states.trip(0, Reason.OVERCURRENT, 21000 * sign)
        states.trip(1, Reason.OVERCURRENT, 21000 * sign)
        assert states._starts.fails == 1 and states._starts.by_charge == (sign < 0)


# Sensors and expanders that are lost


def test_a_lost_sensor_waits_at_least_as_long_as_before():
    for eta_ms, wait_ms in ((60000, 60000), (0, 10000)):
        states, snap, _ = rig()
        states.connect(1)
        snap.eta_ms[0] = eta_ms
        states.lose(0, Reason.SENSOR_LOST)
        assert (snap.state[0], snap.reason[0]) == (ABSENT, Reason.SENSOR_LOST)
        assert snap.eta_ms[0] == wait_ms and not states.on
        snap.eta_ms[0] = 1
        states.lose(0, Reason.EXPANDER_LOST)
        assert snap.eta_ms[0] == 1 and snap.reason[0] == Reason.SENSOR_LOST, "lost already"


def uncontrolled(wanted=0b11):
    """Batteries 0 and 1 were connected when their expander fell silent."""
    states, snap, events = rig()
    states.connect(0b11)
    states._switches.wanted = wanted
    for i in (0, 1):
        states.lose_control(i)
    return states, snap, events


def test_an_expander_that_is_lost_leaves_its_batteries_out_of_control():
    states, snap, _ = uncontrolled()
    assert states.on == 0 and states.held == 0b11 and snap.state[0] == UNCONTROLLED
    assert alarms(snap) == [("uncontrolled", 0), ("uncontrolled", 1)]
    states.regain_control(0)
    assert states.held == 0b10 and alarms(snap) == [("uncontrolled", 1)]
    assert (snap.state[0], snap.reason[0]) == (ABSENT, Reason.EXPANDER_LOST)


def test_one_that_stands_as_it_was_told_goes_on():
    states, snap, _ = uncontrolled()
    states._output.moved = 0b11
    states.resume(1)
    assert states.on == 0b10 and states.held == 0b01 and snap.state[1] == ON
    assert states._output.moved == 0b01, "what it showed out of control proves nothing later"
    assert alarms(snap) == [("uncontrolled", 0)]


def test_an_opening_that_is_owed_comes_with_the_expander():
    states, snap, _ = uncontrolled()
    states.owe(1, Reason.OVERTEMPERATURE)
    assert states._switches.wanted == 0b01
    states.owe(1, Reason.IMBALANCE)
    states.resume(1)
    assert (snap.state[1], snap.reason[1]) == (TRIPPED, Reason.OVERTEMPERATURE), "the first"
    assert snap.trips[1] == 1 and states.on == 0
    states.owe(0, Reason.OVERTEMPERATURE)
    states.regain_control(0)
    states._switches.wanted = 0
    states.resume(0)
    assert snap.trips[0] == 0, "what was owed is paid"


def test_an_off_while_out_of_control_comes_with_the_expander():
    states, snap, _ = uncontrolled()
    wish(states, "off", 0)
    assert states._switches.wanted == 0b10 and snap.state[0] == UNCONTROLLED
    wish(states, "auto", 1)
    assert states._switches.wanted == 0b10
    states.resume(0)
    assert snap.state[0] == OFF and not states.on and states.held == 0b10


def test_a_switch_that_disobeys_is_locked_and_one_that_fell_open_may_join_again():
    states, snap, _ = rig()
    states.connect(0b11)
    states.fault(0, Reason.LOOSE_CONTACT)
    states.release(1)
    assert (snap.state[0], snap.reason[0]) == (LOCKED, Reason.LOOSE_CONTACT) and not states.on
    assert snap.state[1] == WAITING and snap.valid[0] and not snap.valid[1]


# Forgiveness


def test_seconds_of_good_health_add_up():
    states, snap, _ = rig()
    snap.trips[0] = 2
    for _ in range(2400):
        states.forgive(0, 1499)
    assert snap.trips[0] == 2 and states._healthy_s[0] == 3597, "2.4 s are still to come"
    states.forgive(0, 2399)
    assert snap.trips[0] == 2
    states.forgive(0, 1)
    assert snap.trips[0] == 1 and states._healthy_s[0] == 0
    states.connect(1)
    states.forgive(0, 5000)
    states.trip(0, Reason.OVERCURRENT, 21000)
    assert states._healthy_s[0] == states._healthy_ms[0] == 0, "a trip begins the hour anew"


def test_without_a_decay_and_without_a_trip_nothing_is_forgiven():
    states, snap, _ = rig()
    states.forgive(0, 5000000)
    assert states._healthy_s[0] == 0 == snap.trips[0]
    states._limits.trip_decay_s = 0
    snap.trips[0] = 1
    states.forgive(0, 5000000)
    assert snap.trips[0] == 1


# Which delay may be cut short


def cut(cause, on=0, held=0, eta_ms=60000):
    """What is left of a delay after 1 ms."""
    states, snap, _ = rig(TRIPPED)
    states.on, states.held = on, held
    states._cause[0] = cause
    snap.eta_ms[0] = eta_ms
    states.count_down(0, 1)
    return snap.eta_ms[0]


def test_a_delay_that_a_limit_began_stays_its_own_while_the_sensor_is_away():
    for eta_ms, left_ms in ((20000, 19999), (0, 5000)):
        states, snap, _ = rig()
        states.connect(0b11)
        states.trip(0, Reason.OVERCURRENT, 21000)
        states.lose(1, Reason.SENSOR_LOST)
        snap.eta_ms[0] = eta_ms
        states.lose(0, Reason.EXPANDER_LOST)
        snap.state[0] = TRIPPED
        states.count_down(0, 1)
        assert snap.eta_ms[0] == left_ms, eta_ms


def test_a_delay_is_cut_short_for_a_dead_output_only_and_for_no_limit():
    assert cut(Reason.SENSOR_LOST) == 5000 and cut(Reason.SENSOR_LOST, eta_ms=5001) == 5000
    assert cut(Reason.SENSOR_LOST, eta_ms=4000) == 3999
    assert cut(Reason.SENSOR_LOST, on=0b10) == cut(Reason.SENSOR_LOST, held=0b10) == 59999
    for cause in (Reason.OVERCURRENT, Reason.UNDERVOLTAGE, Reason.BUS_OVERLOAD):
        assert cut(cause) == 59999, cause


# Wishes


def test_an_on_of_what_is_locked_asks_for_nothing():
    states, snap, _ = rig()
    states.lock[0] = Reason.LOOSE_CONTACT
    snap.eta_ms[0] = 5000
    wish(states, "on", 0)
    assert snap.eta_ms[0] == 5000 and not states._starts.asked_ms
    wish(states, "auto", 1)
    assert not states._starts.asked_ms
    wish(states, "on", 1)
    assert states._starts.asked_ms == 60000


def test_a_live_output_is_asked_for_nothing():
    for on, held, asked_ms in ((0b10, 0, 0), (0, 0b10, 0), (0, 0, 60000)):
        states, snap, _ = rig()
        states.on, states.held = on, held
        wish(states, "on", 0)
        assert states._starts.asked_ms == asked_ms
        wish(states, "reset", RIG)
        assert states._starts.asked_ms == 60000, "a reset of the output counts always"


def test_a_wish_of_one_is_told_as_its_own():
    states, snap, events = rig()
    wish(states, "on", 2)
    wish(states, "reset", 2)
    wish(states, "reset", RIG)
    assert [event[:2] for event in events if event[0] != "state"] == [
        ("wish", 2),
        ("reset_done", 2),
        ("bus_reset", RIG),
    ]
    states.connect(0b100)
    snap.eta_ms[2] = 7000
    wish(states, "auto", 2)
    assert snap.eta_ms[2] == 7000 and states.on == 0b100


def test_time_that_passes_leaves_what_a_waiting_battery_was_told():
    states, snap, _ = rig()
    snap.reason[0] = Reason.IN_TURN
    states.count_down(0, 160)
    assert (snap.state[0], snap.reason[0]) == (WAITING, Reason.IN_TURN)
