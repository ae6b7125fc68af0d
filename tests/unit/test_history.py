# SPDX-License-Identifier: GPL-3.0-only
"""The rings behind the charts, and the clock."""

import time
from struct import unpack_from

from parallelator.catalog import ON
from parallelator.clock import Clock
from parallelator.records.history import POINT_BYTES, SERIES, SPANS, History, Ring
from parallelator.snapshot import Snapshot

STEP_S, POINTS = SPANS[0]


def rig():
    snap = Snapshot()
    for i in range(3):
        snap.valid[i] = 1
        snap.voltage_mv[i] = 26000 + i
        snap.current_ma[i] = -1000 * i
    snap.state[1] = snap.state[2] = ON
    return snap, History(snap)


def test_a_point_is_the_mean_of_its_samples():
    snap, history = rig()
    ring = history.rings[0]
    history.sample()
    snap.voltage_mv[0] = 26010
    snap.current_ma[0] = 40
    history.sample()
    ring.close(None)
    assert ring.read(1, 0, 1) == ([26005], [20])
    assert ring.read(2, 0, 1) == ([26001], [-1000])
    assert ring.read(0, 0, 1) == ([26002], [-3000]), "the rig: only what is connected"
    assert ring.read(4, 0, 1) == ([None], [None])


def test_the_oldest_points_are_overwritten_and_then_unknown():
    snap, history = rig()
    ring = history.rings[0]
    for k in range(POINTS + 2):
        snap.voltage_mv[0] = 25900 + k
        history.sample()
        ring.close(None)
    voltages, currents = ring.read(1, 0, ring.count)
    assert voltages[:3] == [None, None, 25902] and voltages[-1] == 25900 + POINTS + 1
    assert len(voltages) == len(currents) == POINTS + 2 and ring.oldest == 2


def test_the_rings_reach_ten_minutes_an_hour_and_a_day_in_the_bytes_stated():
    _, history = rig()
    assert [step_s * points for step_s, points in SPANS] == [600, 3600, 86400]
    points = sum(len(ring._ring) for ring in history.rings)
    assert points == 8586 == (2 + 3 * SERIES) * sum(points for _, points in SPANS)
    for ring in history.rings:
        assert 4 * len(ring._sums) == 204
    for span_s, step_s in ((600, 10), (601, 120), (3600, 120), (3601, 1200), (86400, 1200)):
        assert history.ring(span_s).step_s == step_s


async def test_coarse_points_are_made_of_fine_ones():
    snap, history = rig()
    while snap.uptime_s < 2430:
        snap.uptime_s += 1
        await history.close_points()
        snap.voltage_mv[0] = 25900 + snap.uptime_s // 120
        if snap.uptime_s < 1200 or snap.uptime_s >= 1320:
            history.sample()
    fine, minutes, day = history.rings
    assert (fine.count, minutes.count, day.count) == (243, 20, 2)
    assert minutes.read(1, 0, 3)[0] == [25900, 25901, 25902]
    assert minutes.read(1, 9, 12)[0] == [25909, None, 25911], "two minutes without a sample"
    assert day.read(1, 0, 2)[0] == [25904, 25915]
    assert day.read(2, 0, 2) == ([26001, 26001], [-1000, -1000])
    snap.uptime_s += 4800
    await history.close_points()
    assert day.count == 6 and day.read(1, 3, 6)[0] == [None] * 3


def test_the_largest_currents_fit():
    snap, history = rig()
    for i in range(16):
        snap.valid[i], snap.state[i], snap.current_ma[i] = 1, ON, -40000
    history.sample()
    history.rings[0].close(history.rings[1])
    history.rings[1].close(None)
    assert history.rings[0].read(0, 0, 1)[1] == [-640000]
    assert history.rings[1].read(0, 0, 1)[1] == [-640000]


