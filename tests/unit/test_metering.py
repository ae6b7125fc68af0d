# SPDX-License-Identifier: GPL-3.0-only
"""Resistance from the steps of a pack's own load."""

from parallelator.protection.metering import Resistance
from parallelator.snapshot import Snapshot


class Pack:
    """One pack whose current a test sets: every reading is V = 26000 mV - I * R."""

    def __init__(self, mohm):
        self.mohm = mohm
        self.snap = Snapshot()
        self.meter = Resistance(self.snap)

    def read(self, current_ma, times=4, lie_mv=0):
        for _ in range(times):
            voltage_mv = 26000 - current_ma * self.mohm // 1000 + lie_mv
            self.meter.sample(3, voltage_mv, current_ma)

    @property
    def r_mohm(self):
        return self.snap.r_mohm[3]


def test_three_steps_give_the_resistance_whatever_their_direction():
    pack = Pack(42)
    for current_ma in (1000, 6000, -3000):
        pack.read(current_ma)
    assert pack.r_mohm == 0
    pack.read(4000)
    assert pack.r_mohm == 42
    assert sum(pack.snap.r_mohm) == 42


def test_it_follows_a_pack_that_ages():
    pack = Pack(42)
    for k in range(4):
        pack.read(1000 + 5000 * (k & 1))
    pack.mohm = 80
    for k in range(20):
        pack.read(1000 + 5000 * (k & 1))
    assert 75 <= pack.r_mohm <= 80, pack.r_mohm


def test_small_steps_ramps_and_readings_within_a_step_tell_nothing():
    pack = Pack(42)
    for k in range(20):
        pack.read(1000 + 1900 * (k & 1))
    for current_ma in range(1000, 9000, 150):
        pack.read(current_ma, 1)
    for k in range(20):
        pack.read(1000 + 5000 * (k & 1), 1)
    assert pack.r_mohm == 0


def test_what_lies_far_apart_in_time_is_no_step():
    # Reading after reading differs: when the current is steady again its past is forgotten.
    pack = Pack(42)
    for _ in range(10):
        pack.read(1000)
        for current_ma in (2000, 3000, 4000, 5000, 6000):
            pack.read(current_ma, 1)
        pack.read(7000)
        pack.meter.opened(3)
    assert pack.r_mohm == 0


def test_impossible_values_are_left_out():
    pack = Pack(42)
    for k in range(20):
        pack.read(1000 + 5000 * (k & 1), lie_mv=210 * (k & 1))
    pack.mohm = 900
    for k in range(20):
        pack.read(1000 + 5000 * (k & 1))
    assert pack.r_mohm == 0


def test_a_lost_sensor_may_come_back_with_another_pack():
    pack = Pack(42)
    for k in range(6):
        pack.read(1000 + 5000 * (k & 1))
    assert pack.r_mohm == 42
    pack.meter.forget(3)
    assert pack.r_mohm == 0
    pack.mohm = 60
    for k in range(4):
        pack.read(1000 + 5000 * (k & 1))
    assert pack.r_mohm == 60
