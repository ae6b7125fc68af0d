# SPDX-License-Identifier: GPL-3.0-only
"""What led to a trip: the rig's readings from ten seconds before it to five after. Run by app.

They go from the sample ring to the SD card as they are, one file for all trips of a moment;
without a card the last two trips are kept in memory, in copies of 2640 bytes each, made when the
first is needed. A trip here is each opening that nobody had asked for.
"""

import asyncio
import errno
from array import array

from micropython import const

from parallelator.catalog import OFF, Reason
from parallelator.records import tripfile
from parallelator.records.card import READY, Opened
from parallelator.records.sample_ring import BUS, ENTRY, STEP_MS, STEPS
from parallelator.records.tripfile import AFTER_MS, BEFORE_MS, PIECE, Record, Trip, steps_between
from parallelator.snapshot import RIG

COPIES = const(2)
COPY_ENTRIES = const(440)
MARKS = const(16)
_MARK = const(5)  # battery, reason, value, ticks in ms, uptime in s
_BACK_S = const(12)
_SPAN_MS = const(15000)  # more than _BACK_S, less than the 16 s of the ring's times
_LONGEST_MS = const(60000)
_POLL_MS = const(190)  # unlike other periods, so that not all tasks wake at once
_CALM_MS = const(200)
_BLOCK = const(512)
_BETWEEN_MS = const(10)
_SPARSE_STEPS = const(9)
_DENSE_MS = const(250)


class Copy:
    """The readings of one battery and of the bus around a trip, in memory.

    Attributes:
        entries: as in the sample ring; size: bytes of them in use; record: one with this trip.
        complete: True once a reading was seen that is later than those that belong here.
    """

    def __init__(self):
        self.entries = bytearray(COPY_ENTRIES * ENTRY)
        self.size = 0
        self.record: Record = None  # pyright: ignore - until `begin`

    def begin(self, record: "Record", trip: "Trip", number: int, cursor: int):
        """Copy for a trip of a record, from entry `cursor` of the sample ring on."""
        self.size = 0
        self.record = Record(record.boot, number, [trip], record.zero)
        self._wanted = (trip.i, BUS)
        self._at_ms = trip.at_ms
        self._cursor = cursor
        self._steps = 0
        self.complete = False
        self._kept = [-_SPARSE_STEPS, -_SPARSE_STEPS]

    def advance(self, sample_ring: "SampleRing"):
        """Take some entries; False when there is no new one to take.

        Readings less than 72 ms apart are thinned out, but for a quarter of a second before and
        after the trip.
        """
        if self.complete:
            return False
        self._cursor, piece = sample_ring.since(self._cursor, PIECE)
        zero = self.record.zero
        for at in range(0, len(piece), ENTRY):
            place = piece[at + 1] >> 3
            if place not in self._wanted:
                continue
            self._steps += steps_between(piece, at, zero + self._steps)
            from_trip_ms = self._steps * STEP_MS - self._at_ms
            self.complete = from_trip_ms > AFTER_MS
            which = self._wanted.index(place)
            dense = self._steps - self._kept[which] < _SPARSE_STEPS
            if dense and abs(from_trip_ms) > _DENSE_MS:
                continue
            if -BEFORE_MS <= from_trip_ms <= AFTER_MS and self.size < len(self.entries):
                self._kept[which] = self._steps
                self.entries[self.size : self.size + ENTRY] = piece[at : at + ENTRY]
                self.size += ENTRY
        return len(piece) > 0 and not self.complete

    def pieces(self):
        """The entries, some at a time, as long as they are those of this record."""
        record = self.record
        for at in range(0, self.size, PIECE * ENTRY):
            if self.record is record:
                yield memoryview(self.entries)[at : min(at + PIECE * ENTRY, self.size)]


