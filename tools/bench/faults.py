# SPDX-License-Identifier: GPL-3.0-only
"""Single faults of every kind: does the stage stay lit? A part of stage.py.

Every step of the simulator that is a fault, with the parameters of the field, strikes rigs of 1 to
16 batteries that supply a load, are charged, or idle; once while they run and once at power-on.
The load is one that the rest of the rig can carry.
"""

from dataclasses import dataclass

import firmware
from sim.scenario import STEPS

SIZES = (1, 2, 4, 8, 16)
MODES = ("load", "charge", "idle")
RUNNING, START = "running", "start"
SPANS = {RUNNING: (12, 25), START: (0, 27)}
"""When the fault begins and for how long it lasts, s."""
AT_START_S = 5.6
"""Of what would be over before the start of the output, which comes then: when it begins."""
AFTER_S = 15
"""How long a run goes on when the fault is over."""
SETTLED_MS = 11000
LIT_MS = 15000
"""Allowed from power-on, a reset, or the end of what made everybody open."""
BOARD = 4
SOC = 0.7
PACK_A = 7
MOST_A = 45
"""What the load takes of each battery of the rest, and of a rig at most, A."""
LAMP_A = 0.01
"""An idle rig: too little to be measured, enough to be dark."""
CHARGE_A = 4
"""What the charger gives each battery of the rest beside the load, A."""
CHARGER = {"needs_mv": 20000, "delay_ms": 500}
"""It gives nothing until batteries hold the output."""
WIFI = {
    "name": "rig",
    "wifi": {"ssid": "stage", "password": "stage-wifi"},
    "mqtt": {"commands": True},
}


@dataclass
class Fault:
    """A row of the table.

    Attributes:
        name: what people read.
        begin, end: steps without their time; `n`, `other`, `board` and amperes are filled in.
        before: steps at power-on. lasts_s: for how long it lasts, 0 = as SPANS says.
        strikes: `pack` and `board` (found by the first step): the rest has to carry the load;
            `nothing`: everybody stays; `output`, `controller`: everybody opens, and starts anew.
        pack: what is said of every battery, as (key, value).
    """

    name: str
    begin: tuple
    end: tuple = ()
    strikes: str = ""
    before: tuple = ()
    lasts_s: float = 0
    pack: tuple = (("soc", SOC),)

    def __post_init__(self):
        keys = STEPS[self.begin[0]["do"]][1]
        named = "n" in keys, "board" in keys
        self.strikes = self.strikes or {(1, 0): "pack", (0, 1): "board"}.get(named, "nothing")

    @property
    def opens_all(self):
        """True when everybody opens by right, and starts anew."""
        return self.strikes in ("output", "controller")

    def struck(self, size):
        """The batteries of a rig of `size` that it strikes, by rule; None: it does not exist."""
        first = self.begin[0]
        b = first.get("board", 0)
        if b * BOARD >= size:
            return None
        if self.strikes == "board":
            # Of several boards all but the first are struck.
            return set(range(b * BOARD + 1, size + 1 if b else min(size, BOARD) + 1))
        if self.strikes != "pack":
            return set()
        if "other" not in STEPS[first["do"]][1]:
            return {min(size, 2)}
        return {1, 2} if size > 1 else None

    def filled(self, step, size, mode, at_s):
        """A step with its time, and with whom it strikes."""
        keys = STEPS[step["do"]][1]
        step = dict(step, at=at_s + step.get("later", 0))
        step.pop("later", None)
        if "n" in keys:
            step.setdefault("n", min(size, 2))
        if "other" in keys:
            step["other"] = 1
        if "board" in keys:
            step.setdefault("board", 0)
        rest = max(size - len(self.struck(size)), 1)
        load_a, source_a = amperes(rest, mode)
        if "times" in step and step["do"] == "load":
            step["a"] = load_a * step.pop("times")
        if step["do"] == "source":
            pack_a = step.pop("pack_a", None)
            step["a"] = source_a if pack_a is None else pack_a and pack_a * size + load_a
            step.update(CHARGER)
        return step

    def plan(self, size, mode, moment):
        """The scenario; returns (plan, s from which the rig may be dark for LIT_MS)."""
        at_s, lasts_s = SPANS[moment]
        if moment == START and (self.lasts_s or self.opens_all):
            at_s = AT_START_S
        end_s = round(at_s + (self.lasts_s or lasts_s), 3)
        rest = max(size - len(self.struck(size)), 1)
        load_a, source_a = amperes(rest, mode)
        steps = [dict(CHARGER, do="source", at=0, a=source_a)]
        for these, when_s in ((self.before, 0), (self.begin, at_s), (self.end, end_s)):
            there = [step for step in these if step.get("board", 0) * BOARD < size]
            steps += [self.filled(step, size, mode, when_s) for step in there]
        network = any(step["do"].split("_")[0] in ("wifi", "broker") for step in self.begin)
        plan = {
            "name": "fault",
            "duration_s": end_s + AFTER_S + (LIT_MS / 1000 if self.opens_all else 0),
            "batteries": [dict(self.pack, n=n) for n in range(1, size + 1)],
            "settings": WIFI if network else {},
            "load": [[0, load_a]],
            "steps": steps,
        }
        return plan, max(step["at"] for step in steps)


