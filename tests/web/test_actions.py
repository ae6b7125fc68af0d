# SPDX-License-Identifier: GPL-3.0-only
"""What can be done in the views of the page, over the firmware on a simulated rig."""

import datetime
import re

from playwright.sync_api import expect

from conftest import DESKTOP, PHONE, PICTURES
from rigs import ROOT, simulated
from views import VIEWS, faults, log_in, open_view


def test_a_hot_battery_and_its_hours(visit, stage):
    page = visit(stage)
    expect(page.locator("#battery-3 .hot")).to_have_text("75 °C")
    expect(page.locator("#battery-1 .hot")).to_have_text("")
    expect(page.locator("#battery-1 [data-f=count]")).to_contain_text("on for 0.0 h")
    expect(page.locator("#notices")).to_contain_text("Battery 3: its switch is getting hot.")
    expect(page.locator("#trouble-count")).to_have_text(re.compile("[2-4]"))


def test_charts_show_what_is_asked_for(visit, stage):
    page = visit(stage, DESKTOP)
    open_view(page, "charts")
    chips = page.locator("#chips button:visible")
    expect(page.locator("#chart-time")).to_have_text("Now")
    expect(chips.nth(0)).to_contain_text("60.")
    first = chips.nth(1)
    expect(first).to_have_attribute("aria-pressed", "true")
    others = page.locator("#chips [aria-pressed=true]:visible")
    first.click()
    expect(others).to_have_count(1)
    expect(first).to_have_attribute("aria-pressed", "true")
    chips.nth(2).click()
    expect(others).to_have_count(2)
    chips.nth(2).click()
    first.click()
    expect(others).to_have_count(chips.count())
    before = chips.nth(0).text_content()
    page.wait_for_timeout(2500)
    assert page.locator("#chart-time").text_content() == "Now"

    page.get_by_role("button", name="1 min").click()
    expect(page.get_by_role("button", name="1 min")).to_have_attribute("aria-pressed", "true")
    box = page.locator("#chart-voltage canvas").bounding_box()
    page.mouse.move(box["x"] + box["width"] - 60, box["y"] + 50)
    expect(page.locator("#chart-time")).to_have_text(re.compile(r"^At \d\d:\d\d:\d\d$"))
    assert chips.nth(0).text_content() != "" and before
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 10, box["y"] + 50, steps=5)
    page.mouse.up()
    live = page.get_by_role("button", name="Live")
    expect(live).to_have_attribute("aria-pressed", "false")
    live.click()
    expect(live).to_have_attribute("aria-pressed", "true")

    slider = page.locator("#chart-at")
    slider.focus()
    page.mouse.move(5, 5)
    for _ in range(10):
        page.keyboard.press("ArrowLeft")
    expect(page.locator("#chart-time")).to_have_text(re.compile("^At "))


def test_charts_grow_without_asking_again(visit, stage):
    page = visit(stage)
    expect(page.locator("#battery-1 .spark path")).to_have_attribute("d", re.compile("Z$"))
    asked = []
    page.on("request", lambda request: asked.append(request.url[len(stage.url) :]))
    open_view(page, "charts")
    page.wait_for_timeout(6500)
    assert asked.count("/charts.js") == 1
    assert [path for path in asked if "/api/history" in path] == [], asked


def test_the_charge_has_a_chart_where_a_capacity_is_set(visit, rig):
    to_evening = (20 - datetime.datetime.now(datetime.UTC).hour + 12) % 24 - 12
    page = visit(rig, zone=f"Etc/GMT{-to_evening:+d}")
    open_view(page, "charts")
    expect(page.locator("#chart-voltage canvas")).to_be_visible()
    expect(page.locator("#soc")).to_be_hidden()
    rig.tell("charge 60 5 3000 - - - - - -")
    open_view(page, "rig")
    page.wait_for_timeout(1500)
    open_view(page, "charts")
    page.get_by_role("button", name="24 h", exact=True).click()
    expect(page.locator("#chart-soc canvas")).to_be_visible()
    expect(page.locator("#chips button").nth(0)).to_contain_text("60\u00a0%")
    for n, pct in ((12, 62), (7, 60)):
        expect(page.locator("#chips button").nth(n)).to_contain_text(
            f"{pct}\u00a0%", timeout=20000
        )
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    page.screenshot(path=PICTURES / "charts-charge-360.png", full_page=True)
    page.locator("[data-span=night]").click()
    with page.expect_download() as loading:
        page.locator("#night-load").click()
    head, *rows = loading.value.path().read_text().splitlines()
    assert head.startswith("time,output_mv,output_ma,output_pct,1_mv,1_ma,1_pct,2_mv")
    newest = rows[-1].split(",")
    assert [newest[3], newest[36 + 3]] == ["60", "62"]
    assert faults(page) == []


def test_an_event_that_repeats_is_one_line(visit, rig):
    page = visit(rig)
    page.get_by_role("link", name="Events").click()
    lines = page.locator("#event-list li", has_text="wrong password")
    for times in ("", " (2 times)", " (3 times)"):
        assert rig.ask("POST", "/api/login", {"password": "wrong"})[0] == 401
        expect(lines).to_have_count(1)
        expect(lines).to_contain_text("log in with a wrong password" + times)
    page.locator("#language").click()
    expect(page.locator("#event-list")).to_contain_text("un mauvais mot de passe (3 fois)")


