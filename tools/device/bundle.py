#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-only
"""Makes one file of a build, for updates over the air. Run by `make bundle`.

    tools/device/bundle.py [--build FOLDER] [--key FILE] [--into FILE]

The first line is JSON: product, format, version, boot contract, `mpy` (format and architecture),
oldest `micropython`, fingerprint of the key, number of files, blocks of flash, bytes that follow.
Then for each file of the application a line with path, size and SHA-256, and its bytes, the
manifest last. Then HMAC-SHA256 over all of that. The rig reads it in one go: web/bundle.py.
boot.py, main.py and config.json stay what they are on the rig.
"""

import argparse
import hashlib
import hmac
import json
import sys
from pathlib import Path

from device import build, key
from device.deploy import FOLDER_BLOCKS, contents
from device.link import ARCHITECTURES, OLDEST

PRODUCT = "parallelator"
FORMAT = 1
BLOCK = 4096
"""Of the ESP32's flash."""


def _line(values):
    return json.dumps(values, separators=(",", ":")).encode() + b"\n"


def parts(folder, names):
    """The bytes of each file, its line before it."""
    for path, name in names:
        content = (folder / name).read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        yield _line({"path": path, "size": len(content), "sha256": digest}) + content


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
    body = b"".join(parts(folder, names))
    header = {
        "product": PRODUCT,
        "format": FORMAT,
        "version": listing["version"],
        "boot": listing["boot"],
        "mpy": [listing["mpy"], ARCHITECTURES[listing["march"]]],
        "micropython": ".".join(map(str, OLDEST)),
        "key": key.fingerprint(key_text),
        "files": len(names),
        "blocks": sum(-(-size // BLOCK) for size in sizes) + FOLDER_BLOCKS * len(folders),
        "size": len(body) + hashlib.sha256().digest_size,
    }
    signed = _line(header) + body
    return signed + hmac.digest(key.secret(key_text), signed, "sha256")


def main():
    """Make the file; return the exit code."""
    parser = argparse.ArgumentParser(description="Make a bundle for updates over the air.")
    parser.add_argument("--build", type=Path, default=build.ROOT / "build/device")
    parser.add_argument("--into", type=Path, help="without it build/parallelator-VERSION.bundle")
    key.add_option(parser)
    options = parser.parse_args()
    try:
        text = key.load(options.key)
    except key.KeyFault as error:
        print(f"bundle: {error}", file=sys.stderr)
        return 1
    content = bundle(options.build, text)
    into = options.into or build.ROOT / f"build/parallelator-{build.version()}.bundle"
    into.write_bytes(content)
    print(f"{into.name}: {len(content)} bytes, key {key.fingerprint(text)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
