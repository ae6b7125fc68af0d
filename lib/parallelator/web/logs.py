# SPDX-License-Identifier: GPL-3.0-only
"""The logs on the SD card over HTTP: listed, read, deleted. Routed by api.

A name is that of a file in the log folder and nothing else; no path leaves it. What is sent goes
in small pieces, and a card that is pulled meanwhile ends the answer early.
"""

import asyncio
import os

from microdot import Response
from micropython import const

from parallelator.records.datalog import EVENTS, LOGS, exists
from parallelator.snapshot import RIG
from parallelator.wording import log_number

from . import answer, dump, joined, problem, whole

_PIECE = const(1024)  # two blocks of the card
_LONGEST_TAIL = const(16384)
_MB = const(1048576)
_FILE = const(0x8000)
_CSV = "text/csv; charset=utf-8"


class Logs:
    """The logs of a rig.

    Args:
        rig: the `Rig`; of it `card`, `datalog` and `events`.
    """

    def __init__(self, rig: "Rig", access: "Auth"):
        self._rig = rig
        self._access = access

    def list(self, request: "Request"):
        """GET /api/logs: the card, and name and size of every log, in no order."""
        return answer(self._entries())

    def _entries(self):
        yield '{"card":%s,"logs":[' % dump(card_view(self._rig))
        yield from joined(self._files())
        yield "]}"

    def _files(self):
        card = self._rig.card
        volume = card.volume  # what the iterator below points into must stay
        try:
            for entry in os.ilistdir(LOGS) if card.mounted else ():
                if card.volume is volume and entry[1] == _FILE and is_name(entry[0]):
                    shown = {"name": entry[0], "size_bytes": entry[3]}
                    shown["open"] = self._is_open(entry[0])
                    yield dump(shown)
        except OSError:
            pass  # no folder yet, or the card is lost, which `card` reports

    def _is_open(self, name: str):
        return name in (self._rig.datalog.name, EVENTS)

    async def read(self, request: "Request", name: str):
        """GET /api/logs/<name>?tail=: a log, or the bytes of it that a `Range` names; with `tail`
        its first line and its last bytes."""
        tail = request.args.get("tail")
        bytes_wanted = None if tail is None else whole(tail, 1, _LONGEST_TAIL)
        if tail is not None and bytes_wanted is None:
            message = "tail is 1 to %d bytes." % _LONGEST_TAIL
            return problem(400, "query", message, "tail")
        if not self._is_there(name):
            return _unknown()
        await asyncio.sleep_ms(0)
        body = None
        try:
            body = Body(self._rig, name)
            if bytes_wanted is None:
                return _whole(request, body, name)
            body.keep_tail(bytes_wanted)
            return Response(body, 200, {"Content-Type": _CSV}, "OK")
        except OSError:
            if body:
                body.close()
            return _unknown()

    async def delete(self, request: "Request", name: str):
        """DELETE /api/logs/<name>: not the one that is written, nor one that somebody reads."""
        rig = self._rig
        res = await self._access.refusal(request)
        if res:
            return res
        if not self._is_there(name):
            return _unknown()
        if self._is_open(name) or name in rig.datalog.held:
            return problem(409, "log_in_use", "This log is being written or read.", "name")
        try:
            os.remove(LOGS + "/" + name)
        except OSError as error:
            if rig.card.fail(error):
                return problem(409, "log_protected", "This log is write-protected.", "name")
            return problem(507, "storage", "The card did not delete it.")
        rig.card.recount()
        await asyncio.sleep_ms(0)
        rig.events.emit("log_deleted", RIG, 0, 0, log_number(name) or 0)
        return answer({"deleted": name})

    def _is_there(self, name: str):
        try:
            return self._rig.card.mounted and is_name(name) and exists(name)
        except OSError:
            return False


