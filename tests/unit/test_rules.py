# SPDX-License-Identifier: GPL-3.0-only
"""The protection policy in numbers: the borders, the delays, the counts."""

from parallelator import settings
from parallelator.catalog import Reason
from parallelator.protection import rules
from parallelator.snapshot import Snapshot


def limits(**changes):
    values, faults, _ = settings.check({"limits." + key: value for key, value in changes.items()})
    assert faults == [], faults
    return rules.Limits(values)


def opened_after(judge, i, voltage_mv, current_ma, step_ms, most_ms):
    """(Reason, ms) until the judge opens, (NONE, most_ms) when it does not."""
    for at_ms in range(0, most_ms, step_ms):
        reason = judge.sample(i, voltage_mv, current_ma, 0, step_ms)
        if reason:
            return reason, at_ms
    return Reason.NONE, most_ms


def test_the_borders_of_the_voltage_window_are_inside():
    for voltage_mv in (24000, 24001, 29999, 30000):
        judge = rules.Judge(limits())
        assert opened_after(judge, 0, voltage_mv, 0, 80, 5000)[0] == Reason.NONE


def test_one_millivolt_outside_opens_after_its_delay():
    reason, after_ms = opened_after(rules.Judge(limits()), 3, 23999, 0, 50, 5000)
    assert (reason, after_ms) == (Reason.UNDERVOLTAGE, 1000)
    reason, after_ms = opened_after(rules.Judge(limits()), 3, 30001, 0, 50, 5000)
    assert (reason, after_ms) == (Reason.OVERVOLTAGE, 500)


def test_a_delay_that_ends_before_the_next_scan_is_followed_at_once():
    judge = rules.Judge(limits())
    for _ in range(6):  # the first begins the 1000 ms: 800 are over
        assert judge.sample(3, 23999, 0, 0, 160) == Reason.NONE and not judge.urgent
    assert judge.sample(3, 23999, 0, 0, 160) == Reason.NONE and judge.urgent
    assert judge.sample(3, 23999, 0, 0, 20) == Reason.NONE and judge.urgent
    assert judge.sample(3, 23999, 0, 0, 20) == Reason.UNDERVOLTAGE


def test_far_outside_opens_with_the_second_sample():
    assert opened_after(rules.Judge(limits()), 3, 21599, 0, 10, 500) == (Reason.UNDERVOLTAGE, 10)
    assert opened_after(rules.Judge(limits()), 3, 30901, 0, 10, 500) == (Reason.OVERVOLTAGE, 10)


def test_a_flag_of_the_sensor_is_the_first_of_the_two_samples():
    for mv, reason in ((31000, Reason.OVERVOLTAGE), (21500, Reason.UNDERVOLTAGE)):
        judge = rules.Judge(limits())
        judge.flagged(3)
        assert judge.trip_pending(1 << 3)
        assert judge.sample(2, mv, 0, 0, 160) == Reason.NONE
        assert judge.sample(3, mv, 0, 0, 160) == reason
        judge.clear(3)
        judge.flagged(3)
        # Inside in between: a conversion that was nothing.
        assert judge.sample(3, 26000, 0, 0, 160) == Reason.NONE
        assert judge.sample(3, mv, 0, 0, 160) == Reason.NONE


def test_currents_up_to_the_limit_stay_and_beyond_it_take_the_inverse_time():
    lim = limits(max_current_ma=1000)
    for current_ma in (900, 1000, -900, -1000):
        assert opened_after(rules.Judge(lim), 0, 27000, current_ma, 80, 60000)[0] == Reason.NONE
    for current_ma in (1100, -1100):
        reason, after_ms = opened_after(rules.Judge(lim), 0, 27000, current_ma, 80, 60000)
        assert reason == Reason.OVERLOAD and 20800 <= after_ms <= 21100, after_ms
    for current_ma, seconds in ((1200, 10.0), (-1400, 4.6)):
        _, after_ms = opened_after(rules.Judge(lim), 0, 27000, current_ma, 20, 60000)
        assert abs(after_ms / 1000 - seconds) <= 0.1, after_ms


