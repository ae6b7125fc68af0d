# SPDX-License-Identifier: GPL-3.0-only
"""The report of a show over HTTP and in the page."""

import re
import time

import jsonschema
from playwright.sync_api import expect

import openapi
from conftest import LOOKS, PICTURES
from test_selftest import over
from views import faults

PATH = "/api/show"
TOLD = "63 4 3000 12000 11000 13000 - - 3"


def shown(rig, *commands, for_s=2.5):
    """Plays a show of a minute in which so much happens; returns what is told of it."""
    last = rig.ask("GET", "/api/state")[2]["report"]
    session = rig.login()
    rig.tell("pass 1", "load 9800", f"charge {TOLD}")
    assert rig.ask("POST", PATH, {"end": 1}, **session)[0] == 200
    told = rig.ask("GET", PATH)[2]
    assert told["running"] and (told["result"] or {"number": None})["number"] == last
    time.sleep(2.5)
    rig.tell(*commands)
    time.sleep(for_s)
    rig.tell("pass 61")
    for _ in range(100):
        state = rig.ask("GET", "/api/state")[2]
        if state["report"] != last:
            told = rig.ask("GET", PATH)[2]
            jsonschema.validate(told, openapi.SCHEMAS["ShowReport"])
            assert not told["running"] and told["result"]["number"] == state["report"]
            return told["result"]
        time.sleep(0.1)
    raise RuntimeError("no report comes")


def test_the_last_ten_are_kept_and_the_newest_is_told(rig):
    assert rig.ask("GET", PATH)[2] == {"running": False, "result": None}
    rig.tell("calm")
    session = rig.login()
    assert rig.ask("POST", "/api/selftest", **session)[0] == 202
    assert rig.ask("DELETE", "/api/selftest", **session)[0] == 200
    test = over(rig)["result"]
    told = shown(rig, "trip 5", "lock 8", "alarm contact_battery 3", for_s=8)
    assert [(row["n"], row["reason"]) for row in told["trips"]] == [(5, "overload")]
    assert rig.ask("GET", "/api/blackbox/" + told["trips"][0]["id"])[0] == 200
    assert told["selftest"] == {key: test[key] for key in ("number", "time", "verdict")}
    assert told["number"] == 1 and told["length_s"] >= 61
    assert [row["trips"] for row in told["batteries"]] == [0, 0, 0, 0, 1] + [0] * 11
    assert told["batteries"][0]["discharge_ma"] == 9800
    assert [(row["n"], row["code"], row["value"]) for row in told["tasks"][:3]] == [
        (8, "locked", "overcurrent"),
        (5, "tripped", 1),
        (1, "discharge", 98),
    ]
    assert (3, "contact_battery") in [(row["n"], row["value"]) for row in told["tasks"]]
    assert told["closest"][0]["limit"] == "discharge" and told["closest"][0]["margin_pct"] == 2
    assert shown(rig)["number"] == 2
    codes = [row["code"] for row in rig.ask("GET", "/api/events")[2]["events"]]
    assert codes.count("show_report") == codes.count("show_over") == 2


def test_without_a_card_it_is_told_from_memory(rig):
    rig.tell("pull")
    assert shown(rig, "trip 5")["number"] == 1
    assert rig.ask("GET", PATH)[2]["result"]["batteries"][4]["trips"] == 1


@LOOKS
def test_the_page_offers_it_once_and_prints_it_on_one_page(rig, visit, viewport, scheme, language):
    rig.tell("calm")
    page = visit(rig, viewport, scheme, language=language)
    expect(page.locator("#told-key")).to_be_hidden()
    shown(rig, "trip 5", "lock 8", "alarm contact_battery 3", "alarm sd_unreadable")
    key = page.locator("#told-key")
    expect(key).to_be_visible()
    page.screenshot(path=PICTURES / f"told-key-{viewport['width']}-{scheme}-{language}.png")
    key.click()
    text = page.locator("#told-text")
    expect(text.locator("tbody tr")).to_have_count(16)
    expect(key).to_be_hidden()
    expect(text).not_to_have_text(re.compile(r"[{}]|undefined|NaN|null"))
    first, second, third = (text.locator("ul").first.locator("li").nth(k) for k in range(3))
    words = {
        "en": ("Battery 8: locked", "Battery 5: opened", "Batteries 1–16: came to 98"),
        "fr": ("Batterie 8", "Batterie 5", "Batteries 1–16"),
    }[language]
    for row, said in zip((first, second, third), words, strict=True):
        expect(row).to_contain_text(said)
    assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
    assert faults(page) == []
    page.locator("#told").screenshot(
        path=PICTURES / f"told-{viewport['width']}-{scheme}-{language}.png"
    )
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    expect(text).to_be_visible()
    for other in ("#tabs", "#total", "#selftest", "#told-print"):
        expect(page.locator(other)).to_be_hidden()
    pdf = page.pdf(format="A4")
    assert pdf.count(b"/Type /Page\n") + pdf.count(b"/Type /Page/") == 1
    page.reload()
    expect(page.locator("#told-print")).to_be_hidden()
    expect(key).to_be_hidden()
