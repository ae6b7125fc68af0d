# SPDX-License-Identifier: GPL-3.0-only
"""Settings, clock, restart and reports over HTTP: what is shown, saved, refused."""

import hashlib
import json
import re
import socket
import time

from rigs import PASSWORD, simulated

JSON = "application/json"
PLAIN = "text/plain; charset=UTF-8"
EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"


def patch(rig, session, body):
    status, _, answer = rig.ask("PATCH", "/api/settings", body, **session)
    return status, answer


def config(rig):
    """The settings file of a fake rig, flat, empty if there is none."""
    path = rig.folder / "config.json"
    return json.loads(path.read_text()) if path.exists() else {}


def test_settings_tell_everything_but_secrets(rig):
    _, _, schema = rig.ask("GET", "/api/settings/schema")
    status, _, shown = rig.ask("GET", "/api/settings")
    assert status == 200
    secrets = {row["key"] for row in schema if row["type"] == "secret"}
    asked = {"web.password", "wifi.password", "wifi.ap_password", "mqtt.password"}
    assert secrets == asked == set(shown["secrets"])
    assert shown["secrets"] == {key: key == "web.password" for key in secrets}
    assert set(shown["values"]) | secrets == {row["key"] for row in schema}
    assert PASSWORD not in json.dumps(shown)
    row = next(row for row in schema if row["key"] == "limits.max_trips")
    assert row == {
        "key": "limits.max_trips", "type": "integer", "default": 5, "preset": False, "min": 1,
        "max": 1000, "choices": None, "unit": "", "restart": False,
    }  # fmt: skip


def test_a_change_is_saved_and_says_what_waits_for_a_restart(rig):
    session = rig.login()
    body = {"name": "Nuit blanche", "limits": {"max_trips": 3}, "log.interval_s": 5}
    body["batteries.4.label"] = "Basse"
    status, answer = patch(rig, session, body)
    assert status == 200
    assert answer["saved"] == [
        *("batteries.4.label", "limits.max_trips", "log.interval_s", "name"),
    ]  # fmt: skip
    assert answer["pending"] == ["log.interval_s"]
    assert config(rig) == {
        "name": "Nuit blanche",
        "limits": {"max_trips": 3},
        "log": {"interval_s": 5},
        "batteries": {"4": {"label": "Basse"}},
    }
    state = rig.ask("GET", "/api/state")[2]
    assert (state["name"], state["batteries"][3]["label"]) == ("Nuit blanche", "Basse")
    shown = rig.ask("GET", "/api/settings")[2]
    assert shown["values"]["limits.max_trips"] == 3 and shown["pending"] == ["log.interval_s"]
    assert state["pending"] == 1
    assert rig.ask("GET", "/api/events")[2]["events"][-1]["code"] == "limits_saved"
    status, answer = patch(rig, session, {"limits.max_trips": 5})
    assert (status, answer["saved"]) == (200, ["limits.max_trips"])


def test_another_battery_is_told_by_its_id_or_by_a_button(rig):
    session = rig.login()
    path = "/api/batteries/4/exchanged"
    assert rig.ask("POST", path, **session)[2]["error"]["code"] == "no_capacity"
    rig.tell("charge 60 5 3000 - - - - - -")
    assert rig.ask("POST", "/api/batteries/17/exchanged", **session)[0] == 404
    status, _, answer = rig.ask("POST", path, **session)
    assert (status, answer) == (200, {"n": 4})
    assert rig.ask("GET", "/api/state")[2]["batteries"][3]["soc_pct"] is None
    told = rig.ask("GET", "/api/events")[2]["events"][-1]
    assert (told["code"], told["n"]) == ("pack_swapped", 4)
    status, answer = patch(rig, session, {"batteries.4.id": "A7"})
    assert (status, answer["pending"]) == (200, []), "it needs no restart"
    assert rig.ask("GET", "/api/state")[2]["batteries"][3]["id"] == "A7"
    status, _, answer = rig.ask("POST", path, **session)
    assert (status, answer["error"]["code"]) == (409, "has_id")


