# SPDX-License-Identifier: GPL-3.0-only
"""Tasks and their queue in pure Python, for asyncio under a clock that the simulator owns.

The host's C module reads the host's clock. run.py puts this module in its place before asyncio is
imported, and then calls `bind`. The names and their meaning are the protocol of MicroPython's
asyncio: `ph_key` is when a task is due, `data` what it waits for or how it ended, `state` whether
it lives (True), lives and is awaited (a queue or a callable), or has ended (None, False).
"""

from sim import current

_PERIOD = 1 << 30
_HALF = 1 << 29


class TaskQueue:
    """Tasks sorted by due time in a linked list; equals leave in the order they came.

    Attributes:
        core: the module asyncio.core, set by `bind`.
    """

    core = None

    def __init__(self):
        self._first = None

    def peek(self):
        return self._first

    def push(self, task, key=None):
        due = self.core.ticks() if key is None else key
        task.ph_key = due
        task.data = None
        last = None
        at = self._first
        while at and ((due - at.ph_key + _HALF) & (_PERIOD - 1)) >= _HALF:
            last = at
            at = at.follower
        task.follower = at
        if last:
            last.follower = task
        else:
            self._first = task

    def pop(self):
        task = self._first
        self._first = task.follower
        task.follower = None
        if self is self.core._task_queue:
            current.world.resume(task)
            task.begun = True
        return task

    def remove(self, task):
        last = None
        at = self._first
        while at is not task:
            last = at
            at = at.follower
        if last:
            last.follower = task.follower
        else:
            self._first = task.follower
        task.follower = None


class Task:
    """One coroutine that asyncio runs.

    Attributes:
        begun: True once it was resumed.
    """

    def __init__(self, coro, globals=None):
        self.coro = coro
        self.state = True
        self.data = None
        self.ph_key = 0
        self.follower = None
        self.begun = False

    def done(self):
        return not self.state

    def __iter__(self):
        if self.state is True:
            self.state = TaskQueue()
        elif not self.state:
            self.state = False
        elif not isinstance(self.state, TaskQueue):
            raise RuntimeError("can't wait")
        return self

    def __next__(self):
        if not self.state:
            raise self.data
        waiter = TaskQueue.core.cur_task
        self.state.push(waiter)
        waiter.data = self

    def cancel(self):
        core = TaskQueue.core
        if self is core.cur_task:
            raise RuntimeError("can't cancel self")
        if not self.state:
            return False
        # The one to wake is at the end of the chain of tasks that wait for tasks.
        task = self
        while isinstance(task.data, Task):
            task = task.data
        runnable = core._task_queue
        waits_in = task.data
        if not hasattr(waits_in, "remove"):
            waits_in = runnable if core.ticks_diff(task.ph_key, core.ticks()) > 0 else None
        if waits_in:
            waits_in.remove(task)
            runnable.push(task)
        task.data = core.CancelledError
        return True


def bind(core):
    """Tell the queue which asyncio it serves."""
    TaskQueue.core = core
