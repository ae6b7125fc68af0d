# SPDX-License-Identifier: GPL-3.0-only
"""What is kept in RTC memory: the newer whole copy wins, and nothing is believed blindly."""

from array import array

from parallelator import settings
from parallelator.protection import metering, rules
from parallelator.protection.output import Output
from parallelator.protection.starts import Starts
from parallelator.protection.states import States
from parallelator.protection.zero import Zero
from parallelator.records.rtc_state import RtcState
from parallelator.snapshot import Snapshot

RTC_BYTES = 2048


class Chip:
    """RTC memory. A write is cut off after `left` bytes, None = it never is."""

    def __init__(self, content=b""):
        self.content = content
        self.left = None
        self.writes = 0

    def write(self, block):
        self.writes += 1
        assert len(block) <= RTC_BYTES
        whole = bytes(block) if self.left is None else bytes(block[: self.left])
        self.content = whole + self.content[len(whole) :]


class Rig:
    """A table with one row of each kind, and what RTC memory holds of it."""

    def __init__(self, chip, highest=600000, trips=()):
        self.snap = Snapshot()
        self.delays = array("i", bytes(16))
        self.trips = array("h", list(trips) or bytes(8))
        self.causes = bytearray(5)
        self.times = array("i", bytes(20))
        self.rtc = RtcState(
            chip.content,
            chip.write,
            self.snap,
            (
                (self.delays, "i", 0, highest, False),
                (self.trips, "h", 0, 5, False),
                (self.causes, "B", 0, 21, False),
                (self.times, "i", -3600, 0, True),
            ),
        )

    def values(self):
        return [list(row) for row in (self.delays, self.trips, self.causes, self.times)]


def written(times=1):
    """RTC memory in which a delay of 1000 ms, then 2000, ... were saved."""
    chip = Chip()
    rig = Rig(chip)
    for k in range(times):
        rig.delays[0] = 1000 * (k + 1)
        rig.rtc.save()
    return chip


def delay_in(chip):
    """The delay that comes back, None when nothing does."""
    rig = Rig(chip)
    return rig.delays[0] if rig.rtc.found else None


def broken(chip, *places):
    content = bytearray(chip.content)
    for at in places:
        content[at] ^= 0x10
    return Chip(bytes(content))


def test_what_was_saved_comes_back():
    chip = Chip()
    rig = Rig(chip)
    rig.delays[3], rig.trips[1], rig.causes[4] = 9000, 2, 13
    rig.rtc.save()
    again = Rig(chip)
    assert again.rtc.found and again.values() == rig.values()


def test_nothing_comes_back_after_power_came_on():
    for content in (b"", bytes(RTC_BYTES), b"\xff" * RTC_BYTES, b"\x5a" * RTC_BYTES, b"short"):
        rig = Rig(Chip(content))
        assert not rig.rtc.found and not any(any(row) for row in rig.values())


def test_the_newer_copy_counts_over_many_saves_and_resets():
    chip = Chip()
    for k in range(1, 12):
        rig = Rig(chip)
        assert rig.rtc.found == (k > 1)
        for n in range(k):
            rig.delays[0] = 1000 * k + n
            rig.rtc.save()
        assert delay_in(chip) == 1000 * k + k - 1


def test_with_one_copy_damaged_the_other_counts_and_with_both_none():
    chip = written(2)
    half = len(chip.content) // 2
    # The second save has an even number: its copy is the first.
    assert [delay_in(broken(chip, at)) for at in range(half)] == [1000] * half
    assert [delay_in(broken(chip, half + at)) for at in range(half)] == [2000] * half
    assert delay_in(broken(chip, 20, half + 20)) is None


def test_a_write_that_a_reset_cuts_off_anywhere_loses_one_copy_at_most():
    for times in (2, 3):
        for left in range(len(written().content) + 1):
            chip = written(times)
            rig = Rig(chip)  # the first write after a boot is no different
            assert rig.rtc.found
            rig.delays[0] = 9000
            chip.left = left
            rig.rtc.save()
            assert delay_in(chip) in (1000 * times, 9000), (times, left, delay_in(chip))
        assert delay_in(chip) == 9000


def test_another_format_is_not_believed():
    chip = written(2)
    table = ((array("i", bytes(20)), "i", 0, 9, False),)
    assert not RtcState(chip.content, chip.write, Snapshot(), table).found
    older = Rig(chip)
    older.rtc._format -= 1 << 16
    older.rtc.save()
    assert delay_in(chip) == 2000
    older.rtc.save()
    assert delay_in(chip) is None


def test_every_value_is_kept_within_the_range_of_its_row():
    chip = Chip()
    rig = Rig(chip)
    rig.delays[0], rig.delays[1], rig.trips[0], rig.causes[0] = 700000, -5, 9, 200
    rig.times[0], rig.times[1] = -100000, 100000
    rig.rtc.save()
    again = Rig(chip, highest=30000)
    assert again.rtc.found
    assert list(again.delays[:2]) == [30000, 0]
    assert (again.trips[0], again.causes[0], list(again.times[:2])) == (5, 21, [-3600, 0])


def test_what_is_stricter_already_stays():
    chip = Chip()
    rig = Rig(chip)
    rig.trips[0], rig.trips[1] = 1, 3
    rig.rtc.save()
    again = Rig(chip, trips=(2, 2, 0, 0))
    assert list(again.trips[:2]) == [2, 3]


def test_a_time_of_the_last_run_lies_before_this_one():
    chip = Chip()
    rig = Rig(chip)
    rig.times[0] = 4000
    rig.snap.uptime_s = 4700
    rig.rtc.save()
    again = Rig(chip)
    assert again.times[0] == -700


def test_the_copies_of_a_whole_rig_leave_room_for_others():
    snap = Snapshot()
    limits = rules.Limits(settings.Values({}))
    judge = rules.Judge(limits)
    starts = Starts(snap, limits, None)
    states = States(snap, None, limits, judge, Output(snap, limits), starts, None)
    table = states.kept + starts.kept + judge.kept + metering.Resistance(snap).kept
    table += Zero(snap.temperature_c).kept
    chip = Chip()
    RtcState(chip.content, chip.write, snap, table).save()
    assert len(chip.content) <= RTC_BYTES // 2, len(chip.content)
    for values, letter, lowest, highest, _ in table:
        assert lowest <= 0 <= highest
        assert len(bytes(values)) == len(values) * {"i": 4, "h": 2, "B": 1}[letter]
