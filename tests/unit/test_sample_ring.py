# SPDX-License-Identifier: GPL-3.0-only
"""The ring under the black box, and what a record says of it."""

import struct

from parallelator.records.blackbox import COPIES, COPY_ENTRIES, MARKS, BlackBox, Copy
from parallelator.records.sample_ring import BUS, ENTRIES, ENTRY, SampleRing
from parallelator.records.tripfile import Record, Trip, readings


def entries(sample_ring, number, most=80):
    number, piece = sample_ring.since(number, most)
    found = []
    for at in range(0, len(piece), ENTRY):
        head, mv, units = struct.unpack_from("<HHh", piece, at)
        found.append((head >> 11, head & 2047, mv, units))
    return number, found


def test_readings_come_back_as_they_were():
    sample_ring = SampleRing()
    sample_ring.sample(0, 0, 26000, 4)
    sample_ring.sample(15, 80, 65535, -4996)
    sample_ring.sample(BUS, (1 << 30) - 1, 0, 655000)
    sample_ring.sample(3, 16384 + 8, 1, -655000)
    sample_ring.sample(4, 0, 65536, 0)
    sample_ring.sample(4, 0, 102400, 0)
    number, found = entries(sample_ring, 0)
    assert number == sample_ring.count == 6
    assert found == [
        (0, 0, 26000, 0),
        (15, 10, 65535, -500),
        (BUS, 2047, 0, 32767),
        (3, 1, 1, -32768),
        (4, 0, 65535, 0),
        (4, 0, 65535, 0),
    ]
    assert entries(sample_ring, number) == (6, [])
    assert entries(sample_ring, 1, 2) == (3, found[1:3])


def test_a_reading_between_two_scans_has_the_time_of_the_last():
    sample_ring = SampleRing()
    for k in range(ENTRIES):
        sample_ring.sample(1, 80 * k, 26000, 0)
    assert sample_ring._at == 0
    sample_ring.add(2, 25000, 16000)
    _, found = entries(sample_ring, ENTRIES)
    assert found == [(2, 10 * (ENTRIES - 1) % 2048, 25000, 1600)]


def test_the_newest_overwrite_the_oldest():
    sample_ring = SampleRing()
    for k in range(ENTRIES + 100):
        sample_ring.sample(k % 17, 10 * k, k, 0)
    number, found = entries(sample_ring, 0)
    assert number == 180 and found[0][2] == 100
    seen = []
    while found:
        seen += [mv for _, _, mv, _ in found]
        number, found = entries(sample_ring, number)
    assert seen == list(range(100, ENTRIES + 100)), "over the end of the ring as well"


def test_the_count_wraps():
    sample_ring = SampleRing()
    sample_ring.count = (1 << 29) - 2
    for k in range(5):
        sample_ring.sample(1, 10 * k, k, 0)
    assert sample_ring.count == 3 and sample_ring.behind((1 << 29) - 2) == 5
    number, found = entries(sample_ring, (1 << 29) - 2)
    assert number == 3 and [mv for _, _, mv, _ in found] == [0, 1, 2, 3, 4]


def test_the_bytes_are_as_stated():
    sample_ring = SampleRing()
    assert len(sample_ring._ring) == ENTRIES * ENTRY == 7680
    copy = Copy()
    assert len(copy.entries) == COPY_ENTRIES * ENTRY == 2640
    box = BlackBox(sample_ring, None, None, None, None, None)
    assert COPIES == 2 and box._copies == [], "made when they are needed"
    assert len(box._marks) * 4 == MARKS * 20
    # A scan reads two batteries each 20 ms and looks at the bus after each round.
    for batteries in (4, 16):
        a_second = 100 + 100 // batteries
        assert ENTRIES / a_second > 10


def test_readings_are_told_in_ms_from_the_trip_across_the_wrap_of_their_times():
    sample_ring = SampleRing()
    start = 16384 * 5 - 6000
    for k in range(1500):
        ms = start + 20 * k
        sample_ring.sample(BUS if k % 2 else 4, ms, 0 if k % 2 else 26000 + k % 7, 10 * (k % 100))
    # The last 1280 are left: 4.4 s to 30 s after the start.
    trip = Trip(4, 1, 0, 12000, 0, "")
    record = Record(1, 1, [trip], (start + 4400 >> 3) - 5 & 2047)
    pieces = []
    number = 0
    while True:
        number, piece = sample_ring.since(number, 20)
        if not len(piece):
            break
        pieces.append(bytes(piece))
    rows = [row for some in readings(record, trip, pieces) for row in some]
    assert -10000 <= rows[0][0] < -9970 and 4970 < rows[-1][0] <= 5000
    assert {row[1] for row in rows} == {0, 5}
    for t_ms, n, mv, ma in rows:
        at = (t_ms + 12000 - 40 + 4400) / 20
        near = [k for k in range(int(at) - 1, int(at) + 4) if ma == 10 * (k % 100)]
        assert near and (mv is None) == (n == 0), (t_ms, n, mv, ma)
    for n in (0, 5):
        times = [row[0] for row in rows if row[1] == n]
        assert all(32 <= b - a <= 48 for a, b in zip(times, times[1:]))


def test_readings_of_other_batteries_are_left_out():
    sample_ring = SampleRing()
    for k in range(160):
        sample_ring.sample(k % 16, 5 * k, 26000, 0)
    _, piece = sample_ring.since(0, 160)
    trip = Trip(9, 1, 0, 400, 0, "")
    rows = [row for some in readings(Record(1, 1, [trip], 0), trip, [piece]) for row in some]
    assert {row[1] for row in rows} == {10} and len(rows) == 10


async def test_a_block_is_not_written_while_a_battery_is_beyond_a_limit():
    class Snap:
        uptime_s = 0

    asked = []
    blocks = []
    sample_ring = SampleRing()
    for k in range(300):
        sample_ring.sample(1, 10 * k, 26000, 0)

    def trip_pending():
        asked.append(len(blocks))
        return len(asked) < 4 or len(blocks) > 0

    box = BlackBox(sample_ring, None, None, None, Snap(), trip_pending)

    class File:
        def write(self, data):
            blocks.append(bytes(data))

    cursor = await box._append(File(), 0)
    assert len(asked) == 4 and len(blocks) == 1 and len(blocks[0]) == 512
    await box._append(File(), cursor)
    assert len(asked) == 24 and len(blocks) == 2, "after a fifth of a second it is"
    whole = b"".join(blocks)
    assert whole == bytes(sample_ring._ring)[: len(whole)]
