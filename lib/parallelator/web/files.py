# SPDX-License-Identifier: GPL-3.0-only
"""The files of the page, and the words for it. Routed by api.

Files are kept gzipped. They are sent so to clients that accept it, and unpacked to others: curl
and many libraries accept it only when they are told to.
"""

import asyncio
import hashlib
import os
from binascii import hexlify

from microdot import Response
from micropython import const

from parallelator.wording import data_path, messages_file

from . import not_found

_CHUNK = const(1024)
_JSON = "application/json"
FILES = (
    ("/", "index.html", "text/html; charset=utf-8"),
    ("/app.js", "app.js", "text/javascript; charset=utf-8"),
    ("/charts.js", "charts.js", "text/javascript; charset=utf-8"),
    ("/settings.js", "settings.js", "text/javascript; charset=utf-8"),
    ("/qr.js", "qr.js", "text/javascript; charset=utf-8"),
    ("/report.js", "report.js", "text/javascript; charset=utf-8"),
    ("/style.css", "style.css", "text/css; charset=utf-8"),
    ("/guide.html", "guide.html", "text/html; charset=utf-8"),
    ("/manifest.json", "manifest.json", _JSON),
    ("/icon.svg", "icon.svg", "image/svg+xml"),
    ("/setup", "setup.html", "text/html; charset=utf-8"),
    ("/setup.js", "setup.js", "text/javascript; charset=utf-8"),
    ("/api/openapi.json", "openapi.json", _JSON),
)
_WINDOW_BITS = const(13)  # as tools/build_page.py packs: unpacking takes 8 KB of memory
_PIECE = const(512)
_LANGUAGES = ("en", "fr")


class Files:
    """What is sent as it lies in a file.

    Args:
        rig: as server.serve; of it `settings`.
    """

    def __init__(self, rig: "Rig"):
        self._rig = rig
        self._known = {}

    async def page(self, request: "Request"):
        """GET of one of FILES."""
        name, kind = next(row[1:] for row in FILES if row[0] == request.path)
        return await self._file(request, "page/%s.gz" % name, kind)

    async def messages(self, request: "Request"):
        """GET /messages.json: the words of the device's language, or of `?language=`."""
        language = request.args.get("language")
        if language not in _LANGUAGES:
            language = self._rig.settings["language"]
        return await self._file(request, messages_file(language), _JSON)

    async def _file(self, request: "Request", name: str, kind: str):
        """A file that `data_path` finds; 304 if the client has it."""
        if name not in self._known:
            path = data_path(name)
            if not path:
                return not_found(request)
            await asyncio.sleep_ms(0)
            size = os.stat(path)[6]
            self._known[name] = (path, str(size), await _tag(path))
        path, size, tag = self._known[name]
        packed = path.endswith(".gz")
        headers = {"Content-Type": kind, "ETag": tag, "Cache-Control": "no-cache"}
        unpack = packed and not takes_gzip(request.headers.get("Accept-Encoding", ""))
        if packed:
            headers["Vary"] = "Accept-Encoding"
        if unpack:
            headers["ETag"] = tag[:-1] + '-plain"'
        if request.headers.get("If-None-Match") == headers["ETag"]:
            return Response(b"", 304, headers, "Not Modified")
        file = open(path, "rb")  # noqa: SIM115 - closed by the server
        await asyncio.sleep_ms(0)
        if unpack:
            return Response(Unpacked(file), 200, headers)
        if packed:
            headers["Content-Encoding"] = "gzip"
        headers["Content-Length"] = size
        return Response(file, 200, headers)


class Unpacked:
    """The text of a gzipped file, piece by piece.

    Args:
        file: one packed with a window of 8 KB, open for reading bytes.
    """

    def __init__(self, file: "IO"):
        import deflate

        self._file = file
        self._text = deflate.DeflateIO(file, deflate.GZIP, _WINDOW_BITS)

    def __next__(self):
        piece = self._text.read(_PIECE)
        if not piece:
            raise StopIteration
        return piece

    def close(self):
        """Called by the server, whatever happens."""
        self._file.close()


def takes_gzip(accepted: str):
    """True when the value of an Accept-Encoding names gzip, or all, and does not forbid it."""
    found = None
    for part in accepted.lower().split(","):
        name, _, quality = part.partition(";")
        if name.strip() == "gzip" or (name.strip() == "*" and found is None):
            found = quality.replace(" ", "").rstrip("0.") != "q="
    return bool(found)


async def _tag(path: str):
    """An ETag: the first 64 bits of the file's SHA-256."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while True:
            chunk = file.read(_CHUNK)
            if not chunk:
                return '"' + hexlify(digest.digest()[:8]).decode() + '"'
            digest.update(chunk)
            await asyncio.sleep_ms(0)