class Body:
    """The text of a log, piece by piece; the log is not deleted until `close`.

    Args:
        rig: as `Logs`; name: of the log.

    Attributes:
        left: bytes still to come, if the card stays.

    Raises:
        OSError: it cannot be opened.
    """

    def __init__(self, rig: "Rig", name: str):
        self._card = rig.card
        self._volume = rig.card.volume
        self._held = rig.datalog.held
        self._name = name
        self._piece = memoryview(bytearray(_PIECE))
        self._file = file = open(LOGS + "/" + name, "rb")  # noqa: SIM115 - until `close`
        self._held.append(name)
        self.left = file.seek(0, 2)
        self._start = b""
        file.seek(0)

    def keep(self, first: int, end: int):
        """Send the bytes from `first` up to before `end` only."""
        self._file.seek(first)
        self.left = end - first

    def keep_tail(self, size: int):
        """Send the first line, and whole lines of at most the last `size` bytes, only."""
        if size < self.left:
            self._start = self._file.readline()
            begin = max(self.left - size, len(self._start))
            self._file.seek(begin - 1)
            self.left -= begin - 1 + len(self._file.readline())

    def __next__(self):
        start = self._start
        if start:
            self._start = b""
            return start
        card = self._card
        if self.left <= 0 or not card.mounted or card.volume is not self._volume:
            raise StopIteration
        try:
            count = self._file.readinto(self._piece[: min(_PIECE, self.left)])
        except OSError:
            count = 0
        if not count:
            raise StopIteration
        self.left -= count
        return self._piece[:count]

    def close(self):
        """Let go of the log. Called by the server, whatever happens."""
        if self._file:
            self._file.close()
            self._file = None
            self._held.remove(self._name)


def _whole(request: "Request", body: "Body", name: str):
    """The answer with a log, or the one range of it that is asked for: RFC 9110 section 14."""
    size = body.left
    span = None
    if request.method == "GET" and "If-Range" not in request.headers:
        span = span_of(request.headers.get("Range", ""), size)
    res = Response(body, 200, {"Content-Type": _CSV, "Accept-Ranges": "bytes"}, "OK")
    if span:
        first, end = span
        if first >= end:
            body.close()
            res = problem(416, "range", "The log has %d bytes." % size, "Range")
            res.headers["Content-Range"] = "bytes */%d" % size
            return res
        body.keep(first, end)
        res.status_code, res.reason = 206, "Partial Content"
        res.headers["Content-Range"] = "bytes %d-%d/%d" % (first, end - 1, size)
    res.headers["Content-Length"] = str(body.left)
    res.headers["Content-Disposition"] = 'attachment; filename="%s"' % name
    return res


def span_of(text: str, size: int):
    """What a Range asks for of `size` bytes: (first, end), empty if there are none such.

    Returns:
        tuple or None: None when there is no range, or several, or none in bytes: then all is sent.
    """
    unit, _, span = text.replace(" ", "").partition("=")
    first, _, last = span.partition("-")
    if unit.lower() != "bytes" or span.count("-") != 1 or not (first + last).isdigit():
        return None
    # Twelve digits are more than a file of FAT can have.
    begin = int(first[:12] or "0")
    end = int(last[:12]) if last else size
    if not first:
        return max(size - end, 0), size
    return None if end < begin and last else (begin, min(end + 1, size))


def card_view(rig: "Rig"):
    """The SD card as the API shows it: a dict, unknown values None."""
    card = rig.card
    free = card.free
    return {
        "state": card.state[3:],
        "free_mb": None if free is None else free // _MB,
        "size_mb": card.size // _MB if card.mounted else None,
        "log": rig.datalog.name,
        "losses": card.losses,
    }


def is_name(name: str):
    """True for a name that a log may have: small letters, digits, `-`, `_`, and `.` within.

    FAT would take other spellings for the same file: capitals, or a point at the end.
    """
    inner = all("0" <= char <= "9" or "a" <= char <= "z" or char in ".-_" for char in name)
    return inner and 0 < len(name) <= 64 and name[0] != "." and name[-1] != "."


def _unknown():
    return problem(404, "no_log", "There is no such log on the card.", "name")
