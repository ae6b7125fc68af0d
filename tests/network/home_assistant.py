# SPDX-License-Identifier: GPL-3.0-only
"""Lets a running Home Assistant show a rig. Run by test_home_assistant.py, in the long campaigns:

    PYTHONPATH=tests/web:tests/network build/home-assistant/bin/python \
        tests/network/home_assistant.py

Prints what was seen as a table, and fails when something else was.
"""

import asyncio
import collections
import contextlib
import json
import shutil
import tempfile
import time

from brokers import Listener, running
from hass import Hass
from rigs import simulated

NODE = "parallelator_246f28000001"
BASE = "parallelator/Scène"
BATTERIES = 4
MILLI = "{{ none if value_json.%s is none else value_json.%s / 1000 }}"
OLD = (
    ("sensor", "rig_voltage", "/state", "bus.voltage_mv", "V", "voltage", "measurement"),
    ("sensor", "battery_2_voltage", "/battery/2", "voltage_mv", "V", "voltage", "measurement"),
    (
        "sensor",
        "battery_2_discharge",
        "/battery/2",
        "discharge_mah",
        "Ah",
        None,
        "total_increasing",
    ),
    ("switch", "battery_2_switch", "/battery/2", None, None, None, None),
)
"""Some of what the first versions said, one entity a message."""


def seen(what, *found):
    """A row of the table."""
    print("|", what, "|", *found, "|", flush=True)


def scenario(broker, **more):
    """A rig of four batteries, one of them with a label, that works all the time."""
    return {
        "batteries": BATTERIES,
        "seed": 1,
        "load": [[0, 0], [12, 12]],
        "settings": {
            "name": "Scène",
            "mqtt": broker.settings(commands=True),
            "pack": {"capacity_mah": 20000},
            "wifi": {"ssid": "stage", "password": "night-show"},
            "batteries": {"3": {"label": "Pack A12"}},
        },
        "steps": [{"at": 60, "do": "sd_remove"}, {"at": 75, "do": "sd_insert"}],
    } | more


def say_old(listener):
    """Leaves the descriptions of the first versions on the broker."""
    for platform, key, place, value, unit, device_class, state_class in OLD:
        config = {
            "name": key.replace("_", " "),
            "unique_id": f"{NODE}_{key}",
            "state_topic": BASE + place,
            "availability_topic": BASE + "/status",
            "value_template": MILLI % (value, value) if value else "{{ value_json.wish | upper }}",
            "unit_of_measurement": unit,
            "device_class": device_class,
            "state_class": state_class,
            "device": {"identifiers": [NODE], "name": "Scène"},
        }
        config = {name: value for name, value in config.items() if value}
        if platform == "switch":
            config |= {"command_topic": BASE + place + "/set", "payload_on": "AUTO"}
        listener.say(f"homeassistant/{platform}/{NODE}/{key}/config", json.dumps(config), True)


def change(rig, settings):
    """Saves settings on the rig, as its page does."""
    answer = rig.ask("PATCH", "/api/settings", settings, **rig.login())
    assert answer[0] == 200, answer


