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
LOOKS = tuple(itertools.product((PHONE, DESKTOP), ("en", "fr")))
MOST_SHIFT = 0.1
SETTLE_MS = 1000
LONGEST_S = 180
COLUMNS = 5
EVERY = range(1, 17)
SHIFTS = """() => {
  window.shifted = 0;
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) window.shifted += entry.value;
  }).observe({ type: "layout-shift", buffered: true });
}"""
CUT = """[...document.querySelectorAll(
  "#verdict b, #next, #total p, #tiles a *, #all button, .state, .why, .keys button, #tabs a"
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
        {"batteries": packs(0.999), "source": [[0, 60, 33]], "hurry_s": 120},
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


def examine(page, viewport, all_rules):
    """Yield what is wrong with a page; all_rules: what axe-core finds too, in both schemes."""
    wide = page.evaluate("document.documentElement.scrollWidth")
    if wide > viewport["width"]:
        yield f"{wide} px wide"
    for text in page.evaluate(CUT):
        yield f"cut: {text}"
    page.evaluate(SHIFTS)
    page.wait_for_timeout(100)
    shift = page.evaluate("shifted")
    if shift > MOST_SHIFT:
        yield f"jumps by {shift:.2f}"
    for scheme in SCHEMES if all_rules else ():
        page.emulate_media(color_scheme=scheme)
        for rule, _ in faults(page):
            yield f"axe, {scheme}: {rule}"


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
        rig.until(reached, LONGEST_S)
        pages = [(*look, opened(browser, rig.url + path, places[-1], *look)) for look in LOOKS]
        over = True
        while over:  # a state that ends meanwhile comes again
            rig.until(reached, LONGEST_S)
            said = [taken(rig, name, places, *look) for look in pages]
            over = not reached(rig.until(lambda state: True))
        for (viewport, language, page), text in zip(pages, said, strict=True):
            wrong = list(examine(page, viewport, (viewport, language) == LOOKS[0]))
            page.context.close()
            yield language, text, [f"{viewport['width']} {language}: {what}" for what in wrong]


def opened(browser, url, place, viewport, language):
    """A page that shows something at `place`."""
    locale = {"en": "en-GB", "fr": "fr-FR"}[language]
    page = browser.new_context(viewport=viewport, locale=locale).new_page()
    page.goto(url)
    expect(page.locator(place)).to_have_text(re.compile(".+"))
    return page


def taken(rig, name, places, viewport, language, page):
    """Take the pictures of a look, light and dark; what it says at `places`."""
    page.bring_to_front()
    if name == "stale":
        rig.process.send_signal(signal.SIGSTOP)
        expect(page.locator("#stale-age")).to_be_visible()
    else:
        page.wait_for_timeout(SETTLE_MS)
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        page.screenshot(path=picture(name, viewport, scheme, language))
    said = [page.locator(place).first.text_content().strip() for place in places]
    rig.process.send_signal(signal.SIGCONT)
    return said


def sheets():
    """Contact sheets: a look each, all states side by side."""
    for (viewport, language), scheme in itertools.product(LOOKS, SCHEMES):
        paths = [picture(name, viewport, scheme, language) for name in STATES]
        taken = [Image.open(path) for path in paths if path.exists()]
        width, height = taken[0].size
        rows = -(-len(taken) // COLUMNS)
        sheet = Image.new("RGB", (COLUMNS * (width + 8), rows * (height + 8)), "magenta")
        for k, one in enumerate(taken):
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
