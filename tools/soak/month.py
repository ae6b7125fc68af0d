# SPDX-License-Identifier: GPL-3.0-only
"""Logs for days on a slowed rig and counts what lies on the card. For `make soak` and tests.

    micropython -X heapsize=64m tools/soak/month.py [SECONDS INTERVAL_S]

Without arguments a day with a sample each second, then thirty days with one a minute. The guard,
the plant and the tasks that poll are slowed, up to a tick of 2 s; card, file system and log are
the real ones. Every day has its file; its rows and its bytes must be as computed, and the heap in
use at the end that of the beginning.
"""

import gc
import os
import sys

if __name__ == "__main__":
    ROOT = __file__.rsplit("/tools/soak/", 1)[0] if "/tools/soak/" in __file__ else "."
    ROOT = ROOT if ROOT.startswith("/") else os.getcwd() + "/" + ROOT
    sys.path[:] = [
        ROOT + "/tools/sim/standins",
        ROOT + "/lib",
        ROOT + "/tools",
        ROOT + "/build/mpy-lib",
        ".frozen",
    ]

from sim import current, harness, scenario, world  # noqa: E402 - the path must come first
from sim.chips.sdcard import SdCard  # noqa: E402
from sim.chips.sdimage import Image  # noqa: E402

DAY_S = 86400
SECTORS = 262144
CHANNELS = 4
FIRST_S = 1783900800  # 2026-07-13T00:00:00Z
HEADER = "time,uptime_ms,battery,voltage_mv,current_ma,state,discharge_mah,charge_mah,soc_pct\n"
ABOUT = "# times are UTC; zone UTC0; boot 1; rig 246f28000001; name parallelator\n"
_CLOCK_AT_S = 20
_POLL_MS = 100
_SETTLED_S = 300
_HEAP_SLACK = 2048
"""Bytes: numbers that have grown, a float of the simulator in a block of another size."""
_FIXED = len("2026-07-13T00:00:00Z,000,1,28000,,on,,0\n")
"""Bytes of a row without the digits that change their number: seconds, mA, mAh."""


class Patience:
    """Stands for `asyncio` in a module that polls: no poll is shorter than a tick, and what lies
    between two steps of one job is none."""

    def __init__(self, asyncio, tick_ms):
        self._asyncio = asyncio
        self._tick_ms = tick_ms

    def __getattr__(self, name):
        return getattr(self._asyncio, name)

    def sleep_ms(self, ms):
        return self._asyncio.sleep_ms(max(ms, self._tick_ms) if ms >= _POLL_MS else 0)


class Month:
    """Some days of logging.

    Args:
        root: folder of the repository; duration_s, interval_s: how long, and how often.
        tick_ms: of the guard; begin_s: time of the first day at which it begins.

    Attributes:
        report: of the harness; used: heap in use early and late, bytes.
    """

    def __init__(self, root, duration_s, interval_s, tick_ms, begin_s=0):
        self.used = []
        self._tick_ms = tick_ms
        self._first_s = FIRST_S + begin_s
        self._due_s = [_SETTLED_S, duration_s]
        path = "%s/build/sim/month-%s.img" % (root, os.urandom(4).hex())
        card = SdCard(Image(SECTORS, path))
        plan = {
            "name": "month",
            "duration_s": duration_s + _CLOCK_AT_S,
            "batteries": [{"n": n, "soc": 0.5, "capacity_ah": 1000} for n in (1, 2)],
            "load": [[0, 1]],
            "settings": {"serial_messages": False, "log": {"interval_s": interval_s}},
        }
        step_us = world._STEP_US
        world._STEP_US = tick_ms * 1000
        try:
            self.report = harness.run(
                root, scenario.complete(plan), True, quiet=True, sabotage=self._hook, card=card
            )
            self.sizes, self.rows = self._count(card.image.volume())
        finally:
            world._STEP_US = step_us
            card.image.close()
            os.remove(path)

    def _count(self, volume):
        sizes = {}
        rows = {}
        for entry in volume.ilistdir("/log"):
            name, _, _, sizes[name] = entry
            with volume.open("/log/" + name, "rb") as file:
                rows[name] = 0
                while True:
                    piece = file.read(4096)
                    if not piece:
                        break
                    rows[name] += piece.count(b"\n")
        return sizes, rows

    def _hook(self):
        import asyncio

        from parallelator import app
        from parallelator.protection import guard
        from parallelator.records import counters, datalog, nvs_state
        from sim.slow import slow_down

        patience = Patience(asyncio, self._tick_ms)
        app.asyncio = counters.asyncio = datalog.asyncio = nvs_state.asyncio = patience
        slow_down(self._tick_ms)
        tick = guard.Guard.tick
        start = app.App._start

        def watched(rig):
            tick(rig)
            self._look()

        def started(rig, name, job):
            if name == "log":
                start(rig, "browser", lambda: self._browser(rig, asyncio))
            # The tasks of the page and of the charts run often and do not use the card.
            return None if name in ("web", "history", "console") else start(rig, name, job)

        guard.Guard.tick = watched
        app.App._start = started

    async def _browser(self, rig, asyncio):
        await asyncio.sleep_ms(_CLOCK_AT_S * 1000)
        rig.clock.set(self._first_s)
        while True:
            await asyncio.sleep_ms(1 << 28)

    def _look(self):
        now_us = current.world.now_us
        if len(self.used) < 2 and now_us >= self._due_s[len(self.used)] * 1000000:
            recorder = current.world.observers[0]
            for name in recorder.GROWING:
                setattr(recorder, name, [])
            current.world.flash_us = []
            gc.collect()
            self.used.append(0)
            self.used[-1] = gc.mem_alloc()


