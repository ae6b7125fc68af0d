# SPDX-License-Identifier: GPL-3.0-only
"""What is published for a version: files, checksums, notes, and the page to flash from."""

import hashlib
import json
import re

import jsonschema
import pytest

from device import build
from device.image import images, release
from fake_image import whole

TEXT = ["# Change log", "", "## Unreleased", "", "more", "", "## 0.2.0 - 2026-12-01", "", "new"]
TEXT += ["", "### Added", "", "- this", "", "## 0.1.0", "", "first", ""]
OFFSET = {"type": "integer", "minimum": 0, "maximum": 0xFFFFFF}
MANIFEST = {
    "type": "object",
    "additionalProperties": False,
    "required": ["name", "version", "builds"],
    "properties": {
        "name": {"type": "string", "minLength": 1},
        "version": {"type": "string", "pattern": r"^\d+\.\d+\.\d+"},
        "new_install_prompt_erase": {"type": "boolean"},
        "builds": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["chipFamily", "parts"],
                "properties": {
                    "chipFamily": {"enum": ["ESP32", "ESP32-S3"]},
                    "parts": {
                        "type": "array",
                        "minItems": 1,
                        "items": {
                            "type": "object",
                            "additionalProperties": False,
                            "required": ["path", "offset"],
                            "properties": {"path": {"type": "string"}, "offset": OFFSET},
                        },
                    },
                },
            },
        },
    },
}
"""Of what ESP Web Tools reads, as much as is written here."""


@pytest.fixture
def built(tmp_path):
    """A folder of images of version 1.2.3."""
    folder = tmp_path / "built"
    folder.mkdir()
    for image in images.IMAGES:
        (folder / images.file_name(image, "1.2.3")).write_bytes(whole(image))
        (folder / images.file_name(image, "1.2.3", True)).write_bytes(image.name.encode())
    return folder


def test_a_release_has_every_file_with_its_checksum(built, tmp_path):
    bundle = tmp_path / "parallelator-1.2.3.bundle"
    bundle.write_bytes(b"bundle")
    into = tmp_path / "release"
    release.gather(built, into, images.listing(built, "1.2.3"), [bundle])
    sums = dict(line.split()[::-1] for line in (into / images.SUMS).open())
    names = {path.name for path in into.iterdir()}
    assert set(sums) == names - {images.SUMS, images.LISTING}
    assert len(sums) == 2 * len(images.IMAGES) + 1
    for name, digest in sums.items():
        assert hashlib.sha256((into / name).read_bytes()).hexdigest() == digest
    assert json.loads((into / images.LISTING).read_text())["version"] == "1.2.3"


def test_a_tag_that_names_another_version_and_a_missing_image_are_refused(built):
    found = images.listing(built, "1.2.3")
    release.check("v1.2.3", "1.2.3", found)
    with pytest.raises(release.ReleaseFault, match="the version 1.2.3"):
        release.check("v1.2.4", "1.2.3", found)
    (built / images.file_name(images.IMAGES[1], "1.2.3")).unlink()
    with pytest.raises(release.ReleaseFault, match="no image for esp32-psram"):
        release.check("v1.2.3", "1.2.3", images.listing(built, "1.2.3"))


def test_the_notes_say_what_to_do_with_the_files_and_what_is_new():
    text = "\n".join(TEXT)
    how, _, new = release.notes(text, "0.2.0", "crew/parallelator").partition("new\n")
    assert new == "\n### Added\n\n- this\n"
    assert "https://crew.github.io/parallelator/" in how
    assert images.file_name(images.named("esp32"), "0.2.0", update=True) in how
    anchor = re.search(r"crew/parallelator/blob/v0.2.0/(\S+)#([\w-]+)\)", how)
    headings = re.findall("^## (.+)$", (build.ROOT / anchor[1]).read_text(), re.M)
    assert anchor[2] in [heading.lower().replace(" ", "-") for heading in headings]
    assert release.notes(text, "0.1.0", "crew/parallelator").endswith("\n\nfirst\n")
    with pytest.raises(release.ReleaseFault, match="no section 0.1"):
        release.notes(text, "0.1", "crew/parallelator")


def test_the_page_offers_every_image_and_writes_it_where_it_belongs(built, tmp_path):
    site = tmp_path / "site"
    release.write_site(built, site, images.listing(built, "1.2.3"), "crew/parallelator")
    page = (site / "index.html").read_text()
    assert "Parallelator 1.2.3" in page and "github.com/crew/parallelator#readme" in page
    assert not re.search(r"VERSION|REPOSITORY|<!-- images", page)
    assert 'src="esp-web-tools/install-button.js"' in page and "http:" not in page.replace(
        "http://192.168.4.1/setup", ""
    )
    offered = re.findall(r'manifest="([^"]+)"', page)
    assert offered == [f"{image.name}.json" for image in images.IMAGES]
    for image, name in zip(images.IMAGES, offered, strict=True):
        found = json.loads((site / name).read_text())
        jsonschema.validate(found, MANIFEST)
        (only,) = found["builds"]
        assert only["chipFamily"] == image.chip and found["version"] == "1.2.3"
        content = (built / images.file_name(image, "1.2.3")).read_bytes()
        for part in only["parts"]:
            data = (site / part["path"]).read_bytes()
            assert data
            if "otadata" not in part["path"]:
                assert content[part["offset"] - image.begin :].startswith(data)
