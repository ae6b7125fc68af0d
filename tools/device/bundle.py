#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-only
"""Makes one file of a build or of an image, for updates over the air. Run by `make bundle`.

    tools/device/bundle.py [--build FOLDER | --image IMAGE [--version VERSION]] [--key FILE]
        [--into FILE]

The first line is JSON: product, format, kind, version, fingerprint of the key, number of files,
blocks of flash, bytes that follow; for files the boot contract, `mpy` (format and architecture)
and the oldest `micropython`, for an image the `chip`. Then for each file a line with path, size
and SHA-256, and its bytes. Then HMAC-SHA256 over all of that. The rig reads it in one go:
web/bundle.py.

Of a build, the application's files come, the manifest last; boot.py, main.py and config.json stay
what they are on the rig. Of an image for the whole flash, the application comes: it has the first
two in it.
"""

import argparse
import hashlib
import hmac
import json
import sys
from pathlib import Path

from device import build, esp_image, key
from device.deploy import FOLDER_BLOCKS, contents
from device.image import images
from device.link import ARCHITECTURES, OLDEST

PRODUCT = "parallelator"
FORMAT = 1
BLOCK = 4096
"""Of the ESP32's flash."""

PLACES = (0, 0xF000, 0x10000)
"""Where the application begins in a file: its own, one for the whole flash of an ESP32, which has
nothing in the first 4 KB, and one for that of an ESP32-S3."""


def _line(values):
    return json.dumps(values, separators=(",", ":")).encode() + b"\n"


def _part(path, content):
    """A file, its line before it."""
    digest = hashlib.sha256(content).hexdigest()
    return _line({"path": path, "size": len(content), "sha256": digest}) + content


def _sealed(kind, version, key_text, parts, blocks, **more):
    """The bytes of a bundle; `more`: what its first line says of this kind."""
    body = b"".join(parts)
    header = {
        "product": PRODUCT,
        "format": FORMAT,
        "kind": kind,
        "version": version,
        "key": key.fingerprint(key_text),
        "files": len(parts),
        "blocks": blocks,
        "size": len(body) + hashlib.sha256().digest_size,
    }
    signed = _line(header | more) + body
    return signed + hmac.digest(key.secret(key_text), signed, "sha256")


def bundle(folder, key_text):
    """The bytes of the bundle of a build.

    Args:
        folder: a Path, as `build.build` fills it; key_text: bytes of the key's file.
    """
    listing, wanted = contents(folder)
    start = build.APP + "/"
    names = [(name[len(start) :], name) for name in sorted(wanted) if name.startswith(start)]
    names.append((build.MANIFEST, build.MANIFEST))
    sizes = [wanted[name][0] for _, name in names]
    folders = {parent for path, _ in names for parent in Path(path).parents}
    return _sealed(
        "files",
        listing["version"],
        key_text,
        [_part(path, (folder / name).read_bytes()) for path, name in names],
        sum(-(-size // BLOCK) for size in sizes) + FOLDER_BLOCKS * len(folders),
        boot=listing["boot"],
        mpy=[listing["mpy"], ARCHITECTURES[listing["march"]]],
        micropython=".".join(map(str, OLDEST)),
    )


def image_bundle(content, version, key_text):
    """The bytes of the bundle of an image.

    Args:
        content: bytes of the image; version: of the firmware that is frozen into it; key_text: as
            of `bundle`.

    Raises:
        ValueError: there is no application in it, or another version, or it is damaged.
    """
    chip, image = _application(content)
    if version.encode() not in image:
        raise ValueError(f"version {version} is not in it; VERSION= names another")
    blocks = -(-len(image) // BLOCK)
    return _sealed("image", version, key_text, [_part("image", image)], blocks, chip=chip)


def _application(content):
    """The chip and the bytes of the application in an image."""
    why = ValueError("it is empty")
    for place in PLACES:
        part = content[place:]
        try:
            chip, _, size = esp_image.inspect(
                lambda at, count, part=part: part[at : at + count].ljust(count, b"\xff"), len(part)
            )
            return chip, part[:size]
        except ValueError as error:
            why = why if place else error
    raise why


def image_path(name, version):
    """The file of a built image, or the file that is called so."""
    for image in images.IMAGES:
        if image.name == name:
            return images.BUILT / images.file_name(image, version)
    return Path(name)


def main():
    """Make the file; return the exit code."""
    parser = argparse.ArgumentParser(description="Make a bundle for updates over the air.")
    parser.add_argument("--build", type=Path, default=build.ROOT / "build/device")
    parser.add_argument(
        "--image", help="in place of a build: the name of a built image, or a file"
    )
    parser.add_argument("--version", default=build.version(), help="of the image")
    parser.add_argument("--into", type=Path, help="without it build/parallelator-VERSION.bundle")
    key.add_option(parser)
    options = parser.parse_args()
    try:
        text = key.load(options.key)
        if options.image:
            path = image_path(options.image, options.version)
            content = image_bundle(path.read_bytes(), options.version, text)
        else:
            content = bundle(options.build, text)
    except (key.KeyFault, OSError) as error:
        print(f"bundle: {error}", file=sys.stderr)
        return 1
    except ValueError as error:
        print(f"bundle: {options.image} is no image that a rig takes: {error}", file=sys.stderr)
        return 1
    into = options.into or build.ROOT / f"build/parallelator-{options.version}.bundle"
    into.write_bytes(content)
    print(f"{into.name}: {len(content)} bytes, key {key.fingerprint(text)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