def faults(month, duration_s, interval_s, begin_s=0):
    """What is not as computed, as texts; a list."""
    wrong = ["allocation %s" % entry for entry in month.report["alloc_violations"]]
    days = (begin_s + duration_s + DAY_S - 1) // DAY_S
    names = sorted(name for name in month.sizes if name[0] == "2")
    if len(names) != days or set(month.sizes) - set(names) != {"boot-0001.csv", "events.csv"}:
        wrong.append("files %s for %d days" % (sorted(month.sizes), days))
    left_s = duration_s
    uptime_s = _CLOCK_AT_S
    for name in names:
        seconds = min(DAY_S - begin_s, left_s)
        begin_s = 0
        samples = seconds // interval_s
        found = month.rows[name] - 2
        # The last flush may be 10 s or a sample away, the first sample as far.
        if abs(found - samples * CHANNELS) > CHANNELS * (1 + 12 // interval_s):
            wrong.append("%s: %d rows, computed %d" % (name, found, samples * CHANNELS))
        shortest = _FIXED + len(str(uptime_s)) + 2
        longest = _FIXED + len(str(uptime_s + seconds)) + 4 + 6
        # Two of the four rows of a board are of batteries that are absent.
        low = len(HEADER + ABOUT) + found * (shortest - 12)
        high = len(HEADER + ABOUT) + found * longest
        if not low <= month.sizes[name] <= high:
            wrong.append("%s: %d bytes, not %d..%d" % (name, month.sizes[name], low, high))
        left_s -= seconds
        uptime_s += seconds
    before, after = month.used
    if after - before > _HEAP_SLACK:
        wrong.append("heap in use: %d before, %d after" % (before, after))
    return wrong


def main():
    """Play and check; return the exit code."""
    plans = ((DAY_S, 1, 500), (30 * DAY_S, 60, 2000))
    if len(sys.argv) > 2:
        plans = ((int(sys.argv[1]), int(sys.argv[2]), 500),)
    failed = 0
    for duration_s, interval_s, tick_ms in plans:
        month = Month(ROOT, duration_s, interval_s, tick_ms)
        wrong = faults(month, duration_s, interval_s)
        logs = [name for name in month.sizes if name[0] == "2"]
        print(
            "%d s, a sample every %d s: %d files, %d rows, %d bytes of log, %d bytes written, "
            "heap in use %d and %d"
            % (
                duration_s,
                interval_s,
                len(logs),
                sum(month.rows[name] - 2 for name in logs),
                sum(month.sizes[name] for name in logs),
                month.report["sd"]["bytes"],
                month.used[0],
                month.used[1],
            )
        )
        for text in wrong:
            print("wrong:", text)
        failed += bool(wrong)
    print("%d passed, %d failed" % (len(plans) - failed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
