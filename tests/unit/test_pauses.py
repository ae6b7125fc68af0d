# SPDX-License-Identifier: GPL-3.0-only
"""How long the guard was kept waiting: counted by kind."""

import micropython

from parallelator.clock import Clock
from parallelator.pauses import FLASH, GC, LATE, Pauses


class Time:
    """A clock that a test sets."""

    now = 0

    def ticks_ms(self):
        return self.now

    def ticks_us(self):
        return self.now * 1000

    def ticks_diff(self, end, begin):
        return end - begin

    def ticks_add(self, ticks, delta):
        return ticks + delta

    def time(self):
        return 0

    def gmtime(self, secs):
        return (1970,)

    def sleep_us(self, us):
        self.now += us // 1000


def pauses():
    return Pauses(Clock(Time()))


def test_each_kind_has_its_own_figures():
    counted = pauses()
    counted.note(GC, 12)
    counted.note(LATE, 3)
    counted.note(LATE, 1)
    assert [counted.worst_ms(kind) for kind in (GC, FLASH, LATE)] == [12, 0, 3]
    assert [counted.p999_ms(kind) for kind in (GC, FLASH, LATE)] == [12, 0, 3]


def test_one_in_a_thousand_is_left_out():
    counted = pauses()
    for _ in range(999):
        counted.note(LATE, 2)
    counted.note(LATE, 300)
    assert (counted.p999_ms(LATE), counted.worst_ms(LATE)) == (2, 300)
    counted.note(LATE, 300)
    assert counted.p999_ms(LATE) == 300


def test_a_figure_is_never_below_the_truth_and_at_most_a_quarter_above():
    for ms in range(0, 3584, 23):
        counted = pauses()
        for _ in range(999):
            counted.note(GC, ms)
        counted.note(GC, 100000)
        found = counted.p999_ms(GC)
        assert ms <= found <= ms + ms // 4, (ms, found)


def test_what_is_timed_is_counted_even_when_it_fails():
    time = Time()
    counted = Pauses(Clock(time))

    def slow():
        time.now += 40
        raise OSError(5)

    try:
        counted.flash(slow)
        raise ValueError
    except OSError:
        pass
    assert counted.worst_ms(FLASH) == 40
    assert counted.flash(lambda: "done") == "done"


def test_counting_allocates_nothing():
    counted = pauses()
    micropython.heap_lock()
    try:
        for ms in (-1, 0, 15, 16, 31, 400, 100000):
            counted.note(LATE, ms)
    finally:
        micropython.heap_unlock()
    assert counted.worst_ms(LATE) == 100000
