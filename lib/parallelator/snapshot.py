# SPDX-License-Identifier: GPL-3.0-only
"""What one scan knows of the rig: plain arrays, written by the guard, read by everybody.

Index i = 0..15 is the battery's place on I2C, its number on the case is i + 1. Positive
current is discharge. Nothing here takes time or decides. What is told of it as JSON is in `views`.
"""

from array import array

from micropython import const

from parallelator.catalog import (
    ALARMS,
    BATTERY_ALARMS,
    CODES,
    LEDS,
    NAMES,
    ON,
    UNCONTROLLED,
    WAITING,
    Reason,
)

BATTERIES = const(16)
CHANNELS = const(4)
BOARDS = const(4)

IDLE_MA = const(50)
"""A current of this size or less is shown as idle, in mA: twenty steps of an INA237 at 2 mOhm."""


STRAY_MA = const(200)
"""A current beyond this, in mA, through a switch that was told to open is more than a sensor that
shows nothing."""

NO_TEMPERATURE = const(-300)
NO_CHARGE = const(255)

RIG = const(-1)
"""The battery index of what concerns the whole rig."""

ALL = const(16)
"""The battery index of what every battery shall do."""

_ON_LEDS = sum(1 << k for k, row in enumerate(CODES) if row[3] & LEDS)
"""Mask of the alarms that the LEDs tell, by their place in CODES."""


