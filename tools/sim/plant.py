# SPDX-License-Identifier: GPL-3.0-only
"""The batteries, the bus bar and what the sensors feel: the physics of the simulator.

The simulated world steps the plant once per tick and again at every switch move; the sensor
models in `sim.chips` read its sensor side; the referee reads its truth.

Index i = 0..15 is the number on the case minus 1. Positive current is discharge. Times are
integer microseconds of virtual time that never wrap. Between two solutions of the bus every
current is constant: that stretch is a *segment*.
"""

from math import exp

from sim.cells import CURVES, Cells
from sim.links import Link
from sim.output import FOREVER, HOLD_US, Output

BATTERIES = 16
CHANNELS = 4
RING = 32

_REFRESH_US = 1000000
_TAU_US = 20e6
_R0_SHARE = 0.7
_US_PER_HOUR = 3.6e9
_LOUD_A = 20
_FRESH_US = 1000000

_HEALTHY, _WELDED, _STUCK_OPEN = range(3)

_PACK_KEYS = ("n", "chemistry", "capacity_ah", "soc", "r_mohm", "bms")
ALLOWED = {  # of what a pack is given, lowest and highest
    "n": (1, BATTERIES),
    "capacity_ah": (0.1, 1000),
    "soc": (0, 1),
    "r_mohm": (1, 10000),
    "voltage_mv": (0, 60000),
}
HONEST = {
    "gain_pct": 100,
    "sign": 1,
    "offset_ma": 0,
    "stuck_ma": None,
    "voltage_pct": 100,
    "offset_mv": 0,
    "stuck_mv": None,
}
"""What `Plant.lie` may be given, each with the value of a sensor that tells the truth."""


