# SPDX-License-Identifier: GPL-3.0-only
"""The protection policy: when a connected battery opens, and when it may return.

One table, a line per rule; numbers in, a decision out. No hardware, no clock, no I/O: it runs
under MicroPython and CPython alike. Called by `guard`, which measures time and acts.
"""

from array import array

from micropython import const

from parallelator.catalog import Reason
from parallelator.snapshot import BATTERIES, IDLE_MA

# What a rule looks at: each is written so that "beyond" means "greater than".
_DISCHARGE = const(0)  # mA leaving the battery
_CHARGE = const(1)  # mA entering the battery
_VOLTAGE = const(2)  # mV
_LOWNESS = const(3)  # minus the voltage, mV
_HEAT = const(4)  # inverse-time sum of the overload, permille * ms
_LAG = const(5)  # mV below the highest connected pack; of the odd one: above the median
_UNSHARED = const(6)  # mA that the others carry each while this pack carries nothing
_TEMPERATURE = const(7)  # degrees Celsius, sampled on its own
_QUANTITIES = const(8)

HEAT_LIMIT = const(4400000)
"""The overload sum that opens: 4.4 s of ((I/Imax)**2 - 1), in permille * ms."""
_RATIO_CAP = const(30000)
_DT_CAP_MS = const(500)
_STRAIN_PCT = const(80)
_GIVES_MA = const(100)
"""A pack that gives as much is not filled beyond its limit; one that takes it is not emptied."""
_SHARED_MA = const(1999)
_LEVEL_MV = const(50)
"""A pack as near to the voltage of the output carries nothing, and rightly so."""
_COOLER_C = const(10)
CHARGER_MV = const(300)
"""How near to max_voltage_mv another pack is when it is the charger that is too high."""
SCAN_MS = const(160)  # of all batteries; `guard` makes sure that it is as it scans
NEVER = const(0x3FFFFFFF)
"""A limit no reading reaches, and the largest int that needs no memory on a 32-bit chip."""

# reason, quantity, limit (one of `Limits`, 0 there = none; or a number), how long beyond it (ms),
# in how many samples, counted towards a lock. The last one judges the temperature.
RULES = (
    (Reason.OVERCURRENT, _DISCHARGE, "hard_discharge_ma", 0, 2, True),
    (Reason.OVERCURRENT, _CHARGE, "hard_charge_ma", 0, 2, True),
    (Reason.OVERVOLTAGE, _VOLTAGE, "hard_high_mv", 0, 2, True),
    (Reason.OVERVOLTAGE, _VOLTAGE, "max_voltage_mv", 500, 1, True),
    (Reason.UNDERVOLTAGE, _LOWNESS, "hard_low_mv", 0, 2, False),
    (Reason.UNDERVOLTAGE, _LOWNESS, "min_voltage_mv", 1000, 1, False),
    (Reason.OVERLOAD, _HEAT, HEAT_LIMIT - 1, 0, 1, True),
    (Reason.IMBALANCE, _LAG, "imbalance_mv", 1500, 3, False),
    (Reason.NO_SHARE, _UNSHARED, _SHARED_MA, 5000, 3, False),
    (Reason.OVERTEMPERATURE, _TEMPERATURE, "temperature_trip_c", 0, 3, True),
)
COUNTED = tuple(row[0] for row in RULES if row[5])
_ROWS = const(10)
_LONG_MS = const(0x7FFF)  # longer than any of them
_READINGS = const(_ROWS - 1)
_FLAGGED = tuple(
    k for k, row in enumerate(RULES) if row[4] == 2 and row[1] in (_VOLTAGE, _LOWNESS)
)
"""The rows that a sensor can tell of."""


