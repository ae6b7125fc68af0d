# SPDX-License-Identifier: GPL-3.0-only
"""What the tests of the views share: a rig in trouble, ways around the page, axe-core."""

from playwright.sync_api import expect

from rigs import PASSWORD, ROOT

AXE = ROOT / "build/npm/node_modules/axe-core/axe.min.js"
VIEWS = ("rig", "charts", "events", "logs", "settings", "system")
SCENARIO = {
    "settings": {"name": "Grande scène", "batteries": {"1": {"label": "Son <gauche>"}}},
    "batteries": [{"n": n, "soc": 0.8} for n in range(1, 16)] + [{"n": 16, "soc": 0.5}],
    "load": [[0, 0], [8, 60]],
    "steps": [
        {"at": 9, "do": "sensor_heat", "n": 3, "c": 75},
        {"at": 9, "do": "sensor_nack", "n": 14},
        {"at": 9, "do": "request", "n": 5, "action": "off"},
    ],
}
SMALL = (
    "[...document.querySelectorAll('button, input, select, summary, #tabs a, .button')]"
    ".filter(e => e.checkVisibility()).map(e => [e.getBoundingClientRect(), e.outerHTML])"
    ".filter(([r]) => r.height < 44 || r.width < 44).map(([r, text]) => text)"
)


def log_in(page):
    page.locator("#account").click()
    page.locator("#password").fill(PASSWORD)
    page.keyboard.press("Enter")
    # The gate is hidden while the rig checks the password.
    expect(page.locator("#account")).to_have_text("Log out")


def faults(page):
    """What axe-core finds on the page: rule and places."""
    page.evaluate(AXE.read_text())  # not a script tag: the page's own policy forbids that
    found = page.evaluate("axe.run({resultTypes: ['violations']})")["violations"]
    return [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in found]


def open_view(page, view):
    page.locator(f"#tabs [href='#{view}']").click()
    expect(page.locator(f"#view-{view}")).to_be_visible()
    ready = {
        "rig": "#battery-16",
        "charts": "#chips button:visible >> nth=14",
        "events": "#event-list li >> nth=5",
        "logs": "#log-list li >> nth=1",
        "settings": "#set-name",
        "system": "#report div >> nth=10",
    }[view]
    expect(page.locator(ready)).to_be_visible()
    for other in VIEWS:
        expect(page.locator(f"#view-{other}")).to_be_visible(visible=other == view)
    assert page.evaluate("scrollY") == 0
