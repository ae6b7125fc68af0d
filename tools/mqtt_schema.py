# SPDX-License-Identifier: GPL-3.0-only
"""What the rig publishes by MQTT, as JSON schemas by topic. For tests and for other programs.

Objects may gain keys: a reader ignores what it does not know. The exception are the messages for
Home Assistant, which knows exactly these.
"""

from openapi import SCHEMAS, array, fields, of

STATE = SCHEMAS["State"]["properties"]
ALARMS = STATE["alarms"] | {"maxItems": 12}
TOTALS = fields(
    **{
        key: STATE[key]
        for key in (
            *("name", "version", "language", "uptime_ms", "time", "boot", "bus", "max", "min"),
            *("mean_mv", "discharge_mah", "charge_mah", "energy"),
        )
    },
    alarm_count="int",
    alarms=ALARMS,
)
EVENT = fields(**SCHEMAS["Event"]["properties"], event_type="str")
BATTERY = STATE["batteries"]["items"]

TEXT = {"type": "string", "minLength": 1}
TOPIC = {"type": "string", "pattern": "^[^+#]+/[^+#/]+/(state|event|status|battery/[0-9]+)$"}
DEVICE = {
    "type": "object",
    "properties": {
        "identifiers": {"type": "array", "items": TEXT, "minItems": 1, "maxItems": 1},
        "name": TEXT,
        "manufacturer": TEXT,
        "model": TEXT,
        "sw_version": TEXT,
    },
    "required": ["identifiers", "name", "manufacturer", "model", "sw_version"],
    "additionalProperties": False,
}
KINDS = {
    "voltage": ("V", "measurement"),
    "current": ("A", "measurement"),
    "power": ("W", "measurement"),
    "temperature": ("°C", "measurement"),
    "battery": ("%", "measurement"),
    "energy": ("kWh", "total_increasing"),
    "energy_storage": ("kWh", "measurement"),
    "duration": ("s", "measurement"),
}
"""Unit and state class that Home Assistant asks of a device class."""


def entity(required=(), **more):
    """A configuration with the keys that all have, those of `more`, and no others."""
    properties = {
        "name": TEXT,
        "unique_id": {"type": "string", "pattern": "^parallelator_[0-9a-f]{12}_[a-z0-9_]+$"},
        "state_topic": TOPIC,
        "availability_topic": TOPIC,
        "device": DEVICE,
    }
    return {
        "type": "object",
        "properties": properties | more,
        "required": [*properties, *required],
        "additionalProperties": False,
    }


def measured():
    """Device class, unit and state class belong together."""
    alternatives = [
        {
            "properties": {
                "device_class": {"const": kind},
                "unit_of_measurement": {"const": unit},
                "state_class": {"const": state_class},
            },
            "required": ["device_class", "unit_of_measurement", "state_class"],
        }
        for kind, (unit, state_class) in KINDS.items()
    ]
    counted = {
        "unit_of_measurement": {"const": "Ah"},
        "state_class": {"const": "total_increasing"},
    }
    number = {"state_class": {"const": "measurement"}}
    none = {"device_class": False, "unit_of_measurement": False}
    return [
        *alternatives,
        {"properties": counted | {"device_class": False}, "required": [*counted]},
        {"properties": number | none, "required": ["state_class"]},
        {"properties": none | {"state_class": False}},
    ]


SENSOR = entity(
    required=["value_template"],
    value_template=TEXT,
    device_class={"enum": list(KINDS)},
    unit_of_measurement=TEXT,
    state_class={"enum": ["measurement", "total_increasing"]},
) | {"oneOf": measured()}
SWITCH = entity(
    required=["value_template", "command_topic", "payload_on", "payload_off"],
    value_template=TEXT,
    command_topic={"type": "string", "pattern": "^[^+#]+/battery/[0-9]+/set$"},
    payload_on={"const": "AUTO"},
    payload_off={"const": "OFF"},
)
HA_EVENT = entity(required=["event_types"], event_types=array(of("str")) | {"uniqueItems": True})

NODE = "parallelator_[0-9a-f]{12}"
TOPICS = {
    r".+/status": {"enum": ["online", "offline"]},
    r".+/state": TOTALS,
    r".+/event": EVENT,
    r".+/battery/([1-9]|1[0-6])": BATTERY,
    rf"homeassistant/sensor/{NODE}/[a-z0-9_]+/config": SENSOR,
    rf"homeassistant/switch/{NODE}/[a-z0-9_]+/config": SWITCH,
    rf"homeassistant/event/{NODE}/event/config": HA_EVENT,
}
"""Regular expression of a topic to the schema of its payload; `status` is text, all else JSON."""
