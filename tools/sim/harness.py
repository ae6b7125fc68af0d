# SPDX-License-Identifier: GPL-3.0-only
"""Boots the firmware in a simulated world and lets it run to the end. For run.py and tests."""

import builtins
import gc
import json
import os
import sys

from device import esp_image
from sim import current, tasks, threads
from sim.broker import Broker
from sim.chips.sdcard import SdCard
from sim.chips.sdimage import BLOCK, Image
from sim.collector import Collector
from sim.flash import Flash
from sim.guard_probe import GuardProbe
from sim.partitions import Partitions
from sim.recorder import Recorder, summary
from sim.referee import RefereeLimits
from sim.scenario import Script
from sim.world import Break, ControllerReset, Finished, World

SD_SECTORS = 131072
"""Size of a fresh SD card: 64 MB in blocks of 512 bytes."""

_IMAGE_MOUNT = "/rig"
_FOLDER = 0x4000
_OPEN = open
_FIRMWARE = (
    "boot",
    "parallelator",
    "asyncio",
    "microdot",
    "umqtt",
    "time",
    "select",
    "socket",
    "machine",
    "network",
    "esp32",
    "gc",
)
# Made beforehand: an interrupt can come while the heap is locked.
_ENDS = (Finished, KeyboardInterrupt)


def run(
    root,
    plan,
    virtual,
    speed=1,
    port=None,
    flash=None,
    quiet=False,
    sabotage=None,
    card=None,
    image=None,
    files=None,
    console=None,
):
    """Play a scenario.

    Args:
        root: folder of the repository; plan: a checked scenario.
        virtual: virtual time, else the host's; speed: as run.py's option.
        port: of the page; None = any, so that runs side by side do not meet.
        flash: folder that stands for the ESP32's file system, kept; None = a fresh one under
            build/ that is removed afterwards.
        quiet: do not print the summary; console: a stream whose end stops the run, or None.
        sabotage: function without arguments that breaks the firmware's classes, called at every
            boot when they can be imported and before main.py runs; None = none.
        card: the `SdCard` of the rig; a fresh image is formatted first. None = no card, or one in
            memory when the scenario speaks of it.
        image: a LittleFS image in place of `flash`: what was deployed onto it runs, and nothing
            of the repository's boot.py, main.py and lib/. None = none.
        files: name to bytes of what else lies in `flash` at power-on, config.json included; None
            instead of bytes makes a folder.

    Returns:
        dict: the report.
    """
    end_us = plan["duration_s"] and int(plan["duration_s"] * 1e6)
    world = current.world = World(plan, virtual, speed, plan["seed"], end_us)
    world.attach(console)
    fresh = flash is None and image is None
    home, modules = os.getcwd(), list(sys.path)
    flash = _file_system(root, plan, flash, image)
    try:
        source = flash if image else root
        recorder = _furnish(world, plan, card, source, flash, port, files or {})
        if image:
            sys.path[:] = [path for path in modules if not path.endswith(("/lib", "/mpy-lib"))]
        builtins.open = lambda path, mode="r", *rest: _open(world, path, mode, *rest)
        _power(source, world, recorder, current.probe, sabotage)
    finally:
        builtins.open = _OPEN
        if current.probe:
            current.probe.release()
        _forget_firmware()
        world.restarted()
        if world.broker:
            world.broker.close()
        sys.path[:] = modules
        os.chdir(home)
        _leave(flash, image, fresh)
    return _report(world, recorder, plan, quiet)


def _file_system(root, plan, flash, image):
    """The folder that stands for the ESP32's, made or mounted; arguments as of `run`."""
    if image:
        os.mount(os.VfsLfs2(Flash(open(image, "r+b"))), _IMAGE_MOUNT)  # noqa: SIM115 - until the end
        return _IMAGE_MOUNT
    if flash is None:
        flash = "%s/build/sim/%s-%s" % (root, plan["name"], os.urandom(4).hex())
    make_dirs(flash)
    return flash


