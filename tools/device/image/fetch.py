# SPDX-License-Identifier: GPL-3.0-only
"""Where an image comes from: built here, or released. Used by flash.py."""

import hashlib
import json
import re
import subprocess
import urllib.error
import urllib.request

from device import build
from device.image import images

PATIENCE_S = 60
GITHUB = re.compile(r"github\.com[:/]([\w.-]+/[\w.-]+?)(?:\.git)?/?$")


class FetchFault(Exception):
    """Why there is no image, for who wants one."""


def releases():
    """The address of the project's releases: those of the repository that this is a clone of.

    Raises:
        FetchFault: that is not on GitHub.
    """
    command = ["git", "-C", build.ROOT, "remote", "get-url", "origin"]
    origin = subprocess.run(command, capture_output=True, text=True).stdout.strip()
    found = GITHUB.search(origin)
    if not found:
        raise FetchFault(
            "This is no clone of a repository on GitHub: say "
            "RELEASES=https://github.com/OWNER/NAME/releases, or build one: make image."
        )
    return f"https://github.com/{found[1]}/releases"


def fetched(address):
    """The bytes at an address.

    Raises:
        FetchFault: they cannot be had.
    """
    try:
        with urllib.request.urlopen(address, timeout=PATIENCE_S) as answer:
            return answer.read()
    except (OSError, urllib.error.URLError) as error:
        raise FetchFault(f"{address} cannot be had: {error}. Or build one: make image.") from None


def content(image, version, address=None):
    """The bytes of an image: that in build/image/, or that of the release, checked, kept there.

    Args:
        address: of the releases, None = as `releases` says.

    Raises:
        FetchFault: there is none, or it is damaged.
    """
    name = images.file_name(image, version)
    path = images.BUILT / name
    if path.exists():
        return path.read_bytes()
    base = f"{address or releases()}/download/v{version}"
    listing = json.loads(fetched(f"{base}/{images.LISTING}"))
    row = next((row for row in listing["images"] if row["name"] == image.name), None)
    if row is None:
        raise FetchFault(f"The release {version} has no image {image.name}.")
    data = fetched(f"{base}/{row['file']}")
    if hashlib.sha256(data).hexdigest() != row["sha256"]:
        raise FetchFault(f"{row['file']} arrived damaged. Do this again.")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return data
