#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-only
"""What the self-test finds on faulty rigs, and how often it accuses a good one.

    tools/bench/selftest.py [--good N] [--faulty N] [--jobs N] [--only NAME] [--seed N]

Each rig is the whole firmware on the simulator in virtual time: 2 to 16 packs of random cells,
charge, resistance and sensors, with no load, a constant or a changing one. A good rig is accused
when any pack or part of it is to be watched or is no go; what is not measured is told apart. The
clock and the card, which these worlds lack, do not count. Ends with 1 when more than 2 % are.
"""

import argparse
import concurrent.futures
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MICROPYTHON = ROOT / "build/venv/bin/micropython"
BEGIN_S = 12
ALLOWED = 0.02
FACTS = ("clock", "sd_absent")
LIMITS = {
    "nmc": {"min_voltage_mv": 24000, "max_voltage_mv": 30000},
    "lfp": {"min_voltage_mv": 24000, "max_voltage_mv": 29600, "charge_floor_mv": 20000},
}
CELLS = {"nmc": 7, "lfp": 8}

FAULTS = {
    "welded switch": ({"do": "switch_weld"}, ("not_off",)),
    "switch that stays open": ({"do": "switch_stuck_open"}, ("no_current", "state")),
    "swapped wires of two switches": ({"do": "wires_cross"}, ("other_current", "not_off")),
    "contact of 20 mOhm": ({"do": "contact", "mohm": 20}, ("resistance_high",)),
    "contact of 50 mOhm": ({"do": "contact", "mohm": 50}, ("resistance_high",)),
    "contact of 200 mOhm": ({"do": "contact", "mohm": 200}, ("resistance_high",)),
    "sensor 300 mA off": ({"do": "sensor_lie", "offset_ma": 300}, ("zero",)),
    "sensor shows 80 %": ({"do": "sensor_lie", "gain_pct": 80}, ("gain",)),
    "sensor turned round": ({"do": "sensor_lie", "sign": -1}, ("reversed",)),
    "sensor 150 mV off": ({"do": "sensor_lie", "offset_mv": 150}, ("voltage",)),
    "dead ALERT line": ({"do": "alert_stuck", "level": 1}, ("alert",)),
    "tired pack": ({}, ("resistance_high", "capacity_low")),
    "profile of LFP, cells of NMC": ({}, ("cells",)),
}
"""Name to the step that makes the fault, without its pack, and the findings that tell it."""


