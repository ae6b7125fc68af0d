# SPDX-License-Identifier: GPL-3.0-only
"""A settings file on a FAT card is the old or the new one after a power cut at any block."""

import asyncio
import json
import os

from parallelator import config, settings
from parallelator.records import fatfile
from parallelator.web import saving
from sim.chips.sdimage import Image

PLACE = "/fatcard"
CONFIG = PLACE + "/config.json"
OLD = {"name": "old", "limits": {"max_trips": 3}}
CHANGES = {"name": "new", "limits.max_trips": 4}


class Cut(Image):
    """A copy of an image that keeps `left` blocks more and loses the rest.

    Attributes:
        last: number of the block kept last.
    """

    def __init__(self, image, left=None):
        super().__init__(image.sectors)
        self._blocks = dict(image._blocks)
        self.fresh = False
        self.left = left
        self.last = None

    def write(self, number, data):
        if self.left is not None:
            if not self.left:
                return
            self.left -= 1
            self.last = number
        super().write(number, data)


class Unasked:
    """Stands for the card; it ignores the errors that are reported to it."""

    def fail(self, error):
        pass


def card(text):
    image = Image(4096)
    with image.volume().open("/config.json", "w") as file:
        file.write(text)
    return image


def mounted(image, job):
    """What `job` returns while the image is mounted."""
    os.mount(os.VfsFat(image), PLACE)
    try:
        return job()
    finally:
        os.umount(PLACE)


def sound(path):
    return config.read(path)[0] is not None


def boot():
    """What the next boot does: (settings that the files give, a flat dict; faults)."""
    fatfile.mend(Unasked(), CONFIG, sound)
    found, faults, _ = config.layer(("nowhere.json", CONFIG))
    return found.given, faults


def save():
    try:
        asyncio.run(
            saving.write(CHANGES, settings.Values({}), ("nowhere.json", CONFIG), Unasked(), None)
        )
    except OSError:
        return  # it misses what the card lost; a controller without power would not even notice


def test_at_every_power_cut_the_settings_are_the_old_or_the_new_ones():
    image = card(json.dumps(OLD))
    before = mounted(Cut(image), boot)[0]
    after = dict(before)
    after.update(CHANGES)
    seen = []
    for cut in range(200):
        broken = Cut(image, cut)
        mounted(broken, save)
        found, faults = mounted(Cut(broken), boot)
        assert faults == [] and found in (before, after), (cut, faults)
        seen.append(found == after)
        if broken.left:
            break
    assert seen == sorted(seen) and not seen[0] and seen[-1] and len(seen) > 10, seen
    assert mounted(Cut(broken), lambda: os.listdir(PLACE)) == ["config.json"]


def test_a_cut_while_it_is_mended_spoils_nothing():
    image = card('{"name": "o')
    with image.volume().open("/config.json.bak", "w") as file:
        json.dump(OLD, file)
    for cut in range(200):
        broken = Cut(image, cut)
        try:
            mounted(broken, boot)
        except OSError:
            assert not broken.left
        found, faults = mounted(Cut(broken), boot)
        assert faults == [] and found["name"] == "old", cut
        if broken.left:
            break
    assert cut > 5
    assert mounted(Cut(broken), lambda: os.listdir(PLACE)) == ["config.json"]


def test_a_neighbour_that_a_cut_damages_stops_no_boot():
    image = card(json.dumps(OLD))
    outcomes = {}
    for cut in range(1, 200):
        broken = Cut(image, cut)
        mounted(broken, save)
        if broken.left:
            break
        for step in (-1, 1):
            damaged = Cut(broken)
            damaged.write(max(broken.last + step, 0), b"\xa5" * 512)
            try:
                found, faults = mounted(damaged, boot)
                outcome = found["name"] if not faults else "told"
            except OSError:
                outcome = "no card"
            outcomes[outcome] = outcomes.get(outcome, 0) + 1
    assert set(outcomes) <= {"old", "new", "told", "no card", "parallelator"}, outcomes
    assert outcomes["old"] and outcomes["new"], outcomes


def test_a_fault_typed_on_a_pc_is_told_and_left_alone():
    for text in ('{"name": "x"', "", '{"name": 3}', "[]", "x" * 20000):
        image = card(text)
        values, faults = mounted(image, boot)
        assert len(faults) == 1 and "name" not in values, text
        assert faults[0]["file"] == CONFIG
        with image.volume().open("/config.json", "r") as file:
            assert file.read() == text


def test_the_mark_that_editors_put_before_the_text_is_no_fault():
    values, faults = mounted(card("\ufeff" + json.dumps(OLD)), boot)
    assert faults == [] and values["name"] == "old"
