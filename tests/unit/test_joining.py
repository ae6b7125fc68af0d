# SPDX-License-Identifier: GPL-3.0-only
"""Who may close: joins of a live output, groups for a dead one, relief, reasons and pauses."""

from parallelator import settings
from parallelator.catalog import ON, TRIPPED, WAITING, Reason
from parallelator.protection import joining, rules
from parallelator.protection.output import Output
from parallelator.protection.starts import EMPTY, FULL, Starts
from parallelator.snapshot import Snapshot, eta_ms


def limits(**changes):
    values = settings.Values({})
    values["limits.start_delay_ms"] = 0
    values.given.update({"limits." + key: value for key, value in changes.items()})
    return rules.Limits(values)


class States:
    """Which batteries are connected, full, empty."""

    def __init__(self):
        self.on = self.held = self.stuck = self.full = self.empty = 0

    def is_full(self, i):
        return self.full >> i & 1

    def is_empty(self, i):
        return self.empty >> i & 1


class Rig:
    """Batteries as (mV, mA): the first `connected` are ON, the others wait.

    Attributes:
        events: codes of what was told.
    """

    def __init__(self, *readings, connected=0, **changes):
        self.snap = Snapshot()
        self.limits = limits(**changes)
        self.states = States()
        self.events = []
        self.fresh = (1 << len(readings)) - 1
        for i, (voltage_mv, current_ma) in enumerate(readings):
            self.snap.voltage_mv[i] = voltage_mv
            self.snap.current_ma[i] = current_ma
            self.snap.valid[i] = 1
            self.snap.state[i] = ON if i < connected else WAITING
        self.states.on = (1 << connected) - 1
        self.output = Output(self.snap, self.limits)
        emit = lambda *event: self.events.append(event[0])  # noqa: E731 - short
        self.starts = Starts(self.snap, self.limits, emit)
        self.connector = joining.Connector(
            self.snap, self.limits, self.states, self.output, self.starts, emit
        )
        self.look()

    def look(self):
        states = self.states
        self.output.look(states.on, states.held, states.stuck, self.fresh, 160)

    def choose(self, times=3):
        """What is chosen first in some looks, half a scan apart."""
        for _ in range(times):
            self.look()
            self.connector.due(80)
            group = self.connector.choose(self.fresh)
            if group:
                return group
        return 0

    def refusal(self, i):
        return self.connector.refusal(i)


CARRIED = 1000
"""mA of a connected battery, which make it a witness and 30 mV of sag."""


def joiner(delta_mv, n=1, **changes):
    """The refusal of a battery `delta_mv` above an output of n connected ones."""
    rig = Rig(*[(26000, CARRIED)] * n, (26030 + delta_mv, 0), connected=n, **changes)
    return rig.refusal(n)


def test_size_counts_the_batteries_of_a_mask():
    assert [joining.size(mask) for mask in (0, 1, 0x8001, 0xFFFF)] == [0, 1, 2, 16]


def test_the_offset_counts_both_ways():
    wide = {
        "max_current_ma": 40000,
        "max_discharge_current_ma": 40000,
        "max_charge_current_ma": 40000,
        "hard_current_pct": 0,
    }
    assert joiner(500, **wide) == Reason.NONE
    assert joiner(501, **wide) == Reason.BUS_LOWER
    assert joiner(-500, **wide) == Reason.NONE
    assert joiner(-501, **wide) == Reason.BUS_HIGHER


def test_a_predicted_circulating_current_beyond_the_limit_refuses_both_ways():
    # One connected pack: 1000 * 300 * 1 / (2 * 50) = 3000 mA.
    tight = {"max_current_ma": 3000, "hard_current_pct": 0}
    assert joiner(300, **tight) == Reason.NONE
    assert joiner(-300, **tight) == Reason.NONE
    assert joiner(301, **tight) == Reason.INRUSH
    assert joiner(-301, **tight) == Reason.INRUSH
    fuller = {"max_charge_current_ma": 2000, "hard_current_pct": 0}
    assert joiner(-250, **fuller) == Reason.INRUSH
    assert joiner(250, **fuller) == Reason.NONE


def test_a_measured_pack_is_taken_at_its_own_resistance():
    rig = Rig((26000, 1000), (26390, 0), connected=1, max_current_ma=3000, hard_current_pct=0)
    assert rig.refusal(1) == Reason.INRUSH
    rig.snap.r_mohm[1] = 50
    assert rig.refusal(1) == Reason.NONE


