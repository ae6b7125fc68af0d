#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-only
"""Does the stage stay lit? Plays it, prints the tables, writes their summary into tests/README.md.

    tools/bench/stage.py [--part NAME ...] [--share PERCENT] [--only TEXT] [--sizes N ...]
        [--workers N] [--print]

Everything is played in virtual time, which takes an hour on two cores. The tables go to
build/stage/, and so does each scenario that misses what is promised. The exit code is 0 when none
does. `--share` shortens the nights, `--only` plays the faults whose name contains TEXT, `--sizes`
rigs of so many batteries. The document gets the summary of each part that was played last;
`--print` leaves it alone.
"""

import argparse
import asyncio
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

from bench import contract, faults, nights, trials  # noqa: E402 - found by the path above
from soak.campaign import Player  # noqa: E402

PLAY = ROOT / "tools/bench/play.py"
FOUND = ROOT / "build/stage"
DOCUMENT = ROOT / "tests/README.md"
BEGIN = "<!-- stage: written by tools/bench/stage.py -->"
END = "<!-- stage: end -->"
LONGEST_S = 36000
FIRST_PORT = 10000


async def play_all(plans, workers, each):
    """Play scenarios in so many processes.

    Args:
        plans: list of scenarios; each: function (index, report of play.py), called as they come.
    """
    jobs = iter(enumerate(plans))

    async def work(port):
        player = Player(port, PLAY, LONGEST_S)
        for k, plan in jobs:
            each(k, await player.play(plan))
        await player.close()

    await asyncio.gather(*(work(FIRST_PORT + k) for k in range(workers)))


def play(what, plans, judge, options):
    """Play scenarios, keep those that miss; returns what `judge` (index, report) finds of each.

    Args:
        what: function (index) that names a scenario; judge: its last, or its `missed`, is a list
            of what it missed.
    """
    found = [None] * len(plans)

    def each(k, report):
        found[k] = judge(k, report)
        missed = found[k]["missed"]
        if missed:
            print(f"{what(k)}: {'; '.join(missed)}", flush=True)
            name = "".join(c if c.isalnum() else "-" for c in what(k))
            plan = dict(plans[k], name=name[:64])
            plan.pop("every_s", None)
            (FOUND / f"{name}.json").write_text(json.dumps(plan, indent=1) + "\n")

    asyncio.run(play_all(plans, options.workers, each))
    return found


def play_faults(options):
    """Yield (lines of the table, lines of the summary, what was missed) of the single faults."""
    cells = faults.cells(options.sizes, options.only)
    plans = [cell.plan for cell in cells]
    found = play(lambda k: cells[k].name, plans, lambda k, rep: cells[k].judge(rep), options)
    return faults.table(cells, found), faults.summary(cells, found), found


def play_nights(options):
    """The same of the nights."""
    kinds = nights.nights(options.share / 100)
    plans = [night.plan() for night in kinds]
    found = play(lambda k: kinds[k].name, plans, lambda k, rep: kinds[k].judge(rep), options)
    played = list(zip(kinds, found, strict=True))
    lines = list(nights.table(played))
    for night, figures in played:
        lines += ["", night.name, *nights.page_table(night, figures)]
    return lines, [*nights.table(played), "", *nights.page_table(*played[0])], found


def play_trials(options):
    """The same of the trials."""
    kinds = trials.plans()
    plans = [plan for _, _, plan in kinds]
    name = lambda k: "trial into %s, %d" % kinds[k][1::-1]  # noqa: E731
    found = play(name, plans, lambda k, rep: trials.judge(rep), options)
    lines = list(trials.table([(*kinds[k][:2], found[k]) for k in range(len(kinds))]))
    return lines, lines, found


def examine_contract(options):
    """The same of the numbers."""
    rows = contract.examine()
    found = [{"missed": contract.missed(row)} for row in rows]
    return contract.table(rows), contract.summary(rows), found


PARTS = {
    "faults": play_faults,
    "nights": play_nights,
    "trials": play_trials,
    "contract": examine_contract,
}


def parsed():
    """The command line."""
    parser = argparse.ArgumentParser(description="Play what the stage has to stand.")
    parser.add_argument("--part", choices=PARTS, nargs="+", default=list(PARTS))
    parser.add_argument("--share", type=int, default=100, metavar="PERCENT")
    parser.add_argument("--only", default="", metavar="TEXT")
    parser.add_argument("--sizes", type=int, nargs="+", default=list(faults.SIZES))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--print", action="store_true", dest="print_only")
    return parser.parse_args()


def main():
    """Play, print, write; return 1 when a promise is not kept."""
    options = parsed()
    FOUND.mkdir(parents=True, exist_ok=True)
    missed = 0
    for part in options.part:
        lines, summary, found = PARTS[part](options)
        text = "\n".join(lines)
        print(text, end="\n\n\n")
        (FOUND / f"{part}.txt").write_text(text + "\n")
        (FOUND / f"{part}-summary.txt").write_text("\n".join(summary))
        missed += sum(bool(row["missed"]) for row in found)
    summaries = [FOUND / f"{part}-summary.txt" for part in PARTS]
    if not options.print_only and all(path.exists() for path in summaries):
        before, _, rest = DOCUMENT.read_text().partition(BEGIN)
        _, _, after = rest.partition(END)
        text = "\n\n\n".join(path.read_text() for path in summaries)
        DOCUMENT.write_text(f"{before}{BEGIN}\n```text\n{text}\n```\n{END}{after}")
    print(f"{missed} missed")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
