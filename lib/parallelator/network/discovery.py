# SPDX-License-Identifier: GPL-3.0-only
"""What Home Assistant has to know to show the rig as a device, and each battery as one behind it.
Loaded by mqtt while it is told, and let go afterwards.

A device is described by a few retained messages of at most 2 KB, each made piece by piece, twice:
to know its length, and to send it. What is not offered is named with its platform alone, which
removes it. See https://www.home-assistant.io/integrations/mqtt#mqtt-discovery; the keys are the
abbreviations of `homeassistant/components/mqtt/abbreviations.py`.
"""

import json

from micropython import const

from parallelator import VERSION, catalog, energy

MIGRATE = b'{"migrate_discovery":true}'
"""Sent to a topic of the earlier descriptions, one for each entity: the entity stays, and is
described anew."""
MIGRATING_MS = const(2000)
"""What Home Assistant may take to let go of those."""

_CODES_A_PIECE = const(8)
_ALARMS_A_PART = const(5)
# What holds of a row.
_COUNTED = const(1)  # offered where the capacity of the batteries is known
_COMMANDS = const(2)  # offered where commands are obeyed
_OLD = const(4)  # it had a description of its own once
_SIDE = const(8)  # shown among the diagnostics

# key, platform, its template or the value in the message, kind, what holds
_BATTERY = (
    ("voltage", "sensor", "voltage_mv/1000", "V", _OLD),
    ("current", "sensor", "current_ma/1000", "A", _OLD),
    (
        "power",
        "sensor",
        "{{ value_json.voltage_mv*value_json.current_ma/1000000"
        " if value_json.voltage_mv is number else none }}",
        "W",
        _OLD,
    ),
    ("state", "sensor", "{{ value_json.state_text }}", "enum", _OLD),
    ("reason", "sensor", "{{ value_json.reason_text }}", "", _OLD),
)
_BATTERY_MORE = (
    (
        "problem",
        "binary_sensor",
        "{{ 'ON' if value_json.alarms|rejectattr('severity','eq','notice')|list else 'OFF' }}",
        "problem",
        0,
    ),
    ("switch", "switch", "{{ value_json.wish|upper }}", "switch", _COMMANDS | _OLD),
    ("reset", "button", "", "RESET", _COMMANDS),
)
_BATTERY_ENERGY = (
    ("soc", "sensor", "soc_pct", "%", _COUNTED | _OLD),
    ("energy_out", "sensor", "discharge_wh/1000", "kWh", _COUNTED | _OLD),
    ("energy_in", "sensor", "charge_wh/1000", "kWh", _COUNTED | _OLD),
    ("temperature", "sensor", "temperature_c", "C", _OLD | _SIDE),
)
_BATTERY_COUNTERS = (
    ("discharge", "sensor", "discharge_mah/1000", "Ah", _OLD | _SIDE),
    ("charge", "sensor", "charge_mah/1000", "Ah", _OLD | _SIDE),
    ("trips", "sensor", "trips", "number", _SIDE),
    ("switchings", "sensor", "switchings", "count", _SIDE),
)
_RIG = (
    ("voltage", "sensor", "bus.voltage_mv/1000", "V", _OLD),
    ("current", "sensor", "bus.current_ma/1000", "A", _OLD),
    ("power", "sensor", "bus.power_w", "W", _OLD),
    ("connected", "sensor", "bus.connected", "number", _OLD),
    ("promise", "sensor", "promise_a", "A", 0),
)
_RIG_ENERGY = (
    ("soc", "sensor", "energy.soc_pct", "%", _COUNTED | _OLD),
    ("energy_left", "sensor", "energy.left_wh/1000", "left", _COUNTED | _OLD),
    ("time_left", "sensor", "energy.left_s", "s", _COUNTED | _OLD),
    ("energy_out", "sensor", "discharge_wh/1000", "kWh", _COUNTED | _OLD),
    ("energy_in", "sensor", "charge_wh/1000", "kWh", _COUNTED | _OLD),
)
_RIG_MORE = (
    _BATTERY_MORE[0],
    ("discharge", "sensor", "discharge_mah/1000", "Ah", _OLD | _SIDE),
    ("charge", "sensor", "charge_mah/1000", "Ah", _OLD | _SIDE),
    ("update", "update", "{{ value_json.version }}", "update", 0),
    ("reset", "button", "", "RESET", _COMMANDS),
    ("restart", "button", "", "RESTART", _COMMANDS),
)
_RIG_TEST = (
    ("selftest", "button", "", "SELFTEST", _COMMANDS),
    ("verdict", "sensor", "", "verdict", 0),
)
_EVENT = (("event", "event", "", "event", _OLD),)
_ATTRIBUTES = (
    ',"json_attr_t":%s,"json_attr_tpl":'
    "\"{{ {'alarms':value_json.alarms|map(attribute='text')|list}|tojson }}\""
)

