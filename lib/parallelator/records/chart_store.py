# SPDX-License-Identifier: GPL-3.0-only
"""Keeps the points of the 24 h chart on the SD card, and restores them. Run by app.

Records of 82 bytes, only ever appended: /sd/history/NNNNNN.bin holds 144 of them, two days, and
the last two files are kept.
"""

import asyncio
import os
import struct
from binascii import crc32

from micropython import const

from parallelator.records.card import FOLDER, READY, Opened, make_folder
from parallelator.records.history import POINT_BYTES

BOOKS = FOLDER + "/history"
RECORDS = const(144)
_HEAD = "<IHI"  # seconds since 1970 at the end of the point, 0 = unknown; boot; number
_HEAD_BYTES = const(10)
_RECORD = const(82)
_PERIOD_MS = const(4700)
_FORGOTTEN = const(4)  # points a step
_FILE = const(0x8000)


class ChartStore:
    """The files of one rig.

    Args:
        ring: the `history.Ring` to keep; card: a `Card`; clock: a `clock.Clock`;
        snap: the `Snapshot`; boot: number of this boot.
    """

    def __init__(self, ring: "Ring", card: "Card", clock: "Clock", snap: "Snapshot", boot: int):
        self._ring = ring
        self._card = card
        self._clock = clock
        self._snap = snap
        self._boot = boot & 0xFFFF
        self._record = bytearray(_RECORD)
        self._saved = 0
        self._restored = False
        self._dated = False

    async def run(self):
        """Restore once, again when the time gets known, and keep what is new, for ever."""
        while True:
            await asyncio.sleep_ms(_PERIOD_MS)
            if not self._card.writable:
                continue
            try:
                if not self._restored or not self._dated and self._clock.unix() is not None:
                    await self._restore()
                elif self._saved < self._ring.count and self._card.state == READY:
                    await self._save()
            except OSError as error:
                self._card.fail(error)

    # To the card

    async def _save(self):
        ring = self._ring
        losses = self._card.losses
        make_folder(BOOKS)
        with Opened(self._card, self._open_book(), "ab") as file:
            for k in range(max(self._saved, ring.count - ring.points), ring.count):
                self._fill(k)
                file.write(self._record)
                await asyncio.sleep_ms(0)
        if self._card.losses == losses:
            self._saved = k + 1

    def _fill(self, k: int):
        record = self._record
        end_s = (k + 1) * self._ring.step_s
        unix_s = self._clock.unix(self._snap.uptime_s - end_s) or 0
        struct.pack_into(_HEAD, record, 0, unix_s, self._boot, k)
        view = memoryview(record)
        self._ring.save(k, view[_HEAD_BYTES:])
        checked = _HEAD_BYTES + POINT_BYTES
        struct.pack_into("<I", record, checked, crc32(view[:checked]))

    def _open_book(self):
        """The path of the file to append to; one that is full or torn is left as it is."""
        names = _books()
        if names:
            size = os.stat(BOOKS + "/" + names[-1])[6]
            if size % _RECORD == 0 and size < RECORDS * _RECORD:
                return BOOKS + "/" + names[-1]
        while len(names) > 1:
            os.remove(BOOKS + "/" + names.pop(0))
        number = int(names[-1][:-4]) + 1 if names else 1
        return "%s/%06d.bin" % (BOOKS, number)

    # And back

    async def _restore(self):
        """Put the points of earlier boots where they belong, before the start of this one.

        While the present time or that of an earlier boot is unknown, the points of that boot are
        put right before those of the next one, with one unknown point between them.
        """
        ring = self._ring
        volume = self._card.volume  # noqa: F841 - the files are open on it
        unix_s = self._clock.unix()
        self._restored = True
        self._dated = unix_s is not None
        epoch_s = self._snap.uptime_s - unix_s if self._dated else None  # 1970 in our uptime
        for k in range(ring.count - ring.points, 0):
            ring.forget(k)
            if k % _FORGOTTEN == 0:
                await asyncio.sleep_ms(0)
        boot = None
        shift_s = None  # of that boot's start, in our uptime
        edge = 0
        heads = self._newest_first()
        for then_s, its_boot, number in heads:
            await asyncio.sleep_ms(0)
            if then_s is None or its_boot == self._boot:
                continue
            if its_boot != boot:
                boot = its_boot
                shift_s = None
            end_s = (number + 1) * ring.step_s
            # Once for each boot: its seconds are rounded, and no two points may get one place.
            if shift_s is None and then_s and epoch_s is not None:
                shift_s = then_s + epoch_s - end_s
            elif shift_s is None:
                shift_s = (edge - 1) * ring.step_s - end_s
            if then_s and epoch_s is None:
                epoch_s = shift_s + end_s - then_s
            k = (shift_s + end_s + ring.step_s // 2) // ring.step_s - 1
            if k < ring.count - ring.points:
                break
            if k < edge:
                ring.restore(k, memoryview(self._record)[_HEAD_BYTES:])
                edge = k
        heads.close()

    def _newest_first(self):
        """Read the records, newest first; yields their heads, (None, 0, 0) for a bad one."""
        record = self._record
        checked = _HEAD_BYTES + POINT_BYTES
        for name in reversed(_books()):
            with open(BOOKS + "/" + name, "rb") as file:
                for number in range(file.seek(0, 2) // _RECORD - 1, -1, -1):
                    file.seek(number * _RECORD)
                    file.readinto(record)
                    found = struct.unpack_from("<I", record, checked)[0]
                    good = found == crc32(memoryview(record)[:checked])
                    yield struct.unpack_from(_HEAD, record, 0) if good else (None, 0, 0)


def _books():
    try:
        return sorted(entry[0] for entry in os.ilistdir(BOOKS) if _is_book(entry))
    except OSError:
        return []


def _is_book(entry: tuple):
    name = entry[0]
    return entry[1] == _FILE and name[6:] == ".bin" and name[:6].isdigit()