def test_limits_that_would_open_a_battery_wait_with_all_others(rig):
    session = rig.login()
    rig.tell("press")  # a battery is beyond them
    answer = patch(rig, session, {"limits.min_voltage_mv": 26000, "name": "x"})[1]
    assert answer["pending"] == ["limits.min_voltage_mv"]
    answer = patch(rig, session, {"limits.max_trips": 3})[1]
    assert answer["pending"] == ["limits.max_trips", "limits.min_voltage_mv"]
    rig.tell("release", "alarm safe_crash")
    answer = patch(rig, session, {"limits.trip_decay_s": 0})[1]
    assert len(answer["pending"]) == 3, "safe mode keeps its own"
    rig.tell("calm")
    answer = patch(rig, session, {"limits.trip_decay_s": 10})[1]
    assert answer["pending"] == []
    shown = rig.ask("GET", "/api/settings")[2]["values"]
    assert (shown["limits.min_voltage_mv"], shown["limits.trip_decay_s"]) == (26000, 10)


def test_one_fault_and_nothing_changes_and_every_fault_is_named(rig):
    session = rig.login()
    patch(rig, session, {"name": "before"})
    kept = config(rig)
    faulty = {
        "name": "after",
        "limits": {"max_trips": "five", "min_voltage_mv": 1},
        "wifi": {"colour": "blue"},
        "web.password": 12,
        "board.switch": [[], [], [], []],
        "batteries.17.label": "x",
    }
    status, answer = patch(rig, session, faulty)
    assert status == 422
    found = {fault["key"]: fault for fault in answer["error"]["faults"]}
    assert set(found) == {
        "limits.max_trips", "limits.min_voltage_mv", "wifi.colour", "web.password",
        "board.switch", "batteries.17.label",
    }  # fmt: skip
    assert found["limits.max_trips"]["found"] == "five"
    assert found["limits.max_trips"]["allowed"] == "a whole number, 1 to 1000"
    assert found["web.password"]["found"] == "***"
    assert config(rig) == kept
    assert rig.ask("GET", "/api/state")[2]["name"] == "before"
    status, answer = patch(rig, session, {"limits": {"min_voltage_mv": 31000}})
    assert status == 422 and answer["error"]["field"] == "limits.min_voltage_mv"


def test_hostile_values_are_refused_and_leave_no_mark(rig):
    session = rig.login()
    deep = json.loads("[" * 900 + "]" * 900)
    nest = {}
    for _ in range(900):
        nest = {"name": nest}
    hostile = (
        {"name": deep},
        nest,
        {"name": "a\u0000b"},
        {"name": "\ud83d"},
        {"name": "x" * 8000},
        {"k" * 8000: 1},
        {"limits.max_trips": 10**60},
        {"limits.max_trips": 1e300},
        {"limits.max_trips": True},
        {"limits.max_trips": None},
        {str(k): k for k in range(600)},
    )
    for k, body in enumerate(hostile):
        status, _, answer = rig.ask(
            "PATCH", "/api/settings", body, f"127.0.0.{k % 9 + 1}", **session
        )
        assert status in (400, 422), (body, answer)  # no JSON for the reader, or no settings
        assert len(json.dumps(answer)) < 2000
    for body in ([], "text", 3, None):
        status, answer = patch(rig, session, body)
        assert status == 400, body
    assert config(rig) == {}


def test_a_new_password_is_kept_as_a_hash(rig):
    session = rig.login()
    status, answer = patch(rig, session, {"web": {"password": "new-one-8"}})
    assert (status, answer["pending"]) == (200, [])
    kept = config(rig)["web"]["password"]
    name, rounds, salt, digest = kept.split("$")
    expected = hashlib.pbkdf2_hmac("sha256", b"new-one-8", bytes.fromhex(salt), int(rounds))
    assert (name, digest) == ("pbkdf2", expected.hex())
    assert patch(rig, session, {"name": "x"})[0] == 401, "all sessions have ended"
    assert rig.ask("POST", "/api/login", {"password": PASSWORD})[0] == 401
    assert rig.ask("POST", "/api/login", {"password": "new-one-8"})[0] == 200


