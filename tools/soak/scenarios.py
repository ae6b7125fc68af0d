# SPDX-License-Identifier: GPL-3.0-only
"""Random scenarios for the campaign, each the same for its number. Called by campaign.py.

A scenario has 1 to 16 packs of one chemistry, loads and chargers, settings within their ranges
and up to three faults; tools/sim/scenario.py says what its keys mean.
"""

from random import Random

import firmware

ACTIONS = firmware.catalog().ACTIONS
WRAP_MS = 1 << 30
MOODS = ("hang", "vanish", "cut", "slow", "garbage", "deny")
"""Of a broker that misbehaves, see tools/sim/broker.py."""
HARD_CEILING_MA = 40000

VOLTAGE_LIMITS = {
    "nmc7s": ((22000, 25000), (29500, 31000)),
    "lfp8s": ((21000, 25500), (29300, 30500)),
}
"""Ranges of the lower and the upper limit, mV, that fit the chemistries of tools/sim/plant.py."""


def scenario(number, duration_s=120):
    """Scenario `number` (0 or more): a dict for sim.scenario.complete.

    Its first fault is of kind `number` modulo the kinds, so that a campaign meets every kind.
    """
    draw = Random(number)
    kinds = sorted(FAULTS)
    chosen = [kinds[number % len(kinds)], *draw.choices(kinds, k=draw.randint(0, 2))]
    chemistry = draw.choice(sorted(VOLTAGE_LIMITS))
    packs = _packs(draw, chemistry)
    limits = _limits(draw, chemistry, min(pack["r_mohm"] for pack in packs))
    rig = Rig(draw, duration_s, packs, limits)
    plan = {
        "name": f"random-{number}",
        "seed": number,
        "duration_s": duration_s,
        "batteries": packs,
        "settings": {
            "serial_messages": False,
            "name": "rig",
            "mqtt": {"commands": True},
            "i2c_khz": draw.choice((100, 100, 400, "auto")),
            "wifi": {"ssid": draw.choice(("", "stage")), "password": "stage-wifi"},
            "limits": limits,
        },
        "load": rig.profile(1.2 * rig.discharge_ma),
        "source": rig.profile(0.8 * rig.ma) if draw.random() < 0.4 else [],
        "steps": [step for kind in chosen for step in FAULTS[kind](rig)],
    }
    if draw.random() < 0.2:
        plan["boot_ticks_ms"] = WRAP_MS - draw.randint(1, 1000 * duration_s)
    return plan


def _wide(draw, low, high):
    """A whole number above 0, every order of magnitude as likely as another."""
    return int(low * (high / low) ** draw.random())


def _packs(draw, chemistry):
    places = list(range(1, 17))
    if draw.random() < 0.3:
        draw.shuffle(places)
    level = draw.uniform(0.1, 0.97)
    spread = draw.choice((0, 0.002, 0.02, 0.3))
    capacity_ah = _wide(draw, 2, 100)
    r_mohm = draw.randint(15, 80)
    return [
        {
            "n": n,
            "chemistry": chemistry,
            "capacity_ah": round(capacity_ah * draw.uniform(0.7, 1), 2),
            "soc": round(min(max(level + draw.uniform(-spread, spread), 0.03), 1), 4),
            "r_mohm": int(r_mohm * draw.uniform(1, 1.3)),
        }
        for n in sorted(places[: draw.randint(1, 16)])
    ]