class Snapshot:
    """The rig as the last scan left it.

    Attributes, each an array of 16 unless said otherwise:
        state: one of ABSENT..UNCONTROLLED; wish: AUTO or WISH_OFF; reason: a `Reason`.
        valid: 1 while voltage and current are good and not older than 500 ms.
        voltage_mv, current_ma: last good reading; meaningless unless `valid`.
        since_s: uptime in s at which the present state began.
        eta_ms: what is left of a delay, 0 when nothing counts down.
        join_ms: when a battery that waits for the output will fit, by the trend; 0 = not known.
        trips: counted trips so far.
        temperature_c: die of the sensor in degrees Celsius, NO_TEMPERATURE when not known.
        on_s: seconds spent ON since boot; switchings: times its switch closed since boot.
        soc_pct: charge; soc_error_pct: its error, two standard deviations; both in per cent,
            NO_CHARGE when not known.
        r_mohm: resistance inside the pack as measured, 0 when not known.
        discharge_mah, charge_mah: whole mAh since boot; *_rest hold the remainder in mA*ms.
        bus_locked: (bool) True while the bus is locked as `bus_overload`.
        alarmed: (int) mask of the batteries with an alarm that the LEDs tell.
        uptime_s: (int) seconds since boot; never wraps.
        boards: (int) bit b set while expander b answers; known_boards: since boot, it or a
            sensor of its battery channels answered; sensors: mask of the sensors that answer.
        unused: (int) mask of the places where no battery is expected.
        lent: (int) mask of the batteries that a self-test has opened: their wish is AUTO still.
        alarm_news: (int) whose alarms changed since mqtt told them last: bit 0 for the rig, bit
            i + 1 for battery i.
    """

    def __init__(self):
        self.state = bytearray(BATTERIES)
        self.wish = bytearray(BATTERIES)
        self.reason = bytearray(BATTERIES)
        self.valid = bytearray(BATTERIES)
        self.trips = array("h", bytes(2 * BATTERIES))
        self.voltage_mv = _words()
        self.current_ma = _words()
        self.since_s = _words()
        self.eta_ms = _words()
        self.join_ms = _words()
        self.temperature_c = array("h", [NO_TEMPERATURE] * BATTERIES)
        self.soc_pct = bytearray([NO_CHARGE] * BATTERIES)
        self.soc_error_pct = bytearray([NO_CHARGE] * BATTERIES)
        self.r_mohm = array("h", bytes(2 * BATTERIES))
        self.on_s = _words()
        self.on_rest_ms = _words()
        self.switchings = _words()
        self.discharge_mah = _words()
        self.discharge_rest = _words()
        self.charge_mah = _words()
        self.charge_rest = _words()
        self.bus_locked = False
        self.uptime_s = 0
        self.boards = 0
        self.known_boards = 0
        self.sensors = 0
        self.unused = 0
        self.lent = 0
        self.alarmed = 0
        self.alarm_news = 0
        self._alarm_s = array("i", [-1] * (BATTERY_ALARMS * (BATTERIES - 1) + ALARMS))

    def alarm(self, code: str, i: int, active: bool):
        """Raise or clear an alarm; allocates nothing.

        Args:
            code: of an alarm of the catalogue; i: battery 0..15, or RIG for one of the whole rig.

        Returns:
            bool: True when it changed.

        Raises:
            ValueError: there is no such alarm.
        """
        place = NAMES.index(code, 0, ALARMS)
        if place < BATTERY_ALARMS:
            at = place * BATTERIES + i
        else:
            at = BATTERY_ALARMS * (BATTERIES - 1) + place
        if active == (self._alarm_s[at] >= 0):
            return False
        self._alarm_s[at] = self.uptime_s if active else -1
        self.alarm_news |= 1 << i + 1
        if _ON_LEDS >> place & 1:
            self.alarmed = self._alarmed_on_leds()
        return True

    def _alarmed_on_leds(self):
        mask = 0
        for at in range(BATTERY_ALARMS * BATTERIES):
            if _ON_LEDS >> at // BATTERIES & 1 and self._alarm_s[at] >= 0:
                mask |= 1 << at % BATTERIES
        return mask

    def alarms(self):
        """The active alarms: a list of (code, battery index or RIG, uptime in s when raised)."""
        of_batteries = BATTERY_ALARMS * BATTERIES
        active = []
        for at, since_s in enumerate(self._alarm_s):
            if since_s >= 0:
                if at < of_batteries:
                    active.append((NAMES[at // BATTERIES], at % BATTERIES, since_s))
                else:
                    active.append((NAMES[at - of_batteries + BATTERY_ALARMS], RIG, since_s))
        return active


def _words():
    return array("i", bytes(4 * BATTERIES))


def missing(snap: "Snapshot", report: "Callable[[str, int], object] | None"):
    """Name what a complete rig of the known boards lacks; a board stands for its sensors.

    Args:
        report: function (what, number) called with "board" 1..4 or "sensor" 1..16, or None.

    Returns:
        int: how many parts are missing.
    """
    count = 0
    for b in range(BOARDS):
        if not snap.known_boards >> b & 1:
            continue
        if not snap.boards >> b & 1:
            count += 1
            if report:
                report("board", b + 1)
            continue
        for i in range(b * CHANNELS, b * CHANNELS + CHANNELS):
            if not (snap.sensors | snap.unused) >> i & 1:
                count += 1
                if report:
                    report("sensor", i + 1)
    return count


def eta_ms(snap: "Snapshot", i: int):
    """In how many ms battery i may return, as far as is known; 0 = not known."""
    if snap.state[i] == WAITING and snap.join_ms[i]:
        return snap.join_ms[i]
    return snap.eta_ms[i]


def connected(snap: "Snapshot", i: int):
    """True when battery i carries or may carry the bus (on, or held by a lost expander)."""
    return snap.state[i] == ON or snap.state[i] == UNCONTROLLED


def carries(snap: "Snapshot", i: int):
    """True when battery i is measured and on the bus, whatever it was told: see `connected`."""
    if not snap.valid[i]:
        return False
    stray = abs(snap.current_ma[i]) > STRAY_MA and snap.reason[i] != Reason.SENSOR_OFFSET
    return stray or connected(snap, i)


def bus(snap: "Snapshot"):
    """What the batteries that are on the bus, told to or not, say of it; may allocate.

    Returns:
        (median of their voltages in mV, None when there is none; sum of their currents in mA).
    """
    known = [i for i in range(BATTERIES) if carries(snap, i)]
    volts = sorted(snap.voltage_mv[i] for i in known)
    return volts[len(volts) // 2] if volts else None, sum(snap.current_ma[i] for i in known)
