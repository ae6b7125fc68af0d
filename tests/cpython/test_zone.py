# SPDX-License-Identifier: GPL-3.0-only
"""Local time from POSIX TZ strings, against Python's zoneinfo."""

import datetime
import zoneinfo

import pytest

from parallelator import zone

UTC = datetime.UTC
zoneinfo.reset_tzpath([])  # not the host's database: the pinned one
ZONES = {
    "Europe/Paris": "CET-1CEST,M3.5.0,M10.5.0/3",
    "America/New_York": "EST5EDT,M3.2.0,M11.1.0",
    "Australia/Lord_Howe": "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0",
    "Europe/Dublin": "IST-1GMT0,M10.5.0,M3.5.0/1",
    "America/Nuuk": "<-02>2<-01>,M3.5.0/-1,M10.5.0/0",
    "Pacific/Chatham": "<+1245>-12:45<+1345>,M9.5.0/2:45,M4.1.0/3:45",
    "Asia/Jerusalem": "IST-2IDT,M3.4.4/26,M10.5.0",
    "America/Santiago": "<-04>4<-03>,M9.1.6/24,M4.1.6/24",
    "Europe/Istanbul": "<+03>-3",
    "Asia/Kathmandu": "<+0545>-5:45",
}


def unix_s(*date):
    return int(datetime.datetime(*date, tzinfo=UTC).timestamp())


@pytest.mark.parametrize("name", ZONES)
@pytest.mark.parametrize("year, step_s", [(2026, 900), (2035, 3600)])
def test_two_years_are_as_zoneinfo_says(name, year, step_s):
    there = zoneinfo.ZoneInfo(name)

    def expected_s(second):
        local = datetime.datetime.fromtimestamp(second, there)
        return local.utcoffset().total_seconds()

    rules = zone.parsed(ZONES[name])
    changes = 0
    last = None
    for second in range(unix_s(year, 1, 1), unix_s(year + 2, 1, 1), step_s):
        offset_s = zone.offset_s(rules, second)
        if last not in (None, offset_s):
            changes += 1
            if step_s == 900:
                assert zone.offset_s(rules, second - 1) == expected_s(second - 1) != offset_s
        last = offset_s
        assert offset_s == expected_s(second), datetime.datetime.fromtimestamp(second, UTC)
    assert changes == (4 if "," in ZONES[name] else 0)


@pytest.mark.parametrize("date", [(2024, 2, 29), (2026, 1, 1), (2067, 12, 31), (2099, 12, 31)])
def test_days_are_counted(date):
    assert zone.days(*date) * 86400 == unix_s(*date)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "UTC",
        "0",
        "UT0",
        "UTC0,",
        "UTC25",
        "UTC0:60",
        "UTC0 ",
        "Europe/Paris",
        "CET-1CEST",
        "CET-1CEST,M3.5.0",
        "CET-1CEST,M3.5.0,M10.5.0,M10.5.0",
        "CET-1CEST,M13.5.0,M10.5.0",
        "CET-1CEST,M3.0.0,M10.5.0",
        "CET-1CEST,M3.6.0,M10.5.0",
        "CET-1CEST,M3.5.7,M10.5.0",
        "CET-1CEST,M3.5.0/168,M10.5.0",
        "CET-1CEST,J60,J300",
        "CET-1CEST-,M3.5.0,M10.5.0",
        "<+03-3",
        "<+0>-3",
        "+03-3",
        "<+0é>-3",
    ],
)
def test_what_is_no_zone_is_refused(text):
    with pytest.raises(ValueError):
        zone.parsed(text)
