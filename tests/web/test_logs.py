# SPDX-License-Identifier: GPL-3.0-only
"""The logs on the SD card over HTTP and on the page."""

import datetime

import pytest
from playwright.sync_api import expect

from conftest import PICTURES
from views import faults, log_in, open_view

OLD = "boot-0006.csv"
DAY = "2026-07-13.csv"
OUTSIDE = (
    "..", ".", "../config.json", "..%2Fconfig.json", "%2e%2e%2fconfig.json", "%2Fsd%2Fnote.csv",
    "..\\note.csv", "log%00", OLD + ".", OLD.upper(), "BOOT-0~1.CSV", "missing.csv", "x" * 80,
)  # fmt: skip


def names(rig):
    return {log["name"]: log for log in rig.ask("GET", "/api/logs")[2]["logs"]}


def test_logs_are_listed_with_size_and_card(rig):
    status, _, found = rig.ask("GET", "/api/logs")
    assert status == 200
    assert found["card"] == {
        "state": "ready", "free_mb": 30500, "size_mb": 31000, "log": DAY, "losses": 1,
    }  # fmt: skip
    assert found["card"] == rig.ask("GET", "/api/system")[2]["card"]
    assert {name: (log["size_bytes"], log["open"]) for name, log in names(rig).items()} == {
        OLD: (337, False), DAY: (32321, True), "events.csv": (133, True),
    }  # fmt: skip


def test_a_log_is_sent_as_it_is(rig):
    status, headers, text = rig.ask("GET", "/api/logs/" + DAY)
    assert (status, len(text)) == (200, 32321)
    assert headers["Content-Length"] == "32321"
    assert headers["Content-Type"] == "text/csv; charset=utf-8"
    assert headers["Content-Disposition"] == f'attachment; filename="{DAY}"'
    lines = text.decode().split("\n")
    assert (len(lines), lines[0]) == (902, "time,uptime_ms,battery,voltage_mv")
    assert lines[900] == "2026-07-13T22:00:59Z,899000,1,26300"
    for _ in range(12):
        assert rig.ask("GET", "/api/logs/" + OLD)[2].count(b"\n") == 10


def test_a_tail_is_the_header_and_whole_lines(rig):
    whole = rig.ask("GET", "/api/logs/" + OLD)[2].decode()
    for tail in range(1, 400, 7):
        status, _, text = rig.ask("GET", f"/api/logs/{OLD}?tail={tail}")
        text = text.decode()
        head, rest = text.split("\n", 1)
        assert status == 200 and whole.startswith(head + "\n") and whole.endswith(rest)
        assert tail >= 337 or len(rest) <= tail
        assert len(rest) > tail - 36 or tail >= 337, (tail, rest)
    for wrong in ("0", "-1", "x", "16385", "1.5", ""):
        assert rig.ask("GET", f"/api/logs/{OLD}?tail={wrong}")[0] == 400, wrong


RANGES = {
    "bytes=0-9": (0, 10),
    "bytes=100-": (100, 337),
    "bytes=-20": (317, 337),
    "bytes=330-9999": (330, 337),
    "bytes=-9999": (0, 337),
    "Bytes = 5 - 5": (5, 6),
    "bytes=0-99999999999999999999": (0, 337),
    "bytes=337-": None,
    "bytes=99999999999999999999-": None,
    "bytes=-0": None,
}
"""Of a log of 337 bytes: what each asks for; None: nothing of it."""


@pytest.mark.parametrize("wanted", RANGES)
def test_a_range_of_a_log(rig, wanted):
    whole = rig.ask("GET", "/api/logs/" + OLD)[2]
    status, headers, part = rig.ask("GET", "/api/logs/" + OLD, Range=wanted)
    if RANGES[wanted] is None:
        assert (status, headers["Content-Range"]) == (416, "bytes */337")
        assert part["error"]["code"] == "range"
        return
    first, end = RANGES[wanted]
    assert (status, headers["Content-Range"]) == (206, f"bytes {first}-{end - 1}/337")
    assert headers["Content-Length"] == str(end - first)
    assert part == whole[first:end]


def test_what_is_no_range_gets_all_of_a_log(rig):
    for wanted in ("lines=0-9", "bytes=", "bytes=-", "bytes=5-4", "bytes=a-b", "bytes=0-1,3-4"):
        status, headers, text = rig.ask("GET", "/api/logs/" + OLD, Range=wanted)
        assert (status, len(text), headers["Accept-Ranges"]) == (200, 337, "bytes"), wanted
    assert rig.ask("GET", "/api/logs/" + OLD, Range="bytes=0-1", If_Range='"x"')[0] == 200
    status, headers, _ = rig.ask("HEAD", "/api/logs/" + OLD, Range="bytes=0-1")
    assert (status, headers["Content-Length"]) == (200, "337")
    assert rig.ask("GET", f"/api/logs/{OLD}?tail=40", Range="bytes=0-1")[0] == 200
    for _ in range(12):  # none of them is held for ever
        assert rig.ask("GET", "/api/logs/" + OLD, Range="bytes=400-")[0] == 416
    assert rig.ask("DELETE", "/api/logs/" + OLD, **rig.login())[0] == 200


