# SPDX-License-Identifier: GPL-3.0-only
"""Where logs are read from: a folder, a card, an image of a card, a rig. For night.py.

Each source is a pair: the names of the logs that are there, in small letters, and a function
(name) that returns the content of one in bytes. What goes wrong is an OSError or a SourceError
that says what.
"""

import http.client
import json
import os
import shutil
import struct
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from logs.archive import is_log

_FOLDERS = ("", "log", "sd/log")
_LIVES = ("packs", "../packs", "sd/packs")
_TIMEOUT_S = 30
_BLOCK = 512
_GPT = 0xEE
"""Type of the only partition in the MBR of a disk with a GUID partition table."""


class SourceError(Exception):
    """A source that gives nothing to draw: says what was looked at and what it should be."""


def opened(text):
    """The source that `text` names: a folder, a file or a URL."""
    if "://" in text:
        return _device(text)
    if not text:
        raise SourceError("name a source: a card, a folder, an image of a card or http://host")
    path = Path(text)
    if path.is_dir():
        return _folder(path)
    if not path.exists():
        raise SourceError(f"{text} is not there; give a folder, an image file or http://host")
    if path.suffix.lower() == ".csv":
        return _file(path)
    return _image(path)


def lives(text):
    """What the card keeps of each pack: id to the content of its file in bytes; {} where the
    source, a rig or a single log, has none."""
    path = Path(text)
    if "://" in text or path.suffix.lower() == ".csv":
        return {}
    if not path.is_dir():
        return _lives_in_image(path)
    folders = [path / below for below in _LIVES if (path / below).is_dir()]
    files = [file for folder in folders[:1] for file in folder.iterdir()]
    return {file.stem: file.read_bytes() for file in files if file.suffix.lower() == ".csv"}


def _lives_in_image(path):
    volume = f"{path}@@{_partition(path)}"
    try:
        listing = _mtools("mdir", "-b", "-i", volume, "::/packs").decode("utf-8", "replace")
    except SourceError:
        return {}  # there is no such folder
    names = [line.rsplit("/", 1)[-1] for line in listing.splitlines()]
    return {
        name[:-4]: _mtools("mtype", "-i", volume, f"::/packs/{name}")
        for name in names
        if name.lower().endswith(".csv")
    }


def _listed(names, where, read):
    """The source whose files are called `names`: some systems make capitals of small letters."""
    found = {name.lower(): name for name in sorted(names) if is_log(name.lower())}
    if not found:
        raise SourceError(f"{where} holds no log (2026-07-14.csv, boot-0001.csv)")
    return sorted(found), lambda name: read(found[name])


def _folder(path):
    for below in _FOLDERS:
        folder = path / below
        names = [entry.name for entry in folder.iterdir()] if folder.is_dir() else []
        if any(is_log(name.lower()) for name in names):
            break
    return _listed(
        names, f"{path} (nor its folder log)", lambda name: (folder / name).read_bytes()
    )


def _file(path):
    return _listed([path.name], str(path), lambda _: path.read_bytes())


def _image(path):
    # mtools reads FAT12, 16 and 32, with and without a partition table, and never writes here.
    if not shutil.which("mtype"):
        raise SourceError("to read an image, mtools is needed: apt-get install mtools")
    volume = f"{path}@@{_partition(path)}"
    listing = _mtools("mdir", "-b", "-i", volume, "::/log").decode("utf-8", "replace")
    names = [line.rsplit("/", 1)[-1] for line in listing.splitlines()]
    return _listed(names, str(path), lambda name: _mtools("mtype", "-i", volume, f"::/log/{name}"))


def _partition(path):
    """Where the FAT volume begins, in bytes: at once, or where the partition table says."""
    with path.open("rb") as file:
        block = file.read(_BLOCK)
    if len(block) < _BLOCK or block[510:] != b"\x55\xaa":
        raise SourceError(f"{path} is neither a log nor an image of a card with a FAT volume")
    if block[450] == _GPT:
        raise SourceError(
            f"{path} has a GPT partition table; a rig writes to cards with an MBR only"
        )
    begins_with_jump = block[0] == 0xE9 or block[0] == 0xEB and block[2] == 0x90
    return 0 if begins_with_jump else struct.unpack_from("<I", block, 454)[0] * _BLOCK


def _mtools(*command):
    # Its check of the whole FAT would refuse a card that lost power while it was written.
    environment = os.environ | {"MTOOLS_SKIP_CHECK": "1"}
    done = subprocess.run(command, capture_output=True, env=environment)
    if done.returncode:
        raise SourceError(f"{command[0]}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout


def _device(url):
    base = url.rstrip("/") + "/api/logs"
    try:
        names = [str(log["name"]) for log in json.loads(_fetched(base))["logs"]]
    except (ValueError, KeyError, TypeError):
        raise SourceError(f"{base} answered with something else than a list of logs") from None
    return _listed(names, base, lambda name: _fetched(f"{base}/{urllib.parse.quote(name)}"))


def _fetched(url):
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as answer:
            return answer.read()
    except urllib.error.HTTPError as error:
        raise SourceError(f"{url} answered {error.code} {error.reason}") from None
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise SourceError(f"{url}: {getattr(error, 'reason', error) or error}") from None
