# SPDX-License-Identifier: GPL-3.0-only
"""The ESP32's modules and the clients for the 32-bit runs of heap32.py.

Runs inside the measured MicroPython before the firmware is imported: what it takes is measured
and taken off.
"""

import asyncio
import builtins
import json
import os
import sys
import time

from heap32_chips import I2C

CLIENTS = 4
REQUESTS = ("/api/state", "/api/events?after=0", "/api/history?n=0&span=600", "/metrics")


class Quiet:
    """Something that has whatever it is asked for: CONSTANTS of 0, functions and classes."""

    def __getattr__(self, name):
        return 0 if name.isupper() else nothing


def nothing(*_, **__):
    """A function that does nothing, whatever its arguments."""
    return Quiet()


class Pin(Quiet):
    """A GPIO; the lines of I2C are free."""

    IN = 1
    OUT = 3
    OPEN_DRAIN = 7
    PULL_UP = 2

    def __init__(self, number, mode=-1, pull=-1, value=None):
        pass

    def __call__(self, level):
        pass

    def value(self, level=None):
        return 1


class SPI(Quiet):
    """Its card is `Card`."""

    def __init__(self, unit, baudrate, sck, mosi, miso):
        pass


class WDT(Quiet):
    """A watchdog that never resets."""

    def __init__(self, timeout):
        pass


class NVS:
    """Non-volatile storage: nothing was kept."""

    def __init__(self, namespace):
        pass

    def get_i32(self, key):
        raise OSError(-0x1102)  # ESP_ERR_NVS_NOT_FOUND

    def get_blob(self, key, buffer):
        raise OSError(-0x1102)  # ESP_ERR_NVS_NOT_FOUND

    def set_i32(self, key, value):
        pass

    def set_blob(self, key, value):
        pass

    def commit(self):
        pass


class WLAN(Quiet):
    """A station that is connected as soon as it is asked to be."""

    joined = False

    def __init__(self, interface):
        pass

    def active(self, on=None):
        return True

    def connect(self, ssid, key):
        WLAN.joined = True

    def isconnected(self):
        return WLAN.joined

    def config(self, name="", **_):
        return b"\x24\x6f\x28\x00\x00\x01"

    def ifconfig(self, addresses=None):
        return ("192.168.1.2", "255.255.255.0", "192.168.1.1", "192.168.1.1")

    def status(self, what=""):
        return [] if what else 0

    def scan(self):
        return []


class Sockets:
    """asyncio's queue of sockets: nothing ever comes in."""

    def queue_read(self, sock):
        pass

    def wait_io_event(self, ms):
        time.sleep_ms(ms)


class VfsFat:
    """A volume of the size that it has on the ESP32; the files lie in the port's own memory."""

    def __init__(self, device):
        self.window = bytearray(4096 + 256)


class Stream:
    """One connection: both its reader and its writer, with what asyncio's Stream holds.

    Args:
        request: what the client sends; client: number of a live one, or None.
    """

    def __init__(self, request, client):
        self.s = request
        self.e = client
        self.out_buf = b""

    async def read(self, count):
        if self.s:
            data = self.s
            self.s = b""
            return data
        await asyncio.sleep(100000)

    def write(self, data):
        Server.failed += data[:10] == b"HTTP/1.0 5"
        if self.e is not None:
            Server.frames[self.e] += 1

    async def drain(self):
        pass

    def get_extra_info(self, key):
        return ("192.168.4.2", 50000)

    def close(self):
        pass

    async def wait_closed(self):
        pass


class Server:
    """The listening socket; `serve` is the firmware's callback, `frames` what went to clients,
    `failed` how many answers had a status of 500 or more, as without memory."""

    serve = None
    failed = 0
    frames = [0] * CLIENTS

    def close(self):
        pass

    async def wait_closed(self):
        pass


async def start_server(serve, host, port, backlog=5):
    Server.serve = serve
    return Server()


class Broker(Stream):
    """The connection to a broker that accepts everything."""

    published = 0

    def __init__(self):
        super().__init__(Quiet(), None)
        self.waiting = b""

    def write(self, data):
        kind = data[0] & 0xF0
        Broker.published += kind == 0x30
        if kind == 0x10:
            self.waiting += b"\x20\x02\x00\x00"
        elif kind == 0x80:
            self.waiting += b"\x90\x03" + data[2:4] + b"\x00"
        elif kind == 0xC0:
            self.waiting += b"\xd0\x00"

    async def readexactly(self, count):
        while len(self.waiting) < count:
            await asyncio.sleep_ms(50)
        data = self.waiting[:count]
        self.waiting = self.waiting[count:]
        return data


async def open_connection(host, port, ssl=None, server_hostname=None):
    stream = Broker()
    return stream, stream


