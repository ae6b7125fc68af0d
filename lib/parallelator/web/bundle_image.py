# SPDX-License-Identifier: GPL-3.0-only
"""Takes a bundle of an image into the partition that does not run. Used by update, imported late.

The boot loader of the chip takes no notice of it before `Partition.set_boot`, which main.py asks
for when every switch is open. A block of 4 KB is erased in one step and written in others of 512
bytes: the first keeps both cores for 45 to 400 ms, the others for 2.
"""

import hashlib
import sys

from esp32 import Partition
from micropython import const

from .bundle import STEP, Refused, full, torn, wrong_controller

PATH = "image"
_ERASE = const(6)
_BLOCK = const(4096)
_FULL = "The image takes %d KB, a partition of this rig has %d KB. Bring it by cable, make flash."


class Image:
    """An image on its way into a partition; see `Receiver` for what it does.

    Args:
        flash: as of `Pauses`.

    Raises:
        Refused: the controller has one partition only.
    """

    KIND = "image"
    OTHERS = (
        "update_files",
        "This rig runs an image and takes a bundle of an image, this is one of files. Choose the "
        "one of the image.",
    )

    def __init__(self, flash: "Callable"):
        try:
            self._partition = Partition(Partition.RUNNING).get_next_update()
        except OSError:
            message = "The controller has no second partition for images: make flash brings it."
            raise Refused(409, "update_slot", message, {})
        self.slot = self._partition.info()[4]
        self._flash = flash
        self._at = 0
        self._erased = 0
        self._found = hashlib.sha256()
        self._copy = bytearray(STEP)

    def judge(self, header: dict):
        here = "ESP32-S3" if "ESP32S3" in sys.implementation._machine else "ESP32"
        if header.get("chip") != here:
            raise wrong_controller(str(header.get("chip")), here)

    async def check_room(self, blocks: int):
        room = self._partition.info()[3] // _BLOCK
        if blocks > room:
            raise full(_FULL, "update_large", blocks, room, _BLOCK)

    async def begin(self, calm: "Callable[[], Awaitable]"):
        pass  # the boot loader does not look at it; blocks are erased one by one

    async def open(self, path: str, last: bool):
        if path != PATH or not last:
            raise torn("an image is one file")

    def write(self, view: memoryview):
        """Erase the next block, or write into the one that is erased, and read that back."""
        partition, at = self._partition, self._at
        if at == self._erased:
            self._flash(lambda: partition.ioctl(_ERASE, at // _BLOCK))
            self._erased += _BLOCK
            return 0
        view = view[: self._erased - at]
        place = at // _BLOCK, at % _BLOCK
        self._flash(lambda: partition.writeblocks(place[0], view, place[1]))
        copy = memoryview(self._copy)[: len(view)]
        partition.readblocks(place[0], copy, place[1])
        self._found.update(copy)
        self._at += len(view)
        return len(view)

    async def read_back(self):
        return self._found.digest()

    def accept(self):
        pass

    def close(self):
        pass