class Show:
    """What Home Assistant shows of the rig.

    Attributes:
        ids: unique identifier, without that of the rig, to entity identifier.
    """

    def __init__(self, hass):
        self.hass = hass
        self.ids = {}

    async def look(self, true=lambda ids: True, seconds=60):
        """Reads the registry, until it is as expected; returns the seconds it took."""
        began = time.monotonic()
        while True:
            entries = await self.hass.entities()
            self.ids = {
                unique.removeprefix(NODE + "_"): entry["entity_id"]
                for unique, entry in entries.items()
            }
            if true(self.ids):
                return time.monotonic() - began
            assert time.monotonic() < began + seconds, self.ids
            await asyncio.sleep(0.1)

    async def state(self, key):
        """The state of an entity by its unique identifier."""
        return (await self.hass.states())[self.ids[key]]

    async def until(self, key, value, seconds=60):
        """Waits for a state; returns the seconds it took."""
        name = self.ids[key]
        return await self.hass.until(
            lambda states: name in states and states[name]["state"] == value, seconds
        )

    async def table(self):
        """Prints all entities by platform, class, unit and category."""
        entries = await self.hass.entities()
        states = await self.hass.states()
        rows = collections.Counter()
        strange = []
        for entry in entries.values():
            state = states.get(entry["entity_id"], {"attributes": {}, "state": "missing"})
            more = state["attributes"]
            rows[
                (
                    entry["entity_id"].split(".")[0],
                    more.get("device_class", ""),
                    more.get("unit_of_measurement", ""),
                    more.get("state_class", ""),
                    entry["entity_category"] or "",
                )
            ] += 1
            if state["state"] in ("unavailable", "missing"):
                strange.append((entry["entity_id"], state["state"]))
        print("\n| platform | device class | unit | state class | category | entities |")
        print("|---|---|---|---|---|---|")
        for row, count in sorted(rows.items()):
            print("|", " | ".join(row), "|", count, "|")
        print("\n", len(entries), "entities\n")
        assert not strange, strange


async def migrate(hass, listener):
    """The first versions' entities, one renamed by its user."""
    show = Show(hass)
    say_old(listener)
    await show.look(lambda ids: len(ids) == len(OLD))
    await hass.ask(
        "config/entity_registry/update",
        entity_id=show.ids["battery_2_voltage"],
        new_entity_id="sensor.my_own_name",
    )
    await show.look()
    return dict(show.ids)


async def energy(hass, show):
    """The energy dashboard with the rig as a battery."""
    source = {
        "type": "battery",
        "stat_energy_from": show.ids["rig_energy_out"],
        "stat_energy_to": show.ids["rig_energy_in"],
    }
    consumption = [{"stat_consumption": show.ids["battery_1_energy_out"]}]
    await hass.ask("energy/save_prefs", energy_sources=[source], device_consumption=consumption)
    began = time.monotonic()
    while True:
        found = await hass.ask("energy/validate")
        issues = [issue for part in found.values() for rows in part for issue in rows]
        waits = [issue for issue in issues if issue["type"] == "statistics_not_defined"]
        if not waits or time.monotonic() > began + 330:
            return issues
        await asyncio.sleep(2)  # statistics are made each five minutes


