#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-only
"""Measures everything in one run, prints the table, writes it into tests/README.md. `make bench`.

    tools/bench/run.py [--share PERCENT] [--print]

The parts are MicroPython programs beside this one; each prints a line of JSON. `--share` plays
less of everything, for a quick look; `--print` leaves the document alone.
"""

import argparse
import asyncio
import json
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BENCH = ROOT / "tools/bench"
DOCUMENT = ROOT / "tests/README.md"
BEGIN = "<!-- bench: written by make bench -->"
END = "<!-- bench: end -->"
MICROPYTHON = ROOT / "build/venv/bin/micropython"

SIZES = (1, 4, 8, 16)
CLOCKS_KHZ = (100, 400)
PROMISE = {"alert": (40, 80), "scan": (250, 350)}
SHARE_PCT = 50
"""Reaction promised for 16 batteries at 100 kHz, busy: p99.9 and worst, ms."""
CONTROLLERS = ("plain", "psram")
DRIVERS = ("legacy", "i2c_master")
WAITS = {"page": 2.5, "state": 0.25, "tap": 0.3, "login": 1.5, "metrics": 1.0}
"""Promised to people, s: from nothing to the first state, /api/state, a tap to the open switch."""
FIRST_PORT = 9420
SPEED = 30
"""Simulated over processor time promised for a steady rig."""
CROSSINGS = 1000
FEWER_CROSSINGS = 300
CONTEST_CROSSINGS = 100
LOGS = (("long", 1), ("long", 2), ("long", 10), ("long", 60), ("wide", 1), ("wide", 10))
LOG_S = 600
WRITTEN_PER_LOGGED = 1.3
"""Bytes written to the card per byte of log promised for the default settings."""
LOOPS = {
    "ours": "this firmware, 100 kHz",
    "poll-1000": "poll of 1000 ms (first firmware)",
    "poll-200": "poll of 200 ms, filters (successor)",
    "check-1000": "check of 1 s, delay of 10 s",
    "rules-3000": "rules every 3 s",
}


