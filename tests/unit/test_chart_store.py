# SPDX-License-Identifier: GPL-3.0-only
"""The day's points on the card: saved, restored, and put at the right times."""

import os

from parallelator.records.card import READY
from parallelator.records.chart_store import BOOKS, ChartStore
from parallelator.records.history import Ring
from sim.chips.sdimage import Image

STEP_S = 900
EPOCH_S = 1784000000


class Life:
    """A rig from one boot to the next.

    Args:
        booted_s: wall time of its boot in s since EPOCH_S, None while it does not know it.
    """

    state = READY
    writable = True
    volume = None
    losses = 0

    def __init__(self, boot, booted_s):
        self.booted_s = booted_s
        self.uptime_s = 0
        self.failed = []
        self.ring = Ring(STEP_S, 96)
        self.chart_store = ChartStore(self.ring, self, self, self, boot)

    def unix(self, ago_s=0):
        if self.booted_s is None:
            return None
        return EPOCH_S + self.booted_s + self.uptime_s - ago_s

    def fail(self, error):
        self.failed.append(error)

    def live(self, points, mv):
        """`points` quarters of an hour pass, the voltage of battery 1 counts up from `mv`."""
        for k in range(points):
            self.ring.add(1, mv + k, 1000)
            self.uptime_s += STEP_S
            self.ring.close(None)

    def known(self):
        """Point number to voltage of battery 1."""
        voltages, _ = self.ring.read(1, self.ring.oldest, self.ring.count)
        points = zip(range(self.ring.oldest, self.ring.count), voltages)
        return {k: mv for k, mv in points if mv is not None}


def points(*runs):
    """Point number to voltage, of runs (first number, first voltage, count)."""
    return {k + i: mv + i for k, mv, count in runs for i in range(count)}


class Card:
    """A card at /sd."""

    def __init__(self):
        self.image = Image(65536)
        os.mount(self.image.volume(), "/sd")

    def __enter__(self):
        return self

    def __exit__(self, *args):
        os.umount("/sd")


async def test_points_come_back_to_where_they_were_in_time():
    with Card():
        first = Life(1, 0)
        first.live(5, 26000)
        await first.chart_store._save()
        first.live(2, 26005)
        await first.chart_store._save()
        # It was off for 50 minutes; in uptime of the new boot the first began at -9300 s.
        second = Life(2, 7 * STEP_S + 3000)
        second.live(2, 27000)
        await second.chart_store._restore()
        assert second.known() == points((-10, 26000, 7), (0, 27000, 2)), second.known()
        assert second.ring.read(1, -10, -9) == ([26000], [1000])


async def test_points_half_a_step_away_do_not_fall_together():
    with Card():
        first = Life(1, 0)
        for k in range(6):
            first.live(1, 26000 + k)
            first.booted_s = -(k % 2)  # the clock and the uptime do not tick together
            await first.chart_store._save()
        second = Life(2, 6 * STEP_S + STEP_S // 2)
        await second.chart_store._restore()
        known = second.known()
        assert len(known) == 6 and max(known) - min(known) == 5, known


async def test_without_the_time_they_stand_right_before_the_boot_and_move_when_it_is_known():
    with Card():
        first = Life(1, 0)
        first.live(4, 26000)
        await first.chart_store._save()
        second = Life(2, None)
        second.live(1, 26500)
        await second.chart_store._restore()
        assert second.known() == points((-5, 26000, 4), (0, 26500, 1))
        await second.chart_store._save()
        # A third boot knows from the card how far the first is from itself, not the second.
        third = Life(3, 10 * STEP_S)
        await third.chart_store._restore()
        assert third.known() == points((-10, 26000, 4), (-2, 26500, 1))
        second.booted_s = 20 * STEP_S
        second.live(1, 26501)
        await second.chart_store._restore()
        assert second.known() == points((-20, 26000, 4), (0, 26500, 2)), second.known()


async def test_a_time_that_gets_known_later_counts_for_the_whole_boot():
    with Card():
        first = Life(1, None)
        first.live(2, 26000)
        await first.chart_store._save()
        first.booted_s = 0
        first.live(1, 26002)
        await first.chart_store._save()
        second = Life(2, 8 * STEP_S)
        await second.chart_store._restore()
        assert second.known() == points((-8, 26000, 3))


async def test_what_is_older_than_a_day_is_left_out():
    with Card():
        first = Life(1, 0)
        first.live(96, 25000)
        await first.chart_store._save()
        second = Life(2, 100 * STEP_S)
        second.live(40, 26000)
        await second.chart_store._restore()
        known = second.known()
        assert min(known) == -56 and known[-56] == 25044 and known[-5] == 25095
        assert len(known) == 52 + 40


async def test_damage_costs_only_what_is_damaged():
    with Card():
        first = Life(1, 0)
        first.live(3, 26000)
        await first.chart_store._save()
        (name,) = os.listdir(BOOKS)
        with open(BOOKS + "/" + name, "r+b") as file:
            file.seek(82 + 20)
            file.write(b"\xaa")
            file.seek(0, 2)
            file.write(b"torn")
        second = Life(2, 3 * STEP_S)
        second.live(1, 27000)
        await second.chart_store._restore()
        assert second.known() == {-3: 26000, -1: 26002, 0: 27000}
        await second.chart_store._save()
        assert os.stat(BOOKS + "/" + name)[6] == 3 * 82 + 4, "a torn book is left as it is"
        third = Life(3, 4 * STEP_S)
        await third.chart_store._restore()
        assert third.known() == {-4: 26000, -2: 26002, -1: 27000}


async def test_the_books_of_the_last_days_are_kept_and_no_others():
    with Card():
        life = Life(1, 0)
        for day in range(12):
            life.live(72, 20000 + 72 * day)
            await life.chart_store._save()
        sizes = {name: os.stat(BOOKS + "/" + name)[6] for name in sorted(os.listdir(BOOKS))}
        assert sizes == {"000005.bin": 144 * 82, "000006.bin": 144 * 82}, sizes
        after = Life(2, 12 * 72 * STEP_S)
        await after.chart_store._restore()
        assert after.known() == points((-96, 20000 + 72 * 12 - 96, 96))


async def test_points_without_a_card_are_written_when_one_comes():
    with Card():
        life = Life(1, 0)
        life.live(120, 20000)
        await life.chart_store._save()
        after = Life(2, 120 * STEP_S)
        await after.chart_store._restore()
        assert after.known() == points((-96, 20024, 96))
