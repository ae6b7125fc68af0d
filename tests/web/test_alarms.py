# SPDX-License-Identifier: GPL-3.0-only
"""The first screen: what is wrong, how bad it is, what to do; and the keys for all batteries."""

import re

import pytest
from playwright.sync_api import expect

from conftest import DESKTOP, PHONE
from rigs import PASSWORD, simulated, started
from views import faults

SOUND = """
window.tones = 0;
window.AudioContext = class {
  currentTime = 0;
  resume() {}
  createOscillator() {
    return { frequency: {}, connect() {}, start() { window.tones++; }, stop() {} };
  }
};
"""
SHIFTS = """() => {
  window.shifted = 0;
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) window.shifted += entry.value;
  }).observe({ type: "layout-shift" });
}"""
EVERY = range(1, 17)


def log_in(page):
    page.locator("#password").fill(PASSWORD)
    page.keyboard.press("Enter")


def enter(page):
    page.locator("#account").click()
    log_in(page)
    expect(page.locator("#account")).to_have_text("Log out")


def hold(page, ms):
    page.locator("#all-off").hover()
    page.mouse.down()
    page.wait_for_timeout(ms)
    page.mouse.up()


def wishes(rig):
    return {battery["wish"] for battery in rig.ask("GET", "/api/state")[2]["batteries"]}


def in_sight(page, place):
    """True when all of it is above the tabs of a phone."""
    box = page.locator(place).bounding_box()
    return box["y"] >= 0 and box["y"] + box["height"] <= PHONE["height"] - 48


def test_the_headline_counts_what_flows_whoever_was_told(visit, rig):
    rig.tell(*(f"put {n} off operator" for n in EVERY))
    page = visit(rig)
    expect(page.locator("#verdict")).to_have_class("note")
    expect(page.locator("#verdict b")).to_have_text("Output off")
    rig.tell("put 7 locked switch_fault", "carry 7 60000", "alarm stuck_closed 7")
    verdict = page.locator("#verdict")
    expect(verdict).to_have_class("danger")
    expect(verdict.locator("b")).to_have_text("Output live, not under control: battery 7")
    expect(page.locator("#current")).to_have_text("60.0 A")
    expect(page.locator("#voltage")).to_have_text(re.compile(r"^26\.\d\d V$"))
    expect(page.locator("#power")).to_have_text(re.compile(r"^1,5\d\d W$"))
    expect(page.locator("#connected")).to_have_text("1/16 connected")
    rig.tell("lose 3")
    expect(page.locator("#tiles a").nth(2)).to_have_class("absent")
    assert page.locator("#connected").text_content() == "1/16 connected", "one is lost"
    expect(page.locator("#next")).to_contain_text("pull the fuse")
    for place in ("#verdict", "#total", "#tiles", "#all-off"):
        assert in_sight(page, place), place


@pytest.mark.parametrize("language", ("en", "fr"))
def test_is_the_stage_safe(visit, language):
    fine = {"en": "Everything works", "fr": "Tout fonctionne"}
    nearly = {"en": "Almost empty", "fr": "Presque vide"}
    told = (
        ("calm", "fine", fine),
        ("alarm clock_unset", "fine", fine),
        (
            "alarm low_soon 3",
            "trouble",
            {"en": "trouble: battery 3", "fr": "problème : batterie 3"},
        ),
        ("alarm wiring_map 4", "danger", {"en": "Danger: battery 4", "fr": "Danger : batterie 4"}),
        ("alarm safe_crash", "danger", {"en": "Safe mode", "fr": "Mode sans échec"}),
        ("hold 9", "danger", {"en": "control: battery 9", "fr": "contrôle : batterie 9"}),
        ("charge 9 3 300 9000 8000 9900 - - 7", "trouble", nearly),
        ("charge 40 4 900 2400 1799 2700 - - 7", "trouble", nearly),
        ("charge 11 4 900 2400 1800 2700 - - 7", "fine", fine),
    )
    for rig in started(PASSWORD, language):
        page = visit(rig, language=language)
        for command, look, words in told:
            rig.tell("calm", command)
            expect(page.locator("#verdict")).to_have_class(look)
            expect(page.locator("#verdict b")).to_contain_text(
                words[language].replace(" :", "\u00a0:")
            )
        rig.tell("charge 9 3 300 9000 8000 9900 - - 7", "alarm low_soon 3", "alarm low_soon 4")
        expect(page.locator("#verdict b")).to_have_text(nearly[language])
        expect(page.locator("#next")).to_contain_text({"en": "Plug", "fr": "Branchez"}[language])