@pytest.mark.parametrize("name", OUTSIDE)
def test_no_name_leaves_the_folder(rig, name):
    session = rig.login()
    before = names(rig)
    for method, headers in (("GET", {}), ("DELETE", session)):
        status, _, answer = rig.ask(method, "/api/logs/" + name, **headers)
        assert status in (404, 405), (method, status, answer)
        assert answer["error"]["code"] in ("no_log", "not_found", "method")
    assert names(rig) == before


def test_a_log_is_deleted_and_told(rig):
    session = rig.login()
    status, _, answer = rig.ask("DELETE", "/api/logs/" + OLD, **session)
    assert (status, answer) == (200, {"deleted": OLD})
    assert set(names(rig)) == {DAY, "events.csv"}
    event = rig.ask("GET", "/api/events")[2]["events"][-1]
    assert (event["code"], event["text"]) == ("log_deleted", "Log boot-0006 deleted by hand")
    for name in (DAY, "events.csv"):
        status, _, answer = rig.ask("DELETE", "/api/logs/" + name, **session)
        assert (status, answer["error"]["code"]) == (409, "log_in_use")
    assert set(names(rig)) == {DAY, "events.csv"}


def test_a_log_that_somebody_reads_is_not_deleted(rig):
    session = rig.login()
    rig.tell("hold-log " + OLD)
    assert rig.ask("DELETE", "/api/logs/" + OLD, **session)[0] == 409
    assert OLD in names(rig)


def test_a_log_that_is_protected_is_not_deleted_and_the_card_goes_on(rig):
    session = rig.login()
    rig.tell("protect " + OLD)
    status, _, answer = rig.ask("DELETE", "/api/logs/" + OLD, **session)
    assert (status, answer["error"]["code"]) == (409, "log_protected")
    assert set(names(rig)) == {OLD, DAY, "events.csv"}
    assert rig.ask("GET", "/api/logs/" + OLD)[0] == 200


def test_without_a_card_there_are_no_logs(rig):
    rig.tell("pull")
    status, _, found = rig.ask("GET", "/api/logs")
    assert (status, found["logs"]) == (200, [])
    assert (found["card"]["state"], found["card"]["free_mb"]) == ("absent", None)
    assert rig.ask("GET", "/api/logs/" + OLD)[0] == 404


def test_logs_on_the_page(visit, stage):
    page = visit(stage)
    stage.until(lambda state: state["uptime_ms"] > 14000)
    open_view(page, "logs")
    expect(page.locator("#card-line")).to_contain_text("in use · ")
    expect(page.locator("#card-line")).to_contain_text("writes boot-0001.csv")
    written = page.locator("#log-list li", has_text="boot-0001.csv")
    expect(written).to_contain_text("being written")
    expect(written.get_by_role("button", name="Delete")).to_be_disabled()
    written.get_by_role("button", name="Look").click()
    expect(page.locator("#preview-title")).to_be_focused()
    expect(page.locator("#preview-title")).to_have_text("Last lines of boot-0001.csv")
    cells = page.locator("#preview-table tbody tr").first.locator("td")
    expect(cells).to_have_count(9)
    expect(page.locator("#preview-table th").nth(3)).to_have_text("voltage_mv")
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    assert faults(page) == []
    page.screenshot(path=PICTURES / "logs-preview-360.png")
    page.locator("#language").click()
    expect(page.locator("#preview-title")).to_have_text("Dernières lignes de boot-0001.csv")
    expect(written).to_contain_text("en cours d’écriture")
    page.locator("#language").click()

    with page.expect_download() as download:
        written.get_by_role("link", name="Download").click()
    assert download.value.suggested_filename == "boot-0001.csv"
    assert download.value.path().read_text().startswith("time,uptime_ms,battery,")


def test_a_log_is_deleted_on_the_page_with_the_keyboard(visit, stage):
    page = visit(stage)
    log_in(page)
    # The clock begins a log of today, so the one before may go.
    open_view(page, "system")
    expect(page.locator("#report div", has_text="SD card")).to_contain_text("MB free")
    page.locator("#set-clock").click()
    today = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d.csv")
    open_view(page, "logs")
    item = page.locator("#log-list li", has_text="boot-0001.csv")
    expect(page.locator("#card-line")).to_contain_text("writes " + today)
    item.get_by_role("button", name="Delete").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#ask")).to_contain_text("Delete boot-0001.csv from the SD card?")
    page.screenshot(path=PICTURES / "logs-delete-360.png")
    page.keyboard.press("Enter")
    expect(page.locator("#ask")).to_be_hidden()
    expect(item).to_be_visible()
    item.get_by_role("button", name="Delete").click()
    page.locator("#ask-yes").click()
    expect(page.locator("#toast")).to_have_text("boot-0001.csv is deleted.")
    expect(item).to_have_count(0)
    open_view(page, "events")
    expect(page.locator("#event-list")).to_contain_text("Log boot-0001 deleted by hand")
