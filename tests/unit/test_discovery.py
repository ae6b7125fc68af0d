# SPDX-License-Identifier: GPL-3.0-only
"""What Home Assistant is told: unique on a broker that many rigs share, and the topics of MQTT."""

import json

from parallelator import catalog, settings
from parallelator.network.mqtt import Mqtt
from parallelator.records.events import Events
from parallelator.rig import Rig as WholeRig
from parallelator.snapshot import Snapshot
from parallelator.wording import Words

RIGS = 20
NODE = "parallelator_246f280102%02x"


class Rig:
    """What Mqtt asks of a rig."""

    meter = cascade = selftest = report = verdict = None
    save = None
    show_s = WholeRig.show_s
    is_held = WholeRig.is_held

    class network:
        class wifi:
            ip = "192.168.1.20"

    def __init__(self, language="en", **changes):
        self.settings = settings.Values({})
        self.settings.given.update({"mqtt." + key: value for key, value in changes.items()})
        self.settings["name"] = changes.get("name", "parallelator")
        self.words = Words(language)
        self.snap = Snapshot()
        self.show = [0]
        self.events = Events(self.snap)


def made(number=1, language="en", **changes):
    """An Mqtt of the rig with that MAC address."""
    return Mqtt(Rig(language, **changes), "246f280102%02x" % number, None)


def told(mqtt, places=range(17), old=False):
    """What Home Assistant is told of the rig, 0, and of the batteries: list of (topic, text)."""
    mqtt._describe()
    found = []
    for n in places:
        for message in mqtt._description.messages(n, old):
            if isinstance(message, tuple):
                topic, content = message
                whole = content.decode() if isinstance(content, bytes) else "".join(content())
                found.append((topic, whole))
    return found


def devices(mqtt, places=range(17)):
    """The same, as list of (topic, dict)."""
    return [(topic, json.loads(text)) for topic, text in told(mqtt, places)]


def entities(mqtt, places=range(17)):
    """What is offered: list of (device, key, component)."""
    return [
        (config["dev"], key, component)
        for _, config in devices(mqtt, places)
        for key, component in config["cmps"].items()
        if len(component) > 1
    ]


def topic(**changes):
    """Below which topic a rig publishes."""
    return made(**changes).report()["topic"]


def test_twenty_rigs_are_twenty_devices_with_sixteen_batteries_each():
    found = {}
    for number in range(RIGS):
        node = NODE % number
        for topic, config in devices(made(number)):
            device = config["dev"]
            assert topic.startswith("homeassistant/device/%s/" % node), topic
            assert device["ids"].startswith(node) and config["o"]["name"] == "Parallelator"
            assert device.get("via_device", node) == node, device
            assert ("via_device" in device) == (device["ids"] != node), device
            first = topic.endswith(("/rig/config", "_%s/config" % device["ids"].split("_")[-1]))
            url = "http://192.168.1.20/" if first else None
            assert device.get("cu") == url and ("mf" in device) == first, topic
            found[device["ids"]] = node
            for component in config["cmps"].values():
                assert len(component) == 1 or component["uniq_id"].startswith(node + "_")
    assert len(found) == RIGS * 17 and len(set(found.values())) == RIGS


def test_identities_are_unique_and_those_of_the_first_versions():
    found = entities(made(commands=True))
    ids = [component["uniq_id"] for _, _, component in found]
    assert len(set(ids)) == len(ids)
    for old in ("rig_voltage", "event", "battery_3_voltage", "battery_16_switch"):
        assert NODE % 1 + "_" + old in ids, old


def test_a_message_has_two_kilobytes_at_most_and_its_pieces_are_small():
    for language in ("en", "fr"):
        longest = made(language=language, name="\U0001f50b" * 24, prefix="p" * 32, commands=True)
        value = longest._rig.settings
        value["pack.capacity_mah"] = 20000
        for n in range(1, 17):
            value["batteries.%d.label" % n] = "\U0001f50b" * 24
            value["batteries.%d.id" % n] = "i" * 16
        for topic, text in told(longest):
            assert len(text.encode()) <= 2048, (topic, len(text.encode()))
        usual = made(language=language, name="stage left", commands=True)
        usual._rig.settings["pack.capacity_mah"] = 20000
        sizes = [len(text.encode()) for _, text in told(usual)]
        print(language, len(sizes), "messages,", sum(sizes), "bytes, largest", max(sizes))


def test_an_alarm_of_the_rig_is_an_entity_each():
    found = {key: component for _, key, component in entities(made(), [0])}
    for code, _, _, holds in catalog.CODES:
        if holds & catalog.ALARM and holds & catalog.RIG_ONLY:
            assert found[code]["p"] == "binary_sensor" and found[code]["dev_cla"] == "problem"
            assert "'%s'" % code in found[code]["val_tpl"]


