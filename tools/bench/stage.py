#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-only
"""Does the stage stay lit? Plays it, prints the tables, writes their summary into tests/README.md.

    tools/bench/stage.py [--part NAME] [--only TEXT] [--sizes N ...] [--workers N] [--print]

Everything is played in virtual time. The tables go to build/stage/, and so does each scenario
that misses what is promised. The exit code is 0 when none does. `--only` plays the faults whose
name contains TEXT, `--sizes` rigs of so many batteries; `--print` leaves the document alone.
"""

import argparse
import asyncio
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

from bench import faults  # noqa: E402 - found by the path above
from soak.campaign import Player  # noqa: E402

PLAY = ROOT / "tools/bench/play.py"
FOUND = ROOT / "build/stage"
LONGEST_S = 36000


async def play_all(plans, workers, each):
    """Play scenarios in so many processes.

    Args:
        plans: list of scenarios; each: function (index, report of play.py), called as they come.
    """
    jobs = iter(enumerate(plans))

    async def work(port):
        player = Player(port, PLAY, LONGEST_S)
        for k, plan in jobs:
            report = await player.play(plan)
            each(k, report)
        await player.close()

    await asyncio.gather(*(work(10000 + k) for k in range(workers)))


def play_faults(options):
    """Play every cell; returns a list of (fault, size, mode, moment, plan, dark_ms, missed)."""
    cells = [
        (fault, size, mode, moment, *fault.plan(size, mode, moment))
        for size in options.sizes
        for fault in faults.FAULTS
        if options.only in fault.name and fault.struck(size) is not None
        for mode in faults.MODES
        for moment in faults.SPANS
    ]
    played = [None] * len(cells)

    def each(k, report):
        fault, size, mode, moment, plan, over_s = cells[k]
        dark_ms, missed = faults.judge(fault, size, moment, over_s, report)
        played[k] = fault, size, mode, moment, plan, dark_ms, missed
        if missed:
            print(f"{fault.name}, {size}, {mode}, {moment}: {'; '.join(missed)}", flush=True)

    asyncio.run(play_all([cell[4] for cell in cells], options.workers, each))
    return played


def keep(played):
    """Write the scenarios that miss into FOUND."""
    for fault, size, mode, moment, plan, _, missed in played:
        if missed:
            name = "".join(c if c.isalnum() else "-" for c in fault.name)
            path = FOUND / f"{name}-{size}-{mode}-{moment}.json"
            path.write_text(json.dumps(dict(plan, name=path.stem[:64]), indent=1) + "\n")


def main():
    """Play, print, write; return 1 when a promise is not kept."""
    parser = argparse.ArgumentParser(description="Play what the stage has to stand.")
    parser.add_argument("--only", default="", metavar="TEXT")
    parser.add_argument("--sizes", type=int, nargs="+", default=faults.SIZES)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--print", action="store_true", dest="print_only")
    options = parser.parse_args()
    FOUND.mkdir(parents=True, exist_ok=True)
    played = play_faults(options)
    keep(played)
    print("\n".join(faults.table(played)))
    return 1 if any(cell[-1] for cell in played) else 0


if __name__ == "__main__":
    sys.exit(main())
