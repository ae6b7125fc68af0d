# SPDX-License-Identifier: GPL-3.0-only
"""The simulated world: time, batteries, boards and the controller around the firmware.

run.py builds one; the stand-in modules speak to it. In virtual time only waiting and costs move
the clock, so a run is the same every time. In real time the host's does, times `speed`: the one
that nobody sets, and never by more than a second of the rig at once, so that the rig stands still
while the host sleeps, is stopped or cannot keep up.
"""

from math import cos, exp, log, pi, sqrt

import micropython
import uselect
import utime

from sim.air import Air
from sim.chips import Comparators
from sim.chips.ina219 import Ina219
from sim.chips.ina226 import Ina226
from sim.chips.ina228 import Ina228
from sim.chips.ina237 import Ina237
from sim.chips.tca9555 import Tca9555
from sim.costs import MEASURED_MHZ, RESET_MHZ, Costs
from sim.plant import Plant
from sim.wires import DRIVERS, Wires

BATTERIES = 16
CHANNELS = 4
RTC_BYTES = 2048
_STEP_US = 10000
_LEAP_US = 1000000
_INA_BASE = 0x40
_TCA_BASE = 0x20


class ControllerReset(BaseException):
    """The ESP32 restarts: unwinds the firmware; run.py starts it again."""


class Finished(BaseException):
    """The time of the run is over."""


class Break(KeyboardInterrupt):
    """Ctrl-C that mpremote sends over the cable."""


