# SPDX-License-Identifier: GPL-3.0-only
"""What the rig publishes by MQTT, as JSON schemas by topic. For tests and for other programs.

Objects may gain keys: a reader ignores what it does not know. The exception are the messages for
Home Assistant, which knows exactly these.
"""

from openapi import ALARMS as ALARM_CODES
from openapi import SCHEMAS, SEVERITY, array, fields, of

STATE = SCHEMAS["State"]["properties"]
ALARMS = STATE["alarms"] | {"maxItems": 12}
TOTALS = fields(
    **{
        key: STATE[key]
        for key in (
            *("name", "version", "language", "uptime_ms", "time", "boot", "bus", "max", "min"),
            *("mean_mv", "discharge_mah", "charge_mah", "energy"),
            *("promise_a", "n_minus_1", "n_minus_1_then", "cascade", "show", "report", "selftest"),
        )
    },
    alarm_count="int",
    alarm_codes=array({"enum": ALARM_CODES}) | {"uniqueItems": True},
    alarms=ALARMS,
)
EVENT = fields(**SCHEMAS["Event"]["properties"], event_type="str")
BATTERY = fields(
    **STATE["batteries"]["items"]["properties"],
    state_text="str?",
    reason_text="str",
    alarms=array(fields(code={"enum": ALARM_CODES}, severity=SEVERITY, text="str")),
)

TEXT = {"type": "string", "minLength": 1}
PLACE = "(state|event|status|battery/[0-9]+)"
TOPIC = {"type": "string", "pattern": f"^[^+#]+/[^+#/]+/{PLACE}$"}
COMMAND = {"type": "string", "pattern": "^[^+#]+/[^+#/]+/(battery/[0-9]+/)?set$"}
NODE = "parallelator_[0-9a-f]{12}"


def exactly(required, more=()):
    """An object with the keys of `required`, some of those of `more`, and no others."""
    return {
        "type": "object",
        "properties": required | dict(more),
        "required": list(required),
        "additionalProperties": False,
    }


DEVICE = exactly(
    {"ids": {"pattern": f"^{NODE}(_battery_[0-9]+)?$"}, "name": TEXT},
    {
        "mf": TEXT,
        "sw": TEXT,
        "mdl": TEXT,
        "sn": {"type": "string"},
        "cu": {"type": "string", "pattern": "^http://[^/]+/$"},
        "via_device": {"type": "string", "pattern": f"^{NODE}$"},
    },
)
UNITS = {
    "voltage": ("V", "measurement"),
    "current": ("A", "measurement"),
    "power": ("W", "measurement"),
    "temperature": ("°C", "measurement"),
    "battery": ("%", "measurement"),
    "energy": ("kWh", "total_increasing"),
    "energy_storage": ("kWh", "measurement"),
    "duration": ("s", "measurement"),
}
"""Unit and state class that Home Assistant asks of a device class of sensors."""


def entity(platform, required, more=()):
    """A component of a device that is offered."""
    unique = {"type": "string", "pattern": f"^{NODE}_[a-z0-9_]+$"}
    common = {"p": {"const": platform}, "uniq_id": unique, "name": TEXT}
    category = {"ent_cat": {"enum": ["diagnostic", "config"]}}
    return exactly(common | required, category | dict(more))


def components():
    """What a component may be; one that names its platform alone is removed."""
    found = {"val_tpl": TEXT}
    for kind, (unit, state_class) in UNITS.items():
        measured = {
            "dev_cla": {"const": kind},
            "unit_of_meas": {"const": unit},
            "stat_cla": {"const": state_class},
        }
        yield entity("sensor", found | measured, {"sug_dsp_prc": of("int")})
    counted = {"stat_cla": {"enum": ["measurement", "total_increasing"]}}
    yield entity("sensor", found | counted, {"unit_of_meas": {"const": "Ah"}})
    words = array(TEXT) | {"uniqueItems": True, "minItems": 1}
    yield entity("sensor", found | {"dev_cla": {"const": "enum"}, "ops": words})
    yield entity("sensor", found)
    sentences = {"json_attr_t": TOPIC, "json_attr_tpl": TEXT}
    yield entity("binary_sensor", found | {"dev_cla": {"const": "problem"}}, sentences)
    yield entity("switch", found | {"pl_on": {"const": "AUTO"}, "pl_off": {"const": "OFF"}})
    yield entity(
        "button", {"pl_prs": {"enum": ["RESET", "RESTART", "SELFTEST"]}}, {"dev_cla": TEXT}
    )
    yield entity("update", found | {"dev_cla": {"const": "firmware"}, "l_ver_t": TEXT})
    yield entity("event", {"evt_typ": array(of("str")) | {"uniqueItems": True}})
    yield exactly({"p": {"enum": ["sensor", "switch", "button"]}})


DISCOVERY = exactly(
    {
        "dev": DEVICE,
        "o": exactly({"name": TEXT, "sw": TEXT}),
        "avty_t": TOPIC,
        "stat_t": TOPIC,
        "cmps": {"type": "object", "additionalProperties": {"oneOf": list(components())}},
    },
    {"cmd_t": COMMAND},
)

TOPICS = {
    r".+/status": {"enum": ["online", "offline"]},
    r".+/state": TOTALS,
    r".+/event": EVENT,
    r".+/battery/([1-9]|1[0-6])": BATTERY,
    rf"homeassistant/device/{NODE}/[a-z0-9_]+/config": DISCOVERY,
}
"""Regular expression of a topic to the schema of its payload; `status` is text, all else JSON."""
