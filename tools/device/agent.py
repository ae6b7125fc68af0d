# SPDX-License-Identifier: GPL-3.0-only
"""Runs on the device, sent there by link.py: looks at its files, changes them, switches.

Answers are Python literals, one a line. Nothing that the present version needs changes before
`switch`; a file that it has open at a power cut, config.json say, is replaced by a rename.
"""

import errno
import gc
import hashlib
import os
import sys
from binascii import a2b_base64, hexlify

POINTER = "app"
NEW = ".new"
RETURN_MS = 600000
_CHUNK = 1024
_FOLDER = 0x4000
_out = None


def about():
    """What this is: has it the modules of an ESP32, name, version, machine, .mpy, flash, and the
    bytes of memory that an application may have."""
    gc.collect()
    memory = gc.mem_free()
    try:
        import esp32

        # mem_free counts the largest piece in.
        pieces = esp32.idf_heap_info(esp32.HEAP_DATA)
        memory += sum(piece[1] for piece in pieces) - max([piece[2] for piece in pieces] or [0])
    except ImportError:
        esp32 = None
    kind = sys.implementation
    flash = os.statvfs("/")
    machine = getattr(kind, "_machine", sys.platform)
    mpy = getattr(kind, "_mpy", 0)
    print((bool(esp32), kind[0], tuple(kind[1][:3]), machine, mpy, flash[0], flash[3], memory))


def hold():
    """Start the ten minutes of boot.py again: then the device returns to work by itself."""
    from machine import Timer, reset

    Timer(0).init(mode=Timer.ONE_SHOT, period=RETURN_MS, callback=lambda timer: reset())


def digest(path):
    """SHA-256 of a file, as hexadecimal text."""
    found = hashlib.sha256()
    with open(path, "rb") as file:
        while True:
            chunk = file.read(_CHUNK)
            if not chunk:
                return hexlify(found.digest()).decode()
            found.update(chunk)


def survey(folder=""):
    """Print path, size and SHA-256 of every file below; what is mounted there is left out."""
    for entry in os.ilistdir(folder or os.getcwd()):
        path = folder + "/" + entry[0] if folder else entry[0]
        if entry[1] != _FOLDER:
            print((path, os.stat(path)[6], digest(path)))
        elif folder or not _mounted(path):
            survey(path)


def _mounted(path):
    return os.statvfs(path) != os.statvfs(os.getcwd())


def pointer():
    """Print the folder that is booted from."""
    try:
        with open(POINTER) as file:
            print(repr(file.read(5)))
    except OSError:
        print(repr(""))


def begin(path):
    """Start to write a file; its folders are made."""
    global _out
    parts = path.split("/")
    for k in range(1, len(parts)):
        try:
            os.mkdir("/".join(parts[:k]))
        except OSError as error:
            if error.errno != errno.EEXIST:
                raise error
    _out = open(path, "wb")  # noqa: SIM115 - closed by end()


def more(text):
    """Write a piece, given in base64."""
    _out.write(a2b_base64(text))


def end(path):
    """Finish the file and print the SHA-256 of what is on the flash."""
    _out.close()
    print(repr(digest(path)))


def copy(source, path):
    """Copy a file and print the SHA-256 of the copy."""
    begin(path)
    with open(source, "rb") as file:
        while True:
            chunk = file.read(_CHUNK)
            if not chunk:
                break
            _out.write(chunk)
    end(path)


def remove(path):
    """Remove a file, and its folder when that is empty then."""
    os.remove(path)
    try:
        os.rmdir(path.rpartition("/")[0])
    except OSError:
        return


def take(path):
    """Put a file that was written as `path`.new in the place of the old one."""
    os.rename(path + NEW, path)


def switch(folder, previous=""):
    """From the next start on, boot from `folder`; on trial, see main.py, if there was another."""
    with open(POINTER + NEW, "w") as file:
        file.write("%s %s 0" % (folder, previous) if previous else folder)
    take(POINTER)
