# SPDX-License-Identifier: GPL-3.0-only
"""What the page tells of the past: the charts of an hour and a day, and the records of trips."""

import datetime
import os
import re
import subprocess
import time
import zoneinfo

import pytest
from playwright.sync_api import expect

from conftest import DESKTOP, LOOKS, PICTURES
from rigs import MICROPYTHON, ROOT, simulated
from views import SMALL, faults, open_view

TRIPS = {
    "settings": {"time": {"zone": "CET-1CEST,M3.5.0,M10.5.0/3"}},
    "load": [[0, 40]],
    "steps": [
        {"at": 10, "do": "inject_current", "n": 5, "ma": 22000},
        {"at": 10.6, "do": "inject_current", "n": 5, "ma": 0},
        {"at": 12, "do": "sensor_nack", "n": 14},
    ],
}


PARIS = zoneinfo.ZoneInfo("Europe/Paris")
ELSEWHERE = "Asia/Tokyo"
"""The zone of a browser that is not that of the rig."""
DRAWN = """(() => {
  const { prototype } = CanvasRenderingContext2D;
  const also = (name, note) => {
    const own = prototype[name];
    prototype[name] = function (...values) {
      note(this.canvas, this, values);
      return own.apply(this, values);
    };
  };
  also("scale", (canvas) => Object.assign(canvas, { texts: [], lines: [] }));
  also("fillText", (canvas, pen, [text, x, y]) => canvas.texts.push([text, x, y]));
  also("stroke", (canvas, pen) => canvas.lines.push([pen.lineWidth, pen.getLineDash().join()]));
})()"""
"""Notes what is written and drawn on each canvas."""
LEFT = 54
"""Where the axis of y is, in px."""


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
    expect(output).to_contain_text(re.compile(rf"26{decimal}\d\d V 30{decimal}[01] A"))
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


class Drawn:
    """The charts of a page as they are drawn."""

    def __init__(self, page):
        self._page = page
        page.add_init_script(DRAWN)
        page.reload()
        open_view(page, "charts")

    def canvas(self, name, what):
        return self._page.evaluate(f"document.querySelector('#chart-{name} canvas').{what}")

    def scale(self, name):
        """The texts at the axis of y, as numbers, from below."""
        texts = [text for text, x, y in self.canvas(name, "texts") if x < LEFT]
        return sorted(float(text.replace(",", "")) for text in texts)

    def hours(self, name):
        """The texts below the axis of x."""
        return [text for text, x, y in self.canvas(name, "texts") if ":" in text]

    def ends(self, name):
        """Of each line that has a name: the name, and how far down it stands."""
        width = self.canvas(name, "clientWidth")
        return {text: y for text, x, y in self.canvas(name, "texts") if x > width - 24}

    def dashes(self, name):
        return [dash for width, dash in self.canvas(name, "lines") if width == 1.5]


def test_lines_are_told_apart_without_colour(visit, night):
    drawn = Drawn(visit(night))
    for name in ("voltage", "current"):
        ends = drawn.ends(name)
        assert len(ends) == 16
        heights = sorted(ends.values())
        assert min(b - a for a, b in zip(heights, heights[1:], strict=False)) >= 11
        batteries = [dash for dash in drawn.dashes(name) if dash != "10,3"]
        assert len(set(batteries[:4])) == 4, batteries


@pytest.mark.parametrize("language", ["en", "fr"])
def test_no_axis_says_a_thing_twice(visit, night, language):
    page = visit(night, language=language)
    drawn = Drawn(page)
    for span in ("60", "600", "3600", "86400", "night"):
        page.locator(f"[data-span='{span}']").click()
        for mode in ("values", "deviation", "limits"):
            page.locator(f"[data-mode={mode}]").click()
            page.wait_for_timeout(200)
            for name in ("voltage", "current"):
                texts = [text for text, x, y in drawn.canvas(name, "texts") if x < LEFT]
                assert len(set(texts)) == len(texts) >= 3, (span, mode, name, texts)
                hours = drawn.hours(name)
                assert len(set(hours)) == len(hours) >= 2, (span, mode, name, hours)


def test_how_far_each_battery_is_from_the_mean(visit, night):
    page = visit(night)
    drawn = Drawn(page)
    page.locator("[data-mode=deviation]").click()
    expect(page.locator("#voltage-title")).to_contain_text("distance from the mean")
    scale = drawn.scale("voltage")
    assert 0 in scale and all(value == round(value) for value in scale), scale
    told = page.locator("#chips button").nth(1)
    expect(told).to_contain_text(re.compile(r"[-+]\d+ mV"))
    away = []
    for battery in night.ask("GET", "/api/state")[2]["batteries"]:
        if battery["voltage_mv"]:
            away.append(battery["voltage_mv"])
    expected = away[0] - sum(away) / len(away)
    value = int(re.search(r"([-+]\d+) mV", told.text_content())[1])
    assert abs(value - expected) < 15, (value, expected)


def test_the_limits_are_drawn(visit, night):
    page = visit(night)
    drawn = Drawn(page)
    page.locator("[data-mode=limits]").click()
    expect(page.locator("[data-mode=limits]")).to_have_attribute("aria-pressed", "true")
    page.wait_for_timeout(300)
    # As the presets: 24 to 30 V, and 10 A in each direction.
    for name, low, high in (("voltage", 24, 30), ("current", -10, 10)):
        marks = [y for text, x, y in drawn.canvas(name, "texts") if text == "limit"]
        assert len(marks) == 2, name
        scale = drawn.scale(name)
        assert scale[0] <= low + 1 and scale[-1] >= high - 1, scale


