# SPDX-License-Identifier: GPL-3.0-only
"""What the page tells of the past: the charts of an hour and a day, and the records of trips."""

import os
import re
import subprocess
import time

import pytest
from playwright.sync_api import expect

from conftest import DESKTOP, LOOKS, PICTURES
from rigs import MICROPYTHON, ROOT, simulated
from views import SMALL, faults, open_view

TRIPS = {
    "load": [[0, 40]],
    "steps": [
        {"at": 10, "do": "inject_current", "n": 5, "ma": 22000},
        {"at": 10.6, "do": "inject_current", "n": 5, "ma": 0},
        {"at": 12, "do": "sensor_nack", "n": 14},
    ],
}


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    """A rig that knows the time, with a day on its card and two trips on record."""
    image = tmp_path_factory.mktemp("night") / "card.img"
    modules = ":".join(str(ROOT / name) for name in ("lib", "tools"))
    subprocess.run(
        [MICROPYTHON, ROOT / "tests/web/night.py", image, str(int(time.time()))],
        env=os.environ | {"MICROPYPATH": modules + ":.frozen"},
        check=True,
    )
    with simulated(sd=image, **TRIPS) as rig:
        answer = rig.ask("POST", "/api/time", {"unix_s": int(time.time())}, **rig.login())
        assert answer[0] == 200, answer
        rig.until(lambda state: len(trips(rig)) == 2, 60)
        rig.until(lambda state: points(rig, 86400) > 65)
        yield rig


def trips(rig):
    return rig.ask("GET", "/api/blackbox")[2]["records"]


def points(rig, span_s):
    series = rig.ask("GET", f"/api/history?n=1&span={span_s}")[2]["series"][0]
    return sum(value is not None for value in series["voltage_mv"])


def visited(visit, night, viewport, scheme, language):
    PICTURES.mkdir(parents=True, exist_ok=True)
    page = visit(night, viewport, scheme, language=language)
    return page, f"{language}-{scheme}-{viewport['width']}.png"


def check(page, viewport):
    assert page.evaluate("document.documentElement.scrollWidth") == viewport["width"]
    assert page.evaluate(SMALL) == []
    assert faults(page) == []


@LOOKS
def test_an_hour_and_a_day(visit, night, viewport, scheme, language):
    page, name = visited(visit, night, viewport, scheme, language)
    open_view(page, "charts")
    slider = page.locator("#chart-at")
    reach = "document.getElementById('chart-at').max - document.getElementById('chart-at').min"
    with page.expect_response("**/api/history?span=3600"):
        for label, span_s in (("24 h", 86400), ("1 h", 3600)):
            key = page.get_by_role("button", name=label, exact=True)
            key.focus()
            page.keyboard.press("Enter")
            expect(key).to_have_attribute("aria-pressed", "true")
            assert abs(page.evaluate(reach) - span_s) <= 2
    page.wait_for_timeout(300)
    page.screenshot(path=PICTURES / f"charts-3600-{name}")
    page.get_by_role("button", name="24 h", exact=True).click()
    page.wait_for_timeout(300)
    page.screenshot(path=PICTURES / f"charts-86400-{name}")
    check(page, viewport)
    # Six hours ago the output carried 30 A at about 26 V, as the card says.
    newest = float(slider.get_attribute("max"))
    slider.focus()
    slider.fill(str(round(newest - 6 * 3600)))
    decimal = "," if language == "fr" else r"\."
    output = page.locator("#chips button").first
    expect(output).to_contain_text(re.compile(rf"26{decimal}\d\d V 30{decimal}0 A"))
    page.keyboard.press("ArrowRight")
    expect(page.locator("#chart-time")).to_have_text(re.compile(r"\d\d:\d\d:\d\d$"))


