# SPDX-License-Identifier: GPL-3.0-only
"""Takes a bundle of files into the folder that does not run. Used by update, imported late.

The manifest is the last file and gets its name when the HMAC is verified: until then boot.py does
not take the folder for an application.
"""

import asyncio
import errno
import hashlib
import os
import sys

from micropython import const

from parallelator import BOOT

from .bundle import STEP, Refused, full, numbers, torn, wrong_controller

MANIFEST = "manifest.json"
_PATH = const(96)
_SPARE_BLOCKS = const(8)
_FOLDER_BLOCKS = const(2)
_FOLDER = const(0x4000)
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./"
_FULL = "The flash is too full: %d KB are needed, %d KB are free."


class Files:
    """The files of an application on their way into a folder; see `Receiver` for what it does.

    Args:
        slot: the folder; flash: as of `Pauses`.
    """

    KIND = "files"
    OTHERS = (
        "update_image",
        "This rig runs files and takes a bundle of files, this is one of an image: make flash "
        "brings that, by cable.",
    )

    def __init__(self, slot: str, flash: "Callable"):
        self.slot = slot
        self._flash = flash
        self._file = None
        self._path = ""

    def judge(self, header: dict):
        kind = getattr(sys.implementation, "_mpy", 0)
        here = [kind & 0xFF, kind >> 10 & 0x0F]
        oldest = numbers(header.get("micropython"))
        if header.get("mpy") != here or not () < oldest <= sys.implementation.version[:3]:
            needed = "MicroPython %s, .mpy %s" % (header.get("micropython"), header.get("mpy"))
            raise wrong_controller(needed, ".mpy %s" % here)
        if header.get("boot") != BOOT:
            version = header["version"]
            message = "Version %s needs another boot.py: bring it by cable, make deploy." % version
            raise Refused(422, "update_boot", message, {"v": version})

    async def check_room(self, blocks: int):
        block, _, _, free = os.statvfs(os.getcwd())[:4]
        blocks += _SPARE_BLOCKS
        free += await _held(self.slot, block)
        if blocks > free:
            raise full(_FULL, "update_full", blocks, free, block)

    async def begin(self, calm: "Callable[[], Awaitable]"):
        await self._clear(self.slot, calm)

    async def open(self, path: str, last: bool):
        if not is_path(path):
            raise torn("a file has no good name")
        if (path == MANIFEST) != last:
            raise torn("the manifest is not its last file")
        self._path = "%s/%s%s" % (self.slot, path, ".new" if path == MANIFEST else "")
        parts = self._path.split("/")
        for k in range(1, len(parts)):
            try:
                os.mkdir("/".join(parts[:k]))
            except OSError as error:
                if error.errno != errno.EEXIST:
                    raise error
            await asyncio.sleep_ms(0)
        self._file = self._flash(lambda: open(self._path, "wb"))  # noqa: SIM115

    def write(self, view: memoryview):
        self._flash(lambda: self._file.write(view))
        return len(view)

    async def read_back(self):
        self._flash(self._file.close)
        self._file = None
        found = hashlib.sha256()
        piece = memoryview(bytearray(STEP))
        with open(self._path, "rb") as file:
            count = file.readinto(piece)
            while count:
                found.update(piece[:count])
                await asyncio.sleep_ms(0)
                count = file.readinto(piece)
        return found.digest()

    def accept(self):
        os.rename("%s/%s.new" % (self.slot, MANIFEST), "%s/%s" % (self.slot, MANIFEST))

    def close(self):
        """Let go of a file that is being written and will not be finished."""
        file = self._file
        self._file = None
        try:
            if file:
                file.close()
        except OSError:
            return  # a flash that is full or broken: nobody needs the file

    async def _clear(self, folder: str, calm: "Callable[[], Awaitable]"):
        """Remove what is in a folder; the manifest goes first, so that nobody boots the rest."""
        entries = await _entries(folder)
        entries.sort(key=lambda entry: entry[0] != MANIFEST)
        for name, is_folder, _ in entries:
            path = "%s/%s" % (folder, name)
            if is_folder:
                await self._clear(path, calm)
                os.rmdir(path)
            else:
                await calm()
                os.remove(path)
            await asyncio.sleep_ms(0)


def is_path(path: object):
    """True for a path that stays within the slot."""
    if not isinstance(path, str) or len(path) > _PATH:
        return False
    parts = path.split("/")
    return not path.strip(_LETTERS) and all(part and part[0] != "." for part in parts)


async def _held(folder: str, block: int):
    """Blocks of flash that a folder takes."""
    blocks = _FOLDER_BLOCKS
    for name, is_folder, size in await _entries(folder):
        if is_folder:
            blocks += await _held("%s/%s" % (folder, name), block)
        else:
            blocks += -(-size // block) or 1
        await asyncio.sleep_ms(0)
    return blocks


async def _entries(folder: str):
    """(name, is it a folder, size) of what is in a folder; nothing when there is none."""
    found = []
    try:
        for entry in os.ilistdir(folder):
            found.append((entry[0], entry[1] == _FOLDER, entry[3] if len(entry) > 3 else 0))
            await asyncio.sleep_ms(0)
    except OSError as error:
        if error.errno != errno.ENOENT:
            raise error
    return found
