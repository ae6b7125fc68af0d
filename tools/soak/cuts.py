# SPDX-License-Identifier: GPL-3.0-only
"""Cuts the power at blocks that the rig writes to its SD card. For power_cuts.py and tests.

    micropython -X heapsize=64m tools/soak/cuts.py EVERY OFFSET

Two nights are played whole and noted block by block: the first boot on an empty card, and a rig
whose card holds settings and counters, with a rotation at midnight, a save of the settings and one
of the counters. Then each is played again for the blocks whose number is OFFSET modulo EVERY:
after it the card loses all that it is told to write, the power goes, and the rig boots from what
is left. Once with nothing else wrong, and four times with a neighbour of the block damaged: filled
with rubbish, or not to be read, before and after.

Whole: every row that was flushed is there, no row is torn, settings and counters are the old ones
or the new ones. Damaged too: the rig boots, no task dies, no battery is switched wrongly, and it
reports what it cannot use (alarm of the card, fault of the settings) and goes on without it.
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

from sim import current, harness, scenario  # noqa: E402 - the path must come first
from sim.chips.sdcard import SdCard  # noqa: E402
from sim.chips.sdimage import Image  # noqa: E402

BATTERIES = 4
SECTORS = 65536
OLD = {"name": "old", "limits": {"max_trips": 7}}
CHANGES = {"name": "new", "limits.max_trips": 8}
HOURS_S = 5000
_MIDNIGHT_S = const(1784073600)  # 2026-07-15T00:00:00Z
_DAY_AT_S = const(8)
_MIDNIGHT_AT_S = const(32)
_SAVE_AT_S = const(45)
_NIGHT_S = const(67)
_FIRST_S = const(16)
_AFTER_S = const(16)
_DAMAGES = ((0, False), (-1, False), (1, False), (-1, True), (1, True))
"""What else is wrong: distance of the damaged block, not to be read at all."""

OPERATIONS = ("first boot", "log append", "rotation", "settings save", "counter save")


class Night:
    """One run of the firmware with a card.

    Args:
        root: folder of the repository; image: what the card holds; day: True for the scripted
            night, False for a first boot.
        cut: number of blocks that the card keeps, None = all; damage: of `_DAMAGES`.
        cut_s: when the power goes.

    Attributes:
        writes: [time in s, operation] of each block; flushed: [blocks, name, size] after each.
        events: the codes of those since the last boot.
        hours_s: counter of battery 1 as restored at the last boot; app: the last one.
    """

    def __init__(self, root, image, day, cut=None, damage=_DAMAGES[0], cut_s=None):
        self.writes = []
        self.flushed = []
        self.events = []
        self.operation = OPERATIONS[1] if day else OPERATIONS[0]
        self.hours_s = None
        self.app = None
        self._day = day
        self._damage = damage
        self._last = None
        self.card = card = SdCard(image)
        card.writes_left = cut
        keep = card._keep

        def kept(number, data):
            if card.writes_left is None or card.writes_left:
                self._last = number
                self.writes.append([current.world.now_us / 1000000, self.operation])
            keep(number, data)

        card._keep = kept
        end_s = _NIGHT_S if day else _FIRST_S
        plan = {
            "name": "cuts",
            "batteries": BATTERIES,
            "load": [[0, 8]],
            "settings": {"serial_messages": False, "log": {"keep_free_mb": 1}},
            "duration_s": end_s if cut is None else cut_s + _AFTER_S,
            "steps": [] if cut is None else [{"at": cut_s, "do": "power_cycle"}],
        }
        self.report = harness.run(
            root, scenario.complete(plan), True, quiet=True, sabotage=self._listen, card=card
        )

    def _listen(self):
        from parallelator.app import App
        from parallelator.records.card import READY, Card
        from parallelator.records.counters import Counters
        from parallelator.records.datalog import Datalog
        from parallelator.records.events import Events

        first = not current.world.resets
        if not first:
            self._harm()
            self.events = []
        current.listener = self
        self.emit = Events.emit
        Events.emit = _heard
        note, save, choose, restore = (
            Card.note,
            Counters._save_on_card,
            Datalog._choose,
            Counters.restore,
        )
        start = App._start

        def noted(card, state):
            note(card, state)
            if state == READY and first and self.app and self.app.rig.datalog:
                name = self.app.rig.datalog.name
                if name:
                    size = self.card.image.volume().stat("/log/" + name)[6]
                    self.flushed.append([self.card.written, name, size])
                    if self.operation == OPERATIONS[2]:
                        self.operation = OPERATIONS[1]

        def saved(counters):
            before = self.operation
            self.operation = OPERATIONS[4]
            done = save(counters)
            self.operation = before
            return done

        def chosen(log, day):
            if self._day and day:
                self.operation = OPERATIONS[2]
            return choose(log, day)

        def restored(counters):
            restore(counters)
            self.hours_s = counters._snap.on_s[0]

        def started(app, name, job):
            self.app = app
            if name == "log" and self._day and first:
                start(app, "script", lambda: self._script(app))
            return start(app, name, job)

        Card.note = noted
        Counters._save_on_card = saved
        Counters.restore = restored
        Datalog._choose = chosen
        App._start = started

    async def _script(self, app):
        """What happens in the night besides logging."""
        import asyncio

        from parallelator.web import saving

        await asyncio.sleep_ms(_DAY_AT_S * 1000)
        app.clock.set(_MIDNIGHT_S - (_MIDNIGHT_AT_S - _DAY_AT_S))
        await asyncio.sleep_ms((_SAVE_AT_S - _DAY_AT_S) * 1000)
        self.operation = OPERATIONS[3]
        try:
            rig = app.rig
            await saving.write(CHANGES, app.settings, rig.config_files, app.card, rig.pauses.flash)
        except OSError:
            pass  # the card keeps nothing any more
        self.operation = OPERATIONS[1]
        await asyncio.sleep_ms(1 << 28)

    def _harm(self):
        distance, unreadable = self._damage
        if distance and self._last is not None:
            number = max(self._last + distance, 0)
            if unreadable:
                self.card.unreadable.add(number)
            else:
                self.card.image.write(number, b"\xa5" * 512)

    def read(self, name):
        """A log as bytes, b"" when there is none."""
        try:
            with self.card.image.volume().open("/log/" + name, "rb") as file:
                return file.read()
        except OSError:
            return b""


def _heard(events, code, i, state, reason, value):
    # Not a closure, see sim/guard_probe.py.
    current.probe.unlock()
    current.listener.events.append(code)
    current.listener.emit(events, code, i, state, reason, value)


def image_of(day):
    """The card before the night: a copy for each run."""
    image = Image(SECTORS)
    volume = image.volume()
    if day:
        with volume.open("/config.json", "w") as file:
            json.dump(OLD, file)
        put_counters(volume)
    return image


def put_counters(volume):
    """Counters of an earlier run of the controller with the simulator's usual number."""
    from parallelator.records import counters
    from parallelator.snapshot import Snapshot

    snap = Snapshot()
    snap.on_s[0] = HOURS_S
    volume.mkdir("/counters")
    book = counters.Counters(snap, None, None, "246f28000001", None)
    for path in book._paths:
        with volume.open(path[3:], "wb") as file:
            file.write(book._fill())


