# SPDX-License-Identifier: GPL-3.0-only
"""The free space of a FAT volume: counted as statvfs counts it, whatever FSInfo says."""

import os
import struct

from parallelator.records.fatspace import BLOCK, FatSpace
from sim.chips.sdimage import Image

MB = 2048  # in blocks
LARGE = 5000 * MB
"""So many blocks become a FAT32 volume behind an MBR, fewer a FAT16 without."""


class Card(Image):
    """An image that notes which blocks are read."""

    def __init__(self, sectors):
        super().__init__(sectors)
        self.reads = []

    def readblocks(self, number, buf):
        self.reads.append(number)
        super().readblocks(number, buf)


class Partition:
    """The volume of another device behind an MBR, from block `start` on."""

    def __init__(self, device, start, kind=0x0C, place=0):
        self._device = device
        self._start = start
        entry = struct.pack("<IIII", 0, kind, start, device.sectors)
        table = bytes(16 * place) + entry + bytes(48 - 16 * place)
        self._first = bytes(446) + table + b"\x55\xaa"

    def readblocks(self, number, buf):
        if number < self._start:
            buf[:] = bytes(BLOCK) if number else self._first
        else:
            self._device.readblocks(number - self._start, buf)


def card(sectors, files=0):
    image = Card(sectors)
    volume = image.volume()
    for number in range(files):
        with volume.open("/%d.csv" % number, "wb") as file:
            file.write(bytes(10000 * (number + 1)))
    return image


def parts(image):
    """Where the volume begins, where its table, blocks of it, blocks of a cluster, clusters."""
    space = FatSpace(image, bytearray(BLOCK))
    return space, space._table, space._entries - 2


def counted(image):
    """Bytes that are free as FatSpace counts them."""
    space = FatSpace(image, bytearray(BLOCK))
    return list(space.counting())[-1] * space.cluster


def free(image):
    """Bytes that are free as FatFs counts them, which believes nothing that it finds."""
    block, _, _, blocks = os.VfsFat(FatSpace(image, bytearray(BLOCK))).statvfs("/")[:4]
    return block * blocks


def claim(image, count, hint=0xFFFFFFFF):
    """Let FSInfo say that so many clusters are free, and where to look."""
    info = FatSpace(image, bytearray(BLOCK))._info
    block = bytearray(image.read(info))
    struct.pack_into("<II", block, 488, count, hint)
    image.write(info, block)


def test_what_is_free_is_counted_as_fatfs_counts_it():
    for sectors in (32 * MB, 64 * MB, 2048 * MB, LARGE):
        for files in (0, 1, 7):
            image = card(sectors, files)
            assert 0 < counted(image) == free(image) < sectors * BLOCK, (sectors, files)


def test_a_volume_in_any_partition_is_found():
    for place in range(4):
        image = card(32 * MB, 3)
        assert counted(Partition(image, 63, place=place)) == free(image), place


def test_no_cluster_is_counted_that_is_none():
    # The last block of the table has room for more entries than there are clusters.
    image = card(32 * MB)
    space, table, clusters = parts(image)
    last = table + (clusters + 1) * 2 // BLOCK
    assert (clusters + 2) * 2 % BLOCK and not any(image.read(last))
    assert counted(image) == free(image) <= clusters * space.cluster


def test_a_card_that_is_filled_to_the_last_cluster_has_none():
    image = card(32 * MB)
    image.fill(0)
    with os.VfsFat(image).open("/last.bin", "wb") as file:
        file.write(b"x")
    assert counted(image) == 0


def test_the_upper_bits_of_an_entry_mean_nothing():
    image = card(LARGE)
    before = counted(image)
    _, table, _ = parts(image)
    block = bytearray(image.read(table + 1))
    block[3] = 0xF0
    block[7] = 0x10
    image.write(table + 1, block)
    assert counted(image) == before


