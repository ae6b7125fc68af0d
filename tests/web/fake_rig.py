"""A rig that is not there: serves the page over a made-up Snapshot, for tests and for design.

    micropython tests/web/fake_rig.py PORT [PASSWORD [LANGUAGE]]

Needs lib/ and microdot on MICROPYPATH; saves settings in the present folder. What happens is said
on standard input, a command a line: `trip N`, `lock N`, `lose N` (absent), `hold N`
(uncontrolled), `wait N`, `heat N`, `alarm CODE [N]`, `calm` (no alarms), `extreme` (the longest
numbers everywhere), `freeze`, `run`, `busy`, `password TEXT`, `hold-log NAME`, `pull` (the card),
`setup S` (the window for a first password), `ap IP` (an access point), `press` and `release` (a
trip is pending, or not any more), `hold-boot` and `free-boot`, `slot NAME` (what it was installed
into), `idle` (no current).
Each is answered with `ok` on standard output, and the first line of output is `ready`.
"""

import asyncio
import json
import os
import sys
import time

from parallelator import catalog, settings, snapshot
from parallelator.catalog import Reason
from parallelator.clock import Clock
from parallelator.records.blackbox import BlackBox
from parallelator.records.card import FOLDER
from parallelator.records.datalog import LOGS
from parallelator.records.events import Events
from parallelator.records.history import History
from parallelator.records.sample_ring import BUS, SampleRing
from parallelator.scheduler import Scheduler
from parallelator.snapshot import ALL, BATTERIES, RIG, Snapshot
from parallelator.web import server
from parallelator.wording import Words

_CARD_BYTES = 200 * 1024


class I2c:
    """The counts of I2C."""

    transactions = 4711
    errors = 3
    timeouts = 2
    recoveries = 1
    stuck = False


