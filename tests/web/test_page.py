# SPDX-License-Identifier: GPL-3.0-only
"""The page in Chromium: phone and desktop, light and dark, English and French.

With SOAK=1 in all eight looks.
"""

import contextlib
import re
import socket
import threading

import pytest
from playwright.sync_api import expect

from conftest import DESKTOP, LOOKS, PHONE, PICTURES
from rigs import PASSWORD, Rig, started
from test_live import Stream
from views import faults

# Contrast of every visible text with what is behind it (WCAG 2.1, 1.4.3), worst first.
CONTRAST = """() => {
  const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].reduce((sum, v, i) => {
    v /= 255;
    const linear = v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
    return sum + [.2126, .7152, .0722][i] * linear;
  }, 0);
  const behind = (element) => {
    for (; element; element = element.parentElement) {
      const color = rgb(getComputedStyle(element).backgroundColor);
      if (color.length === 3 || color[3] === 1) return color;
    }
    return [255, 255, 255];
  };
  return [...document.querySelectorAll("body *")].filter((element) => element.checkVisibility()
    && !element.disabled
    && [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim()))
    .map((element) => {
      const front = light(rgb(getComputedStyle(element).color));
      const back = light(behind(element));
      const ratio = (Math.max(front, back) + .05) / (Math.min(front, back) + .05);
      return [ratio, element.textContent];
    }).sort((a, b) => a[0] - b[0]);
}"""

HALF = "charge 63 4 1830 11400 10500 12600 - - 7"
CHARGES = (
    ("idle", "charge 98 2 2860 - - - - - -", "98 % ± 2, 2.9 kWh left"),
    ("load 4200", HALF, "63 % ± 4, about 3 h 10 at this load, until "),
    ("load 4200", "charge 55 22 1500 9000 4200 15000 - - 3", "55 % ± 22, at least 1 h 10 "),
    ("load 4200", "charge 7 5 230 861 0 2429 - - 15", "7 % ± 5, at most 40 min at this load"),
    ("load 4200", "charge 7 5 230 861 0 - - - 15", "7 % ± 5, it may end within minutes"),
    ("load -4000", "charge 71 5 2000 - - - 6600 8900 -", "71 % ± 5, full in 1 h 50 to 2 h 30"),
    ("load -400", "charge 97 5 2000 - - - 0 8900 -", "97 % ± 5, full within 2 h 30"),
    ("load -400", "charge 100 5 2000 - - - 0 8900 -", "100 % ± 5, full"),
    ("idle", "charge - - - - - - - - -", "Charge: not known yet"),
    ("idle", "charge", "Charge: enter the capacity of the batteries in Settings."),
)
"""Commands of the rig, and how the headline begins."""


def card(page, n):
    return page.locator(f"#battery-{n}")


def key(page, n, action):
    return card(page, n).locator(f"[data-action={action}]")


def log_in(page):
    page.locator("#password").fill(PASSWORD)
    page.keyboard.press("Enter")


