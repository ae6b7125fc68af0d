# SPDX-License-Identifier: GPL-3.0-only
"""What the rig says first, and what becomes of events that nobody has taken."""

import asyncio
import json
import random
import sys
import time

from parallelator import catalog
from parallelator.clock import Clock
from parallelator.network.mqtt import REFUSALS, Mqtt
from parallelator.snapshot import RIG
from parallelator.wording import Words
from test_discovery import Rig

BASE = "parallelator/stage"
NODE = "parallelator_246f28010203"


class Link:
    """A broker that takes everything.

    Attributes:
        taken: list of (topic, payload); topics: what was subscribed to.
    """

    pongs = 0

    def __init__(self):
        self.taken = []
        self.topics = set()

    async def publish(self, topic, payload, retain=False):
        self.taken.append((topic.decode(), payload.decode()))

    async def publish_pieces(self, topic, pieces):
        text = "".join(pieces())
        assert text == "".join(pieces()), "the second time it is another text"
        self.taken.append((topic.decode(), text))

    async def subscribe(self, topic):
        self.topics.add(topic.decode())

    async def unsubscribe(self, topic):
        self.topics.remove(topic.decode())

    async def ping(self):
        self.taken.append(("ping", ""))


class Bench:
    """A rig of one board, whose events wait, and its Mqtt."""

    def __init__(self, **changes):
        self.rig = rig = Rig(name="stage", interval_s=3600, **changes)
        rig.clock = Clock(time)
        rig.boot = 1
        rig.alarms = lambda: []
        rig.event_text = lambda event: event[2]
        rig.detail = lambda event: ""
        rig.snap.known_boards = 1
        self.mqtt = Mqtt(rig, "246f28010203", None)
        self.link = Link()
        self.kept = ()

    def emit(self, count):
        """So many events happen; their value is their number."""
        for _ in range(count):
            self.rig.events.emit("joined", 0, 0, 0, self.rig.events.count)

    def run(self, greet=True):
        """All that is to be sent now; returns the topics, without their base."""
        self.link.taken = []

        async def main():
            if greet:
                await self.mqtt._greet(self.link)
            for topic, retained in self.kept:
                self.mqtt._heard(topic.encode(), None, retained)
            for _ in range(6):  # the end of one thing may be the beginning of another
                while await self.mqtt._next(self.link):
                    pass
                self.mqtt._quiet_until = self.rig.clock.ms()

        asyncio.run(main())
        return [topic.replace(BASE, "") for topic, _ in self.link.taken]

    def numbers(self):
        """Of the events sent by the last `run`."""
        events = [json.loads(text) for topic, text in self.link.taken if topic.endswith("/event")]
        return [event["number"] for event in events]


def test_the_order_after_a_connection():
    bench = Bench()
    bench.emit(2)
    topics = bench.run()
    assert topics[:4] == ["/status", "ping", "/event", "/event"], topics
    assert topics[4:9] == ["/battery/%d" % n for n in (1, 2, 3, 4)] + ["/state"], topics
    rest = [topic for topic in topics[9:] if topic.startswith("homeassistant/")]
    assert len(rest) == 10 + 4 * 4, rest
    # what was told before Home Assistant knew of it is told again
    again = [topic for topic in topics[9:] if topic not in rest]
    assert sorted(again) == ["/battery/%d" % n for n in (1, 2, 3, 4)], again
    assert bench.run(greet=False) == []
    assert bench.link.topics == {"homeassistant/status"}
    assert "parallelator.network.discovery" not in sys.modules


def described(topics):
    """The places of which Home Assistant is told, and those that are removed."""
    return [topic.split("/")[3] for topic in topics if topic.endswith("/config")]


