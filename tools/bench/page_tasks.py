# SPDX-License-Identifier: GPL-3.0-only
"""Ten tasks of somebody who sees the page for the first time, on a phone: taps, scrolls, seconds.

Each is what a person does from the open page, not logged in, on a rig that takes as long as a
plain ESP32. A scroll is a swipe that moves the page by most of a window, whenever what is looked
for is outside of the window or covered. The seconds are a model: what the page took to answer,
plus constants for each tap, swipe, glance and character.
"""

import contextlib
import os
import re
import subprocess
import time

from playwright.sync_api import expect

from bench.page_rig import paced
from rigs import MICROPYTHON, PASSWORD, ROOT

PHONE = {"width": 360, "height": 740}
TAP_S, SWIPE_S, GLANCE_S, KEY_S = 1.2, 1.0, 2.0, 0.3
"""What a person takes: to find a key in sight and touch it, to swipe, to read what changed, to
type a character on glass."""
SWIPE = 0.8
MOST_TAPS = {"LiFePO4 limits": 12}
"""Promised."""
WIFI = {"Stage": ["night-show", -55], "Mairie": ["liberte1789", -81]}
SCENARIO = {
    "settings": {"name": "Grande scène", "pack": {"capacity_mah": 20000}},
    "load": [[0, 60]],
    "steps": [
        {"at": 0, "do": "wifi_networks", "networks": WIFI},
        {"at": 0, "do": "wifi_clients", "count": 1, "ip": "127.0.0.1"},
        {"at": 8, "do": "sensor_heat", "n": 3, "c": 95},
    ],
}
IN_SIGHT = """(element) => {
  const box = element.getBoundingClientRect();
  const [x, y] = [box.x + box.width / 2, box.y + Math.min(box.height, innerHeight) / 2];
  const top = document.elementFromPoint(x, y);
  return top !== null && (element.contains(top) || top.contains(element));
}"""
FAR = "(element) => Math.abs(element.getBoundingClientRect().y - innerHeight / 2) / innerHeight"


class Person:
    """Uses a page with one thumb.

    Attributes:
        page: Playwright's; taps, swipes, glances, keys: counted.
    """

    def __init__(self, page):
        self.page = page
        self.taps = self.swipes = self.glances = self.keys = 0

    def _find(self, place):
        element = self.page.locator(place).first
        expect(element).to_be_visible()
        if not element.evaluate(IN_SIGHT):
            self.swipes += int(element.evaluate(FAR) / SWIPE) + 1
            element.evaluate("(element) => element.scrollIntoView({ block: 'center' })")
        return element

    def reads(self, place, text):
        """Looks at `place` until it says `text`, a regular expression."""
        expect(self._find(place)).to_contain_text(re.compile(text))
        self.glances += 1

    def taps_on(self, place):
        """Touches it."""
        self._find(place).tap()
        self.taps += 1

    def chooses(self, place, **option):
        """One of a list: the first tap opens it, the second closes it."""
        self._find(place).select_option(**option)
        self.taps += 2

    def holds(self, place, ms):
        """Keeps the thumb on it."""
        box = self._find(place).bounding_box()
        at = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
        session = self.page.context.new_cdp_session(self.page)
        session.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [at]})
        self.page.wait_for_timeout(ms)
        session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        self.taps += 1

    def types(self, place, text):
        """Into a field that has the cursor, else it is touched first."""
        element = self._find(place)
        if not element.evaluate("(element) => element === document.activeElement"):
            self.taps_on(place)
        element.fill(text)
        self.keys += len(text)

    def enters(self):
        """The password, when it is asked for."""
        self.types("#password", PASSWORD)
        self.taps_on("#gate .primary")

    def seconds(self, answered_s):
        """What the model says of a task whose page took so long to answer."""
        hands = TAP_S * self.taps + SWIPE_S * self.swipes + KEY_S * self.keys
        return answered_s + hands + GLANCE_S * self.glances


def energy_and_time(me):
    me.reads("#left", r"\d+\s% ± \d+, (about|at least) \d+\sh")


def why_is_3_off(me):
    me.reads("#verdict", r"battery 3\s+Too hot")


def acknowledge(me):
    me.reads("#notices", "Battery 3: its switch is getting hot")
    me.taps_on("#notices li:has-text('hot') button")
    me.enters()
    me.reads("#notices .known", r"known since \d\d:\d\d")


def rename(me):
    me.taps_on("#tiles a >> nth=4")
    me.taps_on("#battery-5 .pen")
    me.types("#rename-text", "Left")
    me.taps_on("#rename .primary")
    me.enters()
    me.reads("#battery-5 h2", "Left")


