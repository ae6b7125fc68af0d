# SPDX-License-Identifier: GPL-3.0-only
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
from parallelator.records.card import FOLDER, FULL, READY, Opened, make_folder
from parallelator.snapshot import BATTERIES, CHANNELS, RIG
from parallelator.wording import FURTHER_LOG, log_number

LOGS = FOLDER + "/log"
EVENTS = "events.csv"
FLUSH_S = const(10)
_POLL_MS = const(100)
_PACE_MS = const(20)  # the log can wait: those at the page go first
_ROWS_A_STEP = const(2)
_RETRY_MS = const(1000)
_FULL_MS = const(60000)
_MB = const(1048576)
_FILE = const(0x8000)
_MOST = const(2100000000)  # an event has 32 bits
_TIME_BYTES = const(20)
_LINK_BYTES = const(100)  # more than the last line of a log that says where it goes on
_EVENT_FIELDS = ("time", "uptime_ms", "severity", "code", "battery", "detail")


class Datalog:
    """The log of one rig.

    Args:
        card: a `Card`; snap: the `Snapshot`; clock: a `clock.Clock`; events: the `Events`.
        settings: mapping with the keys of `settings.TABLE`; what it says of the rig's name, zone
            and batteries may change.
        boot: number of this boot, 1 or more; describe: function (event) that returns its text.
        number: of the controller, a text: whose log it is.

    Attributes:
        name: of the file that is being written, None while there is none.
        number: as above. held: names of logs that somebody reads: they are not deleted meanwhile.
    """

    def __init__(
        self,
        card: "Card",
        snap: "Snapshot",
        clock: "Clock",
        events: "Events",
        settings: "Values",
        boot: int,
        describe: "Callable[[tuple], str]",
        number: str,
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
        self.number = number
        self._settings = settings
        self._next_event = 0
        self._due_s = self._interval_s
        self._own = None
        self._torn = False
        self._spared = None
        self.name = None
        self.held = []

    async def run(self):
        """Log while there is a card, for ever."""
        while True:
            pause_ms = _RETRY_MS
            try:
                if self._card.writable:
                    await self._log()
                elif self._card.state == FULL and self._card.mounted:
                    pause_ms = _FULL_MS
                    await self._delete_oldest()
            except OSError as error:
                if self._card.fail(error):
                    pause_ms = _FULL_MS
            self.name = None
            await asyncio.sleep_ms(pause_ms)

    async def _log(self):
        make_folder(LOGS)
        while self._card.writable:
            await self._write_file(self._day())

    async def _write_file(self, day: "str | None"):
        """Fill one file until its day is over, or the day gets known."""
        self._spared = None
        self.name = await self._choose(day)
        if day:
            await self._tell_future(int(day.replace("-", "")))
        with Opened(self._card, LOGS + "/" + self.name, "a") as file:
            if not file.tell():
                file.write(self._header() + "\n")
            elif self._torn:
                file.write("\n")
            file.flush()
            self._card.note(READY)
            await self._fill(file, day)
            if day is None and self._card.writable:
                link = (self._clock.iso(), self._snap.uptime_s * 1000, self._day())
                file.write("# %s is uptime_ms %d; goes on in %s.csv\n" % link)

    async def _fill(self, file: "IO", day: "str | None"):
        snap = self._snap
        flushed_s = snap.uptime_s
        told = False
        while self._day() == day and self._card.writable:
            late_s = snap.uptime_s - self._due_s
            if late_s >= 0:
                # Counted from the last due time, or a late sample would delay all that follow.
                self._due_s += (1 + late_s // self._interval_s) * self._interval_s
                for k, row in enumerate(self._sample()):
                    if k % _ROWS_A_STEP == 0:
                        await asyncio.sleep_ms(_PACE_MS)
                    file.write(row)
                if not told:
                    told = True
                    for line in self._about():
                        file.write(line)
                        await asyncio.sleep_ms(0)
            elif snap.uptime_s - flushed_s < FLUSH_S:
                await asyncio.sleep_ms(_POLL_MS)
                continue
            if snap.uptime_s - flushed_s >= FLUSH_S:
                now_s = snap.uptime_s
                file.flush()
                await asyncio.sleep_ms(_PACE_MS)
                if await self._write_events():
                    flushed_s = now_s
                await self._make_room()
                if self._card.writable:
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

    def _about(self):
        """Lines that tell whose rows these are, the zone of the rig, and what its batteries are
        called. They follow the first sample, for `beginning` looks at the second line."""
        values = self._settings
        whose = (values["time.zone"], self._boot, self.number, values["name"])
        yield "# times are UTC; zone %s; boot %d; rig %s; name %s\n" % whose
        for n in range(1, BATTERIES + 1):
            about = values["batteries.%d.id" % n], values["batteries.%d.label" % n]
            if any(about):
                yield "# battery %d; id %s; label %s\n" % ((n,) + about)

    def _sample(self):
        """Yields the rows of one sample, battery by battery; "" while a wide one grows."""
        snap = self._snap
        comma = self._comma
        begin = "%s%s%d" % (self._clock.iso() or "", comma, snap.uptime_s * 1000)
        wide = begin
        for i in range(BATTERIES):
            if self._wide:
                wide += comma + self._cells(i)
                yield ""
            elif snap.known_boards >> i // CHANNELS & 1:
                yield "%s%s%d%s%s\n" % (begin, comma, i + 1, comma, self._cells(i))
        if self._wide:
            yield wide + "\n"

    def _cells(self, i: int):
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
        """Write the new events until a sample is due; True when all are written."""
        event = self._events.after(self._next_event)
        if not event:
            return True
        try:
            opening = Opened(self._card, LOGS + "/" + EVENTS, "a")
        except OSError as error:
            if self._card.fail(error):
                return True  # the rows can be logged all the same
            raise
        with opening as file:
            if not file.tell():
                file.write(self._comma.join(_EVENT_FIELDS) + "\n")
            while event and self._snap.uptime_s < self._due_s:
                await asyncio.sleep_ms(_PACE_MS)
                if catalog.is_told(event[2], catalog.LOG):
                    text = self._describe(event)
                    await asyncio.sleep_ms(0)
                    file.write(self._event_row(event, text))
                self._next_event = event[0] + 1
                event = self._events.after(self._next_event)
        return not event

    def _event_row(self, event: tuple, text: str):
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

    async def _choose(self, day: "str | None"):
        """The name of the log to write: a new file, or one with this header that may go on.

        The log of a day goes on after a restart; one without a day only if this run began it.
        What cannot be written to, a folder or a protected file, is left as it is.
        """
        base = day or "boot-%04d" % self._boot
        name = base + ".csv"
        number = 1
        while exists(name) and not ((day or name == self._own) and self._fits(name)):
            await asyncio.sleep_ms(0)
            number += 1
            name = "%s-%d.csv" % (base, number)
        if not day:
            self._own = name
        return name

    def _fits(self, name: str):
        """True when a log has this header, or none; notes whether its last line is torn."""
        try:
            file = open(LOGS + "/" + name, "r+b")  # noqa: SIM115 - closed by the `with` below
        except OSError as error:
            if self._card.fail(error):
                return False
            raise
        with file:
            header = file.readline()
            self._torn = False
            if header:
                file.seek(-1, 2)
                self._torn = file.read(1) != b"\n"
        return header in (b"", (self._header() + "\n").encode())

    async def _tell_future(self, today: int):
        """Report the newest log that is dated after `today`: the clock was wrong then, or is."""
        newest = today
        for name in own_logs():
            if log_number(name) % FURTHER_LOG > newest % FURTHER_LOG:
                newest = log_number(name)
            await asyncio.sleep_ms(0)
        if newest != today:
            self._events.emit("log_future", RIG, 0, 0, newest % _MOST)

    async def _make_room(self):
        """Delete the oldest log when a count found less free than is to stay so.

        One at a time: the next count tells whether that was enough.
        """
        card = self._card
        free = card.free
        if free is None or free >= self._keep_free:
            return
        if card.counted >= self._keep_free:
            card.recount()  # `free` is no more than an estimate since the last count
        elif self._spared != card.counted:
            self._spared = card.counted
            await self._delete_oldest()

    async def _delete_oldest(self):
        """Delete the oldest log that can be deleted, and tell it.

        Not one that is written or read, nor one that somebody protected.
        """
        found = ("", 0, "")
        while True:
            found = await self._oldest(found)
            if not found:
                return
            try:
                os.remove(LOGS + "/" + found[2])
            except OSError as error:
                if self._card.fail(error):
                    continue
                raise
            self._events.emit("log_removed", RIG, 0, 0, found[1] % _MOST)
            self._card.recount()
            return

    async def _oldest(self, after: tuple):
        """The oldest log behind `after` that nobody writes or reads, None when there is none.

        Returns:
            tuple: when it begins, "" while that is not known or has not come yet; the number of
            its event; its name. These sort by age.
        """
        volume = self._card.volume  # what the iterator below points into must stay
        now = self._clock.iso() or "9"  # without a clock every log is in the past
        oldest = None
        for name in own_logs():
            if self._card.volume is not volume:
                return None
            if name != self.name and name not in self.held:
                begin = beginning(name)
                if begin is not None:
                    age = (begin if begin <= now else "", log_number(name), name)
                    if age > after and (not oldest or age < oldest):
                        oldest = age
            await asyncio.sleep_ms(0)
        return oldest


def own_logs():
    """The names of the files in the log folder that have the name of a log of the rig."""
    for entry in os.ilistdir(LOGS):
        if entry[1] == _FILE and log_number(entry[0]) is not None:
            yield entry[0]


def beginning(name: str):
    """When a log of the rig begins, as its rows tell it, or its last line: an ISO text.

    Returns:
        str or None: "" when it does not tell; None when it has not the header of a log.
    """
    with open(LOGS + "/" + name, "rb") as file:
        head = file.read(15)
        if head[:4] != b"time" or head[5:14] != b"uptime_ms":
            return None
        file.readline()
        time = file.read(_TIME_BYTES)
        if not b"0" <= time < b":":
            file.seek(max(file.seek(0, 2) - _LINK_BYTES, 0))
            time = file.read(_LINK_BYTES).split(b"\n# ")[-1][:_TIME_BYTES]
    return time.decode() if b"0" <= time < b":" else ""


def exists(name: str):
    """True when there is a file of this name in the log folder."""
    try:
        os.stat(LOGS + "/" + name)
    except OSError as error:
        if error.errno != errno.ENOENT:
            raise
        return False
    return True
