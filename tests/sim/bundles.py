# SPDX-License-Identifier: GPL-3.0-only
"""Bundles, made here by the description of the format, and what tests of updates do with them."""

import hashlib
import json
import sys
from binascii import hexlify

from parallelator import BOOT, web
from parallelator.web import auth, bundle, bundle_files
from support import ROOT

KEY = bytes(range(32))
MANIFEST = bundle_files.MANIFEST
NEW = {
    "microdot/microdot.mpy": b"m" * 700,
    "page/app.js.gz": bytes(range(256)) * 9,
    "parallelator/app.mpy": b"new" * 411,
    MANIFEST: b'{"version": "0.2.0"}',
}


class Now:
    """In place of asyncio: nobody else runs, so a coroutine ends in one go."""

    @staticmethod
    async def sleep_ms(duration_ms):
        pass


def sha(content):
    return hexlify(hashlib.sha256(content).digest()).decode()


def sealed(content, key=KEY):
    """`content` with the HMAC-SHA256 of it behind: RFC 2104, section 2."""
    key += bytes(64 - len(key))
    inner = hashlib.sha256(bytes(b ^ 0x36 for b in key) + content).digest()
    return content + hashlib.sha256(bytes(b ^ 0x5C for b in key) + inner).digest()


def made(tree=NEW, key=KEY, entries=None, **changes):
    """A bundle.

    Args:
        tree: path to content, the manifest is put last; entries: function that changes the list
            of (path, content, SHA-256); changes: of the first line, None = without that.
    """
    paths = sorted(tree, key=lambda path: (path == MANIFEST, path))
    listed = [(path, tree[path], sha(tree[path])) for path in paths]
    listed = entries(listed) if entries else listed
    body = b""
    for path, content, digest in listed:
        entry = {"path": path, "size": len(content), "sha256": digest}
        body += json.dumps(entry).encode() + b"\n" + content
    kind = sys.implementation._mpy
    header = {
        "product": "parallelator",
        "format": 1,
        "kind": "files",
        "version": "0.2.0",
        "boot": BOOT,
        "mpy": [kind & 0xFF, kind >> 10 & 0x0F],
        "micropython": "1.25.0",
        "key": bundle.fingerprint(key),
        "files": len(listed),
        "blocks": 2 * len(listed) + 6,
        "size": len(body) + 32,
    }
    return _signed(header, body, key, changes)


def made_image(content, key=KEY, path="image", digest=None, **changes):
    """A bundle of an image, its bytes `content`; `changes` as of `made`."""
    entry = {"path": path, "size": len(content), "sha256": digest or sha(content)}
    body = json.dumps(entry).encode() + b"\n" + content
    header = {
        "product": "parallelator",
        "format": 1,
        "kind": "image",
        "version": "0.2.0",
        "chip": "ESP32",
        "key": bundle.fingerprint(key),
        "files": 1,
        "blocks": -(-len(content) // 4096),
        "size": len(body) + 32,
    }
    return _signed(header, body, key, changes)


def _signed(header, body, key, changes):
    header.update(changes)
    header = {name: value for name, value in header.items() if value is not None}
    return sealed(json.dumps(header).encode() + b"\n" + body, key)


def run(coroutine):
    """Run to the end; returns what it returns."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it waited")


def upload(content, slot="app-b", piece=1000, flash=lambda job: job(), image=None):
    """Take a bundle into a slot; returns the `Receiver`. Raises what that raises.

    Args:
        image: the class `Image`, for a bundle of that kind and the other partition.
    """
    bundle.asyncio = bundle_files.asyncio = web.asyncio = Now
    target = image(flash) if image else bundle_files.Files(slot, flash)
    receiver = bundle.Receiver(target, KEY, auth.pads(KEY), lambda: False)
    try:
        run(receiver.offer(content[:piece], len(content)))
        run(receiver.fill(content[:piece]))
        for at in range(piece, len(content), piece):
            run(receiver.take(content[at : at + piece]))
    finally:
        receiver.close()
    return receiver


def starter():
    """The functions of main.py, which starts nothing here."""
    with open(ROOT + "/main.py") as file:
        text = file.read()
    assert text.endswith("\nstart()\n")
    names = {"__name__": "main"}
    exec(compile(text[: -len("start()\n")], "main.py", "exec"), names)
    return names
