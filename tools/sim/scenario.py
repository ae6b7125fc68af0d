"""Scenario files: read, checked, and played into a world step by step."""

import json

BATTERIES = 16
CHANNELS = 4
_KEYS = (
    "name",
    "duration_s",
    "seed",
    "batteries",
    "settings",
    "wiring",
    "boot_ticks_ms",
    "load",
    "source",
    "steps",
    "expect",
)
SENSORS = ("ina237", "ina238", "ina228", "ina226", "ina219")
NEVER_US = 1 << 60


class ScenarioError(ValueError):
    """A scenario that cannot be played: names the place, what was found and what is allowed."""


def load(path):
    """Read a scenario file and complete it with defaults.

    Raises:
        ScenarioError: not JSON, an unknown key, an unknown step.
        OSError: the file cannot be read.
    """
    with open(path) as file:
        try:
            data = json.load(file)
        except ValueError:
            raise ScenarioError("%s is not JSON" % path)
    return complete(data)


def complete(data):
    """Check a scenario (a dict) and fill in what it leaves out."""
    for key in data:
        if key not in _KEYS:
            raise ScenarioError("unknown key %s; allowed: %s" % (key, ", ".join(_KEYS)))
    scenario = {
        "name": "unnamed",
        "duration_s": 60,
        "seed": 1,
        "batteries": BATTERIES,
        "settings": {},
        "wiring": "kxkm-v2",
        "load": [],
        "source": [],
        "steps": [],
        "expect": [],
    }
    scenario.update(data)
    packs = scenario["batteries"]
    if isinstance(packs, int):
        if not 1 <= packs <= BATTERIES:
            raise ScenarioError("batteries: found %d, allowed 1 to %d" % (packs, BATTERIES))
        scenario["batteries"] = [{"n": n} for n in range(1, packs + 1)]
    scenario["batteries"] = packs = [dict(pack) for pack in scenario["batteries"]]
    for pack in packs:
        pack.setdefault("sensor", "ina237")
        if pack["sensor"] not in SENSORS:
            raise ScenarioError(
                "batteries: sensor %s; allowed: %s" % (pack["sensor"], ", ".join(SENSORS))
            )
    for step in scenario["steps"]:
        if step.get("do") not in STEPS:
            raise ScenarioError(
                "steps: do %s; allowed: %s" % (step.get("do"), ", ".join(sorted(STEPS)))
            )
        if not isinstance(step.get("at"), (int, float)):
            raise ScenarioError("steps: %s has no time `at` in seconds" % step["do"])
    return scenario


def shrink(scenario, batteries):
    """The scenario with only the first `batteries` (1..16) packs and what happens to them."""
    packs = [pack for pack in scenario["batteries"] if pack["n"] <= batteries]
    steps = [step for step in scenario["steps"] if step.get("n", 1) <= batteries]
    boards = (batteries + CHANNELS - 1) // CHANNELS
    steps = [step for step in steps if step.get("board", 0) < boards]
    expect = [wish for wish in scenario["expect"] if wish["n"] <= batteries]
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
            for at_s, amps in scenario[name]:
                steps.append((int(at_s * 1000000), -1, {"do": name, "a": amps}))
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
            for observer in self._world.observers:
                observer.played(now_us, step)
            if step["do"] == "request":
                self._submit(step["action"], step.get("n", 0) - 1)
            else:
                STEPS[step["do"]](self._world, step)
        return played


def _sensor(world, step):
    return world.sensors[step["n"] - 1]


def _expander(world, step):
    return world.expanders[step["board"]]


def _load(world, step):
    world.plant.load_a = float(step["a"])


def _source(world, step):
    world.plant.source_a = float(step["a"])


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
    _sensor(world, step).freeze(step.get("on", True), world.now_us)


def _sensor_heat(world, step):
    _sensor(world, step).heat_c = step["c"]


def _sensor_nack(world, step):
    _silence(world, 0x3F + step["n"], step)


def _alert_stuck(world, step):
    world.alert_levels[step["n"] - 1] = step["level"]


def _expander_nack(world, step):
    _silence(world, 0x20 + step["board"], step)


def _silence(world, address, step):
    if step.get("on", True):
        world.wires.silent.add(address)
    else:
        world.wires.silent.discard(address)


def _sensor_corrupt(world, step):
    world.wires.corrupt[0x3F + step["n"]] = (step["factor"], step.get("reads", 1))


def _bus_stuck(world, step):
    world.wires.clocks_left = step.get("clocks", 5)


def _bus_noise(world, step):
    world.wires.noise = step["rate"]


def _bus_fault(world, step):
    world.wires.faults[step["transaction"]] = step["kind"]


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
    world.plant.weld(i) if step.get("on", True) else world.plant.mend(i)


def _switch_stuck_open(world, step):
    i = step["n"] - 1
    world.plant.stick_open(i) if step.get("on", True) else world.plant.mend(i)


def _override(world, step):
    world.plant.override(step["board"], step.get("on", True))


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
    world.broker.change(step.get("mood", "good"))


def _broker_hang(world, step):
    world.broker.change("hang" if step.get("on", True) else "good")


def _broker_says(world, step):
    world.broker.say(step["topic"], step["payload"], step.get("retain", False))


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
    world.card.image.fill(step.get("free_kb", 0) * 1024)
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
    world.reset_controller(1)


STEPS = {
    "load": _load,
    "source": _source,
    "set_battery": _set_battery,
    "inject_current": _inject_current,
    "inject_voltage": _inject_voltage,
    "sensor_reset": _sensor_reset,
    "sensor_freeze": _sensor_freeze,
    "sensor_heat": _sensor_heat,
    "sensor_nack": _sensor_nack,
    "sensor_corrupt": _sensor_corrupt,
    "alert_stuck": _alert_stuck,
    "expander_nack": _expander_nack,
    "expander_reset": _expander_reset,
    "bus_stuck": _bus_stuck,
    "bus_fault": _bus_fault,
    "bus_noise": _bus_noise,
    "board_unplug": _board_unplug,
    "board_plug": _board_plug,
    "switch_weld": _switch_weld,
    "switch_stuck_open": _switch_stuck_open,
    "override": _override,
    "wifi_down": _wifi_down,
    "wifi_up": _wifi_up,
    "broker": _broker,
    "broker_hang": _broker_hang,
    "broker_says": _broker_says,
    "wifi_networks": _wifi_networks,
    "wifi_clients": _wifi_clients,
    "nvs_cut": _nvs_cut,
    "sd_stall": _sd_stall,
    "sd_remove": _sd_remove,
    "sd_insert": _sd_insert,
    "sd_full": _sd_full,
    "sd_cut": _sd_cut,
    "request": None,
    "console_break": _console_break,
    "controller_reset": _controller_reset,
    "power_cycle": _power_cycle,
}
