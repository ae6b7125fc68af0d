# SPDX-License-Identifier: GPL-3.0-only
"""States and wishes: what an operator may do, and what no wish can do."""

from parallelator import settings
from parallelator.catalog import ABSENT, ACTIONS, LOCKED, OFF, ON, TRIPPED, WAITING, Reason
from parallelator.protection import rules
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


def rig(state=WAITING):
    """The states of a rig whose batteries read 27 V and are in `state`."""
    snap = Snapshot()
    limits = rules.Limits(settings.defaults())
    events = []
    states = States(
        snap,
        Switches(),
        limits,
        rules.Judge(limits),
        rules.Balance(snap, limits),
        lambda *event: events.append(event),
    )
    for i in range(16):
        snap.voltage_mv[i] = 27000
        snap.state[i] = state
        snap.valid[i] = 1
    return states, snap, events


def start(states, group):
    states.begin_start()
    states.connect(group)


def wish(states, action, i):
    states.obey(ACTIONS.index(action), i)


def test_a_locked_battery_refuses_on_and_auto_and_stays_locked_whatever_is_wished():
    states, snap, _ = rig()
    states.connect(4)
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
    states.connect(1)
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
    snap.uptime_s += 3601
    states.trip(0, Reason.UNDERVOLTAGE, 23000)
    assert snap.eta_ms[0] == 10000


def test_three_failed_starts_within_ten_minutes_lock_the_bus_and_a_reset_frees_it():
    states, snap, events = rig()
    for _ in range(3):
        assert not snap.bus_locked
        start(states, 0b111)
        states.trip(0, Reason.OVERCURRENT, 20000)
        assert states.on == 0 and snap.trips[0] == 0
        snap.uptime_s += 60
    assert snap.bus_locked and events[-4][0] == "bus_locked"
    states.obey(ACTIONS.index("reset"), RIG)
    assert not snap.bus_locked


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


def test_failed_starts_more_than_ten_minutes_apart_do_not_add_up():
    states, snap, _ = rig()
    for _ in range(6):
        start(states, 0b111)
        states.trip(0, Reason.OVERCURRENT, 20000)
        snap.uptime_s += 601
    assert not snap.bus_locked


def test_an_overcurrent_after_the_first_second_counts_for_its_battery():
    states, snap, _ = rig()
    start(states, 0b111)
    states.starting_ms = 0
    states.trip(0, Reason.OVERCURRENT, 20000)
    assert snap.trips[0] == 1 and states.on == 0b110


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


def test_two_joins_in_a_row_that_carry_alone_open_those_that_carry_nothing():
    states, snap, _ = rig()
    states.connect(0b0001)
    states.connect(0b0010)
    states.trip(1, Reason.OVERCURRENT, 16000)
    assert snap.state[0] == ON
    states.connect(0b0100)
    states.trip(2, Reason.OVERCURRENT, 16000)
    assert states.on == 0 and snap.state[0] == TRIPPED and snap.reason[0] == Reason.BUS_OVERLOAD
    assert (snap.trips[0], snap.trips[1], snap.trips[2]) == (0, 1, 1)


def test_what_carries_stays_on_and_so_does_what_is_charged_or_was_joined_in_between():
    def after(step):
        states, snap, _ = rig()
        states.connect(0b0001)
        states.connect(0b0010)
        states.trip(1, Reason.OVERCURRENT, 16000)
        step(states, snap)
        states.connect(0b0100)
        states.trip(2, Reason.OVERCURRENT, 16000 if step != charged else -16000)
        return bool(states.on & 1)

    def carries(states, snap):
        snap.current_ma[0] = -60

    def charged(states, snap):
        """Battery 3 itself is being charged, see `trip` above."""

    def joined(states, snap):
        states.connect(0b1000)

    def uncontrolled(states, snap):
        states.held = 0b10000

    def joined_for_a_while(states, snap):
        states.connect(0b1000)
        states.pass_time(1000)
        states.trip(3, Reason.UNDERVOLTAGE, 20000)

    def carried(states, snap):
        snap.current_ma[0] = 500
        states.connect(0b1000)
        states.trip(3, Reason.OVERCURRENT, 16000)
        snap.current_ma[0] = 0

    for step in (carries, charged, joined, joined_for_a_while, carried, uncontrolled):
        assert after(step), step
    assert not after(lambda states, snap: None)


def test_one_battery_that_trips_again_and_again_may_have_a_wrong_sensor_and_opens_alone():
    states, snap, _ = rig()
    states.connect(0b0001)
    for _ in range(4):
        states.connect(0b0010)
        states.trip(1, Reason.OVERCURRENT, 16000)
    assert snap.state[0] == ON


def test_a_trip_long_after_the_join_says_nothing_of_the_others():
    states, _, _ = rig()
    states.connect(0b0001)
    for i in (1, 2, 3):
        states.connect(1 << i)
        states.pass_time(1000)
        states.trip(i, Reason.OVERCURRENT, 16000)
    assert states.on == 1


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
    states.connect(6)
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
    for old, new in zip(states.kept, after.kept):
        for k, value in enumerate(old[0]):
            new[0][k] = value - snap.uptime_s if new[4] else value
    after.recall()
    return after, fresh, events


def test_a_pack_that_cools_is_tripped_for_the_same_reason_after_a_reset():
    states, snap, _ = rig()
    states.connect(1)
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
    start(states, 0b111)
    states, snap, events = over_a_reset(states, snap)
    assert [event[0] for event in events] == ["bus_start_failed"]
    for i in range(16):
        states.settle(i)
        assert (snap.state[i], snap.reason[i]) == (TRIPPED, Reason.BUS_OVERLOAD)
        assert snap.eta_ms[i] == 10000
    for _ in range(2):
        assert not snap.bus_locked
        start(states, 0b111)
        states, snap, events = over_a_reset(states, snap)
    assert snap.bus_locked and events[-1][0] == "bus_locked"


def test_a_start_whose_first_second_is_over_has_not_failed():
    states, snap, _ = rig()
    start(states, 0b111)
    states.pass_time(1000)
    _, snap, events = over_a_reset(states, snap)
    assert events == [] and not any(snap.eta_ms)


def test_failed_starts_and_the_lock_of_the_output_survive_a_reset():
    states, snap, _ = rig()
    for _ in range(3):
        assert not snap.bus_locked
        start(states, 0b111)
        states.trip(0, Reason.OVERCURRENT, 20000)
        states, snap, events = over_a_reset(states, snap)
    assert snap.bus_locked and events == []
    states.obey(ACTIONS.index("reset"), RIG)
    _, snap, _ = over_a_reset(states, snap)
    assert not snap.bus_locked


def test_progress_towards_forgiveness_survives_a_reset():
    states, snap, _ = rig()
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
    for act in (
        lambda states: states.trip(0, Reason.OVERVOLTAGE, 31000),
        lambda states: states.lose(0, Reason.SENSOR_LOST),
        lambda states: states.fault(0, Reason.SWITCH_FAULT),
        lambda states: states.begin_start(),
    ):
        states, _, _ = rig()
        states.connect(1)
        states.changed = False
        act(states)
        assert states.changed
