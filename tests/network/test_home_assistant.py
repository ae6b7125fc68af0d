# SPDX-License-Identifier: GPL-3.0-only
"""Many rigs on one broker are as many devices. With `SOAK=1` they are twenty, and Home Assistant
itself judges what it is told."""

import contextlib
import json
import os
import subprocess

from brokers import Listener, running
from rigs import ROOT, simulated

SOAK = os.environ.get("SOAK") == "1"
RIGS = 20 if SOAK else 3
ENTITIES = 12 + 4 * 12


def told(listener):
    """What Home Assistant is told so far: topic to dict."""
    configs = [(topic, text) for topic, text, _ in listener.heard if topic.endswith("/config")]
    return {topic: json.loads(text) for topic, text in configs}


def judged(listener):
    """Asks Home Assistant; returns (how it ended, what it said)."""
    last = {topic: payload for topic, payload, _ in listener.heard}
    rows = [
        (topic.split("/")[1], config, last.get(config["state_topic"]))
        for topic, config in told(listener).items()
    ]
    judge = subprocess.run(
        [ROOT / "build/home-assistant/bin/python", ROOT / "tests/network/home_assistant.py"],
        input=json.dumps(rows),
        capture_output=True,
        text=True,
    )
    return judge.returncode, judge.stdout + judge.stderr


def test_rigs_that_nobody_named_do_not_collide():
    if SOAK:
        subprocess.run([ROOT / "tools/home_assistant.sh"], check=True)
    with contextlib.ExitStack() as stack:
        broker = stack.enter_context(running())
        listener = Listener(broker)
        for seed in range(1, RIGS + 1):
            settings = {
                "mqtt": broker.settings(commands=True, interval_s=5),
                "pack": {"capacity_mah": 20000},
            }
            stack.enter_context(simulated(seed=seed, batteries=4, settings=settings))
        for seed in range(1, RIGS + 1):
            node = f"parallelator_246f2800{seed:04x}"
            listener.wait(lambda topic, _, node=node: f"{node}/battery_4_switch" in topic)
            listener.wait_for(f"parallelator/parallelator-00{seed:04x}/state")
        configs = told(listener)
        assert len(configs) == RIGS * ENTITIES
        devices = {config["device"]["identifiers"][0] for config in configs.values()}
        assert len(devices) == RIGS
        assert len({config["unique_id"] for config in configs.values()}) == len(configs)
        assert len({config["availability_topic"] for config in configs.values()}) == RIGS
        if SOAK:
            code, said = judged(listener)
            assert code == 0 and f"{len(configs)} judged" in said, said
            print(len(devices), "devices,", said)
        listener.close()
