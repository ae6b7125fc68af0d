# SPDX-License-Identifier: GPL-3.0-only
"""The whole firmware with a broker that misbehaves, in virtual time.

Whatever the broker does, protection goes on as if there were none, and when the broker is good
again the rig comes back to it by itself.
"""

import json

from support import clean, moves, play

BASE = "parallelator/parallelator-000001"
BOUND_MS = 50
TROUBLE_S = 15
END_S = 75
BACK_S = 110


def with_broker(*steps, **plan):
    """The report of a rig with a broker; the load trips battery 2 while there is trouble."""
    settings = {"interval_s": 2, "commands": True}
    settings.update(plan.pop("mqtt", {}))
    plan.setdefault("duration_s", BACK_S)
    packs = plan.setdefault("batteries", 4)
    return play(
        load=[[0, 0], [8, 4 * packs]],
        settings={"mqtt": settings},
        steps=[{"at": 0, "do": "broker"}, {"at": 40, "do": "inject_current", "n": 2, "ma": 22000}]
        + list(steps),
        **plan,
    )


def check_protection(report):
    """No late tick, and the pack that was overloaded was opened, broker or not."""
    clean(report)
    assert report["ticks"]["worst_ms"] <= BOUND_MS, report["ticks"]
    assert any(not closed for _, closed in moves(report, 2, 40)), moves(report, 2)


def check_back(report, connections):
    """The rig came back, often enough but not in a hurry, and tells what is true now."""
    broker = report["broker"]
    assert broker["last"][BASE + "/status"] == "online"
    state = json.loads(broker["last"][BASE + "/state"])
    assert state["uptime_ms"] >= (BACK_S - 6) * 1000, state["uptime_ms"]
    assert connections[0] <= broker["connections"] <= connections[1], broker["connections"]


def trouble(mood, connections, batteries=4):
    """A rig whose broker is in that mood for 60 s."""
    report = with_broker(
        {"at": TROUBLE_S, "do": "broker", "mood": mood},
        {"at": END_S, "do": "broker"},
        batteries=batteries,
    )
    check_protection(report)
    check_back(report, connections)
    return report


def test_all_of_it_is_published_while_the_broker_is_good():
    report = with_broker(duration_s=60, batteries=16)
    check_protection(report)
    broker = report["broker"]
    counts = broker["messages"]
    assert broker["connections"] == counts[BASE + "/status"] == 1
    for n in range(1, 17):
        # 57 s at 2 s, and a few changes
        assert 27 <= counts["%s/battery/%d" % (BASE, n)] <= 45, (n, counts)
        battery = json.loads(broker["last"]["%s/battery/%d" % (BASE, n)])
        assert battery["n"] == n
        assert battery["state"] == ("absent" if n == 2 else "on"), battery
    assert 28 <= counts[BASE + "/state"] <= 31, counts[BASE + "/state"]
    # Battery 2 is open, and its sensor still shows 22 A.
    assert json.loads(broker["last"][BASE + "/state"])["bus"]["connected"] == 15
    configs = [topic for topic in counts if topic.startswith("homeassistant/")]
    assert len(configs) == 10 + 4 * 16 and all(counts[topic] == 1 for topic in configs)


def test_a_broker_that_hangs():
    # Its connection is given up after a ping without an answer; then it takes new ones in silence
    # and finds them all when it is good again.
    trouble("hang", (2, 6), batteries=16)


def test_a_broker_that_vanishes():
    trouble("vanish", (2, 2))


def test_a_short_outage_after_a_long_one_is_soon_over():
    report = with_broker(
        {"at": TROUBLE_S, "do": "broker", "mood": "vanish"},
        {"at": END_S, "do": "broker"},
        {"at": 130, "do": "broker", "mood": "vanish"},
        {"at": 131, "do": "broker"},
        duration_s=146,
    )
    state = json.loads(report["broker"]["last"][BASE + "/state"])
    assert report["broker"]["connections"] == 3 and state["uptime_ms"] > 140000, state


def test_a_broker_that_closes_amid_a_packet():
    trouble("cut", (4, 12))


def test_a_broker_that_is_slow():
    trouble("slow", (1, 1))


def test_a_server_that_talks_garbage():
    trouble("garbage", (2, 2))


def test_a_broker_that_lets_nobody_in():
    report = with_broker({"at": 0, "do": "broker", "mood": "deny"}, {"at": END_S, "do": "broker"})
    check_protection(report)
    check_back(report, (1, 1))


def test_a_battery_is_told_as_soon_as_it_changes():
    report = with_broker(duration_s=43, mqtt={"interval_s": 3600, "discovery": False})
    counts = report["broker"]["messages"]
    battery = json.loads(report["broker"]["last"][BASE + "/battery/2"])
    assert battery["state"] == "tripped", battery
    state = json.loads(report["broker"]["last"][BASE + "/state"])
    assert state["alarm_codes"] and 1 < counts[BASE + "/state"] <= 4, (state, counts)
    event = json.loads(report["broker"]["last"][BASE + "/event"])
    assert event["n"] == 2 and event["uptime_ms"] == 40000, event
    assert counts[BASE + "/event"] == event["number"] + 1


