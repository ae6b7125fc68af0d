# SPDX-License-Identifier: GPL-3.0-only
"""Cuts the power at every write of an update over the air of an image. `make soak`, and tests.

    micropython -X heapsize=64m tools/soak/image_cuts.py

A rig whose firmware is frozen takes an image of the next version under load, with a battery that
is locked. One run without a cut numbers the writes to the flash from the first piece on: every
erased block, every 512 bytes of it, file and entry of the storage, the choice of the partition,
the marks of the boot loader, the confirmation. Then one run for each: the power goes in the middle
of it and comes back, and when the old version runs, the update is done again.

Every time an image boots, no switch is closed while one is chosen or started, the battery stays
locked, the charge that was counted is there, and in the end the new version runs for good.
"""

import json
import os
import sys

from micropython import const

if __name__ == "__main__":
    ROOT = __file__.rsplit("/tools/soak/", 1)[0] if "/tools/soak/" in __file__ else "."
    ROOT = ROOT if ROOT.startswith("/") else os.getcwd() + "/" + ROOT
    sys.path[:] = [
        ROOT + "/tools/sim/standins",
        ROOT + "/lib",
        ROOT + "/tools",
        ROOT + "/build/mpy-lib",
        ".frozen",
    ]

from device import esp_image  # noqa: E402 - the path must come first
from sim import current, harness, scenario  # noqa: E402
from sim.partitions import LABELS  # noqa: E402

OLD, NEW = "0.1.0", "0.2.0"
KEY = bytes(range(32))
PIECE = 2048
OPERATIONS = ("upload", "file", "storage", "choice", "boot loader", "confirmation")
_BEGIN_S = const(11)
_TRIP_S = const(8)
_WHOLE_S = const(28)
_AGAIN_S = const(50)
_CONTENT = bytes(range(256)) * 20
"""Makes an image of two blocks, the second of them half full."""

PLAN = {
    "name": "image",
    "batteries": [{"n": n} for n in (1, 2, 3, 4)],
    "controller": "plain",
    "load": [[0, 12]],
    "settings": {"limits": {"max_trips": 1}, "name": "kept", "serial_messages": False},
}


class Access:
    """In the place of the web side's: everybody may."""

    async def refusal(self, request, counted=True):
        return None


class Request:
    """A request with a body; it is its own stream."""

    content_type = "application/json"

    def __init__(self, body, **args):
        self.args = args
        self.stream = self
        self._body = body

    async def read(self):
        return self._body


