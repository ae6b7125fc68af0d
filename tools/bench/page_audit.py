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
from rigs import ROOT

INSTALLED = ROOT / "build/lighthouse"
LEAST = {"performance": 90, "accessibility": 90, "best-practices": 90}
"""Promised, of 100."""
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


def judged(url, folder):
    """What Lighthouse finds at an address."""
    out = folder / "report.json"
    subprocess.run(
        [
            *(INSTALLED / "node_modules/.bin/lighthouse", url, "--quiet"),
            *("--output=json", f"--output-path={out}", f"--chrome-flags={FLAGS}"),
            f"--only-categories={','.join(LEAST)}",
        ],
        env=os.environ | {"CHROME_PATH": "/usr/bin/chromium"},
        check=True,
    )
    return json.loads(out.read_text())


def measure(browser, folder, only=""):
    """Yield a row of each page; browser, only: not used."""
    install()
    with paced(settings={"pack": {"capacity_mah": 20000}}, load=[[0, 60]]) as rig:
        rig.until(lambda state: state["bus"]["connected"] == 16, 60)
        for path in ("/", "/setup"):
            found = judged(rig.url + path, folder)
            marks = {name: round(100 * found["categories"][name]["score"]) for name in LEAST}
            yield {
                "name": path,
                "marks": marks,
                "times": [found["audits"][name]["numericValue"] / 1000 for name in TIMES],
                "shift": found["audits"]["cumulative-layout-shift"]["numericValue"],
                "missed": [
                    f"{name} {marks[name]}" for name, least in LEAST.items() if marks[name] < least
                ],
            }


def table(rows):
    """Lines of the table."""
    yield "Lighthouse, mobile, of 100 (at least 90 each)"
    yield ""
    heads = (*LEAST, *TIMES.values(), "layout shift")
    yield "%-8s" % "page" + "".join("%*s" % (len(head) + 2, head) for head in heads)
    for row in rows:
        cells = [*map(str, row["marks"].values()), *("%.1f" % s for s in row["times"])]
        cells.append("%.3f" % row["shift"])
        pairs = zip(heads, cells, strict=True)
        yield "%-8s" % row["name"] + "".join("%*s" % (len(h) + 2, cell) for h, cell in pairs)
