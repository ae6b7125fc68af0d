# SPDX-License-Identifier: GPL-3.0-only
"""Every code of the rig, once: states, reasons, actions, alarms, events. Read by everybody.

A code is the word for something that programs read; people read its sentence, in messages/. What
else is to be known of a code stands in its row here, and log, page, API, MQTT, alert rules, log
tools and manuals take it from here. A new alarm is a row, its sentences in both languages, and
the line that raises it. The tables are literals, so that frozen code keeps them in flash.
"""

from micropython import const

LIT = const(1)
BLINK = const(2)

# state, severity, what ends it (one of CLEARS; None: nothing has to), red LED, green LED (0: dark)
STATES = (
    ("absent", "notice", "answer", 0, 0),
    ("off", "info", "operator_auto", 0, 0),
    ("waiting", "info", "bus", 0, BLINK),
    ("on", "info", None, 0, LIT),
    ("tripped", "trouble", "voltage", BLINK, 0),
    ("locked", "trouble", "operator_reset", LIT, 0),
    ("uncontrolled", "danger", "answer", LIT, LIT),
)
ABSENT = const(0)
OFF = const(1)
WAITING = const(2)
ON = const(3)
TRIPPED = const(4)
LOCKED = const(5)
UNCONTROLLED = const(6)

# A wish is what the operator wants; `on` is `auto` that skips what is left of a cooling delay.
WISHES = ("auto", "off")
AUTO = const(0)
WISH_OFF = const(1)

ACTIONS = ("off", "auto", "on", "reset")
"""What an operator may ask of a battery."""

VERDICTS = ("go", "unmeasured", "watch", "no_go")
RUNNING = "running"
"""What a self-test has found, the worst last; and that one runs."""

DISCONNECTED = "disconnected"
"""What an operator may say of a board that does not answer: its batteries hang on nothing."""

REST = "rest"
RESUME = "resume"
FIRE = "fire"
"""What a self-test asks of a battery: to open for a moment, to come back as it was, and, while it
rests, to let its ALERT fire."""

REQUESTS = ACTIONS + (DISCONNECTED, REST, RESUME, FIRE)

MQTT_PROBLEMS = tuple(
    ["unreachable", "silent", "closed", "garbage", "denied", "password", "name", "tls"]
)
"""Why there is no connection to the broker; the value of an event is an index into this."""

CLEARS = (
    "operator_auto",
    "operator_reset",
    "answer",
    "delay",
    "bus",
    "voltage",
    "empty",
    "full",
    "load",
    "board",
    "cool",
)
"""What ends a state."""

# reason, unit of the value that a trip for it measured, what ends a wait for it (None: what ends
# its state), its states, the usual one first. Append only: locks are stored by their number.
REASONS = (
    ("", "", None, "on"),
    ("not_found", "", None, "absent"),
    ("sensor_lost", "", None, "absent tripped"),
    ("sensor_range", "", None, "absent"),
    ("expander_lost", "", None, "absent uncontrolled tripped"),
    ("operator", "", None, "off"),
    ("starting", "", "delay", "waiting"),
    ("in_turn", "", "delay", "waiting"),
    ("bus_lower", "", None, "waiting"),
    ("bus_higher", "", None, "waiting"),
    ("inrush", "", None, "waiting"),
    ("start_spread", "", None, "waiting"),
    ("bus_overload", "", "load", "tripped waiting"),
    ("overcurrent", "mA", None, "tripped locked"),
    ("overvoltage", "mV", "full", "tripped waiting locked"),
    ("undervoltage", "mV", "empty", "tripped waiting"),
    ("overload", "mA", None, "tripped locked"),
    ("switch_fault", "mA", None, "locked"),
    ("wiring_map", "mA", None, "locked"),
    ("overtemperature", "C", "cool", "tripped locked"),
    ("imbalance", "mV", None, "tripped"),
    ("false_alert", "mA", None, "tripped"),
    ("trial", "", None, "on"),
    ("unsteady", "", "delay", "waiting"),
    ("doubtful_bus", "", "board", "waiting"),
    ("no_share", "mA", None, "tripped"),
    ("loose_contact", "mA", None, "locked"),
    ("sensor_offset", "mA", None, "absent waiting"),
    ("feeding", "mA", None, "tripped"),
    ("pin_low", "", None, "tripped"),
    ("address_alias", "", None, "absent"),
    ("self_test", "", None, "off"),
)


