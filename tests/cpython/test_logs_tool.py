# SPDX-License-Identifier: GPL-3.0-only
"""tools/logs/night.py from a folder, a card's image and a rig to a report and a picture."""

import json
import re
import struct
import subprocess
import sys
import threading
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import jsonschema
import pytest
from PIL import Image
from playwright.sync_api import sync_playwright

import logs_fixture as fixture
import openapi
from browser import launch
from logs import drawing, night, sources

ROOT = Path(__file__).resolve().parents[2]
MICROPYTHON = ROOT / "build/venv/bin/micropython"
SCENARIO = {
    "name": "logged",
    "duration_s": 75,
    "load": [[0, 40]],
    "settings": {
        "serial_messages": False,
        "log": {"separator": ";"},
        "pack": {"capacity_mah": 20000},
        "batteries": {"3": {"id": "A-7"}},
    },
    "steps": [
        {"at": 30, "do": "inject_current", "n": 3, "ma": 25000},
        {"at": 30.3, "do": "inject_current", "n": 3, "ma": 0},
        {"at": 40, "do": "sd_remove"},
        {"at": 47, "do": "sd_insert"},
    ],
}


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    """A card written by the firmware on a simulated rig: (image file, report of the run)."""
    folder = tmp_path_factory.mktemp("rig")
    (folder / "scenario.json").write_text(json.dumps(SCENARIO))
    subprocess.run(
        [
            *(MICROPYTHON, "-X", "heapsize=64m", ROOT / "tools/sim/run.py", "--clock", "virtual"),
            *("--scenario", folder / "scenario.json", "--sd", folder / "card.img"),
            *("--report", folder / "report.json"),
        ],
        check=True,
        stdout=subprocess.DEVNULL,
        timeout=120,
    )
    return folder / "card.img", json.loads((folder / "report.json").read_text())


@pytest.fixture
def card(tmp_path):
    """A card with the flawed archive."""
    folder = tmp_path / "card" / "log"
    folder.mkdir(parents=True)
    for name, data in fixture.flawed().items():
        (folder / name).write_bytes(data)
    (folder / "notes.txt").write_text("not a log")
    return folder.parent


def colours(path):
    """The set of (r, g, b) in a picture, and the picture."""
    with Image.open(path) as picture:
        picture = picture.convert("RGB")
    return {colour for _, colour in picture.getcolors(1 << 24)}, picture


def near(found, colour):
    """True when a colour written as #rrggbb is among those found, give or take the palette."""
    wanted = bytes.fromhex(colour[1:])
    return any(max(abs(a - b) for a, b in zip(c, wanted, strict=True)) <= 12 for c in found)


def test_a_simulated_night_is_drawn_as_the_plant_had_it(simulated, tmp_path, capsys):
    image, truth = simulated
    before = image.read_bytes()
    assert night.main([str(image), "-o", str(tmp_path / "night.png")]) == 0
    said = capsys.readouterr().out
    assert "boot-0001, date not known" in said and "16 packs · " in said
    assert "pack 3: far too much current, 2" in said and "1 trip ·" in said
    # Ten seconds that were not flushed at most, seven without a card, and until it is used again.
    assert re.search(r"^   3 .* A-7 +– +–$", said, re.M), "nothing is learned in a minute"
    assert re.search(
        r" missing in (1[0-9]|2[0-9]) s \(SD card pulled, worn or wired badly\)", said
    )
    table = [line.split() for line in said.splitlines() if line[:4].strip().isdigit()]
    assert [int(row[0]) for row in table] == list(range(1, 17))
    for row in table:
        true_ah = truth["energy"][row[0]]["true_mah"] / 1000
        # The last rows may not have been flushed: up to 20 s of at most 3 A.
        assert true_ah - 0.025 < float(row[1]) <= true_ah + 0.006, (row, true_ah)
        assert 24 * true_ah - 0.7 < float(row[3]) < 30 * true_ah, (row, true_ah)
        # A look at the voltage may have corrected the estimate by as little as a per cent.
        assert 0 < int(row[6]) <= int(row[5]) + 1 < 100, row
    found, picture = colours(tmp_path / "night.png")
    assert picture.width == 1200 and picture.height > 1200
    for wanted in (drawing.STATE_COLOURS["on"], drawing.TRIP, drawing.FLAW, drawing.VOLTAGE):
        assert near(found, wanted), wanted
    assert image.read_bytes() == before


