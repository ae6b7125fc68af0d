# SPDX-License-Identifier: GPL-3.0-only
"""Lighthouse's marks for the page on a phone: performance, accessibility, best practices.

Lighthouse and its parts (190 MB) are installed into build/lighthouse/ as tools/bench/package.json
pins them. It plays a slow phone on a slow network (its preset for mobile), over the rig.
"""

import json
import os
import shutil
import subprocess

from bench.page_rig import paced
from browser import PROGRAM
from rigs import ROOT

INSTALLED = ROOT / "build/lighthouse"
LEAST = {"performance": 90, "accessibility": 90, "best-practices": 90}
"""Promised, of 100."""
PHONE_INDEX = 264
"""Lighthouse's index of a cheap phone, a Moto G Power of 2022, as Chrome's own tools have it. The
host is slowed down to that: by how much follows from the host's index, which falls when it has
other work."""
LEAST_INDEX = 200
"""Of a host that was slower than this when the page was judged the times say nothing: it is judged
again."""
MOST_TRIES = 6
TIMES = {
    "first-contentful-paint": "first paint, s",
    "largest-contentful-paint": "largest paint, s",
    "total-blocking-time": "blocked, s",
}
FLAGS = "--headless --no-sandbox --disable-gpu"


def install():
    """Bring build/lighthouse up to what tools/bench/package.json says."""
    wanted = (ROOT / "tools/bench/package.json").read_bytes()
    have = INSTALLED / "package.json"
    if have.exists() and have.read_bytes() == wanted and (INSTALLED / "node_modules").is_dir():
        return
    shutil.rmtree(INSTALLED, ignore_errors=True)
    INSTALLED.mkdir(parents=True)
    have.write_bytes(wanted)
    options = ("--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error")
    subprocess.run(["npm", "install", "--ignore-scripts", *options], cwd=INSTALLED, check=True)


def judged(url, folder, slower=1):
    """What Lighthouse finds at an address with the host's processor slowed down."""
    out = folder / "report.json"
    subprocess.run(
        [
            *(INSTALLED / "node_modules/.bin/lighthouse", url, "--quiet"),
            *("--output=json", f"--output-path={out}", f"--chrome-flags={FLAGS}"),
            f"--only-categories={','.join(LEAST)}",
            f"--throttling.cpuSlowdownMultiplier={slower:.2f}",
        ],
        env=os.environ | {"CHROME_PATH": PROGRAM},
        check=True,
    )
    return json.loads(out.read_text())


def measure(browser, folder, only=""):
    """Yield a row of each page; browser, only: not used."""
    install()
    with paced(settings={"pack": {"capacity_mah": 20000}}, load=[[0, 60]]) as rig:
        rig.until(lambda state: state["bus"]["connected"] == 16, 60)
        index = judged(rig.url, folder)["environment"]["benchmarkIndex"]
        for path in ("/", "/setup"):
            for _ in range(MOST_TRIES):
                slower = max(index / PHONE_INDEX, 1)
                found = judged(rig.url + path, folder, slower)
                index = found["environment"]["benchmarkIndex"]
                if index / slower >= LEAST_INDEX:
                    break
            audits = found["audits"]
            marks = {name: round(100 * found["categories"][name]["score"]) for name in LEAST}
            missed = [f"{name} {marks[name]}" for name in LEAST if marks[name] < LEAST[name]]
            if index / slower < LEAST_INDEX:
                marks["performance"] = None
                missed.append(f"performance not measured: an index of {index / slower:.0f}")
            yield {
                "name": path,
                "marks": marks,
                "times": [audits[name]["numericValue"] / 1000 for name in TIMES],
                "shift": audits["cumulative-layout-shift"]["numericValue"],
                "requests": len(audits["network-requests"]["details"]["items"]),
                "kb": audits["total-byte-weight"]["numericValue"] / 1024,
                "index": index / slower,
                "missed": missed,
            }


def table(rows):
    """Lines of the table."""
    yield "Lighthouse, mobile, of 100 (at least 90 each)"
    yield ""
    heads = (*LEAST, *TIMES.values(), "layout shift", "requests", "KB", "index")
    yield "%-8s" % "page" + "".join("%*s" % (len(head) + 2, head) for head in heads)
    for row in rows:
        cells = ["-" if mark is None else str(mark) for mark in row["marks"].values()]
        cells += ["%.1f" % s for s in row["times"]]
        cells += ["%.3f" % row["shift"], "%d" % row["requests"], "%.0f" % row["kb"]]
        cells.append("%.0f" % row["index"])
        pairs = zip(heads, cells, strict=True)
        yield "%-8s" % row["name"] + "".join("%*s" % (len(h) + 2, cell) for h, cell in pairs)
    yield ""
    yield "index: of the host, slowed down, by Lighthouse's measure; a cheap phone (Moto G Power,"
    yield "2022) has %d. Under %d the times are not judged." % (PHONE_INDEX, LEAST_INDEX)
