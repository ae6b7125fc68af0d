#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-only
"""Cuts the power at every block that the rig writes to its SD card; prints a table. `make soak`.

    tools/soak/power_cuts.py

The cuts are those of cuts.py, shared out among processes. Exits with 1 when one went wrong.
"""

import asyncio
import json
import os
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MICROPYTHON = ROOT / "build/venv/bin/micropython"
SHARES = 16
"""The simulator keeps what each run mounted: a process plays only some dozens."""


async def share(slots, offset):
    """Play one share; returns (table, faults) as cuts.campaign does."""
    async with slots:
        process = await asyncio.create_subprocess_exec(
            *(MICROPYTHON, "-X", "heapsize=128m", ROOT / "tools/soak/cuts.py"),
            *(str(SHARES), str(offset)),
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await process.communicate()
    lines = output.decode().strip().splitlines()
    if process.returncode or not lines or not lines[-1].startswith("["):
        return {}, [f"share {offset} ended early: {lines[-5:]}"]
    return json.loads(lines[-1])


async def shares():
    """Play all of them."""
    slots = asyncio.Semaphore(os.cpu_count())
    return await asyncio.gather(*(share(slots, offset) for offset in range(SHARES)))


def main():
    """Play every cut, print the table; return the exit code."""
    table = {}
    wrong = []
    for rows, faults in asyncio.run(shares()):
        wrong += faults
        for operation, row in rows.items():
            total = table.setdefault(operation, Counter())
            total.update(row | {"blocks": 0})
            total["blocks"] = row["blocks"]
    print(f"{'power cut':14} {'blocks':>7} {'cuts':>6} {'damaged':>8} {'of these told':>15}")
    for operation, row in table.items():
        counts = f"{row['whole']:6} {row['damaged']:8} {row['told']:15}"
        print(f"{operation:14} {row['blocks']:7} {counts}")
    for text in wrong:
        print("wrong:", text)
    cuts = sum(row["whole"] + row["damaged"] for row in table.values())
    print(f"{cuts - len(wrong)} passed, {len(wrong)} failed")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