_KINDS = {
    "V": ',"unit_of_meas":"V","dev_cla":"voltage","stat_cla":"measurement"',
    "A": ',"unit_of_meas":"A","dev_cla":"current","stat_cla":"measurement"',
    "W": ',"unit_of_meas":"W","dev_cla":"power","stat_cla":"measurement","sug_dsp_prc":0',
    "%": ',"unit_of_meas":"%","dev_cla":"battery","stat_cla":"measurement"',
    "C": ',"unit_of_meas":"°C","dev_cla":"temperature","stat_cla":"measurement"',
    "s": ',"unit_of_meas":"s","dev_cla":"duration","stat_cla":"measurement"',
    "Ah": ',"unit_of_meas":"Ah","stat_cla":"total_increasing"',
    "kWh": ',"unit_of_meas":"kWh","dev_cla":"energy","stat_cla":"total_increasing"',
    "left": ',"unit_of_meas":"kWh","dev_cla":"energy_storage","stat_cla":"measurement"',
    "number": ',"stat_cla":"measurement"',
    "count": ',"stat_cla":"total_increasing"',
    "enum": ',"dev_cla":"enum"',
    "alarm": ',"dev_cla":"problem"',
    "problem": ',"dev_cla":"problem"',
    "switch": ',"pl_on":"AUTO","pl_off":"OFF"',
    "RESET": ',"pl_prs":"RESET"',
    "RESTART": ',"pl_prs":"RESTART","dev_cla":"restart","ent_cat":"config"',
    "SELFTEST": ',"pl_prs":"SELFTEST"',
    "verdict": ',"dev_cla":"enum"',
    "update": ',"dev_cla":"firmware"',
}
"""What is said of an entity by its kind. Home Assistant lists which unit and which state class
belong to a device class in `components/sensor/const.py`."""


