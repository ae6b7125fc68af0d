# SPDX-License-Identifier: GPL-3.0-only
"""Updates over HTTP: a bundle uploaded in pieces, every refusal, and the page's card for it."""

import json

import pytest

import updates
from updates import FILES, KEY, OTHER, made, made_image, put, upload

BEFORE = b"what app-b held before"


@pytest.fixture
def keyed(rig):
    """A rig with a key and a version before this one, whose batteries carry no current."""
    updates.give_key(rig)
    (rig.folder / "app-b").mkdir()
    (rig.folder / "app-b/manifest.json").write_bytes(BEFORE)
    rig.tell("idle")
    return rig


@pytest.fixture
def session(keyed):
    return keyed.login()


def phase(rig):
    return rig.ask("GET", "/api/update")[2]["phase"]


def held(rig):
    """What is in app-b: path to content."""
    base = rig.folder / "app-b"
    return {
        path.relative_to(base).as_posix(): path.read_bytes()
        for path in base.rglob("*")
        if path.is_file()
    }


def codes(rig):
    return [event["code"] for event in rig.ask("GET", "/api/events")[2]["events"]]


def test_a_bundle_is_uploaded_verified_and_switched_to_when_asked(keyed, session, tmp_path):
    bundle = made(tmp_path)
    assert phase(keyed) == "idle"
    # Of more pieces than there may be changes in a time.
    assert upload(keyed, bundle, session, piece=512)[0] == 200
    view = keyed.ask("GET", "/api/update")[2]
    assert view == {
        "phase": "ready", "offered": "0.1.0", "received": len(bundle), "size": len(bundle),
    }  # fmt: skip
    manifest = (tmp_path / "manifest.json").read_bytes()
    assert held(keyed) == FILES | {"manifest.json": manifest}
    assert not (keyed.folder / "app").exists(), "nothing switches by itself"
    status, _, answer = keyed.ask("POST", "/api/update", {}, **session)
    assert (status, answer) == (202, {"offered": "0.1.0"})
    assert (keyed.folder / "app").read_text() == "app-b"
    assert codes(keyed)[-1] == "update"


def refused(rig, status, code, answer):
    assert answer[0] == status and answer[1]["error"]["code"] == code, answer
    assert (rig.folder / "app-b/manifest.json").read_bytes() == BEFORE
    assert phase(rig) == "idle"
    return answer[1]["error"]


def test_bundles_that_are_not_for_this_rig(keyed, session, tmp_path):
    bundle = made(tmp_path)

    def first(content, **query):
        return put(keyed, content, session, **query)

    for changes, code, words in (
        ({"version": "0.0.9"}, "update_old", ["0.0.9 is older than 0.1.0", "by cable"]),
        ({"march": "xtensawin"}, "update_controller", ["another controller", "[6, 10]", "[6, 2]"]),
        ({"boot": 9}, "update_boot", ["another boot.py", "make deploy"]),
        ({"version": "soon"}, "update_format", ["no bundle", "make bundle"]),
    ):
        error = refused(keyed, 422, code, first(made(tmp_path, **changes)))
        assert all(word in error["message"] for word in words), error
    error = refused(keyed, 422, "update_foreign", first(made(tmp_path, OTHER)))
    assert f"({error['v']}, this rig has {error['n']})" in error["message"]
    assert error["v"] != error["n"]
    refused(keyed, 422, "update_format", first(b"GIF89a" * 100))
    refused(keyed, 422, "update_torn", first(bundle[:-9]))
    refused(keyed, 422, "update_torn", first(bundle, size=0))


def test_moments_that_are_not_good(keyed, session, tmp_path):
    bundle = made(tmp_path)
    keyed.tell("press")
    refused(keyed, 409, "update_trip", put(keyed, bundle, session))
    keyed.tell("release")
    keyed.tell("begin")
    error = refused(keyed, 503, "busy", put(keyed, bundle, session))
    assert "only just started" in error["message"]


def test_what_carries_no_load_needs_no_confirmation(keyed, session, tmp_path):
    assert put(keyed, made(tmp_path), session, confirmed=0)[0] == 200


def test_a_rig_of_files_refuses_an_image_and_one_of_an_image_refuses_files(
    keyed, session, tmp_path
):
    error = refused(keyed, 422, "update_image", put(keyed, made_image()[0], session))
    assert "runs files" in error["message"] and "make flash" in error["message"]
    keyed.tell("slot ota_0")
    error = refused(keyed, 422, "update_files", put(keyed, made(tmp_path), session))
    assert "runs an image" in error["message"]


def test_an_image_is_uploaded_verified_and_switched_to_when_asked(keyed, session):
    keyed.tell("slot ota_0")
    bundle, image = made_image()
    assert upload(keyed, bundle, session)[0] == 200
    view = keyed.ask("GET", "/api/update")[2]
    assert (view["phase"], view["received"]) == ("ready", len(bundle)) and len(image) > 8192
    assert (keyed.folder / "app-b/manifest.json").read_bytes() == BEFORE
    assert not (keyed.folder / "app").exists(), "nothing switches by itself"
    status, _, answer = keyed.ask("POST", "/api/update", {}, **session)
    assert (status, answer) == (202, {"offered": "0.1.0"})
    assert (keyed.folder / "app").read_text() == "ota_1"
    for content, code in (
        (made_image("0.0.9")[0], "update_old"),
        (made_image(key_text=OTHER)[0], "update_foreign"),
        (bundle[:-1], "update_torn"),
    ):
        status, answer = put(keyed, content, session)
        assert (status, answer["error"]["code"]) == (422, code)


