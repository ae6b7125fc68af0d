"""Times the steps of the firmware's tasks in one run: for steps.py, which knows what it means.

    micropython -X heapsize=128m tools/bench/stepper.py PORT SHIFT

The whole firmware in virtual time with a broker and an SD card, while its page is loaded,
streamed and used. A step is what a task does until the guard may tick again: to its next wait, or
to a wait for the card. Prints a line of JSON: for each task and request the times of its steps, us
of the host, in order, and the status of each answer. The guard itself is left out: tick.py times
it. So is what the simulator does in the place of chips, network and time.
"""

import builtins
import gc
import json
import os
import sys

import usocket
import utime
from rig import play

from sim.chips.sdcard import SdCard
from sim.chips.sdimage import Image

FIRST_US = 10000000
STARTED_US = 2000000
PAUSE_US = 200000
PASSWORD = "stage"
STREAMS = 2
SECTORS = 131072
FOLDER = "/sd"
COLLECT_EVERY = 600
"""Tasks resumed."""

VISITS = (
    ("GET", "/", None),
    ("GET", "/style.css", None),
    ("GET", "/app.js", None),
    ("GET", "/charts.js", None),
    ("GET", "/messages.json", None),
    ("GET", "/messages.json?language=fr", None),
    ("GET", "/api/openapi.json", None),
    ("GET", "/api/state", None),
    ("GET", "/api/events?after=0", None),
    ("GET", "/api/history", None),
    ("GET", "/api/history?n=3&span=300", None),
    ("GET", "/api/history?span=86400", None),
    ("GET", "/api/system", None),
    ("GET", "/api/settings", None),
    ("GET", "/api/settings/schema", None),
    ("GET", "/metrics", None),
    ("GET", "/log", None),
    ("GET", "/api/blackbox", None),
    ("GET", "/api/blackbox/1-1", None),
    ("GET", "/api/logs", None),
    ("GET", "/api/logs/boot-0001", None),
    ("GET", "/api/nothing", None),
    ("POST", "/api/login", {"password": "wrong"}),
    ("POST", "/api/login", {"password": PASSWORD}),
    ("POST", "/api/batteries/3/off", {}),
    ("POST", "/api/batteries/3/auto", {}),
    ("PATCH", "/api/settings", {"limits": {"max_trips": 6}}),
    ("PATCH", "/api/settings", {"limits": {"max_trips": "six", "min_voltage_mv": 31000}}),
    ("POST", "/api/time", {"unix_s": 1800000000}),
    ("GET", "/api/state", None),
    ("DELETE", "/api/logs/boot-0001", None),
    ("POST", "/api/logout", {}),
)
"""Method, path and body of what a browser asks for, one after the other."""


class Quiet:
    """In place of the module gc: the firmware's own collections are not timed."""

    mem_free = mem_alloc = threshold = staticmethod(lambda *args: 0)
    collect = staticmethod(lambda: None)


class Visitor:
    """A browser: streams that stay open, and one request after the other.

    Args:
        port: of the page.

    Attributes:
        asking: what it asks for at the moment; answers: status of each answer so far.
    """

    def __init__(self, port):
        self._port = port
        self._streams = []
        self._socket = None
        self._due_us = FIRST_US
        self._next = 0
        self._answer = b""
        self._cookie = ""
        self.asking = ""
        self.answers = []

    def act(self, now_us):
        """Do what can be done now without waiting."""
        if now_us < self._due_us:
            return
        for stream in self._streams:
            _receive(stream)
        if self._socket:
            data = _receive(self._socket)
            if data:
                self._answer += data
            elif data == b"":
                self._finish(now_us)
        elif len(self._streams) < STREAMS:
            self._streams.append(self._ask("GET", "/api/live", None))
            self._due_us = now_us + PAUSE_US
        elif self._next < len(VISITS):
            self._socket = self._ask(*VISITS[self._next])
            self._next += 1

    def _ask(self, method, path, body):
        self.asking = "%s %s" % (method, path)
        text = json.dumps(body) if body is not None else ""
        asked = usocket.socket()
        asked.connect(usocket.getaddrinfo("127.0.0.1", self._port)[0][-1])
        asked.setblocking(False)
        head = (
            "%s %s HTTP/1.1" % (method, path),
            "Host: localhost:%d" % self._port,
            "Cookie: " + self._cookie,
            "Content-Type: application/json",
            "Content-Length: %d" % len(text),
        )
        asked.write("\r\n".join(head) + "\r\n\r\n" + text)
        return asked

    def _finish(self, now_us):
        self._socket.close()
        self._socket = None
        self._due_us = now_us + PAUSE_US
        head = self._answer.split(b"\r\n\r\n")[0].decode()
        self.answers.append(int(head.split(" ")[1]))
        for line in head.split("\r\n"):
            if line.lower().startswith("set-cookie:"):
                self._cookie = line.split(":", 1)[1].split(";")[0].strip()
        self._answer = b""

    def leave(self):
        """Close every stream."""
        for stream in self._streams:
            stream.close()


def _receive(stream):
    """Bytes, b"" at the end, None when there is nothing now."""
    try:
        return stream.recv(65536)
    except OSError:
        return None


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
        """A task goes on."""
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
        """`function`, whose time does not count."""

        def timed(*args):
            began_us = utime.ticks_us()
            self._depth += 1
            try:
                return function(*args)
            finally:
                self._depth -= 1
                if not self._depth:
                    self._left_out_us += utime.ticks_diff(utime.ticks_us(), began_us)

        return timed

    def ends(self):
        """It waits again."""
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

    import esp32
    import machine

    from parallelator.app import App
    from parallelator.protection.guard import Guard
    from parallelator.work import Work
    from sim import current
    from sim.tasks import TaskQueue
    from sim.world import World

    simulated = (
        (World, ("spend", "us")),
        (socket, ("socket", "getaddrinfo")),
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
    tick_if_due = Work.tick_if_due

    def named_start(app, name, job):
        task = start(app, name, job)
        watch.named(task, name)
        return task

    def offered_tick(work):
        tick_if_due(work)
        watch.pauses()

    def visited_tick(guard):
        tick(guard)
        visitor.act(current.world.now_us)

    App._start = named_start
    Work.tick_if_due = offered_tick
    Guard.tick = watch.left_out(visited_tick)


class Files:
    """In place of the module os: the host's files stand for the flash and are not timed."""


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
    builtins.open = only_host(open)


def one_run(port, shift):
    """Play once; returns (steps, answers). The heap is collected `shift` tasks earlier."""
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
                gc.collect()
            watch.begins(task)
        return task

    def timed_peek(queue):
        if queue is queue.core._task_queue and watch._running:
            watch.ends()
        return peek(queue)

    leave_files_out(watch)
    TaskQueue.pop, TaskQueue.peek = timed_pop, timed_peek
    try:
        play(
            lambda: observe(visitor, watch),
            card=SdCard(Image(SECTORS)),
            duration_s=FIRST_US // 1000000 + len(VISITS) * 0.8 + 10,
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
    return watch.steps, visitor.answers


def main():
    """Run once."""
    sys.modules["gc"] = Quiet
    steps, answers = one_run(int(sys.argv[1]), int(sys.argv[2]))
    print(json.dumps({"steps": steps, "answers": answers}))


main()
