# SPDX-License-Identifier: GPL-3.0-only
"""Who may change what over HTTP: no password, login, origin, limits, refusals of the rig."""

from rigs import PASSWORD


def code(answer):
    return answer[0], answer[2]["error"]["code"]


def test_without_a_password_the_rig_can_only_be_read(open_rig):
    state = open_rig.ask("GET", "/api/state")[2]
    assert (state["writable"], state["logged_in"]) == (False, False)
    for path in ("/api/batteries/1/off", "/api/bus/reset", "/api/login"):
        answer = open_rig.ask("POST", path, {"password": ""})
        assert code(answer) == (403, "no_password")
        assert "web.password" in answer[2]["error"]["message"]
        assert "config.json" in answer[2]["error"]["message"]
    assert open_rig.ask("GET", "/api/state")[2]["batteries"][0]["state"] == "on"


def test_a_change_needs_a_session(rig):
    assert code(rig.ask("POST", "/api/batteries/1/off")) == (401, "login")
    forged = {"Authorization": "Bearer " + "0" * 32}
    assert code(rig.ask("POST", "/api/batteries/1/off", **forged)) == (401, "login")
    assert code(rig.ask("POST", "/api/batteries/1/off", Cookie="parallelator=")) == (401, "login")
    assert code(rig.ask("POST", "/api/bus/reset")) == (401, "login")
    assert rig.ask("GET", "/api/state")[2]["batteries"][0]["state"] == "on"


def test_login_change_logout_by_cookie(rig):
    status, headers, _ = rig.ask("POST", "/api/login", {"password": PASSWORD})
    assert status == 200
    cookie, *flags = headers["Set-Cookie"].split("; ")
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(flags)
    assert len(cookie.split("=")[1]) == 32
    assert rig.ask("GET", "/api/state", Cookie=cookie)[2]["logged_in"] is True
    assert rig.ask("GET", "/api/state")[2]["logged_in"] is False
    status, _, body = rig.ask("POST", "/api/batteries/16/off", Cookie=cookie)
    assert (status, body) == (202, {"n": 16, "wish": "off"})
    battery = rig.ask("GET", "/api/state")[2]["batteries"][15]
    assert (battery["state"], battery["wish"], battery["reason"]) == ("off", "off", "operator")
    assert rig.ask("POST", "/api/batteries/16/on", Cookie=cookie)[2] == {"n": 16, "wish": "auto"}
    assert rig.ask("POST", "/api/logout", Cookie=cookie)[0] == 200
    assert code(rig.ask("POST", "/api/batteries/16/off", Cookie=cookie)) == (401, "login")


def test_wrong_passwords(rig):
    for i, password in enumerate((PASSWORD.lower(), "", PASSWORD + " ", "é" * 40)):
        answer = rig.ask("POST", "/api/login", {"password": password}, f"127.0.0.{i + 1}")
        assert code(answer) == (401, "password"), password
        assert answer[1]["Set-Cookie"] is None


def test_wrong_passwords_are_one_event_with_a_count(rig):
    for _ in range(3):
        assert rig.ask("POST", "/api/login", {"password": "wrong"})[0] == 401
    event = rig.ask("GET", "/api/events")[2]["events"][-1]
    assert (event["code"], event["count"]) == ("login_failed", 3)
    assert event["text"] == "Somebody tried to log in with a wrong password (3 times)"


def test_two_sessions_never_share_a_token(rig):
    tokens = {rig.login()["Authorization"] for _ in range(3)}
    assert len(tokens) == 3


def test_five_logins_a_minute_and_client(rig):
    for _ in range(5):
        assert rig.ask("POST", "/api/login", {"password": "wrong"})[0] == 401
    answer = rig.ask("POST", "/api/login", {"password": PASSWORD})
    assert code(answer) == (429, "rate")
    assert 1 <= int(answer[1]["Retry-After"]) <= 60
    rig.login("127.0.0.9")


def test_ten_changes_in_ten_seconds_and_client(rig):
    session = rig.login()
    for i in range(10):
        action = ("reset", "auto")[i % 2]
        assert rig.ask("POST", f"/api/batteries/2/{action}", **session)[0] == 202
    answer = rig.ask("POST", "/api/batteries/2/reset", **session)
    assert code(answer) == (429, "rate")
    assert 1 <= int(answer[1]["Retry-After"]) <= 10
    assert rig.ask("GET", "/api/state")[2]["batteries"][1]["wish"] == "auto"
    assert rig.ask("POST", "/api/batteries/2/auto", None, "127.0.0.9", **session)[0] == 202
    for path in ("/api/batteries/2/off", "/api/batteries/all/off", "/switch_off?battery=5"):
        assert rig.ask("POST", path, **session)[0] == 202, "off is never refused for its rate"


def test_all_at_once(rig):
    session = rig.login()
    for action, wish in (("off", "off"), ("auto", "auto"), ("reset", None)):
        status, _, body = rig.ask("POST", f"/api/batteries/all/{action}", **session)
        assert (status, body) == (202, {"n": "all", "wish": wish})
        wishes = {battery["wish"] for battery in rig.ask("GET", "/api/state")[2]["batteries"]}
        assert wishes == {wish or "auto"}
    assert code(rig.ask("POST", "/api/batteries/all/on", **session)) == (404, "action")
    assert code(rig.ask("POST", "/api/batteries/all/off")) == (401, "login")


