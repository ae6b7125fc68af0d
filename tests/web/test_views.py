# SPDX-License-Identifier: GPL-3.0-only
"""Every view of the page in Chromium, over the firmware on a simulated rig.

With SOAK=1 in all eight looks.
"""

from conftest import LOOKS, PICTURES
from views import SMALL, VIEWS, faults, open_view


@LOOKS
def test_every_view(visit, stage, viewport, scheme, language):
    page = visit(stage, viewport, scheme, language=language)
    name = f"{language}-{scheme}-{viewport['width']}"
    PICTURES.mkdir(parents=True, exist_ok=True)
    for view in VIEWS:
        open_view(page, view)
        if view == "settings":
            page.evaluate("document.querySelectorAll('details').forEach(e => e.open = true)")
        page.wait_for_timeout(300)
        page.screenshot(path=PICTURES / f"{view}-{name}.png")
        if (scheme, language) == ("light", "en"):
            page.screenshot(path=PICTURES / f"{view}-{name}-full.png", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth") == viewport["width"], view
        assert page.evaluate(SMALL) == [], view
        assert faults(page) == [], view