class BlackBox:
    """The records of one rig.

    Args:
        sample_ring: the `SampleRing`.
        events: the `Events`, to which `emit` passes on what it hears.
        card: a `Card`; clock: a `clock.Clock`; snap: the `Snapshot`.
        trip_pending: function that returns True while a battery is beyond a limit.

    Attributes:
        boot: number of this boot.
        missed: trips since boot of which there is no record.
    """

    def __init__(
        self,
        sample_ring: "SampleRing",
        events: "Events",
        card: "Card",
        clock: "Clock",
        snap: "Snapshot",
        trip_pending: "Callable[[], bool]",
    ):
        self._sample_ring = sample_ring
        self._events = events
        self._card = card
        self._clock = clock
        self._snap = snap
        self._trip_pending = trip_pending
        self._on = 0
        self._marks = array("i", bytes(4 * _MARK * MARKS))
        self._marked = 0
        self._taken = 0
        self._counts = array("i", bytes(4 * _BACK_S))
        self._counted_s = 0
        self._block = memoryview(bytearray(_BLOCK + ENTRY))
        self._filled = 0
        self._spare = []
        self._copies = []
        self._refusing = None
        self.boot = 0
        self.missed = 0

    def emit(self, code: str, i: int, state: int, reason: int, value: int):
        """Record an event, as `Events.emit`, and take note when it is a trip."""
        self._events.emit(code, i, state, reason, value)
        if i == RIG:
            return
        bit = 1 << i
        if code == "joined":
            self._on |= bit
        elif self._on & bit and (code == "trip" or code == "state"):
            self._on &= ~bit
            if reason == Reason.OVERCURRENT:
                # The current that caused the ALERT flowed between two readings of the scan.
                self._sample_ring.add(i, self._snap.voltage_mv[i], value)
            if state != OFF:
                at = self._marked % MARKS * _MARK
                marks = self._marks
                marks[at] = i
                marks[at + 1] = reason
                marks[at + 2] = value
                marks[at + 3] = self._clock.ms()
                marks[at + 4] = self._snap.uptime_s
                self._marked += 1

    # Recording

    async def run(self):
        """Record every trip, for ever."""
        while True:
            await self._pause(_POLL_MS)
            if self._taken < self._marked:
                await self._record()
            elif self._copies and self._writable():
                await self._save(self._copies[0])

    def _writable(self):
        card = self._card
        return card.writable and card.state == READY and card.volume is not self._refusing

    async def _pause(self, ms: int):
        # Notes the count of the sample ring in each of the last seconds: its times repeat in 16 s.
        await asyncio.sleep_ms(ms)
        while self._counted_s < self._snap.uptime_s:
            self._counted_s += 1
            self._counts[self._counted_s % _BACK_S] = self._sample_ring.count

    async def _record(self):
        now_ms = self._clock.ms()
        self._start_ms = self._clock.add(now_ms, -_SPAN_MS)
        zero = (now_ms >> 3) - _SPAN_MS // STEP_MS & STEPS - 1
        record = Record(self.boot, self._taken + 1, [], zero)
        cursor = self._counts[(self._counted_s + 1) % _BACK_S]
        if self._writable():
            try:
                if await self._write(record, cursor):
                    return
            except OSError as error:
                self._fail(error)
        await self._keep(record, cursor)

    def _fail(self, error: OSError):
        # A file or folder in the way stays there until somebody takes the card out.
        if self._card.fail(error):
            self._refusing = self._card.volume

    async def _write(self, record: "Record", cursor: int):
        """Write a record, cut short if the card is to be unmounted; False when it was lost."""
        card = self._card
        losses = card.losses
        path = tripfile.free_path(record)
        await self._pause(0)
        with Opened(card, path, "wb") as file:
            await self._pause(0)
            self._filled = 0
            while self._collect(record) and card.writable:
                cursor = await self._append(file, cursor)
            end = self._sample_ring.count
            ring = self._sample_ring
            while ring.behind(cursor) > ring.behind(end) and card.writable:
                cursor = await self._append(file, cursor)
            file.write(self._block[: self._filled])
            file.write(tripfile.ending(record))
        return card.losses == losses and card.state == READY

    async def _append(self, file: "IO", cursor: int):
        """Take entries from the ring, and write them when they fill a block; the next cursor.

        Waits while a battery is beyond a limit, for a fifth of a second at most.
        """
        block = self._block
        wanted = (_BLOCK - self._filled + ENTRY - 1) // ENTRY
        cursor, piece = self._sample_ring.since(cursor, wanted)
        filled = self._filled + len(piece)
        block[self._filled : filled] = piece
        if filled < _BLOCK:
            self._filled = filled
            await self._pause(_POLL_MS)
            return cursor
        for _ in range(_CALM_MS // _BETWEEN_MS):
            if not self._trip_pending():
                break
            await self._pause(_BETWEEN_MS)
        # Whole blocks do not go through the buffer that all open files share.
        file.write(block[:_BLOCK])
        self._filled = filled - _BLOCK
        block[: self._filled] = block[_BLOCK:filled]
        await self._pause(_BETWEEN_MS)
        return cursor

    async def _keep(self, record: "Record", cursor: int):
        copies = []
        over = False
        while not over:
            growing = self._collect(record)
            while len(copies) < min(len(record.trips), COPIES):
                at = len(copies)
                copies.append(self._empty_copy(at))
                copies[at].begin(record, record.trips[at], record.number + at, cursor)
            over = not growing and all(copy.complete for copy in copies)
            fresh = False
            for copy in copies:
                fresh = copy.advance(self._sample_ring) or fresh
                await self._pause(0)
            if not fresh:
                await self._pause(_POLL_MS)
        self._copies += copies
        self.missed += len(record.trips) - len(copies)

    def _empty_copy(self, used: int):
        """A copy to fill, while `used` others are being filled; the oldest kept one goes."""
        if self._spare:
            return self._spare.pop()
        return self._copies.pop(0) if len(self._copies) + used == COPIES else Copy()

    def _collect(self, record: "Record"):
        """Add new trips to a record; False when it ends: AFTER_MS have passed since the last."""
        clock = self._clock
        age_ms = clock.diff(clock.ms(), self._start_ms)
        trips = record.trips
        while self._taken < self._marked and len(trips) < MARKS and age_ms < _LONGEST_MS:
            if self._marked - self._taken > MARKS:
                self.missed += 1
            else:
                at = self._taken % MARKS * _MARK
                i, reason, value, ms, uptime_s = self._marks[at : at + _MARK]
                at_ms = clock.diff(ms, self._start_ms)
                time = clock.iso(self._snap.uptime_s - uptime_s) or ""
                trips.append(Trip(i, reason, value, at_ms, uptime_s, time))
            self._taken += 1
        return age_ms - trips[-1].at_ms <= AFTER_MS

    async def _save(self, copy: "Copy"):
        """Move a copy from memory to the card."""
        card = self._card
        losses = card.losses
        try:
            with Opened(card, tripfile.free_path(copy.record), "wb") as file:
                entries = memoryview(copy.entries)
                for at in range(0, copy.size, _BLOCK):
                    file.write(entries[at : min(at + _BLOCK, copy.size)])
                    await self._pause(_BETWEEN_MS)
                file.write(tripfile.ending(copy.record))
        except OSError as error:
            self._fail(error)
            return
        if card.losses == losses and card.state == READY:
            self._copies.remove(copy)
            self._spare.append(copy)

    # Reading

    def records(self):
        """The complete records, newest first; yields None for one that is not.

        Raises:
            OSError: the card failed.
        """
        for copy in reversed(self._copies):
            yield copy.record
        if self._card.mounted:
            yield from tripfile.records()

    def find(self, boot: int, number: int) -> "tuple[Record, Iterable] | None":
        """The record with trip `number` of a boot: (record, its entries in pieces), or None.

        Raises:
            OSError: the card failed; also while the pieces are read.
        """
        for copy in self._copies:
            if copy.record.boot == boot and copy.record.number == number:
                return copy.record, copy.pieces()
        found = tripfile.find(boot, number) if self._card.mounted else None
        return found and (found[0], self._while_there(found[1]))

    def _while_there(self, pieces: "Iterable"):
        # An open file needs its volume; a card that was lost gives zeros.
        card = self._card
        volume = card.volume
        for piece in pieces:
            if not card.mounted or card.volume is not volume:
                raise OSError(errno.ENOENT)
            yield piece
