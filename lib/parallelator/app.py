# SPDX-License-Identifier: GPL-3.0-only
"""Composition root: settings, then parts, then tasks under supervision. Called by main.py."""

import asyncio
import errno
import gc
import sys
import time

from micropython import const

from parallelator import VERSION, config, console, energy, health, settings
from parallelator.catalog import WISH_OFF
from parallelator.clock import Clock
from parallelator.hardware.controller import Controller, button_held, connect_card, wiring
from parallelator.hardware.i2c import I2c
from parallelator.hardware.tca9555 import Tca9555
from parallelator.protection import guard, rules
from parallelator.protection.switches import Switches
from parallelator.records import fatfile
from parallelator.records.blackbox import BlackBox
from parallelator.records.card import ABSENT, Card
from parallelator.records.counters import Counters
from parallelator.records.events import Events
from parallelator.records.history import History
from parallelator.records.nvs_state import NvsState, count_boot
from parallelator.records.rtc_state import RtcState
from parallelator.records.sample_ring import SampleRing
from parallelator.records.storage import Storage
from parallelator.rig import Rig
from parallelator.scheduler import Scheduler
from parallelator.show import UNTOLD
from parallelator.snapshot import BATTERIES, BOARDS, RIG, Snapshot

CONFIG_FILES = ("config.json", "/sd/config.json")
GOOD_CONFIG = "config.good.json"
_WATCHDOG_MS = const(5000)
_SETTLING_MS = const(100)
_SETTLED_S = const(2)
_ENDS = ("restart", "reset_asked"), ("update", "reset_update"), ("serviced", "reset_serviced")
_RETURNED = "returned "
_RETURNS = ("hang", "update_hung"), ("power", "update_cut"), ("misnamed", "app_unknown")
_CAUSES = (1, "reset_power"), (2, "reset_hard"), (3, "reset_watchdog"), (5, "reset_soft")
_TCA_BASE = const(0x20)
_POWERED_ON = const(1)  # machine.PWRON_RESET
_LOOK_MS = const(1000)
_STEP_MS = const(5)  # a look is in no hurry
_SHOW_S = const(90000)  # 24 h, rounded up to a minute, and the hour by which clocks are set back
_CARD_MS = const(3000)  # the longest wait for the card before the protection starts