def test_an_image_with_a_partition_table(simulated, tmp_path):
    image, _ = simulated
    table = bytearray(512 * 64)
    struct.pack_into("<BBBBBBBBII", table, 446, 0, 0, 0, 0, 6, 0, 0, 0, 64, 131072)
    table[510:512] = b"\x55\xaa"
    (tmp_path / "disk.img").write_bytes(table + image.read_bytes())
    plain, disk = sources.opened(str(image)), sources.opened(str(tmp_path / "disk.img"))
    assert disk.names == plain.names == ["boot-0001.csv", "events.csv"]
    for name in disk.names:
        with disk.open(name) as one, plain.open(name) as other:
            assert one.read() == other.read() != b""


def test_the_health_of_packs_is_read_from_the_card(card, tmp_path, capsys):
    packs = card / "packs"
    packs.mkdir()
    (packs / "A-7.csv").write_bytes(fixture.life(("2026-07-16", 3, 15600, 900, 26, 20)))
    (packs / "B_8.OLD").write_bytes(fixture.life(("2026-07-16", 1, 9, 9, 9, 9)))
    (packs / "readme.csv").write_bytes(b"")
    for source in (card, card / "log"):
        assert night.main([str(source), "-o", str(tmp_path / "night.html")]) == 0
        said = capsys.readouterr().out
        assert re.search(r"  id +health % +R grown %$", said, re.M)
        assert re.search(r"^   3 .* A-7 +78 +30$", said, re.M), said
        assert re.search(r"^   1 .* – +– +–$", said, re.M), said
        assert "<td>A-7</td><td>78</td><td>30</td>" in (tmp_path / "night.html").read_text()
    file = card / "log/2026-07-16.csv"
    assert night.main([str(file), "-o", str(tmp_path / "night.html")]) == 0
    assert "health %" not in capsys.readouterr().out


@pytest.mark.parametrize("language", ["en", "fr"])
def test_the_reports_of_the_shows_of_the_night_are_told(card, tmp_path, capsys, language):
    document = openapi.SCHEMAS["ShowReport"]
    jsonschema.validate({"running": False, "result": json.loads(fixture.show())}, document)
    page = tmp_path / "night.html"
    arguments = [str(card), "-o", str(page), "--language", language]
    assert night.main(arguments) == 0
    assert "Report of the show" not in capsys.readouterr().out
    assert 'class="show"' not in page.read_text()
    shows = card / "shows"
    shows.mkdir()
    (shows / "3.json").write_bytes(fixture.show())
    (shows / "2.json").write_bytes(fixture.show("2026-07-14T20:01:00Z", number=2))
    (shows / "4.json").write_bytes(fixture.show(None, number=4, boot=2, selftest=None))
    (shows / "5.json").write_bytes(fixture.show(None, number=5, boot=1))
    (shows / "6.json").write_bytes(fixture.show()[:500])
    (shows / "now.bin").write_bytes(b"x")
    assert night.main(arguments) == 0
    said = capsys.readouterr().out
    assert "Report of the show, 2026-07-16 20:01, 2 h 00 min:" in said
    assert said.count("Report of the show") == 2, "the second has no clock, but the boot"
    for line in (
        "206\u00a0Wh given, 0\u00a0Wh taken",
        "highest load 19.1\u00a0A, 480\u00a0W, 20:32",
        "charge 91\u00a0% to 60\u00a0%",
        "output dark for 12\u00a0s, 1×",
        "Self-test before it: 5, 2026-07-16 18:00, watch.",
        "No self-test before it.",
        "Battery 2: opened by itself 2×.",
        "Batteries 1–2: came to 92–97\u00a0% of the highest discharge current.",
        "Discharge current: battery 1, 9.7\u00a0A, limit 10.0\u00a0A, 20:32",
        "Battery 2: far too much current, 20:05:30",
        "limit 10.0\u00a0A, + 31 min 00 s",
    ):
        assert line in said, line
    text = page.read_text()
    words = {"en": ("Battery 2: opened", "25.10"), "fr": ("Batterie 2\u00a0: coupée", "25,10")}
    assert all(word in text for word in words[language])
    assert text.count('<section class="show"') == 2 and "{" not in text.split('class="show"')[1]


