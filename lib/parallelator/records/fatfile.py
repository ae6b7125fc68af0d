# SPDX-License-Identifier: GPL-3.0-only
"""Replaces a small file on FAT so that a power cut at any moment leaves the old or the new text.

Used by app and web.saving for the settings file on the SD card. FAT has no safe rename: two
directory entries for one chain of clusters would be left over. So the old text is copied beside
the file, the file is written anew, and the copy is removed; while the copy is there, the file may
be torn, and `mend` at the next mount takes the copy instead.
"""

import os

from parallelator.records.card import Opened

BACKUP = ".bak"
_PIECE = 512


def replace(card: "Card", path: str, texts: list):
    """Write the file at `path`, which exists, anew.

    Args:
        card: the `Card` it is on.
        texts: the new text, a list of pieces.

    Raises:
        OSError: the card is full or broken; the old text is in place, or beside for `mend`.
    """
    copy(card, path, path + BACKUP)
    with Opened(card, path, "w") as file:
        for text in texts:
            file.write(text)
    os.remove(path + BACKUP)


def mend(card: "Card", path: str, sound: "Callable[[str], bool]"):
    """Repair a file whose `replace` was interrupted by a power cut.

    Args:
        card: the `Card` it is on.
        sound: function (path) that returns True for a file with a complete text.

    Raises:
        OSError: the card failed.
    """
    if sound(path + BACKUP) and not sound(path):
        copy(card, path + BACKUP, path)
    if there(path + BACKUP):
        os.remove(path + BACKUP)


def copy(card: "Card", source: str, target: str):
    """Copy a file on a card, over another one if need be."""
    with Opened(card, source, "rb") as old, Opened(card, target, "wb") as new:
        while True:
            piece = old.read(_PIECE)
            if not piece:
                return
            new.write(piece)


def there(path: str):
    """True when there is a file at `path`."""
    try:
        os.stat(path)
    except OSError:
        return False
    return True