async def measure(slots, program, *arguments):
    """Run one part; returns its line of JSON.

    Raises:
        RuntimeError: it failed; the text says which and how.
    """
    async with slots:
        process = await asyncio.create_subprocess_exec(
            *(MICROPYTHON, "-X", "heapsize=64m", BENCH / program, *map(str, arguments)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
    lines = output.decode().strip().splitlines()
    if process.returncode or not lines or not lines[-1].startswith("{"):
        raise RuntimeError(f"{program} {arguments}: {lines[-10:]}")
    return json.loads(lines[-1])


async def measure_all(share):
    """Run every part; returns (reactions, boards, people, loops, figures, logs)."""
    slots = asyncio.Semaphore(os.cpu_count())
    reactions = []
    for by in PROMISE:
        for khz in CLOCKS_KHZ:
            for rig in ("idle", "busy"):
                for size in SIZES:
                    count = CROSSINGS if (size, khz, rig) == (16, 100, "busy") else FEWER_CROSSINGS
                    count = max(count * share // 100, 10)
                    reactions.append(measure(slots, "reaction.py", size, khz, by, rig, count))
    boards = []
    for controller in CONTROLLERS:
        for size in (4, 16):
            for khz in CLOCKS_KHZ:
                for driver in DRIVERS:
                    count = max(FEWER_CROSSINGS * share // 100, 10)
                    kind = (size, khz, "alert", "busy", count, controller, driver)
                    boards.append(measure(slots, "reaction.py", *kind))
    people = [
        measure(slots, "people.py", controller, khz, FIRST_PORT + len(CLOCKS_KHZ) * k + i)
        for k, controller in enumerate(CONTROLLERS)
        for i, khz in enumerate(CLOCKS_KHZ)
    ]
    count = max(CONTEST_CROSSINGS * share // 100, 4)
    loops = [measure(slots, "controllers.py", loop, count) for loop in LOOPS]
    figures = [measure(slots, "figures.py", khz) for khz in CLOCKS_KHZ]
    seconds = max(LOG_S * share // 100, 60)
    logs = [measure(slots, "card.py", *log, max(seconds, 20 * log[1])) for log in LOGS]
    parts = (reactions, boards, people, loops, figures, logs)
    return await asyncio.gather(*(asyncio.gather(*part) for part in parts))


def reaction_table(rows):
    """Lines of the reaction table."""
    yield "Reaction: sensor's input beyond the hard current limit to the open switch, ms"
    yield ""
    yield "by     kHz  batteries  rig    floor  median   p99.9   worst   missed"
    for row in rows:
        yield (
            "%(by)-6s %(khz)3d  %(batteries)9d  %(rig)-5s %(floor)6.1f %(median)7.1f"
            " %(p999)7.1f %(worst)7.1f   %(missed)6d" % row
        )
    busy = [row["resumptions"] for row in rows if row["resumptions"]]
    yield ""
    yield (
        "median and p99.9 are without the crossings that a write to the flash fell into (%d in"
        % sum(row["disturbed"] for row in rows)
    )
    yield "all), which keeps everybody waiting for 20 ms; worst and missed are of all crossings."
    yield "floor: averaging window (two by scan) and wire, no waiting for a turn. busy: three"
    yield (
        "tasks that are always ready, %d to %d resumptions a second, each log-normal with a"
        % (min(busy), max(busy))
    )
    yield "median of 1 ms and a p99 of 5 ms, and the collections of a plain controller. All of it"
    yield "in virtual time."


def board_table(rows):
    """Lines of the table by controller."""
    yield "By controller: busy as above, ALERT; the guard's share of the time, ms of the others"
    yield ""
    yield "controller  batteries  kHz  driver      share  longest gap   p99.9   worst"
    for row in rows:
        yield (
            "%(controller)-10s  %(batteries)9d  %(khz)3d  %(driver)-10s %(load_pct)4.1f %%"
            " %(gap)12.1f %(p999)7.1f %(worst)7.1f" % row
        )
    yield ""
    yield "With PSRAM a collection takes 0.5 ms for each KB in use (0.3 to 0.7 on others' boards)."
    yield "40 and 80 ms are promised without PSRAM only. Frozen into the image, the firmware has a"
    yield "third of the heap, and of the pause: what to do where PSRAM is too slow."


def people_table(rows):
    """Lines of the table of what people wait for."""
    yield "What people wait for, s: 16 batteries, a phone with a live stream, MQTT, the log"
    yield ""
    yield "%-10s  %3s %10s %10s %10s %10s %10s" % ("controller", "kHz", *WAITS)
    for row in rows:
        waits = ["%10.2f" % (row[key] / 1000) for key in WAITS]
        yield "%-10s  %3d %s" % (row["controller"], row["khz"], " ".join(waits))
    yield "%-15s %s" % ("at most", " ".join("%10.2f" % most for most in WAITS.values()))


def broken_by_controller(boards, people):
    """What the figures by controller do not keep, as texts; PSRAM promises no reaction."""
    p999, worst = PROMISE["alert"]
    for row in boards:
        slow = row["p999"] > p999 or row["worst"] > worst or row["missed"] or row["violations"]
        if row["controller"] == "plain" and slow:
            yield (
                "%(batteries)d at %(khz)d kHz, %(driver)s: p99.9 %(p999).1f ms, worst %(worst).1f,"
                " %(missed)d missed, %(violations)d violations" % row
            )
        if row["load_pct"] > SHARE_PCT:
            yield "%(controller)s, %(batteries)d, %(khz)d kHz: share %(load_pct).1f %%" % row
    for row in people:
        for key, most in WAITS.items():
            if row[key] > most * 1000:
                yield "%s, %d kHz: %s %.2f s" % (
                    row["controller"],
                    row["khz"],
                    key,
                    row[key] / 1000,
                )


def contest_table(rows):
    """Lines of the table of decision loops."""
    yield "The same crossings on the same 16 packs: median, worst ms to the open switch (missed)"
    yield ""
    yield "%-36s %15s %15s %15s %14s" % (
        "",
        "0.2 s pulse",
        "20 s crossing",
        "voltage",
        "A2s of 20 s",
    )
    for row in rows:
        cells = []
        for kind in ("pulse", "lasting", "voltage"):
            found = row[kind]
            text = "%.0f, %.0f" % tuple(found["ms"]) if found["ms"] else "never"
            cells.append("%s (%d%%)" % (text, found["missed"] * 100 // found["count"]))
        through = "%.0f, %.0f" % tuple(row["lasting"]["a2s"])
        yield "%-36s %15s %15s %15s %14s" % (LOOPS[row["loop"]], *cells, through)
    yield ""
    yield "Missed: the switch was not opened while it lasted. A2s: let through, median and worst."
    yield "The successor skips readings above 35 V or 50 A and jumps of 30 %, and reads 10 A at"
    yield "most. The loops are given right units and signs, and readings that take no time."


def figure_table(rows):
    """Lines of the table of single figures."""
    slow, fast = rows
    yield "%-58s %10s %10s" % (
        "Sixteen batteries, ten minutes of virtual time",
        "100 kHz",
        "400 kHz",
    )
    for text, key, form in (
        ("the guard's share of the time, per cent (50 at most)", "load_pct", "%.1f"),
        ("longest gap between two ticks, ms", "worst_ms", "%.1f"),
        ("ticks", "ticks", "%d"),
        ("ticks over 40 ms after the one before", "late", "%d"),
        ("ticks that may allocate: start and changes of state", "exempt", "%d"),
        ("allocations in all other ticks", "alloc", "%d"),
        ("sensor reads per scan over voltage and current alone", "scan_ratio", "%.2f"),
        ("largest error of the ampere-hours, per cent", "ah_error_pct", "%.3f"),
        ("violations found by the referee", "violations", "%d"),
        ("simulated over processor time", "speed", "%.0f"),
        ("heap of the firmware imported from source, bytes, 64-bit", "firmware_bytes", "%d"),
    ):
        yield "%-58s %10s %10s" % (text, form % slow[key], form % fast[key])


def card_table(rows):
    """Lines of the table of what is written to the SD card."""
    yield "SD card, sixteen batteries, all that is written over the bytes of the log"
    yield ""
    yield "layout  a row every  log, MB a day  written, MB a day   ratio"
    for row in rows:
        yield "%-6s %9d s %14.1f %18.1f %7.2f" % (
            row["layout"],
            row["interval_s"],
            row["log_per_day"] / 1e6,
            row["written_per_day"] / 1e6,
            row["ratio"],
        )


def broken_promises(reactions, figures, logs):
    """The promises that the figures do not keep, as texts."""
    if logs[0]["ratio"] > WRITTEN_PER_LOGGED:
        yield "bytes written to the card per byte of log: %.2f" % logs[0]["ratio"]
    for row in reactions:
        if (row["batteries"], row["khz"], row["rig"]) == (16, 100, "busy"):
            p999, worst = PROMISE[row["by"]]
            if row["p999"] > p999 or row["worst"] > worst:
                yield "reaction by %(by)s: p99.9 %(p999).1f ms, worst %(worst).1f ms" % row
            if row["load_pct"] > SHARE_PCT:
                yield "tick load when busy, by %(by)s: %(load_pct).1f %%" % row
        if row["missed"] or row["alloc"] or row["violations"]:
            yield (
                "%(batteries)d at %(khz)d kHz: %(missed)d missed, %(alloc)d allocations, " % row
                + ("%(violations)d violations" % row)
            )
    for row in figures:
        if row["speed"] < SPEED:
            yield "simulated over processor time: %d" % row["speed"]
        if row["load_pct"] > SHARE_PCT or row["alloc"] or row["violations"]:
            yield "%(khz)d kHz: load %(load_pct).1f, %(alloc)d allocations" % row


def main():
    """Measure, print, write; return 1 when a promise is not kept."""
    parser = argparse.ArgumentParser(description="Measure and write the table of the document.")
    parser.add_argument("--share", type=int, default=100, metavar="PERCENT")
    parser.add_argument("--print", action="store_true", dest="print_only")
    options = parser.parse_args()
    reactions, boards, people, loops, figures, logs = asyncio.run(measure_all(options.share))
    tables = [
        reaction_table(reactions),
        board_table(boards),
        people_table(people),
        contest_table(loops),
        figure_table(figures),
        card_table(logs),
    ]
    text = "\n\n\n".join("\n".join(table) for table in tables)
    print(text)
    if not options.print_only:
        before, _, rest = DOCUMENT.read_text().partition(BEGIN)
        _, _, after = rest.partition(END)
        DOCUMENT.write_text(f"{before}{BEGIN}\n```text\n{text}\n```\n{END}{after}")
    broken = list(broken_promises(reactions, figures, logs))
    broken += broken_by_controller(boards, people)
    for line in broken:
        print("not kept:", line)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