@LOOKS
def test_everything_is_shown(visit, viewport, scheme, language):
    for rig in started(PASSWORD, language):
        rig.tell(HALF)
        page = visit(rig, viewport, scheme, language=language)
        name = f"{language}-{scheme}-{viewport['width']}"
        PICTURES.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=PICTURES / f"calm-{name}.png")
        calm = {"en": "No alarm", "fr": "Aucune alarme"}[language]
        expect(page.locator("#next")).to_have_text(calm)
        rig.tell("trip 5", "lock 11", "lose 14", "wait 2", "alarm stuck_closed 3", "hold 9")
        expect(page.locator("#notices li")).to_have_count(4)

        expect(page.locator("article")).to_have_count(16)
        words = {
            "en": ["on", "waiting", "tripped", "out of control", "locked", "absent"],
            "fr": ["en service", "en attente", "coupée par sécurité", "hors de contrôle"]
            + ["verrouillée", "absente"],
        }[language]
        for n, word in zip((1, 2, 5, 9, 11, 14), words, strict=True):
            expect(card(page, n).locator("[data-f=state]")).to_have_text(word)
        reason = {
            "en": "Too much current for too long.",
            "fr": "Courant trop fort trop longtemps.",
        }
        expect(card(page, 5).locator("[data-f=reason]")).to_have_text(reason[language])
        countdown = {"en": r"Tries again in \d+ s\.", "fr": r"Nouvel essai dans \d+ s\."}[language]
        expect(card(page, 5).locator("[data-f=eta]")).to_have_text(re.compile(countdown))
        clears = {"en": "Find the cause, then press Reset.", "fr": "appuyez sur Réarmer"}[language]
        expect(card(page, 11).locator("[data-f=clears]")).to_contain_text(clears)
        expect(card(page, 3).locator("[data-f=label]")).to_have_text("Stage <left>")
        expect(card(page, 14).locator("[data-f=voltage]")).to_have_text("– V")
        decimal = {"en": r"26\.\d\d V", "fr": r"26,\d\d V"}[language]
        expect(card(page, 1).locator("[data-f=voltage]")).to_have_text(re.compile(decimal))
        flow = {"en": "discharging", "fr": "décharge"}[language]
        expect(card(page, 1).locator("[data-f=flow]")).to_have_text(flow)
        assert page.locator("[data-f=rank]:not(:empty)").all_text_contents() in (
            ["max", "min"], ["min", "max"],
        )  # fmt: skip
        assert page.evaluate("document.documentElement.lang") == language

        assert page.evaluate("document.documentElement.scrollWidth") == viewport["width"]
        contrast = page.evaluate(CONTRAST)
        assert len(contrast) > 100
        assert contrast[0][0] >= 4.5, contrast[:3]
        small = page.evaluate(
            "[...document.querySelectorAll('button, #tiles a')].filter(e => e.checkVisibility())"
            ".map(e => [e.getBoundingClientRect(), e.textContent])"
            ".filter(([r]) => r.width < 44 || r.height < 44)"
        )
        assert small == []
        page.screenshot(path=PICTURES / f"trouble-{name}.png")
        page.screenshot(path=PICTURES / f"trouble-{name}-full.png", full_page=True)


@pytest.mark.parametrize(("scheme", "language"), [("light", "en"), ("dark", "fr")])
def test_everything_that_a_dark_rig_asks_for_is_in_sight(visit, scheme, language):
    wanted = {
        "empty": {"en": "Empty: plug the charger in.", "fr": "Vide : branchez le chargeur."},
        "locked": {"en": "then reset the output", "fr": "réarmez la sortie"},
        "silent": {
            "en": "not under control: batteries 5–8",
            "fr": "hors de contrôle : batteries 5–8",
        },
        "trial": {"en": "with trouble: batteries 9–16", "fr": "avec un problème : batteries 9–16"},
    }
    every = range(1, 17)
    told = {
        "empty": ["alarm rig_empty", *(f"put {n} tripped undervoltage" for n in every)],
        "locked": ["alarm bus_overload", *(f"put {n} waiting bus_overload" for n in every)],
        "silent": [
            "unplug 2",
            *(f"put {n} waiting doubtful_bus" for n in every if not 5 <= n <= 8),
        ],
        "trial": [f"put {n} {'on trial' if n < 9 else 'tripped undervoltage'}" for n in every],
    }
    for rig in started(PASSWORD, language):
        page = visit(rig, PHONE, scheme, language=language)
        for what, commands in told.items():
            rig.tell("calm", *commands)
            verdict = page.locator("#verdict")
            expect(verdict).to_contain_text(wanted[what][language].replace(" :", "\u00a0:"))
            box = verdict.bounding_box()
            assert box["y"] + box["height"] < PHONE["height"] / 3
            assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
            assert page.evaluate(CONTRAST)[0][0] >= 4.5
            page.screenshot(path=PICTURES / f"{what}-{language}-{scheme}-360.png", full_page=True)


def test_batteries_alike_are_one_line_and_danger_comes_first(visit, rig):
    page = visit(rig)
    rig.tell("trip 5", "trip 7", "trip 6", "trip 2", "lock 11", "alarm low_soon 3", "heat 3")
    rig.tell("alarm clock_unset", "alarm sd_absent", "alarm rig_empty", "alarm address_alias 9")
    rig.tell("alarm uncontrolled 12", "alarm bus_overload")
    notices = page.locator("#notices li")
    expect(notices.locator("a")).to_have_text([
        re.compile("^Battery 12 may still be connected"),
        re.compile("^Battery 9 stays off: "),
        re.compile("^The output is overloaded again and again"),
        re.compile("^Empty: plug the charger in"),
        "Too much current for too long: batteries 2, 5–7",
        "Battery 11 locked: far too much current",
        "Nearly empty: battery 3.",
        "No SD card: nothing is logged.",
        re.compile("^The time is not known"),
    ])  # fmt: skip
    looks = notices.evaluate_all("items => items.map(item => item.className)")
    assert looks == ["danger"] * 3 + ["trouble"] * 5 + ["note"]
    expect(page.locator("#trouble-count")).to_have_text("12")