def test_the_smaller_of_ceiling_and_direction_counts():
    lim = limits(max_current_ma=9000, max_charge_current_ma=4000)
    assert (lim.discharge_ma, lim.charge_ma) == (9000, 4000)
    assert (lim.hard_discharge_ma, lim.hard_charge_ma) == (18000, 8000)


def test_hard_overcurrent_needs_two_samples_and_asks_for_the_second():
    judge = rules.Judge(limits())
    assert judge.sample(5, 27000, 20001, 0, 10) == Reason.NONE and judge.urgent
    assert judge.sample(5, 27000, 20001, 0, 10) == Reason.OVERCURRENT
    judge = rules.Judge(limits())
    assert judge.sample(5, 27000, -20001, 0, 10) == Reason.NONE and judge.urgent
    assert judge.sample(5, 27000, -20001, 0, 10) == Reason.OVERCURRENT
    judge = rules.Judge(limits())
    assert judge.sample(5, 27000, -20001, 0, 10) == Reason.NONE and judge.urgent
    assert judge.sample(5, 27000, 14000, 0, 10) == Reason.NONE and not judge.urgent


def test_what_asks_for_a_second_sample_asks_whatever_else_is_beyond():
    judge = rules.Judge(limits())
    assert judge.sample(5, 27000, 20001, 1001, 10) == Reason.NONE and judge.urgent


def test_the_overload_is_of_the_limit_of_its_direction():
    lim = limits(max_current_ma=9000, max_discharge_current_ma=4000)
    for current_ma, seconds in ((5000, 7.9), (-10000, 18.9)):
        reason, after_ms = opened_after(rules.Judge(lim), 0, 27000, current_ma, 20, 60000)
        assert reason == Reason.OVERLOAD and abs(after_ms / 1000 - seconds) <= 0.2, after_ms


def test_a_hard_limit_of_zero_is_none():
    judge = rules.Judge(limits(hard_current_pct=0))
    assert opened_after(judge, 0, 27000, 20001, 10, 300)[0] == Reason.NONE


def test_the_overload_sum_drains_below_the_limit_and_closing_does_not_empty_it():
    judge = rules.Judge(limits())
    assert opened_after(judge, 2, 27000, 14000, 50, 4000)[0] == Reason.NONE
    for _ in range(200):
        judge.sample(2, 27000, 0, 0, 50)
    assert opened_after(judge, 2, 27000, 14000, 50, 4000)[0] == Reason.NONE
    judge.clear(2)
    assert judge.trip_pending(1 << 2)
    assert opened_after(judge, 2, 27000, 14000, 50, 4000)[0] == Reason.OVERLOAD