def test_one_battery_alone_from_its_card(visit, night):
    page = visit(night)
    curve = page.locator("#battery-7 .spark")
    shape = curve.locator("path")
    expect(shape).to_have_attribute("d", re.compile("V.*H61V.*Z$"))
    curve.click()
    expect(page.locator("#chips [aria-pressed=true]:visible")).to_have_count(1)
    expect(page.locator("#chips [aria-pressed=true] b")).to_have_text("7")
    drawn = Drawn(page)
    page.evaluate("location.hash = '#charts-9'")
    expect(page.locator("#chips [aria-pressed=true] b")).to_have_text("9")
    assert list(drawn.ends("voltage")) == ["9"]


def noon_before(unix_s):
    """The noon of Paris before a time."""
    there = datetime.datetime.fromtimestamp(unix_s, PARIS)
    noon = there.replace(hour=12, minute=0, second=0, microsecond=0)
    return noon if noon <= there else noon - datetime.timedelta(days=1)


def test_the_night_is_one_thing_to_look_at_and_to_take_away(visit, night):
    page = visit(night, DESKTOP, zone=ELSEWHERE)
    drawn = Drawn(page)
    page.locator("[data-span=night]").click()
    expect(page.locator("#night-name")).to_be_visible()
    begin = noon_before(time.time() - 6 * 3600)
    end = begin + datetime.timedelta(days=1)
    slider = page.locator("#chart-at")
    expect(slider).to_have_attribute("min", str(int(begin.timestamp())))
    expect(slider).to_have_attribute("max", str(int(end.timestamp())))
    hours = drawn.hours("voltage")
    assert hours[0] == "12:00" and "00:00" in hours, hours
    with page.expect_download() as loading:
        page.locator("#night-load").click()
    assert loading.value.suggested_filename == f"night-{begin:%Y-%m-%d}.csv"
    head, *rows = loading.value.path().read_text().splitlines()
    assert head.startswith("time,output_mv,output_ma,1_mv,1_ma,2_mv")
    assert head.count(",") == 34 and {row.count(",") for row in rows} == {34}
    times = [row.split(",")[0] for row in rows]
    assert times == sorted(times)
    assert datetime.datetime.fromisoformat(times[0]) >= begin


def test_the_nights_on_the_card(visit, night):
    page = visit(night, zone=ELSEWHERE)
    open_view(page, "logs")
    nights = page.locator("#night-choice option").all()
    begins = [int(option.get_attribute("value")) for option in nights]
    newest = noon_before(time.time())
    assert (
        begins
        == [int((newest - k * datetime.timedelta(days=1)).timestamp()) for k in range(len(begins))]
        and 2 <= len(begins) <= 3
    )
    rows, told = [], []
    for log in sorted(log["name"] for log in night.ask("GET", "/api/logs")[2]["logs"]):
        if log[0] == "2":
            head, *lines = night.ask("GET", f"/api/logs/{log}")[2].decode().splitlines()
            rows += lines
    for begin in begins:
        if time.time() - begin < 3600:
            continue  # there is hardly a row yet
        page.locator("#night-choice").select_option(str(begin))
        with page.expect_download() as loading:
            page.locator("#night-fetch").click()
        day = datetime.datetime.fromtimestamp(begin, PARIS)
        assert loading.value.suggested_filename == f"night-{day:%Y-%m-%d}.csv"
        first, *loaded = loading.value.path().read_text().splitlines()
        assert first == head
        span = [day, day + datetime.timedelta(days=1)]
        expected = [
            row for row in rows
            if not row.startswith("#")
            and span[0] <= datetime.datetime.fromisoformat(row.split(",")[0]) < span[1]
        ]  # fmt: skip
        # Each opening of a log is followed by lines that tell whose it is and where.
        told += [row for row in loaded if row.startswith("#")]
        loaded = [row for row in loaded if not row.startswith("#")]
        # What was written since the page had listed the logs is not asked for.
        assert loaded == expected[: len(loaded)]
        assert len(loaded) > len(expected) - 400 and len(loaded) > 60
    assert told and all(row.startswith(("# times are UTC; zone ", "# battery ")) for row in told)
    page.locator("#night-choice").select_option(index=0)
    now = noon_before(time.time() - 6 * 3600).timestamp()
    page.locator("#night-choice").select_option(str(int(now)))
    page.locator("#night-look").click()
    expect(page.locator("[data-span=night]")).to_have_attribute("aria-pressed", "true")
    page.go_back()
    page.locator("#night-choice").select_option(str(begins[-1]))
    expect(page.locator("#night-look")).to_be_disabled()


def test_the_clock_is_that_of_the_rig(visit, night):
    page = visit(night, zone=ELSEWHERE)
    open_view(page, "charts")
    slider = page.locator("#chart-at")
    slider.focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#chart-time")).to_contain_text("At ")
    at = datetime.datetime.fromtimestamp(float(slider.input_value()), PARIS)
    told = re.search(r"(\d\d):(\d\d):(\d\d)", page.locator("#chart-time").text_content())
    seconds = 3600 * int(told[1]) + 60 * int(told[2]) + int(told[3])
    assert abs(seconds - (3600 * at.hour + 60 * at.minute + at.second)) <= 10
