#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-only
"""Brings the built application onto a device: only what changed, verified. Run by `make deploy`.

    tools/device/deploy.py [--port PORT] [--build FOLDER | --only-key] [--key FILE]

The device has room for two versions, app-a and app-b, and boots from the one that the file `app`
names. The new one is written beside the old one and becomes the one to boot by one rename: a
device that is unplugged in between boots what it had. Starting again goes on where it stopped.
When the new version does not start to work, the device returns to the one before: see main.py.
An existing config.json is left alone. The key for updates over the air comes along.
"""

import argparse
import hashlib
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path

from device import build, key
from device.link import DeviceError, attach, find_port

SLOTS = ("app-a", "app-b")
BOOT_FILES = ("boot.py", "main.py")
CONFIG = "config.json"
KEY_FILE = "update.key"
SPARE_BLOCKS = 8
"""Blocks of the flash that must stay free: settings, file system."""

FOLDER_BLOCKS = 2
"""Blocks of a folder."""


@dataclass
class Plan:
    """What is to be done, in this order.

    Attributes:
        slot: the folder that the new version goes to, or is in already.
        remove: files of the slot to remove; copy: (from, to) pairs on the device.
        send: names within the build to the paths they go to; bytes: their sizes in all.
        boot: names of BOOT_FILES that differ; config: True when there is no config.json.
        switch: True when the device boots from another folder.
        previous: the slot to return to when the new version does not get to work, "" = none.
        blocks: of flash that it takes, beyond what it frees.
    """

    slot: str
    remove: list = field(default_factory=list)
    copy: list = field(default_factory=list)
    send: dict = field(default_factory=dict)
    boot: list = field(default_factory=list)
    config: bool = False
    switch: bool = False
    previous: str = ""
    blocks: int = 0

    @property
    def empty(self):
        """True when the device has all of it."""
        return not (self.remove or self.copy or self.send or self.boot or self.config) and (
            not self.switch
        )


def plan(wanted, found, chosen, block):
    """What brings a device up to date.

    Args:
        wanted: names in a build to (size, SHA-256), the manifest included.
        found: paths on the device to (size, SHA-256); chosen: what its file `app` says.
        block: bytes of a block of its flash.
    """
    app = {name[len(build.APP) + 1 :]: name for name in wanted if name.startswith(build.APP)}
    app[build.MANIFEST] = build.MANIFEST
    slots = {slot: _below(slot, found) for slot in SLOTS}
    active = next((slot for slot in (chosen, *SLOTS) if build.MANIFEST in slots.get(slot, ())), "")
    target = {name: wanted[source] for name, source in app.items()}
    made = Plan(SLOTS[0] if active != SLOTS[0] else SLOTS[1])
    if active and slots[active] == target:
        made.slot = active
    made.switch = chosen != made.slot
    if made.switch and active != made.slot:
        made.previous = active
    here = dict(slots[made.slot])
    there = slots.get(active, {}) if active != made.slot else {}
    by_content = {content: name for name, content in there.items()}
    # A manifest means that all other files are there: it is removed first and written last.
    order = sorted(here, key=lambda name: (name != build.MANIFEST, name))
    for name in order if here != target else ():
        if name == build.MANIFEST or here[name] != target.get(name):
            made.remove.append(f"{made.slot}/{name}")
            made.blocks -= _blocks(here.pop(name)[0], block)
    folders = {str(Path(made.slot, name).parent) for name in target}
    folders -= {str(Path(made.slot, name).parent) for name in here}
    made.blocks += FOLDER_BLOCKS * len(folders)
    for name in sorted(target, key=lambda name: (name == build.MANIFEST, name)):
        if name in here:
            continue
        path = f"{made.slot}/{name}"
        made.blocks += _blocks(target[name][0], block)
        if target[name] in by_content and name != build.MANIFEST:
            made.copy.append((f"{active}/{by_content[target[name]]}", path))
        else:
            made.send[app[name]] = path
    made.boot = [name for name in BOOT_FILES if found.get(name) != wanted[name]]
    made.config = CONFIG not in found
    for name in (*made.boot, *([CONFIG] if made.config else ())):
        made.blocks += _blocks(wanted[name][0], block)
    return made


def _below(slot, found):
    start = slot + "/"
    return {path[len(start) :]: found[path] for path in found if path.startswith(start)}


