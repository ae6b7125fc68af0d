"""The protection policy in numbers: the borders, the delays, the counts."""

from parallelator import settings
from parallelator.protection import rules
from parallelator.snapshot import Reason


def limits(**changes):
    values, faults, _ = settings.check(
        {"limits." + key: value for key, value in changes.items()}, settings.defaults()
    )
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


def test_far_outside_opens_with_the_second_sample():
    assert opened_after(rules.Judge(limits()), 3, 21599, 0, 10, 500) == (Reason.UNDERVOLTAGE, 10)
    assert opened_after(rules.Judge(limits()), 3, 30901, 0, 10, 500) == (Reason.OVERVOLTAGE, 10)


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
    assert (lim.hard_discharge_ma, lim.hard_charge_ma) == (13500, 6000)


def test_hard_overcurrent_needs_two_samples_and_asks_for_the_second():
    judge = rules.Judge(limits())
    assert judge.sample(5, 27000, 15001, 0, 10) == Reason.NONE and judge.urgent
    assert judge.sample(5, 27000, 15001, 0, 10) == Reason.OVERCURRENT
    judge = rules.Judge(limits())
    assert judge.sample(5, 27000, -15001, 0, 10) == Reason.NONE and judge.urgent
    assert judge.sample(5, 27000, 14000, 0, 10) == Reason.NONE and not judge.urgent


def test_a_hard_limit_of_zero_is_none():
    judge = rules.Judge(limits(hard_current_pct=0))
    assert opened_after(judge, 0, 27000, 15001, 10, 300)[0] == Reason.NONE


def test_the_overload_sum_drains_below_the_limit_and_starts_empty_at_closing():
    judge = rules.Judge(limits())
    assert opened_after(judge, 2, 27000, 14000, 50, 4000)[0] == Reason.NONE
    for _ in range(200):
        judge.sample(2, 27000, 0, 0, 50)
    assert opened_after(judge, 2, 27000, 14000, 50, 4000)[0] == Reason.NONE
    judge.clear(2)
    assert opened_after(judge, 2, 27000, 14000, 50, 4000)[0] == Reason.NONE


def test_a_gap_between_samples_counts_at_most_100_ms_of_overload():
    judge = rules.Judge(limits())
    assert judge.sample(0, 27000, 14000, 0, 60000) == Reason.NONE


def test_the_topmost_rule_names_the_reason():
    judge = rules.Judge(limits())
    judge.sample(0, 35000, 20000, 0, 10)
    assert judge.sample(0, 35000, 20000, 0, 10) == Reason.OVERCURRENT


def test_batteries_do_not_share_their_samples():
    judge = rules.Judge(limits())
    judge.sample(0, 27000, 20000, 0, 10)
    assert judge.sample(1, 27000, 20000, 0, 10) == Reason.NONE


def test_recovery_needs_its_margin():
    lim = limits()
    assert not rules.recovered(lim, Reason.UNDERVOLTAGE, 24999)
    assert rules.recovered(lim, Reason.UNDERVOLTAGE, 25000)
    assert not rules.recovered(lim, Reason.OVERVOLTAGE, 29501)
    assert rules.recovered(lim, Reason.OVERVOLTAGE, 29500)
    assert rules.recovered(lim, Reason.OVERCURRENT, 24000)
    assert not rules.recovered(lim, Reason.OVERCURRENT, 23999)


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
