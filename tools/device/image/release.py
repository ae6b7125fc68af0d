#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-only
"""Gathers what is published for a version. Run by `make release TAG=v0.1.0`, after `make image`.

    tools/device/image/release.py TAG

build/release/ gets the images, the bundles that were made, checksums and images.json;
build/notes.md how to use them, and the section of the change log; build/site/ a page from which a
browser writes the images, with ESP Web Tools. A tag that does not name the version, or an image
that is missing, is an error.
"""

import argparse
import html
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile

from device import build
from device.image import images, make

WEB_TOOLS = "esp-web-tools@10.4.0"
SITE_PAGE = images.HERE / "site.html"
CHANGES = build.ROOT / ".github/CHANGELOG.md"
HOW = """\
Onto a controller: https://{owner}.github.io/{name}/ writes it, in Chrome or Edge on a computer.

Onto a rig that runs: under *System*, from a `.bundle` that was made with the key of that rig. With
your own key: `make bundle IMAGE=parallelator-{version}-esp32-update.bin VERSION={version}`
([more](https://github.com/{owner}/{name}/blob/v{version}/tools/device/README.md#update-over-the-air)).

"""


class ReleaseFault(Exception):
    """Why this is not published."""


def notes(text, version, repository):
    """What stands above the files of a release: how to use them, and what is new.

    Args:
        text: of the change log; repository: OWNER/NAME on GitHub.

    Raises:
        ReleaseFault: the change log has no section for the version.
    """
    owner, _, name = repository.partition("/")
    found = re.search(
        rf"^## {re.escape(version)}(?![\w.])[^\n]*\n(.*?)(?=^## |\Z)", text, re.M | re.S
    )
    if not found:
        raise ReleaseFault(f"the change log has no section {version}")
    return HOW.format(owner=owner, name=name, version=version) + found[1].strip() + "\n"


def check(tag, version, found):
    """Make sure that a tag may be published.

    Args:
        found: what images.listing says.

    Raises:
        ReleaseFault: it may not.
    """
    if tag != f"v{version}":
        raise ReleaseFault(f"the tag is {tag}, the version {version}")
    have = [image["name"] for image in found["images"]]
    lacking = [image.name for image in images.IMAGES if image.name not in have]
    if lacking:
        raise ReleaseFault(f"no image for {', '.join(lacking)}: make image")


def gather(folder, into, found, more=()):
    """Copy the images and `more` files into a new folder, with checksums and images.json."""
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir(parents=True)
    names = [row["file"] for image in found["images"] for row in (image, image["update"])]
    for path in [*(folder / name for name in names), *more]:
        shutil.copy(path, into)
    make.describe(into, found["version"])
    with (into / images.SUMS).open("a") as sums:
        for path in more:
            sums.write(f"{images.digest(path.read_bytes())['sha256']}  {path.name}\n")


def manifest(image, version, written):
    """What ESP Web Tools has to know of an image.

    Args:
        written: file name to the offset of each part.
    """
    parts = [{"path": path, "offset": offset} for path, offset in written.items()]
    build_ = {"chipFamily": image.chip, "parts": parts}
    named = {"name": f"Parallelator ({image.name})", "version": version}
    return named | {"new_install_prompt_erase": True, "builds": [build_]}


def write_site(folder, into, found, repository):
    """Write the page, and what it writes onto controllers; without ESP Web Tools.

    Args:
        folder: with the images; found: what images.listing says; repository: OWNER/NAME on GitHub.
    """
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir(parents=True)
    version = found["version"]
    items = []
    for row in found["images"]:
        image = images.named(row["name"])
        written = {}
        for label, offset, data in images.parts(image, (folder / row["file"]).read_bytes()):
            written[f"{image.name}-{label}.bin"] = offset
            (into / f"{image.name}-{label}.bin").write_bytes(data)
        listing = json.dumps(manifest(image, version, written), indent=1) + "\n"
        (into / f"{image.name}.json").write_text(listing)
        button = f'<esp-web-install-button manifest="{image.name}.json"></esp-web-install-button>'
        items.append(f"<li>{html.escape(image.modules)} {button}</li>")
    page = SITE_PAGE.read_text().replace("<!-- images -->", "\n      ".join(items))
    page = page.replace("VERSION", version).replace("REPOSITORY", repository)
    (into / "index.html").write_text(page)


def add_web_tools(into):
    """Fetch ESP Web Tools beside the page: it loads nothing from elsewhere then."""
    command = ["npm", "pack", "--silent", "--pack-destination", into, WEB_TOOLS]
    name = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    packed = (into / name).read_bytes()
    (into / name).unlink()
    start = "package/dist/web/"
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        for member in archive:
            if member.isfile() and member.name.startswith(start):
                target = into / "esp-web-tools" / member.name.removeprefix(start)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(archive.extractfile(member).read())


def main():
    """Gather; return the exit code."""
    parser = argparse.ArgumentParser(description="Gather what is published for a version.")
    parser.add_argument("tag", help="v and the version")
    options = parser.parse_args()
    version = build.version()
    repository = os.environ.get("GITHUB_REPOSITORY", "OWNER/NAME")
    try:
        found = images.listing(images.BUILT, version)
        check(options.tag, version, found)
        text = notes(CHANGES.read_text(), version, repository)
    except ReleaseFault as error:
        print(f"release: {error}", file=sys.stderr)
        return 1
    bundles = sorted((build.ROOT / "build").glob(f"parallelator-{version}*.bundle"))
    gather(images.BUILT, build.ROOT / "build/release", found, bundles)
    (build.ROOT / "build/notes.md").write_text(text)
    site = build.ROOT / "build/site"
    write_site(images.BUILT, site, found, repository)
    add_web_tools(site)
    print(f"Parallelator {version}: build/release, build/notes.md, build/site")
    return 0


if __name__ == "__main__":
    sys.exit(main())
