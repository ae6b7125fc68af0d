# SPDX-License-Identifier: GPL-3.0-only
"""What the values of a scenario may be, and how one that is not is refused. Called by scenario."""

from sim import cells, costs, links, plant, wires

BATTERIES = 16
CHANNELS = 4
_LONGEST_S = 100000000
_MOST_A = 10000
_NAME_CHARS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."
_SHOWN_CHARS = 40
_DEPTH = 8
_MOST_BOUNCES = 16


class ScenarioError(ValueError):
    """A scenario that cannot be played: names the place, what was found and what is allowed."""


# Rules: (function that is true for a value that may be, the same in words).


def number(low, high):
    """A number from `low` to `high`."""
    return (
        lambda value: type(value) in (int, float) and low <= value <= high,
        "a number, %s to %s" % (low, high),
    )


def whole(low, high):
    """A whole number from `low` to `high`."""
    return (
        lambda value: type(value) is int and low <= value <= high,
        "a whole number, %d to %d" % (low, high),
    )


def _is_action(value):
    from parallelator.catalog import ACTIONS

    return value in ACTIONS


def word(*words):
    """One of `words`."""
    return (lambda value: type(value) is str and value in words, ", ".join(words))


def text(most):
    """A text of at most `most` bytes as UTF-8."""
    return (
        lambda value: type(value) is str and len(value.encode()) <= most,
        "a text of at most %d bytes" % most,
    )


_SWITCH = (lambda value: type(value) is bool, "true or false")
_SECOND = number(0, _LONGEST_S)
_AMPERES = number(0, _MOST_A)


def _is_name(value):
    return (
        type(value) is str
        and 0 < len(value) <= 64
        and value[0] != "."
        and all(char in _NAME_CHARS for char in value)
    )


def _profile(*columns):
    """Rule that is true for a list of rows, each value of one by the rule of its column.

    The third column and those after it may be left out.
    """

    def fits(value):
        return type(value) is list and all(
            type(row) in (list, tuple)
            and 2 <= len(row) <= len(columns)
            and all(column[0](cell) for column, cell in zip(columns, row))
            for row in value
        )

    return fits


def _are_bounces(value):
    return (
        type(value) in (list, tuple)
        and len(value) <= _MOST_BOUNCES
        and len(value) % 2 == 0
        and all(whole(1, 100000)[0](ms) for ms in value)
    )


def _is_ip(value):
    from parallelator.formats import is_ip

    return type(value) is str and is_ip(value)


def _are_networks(value):
    name = text(32)[0]
    return type(value) is dict and all(
        name(key)
        and type(entry) in (list, tuple)
        and len(entry) == 2
        and name(entry[0])
        and whole(-120, 0)[0](entry[1])
        for key, entry in value.items()
    )


def _is_mood(value):
    from sim.broker import MOODS

    return type(value) is str and value in MOODS


