# SPDX-License-Identifier: GPL-3.0-only
"""The one table of settings, and what may stand in them. `config` reads the files.

Values come in as a flat dict, go through `check`, and every fault names what was found and what
is allowed.
"""

import sys

from micropython import const

from parallelator import formats
from parallelator.hardware import ina_models
from parallelator.snapshot import BATTERIES
from parallelator.texts import printable, slip

_MA = const("mA")
_MV = const("mV")
_MAH = const("mAh")
_MS = const("ms")
_BYTES = const("bytes")
_LABEL_CHARS = 24
_ID_CHARS = 16
_SHOWN_CHARS = 64
_DEPTH = 3
_KEYS_A_STEP = 12

_S3 = int("ESP32S3" in getattr(sys.implementation, "_machine", ""))
# Of a plain ESP32, and of an ESP32-S3.
_FLASH_PINS = ((6, 11), (26, 32))
"""First and last GPIO of the controller's own flash memory: driving one crashes it."""
_NO_PINS = ((20, 24, 28, 29, 30, 31), (22, 23, 24, 25))
_LAST_PIN = (39, 48)
_LAST_OUTPUT = (33, 48)

_BITS = const("four different whole numbers, 0 to 7")
FLAG = const("true or false")
CURVE = const("21 rising whole numbers, 1000 to 5000 mV: a cell at rest at 0, 5, ... 100 %")

