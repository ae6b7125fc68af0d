# SPDX-License-Identifier: GPL-3.0-only
"""The self-test over HTTP and in the page."""

import re
import time

from playwright.sync_api import expect

from rigs import PASSWORD

PATH = "/api/selftest"


def over(rig):
    """Waits for the end of the test; returns what is told then."""
    for _ in range(600):
        told = rig.ask("GET", PATH)[2]
        if not told["running"]:
            return told
        time.sleep(0.1)
    raise RuntimeError("it never ends")


def test_a_test_is_begun_once_followed_stopped_and_kept(rig):
    session = rig.login()
    assert rig.ask("GET", PATH)[2]["result"] is None
    status, _, told = rig.ask("POST", PATH, **session)
    assert status == 202 and told["running"] and told["result"] is None
    status, _, told = rig.ask("POST", PATH, **session)
    assert (status, told["error"]["code"]) == (409, "selftest_running")
    assert rig.ask("DELETE", PATH, **session)[0] == 200
    result = over(rig)["result"]
    assert result["stopped"] == "asked" and result["number"] == 1
    rig.tell("idle")
    rig.ask("POST", PATH, **session)
    rig.ask("POST", "/api/batteries/3/off", **session)
    result = over(rig)["result"]
    assert result["stopped"] == "wish" and result["number"] == 2, "the one before is on the card"
    assert {row["n"]: row["verdict"] for row in result["batteries"]}[3] == "watch", "it is off"
    assert rig.ask("GET", "/api/state")[2]["batteries"][2]["wish"] == "off"


def test_the_page_starts_one_stops_it_and_says_why(rig, visit):
    rig.tell("lock 5")
    for language, start, stopped in (
        ("en", "Start the self-test", "Stopped by hand."),
        ("fr", "Lancer l’autotest", "Arrêté à la main."),
    ):
        page = visit(rig, language=language)
        page.locator("#selftest summary").click()
        button = page.get_by_role("button", name=start)
        button.click()
        page.locator("#password").fill(PASSWORD)
        page.locator("#gate .primary").click()
        expect(page.locator("#test-stop")).to_be_visible()
        expect(page.locator("#test-bar")).to_be_visible()
        page.locator("#test-stop").click()
        expect(page.locator("#test-text")).to_contain_text(stopped)
        expect(page.locator("#test-table tbody tr")).to_have_count(16)
        expect(page.locator("#test-list li")).not_to_have_count(0)
        expect(page.locator("#test-list")).not_to_have_text(re.compile(r"[{}]|undefined"))
        page.emulate_media(media="print")
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        expect(page.locator("#test-table")).to_be_visible()
        expect(page.locator("#tabs")).to_be_hidden()
        expect(page.locator("#total")).to_be_hidden()
        pdf = page.pdf(format="A4")
        assert pdf.count(b"/Type /Page\n") + pdf.count(b"/Type /Page/") == 1
