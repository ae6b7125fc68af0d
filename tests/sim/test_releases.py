# SPDX-License-Identifier: GPL-3.0-only
"""What a rig of each release has kept is read by this version: settings, locks, counters, records.

The files are those that releases.py wrote at that release.
"""

import os

import releases
from sim import current, scenario
from sim.chips.sdcard import SdCard
from sim.chips.sdimage import Image
from support import ROOT, harness, state_at

KEPT = ROOT + "/tests/releases"
MOUNTED = "/kept"
SD = "/sd"


class Start:
    """A start of this version with all that a rig of a release kept.

    Attributes:
        report: of the harness; app: of the firmware; codes: of all events; card: its `SdCard`.
    """

    def __init__(self, version):
        kept = releases.contents(KEPT + "/" + version)
        self._nvs = releases.restored(kept.pop("nvs.json").decode())
        self.card = SdCard(Image(releases.SECTORS))
        os.mount(self.card.image.volume(), MOUNTED)
        releases.put(MOUNTED, {path[5:]: kept[path] for path in kept if path.startswith("card/")})
        os.umount(MOUNTED)
        flash = {path[6:]: kept[path] for path in kept if path.startswith("flash/")}
        plan = {"name": "kept", "batteries": releases.BATTERIES, "duration_s": 15}
        self.app = None
        self.report = harness.run(
            ROOT,
            scenario.complete(plan),
            True,
            quiet=True,
            sabotage=self._listen,
            card=self.card,
            files=flash,
        )
        self.codes = [event[2] for event in self._events()]

    def _events(self):
        number = 0
        while self.app.events.after(number):
            event = self.app.events.after(number)
            number = event[0] + 1
            yield event

    def _listen(self):
        from parallelator.app import App

        current.world.nvs["parallelator"] = self._nvs
        begin = App._main

        async def main(app, settled):
            self.app = app
            await begin(app, settled)

        App._main = main


def test_every_release_is_read():
    versions = sorted(os.listdir(KEPT))
    assert versions[0] == "0.1.0"
    for version in versions:
        start = Start(version)
        assert state_at(start.report, releases.TRIPPED, 14) == ("on", "")
        assert state_at(start.report, releases.OFF, 14) == ("off", "operator")
        app, snap = start.app, start.app.snap
        trouble = [code for code in start.codes if code.endswith(("_fault", "_bad", "_lost"))]
        assert app.rig.faults == [] and trouble == [], (version, app.rig.faults, trouble)
        settings = app.settings
        assert settings["name"] == releases.NAME and settings["language"] == "fr"
        assert settings["limits.max_trips"] == 3
        assert settings["limits.max_discharge_current_ma"] == 9000
        assert (settings["batteries.1.label"], settings["batteries.1.id"]) == ("Lyre", "B17")
        assert list(snap.trips)[:2] == [1, 0]
        assert snap.wish[releases.OFF - 1] != snap.wish[releases.TRIPPED - 1]
        assert app.rig.boot == 2
        assert snap.discharge_mah[0] > 50 and snap.switchings[0] > 2 and snap.on_s[0] > 60
        assert tripped(start.card) == releases.TRIPPED


def tripped(card):
    """Number of the battery in the only record of a trip on a card."""
    os.mount(card.image.volume(), SD)
    try:
        from parallelator.records import tripfile

        (record,) = tripfile.records()
        (trip,) = record.trips
        entries = sum(len(piece) for piece in tripfile.find(record.boot, record.number)[1])
        assert record.boot == 1 and entries > 0
        return trip.i + 1
    finally:
        os.umount(SD)