class Reason:
    """Why a battery is in its state: indexes into REASONS, each named like its code."""

    NONE = 0
    NOT_FOUND = 1
    SENSOR_LOST = 2
    SENSOR_RANGE = 3
    EXPANDER_LOST = 4
    OPERATOR = 5
    STARTING = 6
    IN_TURN = 7
    BUS_LOWER = 8
    BUS_HIGHER = 9
    INRUSH = 10
    START_SPREAD = 11
    BUS_OVERLOAD = 12
    OVERCURRENT = 13
    OVERVOLTAGE = 14
    UNDERVOLTAGE = 15
    OVERLOAD = 16
    SWITCH_FAULT = 17
    WIRING_MAP = 18
    OVERTEMPERATURE = 19
    IMBALANCE = 20
    FALSE_ALERT = 21
    TRIAL = 22
    UNSTEADY = 23
    DOUBTFUL_BUS = 24
    NO_SHARE = 25
    LOOSE_CONTACT = 26
    SENSOR_OFFSET = 27
    FEEDING = 28
    PIN_LOW = 29
    ADDRESS_ALIAS = 30
    SELF_TEST = 31


SEVERITIES = ("info", "notice", "trouble", "danger")
"""`danger`: people or packs may come to harm, or the rig cannot help itself. `trouble`: something
is broken or lost. `notice`: good to know. `info`: the rig at its work."""

# Flags of a code; the last column of CODES is their sum.
ALARM = const(1)  # stands for as long as its cause does
EVENT = const(2)  # happens
PAGE = const(4)  # the page and the API tell it
LOG = const(8)  # events.csv tells it
MQTT = const(16)
LEDS = const(32)  # the red LED of the battery is lit while it stands
RIG_ONLY = const(64)  # it is never that of one battery
ACKNOWLEDGE = const(128)  # an operator may say that it is known
BY_HAND = const(256)  # a person did it
FROM_PAGE = const(512)  # anybody who reaches the page can cause it
FROM_BROKER = const(1024)  # anybody who reaches the broker can cause it
FROM_RADIO = const(2048)  # anybody in the reach of the radio can cause it
FIRST = const(4096)  # of its severity, a person has to do something about it first
SOURCES = (BY_HAND, FROM_PAGE, FROM_BROKER, FROM_RADIO)
"""Events with one of these flags get few places in the list, however often they happen."""

_EVENT = const(EVENT | PAGE | LOG | MQTT)
_HAND = const(EVENT | PAGE | LOG | MQTT | BY_HAND)
_BATTERY = const(ALARM | EVENT | PAGE | LOG | MQTT)  # an alarm, and the event of its beginning
_BATTERY_ALARM = const(ALARM | PAGE | MQTT)  # an alarm without an event of its own
_RIG = const(ALARM | EVENT | PAGE | LOG | MQTT | RIG_ONLY)
_RIG_ALARM = const(ALARM | PAGE | MQTT | RIG_ONLY)
_ACK = const(ACKNOWLEDGE)
_FIRST = const(ACKNOWLEDGE | FIRST)

UNITS = ("", "mA", "mV", "ms", "C", "reason", "action", "day", "time", "version", "text")
"""Units of values: "" a number, C degrees Celsius, reason: that of the event's reason, action: a
index into ACTIONS, day: a log, as `wording.log_name` takes it, time: that of the event, version:
that of the firmware, text: the rig knows what the number stands for."""