def test_the_key_of_what_to_do_next(visit, rig):
    page = visit(rig)
    enter(page)
    key = page.locator("#next-key")
    expect(key).to_be_hidden()
    rig.tell("alarm sd_absent")
    expect(key).to_have_text("Logs")
    key.click()
    expect(page.locator("#view-logs")).to_be_visible()
    page.locator("#tabs [href='#rig']").click()
    rig.tell("calm", "alarm low_soon 12")
    expect(key).to_have_text("Battery 12")
    key.click()
    expect(page.locator("#battery-12")).to_be_in_viewport()
    expect(page.locator("#battery-12 [data-f=alarm]")).to_have_text("Nearly empty: battery 12.")
    expect(page.locator("#tiles a").nth(11)).to_have_class("on warned")
    rig.tell("calm", "lock 5")
    expect(key).to_have_text("Battery 5: Reset")
    key.click()
    expect(page.locator("#battery-5")).to_have_class("on")

    rig.tell("alarm rig_empty", *(f"put {n} tripped undervoltage" for n in EVERY), "freeze")
    expect(page.locator("#next")).to_have_text("Empty: plug the charger in.")
    highest = max(
        rig.ask("GET", "/api/state")[2]["batteries"], key=lambda battery: battery["voltage_mv"]
    )
    expect(key).to_have_text(f"Battery {highest['n']}: On")
    key.click()
    expect(page.locator(f"#battery-{highest['n']}")).to_have_class("on")


def test_who_may_not_change_anything_is_only_led(visit, open_rig):
    page = visit(open_rig)
    open_rig.tell("alarm bus_overload")
    expect(page.locator("#verdict")).to_have_class("danger")
    for place in ("#next-key", "#all", "#notices button"):
        expect(page.locator(place)).to_be_hidden()
    open_rig.tell("calm", "alarm low_soon 4")
    expect(page.locator("#next-key")).to_have_text("Battery 4")
    expect(page.locator("#to-setup")).to_be_visible()
    assert faults(page) == []


@pytest.mark.parametrize("language", ["en", "fr"])
def test_what_a_loss_would_pull_along_is_in_the_headline(visit, rig, language):
    follow = 1 << 4 | 1 << 8
    rig.tell("freeze", f"risk {6 << 17 | follow} 0 70")
    page = visit(rig)
    if language == "fr":
        page.locator("#language").click()
    said = {
        "en": "If battery 7 drops out, 5 and 9 are overloaded.",
        "fr": "Si la batterie 7 lâche, la 5 et la 9 passent en surcharge.",
    }[language]
    expect(page.locator("#next")).to_contain_text(said)
    expect(page.locator("#notices")).to_contain_text(said)
    enough = {"en": "Enough for 70", "fr": "Assez pour 70"}[language]
    expect(page.locator("#promise")).to_contain_text(enough)
    rig.tell("calm", f"risk 0 {17 << 17 | 0x10000 | 15} 70")
    said = {
        "en": "If board 2 drops out, the output goes dark.",
        "fr": "Si la carte 2 lâche, toute la sortie s’éteint.",
    }[language]
    expect(page.locator("#next")).to_have_text(said)
    expect(page.locator("#verdict")).to_have_class("fine")
    expect(page.locator("#then")).to_be_hidden()
    state = rig.ask("GET", "/api/state")[2]
    assert state["promise_a"] == 70 and state["n_minus_1_then"] is None, "nobody knows who ends"
    assert state["cascade"] == [{"n": None, "board": 2, "follow": [1, 2, 3, 4], "dark": True}]
    assert faults(page) == []


