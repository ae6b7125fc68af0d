#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-only
"""How long a tick may have to wait for another task: the longest step of each, on an ESP32.

    tools/bench/steps.py [--alike N]

Runs stepper.py until N runs took the same steps. The pauses of the host and of its allocator fall
on other steps in each run, so the shortest time of each step counts. An ESP32 is 90 times slower.
Collections are left out: they are a cost of their own.
Steps over 5 ms should be split; the exit code is 1 when there are any that count.
"""

import argparse
import json
import subprocess
import sys

from run import BENCH, MICROPYTHON

ESP32_RATIO = 90
LIMIT_US = 5000
SHOWN_US = 2000
ALIKE = 10
MOST_RUNS = 60
HEAP = "32m"
SHIFT = 7
FIRST_PORT = 9370
NOT_COUNTED = ("start", "_connect")
"""The first two seconds, in which modules are imported before anybody can ask for anything; and
the call that connects, which on the host does the work of both ends, on an ESP32 that of neither.
"""


def one_run(k):
    """Run for the kth time; returns the steps."""
    command = MICROPYTHON, "-X", f"heapsize={HEAP}", BENCH / "stepper.py"
    arguments = str(FIRST_PORT + k), str(SHIFT * k)
    done = subprocess.run([*command, *arguments], stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout.decode().splitlines()[-1])


def quickest(alike):
    """Run until `alike` runs took the same steps; returns name to the shortest times in us."""
    kinds = {}
    for k in range(MOST_RUNS):
        steps = one_run(k)
        kind = kinds.setdefault(tuple(sorted((name, len(steps[name])) for name in steps)), [])
        kind.append(steps)
        if len(kind) == alike:
            return {
                name: [min(step) for step in zip(*(run[name] for run in kind), strict=True)]
                for name in steps
            }
    raise SystemExit(f"Of {MOST_RUNS} runs no {alike} took the same steps.")


def main():
    """Measure and print; return 1 when there are steps to split."""
    parser = argparse.ArgumentParser(description="Find the longest steps of the tasks.")
    parser.add_argument("--alike", type=int, default=ALIKE)
    best = quickest(parser.parse_args().alike)
    print("%8s %9s %7s %6s  task and request" % ("us here", "us ESP32", "steps", "over"))
    found = 0
    for name in sorted(best, key=lambda name: -max(best[name])):
        times = best[name]
        longest_us = max(times) * ESP32_RATIO
        if longest_us >= SHOWN_US:
            over = sum(us * ESP32_RATIO > LIMIT_US for us in times)
            found += over if name not in NOT_COUNTED else 0
            print("%8d %9d %7d %6d  %s" % (max(times), longest_us, len(times), over, name))
    print(f"{found} steps over {LIMIT_US} us that count")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
