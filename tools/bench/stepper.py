"""Times the steps of the firmware's tasks in one run: for steps.py, which knows what it means.

    micropython -X heapsize=64m tools/bench/stepper.py PORT

The whole firmware in virtual time with a broker, while its page is loaded, streamed and used.
Prints a line of JSON: for each task and request the times of its resumptions, us of the host, in
order, and the status of each answer. The guard is left out, its task and its ticks before the
steps of others: tick.py times those.
"""

import json
import sys

import usocket
import utime
from rig import play

FIRST_US = 10000000
STARTED_US = 2000000
PAUSE_US = 200000
PASSWORD = "stage"
STREAMS = 2

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
    ("GET", "/api/nothing", None),
    ("POST", "/api/login", {"password": "wrong"}),
    ("POST", "/api/login", {"password": PASSWORD}),
    ("POST", "/api/batteries/3/off", {}),
    ("POST", "/api/batteries/3/auto", {}),
    ("PATCH", "/api/settings", {"limits": {"max_trips": 6}}),
    ("PATCH", "/api/settings", {"limits": {"max_trips": "six", "min_voltage_mv": 31000}}),
    ("POST", "/api/time", {"unix_s": 1800000000}),
    ("GET", "/api/state", None),
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

    Attributes:
        steps: name to the list of times in us, in order.
    """

    def __init__(self, visitor, now_us):
        self._visitor = visitor
        self._now_us = now_us
        self._names = {}
        self._running = None
        self._started_us = 0
        self._guarded_us = 0
        self.steps = {}

    def begins(self, task):
        """A task goes on."""
        if id(task) not in self._names or self._names[id(task)][0] is not task:
            self._names[id(task)] = (task, self._name(task))
        name = self._names[id(task)][1]
        self._running = name and ("start" if self._now_us() < STARTED_US else name)
        self._guarded_us = 0
        self._started_us = utime.ticks_us()

    def guarded(self, us):
        """The guard took `us` of this step."""
        self._guarded_us += us

    def ends(self):
        """It waits again."""
        took_us = utime.ticks_diff(utime.ticks_us(), self._started_us)
        if self._running:
            self.steps.setdefault(self._running, []).append(took_us - self._guarded_us)
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
    from parallelator.app import App
    from parallelator.protection.guard import Guard
    from sim import current

    start = App._start
    tick = Guard.tick

    def named_start(app, name, job):
        task = start(app, name, job)
        watch.named(task, name)
        return task

    def visited_tick(guard):
        started_us = utime.ticks_us()
        tick(guard)
        visitor.act(current.world.now_us)
        watch.guarded(utime.ticks_diff(utime.ticks_us(), started_us))

    App._start = named_start
    Guard.tick = visited_tick


def one_run(port):
    """Play once; returns (steps, answers)."""
    from sim import current
    from sim.tasks import TaskQueue

    visitor = Visitor(port)
    watch = Stopwatch(visitor, lambda: current.world.now_us)
    pop, peek = TaskQueue.pop, TaskQueue.peek

    def timed_pop(queue):
        task = pop(queue)
        if queue is queue.core._task_queue:
            watch.begins(task)
        return task

    def timed_peek(queue):
        if queue is queue.core._task_queue and watch._running:
            watch.ends()
        return peek(queue)

    TaskQueue.pop, TaskQueue.peek = timed_pop, timed_peek
    try:
        play(
            lambda: observe(visitor, watch),
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
    steps, answers = one_run(int(sys.argv[1]))
    print(json.dumps({"steps": steps, "answers": answers}))


main()