class App:
    """One rig: its parts and the tasks that run them.

    Args:
        why, slot, switch: as of `run`.
        crashed: as of `run`.
    """

    def __init__(self, why: str, crashed: int, slot: str, switch: "Callable[[str], bool]"):
        self.safe = "safe_crash" if crashed else "safe_button" if button_held() else None
        self.clock = Clock(time)
        self.snap = Snapshot()
        # The largest buffers are allocated first, while the memory is in one piece.
        self.history = History(self.snap)
        sample_ring = SampleRing()
        self.events = Events(self.snap)
        self._scheduler = Scheduler(self.clock, self.events.emit)
        values = self._flash_settings(crashed)
        self._card_until = self.clock.add(self.clock.ms(), _CARD_MS)
        self.settings, self._card_config = settings.Values({}), True  # until they are read
        self.card = self._connected_card(values)
        self.settings, faults, renamed = self._load(values)
        self._card_config = fatfile.there(CONFIG_FILES[1])
        pending = lambda: self.guard.trip_pending()  # noqa: E731 - the guard is made below
        self.blackbox = BlackBox(
            sample_ring, self.events, self.card, self.clock, self.snap, pending
        )
        self.controller = Controller(
            self.clock,
            self.settings["pins.i2c_sda"],
            self.settings["pins.i2c_scl"],
        )
        chip, khz = self.controller, self.settings["i2c_khz"]
        khz = 100 if khz == "auto" else khz
        i2c = I2c(chip.connect_i2c, chip.release_i2c, chip.i2c_idle, self.clock, khz)
        self.guard = self._guard(i2c, sample_ring)
        self._collector = health.Collector(
            gc, self.clock, self.snap, self.events.emit, self.guard.trip_pending
        )
        self._store = Storage(chip.storage(), self._tell_storage, self._collector.pauses)
        self.nvs_state = NvsState(self._store, self.snap, self.guard)
        spares = lambda: self.rig.spares_flash()  # noqa: E731 - the rig is made below
        self.counters = Counters(
            self.snap, self.card, self._store, self.controller.number(), spares
        )
        self._reset, why = _beginning(why, self.controller.reset_cause())
        self.rig = Rig(
            self.settings,
            faults,
            renamed,
            CONFIG_FILES,
            why,
            self.controller.reset_cause() == _POWERED_ON,
            slot,
            switch,
            button_held,
            self.clock,
            self.snap,
            self.events,
            self.history,
            i2c,
            self.card,
            self.blackbox,
            self.guard,
            self.counters,
            self._scheduler,
            self._collector,
        )

    def _connected_card(self, values: "Values"):
        """The card, on the pins that the flash names: the settings on the card come later."""
        given = values.given
        pins = settings.Values({key: given[key] for key in given if key.startswith("pins.")})
        return Card(
            lambda: connect_card(pins, self.clock, self._idle),
            self.snap,
            self.events.emit,
            self._greet_card,
        )

    def _load(self, values: "Values"):
        """The settings of all files, as `config.load`; safe mode has `values` and no card."""
        if self.safe:
            self.card.state = ABSENT
            return settings.safe(values), [], []
        self.card.mount()
        return config.load(CONFIG_FILES, GOOD_CONFIG)

    def _guard(self, i2c: "I2c", sample_ring: "SampleRing"):
        wires = wiring(self.settings)
        inputs = sum(1 << bit for bit in wires.alert)
        expanders = [Tca9555(i2c, _TCA_BASE + b, inputs) for b in range(BOARDS)]
        return guard.Guard(
            self.clock,
            i2c,
            self.snap,
            Switches(expanders, wires),
            rules.Limits(self.settings),
            self.settings["sensor.shunt_uohm"],
            self.blackbox.emit,
            sample_ring.sample,
            self.settings["i2c_khz"] == "auto",
        )

    def run(self, settled: "Callable[[], bool]"):
        """Protect the rig until the program ends; every switch is open afterwards.

        Args, returns, raises: as `run` below.
        """
        try:
            asyncio.run(self._scheduler.run_after_guard(self._main(settled)))  # pyright: ignore - it runs
        finally:
            self.guard.all_off()
            self.card.unmount()
            print("Every switch is open.")
        if isinstance(self._scheduler.end, Exception):
            raise self._scheduler.end
        return self._scheduler.end

    async def _main(self, settled: "Callable[[], bool]"):
        # First make the switches safe, then allocate memory.
        self.nvs_state.restore()
        charges = bytearray(energy.ROWS_BYTES)
        show = (self.rig.show, "i", 0, _SHOW_S, True)
        kept = self.guard.kept + energy.table(charges) + (show,)
        rtc_state = RtcState(*self.controller.rtc_memory(), self.snap, kept)
        self.guard.save = rtc_state.save
        if not self.safe:
            self.counters.restore()
        self._apply_modes()
        self.guard.start()
        self.clock.set_zone(self.settings["time.zone"])
        self._card_until, watchdog = None, self.controller.watchdog(_WATCHDOG_MS)
        self._start_radio()
        protection = asyncio.create_task(
            self._scheduler.protect(self.guard, watchdog, self._collector)
        )
        rig = self.rig
        rig.boot = self.blackbox.boot = count_boot(self._store)
        self._introduce()
        self._tell_start(rig, rtc_state.found)
        if rtc_state.found:
            self.guard.recall()
        asyncio.create_task(rig.run_after_guard(self._settle(settled)))
        self._start("health", lambda: health.watch(self.snap, self.clock, gc.threshold))
        self._start("nvs_state", self.nvs_state.run)
        for name, job in rig.network.jobs():
            self._start(name, job)
        await asyncio.sleep_ms(guard.TICK_MS)  # so that the tasks above allocate first
        from parallelator.records.chart_store import ChartStore
        from parallelator.records.datalog import Datalog

        self._start("console", lambda: console.run(rig))
        rig.datalog = Datalog(
            self.card,
            self.snap,
            self.clock,
            self.events,
            self.settings,
            rig.boot,
            rig.event_text,
            self.controller.number(),
        )
        day = self.history.rings[-1]
        chart_store = ChartStore(day, self.card, self.clock, self.snap, rig.boot)
        if not self.safe:
            self._start("counters", self.counters.run)
            self._start("history", self.history.run)
            self._start("card", self.card.run)
            self._start("log", rig.datalog.run)
            self._start("blackbox", self.blackbox.run)
            self._start("chart_store", chart_store.run)
            if energy.is_asked(self.settings):
                self._start("energy", lambda: self._energy(charges, rtc_state.found))
            self._start("cascade", self._cascade)
        self._start("web", self._web)
        if self.settings["mqtt.host"]:
            self._start("mqtt", self._mqtt)
        await protection

    def _tell_start(self, rig: Rig, recalled: bool):
        """Record why the firmware begins, and what it found."""
        emit = self.events.emit
        emit("boot", RIG, 0, 0, rig.boot)
        emit(self._reset, RIG, 0, 0, 0)
        if not recalled and self.controller.reset_cause() != _POWERED_ON:
            emit("memory_lost", RIG, 0, 0, 0)
        if self.safe:
            self.snap.alarm(self.safe, RIG, True)
            emit(self.safe, RIG, 0, 0, 0)
        self.snap.alarm("config_fault", RIG, bool(rig.faults))
        for k in range(len(rig.faults)):
            emit("config_fault", RIG, 0, 0, k)
        for k in range(len(rig.renamed)):
            emit("config_renamed", RIG, 0, 0, k)

    def _introduce(self):
        """Say on the console what runs where, and what follows from the controller's memory."""
        rig, free = self.rig, gc.mem_free()
        rig.controller = facts = self.controller.facts()
        facts["psram"] = free >= health.SMALL_HEAP
        where = sys.implementation._machine, facts["mhz"], free >> 10, facts["i2c_driver"]
        print(
            "Parallelator", VERSION, "on %s, %d MHz, %d KB free, I2C driver %s." % where, end=" "
        )
        print(rig.words.controller(facts["psram"]))

    def _flash_settings(self, crashed: int):
        """The settings in the flash: they name the card's pins; safe mode uses no others.

        Safe mode starts with the settings that were in use last, and with the defaults when it
        has failed with those.
        """
        if not self.safe:
            values, faults, _ = config.layer(CONFIG_FILES[:1])
            return config.first_good((GOOD_CONFIG,)) if faults else values
        return config.first_good((GOOD_CONFIG, CONFIG_FILES[0]) if crashed < 2 else ())

    def _idle(self):
        """Called while the card is waited for: runs the guard, or before it limits the wait."""
        if self._card_until is None:
            self._scheduler.tick_if_due()
        elif self.clock.diff(self._card_until, self.clock.ms()) < 0:
            raise OSError(errno.ETIMEDOUT)

    def _tell_storage(self):
        self.snap.alarm("storage_fault", RIG, True)
        self.events.emit("storage_fault", RIG, 0, 0, 0)

    def _greet_card(self):
        """A card was mounted; settings on one that comes later are used from the next boot on."""
        path = CONFIG_FILES[1]
        fatfile.mend(self.card, path, lambda path: config.read(path)[0] is not None)
        if not self._card_config and fatfile.there(path):
            self._card_config = True
            self.events.emit("config_found", RIG, 0, 0, 0)

    def _apply_modes(self):
        self.snap.unused = settings.unused(self.settings)
        for i in range(BATTERIES):
            if self.settings["batteries.%d.mode" % (i + 1)] == "off":
                self.snap.wish[i] = WISH_OFF

    def _start(self, name: str, job: "Callable[[], Coroutine]"):
        return self._scheduler.start(name, job)

    async def _settle(self, settled: "Callable[[], bool]"):
        """Report that the start succeeded once the guard has worked for two seconds, 20 scans."""
        while self.snap.uptime_s < _SETTLED_S:
            await asyncio.sleep_ms(_SETTLING_MS)
        ended = settled()
        self.rig.settled = True
        if ended:
            self.events.emit("updated", RIG, 0, 0, 0)
        if self.rig.show[0] or fatfile.there(UNTOLD):
            await self._show()

    def _start_radio(self):
        """Start the radio before the first battery is on: that keeps the controller busy."""
        from parallelator.network.network import Network

        self.rig.network = Network(
            self.settings,
            self._store,
            self.snap,
            self.clock,
            self.events.emit,
            # The password is told on the console only: everybody can read the events.
            lambda name, password: print(self.rig.words.access_point(name, password)),
            self.rig.set_clock,
            self.rig.run_after_guard,
            self.rig.within,
        )
        self.rig.network.power_up()

    async def _energy(self, charges: bytearray, resumed: bool):
        # One by one, so that no tick waits for all of them.
        import parallelator.energy.charge  # noqa: F401

        await asyncio.sleep_ms(guard.TICK_MS)
        from parallelator.energy.meter import Meter

        rig = self.rig
        if rig.meter is None:
            rig.meter = Meter(
                self.snap,
                self.settings,
                charges,
                resumed,
                self._store,
                self.events.emit,
                self.guard.resistance.forget,
            )
        await rig.meter.run(rig)

    async def _cascade(self):
        from parallelator.show.cascade import Cascade

        rig = self.rig
        if rig.cascade is None:
            rig.cascade = Cascade(self.snap, self.guard.limits, self.events.emit)
        await asyncio.sleep_ms(guard.TICK_MS)
        from parallelator.show.sharing import Sharing

        sharing = Sharing(self.snap, self.guard.limits, self.events.emit)
        show_min = 0
        while True:
            if rig.settings["time.show"]:
                from parallelator.show.schedule import follow_schedule

                show_min = follow_schedule(rig, show_min)
            told = rig.meter and rig.meter.told
            for steps in (
                rig.cascade.looking(told[-1] if told else None),
                sharing.looking(rig.cascade.on),
            ):
                await asyncio.sleep_ms(_LOOK_MS)
                # Two steps at once: to go on costs others as much as a step.
                for _ in steps:
                    next(steps, None)
                    await asyncio.sleep_ms(_STEP_MS)

    async def _show(self):
        """Show mode goes on after a reset, and a power cut owes a report; in safe mode it is over:
        settings have to be mended."""
        from parallelator.show.mode import finish, follow

        if self.safe:
            finish(self.rig)
        await follow(self.rig, resumed=True)

    async def _mqtt(self):
        # One by one, so that no tick waits for all of them.
        import umqtt.simple  # noqa: F401

        await asyncio.sleep_ms(guard.TICK_MS)
        from parallelator.network import dns, mqtt

        rig = self.rig
        if rig.mqtt is None:
            names = dns.Resolver(self.snap, rig.network.wifi.name_server, rig.within)
            rig.mqtt = mqtt.Mqtt(rig, self.controller.number(), names.resolve)
        await rig.mqtt.run()

    async def _web(self):
        # One by one, so that no tick waits for all of them.
        import microdot  # noqa: F401

        await asyncio.sleep_ms(guard.TICK_MS)
        import parallelator.web.auth  # noqa: F401

        await asyncio.sleep_ms(guard.TICK_MS)
        import parallelator.web.logs  # noqa: F401

        await asyncio.sleep_ms(guard.TICK_MS)
        import parallelator.web.reports  # noqa: F401

        await asyncio.sleep_ms(guard.TICK_MS)
        from parallelator.web import server

        self._collector.collect()
        await server.serve(self.rig)


