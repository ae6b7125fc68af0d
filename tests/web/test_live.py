# SPDX-License-Identifier: GPL-3.0-only
"""GET /api/state and the live stream: shape, pace, size, number of clients."""

import json
import socket
import time

BATTERY = {
    "n", "label", "id", "state", "reason", "clears", "since_ms", "voltage_mv", "current_ma",
    "discharge_mah", "charge_mah", "soc_pct", "soc_error_pct", "r_mohm", "trips", "flow", "wish",
    "eta_ms",
}  # fmt: skip
STATE = {
    "name", "version", "uptime_ms", "time", "boot", "bus", "max", "min", "mean_mv",
    "discharge_mah", "charge_mah", "batteries", "alarms", "language", "writable", "logged_in",
    "energy", "discharge_wh", "charge_wh", "max_discharge_ma", "max_charge_ma", "unused",
    "pending", "saves", "promise_a", "n_minus_1", "n_minus_1_then", "cascade", "show", "report",
    "selftest",
}  # fmt: skip


class Stream:
    """A reader of server-sent events; `next` gives (event name, raw data, arrival)."""

    def __init__(self, rig):
        self.link = socket.create_connection(("127.0.0.1", rig.port), 5)
        self.link.sendall(b"GET /api/live HTTP/1.1\r\nHost: rig\r\n\r\n")
        self.file = self.link.makefile("rb")
        self.status = int(self.file.readline().split()[1])
        self.headers = {}
        while (line := self.file.readline()) != b"\r\n":
            name, _, value = line.decode().partition(": ")
            self.headers[name] = value.strip()

    def next(self):
        name, data = "message", None
        while (line := self.file.readline()) != b"\n":
            assert line, "the stream has ended"
            field, _, value = line.rstrip(b"\n").partition(b": ")
            if field == b"event":
                name = value.decode()
            elif field == b"data":
                data = value
        return name, data

    def frame(self):
        name, data = self.next()
        assert name == "message"
        return json.loads(data)

    def skip_opening(self):
        assert [self.next()[0], self.next()[0]] == ["codes", "state"]
        return self

    def close(self):
        self.file.close()
        self.link.close()


def test_shape_of_the_state(rig):
    rig.tell("lose 7", "lock 8", "trip 9", "alarm topology", "alarm stuck_closed 3")
    status, headers, state = rig.ask("GET", "/api/state")
    assert status == 200
    assert headers["Content-Type"] == "application/json"
    assert set(state) == STATE
    assert set(state["bus"]) == {"voltage_mv", "current_ma", "power_w", "connected"}
    assert set(state["max"]) == set(state["min"]) == {"n", "voltage_mv"}
    assert [battery["n"] for battery in state["batteries"]] == list(range(1, 17))
    assert all(set(battery) >= BATTERY for battery in state["batteries"])
    assert (state["name"], state["boot"], state["language"]) == ("Fake rig", 7, "en")
    assert state["bus"]["connected"] == 13
    gone, locked, tripped = state["batteries"][6:9]
    assert (gone["state"], gone["voltage_mv"], gone["flow"]) == ("absent", None, None)
    assert (locked["state"], locked["clears"], locked["trips"]) == ("locked", "operator_reset", 5)
    assert tripped["clears"] == "delay" and 8000 <= tripped["eta_ms"] <= 10000
    assert state["batteries"][2]["label"] == "Stage <left>"
    assert [(a["code"], a["n"]) for a in state["alarms"]] == [
        ("stuck_closed", 3),
        ("topology", None),
    ]
    alarm = {"code", "severity", "n", "since_ms", "known_ms", "text", "detail"}
    assert set(state["alarms"][0]) == alarm


def test_stream_opens_with_codes_and_full_state(rig):
    stream = Stream(rig)
    assert stream.headers["Content-Type"] == "text/event-stream"
    name, data = stream.next()
    codes = json.loads(data)
    assert name == "codes"
    assert codes["states"][3] == "on" and codes["reasons"][0] == "" and codes["idle_ma"] == 50
    name, data = stream.next()
    assert name == "state"
    assert set(json.loads(data)) == STATE
    stream.close()


