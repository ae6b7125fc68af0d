# SPDX-License-Identifier: GPL-3.0-only
"""The tasks beside the guard: one that dies is reported and restarted; the guard goes first."""

import asyncio
import time

from parallelator import scheduler as module
from parallelator.clock import Clock
from parallelator.pauses import LATE, Pauses
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

    def keep(self):
        pass


class Collector:
    """Notes how much time there was left before the next tick."""

    def __init__(self):
        self.pauses = Pauses(Clock(time))
        self.lefts_ms = []

    def collect_if_due(self, left_ms):
        self.lefts_ms.append(left_ms)


def work():
    told = []
    clock = Clock(time)
    return Scheduler(clock, lambda code, i, state, reason, value: told.append((code, value))), told


def protect(here, guard):
    """The guard's task."""
    return here.protect(guard, guard, Collector())


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

    protection = asyncio.create_task(protect(here, guard))
    await until(lambda: guard.ticks)
    task = here.start("greedy", greedy)
    await until(lambda: len(seen) == 5)
    task.cancel()
    here.finish("over")
    await protection
    assert all(after > before for before, after in zip(seen, seen[1:])), seen


async def test_the_guard_is_never_entered_twice():
    here, _ = work()
    depths = [0]

    class Nested(Guard):
        depth = 0

        def tick(self):
            super().tick()
            self.depth += 1
            depths.append(self.depth)
            time.sleep_ms(25)  # two more ticks are due
            here.tick_if_due()  # as from the idle hook of the card
            self.depth -= 1

    guard = Nested()
    protection = asyncio.create_task(protect(here, guard))
    await until(lambda: guard.ticks >= 3)
    here.finish("over")
    await protection
    assert max(depths) == 1, depths


async def outcome(awaitable):
    """What an awaitable returns, or the class of what it raises."""
    try:
        return await awaitable
    except BaseException as error:
        return type(error)


async def test_what_is_run_after_the_guard_returns_its_value_and_its_error():
    here, _ = work()

    async def seven():
        await asyncio.sleep_ms(0)
        return 7

    async def failing():
        await asyncio.sleep_ms(0)
        raise ValueError

    for run in (here.run_after_guard, lambda job: here.within(200, job)):
        assert await outcome(run(seven())) == 7
        await asyncio.sleep_ms(300)  # nothing comes after it
        assert await outcome(run(failing())) is ValueError
        assert await outcome(asyncio.create_task(here.run_after_guard(run(seven())))) == 7


async def test_a_time_limit_ends_what_takes_longer_wherever_it_waits():
    here, _ = work()
    ends = []
    lock = asyncio.Lock()
    await lock.acquire()

    async def late(wait):
        try:
            await wait()
        except asyncio.CancelledError:
            ends.append(wait)
            raise

    for wait in (lambda: asyncio.sleep_ms(60000), asyncio.Event().wait, lock.acquire):
        began = time.ticks_ms()
        assert await outcome(here.within(30, late(wait))) is asyncio.TimeoutError
        assert time.ticks_diff(time.ticks_ms(), began) >= 29
        assert ends.pop() is wait
    lock.release()
    assert not lock.locked()


async def test_a_time_limit_in_a_time_limit_ends_its_own_part():
    here, _ = work()
    seen = []

    async def impatient():
        for ms in (20, 600000):
            seen.append(await outcome(here.within(ms, asyncio.Event().wait())))
        raise ValueError

    assert await outcome(here.within(500, impatient())) is ValueError
    assert seen == [asyncio.TimeoutError, asyncio.CancelledError]


async def test_a_task_that_is_cancelled_is_cancelled_through_a_time_limit():
    here, _ = work()
    for after_ms in (0, 400):  # before, and in the very turn in which the time is over
        seen = []

        async def job(seen=seen):
            try:
                await here.within(300, asyncio.Event().wait())
            except BaseException as error:
                seen.append(type(error))
                raise

        task = asyncio.create_task(here.run_after_guard(job()))
        await asyncio.sleep_ms(20)
        time.sleep_ms(after_ms)
        task.cancel()
        assert await outcome(task) is asyncio.CancelledError
        assert seen == [asyncio.CancelledError], (after_ms, seen)


async def test_a_tick_that_begins_late_is_counted():
    here, _ = work()
    guard = Guard()
    collector = Collector()
    protection = asyncio.create_task(here.protect(guard, guard, collector))
    await until(lambda: guard.ticks >= 2)
    time.sleep_ms(4 * TICK_MS)
    await until(lambda: guard.ticks >= 4)
    here.finish("over")
    await protection
    assert collector.pauses.worst_ms(LATE) >= 2 * TICK_MS
    assert collector.lefts_ms and max(collector.lefts_ms) <= TICK_MS
