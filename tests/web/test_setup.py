# SPDX-License-Identifier: GPL-3.0-only
"""First use from a phone: the captive page, the first password, the batteries, the choice of the
network, the sheet to print."""

import json
import re
import subprocess

import pytest
from playwright.sync_api import expect, sync_playwright

from browser import launch
from conftest import PHONE, PICTURES
from rigs import PASSWORD, ROOT, simulated
from test_page import CONTRAST
from views import SMALL, faults

NETWORKS = {"Stage": ["night-show", -55], "Café Ouvert": ["", -72], "Mairie": ["liberte1789", -81]}
PROBE = "connectivitycheck.gstatic.com"
AIR = [
    {"at": 0, "do": "wifi_networks", "networks": NETWORKS},
    {"at": 0, "do": "wifi_clients", "count": 1, "ip": "127.0.0.1"},
]
NEW = {"settings": {"web": {"password": ""}}, "batteries": 2, "steps": AIR}
WORDS = {
    "en": {
        "first": "10 min left",
        "set": "Set the password",
        "logged": "You are logged in.",
        "save": "Save",
        "limits": "Limits: 24\u00a0V to 30\u00a0V now, 12\u00a0V to 14.8\u00a0V with this.",
        "found": "Batteries answer at 1, 2.",
        "restart": "Restart now",
        "join": "Join",
        "wrong": "Stage refuses the password.",
        "connected": "Connected to Stage. The page is at http://parallelator.local:{port} and "
        "http://127.0.0.1:{port} there. Put the phone on Stage now",
    },
    "fr": {
        "first": "il reste 10\u00a0min",
        "set": "Définir le mot de passe",
        "logged": "Vous êtes connecté.",
        "save": "Enregistrer",
        "limits": "Limites\u00a0: 24\u00a0V à 30\u00a0V actuellement, "
        "12\u00a0V à 14,8\u00a0V avec ce choix.",
        "found": "Des batteries répondent à 1, 2.",
        "restart": "Redémarrer maintenant",
        "join": "Rejoindre",
        "wrong": "Stage refuse le mot de passe.",
        "connected": "Connecté à Stage. La page s’y trouve à http://parallelator.local:{port} et "
        "http://127.0.0.1:{port}. Mettez maintenant le téléphone sur Stage",
    },
}


DECODE = """
import decodeQR from "%s";
const { size, dark } = JSON.parse(process.argv[1]);
const scale = 4, side = (size + 8) * scale;
const data = new Uint8Array(side * side * 4).fill(255);
for (const [x, y] of dark) {
  for (let i = 0; i < scale * scale; i++) {
    const at = ((y + 4) * scale + (i / scale | 0)) * side + (x + 4) * scale + i %% scale;
    data.fill(0, at * 4, at * 4 + 3);
  }
}
console.log(JSON.stringify(decodeQR({ width: side, height: side, data })));
"""


def read_code(page, place):
    """What the QR code at `place` says."""
    svg = page.locator(f"{place} svg")
    box = [int(number) for number in svg.get_attribute("viewBox").split()]
    path = svg.locator("path").get_attribute("d")
    dark = [[int(n) for n in found] for found in re.findall(r"M(\d+) (\d+)h1v1h-1z", path)]
    assert box[:2] == [-4, -4], "four modules of margin"
    module = (ROOT / "build/npm/node_modules/qr/decode.js").as_uri()
    bits = json.dumps({"size": box[2] - 8, "dark": dark})
    command = ("node", "--input-type=module", "--eval", DECODE % module, bits)
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


SOONER = """{
  const timeout = AbortSignal.timeout.bind(AbortSignal);
  AbortSignal.timeout = (ms) => timeout(ms / 4);
}"""


@pytest.fixture(scope="module")
def phone():
    """Opens a page in a browser to which the rig has said that every name is its own."""
    with sync_playwright() as playwright:
        rules = f"--host-resolver-rules=MAP {PROBE} 127.0.0.1"
        chromium = launch(playwright, rules)

        def opened(language):
            locale = {"en": "en-GB", "fr": "fr-FR"}[language]
            return chromium.new_context(viewport=PHONE, locale=locale).new_page()

        yield opened
        chromium.close()