def test_places_that_are_not_used_are_not_offered_and_removed_where_the_broker_keeps_them():
    bench = Bench()
    bench.rig.snap.unused = 0b1010
    places = set(described(bench.run()))
    assert "battery_1" in places and "battery_2" not in places and "battery_4" not in places
    head = "homeassistant/device/" + NODE
    bench.kept = [(head + "/battery_2/config", True), (head + "/battery_3/config", True)]
    bench.run()
    removed = [topic for topic, text in bench.link.taken if topic.endswith("/config") and not text]
    assert set(described(removed)) == {
        "battery_2" + part for part in ("", "_more", "_energy", "_counters")
    }, removed
    bench.kept = ()
    bench.rig.snap.unused = 0b1110
    bench.mqtt.settings_changed({"batteries.3.mode": "unused"})
    asyncio.run(bench.mqtt._settle(bench.link))
    bench.run(greet=False)
    removed = [topic for topic, text in bench.link.taken if topic.endswith("/config") and not text]
    assert set(described(removed)) == {
        "battery_3" + part for part in ("", "_more", "_energy", "_counters")
    }, removed


def test_what_the_broker_keeps_of_the_first_versions_is_migrated_and_cleared():
    bench = Bench()
    for topic in ("sensor/%s/battery_2_voltage", "switch/%s/battery_2_switch", "event/%s/event"):
        bench.kept += (("homeassistant/" + topic % NODE + "/config", True),)
    bench.run()
    old = [taken for taken in bench.link.taken if taken[0].endswith("/config")]
    old = [taken for taken in old if not taken[0].startswith("homeassistant/device/")]
    assert len(old) == 2 * (12 + 12), len(old)
    assert [text for _, text in old[:12]] == ['{"migrate_discovery":true}'] * 12
    assert [text for _, text in old[12:24]] == [""] * 12
    bench.kept = ()
    assert not [topic for topic in bench.run() if topic.startswith("homeassistant/sensor")]


def test_without_discovery_all_that_the_broker_keeps_is_removed():
    bench = Bench(discovery=False)
    bench.kept = [("homeassistant/device/%s/rig/config" % NODE, True)]
    bench.kept += [("homeassistant/sensor/%s/battery_2_power/config" % NODE, True)]
    bench.run()
    found = [taken for taken in bench.link.taken if taken[0].endswith("/config")]
    assert len(found) == 10 + 12 and not any(text for _, text in found), found


def test_commands_are_taken_while_they_are_allowed_and_not_longer():
    bench = Bench()
    bench.run()
    for commands in (True, False):
        bench.rig.settings["mqtt.commands"] = commands
        bench.mqtt.settings_changed({"mqtt.commands": commands})
        assert bench.mqtt._changed
        asyncio.run(bench.mqtt._settle(bench.link))
        topics = {"homeassistant/status"}
        if commands:
            topics |= {BASE + "/battery/+/set", BASE + "/set"}
        assert bench.link.topics == topics
        bench.run(greet=False)
        texts = dict(bench.link.taken)
        switch = json.loads(texts["homeassistant/device/%s/battery_1_more/config" % NODE])
        assert (len(switch["cmps"]["switch"]) > 1) == commands, switch
    bench.mqtt.settings_changed({"log.interval_s": 5})
    assert not bench.mqtt._changed


def test_an_alarm_is_told_at_once_with_its_sentence():
    bench = Bench(discovery=False)
    bench.run()
    bench.rig.snap.alarm("no_contact", 2, True)
    bench.rig.alarms = lambda: bench.rig.words.alarms(bench.rig.snap, [])
    assert bench.run(greet=False) == ["/battery/3", "/state"]
    battery, state = (json.loads(text) for _, text in bench.link.taken)
    assert [alarm["code"] for alarm in battery["alarms"]] == ["no_contact"]
    assert "Check its fuse" in battery["alarms"][0]["text"]
    assert state["alarm_codes"] == ["no_contact"] and state["alarm_count"] == 1
    assert battery["state_text"] == "absent" and battery["reason_text"] == "", battery
    bench.rig.snap.alarm("no_contact", 2, False)
    bench.rig.snap.alarm("sd_absent", RIG, True)
    assert bench.run(greet=False) == ["/battery/3", "/state"]
    assert json.loads(bench.link.taken[1][1])["alarm_codes"] == ["sd_absent"]


def test_only_what_changes_is_told_between_two_intervals():
    bench = Bench(discovery=False)
    bench.run()
    snap = bench.rig.snap
    snap.state[2] = catalog.ON
    snap.voltage_mv[1] = 26000
    assert bench.run(greet=False) == ["/battery/3"]
    snap.wish[3] = catalog.WISH_OFF
    snap.trips[0] = 1
    assert bench.run(greet=False) == ["/battery/1", "/battery/4"]


