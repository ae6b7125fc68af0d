# SPDX-License-Identifier: GPL-3.0-only
"""The events in memory: what is kept, what repeats, which time they have."""

import micropython

from parallelator import catalog
from parallelator.catalog import LOCKED, ON, TRIPPED, UNCONTROLLED, Reason
from parallelator.clock import Clock
from parallelator.records.events import Events
from parallelator.snapshot import RIG, Snapshot
from parallelator.views import event_view
from parallelator.wording import Words

START = 1784000000  # 2026-07-14T03:33:20Z


def make():
    snap = Snapshot()
    return snap, Events(snap)


def read(events, number=0):
    """All events from a number on, as a reader goes through them: (number, code, value, count)."""
    found = []
    event = events.after(number)
    while event:
        found.append((event[0], event[2], event[6], event[7]))
        assert event[0] >= number, (event, number)
        number = event[0] + 1
        event = events.after(number)
    assert number == events.count
    return found


def test_an_event_is_what_was_recorded():
    snap, events = make()
    snap.uptime_s = 7
    for state in range(7):
        for reason in range(len(catalog.REASONS)):
            for i in (RIG, 0, 15):
                events.emit("trip", i, state, reason, -20840)
                event = events.after(events.count - 1)
                assert event == (events.count - 1, 7, "trip", i, state, reason, -20840, 1, None)
    for code in catalog.names(catalog.CODES):
        events.emit(code, 3, 0, 0, 1 << 29)
        assert events.after(events.count - 1)[2] == code


def test_strangers_push_out_nothing_but_their_like():
    _, events = make()
    events.emit("boot", RIG, 0, 0, 1)
    events.emit("trip", 3, TRIPPED, Reason.OVERCURRENT, 20000)
    events.emit("bus_locked", RIG, 0, Reason.BUS_OVERLOAD, 3)
    events.emit("state", 5, UNCONTROLLED, Reason.EXPANDER_LOST, 0)
    events.emit("task_died", RIG, 0, 0, 2)
    events.emit("limits_saved", RIG, 0, 0, 3)
    kept = [code for _, code, _, _ in read(events)]
    strangers = [row[0] for row in catalog.CODES if row[3] & sum(catalog.SOURCES[1:])]
    assert len(strangers) > 9
    for k in range(2000):
        events.emit(strangers[k % len(strangers)], k % 16, 0, 0, k % 5)
    found = [code for _, code, _, _ in read(events)]
    assert found[: len(kept)] == kept, found
    # Whoever may command, too: they cannot hide a trip.
    for k in range(2000):
        events.emit("wish", k % 16, 0, 0, k % 3)
        events.emit("state", k % 16, LOCKED, 0, 0)
        events.emit("joined", k % 16, ON, 0, 0)
    found = [code for _, code, _, _ in read(events)]
    assert [code for code in found if code in kept[1:5]][:3] == kept[1:4], found
    assert "task_died" in found and found.count("wish") == 6


def test_the_sources_do_not_push_out_one_another():
    _, events = make()
    events.emit("login_failed", RIG, 0, 0, 0)
    events.emit("wifi_down", RIG, 0, 0, 0)
    for k in range(500):
        events.emit("command_refused", k % 16, 0, 0, k % 5)
    found = [code for _, code, _, _ in read(events)]
    assert found[:2] == ["login_failed", "wifi_down"] and found[2] == "events_lost"


def test_every_danger_is_kept_with_the_trips():
    for code, severity, _, holds in catalog.CODES:
        if not holds & catalog.EVENT or severity != "danger":
            continue
        _, events = make()
        events.emit(code, RIG, 0, 0, 0)
        for k in range(300):
            events.emit(("state", "task_died", "wish", "wifi_up")[k % 4], k % 16, 0, 0, k)
        assert read(events)[0][1] == code
        for k in range(16):
            events.emit("trip", k, TRIPPED, Reason.OVERLOAD, 0)
        assert code not in [found[1] for found in read(events)]


def test_what_repeats_in_a_row_is_one_with_a_count():
    snap, events = make()
    for k in range(1000):
        snap.uptime_s = k // 20
        events.emit("command_refused", 3, 0, 0, 2)
    assert read(events) == [(999, "command_refused", 2, 1000)]
    assert events.after(0)[1] == 49
    snap.uptime_s = 109
    events.emit("command_refused", 3, 0, 0, 2)
    assert read(events) == [(1000, "command_refused", 2, 1001)]
    snap.uptime_s = 170
    events.emit("command_refused", 3, 0, 0, 2)  # long after
    events.emit("command_refused", 4, 0, 0, 2)  # another battery
    events.emit("command_refused", 4, 0, 0, 3)  # another why
    events.emit("command_refused", 4, 0, 1, 3)  # another reason
    assert [event[3] for event in read(events, 1002)] == [1, 1, 1]
    text = Words("en").event(events.after(0)[:7] + (3, None), "it is locked")
    assert text.endswith(" (3 times)"), text


