# SPDX-License-Identifier: GPL-3.0-only
"""What the rig promises in numbers, counted in virtual time on a full rig at full tick rate."""

import json
import os

from sim.recorder import summary, undisturbed
from support import ROOT, clean, play

SPACING_S = 0.45


def crossings():
    """Steps: a hard over-current on every battery in turn, of random size, at random moments."""
    state = 2463534242
    steps = []
    for k in range(1000):
        state = (state * 1103515245 + 12345) & 0x7FFFFFFF
        n = k * 7 % 16 + 1
        at_s = 10 + SPACING_S * k + (state >> 8) % 1000 / 10000
        ma = 22000 + (state >> 4) % 36000
        if state & 0x10000:
            ma = -ma - 4000
        steps.append({"at": at_s, "do": "inject_current", "n": n, "ma": ma})
        steps.append({"at": at_s + 0.2, "do": "inject_current", "n": n, "ma": 0})
    return steps


def test_a_thousand_crossings_open_within_40_ms():
    limits = {"max_trips": 1000, "reconnect_delay_ms": 1000, "join_interval_ms": 100}
    report = play(
        duration_s=int(12 + SPACING_S * 1000),
        settings={"limits": limits},
        load=[[0, 30]],
        steps=crossings(),
    )
    print(summary(report))
    clean(report)
    assert len(report["reactions"]) == 1000, len(report["reactions"])
    # A write to the flash keeps everybody waiting, and is outside the percentiles.
    calm = undisturbed(report)
    took = sorted(opened - crossed for crossed, opened, _, _ in calm)
    assert len(took) >= 980 and took[-1 - len(took) // 1000] <= 40, took[-5:]
    assert max(opened - crossed for crossed, opened, _, _ in calm) <= 80
    assert all(entry[3] == "overcurrent" for entry in report["reactions"])


def test_a_steady_minute_allocates_nothing():
    report = play(duration_s=66, load=[[0, 30]])
    print(summary(report))
    clean(report)
    ticks = report["ticks"]
    assert ticks["count"] > 3200
    # Start-up and the group start, nothing after: every later tick ran with the heap locked.
    assert ticks["exempt"] <= 12, ticks
    # 16 packs at 100 kHz: at most half of the time is the guard's.
    assert ticks["load_pct"] <= 50, ticks


def test_many_tasks_at_once_delay_the_guard_by_one_of_them():
    def crowd():
        from parallelator.app import App
        from sim import current

        start = App._start

        async def heavy():
            import asyncio

            while True:
                await asyncio.sleep_ms(1000 - current.world.now_us // 1000 % 1000)
                current.world.spend(4000)

        def crowded(app, name, job):
            if name == "nvs_state":
                for k in range(10):
                    start(app, "heavy-%d" % k, heavy)
            return start(app, name, job)

        App._start = crowded

    report = play(crowd, duration_s=30, load=[[0, 30]])
    clean(report)
    # The period, a tick that is under way, and one step with its resumption.
    assert 15 < report["ticks"]["worst_ms"] < 50, report["ticks"]
    assert report["ticks"]["late"] < 30, report["ticks"]


def test_the_same_seed_gives_the_same_report():
    first, second, other = [_run(seed) for seed in (5, 5, 6)]
    assert first == second
    assert first != other


def _run(seed):
    out = ROOT + "/build/sim/report-%d.json" % seed
    code = os.system(
        "%s/build/venv/bin/micropython -X heapsize=64m %s/tools/sim/run.py --clock virtual "
        "--scenario %s/tools/sim/scenarios/trips.json --seed %d --report %s >/dev/null"
        % (ROOT, ROOT, ROOT, seed, out)
    )
    assert code == 0, code
    with open(out) as file:
        return json.load(file)