def switch_7_off(me):
    me.taps_on("#tiles a >> nth=6")
    me.taps_on("#battery-7 [data-action=off]")
    me.reads("#ask-text", "Switch off battery 7")
    me.taps_on("#ask-yes")
    me.enters()
    me.reads("#battery-7 .state", "off")


def one_pack_over_a_night(me):
    me.taps_on("#tiles a >> nth=1")
    me.taps_on("#battery-2 .spark")
    me.taps_on("[data-span=night]")
    me.reads("#night-name", "–")
    expect(me.page.locator("#chips [aria-pressed=true] b")).to_have_text("2")
    expect(me.page.locator("#chart-voltage canvas")).to_be_visible()


def log_of_last_night(me):
    me.taps_on("#tabs [href='#logs']")
    me.reads("#nights", "Night")
    me.chooses("#night-choice", index=1)  # after the one that has begun at noon
    with me.page.expect_download() as loading:
        me.taps_on("#night-fetch")
    assert len(loading.value.path().read_text().splitlines()) > 60


def join_wifi(me):
    me.taps_on("#tabs [href='#system']")
    me.taps_on("[href='/setup'] >> visible=true")
    me.types("#password", PASSWORD)
    me.taps_on("#password-send")
    me.taps_on("#networks label:has-text('Stage')")
    me.types("#key", WIFI["Stage"][0])
    me.taps_on("#wifi-form .primary")
    me.reads("#wifi-hint", "Connected to Stage")


def all_off(me):
    me.holds("#all-off", 1100)
    me.enters()
    me.reads("#verdict", "Output off")


def lfp_limits(me):
    me.taps_on("#tabs [href='#settings']")
    me.chooses("#profile", value="lfp8")
    me.reads("#changes", "LFP")
    me.taps_on("#save")
    me.enters()
    me.reads("#pending-text", "wait")
    me.taps_on("#pending-restart")
    me.taps_on("#ask-yes")
    expect(me.page.locator("#pending")).to_be_hidden(timeout=60000)


TASKS = {
    "Energy and time left": energy_and_time,
    "Why is battery 3 off": why_is_3_off,
    "Acknowledge an alarm": acknowledge,
    "Name a battery": rename,
    "Battery 7 off": switch_7_off,
    "One battery over a night": one_pack_over_a_night,
    "The log of last night": log_of_last_night,
    "Join a Wi-Fi network": join_wifi,
    "All off": all_off,
    "LiFePO4 limits": lfp_limits,
}
"""In an order in which none disturbs those after it."""


def card(folder):
    """An image of a card with the past two days."""
    image = folder / "card.img"
    modules = ":".join(str(ROOT / name) for name in ("lib", "tools"))
    subprocess.run(
        [MICROPYTHON, ROOT / "tests/web/night.py", image, str(int(time.time()))],
        env=os.environ | {"MICROPYPATH": modules + ":.frozen"},
        check=True,
    )
    return image


@contextlib.contextmanager
def phone(browser, rig, locale="en-GB"):
    """A page on a phone, open at its first screen."""
    context = browser.new_context(viewport=PHONE, is_mobile=True, has_touch=True, locale=locale)
    page = context.new_page()
    page.goto(rig.url)
    expect(page.locator("#voltage")).to_have_text(re.compile("V$"))
    yield page
    context.close()


def measure(browser, folder, only=""):
    """Yield a row of figures of each task whose name has `only` in it."""
    with paced(sd=card(folder), **SCENARIO) as rig:
        rig.ask("POST", "/api/time", {"unix_s": int(time.time())}, **rig.login())
        rig.until(lambda state: state["batteries"][2]["state"] == "tripped", 60)
        rig.until(lambda state: (state["energy"] or {}).get("left_s") is not None, 120)
        for name, task in TASKS.items():
            if only not in name:
                continue
            with phone(browser, rig) as page:
                me = Person(page)
                began = time.monotonic()
                task(me)
                answered_s = time.monotonic() - began
                yield {
                    "name": name,
                    "taps": me.taps,
                    "swipes": me.swipes,
                    "keys": me.keys,
                    "seconds": me.seconds(answered_s),
                    "missed": ["taps"] if me.taps > MOST_TAPS.get(name, me.taps) else [],
                }


def table(rows):
    """Lines of the table."""
    yield "Ten tasks from the open page, 360 x 740, not logged in: what a first-time user does"
    yield ""
    yield "%-26s %5s %8s %12s %8s" % ("task", "taps", "swipes", "characters", "seconds")
    for row in rows:
        yield "%(name)-26s %(taps)5d %(swipes)8d %(keys)12d %(seconds)8.0f" % row
    yield ""
    yield "A model: 1.2 s a tap, 1 s a swipe, 2 s a glance that reads, 0.3 s a character typed;"
    yield "beside that what the page took to answer. Six tasks ask for the password, which has"
    yield "eight characters. A list to choose from counts as two taps."