def test_time(rig):
    session = rig.login()
    for body in ({}, {"unix_s": "1784000000"}, {"unix_s": 5}, {"unix_s": 1 << 40}, [1], None):
        assert rig.ask("POST", "/api/time", body, **session)[0] == 400, body
    status, _, answer = rig.ask("POST", "/api/time", {"unix_s": 1798761599}, **session)
    assert status == 200
    assert answer["time"][:16] in ("2026-12-31T23:59", "2027-01-01T00:00")


def test_events_after_a_number(rig):
    rig.tell("trip 5", "trip 6")
    _, _, answer = rig.ask("GET", "/api/events")
    assert [event["number"] for event in answer["events"]] == [0, 1, 2]
    assert answer["next"] == 3
    event = answer["events"][2]
    assert (event["code"], event["n"], event["reason"]) == ("trip", 6, "overload")
    assert event["text"] == "Battery 6: opened, too much current for too long, 14.0 A"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", event["time"])
    _, _, answer = rig.ask("GET", "/api/events?after=2")
    assert [event["number"] for event in answer["events"]] == [2]
    assert rig.ask("GET", "/api/events?after=99")[2] == {"events": [], "next": 3}
    for wrong in ("x", "-1", "1.5", "9" * 12, ""):
        assert rig.ask("GET", f"/api/events?after={wrong}")[0] == 400, wrong
    for _ in range(20):
        rig.tell("trip 1", "trip 2", "trip 3", "trip 4")
    answer = rig.ask("GET", "/api/events")[2]
    boot, lost, *trips = answer["events"]
    assert (boot["code"], boot["number"]) == ("boot", 0), "trips push out nothing else"
    assert (lost["code"], lost["value"]) == ("events_lost", 66)
    assert [event["number"] for event in trips] == list(range(67, 83))


def test_history(rig):
    for wrong in ("n=17", "n=-1", "n=x", "span=9", "span=86401", "span="):
        assert rig.ask("GET", f"/api/history?{wrong}")[0] == 400, wrong
    rig.tell("lose 7")
    for _ in range(80):
        _, _, answer = rig.ask("GET", "/api/history")
        if answer["series"][0]["voltage_mv"]:
            break
        time.sleep(0.2)
    assert [series["n"] for series in answer["series"]] == list(range(17))
    assert answer["step_ms"] == 10000
    one = rig.ask("GET", "/api/history?n=1&span=10")[2]["series"]
    assert len(one) == 1 and one[0]["n"] == 1
    assert one[0]["voltage_mv"] == answer["series"][1]["voltage_mv"][-1:]
    assert 26000 < one[0]["voltage_mv"][0] < 27000 and one[0]["current_ma"] == [4200]
    assert rig.ask("GET", "/api/history?n=7&span=10")[2]["series"][0]["voltage_mv"] == [None]
    rig_ma = answer["series"][0]["current_ma"][-1]
    assert (
        abs(rig_ma - sum(series["current_ma"][-1] or 0 for series in answer["series"][1:])) < 400
    )


def test_the_charge_of_a_day_is_in_its_history(rig):
    assert "soc_pct" not in rig.ask("GET", "/api/history?span=86400")[2]["series"][0]
    rig.tell("charge 60 5 3000 - - - - - -")
    day = rig.ask("GET", "/api/history?span=86400")[2]["series"]
    lengths = {len(series[key]) for series in day for key in ("soc_pct", "voltage_mv")}
    assert len(day) == 17 and len(lengths) == 1
    assert "soc_pct" not in rig.ask("GET", "/api/history?span=3600")[2]["series"][0]


