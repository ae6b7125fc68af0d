# SPDX-License-Identifier: GPL-3.0-only
"""Why ticks are late: asks of each what the rig did since the one before. Used by player.py."""

from sim import guard_probe, harness, recorder, world

_TICK_US = 20000
_BURST_US = 59000
"""What a tick may take that opens or closes switches, at the costs as measured: flags and current
of sixteen 26 ms, two polls 5, four boards 8, scan and Python 6; and where the flags of the sensor
that is proved tell of those that the first openings have overloaded, 13 for the polls and boards
once more. An over-current of several may last 100 ms."""
_WINDOW_US = 320000
"""So long after a start each ALERT is cleared and its current read, in each tick."""
_BLOCKED_US = 10000
"""What other tasks may block for together, the flash and the radio aside: two steps of 5 ms."""
_NOT_OURS = "_serve"
"""asyncio's own task that takes connections in: the guard does not go before its steps."""
_MOST_OURS = 1
_MOST_OTHERS = 1
"""Steps that may begin once a tick is due, before one that runs it."""


class Meter(world.World):
    """A world that keeps count of where the time between two ticks went.

    Attributes, since the last `clear`:
        drawn_us, resumptions: what other tasks took, and how often; idle_us: spent waiting.
        collected_us: spent on garbage; written_us: on writes to the flash; turned_us: on
        switching the radio.
        ours, others: how many of the resumptions began when the next tick was due, by whose.

    Attributes, of the whole run:
        asked: True when the guard was asked in the present step; unasked: names of the coroutines
        with a step in which it was not.
    """

    asked = True
    step = None
    unasked = frozenset()

    def clear(self):
        self.drawn_us = self.resumptions = self.ours = self.others = self.idle_us = 0
        self.collected_us = self.written_us = self.turned_us = 0
        self.tick_due_us = self.now_us + _TICK_US
        self.known_errors = self.wires.errors
        self.known_resets = self.resets

    def collect(self):
        before_us = self.now_us
        super().collect()
        self.collected_us += self.now_us - before_us

    def write_flash(self, us):
        super().write_flash(us)
        self.written_us += us

    def turn_radio(self, us):
        super().turn_radio(us)
        self.turned_us += us

    def restarted(self):
        super().restarted()
        self.asked = True  # the step that a reset cuts short is nobody's

    def resume(self, task):
        if not self.asked:
            self.unasked |= {self.step}
        # One that is cancelled before it has begun runs nothing.
        self.asked = bool(task.data) and not task.begun
        self.step = str(task.coro).split("'")[1]
        before_us = self.now_us
        known_us = self.collected_us
        super().resume(task)
        if self.now_us != before_us:
            self.drawn_us += self.now_us - before_us - (self.collected_us - known_us)
            self.resumptions += 1
            if before_us > self.tick_due_us:
                ours = self.step != _NOT_OURS
                self.ours += ours
                self.others += not ours

    def wait(self, timeout_ms, poll):
        before_us = self.now_us
        ready = super().wait(timeout_ms, poll)
        self.idle_us += self.now_us - before_us
        return ready


class Probe(guard_probe.GuardProbe):
    """A probe that notes in a `Meter` whenever the guard is asked whether it is due."""

    def install(self):
        super().install()
        from parallelator.scheduler import Scheduler

        honest = Scheduler.tick_if_due
        meter = self._world

        def tick_if_due(scheduler):
            meter.asked = True
            honest(scheduler)

        Scheduler.tick_if_due = tick_if_due


class Explainer(recorder.Recorder):
    """A recorder that asks of every late tick why it was late.

    Attributes:
        causes: explanation to number of late ticks.
        unexplained: texts on those that the cost model has no explanation for.
    """

    def __init__(self, rig, limits):
        super().__init__(rig, limits)
        self.causes = {}
        self.unexplained = []
        self._own_us = self._moves = 0
        self._moved_us = -_WINDOW_US
        rig.clear()

    def tick_begins(self):
        known = self.late
        last_us = self._tick_us
        super().tick_begins()
        if self.late > known:
            self._explain(self._tick_us - last_us)
        self._world.clear()

    def tick_ends(self):
        super().tick_ends()
        self._own_us = self._world.now_us - self._tick_us
        moves = len(self.switch_writes) + len(self.timeline)
        if moves != self._moves:
            self._moved_us = self._world.now_us
        self._moves = moves

    def unasked(self):
        """Names of the coroutines that made a step before which the guard was not asked."""
        return sorted(self._world.unasked - {_NOT_OURS})

    def _explain(self, gap_us):
        rig = self._world
        blocked_us = gap_us - self._own_us - rig.idle_us - rig.drawn_us - rig.collected_us
        if rig.resets != rig.known_resets:
            cause = "controller reset"
        elif rig.wires.errors != rig.known_errors or rig.wires.noise:
            cause = "I2C fault"
        elif self._own_us > 2 * _TICK_US:
            moved = self._tick_us - self._moved_us < _WINDOW_US
            cause = "switching" if moved and self._own_us < _BURST_US else None
        elif rig.idle_us > _TICK_US or rig.ours > _MOST_OURS or rig.others > _MOST_OTHERS:
            cause = None
        elif blocked_us <= _BLOCKED_US:
            cause = "collection" if rig.collected_us else "other tasks"
        else:
            apart_us = rig.written_us + rig.turned_us
            beside_us = gap_us - apart_us - rig.collected_us
            told = apart_us and beside_us <= _TICK_US + _BLOCKED_US
            cause = ("flash write" if rig.written_us else "radio") if told else None
        if cause:
            self.causes[cause] = self.causes.get(cause, 0) + 1
        else:
            self.unexplained.append(
                "tick %d us, idle %d us, %d (%d + %d late) others %d us, blocked %d us at %d ms"
                % (
                    self._own_us,
                    rig.idle_us,
                    rig.resumptions,
                    rig.ours,
                    rig.others,
                    rig.drawn_us,
                    blocked_us,
                    rig.now_us // 1000,
                )
            )


def explain(run):
    """Call `run`, which plays a scenario once; returns (its `Explainer`, what `run` returns)."""
    kept = []

    def keep(rig, limits):
        kept.append(Explainer(rig, limits))
        return kept[0]

    usual = harness.World, harness.Recorder, harness.GuardProbe
    harness.World, harness.Recorder, harness.GuardProbe = Meter, keep, Probe
    try:
        report = run()
    finally:
        harness.World, harness.Recorder, harness.GuardProbe = usual
    return kept[0], report
