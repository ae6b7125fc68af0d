#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-only
"""What the report of a night costs, by the size of the card. Run by `make bench`.

    tools/bench/logs.py [MB ...]

Writes cards as sixteen batteries fill them at a sample each second, a log a day, the last one
until 6:00, reads the last night from each as `make logs` does, and prints a table: size, memory,
seconds of the processor and of the clock. The goals are those of a card of 400 MB.
"""

import argparse
import math
import os
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SIZES_MB = (10, 100, 400, 1000)
MOST_KB, MOST_S = 300 << 10, 120
PACKS = 16
LAST = datetime(2026, 7, 14)
MORNING_S = 6 * 3600
DAY_S = 86400
HEAD = (
    "time,uptime_ms,battery,voltage_mv,current_ma,state,discharge_mah,charge_mah,soc_pct\n"
    "# times are UTC; zone CET-1CEST,M3.5.0,M10.5.0/3; boot 7; rig 246f28000001; name bench\n"
)


def rows(day, second, uptime_s):
    """The rows of one sample, as text: a show in the evening, a charge in the morning."""
    moment = f"{day:%Y-%m-%d}T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}Z"
    amps = 2000 if second > 72000 else -1500 if 14400 < second < 28800 else 40
    ripple = int(300 * math.sin(second / 7))
    out = uptime_s * 400 // 3600
    level = 27500 - uptime_s % 40000 // 10
    return "".join(
        f"{moment},{uptime_s}000,{n},{level - 7 * n + ripple % 90},{amps + ripple + n},on,"
        f"{out + n},{out // 2},{30 + (uptime_s // 900 + n) % 60}\n"
        for n in range(1, PACKS + 1)
    )


def fill(folder, size_mb):
    """Write the logs of as many days as `size_mb` takes; returns their bytes."""
    folder.mkdir(parents=True)
    left = size_mb * 1_000_000
    day, end_s = LAST, MORNING_S
    names = []
    while left > 0:
        sample = len(rows(day, 0, 10 * DAY_S))
        seconds = min(end_s, max(left // sample, 1))
        names.append((day, end_s - seconds, end_s))
        left -= seconds * sample
        day, end_s = day - timedelta(days=1), DAY_S
    first = names[-1][0] + timedelta(seconds=names[-1][1] - 60)
    for day, begin, end in names:
        base = int((day - first).total_seconds())
        with (folder / f"{day:%Y-%m-%d}.csv").open("w") as file:
            file.write(HEAD)
            for second in range(begin, end):
                file.write(rows(day, second, base + second))
    return sum(file.stat().st_size for file in folder.iterdir())


def measured(source, out):
    """(seconds, those of the processor, KB at most) of a report.

    Raises:
        CalledProcessError: it fails.
    """
    command = [sys.executable, str(ROOT / "tools/logs/night.py"), str(source), "-o", str(out)]
    begin = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise subprocess.CalledProcessError(status, command)
    return time.monotonic() - begin, usage.ru_utime + usage.ru_stime, usage.ru_maxrss


def main():
    """Measure; return the exit code: 1 when a goal is missed."""
    parser = argparse.ArgumentParser(description="Cost of the report of a night.")
    parser.add_argument("sizes", type=int, nargs="*", default=SIZES_MB, metavar="MB")
    options = parser.parse_args()
    print("The report of one night: 16 batteries, a sample each second\n")
    print("card, MB  logs  out   memory, MB  processor, s  clock, s")
    missed = False
    for size_mb in options.sizes or SIZES_MB:
        with tempfile.TemporaryDirectory() as base:
            card = Path(base, "log")
            size = fill(card, size_mb)
            count = len(list(card.iterdir()))
            for kind in ("html", "png"):
                seconds, busy_s, memory_kb = measured(card, Path(base, f"night.{kind}"))
                late = size_mb <= 400 and (memory_kb > MOST_KB or busy_s > MOST_S)
                missed |= late
                print(
                    f"{size / 1e6:8.0f}  {count:4}  {kind:4}  {memory_kb / 1024:10.0f}"
                    f"  {busy_s:12.1f}  {seconds:8.1f}{' *' if late else ''}",
                    flush=True,
                )
    print(f"\n* misses {MOST_KB >> 10} MB or {MOST_S} s of the processor")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
