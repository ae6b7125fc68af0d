#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-only
"""Builds the images that hold all of a rig. Run by `make image`.

    tools/device/image/make.py [NAME ...]

NAME is one of images.IMAGES; without one, all are built. ESP-IDF must be sourced, or docker or
podman be there, which fetch it. Images go into build/image/, beside SHA256SUMS and images.json.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys

from device import build
from device.image import images

CONTAINER = f"docker.io/espressif/idf:v{images.IDF}"
ENGINES = ("docker", "podman")
SCRIPT = "tools/device/image/build.sh"


class ImageFault(Exception):
    """Why no image comes of it, for who wants one."""


def idf_version():
    """The version of the ESP-IDF that is sourced, "" when none is."""
    if not (os.environ.get("IDF_PATH") and shutil.which("idf.py")):
        return ""
    said = subprocess.run(["idf.py", "--version"], capture_output=True, text=True).stdout
    found = re.search(r"v(\d+(?:\.\d+)+)", said)
    return found[1] if found else "an unknown version"


def way():
    """What to put before a command that needs ESP-IDF.

    Raises:
        ImageFault: there is neither ESP-IDF nor a container engine.
    """
    sourced = idf_version()
    if sourced == images.IDF:
        return []
    for engine in ENGINES:
        if shutil.which(engine):
            here = str(build.ROOT)
            own = ["--userns=keep-id"] if engine == "podman" else []
            own += ["--user", f"{os.getuid()}:{os.getgid()}", "--env", "HOME=/tmp"]
            return [engine, "run", "--rm", *own, "--volume", f"{here}:{here}", CONTAINER]
    found = f"ESP-IDF {sourced} is sourced" if sourced else "there is neither"
    raise ImageFault(
        f"ESP-IDF {images.IDF} or a container engine builds images, and {found}. Install docker "
        "or podman (Debian: apt-get install podman), or ESP-IDF, and source its export.sh. "
        "Or take a released image: make flash."
    )


def make(image, before, version):
    """Build one image, and put its files into images.BUILT.

    Args:
        before: as `way` says it.

    Raises:
        ImageFault: it was not built, or what was built cannot be flashed.
    """
    into = images.BUILT / image.name
    arguments = [image.board, image.variant, images.MICROPYTHON]
    arguments.append(into.relative_to(build.ROOT).as_posix())
    if subprocess.run([*before, str(build.ROOT / SCRIPT), *arguments]).returncode:
        raise ImageFault(f"{image.name} was not built: see above")
    whole = (into / "firmware.bin").read_bytes()
    fault = images.fault(image, whole)
    if fault:
        raise ImageFault(f"{image.name}: {fault}")
    (images.BUILT / images.file_name(image, version)).write_bytes(whole)
    update = images.BUILT / images.file_name(image, version, update=True)
    shutil.copy(into / "micropython.bin", update)


def describe(folder, version):
    """Write images.json and SHA256SUMS beside the images of a version; returns what the first
    says."""
    found = images.listing(folder, version)
    (folder / images.LISTING).write_text(json.dumps(found, indent=1) + "\n")
    rows = [file for image in found["images"] for file in (image, image["update"])]
    lines = [f"{row['sha256']}  {row['file']}\n" for row in rows]
    (folder / images.SUMS).write_text("".join(lines))
    return found


def main():
    """Build; return the exit code."""
    names = [image.name for image in images.IMAGES]
    parser = argparse.ArgumentParser(description="Build the images that hold all of a rig.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(names))
    options = parser.parse_args()
    unknown = set(options.names) - set(names)
    if unknown:
        parser.error(f"{', '.join(sorted(unknown))}: there are {', '.join(names)}")
    try:
        before = way()
        build.build(build.ROOT / "build/device")
        images.BUILT.mkdir(parents=True, exist_ok=True)
        for name in options.names or names:
            make(images.named(name), before, build.version())
    except ImageFault as error:
        print(f"image: {error}", file=sys.stderr)
        return 1
    slot = images.partitions()["ota_0"][3]
    for image in describe(images.BUILT, build.version())["images"]:
        used = 100 * image["update"]["size"] // slot
        print(f"build/image/{image['file']}: {image['size']} bytes, {used} % of its slot")
    return 0


if __name__ == "__main__":
    sys.exit(main())