def test_fsinfo_is_not_believed():
    image = card(LARGE, 2)
    right = counted(image)
    for count in (0, 100, 0x7FFFFFFF, 0xFFFFFFFF):
        claim(image, count)
        assert counted(image) == right == free(image), count
    claim(image, 0)
    assert os.VfsFat(image).statvfs("/")[3] == 0, "FatFs does believe it"
    with os.VfsFat(FatSpace(image, bytearray(BLOCK))).open("/more.csv", "wb") as file:
        assert file.write(b"x" * 100000) == 100000


def test_fsinfo_that_cannot_be_read_is_not_needed():
    image = card(LARGE)
    right = counted(image)
    info = FatSpace(image, bytearray(BLOCK))._info

    def readblocks(number, buf):
        if number == info:
            raise OSError(5)
        Card.readblocks(image, number, buf)

    image.readblocks = readblocks
    broken = type("Broken", (), {"readblocks": lambda self, n, buf: readblocks(n, buf)})()
    broken.ioctl = image.ioctl
    broken.writeblocks = image.writeblocks
    assert counted(broken) == right == free(broken)


def test_the_count_begins_where_fsinfo_points_and_goes_round():
    image = card(LARGE)
    _, table, clusters = parts(image)
    claim(image, 0, 128 * 40 + 5)
    space = FatSpace(image, bytearray(BLOCK))
    image.reads = []
    steps = space.counting()
    assert next(steps) == 128 and image.reads == [table + 40]
    blocks = (clusters + 2 + 127) // 128
    assert len(list(steps)) == blocks - 1
    assert sorted(image.reads) == list(range(table, table + blocks))
    for hint in (0, 1, clusters + 2, 0xFFFFFFFF):
        claim(image, 0, hint)
        image.reads = []
        next(FatSpace(image, bytearray(BLOCK)).counting())
        assert image.reads[-1] == table, hint


def test_fatfs_begins_where_room_was_found():
    image = card(LARGE)
    _, table, _ = parts(image)
    for number in range(table + 1, table + 300):
        image.write(number, b"\xff\xff\xff\x0f" * 128)
    claim(image, 7, 200)
    space = FatSpace(image, bytearray(BLOCK))
    steps = space.counting()
    while not next(steps):
        pass
    image.reads = []
    volume = os.VfsFat(space)
    with volume.open("/new.csv", "wb") as file:
        file.write(b"x" * 100)
    assert len([number for number in image.reads if table <= number < table + 300]) < 3
    # And a count afterwards begins there as well, for whoever mounts it next.
    image.reads = []
    assert (
        next(FatSpace(image, bytearray(BLOCK)).counting()) == 127
        and image.reads[-1] == table + 300
    )


def test_what_was_written_is_counted():
    image = card(32 * MB)
    space = FatSpace(image, bytearray(BLOCK))
    with os.VfsFat(space).open("/new.csv", "wb") as file:
        file.write(bytes(5120))
    assert 10 < space.written < 20


def test_a_guid_partition_table_is_known_from_its_protective_mbr():
    image = Image(32 * MB)
    assert FatSpace(Partition(image, 1, 0xEE), bytearray(BLOCK)).gpt
    for other in (Partition(image, 63, 0x07), image, card(32 * MB), Partition(card(32 * MB), 63)):
        assert not FatSpace(other, bytearray(BLOCK)).gpt


def test_what_is_no_fat_volume_is_left_alone():
    exfat = Image(32 * MB)
    exfat.write(0, b"\xeb\x76\x90EXFAT   " + bytes(499) + b"\x55\xaa")
    noise = Image(32 * MB)
    noise.write(0, bytes(510) + b"\x55\xaa")
    zero = card(32 * MB)
    zero.write(0, b"\xeb\xfe\x90" + bytes(51) + b"FAT     " + bytes(448) + b"\x55\xaa")
    for device in (Image(32 * MB), exfat, noise, zero, card(MB)):
        assert FatSpace(device, bytearray(BLOCK)).cluster == 0
