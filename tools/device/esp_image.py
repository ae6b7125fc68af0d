# SPDX-License-Identifier: GPL-3.0-only
"""Application images of ESP-IDF: what is in one, and a small one for the simulator.

A header names the chip and the number of segments; each segment is a head of 8 bytes and its data;
the byte before the next multiple of 16 is the XOR of all data; a SHA-256 may follow. The first
segment begins with the application's description. Runs on the host's Python and on MicroPython.
Source: esp_app_format.h, esp_image_format.c and esp_app_desc.h of ESP-IDF.
"""

import hashlib
import struct

CHIPS = {0: "ESP32", 9: "ESP32-S3"}
"""Number of a chip in the header to its name."""

_MAGIC = 0xE9
_MOST_SEGMENTS = 16
_HEADER = "<BBBBIBBBBHBHHIB"
_HEAD = "<II"
_DESCRIPTION = "<IIII32s32s"
_DESCRIPTION_MAGIC = 0xABCD5432
_DESCRIPTION_BYTES = 256
_FIRST = 0xEF
_STEP = 1024
_LOADED_AT = 0x3F400020
"""Where the ESP32 maps constants; nobody looks at it here."""


def inspect(read, most):
    """What an image is, after its checks, as the chip makes them before it starts one.

    Args:
        read: function (offset, count) that returns these bytes; most: the room that it has.

    Returns:
        tuple: name of the chip, version that the description tells, bytes of the image.

    Raises:
        ValueError: it is no image of an application, or damaged; the text says why.
    """
    header = struct.unpack(_HEADER, read(0, 24))
    magic, segments, chip, hashed = header[0], header[1], header[9], header[14]
    if magic != _MAGIC or not 0 < segments <= _MOST_SEGMENTS:
        raise ValueError("it does not begin as an image does")
    if chip not in CHIPS:
        raise ValueError("it is for an unknown chip, number %d" % chip)
    about = struct.unpack(_DESCRIPTION, read(32, 80))
    if about[0] != _DESCRIPTION_MAGIC:
        raise ValueError("it is no application: perhaps one file for the whole flash")
    end, check = 24, _FIRST
    for _ in range(segments):
        count = struct.unpack(_HEAD, read(end, 8))[1]
        if count % 4 or end + 8 + count > most:
            raise ValueError("a segment is longer than the image")
        check = _xor(read, end + 8, count, check)
        end += 8 + count
    end = (end | 15) + 1
    if end > most or read(end - 1, 1)[0] != check:
        raise ValueError("its checksum is wrong")
    if hashed:
        if end + 32 > most or read(end, 32) != _digest(read, end):
            raise ValueError("its SHA-256 is wrong")
        end += 32
    return CHIPS[chip], about[4].split(b"\0")[0].decode(), end


def make(version, content=b"", chip=0):
    """A small image with the description of a version and `content` behind."""
    names = version.encode(), b"parallelator"
    about = struct.pack(_DESCRIPTION, _DESCRIPTION_MAGIC, 0, 0, 0, *names)
    data = about + bytes(_DESCRIPTION_BYTES - len(about)) + content
    data += bytes(-len(data) % 4)
    header = struct.pack(_HEADER, _MAGIC, 1, 2, 0x20, 0, 0xEE, 0, 0, 0, chip, 0, 0, 0xFFFF, 0, 1)
    image = header + struct.pack(_HEAD, _LOADED_AT, len(data)) + data
    image += bytes((len(image) | 15) - len(image))
    image += bytes((_xor(lambda at, count: data[at : at + count], 0, len(data), _FIRST),))
    return image + hashlib.sha256(image).digest()


def _pieces(read, at, count):
    for begin in range(at, at + count, _STEP):
        yield read(begin, min(_STEP, at + count - begin))


def _xor(read, at, count, check):
    for piece in _pieces(read, at, count):
        for byte in piece:
            check ^= byte
    return check


def _digest(read, count):
    digest = hashlib.sha256()
    for piece in _pieces(read, 0, count):
        digest.update(piece)
    return digest.digest()