def test_batteries_that_are_all_alike_are_counted(visit, rig):
    rig.tell("lose 16", *(f"put {n} tripped undervoltage" for n in range(1, 16)))
    page = visit(rig)
    expect(page.locator("#notices li")).to_have_text(["15 batteries: voltage too low"])
    expect(page.locator("#next")).to_contain_text("Plug the charger in")


def test_sixteen_healthy_batteries_fit_a_desktop(visit, rig):
    rig.tell(HALF)
    page = visit(rig, DESKTOP)
    expect(page.locator("#battery-1")).to_contain_text("63 % ± 4")
    assert page.locator("#battery-16").bounding_box()["y"] + 100 < DESKTOP["height"]


@pytest.mark.parametrize("viewport", (PHONE, DESKTOP), ids=("phone", "desktop"))
def test_how_much_is_left_and_for_how_long(visit, rig, viewport):
    page = visit(rig, viewport)
    for *commands, told in CHARGES:
        rig.tell(*commands)
        expect(page.locator("#left")).to_have_text(re.compile(told.replace(" ", r"\s")))
        known = told[0].isdigit()
        expect(page.locator("#gauge")).to_be_visible(visible=known)
        if known:  # neither lies on the other
            text, bar = (page.locator(place).bounding_box() for place in ("#left", "#gauge"))
            below = bar["y"] >= text["y"] + text["height"] - 1
            assert below or bar["x"] >= text["x"] + text["width"], (text, bar)


def test_the_charge_of_each_battery(visit, rig):
    rig.tell(HALF, "freeze")
    page = visit(rig)
    expect(card(page, 3)).to_contain_text("65 % ± 4")
    expect(card(page, 1)).not_to_contain_text("capacity")
    rig.tell("tire 78")
    page.reload()
    expect(card(page, 1)).to_contain_text("capacity 78 %")
    rig.tell("charge - - - - - - - - -")
    expect(card(page, 3)).not_to_contain_text("%")
    expect(card(page, 3).locator(".gauge")).to_be_hidden()


def test_another_battery_is_told_on_its_card(visit, rig):
    page = visit(rig)
    key = page.locator("#exchanged")

    def offered(n):
        card(page, n).locator(".pen").click()
        expect(page.locator("#rename")).to_be_visible()
        seen = key.is_visible()
        page.locator("#rename").get_by_role("button", name="Cancel").click()
        expect(page.locator("#rename")).to_be_hidden()
        return seen

    assert not offered(3)
    rig.tell("charge 63 4 1830 11400 10500 12600 - - 7")
    expect(card(page, 3)).to_contain_text("65 % ± 4")
    assert not offered(3), "while it gives current"
    rig.tell("idle", "freeze")
    expect(card(page, 3).locator("[data-f=current]")).to_have_text("0.0 A")
    card(page, 3).locator(".pen").click()
    key.click()
    expect(page.locator("#ask-text")).to_contain_text("in the place of battery 3 now?")
    page.locator("#ask-yes").click()
    log_in(page)
    expect(card(page, 3).locator("[data-f=soc]")).to_have_text("", timeout=20000)
    session = rig.login("127.0.0.9")
    assert rig.ask("PATCH", "/api/settings", {"batteries.4.id": "A-7"}, **session)[0] == 200
    page.reload()
    expect(card(page, 4).locator("[data-f=label]")).to_have_text("A-7")
    assert not offered(4), "its id says which battery it is"
    expect(card(page, 3).locator("[data-f=label]")).to_have_text("Stage <left>")