class Limits:
    """The limits in force, integers, derived from the `limits` settings and nothing else.

    Args:
        settings: mapping with the keys `limits.*` of `settings.TABLE`.
        changes: those of them, by key, that are to be others than in `settings`.

    Attributes (mV, mA, mOhm, ms as named):
        discharge_ma, charge_ma: the effective continuous limits, both positive.
        hard_discharge_ma, hard_charge_ma: the hard limits, 0 = none.
        hard_high_mv, hard_low_mv: the hard limits of the voltage.
    """

    def __init__(self, settings: "Values", changes: "dict | None" = None):
        def limit(name: str):
            key = "limits." + name
            return changes[key] if changes and key in changes else settings[key]

        ceiling = limit("max_current_ma")
        hard_pct = limit("hard_current_pct")
        self.discharge_ma = min(ceiling, limit("max_discharge_current_ma"))
        self.charge_ma = min(ceiling, limit("max_charge_current_ma"))
        self.hard_discharge_ma = self.discharge_ma * hard_pct // 100
        self.hard_charge_ma = self.charge_ma * hard_pct // 100
        self.hard_high_mv = limit("max_voltage_mv") * 103 // 100
        self.hard_low_mv = limit("min_voltage_mv") * 90 // 100
        self.pack_mohm = limit("pack_resistance_mohm")
        self.path_mohm = limit("path_resistance_mohm")
        self.min_voltage_mv = limit("min_voltage_mv")
        self.max_voltage_mv = limit("max_voltage_mv")
        self.voltage_offset_mv = limit("voltage_offset_mv")
        self.start_spread_mv = limit("start_spread_mv")
        self.imbalance_mv = limit("imbalance_mv")
        self.charge_floor_mv = min(limit("charge_floor_mv"), self.min_voltage_mv)
        self.trial_interval_ms = limit("trial_interval_ms")
        self.temperature_alarm_c = limit("temperature_alarm_c")
        self.temperature_trip_c = limit("temperature_trip_c")
        self.uv_hysteresis_mv = limit("uv_hysteresis_mv")
        self.ov_hysteresis_mv = limit("ov_hysteresis_mv")
        self.reconnect_delay_ms = limit("reconnect_delay_ms")
        self.max_trips = limit("max_trips")
        self.trip_decay_s = limit("trip_decay_s")
        self.join_interval_ms = limit("join_interval_ms")
        self.start_delay_ms = limit("start_delay_ms")


