# SPDX-License-Identifier: GPL-3.0-only
"""A rig with fewer batteries than places shows those it has, and misses none."""

import pytest
from playwright.sync_api import expect

from rigs import simulated


def misses(state):
    """True when the rig says that a board or a sensor is missing."""
    return "topology" in [alarm["code"] for alarm in state["alarms"]]


@pytest.mark.parametrize("count", [1, 4])
def test_a_small_rig_shows_what_it_has_and_misses_nothing(visit, count):
    modes = {str(n): {"mode": "unused"} for n in range(count + 1, 17)}
    with simulated(batteries=count, settings={"batteries": modes}) as rig:
        state = rig.until(lambda state: state["bus"]["connected"] == count)
        assert not misses(state)
        assert state["unused"] == list(range(count + 1, 17))
        page = visit(rig)
        expect(page.locator("#cards article:visible")).to_have_count(count)
        expect(page.locator("#tiles a:visible")).to_have_count(count)
        expect(page.locator("#connected")).to_contain_text(f"{count}/{count} connected")
        expect(page.locator("#notices")).not_to_contain_text("Missing")


def test_what_is_missed_is_told_until_somebody_says_that_it_is_not_used(visit):
    with simulated(batteries=1) as rig:
        rig.until(misses)
        session = rig.login()
        body = {f"batteries.{n}.mode": "unused" for n in (2, 3, 4)}
        answer = rig.ask("PATCH", "/api/settings", body, **session)
        assert (answer[0], answer[2]["pending"]) == (200, []), "in force at once"
        assert not misses(rig.ask("GET", "/api/state")[2])
        body = {"batteries.3.mode": "auto"}
        assert rig.ask("PATCH", "/api/settings", body, **session)[0] == 200
        state = rig.ask("GET", "/api/state")[2]
        told = [alarm["detail"] for alarm in state["alarms"] if alarm["code"] == "topology"]
        assert told == [{"sensor": [3]}]
        assert state["unused"] == [2, 4]
        events = [event["code"] for event in rig.ask("GET", "/api/events")[2]["events"]]
        assert [code for code in events if code.startswith("topology")] == [
            *("topology", "topology_good", "topology"),
        ]  # fmt: skip


def test_a_battery_at_a_place_that_is_not_used_is_protected_and_shown(visit):
    modes = {str(n): {"mode": "unused"} for n in range(2, 17)}
    with simulated(batteries=2, settings={"batteries": modes}) as rig:
        state = rig.until(lambda state: state["bus"]["connected"] == 2)
        assert 2 not in state["unused"] and not misses(state)
        page = visit(rig)
        expect(page.locator("#cards article:visible")).to_have_count(2)
