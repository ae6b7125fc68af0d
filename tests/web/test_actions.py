# SPDX-License-Identifier: GPL-3.0-only
"""What can be done in the views of the page, over the firmware on a simulated rig."""

import datetime
import json
import re

from playwright.sync_api import expect

from conftest import DESKTOP, PICTURES
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
    expect(items.first).to_contain_text("Batterie 5 : mise sur arrêt à la main")
    page.locator("#event-battery").select_option("2")
    expect(page.locator("#no-events")).to_be_visible()
    expect(items).to_have_count(0)


def test_settings_are_saved_and_faults_stand_beside_their_field(visit, stage):
    page = visit(stage)
    log_in(page)
    open_view(page, "settings")
    page.locator("#set-name").fill("Main stage")
    page.locator("#group-limits summary").click()
    trips = page.locator("[id='set-limits.max_trips']")
    expect(page.locator("[id='set-limits.max_trips-hint']")).to_have_text(
        "1 to 1000 · after a restart"
    )
    trips.fill("2000")
    page.locator("#save").click()
    expect(page.locator("[id='set-limits.max_trips-error']")).to_have_text(
        "a whole number, 1 to 1000"
    )
    expect(trips).to_have_attribute("aria-invalid", "true")
    expect(trips).to_be_focused()
    assert stage.ask("GET", "/api/settings")[2]["values"]["name"] == "Grande scène"
    page.screenshot(path=PICTURES / "settings-fault-360.png")

    trips.fill("7")
    page.locator("#save").click()
    expect(page.locator("#toast")).to_have_text("Saved.")
    expect(page.locator("#name")).to_have_text("Main stage")
    expect(page.locator("#pending-text")).to_have_text(
        "Saved, and in force after a restart: Trips until locked."
    )
    page.screenshot(path=PICTURES / "settings-saved-360.png")
    kept = json.loads((stage.folder / "flash/config.json").read_text())
    assert (kept["name"], kept["limits"]["max_trips"]) == ("Main stage", 7)
    open_view(page, "events")
    expect(page.locator("#event-list")).to_contain_text("Settings saved: 2")
    assert faults(page) == []


def test_every_setting_has_a_name_in_both_languages(visit, stage):
    page = visit(stage)
    open_view(page, "settings")
    keys = {row["key"] for row in stage.ask("GET", "/api/settings/schema")[2]}
    assert len(keys) > 60
    for save in ("Enregistrer", "Save"):
        named = page.evaluate(
            "[...document.querySelectorAll('.field')].map("
            "e => [e.querySelector('[id]').id.slice(4), e.querySelector('label').textContent])"
        )
        assert {key for key, _ in named} == keys
        assert [pair for pair in named if "." in pair[1] or "undefined" in pair[1]] == []
        assert [key for key, name in named if key == name] == []
        page.locator("#language").click()
        expect(page.locator("#save")).to_have_text(save)


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
    built = sum(path.stat().st_size for path in (ROOT / "build/page").iterdir())
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
