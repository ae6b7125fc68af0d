# SPDX-License-Identifier: GPL-3.0-only
"""Where logs are read from: a folder, a card, an image of a card, a rig. For night.py.

What goes wrong is an OSError or a SourceError that says what.
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
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from logs.archive import is_log

_FOLDERS = ("", "log", "sd/log")
_BESIDE = ("{}", "../{}", "sd/{}")
_TIMEOUT_S = 30
_BLOCK = 512
_HEAD, _TAIL = 16384, 4096
_LIKE_LOGS = (".csv", ".xlsx", ".xls", ".ods", ".numbers")
_GPT = 0xEE
"""Type of the only partition in the MBR of a disk with a GUID partition table."""


class SourceError(Exception):
    """A source that gives nothing to draw: says what was looked at and what it should be."""


@dataclass
class Source:
    """What holds logs.

    Attributes:
        names: of the logs, sorted, in small letters; in a folder with several folders of logs
            each behind that of its own, as `left/2026-07-14.csv`.
        open: function (name), a context manager that gives a binary file; it may not seek.
        remote: True for a rig: what is read costs its time.
        mixed: True where logs of several rigs may lie.
        others: names of files that look like logs and are none.
    """

    names: list
    open: Callable
    remote: bool = False
    mixed: bool = False
    others: list = field(default_factory=list)

    def head(self, name):
        """The first bytes of a log, more than its first sample takes; none of a remote one."""
        if self.remote:
            return b""
        with self.open(name) as file:
            return file.read(_HEAD)

    def tail(self, name):
        """The last bytes of a log, more than two rows; none of a remote one."""
        if self.remote:
            return b""
        with self.open(name) as file:
            if file.seekable():
                file.seek(max(file.seek(0, os.SEEK_END) - _TAIL, 0))
                return file.read()
            last = b""
            while piece := file.read(1 << 20):
                last = (last + piece)[-_TAIL:]
            return last


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


def beside(text, name, suffix, below=""):
    """What the card keeps in a folder beside its logs.

    Args:
        text: as of `opened`; name: of the folder, such as `packs`; suffix: of its files, in small
            letters; below: the folder of one rig of several.

    Returns:
        dict: name without suffix to content in bytes; {} where the source, a rig or a single log,
        has none.
    """
    path = Path(text, below) if below else Path(text)
    if "://" in text or path.suffix.lower() == ".csv":
        return {}
    if not path.is_dir():
        return _in_image(path, name, suffix)
    places = [path / place.format(name) for place in _BESIDE]
    folders = [place for place in places if place.is_dir()]
    files = [file for folder in folders[:1] for file in folder.iterdir()]
    return {file.stem: file.read_bytes() for file in files if file.suffix.lower() == suffix}


def _in_image(path, folder, suffix):
    volume = f"{path}@@{_partition(path)}"
    try:
        listing = _mtools("mdir", "-b", "-i", volume, f"::/{folder}").decode("utf-8", "replace")
    except SourceError:
        return {}  # there is no such folder
    names = [line.rsplit("/", 1)[-1] for line in listing.splitlines()]
    return {
        name[: -len(suffix)]: _mtools("mtype", "-i", volume, f"::/{folder}/{name}")
        for name in names
        if name.lower().endswith(suffix)
    }


def _listed(found, where, opener, **more):
    """The source of these logs; `found`: small names to what `opener` opens."""
    if not found:
        raise SourceError(f"{where} holds no log (2026-07-14.csv, boot-0001.csv)")
    return Source(sorted(found), lambda name: opener(found[name]), **more)


def _small(names):
    # Some systems make capitals of small letters.
    return {name.lower(): name for name in sorted(names) if is_log(name.lower())}


def _folder(path):
    found, others, seen = {}, [], set()
    for base in (path, *sorted(entry for entry in path.iterdir() if entry.is_dir())):
        for folder in (base / below for below in _FOLDERS):
            if folder in seen or not folder.is_dir():
                continue
            seen.add(folder)
            names = _small(file.name for file in folder.iterdir() if file.is_file())
            own = "" if base == path else f"{base.name}/"
            found |= {own + name: folder / real for name, real in names.items()}
            others += [
                f"{own}{file.name}"
                for file in sorted(folder.iterdir())
                if file.suffix.lower() in _LIKE_LOGS and file.name.lower() not in names
            ]
    folders = {name.rpartition("/")[0] for name in found}
    if len(folders) == 1:
        found = {name.rpartition("/")[2]: file for name, file in found.items()}
    where = f"{path} (nor its folder log)"
    return _listed(found, where, lambda file: file.open("rb"), mixed=True, others=others)


def _file(path):
    # Somebody may have renamed it.
    return Source([path.name.lower()], lambda _: path.open("rb"))


def _image(path):
    # mtools reads FAT12, 16 and 32, with and without a partition table, and never writes here.
    if not shutil.which("mtype"):
        raise SourceError("to read an image, mtools is needed: apt-get install mtools")
    volume = f"{path}@@{_partition(path)}"
    listing = _mtools("mdir", "-b", "-i", volume, "::/log").decode("utf-8", "replace")
    names = [line.rsplit("/", 1)[-1] for line in listing.splitlines()]
    return _listed(_small(names), str(path), lambda name: _piped(volume, f"::/log/{name}"))


@contextmanager
def _piped(volume, name):
    """A file of an image as it is read; whoever has enough of it may stop."""
    command = ("mtype", "-i", volume, name)
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=_environment()
    ) as process:
        yield process.stdout
        ended = not process.stdout.read(1)
        process.kill()
        if ended and process.wait() > 0:
            raise SourceError(f"mtype: {process.stderr.read().decode(errors='replace').strip()}")


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


def _environment():
    # Its check of the whole FAT would refuse a card that lost power while it was written.
    return os.environ | {"MTOOLS_SKIP_CHECK": "1"}


def _mtools(*command):
    done = subprocess.run(command, capture_output=True, env=_environment())
    if done.returncode:
        raise SourceError(f"{command[0]}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout


def _device(url):
    base = url.rstrip("/") + "/api/logs"
    try:
        names = [str(log["name"]) for log in json.loads(_fetched(base))["logs"]]
    except (ValueError, KeyError, TypeError):
        raise SourceError(f"{base} answered with something else than a list of logs") from None
    return _listed(
        _small(names), base, lambda name: _asked(f"{base}/{urllib.parse.quote(name)}"), remote=True
    )


def _fetched(url):
    with _asked(url) as answer:
        return answer.read()


@contextmanager
def _asked(url):
    try:
        answer = urllib.request.urlopen(url, timeout=_TIMEOUT_S)
    except urllib.error.HTTPError as error:
        raise SourceError(f"{url} answered {error.code} {error.reason}") from None
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise SourceError(f"{url}: {getattr(error, 'reason', error) or error}") from None
    with answer:
        try:
            yield answer
        except (OSError, http.client.HTTPException) as error:
            raise SourceError(f"{url}: {error}") from None
