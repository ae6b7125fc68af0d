# SPDX-License-Identifier: GPL-3.0-only
"""Alarms that open nothing: what a person should know before it becomes a trip. Run by `guard`."""

from array import array

from micropython import const

from parallelator.snapshot import BATTERIES, IDLE_MA, RIG

_CONTACT_MS = const(5000)
_LOW_MARGIN_MV = const(1000)
_COOLED_C = const(5)
_DEADLINE_MS = const(80)
_DEADLINE_SHOWN_S = const(60)


class Warnings:
    """Raises and clears the alarms of connected batteries.

    Args:
        snap: the `Snapshot`; limits: a `rules.Limits`; balance: a `rules.Balance`.
        emit: function (code, i, state, reason, value) that records an event.
    """

    def __init__(self, snap: "Snapshot", limits: "Limits", balance: "Balance", emit: "Emit"):
        self._snap = snap
        self._limits = limits
        self._balance = balance
        self._emit = emit
        self._apart_ms = array("i", bytes(4 * BATTERIES))
        self._low = 0
        self._apart = 0
        self._lagging = 0
        self._hot = 0
        self._late_s = -1
        self._worst_ms = 0

    def connected(self, i: int, voltage_mv: int, current_ma: int, dt_ms: int):
        """A healthy reading of a connected battery: `low_soon` and `no_contact`."""
        bit = 1 << i
        if self._lagging & bit:
            self._lagging &= ~bit
            self._snap.alarm("imbalance", i, False)
        low = current_ma > IDLE_MA and voltage_mv < self._limits.min_voltage_mv + _LOW_MARGIN_MV
        if low != bool(self._low & bit):
            self._low ^= bit
            self._snap.alarm("low_soon", i, low)
            if low:
                self._emit("low_soon", i, self._snap.state[i], 0, voltage_mv)
        median_mv = self._balance.median_mv
        apart = (
            median_mv > 0
            and -IDLE_MA < current_ma < IDLE_MA
            and abs(voltage_mv - median_mv) > self._limits.voltage_offset_mv
        )
        if not apart:
            self._apart_ms[i] = 0
        elif self._apart_ms[i] < _CONTACT_MS:
            self._apart_ms[i] += dt_ms
        lost = self._apart_ms[i] >= _CONTACT_MS
        if lost != bool(self._apart & bit):
            self._apart ^= bit
            self._snap.alarm("no_contact", i, lost)
            if lost:
                self._emit("no_contact", i, self._snap.state[i], 0, voltage_mv)

    def out_of_balance(self, i: int, voltage_mv: int):
        """Battery i is too far below the others, which could not carry the load without it."""
        self._lagging |= 1 << i
        if self._snap.alarm("imbalance", i, True):
            self._emit("imbalance", i, self._snap.state[i], 0, voltage_mv)

    def opened(self, i: int):
        """Battery i is no longer connected: its alarms of a connected one end."""
        bit = 1 << i
        if (self._low | self._apart | self._lagging) & bit:
            self._low &= ~bit
            self._apart &= ~bit
            self._lagging &= ~bit
            self._snap.alarm("imbalance", i, False)
            self._snap.alarm("low_soon", i, False)
            self._snap.alarm("no_contact", i, False)
        self._apart_ms[i] = 0

    def sensor_offset(self, i: int, wrong: bool, current_ma: int):
        """What the sensor of battery i reads without a current is known: too much, or not."""
        if self._snap.alarm("sensor_offset", i, wrong) and wrong:
            self._emit("sensor_offset", i, self._snap.state[i], 0, current_ma)

    def temperature(self, i: int, celsius: int):
        """A new die temperature: `temperature`, until it is five degrees lower again."""
        bit = 1 << i
        if not self._hot & bit:
            hot = celsius >= self._limits.temperature_alarm_c
        else:
            hot = celsius > self._limits.temperature_alarm_c - _COOLED_C
        if hot != bool(self._hot & bit):
            self._hot ^= bit
            self._snap.alarm("temperature", i, hot)
            if hot:
                self._emit("temperature", i, self._snap.state[i], 0, celsius)

    def deadline(self, dt_ms: int):
        """Time between two ticks, 0 while nothing is connected that the guard could be late for:
        `deadline_missed` for a minute when it was beyond 80 ms.

        While the alarm stands only a longer time is an event, so that a controller that is late
        again and again does not push what matters out of the list.
        """
        if dt_ms > _DEADLINE_MS:
            self._late_s = self._snap.uptime_s
            if dt_ms > self._worst_ms:
                self._worst_ms = dt_ms
                self._emit("deadline_missed", RIG, 0, 0, dt_ms)
            self._snap.alarm("deadline_missed", RIG, True)
        elif self._late_s >= 0 and self._snap.uptime_s - self._late_s > _DEADLINE_SHOWN_S:
            self._late_s = -1
            self._worst_ms = 0
            self._snap.alarm("deadline_missed", RIG, False)
