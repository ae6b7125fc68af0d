#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-only
"""Does the rig tell before it happens what a loss would pull along? Judged by the plant.

    tools/bench/cascade.py [--count N] [--first N] [--workers N]

Random rigs of 2 to 16 packs of random resistance, charge, limits and load lose one pack or one
board, with the whole firmware in virtual time. It *cascades* when the firmware then opens another
by one of its limits, or the output goes dark. Such a loss should have been told for 30 s: the
alarm stands, and the firmware counts just this loss among those that others follow. Where the
alarm names a loss, the same rig is played once more with that one: the warning is *false* when it
harms nobody, which is to say that no other is opened by a limit, is beyond its continuous limit
3 s later, or goes dark. A rig whose load is too much without a loss, so that it was dark in those
30 s, is counted apart. The exit code is 0 when 95 % were told and less than 5 % were false.
"""

import argparse
import asyncio
import json
import sys
from pathlib import Path
from random import Random

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

from soak.campaign import Player  # noqa: E402 - found by the path above

PLAY = ROOT / "tools/bench/cascade_play.py"
FOUND = ROOT / "build/cascade"
FIRST_PORT = 10000
LONGEST_S = 600
LOST_BIT = 17
BOARD = 16
BEFORE_S = 30
AFTER_S = 30
TOLD, FALSE = 0.95, 0.05
LOWEST_MV = {"nmc7s": 21000, "lfp8s": 22000}
KINDS = ("bms_open", "fuse_blow", "request")