def amperes(rest, mode):
    """(load, charger) of a mode, for `rest` batteries, A."""
    if mode == "idle":
        return LAMP_A, 0
    if mode == "charge":
        return rest, rest * (1 + CHARGE_A)
    return min(PACK_A * rest, MOST_A), 0


def _step(do, **values):
    return dict(values, do=do)


def _on(name, do, **values):
    """What lasts until `on` is false."""
    step = _step(do, **values)
    return Fault(name, (step,), (dict(step, on=False),))


def _felt(name, do, key, value, rest):
    step = _step(do)
    return Fault(name, (dict(step, **{key: value}),), (dict(step, **{key: rest}),))


def _lie(name, **values):
    return Fault(f"sensor_lie {name}", (_step("sensor_lie", **values),), (_step("sensor_lie"),))


def _pair(do, undo, name=None, **values):
    return Fault(name or do, (_step(do, **values),), (_step(undo),))


def _corrupt(name, register, value):
    return Fault(
        f"expander_corrupt {name}", (_step("expander_corrupt", register=register, value=value),)
    )


def _moods():
    for mood in ("hang", "vanish", "cut", "slow", "garbage", "deny"):
        yield Fault(
            f"broker {mood}", (_step("broker", mood=mood),), (_step("broker", mood="good"),)
        )


def _transfers(kind):
    """Single transfers that go wrong, from the first second to the last."""
    numbers = range(150, 26000, 997)
    steps = [_step("bus_fault", kind=kind, transaction=number) for number in numbers]
    return Fault(f"bus_fault {kind}", tuple(steps))