def _report(world, recorder, plan, quiet):
    """The report of a run that is over, also in words unless `quiet`."""
    report = recorder.freeze()
    report["open_at_end"] = not any(world.plant.switch)
    card = world.card
    if card:
        report["sd"] = {
            "writes": card.written,
            "bytes": card.written * BLOCK,
            "worst_ms": card.worst_us / 1000,
        }
    if world.broker:
        report["broker"] = {
            "connections": world.broker.connections,
            "messages": world.broker.counts,
            "last": world.broker.last,
        }
    report["failed"] = _unmet(plan, report)
    selftest = current.probe.selftest()
    report["selftest"] = selftest and json.loads(selftest)
    if not quiet:
        print(summary(report))
        for text in report["failed"]:
            print("expected:", text)
    return report


def _furnish(world, plan, card, source, flash, port, files):
    """Give the rig its configuration, its card and its observers; returns the recorder."""
    from parallelator import VERSION, settings

    if world.controller == "plain":
        world.partitions = _partitions(world, VERSION)
    config = _config(source, plan, port)
    if any(step["do"].startswith("broker") for step in plan["steps"]):
        world.broker = Broker(world.random)
        _merge(config, {"mqtt": {"host": "127.0.0.1", "port": world.broker.port}})
    with open(flash + "/config.json", "w") as file:
        json.dump(config, file)
    _put(flash, files)
    os.chdir(flash)
    if card is None and any(step["do"].startswith("sd_") for step in plan["steps"]):
        card = SdCard(Image(SD_SECTORS))
    if card:
        world.card = card
        card.image.volume()
    values, _, _ = settings.check(settings.finish(settings.flattening(config)))
    recorder = Recorder(world, RefereeLimits(values))
    probe = current.probe = GuardProbe(world, recorder)
    world.script = Script(plan, world, probe.submit)
    world.observers.append(recorder)
    world.ending = recorder.freeze
    world.resetting = _cut_off_card
    return recorder


def _partitions(world, version):
    def spend(kind):
        world.write_flash(world.costs.partition_us[kind])

    return Partitions("ESP32", esp_image.make(version), spend)


def _open(world, path, mode, *rest):
    """Open a file as the firmware does; what it writes beside its card goes into the flash."""
    if mode[0] in "wa" and path[0] != "/":
        world.write_flash(world.costs.file_save_us)
    return _OPEN(path, mode, *rest)


def _leave(flash, image, fresh):
    if image:
        os.umount(flash)
    if fresh:
        _remove(flash)


def _power(source, world, recorder, probe, sabotage):
    modules = list(sys.path)
    while True:
        _forget_firmware()
        sys.path[:] = modules
        sys.modules["_asyncio"] = tasks
        sys.modules["_thread"] = threads
        if world.virtual:
            sys.modules["gc"] = Collector(world)
        import asyncio

        tasks.bind(asyncio.core)
        try:
            if world.partitions:
                world.partitions.boot()
            _execute(source, "boot.py")
            _prepare(world, probe, sabotage)
            _execute(source, "main.py")
            _stay_at_prompt(world)
        except ControllerReset:
            probe.release()
            stopped = world.over() or (_maintained(world) and not world.broken)
            world.restarted()
            if stopped:
                recorder.freeze()
                return
        except _ENDS:
            probe.release()
            recorder.freeze()
            world.restarted()
            return


def _prepare(world, probe, sabotage):
    """Wrap the firmware's classes; one that cannot be imported is left to main.py.

    That of a controller without PSRAM looks frozen, as it must be there, into the image that runs.
    """
    try:
        if world.partitions:
            package = __import__("parallelator")
            package.__file__ = "parallelator/__init__.py"
            if not sys.path[0].startswith("app-"):  # boot.py has found no folder of a version
                package.VERSION = world.partitions.version
        probe.install()
        _keep_volumes()
    except Exception as error:
        print("harness: the firmware cannot be imported:", error)
        return
    if sabotage:
        sabotage()


