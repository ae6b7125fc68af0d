# SPDX-License-Identifier: GPL-3.0-only
"""Many rigs on one broker are as many devices. With `SOAK=1` they are twenty, and a Home Assistant
runs and shows one of them."""

import contextlib
import json
import os
import subprocess

from brokers import Listener, running
from rigs import ROOT, simulated

SOAK = os.environ.get("SOAK") == "1"
RIGS = 20 if SOAK else 3
MESSAGES = 10 + 4 * 4
ENTITIES = 41 + 4 * 16


def told(listener):
    """What Home Assistant is told so far: topic to dict."""
    configs = [(topic, text) for topic, text, _ in listener.heard if topic.endswith("/config")]
    return {topic: json.loads(text) for topic, text in configs}


def test_rigs_that_nobody_named_do_not_collide():
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
            listener.wait(lambda topic, _, node=node: f"{node}/battery_4_counters" in topic)
            listener.wait_for(f"parallelator/parallelator-00{seed:04x}/state")
        messages = told(listener).values()
        assert len(messages) == RIGS * MESSAGES
        assert len({message["dev"]["ids"] for message in messages}) == RIGS * 5
        assert len({message["avty_t"] for message in messages}) == RIGS
        ids = [entity["uniq_id"] for message in messages for entity in message["cmps"].values()]
        assert len(set(ids)) == len(ids) == RIGS * ENTITIES
        listener.close()


if SOAK:  # elsewhere the schemas of tools/mqtt_schema.py judge

    def test_a_home_assistant_shows_a_rig():
        subprocess.run([ROOT / "tools/home_assistant.sh"], check=True)
        process = subprocess.run(
            [ROOT / "build/home-assistant/bin/python", ROOT / "tests/network/home_assistant.py"],
            env=os.environ | {"PYTHONPATH": f"{ROOT / 'tests/web'}:{ROOT / 'tests/network'}"},
            capture_output=True,
            text=True,
        )
        print(process.stdout)
        assert process.returncode == 0, process.stdout + process.stderr
