# SPDX-License-Identifier: GPL-3.0-only
"""make bundle IMAGE=: what becomes of an image's file, and of one that is none."""

import hashlib
import json
import os
import subprocess
import sys

import pytest

from device import bundle, esp_image
from test_update import ENVIRONMENT, KEY, ROOT

IMAGE = esp_image.make("0.2.0", b"firmware" * 900)
BOOTLOADER = bytes([0xE9, 3]) + bytes(4000)


def opened(content):
    """The first line of a bundle, the line of its file, and what follows."""
    first, _, rest = content.partition(b"\n")
    line, _, rest = rest.partition(b"\n")
    return json.loads(first), json.loads(line), rest


def test_the_bundle_of_an_image_says_what_it_is():
    header, entry, rest = opened(bundle.image_bundle(IMAGE, "0.2.0", KEY))
    assert (header["kind"], header["chip"], header["version"]) == ("image", "ESP32", "0.2.0")
    assert header["files"] == 1 and header["blocks"] == 2 and "mpy" not in header
    digest = hashlib.sha256(IMAGE).hexdigest()
    assert entry == {"path": "image", "size": len(IMAGE), "sha256": digest}
    assert rest[:-32] == IMAGE
    assert opened(bundle.image_bundle(esp_image.make("0.2.0", chip=9), "0.2.0", KEY))[0][
        "chip"
    ] == ("ESP32-S3")


@pytest.mark.parametrize(("chip", "begin"), [(0, 0x1000), (9, 0)])
def test_of_a_file_for_the_whole_flash_the_application_comes(chip, begin):
    image = esp_image.make("0.2.0", b"firmware" * 900, chip)
    whole = BOOTLOADER.ljust(0x10000 - begin, b"\xff") + image + b"\xff" * 512
    assert opened(bundle.image_bundle(whole, "0.2.0", KEY))[2][:-32] == image


def damaged(at):
    content = bytearray(IMAGE)
    content[at] ^= 1
    return bytes(content)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "does not begin"),
        (b"MZ" * 9000, "does not begin"),
        (BOOTLOADER, "no application"),
        (damaged(12), "unknown chip"),
        (damaged(28), "longer than"),
        (damaged(700), "checksum"),
        (damaged(len(IMAGE) - 1), "SHA-256"),
        (IMAGE[:-1], "SHA-256"),
        (IMAGE[:900], "longer than"),
        (esp_image.make("0.3.0"), "version 0.2.0 is not in it"),
    ],
)
def test_what_is_no_good_image_is_refused(content, words, tmp_path):
    with pytest.raises(ValueError, match=words):
        bundle.image_bundle(content, "0.2.0", KEY)


def test_the_tool_makes_one_or_says_why_not(tmp_path):
    for name, content in (("good.bin", IMAGE), ("bad.bin", b"no"), ("crew.key", KEY)):
        (tmp_path / name).write_bytes(content)

    def make(name):
        command = [sys.executable, ROOT / "tools/device/bundle.py", "--image", tmp_path / name]
        command += ["--key", tmp_path / "crew.key", "--version", "0.2.0"]
        command += ["--into", tmp_path / "made.bundle"]
        environment = os.environ | ENVIRONMENT
        return subprocess.run(command, capture_output=True, text=True, env=environment)

    said = make("good.bin")
    assert said.returncode == 0 and said.stdout.startswith("made.bundle: "), said
    made = (tmp_path / "made.bundle").read_bytes()
    assert made == bundle.image_bundle(IMAGE, "0.2.0", KEY)
    for name, words in (("bad.bin", "is no image that a rig takes"), ("none.bin", "No such file")):
        said = make(name)
        assert said.returncode == 1 and words in said.stderr and "Traceback" not in said.stderr