def _execute(folder, name):
    with open(folder + "/" + name) as file:
        exec(compile(file.read(), name, "exec"), {"__name__": "__main__"})


def _stay_at_prompt(world):
    """No program runs: time passes until the controller is reset."""
    world.at_prompt = True
    while True:
        try:
            world.wait(1000, None)
        except Break:
            continue


def _maintained(world):
    """True when the firmware was interrupted; unless the cable did that, somebody ends the run."""
    return world.nvs.get("parallelator", {}).get("why") == b"maintenance"


def _keep_volumes():
    """Files that a restart left open are closed by the collector, at any time: what they point
    into must not go before them."""
    from parallelator.records.card import Card

    attach = Card.attach

    def kept(card, space):
        attach(card, space)
        current.volumes.append((card.volume, space._device))

    Card.attach = kept


def _cut_off_card():
    """Files that the firmware left open are closed by the collector: nothing of it may reach the
    card."""
    for _, device in current.volumes:
        device.detach()


def _forget_firmware():
    _cut_off_card()
    for name in list(sys.modules):
        if name.split(".")[0] in _FIRMWARE:
            del sys.modules[name]
    gc.collect()
    try:
        os.umount("/sd")
    except OSError:
        return


def _config(source, plan, port):
    with open(source + "/config.json") as file:
        config = json.load(file)
    config["web"]["port"] = port or 20000 + int.from_bytes(os.urandom(2), "big") % 12000
    _merge(config, plan["settings"])
    return config


def _merge(base, changes):
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            _merge(base[key], value)
        else:
            base[key] = value


def make_dirs(path):
    """Make a folder and those that it lies in, where they are missing."""
    made = ""
    for part in path.split("/"):
        made += part + "/"
        try:
            os.mkdir(made)
        except OSError:
            continue


def _put(folder, files):
    """Lay files into a folder, over others; None in the place of bytes makes a folder."""
    for name, content in files.items():
        path = folder + "/" + name
        if name in os.listdir(folder):
            os.remove(path)
        if content is None:
            os.mkdir(path)
        else:
            with open(path, "wb") as file:
                file.write(content)


def _remove(folder):
    for entry in os.ilistdir(folder):
        path = folder + "/" + entry[0]
        if entry[1] == _FOLDER:
            os.rmdir(path)
        else:
            os.remove(path)
    os.rmdir(folder)


def _too_dark(wish, report):
    """One text in a list when the load was without supply for longer than wished, else none."""
    begin_ms = 1000 * wish["from"]
    end_ms = min(1000 * wish["to"], report["end_ms"])
    spans = [(max(begin, begin_ms), min(end, end_ms)) for begin, end in report["dark_ms"]]
    dark_ms = sum(max(end - begin, 0) for begin, end in spans)
    if dark_ms <= wish["most"]:
        return []
    return [
        "load dark for %s ms at most from %s to %s ms, found %s"
        % (wish["most"], begin_ms, end_ms, round(dark_ms, 3))
    ]


def _unmet(plan, report):
    """The expectations of a scenario that the report does not show, in words."""
    unmet = []
    for wish in plan["expect"]:
        if "dark_ms" in wish:
            unmet += _too_dark(wish["dark_ms"], report)
            continue
        if wish["at"] * 1000 > report["end_ms"]:
            continue
        found = ("absent", "")
        for ms, n, state, reason in report["timeline"]:
            if n == wish["n"] and ms <= wish["at"] * 1000:
                found = (state, reason)
        wanted = (wish["state"], wish.get("reason", found[1]))
        if found != wanted:
            unmet.append(
                "battery %d at %s s %s, found %s" % (wish["n"], wish["at"], wanted, found)
            )
    return unmet