def test_the_share_of_the_load_counts_within_80_per_cent_of_the_hard_limit():
    # 4 packs at 16 A: the fifth takes 12.8 A, and 4 A more at 250 mV: 16.8 of 16 A allowed.
    for delta_mv, reason in ((0, Reason.NONE), (190, Reason.NONE), (250, Reason.INRUSH)):
        rig = Rig(*[(26000, 16000)] * 4, (26480 + delta_mv, 0), connected=4)
        assert rig.refusal(4) == reason, delta_mv


def test_a_connected_pack_pushed_beyond_its_share_refuses():
    # 26.3 V and 25.725 V at rest, charged with 19.5 A. At 26.8 V a third raises the output to
    # 26.6 V, and the second takes 17.5 A of 16 A allowed.
    rig = Rig((26420, -4000), (26190, -15500), (26800, 0), connected=2)
    assert rig.refusal(2) == Reason.INRUSH
    rig.snap.voltage_mv[2] = 26500
    assert rig.refusal(2) == Reason.NONE


def test_joining_that_relieves_an_overloaded_pack_is_not_refused_for_it():
    rig = Rig((26000, 16900), (26000, 14000), (26507, 0), connected=2)
    assert rig.refusal(2) == Reason.NONE


def test_of_two_that_contradict_each_other_a_third_fits_one_and_stands_the_other():
    rig = Rig((26000, 1000), (26800, 1000), (26030, 0), connected=2)
    assert rig.output.contradicts == 0b11
    assert rig.refusal(2) == Reason.NONE
    rig.snap.voltage_mv[2] = 26830
    assert rig.refusal(2) == Reason.NONE
    rig.snap.voltage_mv[2] = 25500
    assert rig.refusal(2) == Reason.BUS_HIGHER
    tight = Rig((26000, 1000), (26800, 1000), (26030, 0), connected=2, max_current_ma=2000)
    # 800 mV over 2 / 3 of 1 / 50 mOhm are 10.7 A, beyond the hard limit of 4 A.
    assert tight.refusal(2) == Reason.INRUSH


def test_a_full_pack_joins_only_where_it_is_not_charged():
    for current_ma, reason in ((2000, Reason.NONE), (-2000, Reason.OVERVOLTAGE)):
        rig = Rig((29700, current_ma), (29700, current_ma), (29700, 0), connected=2)
        rig.snap.voltage_mv[2] = 29700 + current_ma * 30 // 1000
        rig.states.full = 0b100
        assert rig.refusal(2) == reason
    rig = Rig((26000, 1000), (26060, -1000), (26030, 0), connected=2)
    rig.states.full = 0b100
    assert rig.refusal(2) == Reason.NONE, "without a current it is not charged"


def test_who_closes_fits_everybody_that_may_be_connected():
    rig = Rig((26000, 1000), (26030, 0), (27000, 0), connected=1)
    assert rig.choose() == 0b010
    rig.states.held = 0b100
    rig.snap.state[2] = 6
    assert rig.choose() == 0 and rig.snap.reason[1] == Reason.DOUBTFUL_BUS
    rig.snap.voltage_mv[2] = 26300
    assert rig.choose() == 0b010


def test_one_battery_at_a_time_joins_a_live_output_the_nearest_first():
    rig = Rig((27000, 1000), (27330, 0), (27130, 0), connected=1)
    assert rig.choose() == 0b100
    rig.snap.state[2] = ON
    rig.states.on = 0b101
    rig.snap.current_ma[2] = 1000
    assert rig.choose() == 0b010


def test_the_pause_between_two_joins():
    rig = Rig((27000, 1000), connected=1)
    assert rig.connector.due(0)
    rig.connector.choose(rig.fresh)
    assert not rig.connector.due(499) and rig.connector.due(1)


def test_an_empty_pack_joins_an_output_that_is_charged():
    rig = Rig((23900, -1000), (23900, -1000), (23700, 0), (20999, 0), connected=2)
    assert rig.output.charging
    assert rig.choose() == 0b0100
    assert rig.snap.reason[3] == Reason.UNDERVOLTAGE
    idle = Rig((23900, 1000), (23900, 1000), (23930, 0), connected=2)
    assert idle.choose() == 0 and idle.snap.reason[2] == Reason.UNDERVOLTAGE


