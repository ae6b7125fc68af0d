#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-only
"""After how long is a bad contact found, and how often is a good one accused?

    tools/bench/sharing.py [--good N] [--workers N] [--only TEXT]

The whole firmware in virtual time. One contact of rigs of 2, 4 and 16 packs of unequal resistance
gets 20, 50 or 200 mOhm, before the sensor or behind it, at a light load (1.5 to 3.5 A for each
pack) or a full one (4 to 10 A), which changes every five seconds. Healthy rigs have random packs,
loads, some of which change but every 45 s, with a self-test in between, and sensors with errors of
gain, zero and voltage. The exit code is 0 when all contacts were found, at the right pack and on
the right side, and nobody else was accused.
"""

import argparse
import asyncio
import sys
from pathlib import Path
from random import Random

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

from soak.campaign import Player  # noqa: E402 - found by the path above

PLAY = ROOT / "tools/bench/sharing_play.py"
FIRST_PORT = 10100
LONGEST_S = 900
BEGIN_S = 75
SEEN_S = 140
GOOD_S = 120
CALM_S = 300
QUIET_S = 14
STEP_S, CALM_STEP_S = 5, 45
TEST_S = 30
LOADS = {"light": (1.5, 3.5), "full": (4, 10)}
SIDES = ("battery", "bus")
CODES = {"battery": "contact_battery", "bus": "contact_output"}
OHMS = (20, 50, 200)
COUNTS = (2, 4, 16)
PATIENT = {"max_current_ma": 18000, "max_discharge_current_ma": 18000, "hard_current_pct": 110}
"""Limits that a pack does not reach when its neighbour carries little."""


def packs(draw, count):
    """Packs of unequal resistance and charge, which is near enough for all to join."""
    middle, base = draw.uniform(0.5, 0.9), draw.uniform(20, 50)
    return [
        {
            "n": n,
            "soc": round(middle + draw.uniform(-0.003, 0.003), 5),
            "r_mohm": round(base * draw.uniform(0.75, 1.25), 1),
        }
        for n in range(1, count + 1)
    ]


def changing(draw, count, low_a, high_a, until_s, step_s=STEP_S):
    """A load of `low_a` to `high_a` for each pack, after a while without."""
    load = [[0, 0]]
    for k, at in enumerate(range(QUIET_S, until_s, step_s)):
        share = draw.uniform(0.7, 1) if k % 2 else draw.uniform(0, 0.3)
        load.append([at, round(count * (low_a + share * (high_a - low_a)), 2)])
    return load


def faulty(count, load, side, mohm):
    """(scenario, number of its pack with a bad contact)."""
    draw = Random(f"{count} {load} {side} {mohm}")
    n = draw.randint(1, count)
    end_s = BEGIN_S + SEEN_S
    return {
        "name": "sharing",
        "seed": draw.randint(1, 60000),
        "batteries": packs(draw, count),
        "settings": {"limits": PATIENT},
        "load": changing(draw, count, *LOADS[load], end_s),
        "steps": [{"at": BEGIN_S, "do": "contact", "n": n, "mohm": mohm, "side": side}],
        "duration_s": end_s,
    }, n


def good(number):
    """A healthy rig whose sensors have errors."""
    draw = Random(number)
    count = draw.choice((2, 3, 4, 4, 5, 6, 8, 12, 16))
    low_a = draw.uniform(0.3, 4)
    calm = draw.random() < 0.4
    end_s, step_s = (CALM_S, CALM_STEP_S) if calm else (GOOD_S, STEP_S)
    load = changing(draw, count, low_a, low_a + draw.uniform(0, 6), end_s, step_s)
    if draw.random() < 0.3:
        load = [[0, load[1][1]], *load[1:]]  # never without load
    test = [{"at": TEST_S, "do": "selftest"}] if calm and draw.random() < 0.7 else []
    return {
        "name": "sharing",
        "seed": number + 1,
        "batteries": packs(draw, count),
        "settings": {"limits": dict(PATIENT, path_resistance_mohm=draw.choice((14, 20, 30)))},
        "load": load,
        "steps": [
            {
                "at": 0.1,
                "do": "sensor_lie",
                "n": n,
                "offset_ma": draw.randint(-25, 25),
                "gain_pct": round(100 + draw.uniform(-0.4, 0.4), 2),
                "voltage_pct": round(100 + draw.uniform(-0.1, 0.1), 3),
            }
            for n in range(1, count + 1)
        ]
        + test,
        "duration_s": end_s,
    }


async def play_all(plans, workers):
    """The answers to all plans, in order."""
    answers, jobs = {}, iter(enumerate(plans))

    async def work(port):
        player = Player(port, PLAY, LONGEST_S)
        for k, plan in jobs:
            plan["settings"]["web"] = {"port": FIRST_PORT + k}
            answers[k] = await player.play(plan)
        await player.close()

    await asyncio.gather(*(work(FIRST_PORT + k) for k in range(workers)))
    return [answers[k] for k in range(len(plans))]


def judge_faulty(cases, workers):
    """Print when each contact was found; returns True when it is good enough."""
    plans = [faulty(*case) for case in cases]
    answers = asyncio.run(play_all([plan for plan, _ in plans], workers))
    well = True
    print("%5s %-6s %-8s %5s   %-10s %6s" % ("packs", "load", "side", "mOhm", "found", "mOhm"))
    for case, (_, n), found in zip(cases, plans, answers, strict=True):
        count, load, side, mohm = case
        told = found.get("told", [])
        right = [row for row in told if row[:2] == [CODES[side], n]]
        wrong = [row for row in told if row not in right]
        when = "after %d s" % (right[0][3] - BEGIN_S) if right else "no"
        value = right[0][2] if right else ""
        broken = found["failures"] or found.get("alloc")
        print("%5d %-6s %-8s %5d   %-10s %6s %s" % (*case, when, value, wrong or broken or ""))
        well = well and bool(right) and not wrong and not broken
    return well


def judge_good(count, workers):
    """Print who was accused; returns True when nobody was."""
    answers = asyncio.run(play_all([good(number) for number in range(count)], workers))
    accused = 0
    for number, found in enumerate(answers):
        if found["failures"] or found.get("alloc") or found["told"]:
            accused += 1
            print("healthy rig %d: %s" % (number, str(found)[:200]))
    print("%d healthy rigs, %d accused" % (count, accused))
    return not accused


def main():
    """Play and print; return 0 when it is good enough."""
    parser = argparse.ArgumentParser(description="Judge how bad contacts are found.")
    parser.add_argument("--good", type=int, default=30)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", default="", help="such as '4 full bus 50', or a part of it")
    options = parser.parse_args()
    cases = [
        (count, load, side, mohm)
        for count in COUNTS
        for load in LOADS
        for side in SIDES
        for mohm in OHMS
    ]
    cases = [case for case in cases if options.only in " ".join(map(str, case))]
    found = judge_faulty(cases, options.workers)
    quiet = judge_good(options.good, options.workers)
    return 0 if found and quiet else 1


if __name__ == "__main__":
    sys.exit(main())
