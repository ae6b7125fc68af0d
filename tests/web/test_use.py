# SPDX-License-Identifier: GPL-3.0-only
"""How the page is to use: the table, names, its language, bad links, small and turned screens."""

import datetime
import json
import re
import subprocess
import zoneinfo

import pytest
from playwright.sync_api import expect

from conftest import DESKTOP, PHONE, PICTURES, forget, opened
from rigs import ROOT
from views import SMALL, VIEWS, faults, log_in

TURNED = {"width": 740, "height": 360}
TABLET = {"width": 820, "height": 1180}
ZOOMED = {"width": 640, "height": 400}
"""The desktop at 200 %."""
SIZES = pytest.mark.parametrize(
    ("viewport", "scheme", "language"),
    [
        (TURNED, "dark", "fr"),
        (TABLET, "light", "fr"),
        (ZOOMED, "dark", "en"),
        (DESKTOP, "light", "en"),
    ],
    ids=["turned", "tablet", "zoomed", "desktop"],
)
SHIFTS = """new Promise((done) => {
  let sum = 0;
  new PerformanceObserver((list) => {
    for (const shift of list.getEntries()) if (!shift.hadRecentInput) sum += shift.value;
  }).observe({ type: "layout-shift", buffered: true });
  setTimeout(() => done(sum), 300);
})"""
"""The sum of the layout shifts so far that nobody's tap has caused."""
ESBUILD = ROOT / "build/npm/node_modules/.bin/esbuild"
UI = ROOT / "lib/parallelator/web/ui"


def column(page, k):
    """The texts of a column of the table, from above."""
    return page.locator(f"#table tbody tr:visible > :nth-child({k})").all_text_contents()


def test_a_table_to_compare_and_sort(visit, rig):
    rig.tell("charge 63 4 1830 11400 10500 12600 - - 7", "trip 5", "lose 14", "heat 3")
    page = visit(rig, DESKTOP)
    page.locator("[data-form=table]").click()
    expect(page.locator("#cards")).to_be_hidden()
    expect(page.locator("#table tbody tr:visible")).to_have_count(16)
    head = page.locator("#table thead th")
    words = ["Battery", "State", "Voltage (V)", "Current (A)", "Charge (%)", "°C", "mΩ", "Trips"]
    assert head.all_text_contents() == words
    assert column(page, 1)[2] == "3 Stage <left>"
    assert column(page, 2)[4] == "tripped" and column(page, 8)[4] == "1"
    expect(page.locator("#table tbody tr").nth(2)).to_contain_text("78")
    assert re.fullmatch(r"↑ \d\.\d", column(page, 4)[0])
    assert column(page, 3)[13] == "–"

    def sort(k):
        head.nth(k).locator("button").click()
        return head.nth(k).get_attribute("aria-sort")

    assert sort(7) == "descending"
    assert column(page, 1)[0] == "5"
    assert sort(2) == "descending"
    assert head.nth(7).get_attribute("aria-sort") == "none"
    assert column(page, 1)[-1] == "14", "what is not known comes last"
    order = column(page, 1)
    page.wait_for_timeout(2500)
    assert column(page, 1) == order, "no row moves by itself"
    assert sort(2) == "ascending"
    assert column(page, 1)[-1] == "14"
    assert sort(0) == "ascending"
    assert [text.split()[0] for text in column(page, 1)] == [str(n) for n in range(1, 17)]
    assert faults(page) == []
    page.reload()
    expect(page.locator("#table")).to_be_visible()
    page.locator("#table a").nth(11).click()
    expect(page.locator("#battery-12")).to_be_in_viewport()
    expect(page.locator("#table")).to_be_hidden()
    page.locator("[data-form=table]").click()
    page.locator("#table a").nth(11).click()
    expect(page.locator("#battery-12")).to_be_in_viewport()


def test_a_battery_is_named_on_its_card(visit, rig):
    page = visit(rig)
    log_in(page)
    card = page.locator("#battery-3")
    key = page.get_by_role("button", name="Name of battery 3")
    key.click()
    text = page.locator("#rename-text")
    expect(text).to_have_value("Stage <left>")
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#rename")).to_be_hidden()
    key.click()
    text.fill("Scène & son, très grande salle")
    assert len(text.input_value()) <= 24
    text.fill("Scène & son")
    page.keyboard.press("Enter")
    expect(card.locator("[data-f=label]")).to_have_text("Scène & son")
    assert rig.ask("GET", "/api/state")[2]["batteries"][2]["label"] == "Scène & son"
    key.click()
    text.fill("")
    page.locator("#rename .primary").click()
    expect(card.locator("[data-f=label]")).to_have_text("")


def test_the_login_can_be_cancelled(visit, rig):
    page = visit(rig)
    page.locator("#account").click()
    page.locator("#gate").get_by_role("button", name="Cancel").click()
    expect(page.locator("#gate")).to_be_hidden()


