# SPDX-License-Identifier: GPL-3.0-only
"""Scenario files: read, checked, and played into a world step by step.

Every value is checked before anything of a run is made: a scenario that is refused leaves
nothing behind.
"""

from sim import values
from sim.plant import HONEST
from sim.values import BATTERIES, CHANNELS, ScenarioError

SENSORS = ("ina237", "ina238", "ina228", "ina226", "ina219")
NEVER_US = 1 << 60
MUST = "must be given"
_LARGEST = 1 << 20
_LIMITS = {
    "most_bytes": _LARGEST,
    "entries": _LARGEST,
    "values": _LARGEST,
    "key_bytes": 1024,
    "text_bytes": 65536,
}
"""What the rig's own reader allows here."""


def load(path):
    """Read a scenario file and complete it with defaults.

    Raises:
        ScenarioError: not JSON, longer than 1 MB, or what `complete` refuses.
        OSError: the file cannot be read.
    """
    from parallelator import json_reader, settings
    from parallelator.wording import Words

    with open(path, "rb") as file:
        try:
            data = settings.finish(json_reader.reading(file, **_LIMITS))
        except json_reader.JsonError as error:
            raise ScenarioError(Words("en").json_error(error.fault()))
    return complete(data)


def complete(data):
    """Check a scenario (a dict) and fill in what it leaves out; `data` stays as it is.

    Raises:
        ScenarioError: an unknown key or step, a value that may not be, a battery that is absent.
    """
    values.check_depth(data)
    values.check("", data, values.KEYS)
    scenario = {
        "name": "unnamed",
        "duration_s": 60,
        "seed": 1,
        "batteries": BATTERIES,
        "settings": {},
        "wiring": "kxkm-v2",
        "controller": "plain",
        "load": [],
        "source": [],
        "steps": [],
        "expect": [],
    }
    scenario.update(data)
    scenario["batteries"] = _packs(scenario["batteries"])
    _check_settings(scenario["settings"])
    numbers = [pack["n"] for pack in scenario["batteries"]]
    steps = enumerate(scenario["steps"])
    scenario["steps"] = [_step("steps[%d]" % k, step, numbers) for k, step in steps]
    for k, wish in enumerate(scenario["expect"]):
        _check_wish("expect[%d]" % k, wish)
    return scenario


def _check_wish(where, wish):
    if type(wish) is dict and "dark_ms" in wish:
        anything = (lambda value: True, "")
        values.check(where, wish, {"dark_ms": anything}, ("dark_ms",))
        values.check(where + ".dark_ms", wish["dark_ms"], values.DARKNESS, values.DARKNESS)
    else:
        values.check(where, wish, values.expectation(), ("at", "n", "state"))


def _packs(packs):
    if type(packs) is int:
        packs = [{"n": n} for n in range(1, packs + 1)]
    found = []
    for k, pack in enumerate(packs):
        where = "batteries[%d]" % k
        values.check(where, pack, dict(values.PACK, sensor=values.word(*SENSORS)), ("n",))
        if "bms" in pack:
            values.check(where + ".bms", pack["bms"], values.BMS)
        if any(pack["n"] == other["n"] for other in found):
            values.refuse(where + ".n", pack["n"], "a number that no other has")
        found.append(dict(pack, sensor=pack.get("sensor", SENSORS[0])))
    if not found:
        values.refuse("batteries", packs, "1 to %d of them" % BATTERIES)
    return found


def _check_settings(tree):
    # A wrong value is left for the firmware to find and to report.
    for key, value in tree.items():
        if type(value) is not dict and _is_group(key):
            values.refuse("settings." + key, value, "an object of settings")


def _is_group(key):
    from parallelator import settings

    known = [row[0] for row in settings.TABLE]
    return key not in known and any(name.split(".")[0] == key for name in known)