def test_the_result_of_a_self_test_is_told_in_the_language_of_the_rig():
    for language, words in (
        ("en", ["go", "not measured", "watch", "no go", "running"]),
        ("fr", ["bon", "pas mesuré", "à surveiller", "à ne pas utiliser", "en cours"]),
    ):
        found = {key: component for _, key, component in entities(made(language=language), [0])}
        sensor = found["verdict"]
        assert sorted(sensor["ops"]) == sorted(words) and sensor["dev_cla"] == "enum", sensor
        begin, end = "{{ ", "[value_json.selftest]|default(none) }}"
        assert sensor["val_tpl"].startswith(begin) and sensor["val_tpl"].endswith(end), sensor
        told = json.loads(sensor["val_tpl"][len(begin) : -len(end)])
        codes = catalog.VERDICTS + (catalog.RUNNING,)
        assert [told[code] for code in codes] == words, told


def test_states_are_told_in_the_language_of_the_rig():
    for language, word in (("en", "locked"), ("fr", "verrouillée")):
        mqtt = made(language=language)
        state = [component for _, key, component in entities(mqtt, [1]) if key == "state"][0]
        assert state["dev_cla"] == "enum" and word in state["ops"], state
        assert state["ops"] == [mqtt._rig.words.state(row[0]) for row in catalog.STATES]


def test_a_label_is_the_name_of_the_device_and_changes_no_identity():
    plain, labelled = made(name="stage"), made(name="stage")
    labelled._rig.settings["batteries.3.label"] = 'Pack "A"'
    names = {config["dev"]["name"] for _, config in devices(plain, [3])}
    assert names == {"stage Battery 3"}, names
    names = {config["dev"]["name"] for _, config in devices(labelled, [3])}
    assert names == {'stage Pack "A"'}, names
    ids = [
        [component["uniq_id"] for _, _, component in entities(m, [3])] for m in (plain, labelled)
    ]
    assert ids[0] == ids[1]


def test_what_had_a_description_of_its_own_is_migrated():
    mqtt = made()
    found = told(mqtt, [3], True)
    migrated = [topic for topic, text in found if text == '{"migrate_discovery":true}']
    cleared = [topic for topic, text in found if not text]
    assert migrated == cleared and len(migrated) == 12, migrated
    assert "homeassistant/sensor/%s/battery_3_voltage/config" % (NODE % 1) in migrated
    assert "homeassistant/switch/%s/battery_3_switch/config" % (NODE % 1) in migrated
    places = [text[:2] for _, text in found]
    assert places == ['{"'] * 16 + [""] * 12, places
    rig = [topic for topic, text in told(mqtt, [0], True) if not text]
    assert "homeassistant/event/%s/event/config" % (NODE % 1) in rig and len(rig) == 12, rig


def test_rigs_do_not_try_again_at_the_same_time():
    waits = {tuple(mqtt._random(30000) for _ in range(3)) for mqtt in map(made, range(RIGS))}
    assert len(waits) == RIGS
    firsts = sorted(wait[0] for wait in waits)
    assert firsts[-1] - firsts[0] > 15000, firsts


def test_names_differ_within_a_device_in_both_languages():
    for language in ("en", "fr"):
        found = entities(made(language=language, commands=True))
        names = [(device["ids"], component["name"]) for device, _, component in found]
        assert len(set(names)) == len(names), language
    assert (NODE % 1 + "_battery_3", "Tension") in names


def test_charge_and_energy_are_offered_where_a_capacity_is_known():
    plain = len(entities(made()))
    for key in ("pack.capacity_mah", "batteries.16.capacity_mah"):
        mqtt = made()
        mqtt._rig.settings[key] = 20000
        found = entities(mqtt)
        assert len(found) == plain + 5 + 16 * 3
        kinds = [(c.get("dev_cla"), c.get("unit_of_meas")) for _, _, c in found]
        for kind, count in (
            (("battery", "%"), 17),
            (("energy", "kWh"), 34),
            (("energy_storage", "kWh"), 1),
            (("duration", "s"), 1),
        ):
            assert kinds.count(kind) == count, kind


def test_without_commands_switch_and_buttons_are_named_to_be_removed():
    for commands in (False, True):
        found = {}
        for _, config in devices(made(commands=commands), [0, 3]):
            found.update({config["dev"]["ids"] + key: c for key, c in config["cmps"].items()})
            assert ("cmd_t" in config) == (commands and "event" not in config["cmps"])
        for key in ("reset", "restart", "selftest"):
            assert (len(found[NODE % 1 + key]) > 1) == commands, key
        for key in ("switch", "reset"):
            component = found[NODE % 1 + "_battery_3" + key]
            assert (len(component) > 1) == commands, component


def test_the_name_is_one_level_of_the_topics():
    assert topic(name="stage") == "parallelator/stage"
    assert topic(name="a/b+c#d$") == "parallelator/a-b-c-d-"
    assert topic(name="stage", prefix="/rue/sud/") == "rue/sud/stage"
    assert topic() == "parallelator/parallelator-010201"
    long = topic(name="\U0001f50b" * 24, prefix="p" * 32)
    assert len(long.encode()) == 32 + 1 + 64
    # umqtt puts the length of a subscription into one byte
    assert len((long + "/battery/+/set").encode()) <= 122


def test_a_prefix_with_wildcards_is_refused():
    for prefix in ("a/+", "#"):
        _, faults, _ = settings.check({"mqtt.prefix": prefix})
        assert [fault["key"] for fault in faults] == ["mqtt.prefix"]
