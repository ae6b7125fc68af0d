# SPDX-License-Identifier: GPL-3.0-only
"""The alarm of a heap that is nearly full."""

from parallelator.health import LEAST_BYTES, look, start_compact
from parallelator.records.events import Events
from parallelator.snapshot import Snapshot
from parallelator.wording import Words


class Heap:
    """A heap of which some is used and some is garbage."""

    def __init__(self):
        self.used = 100000
        self.garbage = 0
        self.snap = Snapshot()
        self.events = Events(self.snap)

    def free(self):
        return 110000 - self.used - self.garbage

    def collect(self):
        self.garbage = 0

    def look(self):
        look(self.snap, self.events.emit, self.free, self.collect)
        return [code for code, _, _ in self.snap.alarms()]


def test_garbage_is_no_lack():
    heap = Heap()
    heap.garbage = 9000
    assert heap.look() == [] and heap.garbage == 0 and heap.events.count == 0


def test_a_full_heap_is_told_once_and_ends():
    heap = Heap()
    heap.used = 110000 - LEAST_BYTES + 1
    assert heap.look() == heap.look() == ["heap_low"]
    assert heap.events.count == 1
    for language in ("en", "fr"):
        assert "8191" in Words(language).event(heap.events.after(0))
        (alarm,) = Words(language).alarms(heap.snap, [])
        assert alarm["code"] == "heap_low" and alarm["text"]
    heap.used -= 1
    assert heap.look() == []


def test_only_a_small_heap_is_kept_compact():
    thresholds = []
    assert start_compact(140000, thresholds.append)
    assert not start_compact(4000000, thresholds.append)
    assert thresholds == [4096]