class Description:
    """The rig and its batteries as Home Assistant shows them.

    Args:
        rig: the `Rig`: its settings and words count as they are now.
        node: identifies the rig among all others: letters, digits, `_`.
        base: the topic of the rig; url: of its page, "" when that is not known.
    """

    def __init__(self, rig: "Rig", node: str, base: str, url: str):
        value = rig.settings
        self._settings = value
        self._node = node
        self._base = base
        self._url = url
        self._name = value["name"]
        self._words = rig.words
        counted = _COUNTED if energy.is_asked(value) else 0
        self._offered = counted | (_COMMANDS if value["mqtt.commands"] else 0)

    def messages(self, n: int, old: int):
        """All of battery n = 1..16, or of the rig itself, 0.

        Args:
            old: true when the broker keeps descriptions of single entities of it.

        Yields:
            (topic, what is sent there): bytes, or a function whose generator gives the text in
            pieces; an int is a pause in ms, None one between two steps.
        """
        if old:
            yield from self._old(n, MIGRATE)
            yield MIGRATING_MS
        for part, rows in _parts(n):
            yield None
            head = self._head(n, part)
            yield self._topic(n, part), lambda: self._pieces(n, head, rows)  # noqa: B023
        if old:
            yield from self._old(n, b"")

    def removal(self, n: int, kept: int, old: int):
        """As `messages`, to remove what the broker keeps of the same."""
        for part, _ in _parts(n) if kept else ():
            yield self._topic(n, part), b""
        if old:
            yield from self._old(n, b"")

    def _old(self, n: int, payload: bytes):
        for _, rows in _parts(n):
            for key, platform, _, _, holds in rows:
                if holds & _OLD:
                    key = _identity(n, key)
                    yield "homeassistant/%s/%s/%s/config" % (platform, self._node, key), payload
                    yield None

    def _topic(self, n: int, part: str):
        return "homeassistant/device/%s/%s%s/config" % (self._node, _place(n), part)

    def _head(self, n: int, part: str):
        """The beginning of a message: the device, and where its entities find what they show."""
        words, base = self._words, self._base
        identity, name, more = self._node, self._name, ',"mdl":"Parallelator"'
        commands = base + "/set"
        via = ""
        if n:
            identity += "_" + _place(n)
            label = self._settings["batteries.%d.label" % n] or words.entity("battery", n)
            name += " " + label
            more = ',"sn":%s' % json.dumps(self._settings["batteries.%d.id" % n])
            via = ',"via_device":"%s"' % self._node
            commands = "%s/battery/%d/set" % (base, n)
        more += ',"mf":"Parallelator","sw":"%s"' % VERSION
        if self._url:
            more += ',"cu":"%s"' % self._url
        if part:  # the first message has told it
            more = ""
        state = self._state_topic(n)
        if part == "_events":
            state = base + "/event"
            commands = ""
        elif self._offered & _COMMANDS:
            commands = ',"cmd_t":%s' % json.dumps(commands)
        else:
            commands = ""
        return (
            '{"dev":{"ids":"%s","name":%s%s%s},'
            '"o":{"name":"Parallelator","sw":"%s"},"avty_t":%s,"stat_t":%s%s,"cmps":{'
        ) % (
            identity,
            json.dumps(name),
            via,
            more,
            VERSION,
            json.dumps(base + "/status"),
            json.dumps(state),
            commands,
        )

    def _state_topic(self, n: int):
        return self._base + ("/battery/%d" % n if n else "/state")

    def _pieces(self, n: int, head: str, rows: "Iterable[tuple]"):
        comma = ""
        yield head
        for row in rows:
            yield comma + self._entity(n, row)
            comma = ","
            if row[0] == "event":
                yield from self._event_types()
        yield "}}"

    def _entity(self, n: int, row: tuple):
        key, platform, value, kind, holds = row
        if holds & (_COUNTED | _COMMANDS) & ~self._offered:
            return '"%s":{"p":"%s"}' % (key, platform)
        text = '"%s":{"p":"%s","uniq_id":"%s_%s","name":%s' % (
            key,
            platform,
            self._node,
            _identity(n, key),
            json.dumps(self._words.entity(key)),
        )
        text += _KINDS.get(kind, "")
        if holds & _SIDE:
            text += ',"ent_cat":"diagnostic"'
        if value:
            text += ',"val_tpl":"%s"' % _template(value)
        if kind == "enum":
            states = [self._words.state(name) for name in catalog.names(catalog.STATES)]
            text += ',"ops":' + json.dumps(states)
        elif kind == "verdict":
            names = catalog.VERDICTS + (catalog.RUNNING,)
            told = {name: self._words.verdict(name) for name in names}
            value = "{{ %s[value_json.selftest]|default(none) }}" % json.dumps(told)
            text += ',"val_tpl":%s,"ops":%s' % (json.dumps(value), json.dumps(list(told.values())))
        elif kind == "problem":
            text += _ATTRIBUTES % json.dumps(self._state_topic(n))
        elif kind == "update":
            text += ',"l_ver_t":' + json.dumps(self._base.rpartition("/")[0] + "/latest")
        elif kind == "event":
            return text + ',"evt_typ":['
        return text + "}"

    def _event_types(self):
        codes = [
            code
            for code, _, _, holds in catalog.CODES
            if holds & catalog.EVENT and holds & catalog.MQTT
        ]
        for begin in range(0, len(codes), _CODES_A_PIECE):
            text = json.dumps(codes[begin : begin + _CODES_A_PIECE])[1:-1].replace(" ", "")
            yield ("," if begin else "") + text
        yield "]}"


def _place(n: int):
    return "battery_%d" % n if n else "rig"


def _identity(n: int, key: str):
    return key if key == "event" else "%s_%s" % (_place(n), key)


def _template(value: str):
    """The template that finds a value, given as such or as its place in the message."""
    if value[0] == "{":
        return value
    return "{{ value_json.%s if value_json.%s is number else none }}" % (
        value,
        value.split("/")[0],
    )


def _parts(n: int):
    """The messages of a device: (what their topic ends in, rows)."""
    if n:
        yield "", _BATTERY
        yield "_more", _BATTERY_MORE
        yield "_energy", _BATTERY_ENERGY
        yield "_counters", _BATTERY_COUNTERS
        return
    yield "", _RIG
    yield "_energy", _RIG_ENERGY
    yield "_more", _RIG_MORE
    yield "_test", _RIG_TEST
    yield "_events", _EVENT
    codes = [
        row[0] for row in catalog.CODES if row[3] & catalog.ALARM and row[3] & catalog.RIG_ONLY
    ]
    for begin in range(0, len(codes), _ALARMS_A_PART):
        rows = [
            (
                code,
                "binary_sensor",
                "{{ 'ON' if '%s' in value_json.alarm_codes else 'OFF' }}" % code,
                "alarm",
                _SIDE,
            )
            for code in codes[begin : begin + _ALARMS_A_PART]
        ]
        yield "_alarms_%d" % (begin // _ALARMS_A_PART + 1), rows