def test_when_a_battery_will_fit_follows_from_its_trend():
    rig = Rig((26000, 1000), (27530, 0), connected=1)
    for delta_mv, join_ms in (
        (1500, 0),
        (1400, 9 * 60000),
        (1400, 0),
        (1399, 0),  # fifteen hours
        (1397, 26910000),
        (900, 48289),
    ):
        rig.snap.voltage_mv[1] = 26030 + delta_mv
        rig.look()
        rig.connector.due(60000)
        rig.connector.choose(rig.fresh)
        assert rig.snap.reason[1] == Reason.BUS_LOWER
        assert rig.snap.join_ms[1] == join_ms, (delta_mv, rig.snap.join_ms[1])
    assert eta_ms(rig.snap, 1) == 48289
    rig.snap.voltage_mv[1] = 26400
    assert rig.choose(1) == 0b10 and not rig.snap.join_ms[1]


def test_a_current_beyond_its_share_counts_unless_it_is_worse_already():
    lim = limits(max_charge_current_ma=5000)
    for predicted_ma, now_ma, beyond in (
        (16000, 0, False),
        (16001, 0, True),
        (-8000, 0, False),
        (-8001, 0, True),
        (16001, 16001, False),
        (17000, -17000, False),
        (17000, 16999, True),
    ):
        assert joining.beyond_share(lim, predicted_ma, now_ma) == beyond, (predicted_ma, now_ma)
    assert not joining.beyond_share(limits(hard_current_pct=0), 90000, 0)


def beside_doubtful(delta_mv, **changes):
    """The refusal of a battery that fits the live output, `delta_mv` above a doubtful one."""
    rig = Rig((26000, 1000), (26030, 0), (26030 - delta_mv, 0), connected=1, **changes)
    rig.states.held = 0b100
    rig.snap.state[2] = 6
    rig.look()
    return rig.refusal(1)


def test_a_doubtful_one_lies_within_the_offset_and_draws_no_more_than_the_limit():
    for delta_mv, fits in ((500, True), (501, False), (-500, True), (-501, False)):
        reason = Reason.NONE if fits else Reason.DOUBTFUL_BUS
        assert beside_doubtful(delta_mv) == reason, delta_mv
    # Over 100 mOhm.
    for changes in ({"max_charge_current_ma": 4000}, {"max_discharge_current_ma": 4000}):
        for delta_mv, fits in ((400, True), (401, False), (-400, True), (-401, False)):
            reason = Reason.NONE if fits else Reason.DOUBTFUL_BUS
            assert beside_doubtful(delta_mv, **changes) == reason, delta_mv


def test_without_hard_limits_two_that_contradict_are_stood_within_the_continuous_ones():
    # Over two thirds of 1 / 50 mOhm: 750 mV are 10 A.
    for apart_mv, reason in ((750, Reason.NONE), (751, Reason.INRUSH)):
        rig = Rig(
            (26000, 1000),
            (26000 + apart_mv, 1000),
            (26030, 0),
            connected=2,
            hard_current_pct=0,
        )
        assert rig.output.contradicts == 0b11 and rig.refusal(2) == reason, apart_mv


def test_nobody_is_chosen_during_a_trial():
    rig = Rig((26000, 1000), connected=1)
    rig.starts.begin_trial(EMPTY, 1, 0)
    assert not rig.connector.due(60000)


# Relief


def test_relief_begins_beyond_the_continuous_limit_of_the_direction():
    for current_ma, relief in ((10099, 0), (10100, 1), (-5049, 0), (-5050, 1)):
        rig = Rig((26000, current_ma), (26000, 0), connected=1, max_charge_current_ma=5000)
        rig.choose(1)
        assert rig.events.count("relief") == relief, current_ma


def test_nobody_that_a_doubtful_one_would_charge_comes_to_help():
    for doubtful_mv, relief in ((26000, 1), (25499, 0)):
        rig = Rig((26000, 12000), (26000, 0), (doubtful_mv, 0), connected=1)
        rig.states.held = 0b100
        rig.snap.state[2] = 6
        rig.choose(1)
        assert rig.events.count("relief") == relief, doubtful_mv