FAULTS = (
    # Load and charger
    Fault("load x 1.4", (_step("load", times=1.4),), (_step("load", times=1),)),
    Fault(
        "load x 6 for 0.3 s",
        (_step("load", times=6),),
        (_step("load", times=1),),
        "output",
        lasts_s=0.3,
    ),
    Fault(
        "load_mohm 20 for 0.3 s",
        (_step("load_mohm", mohm=20),),
        (_step("load_mohm", mohm=0),),
        "output",
        lasts_s=0.3,
    ),
    Fault("inrush x 2 for 0.2 s", (_step("inrush", times=2, ms=200),)),
    Fault("source comes", (_step("source", pack_a=4),)),
    Fault("source goes", (_step("source", pack_a=0),)),
    Fault(
        "source 25 A a battery, 0.3 s",
        (_step("source", pack_a=25),),
        (_step("source"),),
        "output",
        lasts_s=0.3,
    ),
    Fault(
        "source 31 V onto full ones",
        (_step("source", pack_a=4, v=31),),
        (_step("source", v=29.4),),
        "output",
        pack=(("soc", 0.97), ("capacity_ah", 0.2)),
    ),
    # A battery
    *(
        Fault(f"set_battery {name}", (_step("set_battery", **values),))
        for name, values in (
            ("a cell shorts", {"voltage_mv": 24000}),
            ("20.5 V", {"voltage_mv": 20500}),
            ("at the full end", {"voltage_mv": 29400}),
            ("300 mohm", {"r_mohm": 300}),
            ("soc 0.1", {"soc": 0.1}),
        )
    ),
    _pair("bms_open", "bms_close"),
    Fault("bms_close", (_step("bms_close"),), before=(_step("bms_open"),)),
    Fault(
        "bms_close, 2 V apart",
        (_step("bms_open"), _step("set_battery", soc=0.3)),
        (_step("bms_close"),),
        lasts_s=2,
    ),
    _on("fuse_blow battery side", "fuse_blow", side="battery"),
    _on("fuse_blow bus side", "fuse_blow", side="bus"),
    _felt("contact 200 mohm", "contact", "mohm", 200, 0),
    Fault(
        "contact bounces",
        (_step("contact", mohm=10, bounce=[20, 30, 5, 200]),),
        (_step("contact", mohm=0),),
    ),
    # A sensor
    *(
        _felt(f"inject_current {ma} mA", "inject_current", "ma", ma, 0)
        for ma in (25000, -25000, 2000, -2000, 320, -320)
    ),
    *(
        _felt(f"inject_voltage {mv} mV", "inject_voltage", "mv", mv, 0)
        for mv in (9000, -9000, 1012, -1012, 400, -400)
    ),
    Fault("sensor_reset", (_step("sensor_reset"),)),
    _on("sensor_freeze", "sensor_freeze"),
    _felt("sensor_heat 76 C", "sensor_heat", "c", 76, 25),
    _felt("sensor_heat 95 C", "sensor_heat", "c", 95, 25),
    _on("sensor_nack", "sensor_nack"),
    *(
        Fault(
            f"sensor_corrupt x {factor}, {reads} reads",
            (_step("sensor_corrupt", factor=factor, reads=reads),),
        )
        for factor, reads in ((0.5, 1), (1.4, 1), (0.5, 6), (1.4, 6))
    ),
    _lie("offset 1500 mA", offset_ma=1500),
    _lie("offset -1500 mA", offset_ma=-1500),
    _lie("gain 0", gain_pct=0),
    _lie("gain 50 %", gain_pct=50),
    _lie("gain 300 %", gain_pct=300),
    _lie("sign", sign=-1),
    _lie("stuck 0 mA", stuck_ma=0),
    _lie("stuck 9000 mA", stuck_ma=9000),
    _lie("stuck -9000 mA", stuck_ma=-9000),
    _lie("voltage 50 %", voltage_pct=50),
    _lie("voltage 98 %", voltage_pct=98),
    _lie("voltage 110 %", voltage_pct=110),
    _lie("stuck 27000 mV", stuck_mv=27000),
    _lie("stuck 0 mV", stuck_mv=0),
    _felt("alert_stuck 0", "alert_stuck", "level", 0, 1),
    Fault("alert_stuck 1", (_step("alert_stuck", level=1),)),
    _on("alias", "alias"),
    # A switch, a board, its cable
    _on("switch_weld", "switch_weld"),
    _on("switch_stuck_open", "switch_stuck_open"),
    _on("pin_stuck 0", "pin_stuck", level=0),
    _on("pin_stuck 1", "pin_stuck", level=1),
    _on("override", "override"),
    _on("expander_nack", "expander_nack"),
    Fault("expander_reset", (_step("expander_reset"),)),
    _corrupt("latch 0x00", 2, 0x00),
    _corrupt("latch 0xFF", 2, 0xFF),
    _corrupt("polarity 0xFF", 4, 0xFF),
    _corrupt("direction 0xFF", 6, 0xFF),
    _corrupt("direction of LEDs", 7, 0xFF),
    _pair("board_unplug", "board_plug"),
    Fault(
        "only the first board is there",
        tuple(_step("board_unplug", board=b) for b in (1, 2, 3)),
        tuple(_step("board_plug", board=b) for b in (1, 2, 3)),
    ),
    *(_on(f"line_cut {wire}", "line_cut", wire=wire) for wire in ("sda", "scl", "supply")),
    # I2C
    Fault("bus_stuck, 5 clocks", (_step("bus_stuck", clocks=5),)),
    Fault("bus_stuck, 1500 clocks", (_step("bus_stuck", clocks=1500),)),
    *(_transfers(kind) for kind in ("nack", "timeout", "corrupt", "stuck", "busy")),
    _felt("bus_noise 1 in 2000", "bus_noise", "rate", 0.0005, 0),
    _felt("bus_noise 1 in 200", "bus_noise", "rate", 0.005, 0),
    # Card
    Fault("sd_stall", (_step("sd_stall", ms=500),)),
    Fault("sd_stall, each third write", (_step("sd_stall", ms=250, every=3),)),
    _pair("sd_remove", "sd_insert"),
    Fault("sd_full", (_step("sd_full", free_kb=0),)),
    Fault("sd_cut", (_step("sd_cut"),)),
    # Network, broker, people
    _pair("wifi_down", "wifi_up"),
    Fault("wifi_networks", (_step("wifi_networks", networks={"stage": ["changed", -60]}),)),
    Fault("wifi_clients", (_step("wifi_clients", count=4),)),
    Fault("selftest", (_step("selftest"),)),
    _on("broker_hang", "broker_hang"),
    *_moods(),
    Fault(
        "broker_says OFF",
        (_step("broker_says", topic="parallelator/rig/battery/1/set", payload="OFF"),),
        (),
        "pack",
    ),
    *(
        Fault(f"request {action}", (_step("request", action=action),))
        for action in firmware.catalog().ACTIONS
    ),
    Fault("request reset of the output", (_step("request", action="reset", n=0),), (), "nothing"),
    # The controller
    Fault("controller_reset", (_step("controller_reset"),), (), "controller"),
    Fault(
        "controller_reset, inrush x 4",
        (_step("controller_reset"),),
        (),
        "controller",
        before=(_step("inrush", times=4, ms=200),),
    ),
    Fault("power_cycle", (_step("power_cycle"),), (), "controller"),
    Fault("nvs_cut, then power_cycle", (_step("nvs_cut"), _step("power_cycle")), (), "controller"),
    Fault(
        "console_break, then controller_reset",
        (_step("console_break"), _step("controller_reset", later=1)),
        (),
        "controller",
    ),
)


