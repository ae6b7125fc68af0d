"""The SD card as a place for files: mounted at /sd, given up and taken back. Run by app.

Nothing here formats or repairs: a card that cannot be read may hold what somebody wants back.
"""

import asyncio
import errno
import os

import vfs
from micropython import const

from parallelator.snapshot import RIG

FOLDER = "/sd"
_PERIOD_MS = const(5000)
_LONGEST_WAIT = const(12)  # periods between two tries of a card that fails again and again
_PATIENCE = const(8)  # failures in a row until a period more is waited
_ENOSPC = const(28)  # MicroPython's, on every port; its `errno` lacks the name
_NO_ROOM = (_ENOSPC, errno.EACCES)  # in a file; for a new file or folder

ABSENT = "sd_absent"
UNREADABLE = "sd_unreadable"
FOREIGN = "sd_foreign"
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
            system), READY, or FULL (mounted, and no room is left to write). A card that failed
            is READY again once something was written to it.
        free, size: bytes at the last `measure`, None before.
        losses: how often a mounted card was lost.
        volume: the `VfsFat` mounted last; a file that is open on it needs it until it is closed.
    """

    def __init__(self, connect, snap: "Snapshot", emit, greet):
        self._connect = connect
        self._greet = greet
        self._snap = snap
        self._emit = emit
        self._device = None
        self._leaving = False
        self._failures = 0
        self.state = None
        self.free = self.size = None
        self.losses = 0
        self.volume = None

    @property
    def mounted(self):
        """True while files under /sd may be open; whoever has one closes it otherwise."""
        return self._device is not None and not self._leaving

    def mount(self):
        """Look for a card and mount it; waits 2 s at most, some 30 ms without a card."""
        if self.volume:
            # Only now: whoever had a file open on the card that was lost has closed it.
            vfs.umount(FOLDER)
            self.volume = None
        try:
            device = self._connect()
        except OSError as error:
            self.note(ABSENT if error.errno == errno.ENODEV else UNREADABLE)
            return
        try:
            volume = vfs.VfsFat(device)
            vfs.mount(volume, FOLDER)
        except OSError as error:
            self.note(FOREIGN if error.errno == errno.ENODEV else UNREADABLE)
            return
        self._device = device
        self.volume = volume
        if not self._failures:
            self.note(READY)
        try:
            self.measure()
            self._greet()
        except OSError as error:
            self.fail(error)

    def fail(self, error):
        """Take note of an OSError that an access to a file under /sd ended with.

        Unless the card is only full, it is given up: files that are open on it can be closed, and
        write nothing any more.
        """
        if error.errno in _NO_ROOM:
            self.note(FULL)
        elif self._device:
            self.unmount()
            self.losses += 1
            self._failures += 1
            self.note(UNREADABLE)

    def leave(self):
        """Ask for all files to be closed, for `unmount` half a second later."""
        self._leaving = True

    def unmount(self):
        """Take leave of the card before the controller restarts."""
        if self._device:
            self._device.detach()
            self._device = None

    def note(self, state):
        """Take over a state; a new one is an event."""
        if state != UNREADABLE:
            self._failures = 0
        if state != self.state:
            for alarm, active in ((self.state, False), (state, True)):
                if alarm is not None and alarm != READY:
                    self._snap.alarm(alarm, RIG, active)
            self.state = state
            self._emit(state, RIG, 0, 0, self.losses)

    def measure(self):
        """Look how large the card is and how much of it is free; returns the free bytes.

        Raises:
            OSError: it does not answer.
        """
        block, _, count, free = os.statvfs(FOLDER)[:4]
        self.size = block * count
        self.free = block * free
        return self.free

    async def run(self):
        """Mount a card that comes, notice one that goes, for ever.

        A card that fails again and again is tried every 5 s at first, every minute in the end.
        """
        waited = 0
        while True:
            await asyncio.sleep_ms(_PERIOD_MS)
            if not self._device:
                waited += 1
                wanted = min(1 + self._failures // _PATIENCE, _LONGEST_WAIT)
                if waited >= wanted and not self._leaving:
                    waited = 0
                    self.mount()
                continue
            try:
                self._device.check()
            except OSError as error:
                self.fail(error)


class Opened:
    """A file under /sd for a `with`. An error gives the card up before the file is closed.

    A file whose closing fails would stay open, so what is written is flushed before.

    Args:
        card: the `Card`; path, mode: as of `open`.
    """

    def __init__(self, card, path, mode):
        self._card = card
        self._file = open(path, mode)  # noqa: SIM115 - closed by __exit__

    def __enter__(self):
        return self._file

    def __exit__(self, kind, error, trace):
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


def make_folder(path):
    """Make a folder unless it is there; raises OSError when the card does not let us."""
    try:
        os.mkdir(path)
    except OSError as error:
        if error.errno != errno.EEXIST:
            raise