def test_those_who_carry_too_much_get_help_from_twice_as_far_and_all_at_once():
    rig = Rig((26000, 17000), (26000, 17000), *[(25800, 0)] * 4, connected=2)
    # 34 A from 26.51 V: one at 25.8 V leaves them 16.06 A each, two leave 15.6 A.
    group = rig.choose(1)
    assert "relief" in rig.events and joining.size(group) == 2 and not group & 0b11
    assert rig.choose(1) == 0 and rig.events.count("relief") == 1, "once in ten seconds"
    rig.connector.due(9839)
    assert rig.choose(1) == 0
    rig.connector.due(1)
    assert rig.connector.choose(rig.fresh) == group


def test_help_comes_from_twice_the_offset_and_no_further():
    strong = {"max_current_ma": 40000, "max_discharge_current_ma": 40000}
    for voltage_mv, group in ((26800, 0b10), (26799, 0)):
        # 27.8 V at rest: one at 26.8 V takes 20 of its 60 A.
        rig = Rig((26000, 60000), (voltage_mv, 0), connected=1, **strong)
        assert rig.choose() == group, voltage_mv


def test_no_relief_for_a_pinned_pack_that_the_others_feed():
    for pinned, relief in ((0b00, 1), (0b10, 0)):
        rig = Rig((26000, 6000), (26000, -10900), (26400, 0), (25600, 0), connected=2)
        rig.output.pinned = pinned
        rig.choose()
        assert rig.events.count("relief") == relief, pinned


def test_no_relief_while_nobody_carries_too_much_or_from_too_far():
    rig = Rig((26000, 9900), (26000, 9900), (25600, 0), connected=2)
    rig.choose()
    assert "relief" not in rig.events
    rig = Rig((26000, 17000), (26000, 17000), (25509, 0), connected=2)
    assert rig.choose() == 0


def test_a_relief_that_helps_a_fifth_is_better_than_none():
    for voltage_mv, relief in ((26090, 1), (26010, 1), (26000, 0)):
        # Of 13 A, 9.5, 10.3 and 10.4 are left to the first: beyond 80 % of the hard 11.
        rig = Rig((26000, 13000), (voltage_mv, 0), hard_current_pct=110, connected=1)
        rig.choose(1)
        assert rig.events.count("relief") == relief, voltage_mv


# Groups


def group_of(*millivolts, wide=False, **changes):
    rig = Rig(*[(millivolt, 0) for millivolt in millivolts], **changes)
    return rig.connector.largest_group((1 << len(millivolts)) - 1, wide)


def test_the_largest_group_starts_and_the_higher_voltage_wins_a_tie():
    assert group_of(26000, 26100, 26140, 27000, 27100) == 0b00111
    assert group_of(26000, 26100, 27000, 27100) == 0b1100
    assert group_of(26000) == 1 and group_of() == 0


def test_the_border_of_the_start_spread_is_inside():
    assert group_of(26000, 26150) == 0b11
    assert group_of(26000, 26151) == 0b10


def test_currents_within_the_group_stay_inside_the_limits():
    # 140 mV over 100 mOhm are 1.4 A.
    assert group_of(26000, 26140, max_current_ma=1400) == 0b11
    assert group_of(26000, 26140, max_current_ma=1390) == 0b10


def test_after_a_failed_start_the_offset_and_the_hard_limits_count():
    assert group_of(26000, 26400, wide=True) == 0b11
    assert group_of(26000, 26501, wide=True) == 0b10
    # 400 mV over 100 mOhm are 4 A: of 80 % of a hard limit of 4.8 A, no; of 5.2 A, yes.
    assert group_of(26000, 26400, wide=True, max_current_ma=2400) == 0b10
    assert group_of(26000, 26400, wide=True, max_current_ma=2600) == 0b11


def test_those_that_cannot_be_opened_count_as_part_of_every_group():
    rig = Rig((28000, 0), (28000, 0), (26000, 0))
    rig.output.pinned = 0b100
    assert rig.connector.largest_group(0b011, False) == 0
    rig.snap.voltage_mv[2] = 27900
    assert rig.connector.largest_group(0b011, False) == 0b011
    rig = Rig((27000, 0), (26000, 0), (28000, 0))
    rig.output.pinned = 0b110
    assert rig.connector.largest_group(0b001, False) == 0, "nobody stands beside these two"


