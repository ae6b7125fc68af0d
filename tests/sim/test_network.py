# SPDX-License-Identifier: GPL-3.0-only
"""The network in whole-firmware runs: absent, flapping, refusing, lying. Virtual time."""

from sim import current
from sim.servers import NameServer, TimeServer
from support import clean
from test_records import Run, complete, uptimes

WIFI = {"ssid": "stage", "password": "night-show"}
NOW_S = 1784000000  # 2026-07-14T03:33:20Z
POOL = "pool.ntp.org"


class Online(Run):
    """A run with a card, and servers in its network.

    Attributes:
        network: codes of the network's events, each with its second.
    """

    def __init__(self, names=None, clock=None, **plan):
        self._servers = {53: names, 123: clock}
        settings = plan.setdefault("settings", {})
        settings.setdefault("wifi", dict(WIFI))
        plan.setdefault("batteries", [{"n": n} for n in range(1, 5)])
        plan.setdefault("load", [[0, 12]])
        super().__init__(**plan)
        clean(self.report)
        self.network = [event for event in self.events if event[1][:4] in ("wifi", "time")]

    def _listen(self):
        world = current.world
        for port, server in self._servers.items():
            if server and server not in world.servers:
                world.servers.append(server)
                world.ports[port] = server.port
        super()._listen()

    def names(self):
        return [code for _, code in self.network]


def pulses(first_s, count, step_s, batteries=4):
    """An overcurrent of half a second now and then, of one battery after the other."""
    steps = []
    for k in range(count):
        at_s = first_s + k * step_s
        step = {"at": at_s, "do": "inject_current", "n": 1 + k % batteries, "ma": 24000}
        steps += [step, dict(step, at=at_s + 0.5, ma=0)]
    return steps


def protected(run, trips):
    """The protection and the log have gone on as if there were no network."""
    assert run.report["resets"] == 0
    assert "task_died" not in [code for _, code in run.events]
    reactions = run.report["reactions"]
    assert len(reactions) == trips, reactions
    assert max(opened - crossed for crossed, opened, _, _ in reactions) <= 50
    assert run.report["ticks"]["worst_ms"] < 50, run.report["ticks"]
    seconds = uptimes(run.rows("boot-0001.csv"))
    assert complete(seconds, 2, int(run.report["end_ms"] / 1000) - 15)


def test_without_its_network_a_rig_opens_its_own_and_goes_on():
    # The access point comes up a minute after the boot: among the pulses.
    steps = [{"at": 0, "do": "wifi_down"}] + pulses(57, 12, 0.53, 16)
    run = Online(duration_s=100, steps=steps, batteries=16, load=[[0, 24]])
    assert run.names() == ["wifi_not_found", "wifi_ap"]
    assert 59 <= run.network[1][0] <= 66, run.network
    protected(run, 12)


def test_a_network_that_comes_and_goes_each_minute_is_events_and_nothing_more():
    steps = pulses(15, 8, 40.3)
    for k in range(1, 6):
        steps.append({"at": 60 * k, "do": "wifi_down" if k % 2 else "wifi_up"})
    run = Online(duration_s=360, steps=steps)
    each = ["wifi_up", "wifi_down", "wifi_not_found"]
    assert run.names() == each * 3, run.network
    protected(run, 8)


def test_a_wrong_password_is_told_and_harms_nothing():
    networks = {"stage": ["another-one", -50], "bar": ["", -60]}
    steps = [{"at": 0, "do": "wifi_networks", "networks": networks}] + pulses(20, 3, 35.1)
    run = Online(duration_s=120, steps=steps)
    assert run.names() == ["wifi_password", "wifi_ap"]
    protected(run, 3)


def test_the_time_comes_from_a_server_and_a_jump_needs_a_second_answer():
    clock = TimeServer(NOW_S)
    names = NameServer({POOL: "127.0.0.1"}, ttl_s=600)
    steps = [{"at": 60, "do": "wifi_down"}, {"at": 64, "do": "wifi_up"}] + pulses(20, 3, 35.1)
    honest = clock.answer
    clock.answer = lambda query, now_us: honest(
        query, now_us + (now_us > 60000000) * 86400 * 10**6
    )
    run = Online(names, clock, duration_s=122, steps=steps)
    set_s = [at for at, name in run.network if name == "time_set"]
    up_s = [at for at, name in run.network if name == "wifi_up"]
    assert len(set_s) == len(up_s) == 2, run.network
    assert set_s[0] - up_s[0] <= 1 and 14 <= set_s[1] - up_s[1] <= 18, run.network
    assert clock.asked == 3 and names.asked == 1, "the name is remembered"
    days = ["2026-07-14.csv", "2026-07-15.csv"]
    assert sorted(run.files()) == days + ["boot-0001.csv", "events.csv"], run.files()
    seconds = []
    for name in run.files():
        seconds += [] if name == "events.csv" else uptimes(run.rows(name))
    assert complete(sorted(seconds), 2, 105), "a jump of the time moves no row of the log"
    assert len(run.report["reactions"]) == 3 and run.report["ticks"]["worst_ms"] < 50


def without_time(names, clock, asked):
    steps = pulses(20, 2, 20.1)
    run = Online(names, clock, duration_s=58, steps=steps, batteries=2, load=[[0, 6]])
    assert run.names() == ["wifi_up"], run.network
    assert clock.asked == asked, clock.asked
    protected(run, 2)


def test_times_that_cannot_be_are_refused():
    for unix_s in (0, 4000000000):
        without_time(NameServer({POOL: "127.0.0.1"}), TimeServer(unix_s), 3)


def test_garbage_and_silence_leave_the_time_unknown():
    garbage = TimeServer(NOW_S)
    garbage.lie = lambda honest: [b"", b"\xff" * 48, bytes(48), honest[:47], b"x" * 500]
    without_time(NameServer({POOL: "127.0.0.1"}), garbage, 3)
    silent = TimeServer(NOW_S)
    silent.delay_us = None
    without_time(NameServer({POOL: "127.0.0.1"}), silent, 3)


def test_a_name_server_that_lies_dies_or_is_silent_delays_nothing():
    silent = NameServer()
    silent.delay_us = None
    liar = NameServer({POOL: "127.0.0.1"})
    liar.lie = lambda honest: [honest[:-1], honest[:12], b"\xc0\x0c" * 250, b""]
    for names in (silent, liar, None):
        without_time(names, TimeServer(NOW_S), 0)
