#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-only
"""Plays many random scenarios in virtual time and shrinks those that fail. For `make soak`.

    tools/soak/campaign.py [--count N] [--first N] [--seconds S] [--few] [--whole] [--replay FILE]

A scenario fails on a violation found by the referee, an allocation in a steady tick, an exception
on the console, a late tick that the cost model does not explain, a crash, or when it takes too
long. Its smallest form that still fails in the same way (with `--whole`: as it is) goes to
build/soak/, and `--replay` plays it again. With `--few` only as many of the scenarios are played
as every kind of fault needs to be met. The last line is `N passed, N failed`; the exit code
is 0 when none failed and every kind of fault was met.
"""

import argparse
import asyncio
import json
import os
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

from sim.scenario import STEPS  # noqa: E402 - found by the path above
from soak.scenarios import FAULTS, LEFT_OUT, scenario  # noqa: E402
from soak.shrink import shrink  # noqa: E402

MICROPYTHON = ROOT / "build/venv/bin/micropython"
PLAYER = ROOT / "tools/soak/player.py"
FOUND = ROOT / "build/soak"
ANSWER = "VERDICT"
PLAYS_PER_PROCESS = 25
SECONDS_PER_PLAY = 120
LINE_LIMIT = 1 << 24


class Player:
    """One MicroPython process after the other, each playing a number of scenarios.

    Args:
        port: of the simulated rig's page, one that no other player uses.
        program: what plays; seconds: what a play may take.
    """

    def __init__(self, port, program=PLAYER, seconds=SECONDS_PER_PLAY):
        self._port = port
        self._program = program
        self._seconds = seconds
        self._process = None
        self._plays = 0

    async def play(self, plan):
        """Play a scenario; returns its verdict, with the exceptions of the console in it."""
        if self._plays >= PLAYS_PER_PROCESS:
            await self.close()
        if self._process is None:
            self._process = await asyncio.create_subprocess_exec(
                *(MICROPYTHON, "-X", "heapsize=64m", self._program, str(self._port)),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                limit=LINE_LIMIT,
                cwd=ROOT,
            )
            self._plays = 0
        self._plays += 1
        console = []
        try:
            self._process.stdin.write(json.dumps(plan).encode() + b"\n")
            return await asyncio.wait_for(self._answer(console), self._seconds)
        except TimeoutError:
            return _broken("takes too long", await self._kill(console))
        except EOFError:
            code = await self._process.wait()
            self._process = None
            return _broken(f"the process died, exit code {code}", "; ".join(console[-5:]))

    async def _answer(self, console):
        while line := await self._process.stdout.readline():
            text = line.decode(errors="replace").rstrip()
            if text.startswith(ANSWER):
                verdict = json.loads(text[len(ANSWER) :])
                verdict["failures"] += exceptions(console)
                return verdict
            console.append(text)
        raise EOFError

    async def _kill(self, console):
        self._process.kill()
        await self._process.wait()
        self._process = None
        return "; ".join(console[-5:])

    async def close(self):
        """End the process, if there is one."""
        if self._process:
            self._process.stdin.close()
            await self._process.wait()
            self._process = None


def _broken(what, console):
    return {"failures": [[what, console]]}


def exceptions(console):
    """The exceptions among lines of the console, as failures."""
    found = []
    for k, line in enumerate(console):
        if line.startswith("Traceback"):
            end = k + 1
            while end < len(console) - 1 and console[end].startswith(" "):
                end += 1
            found.append([f"exception {console[end]}", "; ".join(console[k:end])])
    return found


def rule(verdict):
    """What rule the first failure of a verdict broke, None without a failure."""
    return verdict["failures"][0][0] if verdict["failures"] else None


