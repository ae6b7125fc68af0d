# SPDX-License-Identifier: GPL-3.0-only
"""What a pulled plug leaves on the card, as the file system check of a PC sees it."""

import json
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MICROPYTHON = ROOT / "build/venv/bin/micropython"

HARMLESS = (
    r"fsck\.fat .*",
    r"Checking we can access the last sector of the filesystem",
    r"Boot sector contents:",
    r"System ID .*",
    r"Media byte .*",
    r" *\d+ bytes per .*",
    r" *\d+ reserved sectors?",
    r"First FAT starts at .*",
    r" *\d+ FATs?, \d+ bit entries",
    r"Root directory starts at .*",
    r" *\d+ root directory entries",
    r"Data area starts at .*",
    r" *\d+ data clusters .*",
    r"\d+ sectors/track, \d+ heads",
    r" *\d+ hidden sectors",
    r" *\d+ sectors total",
    r"Checking for .*",
    r".*: \d+ files, \d+/\d+ clusters",
    r"Reclaiming unconnected clusters\.",
    r"Reclaimed \d+ unused clusters? \(\d+ bytes\).*",
    r"Leaving filesystem unchanged\.",
)
"""Lines of fsck.fat about a sound volume, or one with lost clusters: room that a file had been
given when the power went, before its size was written. Nothing else may be left."""
LONGER = (
    r"(/log|/counters)?/\S+",
    r" *File size is \d+ bytes, cluster chain length is > \d+ bytes\.",
    r" *Truncating file to \d+ bytes\.",
)
"""The same for a file that had been given a cluster more than its size says."""


def check(image):
    """Run fsck.fat without repairing; returns the lines that are not harmless, and all."""
    run = subprocess.run(["/usr/sbin/fsck.fat", "-n", "-v", image], capture_output=True, text=True)
    lines = [line for line in (run.stdout + run.stderr).splitlines() if line.strip()]
    allowed = HARMLESS + LONGER
    return [line for line in lines if not any(re.fullmatch(form, line) for form in allowed)], lines


def pull(image, times):
    run = subprocess.run(
        [MICROPYTHON, "-X", "heapsize=64m", ROOT / "tools/soak/pulls.py", image, times],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0 and "Traceback" not in run.stdout, run.stdout + run.stderr
    return json.loads(run.stdout.splitlines()[-1])


def test_a_hundred_pulls_leave_lost_clusters_at_most(tmp_path):
    image = tmp_path / "card.img"
    found = pull(image, "100")
    assert found["left"] == 0 and found["violations"] == []
    assert "task_died" not in found["events"], found
    assert found["last_s"] > found["duration_s"] - 30 and found["torn"] == []
    bad, lines = check(image)
    assert bad == [], "\n".join(lines)


def test_the_check_sees_what_is_wrong(tmp_path):
    image = tmp_path / "card.img"
    pull(image, "0")
    data = bytearray(image.read_bytes())
    reserved, fats, size = data[14], data[16], data[22] + 256 * data[23]
    first = reserved * 512
    # The clusters of the files are said to be free.
    for fat in range(fats):
        at = first + fat * size * 512
        data[at + 4 : at + 16] = bytes(12)
    image.write_bytes(data)
    bad, lines = check(image)
    assert bad, "\n".join(lines)
