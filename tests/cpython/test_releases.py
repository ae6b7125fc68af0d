# SPDX-License-Identifier: GPL-3.0-only
"""The logs and events that a rig of each release wrote are read by the tools of this version."""

from pathlib import Path

import pytest

from logs import parsing

KEPT = Path(__file__).resolve().parents[1] / "releases"


@pytest.mark.parametrize("version", sorted(path.name for path in KEPT.iterdir()))
def test_the_log_of_a_release_is_read_whole(version):
    folder = KEPT / version / "card/log"
    log = parsing.parse_log("boot-0001.csv", (folder / "boot-0001.csv").read_bytes())
    assert log.flaws == [] and len(log.rows) > 200
    assert {"on", "tripped"} <= set(log.rows[log.rows.battery == 1].state)
    events, flaws = parsing.parse_events("events.csv", (folder / "events.csv").read_bytes())
    assert flaws == [] and "trip" in set(events.code)
