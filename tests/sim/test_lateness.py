# SPDX-License-Identifier: GPL-3.0-only
"""Late ticks of a firmware whose guard goes first are explained; of one where it does not, not."""

import sabotage
from sim import current
from sim.servers import NameServer, TimeServer
from soak import lateness
from support import play

RIG = {"batteries": [{"n": n, "soc": 0.8} for n in range(1, 5)], "duration_s": 20}


def crowd():
    """A dozen more tasks of the firmware, always ready."""
    import asyncio

    from parallelator.app import App

    async def toil():
        while True:
            await asyncio.sleep_ms(0)

    start = App._start

    def start_more(app, name, job):
        if name == "console":
            for _ in range(12):
                start(app, "toil", toil)
        return start(app, name, job)

    App._start = start_more


def test_a_crowd_of_tasks_explains_no_late_tick_when_the_guard_goes_first():
    explainer, _ = lateness.explain(lambda: play(crowd, **RIG))
    assert explainer.ticks > 950 and explainer.unexplained == [], explainer.unexplained


def test_a_guard_that_waits_for_its_turn_is_found():
    def broken():
        crowd()
        sabotage.the_guard_waits_for_its_turn()

    explainer, _ = lateness.explain(lambda: play(broken, **RIG))
    assert explainer.unexplained, explainer.causes


def test_openings_in_two_waves_take_their_time():
    # Those that open first leave so much to the others that these report it in the same tick.
    packs = [{"n": n, "soc": 0.8, "r_mohm": 30 if n < 9 else 90} for n in range(1, 17)]
    limits = {"max_discharge_current_ma": 5373, "hard_current_pct": 182}
    for at_s in (9, 9.205):
        explainer, report = lateness.explain(
            lambda at_s=at_s: play(
                duration_s=10, batteries=packs, load=[[at_s, 160]], settings={"limits": limits}
            )
        )
        assert explainer.unexplained == [] and explainer.causes == {"switching": 1}, at_s
        assert report["violations"] == [], report["violations"]


class Visitor:
    """Clients of the page that come one after the other; a server of the world, see servers.py.

    Attributes:
        heads: what each was answered first.
    """

    REQUESTS = (
        b"GET /api/state HTTP/1.0\r\n\r\n",
        b"GET /nothing HTTP/1.0\r\n\r\n",
        b"POST /api/login HTTP/1.0\r\nContent-Length: 200\r\n\r\n",
        b"GET /api",
    )

    def __init__(self):
        self.port = None
        self.heads = []
        self._waiting = list(self.REQUESTS)
        self._socket = None
        self._next_us = 10000000

    def serve(self, now_us):
        import usocket

        if self._socket:
            try:
                data = self._socket.read(4096)
            except OSError:
                return
            if data is None:
                return
            if data and self._fresh:
                self.heads.append(data[:12])
                self._fresh = False
            if not data:
                self._socket.close()
                self._socket = None
        elif self._waiting and self.port and now_us >= self._next_us:
            self._next_us = now_us + 500000
            self._socket = usocket.socket()
            self._socket.connect(usocket.getaddrinfo("127.0.0.1", self.port)[0][-1])
            self._socket.setblocking(False)
            self._socket.write(self._waiting.pop(0))
            self._fresh = True


def test_the_guard_is_asked_before_every_step_of_every_task():
    visitor = Visitor()
    names = NameServer({"pool.ntp.org": "127.0.0.1"})
    clock = TimeServer(1784000000)

    def listen():
        from parallelator.app import App

        start = App._start

        def start_and_tell(app, name, job):
            visitor.port = app.settings["web.port"]
            return start(app, name, job)

        App._start = start_and_tell
        rig = current.world
        rig.servers += (names, clock, visitor)
        rig.ports[53], rig.ports[123] = names.port, clock.port

    settings = {
        "wifi": {"ssid": "stage", "password": "night-show"},
        "web": {"password": "stage-night"},
    }
    explainer, report = lateness.explain(
        lambda: play(
            listen,
            settings=settings,
            steps=[
                {"at": 0, "do": "broker"},
                {"at": 20, "do": "broker", "mood": "vanish"},
                {"at": 25, "do": "broker", "mood": "hang"},
            ],
            batteries=4,
            duration_s=60,
        )
    )
    codes = [b"HTTP/1.0 %d" % code for code in (200, 404, 408, 408)]
    assert visitor.heads == codes, visitor.heads
    met = (names.asked, clock.asked, report["broker"]["connections"])
    assert all(met), met
    assert explainer.unasked() == [], explainer.unasked()
    assert explainer.unexplained == [], explainer.unexplained