def test_small_numbers_are_kept_exactly_and_large_ones_to_four_parts_of_a_thousand():
    ring = Ring(10, 60)
    median_mv = 52000
    for k, away in enumerate((0, 1, 99, 255, 256, 257, 999, 12345, 52000)):
        for series in range(2, SERIES):
            ring.add(series, median_mv, 0)
        ring.add(0, median_mv - away, -10 * away)
        ring.add(1, median_mv + away, 10 * away)
        ring.close(None)
        for series, sign in ((0, -1), (1, 1)):
            (voltage_mv,), (current_ma,) = ring.read(series, k, k + 1)
            slack = away * 0.004 if away > 255 else 0
            assert abs(voltage_mv - median_mv - sign * away) <= slack, (away, voltage_mv)
            assert abs(current_ma - sign * 10 * away) <= 10 * slack, (away, current_ma)
        assert ring.read(2, k, k + 1) == ([median_mv], [0])


def test_more_than_a_saved_point_holds_is_the_most_that_it_can():
    snap, history = rig()
    fine, minutes, _ = history.rings
    for voltage_mv, current_ma in ((65534, 80000), (65535, -80000), (102400, 80000), (51200, 0)):
        for i in range(16):
            snap.valid[i], snap.state[i] = 1, ON
            snap.voltage_mv[i], snap.current_ma[i] = voltage_mv, current_ma
        history.sample()
        fine.close(minutes)
    shown = fine.read(1, 0, 4)[0]
    assert shown[:2] == [65534, 65535] and abs(shown[2] - 102400) < 150 and shown[3] == 51200
    shown = fine.read(0, 0, 4)[1]
    assert all(abs(ma - true) <= 5120 for ma, true in zip(shown, (1280000, -1280000, 1280000, 0)))
    other, record = Ring(10, 60), bytearray(POINT_BYTES)
    for k in range(4):
        fine.save(k, record)
        other.restore(k - 4, record)
    assert other.read(1, -4, 0)[0] == [65534, 65534, 65534, 51200]
    fine.save(0, record)
    assert unpack_from("<Hh", record, 0) == (65534, 32767)
    fine.save(1, record)
    assert unpack_from("<Hh", record, 0) == (65534, -32768)
    minutes.close(None)
    whole_mv = (65534 + 65535 + 102400 + 51200) // 4
    assert abs(minutes.read(1, 0, 1)[0][0] - whole_mv) < 30, "the mean is of what was"
    for voltage_mv in (102400, 11200):
        snap.voltage_mv[0] = voltage_mv
        history.sample()
        fine.close(minutes)
    minutes.close(None)
    assert minutes.read(1, 1, 2)[0] == [56800], "the mean is of what was, not of what is shown"


def test_a_record_of_the_card_is_as_it_always_was():
    ring, record = Ring(1200, 72), bytearray(POINT_BYTES)
    ring.add(0, 26002, -3000)
    ring.add(4, 26010, 1240)
    ring.close(None)
    ring.save(0, record)
    known = {0: (26002, -150), 4: (26010, 62)}
    for series in range(SERIES):
        assert unpack_from("<Hh", record, 4 * series) == known.get(series, (65535, 0)), series


def test_points_of_an_earlier_boot():
    ring = Ring(900, 96)
    assert ring.oldest == 0
    ring.add(5, 26000, 1200)
    ring.close(None)
    record = bytearray(POINT_BYTES)
    ring.save(0, record)
    other = Ring(900, 96)
    other.restore(-3, record)
    assert other.oldest == -3
    assert other.read(5, -3, 0) == ([26000, None, None], [1200, None, None])
    other.forget(-3)
    assert other.read(5, -3, 0)[0] == [None] * 3


class Time:
    """A clock at 100 s since its epoch."""

    def __init__(self, epoch):
        self.epoch = epoch

    ticks_ms = ticks_us = ticks_diff = ticks_add = sleep_us = None

    def time(self):
        return 100

    def gmtime(self, seconds):
        shift = 946684800 if self.epoch == 2000 else 0
        return time.gmtime(seconds + shift)


def test_wall_time_from_either_epoch():
    for epoch in (1970, 2000):
        clock = Clock(Time(epoch))
        assert clock.iso() is None and clock.unix() is None
        clock.set(1784000000)
        assert clock.iso() == "2026-07-14T03:33:20Z", (epoch, clock.iso())
        assert clock.iso(20) == "2026-07-14T03:33:00Z"
        assert clock.unix() == 1784000000 and clock.unix(20) == 1783999980
