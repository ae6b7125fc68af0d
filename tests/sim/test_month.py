"""Minutes of the campaign that logs for days: a midnight each second, and hours each minute."""

from soak import month
from support import ROOT

TEN_MINUTES_BEFORE_S = month.DAY_S - 600


def test_a_midnight_at_a_sample_each_second():
    night = month.Month(ROOT, 1200, 1, 500, TEN_MINUTES_BEFORE_S)
    assert month.faults(night, 1200, 1, TEN_MINUTES_BEFORE_S) == []
    assert set(night.sizes) == {"boot-0001.csv", "events.csv", "2026-07-13.csv", "2026-07-14.csv"}


def test_two_days_at_a_sample_each_minute():
    two = 2 * month.DAY_S
    days = month.Month(ROOT, two, 60, 2000)
    assert month.faults(days, two, 60) == []
    assert days.rows["2026-07-13.csv"] > 5700
    del days.sizes["2026-07-14.csv"]
    assert len(month.faults(days, two, 60)) == 1