# key, default, lowest, highest, unit. Text: its length in characters, or in bytes where the other
# side counts those; it may be empty where the default is. A tuple lists what is allowed; None as
# default leaves it to the preset. Pins are those of a plain ESP32, see `rows`.
RIG_TABLE = (
    ("name", "parallelator", 1, 24, ""),
    ("language", "en", ("en", "fr"), None, ""),
    ("serial_messages", True, None, None, ""),
    ("board", "kxkm-v2", ("kxkm-v2", "kxkm-v1", "straight"), None, ""),
    ("board.switch", None, _BITS, None, ""),
    ("board.alert", None, _BITS, None, ""),
    ("board.red", None, _BITS, None, ""),
    ("board.green", None, _BITS, None, ""),
    ("board.leds_inverted", None, FLAG, None, ""),
    ("pins.i2c_sda", 32, 0, 48, "GPIO"),
    ("pins.i2c_scl", 33, 0, 48, "GPIO"),
    ("pins.sd_sck", 18, 0, 48, "GPIO"),
    ("pins.sd_mosi", 23, 0, 48, "GPIO"),
    ("pins.sd_miso", 19, 0, 48, "GPIO"),
    ("pins.sd_cs", 5, 0, 48, "GPIO"),
    ("i2c_khz", 100, (50, 100, 400, "auto"), None, "kHz"),
    ("sensor.model", "auto", ("auto",) + ina_models.MODELS, None, ""),
    ("sensor.shunt_uohm", 2000, 100, 100000, "uOhm"),
    ("pack.chemistry", "nmc", ("nmc", "lfp"), None, ""),
    ("pack.cells", 7, 1, 20, ""),
    ("pack.capacity_mah", 0, 0, 1000000, _MAH),
    ("pack.curve", None, CURVE, None, ""),
    ("limits.min_voltage_mv", 24000, 5000, 60000, _MV),
    ("limits.max_voltage_mv", 30000, 5000, 60000, _MV),
    ("limits.charge_floor_mv", 21000, 4000, 60000, _MV),
    ("limits.max_discharge_current_ma", 10000, 100, 40000, _MA),
    ("limits.max_charge_current_ma", 10000, 100, 40000, _MA),
    ("limits.max_current_ma", 10000, 100, 40000, _MA),
    ("limits.hard_current_pct", 200, 0, 1000, "%"),
    ("limits.voltage_offset_mv", 500, 10, 5000, _MV),
    ("limits.start_spread_mv", 150, 10, 5000, _MV),
    ("limits.imbalance_mv", 1000, 50, 10000, _MV),
    ("limits.uv_hysteresis_mv", 1000, 0, 10000, _MV),
    ("limits.ov_hysteresis_mv", 500, 0, 10000, _MV),
    ("limits.reconnect_delay_ms", 10000, 1000, 3600000, _MS),
    ("limits.max_trips", 5, 1, 1000, ""),
    ("limits.trip_decay_s", 3600, 0, 1000000, "s"),
    ("limits.join_interval_ms", 500, 100, 60000, _MS),
    ("limits.start_delay_ms", 5000, 0, 600000, _MS),
    ("limits.trial_interval_ms", 10000, 0, 600000, _MS),
    ("limits.temperature_alarm_c", 70, 30, 120, "C"),
    ("limits.temperature_trip_c", 85, 30, 120, "C"),
    ("limits.pack_resistance_mohm", 30, 1, 1000, "mOhm"),
    ("limits.path_resistance_mohm", 20, 0, 1000, "mOhm"),
    ("log.interval_s", 1, 1, 3600, "s"),
    ("log.layout", "long", ("long", "wide"), None, ""),
    ("log.separator", ",", (",", ";", "\t"), None, ""),
    ("log.keep_free_mb", 20, 1, 10000, "MB"),
    ("wifi.ssid", "", 1, 32, _BYTES),
    ("wifi.password", "", 8, 64, _BYTES),
    ("wifi.hostname", "parallelator", 1, 32, ""),
    ("wifi.country", "", 0, 2, ""),
    ("wifi.ip", "", 0, 15, ""),
    ("wifi.netmask", "255.255.255.0", 0, 15, ""),
    ("wifi.gateway", "", 0, 15, ""),
    ("wifi.dns", "", 0, 15, ""),
    ("wifi.ap_password", "", 8, 63, _BYTES),
    ("time.ntp", "pool.ntp.org", 0, 64, ""),
    ("time.zone", "UTC0", 4, 64, ""),
    ("time.show", "", 0, 16, ""),
    ("web.port", 80, 1, 65535, ""),
    ("web.password", "", 8, formats.PASSWORD_BYTES, ""),
    ("web.hosts", "", 0, 128, ""),
    ("mqtt.host", "", 0, 64, ""),
    ("mqtt.port", 1883, 1, 65535, ""),
    ("mqtt.tls", False, None, None, ""),
    ("mqtt.ca_file", "", 0, 64, ""),
    ("mqtt.user", "", 0, 64, ""),
    ("mqtt.password", "", 0, 128, ""),
    ("mqtt.prefix", "parallelator", 1, 32, _BYTES),
    ("mqtt.interval_s", 10, 1, 3600, "s"),
    ("mqtt.discovery", True, None, None, ""),
    ("mqtt.commands", False, (False, True, "all"), None, ""),
)
BATTERY_TABLE = (
    ("label", "", 0, _LABEL_CHARS, ""),
    ("mode", "auto", ("auto", "off", "unused"), None, ""),
    ("capacity_mah", 0, 0, 1000000, _MAH),
    ("id", "", 0, _ID_CHARS, ""),
)
TABLE = RIG_TABLE + tuple(
    ("batteries.%d.%s" % (n, row[0]),) + row[1:]
    for n in range(1, BATTERIES + 1)
    for row in BATTERY_TABLE
)
"""Every setting: those of the rig, then those of each battery 1..16."""

S3_PINS = (
    ("pins.i2c_sda", 41),
    ("pins.i2c_scl", 40),
    ("pins.sd_sck", 12),
    ("pins.sd_mosi", 11),
    ("pins.sd_miso", 13),
    ("pins.sd_cs", 10),
)
"""The defaults of an ESP32-S3."""

SECRETS = ("web.password", "wifi.password", "wifi.ap_password", "mqtt.password")
SAFE = ("name", "language", "board", "pins", "sensor", "batteries", "wifi", "web")
"""The groups that safe mode takes over: a wrong shunt or wiring would be the greater danger."""
LIVE = (
    "name",
    "language",
    "serial_messages",
    "web.password",
    "web.hosts",
    "wifi.ssid",
    "wifi.password",
    "mqtt.interval_s",
    "mqtt.discovery",
    "mqtt.commands",
)
"""What takes effect when it is saved, as labels, ids, modes, time and, see `Guard.adopt`, limits
do; the rest waits for a restart."""

