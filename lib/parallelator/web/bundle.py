# SPDX-License-Identifier: GPL-3.0-only
"""Takes a bundle, piece by piece, into the slot that does not run. Used by update, imported late.

A bundle (tools/device/bundle.py makes one) is a line of JSON that says what it is; for each file
a line with path, size and SHA-256, then its bytes; and HMAC-SHA256 (RFC 2104) over all of that.
The manifest is the last file and gets its name when the HMAC is verified: until then boot.py does
not take the slot for an application.
"""

import asyncio
import errno
import hashlib
import os
import sys
from binascii import hexlify

from micropython import const

from parallelator import BOOT, VERSION, json_reader
from parallelator.json_error import JsonError

from . import calmly

MANIFEST = "manifest.json"
PRODUCT = "parallelator"
_FORMAT = const(1)
_STEP = const(512)
"""Bytes written or read in one go: an ESP32 writes them in 2 ms."""

_LINE = const(512)
_PATH = const(96)
_SEAL = const(32)
_SPARE_BLOCKS = const(8)
_FOLDER_BLOCKS = const(2)
_FOLDER = const(0x4000)
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./"
_CALM_MS = const(20)
_PATIENCE_MS = const(2000)


class Refused(Exception):
    """Why a bundle is not taken; `args`: HTTP status, code, message, and values by name."""


class Busy(Exception):
    """A battery is beyond a limit: nothing is written now. What came so far stays."""


