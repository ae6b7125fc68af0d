# SPDX-License-Identifier: GPL-3.0-only
"""Twenty states of the rig on the first screen: pictures, and what a person reads first.

Each state is played on a rig that takes as long as a plain ESP32, and looked at on a phone and on
a desktop, light and dark, in English and French. Beside the pictures: what axe-core finds, what is
wider than the window, text that is cut, and how far the layout jumped.
"""

import itertools
import re
import signal
import time

from PIL import Image
from playwright.sync_api import expect

from bench.page_rig import paced
from rigs import ROOT
from views import faults

PICTURES = ROOT / "build/pictures"
PHONE = {"width": 360, "height": 740}
DESKTOP = {"width": 1280, "height": 800}
SCHEMES = ("light", "dark")
LOOKS = ((PHONE, "en"), (DESKTOP, "fr"))
"""How a page is opened; it is looked at in both sizes."""
MOST_SHIFT = 0.1
SETTLE_MS = 1500
LONGEST_S = 600
MOST_TRIES = 8
COLUMNS = 5
EVERY = range(1, 17)
SHIFTS = """() => {
  window.shifted = 0;
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) window.shifted += entry.value;
  }).observe({ type: "layout-shift", buffered: true });
}"""
HOLD = "(at => { performance.now = () => at; })(performance.now())"
"""The page does not notice that nothing comes any more: so long pictures may take."""
RELEASE = "delete performance.now"
CUT = """[...document.querySelectorAll(
  "#verdict b, #next, #total, #total p, #tiles a *, #all button, .state, .why, .keys button,"
  + "#tabs a"
)].filter((e) => e.checkVisibility() && e.scrollWidth > e.clientWidth + 1 && e.clientWidth
  && !e.closest(".ear")).map((e) => e.textContent)"""


READ_FIRST = {
    None: ("#verdict b", "#next"),
    "stale": ("#stale p", "#stale-age", "#verdict b"),
    "setting up": ("#title", "#password-hint"),
}
"""Where the first sentences of a state are, from the largest letters on."""


def packs(soc, count=16):
    return [{"n": n, "soc": soc} for n in range(1, count + 1)]


def at(second, do, **what):
    return {"at": second, "do": do, **what}


def codes(state):
    return {alarm["code"] for alarm in state["alarms"]}


def states(state):
    return {battery["state"] for battery in state["batteries"]}


def flows(state):
    return {battery["flow"] for battery in state["batteries"]}


def all_on(state):
    return states(state) == {"on"}


def has(code):
    return lambda state: code in codes(state)


def is_trial(state):
    return any(battery["reason"] == "trial" for battery in state["batteries"])