@pytest.mark.parametrize("language", ["en", "fr"])
def test_what_may_fail_when_the_first_battery_has_ended_is_told(visit, rig, language):
    rig.tell("charge 63 4 1830 11400 10500 12600 - - 3", "risk 0 0 1 70")
    page = visit(rig, language=language)
    said = {
        "en": "Battery 3 ends first. After that, if one more drops out, others are overloaded.",
        "fr": "La batterie 3 sera vide la première. Ensuite, si une autre lâche, il y a "
        "surcharge.",
    }[language]
    expect(page.locator("#then")).to_have_text(said)
    assert rig.ask("GET", "/api/state")[2]["n_minus_1_then"] is False
    assert b"parallelator_n_minus_1_then 0" in rig.ask("GET", "/metrics")[2]
    # When it does not hold even now, the alarm says so.
    rig.tell(f"risk {6 << 17 | 1} 0 1 70")
    expect(page.locator("#then")).to_be_hidden()
    assert faults(page) == []


def test_a_charger_that_feeds_an_output_without_a_battery(visit, rig):
    rig.tell("alarm bus_unheld", *(f"put {n} tripped overvoltage" for n in EVERY))
    page = visit(rig)
    expect(page.locator("#verdict b")).to_have_text("Output live, not under control")
    expect(page.locator("#next")).to_have_text("Stop the charger.")
    expect(page.locator("#next-key")).to_be_hidden()
    assert page.locator("#notices a").first.get_attribute("href") == "#rig"


def test_an_alarm_leads_to_where_it_is_mended(visit, rig):
    page = visit(rig)
    rig.tell("alarm sd_full", "alarm config_fault", "alarm i2c_fault", "alarm no_contact 9")
    expect(page.locator("#notices li")).to_have_count(4)
    places = page.locator("#notices a").evaluate_all("all => all.map(a => a.hash)")
    assert set(places) == {"#logs", "#settings", "#system", "#battery-9"}


def test_what_somebody_knows_every_phone_shows_until_it_ends(visit, rig):
    page, other = visit(rig), visit(rig)
    rig.tell("alarm no_contact 3", "alarm no_contact 5", "alarm clock_unset")
    first = page.locator("#notices li").first
    expect(first).to_contain_text("Each of batteries 3, 5 is switched on")
    expect(page).to_have_title(re.compile("^! Output on, with trouble: batteries 3, 5 – Fake rig"))
    icon = "document.getElementById('favicon').href"
    assert "b35900" in page.evaluate(icon)
    first.get_by_role("button", name="I know").click()
    log_in(page)
    for shown in (page, other):
        known = shown.locator("#notices .known")
        expect(known).to_have_count(1)
        expect(known.locator("small")).to_have_text(re.compile(r"^known since \d\d:\d\d$"))
        expect(known.get_by_role("button")).to_have_count(0)
        expect(shown).to_have_title("Rig – Fake rig")
        expect(shown.locator("#trouble-count")).to_have_text("1")
        expect(shown.locator("#verdict b")).to_contain_text("trouble is known")
        assert "0a6b3d" in shown.evaluate(icon)
    rig.tell("pass 2", "alarm no_contact 8", "alarm bus_unheld")
    texts = page.locator("#notices li")
    expect(texts).to_have_count(4)
    expect(texts.nth(1)).to_contain_text("Battery 8 ")
    expect(texts.nth(2)).to_contain_text("Each of batteries 3, 5 is ")
    expect(page).to_have_title(re.compile("^‼ "))
    assert "c4141f" in page.evaluate(icon)
    rig.tell("calm", "pass 2", "alarm no_contact 3")
    expect(texts).to_have_count(1)
    expect(texts.get_by_role("button")).to_have_text("I know")


