#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-only
"""Is the page as good as promised? Uses it, prints the tables, writes them into tests/README.md.

    tools/bench/page.py [--part NAME ...] [--only TEXT] [--print]

Debian's Chromium uses the unchanged firmware on simulated rigs; pictures go to build/pictures/,
tables to build/page-bench/. The exit code is 0 when every promise is kept. `--only` takes the
tasks or states whose name contains TEXT. The document gets what was measured last of each part
and each of its rows; `--print` leaves it alone.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import expect, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tests/web")]

from bench import (  # noqa: E402 - found by the path above
    page_audit,
    page_heap,
    page_phones,
    page_show,
    page_states,
    page_tasks,
)
from browser import launch  # noqa: E402

FOUND = ROOT / "build/page-bench"
DOCUMENT = ROOT / "tests/README.md"
BEGIN = "<!-- page: written by tools/bench/page.py -->"
END = "<!-- page: end -->"
PARTS = {
    "tasks": page_tasks,
    "states": page_states,
    "show": page_show,
    "phones": page_phones,
    "heap": page_heap,
    "audit": page_audit,
}
"""Each has `measure` (browser, folder for its files, only), which yields rows with what they
`missed`, and `table` of such rows."""


def recalled(name):
    """The rows of a part that were measured before, by name."""
    path = FOUND / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else {}


def main():
    """Measure, print, write; return 1 when a promise is not kept."""
    parser = argparse.ArgumentParser(description="Use the page, and measure it.")
    parser.add_argument("--part", choices=PARTS, nargs="+", default=list(PARTS))
    parser.add_argument("--only", default="", metavar="TEXT")
    parser.add_argument("--print", action="store_true", dest="print_only")
    options = parser.parse_args()
    FOUND.mkdir(parents=True, exist_ok=True)
    expect.set_options(timeout=30000)
    missed = []
    with sync_playwright() as playwright:
        browser = launch(playwright)
        for name in options.part:
            kept = recalled(name) if options.only else {}
            with tempfile.TemporaryDirectory() as folder:
                for row in PARTS[name].measure(browser, Path(folder), options.only):
                    kept[row["name"]] = row
                    (FOUND / f"{name}.json").write_text(json.dumps(kept))
                    missed += [f"{row['name']}: {what}" for what in row["missed"]]
            text = "\n".join(PARTS[name].table(list(kept.values())))
            print(text, end="\n\n\n", flush=True)
            (FOUND / f"{name}.txt").write_text(text)
        browser.close()
    kept = [path for name in PARTS if (path := FOUND / f"{name}.txt").exists()]
    if not options.print_only:
        before, _, rest = DOCUMENT.read_text().partition(BEGIN)
        _, _, after = rest.partition(END)
        text = "\n\n\n".join(path.read_text() for path in kept)
        DOCUMENT.write_text(f"{before}{BEGIN}\n```text\n{text}\n```\n{END}{after}")
    for line in missed:
        print("not kept:", line)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
