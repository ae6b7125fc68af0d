# SPDX-License-Identifier: GPL-3.0-only
"""Keeps ampere-hours, hours and switchings of each battery across reboots. Run by app.

Once a minute of uptime, when something changed, a record goes to the SD card, so a power cut costs
a minute at most. Without a card it goes to the flash every ten minutes, with one every six hours,
and before a restart that was asked for.

The wear: on the card a block and its directory entry, 1440 times a day at most; a day's log
of 16 batteries writes some 140000 blocks. In the flash a record takes 15 of the 126 entries of a
page of NVS, and the usual 24 KB have five pages that take turns. So 4 records a day with a card,
144 without, make at most 3 erases of each sector a day, and a sector stands 100000. An erase stops
the controller for 45 to 400 ms, so there is none while any battery is beyond a limit.

On the card two files take turns, each one block that is written in place: whatever a power cut
spoils, the other one is whole. Their names carry the controller's own number, so that a card can
be used in several rigs.
"""

import asyncio
import struct
from binascii import crc32

from micropython import const

from parallelator.records import fatfile
from parallelator.records.card import FOLDER, Opened, make_folder
from parallelator.snapshot import BATTERIES

PLACE = FOLDER + "/counters"
_KEY = "counters"
_MAGIC = const(0x31637041)
_HEAD = const(12)  # magic, run, number within the run
_FIELD = const(64)  # sixteen words
_SUM_AT = const(396)  # after head and six fields
_SIZE = const(400)
_PERIOD_S = const(60)
_FIRST_S = const(35)  # between two flushes of the log, so that the card has time for each
_FLASH_S = const(600)
_FLASH_WITH_CARD_S = const(21600)
_PATIENCE = const(3)
_POLL_MS = const(1000)
_MAH = const(3600000)
"""One mAh in mA*ms."""


class Counters:
    """The counters of one rig.

    A record carries the number of the run that wrote it, one more than that of any it has seen,
    and its number within the run: the greatest is the newest.

    Args:
        snap: the `Snapshot`; card: the `Card`; store: a `Storage` or its like.
        owner: text that tells this controller from others, fit for a file name.
        spares_flash: as of `Rig`. A write to the flash waits while it is True, for at most three
            times the usual interval.
    """

    def __init__(
        self,
        snap: "Snapshot",
        card: "Card",
        store: "Storage",
        owner: str,
        spares_flash: "Callable[[], bool]",
    ):
        self._snap = snap
        self._card = card
        self._store = store
        self._spares_flash = spares_flash
        self._fields = (
            snap.discharge_mah,
            snap.discharge_rest,
            snap.charge_mah,
            snap.charge_rest,
            snap.on_s,
            snap.switchings,
        )
        self._paths = ["%s/%s-%d.bin" % (PLACE, owner, k) for k in (0, 1)]
        self._base = bytearray(_SIZE)
        self._saved = 0
        self._losses = -1
        self._saved_s = _FIRST_S - _PERIOD_S
        self._flash_s = 0
        self._run = 1
        self._number = 0
        self._slot = 0
        self._met = False
        self._restored = False

    def restore(self):
        """Take over the newest record, before the guard starts. Without that nothing is saved."""
        self._restored = True
        record = bytearray(_SIZE)
        try:
            self._store.get_blob(_KEY, record)
            if _valid(record):
                self._adopt(record)
            else:
                self._store.fault()
        except OSError:
            pass  # there is none, or the storage has reported a fault
        if self._card.mounted:
            self._meet()

    def _meet(self):
        """Look at the records of the first card of this run.

        A card that is inserted only now may have a newer record than the flash had at boot: then
        the difference is added.
        """
        self._met = True
        record = bytearray(_SIZE)
        for slot in (0, 1):
            try:
                with open(self._paths[slot], "rb") as file:
                    size = file.readinto(record)
            except OSError:
                continue  # missing or damaged: the other one counts
            if size == _SIZE and _valid(record) and _age(record) > _age(self._base):
                self._adopt(record)
                self._slot = 1 - slot
        self._base = bytearray()  # no other card is met

    def _adopt(self, record: bytearray):
        at = _HEAD
        for words in self._fields:
            for i in range(BATTERIES):
                ahead = struct.unpack_from("<i", record, at)[0]
                words[i] += ahead - struct.unpack_from("<i", self._base, at)[0]
                at += 4
        snap = self._snap
        for i in range(BATTERIES):
            snap.discharge_mah[i] += snap.discharge_rest[i] // _MAH
            snap.discharge_rest[i] %= _MAH
            snap.charge_mah[i] += snap.charge_rest[i] // _MAH
            snap.charge_rest[i] %= _MAH
        self._base[:] = record
        self._run = max(self._run, _age(record)[0] + 1)

    def save(self, last: bool = False):
        """Save the counters where it is time to: on the card, in the flash.

        Args:
            last: True before a restart: both, whatever the time.
        """
        now_s = self._snap.uptime_s
        if self._restored and (last or now_s - self._saved_s >= _PERIOD_S):
            self._saved_s = now_s
            on_card = self._card.writable and self._save_on_card()
            wait_s = _FLASH_WITH_CARD_S if on_card else _FLASH_S
            if self._spares_flash() and not last:
                wait_s *= _PATIENCE
            if last or now_s - self._flash_s >= wait_s:
                self._flash_s = now_s
                record = self._fill()
                try:
                    self._store.set_blob(_KEY, record)
                    self._store.commit()
                except OSError:
                    pass  # the storage has reported it

    def _save_on_card(self):
        """True when the card holds the present record."""
        if not self._met:
            self._meet()
        record = self._fill()
        # Compared by its checksum: a copy to compare with would take 400 bytes.
        counted = crc32(record[_HEAD:_SUM_AT])
        if counted == self._saved and self._card.losses == self._losses:
            return True
        path = self._paths[self._slot]
        try:
            make_folder(PLACE)
            # A file that is there is overwritten, so that no new block is allocated.
            with Opened(self._card, path, "r+b" if fatfile.there(path) else "wb") as file:
                file.write(record)
        except OSError as error:
            self._card.fail(error)
            return False
        self._slot = 1 - self._slot
        self._saved = counted
        self._losses = self._card.losses
        return True

    def _fill(self):
        record = bytearray(_SIZE)
        self._number += 1
        struct.pack_into("<III", record, 0, _MAGIC, self._run, self._number)
        at = _HEAD
        for words in self._fields:
            record[at : at + _FIELD] = bytes(words)
            at += _FIELD
        struct.pack_into("<I", record, _SUM_AT, crc32(record[:_SUM_AT]))
        return record

    async def run(self):
        """Save when it is time to, for ever."""
        while True:
            self.save()
            await asyncio.sleep_ms(_POLL_MS)


def _valid(record: bytearray):
    magic = struct.unpack_from("<I", record, 0)[0]
    return magic == _MAGIC and struct.unpack_from("<I", record, _SUM_AT)[0] == crc32(
        record[:_SUM_AT]
    )


def _age(record: bytearray):
    return struct.unpack_from("<II", record, 4)
