# SPDX-License-Identifier: GPL-3.0-only
"""Packs with an id: what is known of them follows them, and the card keeps their life."""

import errno
import os

from flash import Flash
from parallelator import energy
from parallelator.energy import packs
from parallelator.energy.meter import Meter
from parallelator.energy.packs import LINE
from parallelator.snapshot import Snapshot
from sim.chips.sdimage import Image

NIGHT_S = 1784059200  # 2026-07-14T20:00:00Z
DAY_S = 86400
TURNS = 300


class Card:
    """A card at /sd, or none; it counts what is written to it."""

    def __init__(self):
        self.image = Image(65536)
        self.volume = self.image.volume()
        self.losses = 0
        self.failed = []
        self.mounted = self.writable = False

    def put(self, there=True):
        if there != self.mounted:
            self.mounted = self.writable = there
            os.mount(self.volume, "/sd") if there else os.umount("/sd")

    def fail(self, error):
        self.failed.append(error)

    def __enter__(self):
        self.put()
        return self

    def __exit__(self, *args):
        self.put(False)


class Rig:
    """A rig from one boot to the next; packs of 20 Ah, or what the settings tell.

    Args:
        names: place to id; resumed: True after a reset.
    """

    def __init__(self, card, flash, names, resumed=False, unix_s=NIGHT_S, rows=None):
        self.settings = {"pack.chemistry": "nmc", "pack.cells": 7, "pack.capacity_mah": 20000}
        self.settings.update({"pack.curve": None, "limits.min_voltage_mv": 24000})
        self.settings["limits.max_discharge_current_ma"] = 10000
        for n in range(1, 17):
            self.settings["batteries.%d.capacity_mah" % n] = 0
        self.unix_s = unix_s
        self.snap = Snapshot()
        self.card, self.flash = card, flash
        self.clock = self.events = self
        self.told = []
        self.r_forgotten = []
        self.rows = rows or bytearray(energy.ROWS_BYTES)
        self.meter = Meter(
            self.snap, self.settings, self.rows, resumed, flash, self.emit, self.r_forgotten.append
        )
        self.name(names)
        self.packs = None

    def name(self, names):
        for n in range(1, 17):
            self.settings["batteries.%d.id" % n] = names.get(n, "")

    async def start(self):
        await self.meter._know_packs(self)
        self.packs = self.meter.packs
        return self

    def emit(self, code, i, state, reason, value):
        self.told.append((code, i + 1))

    def iso(self, ago_s):
        """Days are enough here."""
        if self.unix_s is None:
            return None
        return "2026-07-%02dT" % (14 + (self.unix_s - ago_s - NIGHT_S + 20 * 3600) // DAY_S)

    async def flow(self, n, mah, dwh, seconds=TURNS):
        """So much leaves battery n (it enters: below 0), and all files have their turn."""
        snap, meter = self.snap, self.meter
        if mah > 0:
            snap.discharge_mah[n - 1] += mah
            meter.out_dwh[n - 1] += dwh
        else:
            snap.charge_mah[n - 1] -= mah
            meter.in_dwh[n - 1] -= dwh
        for _ in range(seconds):
            await self.packs.tend()


def learned(rig, n, share, deviation=0.03, first_mohm=21):
    """Battery n is known well."""
    rig.meter.charge.know(n - 1, share, deviation)
    rig.meter.charge._charge[n - 1] = share / 2
    rig.meter.charge._ss[n - 1] = 0.0004
    rig.meter.health.begin(n - 1, first_mohm)


def known(rig, n):
    """(capacity, its deviation, charge, first resistance) of battery n, rounded."""
    charge, health = rig.meter.charge, rig.meter.health
    share, deviation = charge.health(n - 1)
    now = charge.now(n - 1)[0]
    return round(share, 2), round(deviation, 2), round(now, 2), health.first_mohm[n - 1]


def lines(name):
    """The rows of the file of a pack as dicts, its header tested."""
    with open("%s/%s.csv" % (packs.PLACE, name)) as file:
        text = file.read()
    assert len(text) % LINE == 0, len(text)
    rows = [line.strip().split(",") for line in text.splitlines()]
    assert all(len(row) == len(rows[0]) for row in rows), rows
    return [dict(zip(rows[0], row)) for row in rows[1:]]


UNKNOWN = (0.85, 0.12, 0.5, 0)


async def test_two_packs_that_change_places_take_their_history_along():
    with Card() as card:
        rig = await Rig(card, Flash(), {1: "A1", 2: "B2"}).start()
        assert rig.told == [] and rig.packs is not None
        learned(rig, 1, 0.9, first_mohm=21)
        learned(rig, 2, 0.8, first_mohm=35)
        before = known(rig, 1), known(rig, 2)
        rig.name({1: "B2", 2: "A1"})
        await rig.start()
        assert (known(rig, 2), known(rig, 1)) == before
        assert rig.told == [("pack_known", 1), ("pack_known", 2)] and rig.r_forgotten == [0, 1]
        later = await Rig(card, rig.flash, {1: "B2", 2: "A1"}, True, rows=rig.rows).start()
        assert later.told == [], "once"
        assert (known(later, 1)[0], known(later, 1)[3]) == (0.8, 35)
        assert (known(later, 2)[0], known(later, 2)[3]) == (0.9, 21)


async def test_what_moved_while_the_power_was_off_is_followed_at_the_start():
    with Card() as card:
        rig = await Rig(card, Flash(), {1: "A1", 2: "B2", 3: "C3"}).start()
        for n, share in ((1, 0.9), (2, 0.8), (3, 0.7)):
            learned(rig, n, share)
            rig.meter._write_row(n - 1)
        rig.meter._saved = None
        rig.meter.save()
        later = await Rig(card, rig.flash, {2: "A1", 3: "B2", 1: "C3"}).start()
        assert [known(later, n)[0] for n in (1, 2, 3)] == [0.7, 0.9, 0.8]
        assert sorted(later.told) == [("pack_known", n) for n in (1, 2, 3)]


async def test_an_id_that_is_new_here_begins_anew():
    with Card() as card:
        rig = await Rig(card, Flash(), {1: "A1"}).start()
        learned(rig, 1, 0.9)
        rig.name({1: "Z9"})
        await rig.start()
        assert known(rig, 1) == UNKNOWN and rig.told == [("pack_swapped", 1)]


async def test_a_first_id_names_the_pack_that_is_there():
    with Card() as card:
        rig = await Rig(card, Flash(), {}).start()
        assert rig.packs is None, "nothing is loaded without an id"
        learned(rig, 1, 0.9)
        before = known(rig, 1)
        rig.name({1: "A1"})
        await rig.start()
        assert known(rig, 1) == before and rig.told == [] and rig.r_forgotten == []


async def test_the_card_tells_another_rig_what_a_pack_is():
    with Card() as card:
        rig = await Rig(card, Flash(), {1: "A1"}).start()
        learned(rig, 1, 0.9)
        await rig.flow(1, 100, 26)
        other = await Rig(card, Flash(), {4: "A1"}).start()
        assert known(other, 4) == (0.9, 0.03, 0.5, 21), "but nobody knows its charge"
        assert other.told == [("pack_known", 4)]
        third = Rig(card, Flash(), {}, rows=bytearray(energy.ROWS_BYTES))
        learned(third, 2, 0.7, 0.01, 40)
        third.name({2: "A1"})
        await third.start()
        assert known(third, 2) == (0.9, 0.03, 0.5, 21), "another pack was there before"


async def test_a_card_that_comes_later_is_read_then():
    card = Card()
    with card:
        first = await Rig(card, Flash(), {1: "A1"}).start()
        learned(first, 1, 0.9)
        await first.flow(1, 100, 26)
    rig = await Rig(card, Flash(), {2: "A1"}).start()
    assert known(rig, 2) == UNKNOWN and rig.told == []
    rig.meter.charge._charge[1] = 0.63
    with card:
        await rig.packs.tend()
        assert known(rig, 2) == (0.9, 0.03, 0.63, 21) and rig.told == [("pack_known", 2)]
        await rig.packs.tend()
    assert len(rig.told) == 1, "once"


async def test_a_night_is_a_line_that_resets_go_on_with():
    with Card() as card:
        rig = await Rig(card, Flash(), {1: "A1", 2: "B2"}).start()
        rig.snap.soc_pct[0], rig.snap.soc_error_pct[0] = 80, 4
        rig.snap.temperature_c[0], rig.snap.r_mohm[0] = 31, 28
        learned(rig, 1, 0.9)
        await rig.flow(1, 1500, 395)
        rig.snap.soc_pct[0], rig.snap.temperature_c[0], rig.snap.trips[0] = 60, 44, 2
        await rig.flow(1, 500, 130)
        row = {
            "night": "2026-07-14", "battery": "1", "out_wh": "52.5", "in_wh": "0.0",
            "out_mah": "2000", "in_mah": "0", "low_pct": "60", "high_pct": "80",
            "capacity_mah": "18000", "error_mah": "1200", "label_mah": "20000", "r_mohm": "28",
            "first_mohm": "21", "trips": "2", "hot_c": "44",
        }  # fmt: skip
        assert lines("A1") == [row], lines("A1")
        rig = await Rig(card, rig.flash, {1: "A1", 2: "B2"}, True, rows=rig.rows).start()
        rig.unix_s = None  # a reset has taken the time
        await rig.flow(1, -800, -220)
        assert len(lines("A1")) == 1
        assert lines("A1")[0]["in_wh"] == "22.0" and lines("A1")[0]["out_mah"] == "2000"
        rig.unix_s = NIGHT_S + DAY_S
        await rig.flow(1, 10, 2)
        one, two = lines("A1")
        assert (two["night"], two["out_mah"], two["trips"]) == ("2026-07-15", "10", "0")
        assert one["in_mah"] == "800" and not _exists("B2"), "where nothing flowed nothing is told"


def _exists(name):
    return (name + ".csv") in os.listdir(packs.PLACE)


async def test_without_a_time_there_is_a_line_a_start():
    with Card() as card:
        for _ in range(2):
            rig = await Rig(card, Flash(), {1: "A1"}, unix_s=None).start()
            await rig.flow(1, 100, 26)
            await rig.flow(1, 100, 26)
        assert [row["out_mah"] for row in lines("A1")] == ["200", "200"]


async def test_a_pack_that_moves_takes_its_file_along():
    with Card() as card:
        rig = await Rig(card, Flash(), {1: "A1", 2: "B2"}).start()
        await rig.flow(1, 100, 26, seconds=0)
        await rig.flow(2, 300, 79, seconds=0)
        rig.name({1: "B2", 2: "A1"})
        await rig.start()
        await rig.flow(1, 7, 2)
        assert [row["out_mah"] for row in lines("A1")] == ["100"]
        assert [row["out_mah"] for row in lines("B2")] == ["307"]
        assert lines("B2")[0]["battery"] == "1"


async def test_without_a_card_nothing_is_lost_and_a_restart_writes():
    card = Card()
    rig = await Rig(card, Flash(), {1: "A1"}).start()
    await rig.flow(1, 100, 26)
    await rig.flow(1, 100, 26)
    with card:
        await rig.packs.close()
        assert [row["out_mah"] for row in lines("A1")] == ["200"]


async def test_a_rig_at_rest_does_not_wear_the_card():
    with Card() as card:
        rig = await Rig(card, Flash(), {1: "A1"}).start()
        await rig.flow(1, 100, 26)
        os.remove(packs.PLACE + "/A1.csv")
        for _ in range(TURNS):
            await rig.packs.tend()
        assert not _exists("A1")


async def test_a_file_is_bounded():
    with Card() as card:
        rig = await Rig(card, Flash(), {1: "A1"}).start()
        await rig.flow(1, 100, 26)
        path = packs.PLACE + "/A1.csv"
        with open(path, "ab") as file:
            for _ in range(packs.LINES):
                file.write(b"%-127s\n" % b"x")
        await rig.flow(1, 50, 13)
        assert [row["out_mah"] for row in lines("A1")] == ["50"]
        assert os.stat(packs.PLACE + "/A1.old")[6] == LINE * (packs.LINES + 2)


async def test_a_file_that_somebody_has_edited_is_gone_on_with():
    with Card() as card:
        rig = await Rig(card, Flash(), {1: "A1"}).start()
        await rig.flow(1, 100, 26)
        path = packs.PLACE + "/A1.csv"
        for wrong in (b"2026-07-14,1,1e99,inf", b"\xff\xfe", b"", b"night\n\n", b"a,b,c"):
            with open(path, "wb") as file:
                file.write(wrong)
            other = await Rig(card, Flash(), {2: "A1"}).start()
            await other.flow(2, 50, 13)
            with open(path, "rb") as file:
                text = file.read()
            assert text.startswith(wrong) and b"\n2026-07-14,2,1.3," in b"\n" + text, text
        assert card.failed == []


async def test_a_card_that_fails_is_given_up_and_nothing_counts_as_written():
    with Card() as card:
        rig = await Rig(card, Flash(), {1: "A1"}).start()
        honest = packs.make_folder

        def broken(path):
            raise OSError(errno.EIO)

        packs.make_folder = broken
        try:
            await rig.flow(1, 100, 26)
        finally:
            packs.make_folder = honest
        assert [error.errno for error in card.failed] == [errno.EIO]
        await rig.flow(1, 1, 0)
        assert lines("A1")[0]["out_mah"] == "101"


async def test_what_a_button_says_is_as_good_as_an_id():
    rig = await Rig(Card(), Flash(), {}).start()
    learned(rig, 3, 0.9)
    rig.snap.valid[2], rig.snap.voltage_mv[2] = 1, 25900
    for _ in range(6):
        rig.snap.uptime_s += 1
        rig.meter.turn()
        rig.meter.follow(2, 1)
    rig.meter.forget(2)
    assert known(rig, 3) == UNKNOWN and rig.r_forgotten == [2]
    rig.meter.follow(2, 1)
    error = rig.snap.soc_error_pct[2]
    assert error > 6, "a look at its voltage is all that is known: %d" % error
    assert rig.told == []
