# SPDX-License-Identifier: GPL-3.0-only
"""The batteries, the bus bar and what the sensors feel: the physics of the simulator.

The simulated world steps the plant once per tick and again at every switch move; the sensor
models in `sim.chips` read its sensor side; the referee reads its truth.

Index i = 0..15 is the number on the case minus 1. Positive current is discharge. Times are
integer microseconds of virtual time that never wrap. Between two solutions of the bus every
current is constant: that stretch is a *segment*.
"""

from math import exp

BATTERIES = 16
CHANNELS = 4
RING = 32
FOREVER = 1 << 60

_HOLD_US = 50000
_REFRESH_US = 1000000
_TAU_US = 20e6
_R0_SHARE = 0.7
_LOAD_KNEE_V = 12.0
_US_PER_HOUR = 3.6e9

_HEALTHY, _WELDED, STUCK_OPEN = range(3)

CURVES = {
    "nmc7s": (
        7,
        (0.0, 0.05, 0.10, 0.20, 0.30, 0.40, 0.50, 0.60, 0.70, 0.80, 0.90, 1.0),
        (2.90, 3.30, 3.45, 3.55, 3.61, 3.66, 3.73, 3.83, 3.92, 4.02, 4.10, 4.20),
    ),
    "lfp8s": (
        8,
        (0.0, 0.05, 0.10, 0.20, 0.30, 0.40, 0.50, 0.60, 0.70, 0.80, 0.90, 0.97, 1.0),
        (2.50, 3.00, 3.20, 3.25, 3.28, 3.29, 3.30, 3.31, 3.33, 3.335, 3.34, 3.37, 3.60),
    ),
}
"""Cells in series, state of charge (0..1) and rest voltage of one cell (V) per chemistry.

The shapes follow the slow-discharge curves in the data sheets of 18650 NMC cells (steep below
10 %, nearly straight to 4.2 V) and of LiFePO4 cells (flat from 20 to 90 %, a knee at both ends);
the values are our own rounding of that common shape, not one maker's table.
"""

_PACK_KEYS = ("n", "chemistry", "capacity_ah", "soc", "r_mohm")
ALLOWED = {  # of what a pack is given, lowest and highest
    "n": (1, BATTERIES),
    "capacity_ah": (0.1, 1000),
    "soc": (0, 1),
    "r_mohm": (1, 10000),
    "voltage_mv": (0, 60000),
}