def test_metrics_and_log_are_texts(rig):
    rig.tell("trip 5", "lose 7", "alarm config_fault", "alarm config_fault", "alarm low_soon 4")
    rig.tell("freeze")
    bus = rig.ask("GET", "/api/state")[2]["bus"]
    _, headers, text = rig.ask("GET", "/metrics")
    rig.tell("run")
    assert headers["Content-Type"] == EXPOSITION
    metrics = text.decode()
    assert 'parallelator_battery_info{battery="3",label="Stage <left>"} 1\n' in metrics
    assert 'parallelator_battery_trips{battery="5"} 1\n' in metrics
    assert 'parallelator_battery_voltage_volts{battery="7"}' not in metrics
    assert "charge_ratio" not in metrics
    rig.tell("charge 60 5 3000 - - - - - -")
    metrics = rig.ask("GET", "/metrics")[2].decode()
    assert "parallelator_charge_ratio 0.60\n" in metrics
    assert "parallelator_energy_left_joules 10800000.00\n" in metrics
    assert 'parallelator_battery_charge_ratio{battery="3"} 0.62\n' in metrics
    assert 'parallelator_battery_capacity_ratio{battery="1"} 0.91\n' in metrics
    assert 'parallelator_battery_discharge_joules_total{battery="1"} 4444200\n' in metrics
    assert "\nparallelator_time_to_empty_seconds " not in metrics, "it is not known"
    assert 'parallelator_battery_connected{battery="7"} 0\n' in metrics
    assert 'parallelator_battery_discharge_coulombs_total{battery="1"} 0\n' in metrics
    for line in (
        *("trials 0", "wifi_rssi_dbm -51", "i2c_transactions_total 4711", "i2c_errors_total 3"),
        *("i2c_timeouts_total 2", "i2c_recoveries_total 1"),
        f"voltage_volts {bus['voltage_mv'] / 1000:.3f}",
        f"current_amperes {bus['current_ma'] / 1000:.3f}",
    ):
        assert f"\nparallelator_{line}\n" in metrics, line
    for n, state, reason, clears in (
        (1, "on", "", ""),
        (5, "tripped", "overload", "delay"),
        (7, "absent", "sensor_lost", "answer"),
    ):
        labels = f'battery="{n}",state="{state}",reason="{reason}",clears="{clears}"'
        assert f"parallelator_battery_state{{{labels}}} 1\n" in metrics
    assert "parallelator_alarms 3\n" in metrics
    for kind in ("gc_pause", "flash_pause", "tick_late"):
        found = re.findall(
            rf'^parallelator_{kind}_seconds{{quantile="(.*)"}} (.*)$', metrics, re.M
        )
        assert [quantile for quantile, _ in found] == ["0.999", "1"]
        assert re.search(rf"^parallelator_{kind}_seconds_count \d+$", metrics, re.M), kind
        assert 0 <= float(found[0][1]) <= float(found[1][1]), found
    alarms = re.findall(r"^parallelator_alarm\{(.*)\} 1$", metrics, re.MULTILINE)
    assert alarms == [
        'code="config_fault",severity="trouble",battery=""',
        'code="low_soon",severity="trouble",battery="4"',
    ]
    names = re.findall(r"^# TYPE (\w+) (gauge|counter|summary)$", metrics, re.MULTILINE)
    assert len(names) == len(set(names)) == 35
    assert all(re.fullmatch(r'\w+(\{.*\})? [-\d.]+', line)
               for line in metrics.splitlines() if not line.startswith("#"))  # fmt: skip
    rig.tell("extreme")  # what has come together since the start, without what was kept
    drawn = (9999999 - 1500) * 18 // 5
    grown = f'parallelator_battery_discharge_coulombs_total{{battery="1"}} {drawn}\n'
    assert grown in rig.ask("GET", "/metrics")[2].decode()
    _, headers, text = rig.ask("GET", "/log")
    assert headers["Content-Type"] == "text/plain; charset=utf-8"
    assert "Battery 5: opened, too much current for too long" in text.decode()


