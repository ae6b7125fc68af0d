# SPDX-License-Identifier: GPL-3.0-only
"""Show mode: its end, what it holds back, and that it goes on after a reset."""

import asyncio
import errno
import json
import sys
import time
from array import array

from parallelator import catalog, settings
from parallelator.clock import Clock
from parallelator.protection.rules import Limits
from parallelator.records.rtc_state import RtcState
from parallelator.rig import Rig as WholeRig
from parallelator.show import mode, report
from parallelator.show.schedule import follow_schedule
from parallelator.snapshot import Snapshot
from parallelator.views import show

DAY_S = 86400
PARIS = "CET-1CEST,M3.5.0,M10.5.0/3"
EVENING = 1784059200  # 2026-07-14 20:00 UTC, 22:00 in Paris


class Events(list):
    count = 0

    def emit(self, code, i, state, reason, value):
        self.append((code, value))


class Card:
    """There is none."""

    mounted = writable = False

    def fail(self, error):
        assert error.errno == errno.ENOENT


class Meter:
    def __init__(self, left_s):
        self.told = [None] * len(catalog.ENERGY)
        self.told[catalog.ENERGY.index("left_s")] = left_s


class Rig:
    """As much of a rig as show mode asks for; its clock shows `unix_s`, None = it is not set."""

    selftest = meter = cascade = report = tally = None
    boot = 7
    show_s = WholeRig.show_s

    def __init__(self, unix_s=EVENING, zone=PARIS):
        self.snap = Snapshot()
        self.snap.uptime_s = 1000
        self.clock = Clock(time)
        self.clock.unix = lambda ago_s=0: None if unix_s is None else unix_s - ago_s
        self.clock.set_zone(zone)
        self.show = array("i", [0])
        self.events = Events()
        self.tasks = 0
        self.card = Card()
        self.guard = self.balance = self
        self.limits = Limits(settings.Values({}))
        self.blackbox = self

    def records(self):
        return ()

    def lag_mv(self, i, voltage_mv):
        return 0

    async def run_after_guard(self, coroutine):
        self.tasks += 1
        await coroutine

    def light(self):
        self.snap.state[2] = catalog.ON


def left(end, unix_s=EVENING):
    return mode.seconds(Rig(unix_s).clock, end)


def test_an_end_is_in_minutes_or_the_next_time_of_local_clocks():
    assert left(90) == 5400 and left(1440) == DAY_S
    assert left(1.5) == 90 and left(89.99, EVENING + 20) == 5399
    assert left(90, None) == 5400
    assert left("23:00") == 3600 and left("00:30") == 9000 and left("3:05") == 18300
    assert left("23:00", EVENING + 20) == 3580
    assert left("21:59") == DAY_S - 60 and left("22:00") == DAY_S


def test_the_clocks_may_change_in_between():
    before = 1792879200  # 2026-10-25 00:00 in Paris; 3:00 becomes 2:00
    assert left("04:00", before - 7200) == 7 * 3600
    assert left("01:00", before - 7200) == 3 * 3600
    spring = 1774735200  # 2026-03-28 23:00 in Paris; 2:00 becomes 3:00
    assert left("05:00", spring) == 5 * 3600
    assert left("02:30", spring) == 3.5 * 3600, "no clock shows it"


def test_what_is_no_end_is_refused():
    for end in (0, -5, 0.9, 1441, "", "24:00", "23:60", "2300", "23:0", "a:00", "-1:30", ":"):
        assert mode.begin(Rig(), end) == "show_end", end
    assert mode.begin(Rig(None), "23:00") == "show_clock"
    rig = Rig()
    rig.selftest = object()
    assert mode.begin(rig, 90) == "selftest_running"
    rig.selftest = "{}"
    assert rig.show_s() == 0 and not rig.events


def test_only_off_is_taken_and_what_brings_a_dark_output_back():
    rig = Rig()
    rig.light()
    changes = ("on", "auto", "reset", "disconnected")
    others = (
        "settings",
        "update",
        "restart",
        "selftest",
        "scan",
        "time",
        "exchanged",
        "",
    )
    for word in changes + others:
        assert mode.is_held(rig.snap, word), word
    for word in ("off", "show", "known", "login", "logout", "setup"):
        assert not mode.is_held(rig.snap, word), word
    rig.snap.state[2] = catalog.TRIPPED
    assert not any(mode.is_held(rig.snap, word) for word in changes)
    assert all(mode.is_held(rig.snap, word) for word in others)
    rig.snap.state[2] = catalog.UNCONTROLLED
    assert not mode.is_held(rig.snap, "disconnected"), "a silent board: nothing is measured"
    rig.snap.valid[2] = 1
    assert mode.is_held(rig.snap, "disconnected"), "it carries"