class Cell:
    """One fault on one rig in one mode.

    Args:
        fault: a `Fault`; size: of the rig; mode: of MODES; moment: of SPANS.

    Attributes:
        name: what people read; plan: the scenario.
    """

    def __init__(self, fault, size, mode, moment):
        self.fault = fault
        self.size = size
        self.moment = moment
        self.name = f"{fault.name}, {size}, {mode}, {moment}"
        self.plan, self._over_s = fault.plan(size, mode, moment)

    def judge(self, report):
        """How long a run is dark, `ms`, and what it `missed`, as texts.

        Running: how long the load is dark in all, of what makes everybody open the longest time;
        at the start: how long after power-on, or after what made everybody open, it is lit.
        """
        if report["failures"]:
            return {"ms": 0, "missed": [": ".join(failure) for failure in report["failures"]]}
        struck = self.fault.struck(self.size)
        ms, allowed_ms = self._dark_ms(report["dark_ms"])
        missed = [
            "%.1f s: battery %d %s" % (at_ms / 1000, n, what)
            for at_ms, n, what in report["violations"]
        ]
        missed += report["alloc_violations"]
        missed += [
            "%.1f s: battery %d locked as %s" % (at_ms / 1000, n, reason)
            for at_ms, n, _, reason in report["locked"]
            if n not in struck
        ]
        if len(struck) < self.size and ms > allowed_ms:
            missed.append("dark for %d ms" % ms)
        return {"ms": ms, "missed": missed}

    def _dark_ms(self, spells):
        """How long it is dark, and how long it may be."""
        opens_all = self.fault.opens_all
        if self.moment == START:
            begin_ms = 1000 * self._over_s if opens_all else 0
            return max([end - begin_ms for _, end in spells] + [0]), LIT_MS
        late = [(max(begin, SETTLED_MS), end) for begin, end in spells if end > SETTLED_MS]
        if opens_all:
            return max([end - begin for begin, end in late] + [0]), LIT_MS
        return sum(end - begin for begin, end in late), 0