async def ask(path, client=None):
    """One request, answered and closed."""
    stream = Stream(("GET %s HTTP/1.1\r\nHost: rig\r\n\r\n" % path).encode(), client)
    await Server.serve(stream, stream)


async def clients():
    """Four live streams for ever, and a request a second beside them."""
    while not Server.serve:
        await asyncio.sleep(1)
    streams = [asyncio.create_task(ask("/api/live", n)) for n in range(CLIENTS)]
    while streams:
        for path in REQUESTS:
            await asyncio.sleep(1)
            await ask(path)


class Module(Quiet):
    """A module of these names, and of any other."""

    def __init__(self, **names):
        for name in names:
            setattr(self, name, names[name])


class RTC:
    """Its memory, after power came on."""

    def memory(self, data=b""):
        return data


def numbered(function):
    """The function with the numbers of errors that the ESP32 has, not those of WebAssembly."""

    def call(*args):
        try:
            return function(*args)
        except OSError as error:
            raise OSError({44: 2, 20: 17}.get(error.errno, error.errno))  # ENOENT, EEXIST

    return call


def install(path, folder="/flash"):
    """Put the stand-ins in their places.

    Args:
        path: of the folders to import from; folder: the root of the ESP32's flash.
    """
    if sys.platform == "webassembly":
        builtins.open = numbered(open)
        for name in ("listdir", "mkdir", "remove", "rename", "stat", "statvfs"):
            setattr(os, name, numbered(getattr(os, name)))
        os.urandom = bytes
        os.mkdir("/sd")
    sys.path[:] = path
    os.chdir(folder)
    asyncio.start_server = start_server
    asyncio.open_connection = open_connection
    for name in ("functools", "inspect"):
        sys.modules[name] = Nothing()  # not on the ESP32; Microdot does without
    sys.modules["machine"] = Module(
        I2C=I2C,
        SPI=SPI,
        Pin=Pin,
        RTC=RTC,
        WDT=WDT,
        mem_backup=None,
        unique_id=lambda: b"\x24\x6f\x28\x00\x00\x01",
        freq=lambda: 240000000,
    )
    asyncio.core._io_queue = Sockets()
    sockets = Module(getaddrinfo=lambda ip, port: (((ip, port),),))
    sys.modules["socket"] = sys.modules["usocket"] = sockets
    sys.modules["_thread"] = Module(start_new_thread=lambda function, args: function(*args))
    sys.modules["esp32"] = Module(NVS=NVS)
    sys.modules["network"] = Module(WLAN=WLAN, STA_IF=0, hostname=lambda name: None)
    sys.modules["vfs"] = Module(VfsFat=VfsFat, mount=lambda volume, folder: None)
    __import__("umqtt.simple")  # frozen in the ESP32's image


class Nothing:
    """A module without names."""


def switch_everything_on():
    """Settings with every feature on."""
    with open("config.json") as file:
        config = json.load(file)
    config["wifi"]["ssid"] = "rig"
    config["web"]["password"] = "backstage"
    config["mqtt"] = {"host": "192.168.1.9", "commands": True}
    config["batteries"] = {str(n): {"label": "Pack %d" % n} for n in range(1, 17)}
    with open("config.json", "w") as file:
        json.dump(config, file)


def put_card_in():
    """The card is `Card`'s and never fails."""
    from parallelator.hardware.sdcard import SpiCard

    if "parallelator.joined" in sys.modules:  # what hands its names on is not of the firmware
        for name in ("hardware.sdcard", "hardware"):
            del sys.modules["parallelator." + name]
        del sys.modules["parallelator"].hardware
    SpiCard.init_card = lambda card, baudrate: setattr(card, "sectors", 65536)
    SpiCard.readblocks = lambda card, number, buf: None
    SpiCard.check = lambda card: None


def start():
    """Start the firmware and its clients; return its `Rig`."""
    from parallelator import app

    switch_everything_on()
    put_card_in()
    app.App.run = lambda firmware, settled: firmware  # the loop runs with the clients in it
    firmware = app.run("", 0, lambda: None, "", None)
    asyncio.create_task(firmware._main(lambda: None))
    asyncio.create_task(clients())
    return firmware.rig


def look(rig):
    """What the firmware is doing, as JSON; `rig` is its `Rig`."""
    from parallelator.catalog import ON

    logs = os.listdir("/sd/log")
    return json.dumps(
        {
            "on": sum(state == ON for state in rig.snap.state),
            "alarms": [alarm["code"] for alarm in rig.alarms()],
            "failures": rig.failures,
            "wifi": WLAN.joined,
            "log_bytes": sum(os.stat("/sd/log/" + name)[6] for name in logs),
            "frames": Server.frames,
            "failed_answers": Server.failed,
            "published": Broker.published,
        }
    )