def test_a_trip_is_seen(visit, rig):
    page = visit(rig)
    page.wait_for_timeout(1200)
    for n, said in ((5, "Battery 5 tripped"), (12, "batteries 5, 12")):
        rig.tell(f"trip {n}")
        expect(card(page, n)).to_have_class("tripped trouble")
        expect(page.locator("#tiles a").nth(n - 1)).to_have_class("tripped trouble")
        expect(page.locator("#notices")).to_contain_text(said)
    assert page.locator("#tiles a").nth(4).bounding_box()["y"] < PHONE["height"] - 48


def test_log_in_and_switch_off(visit, rig):
    page = visit(rig)
    key(page, 3, "off").click()
    expect(page.locator("#ask")).to_be_visible()
    expect(page.locator("#ask-text")).to_contain_text("battery 3")
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#ask")).to_be_hidden()
    assert rig.ask("GET", "/api/state")[2]["batteries"][2]["state"] == "on"

    key(page, 3, "off").click()
    page.get_by_role("button", name="Switch off").click()
    expect(page.locator("#gate")).to_be_visible()
    page.locator("#password").fill("wrong")
    page.keyboard.press("Enter")
    expect(page.locator("#gate-error")).to_have_text("Wrong password.")
    log_in(page)
    expect(page.locator("#gate")).to_be_hidden()
    expect(card(page, 3).locator("[data-f=state]")).to_have_text("off")
    expect(key(page, 3, "off")).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#account")).to_have_text("Log out")

    key(page, 3, "auto").click()
    expect(card(page, 3).locator("[data-f=state]")).to_have_text("on")
    page.locator("#account").click()
    expect(page.locator("#account")).to_have_text("Log in")
    assert page.context.cookies() == []


def test_a_battery_without_current_goes_off_unasked(visit, rig):
    rig.tell("wait 2")
    page = visit(rig)
    page.locator("#account").click()
    log_in(page)
    expect(page.locator("#account")).to_have_text("Log out")
    key(page, 2, "off").click()
    expect(card(page, 2).locator("[data-f=state]")).to_have_text("off")
    expect(page.locator("#ask")).to_be_hidden()


def test_what_is_tapped_while_the_password_is_checked_waits_for_it(visit, rig):
    rig.tell("wait 2")
    page = visit(rig)
    checked = []
    page.route("**/api/login", lambda route: checked.append(route))
    page.locator("#account").click()
    log_in(page)
    expect(page.locator("#gate")).to_be_hidden()
    with page.expect_response("**/api/batteries/2/off") as asked:
        key(page, 2, "off").click()
    assert asked.value.status == 401
    page.wait_for_timeout(100)
    checked[0].continue_()
    expect(card(page, 2).locator("[data-f=state]")).to_have_text("off")
    expect(page.locator("#gate")).to_be_hidden()


def test_refusals_in_words(visit, rig):
    page = visit(rig)
    page.locator("#account").click()
    log_in(page)
    expect(page.locator("#account")).to_have_text("Log out")
    rig.tell("wait 2", "busy")
    expect(card(page, 2)).to_have_class("waiting")
    key(page, 2, "on").click()
    expect(page.locator("#toast")).to_have_text("The controller is busy. Try again in a second.")
    page.locator("#language").click()
    expect(page.locator("#language")).to_have_text("English")
    key(page, 2, "on").click()
    expect(page.locator("#toast")).to_contain_text("Le contrôleur est occupé.")


def test_lock_and_reset(visit, rig):
    rig.tell("lock 4")
    page = visit(rig)
    expect(key(page, 4, "auto")).to_be_hidden()
    expect(key(page, 4, "on")).to_be_hidden()
    key(page, 4, "reset").click()
    log_in(page)
    expect(card(page, 4).locator("[data-f=state]")).to_have_text("on")
    expect(key(page, 4, "reset")).to_be_hidden()


def test_reset_of_the_bus(visit, rig):
    page = visit(rig)
    expect(page.get_by_role("button", name="Reset the output")).to_be_hidden()
    rig.tell("alarm bus_overload")
    expect(page.locator("#notices")).to_contain_text("overloaded again and again")
    page.get_by_role("button", name="Reset the output").click()
    log_in(page)
    expect(page.locator("#next")).to_have_text("No alarm")
    expect(page.get_by_role("button", name="Reset the output")).to_be_hidden()