_FOREIGN = ("wifi.ssid", "wifi.password", "mqtt.user", "mqtt.password")
"""Texts that somebody else has chosen."""

# Names of the first firmware; their units are those of the new names.
_OLD_NAMES = (
    ("set_min_voltage", "limits.min_voltage_mv"),
    ("set_max_voltage", "limits.max_voltage_mv"),
    ("set_max_current", "limits.max_current_ma"),
    ("set_max_charge_current", "limits.max_charge_current_ma"),
    ("set_max_discharge_current", "limits.max_discharge_current_ma"),
    ("reconnect_delay", "limits.reconnect_delay_ms"),
    ("nb_switch_on", "limits.max_trips"),
    ("log_time", "log.interval_s"),
    ("voltage_offset", "limits.voltage_offset_mv"),
    ("print_message", "serial_messages"),
    ("I2C_Speed", "i2c_khz"),
)
_HARD_CEILING_MA = 40000
_SENSOR_SHARE_PCT = 90


def rows():
    """TABLE, with the pins of this controller, as (key, default, ...)."""
    for row in TABLE:
        for key, pin in S3_PINS if _S3 else ():
            if key == row[0]:
                row = (key, pin) + row[2:]
        yield row


def row_of(key: str):
    """The row of setting `key`, None when there is no such setting."""
    for row in TABLE:
        if row[0] == key:
            return row
    return None


class Values:
    """All settings by their dotted key: those that were given, over the defaults of the table.

    A dict of all would take a kilobyte, and each copy of it another.

    Args:
        given: flat dict of those that were given; it is kept, and changed.
    """

    def __init__(self, given: "dict[str, Any]"):
        self.given = given

    def __getitem__(self, key: str) -> "Any":
        given = self.given
        return given[key] if key in given else _default(key)

    def __setitem__(self, key: str, value: object):
        self.given[key] = value

    def with_changes(self, changes: dict):
        """A copy with these changes, a flat dict."""
        given = dict(self.given)
        given.update(changes)
        return Values(given)


def _default(key: str):
    if key.startswith("batteries."):
        for row in BATTERY_TABLE:
            if key.endswith(row[0]):
                return row[1]
    for row in rows():
        if row[0] == key:
            return row[1]
    raise KeyError(key)


class Twice(ValueError):
    """A setting that is given both nested and with its dotted key; its text is the key."""


def flattening(tree: dict, prefix: str = "", depth: int = _DEPTH):
    """A nested dict as one with dotted keys; levels deeper than those of settings stay nested.

    A generator with short steps that returns the dict, see `finish`.

    Raises:
        Twice: two keys are the same one.
    """
    flat = {}
    for key, value in tree.items():
        if isinstance(value, dict) and depth > 1:
            yield
            branch = yield from flattening(value, prefix + key + ".", depth - 1)
        else:
            branch = {prefix + key: value}
        for name in branch:
            if name in flat:
                raise Twice(name)
        flat.update(branch)
    return flat


def nesting(flat: dict):
    """The reverse of `settings.flattening`; `board.switch` and its like stay dotted, because
    `board` is itself a value."""
    tree = {}
    for k, (key, value) in enumerate(flat.items()):
        if k % _KEYS_A_STEP == 0:
            yield
        branch = tree
        parts = key.split(".")
        if parts[0] != "board":
            for part in parts[:-1]:
                branch = branch.setdefault(part, {})
            key = parts[-1]
        branch[key] = value
    return tree