def test_a_small_picture_is_made_anew(card, tmp_path, capsys):
    out = tmp_path / "night.png"
    assert night.main([str(card), "-o", str(out), "--night", "2026-07-14"]) == 0
    said = capsys.readouterr().out
    assert "4 flaws in the log" in said and "Missing days: 2026-07-15" in said
    assert out.stat().st_size < 150_000
    found, picture = colours(out)
    for wanted in (drawing.STATE_COLOURS["on"], drawing.FLAW, drawing.VOLTAGE):
        assert near(found, wanted), wanted
    assert not near(found, drawing.STATE_COLOURS["tripped"])
    # 16 July has a trip, and neither gap nor jump.
    assert night.main([str(card), "-o", str(out)]) == 0
    found, _ = colours(out)
    assert near(found, drawing.STATE_COLOURS["tripped"]) and near(found, drawing.TRIP)


def test_the_page_works_offline_on_a_phone(card, tmp_path):
    out, last = tmp_path / "night.html", tmp_path / "last.html"
    tool = [sys.executable, ROOT / "tools/logs/night.py", card]
    command = [*tool, "-o", out, "--night", "2026-07-14"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "4 flaws in the log" in done.stdout
    assert night.main([str(card), "-o", str(last)]) == 0
    with sync_playwright() as playwright:
        browser = launch(playwright)
        context = browser.new_context(
            viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True, offline=True
        )
        page = context.new_page()
        trouble = []
        page.on("console", lambda message: trouble.append(message.text))
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.on("request", lambda request: trouble.append(request.url))
        page.goto(out.as_uri())
        page.wait_for_selector("#night .main-svg .scatterlayer .trace")
        assert trouble == [out.as_uri()]
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        assert page.evaluate("night.layout.dragmode") is False
        # Per strip (rig and 4 packs) volts and discharge, and what holds the upper time axis.
        assert page.evaluate("night.data.length") == 11
        volts = page.evaluate(
            "night.calcdata.filter(c => c[0].trace.name == 'pack 2')[1].map(p => p.y)"
        )
        assert 26.5 < min(v for v in volts if v) < max(v for v in volts if v) < 27.1
        page.locator("#night").screenshot(path=tmp_path / "page.png")
        found, _ = colours(tmp_path / "page.png")
        for wanted in (drawing.STATE_COLOURS["on"], drawing.DISCHARGE, drawing.VOLTAGE):
            assert near(found, wanted), wanted
        flaws = page.locator(".flaws li").all_inner_texts()
        assert len(flaws) == 5 and "line 408: torn" in flaws[0] and "1 h 00 min" in flaws[2]
        notes = page.locator("#night .annotation-text")
        shown = notes.all_text_contents()
        assert {"1", "2", "3", "4", "boot 1"} <= set(shown), shown
        page.goto(last.as_uri())
        page.wait_for_selector("#night .main-svg .scatterlayer .trace")
        assert notes.filter(has_text="far too much current, 25.0 A").count() == 1
        browser.close()


@pytest.fixture
def rig():
    """A rig that serves the flawed archive: (URL, what was asked for, files)."""
    files = fixture.flawed()
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            base, _, name = self.path.partition("/api/logs")
            body = files.get(name[1:]) if name else json.dumps(self.listing()).encode()
            self.send_response(404 if body is None or base else 200)
            self.end_headers()
            self.wfile.write(body or b"")

        def listing(self):
            logs = [{"name": n, "bytes": len(d), "day": None} for n, d in files.items()]
            return {"logs": logs, "free_mb": 12} if files else {"error": {}}

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", asked, files
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_rig_is_asked_for_one_night_only(rig, tmp_path, capsys):
    url, asked, files = rig
    files["2026-07-10.csv"] = fixture.log(fixture.rows([1, 2], fixture.START.replace(day=10)))
    assert night.main([url, "-o", str(tmp_path / "a.png"), "--night", "2026-07-16"]) == 0
    said = capsys.readouterr().out
    assert "Night of Thursday 16 July" in said and "far too much current" in said
    assert sorted(asked) == ["/api/logs"] + [
        f"/api/logs/{name}"
        for name in ("2026-07-16.csv", "boot-0001.csv", "boot-0002.csv", "events.csv")
    ]
    assert "Missing days: 2026-07-11 to 2026-07-13" in said
    asked.clear()
    assert night.main([url, "-o", str(tmp_path / "a.png"), "--night", "2026-07-14"]) == 0
    assert [path for path in asked if "2026" in path] == ["/api/logs/2026-07-14.csv"]
    asked.clear()
    assert night.main([f"{url}/", "-o", str(tmp_path / "a.png"), "--night", "all"]) == 0
    assert "/api/logs/2026-07-10.csv" in asked
    assert "4 d 00 h after the row before" in capsys.readouterr().out


def test_names_in_capitals_are_read(tmp_path, capsys):
    for name, data in fixture.flawed().items():
        (tmp_path / name.upper()).write_bytes(data)
    source = sources.opened(str(tmp_path))
    assert source.names == sorted(fixture.flawed())
    with source.open("2026-07-16.csv") as file:
        assert file.read() == fixture.flawed()["2026-07-16.csv"]
    assert night.main([str(tmp_path), "-o", str(tmp_path / "a.png")]) == 0
    assert "Night of Thursday 16 July" in capsys.readouterr().out
    one = tmp_path / "2026-07-14.CSV"
    assert night.main([str(one), "-o", str(tmp_path / "b.png")]) == 0
    assert "Night of Tuesday 14 July" in capsys.readouterr().out


def test_a_log_that_lies_in_the_future_is_not_asked_for(rig, tmp_path, capsys):
    url, asked, files = rig
    files["2068-07-14.csv"] = fixture.log(fixture.rows([1], fixture.START.replace(year=2068)))
    now = datetime(2026, 11, 29, 18)
    assert night.main([url, "-o", str(tmp_path / "a.png")], now) == 0
    said = capsys.readouterr().out
    assert "Night of Thursday 16 July 2026" in said and "/api/logs/2068-07-14.csv" not in asked
    assert "2068-07-14.csv, from 2068-07-14 on it lies in the future" in said


def test_what_cannot_be_read_says_what_it_was(rig, card, tmp_path, capsys):
    url, _, files = rig
    files.clear()
    (tmp_path / "empty").mkdir()
    (tmp_path / "noise.img").write_bytes(b"\x07" * 4096)
    (tmp_path / "fat.img").write_bytes(b"\xeb\x3c\x90" + bytes(507) + b"\x55\xaa" + bytes(8192))
    gpt = bytes(450) + b"\xee\0\0\0\1\0\0\0" + bytes(52) + b"\x55\xaaEFI PART" + bytes(8184)
    (tmp_path / "gpt.img").write_bytes(gpt)
    for source, said in (
        ("", "name a source"),
        (tmp_path / "gone", "is not there"),
        (tmp_path / "empty", "holds no log"),
        (tmp_path / "noise.img", "neither a log nor an image"),
        (tmp_path / "fat.img", "mdir: "),
        (tmp_path / "gpt.img", "GPT partition table"),
        (url, "something else than a list of logs"),
        (f"{url}/elsewhere", "404"),
        ("http://127.0.0.1:9", "http://127.0.0.1:9/api/logs: "),
        ("ftp://127.0.0.1", "ftp://127.0.0.1"),
    ):
        assert night.main([str(source), "-o", str(tmp_path / "x.png")]) == 1, source
        assert said in capsys.readouterr().err, source
    with pytest.raises(SystemExit):
        night.main([str(card), "-o", "night.pdf"])
    assert night.main([str(card), "--night", "2027-01-01"]) == 1
    assert not (tmp_path / "x.png").exists()
    for out in ("gone/x.png", "gone/x.html"):
        assert night.main([str(card), "-o", str(tmp_path / out)]) == 1
        assert "No such file" in capsys.readouterr().err


@pytest.mark.parametrize("out", ["night.png", "night.html"])
def test_a_night_in_which_nothing_was_measured(tmp_path, capsys, out):
    (tmp_path / "boot-0001.csv").write_bytes(fixture.log([",1000,1,,,absent,,"]))
    assert night.main([str(tmp_path), "-o", str(tmp_path / out)]) == 0
    assert "0 packs · 0.0 Ah (0 Wh) out" in capsys.readouterr().out
    assert (tmp_path / out).stat().st_size > 3000


def about(number, name):
    """The line by which a log tells its rig."""
    return f"# times are UTC; zone UTC0; boot 1; rig {number}; name {name}"


def drawn(folder, capsys, *more):
    """What the tool says of a folder."""
    assert night.main([str(folder), "-o", str(folder / "night.html"), *more]) == 0
    return capsys.readouterr().out


def test_two_rigs_in_one_folder_are_told_apart(tmp_path, capsys):
    left, right = (fixture.rows(range(10, 60), packs=packs) for packs in ((1, 2), (1, 2, 3)))
    (tmp_path / "2026-07-14.csv").write_bytes(fixture.log([about("aa01", "left"), *left]))
    later = fixture.log([about("bb02", "right"), *right])
    (tmp_path / "2026-07-14 (2).csv").write_bytes(later)
    said = drawn(tmp_path, capsys)
    assert "rig left (aa01)" in said and "2 packs" in said
    assert "left out, RIG= chooses: right (bb02)" in said
    said = drawn(tmp_path, capsys, "--rig", "right")
    assert "rig right (bb02)" in said and "3 packs" in said
    assert night.main([str(tmp_path), "--rig", "middle"]) == 1
    assert "no rig middle; there are: left (aa01), right (bb02)" in capsys.readouterr().err


def test_two_rigs_that_do_not_say_who_they_are(tmp_path, capsys):
    for name, packs in (("2026-07-14.csv", (1, 2)), ("2026-07-14 (2).csv", (1, 2, 3))):
        moment = fixture.START.replace(minute=len(packs))
        (tmp_path / name).write_bytes(fixture.log(fixture.rows(range(9), moment, packs)))
    said = drawn(tmp_path, capsys)
    assert "2 packs" in said and "left out, RIG= chooses: 2026-07-14 (2).csv" in said
    assert "3 packs" in drawn(tmp_path, capsys, "--rig", "(2)")
    for name, packs in (("left", (1,)), ("right", (1, 2, 3, 4))):
        folder = tmp_path / "rigs" / name / "log"
        folder.mkdir(parents=True)
        (folder / "2026-07-14.csv").write_bytes(fixture.log(fixture.rows(range(9), packs=packs)))
    assert "4 packs" in drawn(tmp_path / "rigs", capsys, "--rig", "right")


def test_copies_are_read_and_strangers_named(tmp_path, capsys):
    rows = fixture.rows(range(10, 60))
    (tmp_path / "2026-07-14 (2).csv").write_bytes(fixture.log(rows))
    (tmp_path / "2026-07-15 - Copie.csv").write_bytes(
        fixture.log(fixture.rows(range(9), fixture.START.replace(day=15)), ";")
    )
    (tmp_path / "pictures.csv").write_bytes(b"name")
    (tmp_path / "2026-07-14.xlsx").write_bytes(b"PK")
    said = drawn(tmp_path, capsys)
    assert "Night of Wednesday 15 July 2026" in said
    assert "Other files: pictures.csv, not read, its name has neither day nor boot" in said
    assert "Other files: 2026-07-14.xlsx, not read, a spreadsheet's own format" in said
    assert "Night of Tuesday 14 July" in drawn(tmp_path, capsys, "--night", "2026-07-14")


def test_only_the_logs_of_the_night_are_read(card, capsys, tmp_path):
    said = drawn(card, capsys)
    assert "2026-07-16.csv (" in said and "2026-07-14.csv (" not in said
    assert "boot-0002.csv (" in said and "boot-0001.csv (" not in said


@pytest.mark.parametrize("language, night_words", [("en", "Night of"), ("fr", "Nuit du")])
def test_what_is_printed_is_a_page_a_night(tmp_path, capsys, language, night_words):
    """In local time: 20:00 UTC on 14 July is 22:00 in France."""
    zone = about("aa01", "left").replace("UTC0", "CET-1CEST,M3.5.0,M10.5.0/3")
    label = "# battery 2; id A-7; label <bass>"
    packs = tuple(range(1, 17))
    for day in (14, 15):
        rows = fixture.rows(range(10, 3600, 10), fixture.START.replace(day=day), packs)
        trip = f"2026-07-{day}T20:30:00Z,1800000,3,27000,0,tripped,0,0"
        data = fixture.log([zone, label, *rows[:2864], trip, *rows[2864:]])
        (tmp_path / f"2026-07-{day}.csv").write_bytes(data)
    drawn(tmp_path, capsys, "--night", "all", "--language", language)
    with sync_playwright() as playwright:
        browser = launch(playwright)
        page = browser.new_page()
        page.set_default_timeout(200000)
        page.goto((tmp_path / "night.html").as_uri())
        assert page.locator(".sheet:visible").count() == 0
        page.emulate_media(media="print")
        titles = page.locator(".sheet h1:visible").all_inner_texts()
        assert len(titles) == 2 and all(night_words in title for title in titles), titles
        assert page.locator("body > :not(.sheet):visible").count() == 0
        text = page.locator(".sheet").first.inner_text()
        assert "<bass> · A-7" in text and "UTC+2" in text and "22:30:00" in text, text
        pdf = page.pdf(prefer_css_page_size=True)
        assert len(re.findall(rb"/Type\s*/Page[^s]", pdf)) == 2
        browser.close()
