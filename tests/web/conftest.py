"""Fixtures of the web tests: fake rigs and a browser."""

import pytest
from playwright.sync_api import sync_playwright

from rigs import PASSWORD, started

BROWSER_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
)


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
        chromium = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=list(BROWSER_FLAGS)
        )
        yield chromium
        chromium.close()