class Rig:
    """Plays a rig of version OLD that gets an image of version NEW.

    Args:
        root: folder of the repository; content: the bundle that it gets.
        cut: number of the write in which the power goes, 0 = it stays.
        harm: function (App, Guard) that breaks the classes of NEW; None = it is good.
        steps: of the scenario; duration_s: of the run.

    Attributes:
        started, settled: versions, in order; writes: number and operation of each write, from the
            first piece on; app: the one that ran last; wrong: what was found, as texts.
        report: of the run; partitions: the simulator's; pointer: the file `app` at the end.
        went: True when the power went.
        asked_mah: what battery 1 had given when the restart was asked for last.
    """

    def __init__(self, root, content, cut=0, harm=None, steps=(), duration_s=0):
        self.started = []
        self.settled = []
        self.writes = []
        self.wrong = []
        self.app = None
        self.asked_mah = 0
        self.pointer = ""
        self._content = content
        self._cut = cut
        self._harm = harm
        self._doing = None
        self.went = False
        plan = dict(PLAN)
        plan["duration_s"] = duration_s or (_AGAIN_S if cut else _WHOLE_S)
        plan["steps"] = [
            {"at": _TRIP_S, "do": "inject_current", "n": 3, "ma": 25000},
            {"at": _TRIP_S + 0.4, "do": "inject_current", "n": 3, "ma": 0},
        ] + list(steps)
        files = {"update.key": "".join("%02x" % byte for byte in KEY).encode()}
        self.report = harness.run(
            root, scenario.complete(plan), True, quiet=True, sabotage=self._watch, files=files
        )
        self.partitions = current.world.partitions

    def _watch(self):
        from parallelator import VERSION
        from parallelator.app import App
        from parallelator.protection.guard import Guard

        world = current.world
        if not self.started:
            self._number(world)
        main, settle = App._main, App._settle

        async def begins(app, settled):
            self.app = app
            self.started.append(VERSION)
            await main(app, settled)

        async def settles(app, settled):
            await settle(app, settled)
            self.settled.append(VERSION)
            with open("app" if "app" in os.listdir() else "config.json") as file:
                self.pointer = file.read(20)
            if VERSION == OLD and self.started.count(OLD) <= 1 + bool(self._cut):
                await self._update(app)

        App._main, App._settle = begins, settles
        if VERSION == NEW and self._harm:
            self._harm(App, Guard)

    def _number(self, world):
        """Note what each write is for, and that nothing is closed while images change."""
        world.flash_cut = self._cut
        write, chip = world.write_flash, world.partitions

        def noted(us):
            kind = "file" if us == world.costs.file_save_us else "storage"
            if us in world.costs.partition_us.values():
                kind = self._doing or "upload"
            number = len(world.flash_us) + 1
            if self.asked_mah or kind == "upload":
                self.writes.append((number, kind))
            self.went |= number == self._cut
            write(us)

        world.write_flash = noted
        for name, operation in (
            ("set_boot", "choice"),
            ("boot", "boot loader"),
            ("confirm", "confirmation"),
        ):
            setattr(chip, name, self._watched(getattr(chip, name), operation))

    def _watched(self, job, operation):
        def watched(*args):
            if operation != "confirmation" and any(current.world.plant.switch):
                self.wrong.append("a switch is closed during the " + operation)
            self._doing = operation
            try:
                return job(*args)
            finally:
                self._doing = None

        return watched

    async def _update(self, app):
        import asyncio

        from parallelator.web.update import Update

        while app.snap.uptime_s < _BEGIN_S:
            await asyncio.sleep_ms(100)
        update = Update(app.rig, Access())
        at, size = 0, len(self._content)
        while at < size:
            piece = self._content[at : at + PIECE]
            request = Request(piece, offset=str(at), size=str(size), confirmed="1")
            answer = await update.put(request)
            view = json.loads(answer.body)
            if answer.status_code != 200:
                self.wrong.append("refused: %s" % view["error"]["code"])
                return
            at = view["received"]
        self.asked_mah = app.snap.discharge_mah[0]
        answer = await update.switch(Request(b'{"confirmed": true}'))
        if answer.status_code != 202:
            self.wrong.append("not switched: %s" % answer.body)

    def codes(self):
        """Of the events since the last start."""
        found = []
        number = 0
        while True:
            event = self.app.events.after(number)
            if event is None:
                return found
            found.append(event[2])
            number = event[0] + 1

    def faults(self, version, allowed=()):
        """What is wrong at the end, as texts; `version` is the one that ought to run.

        Args:
            allowed: violations that a version which is broken on purpose may cause.
        """
        wrong = list(self.wrong)
        chip, snap = self.partitions, self.app.snap
        wrong += [text for _, _, text in self.report["violations"] if text not in allowed]
        wrong += ["allocation: %s" % text for text in self.report["alloc_violations"]]
        found = self.started[-1:], self.settled[-1:], chip.version, chip.valid(chip.running)
        if found != ([version], [version], version, version):
            wrong.append("%s started, %s settled, %s booted from %s" % found)
        if self.pointer != LABELS[chip.running]:
            wrong.append("the file `app` says " + self.pointer)
        chip.boot()
        if chip.version != version:
            wrong.append("after one more reset it is " + chip.version)
        if list(snap.trips)[:4] != [0, 0, 1, 0] or snap.discharge_mah[0] < self.asked_mah:
            wrong.append("trips %s, %d mAh" % (list(snap.trips)[:4], snap.discharge_mah[0]))
        states = [state for _, n, state, _ in self.report["timeline"] if n == 3]
        if states[-1:] != ["locked"]:
            wrong.append("battery 3 is not locked")
        if self.app.settings["name"] != "kept" or self.app.safe:
            wrong.append("settings, or safe mode")
        if not self.report["open_at_end"]:
            wrong.append("a switch is closed at the end")
        return wrong


def image(version=NEW):
    """An image of a version, for the simulator."""
    return esp_image.make(version, _CONTENT)


def campaign(root, content, chosen=lambda number, operation: True):
    """Cut at the writes that are chosen; returns (table, faults).

    Args:
        content: the bundle; chosen: function (number among those of its operation, operation).

    Returns:
        tuple: operation to [writes, cuts]; texts.
    """
    whole = Rig(root, content)
    wrong = ["without a cut: " + text for text in whole.faults(NEW)]
    table = {operation: [0, 0] for operation in OPERATIONS}
    for write, operation in whole.writes:
        row = table[operation]
        row[0] += 1
        if not chosen(row[0], operation):
            continue
        row[1] += 1
        rig = Rig(root, content, write)
        if not rig.went:
            wrong.append("write %d: the power did not go" % write)
        wrong += ["write %d, %s: %s" % (write, operation, text) for text in rig.faults(NEW)]
    return table, wrong


def main():
    """Cut at every write; return the exit code."""
    sys.path.append(ROOT + "/tests/sim")
    import bundles

    table, wrong = campaign(ROOT, bundles.made_image(image(), KEY))
    print("%-14s %7s %6s" % ("image update", "writes", "cuts"))
    for operation, row in table.items():
        print("%-14s %7d %6d" % (operation, row[0], row[1]))
    for text in wrong:
        print("wrong:", text)
    print("%d passed, %d failed" % (sum(row[1] for row in table.values()) + 1, len(wrong)))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