class Judge:
    """Applies RULES to the samples of 16 batteries.

    Args:
        limits: a `Limits`.

    Raises:
        ValueError: RULES is longer than the memory that is kept for it.

    Attributes:
        urgent: True when the last `sample` left a two-sample rule half-way, or the time of a rule
            ends before the next scan: the next conversion of this battery must be read at once.
    """

    def __init__(self, limits: "Limits"):
        if len(RULES) != _ROWS:
            raise ValueError("RULES: %d rows, not %d" % (len(RULES), _ROWS))
        if any(row[1] >= _QUANTITIES for row in RULES):
            raise ValueError("RULES: a quantity beyond %d" % _QUANTITIES)
        if any((row[1] == _TEMPERATURE) != (k == _READINGS) for k, row in enumerate(RULES)):
            raise ValueError("RULES: the temperature is not in the last row alone")
        self._limits = limits
        self._limit = array("i", bytes(4 * _ROWS))
        self.renew()
        self._sample = array("i", bytes(4 * _QUANTITIES))
        self._count = bytearray(_ROWS * BATTERIES)
        self._for_ms = array("h", bytes(2 * _ROWS * BATTERIES))
        self._heat = array("i", bytes(4 * BATTERIES))
        self._rate = array("i", bytes(4 * BATTERIES))
        self._pending = bytearray(BATTERIES)
        self.urgent = False

    def renew(self):
        """Judge by what the limits are now."""
        for k, row in enumerate(RULES):
            self._limit[k] = limit_of(self._limits, row)

    @property
    def kept(self):
        """What a reset must not forget: rows as `records.rtc_state.RtcState` takes them."""
        return ((self._heat, "i", 0, HEAT_LIMIT, False),)

    def clear(self, i: int):
        """Forget what was seen of battery i but its heat: called when its switch closes."""
        self._pending[i] = self._heat[i] > 0
        self.restart(i)

    def rest(self, i: int, current_ma: int, dt_ms: int):
        """Battery i is not connected, and dt_ms passed: its heat drains unless current flows."""
        if self._heat[i]:
            self._heated(i, current_ma, min(dt_ms, _DT_CAP_MS))

    def restart(self, i: int):
        """Begin every row anew for battery i, after a time that nobody saw; its heat stays."""
        for k in range(i * _ROWS, i * _ROWS + _ROWS):
            self._count[k] = 0

    def flagged(self, i: int):
        """The sensor of battery i saw its voltage beyond a hard limit: a first sample."""
        self._pending[i] = 1
        for row in _FLAGGED:
            at = i * _ROWS + row
            if not self._count[at]:
                self._count[at] = 1
                self._for_ms[at] = 0

    def trip_pending(self, mask: int):
        """True while a battery of `mask` is beyond a limit, or its overload sum is above zero."""
        return any(mask >> i & 1 and self._pending[i] for i in range(BATTERIES))

    def strained(self, mask: int, current_ma: "array"):
        """True while a battery of `mask` carries more than 80 % of its continuous limit.

        Args:
            current_ma: of each battery, positive = discharge.
        """
        discharge_ma = self._limits.discharge_ma * _STRAIN_PCT // 100
        charge_ma = self._limits.charge_ma * _STRAIN_PCT // 100
        return any(
            mask >> i & 1 and not -charge_ma <= current_ma[i] <= discharge_ma
            for i in range(BATTERIES)
        )

    def sample(
        self,
        i: int,
        voltage_mv: int,
        current_ma: int,
        lag_mv: int,
        dt_ms: int,
        unshared_ma: int = 0,
    ):
        """Judge one reading of a connected battery.

        Args:
            i: battery index 0..15.
            voltage_mv, current_ma: the reading, positive current = discharge.
            lag_mv, unshared_ma: what `Balance` says of it.
            dt_ms: time since the previous sample of this battery.

        Returns:
            int: `Reason.NONE` unless a rule says open; then the `Reason` of the topmost rule that
            does, or would with a second sample.
        """
        lim = self._limits
        self.urgent = False
        if (
            not self._pending[i]
            and -lim.charge_ma <= current_ma <= lim.discharge_ma
            and lim.min_voltage_mv <= voltage_mv <= lim.max_voltage_mv
            and lag_mv <= lim.imbalance_mv
            and unshared_ma <= _SHARED_MA
        ):
            self._rate[i] = 0
            return 0
        heat = self._heated(i, current_ma, min(dt_ms, _DT_CAP_MS))
        sample = self._sample
        sample[_DISCHARGE] = current_ma
        sample[_CHARGE] = -current_ma
        counts_mv = counting_mv(lim, voltage_mv, current_ma)
        sample[_VOLTAGE] = counts_mv
        sample[_LOWNESS] = -counts_mv
        sample[_UNSHARED] = unshared_ma
        sample[_HEAT] = heat
        sample[_LAG] = lag_mv
        self._pending[i] = heat > 0
        return self._apply(0, _READINGS, i, dt_ms)

    def temperature(self, i: int, celsius: int):
        """Judge a new die temperature of a connected battery; returns as `sample` does."""
        self._sample[_TEMPERATURE] = celsius
        return self._apply(_READINGS, _ROWS, i, 0)

    def _apply(self, first: int, end: int, i: int, dt_ms: int):
        present = 0
        fires = False
        for row in range(first, end):
            reason, quantity, _, for_ms, samples, _ = RULES[row]
            at = i * _ROWS + row
            if self._sample[quantity] <= self._limit[row]:
                self._count[at] = 0
                continue
            if self._count[at]:
                self._for_ms[at] = min(self._for_ms[at] + dt_ms, _LONG_MS)
            else:
                self._for_ms[at] = 0
            self._pending[i] = 1
            if self._count[at] < samples:
                self._count[at] += 1
            if self._count[at] < samples:
                self.urgent = self.urgent or not for_ms
            elif self._for_ms[at] >= for_ms:
                fires = True
                present = present or reason
            elif for_ms - self._for_ms[at] < SCAN_MS:
                self.urgent = True
            if not for_ms:
                present = present or reason
        return present if fires else 0

    def _heated(self, i: int, current_ma: int, dt_ms: int):
        # Permille keep every product below 2**30: the ratio is capped at thirty times the limit.
        lim = self._limits
        if current_ma >= 0:
            ratio = min(current_ma * 1000 // lim.discharge_ma, _RATIO_CAP)
        else:
            ratio = min(-current_ma * 1000 // lim.charge_ma, _RATIO_CAP)
        # Between two samples the current was half of the time the one, half the other, as far as
        # is known: a surge that ended at once must not count for the whole of a scan.
        rate = ratio * ratio // 1000 - 1000
        heat = self._heat[i] + (rate + self._rate[i]) // 2 * dt_ms
        self._rate[i] = rate
        if heat < 0:
            heat = 0
        elif heat > HEAT_LIMIT:
            heat = HEAT_LIMIT
        self._heat[i] = heat
        return heat


def limit_of(limits: "Limits", row: tuple):
    """What a quantity must not be greater than, by a row of RULES."""
    _, quantity, limit, *_ = row
    if isinstance(limit, int):
        return limit
    limit = getattr(limits, limit)
    return -limit if quantity == _LOWNESS else limit or NEVER


def outside(limits: "Limits", voltage_mv: int):
    """The Reason a voltage in mV is outside the window (its borders are inside), else NONE."""
    if voltage_mv > limits.max_voltage_mv:
        return Reason.OVERVOLTAGE
    if voltage_mv < limits.min_voltage_mv:
        return Reason.UNDERVOLTAGE
    return Reason.NONE


def counting_mv(limits: "Limits", voltage_mv: int, current_ma: int):
    """The voltage of a connected battery as far as it counts, mV: one above the window that gives
    is not filled, and one below it that takes is not emptied."""
    if current_ma >= _GIVES_MA and voltage_mv <= limits.hard_high_mv:
        return min(voltage_mv, limits.max_voltage_mv)
    if current_ma < -_GIVES_MA and voltage_mv >= limits.charge_floor_mv:
        return max(voltage_mv, limits.min_voltage_mv)
    return voltage_mv


def recovered(
    limits: "Limits", reason: int, voltage_mv: int, celsius: int, live: bool, charging: bool
):
    """True when a battery opened for `reason` may come back, as far as its readings go.

    An empty pack cannot rise by itself: while the output is charged it joins to be charged. A
    full one needs no margin where it is discharged.

    Args:
        voltage_mv: its voltage, mV; celsius: the die of its sensor.
        live, charging: as of `output.Output`.
    """
    if reason == Reason.UNDERVOLTAGE or voltage_mv < limits.min_voltage_mv:
        if charging:
            return limits.charge_floor_mv <= voltage_mv <= limits.max_voltage_mv
        margin_mv = limits.uv_hysteresis_mv if reason == Reason.UNDERVOLTAGE else 0
        return voltage_mv >= limits.min_voltage_mv + margin_mv
    if reason == Reason.OVERVOLTAGE:
        margin_mv = 0 if live and not charging else limits.ov_hysteresis_mv
        return voltage_mv <= limits.max_voltage_mv - margin_mv
    if reason == Reason.OVERTEMPERATURE and celsius > limits.temperature_trip_c - _COOLER_C:
        return False
    return outside(limits, voltage_mv) == Reason.NONE


def is_beyond_hard(limits: "Limits", current_ma: int):
    """True when a current in mA is beyond the hard limit of its direction."""
    hard_ma = limits.hard_discharge_ma if current_ma >= 0 else limits.hard_charge_ma
    return 0 < hard_ma < abs(current_ma)


def hard_share(limits: "Limits", current_ma: int):
    """A current in mA as per cent of the hard limit of its direction, 0 without such a limit."""
    hard_ma = limits.hard_discharge_ma if current_ma >= 0 else limits.hard_charge_ma
    return abs(current_ma) * 100 // hard_ma if hard_ma else 0


_RETRY_CAP_MS = const(600000)


def cooling_ms(limits: "Limits", repeats: int, first_ms: int = 0):
    """How long an opened battery stays off, in ms.

    Args:
        repeats: 0 for a counted trip; for an uncounted one how often it happened before within
            the hour: each doubles the delay, up to ten minutes.
        first_ms: the first delay, 0 = reconnect_delay_ms.
    """
    delay = first_ms or limits.reconnect_delay_ms
    while repeats and delay < _RETRY_CAP_MS:
        delay *= 2
        repeats -= 1
    return min(delay, max(_RETRY_CAP_MS, limits.reconnect_delay_ms))


class Balance:
    """Compares the voltages of the connected packs with each other, once a scan.

    Args:
        snap: the `Snapshot`; limits: a `Limits`.

    Attributes:
        reference_mv: voltage of the highest pack that carries, the odd one aside; while nobody
            carries all count; 0 = none.
        odd: index of the odd one, or -1: of three or more, a highest pack that is itself more
            than imbalance_mv above the median; then it alone is out of balance.
        median_mv: median voltage when the packs lie further apart than voltage_offset_mv, else 0.
        total_ma: current of the connected packs together; mean_mv: their mean voltage, 0 = none.
    """

    def __init__(self, snap: "Snapshot", limits: "Limits"):
        self._snap = snap
        self._limits = limits
        self._scratch = array("i", bytes(4 * BATTERIES))
        self._packs = 0
        self._flow_ma = 0
        self._second_ma = 0
        self._bus_mv = 0
        self.reference_mv = 0
        self.odd = -1
        self.median_mv = 0
        self.total_ma = 0
        self.mean_mv = 0

    def look(self, mask: int):
        """Compare the batteries of `mask`."""
        volts = self._snap.voltage_mv
        amps = self._snap.current_ma
        total_ma = total_mv = packs = flow_ma = carrying = high_mv = most_ma = second_ma = 0
        low_mv = NEVER
        for i in range(BATTERIES):
            if mask >> i & 1:
                here = volts[i]
                total_ma += amps[i]
                total_mv += here
                packs += 1
                if here > high_mv:
                    high_mv = here
                if here < low_mv:
                    low_mv = here
                size_ma = abs(amps[i])
                flow_ma += size_ma
                if size_ma > most_ma:
                    second_ma, most_ma = most_ma, size_ma
                elif size_ma > second_ma:
                    second_ma = size_ma
                if not -IDLE_MA < amps[i] < IDLE_MA:
                    carrying |= 1 << i
        self.total_ma = total_ma
        self.mean_mv = total_mv // packs if packs else 0
        self._packs = packs
        self._flow_ma = flow_ma
        self._second_ma = second_ma
        self._bus_mv = 0
        if packs > 2 and second_ma > _SHARED_MA:
            self._bus_mv = self._bar_mv(carrying)
        self.reference_mv = high_mv
        self.odd = -1
        self.median_mv = 0
        limits = self._limits
        if high_mv - low_mv > min(limits.imbalance_mv, limits.voltage_offset_mv):
            self._compare(carrying or mask)

    def _compare(self, mask: int):
        volts = self._snap.voltage_mv
        scratch = self._scratch
        count = _sorted(volts, mask, scratch)
        self.median_mv = (scratch[count // 2] + scratch[(count - 1) // 2]) // 2
        self.reference_mv = scratch[count - 1]
        if count > 2 and scratch[count - 1] - self.median_mv > self._limits.imbalance_mv:
            self.reference_mv = scratch[count - 2]
            for i in range(BATTERIES):
                if mask >> i & 1 and volts[i] == scratch[count - 1]:
                    self.odd = i

    def _bar_mv(self, carrying: int):
        # The voltage behind the switches of those that carry.
        sum_mv = count = 0
        snap, path_mohm = self._snap, self._limits.path_mohm
        for i in range(BATTERIES):
            if carrying >> i & 1:
                sum_mv += snap.voltage_mv[i] - snap.current_ma[i] * path_mohm // 1000
                count += 1
        return sum_mv // count

    def unshared_ma(self, voltage_mv: int, current_ma: int):
        """What the others carry each, mA, when three or more are connected and this one, with
        `current_ma`, carries nothing though its voltage differs from that of the output; else 0.
        Two of the others must carry as much: the sensor of one may lie."""
        if self._packs < 3 or not -IDLE_MA < current_ma < IDLE_MA:
            return 0
        if abs(voltage_mv - self._bus_mv) <= _LEVEL_MV:
            return 0
        return min((self._flow_ma - abs(current_ma)) // (self._packs - 1), self._second_ma)

    def lag_mv(self, i: int, voltage_mv: int):
        """How far battery i is out of balance, mV; negative when it is not."""
        if i == self.odd:
            return voltage_mv - self.median_mv
        return self.reference_mv - voltage_mv


def _sorted(values: "array", mask: int, scratch: "array"):
    count = 0
    for i in range(BATTERIES):
        if mask >> i & 1:
            at = count
            while at and scratch[at - 1] > values[i]:
                scratch[at] = scratch[at - 1]
                at -= 1
            scratch[at] = values[i]
            count += 1
    return count