async def play(hass, broker, listener, rigs):
    """All of it, in order; `rigs` ends what was started."""
    before = await migrate(hass, listener)
    rig = rigs.enter_context(simulated(**scenario(broker)))
    began = time.monotonic()
    show = Show(hass)
    await show.look(lambda ids: "battery_4_switchings" in ids and "event" in ids)
    took = time.monotonic() - began
    await show.until("battery_4_state", "on")
    assert {key: show.ids[key] for key in before} == before, (before, show.ids)
    devices = await hass.devices()
    assert len(devices) == 1 + BATTERIES, devices
    pack = devices[NODE + "_battery_3"]
    assert pack["name"] == "Scène Pack A12" and pack["via_device_id"] == devices[NODE]["id"]
    entry = (await hass.entities())[NODE + "_battery_2_voltage"]
    assert entry["device_id"] == devices[NODE + "_battery_2"]["id"]
    late = Listener(broker)
    late.wait(lambda topic, _: topic == f"homeassistant/device/{NODE}/rig/config")
    await asyncio.sleep(1)
    kept = [topic for topic, text, retained in late.heard if retained and topic.endswith("config")]
    late.close()
    assert all(topic.startswith("homeassistant/device/") for topic in kept), kept
    seen("taken in", len(show.ids), "entities on", len(devices), f"devices in {took:.0f} s")
    seen("earlier descriptions", "migrated, entity ids kept, topics cleared:", *before.values())
    await show.table()
    seen(
        "rig",
        devices[NODE]["name"],
        devices[NODE]["configuration_url"],
        devices[NODE]["sw_version"],
    )

    states = await hass.states()
    seen("state", states[show.ids["battery_1_state"]]["attributes"]["options"])
    name = show.ids["rig_sd_absent"]
    took = await hass.until(lambda states: states[name]["state"] == "on", 90)
    alarm = await show.state("rig_problem")
    assert alarm["state"] == "on" and alarm["attributes"]["alarms"], alarm
    sentence = alarm["attributes"]["alarms"][-1]
    seen("alarm on", name, alarm["attributes"]["alarms"])
    took = await show.until("rig_sd_absent", "off", 90)
    await hass.until(lambda states: sentence not in str(states[show.ids["rig_problem"]]))
    seen("alarm off", name, f"{took:.0f} s later")

    for service, value, word in (("turn_off", "off", "off"), ("turn_on", "on", "on")):
        began = time.monotonic()
        await hass.call("switch." + service, show.ids["battery_2_switch"])
        await show.until("battery_2_state", word)
        seen("switch " + value, f"state {word} after {time.monotonic() - began:.2f} s")
    await hass.call("button.press", show.ids["rig_selftest"])
    began = await show.until("rig_verdict", "running")
    name = show.ids["rig_verdict"]
    took = await hass.until(lambda states: states[name]["state"] in ("go", "watch"), 200)
    verdict = (await show.state("rig_verdict"))["state"]
    seen("self-test", f"running after {began:.1f} s, {verdict} after {took:.0f} s more")
    listener.say("parallelator/latest", "9.9.9", True)
    took = await show.until("rig_update", "on")
    seen("update", (await show.state("rig_update"))["attributes"]["latest_version"])
    listener.say("parallelator/latest", "", True)

    issues = await energy(hass, show)
    seen("energy/validate", issues or "nothing to say against it")
    assert not issues, issues

    rig.process.kill()
    shutil.rmtree(rig.folder)
    took = await show.until("rig_voltage", "unavailable")
    seen("rig killed", f"unavailable after {took:.0f} s")
    rig = rigs.enter_context(simulated(**scenario(broker, steps=[])))
    took = await show.until("battery_1_state", "on")
    seen("rig back", f"after {took:.0f} s")

    ids = dict(show.ids)
    await hass.stop()
    await hass.start()
    took = await hass.until(
        lambda states: states.get(ids["rig_voltage"], {}).get("state", "un").startswith("2")
    )
    await show.look()
    assert show.ids == ids
    await show.until("battery_4_state", "on")
    seen("Home Assistant restarted", f"values after {took:.0f} s, the same {len(ids)} entities")

    change(rig, {"language": "fr"})
    took = await show.until("battery_4_state", "en service")
    options = (await show.state("battery_4_state"))["attributes"]["options"]
    seen("language fr", f"after {took:.0f} s:", ", ".join(options))
    change(rig, {"mqtt.commands": False})
    took = await show.look(lambda ids: not any("switch" in k and "ings" not in k for k in ids))
    assert "rig_restart" not in show.ids and "battery_1_reset" not in show.ids
    seen(
        "commands disabled",
        f"switches and buttons gone after {took:.1f} s,",
        len(show.ids),
        "left",
    )
    change(rig, {"batteries.4.mode": "unused"})
    took = await show.look(lambda ids: not any(key.startswith("battery_4") for key in ids))
    devices = await hass.devices()
    assert NODE + "_battery_4" not in devices, devices
    seen("battery 4 unused", f"its device gone after {took:.1f} s,", len(devices), "devices left")
    change(rig, {"mqtt.discovery": False})
    took = await show.look(lambda ids: not ids)
    seen(
        "discovery off", f"all gone after {took:.1f} s,", len(await hass.devices()), "devices left"
    )


async def main():
    """Play it; then what Home Assistant logged must be nothing."""
    with contextlib.ExitStack() as stack:
        broker = stack.enter_context(running())
        listener = Listener(broker)
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        hass = Hass(folder, broker)
        await hass.start()
        try:
            await play(hass, broker, listener, stack)
        finally:
            await hass.stop()
            said = hass.said()
            seen("Home Assistant's log", said or "empty")
            listener.close()
        assert not said


if __name__ == "__main__":
    asyncio.run(main())
