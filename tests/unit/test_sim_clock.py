# SPDX-License-Identifier: GPL-3.0-only
"""The simulator's real time: never back and never far at once, whatever the host does."""

import random
import time

from sim import scenario, world
from sim.world import World

STEP_US = 10000
LEAP_US = 1000000
HOUR_US = 3600000000


class Host:
    """A `time` of the host; each look at it and each sleep takes `late()` us more than asked."""

    ticks_diff = time.ticks_diff

    def __init__(self, late=lambda: 0):
        self.now_us = HOUR_US
        self.late = late

    def ticks_us(self):
        self.now_us += self.late()
        return self.now_us

    def ticks_ms(self):
        return self.ticks_us() // 1000

    def sleep_us(self, us):
        self.now_us += us + self.late()

    def sleep_ms(self, ms):
        self.sleep_us(1000 * ms)


class Rig:
    """Two batteries in real time on such a host."""

    def __init__(self, host, speed):
        world.utime = host
        plan = scenario.complete({"batteries": 2})
        self.world = World(plan, False, speed, 1, None)
        self.world.script = scenario.Script(plan, self.world, None)
        self._chip = self.world.expanders[0]
        self._chip.write(6, b"\xf0\x00", 0)
        self._closed = 0

    def move(self):
        """Open or close the switches, as the firmware would: after a call that takes time."""
        self.world.spend(100)
        self._closed ^= 0x0C
        self._chip.write(2, bytes((self._closed,)), self.world.now_us)


def test_a_clock_that_is_looked_at_does_not_outrun_the_world():
    # Each look takes longer than a step of the world. The report solves the plant at any time.
    for speed in (1, 2, 10):
        rig = Rig(Host(lambda: 15000), speed)
        for _ in range(300):
            rig.world.us()
            rig.world.plant.solve(rig.world.now_us)
            rig.move()


def test_time_never_goes_back_whatever_the_host_s_clock_does():
    random.seed(5)

    def late():
        draw = random.randrange(50)
        if draw == 0:
            return -HOUR_US
        return HOUR_US if draw == 1 else random.randrange(30000)

    for speed in (1, 3, 10):
        rig = Rig(Host(late), speed)
        before = rig.world.us()
        for _ in range(2000):
            draw = random.randrange(4)
            if draw == 0:
                rig.move()
            elif draw == 1:
                rig.world.sleep(5000)
            elif draw == 2:
                rig.world.wait(10, None)
            now = rig.world.us()
            assert now >= before, (before, now)
            before = now
        assert before > 1000000


def test_a_host_that_sleeps_stops_the_rig():
    host = Host()
    rig = Rig(host, 1)
    rig.world.watchdog_us = rig.world.us() + 5000000
    rig.world.sleep(1000)
    before = rig.world.us()
    host.now_us += HOUR_US
    assert rig.world.us() - before <= LEAP_US
    rig.move()
    host.now_us -= 2 * HOUR_US
    assert 0 <= rig.world.us() - before <= LEAP_US
    rig.move()
    assert rig.world.resets == 0
    before = rig.world.us()
    rig.world.sleep(20000)
    assert 20000 <= rig.world.us() - before <= 21000


def test_long_waits_last_as_long_as_they_should():
    for speed in (1, 10):
        rig = Rig(Host(), speed)
        rig.world.sleep(12000000)
        assert 12000000 <= rig.world.us() < 12001000
        before = rig.world.us()
        for _ in range(20):
            rig.world.wait(60000, None)
        assert rig.world.us() - before == 20 * LEAP_US