def test_a_board_that_comes_later_is_told_of():
    bench = Bench()
    bench.run()
    bench.rig.snap.known_boards = 3
    topics = bench.run(greet=False)
    assert topics[:4] == ["/battery/%d" % n for n in (5, 6, 7, 8)]
    assert len(described(topics)) == 4 * 4


def test_the_oldest_events_are_lost_first_and_counted():
    bench = Bench(discovery=False)
    bench.emit(100)
    bench.run()
    assert bench.numbers() == list(range(59, 100)), "the first one tells of those that are lost"
    assert bench.mqtt.report()["dropped"] == 60
    bench.emit(3)
    bench.run(greet=False)
    assert bench.numbers() == [100, 101, 102]
    assert bench.mqtt.report()["dropped"] == 60


def test_events_that_were_sent_are_not_sent_again_on_the_next_connection():
    bench = Bench(discovery=False)
    bench.emit(5)
    bench.run()
    bench.emit(1)
    bench.run()
    assert bench.numbers() == [5]


def test_what_nobody_asked_for_is_not_heard():
    bench = Bench()
    bench.mqtt._commands = True
    for topic in (
        b"",
        b"x",
        b"/",
        b"parallelator/stage/battery/",
        b"parallelator/stagebattery/1/set",
    ):
        bench.mqtt._heard(topic, b"OFF", False)
    assert bench.rig.events.count == 0
    bench.mqtt._heard(b"parallelator/stage/battery//set", b"OFF", False)
    assert bench.rig.events.count == 1
    deaf = Bench(commands=False)
    deaf.mqtt._heard(b"parallelator/stage/battery/17/set", b"OFF", False)
    assert deaf.rig.events.count == 0


class Wrapping:
    """Ticks of an ESP32 after so many seconds."""

    def __init__(self, uptime_s):
        self.now = uptime_s * 1000 & (1 << 30) - 1

    def ticks_ms(self):
        return self.now

    ticks_us = sleep_us = None

    def ticks_add(self, a, b):
        return a + b & (1 << 30) - 1

    def ticks_diff(self, a, b):
        return (a - b + (1 << 29) & (1 << 30) - 1) - (1 << 29)


def test_a_command_is_obeyed_however_long_there_was_none():
    obeyed = []

    class Guard:
        def submit(self, action, i):
            obeyed.append(i)

    bench = Bench()
    bench.mqtt._commands = True
    bench.rig.guard = Guard()
    for uptime_s in (10, 11 * 86400):
        bench.rig.snap.uptime_s = uptime_s
        bench.rig.clock = Clock(Wrapping(uptime_s))
        for _ in range(50):
            bench.mqtt._heard(b"parallelator/stage/battery/2/set", b"AUTO", False)
        assert len(obeyed) == 40, (uptime_s, len(obeyed))
        obeyed.clear()


def test_a_problem_is_told_once_it_lasts():
    bench = Bench()
    for problem in (0, 0, 0, 1, 1, 5):
        bench.mqtt._fail(problem)
    found = []
    event = bench.rig.events.after(0)
    while event:
        found.append(event)
        event = bench.rig.events.after(event[0] + 1)
    assert [(event[2], event[3], event[6]) for event in found] == [
        ("mqtt_down", RIG, 0),
        ("mqtt_down", RIG, 1),
        ("mqtt_down", RIG, 5),
    ]
    assert bench.mqtt.detail(found[0]) == "unreachable"


