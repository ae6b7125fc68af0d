"""The SD card as a place for files: mounted at /sd, given up and taken back. Run by app.

Nothing here formats or repairs: a card that cannot be read may hold what somebody wants back.
"""

import asyncio
import errno
import os

from micropython import const

from parallelator.snapshot import RIG

FOLDER = "/sd"
_PERIOD_MS = const(5000)
_ENOSPC = const(28)  # MicroPython's, on every port; its `errno` lacks the name

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
        emit: function (code, i, state, reason, value) that records an event.

    Attributes:
        state: ABSENT, UNREADABLE (it answers, but not as it should), FOREIGN (no FAT file
            system), READY, or FULL (mounted, and no room is left to write).
        losses: how often a mounted card was lost.
        volume: the `VfsFat` mounted last; a file that is open on it needs it until it is closed.
    """

    def __init__(self, connect, emit):
        self._connect = connect
        self._emit = emit
        self._device = None
        self._leaving = False
        self.state = None
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
            os.umount(FOLDER)
            self.volume = None
        try:
            device = self._connect()
        except OSError as error:
            self.note(ABSENT if error.errno == errno.ENODEV else UNREADABLE)
            return
        try:
            volume = os.VfsFat(device)
            os.mount(volume, FOLDER)
        except OSError as error:
            self.note(FOREIGN if error.errno == errno.ENODEV else UNREADABLE)
            return
        self._device = device
        self.volume = volume
        self.note(READY)

    def fail(self, error):
        """Take note of an OSError that an access to a file under /sd ended with.

        Unless the card is only full, it is given up: files that are open on it can be closed, and
        write nothing any more.
        """
        if error.errno == _ENOSPC:
            self.note(FULL)
        elif self._device:
            self.unmount()
            self.losses += 1
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
        if state != self.state:
            self.state = state
            self._emit(state, RIG, 0, 0, self.losses)

    async def run(self):
        """Mount a card that comes, notice one that goes, for ever."""
        while True:
            await asyncio.sleep_ms(_PERIOD_MS)
            if not self._device:
                if not self._leaving:
                    self.mount()
                continue
            try:
                self._device.check()
            except OSError as error:
                self.fail(error)