def _step(where, step, numbers):
    """The step with its defaults, for a rig with the batteries `numbers`."""
    do = step.get("do") if type(step) is dict else step
    if type(do) is not str or do not in STEPS:
        values.refuse(where + ".do", do, ", ".join(sorted(STEPS)))
    _, keys = STEPS[do]
    rules = {key: values.STEP[key] for key in keys}
    rules["at"] = values.STEP["at"]
    rules["do"] = values.word(do)
    values.check(where, step, rules, ["at"] + [key for key in keys if keys[key] is MUST])
    full = {key: default for key, default in keys.items() if default is not None}
    full.update(step)
    whole_rig = do == "request" and full["n"] == 0
    if whole_rig and full["action"] != "reset":
        values.refuse(where + ".action", full["action"], "reset, without a battery `n`")
    for key in ("n", "other"):
        if key in full and not whole_rig and full[key] not in numbers:
            values.refuse(where + "." + key, full[key], "a battery of this scenario")
    boards = [(n - 1) // CHANNELS for n in numbers]
    if "board" in full and full["board"] not in boards:
        values.refuse(where + ".board", full["board"], "a board that carries a battery")
    return full


def shrink(scenario, batteries):
    """The scenario with only the first `batteries` (1..16) packs and what happens to them.

    Raises:
        ScenarioError: another number, or none of its packs is left.
    """
    values.judge("batteries", batteries, values.whole(1, BATTERIES))
    packs = [pack for pack in scenario["batteries"] if pack["n"] <= batteries]
    if not packs:
        values.refuse("batteries", batteries, "as many as its lowest number at least")
    boards = [(pack["n"] - 1) // CHANNELS for pack in packs]
    steps = scenario["steps"]
    steps = [step for step in steps if max(step.get("n", 1), step.get("other", 1)) <= batteries]
    steps = [step for step in steps if step.get("board", boards[0]) in boards]
    expect = [wish for wish in scenario["expect"] if wish.get("n", 1) <= batteries]
    return dict(scenario, batteries=packs, steps=steps, expect=expect)


class Script:
    """Plays the steps of a scenario into a world, each at its time.

    Args:
        submit: function (action, battery index) that leaves a request with the firmware.
    """

    def __init__(self, scenario, world, submit):
        self._world = world
        self._submit = submit
        steps = [(int(step["at"] * 1000000), k, step) for k, step in enumerate(scenario["steps"])]
        for name in ("load", "source"):
            for row in scenario[name]:
                step = {"do": name, "a": row[1]}
                if len(row) > 2:
                    step["v"] = row[2]
                steps.append((int(row[0] * 1000000), -1, step))
        self._steps = sorted(steps, key=lambda entry: entry[:2])
        self._next = 0

    def next_us(self, now_us):
        """When the next step is due, in us; a far future when there is none."""
        if self._next < len(self._steps):
            return max(self._steps[self._next][0], now_us)
        return NEVER_US

    def run(self, now_us):
        """Play every step due at `now_us`; True when there was one."""
        played = False
        while self._next < len(self._steps) and self._steps[self._next][0] <= now_us:
            step = self._steps[self._next][2]
            self._next += 1
            played = True
            self.play(now_us, step)
        return played

    def play(self, now_us, step):
        """Play a step now."""
        for observer in self._world.observers:
            observer.played(now_us, step)
        if step["do"] == "request":
            self._submit(step["action"], step["n"] - 1)
        elif step["do"] == "selftest":
            self._submit("selftest", step["last"])
        else:
            STEPS[step["do"]][0](self._world, step)


def _sensor(world, step):
    return world.sensors[step["n"] - 1]


def _expander(world, step):
    return world.expanders[step["board"]]


def _load(world, step):
    world.plant.load_a = float(step["a"])


def _source(world, step):
    plant = world.plant
    plant.source_a = float(step["a"])
    needs_mv = step.get("needs_mv")
    delay_ms = step.get("delay_ms")
    plant.set_charger(
        step.get("v"),
        None if needs_mv is None else needs_mv / 1000,
        None if delay_ms is None else delay_ms * 1000,
    )


def _load_mohm(world, step):
    world.plant.set_resistor(step["mohm"])


def _inrush(world, step):
    world.plant.set_inrush(step["times"], step["ms"] * 1000)


def _bms_open(world, step):
    world.plant.move_bms(step["n"] - 1, True)


def _bms_close(world, step):
    world.plant.move_bms(step["n"] - 1, False)


def _fuse_blow(world, step):
    world.plant.blow_fuse(step["n"] - 1, step["side"], step["on"])


def _contact(world, step):
    if step["side"] == "bus":
        world.plant.set_joint(step["n"] - 1, step["mohm"])
        return
    bounce_us = [ms * 1000 for ms in step["bounce"]]
    world.plant.set_contact(step["n"] - 1, step["mohm"], bounce_us, world.now_us)


def _sensor_lie(world, step):
    lie = {key: step[key] for key in step if key not in ("at", "do", "n")}
    world.plant.lie(step["n"] - 1, **lie)


def _set_battery(world, step):
    values = {key: step[key] for key in ("soc", "r_mohm", "voltage_mv") if key in step}
    world.plant.set_pack(step["n"] - 1, **values)


def _inject_current(world, step):
    world.plant.inject_current(step["n"] - 1, step["ma"])


def _inject_voltage(world, step):
    world.plant.inject_voltage(step["n"] - 1, step["mv"])


def _sensor_reset(world, step):
    _sensor(world, step).power_on(world.now_us)


def _sensor_freeze(world, step):
    _sensor(world, step).freeze(step["on"], world.now_us)


def _sensor_heat(world, step):
    _sensor(world, step).heat_c = step["c"]


def _sensor_nack(world, step):
    _silence(world, 0x3F + step["n"], step, "sensor_nack")


def _alert_stuck(world, step):
    world.alert_levels[step["n"] - 1] = step["level"]


def _expander_nack(world, step):
    _silence(world, 0x20 + step["board"], step, "expander_nack")


def _line_cut(world, step):
    b = step["board"]
    wire = step["wire"]
    if wire == "supply":
        world.power_board(b, not step["on"])
        return
    for address in [0x20 + b] + [0x40 + CHANNELS * b + c for c in range(CHANNELS)]:
        _silence(world, address, step, wire)


def _silence(world, address, step, why):
    """A chip does not answer, for each of these causes until it is over."""
    silent = world.wires.silent
    causes = silent.pop(address, set())
    causes.add(why) if step["on"] else causes.discard(why)
    if causes:
        silent[address] = causes


def _sensor_corrupt(world, step):
    world.wires.corrupt[0x3F + step["n"]] = (step["factor"], step["reads"])


def _bus_stuck(world, step):
    world.wires.clocks_left = step["clocks"]


def _bus_noise(world, step):
    world.wires.noise = step["rate"]


def _bus_fault(world, step):
    world.wires.faults[step["transaction"]] = step["kind"]


def _alias(world, step):
    aliases = world.wires.aliases
    if step["on"]:
        aliases[0x3F + step["n"]] = (0x3F + step["other"], step["share"])
    else:
        aliases.pop(0x3F + step["n"], None)


def _wires_cross(world, step):
    i, k = step["n"] - 1, step["other"] - 1
    world.crossed = {i: k, k: i}
    world.gates_changed(i // CHANNELS)


def _pin_stuck(world, step):
    world.stick_pin(step["n"] - 1, step["level"] if step["on"] else None)


def _expander_corrupt(world, step):
    _expander(world, step).corrupt(step["register"], step["value"], world.now_us)


def _expander_reset(world, step):
    chip = _expander(world, step)
    chip.power_on(world.now_us)
    world.gates_changed(step["board"])


def _board_unplug(world, step):
    world.power_board(step["board"], False)


def _board_plug(world, step):
    world.power_board(step["board"], True)


def _switch_weld(world, step):
    i = step["n"] - 1
    world.plant.weld(i) if step["on"] else world.plant.mend(i)


def _switch_stuck_open(world, step):
    i = step["n"] - 1
    world.plant.stick_open(i) if step["on"] else world.plant.mend(i)


def _override(world, step):
    world.plant.override(step["board"], step["on"])


def _wifi_down(world, step):
    world.air.up = False


def _wifi_up(world, step):
    world.air.up = True


def _wifi_networks(world, step):
    world.air.networks = {name: tuple(entry) for name, entry in step["networks"].items()}


def _wifi_clients(world, step):
    world.air.clients = step["count"]
    world.air.ap_ip = step.get("ip", world.air.ap_ip)


def _broker(world, step):
    world.broker.change(step["mood"])


def _broker_hang(world, step):
    world.broker.change("hang" if step["on"] else "good")


def _broker_says(world, step):
    world.broker.say(step["topic"], step["payload"], step["retain"])


def _nvs_cut(world, step):
    world.nvs_cut = True


def _sd_stall(world, step):
    if "every" in step:
        world.card.stall_every = (step["every"], step["ms"] * 1000)
    else:
        world.card.stall_us = step["ms"] * 1000


def _sd_remove(world, step):
    world.card.remove(world.now_us)


def _sd_insert(world, step):
    world.card.insert()


def _sd_full(world, step):
    # Somebody pulls it, fills it on a PC and puts it back.
    world.card.remove(world.now_us)
    world.card.image.fill(step["free_kb"] * 1024)
    world.card.insert()


def _sd_cut(world, step):
    world.card.writes_left = 0


def _console_break(world, step):
    world.interrupt()


def _controller_reset(world, step):
    world.reset_controller(2)


def _power_cycle(world, step):
    for b in range(BATTERIES // CHANNELS):
        if world.expanders[b] and world.expanders[b].powered:
            world.power_board(b, True)
    if world.card:
        world.card.power_on(world.now_us)
        world.card.writes_left = None
    world.forget_rtc()
    world.reset_controller(1)


STEPS = {
    "load": (_load, {"a": MUST}),
    "source": (_source, {"a": MUST, "v": None, "needs_mv": None, "delay_ms": None}),
    "load_mohm": (_load_mohm, {"mohm": MUST}),
    "inrush": (_inrush, {"times": MUST, "ms": MUST}),
    "set_battery": (
        _set_battery,
        {"n": MUST, "soc": None, "r_mohm": None, "voltage_mv": None},
    ),
    "bms_open": (_bms_open, {"n": MUST}),
    "bms_close": (_bms_close, {"n": MUST}),
    "fuse_blow": (_fuse_blow, {"n": MUST, "side": "battery", "on": True}),
    "contact": (_contact, {"n": MUST, "mohm": MUST, "bounce": (), "side": "battery"}),
    "inject_current": (_inject_current, {"n": MUST, "ma": MUST}),
    "inject_voltage": (_inject_voltage, {"n": MUST, "mv": MUST}),
    "sensor_reset": (_sensor_reset, {"n": MUST}),
    "sensor_freeze": (_sensor_freeze, {"n": MUST, "on": True}),
    "sensor_heat": (_sensor_heat, {"n": MUST, "c": MUST}),
    "sensor_nack": (_sensor_nack, {"n": MUST, "on": True}),
    "sensor_corrupt": (_sensor_corrupt, {"n": MUST, "factor": MUST, "reads": 1}),
    "sensor_lie": (_sensor_lie, dict({"n": MUST}, **HONEST)),
    "alert_stuck": (_alert_stuck, {"n": MUST, "level": MUST}),
    "expander_nack": (_expander_nack, {"board": MUST, "on": True}),
    "expander_reset": (_expander_reset, {"board": MUST}),
    "expander_corrupt": (_expander_corrupt, {"board": MUST, "register": MUST, "value": MUST}),
    "wires_cross": (_wires_cross, {"n": MUST, "other": MUST}),
    "pin_stuck": (_pin_stuck, {"n": MUST, "level": MUST, "on": True}),
    "alias": (_alias, {"n": MUST, "other": MUST, "share": 0.5, "on": True}),
    "bus_stuck": (_bus_stuck, {"clocks": 5}),
    "bus_fault": (_bus_fault, {"kind": MUST, "transaction": MUST}),
    "bus_noise": (_bus_noise, {"rate": MUST}),
    "board_unplug": (_board_unplug, {"board": MUST}),
    "board_plug": (_board_plug, {"board": MUST}),
    "line_cut": (_line_cut, {"board": MUST, "wire": MUST, "on": True}),
    "switch_weld": (_switch_weld, {"n": MUST, "on": True}),
    "switch_stuck_open": (_switch_stuck_open, {"n": MUST, "on": True}),
    "override": (_override, {"board": MUST, "on": True}),
    "wifi_down": (_wifi_down, {}),
    "wifi_up": (_wifi_up, {}),
    "broker": (_broker, {"mood": "good"}),
    "broker_hang": (_broker_hang, {"on": True}),
    "broker_says": (_broker_says, {"topic": MUST, "payload": MUST, "retain": False}),
    "wifi_networks": (_wifi_networks, {"networks": MUST}),
    "wifi_clients": (_wifi_clients, {"count": MUST, "ip": None}),
    "nvs_cut": (_nvs_cut, {}),
    "sd_stall": (_sd_stall, {"ms": MUST, "every": None}),
    "sd_remove": (_sd_remove, {}),
    "sd_insert": (_sd_insert, {}),
    "sd_full": (_sd_full, {"free_kb": 0}),
    "sd_cut": (_sd_cut, {}),
    "request": (None, {"action": MUST, "n": 0}),
    "selftest": (None, {"last": False}),
    "console_break": (_console_break, {}),
    "controller_reset": (_controller_reset, {}),
    "power_cycle": (_power_cycle, {}),
}
"""Step to its function and its keys, each with its default: `MUST` it has none, None may be left
out. `request` and `selftest` go to the firmware, not into the world."""
