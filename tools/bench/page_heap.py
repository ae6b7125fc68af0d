# SPDX-License-Identifier: GPL-3.0-only
"""The page's heap while its charts are open: sixteen batteries, frames of a quarter of an hour.

The frames after the first are made in the page, as the rig would send them, so that a minute takes
a second or two. Counted after a forced collection.
"""

import re

from playwright.sync_api import expect

from bench.page_rig import paced

PHONE = {"width": 360, "height": 740}
MINUTES = (0, 5, 10, 12, 14, 16)
FULL = 10
"""Minutes that the page keeps: from then on nothing may grow."""
MOST_GROWTH_PCT = 5
HOLD = """
const Own = EventSource;
window.EventSource = class extends Own {
  set onmessage(take) {
    window.feed = take;
    super.onmessage = (event) => {
      take(event);
      window.frame = JSON.parse(event.data);
      this.close();
    };
  }
};
"""
FEED = """async (count) => {
  for (let k = 0; k < count; k++) {
    const [uptime, bus, alarms, known, slow, ...rows] = window.frame;
    const next = rows.map((row, i) => row.with(4, 26000 + (uptime * 37 + i * 11) % 500)
      .with(5, 4000 + (uptime * 91 + i * 17) % 900));
    window.frame = [uptime + 1, bus, alarms, known, slow.with(0, uptime % 16 + 1), ...next];
    window.feed({ data: JSON.stringify(window.frame) });
    await new Promise((done) => setTimeout(done));
  }
}"""


def measure(browser, folder, only=""):
    """Yield a row of each of the MINUTES; only: not used."""
    with paced(
        settings={"pack": {"capacity_mah": 20000}}, batteries=16, load=[[0, 60]], hurry_s=30
    ) as rig:
        rig.until(lambda state: state["bus"]["connected"] == 16, 60)
        context = browser.new_context(viewport=PHONE, locale="en-GB")
        context.add_init_script(HOLD)
        page = context.new_page()
        page.goto(f"{rig.url}/#charts")
        expect(page.locator("#chips button:visible")).to_have_count(17)
        expect(page.locator("#chart-time")).to_have_text(re.compile("Now"))
        session = context.new_cdp_session(page)
        fed, full = 0, None
        for minutes in MINUTES:
            page.evaluate(FEED, 60 * minutes - fed)
            fed = 60 * minutes
            session.send("HeapProfiler.collectGarbage")
            counts = session.send("Memory.getDOMCounters")
            row = {
                "name": f"heap after {minutes} minutes",
                "minutes": minutes,
                "kb": session.send("Runtime.getHeapUsage")["usedSize"] / 1024,
                "nodes": counts["nodes"],
                "listeners": counts["jsEventListeners"],
                "missed": [],
            }
            full = row if minutes == FULL else full
            if full:
                growth_pct = 100 * (row["kb"] / full["kb"] - 1)
                if growth_pct > MOST_GROWTH_PCT or row["nodes"] > full["nodes"]:
                    row["missed"] = [f"grew by {growth_pct:.1f} %, {row['nodes']} nodes"]
            yield row
        context.close()


def table(rows):
    """Lines of the table."""
    yield "Charts of sixteen batteries left open: what the page holds after a forced collection"
    yield ""
    yield "minutes   heap, KB   nodes   listeners"
    for row in rows:
        yield "%(minutes)7d %(kb)10.0f %(nodes)7d %(listeners)11d" % row
    yield ""
    yield "The page keeps the last ten minutes at one point a second; from then on it is full."