def test_changes_are_taken_from_our_own_page_only(rig):
    session = rig.login()
    for origin in ("http://evil.example", "null", f"http://127.0.0.1:{rig.port}.evil.example", ""):
        for path in ("/api/batteries/1/off", "/api/bus/reset", "/api/login", "/api/logout"):
            answer = rig.ask("POST", path, {"password": PASSWORD}, Origin=origin, **session)
            assert code(answer) == (403, "origin"), (origin, path)
    assert rig.ask("POST", "/api/batteries/1/off", Origin=rig.url, **session)[0] == 202


def test_what_the_rig_refuses(rig):
    session = rig.login()
    rig.tell("lock 4", "lose 5")
    for action in ("on", "auto"):
        answer = rig.ask("POST", f"/api/batteries/4/{action}", **session)
        assert code(answer) == (423, "locked")
    assert rig.ask("POST", "/api/batteries/4/reset", **session)[2] == {"n": 4, "wish": "auto"}
    assert code(rig.ask("POST", "/api/batteries/5/on", **session)) == (409, "absent")
    rig.tell("busy")
    answer = rig.ask("POST", "/api/batteries/1/off", **session)
    assert code(answer) == (503, "busy")
    assert answer[1]["Retry-After"] == "1"


def test_bus_reset(rig):
    session = rig.login()
    rig.tell("alarm bus_overload")
    assert rig.ask("GET", "/api/state")[2]["alarms"][0]["code"] == "bus_overload"
    status, _, body = rig.ask("POST", "/api/bus/reset", **session)
    assert (status, body) == (202, {"bus": "reset"})
    assert rig.ask("GET", "/api/state")[2]["alarms"] == []


def test_an_alarm_is_known_until_it_ends(rig):
    session = rig.login()

    def acknowledge(code, since_ms):
        return rig.ask("POST", f"/api/alarms/{code}/known", {"since_ms": since_ms}, **session)

    def told():
        state = rig.ask("GET", "/api/state")[2]
        return [(a["n"], a["since_ms"], a["known_ms"]) for a in state["alarms"]]

    rig.tell("freeze", "alarm no_contact 3")
    ((n, since_ms, known_ms),) = told()
    assert (n, known_ms) == (3, None)
    for refused in ("low_soon", "nonsense", "boot"):
        assert code(acknowledge(refused, since_ms)) == (404, "alarm")
    assert code(acknowledge("no_contact", since_ms - 1000)) == (404, "alarm")
    assert code(acknowledge("no_contact", None)) == (400, "body")
    assert told()[0][2] is None
    assert acknowledge("no_contact", since_ms + 60000)[0] == 200
    assert told() == [(3, since_ms, since_ms)]
    rig.tell("pass 2", "alarm no_contact 5")
    assert told() == [(3, since_ms, since_ms), (5, since_ms + 2000, None)]
    assert acknowledge("no_contact", since_ms + 2000)[0] == 200
    assert [known_ms for *_, known_ms in told()] == [since_ms + 2000] * 2
    rig.tell("calm", "pass 1", "alarm no_contact 3", "alarm bus_overload")
    assert told() == [(3, since_ms + 3000, None), (None, since_ms + 3000, None)]
    assert code(acknowledge("bus_overload", since_ms + 3000)) == (404, "alarm")


def test_a_silent_board_that_hangs_on_nothing(rig):
    session = rig.login()
    place = "/api/boards/2/disconnected"
    assert code(rig.ask("POST", place, **session)) == (409, "not_silent")
    rig.tell("unplug 2")
    for board in ("0", "5", "x", "all"):
        path = f"/api/boards/{board}/disconnected"
        assert code(rig.ask("POST", path, **session)) == (404, "board")
    status, _, body = rig.ask("POST", place, **session)
    assert (status, body) == (202, {"board": 2})
    states = {battery["state"] for battery in rig.ask("GET", "/api/state")[2]["batteries"][4:8]}
    assert states == {"absent"}


def test_a_new_password_ends_the_sessions(rig):
    session = rig.login()
    rig.tell("password another-one")
    assert code(rig.ask("POST", "/api/batteries/1/off", **session)) == (401, "login")
    assert rig.ask("POST", "/api/login", {"password": PASSWORD})[0] == 401
    assert rig.ask("POST", "/api/login", {"password": "another-one"})[0] == 200


def test_a_stored_hash(rig):
    import hashlib

    salt = bytes(range(16))
    digest = hashlib.pbkdf2_hmac("sha256", b"from the page", salt, 1000)
    rig.tell(f"password pbkdf2$1000${salt.hex()}${digest.hex()}")
    assert rig.ask("POST", "/api/login", {"password": "from the page"})[0] == 200
    assert code(rig.ask("POST", "/api/login", {"password": PASSWORD})) == (401, "password")


def test_the_password_never_leaves(rig):
    session = rig.login()
    for path in ("/", "/app.js", "/messages.json", "/api/state"):
        assert PASSWORD not in str(rig.ask("GET", path, **session)[2])
