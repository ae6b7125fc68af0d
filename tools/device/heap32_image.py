# SPDX-License-Identifier: GPL-3.0-only
"""Runs all that an image holds as a controller does: _boot.py, boot.py and main.py, with the chips
and clients of the 32-bit runs of heap32.py. Called by tools/soak/image.py.

    micropython -X heapsize=BYTES -c "import heap32_image; heap32_image.main(FOLDER, SLOT)"

FOLDER has the file `flash`, the partition for what people own, the files `ota_0` and `ota_1`, the
two for images, of which SLOT runs, and the folders `sd` and `out`. The answers to a visitor go
into `out`. What runs in ota_0 is watched while a battery trips, then updated with the bundles in
`out`; it ends with the restart that this asks for. What runs in ota_1 is looked at. The last line
is JSON: bytes that the stand-ins take, most bytes in use after a collection and at any moment, and
while an update is written; what the boot loader was told.
"""

import asyncio
import gc
import io
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
UPDATED = (("/api/state", "new-state"), ("/api/events", "new-events"), ("/api/update", "new-idle"))
JOINED_S = 8
SURGE_S = 2
TRIPPED_S = 3
PASSWORD = "Backstage-77"
PIECE = 1024
SEGMENT = 1024
SAMPLED = 16
"""While an update is written, the heap is looked at each so many steps."""

POWERED_ON = 1
RESET = 2
ERASE = 6
ERASED = b"\xff" * 4096
NONE = {}
PATIENCE = 100
"""How often the rig may be short of memory, at a second each time; a quarter for one beginning."""


class Gauge:
    """What the heap has held, in bytes without the stand-ins: most after a collection, most at any
    moment, most after a collection in the middle of an update; how often the rig was `busy`, and
    an upload began `anew`; `at` which byte it is."""

    standins = 0
    used = 0
    most = 0
    update = 0
    steps = 0
    busy = 0
    anew = 0
    at = 0

    def sample():
        """Look now; returns what is in use after a collection."""
        Gauge.most = max(Gauge.most, gc.mem_alloc() - Gauge.standins)
        gc.collect()
        used = gc.mem_alloc() - Gauge.standins
        Gauge.used = max(Gauge.used, used)
        return used


class Partition:
    """Those of the flash: the one that _boot.py looks for, and the slots for images."""

    TYPE_DATA = 1
    RUNNING = 1
    flash = None
    slots = {}
    running = None
    told = []

    def __init__(self, which):
        self.label = Partition.running if which == self.RUNNING else which
        self.slot = Partition.slots[self.label]
        self.readblocks = self.slot.readblocks

    def info(self):
        return (0, 16, 0x10000, 0x1E0000, self.label, False)

    def get_next_update(self):
        return Partition("ota_0" if self.label == "ota_1" else "ota_1")

    def ioctl(self, op, number):
        if op == ERASE:
            self.slot.writeblocks(number, ERASED)
        return 0

    def writeblocks(self, number, buf, offset):
        self.slot.writeblocks(number, buf, offset)
        Gauge.steps += 1
        if Gauge.steps % SAMPLED == 0:
            Gauge.update = max(Gauge.update, Gauge.sample())

    def set_boot(self):
        Partition.told.append("boot " + self.label)

    def mark_app_valid_cancel_rollback():
        Partition.told.append("keep " + Partition.running)

    def find(kind, label):
        return [Partition.flash] if (kind, label) == (Partition.TYPE_DATA, "vfs") else []


class WLAN(heap32_standins.WLAN):
    """The radio of a new rig: its own Wi-Fi alone."""

    def __init__(self, interface):
        self.ip = "192.168.4.1" if interface else "0.0.0.0"

    def ifconfig(self, addresses=None):
        return (self.ip, "255.255.255.0", self.ip, self.ip)


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
    """A connection whose answer goes into a file.

    Args:
        head: of the request; file: for the answer; body: a file, of which `count` bytes follow.
    """

    def __init__(self, head, file, body=None, count=0):
        super().__init__(head.encode(), None)
        self.file = file
        self.body = body
        self.left = count

    async def read(self, count):
        if self.s or not self.left:
            return await super().read(count)
        count = min(count, self.left, SEGMENT)
        self.left -= count
        return self.body.read(count)

    async def readexactly(self, count):
        data = b""
        while len(data) < count:
            data += await self.read(count - len(data))
        return data

    def write(self, data):
        self.file.write(data)


async def visit(path, name, method="GET", token="", body=None, count=0):
    """Ask for one thing; the answer, with its head, goes into a file."""
    head = "%s %s HTTP/1.1\r\nHost: 192.168.4.1\r\nAccept-Encoding: gzip\r\n" % (method, path)
    if token:
        head += "Authorization: Bearer %s\r\n" % token
    if count:
        head += "Content-Type: application/json\r\nContent-Length: %d\r\n" % count
    with open("/out/" + name, "wb") as file:
        stream = Answer(head + "\r\n", file, body, count)
        await Server.serve(stream, stream)