class Card:
    """An SD card in memory, with three logs; it says that it is larger than it is."""

    state = "sd_ready"
    size = 31000 << 20
    free = 30500 << 20
    mounted = True
    losses = 1

    def __init__(self):
        self._blocks = bytearray(_CARD_BYTES)
        os.VfsFat.mkfs(self)
        self.volume = os.VfsFat(self)
        os.mount(self.volume, FOLDER)
        os.mkdir(LOGS)
        for name, rows in (("boot-0006.csv", 9), ("2026-07-13.csv", 900), ("events.csv", 3)):
            with open(LOGS + "/" + name, "w") as file:
                file.write("time,uptime_ms,battery,voltage_mv\n")
                for k in range(rows):
                    file.write("2026-07-13T22:00:%02dZ,%d,1,26300\n" % (k % 60, k * 1000))

    def measure(self):
        """As the card's."""
        return self.free

    def fail(self, error):
        """As the card's."""
        raise error

    def readblocks(self, number, buf):
        at = 512 * number
        buf[:] = self._blocks[at : at + len(buf)]

    def writeblocks(self, number, buf):
        at = 512 * number
        self._blocks[at : at + len(buf)] = buf

    def ioctl(self, op, arg):
        return {4: _CARD_BYTES // 512, 5: 512}.get(op)


class Deaf:
    """Events that nobody notes."""

    def emit(self, *event):
        """As the events'."""


class Datalog:
    """What is known of the log."""

    name = "2026-07-13.csv"

    def __init__(self):
        self.held = []


class Wifi:
    """A station on a network."""

    state = "connected"
    ip = "192.168.1.23"
    ap_ip = ""
    ap_name = "parallelator-0001"
    scanning = False
    networks = (("stage", -51, True), ("Café", -80, False))

    def scan(self):
        """As the radio's, but it finds nothing new."""
        Wifi.scanning = True


class Network:
    """The network side of a rig."""

    wifi = Wifi()

    def hostname(self):
        """What it is called."""
        return "parallelator"


class Rig:
    """A rig as server.serve wants it, whose batteries do as they are told."""

    boot = 7
    config_files = ("config.json",)
    tasks = ("web", "wifi")
    failures = (0, 2)
    faults = ()
    mqtt = None
    network = Network()

    def __init__(self, port, password, language):
        folder = snapshot.__file__.rsplit("/", 1)[0]
        with open("%s/messages/%s.json" % (folder, language)) as file:
            self.words = json.load(file)
        self.sentences = Words(language)
        self.settings = settings.defaults()
        self.settings.update(
            {
                "name": "Fake rig",
                "language": language,
                "web.port": port,
                "web.password": password,
                "batteries.3.label": "Stage <left>",
            }
        )
        self.pending = {}
        self.clock = Clock(time)
        self.clock.set(1784000000)
        scheduler = Scheduler(self.clock, None)  # without a guard that has to go first
        self.run_after_guard = scheduler.run_after_guard
        self.within = scheduler.within
        self.i2c = I2c()
        self.card = Card()
        self.datalog = Datalog()
        self.guard = self
        self.snap = Snapshot()
        self.snap.boards = self.snap.known_boards = 15
        self.snap.sensors = 65535
        self.events = Events(self.snap)
        self.events.emit("boot", RIG, 0, 0, self.boot)
        self.history = History(self.snap)
        self.sample_ring = SampleRing()
        self.blackbox = BlackBox(
            self.sample_ring, Deaf(), self.card, self.clock, self.snap, lambda: False
        )
        self.blackbox.boot = self.boot
        self.active = []
        self.frozen = False
        self.full = False
        self.left_s = 0
        self.slot = "app-a"
        self.presses = False
        self.boot_held = False
        for i in range(BATTERIES):
            self.snap.state[i] = catalog.ON
            self.snap.valid[i] = 1
            self.snap.voltage_mv[i] = 26300 + 7 * (i * 5 % 16)
            self.snap.current_ma[i] = 4200 + 90 * (i * 7 % 16)
            self.snap.discharge_mah[i] = 1500 + 31 * i
            self.snap.charge_mah[i] = 12 * i
            self.blackbox.emit("joined", i, catalog.ON, Reason.NONE, 0)
        # Of this one there is a record, five seconds from now.
        self.blackbox.emit("trip", 3, catalog.TRIPPED, Reason.OVERCURRENT, 16000)

    def alarms(self):
        """As the app's."""
        return self.active

    def event_text(self, event):
        """As the app's."""
        return self.sentences.event(event)

    def take_over(self, changes):
        """As the app's; what is not live waits."""
        for key, value in changes.items():
            if settings.is_live(key):
                self.settings[key] = value
            else:
                self.pending[key] = value
        self.events.emit("settings_saved", RIG, 0, 0, len(changes))

    def set_time(self, unix_s):
        """As the app's."""
        self.clock.set(unix_s)

    def setup_s(self):
        """As the app's."""
        return self.left_s

    def button_held(self):
        """As the app's."""
        return self.boot_held

    def restart(self, why="restart"):
        """As the app's, but it only tells."""
        self.events.emit(why, RIG, 0, 0, 0)

    def trip_pending(self):
        """As the guard's."""
        return self.presses

    def switch(self, folder):
        """As main's, but nothing boots from it."""
        with open("app", "w") as file:
            file.write(folder)
        return True

    def submit(self, action, i):
        """As the guard's: None, or why not."""
        snap = self.snap
        if self.full:
            return "busy"
        if i < 0:
            self.active.clear()
            self.events.emit("bus_reset", RIG, 0, 0, 0)
            return None
        if i == ALL:
            for k in range(BATTERIES):
                self.submit(action, k)
            return None
        if snap.state[i] == catalog.ABSENT:
            return "absent"
        if snap.state[i] == catalog.LOCKED and action in ("on", "auto"):
            return "locked"
        snap.wish[i] = catalog.WISH_OFF if action == "off" else catalog.AUTO
        if action == "off":
            self.put(i, catalog.OFF, Reason.OPERATOR)
        else:
            self.put(i, catalog.ON, Reason.NONE)
            snap.current_ma[i] = 4200
        if action == "reset":
            snap.trips[i] = 0
        return None

    def put(self, i, state, reason):
        """Puts battery i into a state; it carries no current unless it is on."""
        snap = self.snap
        snap.state[i] = state
        snap.reason[i] = reason
        snap.since_s[i] = snap.uptime_s
        snap.eta_ms[i] = 10000 if state == catalog.TRIPPED else 0
        snap.valid[i] = state != catalog.ABSENT
        if state not in (catalog.ON, catalog.UNCONTROLLED):
            snap.current_ma[i] = 0

    def obey(self, command, *args):
        """Does one command of the module's list."""
        i = int(args[0]) - 1 if args and args[0].isdigit() else 0
        if command == "trip":
            self.put(i, catalog.TRIPPED, Reason.OVERLOAD)
            self.snap.trips[i] += 1
            self.events.emit("trip", i, 0, Reason.OVERLOAD, 14000)
            self.blackbox.emit("trip", i, catalog.TRIPPED, Reason.OVERLOAD, 14000)
        elif command == "lock":
            self.put(i, catalog.LOCKED, Reason.OVERCURRENT)
            self.snap.trips[i] = 5
        elif command == "lose":
            self.put(i, catalog.ABSENT, Reason.SENSOR_LOST)
        elif command == "hold":
            self.put(i, catalog.UNCONTROLLED, Reason.EXPANDER_LOST)
            self.alarm("uncontrolled", i + 1)
        elif command == "wait":
            self.put(i, catalog.WAITING, Reason.BUS_LOWER)
        elif command == "heat":
            self.snap.temperature_c[i] = 78
        elif command == "alarm":
            self.alarm(args[0], int(args[1]) if len(args) > 1 else None)
        elif command == "calm":
            self.active.clear()
        elif command == "hold-log":
            self.datalog.held.append(args[0])
        elif command == "pull":
            self.card.mounted = False
            self.card.state = "sd_absent"
        elif command == "extreme":
            self.extreme()
        elif command in ("freeze", "run"):
            self.frozen = command == "freeze"
        elif command == "busy":
            self.full = True
        elif command in ("press", "release"):
            self.presses = command == "press"
        elif command in ("hold-boot", "free-boot"):
            self.boot_held = command == "hold-boot"
        elif command == "slot":
            self.slot = args[0]
        elif command == "idle":
            for i in range(BATTERIES):
                self.snap.current_ma[i] = 0
        elif command == "setup":
            self.left_s = int(args[0])
        elif command == "ap":
            self.network.wifi.ap_ip = args[0]
        else:
            raise ValueError(command)

    def alarm(self, code, n):
        """Raises an alarm."""
        since_ms = self.snap.uptime_s * 1000
        text = self.words["alarm"][code]
        alarm = {"code": code, "severity": catalog.severity(code), "n": n}
        self.active.append(dict(alarm, since_ms=since_ms, text=text))
        self.events.emit("alert_dead", RIG, 0, 0, 0)

    def extreme(self):
        """The longest texts a frame can hold."""
        snap = self.snap
        snap.uptime_s = 99999999
        for i in range(BATTERIES):
            self.put(i, catalog.UNCONTROLLED, Reason.SWITCH_FAULT)
            self.alarm("deadline_missed", 16)
            snap.wish[i] = catalog.WISH_OFF
            snap.voltage_mv[i] = 30000
            snap.current_ma[i] = -15000
            snap.eta_ms[i] = 600000
            snap.trips[i] = 32767
            snap.discharge_mah[i] = snap.charge_mah[i] = 9999999
            snap.temperature_c[i] = -40
            snap.on_s[i] = snap.switchings[i] = 99999999
            snap.r_mohm[i] = 500

    async def live(self):
        """Time goes by: uptime, cooling delays, a little noise."""
        snap = self.snap
        while True:
            await asyncio.sleep_ms(1000)
            if self.frozen:
                continue
            snap.uptime_s += 1
            self.sample_ring.sample(BUS, self.clock.ms(), 26300, 70000)
            for i in range(BATTERIES):
                snap.eta_ms[i] = max(0, snap.eta_ms[i] - 1000)
                snap.voltage_mv[i] += (snap.uptime_s * 37 + i * 11) % 7 - 3
                self.sample_ring.sample(i, self.clock.ms(), snap.voltage_mv[i], snap.current_ma[i])


async def listen(rig):
    """Obeys standard input until it ends."""
    lines = asyncio.StreamReader(sys.stdin)
    while True:
        line = (await lines.readline()).decode().split()
        if not line:
            return
        if line[0] == "password":
            rig.settings["web.password"] = line[1]
        else:
            rig.obey(*line)
        print("ok")


async def main(port, password="", language="en"):
    """Runs for ever."""
    rig = Rig(int(port), password, language)
    asyncio.create_task(rig.live())
    asyncio.create_task(rig.history.run())
    asyncio.create_task(rig.blackbox.run())
    asyncio.create_task(listen(rig))
    print("ready")
    await server.serve(rig)


asyncio.run(main(*sys.argv[1:]))