def _beginning(why: str, cause: int):
    """The event that tells why the firmware begins, and what it ended with, as text.

    Args:
        why: as of `run`; cause: machine.reset_cause().
    """
    if why.startswith(_RETURNED):
        why = why[len(_RETURNED) :]
        return dict(_RETURNS).get(why, "update_failed"), why
    if why:
        return dict(_ENDS).get(why, "reset_crash"), why
    return dict(_CAUSES).get(cause, "reset_other"), why


def run(
    why: str,
    crashed: int,
    settled: "Callable[[], bool]",
    slot: str,
    switch: "Callable[[str], bool]",
) -> str:
    """Build the rig and run it until it ends; the controller must restart then.

    Args:
        why: why it ended last: what `run` returned, "serviced" after maintenance, the text of
            an exception, "" when that is not known. It begins with "returned " when a newer
            version ended so on trial; "returned hang" and "returned power" are trials that left
            no reason, "returned misnamed" is a start from a folder that the file `app` does not
            name.
        crashed: 0 for a normal start; 1 for safe mode because the last starts failed, 2 when
            those in safe mode failed as well.
        settled: function without arguments, called once this start has succeeded; it returns
            True when that ends the trial of a new version.
        slot: the folder that this version runs from, app-a or app-b, or the partition of the
            image that it is frozen into; "" = another.
        switch: function (slot) that makes the version in the other slot the next to start; False
            when it could not be noted.

    Returns:
        str: "restart" or "update" when somebody asked for one.

    Raises:
        Exception: the one that ended the guard, or one that was raised while the rig was built.
        KeyboardInterrupt: Ctrl-C on the console.
    """
    kept = health.prepare(gc.mem_free(), gc.threshold)  # noqa: F841 - until the end
    return App(why, crashed, slot, switch).run(settled)