def _limits(draw, chemistry, r_mohm):
    lowest, highest = VOLTAGE_LIMITS[chemistry]
    discharge_ma = _wide(draw, 2000, 30000)
    charge_ma = _wide(draw, 2000, 30000)
    ceiling_ma = draw.choice((HARD_CEILING_MA, _wide(draw, 2000, 30000)))
    hard_pct = draw.choice((150, 0, draw.randint(100, 300)))
    offset_mv = _wide(draw, 50, 2000)
    most_pct = HARD_CEILING_MA * 100 // min(max(discharge_ma, charge_ma), ceiling_ma)
    return {
        "min_voltage_mv": draw.randint(*lowest),
        "max_voltage_mv": draw.randint(*highest),
        "max_discharge_current_ma": discharge_ma,
        "max_charge_current_ma": charge_ma,
        "max_current_ma": ceiling_ma,
        "hard_current_pct": min(hard_pct, most_pct),
        "voltage_offset_mv": offset_mv,
        "start_spread_mv": _wide(draw, 20, 500),
        # Whoever may join may stay.
        "imbalance_mv": max(_wide(draw, 200, 3000), offset_mv),
        "uv_hysteresis_mv": draw.randint(0, 2000),
        "ov_hysteresis_mv": draw.randint(0, 1500),
        "reconnect_delay_ms": _wide(draw, 1000, 60000),
        "max_trips": draw.randint(1, 8),
        "trip_decay_s": draw.choice((0, 3600, _wide(draw, 5, 600))),
        "join_interval_ms": _wide(draw, 100, 5000),
        "start_delay_ms": draw.randint(0, 10000),
        "temperature_alarm_c": draw.randint(60, 75),
        "temperature_trip_c": draw.randint(75, 100),
        "pack_resistance_mohm": r_mohm,
    }


class Rig:
    """What a fault needs to know of the rig that it strikes.

    Args:
        draw: a `Random`; duration_s: of the scenario; packs, limits: as in the scenario.

    Attributes:
        ma: a current, mA, around which something happens; discharge_ma: what a pack may give.
    """

    def __init__(self, draw, duration_s, packs, limits):
        self.draw = draw
        self.duration_s = duration_s
        self._numbers = [pack["n"] for pack in packs]
        largest_ma = max(limits["max_discharge_current_ma"], limits["max_charge_current_ma"])
        self.ma = min(largest_ma, limits["max_current_ma"])
        self.discharge_ma = min(limits["max_discharge_current_ma"], limits["max_current_ma"])

    def n(self):
        """Number of one of the batteries."""
        return self.draw.choice(self._numbers)

    def board(self):
        """Index of a board that carries one."""
        return (self.n() - 1) // 4

    def at(self):
        """A moment, s, that leaves time for what follows."""
        return round(self.draw.uniform(0, 0.8 * self.duration_s), 3)

    def profile(self, most_ma):
        """One to four [s, A] of up to `most_ma` for each battery."""
        most_a = most_ma / 1000 * len(self._numbers)
        return sorted(
            [self.at(), round(self.draw.uniform(0, most_a), 2)]
            for _ in range(self.draw.randint(1, 4))
        )

    def passing(self, begin, end):
        """Step `begin` and, mostly, step `end` 1 ms to 30 s later."""
        at_s = self.at()
        steps = [begin | {"at": at_s}]
        if self.draw.random() < 0.8:
            steps.append(end | {"at": round(at_s + _wide(self.draw, 1, 30000) / 1000, 3)})
        return steps


def _felt(do, key, values, rest):
    """A sensor feels something else for a while: `values` is a function of the rig."""

    def steps(rig):
        step = {"do": do, "n": rig.n(), key: values(rig)}
        return rig.passing(step, step | {key: rest})

    return steps


def _switched(do, key):
    """Something that is on for a while, of a battery (`n`) or of a board (`board`)."""

    def steps(rig):
        step = {"do": do, key: getattr(rig, key)()}
        return rig.passing(step, step | {"on": False})

    return steps


def _switched_off(do):
    """Something of the whole rig that is on for a while."""
    return lambda rig: rig.passing({"do": do}, {"do": do, "on": False})


def _pair(do, undo, **values):
    def steps(rig):
        step = {key: value(rig) for key, value in values.items()}
        return rig.passing(step | {"do": do}, step | {"do": undo})

    return steps


def _once(do, **values):
    def steps(rig):
        step = {key: value(rig) for key, value in values.items()}
        return [step | {"do": do, "at": rig.at()}]

    return steps


def _set_battery(rig):
    key, value = rig.draw.choice(
        (
            ("soc", round(rig.draw.uniform(0.05, 1), 3)),
            ("r_mohm", rig.draw.randint(15, 100)),
            ("voltage_mv", rig.draw.randint(22000, 29400)),
        )
    )
    return [{"at": rig.at(), "do": "set_battery", "n": rig.n(), key: value}]


