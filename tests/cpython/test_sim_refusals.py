# SPDX-License-Identifier: GPL-3.0-only
"""A scenario or an argument that the simulator refuses: one line, and nothing is left behind."""

import json
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MICROPYTHON = ROOT / "build/venv/bin/micropython"
NAME = "refused-scenario"
TEXTS = {
    "empty": b"",
    "a list": b"[]",
    "a number": b"5",
    "cut": b'{"name": "refused-scenario", "ste',
    "UTF-16": '{"name": "refused-scenario"}'.encode("utf-16"),
    "Latin-1": '{"name": "refused-scenari\u00f3"}'.encode("latin-1"),
    "a decimal comma": b'{"duration_s": 0,5}',
    "not a number": b'{"duration_s": NaN}',
    "beyond all numbers": b'{"duration_s": 1e999}',
    "deep lists": b'{"load": ' + b"[" * 5000 + b"]" * 5000 + b"}",
    "deep objects": b'{"settings": ' + b'{"a":' * 5000 + b"1" + b"}" * 5001,
    "two megabytes": b'{"name": "' + b"x" * 2000000 + b'"}',
}
PLANS = {
    "a path for a name": {"name": "../refused-scenario"},
    "no time": {"steps": [{"do": "wifi_down"}]},
    "a time below 0": {"steps": [{"do": "sd_remove", "at": -1}]},
    "an unknown step": {"steps": [{"do": "explode", "at": 1}]},
    "a broker without a topic": {"steps": [{"do": "broker_says", "at": 1, "payload": "x"}]},
    "a battery too full": {"batteries": [{"n": 1, "soc": 80}]},
    "no battery": {"batteries": []},
    "a load without amperes": {"load": [[0]]},
    "a charger that draws": {"source": [[0, -5]]},
    "a duration that is a text": {"duration_s": "60"},
    "settings that are a list": {"settings": ["web"]},
    "settings without their group": {"settings": {"web": "stage"}},
    "a state that is none": {"expect": [{"at": 1, "n": 1, "state": "glowing"}]},
}
ARGUMENTS = ("--speed=0", "--speed=x", "--duration=nan", "--duration=-1", "--port=70000")


def run(folder, *arguments):
    """Run the simulator; returns (its exit code, what it said, the files that it left)."""
    before = set(folder.iterdir()) | set((ROOT / "build/sim").glob("*"))
    made = ("--flash", folder / "flash", "--sd", folder / "card.img")
    done = subprocess.run(
        [MICROPYTHON, "-X", "heapsize=64m", ROOT / "tools/sim/run.py", *made, *arguments]
        + ["--report", folder / "report.json"],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=folder,
    )
    after = set(folder.iterdir()) | {
        path for path in (ROOT / "build/sim").glob("*") if NAME in path.name
    }
    return done.returncode, done.stdout + done.stderr, after - before


@pytest.mark.parametrize("clock", ["real", "virtual"])
def test_a_scenario_that_is_refused(tmp_path, clock):
    bad = TEXTS | {
        name: json.dumps({"name": NAME} | plan).encode() for name, plan in PLANS.items()
    }
    for name, text in bad.items():
        path = tmp_path / "scenario.json"
        path.write_bytes(text)
        code, said, left = run(tmp_path, "--clock", clock, "--scenario", path)
        assert (code, left) == (2, set()), (name, code, left, said)
        assert said.count("\n") == 1 and str(path) in said, (name, said)


def test_a_scenario_that_cannot_be_read(tmp_path):
    for path in (tmp_path / "missing.json", tmp_path):
        code, said, left = run(tmp_path, "--scenario", path)
        assert (code, said.count("\n"), left) == (2, 1, set()), said


@pytest.mark.parametrize("argument", ["--batteries=0", "--batteries=17", "--seed=-1", *ARGUMENTS])
def test_an_argument_that_is_refused(tmp_path, argument):
    path = tmp_path / "scenario.json"
    path.write_text(json.dumps({"name": NAME, "duration_s": 1, "batteries": 1}))
    code, said, left = run(
        tmp_path, "--clock", "virtual", *argument.split("="), "--scenario", path
    )
    assert (code, left) == (2, set()), said
    name, value = argument.split("=")
    assert name in said and value in said and "allowed" in said, said
