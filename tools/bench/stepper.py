# SPDX-License-Identifier: GPL-3.0-only
"""Times the steps of the firmware's tasks in one run: for steps.py, which knows what it means.

    micropython -X heapsize=32m tools/bench/stepper.py PORT SHIFT

The whole firmware in virtual time with a broker and an SD card, while its page is loaded,
streamed and used. A step is what a task does until the guard may tick again: to its next wait, or
to a wait for the card. Every answer must be as expected. Prints a line of JSON: for each task and
request the times of its steps, us of the host, in order. The guard itself is left out: tick.py
times it. So is what simulator and host do in the place of chips, network and time.
"""

import gc
import io
import json
import os
import sys

import utime
from rig import play

from bench.visitor import PASSWORD, Visitor
from sim import harness
from sim.chips.sdcard import SdCard
from sim.chips.sdimage import Image

STARTED_US = 2000000
SECTORS = 131072
FOLDER = "/sd"
COLLECT_EVERY = 60
"""Tasks resumed."""
MARK = 1 << 20
_OPEN = open


class Quiet:
    """Stands for the module gc: the firmware's own collections are not timed."""

    mem_free = mem_alloc = threshold = staticmethod(lambda *args: 0)
    collect = staticmethod(lambda: None)


class Stopwatch:
    """Times every resumption.

    Args:
        visitor: a `Visitor`; now_us: function that returns the time of the run.
        resumed: where to begin to count.

    Attributes:
        resumed: how often any task went on.
        steps: name to the list of times in us, in order.
    """

    def __init__(self, visitor, now_us, resumed):
        self._visitor = visitor
        self._now_us = now_us
        self._names = {}
        self._running = None
        self._started_us = 0
        self._left_out_us = 0
        self._depth = 0
        self.resumed = resumed
        self.steps = {}

    def begins(self, task):
        """A task begins a step."""
        if id(task) not in self._names or self._names[id(task)][0] is not task:
            self._names[id(task)] = (task, self._name(task))
        name = self._names[id(task)][1]
        self._running = name and ("start" if self._now_us() < STARTED_US else name)
        self._go_on()

    def pauses(self):
        """The guard has had the chance to tick: what follows is another step of the same task."""
        if self._running and not self._depth:
            self._note()
            self._go_on()

    def _go_on(self):
        self._left_out_us = 0
        self._started_us = utime.ticks_us()

    def _note(self):
        took_us = utime.ticks_diff(utime.ticks_us(), self._started_us)
        self.steps.setdefault(self._running, []).append(took_us - self._left_out_us)

    def left_out(self, function):
        """A function that calls `function`, whose time does not count."""

        def timed(*args):
            began_us = self.out()
            try:
                return function(*args)
            finally:
                self.back(began_us)

        return timed

    def out(self):
        """Stop counting; returns what `back` takes. Allocates nothing."""
        self._depth += 1
        return utime.ticks_us()

    def back(self, began_us):
        """Count again."""
        self._depth -= 1
        if not self._depth:
            self._left_out_us += utime.ticks_diff(utime.ticks_us(), began_us)

    def ends(self):
        """The task waits again: its step is over."""
        if self._running:
            self._note()
        self._running = None

    def named(self, task, name):
        """`task` is known under another name than that of its coroutine."""
        self._names[id(task)] = (task, name)

    def _name(self, task):
        name = str(task.coro).split("'")[1] if "'" in str(task.coro) else str(task.coro)
        if name == "protect":
            return None
        return "%s: %s" % (name, self._visitor.asking) if self._visitor.asking else name


