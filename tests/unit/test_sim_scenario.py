# SPDX-License-Identifier: GPL-3.0-only
"""A scenario with a bad value is refused on one line: where, what was found, what is allowed."""

import os

from sim import harness, scenario, values
from sim.broker import MOODS

ROOT = __file__.rsplit("/tests/unit/", 1)[0]
NAN = float("nan")
INF = float("inf")
WRONG = (None, True, "x", [1], {"a": 1}, -1e9, 1e12, 10**40, -(10**40), NAN, INF, -INF)
"""No value of a scenario may be one of these, but for those of ANYTHING."""
ANYTHING = {
    "name": "x",
    "topic": "x",
    "payload": "x",
    "on": True,
    "retain": True,
    "last": True,
    "charge_wake": True,
    "settings": {"a": 1},
}
GOOD = {
    "at": 1,
    "n": 1,
    "board": 0,
    "on": False,
    "a": 8.5,
    "v": 29.5,
    "needs_mv": 20000,
    "delay_ms": 3000,
    "times": 5.5,
    "mohm": 0.5,
    "bounce": [3, 40, 10, 200],
    "side": "bus",
    "wire": "supply",
    "gain_pct": 98.5,
    "sign": -1,
    "offset_ma": -300,
    "stuck_ma": 0,
    "voltage_pct": 0,
    "offset_mv": 12,
    "stuck_mv": 26000,
    "soc": 1,
    "r_mohm": 30,
    "voltage_mv": 26000,
    "ma": -20000,
    "mv": 300.5,
    "c": 80,
    "factor": 0.5,
    "reads": 2,
    "level": 0,
    "other": 2,
    "share": 0.25,
    "register": 4,
    "value": 255,
    "clocks": 9,
    "transaction": 500,
    "kind": "stuck",
    "rate": 0.01,
    "mood": MOODS[-1],
    "topic": "homeassistant/status",
    "payload": "",
    "retain": False,
    "last": True,
    "networks": {"stage": ["night-show", -50], "bar": ["", -70]},
    "count": 2,
    "ip": "192.168.7.1",
    "ms": 200,
    "every": 3,
    "free_kb": 64,
    "action": "off",
    "name": "a-1_b.c",
    "duration_s": 0.5,
    "seed": 0,
    "batteries": [{"n": 16}, {"n": 1, "soc": 0.5, "sensor": "ina226", "chemistry": "lfp8s"}],
    "settings": {"limits": {"max_trips": -1}, "no such": {"a": [1]}, "board": "straight"},
    "wiring": "straight",
    "controller": "psram",
    "driver": "legacy",
    "boot_ticks_ms": (1 << 30) - 1,
    "bus_uf": 40000,
    "bms": {"min_mv": 21000},
    "min_mv": 21000,
    "max_mv": 29500.5,
    "max_a": 60,
    "charge_wake": False,
    "dark_ms": {"from": 8, "to": 30.5, "most": 0},
    "from": 8,
    "to": 30,
    "most": 0.5,
    "load": [[0, 0], [5.5, 20]],
    "source": [[0, 0], [5.5, 20, 29.5]],
    "steps": [],
    "expect": [{"at": 5, "n": 2, "state": "absent"}, {"at": 5, "n": 1, "state": "on"}],
    "chemistry": "nmc7s",
    "sensor": "ina238",
    "capacity_ah": 0.1,
    "state": "waiting",
    "reason": "bus_higher",
}
"""A value for each key."""


def refused(plan):
    """Why the scenario is refused, or None."""
    try:
        scenario.complete(plan)
    except scenario.ScenarioError as error:
        text = str(error)
        assert "\n" not in text and "allowed" in text, text
        return text


def places():
    """Every place of a scenario: (its key, function that makes a scenario with a value there)."""
    for key in values.KEYS:
        yield key, lambda value, key=key: {key: value}
    for key in list(values.PACK) + ["sensor"]:
        yield key, lambda value, key=key: {"batteries": [dict({"n": 1}, **{key: value})]}
    for key in values.BMS:
        yield key, lambda value, key=key: {"batteries": [{"n": 1, "bms": {key: value}}]}
    for key in values.DARKNESS:
        yield (
            key,
            lambda value, key=key: {
                "expect": [{"dark_ms": dict(GOOD["dark_ms"], **{key: value})}]
            },
        )
    yield "dark_ms", lambda value: {"expect": [{"dark_ms": value}]}
    for do, (_, keys) in scenario.STEPS.items():
        step = {key: GOOD[key] for key in keys}
        step.update(at=1, do=do)
        for key in list(keys) + ["at"]:
            yield key, lambda value, step=step, key=key: {"steps": [dict(step, **{key: value})]}
    for key in values.expectation():
        wish = {"at": 1, "n": 1, "state": "on"}
        yield key, lambda value, wish=wish, key=key: {"expect": [dict(wish, **{key: value})]}


def test_a_good_value_is_taken_in_every_place():
    count = 0
    for key, plan in places():
        assert refused(plan(GOOD[key])) is None, (key, refused(plan(GOOD[key])))
        count += 1
    assert count > 100


def test_a_wrong_type_or_range_is_refused_in_every_place():
    for key, plan in places():
        for value in WRONG:
            if key not in ANYTHING or type(value) is not type(ANYTHING[key]):
                text = refused(plan(value))
                assert text and key in text, (key, value, text)