async def ask(path, name, method, token, body, count):
    """As `visit`, again each second while the rig is short of memory; returns the JSON."""
    while True:
        body.seek(Gauge.at)
        await visit(path, name, method, token, body, count)
        found = answered(name)
        if found.get("error", NONE).get("code") != "busy":
            return found
        Gauge.busy += 1
        if Gauge.busy + PATIENCE // 4 * Gauge.anew > PATIENCE:
            raise MemoryError
        await asyncio.sleep(1)


async def post(path, name, text, token=""):
    """As `ask`, with JSON."""
    Gauge.at = 0
    return await ask(path, name, "POST", token, io.BytesIO(text), len(text))


def answered(name):
    """The JSON of an answer."""
    with open("/out/" + name) as file:
        return json.loads(file.read().split("\r\n\r\n", 1)[1])


async def upload(token, name, into):
    """Send a bundle, piece by piece, to its end or until it is refused, and anew when the rig had
    no memory in the middle of it."""
    Gauge.at = 0
    size = os.stat("/out/" + name)[6]
    with open("/out/" + name, "rb") as file:
        while Gauge.at < size:
            path = "/api/update?offset=%d&size=%d&confirmed=1" % (Gauge.at, size)
            found = await ask(path, into, "PUT", token, file, min(PIECE, size - Gauge.at))
            if found.get("error", NONE).get("code") == "update_storage":
                Gauge.anew += 1
                found = {"received": 0}
            elif "error" in found:
                return
            Gauge.at = found["received"]


def report():
    """End the program with what was found: the controller restarts."""
    print(
        json.dumps(
            {
                "standins": Gauge.standins,
                "used": Gauge.used,
                "most": Gauge.most,
                "update": Gauge.update,
                "busy": Gauge.busy,
                "anew": Gauge.anew,
                "frames": Server.frames,
                "failed": Server.failed,
                "own": os.listdir("/"),
                "told": Partition.told,
            }
        )
    )
    sys.exit()


async def set_up():
    """What the owner of a new rig does, alone: choose a password; returns a session's token."""
    return (await post("/api/setup", "chosen", b'{"password": "%s"}' % PASSWORD))["token"]


async def evening(token):
    """What happens to the new rig, until it is told to restart with another image."""
    for path, name in BEGIN:
        await visit(path, name)
    I2C.surge = 2
    for second in range(SURGE_S + TRIPPED_S):
        if second == SURGE_S:
            I2C.surge = -1
        await asyncio.sleep(1)
        Gauge.sample()
    for path, name in END:
        await visit(path, name)
    await upload(token, "image.bundle", "keyless")
    with open("/out/update.key") as source, open("update.key", "w") as key:  # as make key does
        key.write(source.read())
    for name in ("files", "foreign", "image"):
        await upload(token, name + ".bundle", name)
    await post("/api/update", "switched", b'{"confirmed": true}', token)


async def morning():
    """What the updated rig says of itself; ends the program."""
    for path, name in UPDATED:
        await visit(path, name)
    Gauge.sample()
    report()


async def attend():
    """Wait until the rig serves, and let four clients follow it."""
    while not Server.serve:
        await asyncio.sleep(1)
    try:
        token = await set_up() if Partition.running == "ota_0" else None
        asyncio.create_task(heap32_standins.clients())
        await asyncio.sleep(JOINED_S)
        await (evening(token) if token else morning())
    except Exception as error:
        sys.print_exception(error)
        sys.exit(1)


def main(folder, slot):
    """Start as a controller does, and stay at work until the restart."""
    Partition.running = slot
    Partition.flash = Flash(open(folder + "/flash", "r+b"))  # noqa: SIM115 - until the end
    for label in ("ota_0", "ota_1"):
        Partition.slots[label] = Flash(open(folder + "/" + label, "r+b"))  # noqa: SIM115
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
    network = sys.modules["network"]
    network.WLAN = WLAN
    network.AP_IF = 1
    machine.reset = report
    machine.PWRON_RESET = POWERED_ON
    machine.reset_cause = lambda: POWERED_ON if slot == "ota_0" else RESET
    machine.Timer = Timer
    machine.WDT = WDT
    machine.freq = lambda hz=0: 240000000
    gc.collect()
    Gauge.standins = gc.mem_alloc()
    sys.modules["vfs"] = vfs
    __import__("_boot")
    sys.modules["vfs"] = fat
    asyncio.create_task(attend())
    for name in ("boot", "main"):
        __import__(name)