def _bus_noise(rig):
    step = {"do": "bus_noise", "rate": _wide(rig.draw, 10, 3000) / 1000000}
    return rig.passing(step, step | {"rate": 0})


def _charger(rig):
    """One that ends at another voltage, or gives nothing until it sees a battery."""
    step = {"at": rig.at(), "do": "source", "a": _amps(rig)}
    if rig.draw.random() < 0.5:
        step["v"] = round(rig.draw.uniform(26, 31), 1)
    if rig.draw.random() < 0.3:
        step |= {"needs_mv": 20000, "delay_ms": rig.draw.choice((0, 500, 3000))}
    return [step]


def _contact(rig):
    step = {"do": "contact", "n": rig.n(), "mohm": _wide(rig.draw, 5, 500)}
    if rig.draw.random() < 0.5:
        step["bounce"] = [_wide(rig.draw, 1, 300) for _ in range(2 * rig.draw.randint(1, 4))]
    return rig.passing(step, {"do": "contact", "n": step["n"], "mohm": 0})


def _sensor_lie(rig):
    draw = rig.draw
    lie = draw.choice(
        (
            {"offset_ma": draw.randint(-2000, 2000)},
            {"gain_pct": draw.choice((0, 50, 90, 110, 200))},
            {"sign": -1},
            {"stuck_ma": draw.randint(-rig.ma, rig.ma)},
            {"offset_mv": draw.randint(-2000, 2000)},
            {"voltage_pct": draw.choice((50, 98, 102, 110))},
            {"stuck_mv": draw.randint(22000, 30000)},
        )
    )
    step = {"do": "sensor_lie", "n": rig.n()}
    return rig.passing(step | lie, step)


def _broker(rig):
    return rig.passing({"do": "broker", "mood": rig.draw.choice(MOODS)}, {"do": "broker"})


def _broker_says(rig):
    payload = rig.draw.choice(("ON", "OFF", "AUTO", "RESET", "", "\x00"))
    topic = f"parallelator/rig/battery/{rig.draw.choice((rig.n(), 0, 17))}/set"
    return [{"at": rig.at(), "do": "broker_says", "topic": topic, "payload": payload}]


def _wifi_networks(rig):
    # Others in reach, and its own with another password or not at all.
    networks = {f"other-{k}": ["", -70 - k] for k in range(rig.draw.randint(0, 30))}
    if rig.draw.random() < 0.5:
        networks["stage"] = [rig.draw.choice(("stage-wifi", "changed")), -60]
    return [{"at": rig.at(), "do": "wifi_networks", "networks": networks}]


def _pin_stuck(rig):
    step = {"do": "pin_stuck", "n": rig.n(), "level": rig.draw.randint(0, 1)}
    return rig.passing(step, step | {"on": False})


def _alias(rig):
    share = round(rig.draw.uniform(0, 1), 2)
    step = {"do": "alias", "n": rig.n(), "other": rig.n(), "share": share}
    return rig.passing(step, step | {"on": False})


def _n(rig):
    return rig.n()


def _board(rig):
    return rig.board()


def _amps(rig):
    return round(rig.draw.uniform(0, 4 * rig.ma / 1000), 2)


