# SPDX-License-Identifier: GPL-3.0-only
"""The page of all rigs, as Prometheus serves it, in a browser: what is urgent comes first."""

import contextlib
import re

import pytest
from playwright.sync_api import expect, sync_playwright

from browser import launch
from fake_fleet import FakeFleet, told
from fleet import accounts, engines
from rigs import ROOT
from views import faults

PICTURES = ROOT / "build/screenshots"
LOOKS = {
    "phone-light-en": ({"width": 390, "height": 844}, "light", "en-GB"),
    "phone-dark-fr": ({"width": 390, "height": 844}, "dark", "fr-FR"),
    "desktop-dark-en": ({"width": 1280, "height": 800}, "dark", "en-GB"),
    "desktop-light-fr": ({"width": 1280, "height": 800}, "light", "fr-FR"),
}
SCRAPE_S = 5
DANGER, OFFLINE, TROUBLE = 1, 2, 3
"""Rigs, by their place in the list, that are in danger, off, and in trouble."""
STUCK = {
    "en-GB": "Battery 7 carries current although it is switched off.",
    "fr-FR": "Du courant traverse la batterie 7 alors qu’elle est coupée.",
}
LOCKED = {
    "en-GB": "Battery 5: locked, far too much current.",
    "fr-FR": "Batterie 5 : verrouillée, courant beaucoup trop fort.",
}
expect.set_options(timeout=60000)


@pytest.fixture(scope="module")
def browser():
    """Debian's Chromium."""
    with sync_playwright() as playwright:
        yield launch(playwright)


@contextlib.contextmanager
def fleet_of(folder, n):
    """(FakeFleet of n, the Fleet whose Prometheus reads it)."""
    fake = FakeFleet(n)
    fleet = engines.Fleet(folder / "files", 0, SCRAPE_S)
    accounts.write(fleet.folder, fake.rigs)
    try:
        fleet.start_prometheus()
        yield fake, fleet
    finally:
        fleet.stop()
        fake.close()


@contextlib.contextmanager
def page_of(browser, fleet, look):
    """The page in one of LOOKS; it must log no error and ask nobody else."""
    viewport, scheme, locale = LOOKS[look]
    context = browser.new_context(viewport=viewport, color_scheme=scheme, locale=locale)
    page = context.new_page()
    asked, errors = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    home = f"http://127.0.0.1:{fleet.prometheus_port}/"
    page.goto(home + "user/")
    yield page
    context.close()
    assert errors == [] and all(url.startswith((home, "data:")) for url in asked), (errors, asked)


def names(page):
    """The rigs in their order."""
    return page.locator("#rigs .top > b").all_inner_texts()


def spoil(fake, fleet):
    """One rig gets into danger, one goes off once it was seen, one has trouble."""
    url = f"http://127.0.0.1:{fleet.prometheus_port}"
    engines.wait_for(lambda: engines.ask(url, f"count(up == 1) == {len(fake.rigs)}"), 60)
    fake.texts[DANGER] = told(2, [("stuck_closed", "danger", 7), ("sd_full", "trouble", "")])
    fake.texts[OFFLINE] = None
    fake.texts[TROUBLE] = told(
        4, [("clock_unset", "notice", ""), ("sd_full", "trouble", "")], 1, 5400
    )
    engines.wait_for(lambda: engines.ask(url, "count(up == 0) == 1"), 60)


def test_a_single_rig_that_is_well(tmp_path, browser):
    with fleet_of(tmp_path, 1) as (fake, fleet):
        fake.texts[0] = told(1, left_s=12000, amperes=-32)
        for look in ("phone-light-en", "desktop-light-fr"):
            with page_of(browser, fleet, look) as page:
                good = {"en-GB": "1 rig · all good", "fr-FR": "1 parc · tout va bien"}
                expect(page.locator("#sum")).to_have_text(good[LOOKS[look][2]])
                shown = page.locator("#rigs li")
                expect(shown).to_have_count(1)
                for text in ("25.5 V", "32.0 A", "22 %", "3 h 20", "16/16"):
                    expect(shown).to_contain_text(
                        text if look.endswith("en") else text.replace(".", ",")
                    )
                expect(shown).to_contain_text("charging" if look.endswith("en") else "en charge")
                expect(page.locator("#rigs a")).to_have_attribute(
                    "href", f"http://{fake.rigs[0].address}"
                )
                assert faults(page) == []
                page.screenshot(path=PICTURES / f"fleet-1-{look}.png")


@pytest.mark.parametrize("n", [10, 50])
def test_the_most_urgent_come_first(tmp_path, browser, n):
    with fleet_of(tmp_path, n) as (fake, fleet):
        spoil(fake, fleet)
        good = [rig.name for k, rig in enumerate(fake.rigs) if k not in (1, 2, 3)]
        for look, (viewport, _, locale) in LOOKS.items():
            with page_of(browser, fleet, look) as page:
                shown = page.locator("#rigs li")
                expect(shown).to_have_count(n)
                expect(shown.nth(0)).to_contain_text(STUCK[locale])
                expect(shown.nth(2)).to_contain_text("1 h 30")
                expect(shown.nth(2)).to_contain_text(LOCKED[locale])
                assert names(page) == ["rig-002", "rig-003", "rig-004", *good]
                off = {"en-GB": r"Offline since \d\d:\d\d, for (<\s)?\d\u00a0min\.",
                       "fr-FR": r"Hors ligne depuis \d\d:\d\d, soit (<\s)?\d\u00a0min\."
                }  # fmt: skip
                expect(shown.nth(1)).to_have_text(re.compile(off[locale]))
                text = page.locator("body").inner_text()
                for code in ("stuck_closed", "overcurrent", "sd_full", "clock_unset"):
                    assert code not in text
                assert not re.search("false|undefined|NaN|null", text), text
                width = page.evaluate("document.documentElement.scrollWidth")
                assert width <= viewport["width"]
                assert faults(page) == []
                page.screenshot(path=PICTURES / f"fleet-{n}-{look}.png", full_page=n == 10)


def test_a_silent_prometheus_is_told_and_the_language_can_be_changed(tmp_path, browser):
    with fleet_of(tmp_path, 2) as (_, fleet), page_of(browser, fleet, "phone-light-en") as page:
        expect(page.locator("#rigs li")).to_have_count(2)
        page.locator("#language").click()
        expect(page.locator("#sum")).to_have_text("2 parcs · tout va bien")
        assert page.evaluate("document.documentElement.lang") == "fr"
        fleet.stop()
        expect(page.locator("#silence")).to_contain_text("Prometheus ne répond pas. Valeurs de")
        expect(page.locator("#rigs li")).to_have_count(2)
        fleet.start_prometheus()
        expect(page.locator("#silence")).to_be_hidden()
