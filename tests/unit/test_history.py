"""The rings behind the charts, and the clock."""

import time

from parallelator.clock import Clock
from parallelator.records.history import POINTS, STEP_S, History
from parallelator.snapshot import ON, Snapshot


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
    history.sample()
    snap.voltage_mv[0] = 26010
    snap.current_ma[0] = 40
    history.sample()
    history.close_point()
    assert history.read(1, 0, 1) == ([26005], [20])
    assert history.read(2, 0, 1) == ([26001], [-1000])
    assert history.read(0, 0, 1) == ([26002], [-3000]), "the rig: only what is connected"
    assert history.read(4, 0, 1) == ([None], [None])


def test_the_oldest_points_are_overwritten_and_then_unknown():
    snap, history = rig()
    for k in range(POINTS + 2):
        snap.voltage_mv[0] = 20000 + k
        history.sample()
        history.close_point()
    voltages, currents = history.read(1, 0, history.count)
    assert voltages[:3] == [None, None, 20002] and voltages[-1] == 20000 + POINTS + 1
    assert len(voltages) == len(currents) == POINTS + 2
    assert POINTS * STEP_S == 600


def test_the_largest_currents_fit():
    snap, history = rig()
    for i in range(16):
        snap.valid[i], snap.state[i], snap.current_ma[i] = 1, ON, -40000
    history.sample()
    history.close_point()
    assert history.read(0, 0, 1)[1] == [-640000]


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
        assert clock.iso() is None
        clock.set(1784000000)
        assert clock.iso() == "2026-07-14T03:33:20Z", (epoch, clock.iso())
        assert clock.iso(20) == "2026-07-14T03:33:00Z"
