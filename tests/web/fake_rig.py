# SPDX-License-Identifier: GPL-3.0-only
"""A rig of stand-ins: serves the page over a made-up Snapshot, for tests and design.

    micropython tests/web/fake_rig.py PORT [PASSWORD [LANGUAGE]]

Needs lib/ and microdot on MICROPYPATH; saves settings in the present folder. What happens is said
on standard input, a command a line: `trip N`, `lock N`, `lose N` (absent), `hold N`
(uncontrolled), `unplug B` (a board: all of it silent, its batteries uncontrolled), `wait N`, `put
N STATE REASON`, `heat N`, `alarm CODE [N]`, `calm` (no alarms), `extreme` (the longest numbers
everywhere), `freeze`, `run`, `busy`, `ready`, `password TEXT`, `hold-log NAME`, `protect NAME` (of
a log), `pull` (the card), `setup S` (S seconds are left for a first password, and time stands
still), `ap IP` (an access point), `press` and `release` (a trip is pending, or not any more),
`hold-boot` and `free-boot`, `slot NAME` (what it was installed into: `ota_0` is the partition of
an image, no name another place), `begin` (it has only just started), `end` (all trip empty),
`idle` (no current), `load MA` (of each battery), `carry N MA` (of one), `charge V ...` (what is
told of the rig's charge, as of `catalog.ENERGY`; `-` is not known; no value: the capacity is not
set), `tire PCT` (the capacity of battery 1), `pass S` (S seconds go by at once), `learn SHARE HOW`
(so much has left full packs; `own`: a curve was learned, `-`: not yet, else why not), `risk PACK
BOARD [THEN] A` (what a loss would do, as of `cascade.LOST`, 0 = nothing, and the current on
promise), `miss B` (a board), `obstruct` (a folder of the card is a file). Each is answered with
`ok` on standard output, and the first line of output is `ready`.
"""

import asyncio
import errno
import gc
import os
import sys
import time

from parallelator import VERSION, catalog, settings
from parallelator.catalog import Reason
from parallelator.clock import Clock
from parallelator.energy.calibration import Calibration
from parallelator.energy.charge import Charge
from parallelator.health import Collector
from parallelator.protection.rules import Balance, Limits
from parallelator.records.blackbox import BlackBox
from parallelator.records.card import FOLDER
from parallelator.records.datalog import LOGS
from parallelator.records.events import Events
from parallelator.records.history import History
from parallelator.records.sample_ring import BUS, SampleRing
from parallelator.rig import Rig
from parallelator.scheduler import Scheduler
from parallelator.show.cascade import Cascade
from parallelator.snapshot import ALL, BATTERIES, NO_CHARGE, RIG, Snapshot
from parallelator.web import server

_CARD_BYTES = 200 * 1024


class I2c:
    """The counts of I2C."""

    transactions = 4711
    errors = 3
    timeouts = 2
    recoveries = 1
    stuck = False
    khz = 100
    board_slips = (0, 0, 0, 0)