def test_the_overload_sum_drains_while_open_and_not_while_the_current_flows_on():
    def reopened_after(rest_ms, current_ma, step_ms=100):
        judge = rules.Judge(limits())
        assert opened_after(judge, 2, 27000, 14000, 50, 10000)[0] == Reason.OVERLOAD
        for _ in range(rest_ms // step_ms):
            judge.rest(2, current_ma, step_ms)
        judge.clear(2)
        return opened_after(judge, 2, 27000, 14000, 50, 10000)[1]

    full_ms = reopened_after(10000, 0)
    assert 4500 <= full_ms <= 4700, full_ms
    assert abs(reopened_after(2200, 0) - full_ms // 2) <= 100
    assert reopened_after(2200, 12000) == 0
    # What nobody saw counts as half a second.
    assert reopened_after(60000, 0, step_ms=60000) < full_ms // 4


def test_a_gap_between_samples_counts_at_most_500_ms_of_overload():
    judge = rules.Judge(limits())
    assert judge.sample(0, 27000, 14000, 0, 60000) == Reason.NONE


def test_a_surge_between_two_samples_counts_for_half_of_the_time():
    judge = rules.Judge(limits())
    judge.sample(0, 27000, 9000, 0, 160)
    assert judge.sample(0, 26000, 49000, 0, 180) == Reason.NONE
    assert judge.sample(0, 27000, 9000, 0, 20) == Reason.NONE
    judge = rules.Judge(limits(hard_current_pct=0))
    judge.sample(0, 26000, 49000, 0, 180)
    assert judge.sample(0, 26000, 49000, 0, 160) == Reason.OVERLOAD


def test_the_topmost_rule_names_the_reason():
    judge = rules.Judge(limits())
    judge.sample(0, 35000, 20001, 0, 10)
    assert judge.sample(0, 35000, 20001, 0, 10) == Reason.OVERCURRENT


def test_batteries_do_not_share_their_samples():
    judge = rules.Judge(limits())
    judge.sample(0, 27000, 20001, 0, 10)
    assert judge.sample(1, 27000, 20001, 0, 10) == Reason.NONE


def recovered(lim, reason, voltage_mv, celsius=25, live=False, charging=False):
    return rules.recovered(lim, reason, voltage_mv, celsius, live, charging)


def test_recovery_needs_its_margin():
    lim = limits()
    assert not recovered(lim, Reason.UNDERVOLTAGE, 24999)
    assert recovered(lim, Reason.UNDERVOLTAGE, 25000)
    assert not recovered(lim, Reason.OVERVOLTAGE, 29501)
    assert recovered(lim, Reason.OVERVOLTAGE, 29500)
    assert recovered(lim, Reason.OVERCURRENT, 24000)
    assert not recovered(lim, Reason.OVERCURRENT, 23999)


def test_an_empty_pack_joins_a_bus_that_is_being_charged_without_margin():
    lim = limits()
    for reason in (Reason.NONE, Reason.UNDERVOLTAGE, Reason.OVERCURRENT):
        assert recovered(lim, reason, 21000, live=True, charging=True), reason
        assert not recovered(lim, reason, 20999, live=True, charging=True), reason
    assert not recovered(lim, Reason.OVERVOLTAGE, 29501, live=True, charging=True)
    assert not recovered(lim, Reason.UNDERVOLTAGE, 30001, live=True, charging=True)


def test_a_full_pack_needs_no_margin_where_the_output_is_not_charged():
    lim = limits()
    assert recovered(lim, Reason.OVERVOLTAGE, 30000, live=True)
    assert not recovered(lim, Reason.OVERVOLTAGE, 30001, live=True)
    assert not recovered(lim, Reason.OVERVOLTAGE, 29501), "a dead output may be a charger's"


def test_a_hot_pack_must_be_ten_degrees_cooler():
    lim = limits()
    assert not recovered(lim, Reason.OVERTEMPERATURE, 26000, celsius=76)
    assert recovered(lim, Reason.OVERTEMPERATURE, 26000, celsius=75)
    assert recovered(lim, Reason.OVERCURRENT, 26000, celsius=84)


def balance(*readings, **changes):
    """A Balance that has looked at these (mV, mA)."""
    snap = Snapshot()
    for i, (voltage_mv, current_ma) in enumerate(readings):
        snap.voltage_mv[i] = voltage_mv
        snap.current_ma[i] = current_ma
    found = rules.Balance(snap, limits(**changes))
    found.look((1 << len(readings)) - 1)
    return found


def test_lag_is_measured_against_the_highest_connected_pack():
    found = balance((26000, 0), (25100, 0), (24999, 0))
    assert found.odd == -1 and found.reference_mv == 26000
    assert found.lag_mv(1, 25100) == 900 and found.lag_mv(2, 24999) == 1001


def test_of_three_or_more_the_one_far_above_the_median_is_odd_and_the_next_is_the_reference():
    found = balance((26000, 0), (26010, 0), (27020, 0), (25990, 0))
    assert found.odd == 2 and found.reference_mv == 26010
    assert found.lag_mv(2, 27020) == 27020 - 26005 and found.lag_mv(0, 26000) == 10
    assert balance((26000, 0), (28500, 0)).odd == -1
    assert balance((26000, 0), (26000, 0), (27000, 0)).odd == -1


def test_imbalance_opens_after_its_time_and_three_samples():
    judge = rules.Judge(limits())
    for _ in range(100):
        assert judge.sample(0, 26000, 0, 1000, 80) == Reason.NONE
    verdicts = [judge.sample(0, 26000, 0, 1001, 80) for _ in range(20)]
    assert verdicts.index(Reason.IMBALANCE) == 19 and not judge.urgent
    judge = rules.Judge(limits())
    verdicts = [judge.sample(0, 26000, 0, 1001, 2000) for _ in range(3)]
    assert verdicts == [Reason.NONE, Reason.NONE, Reason.IMBALANCE]


def test_a_pack_that_gives_is_not_filled_and_one_that_takes_is_not_emptied():
    judge = rules.Judge(limits())
    assert opened_after(judge, 0, 30900, 100, 80, 5000)[0] == Reason.NONE
    assert opened_after(judge, 1, 30900, 99, 80, 5000)[0] == Reason.OVERVOLTAGE
    assert opened_after(judge, 2, 30901, 100, 80, 5000)[0] == Reason.OVERVOLTAGE
    assert opened_after(judge, 3, 21000, -101, 80, 5000)[0] == Reason.NONE
    assert opened_after(judge, 4, 23999, -100, 80, 5000)[0] == Reason.UNDERVOLTAGE
    assert opened_after(judge, 5, 20999, -101, 80, 5000)[0] == Reason.UNDERVOLTAGE


def test_a_pack_that_carries_nothing_while_the_others_do_opens_after_five_seconds():
    judge = rules.Judge(limits())
    for _ in range(50):
        assert judge.sample(0, 26000, 0, 0, 100, 2000) == Reason.NONE
    assert judge.sample(0, 26000, 0, 0, 100, 2000) == Reason.NO_SHARE
    judge = rules.Judge(limits())
    for _ in range(100):
        assert judge.sample(0, 26000, 0, 0, 100, 1999) == Reason.NONE
    verdicts = [judge.sample(0, 26000, 0, 0, 2500, 2000) for _ in range(3)]
    assert verdicts == [Reason.NONE, Reason.NONE, Reason.NO_SHARE], "three samples are enough"


def test_overtemperature_opens_with_the_third_sample():
    judge = rules.Judge(limits())
    assert [judge.temperature(0, 85) for _ in range(5)] == [Reason.NONE] * 5
    found = [judge.temperature(0, 86) for _ in range(3)]
    assert found == [Reason.NONE, Reason.NONE, Reason.OVERTEMPERATURE]


def test_only_those_that_carry_are_the_measure_of_the_others():
    # The first is at rest behind a switch that does not conduct.
    looked = balance((28000, 0), (26000, 4000))
    assert looked.reference_mv == 26000 and looked.median_mv == 26000
    looked = balance((28000, 0), (26000, 0))
    assert looked.reference_mv == 28000, "nobody carries: all count"


def test_what_the_others_carry_is_their_mean_and_needs_two_of_them():
    looked = balance((26000, 0), (26000, 3000), (26000, -2600))
    assert looked.unshared_ma(26100, 0) == 2600 and looked.unshared_ma(26100, 50) == 0
    looked = balance((26000, 0), (26000, 0), (26000, 3000), (26000, -3000))
    assert looked.unshared_ma(26100, 0) == 2000 and looked.unshared_ma(26100, -48) == 1984
    lying = balance((26000, 0), (26000, 0), (26000, 12000))
    assert lying.unshared_ma(26100, 0) == 0, "one may lie"
    assert balance((26000, 0), (26000, 9000)).unshared_ma(26100, 0) == 0
    assert balance((26000, 40), (26000, 9000)).unshared_ma(26100, 40) == 0, "nor with a little"


def test_a_pack_that_is_level_with_the_output_rightly_carries_nothing():
    # 3 A through 20 mOhm: the output is 60 mV below those that carry.
    looked = balance((25940, 0), (26000, 3000), (26000, 3000))
    assert looked.unshared_ma(25890, 0) == looked.unshared_ma(25990, 0) == 0
    assert looked.unshared_ma(25889, 0) == looked.unshared_ma(25991, 0) == 3000


def test_beyond_hard_is_exact_in_each_direction():
    lim = limits(max_charge_current_ma=5000)
    found = [rules.is_beyond_hard(lim, ma) for ma in (20000, 20001, -10000, -10001, 0)]
    assert found == [False, True, False, True, False]
    assert not rules.is_beyond_hard(limits(hard_current_pct=0), 80000)


def test_cooling_doubles_up_to_ten_minutes():
    lim = limits()
    assert [rules.cooling_ms(lim, k) for k in (0, 1, 2, 10, 255)] == [
        10000,
        20000,
        40000,
        600000,
        600000,
    ]
    assert rules.cooling_ms(limits(reconnect_delay_ms=3600000), 3) == 3600000


def test_every_number_fits_a_32_bit_chip():
    # Small ints end at 2**30 - 1 there. The cap of thirty times the limit keeps the squares below.
    judge = rules.Judge(limits(max_current_ma=100, hard_current_pct=0))
    for _ in range(2):
        judge.sample(0, 27000, 81920, 0, 100)
    assert 30000 * 30000 < 1 << 30
    assert (30000 * 30000 // 1000 - 1000) * 100 + rules.HEAT_LIMIT < 1 << 30
    assert 81920 * 1000 < 1 << 30


def test_several_rules_at_once_give_the_reason_of_the_highest():
    # 75 A: the sum of an overload is over at once, the second sample beyond 20 A is still to come.
    assert rules.Judge(limits()).sample(0, 26000, 75000, 0, 200) == Reason.OVERCURRENT
    judge = rules.Judge(limits())
    assert opened_after(judge, 0, 26000, 14900, 80, 30000)[0] == Reason.OVERLOAD
    # Out of balance for long enough, and below the lower limit for a moment only.
    judge = rules.Judge(limits())
    for _ in range(19):
        assert judge.sample(0, 24010, 0, 1100, 80) == Reason.NONE
    assert judge.sample(0, 23990, 0, 1100, 80) == Reason.IMBALANCE


def test_a_table_longer_than_its_memory_stops_the_start():
    rows = rules.RULES
    try:
        for wrong in (
            rows + rows[:1],
            rows[:-1],
            ((1, 8, 0, 0, 1, True),) + rows[1:],
            rows[-1:] + rows[:-1],
        ):
            rules.RULES = wrong
            try:
                rules.Judge(rules.Limits(settings.Values({})))
            except ValueError as error:
                assert "RULES" in str(error)
            else:
                raise AssertionError(wrong)
    finally:
        rules.RULES = rows


def test_the_hard_limits_follow_from_the_others():
    lim = limits(max_current_ma=9000, max_discharge_current_ma=4000, hard_current_pct=150)
    assert (lim.discharge_ma, lim.charge_ma) == (4000, 9000)
    assert (lim.hard_discharge_ma, lim.hard_charge_ma) == (6000, 13500)
    assert (lim.hard_low_mv, lim.hard_high_mv) == (21600, 30900)
    assert limits(charge_floor_mv=21500).charge_floor_mv == 21500
    values = settings.Values({})
    values["limits.charge_floor_mv"] = 25000
    assert rules.Limits(values).charge_floor_mv == 24000, "never above the window"


def test_the_share_of_the_hard_limit_is_of_its_direction():
    lim = limits(max_current_ma=9000, max_discharge_current_ma=4000)
    shares = [rules.hard_share(lim, ma) for ma in (0, 4000, 8000, -9000, -18180)]
    assert shares == [0, 50, 100, 50, 101]
    assert rules.hard_share(limits(hard_current_pct=0), 90000) == 0


def test_a_battery_is_strained_beyond_four_fifths_of_its_continuous_limit():
    judge = rules.Judge(limits(max_current_ma=9000, max_discharge_current_ma=4000))
    for current_ma, strained in ((3200, False), (3201, True), (-7200, False), (-7201, True)):
        assert judge.strained(0b10, [0, current_ma]) == strained, current_ma
    assert not judge.strained(0b01, [0, 9000])


def test_only_the_batteries_of_the_mask_are_pending():
    judge = rules.Judge(limits())
    judge.flagged(3)
    assert judge.trip_pending(0b1000) and not judge.trip_pending(0b0111)
    assert not judge.trip_pending(0)
    judge.clear(2)
    assert not judge.trip_pending(0b0100), "without heat"
    judge.sample(3, 26000, 0, 0, 160)
    assert not judge.trip_pending(0b1000)
    judge.sample(3, 26000, 0, 1001, 160)
    assert judge.trip_pending(0b1000), "a row counts although there is no heat"


def test_a_flag_does_not_take_back_what_was_counted():
    judge = rules.Judge(limits())
    judge.sample(3, 31000, 0, 0, 160)
    judge.flagged(3)
    assert judge.sample(3, 31000, 0, 0, 160) == Reason.OVERVOLTAGE


def test_after_an_unseen_time_every_row_begins_anew_and_the_heat_stays():
    judge = rules.Judge(limits())
    judge.sample(2, 23999, 20001, 0, 500)
    judge.sample(1, 26000, 20001, 0, 10)
    judge.sample(3, 26000, 20001, 0, 10)
    judge.restart(2)
    assert judge.sample(2, 23999, 20001, 0, 500) == Reason.NONE
    assert judge.sample(1, 26000, 20001, 0, 10) == Reason.OVERCURRENT
    assert judge.sample(3, 26000, 20001, 0, 10) == Reason.OVERCURRENT
    assert judge.kept[0][0][2] > 0


def test_a_sum_of_batteries_is_told_with_their_mean():
    found = balance((26000, 3000), (26100, -1000), (25901, 0))
    assert (found.total_ma, found.mean_mv) == (2000, 26000)
    found.look(0b010)
    assert (found.total_ma, found.mean_mv, found.reference_mv) == (-1000, 26100, 26100)
    found.look(0)
    assert (found.total_ma, found.mean_mv, found.reference_mv, found.odd) == (0, 0, 0, -1)


def test_the_median_counts_once_they_lie_further_apart_than_the_offset():
    assert balance((26000, 0), (26500, 0)).median_mv == 0
    assert balance((26000, 0), (26501, 0)).median_mv == 26250
    assert balance((26000, 0), (26400, 0), imbalance_mv=400).median_mv == 0
    assert balance((26000, 0), (26401, 0), imbalance_mv=400).median_mv == 26200
    assert balance((26000, 0), (26100, 0), (26501, 0)).median_mv == 26100


def test_who_carries_50_milliamperes_is_a_measure_of_the_others():
    for current_ma, carries in ((49, False), (50, True), (-49, False), (-50, True)):
        found = balance((28000, 0), (26000, current_ma))
        assert found.reference_mv == (26000 if carries else 28000), current_ma
        shares = balance((26000, current_ma), (26000, 3000), (26000, 3000))
        assert bool(shares.unshared_ma(26100, current_ma)) != carries, current_ma


def test_the_odd_one_is_more_than_the_imbalance_above_the_median():
    found = balance((26000, 0), (26000, 0), (27001, 0))
    assert found.odd == 2 and found.reference_mv == 26000
    assert found.lag_mv(2, 27001) == 1001 and found.lag_mv(1, 26000) == 0
    found = balance((27001, 0), (26000, 0), (26000, 0))
    assert found.odd == 0
    found = balance((26000, 0), (27000, 0), (26000, 0))
    assert found.odd == -1 and found.lag_mv(0, 26000) == 1000
