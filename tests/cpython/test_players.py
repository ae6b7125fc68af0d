# SPDX-License-Identifier: GPL-3.0-only
"""The benches of losses and of contacts judge what the firmware of today tells."""

import json
import subprocess
from pathlib import Path

from bench import cascade, sharing
from rigs import free_port

MICROPYTHON = Path(cascade.ROOT, "build/venv/bin/micropython")


def answer(player, plan):
    plan["settings"]["web"] = {"port": free_port()}
    command = [MICROPYTHON, "-X", "heapsize=64m", player]
    run = subprocess.run(
        command, input=json.dumps(plan), capture_output=True, text=True, check=True
    )
    (line,) = (line for line in run.stdout.splitlines() if line.startswith("VERDICT"))
    return json.loads(line.removeprefix("VERDICT"))


def test_what_is_told_before_a_loss_is_heard():
    plan, _, _, kind = cascade.rig(9000)
    found = answer(cascade.PLAY, cascade.with_loss(plan, 0, 27, kind))
    assert found["failures"] == [] and found["said"]["on"], found
    assert found["said"]["told"][0] >> cascade.LOST_BIT == 0 and found["said"]["risk"], found
    assert 15 < found["said"]["lit_s"] < 27 and not cascade.lit(found), found
    assert found["opened"] or found["beyond"]


def test_what_is_told_of_a_contact_is_heard():
    plan, n = sharing.faulty(2, "full", "bus", 200)
    plan["duration_s"] = sharing.BEGIN_S + 70
    found = answer(sharing.PLAY, plan)
    assert [row[:2] for row in found["told"]] == [["contact_output", n]], found