def cells(sizes, only):
    """Every cell of rigs of `sizes` and faults whose name contains `only`."""
    return [
        Cell(fault, size, mode, moment)
        for size in sizes
        for fault in FAULTS
        if only in fault.name and fault.struck(size) is not None
        for mode in MODES
        for moment in SPANS
    ]


def table(played, found):
    """Lines of the table: a fault, how long it is dark at worst, by size of the rig.

    Args:
        played: list of `Cell`; found: what each found.
    """
    sizes = sorted({cell.size for cell in played})
    heads = [_header(text, sizes) for text in ("running, ms dark", "start, s until lit")]
    yield "%-38s %s   %s" % ("", *heads)
    numbers = " ".join("%6d" % size for size in sizes)
    yield "%-38s %s   %s   missed" % ("fault", numbers, numbers)
    for fault in dict.fromkeys(cell.fault.name for cell in played):
        own = [pair for pair in zip(played, found, strict=True) if pair[0].fault.name == fault]
        columns = [
            " ".join(_shown(own, size, moment, form) for size in sizes)
            for moment, form in ((RUNNING, "%d"), (START, "%.1f"))
        ]
        misses = sum(bool(result["missed"]) for _, result in own)
        yield ("%-38s %s   %s   %s" % (fault, *columns, misses or "")).rstrip()
    yield ""
    yield "The worst of a load, a charge and an idle rig. -: nobody is left to carry the load."


def _header(text, sizes):
    return "%-*s" % (7 * len(sizes) - 1, text)


def _shown(own, size, moment, form):
    own = [pair for pair in own if (pair[0].size, pair[0].moment) == (size, moment)]
    if not own:
        return "      "
    if len(own[0][0].fault.struck(size)) == size:
        return "     -"
    worst = max(result["ms"] for _, result in own)
    return "%6s" % (form % (worst if moment == RUNNING else worst / 1000))


def summary(played, found):
    """Lines: by what a fault strikes, how many were played and how dark it was at worst."""
    yield "Single faults                           faults   runs  dark, ms  lit after, s  missed"
    texts = {
        "pack": "of one battery, its sensor or switch",
        "board": "of one board or its cable",
        "nothing": "of I2C, card, network, load or charger",
        "output": "everybody opens: shorts, overloads",
        "controller": "everybody opens: resets",
    }
    for strikes, text in texts.items():
        own = [
            pair for pair in zip(played, found, strict=True) if pair[0].fault.strikes == strikes
        ]
        kept = [pair for pair in own if len(pair[0].fault.struck(pair[0].size)) < pair[0].size]
        worst = {
            moment: max((r["ms"] for cell, r in kept if cell.moment == moment), default=0)
            for moment in SPANS
        }
        yield "%-38s %7d %6d %9d %13.1f %7d" % (
            text,
            len({cell.fault.name for cell, _ in own}),
            len(own),
            worst[RUNNING],
            worst[START] / 1000,
            sum(bool(result["missed"]) for _, result in own),
        )
    yield ""
    yield "Rigs of 1, 2, 4, 8 and 16 batteries that supply, are charged and idle. dark: while they"
    yield "run; lit: after power-on, or after what opened everybody. Where nobody is left, what is"
    yield "dark does not count."
