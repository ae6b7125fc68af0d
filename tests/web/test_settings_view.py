# SPDX-License-Identifier: GPL-3.0-only
"""The settings in Chromium: units, profiles, what changes, what waits, copies."""

import json
import re
import time

import pytest
from playwright.sync_api import expect

from conftest import LOOKS, PICTURES
from rigs import PASSWORD, simulated
from test_page import CONTRAST
from views import SMALL, VIEWS, faults, log_in

LFP = {
    "pack.chemistry": "lfp",
    "pack.cells": 8,
    "limits.max_voltage_mv": 29600,
    "limits.charge_floor_mv": 20000,
}
"""What eight LiFePO4 cells change in the defaults, which are those of seven NMC cells."""
CHANGES = {
    "en": ["Cells NMC→LFP ↻", "Cells in series 7→8 ↻"]
    + ["Highest voltage 30 V→29.6 V", "Lowest voltage to charge from 21 V→20 V"],
    "fr": ["Éléments NMC→LFP ↻", "Éléments en série 7→8 ↻"]
    + ["Tension maximale 30 V→29,6 V", "Tension minimale pour charger 21 V→20 V"],
}


class Taps:
    """A page whose presses are counted."""

    def __init__(self, page):
        self._page = page
        self.count = 0

    def on(self, selector, **of):
        self.count += 1
        self._page.locator(selector, **of).click()


def opened(visit, rig, *looks, **look):
    """The page with the settings."""
    page = visit(rig, *looks, wait=False, view="settings", **look)
    expect(page.locator("#set-name")).to_be_visible()
    return page


def changes(page):
    """The lines of the list of changes: the name, the old and the new value."""
    rows = page.locator("#changes tr")
    cells = [row.locator("th, td").all_text_contents() for row in rows.all()]
    return [f"{name} {''.join(change)}".replace("\u00a0", " ") for name, *change in cells]


def values(rig):
    return rig.ask("GET", "/api/settings")[2]["values"]


def unfold(page, *groups):
    for group in groups:
        page.locator(f"#{group} > summary").click()


def test_limits_for_another_kind_of_cell_are_saved_with_twelve_taps_at_most(visit, rig):
    page = visit(rig)
    tap = Taps(page)
    tap.on("#tabs [href='#settings']")
    tap.count += 2  # the choice of a phone opens, and closes
    page.locator("#profile").select_option("lfp8")
    assert changes(page) == CHANGES["en"]
    tap.on("#save")
    page.locator("#password").fill(PASSWORD)
    tap.on("#gate .primary")
    expect(page.locator("#toast")).to_have_text("Saved.")
    tap.on("#pending-restart")
    assert tap.count <= 12, tap.count
    found = values(rig)
    assert {key: found[key] for key in LFP} == LFP
    assert found["limits.min_voltage_mv"] == 24000, "as it was"
    expect(page.locator("#profile")).to_have_value("lfp8")


@LOOKS
def test_a_profile_shows_what_it_changes_and_saves_nothing(visit, rig, viewport, scheme, language):
    page = opened(visit, rig, viewport, scheme, language=language)
    before = values(rig)
    expect(page.locator("#profile")).to_have_value("nmc7")
    page.locator("#profile").select_option("lead12")
    page.locator("#profile").select_option("lfp8")
    assert changes(page) == CHANGES[language], "one profile in the place of the other"
    expect(page.locator("#changes")).to_be_in_viewport(ratio=0.9)
    page.screenshot(path=PICTURES / f"profile-{language}-{scheme}-{viewport['width']}.png")
    assert page.evaluate(CONTRAST)[0][0] >= 4.5
    assert faults(page) == [] and page.evaluate(SMALL) == []
    assert page.evaluate("document.documentElement.scrollWidth") == viewport["width"]
    page.locator("#discard").click()
    expect(page.locator("#changes")).to_be_hidden()
    expect(page.locator("#profile")).to_have_value("nmc7")
    assert values(rig) == before