def test_rigs_that_lose_one_broker_do_not_come_back_at_once():
    bench = Bench()
    for rigs, most in ((50, 11), (500, 70)):
        by_second = [0] * 10
        for k in range(rigs):
            rig = Mqtt(bench.rig, "246f2801%04x" % k, None)
            rig._random(2000)  # spent when it started
            by_second[rig._random(10000) // 1000] += 1
        assert sum(by_second) == rigs and max(by_second) <= most, by_second


def test_junk_is_told_a_few_times_and_then_counted_as_one():
    bench = Bench(discovery=False)
    bench.run()
    bench.mqtt._commands = True
    begun = bench.rig.events.count
    junk = ((b"/battery/17/set", b"OFF"), (b"/battery/x/set", None), (b"/set", b"\xff\xfe"))
    for k in range(3000):
        place, payload = junk[k % 3]
        bench.mqtt._heard(BASE.encode() + place, payload, False)
    assert bench.rig.events.count - begun <= 9, bench.rig.events.count - begun
    bench.run(greet=False)
    assert bench.rig.events.count - begun <= 9
    bench.rig.snap.uptime_s += 10
    bench.run(greet=False)
    event = json.loads([text for _, text in bench.link.taken if "mqtt_junk" in text][0])
    assert event["code"] == "mqtt_junk" and event["value"] >= 2990, event
    assert bench.rig.events.count - begun <= 10


def test_whatever_is_heard_does_no_harm():
    class Guard:
        def submit(self, action, i):
            assert action in catalog.ACTIONS and -1 <= i <= 16, (action, i)

    random.seed(23)
    bench = Bench(discovery=False)
    bench.rig.guard = Guard()
    bench.rig.restart = lambda: None
    bench.run()
    bench.mqtt._commands = True
    words = (b"", b"/", b"set", b"battery", b"all", b"1", b"16", b"99999999999", b"-1", b"\xc3")
    words += (b"homeassistant", b"device", NODE.encode(), b"config", b"battery_", b"battery_3_x")
    payloads = (None, b"", b"OFF", b"restart", b"Reset", b"online", bytes(500), b"\xff\xfe", b"on")
    for k in range(4000):
        parts = [words[random.getrandbits(4)] for _ in range(random.getrandbits(3))]
        topic = (BASE.encode() + b"/" if k & 1 else b"") + b"/".join(parts)
        payload = payloads[random.getrandbits(8) % len(payloads)]
        bench.rig.snap.uptime_s += k & 1
        bench.mqtt._listening = bool(k & 2)
        bench.mqtt._heard(topic, payload, bool(k & 4))
    assert 0 <= bench.mqtt._kept < 1 << 17 and 0 <= bench.mqtt._old < 1 << 17


def test_show_mode_takes_off_and_its_own_end():
    found = []

    class Guard:
        def submit(self, action, i):
            found.append((action, i))

    bench = Bench(discovery=False)
    rig = bench.rig
    rig.guard = Guard()
    rig.restart = lambda: found.append("restart")
    rig.snap.state[3] = catalog.ON
    bench.run()
    bench.mqtt._commands = "all"

    async def follow(coroutine):
        coroutine.close()

    rig.run_after_guard = follow
    refused = []
    rig.events.emit = lambda code, i, state, reason, value: refused.append((code, value))

    def hear(place, payload, kept=False):
        del found[:], refused[:]
        bench.mqtt._heard(BASE.encode() + place, payload, kept)
        codes = [REFUSALS[value] for code, value in refused if code == "command_refused"]
        return found + codes

    async def main():
        assert hear(b"/set", b"SHOW 90", True) == ["retained"] and rig.show_s() == 0
        for end in (b"SHOW 0", b"SHOW x", b"show \xff\xfe", b"SHOW 99999999999"):
            assert hear(b"/set", end) == ["show_end"], end
        assert hear(b"/set", b"SHOW 90") == [] and rig.show_s() == 5400
        assert hear(b"/set", b"Show 20") == [] and rig.show_s() == 1200
        rig.snap.uptime_s += 10
        for place, payload in (
            (b"/set", b"RESTART"),
            (b"/set", b"SELFTEST"),
            (b"/set", b"RESET"),
            (b"/battery/3/set", b"ON"),
            (b"/battery/all/set", b"AUTO"),
            (b"/battery/3/set", b"show 5"),
            (b"/setting/limits.trip_delay_ms/set", b"off"),
        ):
            assert hear(place, payload) == ["show_mode"], (place, payload)
            rig.snap.uptime_s += 10
        assert hear(b"/battery/3/set", b"OFF") == [("off", 2)]
        assert hear(b"/battery/all/set", b"off") == [("off", 16)]
        rig.snap.state[3] = catalog.LOCKED
        assert hear(b"/battery/4/set", b"RESET") == [("reset", 3)]
        rig.snap.state[3] = catalog.ON
        assert hear(b"/set", b"SHOW end") == [] and rig.show_s() == 0
        assert hear(b"/set", b"RESTART") == ["restart"]

    asyncio.run(main())


def test_commands_for_all_and_for_the_rig():
    found = []

    class Guard:
        def submit(self, action, i):
            found.append((action, i))

    bench = Bench(discovery=False)
    bench.rig.guard = Guard()
    bench.rig.restart = lambda: found.append("restart")
    bench.run()
    bench.mqtt._commands = True
    for place, payload in (
        (b"/battery/all/set", b"off"),
        (b"/battery/all/set", b"ON"),
        (b"/battery/all/set", b"AUTO"),
        (b"/set", b"RESET"),
        (b"/set", b"OFF"),
        (b"/set", b"RESTART"),
    ):
        bench.mqtt._heard(BASE.encode() + place, payload, False)
        bench.mqtt._heard(BASE.encode() + place, payload, True)  # kept by the broker
    assert found == [("off", 16), ("auto", 16), ("reset", RIG), "restart"], found


def test_home_assistant_is_told_again_at_most_each_half_minute():
    bench = Bench()
    bench.run()
    dues = []
    for _ in range(3):
        bench.mqtt._heard(b"homeassistant/status", b"online", False)
        dues.append(bench.mqtt._birth_due)
    assert dues[0] is not None and dues == [dues[0]] * 3
    bench.mqtt._birth_due = bench.rig.clock.ms()
    assert len(described(bench.run(greet=False))) == 10 + 4 * 4
    bench.mqtt._heard(b"homeassistant/status", b"online", False)
    assert bench.rig.clock.diff(bench.mqtt._birth_due, bench.rig.clock.ms()) > 20000


def test_in_another_language_no_state_is_told_before_its_words():
    bench = Bench()
    bench.run()
    bench.rig.words = Words("fr")
    bench.mqtt.settings_changed({"language": "fr"})
    asyncio.run(bench.mqtt._settle(bench.link))
    bench.run(greet=False)
    place = BASE + "/battery/2"
    told = [json.loads(text)["state_text"] for topic, text in bench.link.taken if topic == place]
    assert told == [None, "absente"], told
    heads = [topic for topic, _ in bench.link.taken if topic == place or "battery_2/" in topic]
    assert heads == [place, "homeassistant/device/%s/battery_2/config" % NODE, place], heads


def test_a_setting_is_taken_by_its_topic_where_all_commands_are_allowed():
    saved = []
    answers = {b"9000": True, b"1": False, b"10000": None}

    async def save(*setting):
        saved.append(setting)
        return answers[setting[1]]

    def say(key, payload, retained=False, commands="all"):
        bench.mqtt._commands = commands
        bench.mqtt._heard(b"parallelator/stage/setting/" + key + b"/set", payload, retained)
        if bench.mqtt._setting:
            asyncio.run(bench.mqtt._save())
        count = bench.rig.events.count
        told = bench.rig.events.after(count - 1) if count else None
        return told and REFUSALS[told[6]]

    bench = Bench(discovery=False)
    bench.run()
    key = b"limits.max_current_ma"
    assert say(key, b"9000", commands=True) is None
    assert say(key, b"9000") == "busy", "the page is not up yet"
    bench.rig.save = save
    for wrong in (b"mqtt.commands", b"web.password", b"name", b""):
        assert say(wrong, b"9000") == "setting"
    assert say(key, None) == say(key, b"") == say(key, b"9000", retained=True) == "setting"
    assert saved == []
    assert say(key, b"1") == "setting"
    bench.rig.snap.uptime_s += 10  # what is refused is told again
    say(key, b"10000")  # that is its value already
    say(key, b"9000")
    assert say(key, b"10000") == "rate"
    bench.rig.snap.uptime_s += 10
    say(b"batteries.3.label", b"9000")
    assert [payload for _, payload in saved] == [b"1", b"10000", b"9000", b"9000"], saved


def test_the_topic_of_settings_is_asked_for_only_where_all_is_allowed():
    for commands, there in ((False, False), (True, False), ("all", True)):
        bench = Bench(discovery=False, commands=commands)
        bench.run()
        assert (BASE + "/setting/+/set" in bench.link.topics) == there, commands
        assert (BASE + "/set" in bench.link.topics) == bool(commands)