class Plant:
    """Up to 16 packs behind switches on one bus bar with a load and a charger.

    Args:
        packs: list of dicts. `n` (1..16, required), `chemistry` ("nmc7s", the default, or
            "lfp8s"), `capacity_ah` (0.1..1000, default 20), `soc` (0..1; by default drawn within
            0.003 of 0.8, which spreads the packs over some 0.04 V), `r_mohm` (resistance of the
            pack at DC, 1..10000, default 30), `bms` (limits of its own BMS, see `links.Link`;
            none by default). Places without a pack feel 0 V and 0 A.
        path_mohm: shunt, switch and wiring between a pack's terminals and the bus.
        seed: seeds the drawn states of charge.
        bus_uf: capacitors across the output in uF, empty at first.

    Raises:
        ValueError: names the pack, the key, the value found and the values allowed.

    A pack is OCV - I * R0 - V_rc: 70 % of r_mohm is R0, 30 % is the R of one RC pair with a time
    constant of 20 s. OCV is what `cells.Cells` says, with what relaxes slowly; it follows once a
    second. Fuses, plugs and the pack's own BMS are a `links.Link`, what hangs on the bus is an
    `output.Output`.

    Attributes, to write:
        load_a: constant current the load asks for (0 or more); below 12 V it becomes a resistor.
        source_a: constant current of the charger (0 or more), see `set_charger`.
    Attributes, to read:
        current_a: true current of each pack, constant or the mean over the segment.
        voltage_v: true voltage where its sensor sits: at the terminals, unless a fuse, plug or
            BMS cuts it off (see `links`).
        bus_v: bus voltage.
        output: the `Output`, which knows what load and charger really carry.
        soc: state of charge, refreshed every second of virtual time like the OCV.
        out_ah, in_ah: charge that left and entered each pack up to the last solution; call `solve`
            first to have them exact for this moment.
        switch: wanted gate state of each switch (see `set_gate`).
        peak_a: highest current since the switch was last told to close, of either direction.
        a2s: integral of the square of the current over the first second since then, in A²s: what
            heats a fuse, a shunt or a switch. Of an inrush into capacitors it is up to 1.5 % too
            low, since each piece of it counts with its mean.
        sensed_a, sensed_v: what the sensors feel in this segment (truth plus injections).
        high_a, low_a: highest and lowest of `sensed_a`.
        solutions: number of solutions so far; changes whenever a sensor input may have changed.
        due_us: when the plant changes by itself and wants a step; FOREVER = not soon. A later
            step makes up for those that were missed, with what was set until then: step to the
            present before anything is set.
    """

    def __init__(self, packs, path_mohm=20, seed=0, bus_uf=0):
        self.load_a = self.source_a = 0.0
        self.output = Output(bus_uf)
        self.current_a, self.voltage_v, self.soc = _zeros(), _zeros(), _zeros()
        self.out_ah, self.in_ah = _zeros(), _zeros()
        self.switch = bytearray(BATTERIES)
        self.solutions = 0

        self.bus_v = 0.0
        self.peak_a, self.a2s = _zeros(), _zeros()
        self._fresh = {}
        self._path_ohm = path_mohm / 1000
        self._cells = [None] * BATTERIES
        self._links = {}
        self._counted_ah = _zeros()
        self._r0, self._r1 = _zeros(), _zeros()
        self._ocv, self._rc_a, self._emf, self._path_s = _zeros(), _zeros(), _zeros(), _zeros()
        self._fault = bytearray(BATTERIES)
        self._override = bytearray(BATTERIES // CHANNELS)
        for k, pack in enumerate(packs):
            seed = (seed * 1103515245 + 12345) & 0x7FFFFFFF
            self._add(f"packs[{k}]", pack, 0.797 + 0.006 * seed / 0x7FFFFFFF)
        self._present = tuple(i for i in range(BATTERIES) if self._cells[i])

        self._solved_us = self._refreshed_us = self._dt_us = 0
        self.due_us = FOREVER
        self._gain = 0.0
        self._inject_a, self._inject_v = _zeros(), _zeros()
        self._lies = {}
        self._injected = False
        self._head = self._since_us = self._quiet_us = 0
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
        if self._cells[i]:
            raise ValueError(f"{where}.n: {i + 1} is there twice")
        chemistry = pack.get("chemistry", "nmc7s")
        if chemistry not in CURVES:
            raise ValueError(
                f"{where}.chemistry: found {chemistry}, allowed {', '.join(sorted(CURVES))}"
            )
        capacity_ah = _number(where, "capacity_ah", pack.get("capacity_ah", 20))
        self._cells[i] = Cells(chemistry, capacity_ah)
        self.set_pack(i, pack.get("soc", soc), pack.get("r_mohm", 30))
        if "bms" in pack:
            self._links[i] = Link(pack["bms"])

    def set_pack(self, i, soc=None, r_mohm=None, voltage_mv=None):
        """Changes pack i, seen from the next step on.

        Args:
            soc: state of charge, 0..1. r_mohm: resistance at DC, 1..10000.
            voltage_mv: sets the state of charge whose OCV this is (kept within 0..1), settled.

        Raises:
            ValueError: a value out of range, or there is no pack i.
        """
        where = f"battery {i + 1}"
        cells = self._cells[i]
        if not cells:
            raise ValueError(f"{where}: there is no such pack")
        self._changed = True
        if r_mohm is not None:
            ohm = _number(where, "r_mohm", r_mohm) / 1000
            plug_ohm = self._links[i].ohm if i in self._links else 0.0
            self._r0[i] = ohm * _R0_SHARE + plug_ohm
            self._r1[i] = ohm - ohm * _R0_SHARE
            cells.set_resistance(ohm)
        if voltage_mv is not None:
            cells.set_rest(_number(where, "voltage_mv", voltage_mv) / 1000)
            self._rc_a[i] = 0.0
        if soc is not None:
            cells.soc = _number(where, "soc", soc)
        self._counted_ah[i] = self.out_ah[i] - self.in_ah[i]
        self._show(i)

    def set_gate(self, i, closed):
        """The board commands switch i closed (true) or open; seen from the next step on."""
        if closed and not self.switch[i]:
            self.peak_a[i] = self.a2s[i] = 0.0
            self._fresh[i] = None
        self.switch[i] = 1 if closed else 0
        self._changed = True

    def weld(self, i):
        """Switch i conducts whatever its gate says."""
        self._set_fault(i, _WELDED)

    def stick_open(self, i):
        """Switch i never conducts."""
        self._set_fault(i, _STUCK_OPEN)

    def mend(self, i):
        """Ends `weld` and `stick_open` of switch i."""
        self._set_fault(i, _HEALTHY)

    def _set_fault(self, i, fault):
        self._fault[i] = fault
        self._changed = True

    def cannot_conduct(self, i):
        """True when no current can flow whatever the switch is told: its fault or the pack's."""
        return self._fault[i] == _STUCK_OPEN or i in self._links and self._links[i].cut()

    def cannot_open(self, i):
        """True when it conducts whatever the switch is told."""
        return self._fault[i] == _WELDED or bool(self._override[i // CHANNELS])

    def override(self, board, on):
        """The jumper of board 0..3 feeds its four command lines (true), or is pulled."""
        self._override[board] = 1 if on else 0
        self._changed = True

    def move_bms(self, i, is_open):
        """The own BMS of pack i opens (true) or closes."""
        self._link(i).move_bms(is_open)

    def blow_fuse(self, i, side, on=True):
        """The fuse of pack i on the `side` of the battery or of the bus blows, or is replaced."""
        blown = self._link(i).blown
        blown.add(side) if on else blown.discard(side)

    def set_joint(self, i, mohm):
        """A joint between the sensor of pack i and the bus bar has so much resistance."""
        self._link(i).bus_ohm = mohm / 1000

    def set_contact(self, i, mohm, bounce_us=(), now_us=0):
        """The plug of pack i, before its sensor, has so much resistance.

        Args:
            bounce_us: times for which, from now_us on, it opens, makes contact, opens, ..., over
                and over; an even number of them, or none.
        """
        link = self._link(i)
        self._r0[i] += mohm / 1000 - link.ohm
        link.ohm = mohm / 1000
        link.set_bounce(bounce_us, now_us)

    def _link(self, i):
        self._changed = True
        if i not in self._links:
            self._links[i] = Link()
        return self._links[i]

    def set_charger(self, limit_v=None, needs_v=None, delay_us=None):
        """Changes what is given of the charger, see `Output`; at first 29.4 V, needs nothing."""
        output = self.output
        if limit_v is not None:
            output.limit_v = limit_v
        if needs_v is not None:
            output.needs_v = needs_v
        if delay_us is not None:
            output.delay_us = delay_us
        self._changed = True

    def set_inrush(self, times, us):
        """The load draws `times` its current for so long whenever the output gets its supply."""
        self.output.times = times
        self.output.inrush_us = us
        self._changed = True

    def set_resistor(self, mohm):
        """A resistor lies across the output; 0 takes it away."""
        self.output.short_s = 1000 / mohm if mohm else 0.0
        self._changed = True

    def lie(self, i, **values):
        """Sensor i feels something else than the truth, from the next step on.

        Args:
            gain_pct, sign, offset_ma, stuck_ma: of the current: times gain_pct / 100 * sign, plus
                offset_ma; stuck_ma (None: not stuck) instead of all that.
            voltage_pct, offset_mv, stuck_mv: of the voltage. What is not given is the truth.
        """
        lie = dict(HONEST)
        lie.update(values)
        if lie == HONEST:
            self._lies.pop(i, None)
        else:
            self._lies[i] = lie
        self._note_injections()

    def inject_current(self, i, ma):
        """Adds ma to the current sensor i feels (not to the truth), from the next step on."""
        self._inject(self._inject_a, i, ma)

    def inject_voltage(self, i, mv):
        """Adds mv to the voltage sensor i feels (not to the truth), from the next step on."""
        self._inject(self._inject_v, i, mv)

    def _inject(self, offsets, i, milli):
        offsets[i] = milli / 1000
        self._note_injections()

    def _note_injections(self):
        self._injected = any(self._inject_a) or any(self._inject_v) or bool(self._lies)
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

        Solves when something was set, when the plant changes by itself, and every 50 ms: that
        long the slow change of the RC pairs (0.25 % of their way) is left aside and the segment
        simply goes on.

        Raises:
            ValueError: now_us lies before the last solution.
        """
        if (
            self._changed
            or not self._solved_us <= now_us < self._until_us
            or self.load_a != self._solved_load_a
            or self.source_a != self._solved_source_a
        ):
            self.solve(now_us)

    def solve(self, now_us):
        """As `step`, but always integrates up to now_us, solves the bus and begins a segment.

        The RC pairs and the charges are exact for the currents of the ending segment, whatever
        its length; a length of 0 us only solves again. The OCV follows once a second.
        """
        while self.due_us < now_us:
            self._solve(self.due_us)
        self._solve(now_us)

    def _solve(self, now_us):
        dt = now_us - self._solved_us
        if dt < 0:
            raise ValueError(f"step back in time, by {-dt} us")
        if dt != self._dt_us:
            self._dt_us = dt
            self._gain = 1 - exp(-dt / _TAU_US)
        if now_us >= self.due_us:
            for link in self._links.values():
                self._changed = link.flip(now_us) or self._changed
        if self._changed:
            self._connect()
        hours = dt / _US_PER_HOUR
        if now_us - self._refreshed_us >= _REFRESH_US:
            self._refresh(now_us, hours)
        if self._fresh:
            self._heat(now_us)
        short_a = self._integrate(hours)

        load = self._solved_load_a = self.load_a
        source = self._solved_source_a = self.source_a
        output = self.output
        self.bus_v = bus_v = output.solve(now_us, short_a, self._packs_s, load, source)
        present = self._present
        emf = self._emf
        path_s = self._path_s
        current = self.current_a
        voltage = self.voltage_v
        r0 = self._r0
        for i in present:
            e = emf[i]
            a = (e - bus_v) * path_s[i]
            current[i] = a
            voltage[i] = e - a * r0[i]
        if output.start_v != bus_v:
            for i in present:
                begin_a = abs(emf[i] - output.start_v) * path_s[i]
                self.peak_a[i] = max(self.peak_a[i], begin_a)
        self._solved_us = now_us
        self.due_us = output.due_us
        if self._links and self._follow_links(now_us):
            self._solve(now_us)
            return
        self._until_us = min(self.due_us, now_us + HOLD_US)
        self._begin_segment(now_us)

    def _integrate(self, hours):
        """End a segment of so many hours; returns what the packs would now drive into 0 V, A."""
        gain = self._gain
        present = self._present
        current = self.current_a
        rc_a = self._rc_a
        out_ah = self.out_ah
        in_ah = self.in_ah
        peak = self.peak_a
        ocv = self._ocv
        r1 = self._r1
        emf = self._emf
        path_s = self._path_s
        short_a = 0.0
        for i in present:
            a = current[i]
            if a:
                ah = a * hours
                if a > 0:
                    out_ah[i] += ah
                    if a > peak[i]:
                        peak[i] = a
                else:
                    in_ah[i] -= ah
                    if -a > peak[i]:
                        peak[i] = -a
            through = rc_a[i]
            through += (a - through) * gain
            rc_a[i] = through
            e = ocv[i] - through * r1[i]
            emf[i] = e
            short_a += e * path_s[i]
        return short_a

    def _heat(self, now_us):
        """Note what the segment that ends now cost the switches that have just closed."""
        for i, until_us in list(self._fresh.items()):
            if until_us is None:
                self._fresh[i] = now_us + _FRESH_US
            else:
                us = min(now_us, until_us) - self._solved_us
                self.a2s[i] += self.current_a[i] ** 2 * us / 1e6
                if now_us >= until_us:
                    del self._fresh[i]

    def _connect(self):
        path_s = self._path_s
        for i in range(BATTERIES):
            fault = self._fault[i]
            gate = self.switch[i] or self._override[i // CHANNELS]
            on = self._cells[i] and (fault == _WELDED or (gate and fault == _HEALTHY))
            path_s[i] = 1 / (self._r0[i] + self._path_ohm) if on else 0.0
        for i, link in self._links.items():
            link.gated = path_s[i] > 0
            if link.gated and link.bus_ohm:
                path_s[i] = 1 / (1 / path_s[i] + link.bus_ohm)
            if link.cut():
                path_s[i] = 0.0
        self._packs_s = sum(path_s)
        self._changed = False

    def _follow_links(self, now_us):
        """Feed the sensors that are cut off from their packs; True when a BMS opens or closes."""
        moved = False
        for i, link in self._links.items():
            a = self.current_a[i]
            if link.cut_before():
                self.voltage_v[i] = self.bus_v if link.gated else 0.0
            pack_v = self._emf[i] - a * (self._r0[i] - link.ohm)
            if link.judge(now_us, self._emf[i], pack_v, a, self.bus_v):
                self._changed = moved = True
            self.due_us = min(self.due_us, link.due_us)
        return moved

    def _refresh(self, now_us, hours):
        """The OCVs follow what flowed until now; the ending segment lasts `hours`."""
        us = now_us - self._refreshed_us
        self._refreshed_us = now_us
        for i in self._present:
            ah = self.out_ah[i] - self.in_ah[i] + self.current_a[i] * hours
            self._cells[i].pass_charge(ah - self._counted_ah[i], us)
            self._counted_ah[i] = ah
            self._show(i)

    def _show(self, i):
        self.soc[i] = self._cells[i].soc
        self._ocv[i] = self._cells[i].rest_v()

    def _begin_segment(self, now_us):
        if now_us != self._since_us:
            self._head = head = (self._head + 1) % RING
            self._starts[head] = self._since_us = now_us
            self.sensed_a = self._rows_a[head]
            self.sensed_v = self._rows_v[head]
        self.sensed_a[:] = self.current_a
        self.sensed_v[:] = self.voltage_v
        if self._injected:
            self._falsify()
        self.high_a = high_a = max(self.sensed_a)
        self.low_a = low_a = min(self.sensed_a)
        if high_a > _LOUD_A or low_a < -_LOUD_A:
            self._quiet_us = FOREVER
        elif self._quiet_us == FOREVER:
            self._quiet_us = now_us
        self.solutions += 1

    def _falsify(self):
        for i, lie in self._lies.items():
            share = lie["gain_pct"] * lie["sign"] / 100
            amps = self.sensed_a[i] * share + lie["offset_ma"] / 1000
            self.sensed_a[i] = amps if lie["stuck_ma"] is None else lie["stuck_ma"] / 1000
        for i in range(BATTERIES):
            self.sensed_a[i] += self._inject_a[i]
            self.sensed_v[i] = self.shown_v(i, self.sensed_v[i])

    def shown_v(self, i, volts):
        """What sensor i makes of a voltage of so many volts."""
        lie = self._lies.get(i, HONEST)
        if lie["stuck_mv"] is None:
            volts = volts * lie["voltage_pct"] / 100 + lie["offset_mv"] / 1000
        else:
            volts = lie["stuck_mv"] / 1000
        return volts + self._inject_v[i]

    def mean_current(self, i, a_us, b_us, most_a=FOREVER):
        """Time average of the current sensor i felt over [a_us, b_us], a_us < b_us <= now, in A.

        Exact over the last 32 segments; the oldest one's value stands for all time before it.

        Args:
            most_a: full scale of the sensor, 20 A or more: a segment with more counts as that
                much, when there are several. (Of a single one its register shows no more anyway.)
        """
        if a_us >= self._since_us:
            return self.sensed_a[i]
        if a_us < self._quiet_us:
            return self._mean_of_full(i, a_us, b_us, most_a) / (b_us - a_us)
        return self._mean(self._rows_a, i, a_us, b_us)

    def mean_voltage(self, i, a_us, b_us):
        """As `mean_current`, for the terminal voltage, in V."""
        if a_us >= self._since_us:
            return self.sensed_v[i]
        return self._mean(self._rows_v, i, a_us, b_us)

    def _mean_of_full(self, i, a_us, b_us, most_a):
        """As `_mean`, of currents that are cut at most_a: slower, stretch by stretch."""
        total = 0.0
        while a_us < b_us:
            end_us = min(self.constant_until(a_us), b_us)
            amps = self._mean(self._rows_a, i, a_us, end_us)
            total += min(max(amps, -most_a), most_a) * (end_us - a_us)
            a_us = end_us
        return total

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
