# SPDX-License-Identifier: GPL-3.0-only
"""What a controller is, and writing an image onto it, by esptool. Used by flash.py."""

import contextlib
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from device.image import images
from device.link import DeviceError

ESPTOOL = "build/flash/bin/esptool"
FLASH_MB = 4
TABLE_BYTES = 0xC00
BAUD = 460800
OCTAL_MB = (8, 16)
"""PSRAM of this size inside of an ESP32-S3 has eight lines."""

DEAF = (
    "It does not answer. Hold BOOT, press RESET, let go of both, and try again. Is it the right "
    "port, and the cable one for data?"
)


@dataclass(frozen=True)
class Board:
    """A controller, as esptool tells it.

    Attributes:
        chip: as images.Image has it; kind: the whole name of the chip.
        flash_mb, psram_mb: their sizes; PSRAM beside the chip, as on a WROVER, is not seen.
    """

    chip: str
    kind: str
    flash_mb: int
    psram_mb: int


def run(port, *arguments, chip="auto", after="no-reset"):
    """Call esptool, and return what it says.

    Args:
        chip: as esptool has it; after: what the board does then, by default nothing: an old
            application that started again would close switches.

    Raises:
        DeviceError: it failed.
    """
    options = ("--port", port, "--chip", chip, "--after", after)
    command = [ESPTOOL, *options, *map(str, arguments)]
    process = subprocess.run(command, capture_output=True, text=True)
    if process.returncode:
        said = (process.stderr.strip() or process.stdout.strip()).splitlines()[-1:]
        raise DeviceError(f"{DEAF} ({' '.join(said)})")
    return process.stdout


def parsed(said):
    """The `Board` that esptool's flash-id tells of.

    Raises:
        DeviceError: it does not say so.
    """
    chip = re.search(r"^Connected to (\S+) on ", said, re.MULTILINE)
    kind = re.search(r"^Chip type: +(.+)$", said, re.MULTILINE)
    flash = re.search(r"^Detected flash size: (\d+)MB", said, re.MULTILINE)
    if not (chip and kind and flash):
        raise DeviceError(f"esptool does not tell what this is:\n{said.strip()}")
    psram = re.search(r"Embedded PSRAM(?: (\d+)MB)?", said)
    psram_mb = int(psram[1] or 2) if psram else 0
    return Board(chip[1], kind[1].strip(), int(flash[1]), psram_mb)


def look(port):
    """The `Board` at a port; it waits then, for `write` or `let_go`."""
    return parsed(run(port, "flash-id"))


def let_go(port):
    """Let the board start what is on it; one that does not hear that needs its RESET pressed."""
    with contextlib.suppress(DeviceError):
        run(port, "run", after="hard-reset")


def fitting(board):
    """The image for a board, the one without PSRAM when no PSRAM is seen.

    Raises:
        DeviceError: there is none.
    """
    wanted = "octal" if board.psram_mb in OCTAL_MB else "quad"
    if board.chip == "ESP32" and not board.psram_mb:
        wanted = ""
    for image in images.IMAGES:
        if (image.chip, image.psram) == (board.chip, wanted):
            return image
    chips = sorted({image.chip for image in images.IMAGES})
    raise DeviceError(f"This is an {board.kind}. There are images for {' and '.join(chips)}.")


def check(board, image):
    """Make sure that an image can work on a board.

    Raises:
        DeviceError: it cannot.
    """
    right = fitting(board)
    if image.chip != board.chip or (board.chip == "ESP32-S3" and image != right):
        raise DeviceError(f"{image.name} is not for this {board.kind}: IMAGE={right.name}.")
    if not image.psram and board.psram_mb:
        raise DeviceError(f"{image.name} would leave its PSRAM unused: IMAGE={right.name}.")
    if board.flash_mb < FLASH_MB:
        raise DeviceError(
            f"Its flash has {board.flash_mb} MB, {FLASH_MB} are needed. Use another controller."
        )


def write(port, board, image, content, keep, say=print):
    """Write an image, with nothing else left on the board unless `keep`.

    Args:
        content: bytes of the whole image; keep: leave what people own, locks and counts.

    Raises:
        DeviceError: esptool failed, or what is on the board lies elsewhere and cannot be kept.
    """
    written = images.parts(image, content)
    chip = board.chip.lower().replace("-", "")
    with tempfile.TemporaryDirectory() as folder:
        if keep:
            table = Path(folder) / "table"
            run(port, "read-flash", hex(images.TABLE_AT), hex(TABLE_BYTES), table, chip=chip)
            new = next(data for label, _, data in written if label == "partitions")
            if not table.read_bytes().startswith(new):
                raise DeviceError(
                    "What is on it is no image of Parallelator, and its files lie elsewhere. "
                    "Nothing was changed. Save them: make backup, make flash, make restore."
                )
        else:
            say("Erasing all that is on it")
            run(port, "erase-flash", chip=chip)
        arguments = []
        for label, offset, data in written:
            path = Path(folder) / label
            path.write_bytes(data)
            arguments += [hex(offset), path]
        say(f"Writing {sum(len(data) for _, _, data in written) // 1024} KB, a minute or so")
        run(port, "--baud", BAUD, "write-flash", *arguments, chip=chip, after="hard-reset")