class Receiver:
    """One bundle on its way.

    Args:
        slot: the folder that it goes to.
        key: bytes; pads: the two blocks of HMAC for it, `auth.pads(key)`.
        strained: function without arguments, True while flash must not be written.
        flash: as of `Pauses`.

    Attributes:
        version: of the bundle, once it is known.
        received: bytes taken so far; size: of all of it; ready: True when the HMAC is verified.
    """

    def __init__(
        self,
        slot: str,
        key: bytes,
        pads: tuple,
        strained: "Callable[[], bool]",
        flash: "Callable",
    ):
        self._slot = slot
        self._mark = fingerprint(key)
        self._outer = pads[1]
        self._seal = hashlib.sha256(pads[0])
        self._strained = strained
        self._flash = flash
        self._file = None
        self._entry = None
        self._left = 0
        self._files = 0
        self._rest = b""
        self.version = None
        self.received = 0
        self.size = 0
        self.ready = False

    async def offer(self, piece: bytes, size: int):
        """Judge a bundle by its first bytes; nothing changes.

        Args:
            piece: bytes with the whole first line; size: of the bundle, as its sender says.

        Raises:
            Refused: it is not for this rig, or there is no room for it.
        """
        end = piece.find(b"\n", 0, _LINE) + 1
        header = await _object(piece[:end])
        await asyncio.sleep_ms(0)
        judge(header, self._mark)
        await asyncio.sleep_ms(0)
        if size != end + header["size"]:
            raise _torn("it has %d of %d bytes" % (size, end + header["size"]))
        block, _, _, free = os.statvfs(os.getcwd())[:4]
        needed = header["blocks"] + _SPARE_BLOCKS
        free += await _held(self._slot, block)
        if needed > free:
            v, n = needed * block // 1024, free * block // 1024
            message = "The flash is too full: %d KB are needed, %d KB are free." % (v, n)
            raise Refused(507, "update_full", message, {"v": v, "n": n})
        self.version = header["version"]
        self.size = size
        self._files = header["files"]

    async def fill(self, piece: bytes):
        """Empty the slot and take the first bytes, which `offer` has judged.

        Raises:
            as `take`.
        """
        await self._clear(self._slot)
        end = piece.find(b"\n") + 1
        self._seal.update(piece[:end])
        self.received = end
        await self.take(piece[end:])

    async def take(self, piece: bytes):
        """Take the next bytes; the guard and others run in between.

        Raises:
            Refused: the bundle is damaged; Busy: as many as `received` says were taken; OSError.
        """
        view = memoryview(piece)
        at = 0
        while at < len(view):
            await self._calm()
            count = await self._use(view[at : at + _STEP])
            at += count
            self.received += count
            await asyncio.sleep_ms(0)

    def close(self):
        """Let go of a file that is being written and will not be finished."""
        file = self._file
        self._file = None
        try:
            if file:
                file.close()
        except OSError:
            return  # a flash that is full or broken: nobody needs the file

    async def _calm(self):
        for _ in range(_PATIENCE_MS // _CALM_MS):
            if not self._strained():
                return
            await asyncio.sleep_ms(_CALM_MS)
        raise Busy

    async def _use(self, view: memoryview):
        """Do one step with the first of these bytes; returns how many it took."""
        if self._entry:
            count = min(len(view), self._left)
            self._seal.update(view[:count])
            self._flash(lambda: self._file.write(view[:count]))
            self._left -= count
            if not self._left:
                await self._finish()
            return count
        data = bytes(view)
        if self._files:
            count = data.find(b"\n") + 1 or len(data)
            self._rest += data[:count]
            if len(self._rest) > _LINE:
                raise _torn("a line is too long")
            if self._rest.endswith(b"\n"):
                self._seal.update(self._rest)
                await self._open(await _object(self._rest))
                self._rest = b""
            return count
        self._rest += data[: _SEAL - len(self._rest)]
        if len(self._rest) == _SEAL:
            self._prove()
        return len(data)

    async def _open(self, entry: dict):
        path, size, digest = entry.get("path"), entry.get("size"), entry.get("sha256")
        if not (is_path(path) and isinstance(size, int) and size > 0 and isinstance(digest, str)):
            raise _torn("a file has no good name or size")
        self._files -= 1
        if (path == MANIFEST) != (self._files == 0):
            raise _torn("the manifest is not its last file")
        self._entry = entry
        self._left = size
        parts = ("%s/%s" % (self._slot, path)).split("/")
        for k in range(1, len(parts)):
            try:
                os.mkdir("/".join(parts[:k]))
            except OSError as error:
                if error.errno != errno.EEXIST:
                    raise error
            await asyncio.sleep_ms(0)
        self._file = self._flash(lambda: open(self._place(), "wb"))  # noqa: SIM115

    def _place(self):
        path = self._entry["path"]
        return "%s/%s%s" % (self._slot, path, ".new" if path == MANIFEST else "")

    async def _finish(self):
        """The file is whole: close it, and compare what the flash gives back."""
        self._flash(self._file.close)
        self._file = None
        found = hashlib.sha256()
        piece = memoryview(bytearray(_STEP))
        with open(self._place(), "rb") as file:
            count = file.readinto(piece)
            while count:
                found.update(piece[:count])
                await asyncio.sleep_ms(0)
                count = file.readinto(piece)
        if hexlify(found.digest()).decode() != self._entry["sha256"]:
            raise _torn(self._entry["path"])
        self._entry = None

    def _prove(self):
        outer = hashlib.sha256(self._outer)
        outer.update(self._seal.digest())
        difference = 0
        for a, b in zip(outer.digest(), self._rest):
            difference |= a ^ b
        if difference:
            message = "The seal of this bundle is wrong: it is damaged, or somebody forged it."
            raise Refused(422, "update_seal", message, {})
        os.rename("%s/%s.new" % (self._slot, MANIFEST), "%s/%s" % (self._slot, MANIFEST))
        self.ready = True

    async def _clear(self, folder: str):
        """Remove what is in a folder; the manifest goes first, so that nobody boots the rest."""
        entries = await _entries(folder)
        entries.sort(key=lambda entry: entry[0] != MANIFEST)
        for name, is_folder, _ in entries:
            path = "%s/%s" % (folder, name)
            if is_folder:
                await self._clear(path)
                os.rmdir(path)
            else:
                await self._calm()
                os.remove(path)
            await asyncio.sleep_ms(0)


def judge(header: dict, mark: str):
    """Refuse a bundle that is not for this rig, by its first line.

    Args:
        header: a dict; mark: the `fingerprint` of the rig's key.

    Raises:
        Refused
    """
    if header.get("product") != PRODUCT or header.get("format") != _FORMAT:
        raise _no_bundle()
    numbers = [header.get(name) for name in ("boot", "files", "blocks", "size")]
    version = _numbers(header.get("version"))
    if not version or not all(isinstance(number, int) and number > 0 for number in numbers):
        raise _no_bundle()
    if header.get("key") != mark:
        raise _foreign(str(header.get("key")), mark)
    kind = getattr(sys.implementation, "_mpy", 0)
    here = [kind & 0xFF, kind >> 10 & 0x0F]
    oldest = _numbers(header.get("micropython"))
    if header.get("mpy") != here or not () < oldest <= sys.implementation.version[:3]:
        needed = "MicroPython %s, .mpy %s" % (header.get("micropython"), header.get("mpy"))
        message = "This bundle is for another controller: it needs %s or newer; .mpy here is %s."
        raise Refused(422, "update_controller", message % (needed, here), {"v": needed})
    named = {"v": header["version"], "n": VERSION}
    if header["boot"] != BOOT:
        message = "Version %s needs another boot.py: bring it by cable, make deploy." % named["v"]
        raise Refused(422, "update_boot", message, named)
    if version < _numbers(VERSION):
        message = "Version %s is older than %s, which runs: older ones come by cable only."
        raise Refused(422, "update_old", message % (named["v"], VERSION), named)


def fingerprint(key: bytes):
    """Identifies a key without disclosing it: eight hexadecimal digits."""
    return hexlify(hashlib.sha256(b"parallelator update key " + key).digest()[:4]).decode()


def is_path(path: object):
    """True for a path that stays within the slot."""
    if not isinstance(path, str) or len(path) > _PATH:
        return False
    parts = path.split("/")
    return not path.strip(_LETTERS) and all(part and part[0] != "." for part in parts)


def _numbers(version: object):
    """(1, 2, 3) of "1.2.3", () when it is something else."""
    parts = version.split(".") if isinstance(version, str) else ()
    if len(parts) != 3 or not all(part.isdigit() and len(part) < 6 for part in parts):
        return ()
    return tuple(int(part) for part in parts)


async def _object(line: bytes):
    try:
        return await calmly(json_reader.reading_object(line, most_bytes=_LINE))
    except JsonError:
        raise _no_bundle()


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


def _no_bundle():
    message = "This is no bundle of Parallelator. Choose a file made by make bundle."
    return Refused(422, "update_format", message, {})


def _torn(what: str):
    message = "The bundle is damaged or cut short: %s. Copy it again." % what
    return Refused(422, "update_torn", message, {"v": what})


def _foreign(found: str, mark: str):
    message = (
        "This bundle was made with another key (%s, this rig has %s). Use one made where the rig "
        "was deployed, or deploy by cable."
    )
    return Refused(422, "update_foreign", message % (found, mark), {"v": found, "n": mark})
