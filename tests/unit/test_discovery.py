# SPDX-License-Identifier: GPL-3.0-only
"""What Home Assistant is told: unique on a broker that many rigs share, and the topics of MQTT."""

from parallelator import settings
from parallelator.network.mqtt import Mqtt
from parallelator.records.events import Events
from parallelator.snapshot import Snapshot
from parallelator.wording import Words

RIGS = 20


class Rig:
    """What Mqtt asks of a rig."""

    meter = None

    def __init__(self, language="en", **changes):
        self.settings = settings.defaults()
        self.settings.update({"mqtt." + key: value for key, value in changes.items()})
        self.settings["name"] = changes.get("name", "parallelator")
        self.words = Words(language)
        self.snap = Snapshot()
        self.events = Events(self.snap)


def made(number=1, language="en", **changes):
    """An Mqtt of the rig with that MAC address."""
    return Mqtt(Rig(language, **changes), "246f280102%02x" % number, None)


def messages(mqtt):
    """All that Home Assistant is told about it: list of (topic, dict)."""
    found = list(mqtt._device.rig())
    for n in range(1, 17):
        found.extend(mqtt._device.battery(n, True))
    return [message for message in found if message]


def topic(**changes):
    """Below which topic a rig publishes."""
    return made(**changes).report()["topic"]


def test_twenty_rigs_are_twenty_devices_without_a_collision():
    devices = set()
    places = set()
    for number in range(RIGS):
        told = messages(made(number))
        device = told[0][1]["device"]["identifiers"][0]
        devices.add(device)
        places.add(told[0][1]["availability_topic"])
        assert len({config["unique_id"] for _, config in told}) == len(told) == 7 + 16 * 9
        assert len({topic for topic, _ in told}) == len(told)
        for topic, config in told:
            assert config["device"]["identifiers"] == [device]
            assert "/%s/" % device in topic and config["unique_id"].startswith(device + "_")
            assert config["availability_topic"] in places
    assert len(devices) == len(places) == RIGS


def test_rigs_do_not_try_again_at_the_same_time():
    waits = {tuple(mqtt._random(30000) for _ in range(3)) for mqtt in map(made, range(RIGS))}
    assert len(waits) == RIGS
    firsts = sorted(wait[0] for wait in waits)
    assert firsts[-1] - firsts[0] > 15000, firsts


def test_names_differ_within_a_rig_in_both_languages():
    for language in ("en", "fr"):
        told = messages(made(language=language))
        names = [config["name"] for _, config in told]
        assert len(set(names)) == len(names), language
    assert "Batterie 3 tension" in names


def test_charge_and_energy_are_offered_where_a_capacity_is_known():
    plain = len(messages(made()))
    for key in ("pack.capacity_mah", "batteries.16.capacity_mah"):
        rig = Rig()
        rig.settings[key] = 20000
        told = messages(Mqtt(rig, "246f28010203", None))
        assert len(told) == plain + 5 + 16 * 3
        assert len({config["name"] for _, config in told}) == len(told)
        kinds = [
            (config.get("device_class"), config.get("unit_of_measurement")) for _, config in told
        ]
        for kind, count in (
            (("battery", "%"), 17),
            (("energy", "kWh"), 34),
            (("energy_storage", "kWh"), 1),
            (("duration", "s"), 1),
        ):
            assert kinds.count(kind) == count, kind


def test_a_rig_without_a_switch_has_none():
    told = [message for message in made()._device.battery(3, False) if message]
    assert len(told) == 8
    assert not any("command_topic" in config for _, config in told)


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
        _, faults, _ = settings.check({"mqtt.prefix": prefix}, settings.defaults())
        assert [fault["key"] for fault in faults] == ["mqtt.prefix"]
