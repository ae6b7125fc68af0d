# SPDX-License-Identifier: GPL-3.0-only
"""Hours of the campaign that logs for days, across midnight."""

from soak import month
from support import ROOT

TEN_MINUTES_BEFORE_S = month.DAY_S - 600


def test_a_midnight_at_a_sample_each_second():
    night = month.Month(ROOT, 1200, 1, 500, TEN_MINUTES_BEFORE_S)
    assert month.faults(night, 1200, 1, TEN_MINUTES_BEFORE_S) == []
    assert set(night.sizes) == {"boot-0001.csv", "events.csv", "2026-07-13.csv", "2026-07-14.csv"}


def test_four_hours_at_a_sample_each_minute():
    duration_s = 4 * 3600
    evening = month.Month(ROOT, duration_s, 60, 2000, TEN_MINUTES_BEFORE_S)
    assert month.faults(evening, duration_s, 60, TEN_MINUTES_BEFORE_S) == []
    evening.rows["2026-07-14.csv"] -= 12
    assert len(month.faults(evening, duration_s, 60, TEN_MINUTES_BEFORE_S)) == 1