def test_what_has_to_be_mended_cannot_be_acknowledged(visit, rig):
    rig.tell("alarm bus_overload", "lock 3")
    page = visit(rig)
    expect(page.locator("#notices li")).to_have_count(2)
    expect(page.locator("#notices button")).to_have_count(0)


def test_sound_and_flash_when_they_are_wanted(visit, rig):
    page = visit(rig)
    page.add_init_script(SOUND)
    page.emulate_media(reduced_motion="no-preference")
    page.reload()
    rig.tell("alarm uncontrolled 2")
    expect(page.locator("#verdict")).to_have_class("danger")
    page.wait_for_timeout(2500)
    assert page.evaluate("tones") == 0
    expect(page.locator("body")).not_to_have_class("flash")
    page.locator("#bell").click()
    assert page.evaluate("tones") == 1
    expect(page.locator("body")).to_have_class("flash")
    moves = "getComputedStyle(document.getElementById('verdict')).animationName"
    assert page.evaluate(moves) == "flash"
    page.emulate_media(reduced_motion="reduce")
    assert page.evaluate(moves) == "none"
    page.reload()
    expect(page.locator("#bell")).to_have_attribute("aria-pressed", "true")
    page.wait_for_function("() => tones >= 3")  # it rings on
    enter(page)
    page.get_by_role("button", name="I know").click()
    expect(page.locator("#notices .known")).to_have_count(1)
    expect(page.locator("body")).not_to_have_class("flash")
    before = page.evaluate("tones")
    page.wait_for_timeout(2500)
    assert page.evaluate("tones") == before
    rig.tell("trip 6")
    page.wait_for_function(f"() => tones === {before + 1}")


def test_a_page_tells_all_in_its_own_language(visit, rig):
    follow = 1 << 4 | 1 << 8
    rig.tell("freeze", "miss 3", "miss 4", "obstruct", "alarm config_fault")
    rig.tell(f"risk {6 << 17 | follow} 0 70")
    page = visit(rig, language="fr")
    for said in (
        "Vérifiez les câbles. Cartes absentes\u00a0: 3, 4.",
        "Renommez-le ou effacez-le sur un ordinateur. log est un fichier et non un dossier.",
        "Les derniers réglages valables restent en service. config.json\u00a0: x = 1",
        "Si la batterie 7 lâche, la 5 et la 9 passent en surcharge.",
    ):
        expect(page.locator("#notices")).to_contain_text(said)
    page.locator("#tabs [href='#events']").click()
    for said in (
        "Des éléments ne répondent pas. Cartes absentes\u00a0: 3, 4.",
        "Sur la carte SD, quelque chose gêne\u00a0: log est un fichier et non un dossier.",
        "Trop peu de réserve\u00a0: Si la batterie 7 lâche, la 5 et la 9 passent en surcharge.",
    ):
        expect(page.locator("#event-list")).to_contain_text(said)
    page.locator("#tabs [href='#settings']").click()
    expect(page.locator("#file-faults")).to_have_text(
        "Erreur dans config.json\u00a0: x = 1. Ce réglage n’existe pas."
    )


def test_the_field_guide_comes_when_it_is_opened(visit, rig):
    page = visit(rig)
    asked = []
    page.on("request", lambda request: asked.append(request.url[len(rig.url) :]))
    guide = page.locator("#guide")
    guide.locator("summary").click()
    expect(guide).to_contain_text("the stage is dark")
    expect(guide.locator("ul ul li")).to_have_count(6)
    expect(guide.locator("ul ul li:visible")).to_have_count(3)
    expect(guide.locator("table:visible tr")).to_have_count(7)
    page.locator("#language").click()
    expect(guide.get_by_text("la scène est noire")).to_be_visible()
    expect(guide.get_by_text("Vide")).to_have_text("Vide\u00a0: branchez le chargeur")
    expect(guide.get_by_text("the stage is dark")).to_be_hidden()
    assert guide.locator("a").count() == 0
    guide.locator("summary").click()
    guide.locator("summary").click()
    assert asked.count("/guide.html") == 1