RICH = {"name": "Grande scène", "pack": {"capacity_mah": 20000}}
AIR = [
    at(
        0, "wifi_networks", networks={"Stage": ["night-show", -55], "Mairie": ["liberte1789", -81]}
    ),
    at(0, "wifi_clients", count=1, ip="127.0.0.1"),
]
NEW = {"settings": {"web": {"password": ""}}}
ONE = {**RICH, "batteries": {str(n): {"mode": "unused"} for n in range(2, 17)}}
STATES = {
    "fine": ({"batteries": packs(0.8), "load": [[0, 60]]}, all_on),
    "charging": (
        {"batteries": packs(0.5), "source": [[0, 30]]},
        lambda state: all_on(state) and flows(state) == {"charging"},
    ),
    "full": (
        {"batteries": packs(0.999), "source": [[0, 30]]},
        lambda state: all_on(state) and (state["energy"]["soc_pct"] or 0) > 97,
    ),
    "nearly empty": (
        {"batteries": packs(0.14), "load": [[0, 40]]},
        lambda state: all_on(state) and (state["energy"]["soc_pct"] or 100) < 10,
    ),
    "empty": ({"batteries": packs(0.14), "load": [[0, 150]], "hurry_s": 900}, has("rig_empty")),
    "trial": (
        {"batteries": packs(0.14), "load": [[0, 150], [900, 0]], "hurry_s": 965},
        is_trial,
    ),
    "overload": (
        {"batteries": packs(0.8), "steps": [at(8, "load_mohm", mohm=20)], "hurry_s": 900},
        has("bus_overload"),
    ),
    "welded": (
        {
            "load": [[0, 60]],
            "steps": [at(8, "switch_weld", n=7), at(9, "request", n=7, action="off")],
        },
        has("stuck_closed"),
    ),
    "out of control": (
        {"load": [[0, 60]], "steps": [at(8, "expander_nack", board=1)]},
        has("uncontrolled"),
    ),
    "half the boards gone": (
        {"load": [[0, 60]], "steps": [at(8, "board_unplug", board=b) for b in (2, 3)]},
        has("topology"),
    ),
    "charger too high": (
        {
            "batteries": packs(1),
            "source": [[0, 90, 33]],
            "steps": [at(300, "inject_voltage", n=3, mv=300)],
            "hurry_s": 299,
        },
        has("charger_high"),
    ),
    "locked": (
        {
            "settings": {**RICH, "limits": {"max_trips": 1}},
            "load": [[0, 60]],
            "steps": [
                at(8, "inject_current", n=5, ma=30000),
                at(8.5, "inject_current", n=5, ma=0),
                at(60, "inject_current", n=5, ma=30000),
                at(60.5, "inject_current", n=5, ma=0),
            ],
            "hurry_s": 65,
        },
        lambda state: state["batteries"][4]["state"] == "locked",
    ),
    "no card": ({"load": [[0, 60]], "steps": [at(5, "sd_remove")]}, has("sd_absent")),
    "clock not set": ({"load": [[0, 60]], "clock": False, "hurry_s": 1000}, has("clock_unset")),
    "no sensors": (
        {"steps": [at(0, "sensor_nack", n=n) for n in EVERY]},
        lambda state: states(state) == {"absent"},
    ),
    "safe mode": (
        {
            "load": [[0, 60]],
            "steps": [at(s, "controller_reset") for s in (0.6, 1.8, 3)],
            "clock": False,
        },
        has("safe_crash"),
    ),
    "one battery": (
        {"settings": ONE, "batteries": packs(0.8, 1), "load": [[0, 4]]},
        lambda state: state["bus"]["connected"] == 1,
    ),
    "first boot": ({**NEW, "clock": False}, lambda state: state["bus"]["connected"] == 16),
    "setting up": (
        {**NEW, "batteries": packs(0.8, 4), "steps": AIR, "clock": False, "path": "/setup"},
        lambda state: state["bus"]["connected"] == 4,
    ),
    "stale": ({"load": [[0, 60]]}, all_on),
}
"""Name to a scenario and to what its state says when it is reached. `clock`: it is set, `path`: of
the page, `hurry_s`: as of page_rig.py; the rest as of tools/sim/scenario.py."""


def examine(page):
    """Yield what is wrong with a page in its size and scheme."""
    viewport = page.viewport_size
    wide = page.evaluate("document.documentElement.scrollWidth")
    if wide > viewport["width"]:
        yield f"{wide} px wide"
    for text in page.evaluate(CUT):
        yield f"cut: {text}"


def accessible(page):
    """Yield what axe-core finds, in both schemes."""
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        for rule, places in faults(page):
            yield f"axe, {scheme}: {rule} {places[0][:80]}"


def picture(name, viewport, scheme, language):
    """Its path."""
    return PICTURES / f"{name.replace(' ', '-')}-{viewport['width']}-{scheme}-{language}.png"


