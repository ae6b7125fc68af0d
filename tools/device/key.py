# SPDX-License-Identifier: GPL-3.0-only
"""The key with which bundles are sealed and rigs check them. Used by bundle and deploy.

32 random bytes as hexadecimal text, in `.update-key` beside the Makefile unless KEY= names another
file; made when it is first needed, ignored by git. Whoever has it can put software onto the rigs.
"""

import hashlib
import os
import re
import secrets
from pathlib import Path

from device.build import ROOT

DEFAULT = ROOT / ".update-key"
KEY_BYTES = 32


class KeyFault(Exception):
    """What is wrong with the file, for the person at the keyboard."""


def add_option(parser):
    """Add `--key FILE` to an argument parser."""
    text = "file with the key for updates; without it .update-key, made if there is none"
    parser.add_argument("--key", type=Path, default=None, help=text)


def load(path=None):
    """The text of the key's file, bytes; the usual one is made when there is none.

    Raises:
        KeyFault: there is no file at `path`, or no key in it.
    """
    place = path or DEFAULT
    if not path and not place.exists():
        descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w") as file:
            file.write(secrets.token_hex(KEY_BYTES) + "\n")
        print(f"A key for updates was made: {place.name}. Keep it, and keep it secret.")
    try:
        text = place.read_bytes()
    except OSError as error:
        raise KeyFault(f"The key {place} cannot be read: {error.strerror}.") from None
    if not re.fullmatch(rb"[0-9a-fA-F]{%d}" % (2 * KEY_BYTES), text.strip()):
        raise KeyFault(f"{place} is no key: {2 * KEY_BYTES} hexadecimal digits are wanted.")
    return text.strip() + b"\n"


def secret(text):
    """The key itself, from the text of its file."""
    return bytes.fromhex(text.decode())


def fingerprint(text):
    """Tells keys apart: eight hexadecimal digits, as `web.bundle.fingerprint` on the rig."""
    found = hashlib.sha256(b"parallelator update key " + secret(text))
    return found.hexdigest()[:8]
