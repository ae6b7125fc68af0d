# SPDX-License-Identifier: GPL-3.0-only
"""Puts the firmware's guard under observation: heap lock around every tick, costs, requests.

The firmware knows nothing of it: some of its methods are wrapped before it starts.
"""

import gc
import io
import sys

import micropython

from sim import current
from sim.tasks import TaskQueue


class GuardProbe:
    """Wraps methods of the guard, `Rig.take_over`, `Events.emit` and `RtcState.save`.

    Args:
        world: the `World`; recorder: the `Recorder`.

    Attributes:
        guard: the firmware's guard, None before its first tick; rig: its `Rig`.
    """

    def __init__(self, world, recorder):
        self._world = world
        self._recorder = recorder
        self._tick = None
        self._submit = None
        self._lent = set()  # to a self-test: a reset forgets of them that they rest
        self.emit = None
        self.guard = self.rig = None

    def install(self):
        """Wrap the classes of the firmware that is about to start."""
        from parallelator.protection.guard import Guard
        from parallelator.records.events import Events
        from parallelator.records.rtc_state import RtcState
        from parallelator.rig import Rig

        self._tick = Guard.tick
        self._submit = Guard.submit
        self._all_off = Guard.all_off
        self._take_over = Rig.take_over
        self.emit = Events.emit
        self.guard = None
        while self._lent:
            self._recorder.requested("auto", self._lent.pop())
        made = Rig.__init__
        Rig.__init__ = lambda rig, *parts: self.made(rig, made, parts)
        Guard.tick = lambda guard: self.tick(guard)
        Guard.submit = lambda guard, action, i: self.submitted(guard, action, i)
        Guard.all_off = lambda guard: self.all_off(guard)
        Rig.take_over = lambda rig, changes, limits: self.taken_over(rig, changes, limits)
        Events.emit = _probed_emit
        world, save = self._world, RtcState.save

        def save_at_a_cost(rtc_state):
            self.unlock()  # within a tick only before a start, while nobody is connected
            save(rtc_state)
            if world.virtual:
                world.compute(world.costs.rtc_save_us)

        RtcState.save = save_at_a_cost

    def tick(self, guard):
        """One tick of the guard with the heap locked until its first fault or event."""
        world = self._world
        recorder = self._recorder
        if self.guard is not guard:
            self.guard = guard
            recorder.snap = guard._snap
            world.guard_task = TaskQueue.core.cur_task
        recorder.tick_begins()
        micropython.heap_lock()
        world.locked = True
        try:
            self._tick(guard)
        except MemoryError as error:
            self.unlock()
            recorder.alloc_violations.append(_where(error))
        if world.locked:
            self.unlock()
        else:
            recorder.exempt_ticks += 1
        if world.virtual:
            world.compute(world.costs.tick_us)
        recorder.tick_ends()

    def unlock(self):
        """The rest of this tick may allocate."""
        if self._world.locked:
            self._world.locked = False
            micropython.heap_unlock()

    def release(self):
        """After an interrupt anywhere: make sure that the heap is usable.

        One in the middle of a collection leaves the heap locked until another has ended.
        """
        gc.collect()
        self._world.locked = False
        if micropython.heap_unlock():
            micropython.heap_lock()

    def submitted(self, guard, action, i):
        """A wish, from the page or from `submit`: the referee learns of those accepted."""
        refused = self._submit(guard, action, i)
        if refused is None and action not in ("disconnected", "fire"):
            self._lent.add(i) if action == "rest" else self._lent.discard(i)
            action = {"rest": "off", "resume": "auto"}.get(action, action)
            self._recorder.requested(action, i)
        return refused

    def taken_over(self, rig, changes, limits):
        """Settings were saved: the referee judges by the limits that are in force."""
        self._take_over(rig, changes, limits)
        self._recorder.adopted(rig.settings)

    def all_off(self, guard):
        """The firmware ends and opens every switch; not when it is only unwound by a reset."""
        self.release()
        if self._recorder.snap is not None:
            self._recorder.ended()
        self._all_off(guard)

    def made(self, rig, init, parts):
        """The firmware's `Rig` is made."""
        self.rig = rig
        init(rig, *parts)

    async def _self_test(self, last):
        import asyncio

        from parallelator.show import self_test

        refused = await self_test(self.rig)
        while last and not refused and self.rig.selftest and not self.selftest():
            await asyncio.sleep_ms(500)
        if last:
            self._world.finish()

    def selftest(self):
        """The result of the last self-test that no card has, as JSON; None without one."""
        test = self.rig and self.rig.selftest
        return test if isinstance(test, str) else None

    def submit(self, action, i):
        """Leave a request with the guard, as the page would; refused ones are ignored. `selftest`
        begins one, with which the run ends if `i` is true."""
        if action == "selftest":
            import asyncio

            if self.rig is not None:
                asyncio.create_task(self.rig.run_after_guard(self._self_test(i)))
        elif self.guard is not None:
            self.guard.submit(action, i)


def _probed_emit(events, code, i, state, reason, value):
    # Not a closure: calling one with so many arguments would itself allocate. An event is a fault
    # or a change of state: the rest of its tick may allocate.
    probe = current.probe
    probe.unlock()
    probe.emit(events, code, i, state, reason, value)


def _where(error):
    text = io.StringIO()
    sys.print_exception(error, text)
    lines = text.getvalue().strip().split("\n")
    return "; ".join(line.strip() for line in lines[-3:])