async def work(player, numbers, options, results):
    """Play scenarios until there is none left; shrink and keep those that fail."""
    for number in numbers:
        plan = scenario(number, options.seconds)
        verdict = await player.play(plan)
        broken = rule(verdict)
        results.append((plan, verdict))
        if broken:
            print(f"scenario {number}: {broken} ({verdict['failures'][0][1]})", flush=True)

            async def fails(smaller, broken=broken):
                return rule(await player.play(smaller)) == broken

            if not options.whole:
                plan = await shrink(plan, fails)
            path = FOUND / f"{plan['name']}.json"
            path.write_text(json.dumps(plan, indent=1) + "\n")
            print(f"scenario {number}: --replay {path.relative_to(ROOT)}", flush=True)
    await player.close()


def table(results):
    """Print what was exercised; returns the kinds of fault that were not."""
    met = Counter(step["do"] for plan, _ in results for step in plan["steps"])
    print("\n%-20s %6s" % ("fault", "times"))
    for kind in sorted(FAULTS):
        print("%-20s %6d" % (kind, met[kind]))
    total = Counter()
    late = Counter()
    broken = Counter()
    for _, verdict in results:
        for key in ("ticks", "reactions", "switchings", "resets"):
            total[key] += verdict.get(key, 0)
        late.update(verdict.get("causes", {}))
        broken.update(what for what, _ in verdict["failures"])
    print(
        "\n%d scenarios, %d ticks, %d switchings, %d hard over-currents, %d resets"
        % (len(results), *(total[key] for key in ("ticks", "switchings", "reactions", "resets")))
    )
    print("late ticks explained: %s" % (dict(late) or "none"))
    print("failures: %s" % (dict(broken) or "none"))
    return sorted(set(FAULTS) - set(met))


def covering(numbers, seconds):
    """Some of the scenarios `numbers` that meet every kind of fault that all of them meet.

    Each is the one with the most kinds that those before it did not meet.
    """
    kinds = {k: {step["do"] for step in scenario(k, seconds)["steps"]} for k in numbers}
    left = set().union(*kinds.values())
    while left:
        number = max(numbers, key=lambda k: len(kinds[k] & left))
        yield number
        left -= kinds[number]


async def campaign(options):
    """Play scenarios first .. first + count - 1 on all cores; returns the exit code."""
    FOUND.mkdir(parents=True, exist_ok=True)
    results = []
    numbers = range(options.first, options.first + options.count)
    numbers = covering(numbers, options.seconds) if options.few else iter(numbers)
    ports = range(10000 + os.getpid() % 1000 * 10, 20000)
    players = [Player(port) for port, _ in zip(ports, range(os.cpu_count()), strict=False)]
    await asyncio.gather(*(work(player, numbers, options, results) for player in players))
    missing = table(results)
    if missing:
        print("never exercised:", ", ".join(missing))
    failed = sum(bool(verdict["failures"]) for _, verdict in results)
    print(f"{len(results) - failed} passed, {failed} failed")
    return 1 if failed or missing else 0


async def replay(path):
    """Play one scenario of a file and print its verdict; returns the exit code."""
    player = Player(10000 + os.getpid() % 10000)
    verdict = await player.play(json.loads(path.read_text()))
    await player.close()
    print(json.dumps(verdict, indent=1))
    return 1 if verdict["failures"] else 0


def main():
    """Parse the command line and run; return the exit code."""
    parser = argparse.ArgumentParser(description="Play random scenarios.")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0, help="number of the first scenario")
    parser.add_argument("--seconds", type=int, default=120, help="virtual time of each")
    parser.add_argument("--few", action="store_true", help="one or more of every kind of fault")
    parser.add_argument("--whole", action="store_true", help="do not shrink what fails")
    parser.add_argument("--replay", type=Path, metavar="FILE")
    options = parser.parse_args()
    unknown = set(STEPS) - LEFT_OUT ^ set(FAULTS)
    if unknown:
        parser.error("steps of the simulator and kinds of faults differ: %s" % sorted(unknown))
    return asyncio.run(replay(options.replay) if options.replay else campaign(options))


if __name__ == "__main__":
    sys.exit(main())
