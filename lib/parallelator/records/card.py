# SPDX-License-Identifier: GPL-3.0-only
"""The SD card as a place for files: mounted at /sd, given up on errors, mounted anew. Run by app.

Nothing here formats or repairs: a card that cannot be read may hold what somebody wants back.
"""

import asyncio
import errno
import os

import vfs
from micropython import const

from parallelator.records.fatspace import BLOCK, FatSpace
from parallelator.snapshot import RIG

FOLDER = "/sd"
_PERIOD_MS = const(5000)
_LONGEST_WAIT = const(12)  # periods between two tries of a card that fails again and again
_PATIENCE = const(8)  # failures in a row until a period more is waited
_COUNT_MS = const(20)  # between two steps of a count
_CLOSE_MS = const(500)
_ENOSPC = const(28)  # MicroPython's, on every port; its `errno` lacks the name
_OBSTACLES = const(8)
_DIRECTORY = const(0x4000)

ABSENT = "sd_absent"
UNREADABLE = "sd_unreadable"
FOREIGN = "sd_foreign"
GPT = "sd_gpt"
READY = "sd_ready"
FULL = "sd_full"
"""States, each named as the event that tells of it."""


class Card:
    """The card of one rig.

    Args:
        connect: function without arguments that returns a fresh block device with `check` and
            `detach`, or raises OSError (ENODEV: there is no card).
        snap: the `Snapshot`, for the uptime.
        emit: function (code, i, state, reason, value) that records an event.
        greet: function without arguments, called with each card that was mounted.

    Attributes:
        state: ABSENT, UNREADABLE (it answers, but not as it should), FOREIGN (no FAT file
            system), GPT (another partition table than FatFs reads), READY, or FULL (mounted, and
            a write or a count found no room). A card that failed is READY again once something
            was written to it.
        size: bytes of the card, None before there was one.
        counted: bytes that the last count of the free clusters found, None before its end.
        writable: True while files under /sd may be open for writing; whoever has one closes it
            otherwise.
        losses: how often a mounted card was lost.
        obstacles: what lay in the way of a file or folder of the rig, since boot: tuples of what
            it is ("folder", "file", "read_only", "unmade": no room in its folder) and its path on
            the card. An event carries the index of one.
        volume: the `VfsFat` mounted last; a file that is open on it needs it until it is closed.
    """

    def __init__(
        self,
        connect: "Callable[[], SpiCard]",
        snap: "Snapshot",
        emit: "Emit",
        greet: "Callable[[], object]",
    ):
        self._connect = connect
        self._greet = greet
        self._snap = snap
        self._emit = emit
        self._device = None
        self._leaving = False
        self._failures = 0
        self._space: FatSpace = None  # pyright: ignore - until there was a card
        self._counting = None
        self._found = 0
        self._written = 0
        self._told = 0
        self.state = None
        self.size = None
        self.counted = None
        self.writable = False
        self.losses = 0
        self.obstacles = []
        self.volume = None

    @property
    def mounted(self):
        """True while files under /sd may be open for reading."""
        return self._device is not None and not self._leaving

    @property
    def free(self):
        """Bytes that are free at least, None while that is not known."""
        if self.counted is None:
            return None
        return max(self.counted - (self._space.written - self._written) * BLOCK, 0)

    def mount(self):
        """Look for a card and mount it for reading; `run` makes it writable.

        Waits 2 s at most, some 30 ms without a card.
        """
        self._detach_volume()
        try:
            device = self._connect()
            self._space = space = FatSpace(device, device.block)
        except OSError as error:
            self.note(ABSENT if error.errno == errno.ENODEV else UNREADABLE)
            return
        try:
            self.attach(space)
        except OSError as error:
            foreign = GPT if space.gpt else FOREIGN
            self.note(foreign if error.errno == errno.ENODEV else UNREADABLE)
            return
        self._device = device
        self._told = 0
        self._snap.alarm("card_blocked", RIG, False)
        self.size = device.ioctl(4, 0) * BLOCK
        if not self._failures:
            self.note(READY)
        try:
            self._greet()
        except OSError as error:
            self.fail(error)

    def attach(self, space: "FatSpace"):
        """Mount the volume in the place of the one before; raises OSError as `vfs.mount` does.

        No file may be open on that one.
        """
        self._detach_volume()
        volume = vfs.VfsFat(space)  # pyright: ignore - it has the methods of a block device
        vfs.mount(volume, FOLDER)
        self.volume = volume

    def _detach_volume(self):
        if self.volume:
            vfs.umount(FOLDER)
            self.volume = None

    def fail(self, error: OSError):
        """Take note of an OSError that an access to a file under /sd ended with.

        A card that is full is not written to until there is room again. What lies in the way of a
        file is reported. After any other error the card is given up: files that are open on it
        can be closed, and write nothing any more.

        Args:
            error: of `Opened` and `make_folder` it carries the path of what lies in the way.

        Returns:
            bool: True when other files on the card can be written all the same.
        """
        if not self._device:
            return False
        if error.errno == _ENOSPC:
            self.writable = False
            self.note(FULL)
        elif error.errno in (errno.EACCES, errno.EEXIST, errno.EISDIR, errno.ENOENT):
            if len(error.args) > 1:
                self._tell_obstacle(error)
            return True
        else:
            self.unmount()
            self.losses += 1
            self._failures += 1
            self.note(UNREADABLE)
        return False

    def _tell_obstacle(self, error: OSError):
        found = (obstacle(*error.args), error.args[1][len(FOLDER) + 1 :])
        if found not in self.obstacles:
            if len(self.obstacles) == _OBSTACLES:
                return  # no more than these are reported
            self.obstacles.append(found)
        place = self.obstacles.index(found)
        if not self._told >> place & 1:
            self._told |= 1 << place
            self._snap.alarm("card_blocked", RIG, True)
            self._emit("card_blocked", RIG, 0, 0, place)

    def present_obstacles(self):
        """Those of `obstacles` that are on this card."""
        return [found for k, found in enumerate(self.obstacles) if self._told >> k & 1]

    def leave(self):
        """Ask for all files to be closed, for `unmount` half a second later."""
        self._leaving = True
        self.writable = False
        self._counting = None

    def unmount(self):
        """Stop using the card, before the controller restarts."""
        self.writable = False
        self.counted = self._counting = None
        if self._device:
            self._device.detach()
            self._device = None

    def note(self, state: str):
        """Set the state; a new one is an event."""
        if state != UNREADABLE:
            self._failures = 0
        if state != self.state:
            for alarm, active in ((self.state, False), (state, True)):
                if alarm is not None and alarm != READY:
                    self._snap.alarm(alarm, RIG, active)
            self.state = state
            self._emit(state, RIG, 0, 0, self.losses)

    def recount(self):
        """Count the free clusters anew: something was deleted, or much was written."""
        self.counted = None
        if self.mounted and self._space.cluster:
            self._counting = self._space.counting()
            self._found = 0
            self._written = self._space.written

    async def run(self):
        """Mount a card that comes, make it writable, notice one that goes, for ever.

        A card that fails again and again is tried every 5 s at first, every minute in the end.
        """
        waited = 0
        while True:
            try:
                if self.mounted and not self.writable:
                    await self._prepare()
                await self._count(_PERIOD_MS)
                if self._device:
                    self._device.check()
            except OSError as error:
                self.fail(error)
            waited += 1
            wanted = min(1 + self._failures // _PATIENCE, _LONGEST_WAIT)
            if not self._device and waited >= wanted and not self._leaving:
                waited = 0
                self.mount()

    async def _prepare(self):
        """Find room in steps, then mount the volume anew, so that FatFs begins to look there."""
        full = self.state == FULL
        if full:
            await asyncio.sleep_ms(_CLOSE_MS)
        self.recount()
        counting = self._counting
        if counting:
            while not self._found and self._go_on(counting):
                await asyncio.sleep_ms(_COUNT_MS if full else 0)
                if self._counting is not counting:
                    return
            if not self._found:
                self.note(FULL)
                return
        self.attach(self._space)
        self.writable = True

    async def _count(self, ms: int):
        """Wait for `ms`; meanwhile go on with the count of the free clusters, if there is one."""
        while ms > 0:
            counting = self._counting
            pause = _COUNT_MS if counting and self._go_on(counting) else ms
            await asyncio.sleep_ms(pause)
            ms -= pause

    def _go_on(self, counting: "Generator"):
        """Do one step of the count; False at its end."""
        try:
            self._found = next(counting)
        except StopIteration:
            self._counting = None
            self.counted = self._found * self._space.cluster
            return False
        return True


class Opened:
    """A file under /sd for a `with`. An error gives the card up before the file is closed.

    A file whose closing fails would stay open, so what is written is flushed before.

    Args:
        card: the `Card`; path, mode: as of `open`.

    Raises:
        OSError: it cannot be opened; the error carries the path as well.
    """

    def __init__(self, card: "Card", path: str, mode: str):
        self._card = card
        try:
            self._file = open(path, mode)  # noqa: SIM115 - closed by __exit__
        except OSError as error:
            raise OSError(error.errno, path)

    def __enter__(self):
        return self._file

    def __exit__(self, kind: "type | None", error: "BaseException | None", trace: object):
        try:
            if kind is None:
                self._file.flush()
        except OSError as failed:
            self._card.fail(failed)
            raise
        finally:
            if isinstance(error, OSError):
                self._card.fail(error)
            self._file.close()


def make_folder(path: str):
    """Make a folder unless it is there; raises OSError, with the path, if the card refuses."""
    try:
        os.mkdir(path)
    except OSError as error:
        if error.errno != errno.EEXIST or not os.stat(path)[0] & _DIRECTORY:
            raise OSError(error.errno, path)


def obstacle(code: int, path: str):
    """What lies at `path`, of which opening or making ended with the errno `code`: see `Card`."""
    try:
        if os.stat(path)[0] & _DIRECTORY:
            return "folder"
    except OSError:
        return "unmade"
    return "file" if code == errno.EEXIST else "read_only"