def test_it_begins_once_may_be_moved_ends_by_itself_or_by_hand_and_leaves_a_report():
    for by_hand in (False, True):
        rig = Rig()

        async def main(rig=rig, by_hand=by_hand):
            polls = []

            async def sleep_ms(ms):
                await real(0)
                if not ms:
                    return
                polls.append(ms)
                rig.snap.uptime_s += 60
                if by_hand and len(polls) == 3:
                    mode.finish(rig)
                    assert rig.show_s() == 0

            real, asyncio.sleep_ms = asyncio.sleep_ms, sleep_ms
            try:
                assert mode.begin(rig, 90) is None and mode.begin(rig, "23:00") is None
                assert rig.show_s() == 3600 and mode.until(rig) == "23:00"
                assert show(rig) == (3600, None)
                for _ in range(2000):
                    await real(0)
            finally:
                asyncio.sleep_ms = real
            return len(polls)

        polls = asyncio.run(main())
        assert polls == (3 if by_hand else 60), polls
        assert rig.tasks == 1 and rig.show[0] == 0
        events = ["show_begun 90", "show_begun 60", "show_over 0", "show_report 0"]
        assert ["%s %d" % row for row in rig.events] == events, rig.events
        for name in ("mode", "tally", "outlook", "report", "results", "last_ten"):
            assert "parallelator.show." + name not in sys.modules, "its memory is free"
        told = json.loads("".join(report.pieces(rig.tally)))
        assert told["length_s"] == (180 if by_hand else 3600) and told["number"] == 1
        assert told["dark_s"] == told["length_s"] and told["whole"] and not told["cut"]
        assert told["batteries"] == told["tasks"] == [] and told["selftest"] is None


def test_a_schedule_begins_a_show_once_a_day():
    def run(rig, last, *moments):
        """Minutes left after each moment, in minutes after 22:00 in Paris."""
        left_min = []
        for minutes in moments:
            rig.now_s = EVENING + minutes * 60
            rig.snap.uptime_s = 1000 + minutes * 60
            last = follow_schedule(rig, last)
            left_min.append(rig.show_s() // 60)
        return last, left_min

    def rig_with(text):
        rig = Rig()
        rig.clock.unix = lambda ago_s=0: rig.now_s
        rig.settings = {"time.show": text}
        asyncio.create_task = lambda task: task.close()  # the end is another test's
        return rig

    real = asyncio.create_task
    try:
        rig = rig_with("22:30-1:00")
        assert run(rig, 0, 0, 29, 30, 31, 179, 180)[1] == [0, 0, 150, 149, 1, 0]
        assert ["%s %d" % row for row in rig.events] == ["show_begun 150"], rig.events
        # Each day, also from the middle on; what somebody has ended is over.
        last, left_min = run(rig, 0, 1440 + 60)
        assert left_min == [120]
        mode.finish(rig)
        last, left_min = run(rig, last, 1440 + 61, 1440 + 90, 2880 + 30)
        assert left_min == [0, 0, 150]
        # One that stands gets the later end.
        rig = rig_with("22:30-23:00")
        rig.snap.uptime_s = 1000
        rig.now_s = EVENING
        mode.begin(rig, 90)
        assert run(rig, 0, 40)[1] == [50]
        rig = rig_with("22:30-23:00")
        rig.now_s = EVENING
        mode.begin(rig, 40)
        assert run(rig, 0, 20, 31)[1] == [20, 29]
        # It waits for the end of a self-test, and for the clock.
        rig = rig_with("22:30-23:00")
        rig.selftest = object()
        last, left_min = run(rig, 0, 30)
        rig.selftest = None
        assert left_min == [0] and run(rig, last, 32)[1] == [28]
        rig = rig_with("22:30-23:00")
        rig.clock.unix = lambda ago_s=0: None
        assert run(rig, 0, 40)[1] == run(rig_with(""), 0, 40)[1] == [0]
    finally:
        asyncio.create_task = real


def test_how_long_the_batteries_outlast_it():
    rig = Rig(None)
    assert show(rig) is None
    rig.show[0] = 1000 + 3540
    assert mode.until(rig) == "59 min" and show(rig) == (3540, None)
    rig.meter = Meter(None)
    assert show(rig) == (3540, None)
    rig.meter = Meter(3600)
    assert show(rig) == (3540, 60)
    rig.meter = Meter(540)
    assert show(rig) == (3540, -3000)


def test_a_reset_leaves_what_is_left_of_it():
    content = [b""]

    def table(rig):
        return ((rig.show, "i", 0, 90000, True),)

    def write(block):
        content[0] = bytes(block)

    for end_s, left_s in ((4000, 3000), (900, 0), (0, 0)):
        rig = Rig()
        content[0] = b""
        rtc = RtcState(b"", write, rig.snap, table(rig))
        rig.show[0] = end_s
        rtc.save()
        again = Rig()
        again.snap.uptime_s = 0
        RtcState(content[0], write, again.snap, table(again))
        assert again.show_s() == left_s
