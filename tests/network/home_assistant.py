# SPDX-License-Identifier: GPL-3.0-only
"""Judges discovery messages with Home Assistant's own code. Run by test_home_assistant.py.

    build/home-assistant/bin/python tests/network/home_assistant.py < MESSAGES

MESSAGES is a JSON list of [component, config, payload of its state topic or null]. Prints a line
for each fault, then how many were judged.
"""

import json
import sys

import jinja2
import voluptuous
from homeassistant.components.mqtt import event, sensor, switch
from homeassistant.components.sensor import (
    DEVICE_CLASS_STATE_CLASSES,
    DEVICE_CLASS_UNITS,
    SensorDeviceClass,
)

SCHEMAS = {
    "event": event.DISCOVERY_SCHEMA,
    "sensor": sensor.DISCOVERY_SCHEMA,
    "switch": switch.DISCOVERY_SCHEMA,
}
TEMPLATES = jinja2.Environment(undefined=jinja2.StrictUndefined)


def rendered(config, payload):
    """The value that the template finds in a payload."""
    template = TEMPLATES.from_string(config["value_template"])
    return template.render(value_json=json.loads(payload))


def faults(component, config, payload):
    """What is wrong with a message."""
    try:
        SCHEMAS[component](dict(config))
    except voluptuous.Invalid as error:
        yield str(error)
    if component == "switch" and rendered(config, payload) not in ("AUTO", "OFF"):
        yield "no state: " + rendered(config, payload)
    if component == "sensor":
        value = rendered(config, payload)
        if config.get("state_class") and value != "None":
            float(value)
        kind = config.get("device_class")
        if kind:
            kind = SensorDeviceClass(kind)
            if config["unit_of_measurement"] not in DEVICE_CLASS_UNITS[kind]:
                yield f"{kind} is not in {config['unit_of_measurement']}"
            if config["state_class"] not in DEVICE_CLASS_STATE_CLASSES[kind]:
                yield f"{kind} has no {config['state_class']}"
    if component == "event" and json.loads(payload)["event_type"] not in config["event_types"]:
        yield "unknown event " + payload


def main():
    """Judge all; return the exit code."""
    messages = json.load(sys.stdin)
    found = [(row, fault) for row in messages for fault in faults(*row)]
    for row, fault in found:
        print(row[1]["unique_id"], fault)
    print(len(messages), "judged")
    return 1 if found else 0


sys.exit(main())
