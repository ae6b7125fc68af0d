# SPDX-License-Identifier: GPL-3.0-only
"""What an upload leaves in memory: nothing before it begins, nothing when it is given up."""

import json
import sys

from parallelator.settings import Values
from parallelator.snapshot import Snapshot
from parallelator.web import IDLE, api
from parallelator.web.auth import Auth


class Clock:
    now_ms = 0

    def ms(self):
        return self.now_ms

    def diff(self, a, b):
        return a - b


class Rig:
    clock = Clock()
    settings = Values({})
    snap = Snapshot()


class Half:
    """A bundle that has come in part, or whole."""

    version = "0.2.0"
    received = 5
    size = 10

    def __init__(self, ready=False):
        self.ready = ready
        self.closed = False

    def close(self):
        self.closed = True


def test_the_modules_of_an_update_are_not_there_before_one_begins():
    routes = api.Api(Rig(), Auth({}, Rig.clock, None, None), None)
    assert json.loads(routes.upload_state(None).body) == IDLE
    assert "parallelator.web.update" not in sys.modules
    assert "parallelator.web.bundle" not in sys.modules


def test_a_stranger_does_not_bring_them_in():
    class Access(Auth):
        async def refusal(self, request, counted):
            assert not counted, "the update counts it, when it is one"
            return "no"

    routes = api.Api(Rig(), Access({}, Rig.clock, None, None), None)
    try:
        routes.upload(None).send(None)
    except StopIteration as end:
        assert end.value == "no"
    assert "parallelator.web.bundle" not in sys.modules


def test_what_nobody_goes_on_with_for_a_minute_is_given_up():
    from parallelator.web.update import Update

    update = Update(Rig(), None)
    for ready in (False, True):
        half = update._receiver = Half(ready)
        update._seen_ms = Rig.clock.now_ms
        Rig.clock.now_ms += 59999
        update.sweep()
        assert update.view()["received"] == 5 and not half.closed
        Rig.clock.now_ms += 1
        update.sweep()
        # One that is whole waits for the switch.
        assert half.closed is not ready
        assert update.view()["phase"] == ("ready" if ready else "idle")
