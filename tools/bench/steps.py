#!/usr/bin/env python3
"""How long a tick may have to wait for another task: the longest step of each, on an ESP32.

    tools/bench/steps.py [--runs N]

Runs stepper.py several times. The runs do the same, step by step, but none meets the pauses of the
host or of its allocator where another does: the shortest of each step counts, among the runs in
which its task took as many steps as in most. Where hardly two agree in that, each run is sorted
first. An ESP32 is 90 times slower. Collections are left out: they are a cost of their own.
Steps over 5 ms should be split; the exit code is 1 when there are any after the start.
"""

import argparse
import asyncio
import json
import sys
from statistics import mode

from run import BENCH, MICROPYTHON

ESP32_RATIO = 90
LIMIT_US = 5000
SHOWN_US = 2000
RUNS = 12
FEWEST_ALIKE = 3
HEAP = "128m"
SHIFT = 50
FIRST_PORT = 9370
STARTING = "start"
"""The first two seconds, in which modules are imported, before anybody can ask for anything."""


async def one_run(slots, k):
    """Run for the kth time; returns (steps, answers)."""
    async with slots:
        process = await asyncio.create_subprocess_exec(
            *(MICROPYTHON, "-X", f"heapsize={HEAP}", BENCH / "stepper.py"),
            *(str(FIRST_PORT + k), str(SHIFT * k)),
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await process.communicate()
    result = json.loads(output.decode().splitlines()[-1])
    return result["steps"], result["answers"]


async def quickest(runs):
    """Run `runs` times; returns (name to the quickest time of each step in us, answers)."""
    slots = asyncio.Semaphore(1)
    results = await asyncio.gather(*(one_run(slots, k) for k in range(runs)))
    best = {}
    for name in {name for steps, _ in results for name in steps}:
        found = [steps[name] for steps, _ in results if name in steps]
        usual = mode(len(times) for times in found)
        alike = [times for times in found if len(times) == usual]
        if len(alike) < FEWEST_ALIKE:
            alike = [sorted(times, reverse=True) for times in found]
        best[name] = [min(step) for step in zip(*alike, strict=False)]
    return best, results[0][1]


def main():
    """Measure and print; return 1 when there are steps to split."""
    parser = argparse.ArgumentParser(description="Find the longest steps of the tasks.")
    parser.add_argument("--runs", type=int, default=RUNS)
    best, answers = asyncio.run(quickest(parser.parse_args().runs))
    print("answers:", *answers)
    print("%8s %9s %7s %6s  task and request" % ("us here", "us ESP32", "steps", "over"))
    found = 0
    for name in sorted(best, key=lambda name: -max(best[name])):
        times = best[name]
        longest_us = max(times) * ESP32_RATIO
        if longest_us >= SHOWN_US:
            over = sum(us * ESP32_RATIO > LIMIT_US for us in times)
            found += over if name != STARTING else 0
            print("%8d %9d %7d %6d  %s" % (max(times), longest_us, len(times), over, name))
    print(f"{found} steps over {LIMIT_US} us after the start")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
