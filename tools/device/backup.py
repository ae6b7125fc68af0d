#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-only
"""Copies what belongs to a rig off its device, or back onto one. Run by `make backup`, `restore`.

    tools/device/backup.py save|restore FOLDER [--port PORT]

That is config.json, the copy of the last good settings, and whatever else lies beside the
application: not the application and the key for updates, which `make deploy` brings. Locks and
trip counts live in the controller itself and stay there.
"""

import argparse
import hashlib
import json
import sys
from pathlib import Path

from device.deploy import BOOT_FILES, CONFIG, KEY_FILE, SLOTS
from device.link import DeviceError, attach, find_port

NOT_OURS = (*BOOT_FILES, "app", KEY_FILE)


def belongs_to_the_rig(path):
    """True when a file is one to keep: no part of the application, and no rest of a write."""
    return path not in NOT_OURS and path.split("/")[0] not in SLOTS and not path.endswith(".new")


def save(device, folder, say=print):
    """Copy the rig's files into `folder`; returns their paths."""
    found = [file for file in device.call("survey()") if belongs_to_the_rig(file[0])]
    for path, size, sha256 in found:
        say(f"{path}, {size} bytes")
        content = device.read(path)
        if hashlib.sha256(content).hexdigest() != sha256:
            raise DeviceError(f"{path} arrived damaged. Do this again; is the cable good?")
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    return [path for path, _, _ in found]


def restore(device, folder, say=print):
    """Copy the files of `folder` onto the device, each replaced as a whole; returns their paths.

    Raises:
        DeviceError: the folder has none, or its config.json is not a JSON object.
    """
    files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*"))}
    files = {name: path for name, path in files.items() if path.is_file()}
    files = {name: path for name, path in files.items() if belongs_to_the_rig(name)}
    if not files:
        raise DeviceError(f"{folder} holds no backup.")
    if CONFIG in files:
        _check(files[CONFIG])
    for name, path in files.items():
        content = path.read_bytes()
        say(f"{name}, {len(content)} bytes")
        if device.write(name + ".new", content) != hashlib.sha256(content).hexdigest():
            raise DeviceError(f"{name} arrived damaged. Do this again; is the cable good?")
        device.call(f"take({name!r})")
    return list(files)


def _check(path):
    try:
        good = isinstance(json.loads(path.read_bytes()), dict)
    except ValueError:
        good = False
    if not good:
        raise DeviceError(f"{path} is not a JSON object. Nothing was changed.")


def main():
    """Save or restore; return the exit code."""
    parser = argparse.ArgumentParser(description="Copy a rig's files off a device, or back.")
    parser.add_argument("direction", choices=("save", "restore"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--port", help="serial port; without it the only USB one")
    options = parser.parse_args()
    try:
        device = attach(find_port(options.port))
        try:
            device.check()
            done = (save if options.direction == "save" else restore)(device, options.folder)
            device.restart("Parallelator ")
        finally:
            device.close()
    except DeviceError as error:
        print(f"{options.direction}: {error}", file=sys.stderr)
        return 1
    print(f"{len(done)} files. The rig is back at work.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