def _blocks(size, block):
    return -(-size // block) or 1


def contents(folder):
    """Names in a build to (size, SHA-256)."""
    listing = json.loads((folder / build.MANIFEST).read_text())
    wanted = {name: (file["size"], file["sha256"]) for name, file in listing["files"].items()}
    manifest = (folder / build.MANIFEST).read_bytes()
    wanted[build.MANIFEST] = (len(manifest), hashlib.sha256(manifest).hexdigest())
    return listing, wanted


def carry_out(device, made, folder, wanted, say):
    """Do what a plan says; `say` gets a line for each file."""
    for path in made.remove:
        device.call(f"remove({path!r})")
    total = len(made.copy) + len(made.send)
    done = 0
    for source, path in made.copy:
        done += 1
        say(f"[{done}/{total}] {path}, copied on the device")
        _verify(path, device.call(f"copy({source!r}, {path!r})")[0], _of(wanted, path))
    for name, path in made.send.items():
        done += 1
        say(f"[{done}/{total}] {path}, {wanted[name][0]} bytes")
        _send(device, folder / name, path, wanted[name][1], name == build.MANIFEST)
    for name in (*made.boot, *([CONFIG] if made.config else ())):
        say(f"{name}, {wanted[name][0]} bytes")
        _send(device, folder / name, name, wanted[name][1], True)
    if made.switch:
        device.call(f"switch({made.slot!r}, {made.previous!r})")


def _of(wanted, path):
    return wanted[f"{build.APP}/{path.partition('/')[2]}"][1]


def _send(device, source, path, sha256, whole=False):
    """Write a file; with `whole`, the old one or none is there until all of the new one is."""
    _verify(path, device.write(path + ".new" * whole, source.read_bytes()), sha256)
    if whole:
        device.call(f"take({path!r})")


def _verify(path, found, sha256):
    if found != sha256:
        raise DeviceError(f"{path} arrived damaged. Do this again; is the cable good?")


def bring_key(device, found, text, say):
    """Write the key for updates when the device has another one or none; True when it did.

    Args:
        found: as of `plan`; text: bytes of the key's file.
    """
    sha256 = hashlib.sha256(text).hexdigest()
    if found.get(KEY_FILE, (0, ""))[1] == sha256:
        return False
    say(f"{KEY_FILE}: from now on the rig takes bundles made with key {key.fingerprint(text)}")
    _verify(KEY_FILE, device.write(KEY_FILE + ".new", text), sha256)
    device.call(f"take({KEY_FILE!r})")
    return True


def deploy(port, folder, say=print, key_text=None):
    """Bring the build in `folder` onto the device at `port`; returns the `Plan`.

    Args:
        key_text: bytes of the key's file, None = leave the key alone.

    Raises:
        DeviceError: what is wrong, for the person at the cable.
    """
    listing, wanted = contents(folder)
    say(f"Parallelator {listing['version']} for {port}")
    device = attach(port)
    try:
        machine, block, free = device.check(listing["march"], build.needed_kb())
        say(f"{machine}: every switch is off, looking at its files")
        device.call("hold()")
        found = {path: (size, sha256) for path, size, sha256 in device.call("survey()")}
        made = plan(wanted, found, device.call("pointer()")[0], block)
        if made.blocks + SPARE_BLOCKS > free:
            raise DeviceError(
                f"The flash is too full: {(made.blocks + SPARE_BLOCKS) * block // 1024} KB are "
                f"needed, {free * block // 1024} KB are free. Nothing was changed. "
                "Remove files of yours from it: mpremote ls, rm."
            )
        brought = key_text is not None and bring_key(device, found, key_text, say)
        if made.empty and not brought:
            say("Nothing has changed.")
        carry_out(device, made, folder, wanted, say)
        say("Restarting")
        device.restart(f"Parallelator {listing['version']}")
        say(f"The rig runs Parallelator {listing['version']} from {made.slot}.")
    finally:
        device.close()
    return made


def seal(port, text, say=print):
    """Bring the key for updates, and nothing else: a rig with an image has no need of the rest.

    Args:
        text: bytes of the key's file.

    Raises:
        DeviceError: what is wrong, for the person at the cable.
    """
    device = attach(port)
    try:
        found = {path: (size, sha256) for path, size, sha256 in device.call("survey()")}
        if not bring_key(device, found, text, say):
            say("It has this key.")
        device.restart("Parallelator ")
    finally:
        device.close()


def main():
    """Deploy; return the exit code."""
    parser = argparse.ArgumentParser(description="Bring the built application onto a device.")
    parser.add_argument("--port", help="serial port; without it the only USB one")
    parser.add_argument("--build", type=Path, default=build.ROOT / "build/device")
    parser.add_argument("--only-key", action="store_true", help="the key for updates alone")
    key.add_option(parser)
    options = parser.parse_args()
    try:
        text = key.load(options.key)
        if options.only_key:
            seal(find_port(options.port), text)
        else:
            deploy(find_port(options.port), options.build, key_text=text)
    except (DeviceError, key.KeyFault) as error:
        print(f"deploy: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