def observe(visitor, watch):
    """Sabotage for `play` that puts both to work."""
    import socket
    from asyncio.stream import Stream

    import esp32
    import machine

    from parallelator.app import App
    from parallelator.protection.guard import Guard
    from parallelator.scheduler import Scheduler
    from sim import current
    from sim.tasks import TaskQueue
    from sim.world import World

    simulated = (
        (socket, ("socket", "getaddrinfo")),
        (Stream, ("write",)),
        (TaskQueue, ("push", "remove")),
        (machine.SPI, ("write", "readinto", "write_readinto")),
        (machine.Pin, ("value", "__call__")),
        (esp32.NVS, ("get_i32", "set_i32", "get_blob", "set_blob", "erase_key", "commit")),
    )
    for kind, names in simulated:
        for name in names:
            setattr(kind, name, watch.left_out(getattr(kind, name)))
    start = App._start
    tick = Guard.tick
    tick_if_due = Scheduler.tick_if_due
    spend = World.spend

    def named_start(app, name, job):
        task = start(app, name, job)
        watch.named(task, name)
        return task

    def left_out_spend(world, us):
        began_us = watch.out()
        try:
            spend(world, us)
        finally:
            watch.back(began_us)

    def offered_tick(work):
        tick_if_due(work)
        watch.pauses()

    def visited_tick(guard):
        tick(guard)
        visitor.act(current.world.now_us)

    App._start = named_start
    Scheduler.tick_if_due = offered_tick
    World.spend = left_out_spend
    Guard.tick = watch.left_out(visited_tick)


class Heap:
    """Keeps the host's heap such that finding a free block takes no longer than in a small one."""

    def __init__(self):
        self._filling = None

    def tidy(self):
        """Collect what is garbage, and fill the gaps that this leaves."""
        self._filling = None
        gc.collect()
        mark = id(bytearray(MARK))
        filling = (None,)
        while id(filling) < mark:
            filling = (filling,)
        self._filling = filling


class Files:
    """Stands for the module os: the host's files stand for the flash and are not timed."""


def opened(path, mode="r", *rest):
    """As `open`; what is only read is read at once: a byte of it is no call of the host."""
    file = _OPEN(path, mode, *rest)
    if mode != "rb" or path.startswith(FOLDER):
        return file
    with file:
        return io.BytesIO(file.read())


def leave_files_out(watch):
    """Time what is done to files only where it reaches the SD card."""

    def only_host(function):
        timed = watch.left_out(function)

        def called(path, *args):
            return (function if path.startswith(FOLDER) else timed)(path, *args)

        return called

    for name in dir(os):
        setattr(Files, name, getattr(os, name))
    for name in ("stat", "remove", "rename", "mkdir"):
        setattr(Files, name, only_host(getattr(os, name)))
    sys.modules["os"] = Files
    harness._OPEN = only_host(opened)  # what the simulated flash opens its files with


def one_run(port, shift):
    """Play once; returns the steps. The heap is collected `shift` tasks earlier."""
    from sim import current
    from sim.tasks import TaskQueue

    visitor = Visitor(port)
    watch = Stopwatch(visitor, lambda: current.world.now_us, shift)
    pop, peek = TaskQueue.pop, TaskQueue.peek

    def timed_pop(queue):
        task = pop(queue)
        if queue is queue.core._task_queue:
            watch.resumed += 1
            if watch.resumed % COLLECT_EVERY == 0:
                heap.tidy()
            watch.begins(task)
        return task

    def timed_peek(queue):
        if queue is queue.core._task_queue and watch._running:
            watch.ends()
        return peek(queue)

    heap = Heap()
    leave_files_out(watch)
    TaskQueue.pop, TaskQueue.peek = timed_pop, timed_peek
    try:
        play(
            lambda: observe(visitor, watch),
            card=SdCard(Image(SECTORS)),
            duration_s=Visitor.LONGEST_S,
            settings={
                "web": {"port": port, "password": PASSWORD},
                "mqtt": {"interval_s": 1, "commands": True},
            },
            load=[[0, 24]],
            steps=[
                {"at": 0, "do": "broker"},
                {"at": 8, "do": "inject_current", "n": 9, "ma": 20000},
                {"at": 9, "do": "inject_current", "n": 9, "ma": 0},
            ],
        )
    finally:
        TaskQueue.pop, TaskQueue.peek = pop, peek
        visitor.leave()
    if not visitor.done:
        raise ValueError("%s: not answered in time" % visitor.asking)
    return watch.steps


def main():
    """Run once."""
    sys.modules["gc"] = Quiet
    steps = one_run(int(sys.argv[1]), int(sys.argv[2]))
    print(json.dumps(steps))


main()
