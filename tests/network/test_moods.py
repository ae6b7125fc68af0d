# SPDX-License-Identifier: GPL-3.0-only
"""A real broker that stops, freezes, is slow or says no: the rig comes back by itself.

The simulator runs several times as fast as real time, so that the rig's pauses between two tries
cost the tests less time. With `SOAK=1` it runs in real time, the rig is a full one, and its guard
must not be delayed.
"""

import contextlib
import os
import time

import pytest

from brokers import PASSWORD, USER, Listener, SlowRoad, certificates, running
from host import Denials
from rigs import Simulation, simulated

SOAK = os.environ.get("SOAK") == "1"
SPEED = 1 if SOAK else 4
BATTERIES = 16 if SOAK else 4
WORST_GAP_MS = 250
PAUSE_S = 0.3
BASE = "parallelator/stage"


@contextlib.contextmanager
def rig_on(**mqtt):
    """A rig with these settings of `mqtt`; afterwards no task must have failed."""
    settings = {"name": "stage", "mqtt": {"interval_s": 1} | mqtt}
    with simulated(speed=SPEED, batteries=BATTERIES, settings=settings) as rig:
        denials = Denials(rig.process.pid)
        try:
            yield rig
            system = rig.ask("GET", "/api/system")[2]
        finally:
            denials.stop()
        assert [task for task in system["tasks"] if task["failures"]] == []
        report = rig.stop()
    if SOAK:
        worst_ms = report["ticks"]["worst_ms"]
        denied_ms = denials.longest(worst_ms)
        print(f"the guard's longest gap {worst_ms:.0f} ms, denied by the host {denied_ms:.0f} ms")
        assert worst_ms - denied_ms <= WORST_GAP_MS, (worst_ms, denied_ms)


def mqtt_of(rig):
    """The part `mqtt` of /api/system, None before the first try."""
    return rig.ask("GET", "/api/system")[2]["mqtt"]


def until(rig, true, seconds=90):
    """Waits for a state of the rig's connection; returns it."""
    end = time.monotonic() + seconds
    while True:
        found = mqtt_of(rig)
        if found and true(found):
            return found
        assert time.monotonic() < end, found
        time.sleep(PAUSE_S)


def up(found):
    """Connected."""
    return found["connected"]


def complains(problem):
    """A test for `until`: not connected because of `problem`."""
    return lambda found: found["problem"] == problem and not found["connected"]


def wait_text(rig, text, seconds=90):
    """Waits until an event says it."""
    end = time.monotonic() + seconds
    while True:
        events = rig.ask("GET", "/api/events")[2]["events"]
        if any(text in event["text"] for event in events):
            return
        assert time.monotonic() < end, events
        time.sleep(PAUSE_S)


def test_stopped_restarted_and_frozen():
    with running() as broker, rig_on(**broker.settings(commands=True)) as rig:
        listener = Listener(broker)
        listener.wait_status(BASE, "online")
        until(rig, up)
        broker.stop()
        until(rig, complains("unreachable"))
        broker.start()
        since = len(listener.heard)
        until(rig, up)
        listener.wait_for(BASE + "/state", since=since)

        broker.freeze()
        found = until(rig, complains("silent"))
        assert found["connections"] == 2
        broker.thaw()
        until(rig, up)
        listener.wait_for(BASE + "/event", lambda event: event["code"] == "mqtt_down", since)
        wait_text(rig, "MQTT not connected: the broker does not answer")
        listener.close()


def test_the_will_arrives_when_the_rig_dies():
    with running() as broker:
        listener = Listener(broker)
        settings = {"name": "stage", "mqtt": broker.settings()}
        rig = Simulation(speed=SPEED, batteries=4, settings=settings)
        at = listener.wait_status(BASE, "online")
        rig.process.kill()
        at = listener.wait_status(BASE, "offline", at)
        listener.close()
        late = Listener(broker)
        late.wait_status(BASE, "offline")
        assert late.heard[0] == (BASE + "/status", "offline", True)
        late.close()


def test_a_command_that_the_broker_kept_is_not_obeyed():
    with running() as broker:
        listener = Listener(broker)
        listener.say(BASE + "/battery/2/set", "OFF", True)
        with rig_on(**broker.settings(commands=True)) as rig:
            _, event = listener.wait_for(
                BASE + "/event", lambda event: event["code"] == "command_refused"
            )
            assert "does not obey a message that the broker kept" in event["text"]
            assert rig.ask("GET", "/api/state")[2]["batteries"][1]["wish"] == "auto"
        listener.close()


def test_wrong_password_until_it_is_set_right():
    with running(users=True) as broker:
        broker.change_password("another")
        with rig_on(**broker.settings(user=USER, password=PASSWORD)) as rig:
            until(rig, complains("password"))
            wait_text(rig, "MQTT not connected: wrong user or password")
            broker.change_password(PASSWORD)
            until(rig, up)
            assert PASSWORD not in str(rig.ask("GET", "/api/settings")[2])


def test_a_slow_road():
    with running() as broker:
        road = SlowRoad(broker, 300)
        listener = Listener(broker)
        with rig_on(**broker.settings(port=road.port)) as rig:
            listener.wait_status(BASE, "online")
            number = rig.ask("GET", "/api/events")[2]["next"]
            listener.wait_for(BASE + "/event", lambda event: event["number"] >= number - 1)
            listener.wait_for(BASE + "/battery/4", lambda battery: battery["state"] == "on")
        road.close()
        listener.close()


@pytest.fixture(scope="module")
def papers(tmp_path_factory):
    """(authority, (certificate, key), the authority of somebody else)."""
    ours = certificates(tmp_path_factory.mktemp("ours"))
    return (*ours, certificates(tmp_path_factory.mktemp("others"))[0])


def test_tls(papers):
    authority, pair, other = papers
    with running(tls=pair) as broker:
        listener = Listener(broker, ca=authority)
        tls = broker.settings(tls=True)
        with rig_on(**tls, ca_file=str(authority)) as rig:
            listener.wait_status(BASE, "online")
            broker.stop()
            until(rig, complains("unreachable"))
            broker.start()
            until(rig, up)
        with rig_on(**tls, ca_file=str(other)) as rig:
            until(rig, complains("tls"))
            wait_text(rig, "MQTT not connected: no secure connection")
        with rig_on(**tls, ca_file="nothing.pem") as rig:
            until(rig, complains("tls"))
        with rig_on(**tls) as rig:
            until(rig, up)
        with rig_on(**broker.settings()) as rig:
            until(rig, lambda found: found["problem"] in ("closed", "unreachable", "garbage"))
        listener.close()


def test_tls_against_a_broker_without():
    with running() as broker, rig_on(**broker.settings(tls=True)) as rig:
        until(rig, lambda found: found["problem"] in ("tls", "closed", "unreachable"))