_VOLTS = number(12, 60)
KEYS = {
    "name": (_is_name, "1 to 64 letters, digits, `-`, `_` and `.`, no `.` first"),
    "duration_s": number(0.001, _LONGEST_S),
    "seed": whole(0, 0xFFFFFFFF),
    "batteries": (
        lambda value: type(value) is list or whole(1, BATTERIES)[0](value),
        "a whole number, 1 to %d, or a list of batteries" % BATTERIES,
    ),
    "settings": (lambda value: type(value) is dict, "an object of settings"),
    "wiring": word("kxkm-v2", "straight"),
    "controller": word(*costs.CONTROLLERS),
    "driver": word(*sorted(wires.DRIVERS)),
    "boot_ticks_ms": whole(0, (1 << 30) - 1),
    "bus_uf": number(0, 1000000),
    "load": (
        _profile(_SECOND, _AMPERES),
        "a list of [second, amperes], neither below 0",
    ),
    "source": (
        _profile(_SECOND, _AMPERES, _VOLTS),
        "a list of [second, amperes] or [second, amperes, volts], volts from 12 to 60",
    ),
    "steps": (lambda value: type(value) in (list, tuple), "a list of steps"),
    "expect": (lambda value: type(value) is list, "a list of expectations"),
}
PACK = {key: number(*plant.ALLOWED[key]) for key in ("capacity_ah", "soc", "r_mohm")}
PACK["n"] = whole(1, BATTERIES)
PACK["chemistry"] = word(*sorted(cells.CURVES))
BMS = {
    "min_mv": number(0, 60000),
    "max_mv": number(0, 60000),
    "max_a": number(0, _MOST_A),
    "delay_ms": whole(0, 100000),
    "charge_wake": _SWITCH,
}
PACK["bms"] = (lambda value: type(value) is dict, "an object with " + ", ".join(sorted(BMS)))
STEP = {
    "at": _SECOND,
    "n": whole(0, BATTERIES),
    "board": whole(0, BATTERIES // CHANNELS - 1),
    "on": _SWITCH,
    "a": _AMPERES,
    "v": _VOLTS,
    "needs_mv": number(0, 60000),
    "delay_ms": whole(0, 1000000),
    "times": number(1, 100),
    "mohm": number(0, 1000000),
    "bounce": (
        _are_bounces,
        "a list of ms, open and in contact in turn: up to 16 whole numbers, an even count, from 1",
    ),
    "side": word(*links.SIDES),
    "wire": word("sda", "scl", "supply"),
    "offset_ma": number(-1000000, 1000000),
    "gain_pct": number(0, 100000),
    "sign": (lambda value: type(value) is int and value in (1, -1), "1 or -1"),
    "stuck_ma": number(-1000000, 1000000),
    "voltage_pct": number(0, 100000),
    "offset_mv": number(-100000, 100000),
    "stuck_mv": number(-100000, 100000),
    "soc": number(*plant.ALLOWED["soc"]),
    "r_mohm": number(*plant.ALLOWED["r_mohm"]),
    "voltage_mv": number(*plant.ALLOWED["voltage_mv"]),
    "ma": number(-1000000, 1000000),
    "mv": number(-100000, 100000),
    "c": number(-50, 200),
    "factor": number(0, 1000),
    "reads": whole(1, 1000000),
    "level": whole(0, 1),
    "other": whole(1, BATTERIES),
    "share": number(0, 1),
    "register": whole(2, 7),
    "value": whole(0, 255),
    "clocks": whole(0, 1000000),
    "transaction": whole(1, 1 << 40),
    "kind": word("nack", "timeout", "corrupt", "stuck", "busy"),
    "rate": number(0, 1),
    "mood": (_is_mood, "a mood of MOODS in tools/sim/broker.py"),
    "topic": text(256),
    "payload": text(8192),
    "retain": _SWITCH,
    "last": _SWITCH,
    "networks": (_are_networks, "name to [password, dBm]: up to 32 bytes, 32 bytes, -120 to 0"),
    "count": whole(0, 10),
    "ip": (_is_ip, "an address as 192.168.4.1"),
    "ms": whole(0, 100000),
    "every": whole(1, 1000000),
    "free_kb": whole(0, 65536),
    "action": (_is_action, "off, auto, on, reset"),
}


def expectation():
    """Rules for what is expected of a battery."""
    from parallelator import catalog

    return {
        "at": _SECOND,
        "n": whole(1, BATTERIES),
        "state": word(*catalog.names(catalog.STATES)),
        "reason": word(*catalog.names(catalog.REASONS)),
    }


DARKNESS = {"from": _SECOND, "to": _SECOND, "most": number(0, 1000 * _LONGEST_S)}
"""Rules for how many ms the load may be without supply between two moments."""


def check(where, data, rules, needed=()):
    """Refuse what is not an object, or the first of its values that is not allowed.

    Args:
        where: the place of `data` in the scenario, "" for the whole; rules: key to its rule;
            needed: keys that it must have.

    Raises:
        ScenarioError: it is refused.
    """
    names = ", ".join(sorted(rules))
    if type(data) is not dict:
        refuse(where or "scenario", data, "an object with " + names)
    inside = where + "." if where else ""
    for key, value in data.items():
        if key not in rules:
            raise ScenarioError("unknown key %s; allowed: %s" % (_shown(inside + key), names))
        judge(inside + key, value, rules[key])
    for key in needed:
        if key not in data:
            raise ScenarioError("%s%s is missing; allowed: %s" % (inside, key, rules[key][1]))


def judge(where, value, rule):
    """Refuse a value that its rule does not allow."""
    fits, allowed = rule
    if not fits(value):
        refuse(where, value, allowed)


def refuse(where, found, allowed):
    """Say on one line where what was found, and what may be there.

    Raises:
        ScenarioError: always.
    """
    raise ScenarioError("%s: found %s; allowed: %s" % (where, _shown(found), allowed))


def check_depth(data):
    """Refuse what is nested deeper than any scenario is.

    Raises:
        ScenarioError: it is refused.
    """
    level = [data]
    for _ in range(_DEPTH):
        inner = []
        for item in level:
            if type(item) is dict:
                inner.extend(item.values())
            elif type(item) in (list, tuple):
                inner.extend(item)
        level = inner
    if level:
        raise ScenarioError("found objects too deep in others; allowed: %d levels" % _DEPTH)


def _shown(value):
    if type(value) in (dict, list, tuple):
        return "an object" if type(value) is dict else "a list"
    text = value if _is_name(value) and not value[0].isdigit() else repr(value)
    return text if len(text) <= _SHOWN_CHARS else text[:_SHOWN_CHARS] + "..."
