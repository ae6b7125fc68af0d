# SPDX-License-Identifier: GPL-3.0-only
"""The alarm of a protection that reacts late: once a minute, unless it gets worse."""

from parallelator.protection.warnings import Warnings
from parallelator.snapshot import RIG


class Snap:
    """What Warnings needs of a snapshot."""

    uptime_s = 0
    late = False

    def alarm(self, alarm, i, on):
        assert (alarm, i) == ("deadline_missed", RIG)
        self.late = on


class Late:
    """A `Warnings`, the late ticks that became events, and a clock to set."""

    def __init__(self):
        self.told = []
        self.snap = Snap()
        self.warnings = Warnings(
            self.snap, None, None, lambda code, i, s, r, ms: self.told.append(ms)
        )

    def gaps(self, uptime_s, *gaps_ms):
        self.snap.uptime_s = uptime_s
        for gap_ms in gaps_ms:
            self.warnings.deadline(gap_ms)
        return self.told, self.snap.late


def test_up_to_80_ms_is_in_time():
    assert Late().gaps(10, 20, 80) == ([], False)


def test_only_a_longer_gap_is_told_again_while_the_alarm_stands():
    late = Late()
    assert late.gaps(10, 90, 85, 90, 20) == ([90], True)
    assert late.gaps(60, 89, 91, 20) == ([90, 91], True)
    assert late.gaps(120, 20) == ([90, 91], True)


def test_after_a_minute_in_time_the_alarm_ends_and_the_next_gap_is_told():
    late = Late()
    late.gaps(10, 500)
    assert late.gaps(71, 20) == ([500], False)
    assert late.gaps(72, 81) == ([500, 81], True)
