# SPDX-License-Identifier: GPL-3.0-only
"""Fixtures of the web tests: fake rigs and a browser."""

import collections
import itertools
import os
import re

import pytest
from playwright.sync_api import expect, sync_playwright

from browser import launch
from rigs import PASSWORD, ROOT, simulated, started
from views import SCENARIO

PHONE = {"width": 360, "height": 740}
DESKTOP = {"width": 1280, "height": 800}
PICTURES = ROOT / "build/screenshots"

_EVERY_LOOK = tuple(itertools.product((PHONE, DESKTOP), ("light", "dark"), ("en", "fr")))
_SHOWN = _EVERY_LOOK if os.environ.get("SOAK") == "1" else [_EVERY_LOOK[k] for k in (0, 3, 5, 6)]
LOOKS = pytest.mark.parametrize(
    ("viewport", "scheme", "language"),
    _SHOWN,
    ids=[f"{viewport['width']} {scheme} {language}" for viewport, scheme, language in _SHOWN],
)
"""All of them with SOAK=1, else four: whatever two of the three have to do with each other."""

expect.set_options(timeout=30000)
"""A time-out for a busy host; no promise is measured by it."""


@pytest.fixture
def rig():
    """A rig with a password."""
    yield from started(PASSWORD)


@pytest.fixture
def open_rig():
    """A rig without a password."""
    yield from started()


@pytest.fixture(scope="session")
def browser():
    """Debian's Chromium."""
    with sync_playwright() as playwright:
        chromium = launch(playwright)
        yield chromium
        chromium.close()


def opened(browser, locale, zone):
    """A context whose first page opens all others: they share its process, warm from the last."""
    context = browser.new_context(locale=locale, timezone_id=zone)
    keeper = context.new_page()
    keeper.route("**", lambda route: route.fulfill(body="", content_type="text/html"))
    keeper.goto("http://127.0.0.1/")
    return context


def forget(context, origin):
    """Makes the context as good as new: no page, cookie, file or setting of the rig is left."""
    keeper, *pages = context.pages
    for page in pages:
        page.close()
    context.clear_cookies()
    session = context.new_cdp_session(keeper)
    session.send("Storage.clearDataForOrigin", {"origin": origin, "storageTypes": "all"})
    session.send("Network.clearBrowserCache")
    session.detach()


@pytest.fixture(scope="session")
def contexts():
    """Contexts that no test uses, by locale and zone: to open one costs more than a page."""
    return collections.defaultdict(list)


@pytest.fixture
def visit(browser, contexts):
    """Opens a rig's page; a page that logs an error or asks elsewhere fails the test.

    Each visit is one of another phone, which has never seen the rig.
    """
    lent = []
    faults = []

    def note(message):
        if message.type == "error" and "Failed to load resource" not in message.text:
            faults.append(message.text)

    def visit(
        rig, viewport=PHONE, scheme="light", wait=True, language="en", view="rig", zone=None
    ):
        locale = {"en": "en-GB", "fr": "fr-FR"}.get(language, language)
        free = contexts[locale, zone]
        context = free.pop() if free else opened(browser, locale, zone)
        lent.append((free, context, rig.url))
        with context.expect_page() as shown:
            context.pages[0].evaluate("void open('about:blank')")
        page = shown.value
        page.set_viewport_size(viewport)
        page.emulate_media(color_scheme=scheme)
        page.on("console", note)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on(
            "request",
            lambda request: (
                request.url.startswith((rig.url, "data:"))
                or faults.append("asks for " + request.url)
            ),
        )
        page.goto(f"{rig.url}/#{view}")
        if wait:
            expect(page.locator("#voltage")).to_have_text(re.compile("V$"))
        return page

    yield visit
    for free, context, origin in lent:
        forget(context, origin)
        free.append(context)
    assert faults == []


@pytest.fixture(scope="module")
def stage():
    """A rig in trouble, the same for all tests of a file."""
    with simulated(**SCENARIO) as simulation:
        simulation.until(lambda state: state["bus"]["connected"] == 13)
        simulation.until(lambda state: state["batteries"][13]["state"] == "absent")
        yield simulation