def test_a_visit_leaves_nothing_to_the_next(browser, rig):
    context = opened(browser, "en-GB", None)
    page = context.new_page()
    page.goto(rig.url)
    log_in(page)
    page.evaluate("localStorage.setItem('language', 'fr')")
    assert context.cookies() != []
    forget(context, rig.url)
    assert len(context.pages) == 1 and context.cookies() == []
    page = context.new_page()
    page.goto(rig.url)
    expect(page.locator("#account")).to_have_text("Log in")
    assert page.evaluate("localStorage.getItem('language')") is None
    context.close()


def test_how_old_the_data_are_and_what_to_try(visit, rig):
    page = visit(rig)
    rig.tell("freeze")
    age = page.locator("#stale-age")
    expect(age).to_have_text(re.compile(r"^Nothing for [4-9] s\. .*Wi-Fi.*power"), timeout=8000)
    assert page.locator("#stale p").first.get_attribute("role") == "alert"
    assert age.get_attribute("role") is None, "the seconds are not read out"
    expect(age).to_have_text(re.compile(r"for 1\d s"), timeout=12000)


@pytest.mark.parametrize("language", ["en", "fr", "de-DE"])
def test_the_language_is_that_of_the_browser_at_first(visit, rig, language):
    page = visit(rig, language=language)
    state = page.locator("#battery-1 [data-f=state]")
    words = {"en": ["on", "en service"], "fr": ["en service", "on"], "de-DE": ["on", "en service"]}
    first, other = words[language]
    expect(state).to_have_text(first)
    page.locator("#language").click()
    expect(state).to_have_text(other)
    page.reload()
    expect(state).to_have_text(other)


def test_a_change_that_takes_long_says_so_and_ends(visit, rig):
    page = visit(rig)
    log_in(page)
    held = []
    page.route("**/api/batteries/2/auto", lambda route: held.append(route))
    page.clock.install()
    with page.expect_request("**/api/batteries/2/auto"):
        page.locator("#battery-2 [data-action=auto]").click()
    page.clock.run_for(1000)
    expect(page.locator("#toast")).to_have_text("Sending…")
    held[0].continue_()
    expect(page.locator("#toast")).to_be_empty()


def test_every_request_has_a_time_out(visit, rig):
    page = visit(rig, wait=False)
    page.add_init_script(
        "window.endless = [];"
        "const own = fetch;"
        "window.fetch = (path, options = {}) => {"
        "  if (!options.signal) endless.push(path);"
        "  return own(path, options);"
        "};"
    )
    page.reload()
    log_in(page)
    for view in VIEWS:
        page.evaluate(f"location.hash = '#{view}'")
        page.wait_for_timeout(700)
    page.evaluate("location.hash = '#logs'")
    page.locator("#log-list button").first.click()
    page.evaluate("location.hash = '#rig'")
    page.locator("#battery-2 [data-action=auto]").click()
    page.wait_for_timeout(700)
    assert page.evaluate("endless") == []


@pytest.mark.parametrize(
    ("view", "path", "told"),
    [
        ("events", "**/api/events*", "Events"),
        ("logs", "**/api/logs", "Logs"),
        ("system", "**/api/system", "System"),
        ("charts", "**/api/settings", "Charts"),
        ("settings", "**/api/settings", "Settings"),
        ("settings", "**/settings.js", "Settings"),
        ("charts", "**/charts.js", "Charts"),
        ("charts", "**/api/history*", "Charts"),
    ],
)
def test_a_part_that_is_missing_says_so(visit, rig, view, path, told):
    page = visit(rig)
    page.route(path, lambda route: route.fulfill(status=503, json={"error": {"code": "busy"}}))
    page.evaluate(f"location.hash = '#{view}'")
    page.reload()
    sentence = f"Not loaded: {told}. The rig does not answer, or is busy."
    expect(page.locator("#lost-text")).to_have_text(sentence)
    page.evaluate("location.hash = '#rig'")
    expect(page.locator("#lost")).to_be_hidden()
    page.evaluate(f"location.hash = '#{view}'")
    expect(page.locator("#lost")).to_be_visible()
    expect(page.locator("#lost-text")).to_have_text(sentence)
    page.unroute(path)
    page.locator("#again").click()
    expect(page.locator("#lost")).to_be_hidden()


def test_no_key_of_the_charts_is_seen_before_it_works(visit, rig):
    page = visit(rig)
    held = []
    page.route("**/charts.js", lambda route: held.append(route))
    with page.expect_request("**/charts.js"):
        page.locator("#tabs [href='#charts']").click()
    night = page.locator("[data-span=night]")
    page.wait_for_timeout(300)
    assert not night.is_visible()
    held[0].continue_()
    night.click()
    expect(night).to_have_attribute("aria-pressed", "true")