class World:
    """Everything outside the ESP32, and its clock.

    Args:
        scenario: a checked scenario (see scenario.py).
        virtual: True for virtual time, False for the host's clock.
        speed: real time only: seconds of the rig per second of the host, a whole number.
        seed: seeds every random draw.
        duration_us: when the run ends; None = never.

    Attributes:
        now_us: time since the start, never wraps.
        alert_levels: place to the level at which its ALERT line is stuck.
        crossed: places whose command lines are swapped, each to the one that it listens to.
        nvs: what the non-volatile storage holds: namespace to keys; nvs_writes: entries written;
            flash_us: begin and end of each write, which keeps everybody waiting.
        card: the `SdCard` of the rig, in its slot or out of it; None = it has none.
        button: True while somebody holds BOOT down.
        timers: of each one-shot timer that is set, when it is due in us and its callback.
        at_prompt: True while the controller runs no program.
        broken: True from a `Break` until the controller has restarted.
        broker: the `Broker` of the rig; None = it has none.
        nvs_cut: True when what is written to it from now on is lost.
        partitions: the `Partitions` of a controller whose firmware is frozen into its image.
        flash_cut: number of the write to the flash in the middle of which the power goes, counted
            from the first; 0 = it stays. The entries of `flash_us` tell how many there were.
        rtc: what RTC memory holds; rtc_length: bytes of it that were written with `RTC.memory`.
        air: the networks around the rig's radio.
        servers: those of its network (servers.py), which answer whenever the rig waits.
        ports: UDP port that the firmware speaks of to the one on the host; see standins/socket.py.
        observers: what is told of steps, switch moves, steps of the scenario and resets.
        controller: what the firmware runs on, one of costs.CONTROLLERS; driver: of its I2C, one
            of wires.DRIVERS.
        costs: the cost model (virtual time only); mhz: the controller's clock.
        threshold: bytes of garbage after which the firmware wants a collection, -1 = none.
        locked: True while the heap is locked around a guard tick.
        ending: called when the run is over, before the firmware is stopped.
        resetting: called when the controller resets, before the firmware is unwound.
        guard_task: the asyncio task that runs the guard, which pays no resumption.
    """

    def __init__(self, scenario, virtual, speed, seed, duration_us):
        self.now_us = 0
        self._state = seed * 2654435761 % 0xFFFFFFFF or 1
        self.ticks_offset_us = scenario.get("boot_ticks_ms", 0) * 1000
        self.controller = scenario["controller"]
        self.costs = Costs(self.controller)
        self.mhz = RESET_MHZ
        self.threshold = -1
        self.locked = False
        self.guard_task = None
        self.nvs = {}
        self.nvs_writes = 0
        self.flash_us = []
        self.nvs_cut = False
        self.partitions = None
        self.flash_cut = 0
        self.forget_rtc()
        self.card = None
        self.broker = None
        self.sockets = []
        self.hostname = "mpy-esp32"
        self.unique_id = bytes((0x24, 0x6F, 0x28, 0, seed >> 8 & 0xFF, seed & 0xFF))
        self.air = Air(self)
        self.servers = []
        self.ports = {}
        self.reset_cause = 1
        self.watchdog_us = None
        self.timers = {}
        self.button = False
        self.at_prompt = False
        self.broken = False
        self.resets = 0
        self.virtual = virtual
        self._speed = speed
        self._end_us = duration_us
        self._collected_us = 0
        self._host_us = utime.ticks_us()
        self._clock_us = 0
        self._dying = False
        self.alert_levels = {}
        self.crossed = {}
        self.observers = []
        self.ending = None
        self.resetting = None
        self._console = None
        self.script = None
        packs = [dict(pack) for pack in scenario["batteries"]]
        models = {pack["n"]: pack.pop("sensor") for pack in packs}
        self.plant = Plant(packs, seed=seed, bus_uf=scenario.get("bus_uf", 0))
        drivers = sorted(DRIVERS)
        self.driver = scenario.get("driver") or drivers[seed % len(drivers)]
        self.wires = Wires(self, self.driver)
        self.sensors = [None] * BATTERIES
        self.expanders = [None] * (BATTERIES // CHANNELS)
        self.switch_bits = (0, 1, 2, 3) if scenario["wiring"] == "straight" else (3, 2, 1, 0)
        self._build(models)
        self._due_us = 0

    def _build(self, models):
        for n in sorted(models):
            i = n - 1
            b = i // CHANNELS
            self.sensors[i] = _sensor(models[n], _INA_BASE + i, i, self.plant)
            self.wires.chips[_INA_BASE + i] = self.sensors[i]
            if self.expanders[b] is None:
                self.expanders[b] = Tca9555(_TCA_BASE + b, self._pins(b), self._moved(b))
                self.wires.chips[_TCA_BASE + b] = self.expanders[b]
        self._comparators = Comparators([chip for chip in self.sensors if chip], self.plant)

    def _pins(self, b):
        # ALERT of channel c, pulled up, pulls bit 7 - c low. The command lines of the switches
        # have a pull-down that wins over the chip's pull-up; the LEDs are pulled up by the chip.
        def external(now_us):
            levels = 0xFFF0
            for c in range(CHANNELS):
                sensor = self.sensors[b * CHANNELS + c]
                low = sensor and sensor.powered and sensor.alert_low(now_us)
                if self.alert_levels:
                    low = not self.alert_levels.get(b * CHANNELS + c, not low)
                if low:
                    levels &= ~(1 << 7 - c)
            return levels

        return external

    def _moved(self, b):
        def changed(chip, now_us):
            before = bytes(self.plant.switch)
            for c in range(CHANNELS):
                i = b * CHANNELS + c
                bit = self.switch_bits[self.crossed.get(i, i) % CHANNELS]
                self.plant.set_gate(i, chip.powered and chip.driven_high(bit))
            if self.plant.switch != before:
                self._step(now_us)
                for observer in self.observers:
                    observer.switched(now_us, before)

        return changed

    # Time

    def us(self):
        """Ticks of the controller in us, not wrapped.

        In real time they go on between two calls of `spend`, with which the world follows.
        """
        return (self.now_us if self.virtual else self._follow_host()) + self.ticks_offset_us

    def _follow_host(self):
        host_us = utime.ticks_us()
        passed_us = utime.ticks_diff(host_us, self._host_us) * self._speed
        self._host_us = host_us
        self._clock_us += min(max(passed_us, 0), _LEAP_US)
        return self._clock_us

    def spend(self, us):
        """Let `us` pass, whatever happens in them."""
        if self._dying:
            raise ControllerReset
        until_us = self.now_us + us if self.virtual else self._follow_host()
        if until_us >= self._due_us:
            locked = self.locked
            if locked:
                micropython.heap_unlock()
                self.locked = False
            self._catch_up(until_us)
            if locked:
                self.locked = True
                micropython.heap_lock()
        self.now_us = until_us

    def sleep(self, us):
        """The firmware does nothing for `us`."""
        self.spend(us)
        if not self.virtual:
            until_us = self.now_us + us
            while self.now_us < until_us:
                utime.sleep_us(min(until_us - self.now_us, _LEAP_US) // self._speed)
                self.spend(0)

    def wait(self, timeout_ms, poll):
        """Pass time until a stream of `poll` (None: none is watched) is ready or it is over.

        Returns:
            the ready (stream, event) pairs.

        Raises:
            KeyboardInterrupt: the console has ended.
        """
        if self._console and self._console.poll(0):
            self._console = None
            raise KeyboardInterrupt
        if self.over():
            self.ending()
            raise Finished
        for server in self.servers:
            server.serve(self.now_us)
        if not self.virtual:
            self.spend(0)
            host_ms = min(timeout_ms, _LEAP_US // 1000) // self._speed
            if poll is None:
                utime.sleep_ms(max(host_ms, 0))
                return ()
            return poll.poll(host_ms)
        if poll is not None:
            ready = poll.poll(0)
            if ready:
                return ready
        self.spend(1000 * timeout_ms if timeout_ms >= 0 else _STEP_US)
        return ()

    def finish(self):
        """The run is over as soon as the rig waits."""
        self._end_us = self.now_us

    def over(self):
        """True when the time of the run is over."""
        return self._end_us is not None and self.now_us >= self._end_us

    def resume(self, task):
        """A task goes on: unless it is the guard's, it keeps the controller for a while."""
        if not self.virtual or task is self.guard_task:
            return
        costs = self.costs
        z = sqrt(-2 * log(self.random())) * cos(2 * pi * self.random())
        us = int(costs.task_median_us * exp(costs.task_sigma * z))
        self.compute(us)
        free = costs.free_bytes if self.threshold < 0 else min(self.threshold, costs.free_bytes)
        if self._garbage() >= free:
            self.collect()

    def free_bytes(self):
        """Of the heap; negative never."""
        return max(self.costs.free_bytes - self._garbage(), 0)

    def _garbage(self):
        return (self.now_us - self._collected_us) * self.costs.garbage_bytes_s // 1000000

    def compute(self, us):
        """Python that takes `us` at the clock of the cost model."""
        self.spend(us * MEASURED_MHZ // self.mhz)

    def collect(self):
        """Garbage is collected: everybody waits."""
        self._collected_us = self.now_us
        self.compute(self.costs.collect_us)

    def write_flash(self, us):
        """The internal flash is written to: everybody waits."""
        begin_us = self.now_us
        self.spend(us)
        self.flash_us.append((begin_us, self.now_us))
        if len(self.flash_us) == self.flash_cut:
            self.script.play(self.now_us, {"do": "power_cycle"})

    def turn_radio(self, us):
        """An interface of the radio is switched on or off: its caller waits."""
        self.spend(us)

    def random(self):
        """A number above 0 and below 1, the same sequence for the same seed (xorshift32)."""
        x = self._state
        x ^= x << 13 & 0xFFFFFFFF
        x ^= x >> 17
        x ^= x << 5 & 0xFFFFFFFF
        self._state = x
        return x / 0x100000000

    def _catch_up(self, until_us):
        while self._due_us <= until_us:
            # Each step has its own time; a reset or an interrupt in it ends right there.
            self.now_us = at_us = self._due_us
            self._due_us = min(at_us + _STEP_US, self.script.next_us(at_us))
            self._step(at_us)
            if self.script.run(at_us):
                self._step(at_us)
            if self.watchdog_us is not None and at_us + self.ticks_offset_us > self.watchdog_us:
                self.reset_controller(3)
            for number, (due_us, callback) in list(self.timers.items()):
                if at_us + self.ticks_offset_us >= due_us:
                    del self.timers[number]
                    callback(None)

    def _step(self, at_us):
        self.plant.step(at_us)
        if self.plant.due_us < self._due_us:
            self._due_us = self.plant.due_us
        self._comparators.follow_all(at_us)
        if self.broker:
            self.broker.serve(at_us)
        for observer in self.observers:
            observer.stepped(at_us)

    def attach(self, console):
        """Stop the run at the end of the stream `console`, on which nothing else comes."""
        if console:
            self._console = uselect.poll()
            self._console.register(console, uselect.POLLIN)

    # Faults

    def forget_rtc(self):
        """Power comes on: RTC memory holds anything."""
        self.rtc = bytearray(self._state >> k % 24 & 0xFF for k in range(RTC_BYTES))
        self.rtc_length = 0

    def interrupt(self):
        """Ctrl-C on the console, as mpremote sends it. Does not return."""
        self.broken = True
        raise Break

    def reset_controller(self, cause):
        """The ESP32 restarts; chips, batteries and storage go on. Does not return."""
        self.reset_cause = cause
        self.watchdog_us = None
        self.timers = {}
        self.mhz = RESET_MHZ
        self.threshold = -1
        self.resets += 1
        for observer in self.observers:
            observer.restarted(self.now_us)
        if self.resetting:
            self.resetting()
        self._dying = True
        raise ControllerReset

    def restarted(self):
        """The controller has stopped: free its sockets, get ready to boot again."""
        while self.sockets:
            self.sockets.pop().close()
        self.air.restart()
        self._dying = False
        self.at_prompt = False
        self.broken = False
        self.guard_task = None

    def power_board(self, b, on):
        """Plug or unplug board b: its expander and its sensors gain or lose their supply."""
        expander = self.expanders[b]
        chips = [expander] + self.sensors[b * CHANNELS : b * CHANNELS + CHANNELS]
        for chip in chips:
            if chip:
                if on:
                    chip.power_on(self.now_us)
                chip.powered = on
        self.gates_changed(b)

    def stick_pin(self, i, level):
        """The pin of switch i stays at `level`, and the switch with it; None ends it."""
        stuck = self.expanders[i // CHANNELS].stuck
        pin = self.switch_bits[i % CHANNELS]
        if level is None:
            stuck.pop(pin, None)
            self.plant.mend(i)
        else:
            stuck[pin] = level
            self.plant.weld(i) if level else self.plant.stick_open(i)

    def is_pin_high(self, i):
        """True when the pin of switch i is stuck so."""
        return bool(self.expanders[i // CHANNELS].stuck.get(self.switch_bits[i % CHANNELS]))

    def gates_changed(self, b):
        """Board b's expander changed by itself: let the switches follow."""
        self._moved(b)(self.expanders[b], self.now_us)


def _sensor(model, address, i, plant):
    if model == "ina238":
        return Ina237(address, i, plant, device_id=0x2381)
    makers = {"ina237": Ina237, "ina228": Ina228, "ina226": Ina226, "ina219": Ina219}
    return makers[model](address, i, plant)