def test_lead_has_limits_and_no_charge(visit, rig):
    session = rig.login()
    body = {"pack.capacity_mah": 20000, "batteries.3.capacity_mah": 15000}
    assert rig.ask("PATCH", "/api/settings", body, **session)[0] == 200
    page = opened(visit, rig)
    page.locator("#profile").select_option("lead6")
    expect(page.locator("#profile-hint")).to_contain_text("not known of lead")
    lines = changes(page)
    assert "Capacity of each battery 20 Ah→0 Ah ↻" in lines
    assert "Capacity of battery 3 15 Ah→0 Ah ↻" in lines
    assert "Lowest voltage 24 V→11.4 V" in lines
    assert not any(line.startswith("Cells") for line in lines)


@pytest.mark.parametrize(
    ("typed", "mv"), [("23,4", 23400), ("23.4", 23400), (" 23 ", 23000), ("23,456", 23456)]
)
@pytest.mark.parametrize("language", ["en", "fr"])
def test_a_voltage_is_typed_in_volts_with_comma_or_point(visit, rig, language, typed, mv):
    page = opened(visit, rig, language=language)
    log_in_again(page)
    unfold(page, "group-limits")
    low = page.locator("[id='set-limits.min_voltage_mv']")
    expect(low).to_have_value("24")
    low.fill(typed)
    page.locator("#save").click()
    expect(page.locator("#changes")).to_be_hidden()
    shown = str(mv / 1000).removesuffix(".0")
    expect(low).to_have_value(shown.replace(".", "," if language == "fr" else "."))
    assert values(rig)["limits.min_voltage_mv"] == mv


