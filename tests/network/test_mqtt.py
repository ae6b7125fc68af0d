# SPDX-License-Identifier: GPL-3.0-only
"""The firmware in the simulator and a real broker, mosquitto."""

import json
import re

import jsonschema_rs
import pytest

from brokers import Listener, running
from mqtt_schema import TOPICS
from rigs import simulated

BASE = "parallelator/Été 1"
VALIDATORS = {topic: jsonschema_rs.validator_for(schema) for topic, schema in TOPICS.items()}


class Stage:
    """A rig of eight batteries on its broker, and a listener there."""

    def __init__(self, broker, rig, listener):
        self.broker = broker
        self.rig = rig
        self.listener = listener

    def command(self, n, payload, **more):
        """Publishes a command; returns where to look for what follows."""
        since = len(self.listener.heard)
        self.listener.say(f"{BASE}/battery/{n}/set", payload, **more)
        return since

    def refusal(self, since):
        """The text of the next refusal."""
        _, event = self.listener.wait_for(
            BASE + "/event", lambda event: event["code"] == "command_refused", since
        )
        return event["text"]


@pytest.fixture(scope="module")
def stage():
    """All the batteries are on the bus and everything has been told once."""
    with running() as broker:
        listener = Listener(broker)
        plan = {
            "batteries": 8,
            "load": [[0, 0], [8, 30]],
            "settings": {
                "name": "Été 1",
                "mqtt": broker.settings(commands="all"),
                "pack": {"capacity_mah": 20000},
            },
        }
        with simulated(**plan) as rig:
            listener.wait_for(BASE + "/state", lambda state: state["bus"]["connected"] == 8)
            listener.wait(lambda topic, _: "battery_8_counters" in topic)
            yield Stage(broker, rig, listener)
        listener.close()


def faults(topic, payload):
    """What the schema says against a message, in words."""
    for pattern, validator in VALIDATORS.items():
        if re.fullmatch(pattern, topic):
            value = payload if topic.endswith("/status") else json.loads(payload)
            return [str(error) for error in validator.iter_errors(value)]
    return ["no such topic"]


def test_everything_that_is_published_validates(stage):
    heard = list(stage.listener.heard)
    seen = {pattern for pattern in TOPICS for m in heard if re.fullmatch(pattern, m[0])}
    assert seen == set(TOPICS)
    for topic, payload, _ in heard:
        assert faults(topic, payload) == [], (topic, payload)


def test_the_schema_is_not_for_everything():
    assert faults("parallelator/x/status", "on")
    assert faults("parallelator/x/elsewhere", "{}")
    assert faults("parallelator/x/battery/17", "{}")
    assert faults("parallelator/x/state", "{}")


def test_what_a_late_listener_needs_is_retained_and_nothing_else(stage):
    late = Listener(stage.broker)
    late.wait(lambda topic, _: "battery_8_counters" in topic)
    late.wait_for(BASE + "/state")
    late.wait_for(BASE + "/battery/8")
    kept = {topic for topic, _, retained in late.heard if retained}
    late.close()
    assert BASE + "/status" in kept
    rest = [topic for topic in kept if not topic.endswith("/config")]
    assert rest == [BASE + "/status"]
    assert len(kept) == 1 + 10 + 8 * 4


def test_every_entity_is_about_something_that_is_published(stage):
    heard = {topic: payload for topic, payload, _ in stage.listener.heard}
    messages = [json.loads(text) for topic, text in heard.items() if topic.endswith("/config")]
    devices = {message["dev"]["ids"]: message["dev"] for message in messages}
    assert len(devices) == 9
    assert sorted(device["name"] for device in devices.values())[:2] == [
        "Été 1",
        "Été 1 Battery 1",
    ]
    entities = [entity for message in messages for entity in message["cmps"].values()]
    assert len({entity["uniq_id"] for entity in entities}) == len(entities) == 41 + 8 * 16
    for message in messages:
        assert heard[message["avty_t"]] == "online"
        value = json.loads(heard[message["stat_t"]])
        for entity in message["cmps"].values():
            for place in re.findall(r"value_json\.([a-z_.]+)", entity.get("val_tpl", "")):
                found = value
                for key in place.split("."):
                    found = found[key]
    types = next(entity["evt_typ"] for entity in entities if "evt_typ" in entity)
    events = [json.loads(m[1]) for m in stage.listener.heard if m[0] == BASE + "/event"]
    assert events and {event["event_type"] for event in events} <= set(types)


def test_a_battery_is_switched_off_and_on(stage):
    for payload, state in (("OFF", "off"), ("auto", "on"), ("OFF", "off"), ("ON", "on")):
        since = stage.command(3, payload)
        at, _ = stage.listener.wait_for(
            BASE + "/battery/3", lambda battery, state=state: battery["state"] == state, since
        )
        event = stage.listener.wait_for(
            BASE + "/event", lambda event: event["code"] == "wish" and event["n"] == 3, since
        )[1]
        assert event["event_type"] == "wish", event
    assert stage.rig.ask("GET", "/api/system")[2]["mqtt"]["commands"] >= 4


def test_what_cannot_be_done_is_answered(stage):
    assert "numbered 1 to 16" in stage.refusal(stage.command(17, "ON"))
    assert "numbered 1 to 16" in stage.refusal(stage.command("x", "ON"))
    assert "ON, OFF, AUTO" in stage.refusal(stage.command(2, "TOGGLE"))
    assert "does not answer" in stage.refusal(stage.command(12, "ON"))
    state = stage.rig.ask("GET", "/api/state")[2]
    assert [battery["wish"] for battery in state["batteries"]] == ["auto"] * 16


def test_a_message_that_is_too_long_or_no_text_changes_nothing(stage):
    stage.command(2, "OFF" * 3000)
    assert "ON, OFF, AUTO" in stage.refusal(stage.command(2, b"\xff\xfe\x00"))
    report = stage.rig.ask("GET", "/api/system")[2]["mqtt"]
    assert report["connected"] and report["connections"] == 1, report


def test_home_assistant_that_has_restarted_is_told_again(stage):
    since = len(stage.listener.heard)
    stage.listener.say("homeassistant/status", "online")
    stage.listener.wait(lambda topic, _: "rig_events" in topic, since)
    stage.listener.wait(lambda topic, _: "battery_8_counters" in topic, since)


def test_a_limit_is_changed_by_its_topic_while_the_rig_runs(stage):
    key = "limits.max_discharge_current_ma"
    for place, value in (("web.password", '"12345678"'), (key, '9000,"limits.imbalance_mv":60')):
        since = len(stage.listener.heard)
        stage.listener.say(f"{BASE}/setting/{place}/set", value)
        assert "does not take that value" in stage.refusal(since)
    since = len(stage.listener.heard)
    stage.listener.say(f"{BASE}/setting/{key}/set", "9500")
    stage.listener.wait_for(BASE + "/event", lambda e: e["code"] == "limits_saved", since)
    answer = stage.rig.ask("GET", "/api/settings")[2]
    assert answer["values"][key] == 9500 and answer["pending"] == [], answer