def rig(number):
    """Rig `number`: (scenario without the loss, what is lost, when, how)."""
    draw = Random(number)
    count = draw.randint(2, 16)
    chemistry = draw.choice(sorted(LOWEST_MV))
    limit_a = draw.uniform(4, 15)
    level, spread = draw.uniform(0.08, 0.95), draw.uniform(0, 0.02)
    r_mohm = draw.uniform(20, 70)
    uneven = draw.uniform(0, 0.4)
    packs = [
        {
            "n": n,
            "chemistry": chemistry,
            "capacity_ah": round(draw.uniform(10, 40), 1),
            "soc": round(min(level + draw.uniform(-spread, spread), 1), 4),
            "r_mohm": int(r_mohm * draw.uniform(1 - uneven, 1 + uneven)),
        }
        for n in range(1, count + 1)
    ]
    load_a = count * limit_a * draw.uniform(0.3, 0.95)
    load = [[0, load_a * 0.3], [10, load_a * 0.9], [13, load_a * 0.4], [16, load_a]]
    plan = {
        "name": f"cascade-{number}",
        "seed": number,
        "batteries": packs,
        "settings": {
            "limits": {
                "max_discharge_current_ma": int(limit_a * 1000),
                "max_current_ma": int(limit_a * 1000),
                "hard_current_pct": draw.choice((0, 150, 200)),
                "min_voltage_mv": LOWEST_MV[chemistry],
                "pack_resistance_mohm": 30,
            }
        },
        "load": [[at, round(amps, 2)] for at, amps in load],
    }
    boards = (count + 3) // 4
    board = boards > 1 and draw.random() < 0.25
    # Only full boards: one with a single battery is lost as that battery is.
    lost = BOARD + draw.randrange(count // 4) if board else draw.randrange(count)
    return plan, lost, round(draw.uniform(60, 70), 2), draw.choice(KINDS)


def with_loss(plan, lost, at_s, kind):
    """The scenario in which something is lost."""
    step = {"at": at_s, "do": kind, "n": lost + 1}
    if lost >= BOARD:
        step = {"at": at_s, "do": "board_unplug", "board": lost - BOARD}
    elif kind == "request":
        step["action"] = "off"
    return plan | {"steps": [step], "lost": lost, "at_s": at_s, "duration_s": at_s + AFTER_S}


def harmed(found):
    """True when the loss harmed another."""
    return bool(found["opened"] or found["beyond"] or found["dark"])


def cascaded(found):
    """True when another opened by a limit, or the output went dark; not where the load was too
    much without the loss, so that the output was dark within the time of the warning."""
    return bool(found["opened"] or found["dark"]) and lit(found)


def lit(found):
    """True when the output was live for the time of the warning, and still is."""
    return found["said"]["on"] > 0 and found["said"]["lit_s"] >= BEFORE_S


def _broken(found):
    """What keeps a play from being judged, None when it can be."""
    return found["failures"] or found["alloc"] or (None if found["said"] else "never settled")


async def judge(player, number):
    """Play a rig, and once more with the loss that its alarm names; returns a row."""
    plan, lost, at_s, kind = rig(number)
    found = await player.play(with_loss(plan, lost, at_s, kind))
    if broken := _broken(found):
        return {"number": number, "broken": broken}
    said = found["said"]
    which = lost >= BOARD
    since_s = said["since_s"][which]
    warned = said["told"][which] and said["risk"] and since_s <= at_s - BEFORE_S
    row = {
        "number": number,
        "lost": lost,
        "lit": lit(found),
        "cascaded": cascaded(found),
        "warned": bool(warned),
        "named": [],
        "found": found,
    }
    for told in filter(None, said["told"]):
        named = told >> LOST_BIT
        again = found
        if named != lost:
            again = await player.play(with_loss(plan, named, at_s, kind))
            if broken := _broken(again):
                return {"number": number, "broken": broken}
        row["named"].append({"lost": named, "harmed": harmed(again), "found": again})
    return row


async def play_all(numbers, workers):
    """The rows of all rigs, in order."""
    rows, jobs = [], iter(numbers)

    async def work(port):
        player = Player(port, PLAY, LONGEST_S)
        for number in jobs:
            rows.append(await judge(player, number))
        await player.close()

    await asyncio.gather(*(work(FIRST_PORT + k) for k in range(workers)))
    return sorted(rows, key=lambda row: row["number"])


def table(rows):
    """Print what was found; returns True when it is good enough."""
    good = [row for row in rows if "broken" not in row]
    fell = [row for row in good if row["cascaded"]]
    told = [row for row in fell if row["warned"]]
    named = [(row, one) for row in good for one in row["named"]]
    false = [(row, one) for row, one in named if not one["harmed"]]
    for row in rows:
        if "broken" in row:
            print("rig %d: %s" % (row["number"], str(row["broken"])[:99]))
    for row in fell:
        if not row["warned"]:
            print("rig %d: loss of %d was not told" % (row["number"], row["lost"]))
    for row, one in false:
        print("rig %d: loss of %d harms nobody" % (row["number"], one["lost"]))
    print("%-52s %6s %6s %7s" % ("", "of", "", "share"))
    share = len(told) / max(len(fell), 1)
    print(
        "%-52s %6d %6d %6.1f%%" % ("cascades told 30 s before", len(fell), len(told), 100 * share)
    )
    for what, boards in (("  by the loss of a pack", False), ("  by the loss of a board", True)):
        some = [row for row in fell if (row["lost"] >= BOARD) == boards]
        known = sum(row["warned"] for row in some)
        print("%-52s %6d %6d %6.1f%%" % (what, len(some), known, 100 * known / max(len(some), 1)))
    false_share = len(false) / max(len(named), 1)
    print(
        "%-52s %6d %6d %6.1f%%"
        % ("warnings whose loss harms nobody", len(named), len(false), 100 * false_share)
    )
    quiet = sum(not row["named"] for row in good)
    early = sum(not row["lit"] for row in good)
    print(
        "%d rigs, %d without a warning, %d dark before the loss, %d broken"
        % (len(rows), quiet, early, len(rows) - len(good))
    )
    return len(good) == len(rows) and share >= TOLD and false_share < FALSE


def main():
    """Play and print; return 0 when it is good enough."""
    parser = argparse.ArgumentParser(description="Judge the warnings of cascades.")
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    numbers = range(options.first, options.first + options.count)
    rows = asyncio.run(play_all(numbers, options.workers))
    FOUND.mkdir(parents=True, exist_ok=True)
    (FOUND / "rows.json").write_text(json.dumps(rows, indent=1))
    return 0 if table(rows) else 1


if __name__ == "__main__":
    sys.exit(main())
