# SPDX-License-Identifier: GPL-3.0-only
"""What the web side and MQTT may ask of the application. Made by app, and by the tests."""

import asyncio
from array import array

from micropython import const

from parallelator import VERSION, settings
from parallelator.catalog import ACKNOWLEDGE, row
from parallelator.protection import rules
from parallelator.snapshot import RIG
from parallelator.wording import Words, lacking

_RESTART_MS = const(500)
_CLOSING_MS = const(3000)
_SETUP_S = const(600)
_JUMP_S = const(2)


class Rig:
    """One rig.

    Args:
        values: the `settings.Values` in use; faults, renamed: what was wrong with the
            files and which old names they have, as `config.load` gives all three.
        config_files: the settings files, the one to save to first.
        why: what the firmware ended with last, as text; powered_on: True after a power-on.
        slot, switch: as of `app.run`; button_held: as of `controller`.
        counters: the `Counters`; scheduler: the `Scheduler`; collector: the `Collector`; the
            others as below.

    Attributes:
        settled: True once this start has succeeded, which ends the trial of a new version.
        settings: the settings in use; `web.port` is the TCP port.
        pending: dict of those that are saved but not in use before a restart; saves: how often
            settings were saved since the start.
        config_files, faults, renamed, slot: as above; `switch(slot)` as of `app.run`;
            `button_held()` as of `controller`.
        clock: the `Clock`; snap: the `Snapshot`; events: the `Events`; history: the `History`;
            i2c: the `I2c`; card: the `Card`; blackbox: the `BlackBox`; words: the `Words`.
        guard: its `submit(action, i)` asks for a change, and `trip_pending()` tells whether a
            battery is beyond a limit, as of `Guard`.
        tasks: names of the tasks; failures: how often each failed.
        run_after_guard, within: as of `Scheduler`.
        pauses: the `Pauses`; collector: the `Collector`.
        known: dict of codes of alarms that an operator has acknowledged: the uptimes in s at
            which the latest of them began, and at which that was.
        boot: number of this boot; datalog: the `Datalog`; network: the `Network`, of it `wifi`
            and `hostname`; mqtt: the `Mqtt`, None without a broker; controller: a dict of its
            `mhz`, `i2c_driver`, `psram`; meter: the `Meter`, None without the capacity of the
            batteries; cascade: the `Cascade`, None before it is up; save: `Saving.save_text` of
            web, None before the page is up; selftest: the `SelfTest` that runs, or the result of
            the last one as JSON that no card has, None without one; verdict: what it found, one of
            `catalog.VERDICTS`, or that it runs, `RUNNING`. They are set after the others.
        show: array of one: the uptime in s at which show mode ends, 0 = it does not stand.
        report: number of the report of the last show since boot, None without one; tally: the
            `Tally` that it is told from while no card has it, else None.
    """

    def __init__(
        self,
        values: "Values",
        faults: list,
        renamed: list,
        config_files: tuple,
        why: str,
        powered_on: bool,
        slot: str,
        switch: "Callable[[str], bool]",
        button_held: "Callable[[], bool]",
        clock: "Clock",
        snap: "Snapshot",
        events: "Events",
        history: "History",
        i2c: "I2c",
        card: "Card",
        blackbox: "BlackBox",
        guard: "Guard",
        counters: "Counters",
        scheduler: "Scheduler",
        collector: "Collector",
        datalog: "Datalog | None" = None,
        network: "Network | None" = None,
        mqtt: "Mqtt | None" = None,
        meter: "Meter | None" = None,
        cascade: "Cascade | None" = None,
        save: "Callable[[bytes, bytes], Awaitable] | None" = None,
    ):
        self.settings = values
        self.pending, self.known, self.saves = {}, {}, 0
        self.faults, self.renamed = faults, renamed
        self.config_files = config_files
        self._why, self._powered_on = why, powered_on
        self.slot, self.settled = slot, False
        self.switch = switch
        self.button_held = button_held
        self.clock = clock
        self.snap = snap
        self.events = events
        self.history = history
        self.i2c = i2c
        self.card = card
        self.blackbox = blackbox
        self.guard = guard
        self._counters = counters
        self._finish = scheduler.finish
        self.tasks = scheduler.names
        self.failures = scheduler.failures
        self.run_after_guard = scheduler.run_after_guard
        self.within = scheduler.within
        self.pauses = collector.pauses
        self.collector = collector
        self.boot, self.controller = 0, {}
        self.datalog, self.network, self.mqtt = datalog, network, mqtt
        self.meter, self.cascade, self.save = meter, cascade, save
        self.selftest = self.verdict = self.report = self.tally = None
        self.show = array("i", [0])
        self.words = Words(values["language"])

    def setup_s(self):
        """For how many more seconds a first password may be set, 0 when that is over."""
        return max(_SETUP_S - self.snap.uptime_s, 0) if self._powered_on else 0

    def show_s(self):
        """For how many more seconds show mode stands, 0 when it does not."""
        return max(self.show[0] - self.snap.uptime_s, 0)

    def spares_flash(self):
        """True while what can wait is not written to the internal flash: a battery is close to a
        limit, or show mode stands."""
        return self.guard.strained() or self.show_s() > 0

    def is_held(self, word: str):
        """True for what show mode holds back, as of `show.mode.is_held`."""
        if not self.show_s():
            return False
        from parallelator.show.mode import is_held

        return is_held(self.snap, word)

    def alarms(self):
        """Active alarms as `GET /api/state` shows them: a dict each, in turn."""
        for alarm in self.words.alarms(self.snap, self.faults, self.card.present_obstacles()):
            until_s, known_s = self.known.get(alarm["code"], (-1, 0))
            seen = alarm["since_ms"] <= until_s * 1000
            alarm["known_ms"] = known_s * 1000 if seen else None
            if self.cascade and alarm["code"].startswith("cascade"):
                alarm["text"] = self.cascade.sentence(self.words, alarm["code"])
            yield alarm

    def acknowledge(self, code: str, until_s: int):
        """An operator knows of the alarms of this code, until they end.

        Args:
            until_s: uptime in s at which the latest of those that were seen began.

        Returns:
            bool: False when there is none of them, or none that may be acknowledged.
        """
        for found, _, since_s in self.snap.alarms():
            if found == code and since_s <= until_s and row(code)[3] & ACKNOWLEDGE:
                self.known[code] = (min(until_s, self.snap.uptime_s), self.snap.uptime_s)
                return True
        return False

    def event_text(self, event: tuple):
        """An event of `Events.after` as a sentence in the rig's language."""
        code, value = event[2], event[6]
        if self.cascade and code.startswith("cascade"):
            return self.words.event(event, self.cascade.sentence(self.words, code, value))
        return self.words.event(event, self.detail(event))

    async def find_limits(self, changes: dict):
        """The limits as they are with these changes and what waits, for `take_over`.

        Returns:
            tuple or None: the settings among them, by key, the `Limits` and their plans as of the
            `Guard`; None when there are none, or when they have to wait for a restart.
        """
        found = {key: limit for key, limit in self.pending.items() if key.startswith("limits.")}
        found.update({key: limit for key, limit in changes.items() if key.startswith("limits.")})
        if not found or any(alarm[0].startswith("safe_") for alarm in self.snap.alarms()):
            return None
        limits = rules.Limits(self.settings, found)
        await asyncio.sleep_ms(0)
        plans = self.guard.plans(limits)
        return None if plans is None else (found, limits, plans)

    def take_over(self, changes: dict, limits: "tuple | None"):
        """Note settings that were saved; those that may change while running do so now.

        Args:
            limits: as `find_limits` has found them: all are in force from now on, or none.
        """
        self.saves += 1
        found = limits[0] if limits and self.guard.adopt(*limits[1:]) else {}
        for key in found:
            self.pending.pop(key, None)
        self.settings.given.update(found)
        for key, value in changes.items():
            if settings.is_live(key) and not key.startswith("limits."):
                self.settings[key] = value
            else:
                self.pending[key] = value
                if self.settings[key] == value:
                    del self.pending[key]
        if any(key.endswith(".mode") for key in changes):
            self.guard.expect(settings.unused(self.settings))
        if "language" in changes:
            self.words = Words(self.settings["language"])
        if self.mqtt:
            self.mqtt.settings_changed(changes)
        if self.meter and any(key.endswith(".id") for key in changes):
            self.meter.renamed = True
        if "time.zone" in changes:
            self.clock.set_zone(self.settings["time.zone"])
        if "time.ntp" in changes:
            self.network.sntp.wake()
        protective = any(settings.is_protective(key) for key in changes)
        code = "limits_saved" if protective else "settings_saved"
        self.events.emit(code, RIG, 0, 0, len(changes))

    def set_time(self, unix_s: int):
        """Set the wall time as a person's browser tells it, in seconds since 1970."""
        self.set_clock(unix_s)
        self.network.sntp.wake()

    def set_clock(self, unix_s: int):
        """Take over a time; one that is more than a second off is an event."""
        known_s = self.clock.unix()
        self.clock.set(unix_s)
        self.events.know(unix_s)
        jump_s = 0 if known_s is None else unix_s - known_s
        if known_s is None or abs(jump_s) >= _JUMP_S:
            self.events.emit("time_set", RIG, 0, 0, jump_s)

    def restart(self, why: str = "restart"):
        """Restart the controller in half a second, with every switch open.

        Args:
            why: "restart" or "update", the code of the event.
        """
        self.events.emit(why, RIG, 0, 0, 0)
        asyncio.create_task(self.run_after_guard(self._restart(why)))

    async def _restart(self, why: str):
        if self.meter and self.meter.packs:
            try:
                await self.within(_CLOSING_MS, self.meter.packs.close())
            except asyncio.TimeoutError:
                pass  # a slow card: what its files have not is the last five minutes
        self.card.leave()
        await asyncio.sleep_ms(_RESTART_MS)
        self._finish(why)
        self.guard.all_off()
        self._counters.save(last=True)
        if self.meter:
            self.meter.save()
        self.card.unmount()

    def detail(self, event: tuple):
        """What the number of an event stands for, as of `Words.about`; "" when it says all."""
        code, value = event[2], event[6]
        if code == "reset_crash" or code == "update_failed":
            return self._why
        if code == "updated" or code == "app_unknown":
            return VERSION
        if code == "pack_known":
            return self.settings["batteries.%d.id" % (event[3] + 1)]
        if code == "config_fault":
            return self.faults[value]
        if code == "card_blocked":
            return self.card.obstacles[value]
        if code == "config_renamed":
            return "%s -> %s" % self.renamed[value]
        if code == "topology":
            return lacking(self.snap)
        if code == "time_set":
            return self.clock.step(event[8], value)
        if code == "task_died":
            return self.tasks[value]
        if code == "mqtt_down" or code == "command_refused":
            return self.mqtt.detail(event)
        if code == "wifi_up":
            return self.network.wifi.ip
        if code == "wifi_ap":
            return self.network.wifi.ap_name
        return ""