def test_a_dead_output_waits_until_the_group_is_steady():
    rig = Rig((27000, 0), (27010, 0), (27020, 0))
    rig.snap.state[2] = 0
    assert rig.choose(2) == 0
    rig.snap.state[2] = WAITING
    assert rig.choose(2) == 0
    assert rig.choose(1) == 0b111


def test_one_that_flickers_is_left_aside_and_delays_nobody():
    rig = Rig((27000, 0), (27010, 0), (24000, 0), start_spread_mv=5000)
    rig.choose(1)
    rig.snap.voltage_mv[2] = 23990
    assert rig.choose(1) == 0
    rig.snap.voltage_mv[2] = 24000
    assert rig.choose(2) == 0b011 and rig.snap.reason[2] == Reason.UNSTEADY
    rig.connector.due(4840 - 80)
    assert rig.choose(1) == 0 and rig.snap.reason[2] == Reason.UNSTEADY
    assert rig.choose(1) == 0 and rig.snap.reason[2] == Reason.IN_TURN, "after five seconds"


def test_one_whose_reading_comes_late_is_not_unsteady():
    rig = Rig((27000, 0), (27010, 0), (27020, 0))
    rig.choose(1)
    rig.fresh = 0b011
    rig.choose(1)
    rig.fresh = 0b111
    assert rig.choose(3) == 0b111 and rig.snap.reason[2] == Reason.IN_TURN


def test_one_that_shows_a_current_while_it_is_open_keeps_out_of_a_start():
    rig = Rig((27000, 0), (27010, 0), (27000, 501))
    rig.states.stuck = 0b100
    assert rig.choose() == 0b011 and rig.snap.reason[2] == Reason.SENSOR_OFFSET
    rig = Rig((27000, 0), (27010, 0), (27000, 500))
    rig.states.stuck = 0b100
    assert rig.choose() == 0b111
    rig = Rig((27000, 0), (27010, 0), (27000, 501))
    rig.states.stuck = rig.output.moved = 0b100
    rig.choose()
    assert rig.snap.reason[2] == Reason.IN_TURN, "it is connected, whatever it is told"


def test_a_voltage_outside_the_window_keeps_a_battery_off():
    for millivolt, reason in ((30001, Reason.OVERVOLTAGE), (23999, Reason.UNDERVOLTAGE)):
        rig = Rig((millivolt, 1000), (millivolt, 0), connected=1)
        assert rig.choose() == 0 and rig.snap.reason[1] == reason
        rig = Rig((millivolt, 0))
        assert rig.choose() == 0 and rig.snap.reason[0] == reason


def test_a_locked_output_starts_nobody_and_says_so():
    rig = Rig((27000, 0), (27000, 0))
    rig.snap.bus_locked = True
    assert rig.choose() == 0 and rig.snap.reason[0] == Reason.BUS_OVERLOAD


def test_a_stale_reading_does_not_join():
    rig = Rig((27000, 0), (27000, 0))
    rig.fresh = 0b01
    assert rig.choose() == 0b01


def test_those_left_out_of_a_start_are_told_why():
    rig = Rig((27000, 0), (27000, 0), (26000, 0))
    assert rig.choose() == 0b011
    assert rig.snap.reason[2] == Reason.START_SPREAD and rig.snap.reason[0] == Reason.IN_TURN


def test_all_that_fit_close_together_while_those_that_are_connected_carry_nothing():
    rig = Rig((27000, 0), (27100, 0), (27200, 0), (28000, 0), connected=1)
    assert rig.choose() == 0b0110
    assert rig.snap.reason[3] == Reason.BUS_LOWER


def test_a_dead_output_is_looked_at_twice_a_scan_until_it_is_steady():
    rig = Rig((23000, 0))
    for pause_ms in (80, 160, 160, 160):
        rig.connector.choose(rig.fresh)
        assert not rig.connector.due(pause_ms - 1) and rig.connector.due(1)


def with_idle(delta_mv, **changes):
    """(group, reason) of a battery beside a connected one that carries nothing."""
    rig = Rig((27000, 0), (27000 + delta_mv, 0), connected=1, **changes)
    return rig.choose(), rig.snap.reason[1]