def test_events_are_filtered(visit, stage):
    page = visit(stage)
    open_view(page, "events")
    session = stage.login()
    assert stage.ask("POST", "/api/batteries/5/off", **session)[0] == 202
    page.locator("#event-kind").select_option("hand")
    items = page.locator("#event-list li")
    expect(items.first).to_contain_text("Battery 5: set to off by hand")
    page.locator("#event-battery").select_option("5")
    expect(items.first).to_contain_text("Battery 5: set to off by hand")
    page.locator("#language").click()
    expect(items.first).to_contain_text("Batterie 5 : arrêt à la main")
    page.locator("#event-battery").select_option("2")
    expect(page.locator("#no-events")).to_be_visible()
    expect(items).to_have_count(0)


def test_the_clock_comes_from_the_browser(visit, stage):
    page = visit(stage)
    log_in(page)
    open_view(page, "system")
    page.locator("#set-clock").click()
    expect(page.locator("#toast")).to_have_text("Clock set.")
    told = datetime.datetime.fromisoformat(stage.ask("GET", "/api/state")[2]["time"])
    away = datetime.datetime.now(datetime.UTC) - told
    assert abs(away.total_seconds()) < 60
    expect(page.locator("#report div").first).to_contain_text(str(told.year))


def test_the_controller_is_told_with_what_follows_from_it(visit, stage):
    system = stage.ask("GET", "/api/system")[2]
    told = system["controller"]
    assert told["mhz"] == 240 and told["i2c_driver"] in ("legacy", "i2c_master")
    assert told["text"].startswith("With PSRAM" if told["psram"] else "Without PSRAM")
    line = next(line for line in (stage.folder / "log").read_text().splitlines() if "MHz" in line)
    assert line.startswith(f"Parallelator {system['version']} on {system['machine']}, 240 MHz")
    assert line.endswith(f"I2C driver {told['i2c_driver']}. {told['text']}")
    page = visit(stage)
    open_view(page, "system")
    report = page.locator("#report")
    for said in (f"{system['machine']}, 240 MHz", told["text"], "driver " + told["i2c_driver"]):
        expect(report).to_contain_text(said)
    page.locator("#language").click()
    follows = "Avec la PSRAM" if told["psram"] else "Sans PSRAM"
    expect(report).to_contain_text(follows)


def test_switching_a_real_rig(visit, stage):
    page = visit(stage)
    log_in(page)
    card = page.locator("#battery-6")
    card.locator("[data-action=off]").click()
    with page.expect_response("**/api/batteries/6/off") as asked:
        page.locator("#ask-yes").click()
    assert asked.value.json() == {"n": 6, "wish": "off"}
    expect(card).to_have_class("off")
    expect(card.locator("[data-f=current]")).to_have_text("0.0 A")
    card.locator("[data-action=auto]").click()
    expect(card).to_have_class("on")


def test_a_silent_board_of_a_real_rig(visit):
    # Nothing is carried: that its batteries are gone shows in no current of the others.
    steps = [{"at": 12, "do": "board_unplug", "board": 1}]
    with simulated(batteries=8, steps=steps, speed=2) as rig:
        page = visit(rig, DESKTOP)
        log_in(page)
        key = page.get_by_role("button", name="Board 2 is disconnected")
        key.click()
        page.locator("#ask-yes").click()
        expect(page.locator("#battery-5")).to_have_class("absent")
        expect(key).to_be_hidden()
        expect(page.locator("#battery-1")).to_have_class("on")
        open_view(page, "events")
        expect(page.locator("#event-list")).to_contain_text("Board 2: disconnected, somebody says")


def test_the_page_of_a_rig_fits_70_kilobytes(visit, stage):
    page = visit(stage)
    sizes = []
    page.on(
        "response",
        lambda answer: sizes.append(int(answer.headers.get("content-length", 0))),
    )
    for view in VIEWS:
        open_view(page, view)
    page.reload()
    expect(page.locator("#name")).not_to_have_text("Parallelator")
    files = (ROOT / "build/page").iterdir()
    built = sum(path.stat().st_size for path in files if path.name != "openapi.json.gz")
    assert built <= 70 * 1024


def test_a_trip_and_a_restart_on_the_page(visit):
    scenario = {
        "batteries": 8,
        "load": [[0, 0], [8, 20]],
        "steps": [
            {"at": 14, "do": "inject_current", "n": 6, "ma": 25000},
            {"at": 14.3, "do": "inject_current", "n": 6, "ma": 0},
            {"at": 20, "do": "controller_reset"},
        ],
    }
    with simulated(**scenario) as rig:
        page = visit(rig)
        expect(page.locator("#battery-6")).to_have_class("tripped trouble")
        rig.until(lambda state: state["boot"] == 2)
        expect(page.locator("#about")).to_contain_text("boot 2")
        expect(page.locator("#stale")).to_be_hidden()
        rig.until(lambda state: state["bus"]["connected"] >= 7)
        expect(page.locator("#connected")).to_have_text(re.compile("^[78]/8"))

        log_in(page)
        open_view(page, "system")
        page.locator("#restart").click()
        expect(page.locator("#ask")).to_be_visible()
        page.screenshot(path=PICTURES / "restart-360.png")
        page.locator("#ask-yes").click()
        expect(page.locator("#toast")).to_have_text("The controller restarts.")
        rig.until(lambda state: state["boot"] == 3)
        expect(page.locator("#about")).to_contain_text("boot 3")