def faults(night, whole, cut):
    """What is wrong after a cut without damage, as texts.

    Args:
        night: the `Night` with the cut; whole: the same without; cut: blocks kept.
    """
    wrong = told_wrong(night)
    for code in night.events:
        if code.startswith("sd_") and code != "sd_ready" or code == "config_fault":
            wrong.append(code)
    if night._day:
        found = (night.app.settings["name"], night.app.settings["limits.max_trips"])
        if found not in (("old", 7), ("new", 8)):
            wrong.append("settings %s" % (found,))
        if night.hours_s != HOURS_S and not HOURS_S < night.hours_s <= HOURS_S + 35:
            wrong.append("counter restored as %s" % night.hours_s)
    safe = {}
    for written, name, size in whole.flushed:
        if written <= cut:
            safe[name] = size
    for name, size in safe.items():
        before = whole.read(name)[:size]
        after = night.read(name)
        if not after.startswith(before):
            wrong.append("%s lost flushed rows" % name)
        if after and not after.endswith(b"\n"):
            wrong.append("%s is torn" % name)
    if not logs_again(night):
        wrong.append("logs no more")
    return wrong


def told_wrong(night):
    """What is wrong whatever the damage, as texts."""
    report = night.report
    wrong = ["violation %s" % entry for entry in report["violations"]]
    wrong += ["allocation %s" % entry for entry in report["alloc_violations"]]
    if "task_died" in night.events:
        wrong.append("a task died")
    if report["resets"] != 1:
        wrong.append("%d resets" % report["resets"])
    if report["timeline"][-1][2] != "on":
        wrong.append("no battery is on in the end")
    return wrong


def logs_again(night):
    """True when the second boot has written rows."""
    return night.read("boot-0002.csv").count(b"\n") > BATTERIES


def tells(night):
    """True when the rig says that something of the card cannot be used."""
    return bool(night.app.rig.faults) or any(
        code in ("sd_unreadable", "sd_foreign") or code == "sd_full" for code in night.events
    )


def campaign(root, every, offset, sample):
    """Play a share of the cuts; returns (table, faults): operation to counts, and texts.

    Args:
        every, offset: only the blocks whose number is `offset` modulo `every`.
        sample: True for one sort of damage at each of them instead of all four.
    """
    table = {name: dict.fromkeys(("blocks", "whole", "damaged", "told"), 0) for name in OPERATIONS}
    wrong = []
    number = 0
    for day in (False, True):
        whole = Night(root, image_of(day), day)
        wrong += [
            "whole night: " + text for text in told_wrong(whole) if not text.endswith("resets")
        ]
        for cut, (at_s, operation) in enumerate(whole.writes):
            row = table[operation]
            row["blocks"] += 1
            number += 1
            if number % every != offset:
                continue
            for damage in (_DAMAGES[0], _DAMAGES[1 + number % 4]) if sample else _DAMAGES:
                night = Night(root, image_of(day), day, cut, damage, at_s + 0.7)
                if not damage[0]:
                    row["whole"] += 1
                    found = faults(night, whole, cut)
                else:
                    row["damaged"] += 1
                    found = told_wrong(night)
                    said = tells(night)
                    row["told"] += said
                    if not said and not logs_again(night):
                        found.append("neither logs nor says why")
                if found:
                    wrong.append("%s, block %d, damage %s: %s" % (operation, cut, damage, found))
    return table, wrong


if __name__ == "__main__":
    print(json.dumps(campaign(ROOT, int(sys.argv[1]), int(sys.argv[2]), False)))