# code, severity, unit of its value, what holds of it. Alarms come first, those of one battery
# before those of the rig.
CODES = (
    ("stuck_closed", "danger", "mA", _BATTERY | LEDS | _FIRST),
    ("uncontrolled", "danger", "", _BATTERY_ALARM | _FIRST),
    ("wiring_map", "danger", "", _BATTERY_ALARM),
    ("pin_high", "danger", "", _BATTERY | LEDS | _FIRST),
    ("address_alias", "danger", "", _BATTERY | LEDS | _ACK),
    ("alert_dead", "trouble", "", _BATTERY | _ACK),
    ("no_contact", "trouble", "mV", _BATTERY | _ACK),
    ("imbalance", "trouble", "mV", _BATTERY | _FIRST),
    ("sensor_offset", "trouble", "mA", _BATTERY | _ACK),
    ("temperature", "trouble", "C", _BATTERY | _ACK),
    ("low_soon", "trouble", "mV", _BATTERY | _ACK),
    ("contact_battery", "trouble", "", _BATTERY | _ACK),
    ("contact_output", "trouble", "", _BATTERY | _ACK),
    ("safe_crash", "danger", "", _RIG),
    ("safe_button", "danger", "", _RIG),
    ("bus_unheld", "danger", "mA", _RIG | _FIRST),
    ("bus_overload", "danger", "", _RIG_ALARM),
    ("rig_empty", "trouble", "", _RIG | _FIRST),
    ("charger_high", "trouble", "mV", _RIG | _FIRST),
    ("cascade", "trouble", "text", _RIG | _FIRST),
    ("cascade_board", "notice", "text", _RIG | _FIRST),
    ("topology", "trouble", "text", _RIG | _ACK),
    ("i2c_fault", "trouble", "", _RIG | _ACK),
    ("deadline_missed", "trouble", "ms", _RIG | _ACK),
    ("heap_low", "trouble", "", _RIG | _ACK),
    ("gc_slow", "notice", "ms", _RIG | _ACK),
    ("config_fault", "trouble", "text", _RIG | _ACK),
    ("sd_absent", "trouble", "", _RIG | _ACK),
    ("sd_unreadable", "trouble", "", _RIG | _ACK),
    ("sd_foreign", "trouble", "", _RIG | _ACK),
    ("sd_gpt", "trouble", "", _RIG | _ACK),
    ("sd_full", "trouble", "", _RIG | _ACK),
    ("card_blocked", "trouble", "text", _RIG | _ACK),
    ("storage_fault", "trouble", "", _RIG | _ACK),
    ("clock_unset", "notice", "", _RIG_ALARM | _ACK),
    # Protection
    ("trip", "trouble", "reason", _EVENT),
    ("bus_start_failed", "trouble", "", _EVENT),
    ("bus_locked", "danger", "", _EVENT),
    ("group_start", "info", "", _EVENT),
    ("relief", "notice", "", _EVENT),
    ("trial", "notice", "", _EVENT),
    ("trial_done", "notice", "", _EVENT),
    ("joined", "info", "", _EVENT),
    ("state", "info", "", _EVENT),
    ("expander_lost", "trouble", "", _EVENT),
    ("expander_back", "info", "", _EVENT),
    ("expander_reset", "notice", "", _EVENT),
    ("sensor_found", "info", "", _EVENT),
    ("sensor_reset", "notice", "", _EVENT),
    ("flag_unconfirmed", "notice", "mA", _EVENT),
    ("topology_good", "info", "", _EVENT),
    ("i2c_recovered", "info", "", _EVENT),
    ("i2c_clock", "info", "", _EVENT),
    ("pack_changed", "notice", "", _EVENT),
    ("pack_known", "info", "text", _EVENT),
    ("curve_learned", "info", "", _EVENT),
    ("capacity_low", "notice", "", _EVENT),
    ("resistance_grown", "notice", "", _EVENT),
    # Done by somebody
    ("wish", "notice", "action", _HAND),
    ("wish_all", "notice", "action", _HAND),
    ("reset_done", "notice", "", _HAND),
    ("bus_reset", "notice", "", _HAND),
    ("disconnected", "notice", "", _HAND),
    ("pack_swapped", "notice", "", _HAND),
    ("selftest_begun", "notice", "", EVENT | PAGE | LOG | BY_HAND),
    ("selftest_stopped", "notice", "", EVENT | PAGE | LOG),
    ("selftest", "notice", "", _EVENT),
    ("show_begun", "notice", "", EVENT | PAGE | LOG | BY_HAND),
    ("show_over", "notice", "", EVENT | PAGE | LOG),
    ("show_report", "notice", "", EVENT | PAGE | LOG),
    ("limits_saved", "notice", "", _HAND),
    ("settings_saved", "notice", "", _HAND),
    ("time_set", "notice", "time", _HAND),
    ("restart", "notice", "", _HAND),
    ("update", "notice", "", _HAND),
    ("log_deleted", "notice", "day", _HAND),
    ("setup_opened", "notice", "", _HAND),
    ("login_failed", "notice", "", _EVENT | FROM_PAGE),
    ("login_limit", "trouble", "", _EVENT | FROM_PAGE),
    ("command_refused", "notice", "text", _EVENT | FROM_BROKER),
    # The controller
    ("boot", "info", "", _EVENT),
    ("reset_power", "info", "", _EVENT),
    ("reset_hard", "trouble", "", _EVENT),
    ("reset_watchdog", "trouble", "", _EVENT),
    ("reset_crash", "trouble", "text", _EVENT),
    ("reset_soft", "info", "", _EVENT),
    ("reset_asked", "info", "", _EVENT),
    ("reset_update", "info", "", _EVENT),
    ("reset_serviced", "info", "", _EVENT),
    ("reset_other", "notice", "", _EVENT),
    ("memory_lost", "notice", "", _EVENT),
    ("task_died", "trouble", "text", _EVENT),
    ("events_lost", "notice", "", _EVENT),
    ("updated", "notice", "version", _EVENT),
    ("update_failed", "trouble", "text", _EVENT),
    ("update_hung", "trouble", "", _EVENT),
    ("update_cut", "trouble", "", _EVENT),
    ("app_unknown", "trouble", "version", _EVENT),
    ("config_renamed", "notice", "text", _EVENT),
    ("config_found", "notice", "", _EVENT),
    ("sd_ready", "info", "", _EVENT),
    ("log_removed", "notice", "day", _EVENT),
    ("log_future", "notice", "day", _EVENT),
    # The network
    ("wifi_up", "info", "text", _EVENT | FROM_RADIO),
    ("wifi_down", "notice", "", _EVENT | FROM_RADIO),
    ("wifi_ap", "notice", "text", _EVENT | FROM_RADIO),
    ("wifi_ap_off", "info", "", _EVENT | FROM_RADIO),
    ("wifi_not_found", "notice", "", _EVENT | FROM_RADIO),
    ("wifi_password", "trouble", "", _EVENT | FROM_RADIO),
    ("wifi_failed", "notice", "", _EVENT | FROM_RADIO),
    ("mqtt_up", "info", "", _EVENT | FROM_BROKER),
    ("mqtt_down", "notice", "text", _EVENT | FROM_BROKER),
    ("mqtt_junk", "notice", "", _EVENT | FROM_BROKER),
)

