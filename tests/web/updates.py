# SPDX-License-Identifier: GPL-3.0-only
"""Bundles for fake rigs, made by the tool that makes the real ones."""

import json

from device import build, bundle, esp_image

KEY = b"0f" * 32 + b"\n"
OTHER = b"1e" * 32 + b"\n"
FILES = {"parallelator/app.mpy": b"M\x06" + b"new" * 3000, "page/app.js.gz": b"page" * 900}


def made(folder, key_text=KEY, **changes):
    """A bundle of a small build in `folder`, for the host's MicroPython.

    Args:
        changes: of the manifest.
    """
    for name, content in FILES.items():
        path = folder / build.APP / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    listing = build.manifest(folder, "x64")
    listing["files"].pop(build.MANIFEST, None)
    (folder / build.MANIFEST).write_text(json.dumps(listing | changes))
    return bundle.bundle(folder, key_text)


def made_image(version="0.1.0", key_text=KEY):
    """A bundle of a small image, and the image."""
    image = esp_image.make(version, b"image" * 2000)
    return bundle.image_bundle(image, version, key_text), image


def give_key(rig, text=KEY):
    """What make deploy leaves on a rig."""
    (rig.folder / "update.key").write_bytes(text)


def put(rig, content, session, offset=0, piece=4096, **query):
    """One piece; returns (status, answer)."""
    words = {"offset": offset, "size": len(content), "confirmed": 1} | query
    path = "/api/update?" + "&".join(f"{name}={value}" for name, value in words.items())
    status, _, answer = rig.ask("PUT", path, content[offset : offset + piece], **session)
    return status, answer


def upload(rig, content, session, **query):
    """All pieces, until one is refused; returns the last (status, answer)."""
    status, answer = put(rig, content, session, **query)
    while status == 200 and answer["received"] < len(content):
        status, answer = put(rig, content, session, answer["received"], **query)
    return status, answer
