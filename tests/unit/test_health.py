# SPDX-License-Identifier: GPL-3.0-only
"""When garbage is collected, and what is told of the heap."""

from parallelator.clock import Clock
from parallelator.health import LEAST_BYTES, SLOW_MS, Collector, prepare
from parallelator.pauses import GC
from parallelator.records.events import Events
from parallelator.snapshot import Snapshot
from parallelator.wording import Words


class Controller:
    """A heap of which some is used and some is garbage, and the time."""

    size = 110000

    def __init__(self):
        self.now = 0
        self.used = 80000
        self.garbage = 0
        self.takes_ms = 12
        self.collections = 0
        self.pending = False
        self.snap = Snapshot()
        self.events = Events(self.snap)
        clock = Clock(self)
        self.heap = Collector(self, clock, self.snap, self.events.emit, lambda: self.pending)

    # As the modules gc and time

    def mem_free(self):
        return self.size - self.used - self.garbage

    def collect(self):
        self.garbage = 0
        self.now += self.takes_ms
        self.collections += 1

    def ticks_ms(self):
        return self.now

    ticks_us = sleep_us = time = gmtime = None

    def ticks_diff(self, end, begin):
        return end - begin

    def ticks_add(self, ticks, delta):
        return ticks + delta

    def alarms(self):
        return [code for code, _, _ in self.snap.alarms()]

    def live(self, seconds, bytes_a_second, left_ms=19):
        """The guard ticks fifty times a second; returns the least free before a collection."""
        least = self.size
        for _ in range(50 * seconds):
            self.now += 20
            self.garbage += bytes_a_second // 50
            least = min(least, self.mem_free())
            self.heap.collect_if_due(left_ms)
        return least


def test_collections_come_before_the_heap_is_full_and_no_more_often():
    for rate, most in ((2000, 12), (5000, 25), (14000, 70)):
        controller = Controller()
        controller.live(5, rate)
        before = controller.collections
        assert controller.live(60, rate) > 10000, rate
        assert controller.collections - before <= most, (rate, controller.collections - before)


def test_a_collection_waits_for_a_tick_that_has_just_been():
    controller = Controller()
    controller.live(1, 5000)
    before = controller.collections
    controller.now += 20000
    controller.heap.collect_if_due(19)
    assert controller.collections == before + 1
    controller.now = controller.heap._due
    controller.heap.collect_if_due(10)
    assert controller.collections == before + 1
    controller.now += 200
    controller.heap.collect_if_due(10)
    assert controller.collections == before + 2, "a busy rig never has the whole pause"


def test_a_battery_beyond_a_limit_is_waited_for_but_not_for_ever():
    controller = Controller()
    controller.live(1, 5000)
    controller.now = controller.heap._due
    before = controller.collections
    controller.pending = True
    controller.heap.collect_if_due(19)
    controller.now += 999
    controller.heap.collect_if_due(19)
    assert controller.collections == before
    controller.now += 1
    controller.heap.collect_if_due(19)
    assert controller.collections == before + 1


def test_garbage_is_no_lack():
    controller = Controller()
    controller.garbage = 29000
    controller.heap.collect()
    assert controller.alarms() == [] and controller.events.count == 0
    assert controller.heap.free == 30000


def test_a_full_heap_is_told_once_and_ends():
    controller = Controller()
    controller.used = controller.size - LEAST_BYTES + 1
    for _ in range(2):
        controller.heap.collect()
        assert controller.alarms() == ["heap_low"]
    assert controller.events.count == 1
    told(controller, "heap_low", "8191")
    controller.used -= 1
    controller.heap.collect()
    assert controller.alarms() == []


def test_a_slow_collection_is_told_with_the_time_that_a_trip_may_take():
    controller = Controller()
    controller.takes_ms = SLOW_MS
    controller.heap.collect()
    assert controller.alarms() == [] and controller.heap.pauses.worst_ms(GC) == SLOW_MS
    controller.takes_ms = 148
    for _ in range(2):
        controller.heap.collect()
        assert controller.alarms() == ["gc_slow"]
    assert controller.events.count == 1 and controller.heap.pauses.worst_ms(GC) == 148
    told(controller, "gc_slow", "188")


def told(controller, code, value):
    for language in ("en", "fr"):
        assert value in Words(language).event(controller.events.after(0))
        (alarm,) = Words(language).alarms(controller.snap, [])
        assert alarm["code"] == code and alarm["text"]


def test_a_small_heap_is_kept_compact_and_a_large_one_made_to_grow():
    thresholds = []
    assert prepare(140000, thresholds.append) is None
    assert thresholds == [4096]
    assert len(prepare(4000000, thresholds.append)) == 1024
    assert thresholds == [4096]


def test_a_large_heap_is_collected_before_it_forces_a_pause():
    controller = Controller()
    controller.size = 2000000
    least = controller.live(120, 14000)
    assert least > controller.size - controller.used - 300000, least
