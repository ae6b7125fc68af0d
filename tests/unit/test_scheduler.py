"""The tasks beside the guard: who dies is told and started again, and the guard goes first."""

import asyncio
import time

from parallelator import scheduler as module
from parallelator.clock import Clock
from parallelator.protection.guard import TICK_MS
from parallelator.scheduler import Scheduler


class Guard:
    """Counts its ticks."""

    def __init__(self):
        self.ticks = 0

    def tick(self):
        self.ticks += 1

    def feed(self):
        pass


def work():
    told = []
    clock = Clock(time)
    return Scheduler(clock, lambda code, i, state, reason, value: told.append((code, value))), told


async def until(true):
    for _ in range(3000):
        if true():
            return
        await asyncio.sleep_ms(10)
    raise AssertionError("it never comes")


async def test_a_task_that_dies_is_told_and_starts_again():
    here, told = work()
    starts = []

    async def job():
        starts.append(time.ticks_ms())
        if len(starts) == 1:
            raise OSError("on purpose")
        await asyncio.sleep_ms(60000)

    async def other():
        await asyncio.sleep_ms(60000)

    tasks = [here.start("other", other), here.start("job", job)]
    await until(lambda: len(starts) == 2)
    for task in tasks:
        task.cancel()
    assert told == [("task_died", 1)] and here.failures == [0, 1], (told, here.failures)
    assert time.ticks_diff(starts[1], starts[0]) >= 900


class Patched:
    """asyncio that notes how long it is asked to sleep, and does not."""

    def __init__(self, slept):
        self._slept = slept

    def __getattr__(self, name):
        return getattr(asyncio, name)

    async def sleep_ms(self, ms):
        self._slept.append(ms)


class Ticks:
    """A `time` whose ticks, of the ESP32's period, are set by hand."""

    period_ms = 1 << 30
    sleep_us = ticks_us = ticks_add = None

    def __init__(self):
        self.now_ms = self.period_ms - 5000

    def ticks_ms(self):
        return self.now_ms % self.period_ms

    def ticks_diff(self, end, start):
        half = self.period_ms // 2
        return (end - start + half) % self.period_ms - half


def delays(lives_ms):
    """How long the supervision waits after lives of so many ms."""
    ticks = Ticks()
    here = Scheduler(Clock(ticks), lambda *event: None)
    slept = []
    left = list(lives_ms)

    async def job():
        if not left:
            raise KeyboardInterrupt
        ticks.now_ms += left.pop(0)
        raise ValueError("on purpose")

    async def main():
        await here.start("job", job)

    module.asyncio = Patched(slept)
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        return slept
    finally:
        module.asyncio = asyncio


def test_a_task_is_back_within_seconds_however_often_it_dies():
    assert delays([0] * 6) == [1000, 2000, 4000, 8000, 8000, 8000]


def test_a_minute_of_health_forgets_the_deaths_before():
    assert delays([0, 0, 59999, 60000, 0]) == [1000, 2000, 4000, 1000, 2000]
    day_ms = 86400000
    for days in (1, 7, 12, 13, 100):
        assert delays([0, 0, 0, days * day_ms, 0]) == [1000, 2000, 4000, 1000, 2000], days


async def test_the_guard_goes_first_at_every_step_of_a_task():
    here, _ = work()
    guard = Guard()
    seen = []

    async def greedy():
        for _ in range(5):
            time.sleep_ms(TICK_MS + 1)
            await asyncio.sleep_ms(0)
            seen.append(guard.ticks)

    protection = asyncio.create_task(here.protect(guard, guard))
    await until(lambda: guard.ticks)
    task = here.start("greedy", greedy)
    await until(lambda: len(seen) == 5)
    task.cancel()
    here.finish("over")
    await protection
    assert all(after > before for before, after in zip(seen, seen[1:])), seen
