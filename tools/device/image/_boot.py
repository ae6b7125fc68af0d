# SPDX-License-Identifier: GPL-3.0-only
"""Runs first on a controller with the image, in the place of MicroPython's own, before boot.py.

Mounts the file system of what people own, and at /rom that of the image: page and messages. A
flash that never had a file system gets one; nothing is written into it. One that is damaged is
left as it is, for somebody who can save what is in it: the rig protects with the limits it came
with, and says so.
"""

import sys

import rom
import vfs
from esp32 import Partition

ROM = "/rom"
MARK = b"littlefs"
MARK_AT = 8
"""Bytes from the begin of a block with the head of a file system; there are two, 0 and 1."""


def had_files(flash: "Partition"):
    """True when there is a file system, be it damaged."""
    mark = bytearray(len(MARK))
    for block in (0, 1):
        flash.readblocks(block, mark, MARK_AT)
        if mark == MARK:
            return True
    return False


def mount_own():
    """Mount the file system in the flash; make it when there never was one."""
    flash = Partition.find(Partition.TYPE_DATA, label="vfs")[0]
    try:
        vfs.mount(flash, "/")
    except OSError as error:
        if had_files(flash):
            print("boot: the file system is damaged:", error)
            return
        vfs.VfsLfs2.mkfs(flash)
        vfs.mount(flash, "/")


def mount_rom():
    """Mount what the image brings along, and find it."""
    vfs.mount(vfs.VfsRom(rom.DATA), ROM)
    sys.path.append(ROM)


for step in (mount_own, mount_rom):
    try:
        step()
    except Exception as error:
        sys.print_exception(error)
