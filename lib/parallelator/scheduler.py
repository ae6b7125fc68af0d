# SPDX-License-Identifier: GPL-3.0-only
"""The guard's task and the others beside it: who runs when, and what a failure means. Used by app.

The guard goes first: in a task of its own, before every step of every other task, and while the SD
card is waited for. No task here is made but through `run_after_guard`; none is made by asyncio's
`wait_for`, in whose place stands `within`. Only the task in which asyncio accepts connections is
made by asyncio: it makes one step before the guard is asked again.

The guard's death ends the program; any other task is started again.
"""

import asyncio
import sys

from micropython import const

from parallelator.pauses import LATE
from parallelator.protection import guard
from parallelator.snapshot import RIG

_FIRST_RETRY_MS = const(1000)
_LAST_RETRY_MS = const(8000)
_HEALTHY_MS = const(60000)


class Scheduler:
    """The tasks of one rig.

    Args:
        clock: a `clock.Clock`.
        emit: function (code, i, state, reason, value) that records an event.

    Attributes:
        names: of the supervised tasks; failures: how often each failed.
        end: why the program ends, the exception that killed the guard or a word; None = it runs.
    """

    def __init__(self, clock: "Clock", emit: "Emit"):
        self._clock = clock
        self._emit = emit
        self._guard = None
        self._watchdog = None
        self._pauses = None
        self._due = 0
        self._ticking = False
        # Of each supervised task.
        self._jobs = []
        self._began = []
        self._retry_ms = []
        self.names = []
        self.failures = []
        self.end = None

    async def protect(
        self,
        protector: "Guard",
        watchdog: "WDT",
        collector: "Collector",
    ):
        """The guard's task: tick every `guard.TICK_MS` until there is an `end`.

        Args:
            protector: a `guard.Guard` that has started; watchdog: fed by every tick.
            collector: asked to collect after a tick; its pauses are told how late each begins.
        """
        clock = self._clock
        self._due = clock.ms()
        self._watchdog = watchdog
        self._pauses = collector.pauses
        self._guard = protector
        while self.end is None:
            self.tick_if_due()
            collector.collect_if_due(clock.diff(self._due, clock.ms()))
            await asyncio.sleep_ms(max(clock.diff(self._due, clock.ms()), 0))

    def tick_if_due(self):
        """Run a tick of the guard if it is due; anybody may call this at any time.

        Nothing happens while a tick is under way. An exception in the guard ends the program, with
        the switches open if I2C allows.
        """
        clock = self._clock
        protector = self._guard
        if protector is None or self.end or self._ticking:
            return
        late_ms = clock.diff(clock.ms(), self._due)
        if late_ms < 0:
            return
        self._ticking = True
        self._pauses.note(LATE, late_ms)
        try:
            protector.tick()
            self._watchdog.feed()
            protector.keep()
        except Exception as error:
            self.end = error
            protector.all_off()
            return
        finally:
            self._ticking = False
        now = clock.ms()
        self._due = clock.add(self._due, guard.TICK_MS)
        if clock.diff(self._due, now) < 0:
            self._due = now

    def finish(self, why: str):
        """End the program, for a reason that is a word."""
        self.end = why

    def start(self, name: str, job: "Callable[[], Coroutine]"):
        """Run `job`, a function that returns a coroutine, for ever; returns the task."""
        self.names.append(name)
        self.failures.append(0)
        self._jobs.append(job)
        self._began.append(self._clock.ms())
        self._retry_ms.append(_FIRST_RETRY_MS)
        return asyncio.create_task(self.run_after_guard(job(), len(self._jobs) - 1))

    async def _begin_again(self, number: int):
        """Record the death of task `number`, and run it again after a delay that grows.

        After a task has run for a minute, its delay is as short as the first one.
        """
        clock = self._clock
        self.failures[number] += 1
        self._emit("task_died", RIG, 0, 0, number)
        # Below 0 after six days, half the period of the ticks.
        if not 0 <= clock.diff(clock.ms(), self._began[number]) < _HEALTHY_MS:
            self._retry_ms[number] = _FIRST_RETRY_MS
        retry_ms = self._retry_ms[number]
        self._retry_ms[number] = min(retry_ms * 2, _LAST_RETRY_MS)
        await asyncio.sleep_ms(retry_ms)
        self._began[number] = clock.ms()
        await self._jobs[number]()

    async def within(self, ms: int, coroutine: "Coroutine"):
        """What a coroutine returns or raises; asyncio.TimeoutError when it takes more than `ms`.

        As asyncio's `wait_for_ms`, but the coroutine is a part of the task that asks. It is
        cancelled when its time is over, and when the task is.
        """
        task = asyncio.current_task()
        timer = asyncio.create_task(self.run_after_guard(_interrupt(task, ms)))
        try:
            return await coroutine
        except asyncio.CancelledError as error:
            if timer in error.args:
                raise asyncio.TimeoutError
            raise
        finally:
            timer.cancel()

    def run_after_guard(self, coroutine: "Coroutine", supervised: "int | None" = None) -> "Any":
        """Awaitable that runs a coroutine, and before each step of it the guard if it is due.
        Returns or raises what the coroutine does.

        asyncio's loop runs every task that is ready before it comes back to the guard's: many of
        them would make it late.

        Args:
            supervised: number of the task that the coroutine is, which then never ends: it begins
                again.
        """
        thrown = None
        while True:
            self.tick_if_due()
            try:
                if thrown is None:
                    coroutine.send(None)
                else:
                    coroutine.throw(thrown)
            except Exception as error:  # one clause for both: a second name makes the frame larger
                if supervised is None:
                    if isinstance(error, StopIteration):
                        return error.value
                    raise
                if not isinstance(error, StopIteration):
                    sys.print_exception(error)
                coroutine = self._begin_again(supervised)
                thrown = None
                continue
            try:
                yield
                thrown = None
            except BaseException as error:  # a cancellation on its way to the coroutine
                thrown = error


async def _interrupt(task: "Task", ms: int):
    """Cancel a task after `ms`, marked as done by this timer; not when somebody else has just
    cancelled it."""
    await asyncio.sleep_ms(ms)
    if task.data is not asyncio.CancelledError and task.cancel():
        # asyncio throws what `data` holds into the task.
        task.data = asyncio.CancelledError(asyncio.current_task())
