"""The tasks beside the guard: who dies is told and started again, and the guard goes first."""

import asyncio
import time

from parallelator.clock import Clock
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


async def test_the_guard_goes_first_at_every_step_of_a_task():
    here, _ = work()
    guard = Guard()
    seen = []

    async def greedy():
        for _ in range(5):
            time.sleep_ms(11)  # longer than a tick
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
    protection = asyncio.create_task(here.protect(guard, guard))
    await until(lambda: guard.ticks >= 3)
    here.finish("over")
    await protection
    assert max(depths) == 1, depths