def test_all_off_is_held_and_never_refused_for_its_rate(visit, rig):
    page = visit(rig)
    enter(page)
    session = rig.login()
    for n in EVERY:
        rig.ask("POST", f"/api/batteries/{n}/auto", **session)
    hold(page, 300)
    expect(page.locator("#toast")).to_have_text("Hold it for a second.")
    assert wishes(rig) == {"auto"}
    hold(page, 1200)
    expect(page.locator("#toast")).to_have_text("All batteries are set to off.")
    assert wishes(rig) == {"off"}
    expect(page.locator("#verdict b")).to_have_text("Output off")


def test_all_auto_names_those_that_are_off(visit, rig):
    page = visit(rig)
    enter(page)
    expect(page.locator("#all-auto")).to_be_disabled()
    assert rig.ask("POST", "/api/batteries/all/off", **rig.login())[0] == 202
    page.locator("#all-auto").click()
    expect(page.locator("#ask-text")).to_contain_text("1–16")
    page.locator("#ask-yes").click()
    expect(page.locator("#verdict b")).to_have_text("Everything works")
    expect(page.locator("#all-auto")).to_be_disabled()


def test_all_off_by_key_by_voice_and_while_the_rig_is_busy(visit, rig):
    page = visit(rig)
    enter(page)
    key = page.locator("#all-off")
    key.focus()
    page.keyboard.down("Enter")
    page.wait_for_timeout(200)
    page.keyboard.up("Enter")
    expect(page.locator("#toast")).to_have_text("Hold it for a second.")
    page.keyboard.down("Space")
    page.wait_for_timeout(1200)
    page.keyboard.up("Space")
    expect(page.locator("#toast")).to_have_text("All batteries are set to off.")

    session = rig.login()
    assert rig.ask("POST", "/api/batteries/all/auto", **session)[0] == 202
    page.evaluate("document.getElementById('all-off').click()")
    expect(page.locator("#ask-text")).to_contain_text("Switch all batteries off?")
    rig.tell("busy")
    page.locator("#ask-yes").click()
    page.wait_for_timeout(500)
    assert wishes(rig) == {"auto"}
    rig.tell("ready")
    expect(page.locator("#verdict b")).to_have_text("Output off")
    assert wishes(rig) == {"off"}


def test_a_thumb_that_is_lifted_late_does_not_touch_the_login(browser, rig):
    context = browser.new_context(viewport=PHONE, is_mobile=True, has_touch=True)
    page = context.new_page()
    page.goto(rig.url)
    expect(page.locator("#verdict")).to_have_class("fine")
    box = page.locator("#all-off").bounding_box()
    at = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
    session = context.new_cdp_session(page)
    session.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [at]})
    expect(page.locator("#password")).to_be_focused()
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    page.wait_for_timeout(200)
    expect(page.locator("#password")).to_be_focused(timeout=1)
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.locator("#verdict b")).to_have_text("Output off")
    context.close()