class Plant:
    """Up to 16 packs behind switches on one bus bar with a load and a charger.

    Args:
        packs: list of dicts. `n` (1..16, required), `chemistry` ("nmc7s", the default, or
            "lfp8s"), `capacity_ah` (0.1..1000, default 20), `soc` (0..1; by default drawn within
            0.003 of 0.8, which spreads the packs over some 0.04 V), `r_mohm` (resistance of the
            pack at DC, 1..10000, default 30). Places without a pack feel 0 V and 0 A.
        path_mohm: shunt, switch and wiring between a pack's terminals and the bus.
        seed: seeds the drawn states of charge.

    Raises:
        ValueError: names the pack, the key, the value found and the values allowed.

    A pack is OCV - I * R0 - V_rc: 70 % of r_mohm is R0, 30 % is the R of one RC pair with a time
    constant of 20 s. Beyond 0 and 1 the OCV goes on along the curve's end slope.

    Attributes, to write:
        load_a: constant current the load asks for (0 or more); below 12 V it becomes a resistor.
        source_a: constant current of the charger (0 or more) up to `source_limit_v`.
        source_limit_v: voltage the charger holds at most, 12 or more, default 29.4.
    Attributes, to read:
        current_a, voltage_v: true current and terminal voltage of each pack.
        bus_v, bus_load_a, bus_source_a: bus voltage, what load and charger really carry.
        soc: state of charge, refreshed every second of virtual time like the OCV.
        out_ah, in_ah: charge that left and entered each pack up to the last solution; call `solve`
            first to have them exact for this moment.
        switch: wanted gate state of each switch (see `set_gate`).
        fault: of each switch; STUCK_OPEN never conducts.
        sensed_a, sensed_v: what the sensors feel in this segment (truth plus injections).
        solutions: number of solutions so far; changes whenever a sensor input may have changed.
    """

    def __init__(self, packs, path_mohm=20, seed=0):
        self.load_a = self.source_a = 0.0
        self.source_limit_v = 29.4
        self.current_a, self.voltage_v, self.soc = _zeros(), _zeros(), _zeros()
        self.out_ah, self.in_ah = _zeros(), _zeros()
        self.switch = bytearray(BATTERIES)
        self.solutions = 0

        self._path_ohm = path_mohm / 1000
        self._curve = [None] * BATTERIES
        self._capacity_ah, self._soc_base = _zeros(), _zeros()
        self._r0, self._r1 = _zeros(), _zeros()
        self._ocv, self._rc_a, self._emf, self._path_s = _zeros(), _zeros(), _zeros(), _zeros()
        self.fault = bytearray(BATTERIES)
        self._override = bytearray(BATTERIES // CHANNELS)
        for k, pack in enumerate(packs):
            seed = (seed * 1103515245 + 12345) & 0x7FFFFFFF
            self._add(f"packs[{k}]", pack, 0.797 + 0.006 * seed / 0x7FFFFFFF)
        self._present = tuple(i for i in range(BATTERIES) if self._curve[i])

        self._solved_us = self._refreshed_us = self._dt_us = 0
        self._gain = 0.0
        self._inject_a, self._inject_v = _zeros(), _zeros()
        self._injected = False
        self._head = self._since_us = 0
        self._starts = [0] * RING
        self._rows_a = [_zeros() for _ in range(RING)]
        self._rows_v = [_zeros() for _ in range(RING)]
        self.sensed_a, self.sensed_v = self._rows_a[0], self._rows_v[0]
        self.solve(0)

    def _add(self, where, pack, soc):
        for key in pack:
            if key not in _PACK_KEYS:
                raise ValueError(f"{where}: found {key}, allowed {', '.join(_PACK_KEYS)}")
        i = _number(where, "n", pack.get("n")) - 1
        if self._curve[i]:
            raise ValueError(f"{where}.n: {i + 1} is there twice")
        chemistry = pack.get("chemistry", "nmc7s")
        if chemistry not in CURVES:
            raise ValueError(
                f"{where}.chemistry: found {chemistry}, allowed {', '.join(sorted(CURVES))}"
            )
        self._curve[i] = CURVES[chemistry]
        self._capacity_ah[i] = _number(where, "capacity_ah", pack.get("capacity_ah", 20))
        self.set_pack(i, pack.get("soc", soc), pack.get("r_mohm", 30))

    def set_pack(self, i, soc=None, r_mohm=None, voltage_mv=None):
        """Changes pack i, seen from the next step on.

        Args:
            soc: state of charge, 0..1. r_mohm: resistance at DC, 1..10000.
            voltage_mv: sets the state of charge whose OCV this is (kept within 0..1), settled.

        Raises:
            ValueError: a value out of range, or there is no pack i.
        """
        where = f"battery {i + 1}"
        if not self._curve[i]:
            raise ValueError(f"{where}: there is no such pack")
        self._changed = True
        if r_mohm is not None:
            ohm = _number(where, "r_mohm", r_mohm) / 1000
            self._r0[i] = ohm * _R0_SHARE
            self._r1[i] = ohm - self._r0[i]
        if voltage_mv is not None:
            cells, socs, volts = self._curve[i]
            cell_v = _number(where, "voltage_mv", voltage_mv) / 1000 / cells
            soc = min(1.0, max(0.0, _interpolate(volts, socs, cell_v)))
            self._rc_a[i] = 0.0
        if soc is not None:
            net_ah = self.out_ah[i] - self.in_ah[i]
            self._soc_base[i] = _number(where, "soc", soc) + net_ah / self._capacity_ah[i]
            self._refresh(i)

    def set_gate(self, i, closed):
        """The board commands switch i closed (true) or open; seen from the next step on."""
        self.switch[i] = 1 if closed else 0
        self._changed = True

    def weld(self, i):
        """Switch i conducts whatever its gate says."""
        self._set_fault(i, _WELDED)

    def stick_open(self, i):
        """Switch i never conducts."""
        self._set_fault(i, STUCK_OPEN)

    def mend(self, i):
        """Ends `weld` and `stick_open` of switch i."""
        self._set_fault(i, _HEALTHY)

    def _set_fault(self, i, fault):
        self.fault[i] = fault
        self._changed = True

    def override(self, board, on):
        """The jumper of board 0..3 feeds its four command lines (true), or is pulled."""
        self._override[board] = 1 if on else 0
        self._changed = True

    def inject_current(self, i, ma):
        """Adds ma to the current sensor i feels (not to the truth), from the next step on."""
        self._inject(self._inject_a, i, ma)

    def inject_voltage(self, i, mv):
        """Adds mv to the voltage sensor i feels (not to the truth), from the next step on."""
        self._inject(self._inject_v, i, mv)

    def _inject(self, offsets, i, milli):
        offsets[i] = milli / 1000
        self._injected = any(self._inject_a) or any(self._inject_v)
        self._changed = True

    def closed(self, i):
        """True when pack i is really connected to the bus, as of the last step."""
        return self._path_s[i] > 0

    def rest_v(self, i):
        """OCV - V_rc as of the last solution, in V.

        The terminals would show it if the current stopped this instant: R0's drop is gone, V_rc
        only begins to fade.
        """
        return self._emf[i]

    def step(self, now_us):
        """Carries the plant to now_us; what was set since the last step counts from now_us on.

        Solves when something was set, and every 50 ms: that long the slow change of the RC pairs
        (0.25 % of their way) is left aside and the segment simply goes on.

        Raises:
            ValueError: now_us lies before the last solution.
        """
        if (
            self._changed
            or not 0 <= now_us - self._solved_us < _HOLD_US
            or self.load_a != self._solved_load_a
            or self.source_a != self._solved_source_a
        ):
            self.solve(now_us)

    def solve(self, now_us):
        """As `step`, but always integrates up to now_us, solves the bus and begins a segment.

        The RC pairs and the charges are exact for the currents of the ending segment, whatever
        its length; a length of 0 us only solves again. The OCV follows once a second.
        """
        dt = now_us - self._solved_us
        if dt < 0:
            raise ValueError(f"step back in time, by {-dt} us")
        if dt != self._dt_us:
            self._dt_us = dt
            self._gain = 1 - exp(-dt / _TAU_US)
        if self._changed:
            self._connect()
        if now_us - self._refreshed_us >= _REFRESH_US:
            self._refreshed_us = now_us
            for i in self._present:
                self._refresh(i)

        gain = self._gain
        hours = dt / _US_PER_HOUR
        present = self._present
        current = self.current_a
        rc_a = self._rc_a
        out_ah = self.out_ah
        in_ah = self.in_ah
        ocv = self._ocv
        r1 = self._r1
        emf = self._emf
        path_s = self._path_s
        short_a = 0.0
        for i in present:
            a = current[i]
            if a > 0:
                out_ah[i] += a * hours
            elif a < 0:
                in_ah[i] -= a * hours
            through = rc_a[i]
            through += (a - through) * gain
            rc_a[i] = through
            e = ocv[i] - through * r1[i]
            emf[i] = e
            short_a += e * path_s[i]

        bus_v = self._solve(short_a)
        voltage = self.voltage_v
        r0 = self._r0
        for i in present:
            e = emf[i]
            a = (e - bus_v) * path_s[i]
            current[i] = a
            voltage[i] = e - a * r0[i]
        self._solved_us = now_us
        self._begin_segment(now_us)

    def _connect(self):
        path_s = self._path_s
        for i in range(BATTERIES):
            fault = self.fault[i]
            gate = self.switch[i] or self._override[i // CHANNELS]
            on = self._curve[i] and (fault == _WELDED or (gate and fault == _HEALTHY))
            path_s[i] = 1 / (self._r0[i] + self._path_ohm) if on else 0.0
        self._bus_s = sum(path_s)
        self._changed = False

    def _refresh(self, i):
        soc = self._soc_base[i] - (self.out_ah[i] - self.in_ah[i]) / self._capacity_ah[i]
        cells, socs, volts = self._curve[i]
        self.soc[i] = soc
        self._ocv[i] = cells * _interpolate(socs, volts, soc)

    def _solve(self, short_a):
        """Bus voltage at which packs + source = load; short_a is what a bus at 0 V would draw."""
        bus_s = self._bus_s
        load = self._solved_load_a = self.load_a
        source = self._solved_source_a = self.source_a
        limit = self.source_limit_v
        if not bus_s:
            bus_v, load = (limit, load) if load < source else (0.0, 0.0)
            source = load
        else:
            bus_v = (short_a + source - load) / bus_s
            if bus_v < _LOAD_KNEE_V:
                bus_v = (short_a + source) / (bus_s + load / _LOAD_KNEE_V)
                load *= bus_v / _LOAD_KNEE_V
            elif source and bus_v > limit:
                bus_v = max(limit, (short_a - load) / bus_s)
                source = max(0.0, load + limit * bus_s - short_a)
        self.bus_load_a = load
        self.bus_source_a = source
        self.bus_v = bus_v
        return bus_v

    def _begin_segment(self, now_us):
        if now_us != self._since_us:
            self._head = head = (self._head + 1) % RING
            self._starts[head] = self._since_us = now_us
            self.sensed_a = self._rows_a[head]
            self.sensed_v = self._rows_v[head]
        self.sensed_a[:] = self.current_a
        self.sensed_v[:] = self.voltage_v
        if self._injected:
            for i in range(BATTERIES):
                self.sensed_a[i] += self._inject_a[i]
                self.sensed_v[i] += self._inject_v[i]
        self.solutions += 1

    def mean_current(self, i, a_us, b_us):
        """Time average of the current sensor i felt over [a_us, b_us], a_us < b_us <= now, in A.

        Exact over the last 32 segments; the oldest one's value stands for all time before it.
        """
        if a_us >= self._since_us:
            return self.sensed_a[i]
        return self._mean(self._rows_a, i, a_us, b_us)

    def mean_voltage(self, i, a_us, b_us):
        """As `mean_current`, for the terminal voltage, in V."""
        if a_us >= self._since_us:
            return self.sensed_v[i]
        return self._mean(self._rows_v, i, a_us, b_us)

    def _mean(self, rows, i, a_us, b_us):
        starts = self._starts
        k = self._head
        end = b_us
        total = 0.0
        for _ in range(RING - 1):
            begin = starts[k]
            if begin <= a_us:
                break
            if begin < end:
                total += rows[k][i] * (end - begin)
                end = begin
            k = (k - 1) % RING
        return (total + rows[k][i] * (end - a_us)) / (b_us - a_us)

    def constant_until(self, t_us):
        """End of the segment that holds t_us, in us; `FOREVER` for the newest one."""
        if t_us >= self._since_us:
            return FOREVER
        starts = self._starts
        k = self._head
        for _ in range(RING - 1):
            end = starts[k]
            k = (k - 1) % RING
            if starts[k] <= t_us:
                break
        return end


def _zeros():
    return [0.0] * BATTERIES


def _number(where, key, value):
    low, high = ALLOWED[key]
    kind = int if key == "n" else (int, float)
    if not isinstance(value, kind) or not low <= value <= high:
        raise ValueError(f"{where}.{key}: found {value}, allowed {low} to {high}")
    return value


def _interpolate(xs, ys, x):
    """Straight lines through the points, xs rising; the outer two go on beyond the ends."""
    k = 1
    while k < len(xs) - 1 and x > xs[k]:
        k += 1
    return ys[k] + (x - xs[k]) * (ys[k] - ys[k - 1]) / (xs[k] - xs[k - 1])
