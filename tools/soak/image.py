#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-only
"""Starts all that an image holds on 32 bits, from a flash that was never used. Run by `make soak`.

    tools/soak/image.py

In 128 KB of heap, as a plain ESP32 has it, with four live clients: sixteen batteries start with
the limits that the firmware came with, page and messages come out of the image, one battery gives
too much and is switched off, the log tells it, and in the flash lies nothing but settings. Exits
with 1 when anything of that is not so.
"""

import csv
import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from device import build, heap32
from device.image import images

HEAP_KB = 128
STANDINS_BYTES = 9216
TRIPPED = 3
CLIENTS = 4
OWN = {"config.good.json"}
MOUNTED = {"sd", "out", "rom"}


def play(work):
    """Let it run in the folder `work`; returns its report.

    Raises:
        SystemExit: it did not come to its end.
    """
    size = images.partitions()["vfs"][3]
    (work / "flash").write_bytes(b"\xff" * size)
    for name in ("sd", "out"):
        (work / name).mkdir()
    heap = int((HEAP_KB * 1024 + STANDINS_BYTES) * heap32.TABLES)
    code = f"import heap32_image; heap32_image.main({str(work)!r})"
    process = subprocess.run(
        [heap32.FROZEN, "-X", f"heapsize={heap}", "-c", code], capture_output=True, text=True
    )
    lines = [line for line in process.stdout.splitlines() if line.startswith("{")]
    if process.returncode or not lines:
        raise SystemExit(f"image: {process.stdout[-2000:]}{process.stderr}")
    return json.loads(lines[-1])


def body(work, name):
    """The body of an answer, bytes."""
    return (work / "out" / name).read_bytes().partition(b"\r\n\r\n")[2]


def answered(work, name):
    """The JSON of an answer."""
    return json.loads(body(work, name))


def served(work, app):
    """(what, as it should be) for each file that comes out of the image.

    Args:
        app: folder of the built application.
    """
    files = {
        "page": "page/index.html.gz",
        "app.js": "page/app.js.gz",
        "setup": "page/setup.html.gz",
        "messages": "parallelator/messages/en.json",
        "messages.fr": "parallelator/messages/fr.json",
    }
    for name, path in files.items():
        wanted = hashlib.sha256((app / path).read_bytes()).digest()
        yield path, hashlib.sha256(body(work, name)).digest() == wanted


def verdicts(work, app, report):
    """(what, as it should be) for everything; `report` is what `play` returned."""
    yield from served(work, app)
    yield "all batteries on", {b["state"] for b in answered(work, "before")["batteries"]} == {"on"}
    after = {b["n"]: b["state"] for b in answered(work, "after")["batteries"]}
    yield (
        "the one with too much current tripped, the others on",
        after == {n: "tripped" if n == TRIPPED else "on" for n in range(1, 17)},
    )
    events = answered(work, "events")["events"]
    yield (
        "the trip among the events",
        any((event["n"], event["state"]) == (TRIPPED, "tripped") for event in events),
    )
    (log,) = (work / "sd/log").glob("boot-*.csv")
    rows = csv.DictReader(log.read_text().splitlines())
    states = [row["state"] for row in rows if row["battery"] == str(TRIPPED)]
    yield "the trip in the log", "on" in states and states[-1] == "tripped"
    yield "a record of the trip", any((work / "sd/blackbox").iterdir())
    yield "nothing but settings in the flash", set(report["own"]) - MOUNTED == OWN
    frames = report["frames"]
    yield "live clients", len(frames) == CLIENTS and min(frames) > 10 and not report["failed"]
    yield "the stand-ins as large as thought", report["standins"] <= STANDINS_BYTES


def main():
    """Build, run, print; return the exit code."""
    built = build.ROOT / "build/device"
    build.build(built)
    subprocess.run([build.ROOT / "tools/device/frozen.sh"], check=True)
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        report = play(work)
        found = list(verdicts(work, built / build.APP, report))
    for what, good in found:
        print(f"{'ok    ' if good else 'WRONG '} {what}")
    used, most = (report[key] / 1024 for key in ("used", "most"))
    print(f"{used:.1f} KB in use after a collection, {most:.1f} at most, of {HEAP_KB}")
    wrong = sum(not good for _, good in found)
    print(f"{len(found) - wrong} passed, {wrong} failed")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