def test_a_board_that_hangs_on_nothing(visit, rig):
    page = visit(rig)
    expect(page.locator("#boards button:visible")).to_have_count(0)
    rig.tell("unplug 2")
    key = page.get_by_role("button", name="Board 2 is disconnected")
    key.click()
    expect(page.locator("#ask-text")).to_contain_text("fuses or plugs of batteries 5–8")
    page.get_by_role("button", name="Cancel").click()
    assert rig.ask("GET", "/api/state")[2]["batteries"][4]["state"] == "uncontrolled"
    key.click()
    page.locator("#ask-yes").click()
    log_in(page)
    expect(card(page, 5).locator("[data-f=state]")).to_have_text("absent")
    expect(page.locator("#boards button:visible")).to_have_count(0)

    rig.tell("hold 9")
    page.get_by_role("button", name="Board 3 is disconnected").click()
    page.locator("#ask-yes").click()
    expect(page.locator("#toast")).to_contain_text("Board 3 or one of its sensors still answers.")
    page.locator("#language").click()
    expect(page.get_by_role("button", name="Carte 3 débranchée")).to_be_visible()


def test_a_rig_that_waits_says_that_it_is_not_off(visit, rig):
    page = visit(rig)
    armed = page.locator("#armed")
    for n in range(1, 17):
        expect(armed).to_be_hidden()
        rig.tell(f"wait {n}")
    expect(armed).to_have_text("Not off: the output may come on at any time. Only Off is off.")
    session = rig.login()
    assert rig.ask("POST", "/api/batteries/all/off", **session)[0] == 202
    expect(armed).to_be_hidden()


def test_read_only_without_a_password(visit, open_rig):
    page = visit(open_rig)
    expect(page.locator("#read-only")).to_contain_text("Open /setup on the")
    expect(page.locator("#account")).to_be_hidden()
    assert page.locator("article button:visible").count() == 0


def test_old_data_are_marked(visit, rig):
    page = visit(rig)
    page.wait_for_timeout(1500)
    expect(page.locator("#stale")).to_be_hidden()
    rig.tell("freeze")
    expect(page.locator("#stale")).to_be_visible(timeout=5500)
    expect(page.locator("#stale")).to_contain_text("older than 3 s")
    expect(page.locator("#verdict b")).to_have_text("State not known")
    assert faults(page) == []
    rig.tell("run")
    expect(page.locator("#stale")).to_be_hidden(timeout=3000)
    expect(page.locator("#verdict b")).to_have_text("Everything works")


def test_the_page_comes_back_after_a_restart_of_the_rig(visit):
    first = Rig(PASSWORD)
    page = visit(first)
    first.stop()
    expect(page.locator("#stale")).to_be_visible(timeout=6000)
    second = Rig(PASSWORD, "en", first.port)
    try:
        second.tell("trip 7")
        expect(card(page, 7)).to_have_class("tripped trouble")
        expect(page.locator("#stale")).to_be_hidden()
    finally:
        second.stop()


class Proxy:
    """Stands between browser and rig; `stalled`, it swallows everything like a dead radio link."""

    def __init__(self, port):
        self._port = port
        self.stalled = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            client = self._listener.accept()[0]
            rig = socket.create_connection(("127.0.0.1", self._port))
            for ends in ((client, rig), (rig, client)):
                threading.Thread(target=self._carry, args=ends, daemon=True).start()

    def _carry(self, source, target):
        stalled = self.stalled
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                stalled |= self.stalled  # a connection never recovers
                if not stalled:
                    target.sendall(data)
        target.close()


def test_the_page_gets_over_a_dead_radio_link(visit, rig):
    proxy = Proxy(rig.port)
    page = visit(proxy)
    page.wait_for_timeout(1500)
    proxy.stalled = True
    expect(page.locator("#stale")).to_be_visible(timeout=6000)
    proxy.stalled = False
    rig.tell("trip 8")
    expect(card(page, 8)).to_have_class("tripped trouble")
    expect(page.locator("#stale")).to_be_hidden()


def test_polls_when_all_streams_are_taken(visit, rig):
    streams = [Stream(rig).skip_opening() for _ in range(4)]
    page = visit(rig)
    rig.tell("trip 6")
    expect(card(page, 6)).to_have_class("tripped trouble")
    page.wait_for_timeout(4000)
    expect(page.locator("#stale")).to_be_hidden()
    for stream in streams:
        stream.close()


