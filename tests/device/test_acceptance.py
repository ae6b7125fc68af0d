# SPDX-License-Identifier: GPL-3.0-only
"""The form of who tries it on hardware first; the key for updates. At the stand-in for a board."""

import json
import os
import socket
import subprocess
import sys

import pytest

from controllers import ROOT, Controller
from device import acceptance, build, deploy, key
from device.link import attach
from device.update import Refusal

TOOL = ROOT / "tools/device/acceptance.py"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_the_form_is_filled_over_cable_and_network(built, tmp_path):
    port, into = free_port(), tmp_path / "form.json"
    command = [sys.executable, TOOL, "--host", f"127.0.0.1:{port}", "--seconds", "4"]
    with Controller(tmp_path) as controller:
        deploy.deploy(controller.port, built, lambda line: None)
        device = attach(controller.port)
        device.write("config.json", json.dumps({"web": {"port": port}}).encode())
        device.close()
        said = subprocess.run(
            [*command, "--port", controller.port, "--into", into],
            input="4 batteries, INA237\n61\nlamp, filmed\n\n",
            capture_output=True,
            text=True,
            timeout=120,
            env=os.environ | {"PYTHONPATH": str(ROOT / "tools"), "PYTHONUNBUFFERED": "1"},
        )
    assert said.returncode == 0, said
    assert "Wi-Fi of this rig: parallelator-" in said.stdout
    text = into.read_text()
    form = json.loads(text)
    assert form["board"]["esp32"] and form["board"]["micropython"].startswith("micropython 1.")
    rig = form["rig"]
    assert rig["version"] == build.version() and rig["watched_s"] == 4
    assert rig["i2c"]["sensors"] == [1, 2, 3, 4]
    assert (
        0 < rig["i2c_errors"] <= rig["i2c"]["errors"]
    )  # boards that are not there are looked for
    for pauses in ("tick_late_ms", "gc_pause_ms", "flash_pause_ms"):
        assert set(rig[pauses]) == {"worst", "p999"}
    assert len(rig["states"]) == 16 and rig["failed_tasks"] == [] and form["trips"] == []
    assert form["person"]["reaction_ms"] == "61" and form["person"]["remarks"] == ""
    assert "password" not in text and "ssid" not in text


def test_the_key_alone_comes_by_cable(built, tmp_path):
    text, said = b"ab" * 32 + b"\n", []
    with Controller(tmp_path) as controller:
        deploy.deploy(controller.port, built, said.append)
        for told in (f"key {key.fingerprint(text)}", "It has this key."):
            said.clear()
            deploy.seal(controller.port, text, said.append)
            assert len(said) == 1 and said[0].endswith(told)
            device = attach(controller.port)
            assert device.read(deploy.KEY_FILE) == text
            device.restart("Parallelator ")
            device.close()


class Told:
    """A rig that answers from a table of paths."""

    host = "rig"

    def __init__(self, boots, **more):
        self._boots = iter(boots)
        self._more = more

    def ask(self, method, path):
        assert method == "GET"
        if path == "/api/system":
            empty = dict.fromkeys(acceptance.FIGURES)
            return empty | {"boot": next(self._boots), "tasks": [], "i2c": {"errors": 3}}
        if path == "/api/state":
            return {"batteries": [{"n": 1, "state": "on"}], "alarms": []}
        if path in self._more:
            return self._more[path]
        raise Refusal({"code": "not_found", "message": path})


def test_a_restart_meanwhile_is_told():
    with pytest.raises(acceptance.AcceptanceFault, match="restarted while"):
        acceptance.watch(Told([1, 2]), 0)


def test_a_self_test_has_its_place_when_the_rig_can():
    found = {"result": "good"}
    assert acceptance.watch(Told([1, 1], **{"/api/selftest": found}), 0)["selftest"] == found
    assert "selftest" not in acceptance.watch(Told([1, 1]), 0)