def test_a_repeat_that_measures_something_else_is_one_that_means_something_else_is_not():
    _, events = make()
    for celsius in (71, 72, 74):
        events.emit("temperature", 3, ON, 0, celsius)
    assert read(events) == [(2, "temperature", 74, 3)]
    for action in (0, 1, 0):
        events.emit("wish", 3, 0, 0, action)
    assert [event[2] for event in read(events, 3)] == [0, 1, 0]


def test_a_reader_is_told_of_each_repeat_and_of_all_that_is_lost():
    _, events = make()
    events.emit("login_failed", RIG, 0, 0, 0)
    assert read(events) == [(0, "login_failed", 0, 1)]
    assert events.after(1) is None
    events.emit("login_failed", RIG, 0, 0, 0)
    events.emit("login_failed", RIG, 0, 0, 0)
    assert read(events, 1) == [(2, "login_failed", 0, 3)]
    for k in range(10):
        events.emit(("login_failed", "login_limit", "joined")[k % 3], RIG, 0, 0, 0)
    told = lost = 0
    position = 3
    for _, code, value, count in read(events, position):
        lost += value if code == "events_lost" else 0
        told += count if code != "events_lost" else 0
    assert (told, lost) == (2 + 3, 10 - 5)
    assert sum(value for _, code, value, _ in read(events) if code == "events_lost") == 13 - 5


def test_numbers_rise_whatever_happens():
    _, events = make()
    codes = [row[0] for row in catalog.CODES if row[3] & catalog.EVENT]
    position = 0
    for k in range(3000):
        events.emit(codes[k * k % 37], k * 7 % 16, 0, 0, k * 3 % 4)
        if k % 13 == 0:
            told = 0
            for _, code, value, count in read(events, position):
                told += value if code == "events_lost" else count
            assert told >= events.count - position
            position = events.count


def test_emit_allocates_nothing():
    snap, events = make()
    events.know(START)
    codes = catalog.names(catalog.CODES)
    micropython.heap_lock()
    try:
        for k in range(500):
            snap.uptime_s = k
            events.emit(codes[k % len(codes)], k % 16, 3, 4, k)
            events.emit(codes[k % len(codes)], k % 16, 3, 4, k)
    finally:
        micropython.heap_unlock()
    assert events.count == 1000


class Host:
    """A `time` whose clock is set by hand; its year 1970 is that of Unix."""

    now = 0
    ticks_ms = ticks_us = ticks_diff = ticks_add = sleep_us = None

    def time(self):
        return self.now

    def gmtime(self, seconds):
        import time

        return time.gmtime(seconds)


def test_events_keep_the_time_they_were_given():
    snap, events = make()

    class Rig:
        clock = Clock(Host())

        def event_text(self, event):
            return ""

        detail = event_text

    def times():
        found = []
        number = 0
        while events.after(number):
            event = events.after(number)
            number = event[0] + 1
            found.append(event_view(Rig(), event)["time"])
        return found

    snap.uptime_s = 10
    events.emit("boot", RIG, 0, 0, 1)
    assert times() == [None]
    snap.uptime_s = 20
    events.know(START)
    events.emit("joined", 1, ON, 0, 0)
    snap.uptime_s = 30
    events.emit("joined", 2, ON, 0, 0)
    before = [None, "2026-07-14T03:33:20Z", "2026-07-14T03:33:30Z"]
    assert times() == before
    events.know(START - 86400)
    snap.uptime_s = 31
    events.emit("joined", 3, ON, 0, 0)
    assert times() == before + ["2026-07-13T03:33:21Z"]
    for unix_s in (1577836800, 3092601600):
        events.know(unix_s)
        events.emit("joined", 4, ON, 0, unix_s & 1)
        assert events.after(events.count - 1)[8] == unix_s


def test_setting_the_clock_says_from_and_to():
    clock = Clock(Host())
    assert clock.step(START, 0) == "2026-07-14T03:33:20Z"
    assert clock.step(START, 3600) == "2026-07-14T02:33:20Z -> 2026-07-14T03:33:20Z"
    assert clock.step(START, -7200) == "2026-07-14T05:33:20Z -> 2026-07-14T03:33:20Z"
