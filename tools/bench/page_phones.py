# SPDX-License-Identifier: GPL-3.0-only
"""The table of phones.py: people who open the page at once, on a plain ESP32 in virtual time."""

import json
import subprocess

from rigs import MICROPYTHON, ROOT, free_port

KINDS = ((1, 100), (1, 400), (2, 100), (2, 400))
PROMISED = {"live": 3000, "tap": 300}
"""ms."""


def measure(browser, folder, only=""):
    """Yield a row of so many phones at so many kHz each; its arguments are not used."""
    for phones, khz in KINDS:
        program = (MICROPYTHON, "-X", "heapsize=64m", ROOT / "tools/bench/phones.py")
        told = subprocess.check_output(
            [*program, str(phones), str(khz), str(free_port())], text=True
        )
        row = json.loads(told.splitlines()[-1])
        missed = [f"{key} {row[key]} ms" for key, most in PROMISED.items() if row[key] > most]
        missed += ["violations"] if row["violations"] else []
        yield row | {"name": f"{phones} phones, {khz} kHz", "missed": missed}


def table(rows):
    """Lines of the table."""
    yield "Phones that open the page at once, s; a plain ESP32, 16 batteries, MQTT, the log"
    yield ""
    yield "phones  kHz   live screen        tap   told to all   between frames   longest tick, ms"
    for row in rows:
        yield "%6d  %3d %13.2f %10.2f %13.2f %16.2f %18.0f" % (
            row["phones"],
            row["khz"],
            *(row[key] / 1000 for key in ("live", "tap", "news", "gap")),
            row["tick"],
        )
    yield "at most     %13.2f %10.2f" % tuple(most / 1000 for most in PROMISED.values())
    yield ""
    yield "live screen: from opening the page to the first frame, all five requests answered; tap:"
    yield "to the open switch; told: until a frame says so. Worst of all phones."
