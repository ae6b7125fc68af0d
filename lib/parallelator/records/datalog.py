"""Writes samples of all batteries, and the events, to files on the SD card. Run by app.

A file is only ever appended to. FatFs collects rows into whole blocks of 512 bytes; what a power
cut may lose are the rows since the last flush.
"""

import asyncio
import errno
import os

from micropython import const

from parallelator import catalog
from parallelator.catalog import ABSENT
from parallelator.records.card import FOLDER, FULL, READY, make_folder
from parallelator.snapshot import BATTERIES, CHANNELS, RIG

LOGS = FOLDER + "/log"
EVENTS = "events.csv"
FLUSH_S = const(10)
_POLL_MS = const(100)
_RETRY_MS = const(1000)
_FULL_MS = const(60000)
_MB = const(1048576)
_EVENT_FIELDS = ("time", "uptime_ms", "severity", "code", "battery", "detail")


class Datalog:
    """The log of one rig.

    Args:
        card: a `Card`; snap: the `Snapshot`; clock: a `clock.Clock`; events: the `Events`.
        settings: mapping with the keys `log.*` of `settings.TABLE`.
        boot: number of this boot, 1 or more; describe: function (event) that returns its text.

    Attributes:
        name: of the file that is being written, None while there is none.
        held: names of logs that somebody reads: they are not deleted meanwhile.
    """

    def __init__(
        self, card, snap: "Snapshot", clock: "Clock", events: "Events", settings, boot, describe
    ):
        self._card = card
        self._snap = snap
        self._clock = clock
        self._events = events
        self._interval_s = settings["log.interval_s"]
        self._wide = settings["log.layout"] == "wide"
        self._comma = settings["log.separator"]
        self._keep_free = settings["log.keep_free_mb"] * _MB
        self._boot = boot
        self._describe = describe
        self._next_event = 0
        self._due_s = self._interval_s
        self._own = None
        self._torn = False
        self.name = None
        self.held = []

    async def run(self):
        """Log while there is a card, for ever."""
        while True:
            if not self._card.mounted:
                await asyncio.sleep_ms(_RETRY_MS)
                continue
            try:
                await self._log()
            except OSError as error:
                self._card.fail(error)
            self.name = None
            await asyncio.sleep_ms(_FULL_MS if self._card.state == FULL else _RETRY_MS)

    async def _log(self):
        make_folder(LOGS)
        while self._card.mounted:
            await self._write_file(self._day())

    async def _write_file(self, day):
        """Fill one file until its day is over, or the day gets known."""
        self.name = self._choose(day)
        roomy = await self._make_room()
        with open(LOGS + "/" + self.name, "a") as file:
            try:
                if not file.tell():
                    file.write(self._header() + "\n")
                elif self._torn:
                    file.write("\n")
                file.flush()
                if roomy:
                    self._card.note(READY)
                await self._fill(file, day)
                if day is None and self._card.mounted:
                    link = (self._clock.iso(), self._snap.uptime_s * 1000, self._day())
                    file.write("# %s is uptime_ms %d; goes on in %s.csv\n" % link)
                file.flush()
            except OSError as error:
                # Before the file is closed, which must not fail: it would stay open.
                self._card.fail(error)
                raise

    async def _fill(self, file, day):
        snap = self._snap
        flushed_s = snap.uptime_s
        while self._day() == day and self._card.mounted:
            late_s = snap.uptime_s - self._due_s
            if late_s >= 0:
                # From due time to due time, or a late sample would delay all that follow.
                self._due_s += (1 + late_s // self._interval_s) * self._interval_s
                for row in await self._sample():
                    file.write(row)
                    await asyncio.sleep_ms(0)
            elif snap.uptime_s - flushed_s < FLUSH_S:
                await asyncio.sleep_ms(_POLL_MS)
                continue
            if snap.uptime_s - flushed_s >= FLUSH_S:
                flushed_s = snap.uptime_s
                file.flush()
                await asyncio.sleep_ms(0)
                await self._write_events()
                if await self._make_room():
                    self._card.note(READY)

    # Rows

    def _header(self):
        names = ["time", "uptime_ms"]
        if self._wide:
            for n in range(1, BATTERIES + 1):
                names += ["%s_%d" % (column, n) for column in catalog.names(catalog.LOG_COLUMNS)]
        else:
            names += ["battery"] + catalog.names(catalog.LOG_COLUMNS)
        return self._comma.join(names)

    async def _sample(self):
        """The rows of one sample, as a list of lines."""
        snap = self._snap
        comma = self._comma
        begin = "%s%s%d" % (self._clock.iso() or "", comma, snap.uptime_s * 1000)
        rows = []
        wide = begin
        await asyncio.sleep_ms(0)
        for i in range(BATTERIES):
            if self._wide:
                wide += comma + self._cells(i)
            elif snap.known_boards >> i // CHANNELS & 1:
                rows.append("%s%s%d%s%s\n" % (begin, comma, i + 1, comma, self._cells(i)))
            await asyncio.sleep_ms(0)
        return [wide + "\n"] if self._wide else rows

    def _cells(self, i):
        # As LOG_COLUMNS; what is not known stays empty.
        snap = self._snap
        known = catalog.ALWAYS
        if snap.valid[i]:
            known = catalog.READ
        elif snap.state[i] != ABSENT:
            known = catalog.THERE
        cells = []
        for name, needs, lowest, highest in catalog.LOG_COLUMNS:
            value = getattr(snap, name)[i]
            if known < needs or not lowest <= value <= highest:
                cells.append("")
            else:
                cells.append(catalog.state_name(value) if name == "state" else str(value))
        return self._comma.join(cells)

    async def _write_events(self):
        event = self._events.after(self._next_event)
        if not event:
            return
        with open(LOGS + "/" + EVENTS, "a") as file:
            try:
                if not file.tell():
                    file.write(self._comma.join(_EVENT_FIELDS) + "\n")
                while event:
                    await asyncio.sleep_ms(0)
                    if catalog.is_told(event[2], catalog.LOG):
                        text = self._describe(event)
                        await asyncio.sleep_ms(0)
                        file.write(self._event_row(event, text))
                    self._next_event = event[0] + 1
                    event = self._events.after(self._next_event)
                file.flush()
            except OSError as error:
                self._card.fail(error)
                raise

    def _event_row(self, event, text):
        uptime_s, code, i = event[1:4]
        return self._comma.join(
            (
                self._clock.stamp(event[8]) or "",
                str(uptime_s * 1000),
                catalog.severity(code),
                code,
                "" if i == RIG else str(i + 1),
                '"%s"\n' % text.replace('"', "'"),
            )
        )

    # Files

    def _day(self):
        now = self._clock.iso()
        return now and now[:10]

    def _choose(self, day):
        """The name of the log to write: a new file, or one with this header that may go on.

        The log of a day goes on after a restart; one without a day only if this run began it.
        """
        base = day or "boot-%04d" % self._boot
        name = base + ".csv"
        number = 1
        while exists(name) and not ((day or name == self._own) and self._fits(name)):
            number += 1
            name = "%s-%d.csv" % (base, number)
        if not day:
            self._own = name
        return name

    def _fits(self, name):
        """True when a log has this header, or none; sees whether its end is torn."""
        with open(LOGS + "/" + name, "rb") as file:
            header = file.readline()
            self._torn = False
            if header:
                file.seek(-1, 2)
                self._torn = file.read(1) != b"\n"
        return header in (b"", (self._header() + "\n").encode())

    async def _make_room(self):
        """Delete the oldest logs until enough is free; those of an unknown day go first.

        Returns:
            bool: False when not enough is free and no log is left to delete.
        """
        # The file system may believe in room that a write did not find.
        squeezed = self._card.state == FULL
        while self._card.measure() < self._keep_free or squeezed:
            squeezed = False
            name = await self._oldest()
            if not name:
                break
            os.remove(LOGS + "/" + name)
        roomy = self._card.free >= self._keep_free
        if not roomy:
            self._card.note(FULL)
        return roomy

    async def _oldest(self):
        """The oldest log that nobody writes or reads, None when there is none."""
        oldest = None
        for entry in os.ilistdir(LOGS):
            name = entry[0]
            if name != self.name and name not in self.held and is_log(name):
                age = (not name.startswith("boot-"), name)
                if not oldest or age < oldest:
                    oldest = age
            await asyncio.sleep_ms(0)
        return oldest and oldest[1]


def is_log(name):
    """True for what the log folder calls a log: not the events, no folder, no other file."""
    return name.endswith(".csv") and name != EVENTS


def exists(name):
    """True when there is a file of this name in the log folder."""
    try:
        os.stat(LOGS + "/" + name)
    except OSError as error:
        if error.errno != errno.ENOENT:
            raise
        return False
    return True
