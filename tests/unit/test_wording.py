# SPDX-License-Identifier: GPL-3.0-only
"""Sentences in both languages, with units, numbers and what is missing."""

from parallelator.catalog import TRIPPED, Reason
from parallelator.records.events import Events
from parallelator.snapshot import RIG, Snapshot
from parallelator.wording import Words, log_name, log_number


def said(language, *event):
    snap = Snapshot()
    events = Events(snap)
    events.emit(*event)
    return Words(language).event(events.after(0))


def test_a_trip_says_what_was_measured():
    current = said("en", "trip", 2, TRIPPED, Reason.OVERCURRENT, -20840)
    voltage = said("fr", "trip", 2, TRIPPED, Reason.UNDERVOLTAGE, 23640)
    heat = said("en", "trip", 2, TRIPPED, Reason.OVERTEMPERATURE, 91)
    assert current == "Battery 3: opened, far too much current, -20.8 A", current
    assert "23.64 V" in voltage and "Batterie 3" in voltage, voltage
    assert "91 \u00b0C" in heat, heat


def test_no_event_gives_a_unit_twice():
    for code in ("low_soon", "no_contact"):
        for language in ("en", "fr"):
            assert said(language, code, 2, TRIPPED, 0, 24940).endswith(" 24.94 V")
            assert said(language, "temperature", 2, TRIPPED, 0, 75).endswith(", 75 \u00b0C")


def test_a_wish_names_the_action():
    assert said("en", "wish", 0, 0, 0, 0) == "Battery 1: set to off by hand"
    assert said("fr", "wish", 0, 0, 0, 1).endswith("auto \u00e0 la main")


def test_the_ring_keeps_the_newest_and_tells_what_was_dropped():
    snap = Snapshot()
    events = Events(snap)
    for k in range(100):
        snap.uptime_s = k
        events.emit("joined", k % 16, 0, 0, k)
    number, uptime_s, code, i, _, _, value = events.after(0)[:7]
    assert (number, uptime_s, code, i, value) == (59, 60, "events_lost", RIG, 60)
    number, uptime_s, code, i, _, _, value = events.after(60)[:7]
    assert (number, uptime_s, code, i, value) == (60, 60, "joined", 12, 60)
    assert events.after(99)[6] == 99 and events.after(100) is None


def test_the_topology_alarm_names_what_is_missing():
    snap = Snapshot()
    snap.known_boards = 0b11
    snap.boards = 0b01
    snap.sensors = 0b11111101
    snap.alarm("topology", RIG, True)
    (alarm,) = Words("en").alarms(snap, [])
    assert alarm["code"] == "topology" and alarm["n"] is None
    assert alarm["text"].endswith(" Boards missing: 2. Batteries without a sensor: 2."), alarm
    assert alarm["detail"] == {"board": [2], "sensor": [2]}


def test_a_board_that_is_missing_stands_for_its_sensors():
    snap = Snapshot()
    snap.known_boards = 0b1111
    snap.boards = 0b0011
    snap.sensors = 0b11101101
    snap.alarm("topology", RIG, True)
    (alarm,) = Words("en").alarms(snap, [])
    told = alarm["text"].partition("Boards missing")
    assert told[1] + told[2] == "Boards missing: 3, 4. Batteries without a sensor: 2, 5."


def test_alarms_of_a_battery_of_the_rig_and_of_a_file_are_filled_in():
    snap = Snapshot()
    snap.uptime_s = 7
    snap.alarm("stuck_closed", 4, True)
    snap.alarm("config_fault", RIG, True)
    snap.uptime_s = 600
    snap.alarm("clock_unset", RIG, True)
    faults = [
        {"file": "config.json", "key": key, "found": 0, "allowed": "1 to 9"}
        for key in ("limits.max_trips", "web.port")
    ]
    stuck, config, port, clock = Words("fr").alarms(snap, faults)
    assert (stuck["n"], stuck["since_ms"]) == (5, 7000) and "5" in stuck["text"]
    assert (stuck["severity"], clock["severity"]) == ("danger", "notice")
    assert (clock["code"], clock["n"], clock["since_ms"]) == ("clock_unset", None, 600000)
    assert "limits.max_trips" in config["text"] and "web.port" in port["text"]
    assert "{" not in stuck["text"]
    assert [one["detail"] for one in (stuck, config, port)] == [None] + faults


def test_the_number_of_a_log_and_its_name_belong_together():
    for name, number in (
        ("boot-0001", 1),
        ("boot-12345", 12345),
        ("2026-07-14", 20260714),
        ("boot-0001-2", 100000001),
        ("2026-07-14-13", 1220260714),
    ):
        assert log_number(name + ".csv") == number and log_name(number) == name
    for other in (
        "events.csv",
        "2026-7-14.csv",
        "2026-07-14-1.csv",
        "2026-07-14-02.csv",
        "2026-07-14.CSV",
        "2026-07-14.txt",
        "boot-1.csv",
        "boot--001.csv",
        "boot-.csv",
        "-.csv",
        ".csv",
        "",
        "2019-photos.csv",
        "2026-07-14-x.csv",
    ):
        assert log_number(other) is None, other
