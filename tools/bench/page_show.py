# SPDX-License-Identifier: GPL-3.0-only
"""A show on two phones, from power-on to its report: pictures, and what is read at each step.

One phone, in English, does what the crew does; the other, in French, is only looked at. The rig
takes as long as a plain ESP32: the self-test takes its minutes. Pictures go to build/pictures/.
"""

import contextlib
import re
import time

from playwright.sync_api import expect

from bench.page_rig import paced
from bench.page_states import PICTURES, examine, has
from bench.page_tasks import Person, phone

LONGEST_S = 900
SETTLE_S = 2
SHOW_MIN = 90
STRONG_S = 260
"""When the load becomes heavy: the self-test is over by then."""
TRIP_S = STRONG_S + 150
CALM_S = 60
"""How long before the trip the load is what it was."""
SCENARIO = {
    "settings": {"name": "Grande scène", "pack": {"capacity_mah": 20000}},
    "batteries": [{"n": n, "soc": 0.9} for n in range(1, 17)],
    "load": [[0, 0], [20, 60], [STRONG_S, 154], [TRIP_S - CALM_S, 60]],
    "steps": [
        {"at": TRIP_S, "do": "inject_current", "n": 5, "ma": 30000},
        {"at": TRIP_S + 1, "do": "inject_current", "n": 5, "ma": 0},
    ],
    "hurry_s": 30,
}
HEAD = ("#verdict b", "#next", "#show-line")
LANGUAGES = {"en": "en-GB", "fr": "fr-FR"}


def first_page(rig, crew, watcher):
    rig.until(lambda state: state["bus"]["connected"] == 16, LONGEST_S)
    return HEAD


def self_test(rig, crew, watcher):
    for person in (crew, watcher):
        person.taps_on("#selftest summary")
    crew.taps_on("#test-start")
    crew.enters()
    crew.reads("#test-text", "Battery")
    watcher.page.reload()  # it has looked before the test began
    watcher.taps_on("#selftest summary")
    watcher.reads("#test-text", "Batterie")
    return ("#test-text",)


def its_result(rig, crew, watcher):
    for person in (crew, watcher):
        expect(person.page.locator("#test-table")).to_contain_text("16", timeout=LONGEST_S * 1000)
        person.reads("#test-text", r"\w")
    return ("#test-text", "#test-list li")


def show_begun(rig, crew, watcher):
    for person in (crew, watcher):
        person.taps_on("#selftest summary")
    crew.taps_on("#show summary")
    end = time.strftime("%H:%M", time.localtime(time.time() + SHOW_MIN * 60))
    crew.types("#show-end", end)
    crew.taps_on("#show-start")
    for person in (crew, watcher):
        expect(person.page.locator("#show-line")).to_have_text(re.compile(r"\d\d:\d\d"))
    return HEAD


def a_loss_would_overload(rig, crew, watcher):
    rig.until(has("cascade"), LONGEST_S)
    crew.reads("#next", "drops out")
    watcher.reads("#next", "lâche")
    return HEAD


def a_trip(rig, crew, watcher):
    rig.until(lambda state: state["batteries"][4]["state"] == "tripped", LONGEST_S)
    crew.reads("#verdict b", "battery 5")
    watcher.reads("#verdict b", "batterie 5")
    return HEAD


def settings_wait(rig, crew, watcher):
    crew.taps_on("#tiles a >> nth=6")
    crew.taps_on("#battery-7 .pen")
    crew.types("#rename-text", "Left")
    crew.taps_on("#rename .primary")
    crew.reads("#toast", r"\w")
    return ("#toast",)


def its_end(rig, crew, watcher):
    crew.holds("#show-stop", 1300)
    for person in (crew, watcher):
        expect(person.page.locator("#show-line")).to_be_hidden()
    return HEAD


def its_report(rig, crew, watcher):
    for person in (crew, watcher):
        person.taps_on("#told-key")
        expect(person.page.locator("#told-text tbody tr")).to_have_count(16)
    return ("#told-text p", "#told-text ul >> nth=0 >> li")


STEPS = {
    "first page": first_page,
    "self-test": self_test,
    "its result": its_result,
    "show begun": show_begun,
    "a loss would overload": a_loss_would_overload,
    "a trip": a_trip,
    "a name has to wait": settings_wait,
    "end of the show": its_end,
    "its report": its_report,
}
"""Each does what a person does, and returns where one reads then."""


def measure(browser, folder, only=""):
    """Yield a row of each step; only: not used."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    with paced(**SCENARIO) as rig, contextlib.ExitStack() as phones:
        rig.ask("POST", "/api/time", {"unix_s": int(time.time())}, **rig.login())
        people = [
            Person(phones.enter_context(phone(browser, rig, locale=locale)))
            for locale in LANGUAGES.values()
        ]
        for k, (name, step) in enumerate(STEPS.items()):
            places = step(rig, *people)
            time.sleep(SETTLE_S)
            said, missed = {}, []
            for language, person in zip(LANGUAGES, people, strict=True):
                said[language] = list(read(person.page, places))
                missed += [f"{language}: {what}" for what in examine(person.page)]
                shown(person.page, places[0])
                person.page.screenshot(
                    path=PICTURES / f"show-{k}-{name.replace(' ', '-')}-{language}.png"
                )
            me = people[0]
            yield {
                "name": name,
                "said": said,
                "taps": me.taps,
                "swipes": me.swipes,
                "missed": missed,
            }


def read(page, places):
    """What stands at places that are seen."""
    for place in places:
        for element in page.locator(f"{place} >> visible=true").all():
            if text := element.text_content().strip():
                yield text


def shown(page, place):
    """The headline as on a page that was just opened, anything else in the middle."""
    if place == HEAD[0]:
        page.evaluate("scrollTo(0, 0)")
    else:
        page.locator(place).first.evaluate(
            "(element) => element.scrollIntoView({ block: 'center' })"
        )


def table(rows):
    """Lines of the table."""
    yield "A show on a phone, 360 x 740: what a person reads; taps and swipes from power-on"
    for row in sorted(rows, key=lambda row: list(STEPS).index(row["name"])):
        yield ""
        yield "%(name)s (%(taps)d taps, %(swipes)d swipes)" % row
        for language in LANGUAGES:
            yield f"  {language}  {' | '.join(row['said'][language])}"
