#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-only
"""Starts and updates all that an image holds, on 32 bits. Run by `make soak`.

    tools/soak/image.py

In 128 KB of heap, as a plain ESP32 has it, with four live clients, from a flash that was never
used: sixteen batteries start with the limits that the firmware came with, page and messages come
out of the image, one battery gives too much and is switched off, the log tells it. Then a password
is chosen, and an image comes over HTTP into the other partition. It is refused without a key, as
is a bundle of files or one with another key; with the right one the rig restarts. The boot loader
of sim/partitions.py starts the new image, which says that it works, and stays. Both have the same
code. In the flash lies nothing but what people own. Exits with 1 when anything of that is not so.
"""

import csv
import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from device import build, bundle, esp_image, heap32
from device.image import images
from sim import partitions

HEAP_KB = 128
STANDINS_BYTES = 14848
TRIPPED = 3
CLIENTS = 4
OWN = {"config.json", "config.good.json", "update.key", "app"}
MOUNTED = {"sd", "out", "rom"}
KEY = b"a5" * 32 + b"\n"
IMAGE_BYTES = 1400 << 10
"""Of the image that comes: as much as one with the firmware has."""


def lay_out(work, built):
    """Fill the folder `work`: a flash with an image and nothing else, and what will be uploaded.

    Args:
        built: folder of the build.
    """
    table = images.partitions()
    version = build.version()
    old, new = (esp_image.make(version, text * (IMAGE_BYTES // 4)) for text in (b"old ", b"new "))
    flash = {"flash": ("vfs", b""), "ota_0": ("ota_0", old), "ota_1": ("ota_1", b"older " * 9999)}
    for name, (label, content) in flash.items():
        (work / name).write_bytes(content.ljust(table[label][3], b"\xff"))
    for name in ("sd", "out"):
        (work / name).mkdir()
    out = work / "out"
    (out / "update.key").write_bytes(KEY)
    (out / "files.bundle").write_bytes(bundle.bundle(built, KEY))
    (out / "image.bundle").write_bytes(bundle.image_bundle(new, version, KEY))
    foreign = bundle.image_bundle(new, version, KEY.replace(b"a5", b"b6"))
    (out / "foreign.bundle").write_bytes(foreign)


def play(work, slot):
    """Let the image in a slot run in the folder `work`; returns its report.

    Raises:
        SystemExit: it did not come to its end.
    """
    heap = int((HEAP_KB * 1024 + STANDINS_BYTES) * heap32.TABLES)
    code = f"import heap32_image; heap32_image.main({str(work)!r}, {slot!r})"
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
    """(what, as it should be) for the evening; `report` is what `play` returned."""
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
    yield "the trip in the log", "tripped" in states[states.index("on") :]
    yield "a record of the trip", any((work / "sd/blackbox").iterdir())
    yield "nothing but what people own in the flash", set(report["own"]) - MOUNTED <= OWN
    yield from sound(report)


def sound(report):
    """(what, as it should be) of every run."""
    frames = report["frames"]
    yield "live clients", len(frames) == CLIENTS and min(frames) > 10 and not report["failed"]
    yield "the stand-ins as large as thought", report["standins"] <= STANDINS_BYTES


def updated(work, chip, report):
    """(what, as it should be) for the update; plays the new image as the boot loader starts it.

    Args:
        chip: the Partitions with the image that ran; report: of its run.
    """
    for name, code in (
        ("keyless", "update_key"),
        ("files", "update_files"),
        ("foreign", "update_foreign"),
    ):
        found = answered(work, name).get("error", {})
        print(f"       {name}: {found.get('message')}")
        yield f"refused: {name}", found.get("code") == code
    yield "the image has come whole", answered(work, "image")["phase"] == "ready"
    yield "the restart was taken", answered(work, "switched") == {"offered": build.version()}
    yield "the boot loader was told", report["told"] == ["keep ota_0", "boot ota_1"]
    chip.write(1, 0, (work / "ota_1").read_bytes())
    chip.set_boot(1)
    chip.boot()
    yield "the boot loader starts it", partitions.LABELS[chip.running] == "ota_1"
    report = play(work, partitions.LABELS[chip.running])
    yield "it says that it works", report["told"] == ["keep ota_1"]
    chip.confirm()
    chip.boot()
    yield "it stays after another reset", partitions.LABELS[chip.running] == "ota_1"
    yield (
        "all batteries on again",
        {b["state"] for b in answered(work, "new-state")["batteries"]} == {"on"},
    )
    events = answered(work, "new-events")["events"]
    yield "the update among the events", any(event["code"] == "updated" for event in events)
    yield from sound(report)


def main():
    """Build, run, print; return the exit code."""
    built = build.ROOT / "build/device"
    build.build(built)
    subprocess.run([build.ROOT / "tools/device/frozen.sh"], check=True)
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        lay_out(work, built)
        chip = partitions.Partitions("ESP32", (work / "ota_0").read_bytes(), lambda kind: None)
        report = play(work, partitions.LABELS[chip.running])
        found = [*verdicts(work, built / build.APP, report), *updated(work, chip, report)]
    for what, good in found:
        print(f"{'ok    ' if good else 'WRONG '} {what}")
    used, most, update = (report[key] / 1024 for key in ("used", "most", "update"))
    print(f"{used:.1f} KB in use after a collection, {most:.1f} at most, of {HEAP_KB}")
    print(f"{update:.1f} KB in use at most while the image is written, in pieces of 1 KB;")
    print(f"short of memory {report['busy']} times, and begun anew {report['anew']} times")
    wrong = sum(not good for _, good in found)
    print(f"{len(found) - wrong} passed, {wrong} failed")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