@LOOKS
def test_a_trip_on_record(visit, night, viewport, scheme, language):
    page, name = visited(visit, night, viewport, scheme, language)
    asked = []
    page.on("request", lambda request: asked.append(request.url[len(night.url) :]))
    open_view(page, "events")
    assert "/charts.js" not in asked and "/api/blackbox" not in asked, asked
    page.locator("#records summary").focus()
    page.keyboard.press("Enter")
    keys = page.locator("#record-list button")
    expect(keys).to_have_count(2)
    words = {
        "en": ["Battery 14: sensor does not answer", "Battery 5: far too much current, 2"],
        "fr": ["Batterie 14\u00a0: le capteur ne répond pas", "courant beaucoup trop fort, 2"],
    }[language]
    for key, text in zip(keys.all(), words, strict=True):
        expect(key).to_contain_text(text)
    keys.last.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#record-current canvas")).to_be_visible()
    expect(page.locator("#record-title")).to_be_focused()
    expect(keys.last).to_have_attribute("aria-pressed", "true")
    assert asked.count("/charts.js") == 1
    values = page.locator("#record-values")
    page.locator("#record-at").fill("-2")
    decimal = "," if language == "fr" else "."
    expect(page.locator("#record-time")).to_have_text(f"-2{decimal}00 s")
    point = rf"\{decimal}"
    expect(values).to_contain_text(re.compile(rf" 5 \d\d{point}\d\d V [23]{point}\d A\s.* 40"))
    page.locator("#record-at").fill("3")
    expect(values).to_contain_text(re.compile(rf" 5 \d\d{point}\d\d V 0{point}0 A\s.* 40"))
    page.locator("#record").scroll_into_view_if_needed()
    page.screenshot(path=PICTURES / f"trip-{name}")
    check(page, viewport)
    page.locator("#language").click()
    expect(page.locator("#language")).to_have_text({"en": "English", "fr": "Français"}[language])
    expect(keys.first).to_contain_text("14")
    keys.first.click()
    expect(page.locator("#record-title")).to_contain_text("14")


def test_a_voltage_beyond_the_record_is_told_as_such(visit, night):
    def lift(route):
        answer = route.fetch()
        record = answer.json()
        for row in record["samples"]:
            row[2] = 65535 if row[0] > 0 and row[1] else row[2]
        route.fulfill(response=answer, json=record)

    page = visit(night, DESKTOP, "light")
    page.route("**/api/blackbox/*", lift)
    open_view(page, "events")
    page.locator("#records summary").click()
    page.locator("#record-list button").last.click()
    values = page.locator("#record-values")
    page.locator("#record-at").fill("-2")
    expect(values).to_contain_text(re.compile(r" 5 \d\d\.\d\d V"))
    page.locator("#record-at").fill("3")
    expect(values).to_contain_text(re.compile(r" 5 ≥ 65\.5\d V"))


def test_a_record_over_http(night):
    newest, oldest = trips(night)
    assert (oldest["n"], oldest["reason"], oldest["id"]) == (5, "overcurrent", "1-1")
    assert (newest["n"], newest["reason"], newest["id"]) == (14, "sensor_lost", "1-2")
    assert oldest["time"].startswith("20")
    record = night.ask("GET", "/api/blackbox/1-1")[2]
    assert {key: record[key] for key in oldest} == oldest
    rows = record["samples"]
    assert {row[1] for row in rows} == {0, 5}
    # It had run for ten seconds, some of which were before the group started.
    assert -10000 <= rows[0][0] < -8000 and 4000 < rows[-1][0] <= 5000
    peak = max((row for row in rows if row[1] == 5), key=lambda row: row[3])
    assert -200 < peak[0] <= 100 and 20000 < peak[3] < 25500
    late = [row for row in rows if row[1] == 5 and row[0] > 1000]
    # Each scan noted the battery and the output; how often it scans, test_blackbox asks in
    # virtual time.
    scans = sum(1 for row in rows if row[1] == 0 and row[0] > 1000)
    assert abs(len(late) - scans) <= 1 and all(abs(row[3]) < 50 for row in late)
    for id in ("1-3", "2-1", "1-0", "0-1", "x", "1-", "-1", "1-1-1", "9" * 20 + "-1"):
        status, _, answer = night.ask("GET", f"/api/blackbox/{id}")
        assert (status, answer["error"]["code"]) == (404, "record"), id