def test_lists_are_refused_by_what_is_in_them():
    for key in ("load", "source"):
        for value in ([1, 2], [[1]], [[-1, 2]], [[1, -2]], [[NAN, 1]], [["0", 1]]):
            assert key in refused({key: value}), value
    for value in ([[1, 2, 11.9]], [[1, 2, 61]], [[1, 2, "29"]], [[1, 2, 29, 1]]):
        assert "source" in refused({"source": value}), value
    assert "load" in refused({"load": [[1, 2, 29]]})
    for bounce in ([], [5, 5]):
        step = {"at": 1, "do": "contact", "n": 1, "mohm": 0, "bounce": bounce}
        assert refused({"steps": [step]}) is None
    for bounce in ([5], [0, 5], [5, 0.5], [5] * 18, [5, "5"]):
        step = {"at": 1, "do": "contact", "n": 1, "mohm": 0, "bounce": bounce}
        assert "bounce" in refused({"steps": [step]}), bounce
    for packs in ([], [1], [{}], [{"soc": 1}], [{"n": 1}, {"n": 1}], [{"n": 1.0}], [{"n": 17}]):
        assert "batteries" in refused({"batteries": packs}), packs
    for steps in ([1], [{}], [{"do": "load"}], [{"do": "load", "at": 1}], [{"do": 5, "at": 1}]):
        assert "steps[0]" in refused({"steps": steps}), steps
    for name in ("", "..", ".x", "a/b", "/var/x", "a b", "é", "x" * 65):
        assert "name" in refused({"name": name}), name
    for networks in ({"x": []}, {"x": ["", 1]}, {"x": ["", -50.5]}, {"x" * 33: ["", -50]}, []):
        step = {"at": 1, "do": "wifi_networks", "networks": networks}
        assert "networks" in refused({"steps": [step]}), networks


def test_keys_and_names_that_are_unknown_are_refused_with_those_that_are_known():
    for plan, found, known in (
        ({"step": []}, "step", "steps"),
        ({"batteries": [{"n": 1, "sco": 1}]}, "batteries[0].sco", "soc"),
        ({"steps": [{"at": 1, "do": "lod"}]}, "lod", "load"),
        ({"steps": [{"at": 1, "do": "load", "amps": 1}]}, "steps[0].amps", "a, at"),
        ({"expect": [{"at": 1, "n": 1, "state": "onn"}]}, "onn", "on"),
        ({"expect": [{"at": 1, "n": 1}]}, "expect[0].state", "on"),
        ({"expect": [{"dark_ms": {"from": 1, "most": 1}}]}, "expect[0].dark_ms.to", "number"),
        ({"expect": [{"dark_ms": {}, "n": 1}]}, "expect[0].n", "dark_ms"),
        ({"batteries": [{"n": 1, "bms": {"min_v": 1}}]}, "batteries[0].bms.min_v", "min_mv"),
        ({"settings": {"limits": 5}}, "settings.limits", "object"),
    ):
        text = refused(plan)
        assert found in text and known in text.split("allowed")[1], text


def test_a_step_for_what_is_not_there_is_refused():
    packs = [{"n": 1}, {"n": 9}]
    for step in (
        {"do": "sensor_reset", "n": 2},
        {"do": "sensor_reset", "n": 0},
        {"do": "request", "n": 3, "action": "off"},
        {"do": "request", "action": "off"},
        {"do": "expander_reset", "board": 1},
        {"do": "alias", "n": 1, "other": 2},
    ):
        assert "steps[0]" in refused({"batteries": packs, "steps": [dict(step, at=1)]}), step
    for step in ({"do": "request", "action": "reset"}, {"do": "expander_reset", "board": 2}):
        assert refused({"batteries": packs, "steps": [dict(step, at=1)]}) is None


def test_what_was_given_stays_as_it_is_and_defaults_are_filled_in():
    step = {"at": 1, "do": "sensor_freeze", "n": 1}
    plan = {"steps": [step], "batteries": [{"n": 1}]}
    full = scenario.complete(plan)
    assert full["steps"][0]["on"] is True and "on" not in step
    assert full["batteries"][0]["sensor"] == "ina237" and plan["batteries"] == [{"n": 1}]


def test_a_smaller_rig_has_only_steps_for_what_is_left():
    steps = [{"at": 1, "do": "expander_reset", "board": b} for b in (0, 1)]
    steps.append({"at": 1, "do": "wifi_down"})
    steps.append({"at": 1, "do": "alias", "n": 1, "other": 8})
    plan = scenario.complete({"batteries": [{"n": 1}, {"n": 8}], "steps": steps})
    assert len(scenario.shrink(plan, 8)["steps"]) == 4
    assert [step["do"] for step in scenario.shrink(plan, 5)["steps"]] == [
        "expander_reset",
        "wifi_down",
    ]
    high = scenario.complete({"batteries": [{"n": 8}]})
    for rig, batteries in ((plan, 0), (plan, 17), (high, 5)):
        try:
            scenario.shrink(rig, batteries)
        except scenario.ScenarioError as error:
            assert "batteries" in str(error)
        else:
            raise AssertionError(batteries)


class Broken:
    """A card that cannot be read."""

    image = None


def test_a_run_that_cannot_begin_leaves_nothing_behind():
    steps = [{"at": 1, "do": "broker_hang"}]
    plan = scenario.complete({"name": "broken-start", "batteries": 1, "steps": steps})
    home = os.getcwd()
    before = len(os.listdir("/proc/self/fd"))
    try:
        harness.run(ROOT, plan, True, quiet=True, card=Broken())
    except AttributeError:
        pass
    assert os.getcwd() == home
    assert len(os.listdir("/proc/self/fd")) == before
    assert [name for name in os.listdir(ROOT + "/build/sim") if "broken-start" in name] == []
