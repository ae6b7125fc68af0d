# SPDX-License-Identifier: GPL-3.0-only
"""Local time from a POSIX TZ string: pure code, also for CPython. Used by clock and settings.

`CET-1CEST,M3.5.0,M10.5.0/3` reads: CET is one hour ahead of UTC (the sign counts westwards), CEST
one hour more, from the last (5th) Sunday (0) of March, 2:00 on the clock, to that of October, 3:00
(POSIX.1-2024 section 8.3, with the hours of -167 to 167 of RFC 9636 section 3.3.1). Only rules of
the form M are known: the tz database uses no other for the years to come.
"""

from micropython import const

_DAY_S = const(86400)
_HOUR_S = const(3600)
_DAYS_BEFORE = (0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334)
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_QUOTED = _LETTERS + "+-0123456789"
ALLOWED = "a POSIX time zone, as UTC0, CET-1CEST,M3.5.0,M10.5.0/3 or <+03>-3"


def parsed(text: str):
    """A zone as (standard offset in s, daylight offset or None, begin rule, end rule).

    Offsets are added to UTC; a rule is (month, week, weekday, seconds after midnight).

    Raises:
        ValueError: it is no such string.
    """
    parts = text.split(",")
    head = _Reader(parts[0])
    head.name()
    standard_s = -head.time(24)
    if head.done():
        if len(parts) > 1:
            raise ValueError
        return standard_s, None, None, None
    head.name()
    daylight_s = standard_s + _HOUR_S if head.done() else -head.time(24)
    if not head.done() or len(parts) != 3:
        raise ValueError
    return standard_s, daylight_s, _rule(parts[1]), _rule(parts[2])


def offset_s(zone: tuple, unix_s: int) -> int:
    """What to add to UTC for local time at `unix_s`, seconds since 1970; zone: as `parsed` gives.

    A change of the clocks within a day of New Year is not looked for.
    """
    standard_s, daylight_s, begin, end = zone
    if daylight_s is None:
        return standard_s
    year = _year_of((unix_s + standard_s) // _DAY_S)
    begin_s = _moment(begin, year) - standard_s
    end_s = _moment(end, year) - daylight_s
    if begin_s < end_s:
        summer = begin_s <= unix_s < end_s
    else:
        summer = not end_s <= unix_s < begin_s
    return daylight_s if summer else standard_s


def _rule(text: str):
    """`Mm.w.d`, with `/time` or at 2:00."""
    reader = _Reader(text)
    reader.take("M")
    month = reader.number(12, 1)
    reader.take(".")
    week = reader.number(5, 1)
    reader.take(".")
    weekday = reader.number(6)
    time_s = 2 * _HOUR_S
    if not reader.done():
        reader.take("/")
        time_s = reader.time(167)
    if not reader.done():
        raise ValueError
    return month, week, weekday, time_s


def _moment(rule: tuple, year: int):
    """When a rule holds in a year: seconds since 1970 on a clock without zone."""
    month, week, weekday, time_s = rule
    first = days(year, month, 1)
    after = days(year + month // 12, month % 12 + 1, 1)
    # 1970-01-01 was a Thursday, weekday 4.
    day = first + (weekday - first - 4) % 7 + 7 * (week - 1)
    if day >= after:
        day -= 7
    return day * _DAY_S + time_s


def days(year: int, month: int, day: int):
    """Days from 1970-01-01 to a date of the years 1970 to 2099."""
    leap_days = (year - 1969) // 4
    if year % 4 == 0 and month > 2:
        leap_days += 1
    return (year - 1970) * 365 + leap_days + _DAYS_BEFORE[month - 1] + day - 1


def _year_of(day: int):
    year = 1970 + day // 366
    while days(year + 1, 1, 1) <= day:
        year += 1
    return year


class _Reader:
    """Reads a text from left to right; what is not as it must be raises ValueError."""

    def __init__(self, text: str):
        self._text = text
        self._at = 0

    def done(self):
        """True when nothing is left."""
        return self._at == len(self._text)

    def take(self, chars: str):
        """The next character if it is one of `chars`."""
        char = self._text[self._at : self._at + 1]
        if not char or char not in chars:
            raise ValueError
        self._at += 1
        return char

    def name(self):
        """Three letters or more, or more kinds of characters in angle brackets."""
        begin = self._at
        quoted = self._text[begin : begin + 1] == "<"
        if quoted:
            begin += 1
        end = begin
        while end < len(self._text) and self._text[end] in (_QUOTED if quoted else _LETTERS):
            end += 1
        self._at = end
        if end - begin < 3:
            raise ValueError
        if quoted:
            self.take(">")

    def number(self, highest: int, lowest: int = 0):
        """A whole number within its range."""
        begin = self._at
        while self._text[self._at : self._at + 1].isdigit():
            self._at += 1
        if not 1 <= self._at - begin <= 3:
            raise ValueError
        value = int(self._text[begin : self._at])
        if not lowest <= value <= highest:
            raise ValueError
        return value

    def time(self, hours: int):
        """`[+-]h[:m[:s]]` with at most `hours`, in seconds."""
        sign = self._text[self._at : self._at + 1]
        if sign in ("+", "-"):
            self._at += 1
        total_s = self.number(hours) * _HOUR_S
        for unit_s in (60, 1):
            if self._text[self._at : self._at + 1] != ":":
                break
            self._at += 1
            total_s += self.number(59) * unit_s
        return -total_s if sign == "-" else total_s