def good_rig(rng, loaded=False):
    """A scenario of a healthy rig, its test included; `loaded`: of four packs at least, with a
    constant load that three of them could carry."""
    count = rng.choice((4, 5, 6) if loaded else (2, 3, 3, 4, 4, 5, 6, 8, 12, 16))
    kind = rng.choice(("nmc", "lfp"))
    middle, base = rng.uniform(0.55, 0.95), rng.uniform(20, 45)
    sensor = rng.choice(("ina237", "ina237", "ina237", "ina238", "ina228", "ina226"))
    packs = [
        {
            "n": n,
            "chemistry": "nmc7s" if kind == "nmc" else "lfp8s",
            "soc": round(middle + rng.uniform(-0.003, 0.003), 5),
            "r_mohm": round(base * rng.uniform(0.85, 1.15), 1),
            "sensor": sensor,
        }
        for n in range(1, count + 1)
    ]
    steps = [
        {
            "at": 0.1,
            "do": "sensor_lie",
            "n": n,
            "offset_ma": rng.randint(-25, 25),
            "gain_pct": round(100 + rng.uniform(-0.4, 0.4), 2),
        }
        for n in range(1, count + 1)
    ]
    duration = BEGIN_S + 25 + 9 * count
    most = 5 * (count - 1)
    load = [[0, 0]]
    if loaded or rng.random() < 0.5:
        load = [[0, round(rng.uniform(3, max(most, 4)) if loaded else rng.uniform(0.2, most), 1)]]
    elif rng.random() < 0.5:
        amps = rng.uniform(2, most)
        times = (k / 4 for k in range(4 * duration))
        load = [[at, round(amps * rng.uniform(0.3, 1), 1)] for at in times]
    settings = {"limits": dict(LIMITS[kind]), "serial_messages": False}
    settings["pack"] = {"chemistry": kind, "cells": CELLS[kind]}
    if rng.random() < 0.5:
        settings["pack"]["capacity_mah"] = 20000
    places = range(count + 1, (count + 3) // 4 * 4 + 1)
    settings["batteries"] = {str(n): {"mode": "unused"} for n in places}
    return {
        "name": "selftest",
        "seed": rng.randint(1, 60000),
        "duration_s": duration,
        "batteries": packs,
        "settings": settings,
        "load": load,
        "steps": [*steps, {"at": BEGIN_S, "do": "selftest", "last": True}],
    }


def faulty_rig(rng, name):
    """(scenario, number of the faulty pack) of a rig with one fault."""
    plan = good_rig(rng, loaded=True)
    n = rng.randint(1, 4)
    step = dict(FAULTS[name][0])
    if name == "tired pack":
        pack = plan["batteries"][n - 1]
        pack["r_mohm"], pack["capacity_ah"] = 2.5 * pack["r_mohm"], 10
    elif name.startswith("profile"):
        for pack in plan["batteries"]:
            pack["chemistry"], pack["soc"] = "nmc7s", round(pack["soc"] * 0.1 + 0.86, 5)
        pack = {"chemistry": "lfp", "cells": 8, "capacity_mah": 20000}
        plan["settings"].update(pack=pack, limits=dict(LIMITS["lfp"]))
    else:
        step.update(at=BEGIN_S - 1, n=n)
        if step["do"] in ("switch_stuck_open", "wires_cross"):
            step["at"] = 0.05
        if step["do"] == "wires_cross":
            step["other"] = n % 4 + 1
        if step["do"] == "sensor_lie":
            plan["steps"] = [row for row in plan["steps"] if row.get("n") != n]
        plan["steps"].append(step)
    return plan, n


def play(plan):
    """Play a scenario; returns its report."""
    with tempfile.TemporaryDirectory() as folder:
        scenario, report = Path(folder, "scenario.json"), Path(folder, "report.json")
        scenario.write_text(json.dumps(plan))
        command = [MICROPYTHON, "-X", "heapsize=64m", ROOT / "tools/sim/run.py"]
        options = ["--clock", "virtual", "--scenario", scenario, "--report", report]
        subprocess.run([*command, *options], capture_output=True, check=False)
        return json.loads(report.read_text())


def accusations(result):
    """(pack or board, code, level) of all that is to be watched, or no go."""
    return [
        (row["n"], row["code"], row["level"])
        for row in result["findings"]
        if row["level"] in ("watch", "no_go") and not {row["code"], row["value"]} & set(FACTS)
    ]


def dark(report):
    """Whether the load was without supply during the test."""
    return any(end > 1000 * BEGIN_S for _, end in report["dark_ms"])


def of_good(number, seed):
    """What the test says of good rig `number`."""
    report = play(good_rig(random.Random(f"{seed} good {number}")))
    result = report["selftest"]
    if not result:
        return number, [], None, dark(report), report["violations"]
    kinds = [row["verdict"] for row in result["batteries"]]
    share = kinds.count("unmeasured") / len(kinds)
    return number, accusations(result), share, dark(report), report["violations"]


def of_faulty(name, number, seed):
    """(found, others accused, dark) of the faulty rig `number` of a kind."""
    plan, n = faulty_rig(random.Random(f"{seed} {name} {number}"), name)
    report = play(plan)
    result = report["selftest"] or {"findings": []}
    said = accusations(result)
    codes = FAULTS[name][1]
    own = [row for row in said if row[1] in codes]
    found = any(row[0] == n or name.startswith(("profile", "swapped")) for row in own)
    innocent = {n, n % 4 + 1, 0} if name.startswith("swapped") else {n, 0}
    others = [] if name.startswith("profile") else [row for row in said if row[0] not in innocent]
    return found, others, dark(report), [row for row in said if row[0] == n] or said


def main():
    """Play and print; return 1 when too many good rigs are accused."""
    parser = argparse.ArgumentParser(description="What the self-test finds.")
    parser.add_argument("--good", type=int, default=200)
    parser.add_argument("--faulty", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="")
    parser.add_argument("--show", action="store_true", help="say what was found where")
    args = parser.parse_args()
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        print("%-32s %6s %16s %5s" % ("fault", "found", "others accused", "dark"))
        for name in FAULTS:
            if args.only not in name or not args.faulty:
                continue
            numbers = range(args.faulty)
            rows = list(pool.map(lambda k, name=name: of_faulty(name, k, args.seed), numbers))
            counts = [sum(map(bool, column)) for column in list(zip(*rows, strict=True))[:3]]
            line = (name, f"{counts[0]}/{args.faulty}", counts[1], counts[2])
            print("%-32s %6s %16d %5d" % line, flush=True)
            if args.show:
                print(*rows, sep="\n")
        if not args.good or args.only:
            return 0
        good = list(pool.map(lambda k: of_good(k, args.seed), range(args.good)))
    accused = [row for row in good if row[1]]
    refused = sum(row[2] is None for row in good)
    shares = [row[2] for row in good if row[2] is not None]
    print(f"{len(good)} good rigs: {len(accused)} accused, {refused} refused, ", end="")
    print(f"{sum(row[3] for row in good)} dark, {sum(bool(row[4]) for row in good)} violations,")
    print(f"packs not wholly measured: {100 * sum(shares) / max(len(shares), 1):.0f} %")
    for row in accused:
        print(*row)
    return 1 if len(accused) > ALLOWED * len(good) else 0


if __name__ == "__main__":
    sys.exit(main())
