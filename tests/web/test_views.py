"""Every view of the page in Chromium, over the firmware on a simulated rig."""

import pytest
from playwright.sync_api import expect

from conftest import DESKTOP, PHONE, PICTURES
from rigs import PASSWORD, ROOT, simulated

AXE = ROOT / "build/npm/node_modules/axe-core/axe.min.js"
VIEWS = ("rig", "charts", "events", "settings", "system")
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
    "[...document.querySelectorAll('button, input, select, summary, #tabs a')]"
    ".filter(e => e.checkVisibility()).map(e => [e.getBoundingClientRect(), e.outerHTML])"
    ".filter(([r]) => r.height < 44 || r.width < 44).map(([r, text]) => text)"
)


@pytest.fixture(scope="module")
def rig():
    """A rig in trouble, the same for all tests of this file."""
    for simulation in simulated(**SCENARIO):
        simulation.until(lambda state: state["bus"]["connected"] == 13)
        simulation.until(lambda state: state["batteries"][13]["state"] == "absent")
        yield simulation


def log_in(page):
    page.locator("#account").click()
    page.locator("#password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.locator("#gate")).to_be_hidden()


def faults(page):
    """What axe-core finds on the page: rule and places."""
    page.evaluate(AXE.read_text())  # not a script tag: the page's own policy forbids that
    found = page.evaluate("axe.run()")["violations"]
    return [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in found]


def open_view(page, view):
    page.locator(f"#tabs [href='#{view}']").click()
    expect(page.locator(f"#{view}")).to_be_visible()
    ready = {
        "rig": "#battery-16",
        "charts": "#chips button:visible >> nth=14",
        "events": "#event-list li >> nth=20",
        "settings": "#set-name",
        "system": "#report div >> nth=10",
    }[view]
    expect(page.locator(ready)).to_be_visible()
    for other in VIEWS:
        expect(page.locator(f"#{other}")).to_be_visible(visible=other == view)


@pytest.mark.parametrize("language", ["en", "fr"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_every_view(visit, rig, viewport, scheme, language):
    page = visit(rig, viewport, scheme, language=language)
    name = f"{language}-{scheme}-{viewport['width']}"
    PICTURES.mkdir(parents=True, exist_ok=True)
    for view in VIEWS:
        open_view(page, view)
        if view == "settings":
            for group in page.locator("details:not([open]) summary").all():
                group.click()
        page.wait_for_timeout(300)
        page.screenshot(path=PICTURES / f"{view}-{name}.png")
        page.screenshot(path=PICTURES / f"{view}-{name}-full.png", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth") == viewport["width"], view
        assert page.evaluate(SMALL) == [], view
        assert faults(page) == [], view


def test_a_hot_battery_and_its_hours(visit, rig):
    page = visit(rig)
    expect(page.locator("#battery-3 .hot")).to_have_text("75 °C", timeout=20000)
    expect(page.locator("#battery-1 .hot")).to_have_text("")
    expect(page.locator("#battery-1 [data-f=count]")).to_contain_text("on for 0.0 h")
    expect(page.locator("#trouble-count")).to_have_text("2")