def test_a_page_without_its_words_says_so(visit, rig):
    page = visit(rig)
    path = "**/messages.json*"
    page.route(path, lambda route: route.fulfill(status=503, json={"error": {"code": "busy"}}))
    page.reload()
    expect(page.locator("#lost-text")).to_contain_text("Not loaded: Rig.")
    expect(page.locator("#lost-text")).to_be_visible()
    page.unroute(path)
    expect(page.locator("#lost")).to_be_hidden()
    expect(page.locator("#battery-1 [data-f=state]")).to_have_text("on")
    assert page.evaluate(SHIFTS) < 0.01


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize(("viewport", "language"), [(PHONE, "fr"), (DESKTOP, "en")])
def test_nothing_jumps_while_it_loads(visit, rig, view, viewport, language):
    rig.tell("charge 63 4 1830 11400 10500 12600 - - 7")
    page = visit(rig, viewport, language=language, view=view, wait=view == "rig")
    expect(page.locator(f"#view-{view}")).to_be_visible()
    page.wait_for_timeout(2000)
    assert page.evaluate(SHIFTS) < 0.1
    if view == "rig":
        rig.tell("freeze")
        expect(page.locator("#stale")).to_be_visible(timeout=6000)
        assert page.evaluate(SHIFTS) < 0.1


def test_nothing_jumps_while_the_set_up_loads(visit, rig):
    page = visit(rig, language="fr")
    page.goto(f"{rig.url}/setup")
    expect(page.locator("#password-hint")).to_be_visible()
    expect(page.locator("#password-hint")).to_have_text(re.compile("."))
    assert page.evaluate(SHIFTS) < 0.1


@SIZES
def test_other_screens(visit, stage, viewport, scheme, language):
    page = visit(stage, viewport, scheme, language=language)
    name = f"{language}-{scheme}-{viewport['width']}"
    PICTURES.mkdir(parents=True, exist_ok=True)
    for view in VIEWS:
        page.evaluate(f"location.hash = '#{view}'")
        expect(page.locator(f"#view-{view}")).to_be_visible()
        page.wait_for_timeout(400)
        page.screenshot(path=PICTURES / f"{view}-{name}.png")
        assert page.evaluate("document.documentElement.scrollWidth") == viewport["width"], view
        assert page.evaluate(SMALL) == [], view
    page.evaluate("location.hash = '#rig'")
    page.locator("[data-form=table]").click()
    page.locator("#forms").scroll_into_view_if_needed()
    page.screenshot(path=PICTURES / f"table-{name}.png")
    assert page.evaluate("document.documentElement.scrollWidth") == viewport["width"]
    assert page.evaluate(SMALL) == []
    assert faults(page) == []


def test_charts_are_taller_where_there_is_room(visit, stage):
    heights = []
    for viewport in (TURNED, PHONE, TABLET):
        page = visit(stage, viewport, view="charts", wait=False)
        box = page.locator("#chart-voltage canvas").bounding_box()
        heights.append(box["height"])
    assert heights == sorted(heights) and heights[0] >= 200 and heights[-1] > 390


def test_the_page_on_a_home_screen(visit, rig):
    page = visit(rig)
    place = page.locator("link[rel=manifest]").get_attribute("href")
    status, headers, manifest = rig.ask("GET", place)
    assert status == 200 and manifest["name"] == "Parallelator" and manifest["start_url"] == "/"
    for icon in manifest["icons"]:
        status, headers, content = rig.ask("GET", icon["src"])
        assert (status, headers["Content-Type"]) == (200, icon["type"])
        assert content.startswith(b"<svg ")
        page.goto(rig.url + icon["src"])
        assert page.locator("svg path").count() == 1


@pytest.fixture(scope="module")
def local_time():
    """The page's module about local time, as a script that makes it the global `night`."""
    entry = f"export * from '{UI}/night.js'; export {{ app }} from '{UI}/lib.js';"
    options = ("--bundle", "--format=iife", "--global-name=night")
    return subprocess.check_output([ESBUILD, *options], input=entry, text=True)


ZONES = {
    "Europe/Paris": "CET-1CEST,M3.5.0,M10.5.0/3",
    "America/St_Johns": "NST3:30NDT,M3.2.0,M11.1.0",
    "Australia/Lord_Howe": "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0",
    "Asia/Kolkata": "IST-5:30",
    "America/Nuuk": "<-02>2<-01>,M3.5.0/-1,M10.5.0/0",
}


@pytest.mark.parametrize("name", ZONES)
def test_local_time_as_the_tz_database_has_it(browser, local_time, name):
    page = browser.new_page()
    page.evaluate(local_time + "; window.night = night")
    page.evaluate(f"night.app.settings = {{ 'time.zone': {json.dumps(ZONES[name])} }}")
    times = range(1767225600, 1767225600 + 2 * 366 * 86400, 7 * 1800)  # two years from 2026 on
    told = page.evaluate("(times) => times.map(night.offset)", list(times))
    zone = zoneinfo.ZoneInfo(name)
    expected = [
        datetime.datetime.fromtimestamp(time, zone).utcoffset().total_seconds() for time in times
    ]
    assert told == expected
    page.close()