def test_load_must_be_confirmed_twice(rig, tmp_path):
    updates.give_key(rig)
    session = rig.login()
    bundle = made(tmp_path)
    status, answer = put(rig, bundle, session, confirmed=0)
    assert (status, answer["error"]["code"]) == (409, "update_load")
    assert (
        float(answer["error"]["v"]) > 60
        and f"{answer['error']['v']} A" in (answer["error"]["message"])
    )
    assert not (rig.folder / "app-b").exists()
    assert upload(rig, bundle, session)[0] == 200
    status, _, answer = rig.ask("POST", "/api/update", {"confirmed": False}, **session)
    assert (status, answer["error"]["code"]) == (409, "update_load")
    rig.tell("press")
    status, _, answer = rig.ask("POST", "/api/update", {"confirmed": True}, **session)
    assert (status, answer["error"]["code"]) == (409, "update_trip"), "not even confirmed"
    assert not (rig.folder / "app").exists() and "update" not in codes(rig)
    rig.tell("release")
    assert rig.ask("POST", "/api/update", {"confirmed": True}, **session)[0] == 202


def test_a_rig_that_cannot_be_updated_says_what_to_do(keyed, session, tmp_path):
    bundle = made(tmp_path)
    (keyed.folder / "update.key").unlink()
    error = refused(keyed, 409, "update_key", put(keyed, bundle, session))
    assert "make key" in error["message"]
    for text in (b"", b"zz" * 32, b"0f" * 31):
        updates.give_key(keyed, text)
        refused(keyed, 409, "update_key", put(keyed, bundle, session))
    updates.give_key(keyed)
    keyed.tell("slot")
    error = refused(keyed, 409, "update_slot", put(keyed, bundle, session))
    assert "by cable" in error["message"]
    status, _, answer = keyed.ask("POST", "/api/update", {}, **session)
    assert (status, answer["error"]["code"]) == (409, "update_none")


def test_a_bundle_damaged_on_its_way_leaves_nothing_that_boots(keyed, session, tmp_path):
    bundle = bytearray(made(tmp_path))
    bundle[-40] ^= 1
    status, answer = upload(keyed, bytes(bundle), session)
    assert (status, answer["error"]["code"]) == (422, "update_torn")
    assert phase(keyed) == "idle" and "manifest.json" not in held(keyed)
    bundle[-40] ^= 1
    bundle[-1] ^= 1
    status, answer = upload(keyed, bytes(bundle), session)
    assert (status, answer["error"]["code"]) == (422, "update_seal")
    assert phase(keyed) == "idle" and "manifest.json" not in held(keyed)
    status, _, answer = keyed.ask("POST", "/api/update", {}, **session)
    assert (status, answer["error"]["code"]) == (409, "update_none")
    bundle[-1] ^= 1
    assert upload(keyed, bytes(bundle), session)[0] == 200, "and it can be done again"


def test_a_broken_upload_goes_on_or_begins_anew(keyed, session, tmp_path):
    bundle = made(tmp_path)
    assert put(keyed, bundle, session)[1]["received"] == 4096
    for offset in (1, 4095, 5000):
        status, answer = put(keyed, bundle, session, offset)
        assert (status, answer["error"]["code"]) == (409, "update_offset")
        assert "Byte 4096" in answer["error"]["message"]
    assert phase(keyed) == "receiving"
    status, _, answer = keyed.ask("POST", "/api/update", {}, **session)
    assert (status, answer["error"]["code"]) == (409, "update_none")
    # A foreign one that is tried in between is refused and breaks nothing.
    assert put(keyed, made(tmp_path, OTHER), session)[0] == 422
    bundle = made(tmp_path)
    assert put(keyed, bundle, session, 4096)[0] == 200
    assert upload(keyed, bundle, session)[0] == 200


def test_a_trip_that_is_pending_holds_the_upload_up(keyed, session, tmp_path):
    bundle = made(tmp_path)
    assert put(keyed, bundle, session)[0] == 200
    keyed.tell("press")
    status, answer = put(keyed, bundle, session, 4096)
    assert (status, answer["error"]["code"]) == (503, "busy")
    keyed.tell("release")
    at = keyed.ask("GET", "/api/update")[2]["received"]
    while at < len(bundle):
        status, answer = put(keyed, bundle, session, at)
        assert status == 200
        at = answer["received"]
    assert phase(keyed) == "ready"


@pytest.mark.parametrize("query", ["", "offset=x", "offset=-1", "offset=0&size=x", "offset=1e3"])
def test_requests_that_are_no_pieces(keyed, session, query):
    status, _, answer = keyed.ask("PUT", f"/api/update?{query}", b"x", **session)
    assert (status, answer["error"]["code"]) == (400, "query")


def test_the_key_is_never_served(keyed, session):
    for path in (
        "/update.key",
        "/../update.key",
        "/api/logs/update.key",
        "/api/logs/..%2f..%2fupdate.key",
        "/api/logs/%2e%2e%2fupdate.key",
        "/api/blackbox/update.key",
        "/messages.json?language=../../update.key",
        "/api/system",
        "/api/settings",
        "/api/update",
        "/api/state",
        "/log",
    ):
        answer = keyed.ask("GET", path, **session)[2]
        text = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        assert KEY[:16] not in text, path