def test_who_joins_an_idle_one_lies_within_the_offset_and_the_limits():
    assert with_idle(500)[0] == with_idle(-500)[0] == 0b10
    assert with_idle(501) == (0, Reason.BUS_LOWER)
    assert with_idle(-501) == (0, Reason.BUS_HIGHER)
    # Over 100 mOhm.
    for tight in ({"max_charge_current_ma": 4000}, {"max_discharge_current_ma": 4000}):
        assert with_idle(400, **tight)[0] == with_idle(-400, **tight)[0] == 0b10
        assert with_idle(401, **tight) == (0, Reason.INRUSH) == with_idle(-401, **tight)


def test_without_hard_limits_a_wide_group_stays_within_the_continuous_ones():
    # 400 mV over 100 mOhm.
    for max_ma, group in ((4000, 0b11), (3999, 0b10)):
        found = group_of(26000, 26400, wide=True, max_current_ma=max_ma, hard_current_pct=0)
        assert found == group, max_ma


def test_a_charge_through_an_open_switch_is_as_odd():
    for current_ma, group in ((-501, 0b01), (-500, 0b11)):
        rig = Rig((27000, 0), (27000, current_ma))
        rig.states.stuck = 0b10
        assert rig.choose() == group, current_ma


# Trials


def held(*millivolts, full=False, **changes):
    """Batteries that only their voltage keeps off."""
    rig = Rig(*[(millivolt, 0) for millivolt in millivolts], **changes)
    for i in range(len(millivolts)):
        rig.snap.state[i] = TRIPPED
    if full:
        rig.states.full = rig.fresh
    else:
        rig.states.empty = rig.fresh
    return rig


def test_a_rig_that_only_voltages_hold_tries_what_the_output_is():
    rig = held(23500, 23600)
    assert rig.choose() == 0b11 and rig.starts.trial == 0b11 and rig.starts.kind == EMPTY
    rig = held(29900, 29950, full=True)
    assert rig.choose() == 0b11 and rig.starts.kind == FULL


def test_no_trial_below_the_floor_nor_while_another_will_start():
    assert held(20999, 20990).choose() == 0
    rig = held(23500, 23500, 27000)
    rig.states.empty = 0b011
    rig.snap.eta_ms[2] = 4000
    assert rig.choose() == 0


def test_no_delay_beyond_the_first_keeps_what_a_voltage_holds_from_a_trial():
    for full in (True, False):
        for off_s, group in ((10, 0), (11, 0b11)):
            rig = held(29900, 29950, full=full, reconnect_delay_ms=10000)
            rig.snap.uptime_s, rig.snap.since_s[1] = 100, 100 - off_s
            rig.snap.eta_ms[1] = 500000
            assert rig.choose() == group, (full, off_s)
    rig = held(23500, 25500)
    rig.states.empty = 0b01
    rig.snap.uptime_s, rig.snap.eta_ms[1] = 100, 1000
    assert rig.choose() == 0, "one that no voltage holds will start"


def test_the_full_or_the_empty_whichever_are_more():
    rig = held(29900, 29950, 23500)
    rig.states.full, rig.states.empty = 0b011, 0b100
    assert rig.choose() == 0b011 and rig.starts.kind == FULL
    rig = held(29900, 23500)
    rig.states.full, rig.states.empty = 0b01, 0b10
    assert rig.choose() == 0b10 and rig.starts.kind == EMPTY


def test_one_that_is_not_read_or_tripped_for_another_reason_will_start_without_a_trial():
    rig = held(23500, 23500)
    rig.fresh = 0b01
    assert rig.choose() == 0
    rig = held(23500, 25500)
    rig.states.empty = 0b01
    assert rig.choose() == 0
    rig.starts.ask()
    assert rig.choose() == 0b01, "a person waits for nobody"
    rig = held(23500, 23500)
    rig.snap.current_ma[1] = 501
    rig.states.stuck = 0b10
    assert rig.choose() == 0b01, "a sensor that lies counts for nothing"


def test_one_that_waits_below_its_limit_takes_part():
    rig = held(23500, 23500)
    rig.snap.state[1] = WAITING
    assert rig.choose() == 0b11 and rig.starts.trial == 0b11


def test_the_floor_itself_is_inside():
    assert held(21000).choose() == 1


def test_no_full_one_above_the_hard_limit_takes_part():
    assert held(30900, 30900, full=True).choose() == 0b11
    assert held(30900, 30901, full=True).choose() == 0b01
    assert held(30901, full=True).choose() == 0


