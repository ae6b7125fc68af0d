# SPDX-License-Identifier: GPL-3.0-only
"""Properties of the pure decisions, whatever the numbers."""

from hypothesis import given
from hypothesis import strategies as st

from parallelator import settings
from parallelator.catalog import Reason
from parallelator.protection import rules

VOLTAGE = st.integers(0, 60000)
CURRENT = st.integers(-82000, 82000)
READING = st.tuples(VOLTAGE, CURRENT)


def limits(**changes):
    values = settings.Values({})
    values.given.update({"limits." + key: value for key, value in changes.items()})
    return rules.Limits(values)


def verdict(samples, dt_ms=80):
    """(how many samples until the first decision to open, its Reason), or (None, NONE)."""
    judge = rules.Judge(limits())
    for k, (voltage_mv, current_ma) in enumerate(samples):
        reason = judge.sample(0, voltage_mv, current_ma, 0, dt_ms)
        if reason:
            return k, reason
    return None, Reason.NONE


@given(st.lists(st.tuples(st.integers(24000, 30000), st.integers(-10000, 10000)), max_size=40))
def test_readings_inside_every_limit_never_open(samples):
    assert verdict(samples) == (None, Reason.NONE)


@given(st.lists(READING, min_size=1, max_size=40), st.integers(0, 20000))
def test_more_current_never_opens_later(samples, more_ma):
    worse = [(mv, ma + more_ma if ma >= 0 else ma - more_ma) for mv, ma in samples]
    mild, _ = verdict(samples)
    severe, _ = verdict(worse)
    assert mild is None or (severe is not None and severe <= mild)


@given(st.lists(READING, min_size=1, max_size=40), st.integers(0, 20000))
def test_a_voltage_further_outside_never_opens_later(samples, more_mv):
    worse = [
        (mv + more_mv if mv > 30000 else max(mv - more_mv, 0) if mv < 24000 else mv, ma)
        for mv, ma in samples
    ]
    mild, _ = verdict(samples)
    severe, _ = verdict(worse)
    assert mild is None or (severe is not None and severe <= mild)


@given(st.integers(20001, 82000), st.sampled_from((1, -1)), st.integers(24000, 30000))
def test_two_samples_beyond_the_hard_limit_always_open(size_ma, sign, voltage_mv):
    assert verdict([(voltage_mv, sign * size_ma)] * 2, 10) == (1, Reason.OVERCURRENT)


@given(st.lists(READING, max_size=30))
def test_every_decision_names_a_rule_of_the_table(samples):
    _, reason = verdict(samples)
    assert reason == Reason.NONE or reason in {row[0] for row in rules.RULES}


@given(st.integers(0, 255), st.integers(1000, 3600000))
def test_cooling_never_shrinks_with_repeats(repeats, delay_ms):
    lim = limits(reconnect_delay_ms=delay_ms)
    assert rules.cooling_ms(lim, repeats) <= rules.cooling_ms(lim, repeats + 1)
    assert delay_ms <= rules.cooling_ms(lim, repeats) <= max(600000, delay_ms)