class Card:
    """An SD card in memory, with three logs; it says that it is larger than it is."""

    state = "sd_ready"
    size = 31000 << 20
    free = 30500 << 20
    mounted = writable = True
    losses = 1

    def __init__(self):
        self.obstacles = []
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

    def recount(self):
        """As the card's."""

    def fail(self, error):
        """As the card's."""
        if error.errno == errno.EACCES:
            return True
        raise error

    def leave(self):
        """As the card's, which stays."""

    def unmount(self):
        """As the card's, which stays."""

    def present_obstacles(self):
        """As the card's: `obstacles` is what lies in its way."""
        return self.obstacles

    def protect(self, name):
        """Set the attribute read-only of a log that is as large as no other."""
        size = os.stat(LOGS + "/" + name)[6].to_bytes(4, "little")
        for at in range(0, _CARD_BYTES, 32):
            entry = self._blocks[at : at + 32]
            if entry[8:11] == b"CSV" and entry[28:] == size:
                self._blocks[at + 11] |= 1
        self.volume = os.VfsFat(self)
        os.umount(FOLDER)
        os.mount(self.volume, FOLDER)

    def readblocks(self, number, buf):
        at = 512 * number
        buf[:] = self._blocks[at : at + len(buf)]

    def writeblocks(self, number, buf):
        at = 512 * number
        self._blocks[at : at + len(buf)] = buf

    def ioctl(self, op, arg):
        return {4: _CARD_BYTES // 512, 5: 512}.get(op)


class Deaf:
    """Events that are not kept."""

    def emit(self, *event):
        """As the events'."""


class Datalog:
    """What is known of the log."""

    name = "2026-07-13.csv"

    number = "0123456789ab"

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


class Radio:
    """MicroPython's `network`, as far as a station on a network is asked for its signal."""

    STA_IF = 0

    @staticmethod
    def WLAN(interface):
        """The station."""
        return Radio

    @staticmethod
    def status(what):
        """Its signal in dBm."""
        return -51


class Network:
    """The network side of a rig; it asks nobody for the time."""

    wifi = Wifi()

    def __init__(self):
        self.sntp = self

    def wake(self):
        """As the time's."""

    def hostname(self):
        """What it is called."""
        return "parallelator"


class Counters:
    """Counters that are not kept."""

    def save(self, last):
        """As the counters'."""


class Guard:
    """A guard that says yes, unless it is busy or a battery is locked or absent."""

    def __init__(self, snap, events, limits):
        self._snap = snap
        self._events = events
        self.limits = limits
        self.full = False
        self.presses = False
        self.trials = 0
        self.wishes = self.alert_proven = 0
        self.balance = Balance(snap, limits)

    def trip_pending(self):
        """As the guard's."""
        return self.presses

    strained = trip_pending

    def plans(self, limits):
        """As the guard's: every sensor measures up to them."""
        return {}

    def adopt(self, limits, plans):
        """As the guard's; a trip that is pending stands for a battery beyond a limit."""
        return not self.presses

    def expect(self, unused):
        """As the guard's."""
        self._snap.unused = unused

    def all_off(self):
        """As the guard's, but nothing is switched."""

    def submit(self, action, i):
        """As the guard's: None, or why not."""
        snap = self._snap
        if action in (catalog.REST, catalog.RESUME, catalog.FIRE):
            return self._lend(action, i)
        if self.full:
            return "busy"
        self.wishes += 1
        if action == catalog.DISCONNECTED:
            return self._disconnect(range(4 * i, 4 * i + 4))
        if i < 0:
            snap.alarm("bus_overload", RIG, False)
            self._events.emit("bus_reset", RIG, 0, 0, 0)
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

    def _lend(self, action, i):
        """Battery i rests, and gives what it gave when it comes back; its ALERT works."""
        snap = self._snap
        if action == catalog.REST:
            snap.lent |= 1 << i
            self.put(i, catalog.OFF, Reason.SELF_TEST)
        elif action == catalog.RESUME:
            snap.lent &= ~(1 << i)
            self.put(i, catalog.ON, Reason.NONE)
            snap.current_ma[i] = 4200

    def _disconnect(self, board):
        snap = self._snap
        if any(snap.state[i] != catalog.UNCONTROLLED or snap.valid[i] for i in board):
            return "not_silent"
        for i in board:
            self.put(i, catalog.ABSENT, Reason.EXPANDER_LOST)
            snap.alarm("uncontrolled", i, False)
        self._events.emit("disconnected", RIG, 0, 0, board[0] // 4 + 1)
        return None

    def put(self, i, state, reason):
        """Puts battery i into a state; it carries no current unless it is on."""
        snap = self._snap
        snap.state[i] = state
        snap.reason[i] = reason
        snap.since_s[i] = snap.uptime_s
        snap.eta_ms[i] = 10000 if state == catalog.TRIPPED else 0
        snap.valid[i] = state != catalog.ABSENT
        if state not in (catalog.ON, catalog.UNCONTROLLED):
            snap.current_ma[i] = 0


class NoFlash:
    """Keeps nothing."""

    def get_blob(self, key, block):
        raise OSError(errno.ENOENT)

    def set_blob(self, key, block):
        pass

    def commit(self):
        pass


class Health:
    """Battery 1 has lost a tenth of its capacity, or what the test says."""

    first_pct = 91

    def percent(self, i):
        return None if i else self.first_pct


class Meter:
    """What is told of the rig's charge; that of a battery is some per cent beside it."""

    def __init__(self, snap, told, curve=None):
        self.told = tuple(told)
        labels = [20000] * BATTERIES
        charge = Charge("nmc", 7, labels, 24000)
        self.charge = charge
        self.calibration = Calibration(charge, labels, curve, NoFlash(), None)
        self.health = Health()
        self.packs = None
        self._snap = snap
        self.out_dwh, self.in_dwh = [12345] * BATTERIES, [12345] * BATTERIES
        charge, error = self.told[:2]
        for i in range(BATTERIES):
            snap.soc_pct[i] = NO_CHARGE if charge is None else min(charge + i % 3, 100)
            snap.soc_error_pct[i] = NO_CHARGE if charge is None else error

    def charges(self, series, begin, end):
        """Charge over the day: it falls by one per cent a point."""
        if self.told[0] is None:
            return [None] * (end - begin)
        return [min(self.told[0] + series % 3 + end - k, 100) for k in range(begin, end)]

    def known(self, i):
        """As the meter's: (charge, deviation), None when nobody knows it."""
        pct = self._snap.soc_pct[i]
        return None if pct == NO_CHARGE else (pct / 100, 0.02)

    def forget(self, i):
        """Another pack is at place i."""
        self._snap.soc_pct[i] = NO_CHARGE


class FakeRig(Rig):
    """A rig with a password or "", whose batteries do as they are told."""

    def __init__(self, port, password, language):
        values = settings.Values({})
        values.given.update(
            {
                "name": "Fake rig",
                "language": language,
                "web.port": port,
                "web.password": password,
                "batteries.3.label": "Stage <left>",
            }
        )
        clock = Clock(time)
        clock.set(1784000000)
        snap = Snapshot()
        snap.boards = snap.known_boards = 15
        snap.sensors = 65535
        events = Events(snap)
        events.know(clock.unix())
        scheduler = Scheduler(clock, None)  # without a guard that has to go first
        scheduler.names = ["web", "wifi"]
        scheduler.failures = [0, 2]
        card = Card()
        self.sample_ring = SampleRing()
        super().__init__(
            values,
            faults=[],
            renamed=[],
            config_files=("config.json",),
            why="",
            powered_on=False,
            slot="app-a",
            switch=switch,
            button_held=lambda: self.boot_held,
            clock=clock,
            snap=snap,
            events=events,
            history=History(snap),
            i2c=I2c(),
            card=card,
            blackbox=BlackBox(self.sample_ring, Deaf(), card, clock, snap, lambda: False),
            guard=Guard(snap, events, Limits(values)),
            counters=Counters(),
            scheduler=scheduler,
            collector=Collector(gc, clock, snap, events.emit, lambda: False),
            datalog=Datalog(),
            network=Network(),
        )
        self.controller = {"mhz": 240, "i2c_driver": "legacy", "psram": False}
        self.boot = self.blackbox.boot = 7
        self.frozen = False
        self.boot_held = False
        self.settled = True
        self._begin()

    def _begin(self):
        """All batteries are on; of a trip of the fourth there is a record in five seconds."""
        snap = self.snap
        self.events.emit("boot", RIG, 0, 0, self.boot)
        for i in range(BATTERIES):
            snap.state[i] = catalog.ON
            snap.valid[i] = 1
            snap.voltage_mv[i] = 26300 + 7 * (i * 5 % 16)
            snap.current_ma[i] = 4200 + 90 * (i * 7 % 16)
            snap.discharge_mah[i] = 1500 + 31 * i
            snap.charge_mah[i] = 12 * i
            self.blackbox.emit("joined", i, catalog.ON, Reason.NONE, 0)
        self.blackbox.emit("trip", 3, catalog.TRIPPED, Reason.OVERCURRENT, 16000)

    def freeze_into_image(self):
        """The firmware is in the first partition of the simulator's controller."""
        tools = __file__.rsplit("/tests/web/", 1)[0] + "/tools"
        sys.path += [tools, tools + "/sim/standins"]
        from device import esp_image
        from sim import current
        from sim.partitions import Partitions

        current.world = self
        self.partitions = Partitions("ESP32", esp_image.make(VERSION), lambda kind: None)

    def obey(self, command, *args):
        """Does one command of the module's list."""
        i = int(args[0]) - 1 if args and args[0].isdigit() else 0
        if command == "trip":
            self.guard.put(i, catalog.TRIPPED, Reason.OVERLOAD)
            self.snap.trips[i] += 1
            self.events.emit("trip", i, 0, Reason.OVERLOAD, 14000)
            self.blackbox.emit("trip", i, catalog.TRIPPED, Reason.OVERLOAD, 14000)
        elif command == "lock":
            self.guard.put(i, catalog.LOCKED, Reason.OVERCURRENT)
            self.snap.trips[i] = 5
        elif command == "lose":
            self.guard.put(i, catalog.ABSENT, Reason.SENSOR_LOST)
        elif command == "hold":
            self.guard.put(i, catalog.UNCONTROLLED, Reason.EXPANDER_LOST)
            self.alarm("uncontrolled", i)
        elif command == "unplug":
            for k in range(4 * i, 4 * i + 4):
                self.guard.put(k, catalog.UNCONTROLLED, Reason.EXPANDER_LOST)
                self.snap.valid[k] = 0
                self.snap.alarm("uncontrolled", k, True)
        elif command == "wait":
            self.guard.put(i, catalog.WAITING, Reason.BUS_LOWER)
        elif command == "put":
            state = catalog.names(catalog.STATES).index(args[1])
            self.guard.put(i, state, catalog.names(catalog.REASONS).index(args[2]))
        elif command == "heat":
            self.snap.temperature_c[i] = 78
        elif command == "alarm":
            self.alarm(args[0], int(args[1]) - 1 if len(args) > 1 else RIG)
        elif command == "miss":
            self.snap.boards &= ~(1 << i)
            self.snap.alarm("topology", RIG, True)
            self.events.emit("topology", RIG, 0, 0, 1)
        elif command == "obstruct":
            self.card.obstacles.append(("file", "log"))
            self.snap.alarm("card_blocked", RIG, True)
            self.events.emit("card_blocked", RIG, 0, 0, 0)
        elif command == "calm":
            for code, i, _ in self.snap.alarms():
                self.snap.alarm(code, i, False)
        elif command == "hold-log":
            self.datalog.held.append(args[0])
        elif command == "protect":
            self.card.protect(args[0])
        elif command == "pull":
            self.card.mounted = self.card.writable = False
            self.card.free = None
            self.card.state = "sd_absent"
        elif command == "extreme":
            self.extreme()
        elif command in ("freeze", "run"):
            self.frozen = command == "freeze"
        elif command in ("busy", "ready"):
            self.guard.full = command == "busy"
        elif command in ("press", "release"):
            self.guard.presses = command == "press"
        elif command in ("hold-boot", "free-boot"):
            self.boot_held = command == "hold-boot"
        elif command == "slot":
            self.slot = args[0] if args else ""
            if self.slot.startswith("ota"):
                self.freeze_into_image()
        elif command == "begin":
            self.settled = False
        elif command == "end":
            for k in range(BATTERIES):
                self.guard.put(k, catalog.TRIPPED, Reason.UNDERVOLTAGE)
                self.snap.current_ma[k] = 0
            self.alarm("rig_empty", RIG)
        elif command == "carry":
            self.snap.current_ma[i] = int(args[1])
        elif command in ("idle", "load"):
            for i in range(BATTERIES):
                self.snap.current_ma[i] = int(args[0]) if args else 0
        elif command == "charge":
            told = args or "-" * len(catalog.ENERGY)
            self.meter = Meter(self.snap, (None if value == "-" else int(value) for value in told))
            if not args:
                self.meter = None
        elif command == "tire":
            self.meter.health.first_pct = int(args[0])
        elif command == "learn":
            self.learn(int(args[0]), args[1])
        elif command == "risk":
            *risks, promise_a = map(int, args)
            self.risk(promise_a)
            for _ in range(5):
                for kind, risk in enumerate(risks):
                    self.cascade.tell(kind, risk)
        elif command == "setup":
            self._powered_on = self.frozen = True
            self.snap.uptime_s = 600 - int(args[0])
        elif command == "pass":
            self.snap.uptime_s += int(args[0])
            for i in range(BATTERIES) if self.meter else ():
                self.meter.out_dwh[i] += int(args[0]) * self.snap.current_ma[i] // 14000
        elif command == "ap":
            self.network.wifi.ap_ip = args[0]
        else:
            raise ValueError(command)

    def learn(self, share, left_over):
        calibration = self.meter.calibration
        learner = calibration.learner
        for i in range(BATTERIES if share else 3):
            learner.ended(i)
        learner.follow(0, 65535)
        learner.follow(share * 16 * 200, 65535)
        if left_over == "own":
            calibration.nights = 2
        elif left_over != "-":
            learner.forget(left_over)

    def alarm(self, code, i):
        """Raises an alarm; that of the settings stands for one more fault."""
        if code == "config_fault":
            fault = {"file": "config.json", "key": "x", "found": 1, "allowed": "no such setting"}
            self.faults.append(fault)
        self.snap.alarm(code, i, True)
        self.events.emit("alert_dead", RIG, 0, 0, 0)

    def risk(self, promise_a):
        self.cascade = Cascade(self.snap, self.guard.limits, self.events.emit)
        self.cascade.promise_a = promise_a
        self.cascade.on, self.cascade.there = (1 << BATTERIES) - 1, BATTERIES

    def extreme(self):
        """The longest texts a frame can hold."""
        snap = self.snap
        snap.uptime_s = 99999999
        self.meter = Meter(snap, (100, 100, 99999, 172799, 172799, 172799, 172799, 172799, 16))
        self.risk(600)
        self.cascade.told = [0x1FFFFF, 0x27FFFF, 0x1FFFFF]
        self.show[0] = snap.uptime_s + 90000
        for i in range(BATTERIES):
            self.guard.put(i, catalog.UNCONTROLLED, Reason.SWITCH_FAULT)
            self.alarm("stuck_closed", i)
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


def switch(folder):
    """As main's, but nothing boots from it."""
    with open("app", "w") as file:
        file.write(folder)
    return True


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
    sys.modules["network"] = Radio
    rig = FakeRig(int(port), password, language)
    asyncio.create_task(rig.live())
    asyncio.create_task(rig.history.run())
    asyncio.create_task(rig.blackbox.run())
    asyncio.create_task(listen(rig))
    print("ready")
    await server.serve(rig)


asyncio.run(main(*sys.argv[1:]))