def test_off_looks_ahead(visit, rig):
    rig.tell("load 4000", *(f"put {n} off operator" for n in range(4, 17)))
    page = visit(rig)
    enter(page)
    off = page.locator("#battery-1 [data-action=off]")
    for load, said in (
        ("load 6600", "Switch off battery 1? It carries 6.6 A."),
        ("load 6700", "2 batteries left with up to 10.1 A each, limit 10.0 A: they will open."),
        ("load -7000", "2 batteries left with up to 10.5 A each, limit 10.0 A: they will open."),
    ):
        rig.tell(load)
        shown = load.split()[1].lstrip("-")
        expect(page.locator("#battery-2 [data-f=current]")).to_have_text(f"{int(shown) / 1000} A")
        off.click()
        expect(page.locator("#ask-text")).to_contain_text(said)
        page.get_by_role("button", name="Cancel").click()
    rig.tell("put 3 off operator", "load 10000")
    expect(page.locator("#battery-2 [data-f=current]")).to_have_text("10.0 A")
    off.click()
    expect(page.locator("#ask-text")).to_contain_text(
        "One battery left with 20.0 A, limit 10.0 A: it will open."
    )
    page.locator("#ask-yes").click()
    expect(page.locator("#battery-1")).to_have_class("off")
    expect(page.locator("#toast")).to_be_empty()
    rig.tell("idle")
    expect(page.locator("#battery-2 [data-f=current]")).to_have_text("0.0 A")
    page.locator("#battery-2 [data-action=off]").click()
    expect(page.locator("#ask-text")).to_contain_text("It is the last one: the output goes off.")


def test_off_can_be_undone_for_five_seconds_where_nothing_opens(visit, rig):
    rig.tell("idle")
    page = visit(rig)
    enter(page)
    card = page.locator("#battery-6")
    expect(card.locator("[data-f=current]")).to_have_text("0.0 A")
    card.locator("[data-action=off]").click()
    expect(card).to_have_class("off")
    expect(page.locator("#toast")).to_contain_text("Battery 6: off")
    page.locator("#toast button").click()
    expect(card).to_have_class("on")
    expect(page.locator("#toast")).to_be_empty()
    rig.tell("idle")
    expect(card.locator("[data-f=current]")).to_have_text("0.0 A")
    card.locator("[data-action=off]").click()
    expect(page.locator("#toast button")).to_be_visible()
    page.wait_for_timeout(5200)
    expect(page.locator("#toast")).to_be_empty()
    expect(card).to_have_class("off")


@pytest.mark.parametrize("language", ("en", "fr"))
def test_alarms_move_nothing_of_the_first_screen(visit, language):
    for rig in started(PASSWORD, language):
        rig.tell("charge 63 4 1830 11400 10500 12600 - - 7")
        page = visit(rig, language=language)
        page.wait_for_timeout(500)
        page.evaluate(SHIFTS)
        tiles = page.locator("#tiles").bounding_box()
        for command in ("trip 5", "alarm sd_absent", "alarm stuck_closed 3", "alarm bus_overload"):
            rig.tell(command)
            page.wait_for_timeout(1200)
            assert page.locator("#tiles").bounding_box() == tiles, command
        assert page.evaluate("shifted") < 0.1
        assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]


@pytest.mark.parametrize("language", ("en", "fr"))
def test_a_rig_that_ends_does_not_jump_on_a_desktop(visit, language):
    for rig in started(PASSWORD, language):
        rig.tell("charge 6 4 183 3600 1800 7200 - - 7", *(f"alarm low_soon {n}" for n in EVERY))
        page = visit(rig, DESKTOP, language=language)
        expect(page.locator("#notices li")).to_have_count(1)
        page.wait_for_timeout(500)
        page.evaluate(SHIFTS)
        rig.tell("end")
        expect(page.locator("#armed")).to_be_visible()
        page.wait_for_timeout(1200)
        assert page.evaluate("shifted") < 0.1


def test_a_real_rig_whose_switch_is_welded(visit):
    steps = [{"at": 11, "do": "switch_weld", "n": 3}]
    with simulated(batteries=8, load=[[0, 0], [8, 6]], steps=steps, speed=2) as rig:
        rig.until(lambda state: state["uptime_ms"] >= 12000)
        page = visit(rig)
        enter(page)
        hold(page, 1200)
        told = page.locator("#verdict b")
        expect(told).to_have_text("Output live, not under control: battery 3")
        expect(page.locator("#current")).to_have_text(re.compile(r"^[5-7]\.\d A$"))
        expect(page.locator("#connected")).to_have_text("1/8 connected")
        expect(page.locator("#voltage")).to_have_text(re.compile(r"^2\d\.\d\d V$"))
