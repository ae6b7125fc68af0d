# SPDX-License-Identifier: GPL-3.0-only
"""The page's heap while its charts are open: sixteen batteries, frames of fifty minutes.

The frames after the first are made in the page, as the rig would send them, so that a minute takes
a second or two: other readings in each, and one battery after the other trips for ten seconds.
Counted after forced collections.
"""

import itertools
import re
import statistics

from playwright.sync_api import expect

from bench.page_rig import paced

PHONE = {"width": 360, "height": 740}
MINUTES = tuple(range(0, 51, 5))
FULL = 10
"""Minutes that the page keeps: from then on nothing may grow."""
MOST_SLOPE_PCT = 5
"""Of the heap, an hour."""
COLLECTIONS = 3
TRIPPED, UNDERVOLTAGE = 4, 15
"""Numbers of a state and a reason in a frame."""
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
FEED = """async ([count, state, reason]) => {
  const [began, bus, alarms, known, slow, ...rows] = window.frame;
  window.fed ??= 0;
  for (let k = 0; k < count; k++) {
    const second = ++window.fed;
    const next = rows.map((row, i) => row.with(4, 26000 + (second * 37 + i * 11) % 500)
      .with(5, 4000 + (second * 91 + i * 17) % 900));
    const one = second / 10 % 16 | 0;
    next[one] = next[one].with(0, state).with(1, reason).with(5, 0).with(6, second);
    const frame = [began + second, bus, alarms, known, slow.with(0, second % 16 + 1), ...next];
    window.feed({ data: JSON.stringify(frame) });
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
        rows = []
        for before, minutes in itertools.pairwise((0, *MINUTES)):
            page.evaluate(FEED, [60 * (minutes - before), TRIPPED, UNDERVOLTAGE])
            rows.append(held(session, minutes))
            if minutes == MINUTES[-1]:
                rows[-1]["missed"] = grown(rows)
            yield rows[-1]
        context.close()


def held(session, minutes):
    """What the page holds after so many minutes, as a row."""
    for _ in range(COLLECTIONS):  # what the first one frees may hold more
        session.send("HeapProfiler.collectGarbage")
    counts = session.send("Memory.getDOMCounters")
    return {
        "name": f"heap after {minutes} minutes",
        "minutes": minutes,
        "kb": session.send("Runtime.getHeapUsage")["usedSize"] / 1024,
        "nodes": counts["nodes"],
        "listeners": counts["jsEventListeners"],
        "missed": [],
    }


def slope(rows):
    """KB that the heap grows by in an hour, once the page is full: a line of least squares."""
    found = [row for row in rows if row["minutes"] >= FULL]
    hours = [row["minutes"] / 60 for row in found]
    return statistics.linear_regression(hours, [row["kb"] for row in found]).slope


def grown(rows):
    """What has grown though the page was full."""
    full = next(row for row in rows if row["minutes"] == FULL)
    pct = 100 * slope(rows) / full["kb"]
    return [f"heap: {pct:.1f} % an hour"] * (pct > MOST_SLOPE_PCT) + [
        f"{rows[-1][key] - full[key]} more {key}"
        for key in ("nodes", "listeners")
        if rows[-1][key] > full[key]
    ]


def table(rows):
    """Lines of the table."""
    yield "Charts of sixteen batteries left open: what the page holds after forced collections"
    yield ""
    yield "minutes   heap, KB   nodes   listeners"
    for row in rows:
        yield "%(minutes)7d %(kb)10.0f %(nodes)7d %(listeners)11d" % row
    yield ""
    yield "The page keeps the last ten minutes at one point a second; from then on it is full:"
    yield "%+.0f KB an hour, of %.0f KB." % (slope(rows), rows[-1]["kb"])