def measure(browser, folder, only=""):
    """Yield a row of each state whose name has `only` in it."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    for name in STATES:
        if only in name:
            said, missed = {"en": [], "fr": []}, []
            try:
                for language, text, wrong in looks(browser, name):
                    said[language] = text
                    missed += wrong
            except AssertionError as error:
                missed.append(f"not reached: {str(error)[:200]}")
            yield {"name": name, "said": said, "missed": missed}
    sheets()


def looks(browser, name):
    """Play a state; yield language, sentences and what is wrong of each look."""
    scenario, reached = STATES[name]
    plan = {"settings": RICH, **scenario}
    plan["settings"] = dict(plan["settings"])
    path, clock = plan.pop("path", "/"), plan.pop("clock", True)
    places = READ_FIRST.get(name, READ_FIRST[None])
    with paced(**plan) as rig:
        if clock:
            rig.ask("POST", "/api/time", {"unix_s": int(time.time())}, **rig.login())
        # Time that hurries would move things as no rig does.
        hurry_ms = 1000 * plan.get("hurry_s", 0)
        rig.until(lambda state: reached(state) and state["uptime_ms"] > hurry_ms, LONGEST_S)
        pages = [(*look, opened(browser, rig.url + path, places[-1], *look)) for look in LOOKS]
        jumped = [jumps(viewport, page) for viewport, _, page in pages]
        for _ in range(MOST_TRIES):  # a state may end before it is held
            rig.until(reached, LONGEST_S)
            found = taken(rig, name, places, pages)
            if found and reached(rig.until(lambda state: True)):
                break
        else:
            raise AssertionError("it never lasts for long enough")
        for (_, language, page), jump, (text, wrong) in zip(pages, jumped, found, strict=True):
            page.context.close()
            yield language, text, [f"{language}: {what}" for what in jump + wrong]


def opened(browser, url, place, viewport, language):
    """A page that shows something at `place`."""
    locale = {"en": "en-GB", "fr": "fr-FR"}[language]
    page = browser.new_context(viewport=viewport, locale=locale).new_page()
    for _ in range(MOST_TRIES):  # a small controller may be too busy for a moment
        page.goto(url)
        if page.locator(place).count():
            break
    expect(page.locator(place)).to_have_text(re.compile(".+"))
    return page


def jumps(viewport, page):
    """How far the layout has jumped since the page began to open, if that is too far."""
    time.sleep(SETTLE_MS / 1000)
    page.evaluate(SHIFTS)
    page.wait_for_timeout(100)
    shift = page.evaluate("shifted")
    return [f"{viewport['width']} jumps by {shift:.2f}"] if shift > MOST_SHIFT else []


def taken(rig, name, places, pages):
    """Take the pictures of a rig that is held meanwhile.

    Returns:
        list: of each page what it says at `places`, and what is wrong with it; None when a busy
        host has kept the rig from telling anything for seconds.
    """
    time.sleep(SETTLE_MS / 1000)
    if name != "stale":
        for *_, page in pages:
            expect(page.locator("#stale")).to_be_hidden()
    rig.process.send_signal(signal.SIGSTOP)
    for *_, page in pages:
        if name == "stale":
            expect(page.locator("#stale-age")).to_be_visible()
        page.evaluate(HOLD)
    old = name != "stale" and any(page.locator(".stale").count() for *_, page in pages)
    found = None if old else [seen(name, places, *look) for look in pages]
    for *_, page in pages:
        page.evaluate(RELEASE)
    rig.process.send_signal(signal.SIGCONT)
    return found


def seen(name, places, viewport, language, page):
    """Take the pictures of one page; what it says, and what is wrong with it."""
    page.bring_to_front()
    wrong = list(accessible(page)) if language == "en" else []
    for size in (PHONE, DESKTOP):
        page.set_viewport_size(size)
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            page.screenshot(path=picture(name, size, scheme, language))
        wrong += [f"{size['width']}: {what}" for what in examine(page)]
    page.set_viewport_size(viewport)
    return [page.locator(place).first.text_content().strip() for place in places], wrong


def sheets():
    """Contact sheets: a look each, all states side by side."""
    for viewport, language, scheme in itertools.product((PHONE, DESKTOP), ("en", "fr"), SCHEMES):
        paths = [picture(name, viewport, scheme, language) for name in STATES]
        found = [Image.open(path) for path in paths if path.exists()]
        if not found:
            continue
        width, height = found[0].size
        rows = -(-len(found) // COLUMNS)
        sheet = Image.new("RGB", (COLUMNS * (width + 8), rows * (height + 8)), "magenta")
        for k, one in enumerate(found):
            sheet.paste(one, (k % COLUMNS * (width + 8), k // COLUMNS * (height + 8)))
        sheet.save(picture("sheet", viewport, scheme, language))


def table(rows):
    """Lines of the table."""
    yield f"What a person reads first, in {len(rows)} of {len(STATES)} states of the rig"
    for row in sorted(rows, key=lambda row: list(STATES).index(row["name"])):
        yield ""
        yield row["name"]
        for language in ("en", "fr"):
            yield f"  {language}  {' | '.join(row['said'][language])}"
