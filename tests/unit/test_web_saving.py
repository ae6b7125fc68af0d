# SPDX-License-Identifier: GPL-3.0-only
"""Settings are saved all or nothing, at every power cut."""

import asyncio
import errno
import json
import os

import vfs

from parallelator import config, settings
from parallelator.web import saving

BLOCK = 512
BLOCKS = 64
CONFIG = "/cut/config.json"
CARD = "/cut/card.json"


class Flash:
    """Flash whose power is cut before its write number `left`, a list that counts down."""

    def __init__(self, data, left=None):
        self.data = data
        self.left = left

    def readblocks(self, block, buf, offset=0):
        at = block * BLOCK + offset
        buf[:] = self.data[at : at + len(buf)]

    def writeblocks(self, block, buf, offset=None):
        if self.left is not None:
            if self.left == 0:
                raise OSError(errno.EIO)
            self.left -= 1
        at = block * BLOCK + (offset or 0)
        self.data[at : at + len(buf)] = buf

    def ioctl(self, op, arg):
        if op == 4:
            return BLOCKS
        if op == 5:
            return BLOCK
        if op == 6:
            return 0


def mounted(flash, job):
    """What `job` returns while `flash` is mounted at /cut."""
    vfs.mount(vfs.VfsLfs2(flash), "/cut")
    try:
        return job()
    finally:
        vfs.umount("/cut")


def fresh(**files):
    """Flash with these files, name to content."""
    flash = Flash(bytearray(BLOCK * BLOCKS))
    vfs.VfsLfs2.mkfs(flash)

    def fill():
        for name, content in files.items():
            with open("/cut/%s.json" % name, "w") as file:
                file.write(content if isinstance(content, str) else json.dumps(content))

    mounted(flash, fill)
    return flash


def values():
    """What the files give at the next boot, a flat dict, and their faults."""
    found, faults, _ = config.layer((CONFIG, CARD))
    return found.given, faults


def save(changes):
    return asyncio.run(
        saving.write(changes, settings.Values({}), (CONFIG, CARD), None, lambda job: job())
    )


def test_at_every_power_cut_the_file_is_the_old_or_the_new_one():
    old = {"name": "old", "limits": {"max_trips": 3}}
    flash = fresh(config=old)
    before = mounted(flash, values)[0]
    changes = {"name": "new", "limits.max_trips": 4}
    after = dict(before)
    after.update(changes)
    seen = []
    for cut in range(100):
        broken = Flash(bytearray(flash.data), cut)
        try:
            faults = mounted(broken, lambda: save(changes))
        except OSError:
            faults = None
        found, wrong = mounted(Flash(broken.data), values)
        assert wrong == [] and found in (before, after), (cut, found)
        seen.append(found == after)
        if faults == [] and broken.left:
            break
    assert seen == sorted(seen) and seen[-1] and not seen[0] and len(seen) > 3, seen


def test_other_settings_of_the_file_stay_and_old_names_become_new_ones():
    flash = fresh(config={"set_max_current": 900, "wifi": {"ssid": "stage"}, "board": "straight"})

    def job():
        assert save({"board.switch": [3, 2, 1, 0], "batteries.2.label": "é"}) == []
        with open(CONFIG) as file:
            return json.load(file)

    assert mounted(flash, job) == {
        "limits": {"max_current_ma": 900},
        "wifi": {"ssid": "stage"},
        "board": "straight",
        "board.switch": [3, 2, 1, 0],
        "batteries": {"2": {"label": "é"}},
    }


def test_a_broken_file_is_replaced_by_what_runs():
    for content in ("{broken", {"colour": 1}):
        found, faults = mounted(fresh(config=content), lambda: (save({"name": "x"}), values())[1])
        assert faults == [] and found["name"] == "x"


def test_a_settings_file_on_the_card_takes_what_is_saved():
    def job():
        faults = save({"name": "new", "language": "fr"})
        with open(CONFIG) as file, open(CARD) as on_card:
            return faults, values(), json.load(file), json.load(on_card), os.listdir("/cut")

    flash = fresh(config={"name": "flash"}, card={"name": "card"})
    faults, found, kept, on_card, files = mounted(flash, job)
    assert faults == found[1] == [] and kept == {"name": "flash"}
    assert on_card == {"name": "new", "language": "fr"} and found[0]["name"] == "new"
    assert sorted(files) == ["card.json", "config.json"]


def test_what_writes_to_the_flash_is_timed_and_what_writes_to_the_card_is_not():
    def timed_jobs():
        timed = []

        def flash(job):
            timed.append(job)
            return job()

        changes = {"name": "new"}
        paths = (CONFIG, CARD)
        asyncio.run(saving.write(changes, settings.Values({}), paths, None, flash))
        return len(timed)

    assert mounted(fresh(config={"name": "old"}), timed_jobs) == 3, "open, close, rename"
    assert mounted(fresh(card={"name": "old"}), timed_jobs) == 0


class Near:
    """A rig with a guard that is strained for some looks."""

    def __init__(self, looks):
        self.guard = self
        self.looks = looks
        self.slept_ms = 0

    def strained(self):
        self.looks -= 1
        return self.looks >= 0

    async def sleep_ms(self, ms):
        self.slept_ms += ms


def test_a_save_waits_for_a_better_moment_but_five_seconds_at_most():
    for looks, waited_ms in ((0, 0), (3, 300), (1000, 5000)):
        rig = Near(looks)
        saver = saving.Saving(rig, None)
        saving.asyncio, kept = rig, saving.asyncio
        try:
            asyncio.run(saver._better_moment())
        finally:
            saving.asyncio = kept
        assert rig.slept_ms == waited_ms, (looks, rig.slept_ms)


def test_a_fault_of_the_other_file_is_told_and_nothing_is_saved():
    def job():
        faults = save({"name": "new"})
        with open(CARD) as on_card:
            return faults, json.load(on_card)

    flash = fresh(config={"limits": {"max_trips": -1}}, card={"name": "card"})
    faults, on_card = mounted(flash, job)
    assert [(fault["key"], fault["file"]) for fault in faults] == [("limits.max_trips", CONFIG)]
    assert on_card == {"name": "card"}


def test_a_broken_file_is_kept_beside():
    def job():
        save({"name": "x"})
        with open(CARD + ".bad") as file:
            return file.read()

    assert mounted(fresh(config={}, card="{broken"), job) == "{broken"


def test_every_setting_is_described():
    kinds = set()
    for row in settings.rows():
        shown = saving.describe(row)
        kinds.add(shown["type"])
        assert (shown["min"] is None) == (shown["type"] in ("flag", "choice", "bits", "curve")), (
            shown
        )
        assert (shown["choices"] is None) == (shown["type"] != "choice"), shown
    assert kinds == {"integer", "text", "secret", "flag", "choice", "bits", "curve"}
