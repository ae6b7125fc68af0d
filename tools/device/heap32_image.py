# SPDX-License-Identifier: GPL-3.0-only
"""Runs all that an image holds as a controller does: _boot.py, boot.py and main.py, with the chips
and clients of the 32-bit runs of heap32.py. Called by tools/soak/image.py.

    micropython -X heapsize=BYTES -c "import heap32_image; heap32_image.main(FOLDER)"

FOLDER has the file `flash`, the partition for what people own, and the folders `sd` and `out`. The
answers to a visitor go into `out`. The last line is JSON: bytes that the stand-ins take, most
bytes in use after a collection and at any moment.
"""

import asyncio
import gc
import json
import os
import sys

import heap32_standins
import vfs
from heap32_chips import I2C
from heap32_standins import NVS, Module, Quiet, Server, Stream

from flash import Flash

RADIO_BYTES = 25 << 10
"""What the radio will take, which main.py counts in."""

BEGIN = (
    ("/", "page"),
    ("/app.js", "app.js"),
    ("/setup", "setup"),
    ("/messages.json", "messages"),
    ("/messages.json?language=fr", "messages.fr"),
    ("/api/state", "before"),
)
END = (("/api/state", "after"), ("/api/events", "events"), ("/api/system", "system"))
JOINED_S = 8
SURGE_S = 2
TRIPPED_S = 3


class Partition:
    """Those of the flash: the one that _boot.py looks for, and the slot that runs."""

    TYPE_DATA = 1
    RUNNING = 1
    flash = None

    def __init__(self, which):
        pass

    def info(self):
        return (0, 16, 0x10000, 0x1E0000, "ota_0", False)

    def mark_app_valid_cancel_rollback():
        pass

    def find(kind, label):
        return [Partition.flash] if (kind, label) == (Partition.TYPE_DATA, "vfs") else []


class Timer(Quiet):
    """A timer that never comes."""

    ONE_SHOT = 0
    PERIODIC = 1

    def __init__(self, number):
        pass


class WDT(heap32_standins.WDT):
    """A watchdog that never resets; it is the last thing before the application is imported."""

    def __init__(self, timeout):
        heap32_standins.put_card_in()


class Answer(Stream):
    """A connection whose answer goes into a file."""

    def __init__(self, path, file):
        text = "GET %s HTTP/1.1\r\nHost: rig\r\nAccept-Encoding: gzip\r\n\r\n" % path
        super().__init__(text.encode(), None)
        self.file = file

    def write(self, data):
        self.file.write(data)


async def visit(pages):
    """Ask for pages, one after the other; each answer, with its head, goes into a file."""
    for path, name in pages:
        with open("/out/" + name, "wb") as file:
            stream = Answer(path, file)
            await Server.serve(stream, stream)


async def evening(standins):
    """What happens to the rig; ends the program with the report.

    Args:
        standins: bytes that they take.
    """
    used = most = 0
    while not Server.serve:
        await asyncio.sleep(1)
    asyncio.create_task(heap32_standins.clients())
    await asyncio.sleep(JOINED_S)
    await visit(BEGIN)
    I2C.surge = 2
    for second in range(SURGE_S + TRIPPED_S):
        if second == SURGE_S:
            I2C.surge = -1
        await asyncio.sleep(1)
        most = max(most, gc.mem_alloc() - standins)
        gc.collect()
        used = max(used, gc.mem_alloc() - standins)
    await visit(END)
    report = {"standins": standins, "used": used, "most": most, "frames": Server.frames}
    report.update(failed=Server.failed, own=os.listdir("/"))
    print(json.dumps(report))
    sys.exit()


def main(folder):
    """Start as a controller does, and stay at work until the evening is over."""
    file = open(folder + "/flash", "r+b")  # noqa: SIM115 - until the end
    Partition.flash = Flash(file)
    root = [vfs.VfsPosix(folder + "/" + name) for name in ("sd", "out")]
    vfs.umount("/")
    for volume, name in zip(root, ("/sd", "/out")):  # noqa: B905 - MicroPython's has no strict
        vfs.mount(volume, name)
    heap32_standins.install(["", ".frozen", "/lib"], "/")
    fat = sys.modules["vfs"]
    sys.modules["esp32"] = Module(
        NVS=NVS,
        Partition=Partition,
        HEAP_DATA=4,
        idf_heap_info=lambda capabilities: [(RADIO_BYTES, RADIO_BYTES, 0, 0)],
    )
    machine = sys.modules["machine"]
    machine.Timer = Timer
    machine.WDT = WDT
    machine.freq = lambda hz=0: 240000000
    gc.collect()
    standins = gc.mem_alloc()
    sys.modules["vfs"] = vfs
    __import__("_boot")
    sys.modules["vfs"] = fat
    asyncio.create_task(evening(standins))
    for name in ("boot", "main"):
        __import__(name)