def test_every_answer_of_the_metrics_tells_its_type(rig):
    rig.tell("ap 127.0.0.1")
    host = b"Host: 192.168.1.23\r\n"
    for request, status, kind in (
        (b"GET /metrics HTTP/1.1\r\n" + host, 200, EXPOSITION),
        (b"GET /metrics HTTP/1.0\r\n", 200, EXPOSITION),
        (b"GET /metrics?x=1 HTTP/1.1\r\n" + host, 200, EXPOSITION),
        (b"HEAD /metrics HTTP/1.1\r\n" + host, 200, EXPOSITION),
        (b"POST /metrics HTTP/1.1\r\nContent-Length: 0\r\n" + host, 405, JSON),
        (b"GET /metrics HTTP/1.1\r\nContent-Length: 300\r\n" + host, 413, JSON),
        (b"GET /metrics HTTP/1.1\r\n", 400, JSON),
        (b"GET /metrics HTTP/9.9\r\n" + host, 505, JSON),
        (b"GET /metrics/ HTTP/1.1\r\n" + host, 404, JSON),
        (b"OPTIONS /metrics HTTP/1.1\r\n" + host, 200, PLAIN),
        (b"GET /metrics HTTP/1.1\r\nHost: example.org\r\n", 302, PLAIN),
        (b"GET /metrics HTTP/1.1\r\n" + host + 50 * b"X: y\r\n", 431, JSON),
    ):
        head = rig.raw(request + b"\r\n").partition(b"\r\n\r\n")[0].decode()
        kinds = re.findall(r"^Content-Type: (.*?)\r?$", head, re.MULTILINE)
        assert (int(head.split()[1]), kinds) == (status, [kind]), (request, head)
    links = [socket.create_connection(("127.0.0.1", rig.port)) for _ in range(8)]
    head = rig.raw(b"GET /metrics HTTP/1.0\r\n\r\n").decode()
    assert " 503 " in head and f"\r\nContent-Type: {JSON}\r\n" in head, head
    for link in links:
        link.close()


def test_the_switches_of_the_first_firmware(rig):
    session = rig.login()
    assert rig.ask("GET", "/switch_on?battery=1")[0] == 405
    answer = rig.ask("POST", "/switch_off?battery=2", **session)
    assert (answer[0], answer[2]) == (202, {"n": 2, "wish": "off"})
    answer = rig.ask("POST", "/switch_on?battery=2", **session)
    assert (answer[0], answer[2]) == (202, {"n": 2, "wish": "auto"})
    for wrong in ("", "?battery=", "?battery=17", "?battery=x", "?bat=1"):
        assert rig.ask("POST", f"/switch_on{wrong}", **session)[0] == 404, wrong


def test_saved_limits_protect_after_a_restart():
    with simulated(batteries=4, load=[[0, 0], [8, 4]]) as rig:
        session = rig.login()
        rig.until(lambda state: state["bus"]["connected"] == 4)
        status, answer = patch(rig, session, {"limits.start_delay_ms": 1000, "name": "two"})
        assert (status, answer["pending"]) == (200, [])
        codes = [event["code"] for event in rig.ask("GET", "/api/events")[2]["events"]]
        assert "limits_saved" in codes
        assert rig.ask("POST", "/api/system/restart", **session)[0] == 202
        state = rig.until(lambda state: state["boot"] == 2)
        assert state["name"] == "two"
        shown = rig.ask("GET", "/api/settings")[2]
        assert shown["values"]["limits.start_delay_ms"] == 1000 and shown["pending"] == []
        assert shown["faults"] == []
        state = rig.until(lambda state: state["bus"]["connected"] == 4)
        joined_ms = [battery["since_ms"] for battery in state["batteries"][:4]]
        assert min(joined_ms) < 5000, "the new start delay holds"
        system = rig.ask("GET", "/api/system")[2]
        assert system["boot"] == 2 and system["i2c"]["sensors"] == [1, 2, 3, 4]
        assert {"web", "nvs_state", "history"} <= {task["name"] for task in system["tasks"]}


def test_saved_limits_protect_at_once():
    with simulated(batteries=4, load=[[0, 0], [15, 8]]) as rig:
        session = rig.login()
        rig.until(lambda state: state["bus"]["connected"] == 4)
        status, answer = patch(rig, session, {"limits.max_current_ma": 300})
        assert (status, answer["pending"]) == (200, []), "nobody carries as much yet"
        state = rig.until(lambda state: state["bus"]["connected"] == 0)
        reasons = {battery["reason"] for battery in state["batteries"][:4]}
        assert reasons <= {"overcurrent", "bus_overload"} and reasons, reasons
        codes = [event["code"] for event in rig.ask("GET", "/api/events")[2]["events"]]
        assert "sensor_reset" not in codes and "sensor_lost" not in codes