def test_half_of_them_or_two_at_least():
    assert held(23500, 22000, 21000).choose() == 0, "one of three"
    assert held(23500, 22400, 21800, 21800, 21100).choose() == 0b01100, "two that fit, of five"
    assert held(23500, 22000).choose() == 0b01, "one of two"


def test_a_delay_is_waited_for_unless_a_person_asks():
    rig = held(23500, 23500)
    rig.snap.eta_ms[0] = rig.snap.eta_ms[1] = 60000
    assert rig.choose() == 0
    rig.starts.ask()
    assert rig.choose() == 0b11


def test_a_person_or_a_charger_that_asks_starts_the_empty_with_the_others():
    rig = held(24050, 24050, 24050)
    rig.snap.state[2] = WAITING
    rig.states.empty = 0b011
    rig.starts.ask()
    assert rig.choose() == 0b111 and rig.starts.trial == 0b111
    rig = held(24050, 24050, 24050)
    rig.snap.state[2] = WAITING
    rig.states.empty = 0b011
    rig.starts.by_charge = True
    assert rig.choose() == 0b111


def test_a_ready_one_starts_without_the_empty_that_are_too_far_from_it():
    for empty_mv in ((22000, 23000), (23000, 23010)):
        rig = held(27000, *empty_mv)
        rig.snap.state[0] = WAITING
        rig.states.empty = 0b110
        rig.starts.by_charge = True
        assert rig.choose() == 0b001 and not rig.starts.trial, empty_mv


def beside_a_ready_one(*millivolts, **changes):
    """Battery 1 is ready; the others are full."""
    rig = held(29400, *millivolts, full=True, **changes)
    rig.snap.state[0] = WAITING
    rig.states.full &= ~1
    return rig


def test_the_full_take_part_when_a_start_without_them_has_failed():
    assert beside_a_ready_one(29700, 29750).choose() == 0b001
    rig = beside_a_ready_one(29700, 29750)
    rig.starts.wide = True
    assert rig.choose() == 0b111 and rig.starts.trial == 0b111 and rig.starts.kind == FULL
    rig = beside_a_ready_one(29700, 29750, trial_interval_ms=0)
    rig.starts.wide = True
    assert rig.choose() == 0b001 and not rig.starts.trial, "without trials it starts alone"
    rig = beside_a_ready_one(23500, 23550)
    rig.states.full, rig.states.empty = 0, 0b110
    rig.starts.wide = True
    assert rig.choose() == 0b001, "the empty are no help"


def test_a_doubtful_output_is_tried_when_nobody_fits():
    rig = Rig((28000, 5000), (25000, 0), (25000, 0))
    rig.snap.state[0] = 6
    rig.states.held = 0b001
    rig.fresh = 0b110
    assert rig.choose() == 0b110 and rig.starts.trial == 0b110
    # 3 V against one of them, over 50 mOhm each, are 40 A and more for that one.
    for others, group in ((2, 0b100), (3, 0)):
        rig = Rig(*[(28000, 0)] * others, (25000, 0))
        rig.states.held = (1 << others) - 1
        rig.fresh = 1 << others
        for i in range(others):
            rig.snap.state[i] = 6
        assert rig.choose() == group, "two bring 40 A, three 45 A"


def test_one_outside_its_window_is_told_so_however_odd_it_is():
    rig = Rig((27000, 0), (23000, 501))
    rig.states.stuck = 0b10
    rig.choose()
    assert rig.snap.reason[1] == Reason.UNDERVOLTAGE


def test_one_that_has_closed_is_not_unsteady_for_it():
    rig = Rig((27000, 0), (27000, 0))
    assert rig.choose() == 0b11
    rig.snap.state[0] = rig.snap.state[1] = ON
    assert rig.choose() == 0
    rig.snap.state[0] = rig.snap.state[1] = WAITING
    assert rig.choose() == 0b11


def test_when_a_lower_one_will_fit_follows_from_its_trend_too():
    rig = Rig((26000, 1000), (24530, 0), connected=1)
    for voltage_mv, join_ms in ((24530, 0), (24630, 9 * 60000)):
        rig.snap.voltage_mv[1] = voltage_mv
        rig.look()
        rig.connector.due(60000)
        rig.connector.choose(rig.fresh)
        assert rig.snap.reason[1] == Reason.BUS_HIGHER
        assert rig.snap.join_ms[1] == join_ms, voltage_mv
