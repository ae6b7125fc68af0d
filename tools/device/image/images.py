# SPDX-License-Identifier: GPL-3.0-only
"""The images that are built, flashed and released: one table, and what is derived from it."""

import csv
import hashlib
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

HEAD = b"\xe9"
TABLE_HEAD = b"\xaa\x50"
"""How an image of ESP-IDF, a boot loader too, and a table of partitions begin."""

LISTING = "images.json"
SUMS = "SHA256SUMS"


@dataclass(frozen=True)
class Image:
    """One image.

    Attributes:
        name: as people choose it, and as its file is called.
        chip: as esptool and ESP Web Tools call it.
        board, variant: folder beside this file, and its variant, "" = none.
        begin: offset in the flash at which it begins, with its boot loader.
        psram: the PSRAM that it uses, "" = none.
        stock: MicroPython's own image for the same controller, as mpflash calls it.
        modules: Espressif's modules with such a controller, as printed on them.
    """

    name: str
    chip: str
    board: str
    variant: str
    begin: int
    psram: str
    stock: str
    modules: str


IMAGES = (
    Image(
        "esp32",
        "ESP32",
        "PARALLELATOR_ESP32",
        "",
        0x1000,
        "",
        "ESP32_GENERIC",
        "ESP32-WROOM, ESP32-MINI",
    ),
    Image(
        "esp32-psram",
        "ESP32",
        "PARALLELATOR_ESP32",
        "SPIRAM",
        0x1000,
        "quad",
        "ESP32_GENERIC-SPIRAM",
        "ESP32-WROVER",
    ),
    Image(
        "esp32s3",
        "ESP32-S3",
        "PARALLELATOR_ESP32S3",
        "",
        0,
        "quad",
        "ESP32_GENERIC_S3",
        "ESP32-S3 N4, N8, N16; with R2 (PSRAM)",
    ),
    Image(
        "esp32s3-octal",
        "ESP32-S3",
        "PARALLELATOR_ESP32S3",
        "SPIRAM_OCT",
        0,
        "octal",
        "ESP32_GENERIC_S3-SPIRAM_OCT",
        "ESP32-S3 with R8 or R16 (octal PSRAM)",
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


def named(name):
    """The image of IMAGES with this name."""
    return next(image for image in IMAGES if image.name == name)


def file_name(image, version, update=False):
    """How the file of an image is called, or with `update` that for an update over the air."""
    return f"parallelator-{version}-{image.name}{'-update' * update}.bin"


def parts(image, content):
    """What is written into the flash, as (label, offset, bytes).

    All of it but locks, counts of trips and what people own. The choice between the two slots is
    erased: the image is in the first.

    Args:
        content: bytes of the whole image.
    """
    table = partitions()
    at = {label: offset - image.begin for label, (_, _, offset, _) in table.items()}
    head = content[: at["nvs"]]
    boot, described = head[: TABLE_AT - image.begin], head[TABLE_AT - image.begin :]
    return [
        ("bootloader", image.begin, boot.rstrip(b"\xff")),
        ("partitions", TABLE_AT, described.rstrip(b"\xff")),
        ("otadata", table["otadata"][2], b"\xff" * table["otadata"][3]),
        ("app", table["ota_0"][2], content[at["ota_0"] :]),
    ]


def fault(image, content):
    """Why a file is not this image, "" when it is."""
    written = {label: data for label, _, data in parts(image, content)}
    slot = partitions()["ota_0"][3]
    if written["bootloader"][:1] != HEAD or written["app"][:1] != HEAD:
        return "it has no image at its places"
    if written["partitions"][:2] != TABLE_HEAD:
        return "it has no table of partitions"
    if len(written["app"]) > slot:
        return f"{len(written['app'])} bytes of application do not fit into a slot of {slot}"
    return ""


def digest(content):
    """What a listing says of a file."""
    return {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def listing(folder, version):
    """What images.json says of the images of a version in a folder; the file tells what is what
    and where it goes, for tools that write it."""
    found = []
    for image in IMAGES:
        name, update = (file_name(image, version, update) for update in (False, True))
        if not (folder / name).exists():
            continue
        content = (folder / name).read_bytes()
        row = {"name": image.name, "chip": image.chip, "psram": image.psram}
        row |= {"file": name, "offset": image.begin, **digest(content)}
        row["update"] = {"file": update, **digest((folder / update).read_bytes())}
        found.append(row)
    pinned = {"micropython": MICROPYTHON, "esp_idf": IDF}
    return {"product": "parallelator", "version": version, **pinned, "images": found}