def look(page, name):
    """Takes pictures; checks contrast, accessibility, width and the size of what is touched."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.screenshot(path=PICTURES / f"setup-{name}-{scheme}.png", full_page=True)
        assert page.evaluate(CONTRAST)[0][0] >= 4.5
    assert faults(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    small = page.evaluate(SMALL)
    assert [text for text in small if "radio" not in text and "checkbox" not in text] == []


@pytest.mark.parametrize("language", ["en", "fr"])
def test_a_new_rig_is_set_up_from_a_phone(phone, language):
    words = WORDS[language]
    with simulated(**NEW) as rig:
        page = phone(language)
        page.goto(f"http://{PROBE}:{rig.port}/generate_204")
        assert page.url == f"http://127.0.0.1:{rig.port}/setup"
        expect(page.locator("#password-hint")).to_contain_text(words["first"])
        expect(page.locator("#wifi-form")).to_be_hidden()
        look(page, f"first-{language}")

        page.locator("#password").fill(PASSWORD)
        page.get_by_role("button", name=words["set"]).click()
        expect(page.locator("#password-hint")).to_have_text(words["logged"])
        expect(page.locator("#password-form")).to_be_hidden()
        assert rig.login(), "the password is in force at once"
        assert rig.ask("GET", "/api/state")[2]["time"], "and the clock is set"

        expect(page.locator("#places-hint")).to_contain_text(words["found"])
        ticked = page.locator("#places input:checked")
        assert [tick.get_attribute("value") for tick in ticked.all()] == ["1", "2"]
        expect(page.locator("#profile")).to_have_value("nmc7")
        page.locator("#rig-name").fill("Grande scène")
        page.locator("#profile").select_option("lfp4")
        expect(page.locator("#profile-hint")).to_have_text(words["limits"])
        page.locator("#capacity").fill("12,5")
        page.locator("#places label", has_text=re.compile("^3$")).click()
        look(page, f"batteries-{language}")
        page.get_by_role("button", name=words["save"]).click()
        expect(page.locator("#batteries-title")).to_contain_text("✓")
        expect(page.locator("#title")).to_have_text("Grande scène")
        shown = rig.ask("GET", "/api/settings")[2]["values"]
        modes = [shown[f"batteries.{n}.mode"] for n in range(1, 17)]
        assert modes == ["auto"] * 3 + ["unused"] * 13
        assert shown["pack.chemistry"] == "lfp" and shown["limits.max_voltage_mv"] == 14800
        assert (shown["pack.capacity_mah"], shown["name"]) == (12500, "Grande scène")
        expect(page.get_by_role("button", name=words["restart"])).to_be_visible()

        names = page.locator("#networks label span")
        expect(names).to_have_count(4)
        assert names.all_text_contents()[:3] == ["Stage", "Café Ouvert", "Mairie"]
        page.get_by_text("Café Ouvert").click()
        expect(page.locator("#key")).to_be_hidden()
        page.get_by_text("Stage", exact=True).click()
        page.locator("#key").fill("wrong-one")
        look(page, f"networks-{language}")
        page.get_by_role("button", name=words["join"]).click()
        expect(page.locator("#wifi-hint")).to_contain_text(words["wrong"])
        expect(page.locator("#wifi-hint")).to_have_class("error")
        look(page, f"wrong-{language}")
        page.locator("#key").fill(NETWORKS["Stage"][0])
        page.get_by_role("button", name=words["join"]).click()
        expect(page.locator("#wifi-hint")).to_contain_text(
            words["connected"].format(port=rig.port)
        )
        look(page, f"joined-{language}")

        page.locator("#sheet-open").click()
        expect(page.locator("#sheet-page svg")).to_be_visible()
        look(page, f"sheet-{language}")
        assert read_code(page, "#sheet-wifi") == "WIFI:T:WPA;P:night-show;S:Stage;;"
        assert read_code(page, "#sheet-page") == f"http://parallelator.local:{rig.port}"
        page.locator("#sheet-key").fill('a;b:"c\\d')
        expect(page.locator("#sheet-wifi")).to_be_visible()
        assert read_code(page, "#sheet-wifi") == 'WIFI:T:WPA;P:a\\;b\\:\\"c\\\\d;S:Stage;;'
        page.emulate_media(media="print")
        for part in ("#sheet-wifi", "#sheet-page", "#title"):
            expect(page.locator(part)).to_be_visible()
        for part in ("#wifi-form", "#sheet-key", "#sheet-print", "#batteries", ".way"):
            expect(page.locator(part)).to_be_hidden()
        page.emulate_media(media="screen")

        kept = json.loads((rig.folder / "flash/config.json").read_text())
        assert kept["wifi"]["ssid"] == "Stage" and kept["wifi"]["password"] == "night-show"
        assert kept["web"]["password"].startswith("pbkdf2$")
        codes = [event["code"] for event in rig.ask("GET", "/api/events")[2]["events"]]
        assert [code for code in codes if code.startswith("wifi")][:3] == [
            *("wifi_ap", "wifi_password", "wifi_up"),
        ]  # fmt: skip
        page.locator(".way").click()
        expect(page.locator("#voltage")).to_have_text(re.compile("V$"))
        page.context.close()


def test_the_language_can_be_changed(phone, open_rig):
    open_rig.tell("setup 125", "ap 127.0.0.1")
    page = phone("en")
    page.goto(open_rig.url + "/setup")
    expect(page.locator("#password-hint")).to_contain_text("3 min left")
    page.locator("#language").click()
    expect(page.locator("#password-hint")).to_contain_text("il reste 3\u00a0min")
    assert page.evaluate("document.documentElement.lang") == "fr"
    page.reload()
    expect(page.locator("#wifi-hint")).to_contain_text("Connecté à")
    page.context.close()


def test_the_first_page_leads_to_the_set_up(phone, open_rig):
    open_rig.tell("setup 600", "ap 127.0.0.1")
    page = phone("en")
    page.goto(open_rig.url)
    expect(page.locator("#to-setup")).to_be_in_viewport(ratio=1)
    page.locator("#to-setup").click()
    page.locator("#password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.locator("#rig-name")).to_be_focused()
    page.goto(open_rig.url + "/#rig")
    expect(page.locator("#connected")).to_be_visible()
    expect(page.locator("#to-setup")).to_be_hidden()
    page.context.close()


def test_networks_are_looked_for_without_being_asked(phone):
    with simulated(**NEW | {"steps": AIR[1:]}) as rig:
        page = phone("en")
        page.goto(rig.url + "/setup")
        page.locator("#password").fill(PASSWORD)
        with page.expect_request("**/api/wifi/scan"):
            page.keyboard.press("Enter")
        page.context.close()


def test_a_set_up_rig_keeps_its_places(phone, rig):
    session = rig.login()
    body = {"batteries.16.mode": "unused", "batteries.2.mode": "off", "pack.capacity_mah": 7500}
    assert rig.ask("PATCH", "/api/settings", body, **session)[0] == 200
    rig.tell("lose 5")
    page = phone("fr")
    page.goto(rig.url + "/setup")
    page.locator("#password").fill(PASSWORD)
    page.keyboard.press("Enter")
    ticked = page.locator("#places input:checked")
    expect(ticked).to_have_count(15)
    expect(page.locator("#capacity")).to_have_value("7,5")
    page.locator("#profile").select_option("lead6")
    expect(page.locator("#capacity")).to_be_disabled()
    page.locator("#rig-name").fill("x" * 24)
    page.get_by_role("button", name="Enregistrer").click()
    expect(page.locator("#batteries-title")).to_contain_text("✓")
    shown = rig.ask("GET", "/api/settings")[2]["values"]
    assert shown["batteries.2.mode"] == "off" and shown["batteries.5.mode"] == "auto"
    assert shown["batteries.16.mode"] == "unused"
    assert shown["pack.capacity_mah"] == 0 and shown["limits.min_voltage_mv"] == 11400
    page.locator("#rig-name").fill(" x")
    page.get_by_role("button", name="Enregistrer").click()
    expect(page.locator("#batteries-error")).to_contain_text("Un nom a de 1 à 24 caractères.")
    page.context.close()


def test_a_phone_that_has_lost_the_rig_is_told(phone, open_rig):
    page = phone("en")
    page.add_init_script(SOONER)
    page.goto(open_rig.url + "/setup")
    expect(page.locator("#wifi-hint")).to_contain_text("Connected to")
    page.route("**/api/*", lambda route: None)
    expect(page.locator("#wifi-hint")).to_contain_text("does not answer")
    page.unroute("**/api/*")
    expect(page.locator("#wifi-hint")).to_contain_text("Connected to")
    page.context.close()


def test_a_first_password_is_taken_in_its_window_only(open_rig):
    addresses = iter(range(2, 99))

    def ask(password="first-one", **headers):
        body = {"password": password}
        source = f"127.0.0.{next(addresses)}"  # five tries a minute and client
        status, _, answer = open_rig.ask("POST", "/api/setup", body, source, **headers)
        return status, answer.get("error", {}).get("code")

    assert ask() == (403, "setup_over")
    open_rig.tell("setup 1")
    assert open_rig.ask("GET", "/api/wifi")[2]["setup_s"] == 0
    assert ask() == (403, "setup_over"), "whoever is on another network is not there"
    open_rig.tell("ap 127.0.0.1")
    assert open_rig.ask("GET", "/api/wifi")[2]["setup_s"] == 1
    assert ask(Origin="http://evil.example") == (403, "origin")
    for wrong in ("", 7, None):
        assert ask(wrong) == (400, "body")
    for wrong in ("x" * 7, "x" * 81, " first-one", "first\u200bone"):
        assert ask(wrong) == (422, "settings"), wrong
    assert open_rig.ask("GET", "/api/state")[2]["writable"] is False


def test_who_sets_the_first_password_is_logged_in(open_rig):
    open_rig.tell("setup 600", "ap 127.0.0.1")
    status, headers, answer = open_rig.ask("POST", "/api/setup", {"password": "first-one"})
    assert (status, answer["logged_in"]) == (200, True)
    session = {"Authorization": "Bearer " + answer["token"]}
    assert open_rig.ask("POST", "/api/wifi/scan", **session)[0] == 202
    assert open_rig.ask("GET", "/api/wifi")[2]["scanning"] is True
    assert open_rig.ask("GET", "/api/wifi")[2]["setup_s"] == 0
    assert open_rig.ask("POST", "/api/setup", {"password": "second-one"})[0] == 403
    assert open_rig.ask("POST", "/api/login", {"password": "first-one"})[0] == 200


def test_boot_held_for_ten_seconds_is_the_way_back_from_a_lost_password(phone, rig):
    session = rig.login()
    assert rig.ask("POST", "/api/batteries/5/off", **session)[0] == 202
    page = phone("en")
    page.goto(rig.url + "/setup")
    expect(page.locator("#password-hint")).to_contain_text("There is a password.")
    rig.tell("hold-boot")
    expect(page.locator("#password-hint")).to_contain_text("10 min left")
    rig.tell("free-boot")
    events = [event["code"] for event in rig.ask("GET", "/api/events")[2]["events"]]
    assert events.count("setup_opened") == 1
    page.locator("#password").fill("short")
    page.get_by_role("button", name="Set the password").click()
    expect(page.locator("#password-error")).to_contain_text("8 to 80 characters")
    page.locator("#password").fill("a-new-one")
    page.get_by_role("button", name="Set the password").click()
    expect(page.locator("#password-hint")).to_have_text("You are logged in.")
    assert rig.ask("GET", "/api/wifi")[2]["setup_s"] == 0, "once is enough"
    assert rig.ask("POST", "/api/login", {"password": "a-new-one"})[0] == 200
    assert rig.ask("POST", "/api/bus/reset", **session)[0] == 401, "old sessions end"
    state = rig.ask("GET", "/api/state")[2]
    assert state["batteries"][4]["wish"] == "off" and state["name"] == "Fake rig"
    page.context.close()


def test_only_a_phone_that_asks_for_somebody_else_is_led_to_the_page(rig):
    def led(host, method="GET", path="/generate_204"):
        status, headers, _ = rig.ask(method, path, Host=host)
        return headers.get("Location") if status == 302 else status

    away = ("captive.apple.com", "www.msftconnecttest.com:80", "example.org")
    assert [led(host) for host in away] == [404] * 3
    rig.tell("ap 127.0.0.1")
    assert [led(host) for host in away] == [f"http://127.0.0.1:{rig.port}/setup"] * 3
    assert led("captive.apple.com", path="/") == f"http://127.0.0.1:{rig.port}/setup"
    ours = (
        "127.0.0.1",
        f"127.0.0.1:{rig.port}",
        "192.168.1.23",
        "Parallelator.local",
        "localhost",
    )
    assert [led(host, path="/api/state") for host in ours] == [200] * 5
    assert led("captive.apple.com", "POST", "/api/login") == 403
    rig.tell("ap 192.168.4.1")
    assert led("captive.apple.com") == 404, "it is not on the access point"