def test_the_language_is_remembered(visit, rig):
    page = visit(rig)
    page.locator("#language").click()
    expect(page.locator("#next")).to_have_text("Aucune alarme")
    page.reload()
    expect(page.locator("#next")).to_have_text("Aucune alarme")
    expect(page.locator("#language")).to_have_text("English")


def test_by_keyboard_alone(visit, rig):
    page = visit(rig, DESKTOP)
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.ariaLabel") == "Battery 2: Off":
            break
    page.keyboard.press("Enter")
    expect(page.locator("#ask")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#ask")).to_be_hidden()
    assert rig.ask("GET", "/api/state")[2]["batteries"][1]["state"] == "on"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#gate")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#gate")).to_be_hidden()


def test_a_question_asked_again_at_once(visit, rig):
    page = visit(rig, DESKTOP)
    page.evaluate(
        """() => {
            const off = document.querySelector('[aria-label="Battery 2: Off"]');
            off.click();
            document.getElementById("ask").close("no");
            off.click();
        }"""
    )
    page.wait_for_timeout(200)
    page.locator("#ask-yes").click()
    expect(page.locator("#gate")).to_be_visible()
    page.keyboard.press("Escape")


def test_for_the_ear(visit, rig):
    page = visit(rig)
    names = page.evaluate("[...document.querySelectorAll('article button')].map(e => e.ariaLabel)")
    assert len(set(names)) == len(names) == 80
    assert "Battery 16: Reset" in names
    assert page.locator("#notices").get_attribute("aria-live") == "assertive"
    assert page.locator("#toast").get_attribute("role") == "status"
    rig.tell("trip 5")
    expect(page.locator("#notices")).to_contain_text("Battery 5")
    page.evaluate(
        "window.changes = 0; new MutationObserver(() => window.changes++)"
        ".observe(document.getElementById('notices'), {subtree: true, childList: true})"
    )
    page.wait_for_timeout(2500)
    assert page.evaluate("window.changes") == 0, "an unchanged alarm is not read out again"


def test_three_requests_to_the_first_paint_and_five_to_live_data(browser, rig):
    page = browser.new_page(viewport=PHONE)
    paths = []
    page.on("request", lambda request: paths.append(request.url[len(rig.url) :]))
    page.goto(rig.url)
    page.wait_for_timeout(1000)
    own = [path for path in paths if path.startswith("/")]
    assert sorted(own[:3]) == ["/", "/app.js", "/style.css"]
    assert sorted(own[3:5]) == ["/api/live", "/messages.json?language=en"]
    assert own[5:] == ["/api/history?span=600"], "for the small curves, when all else is there"
    page.context.close()


def test_the_curve_of_the_cells(visit, rig):
    page = visit(rig)
    page.evaluate("location.hash = '#charts'")
    expect(page.locator("#curve")).to_be_hidden()
    rig.tell("charge 60 5 3000 - - - - - -")
    rig.tell("learn 0 sparse")
    page.reload()
    page.locator("#curve summary").click()
    expect(page.locator("#curve-source")).to_contain_text("the usual curve of this kind of cell")
    expect(page.locator("#curve-left")).to_contain_text("too fast")
    expect(page.locator("#curve-steps [aria-current]")).to_have_text(
        "Charge until all batteries are full. Full: none."
    )
    expect(page.locator("#curve-chart canvas")).to_be_visible()
    rig.tell("learn 37 -")
    page.reload()
    page.locator("#curve summary").click()
    expect(page.locator("#curve-steps [aria-current]")).to_contain_text("37\u00a0% has left")
    expect(page.locator("#curve-left")).to_be_empty()
    rig.tell("learn 37 own")
    page.reload()
    page.locator("#curve summary").click()
    expect(page.locator("#curve-source")).to_contain_text("learned from 2 discharges")
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=PICTURES / "curve-en-light-360.png", full_page=True)
    page.locator("#curve-forget").click()
    page.locator("#ask-yes").click()
    page.locator("#password").fill(PASSWORD)
    page.locator("#password").press("Enter")
    expect(page.locator("#curve-source")).to_contain_text("the usual curve of this kind of cell")
    expect(page.locator("#curve-forget")).to_be_hidden()


def test_a_curve_needs_a_capacity(rig):
    status, _, body = rig.ask("GET", "/api/calibration")
    assert status == 409 and body["error"]["code"] == "no_capacity"