NAMES = tuple(row[0] for row in CODES)
"""The codes of CODES; those of alarms come first."""
ALARMS = sum(1 for row in CODES if row[3] & ALARM)
BATTERY_ALARMS = sum(1 for row in CODES if row[3] & ALARM and not row[3] & RIG_ONLY)

ALWAYS = const(0)
THERE = const(1)  # its sensor and its board answer, or have answered
READ = const(2)  # its readings are valid

# column of the log and array of the snapshot, when its value is known, lowest and highest value;
# one outside is not known. Append only: in a log without a header the position names the column.
LOG_COLUMNS = (
    ("voltage_mv", READ, 0, 105000),  # the sensors reach 102.4 V
    ("current_ma", READ, -200000, 200000),
    ("state", ALWAYS, 0, 6),
    ("discharge_mah", THERE, 0, 1000000000),
    ("charge_mah", THERE, 0, 1000000000),
    ("soc_pct", READ, 0, 100),
)

ENERGY = (
    "soc_pct",
    "soc_error_pct",
    "left_wh",
    "left_s",
    "left_least_s",
    "left_most_s",
    "full_least_s",
    "full_most_s",
    "first",
)
"""What `Meter.told` holds of the packs that are on or wait to join, in this order; what is not
known is None: charge and its error (two standard deviations), energy down to the lowest voltage,
seconds until those that are not empty cannot carry the mean current of five minutes, their range
with that of fifteen, seconds until full, number of the pack that ends first."""


def state_name(state: int):
    """The code of a state, ABSENT..UNCONTROLLED."""
    return STATES[state][0]


def reason_name(reason: int):
    """The code of a `Reason`, "" for none."""
    return REASONS[reason][0]


def names(rows: "Iterable[tuple]"):
    """The codes of the rows, a list."""
    return [row[0] for row in rows]


def row(code: str):
    """The row of `code` in CODES.

    Raises:
        ValueError: there is no such code.
    """
    for found in CODES:
        if found[0] == code:
            return found
    raise ValueError("no such code: " + code)


def is_told(code: str, to: int):
    """True when those of `to` (PAGE, LOG or MQTT) are told of `code`."""
    return row(code)[3] & to != 0


def severity(code: str):
    """One of SEVERITIES; raises ValueError as `row` does."""
    return row(code)[1]


def ends(state: int, reason: int, cooling: bool):
    """What ends this state, one of CLEARS; None when nothing has to.

    Args:
        state: ABSENT..UNCONTROLLED; reason: a `Reason`; cooling: True while a delay runs.
    """
    if state != WAITING and state != TRIPPED:
        return STATES[state][2]
    return "delay" if cooling else REASONS[reason][2] or STATES[state][2]
