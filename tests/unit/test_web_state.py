# SPDX-License-Identifier: GPL-3.0-only
"""The text of the state comes a battery at a time."""

import json

from parallelator import web
from parallelator.snapshot import Snapshot
from parallelator.web import state


class Labels:
    def __getitem__(self, key):
        return key


class Rig:
    snap = Snapshot()
    settings = Labels()
    pending = {"limits.max_trips": 3}
    saves = 2

    def alarms(self):
        return ({"code": code, "n": 3} for code in ("stuck_closed", "no_contact"))


def test_the_pieces_are_one_object_and_none_holds_two_batteries():
    Rig.snap.unused, Rig.snap.sensors = 0b10100, 0b10000
    state.rig_view = lambda rig: {"name": "rig"}
    state.battery_view = lambda rig, i: {
        "n": i + 1,
        "label": rig.settings["batteries.%d.label" % (i + 1)],
    }
    for logged_in in (True, False):
        pieces = list(state.pieces(Rig(), True, logged_in))
        assert max(piece.count('"label"') for piece in pieces) == 1
        whole = json.loads("".join(pieces))
        assert [one["n"] for one in whole["batteries"]] == list(range(1, 17))
        assert whole["batteries"][2]["label"] == "batteries.3.label"
        assert whole["logged_in"] == logged_in and whole["writable"] and whole["name"] == "rig"
        assert (whole["pending"], whole["saves"]) == (1, 2)
        assert whole["unused"] == [3], "a sensor answers at the other"
        assert [alarm["code"] for alarm in whole["alarms"]] == ["stuck_closed", "no_contact"]


def test_nothing_is_made_before_it_is_asked_for():
    state.rig_view = None
    pieces = state.pieces(Rig(), True, True)
    assert web.answer(pieces).body is pieces
