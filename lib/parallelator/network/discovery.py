# SPDX-License-Identifier: GPL-3.0-only
"""What Home Assistant has to know to show the rig as one device. Published by mqtt, retained.

Home Assistant, MQTT discovery: https://www.home-assistant.io/integrations/mqtt#mqtt-discovery
"""

from micropython import const

from parallelator import VERSION, catalog

BIRTH = b"homeassistant/status"
"""Home Assistant publishes `online` here when it has started and knows no device yet."""

_CODES_A_STEP = const(8)
_CONFIG = "homeassistant/%s/%s/%s/config"
_MILLI = "{{ none if value_json.%s is none else value_json.%s / 1000 }}"
_PLAIN = "{{ value_json.%s }}"
_WORD = "{{ value_json.%s or 'none' }}"
_POWER = (
    "{{ none if value_json.voltage_mv is none"
    " else value_json.voltage_mv * value_json.current_ma / 1000000 }}"
)

# key, template, the value in the payload, unit, device class, state class
_SENSORS = (
    ("voltage", _MILLI, "voltage_mv", "V", "voltage", "measurement"),
    ("current", _MILLI, "current_ma", "A", "current", "measurement"),
    ("power", _POWER, None, "W", "power", "measurement"),
    ("discharge", _MILLI, "discharge_mah", "Ah", None, "total_increasing"),
    ("charge", _MILLI, "charge_mah", "Ah", None, "total_increasing"),
    ("temperature", _PLAIN, "temperature_c", "°C", "temperature", "measurement"),
    ("state", _WORD, "state", None, None, None),
    ("reason", _WORD, "reason", None, None, None),
)
_LEFT = "{{ value_json.energy.%s if value_json.energy else none }}"
_LEFT_KILO = "{{ value_json.energy.%s / 1000 if value_json.energy.%s is number else none }}"
_ENERGY = (
    ("energy_out", _MILLI, "discharge_wh", "kWh", "energy", "total_increasing"),
    ("energy_in", _MILLI, "charge_wh", "kWh", "energy", "total_increasing"),
)
_CHARGES = (("soc", _PLAIN, "soc_pct", "%", "battery", "measurement"),) + _ENERGY
_CHARGE = (
    ("soc", _LEFT, "soc_pct", "%", "battery", "measurement"),
    ("energy_left", _LEFT_KILO, "left_wh", "kWh", "energy_storage", "measurement"),
    ("time_left", _LEFT, "left_s", "s", "duration", "measurement"),
) + _ENERGY
"""The same of a rig whose settings tell a capacity."""
_TOTALS = (
    ("voltage", _MILLI, "bus.voltage_mv", "V", "voltage", "measurement"),
    ("current", _MILLI, "bus.current_ma", "A", "current", "measurement"),
    ("power", _PLAIN, "bus.power_w", "W", "power", "measurement"),
    ("discharge", _MILLI, "discharge_mah", "Ah", None, "total_increasing"),
    ("charge", _MILLI, "charge_mah", "Ah", None, "total_increasing"),
    ("connected", _PLAIN, "bus.connected", None, None, "measurement"),
)


class Device:
    """A rig as Home Assistant sees it.

    Args:
        node: identifies the rig among all others: letters, digits, `_`.
        base: the topic of the rig; name: what people call it.
        words: a `wording.Words`. counted: True when charge and energy are known.
    """

    def __init__(self, node: str, base: str, name: str, words: "Words", counted: bool):
        self._node = node
        self._base = base
        self._name = name
        self._words = words
        self._counted = counted

    def rig(self):
        """The messages of the whole rig, as (topic, dict), and None as a pause between steps."""
        for row in _TOTALS + (_CHARGE if self._counted else ()):
            name = self._words.entity(row[0])
            yield None
            yield self._sensor("rig_" + row[0], name, "/state", row)
        config = self._entity("event", self._words.entity("event"), "/event")
        config["event_types"] = codes = []
        for code, _, _, holds in catalog.CODES:
            if holds & catalog.EVENT and holds & catalog.MQTT:
                codes.append(code)
                if len(codes) % _CODES_A_STEP == 0:
                    yield None
        yield self._topic("event", "event"), config

    def battery(self, n: int, commands: bool):
        """The messages of battery n = 1..16, as `rig`; with a switch if `commands` are obeyed."""
        place = "/battery/%d" % n
        for row in _SENSORS + (_CHARGES if self._counted else ()):
            name = self._words.entity(row[0], n)
            yield None
            yield self._sensor("battery_%d_%s" % (n, row[0]), name, place, row)
        if commands:
            key = "battery_%d_switch" % n
            config = self._entity(key, self._words.entity("switch", n), place)
            config["value_template"] = "{{ value_json.wish | upper }}"
            config["command_topic"] = "%s%s/set" % (self._base, place)
            config["payload_on"] = "AUTO"
            config["payload_off"] = "OFF"
            yield self._topic("switch", key), config

    def _topic(self, component: str, key: str):
        return _CONFIG % (component, self._node, key)

    def _sensor(self, key: str, name: str, place: str, row: tuple):
        _, template, value, unit, device_class, state_class = row
        config = self._entity(key, name, place)
        values = (value,) * template.count("%s")
        config["value_template"] = template % values
        for option, content in (
            ("unit_of_measurement", unit),
            ("device_class", device_class),
            ("state_class", state_class),
        ):
            if content:
                config[option] = content
        return self._topic("sensor", key), config

    def _entity(self, key: str, name: str, place: str):
        return {
            "name": name,
            "unique_id": "%s_%s" % (self._node, key),
            "state_topic": self._base + place,
            "availability_topic": self._base + "/status",
            "device": {
                "identifiers": [self._node],
                "name": self._name,
                "manufacturer": "Parallelator",
                "model": "Parallelator",
                "sw_version": VERSION,
            },
        }
