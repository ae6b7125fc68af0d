# SPDX-License-Identifier: GPL-3.0-only
"""Updates over HTTP: pieces of a bundle, and the switch to it. Imported by api when one begins.

A bundle is uploaded in order, piece by piece; the answer to a piece, and GET, say how far it has
come, so that a broken upload goes on from there. Nothing switches by itself: that is asked for.
"""

import asyncio
from binascii import unhexlify

from micropython import const

from parallelator.snapshot import BATTERIES, bus, carries
from parallelator.views import flow

from . import IDLE, answer, json_object, problem, whole
from .auth import pads
from .bundle import Busy, Receiver, Refused

KEY_FILE = "update.key"
_FORGOTTEN_MS = const(60000)
_LARGEST = const(99999999)
_KEY_DIGITS = const(64)
_FLASH = "The flash or the memory of the controller did not take it. Begin again."
_OTHER = {"app-a": "app-b", "app-b": "app-a"}


class Update:
    """The update of a rig.

    Args:
        rig: the `Rig`; access: an auth.Auth.
    """

    def __init__(self, rig: "Rig", access: "Auth"):
        self._rig = rig
        self._access = access
        self._receiver = None
        self._seen_ms = 0
        self._one_at_a_time = asyncio.Lock()

    def view(self):
        """What is known of the upload: a dict."""
        receiver = self._receiver
        if receiver is None:
            return IDLE
        return {
            "phase": "ready" if receiver.ready else "receiving",
            "offered": receiver.version,
            "received": receiver.received,
            "size": receiver.size,
        }

    def sweep(self):
        """Forget an upload that nobody has gone on with for a minute. To be called each second."""
        clock = self._rig.clock
        if self._receiver and clock.diff(clock.ms(), self._seen_ms) >= _FORGOTTEN_MS:
            if not self._receiver.ready and not self._one_at_a_time.locked():
                self._forget()

    def _forget(self):
        if self._receiver:
            self._receiver.close()
        self._receiver = None

    async def put(self, request: "Request"):
        """PUT /api/update?offset=&size=&confirmed=: the bytes from `offset` on; 0 begins anew."""
        offset = whole(request.args.get("offset", ""), 0, _LARGEST)
        size = whole(request.args.get("size", "0"), 0, _LARGEST)
        expected = self._receiver and offset and offset == self._receiver.received
        # What goes on is bounded by the size of the bundle, so it does not count as a change.
        res = await self._access.refusal(request, counted=not expected)
        if res:
            return res
        body = await request.stream.read()
        if offset is None or size is None or not body:
            message = "Give offset and size as numbers, and the bytes from there as the body."
            return problem(400, "query", message, "size" if size is None else "offset")
        async with self._one_at_a_time:
            return await self._put(offset, size, request.args.get("confirmed") == "1", body)

    async def _put(self, offset: int, size: int, confirmed: bool, body: bytes):
        receiver = self._receiver
        try:
            if offset == 0:
                receiver = await self._new(confirmed)
                await asyncio.sleep_ms(0)
                await receiver.offer(body, size)
                self._forget()
                self._receiver = receiver
                await receiver.fill(body)
            elif receiver and offset == receiver.received:
                await receiver.take(body)
            else:
                message = "Byte %d is the next to come. Begin again if that was not you."
                return problem(409, "update_offset", message % self.view()["received"], "offset")
        except Refused as error:
            if receiver is self._receiver:
                self._forget()
            return _refusal(error)
        except Busy:
            if not receiver.received:
                self._forget()
            return problem(503, "busy", "A battery is close to a limit. Try again.", None, 1)
        except (OSError, MemoryError):
            self._forget()
            return problem(507, "update_storage", _FLASH)
        finally:
            self._seen_ms = self._rig.clock.ms()
        return answer(self.view())

    async def _new(self, confirmed: bool):
        rig = self._rig
        if not rig.slot:
            message = "This rig has no place for a second version: bring the new one by cable."
            raise Refused(409, "update_slot", message, {})
        key = _stored_key()
        if not key:
            message = "The rig has no key for updates: run make key once, by cable."
            raise Refused(409, "update_key", message, {})
        if not rig.settled:
            # What runs may be on trial still: the slot before is what it gives way to.
            raise Refused(503, "busy", "The rig has only just started. Try again.", {})
        self._check_moment(confirmed)
        await asyncio.sleep_ms(0)
        if rig.slot in _OTHER:
            from .bundle_files import Files

            target = Files(_OTHER[rig.slot], rig.pauses.flash)
        else:
            from .bundle_image import Image

            target = Image(rig.pauses.flash)
        return Receiver(target, key, pads(key), rig.guard.strained)

    def _check_moment(self, confirmed: bool):
        snap = self._rig.snap
        if self._rig.guard.trip_pending():
            message = "A battery is beyond a limit and about to be switched off. Wait for that."
            raise Refused(409, "update_trip", message, {})
        if not confirmed and any(
            carries(snap, i) and flow(snap.current_ma[i]) != "idle" for i in range(BATTERIES)
        ):
            amperes = "%.1f" % (abs(bus(snap)[1]) / 1000)
            message = (
                "The batteries carry %s A. Confirm: writing delays the protection by parts of a "
                "second, and the switch turns everything off for some seconds."
            )
            raise Refused(409, "update_load", message % amperes, {"v": amperes})

    async def switch(self, request: "Request"):
        """POST /api/update {"confirmed": bool}: restart with what was uploaded, on trial."""
        res = await self._access.refusal(request)
        if res:
            return res
        if not self._receiver or not self._receiver.ready:
            message = "No bundle has come whole, only %d bytes." % self.view()["received"]
            return problem(409, "update_none", message)
        confirmed = (await json_object(request)).get("confirmed") is True
        try:
            self._check_moment(confirmed)
        except Refused as error:
            return _refusal(error)
        if not self._rig.switch(self._receiver.target.slot):
            return problem(507, "update_storage", _FLASH)
        self._rig.restart("update")
        return answer({"offered": self._receiver.version}, 202)


def _stored_key():
    """The key that came by cable, bytes; b"" when there is none, or not one of 32 bytes."""
    try:
        with open(KEY_FILE) as file:
            key = unhexlify(file.read(_KEY_DIGITS + 2).strip())
    except (OSError, ValueError):
        return b""
    return key if len(key) == _KEY_DIGITS // 2 else b""


def _refusal(error: "Refused"):
    status, code, message, values = error.args
    return problem(status, code, message, **values)