def test_a_frame_says_the_same_as_the_state(rig):
    told = "63 4 1830 11400 10500 12600 - - 7"
    rig.tell("trip 5", "lose 6", "alarm stuck_closed 3", f"charge {told}", "freeze")
    risk = 6 << 17 | 0x10000 | 9
    rig.tell(f"risk {risk} 0 1 70")
    rig.ask("POST", "/api/show", {"end": 90}, **rig.login())
    stream = Stream(rig)
    codes = json.loads(stream.next()[1])
    state = json.loads(stream.next()[1])
    uptime_s, bus, alarms, alarm_count, slow, *rows = stream.frame()
    assert uptime_s * 1000 == state["uptime_ms"]
    assert bus == [
        *(state["bus"][key] for key in ("voltage_mv", "current_ma", "power_w", "connected")),
        *(state[key]["n"] for key in ("max", "min")),
        *(state[key] for key in ("mean_mv", "discharge_mah", "charge_mah")),
        [state["energy"][key] for key in codes["energy"]],
        0,
        0,
        70,
        [risk, 0, 1],
        [5400, 6000],
    ]
    assert (state["promise_a"], state["n_minus_1"], state["n_minus_1_then"]) == (70, False, False)
    assert state["cascade"] == [{"n": 7, "board": None, "follow": [1, 4], "dark": True}]
    assert [state["show"][key] for key in ("left_s", "margin_s")] == bus[-1]
    assert state["energy"]["left_s"] == 11400 and len(bus[-6]) == len(state["energy"])
    assert (alarms, alarm_count) == ([["stuck_closed", 3], ["cascade", None]], 2)
    hours = state["batteries"][slow[0] - 1]
    keys = "temperature_c", "on_s", "switchings", "r_mohm", "soc_pct", "soc_error_pct"
    assert slow[1:] == [hours[key] for key in keys] and hours["soc_error_pct"] == 4
    for row, battery in zip(rows, state["batteries"], strict=True):
        status, reason, wish, clears, volts, current, since_s, eta_ms, *rest = row
        assert codes["states"][status] == battery["state"]
        assert codes["reasons"][reason] == battery["reason"]
        assert codes["wishes"][wish] == battery["wish"]
        assert (codes["clears"][clears] if clears >= 0 else None) == battery["clears"]
        assert (volts, current) == (battery["voltage_mv"], battery["current_ma"])
        assert (since_s * 1000, eta_ms or None) == (battery["since_ms"], battery["eta_ms"])
        assert rest == [battery[key] for key in ("trips", "discharge_mah", "charge_mah")]
    stream.close()


def test_a_frame_shows_the_latest_state(rig):
    stream = Stream(rig).skip_opening()
    for n in (3, 4, 5):
        stream.frame()
        rig.tell(f"trip {n}")
        frames = stream.frame(), stream.frame()  # the first may have been on its way
        assert frames[1][4 + n][0] == 4
        assert frames[0][0] <= frames[1][0], "uptime"
    stream.close()


def test_the_longest_frame_fits_1500_bytes(rig):
    rig.tell("extreme")
    stream = Stream(rig).skip_opening()
    _, data = stream.next()
    assert len(data) + len("data: \n\n") <= 1500
    _, _, alarms, alarm_count, slow, *rows = json.loads(data)
    assert (len(alarms), alarm_count, len(slow), len(rows)) == (12, 16, 7, 16)
    stream.close()


def test_the_fifth_client_is_told_to_poll(rig):
    streams = [Stream(rig).skip_opening() for _ in range(4)]
    status, headers, body = rig.ask("GET", "/api/live")
    assert (status, body["error"]["code"], headers["Retry-After"]) == (503, "poll", "2")
    assert "/api/state" in body["error"]["message"]
    assert rig.ask("GET", "/api/state")[0] == 200
    for stream in streams:
        stream.frame()
    streams.pop().close()
    deadline = time.monotonic() + 5
    while rig.ask("HEAD", "/api/live")[0] != 200:
        assert time.monotonic() < deadline, "a closed stream must make room"
        time.sleep(0.2)
    replacement = Stream(rig).skip_opening()
    replacement.frame()
    for stream in [*streams, replacement]:
        stream.close()