def finish(steps: "Generator"):
    """Go through a generator without a pause; returns what it returns."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def is_live(key: str):
    """True when a change of setting `key` needs no restart."""
    if key.startswith("batteries."):
        return not key.endswith("_mah")
    return key in LIVE or key.startswith("time.") or key.startswith("limits.")


def unused(values: Values):
    """Mask of the places where no battery is expected."""
    return sum(
        1 << i for i in range(BATTERIES) if values["batteries.%d.mode" % (i + 1)] == "unused"
    )


def is_protective(key: str):
    """True when setting `key` bears on what opens and closes the switches."""
    return key.split(".")[0] in ("limits", "sensor", "board")


def _kind(value: object):
    if isinstance(value, bool):
        return FLAG
    if isinstance(value, int):
        return "a whole number"
    return "text" if isinstance(value, str) else None


def _allowed(row: tuple) -> str:
    _, default, low, high, unit = row
    if default is None:
        return low
    if isinstance(low, tuple):
        return "one of " + ", ".join(_named(one) for one in low)
    if low is None:
        return _kind(default)
    if isinstance(default, str):
        allowed = "text of %d to %d %s" % (low, high, unit or "characters")
        return "nothing, or " + allowed if low and not default else allowed
    return ("a whole number, %d to %d %s" % (low, high, unit)).rstrip()


def _named(value: object):
    return str(value).lower() if _kind(value) == FLAG else str(value)


def _fits(row: tuple, value: object):
    _, default, low, high, unit = row
    if default is None:
        if low == FLAG:
            return value is None or isinstance(value, bool)
        return value is None or (_is_curve(value) if low == CURVE else _are_bits(value))
    if isinstance(low, tuple):
        return any(_kind(value) == _kind(one) and value == one for one in low)
    if _kind(value) != _kind(default):
        return False
    if low is None:
        return True
    if isinstance(value, str):
        size = len(value.encode() if unit == _BYTES else value)
        return value == default or low <= size <= high
    return low <= value <= high


def _are_numbers(value: list, count: int, low: int, high: int):
    return len(value) == count and all(
        _kind(number) == "a whole number" and low <= number <= high for number in value
    )


def _are_bits(value: object):
    return isinstance(value, list) and _are_numbers(value, 4, 0, 7) and len(set(value)) == 4


def _is_curve(value: object):
    return (
        isinstance(value, list)
        and _are_numbers(value, 21, 1000, 5000)
        and all(value[k] < value[k + 1] for k in range(20))
    )


def check(changes: dict):
    """Lay `changes` over the defaults and check the result.

    Args:
        changes: flat dict of dotted keys, old names allowed.

    Returns:
        (values, faults, renamed): the `Values`; a list of faults, each a dict with `key`,
        `found`, `allowed`; a list of (old name, new name). Use values only without faults.
    """
    values = Values({})
    faults = []
    renamed = []
    for _ in checking(changes, values, faults, renamed):
        pass
    return values, faults, renamed


def new_name(key: str):
    """The name that a setting of the first firmware has now; another key as it is."""
    return dict(_OLD_NAMES).get(key, key)


def checking(changes: dict, values: Values, faults: list, renamed: list):
    """What `check` does, as a generator with a short step for each change; adds to the three."""
    faulty = len(faults)
    for key, value in changes.items():
        yield
        if new_name(key) != key:
            renamed.append((key, new_name(key)))
            key = new_name(key)
        row = row_of(key)
        if row is None:
            faults.append(fault_of(key, value, "no such setting"))
        elif not _fits(row, value) and not (key == "web.password" and formats.is_hash(value)):
            faults.append(fault_of(key, value, _allowed(row)))
        elif isinstance(value, str) and isinstance(row[2], int) and slip(value, key in _FOREIGN):
            allowed = _allowed(row) + slip(value, key in _FOREIGN)
            faults.append(fault_of(key, value, allowed))
        else:
            values[key] = value
    for fault in formats.faults(values):
        yield
        if fault:
            faults.append(fault_of(fault[0], values[fault[0]], fault[1]))
    yield
    if len(faults) == faulty:
        yield from _contradicting(values, faults)


def fault_of(key: str, found: object, allowed: str):
    """A fault as `check` reports it; what was found is cut short, and secrets are not shown."""
    if key in SECRETS:
        found = "***"
    elif isinstance(found, dict) or (isinstance(found, list) and not all(map(_kind, found))):
        found = "an object" if isinstance(found, dict) else "a list"
    elif found is not None and _kind(found) != FLAG:
        text = str(found)
        if len(text) > _SHOWN_CHARS or _kind(found) != "a whole number":
            found = printable(text[:_SHOWN_CHARS])
    return {"key": printable(key[:_SHOWN_CHARS]), "found": found, "allowed": allowed}


def _contradicting(v: Values, faults: list):
    """Adds what does not go together to `faults`."""
    low = v["limits.min_voltage_mv"]
    high = v["limits.max_voltage_mv"]
    if low >= high:
        faults.append(
            fault_of("limits.min_voltage_mv", low, "below limits.max_voltage_mv (%d mV)" % high)
        )
        return
    for key in ("limits.uv_hysteresis_mv", "limits.ov_hysteresis_mv"):
        if v[key] >= high - low:
            faults.append(fault_of(key, v[key], "less than the window (%d mV)" % (high - low)))
    first, last = _FLASH_PINS[_S3]
    yield
    for key, _ in S3_PINS:
        if first <= v[key] <= last:
            allowed = "another GPIO than %d to %d, those of the flash memory" % (first, last)
            faults.append(fault_of(key, v[key], allowed))
        elif not _is_usable(key, v[key]):
            allowed = "a GPIO of this controller that can do this, %d at most" % _last(key)
            faults.append(fault_of(key, v[key], allowed))
    if v["pins.i2c_sda"] == v["pins.i2c_scl"]:
        faults.append(
            fault_of("pins.i2c_scl", v["pins.i2c_scl"], "another GPIO than pins.i2c_sda")
        )
    yield
    driver = ina_models.driver(v["sensor.model"])
    if high > driver.MAX_MV:
        allowed = "at most %d mV with an %s" % (driver.MAX_MV, driver.NAME)
        faults.append(fault_of("limits.max_voltage_mv", high, allowed))
    for one, other in (("board.switch", "board.alert"), ("board.red", "board.green")):
        both = (v[one] or []) + (v[other] or [])
        if len(set(both)) < len(both):
            faults.append(fault_of(one, v[one], "other bits than " + other))
    range_ma = driver.RANGE_UV * 1000 // v["sensor.shunt_uohm"] * _SENSOR_SHARE_PCT // 100
    ceiling_ma = min(_HARD_CEILING_MA, range_ma)
    for key in ("limits.max_discharge_current_ma", "limits.max_charge_current_ma"):
        effective_ma = min(v[key], v["limits.max_current_ma"])
        if effective_ma * max(v["limits.hard_current_pct"], 100) // 100 > ceiling_ma:
            faults.append(
                fault_of(
                    "limits.hard_current_pct",
                    v["limits.hard_current_pct"],
                    "a hard limit of at most %d mA (40 A, 90 %% of the sensor's range); "
                    "%s gives %d mA" % (ceiling_ma, key, effective_ma),
                )
            )
    yield
    if v["limits.temperature_alarm_c"] > v["limits.temperature_trip_c"]:
        allowed = "at most limits.temperature_trip_c (%d C)" % v["limits.temperature_trip_c"]
        faults.append(
            fault_of("limits.temperature_alarm_c", v["limits.temperature_alarm_c"], allowed)
        )
    if 0 < v["limits.hard_current_pct"] < 100:
        faults.append(
            fault_of("limits.hard_current_pct", v["limits.hard_current_pct"], "0, or 100 or more")
        )


def _is_usable(key: str, pin: int):
    """True when a pin is there, and can drive its line; an input only needs to be there."""
    return pin <= _last(key) and pin not in _NO_PINS[_S3]


def _last(key: str):
    return (_LAST_PIN if key == "pins.sd_miso" else _LAST_OUTPUT)[_S3]


def safe(values: Values):
    """The settings of safe mode: those that say how the rig is built and how it is reached as in
    `values`, what `config.load` found; all others, and so every limit, as in the table."""
    given = values.given
    return Values({key: given[key] for key in given if key.split(".")[0] in SAFE})
