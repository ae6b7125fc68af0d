# SPDX-License-Identifier: GPL-3.0-only
"""Show mode over HTTP and in the page."""

import re
import time

from playwright.sync_api import expect

from rigs import PASSWORD

PATH = "/api/show"


def code(rig, method, path, body=None, **headers):
    status, _, told = rig.ask(method, path, body, **headers)
    return status, told.get("error", {}).get("code")


def test_until_its_end_only_off_is_taken(rig):
    session = rig.login()
    assert rig.ask("GET", "/api/state")[2]["show"] is None
    rig.tell("charge 63 4 3000 12000 11000 13000 - - 3")
    for end in (0, 1441, None, "25:00", ""):
        assert code(rig, "POST", PATH, {"end": end}, **session) == (400, "show_end")
    assert code(rig, "POST", PATH, {"end": 90}, **session) == (200, None)
    told = rig.ask("GET", "/api/state")[2]["show"]
    assert 5390 <= told["left_s"] <= 5400
    assert told["margin_s"] == 12000 - told["left_s"]
    for method, path, body in (
        ("PATCH", "/api/settings", {"name": "other"}),
        ("POST", "/api/system/restart", None),
        ("POST", "/api/selftest", None),
        ("PUT", "/api/update?offset=0&size=100", b"x"),
        ("POST", "/api/update", {}),
        ("POST", "/api/wifi/scan", None),
        ("POST", "/api/time", {"unix_s": 1900000000}),
        ("DELETE", "/api/logs/boot-0006.csv", None),
        ("DELETE", "/api/calibration", None),
        ("POST", "/api/batteries/3/exchanged", None),
        ("POST", "/api/batteries/3/reset", None),
        ("POST", "/api/batteries/all/auto", None),
        ("POST", "/switch_on?battery=3", None),
        ("POST", "/api/bus/reset", None),
    ):
        assert code(rig, method, path, body, **session) == (409, "show"), path
    until = rig.ask("POST", "/api/bus/reset", **session)[2]["error"]
    assert until["v"] in until["message"] and until["v"].endswith(told["until"][13:16])
    assert code(rig, "POST", "/switch_off?battery=3", **session) == (202, None)
    assert code(rig, "POST", "/api/batteries/all/off", **session) == (202, None)
    rig.tell("idle", *(f"put {n} off operator" for n in range(1, 17)))
    assert code(rig, "POST", "/api/batteries/all/auto", **session) == (202, None), "it is dark"
    assert code(rig, "DELETE", PATH) == (401, "login")
    assert code(rig, "DELETE", PATH, **session) == (200, None)
    assert rig.ask("GET", "/api/state")[2]["show"] is None
    assert code(rig, "PATCH", "/api/settings", {"name": "other"}, **session) == (200, None)


def test_it_ends_by_itself_and_both_are_events(rig):
    session = rig.login()
    assert code(rig, "POST", PATH, {"end": 1}, **session) == (200, None)
    rig.tell("pass 121")
    assert code(rig, "PATCH", "/api/settings", {"name": "other"}, **session) == (200, None)
    for _ in range(50):
        told = [event["code"] for event in rig.ask("GET", "/api/events")[2]["events"]]
        if "show_over" in told:
            break
        time.sleep(0.1)
    assert told.count("show_begun") == told.count("show_over") == 1


def test_the_page_begins_one_tells_what_is_in_hand_and_ends_it(rig, visit):
    rig.tell("charge 63 4 3000 12000 11000 13000 - - 3")
    for language, start, enough, short, refused in (
        ("en", "Start the show", "in hand", "before the end of the show", "Show mode until"),
        ("fr", "Lancer le spectacle", "marge", "avant la fin du spectacle", "Mode spectacle"),
    ):
        page = visit(rig, language=language)
        page.locator("#show summary").click()
        expect(page.locator("#show-stop")).to_be_hidden()
        for hours, words in ((1, enough), (5, short)):
            end = time.strftime("%H:%M", time.localtime(time.time() + 3600 * hours))
            page.locator("#show-end").fill(end)
            page.get_by_role("button", name=start).click()
            if not page.evaluate("Boolean(document.cookie)") and hours == 1:
                page.locator("#password").fill(PASSWORD)
                page.locator("#gate .primary").click()
            expect(page.locator("#show-line")).to_contain_text(words)
            expect(page.locator("#show-line")).to_contain_text(end)
        expect(page.locator("#show-line")).not_to_have_text(re.compile(r"[{}]|undefined|NaN"))
        page.locator("#battery-3 [data-action=on]").click()
        expect(page.locator("#toast")).to_contain_text(refused)
        expect(page.locator("#toast")).to_contain_text(end)
        page.locator("#show-stop").click(delay=1300)
        expect(page.locator("#show-line")).to_be_hidden()
    assert code(rig, "POST", PATH, {"end": 90}, **rig.login("127.0.0.9")) == (200, None)
    expect(page.locator("#show-line")).to_be_visible()
    rig.tell("pass 6000")
    expect(page.locator("#show-line")).to_be_hidden()