def log_in_again(page):
    """As `views.log_in`, in any language."""
    page.locator("#account").click()
    page.locator("#password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.locator("#gate")).to_be_hidden()
    expect(page.locator("#account")).to_have_text(re.compile("Log out|Déconnexion"))


def test_each_unit_is_one_that_people_use(visit, rig):
    page = opened(visit, rig)
    shown = page.evaluate(
        "[...document.querySelectorAll('.field label')].map(e => e.textContent)"
        ".filter(text => / \\((V|A|s|Ah|mΩ|°C|%|MB)\\)$/.test(text)).length"
    )
    schema = rig.ask("GET", "/api/settings/schema")[2]
    measured = [row for row in schema if row["unit"] not in ("", "bytes", "GPIO", "kHz")]
    assert shown == len(measured) > 40
    unfold(page, "group-limits", "rare-limits")
    for key, value in (("reconnect_delay_ms", "10"), ("max_current_ma", "10"),
                       ("pack_resistance_mohm", "30"), ("voltage_offset_mv", "0.5")):  # fmt: skip
        expect(page.locator(f"[id='set-limits.{key}']")).to_have_value(value)
    hint = page.locator("[id='set-limits.reconnect_delay_ms-hint']")
    expect(hint).to_have_text("Then the battery is tried again · 1 to 3600 s")


def test_settings_are_saved_and_faults_stand_beside_their_field(visit, rig):
    page = visit(rig)
    log_in(page)
    open_view_of(page)
    page.locator("#set-name").fill("Main stage")
    unfold(page, "group-limits", "rare-limits")
    trips = page.locator("[id='set-limits.max_trips']")
    error = page.locator("[id='set-limits.max_trips-error']")
    for wrong in ("2000", "many", "1.5", ""):
        trips.fill(wrong)
        page.locator("#save").click()
        expect(error).to_have_text("Allowed: 1 to 1000")
        expect(trips).to_have_attribute("aria-invalid", "true")
        expect(trips).to_be_focused()
        trips.fill("6")
        expect(error).to_have_text("")
    low = page.locator("[id='set-limits.min_voltage_mv']")
    low.fill("31")
    page.locator("#save").click()
    expect(page.locator("[id='set-limits.min_voltage_mv-error']")).to_have_text(
        "It has to be below the highest voltage."
    )
    assert values(rig)["name"] == "Fake rig"
    page.screenshot(path=PICTURES / "settings-fault-360.png")
    low.fill("24")
    expect(page.locator("#save")).to_have_text("Save (2)")
    page.locator("#save").click()
    expect(page.locator("#toast")).to_have_text("Saved.")
    expect(page.locator("#name")).to_have_text("Main stage")
    kept = json.loads((rig.folder / "config.json").read_text())
    assert (kept["name"], kept["limits"]["max_trips"]) == ("Main stage", 6)
    assert faults(page) == []


def open_view_of(page):
    page.locator("#tabs [href='#settings']").click()
    expect(page.locator("#set-name")).to_be_visible()


def test_a_bar_on_every_view_says_what_waits_for_a_restart(visit):
    with simulated(batteries=4) as rig:
        page = visit(rig)
        expect(page.locator("#pending")).to_be_hidden()
        session = rig.login()
        body = {"log.layout": "wide", "mqtt.port": 1884, "name": "x", "limits.max_trips": 4}
        assert rig.ask("PATCH", "/api/settings", body, **session)[0] == 200
        page.reload()
        for language, text in (
            ("en", "2 settings wait for a restart."),
            ("fr", "2 réglages attendent un redémarrage."),
        ):
            for view in VIEWS:
                page.locator(f"#tabs [href='#{view}']").click()
                expect(page.locator("#pending-text")).to_have_text(text)
                expect(page.locator("#pending-restart")).to_be_in_viewport(ratio=1)
            page.screenshot(path=PICTURES / f"pending-{language}-360.png")
            assert faults(page) == [] and page.evaluate(SMALL) == []
            page.locator("#language").click()
        log_in(page)
        page.locator("#pending-restart").click()
        page.locator("#ask-yes").click()
        rig.until(lambda state: state["boot"] == 2)
        expect(page.locator("#pending")).to_be_hidden()
        assert values(rig)["log.layout"] == "wide"


def test_what_was_typed_survives_another_view_and_language(visit, rig):
    page = opened(visit, rig)
    unfold(page, "group-limits", "group-wifi")
    page.locator("[id='set-limits.min_voltage_mv']").fill("22,5")
    page.locator("[id='set-limits.max_discharge_current_ma']").fill("abc")
    page.locator("[id='set-wifi.password']").fill("night-show")
    page.locator("#set-language").select_option("fr")
    page.locator("#tabs [href='#events']").click()
    page.locator("#tabs [href='#settings']").click()
    for language in ("fr", "en"):
        page.locator("#language").click()
        expect(page.locator("html")).to_have_attribute("lang", language)
        sign = {"fr": ",", "en": "."}[language]
        low = page.locator("[id='set-limits.min_voltage_mv']")
        expect(low).to_have_value(f"22{sign}5")
        expect(low).to_be_visible()
        expect(page.locator("[id='set-limits.max_discharge_current_ma']")).to_have_value("abc")
        expect(page.locator("[id='set-wifi.password']")).to_have_value("night-show")
        expect(page.locator("#set-language")).to_have_value("fr")
        expect(page.locator("#save")).to_contain_text("(4)")
    assert "night-show" not in page.locator("#changes").text_content()


def test_save_is_always_in_reach_and_never_covered(visit, rig):
    rig.tell("setup 0")
    page = opened(visit, rig)
    page.evaluate("document.querySelectorAll('details').forEach(e => e.open = true)")
    page.locator("#set-name").fill("x")
    log_in(page)
    page.evaluate("document.getElementById('toast').textContent = 'x '.repeat(120)")
    for share in (0, 0.3, 0.6, 1):
        page.evaluate(f"scrollTo(0, {share} * document.body.scrollHeight)")
        on_top = page.evaluate(
            "(() => { const r = document.getElementById('save').getBoundingClientRect();"
            "return [.1, .5, .9].map(y => document.elementFromPoint("
            "r.x + r.width / 2, r.y + r.height * y)?.id); })()"
        )
        assert on_top == ["save"] * 3, share


def test_every_phone_learns_at_once_what_another_has_saved(visit, rig):
    page = visit(rig)
    expect(page.locator("#battery-3 [data-f=label]")).to_have_text("Stage <left>")
    session = rig.login()
    body = {"wifi.hostname": "stage", "batteries.3.label": "Left"}
    assert rig.ask("PATCH", "/api/settings", body, **session)[0] == 200
    expect(page.locator("#pending-text")).to_have_text("A setting waits for a restart.")
    expect(page.locator("#battery-3 [data-f=label]")).to_have_text("Left")
    rig.ask("PATCH", "/api/settings", {"wifi.hostname": "parallelator"}, **session)
    expect(page.locator("#pending")).to_be_hidden()


def test_every_setting_has_a_name_in_both_languages(visit, rig):
    page = opened(visit, rig)
    keys = {row["key"] for row in rig.ask("GET", "/api/settings/schema")[2]}
    assert len(keys) > 60
    for save in ("Save", "Enregistrer"):
        expect(page.locator("#save")).to_have_text(save)
        named = page.evaluate(
            "[...document.querySelectorAll('.field [name]')].map("
            "e => [e.name, e.labels[0].textContent, e.parentElement.textContent])"
        )
        assert {key for key, *_ in named} == keys
        assert [row for row in named if "." in row[1] or "undefined" in row[2]] == []
        assert [key for key, name, _ in named if key == name] == []
        text = page.locator("#settings-form").text_content()
        assert save == "Save" or re.findall(r".{9}[^\u00a0\d][:;?!](?=\s)", text) == []
        page.locator("#language").click()


def test_settings_are_copied_and_taken_back(visit, rig, tmp_path):
    session = rig.login()
    body = {"name": "Grande scène", "limits.max_trips": 4, "wifi.password": "night-show"}
    assert rig.ask("PATCH", "/api/settings", body, **session)[0] == 200
    page = opened(visit, rig)
    unfold(page, "group-files")
    with page.expect_download() as loading:
        page.locator("#backup").click()
    assert re.fullmatch(r"Grande_sc_ne-settings-\d{4}-\d\d-\d\d\.json",
                        loading.value.suggested_filename)  # fmt: skip
    text = loading.value.path().read_text()
    assert json.loads(text) == values(rig)
    assert "night-show" not in text and "pbkdf2" not in text
    copy = tmp_path / "copy.json"
    copy.write_text(text)
    body = {"name": "other", "limits.max_trips": 9, "limits.min_voltage_mv": 23000}
    assert rig.ask("PATCH", "/api/settings", body, **session)[0] == 200
    page.reload()
    unfold(page, "group-files")
    page.locator("#restore").set_input_files(copy)
    expect(page.locator("#changes tr")).to_have_count(3)
    assert changes(page) == [
        *("Name of the rig other→Grande scène", "Lowest voltage 23 V→24 V"),
        *("Trips until locked 9→4",),
    ]
    assert values(rig)["name"] == "other", "nothing is saved yet"
    log_in(page)
    page.locator("#save").click()
    expect(page.locator("#toast")).to_have_text("Saved.")
    assert values(rig) == json.loads(text)
    copy.write_text('{"limits": {"max_trips": 3, "colour": 1}, "name": "third"}')
    page.locator("#restore").set_input_files(copy)
    expect(page.locator("#toast")).to_have_text("Left out, not known here: limits.colour")
    assert changes(page) == ["Name of the rig Grande scène→third", "Trips until locked 4→3"]
    for wrong in ("{", "3", "[]", "null", '"text"'):
        copy.write_text(wrong)
        page.locator("#restore").set_input_files(copy)
        expect(page.locator("#toast")).to_have_text("This is not a file of settings.")
        page.evaluate("document.getElementById('toast').textContent = ''")


def test_a_file_for_support_tells_what_happened_and_no_secret(visit, rig):
    session = rig.login()
    body = {"wifi.password": "night-show", "mqtt.password": "a-broker", "limits.max_trips": 4}
    assert rig.ask("PATCH", "/api/settings", body, **session)[0] == 200
    for _ in range(100):
        records = rig.ask("GET", "/api/blackbox")[2]["records"]
        if records:
            break
        time.sleep(0.1)
    page = opened(visit, rig)
    unfold(page, "group-files")
    with page.expect_download() as loading:
        page.locator("#support").click()
    text = loading.value.path().read_text()
    found = json.loads(text)
    assert found["/api/settings"]["pending"] == ["mqtt.password"]
    assert found["/api/state"]["name"] == "Fake rig"
    assert found["/api/events"]["events"][0]["code"] == "boot"
    assert found["/api/system"]["machine"]
    assert found[f"/api/blackbox/{records[0]['id']}"]["samples"]
    assert not any(secret in text for secret in ("night-show", "a-broker", "pbkdf2"))