def test_commands_reach_the_guard():
    def say(at, n, payload, retain=False):
        topic = "%s/battery/%s/set" % (BASE, n)
        return dict(at=at, do="broker_says", topic=topic, payload=payload, retain=retain)

    steps = [say(20, 3, "OFF"), say(30, 4, "OFF", True), say(31, 1, "toggle"), say(32, 17, "OFF")]
    report = with_broker(*steps, duration_s=39)
    assert [closed for _, closed in moves(report, 3, 20)] == [0]
    assert moves(report, 3, 20)[0][0] < 20.4
    assert moves(report, 4, 20) == moves(report, 1, 20) == []
    event = json.loads(report["broker"]["last"][BASE + "/event"])
    assert event["code"] == "command_refused" and "1 to 16" in event["text"], event
    deaf = with_broker(say(20, 3, "OFF"), duration_s=25, mqtt={"commands": False})
    assert moves(deaf, 3, 20) == []


def test_a_self_test_is_begun_and_its_result_is_told():
    def told(duration_s):
        say = {"do": "broker_says", "topic": BASE + "/set", "payload": "SELFTEST"}
        report = play(
            duration_s=duration_s,
            batteries=4,
            load=[[0, 6]],
            settings={"mqtt": {"interval_s": 2, "commands": True, "discovery": False}},
            steps=[{"at": 0, "do": "broker"}, dict(say, at=20)],
        )
        clean(report)
        return json.loads(report["broker"]["last"][BASE + "/state"])["selftest"], report

    assert told(19)[0] is None
    assert told(25)[0] == "running"
    verdict, report = told(70)
    assert verdict and verdict == report["selftest"]["verdict"], (verdict, report["selftest"])


def test_a_flood_of_commands_changes_forty_times_in_ten_seconds():
    flood = [
        {
            "at": 20 + k / 100,
            "do": "broker_says",
            "topic": BASE + "/battery/3/set",
            "payload": "AUTO" if k % 2 else "OFF",
        }
        for k in range(200)
    ]
    accepted = []

    def count():
        from parallelator.protection.guard import Guard

        submit = Guard.submit

        def counted(guard, action, i):
            refused = submit(guard, action, i)
            accepted.append((action, i, refused))
            return refused

        Guard.submit = counted

    report = with_broker(*flood, duration_s=25, sabotage=count)
    clean(report)
    assert report["ticks"]["worst_ms"] <= BOUND_MS, report["ticks"]
    # Nobody is told to wait with an *off*.
    assert accepted.count(("auto", 2, None)) == 40 and accepted.count(("off", 2, None)) == 100
    events = report["broker"]["messages"][BASE + "/event"]
    assert 80 < events < len(flood), events


def test_wishes_that_come_and_go_do_not_wear_the_flash():
    def writes(payloads):
        steps = [{"at": 0, "do": "broker"}]
        for k in range(120 if payloads else 0):
            topic = BASE + "/battery/%d/set" % (3 + k // 2 % 2)
            payload = payloads[k % 2]
            steps.append(
                {"at": 20 + k / 4, "do": "broker_says", "topic": topic, "payload": payload}
            )
        settings = {"mqtt": {"commands": True}}
        report = play(duration_s=60, batteries=4, settings=settings, steps=steps)
        clean(report)
        assert not payloads or report["broker"]["messages"][BASE + "/event"] > 120
        return report["nvs_writes"]

    quiet = writes(())
    for payloads in (("OFF", "AUTO"), ("OFF", "ON")):
        # Two in five seconds, and what is left at the end.
        assert 2 <= writes(payloads) - quiet <= 14, (payloads, writes(payloads), quiet)


def test_home_assistant_is_told_again_when_it_was_born():
    birth = {"do": "broker_says", "topic": "homeassistant/status", "payload": "online"}
    report = with_broker(dict(birth, at=20), dict(birth, at=30, payload="offline"), duration_s=39)
    configs = [n for t, n in report["broker"]["messages"].items() if t.endswith("/config")]
    assert len(configs) == 10 + 4 * 4 and set(configs) == {2}, configs


def test_events_that_were_not_sent_in_time_are_counted_and_the_last_ones_come():
    # Battery 3 is switched off and on by hand 60 times while the broker is gone.
    requests = [
        {"at": 20 + k / 2, "do": "request", "n": 3, "action": ("off", "auto")[k % 2]}
        for k in range(120)
    ]
    report = with_broker(
        {"at": TROUBLE_S, "do": "broker", "mood": "vanish"},
        {"at": END_S, "do": "broker"},
        *requests,
    )
    check_back(report, (2, 2))
    number = json.loads(report["broker"]["last"][BASE + "/event"])["number"]
    told = report["broker"]["messages"][BASE + "/event"]
    assert number > 100 and told < number - 30, (number, told)


def test_without_a_broker_nothing_of_it_is_loaded():
    import sys

    loaded = set()

    def watched():
        from parallelator.records.nvs_state import NvsState

        save = NvsState.save

        def look(nvs_state):
            loaded.update(sys.modules)
            return save(nvs_state)

        NvsState.save = look

    play(watched, batteries=4, duration_s=8)
    assert "parallelator.web.server" in loaded
    heads = ("umqtt", "parallelator.network.mqtt", "parallelator.network.discovery")
    assert [name for name in loaded if name.startswith(heads)] == []