FAULTS = {
    "load": _once("load", a=_amps),
    "source": _charger,
    "load_mohm": lambda rig: rig.passing(
        {"do": "load_mohm", "mohm": _wide(rig.draw, 5, 1000)}, {"do": "load_mohm", "mohm": 0}
    ),
    "inrush": _once(
        "inrush",
        times=lambda rig: round(rig.draw.uniform(1, 10), 1),
        ms=lambda rig: _wide(rig.draw, 1, 500),
    ),
    "bms_open": _pair("bms_open", "bms_close", n=_n),
    "bms_close": lambda rig: [
        {"at": 0, "do": "bms_open", "n": (n := rig.n())},
        {"at": rig.at(), "do": "bms_close", "n": n},
    ],
    "fuse_blow": lambda rig: rig.passing(
        step := {"do": "fuse_blow", "n": rig.n(), "side": rig.draw.choice(("battery", "bus"))},
        step | {"on": False},
    ),
    "contact": _contact,
    "set_battery": _set_battery,
    "inject_current": _felt(
        "inject_current", "ma", lambda rig: int(rig.ma * rig.draw.uniform(-5, 5)), 0
    ),
    "inject_voltage": _felt("inject_voltage", "mv", lambda rig: rig.draw.randint(-9000, 9000), 0),
    "sensor_reset": _once("sensor_reset", n=_n),
    "sensor_freeze": _switched("sensor_freeze", "n"),
    "sensor_heat": _felt("sensor_heat", "c", lambda rig: rig.draw.randint(50, 110), 25),
    "sensor_nack": _switched("sensor_nack", "n"),
    "sensor_corrupt": _once(
        "sensor_corrupt",
        n=_n,
        factor=lambda rig: rig.draw.choice((0.5, 1.4, round(rig.draw.uniform(0, 3), 2))),
        reads=lambda rig: rig.draw.randint(1, 6),
    ),
    "sensor_lie": _sensor_lie,
    "alert_stuck": _once("alert_stuck", n=_n, level=lambda rig: rig.draw.randint(0, 1)),
    "expander_nack": _switched("expander_nack", "board"),
    "expander_reset": _once("expander_reset", board=_board),
    "expander_corrupt": _once(
        "expander_corrupt",
        board=_board,
        register=lambda rig: rig.draw.randint(2, 7),
        value=lambda rig: rig.draw.randint(0, 255),
    ),
    "pin_stuck": _pin_stuck,
    "alias": _alias,
    "bus_stuck": _once("bus_stuck", clocks=lambda rig: rig.draw.randint(1, 9)),
    "bus_fault": _once(
        "bus_fault",
        transaction=lambda rig: _wide(rig.draw, 100, 500 * rig.duration_s),
        kind=lambda rig: rig.draw.choice(("nack", "timeout", "corrupt", "stuck", "busy")),
    ),
    "bus_noise": _bus_noise,
    "board_unplug": _pair("board_unplug", "board_plug", board=_board),
    "board_plug": lambda rig: [
        {"at": 0, "do": "board_unplug", "board": (board := rig.board())},
        {"at": rig.at(), "do": "board_plug", "board": board},
    ],
    "line_cut": lambda rig: rig.passing(
        step := {
            "do": "line_cut",
            "board": rig.board(),
            "wire": rig.draw.choice(("sda", "scl", "supply")),
        },
        step | {"on": False},
    ),
    "switch_weld": _switched("switch_weld", "n"),
    "switch_stuck_open": _switched("switch_stuck_open", "n"),
    "override": _switched("override", "board"),
    "sd_stall": _once("sd_stall", ms=lambda rig: rig.draw.randint(20, 500)),
    "sd_remove": _pair("sd_remove", "sd_insert"),
    "sd_insert": lambda rig: [{"at": 0, "do": "sd_remove"}, {"at": rig.at(), "do": "sd_insert"}],
    "sd_full": _once("sd_full", free_kb=lambda rig: rig.draw.randint(0, 64)),
    "sd_cut": _once("sd_cut"),
    "wifi_down": _pair("wifi_down", "wifi_up"),
    "wifi_up": lambda rig: [{"at": 0, "do": "wifi_down"}, {"at": rig.at(), "do": "wifi_up"}],
    "broker": _broker,
    "broker_hang": _switched_off("broker_hang"),
    "broker_says": _broker_says,
    "wifi_networks": _wifi_networks,
    "wifi_clients": _once("wifi_clients", count=lambda rig: rig.draw.randint(0, 4)),
    "nvs_cut": _once("nvs_cut"),
    "console_break": _pair("console_break", "controller_reset"),
    "selftest": _once("selftest"),
    "request": _once(
        "request",
        n=_n,
        action=lambda rig: rig.draw.choice(ACTIONS),
    ),
    "controller_reset": _once("controller_reset"),
    "power_cycle": _once("power_cycle"),
}
"""Kind of fault, one for every step of sim.scenario.STEPS: a function of a `Rig` to its steps."""
LEFT_OUT = {"wires_cross"}
"""The referee knows a battery by its command line; `tools/bench/selftest.py` plays this one."""
