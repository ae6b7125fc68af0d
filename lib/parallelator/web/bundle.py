# SPDX-License-Identifier: GPL-3.0-only
"""Takes a bundle, piece by piece, into the slot that does not run. Used by update, imported late.

A bundle (tools/device/bundle.py makes one) is a line of JSON that says what it is; for each file
a line with path, size and SHA-256, then its bytes; and HMAC-SHA256 (RFC 2104) over all of that.
There are two kinds: one of the files of the application, see bundle_files, and one of an image,
which is its only file, see bundle_image.
"""

import asyncio
import hashlib
from binascii import hexlify

from micropython import const

from parallelator import VERSION, json_reader
from parallelator.json_error import JsonError

from . import calmly

PRODUCT = "parallelator"
_FORMAT = const(1)
STEP = const(512)
"""Bytes written or read in one go: an ESP32 writes them in 2 ms."""

_LINE = const(512)
_SEAL = const(32)
_CALM_MS = const(20)
_PATIENCE_MS = const(2000)


class Refused(Exception):
    """Why a bundle is not taken; `args`: HTTP status, code, message, and values by name."""


class Busy(Exception):
    """A battery is beyond a limit: nothing is written now. What came so far stays."""


class Receiver:
    """One bundle on its way.

    Args:
        target: where it goes, a `Files` or an `Image`. Both have

            - `KIND`, as the first line of a bundle names it, and `OTHERS`, code and message for
              one of another kind; `slot`, the folder or partition;
            - `judge(header)` and `check_room(blocks)`, which raise Refused while nothing has
              changed;
            - `begin(calm)`, which makes room; `open(path, last)` for each file; `write(view)`,
              which does one step and returns how many bytes it took; `read_back()`, the SHA-256 of
              what the flash has of the file; `accept()`, what waits for the seal to be right;
              `close()`, which lets go of what will not be finished.
        key: bytes; pads: the two blocks of HMAC for it, `auth.pads(key)`.
        strained: function without arguments, True while flash must not be written.

    Attributes:
        target: as above.
        version: of the bundle, once it is known.
        received: bytes taken so far; size: of all of it; ready: True when the HMAC is verified.
    """

    def __init__(
        self,
        target: "Files | Image",
        key: bytes,
        pads: tuple,
        strained: "Callable[[], bool]",
    ):
        self.target = target
        self._mark = fingerprint(key)
        self._outer = pads[1]
        self._seal = hashlib.sha256(pads[0])
        self._strained = strained
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
        self._judge_origin(header)
        self.target.judge(header)
        _judge_version(header["version"])
        await asyncio.sleep_ms(0)
        if size != end + header["size"]:
            raise torn("it has %d of %d bytes" % (size, end + header["size"]))
        await self.target.check_room(header["blocks"])
        self.version = header["version"]
        self.size = size
        self._files = header["files"]

    def _judge_origin(self, header: dict):
        """Refuse what is no bundle, one of another kind, and one with another key."""
        if header.get("product") != PRODUCT or header.get("format") != _FORMAT:
            raise no_bundle()
        whole = [header.get(name) for name in ("files", "blocks", "size")]
        if not numbers(header.get("version")) or not all(
            isinstance(number, int) and number > 0 for number in whole
        ):
            raise no_bundle()
        if header.get("kind") != self.target.KIND:
            raise Refused(422, *self.target.OTHERS, {})
        if header.get("key") != self._mark:
            raise _foreign(str(header.get("key")), self._mark)

    async def fill(self, piece: bytes):
        """Empty the slot and take the first bytes, which `offer` has judged.

        Raises:
            as `take`.
        """
        await self.target.begin(self._calm)
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
            count = await self._use(view[at : at + STEP])
            at += count
            self.received += count
            await asyncio.sleep_ms(0)

    def close(self):
        """Let go of what is being written and will not be finished."""
        self.target.close()

    async def _calm(self):
        for _ in range(_PATIENCE_MS // _CALM_MS):
            if not self._strained():
                return
            await asyncio.sleep_ms(_CALM_MS)
        raise Busy

    async def _use(self, view: memoryview):
        """Do one step with the first of these bytes; returns how many it took."""
        if self._entry:
            count = self.target.write(view[: self._left])
            self._seal.update(view[:count])
            self._left -= count
            if not self._left:
                await self._finish()
            return count
        data = bytes(view)
        if self._files:
            count = data.find(b"\n") + 1 or len(data)
            self._rest += data[:count]
            if len(self._rest) > _LINE:
                raise torn("a line is too long")
            if self._rest.endswith(b"\n"):
                self._seal.update(self._rest)
                await self._announce(await _object(self._rest))
                self._rest = b""
            return count
        self._rest += data[: _SEAL - len(self._rest)]
        if len(self._rest) == _SEAL:
            self._prove()
        return len(data)

    async def _announce(self, entry: dict):
        path, size, digest = entry.get("path"), entry.get("size"), entry.get("sha256")
        if not (isinstance(path, str) and isinstance(size, int) and size > 0 and digest):
            raise torn("a file has no good name or size")
        self._files -= 1
        await self.target.open(path, self._files == 0)
        self._entry = entry
        self._left = size

    async def _finish(self):
        """The file is whole: compare what the flash gives back."""
        if hexlify(await self.target.read_back()).decode() != self._entry["sha256"]:
            raise torn(self._entry["path"])
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
        self.target.accept()
        self.ready = True


def _judge_version(version: str):
    if numbers(version) < numbers(VERSION):
        message = "Version %s is older than %s, which runs: older ones come by cable only."
        message %= version, VERSION
        raise Refused(422, "update_old", message, {"v": version, "n": VERSION})


def fingerprint(key: bytes):
    """Identifies a key without disclosing it: eight hexadecimal digits."""
    return hexlify(hashlib.sha256(b"parallelator update key " + key).digest()[:4]).decode()


def numbers(version: object):
    """(1, 2, 3) of "1.2.3", () when it is something else."""
    parts = version.split(".") if isinstance(version, str) else ()
    if len(parts) != 3 or not all(part.isdigit() and len(part) < 6 for part in parts):
        return ()
    return tuple(int(part) for part in parts)


async def _object(line: bytes):
    try:
        return await calmly(json_reader.reading_object(line, most_bytes=_LINE))
    except JsonError:
        raise no_bundle()


def no_bundle():
    """The refusal of what is no bundle."""
    message = "This is no bundle of Parallelator. Choose a file made by make bundle."
    return Refused(422, "update_format", message, {})


def torn(what: str):
    """The refusal of a damaged bundle; `what` is wrong with it."""
    message = "The bundle is damaged or cut short: %s. Copy it again." % what
    return Refused(422, "update_torn", message, {"v": what})


def wrong_controller(needed: str, here: str):
    """The refusal of a bundle for another controller than the one here."""
    message = "This bundle is for another controller: it needs %s; here is %s." % (needed, here)
    return Refused(422, "update_controller", message, {"v": needed})


def full(message: str, code: str, blocks: int, free: int, block: int):
    """The refusal of a bundle that needs more blocks than are free, of `block` bytes each."""
    v, n = blocks * block // 1024, free * block // 1024
    return Refused(507, code, message % (v, n), {"v": v, "n": n})


def _foreign(found: str, mark: str):
    message = (
        "This bundle was made with another key (%s, this rig has %s). Use one made where the rig "
        "was deployed, or deploy by cable."
    )
    return Refused(422, "update_foreign", message % (found, mark), {"v": found, "n": mark})
