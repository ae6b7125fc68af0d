# SPDX-License-Identifier: GPL-3.0-only
"""The images that are built, flashed and released: one table, and what is derived from it."""

import csv
from dataclasses import dataclass
from pathlib import Path

from device import build

HERE = Path(__file__).resolve().parent
BUILT = build.ROOT / "build/image"
MICROPYTHON = "1.29.0"
IDF = "5.5.2"
"""The ESP-IDF that MICROPYTHON was made for."""

TABLE_AT = 0x8000
"""Where the table of partitions lies on every chip."""


@dataclass(frozen=True)
class Image:
    """One image.

    Attributes:
        name: as people choose it, and as its file is called.
        chip: as esptool and ESP Web Tools call it.
        board, variant: folder beside this file, and its variant, "" = none.
        begin: offset in the flash at which it begins, with its boot loader.
        psram: the PSRAM that it uses, "" = none. With "quad" and on the S3, none will do.
        stock: MicroPython's own image for the same controller, as mpflash calls it.
    """

    name: str
    chip: str
    board: str
    variant: str
    begin: int
    psram: str
    stock: str


IMAGES = (
    Image("esp32", "ESP32", "PARALLELATOR_ESP32", "", 0x1000, "", "ESP32_GENERIC"),
    Image(
        "esp32-psram",
        "ESP32",
        "PARALLELATOR_ESP32",
        "SPIRAM",
        0x1000,
        "quad",
        "ESP32_GENERIC-SPIRAM",
    ),
    Image("esp32s3", "ESP32-S3", "PARALLELATOR_ESP32S3", "", 0, "quad", "ESP32_GENERIC_S3"),
    Image(
        "esp32s3-octal",
        "ESP32-S3",
        "PARALLELATOR_ESP32S3",
        "SPIRAM_OCT",
        0,
        "octal",
        "ESP32_GENERIC_S3-SPIRAM_OCT",
    ),
)


def partitions():
    """Label to (type, subtype, offset, size) of the partitions of every image."""
    lines = (HERE / "partitions.csv").read_text().splitlines()
    rows = csv.reader(line for line in lines if line and not line.startswith("#"))
    table = {}
    for row in rows:
        label, kind, subtype, offset, size = (field.strip() for field in row)
        table[label] = (kind, subtype, int(offset, 0), int(size, 0))
    return table
