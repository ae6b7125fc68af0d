# SPDX-License-Identifier: GPL-3.0-only
"""What hangs on the bus bar: the load, the charger, capacitors, a short. Called by plant.

The bus is one node. The packs are given to it as a conductance and as the current that they would
drive into 0 V. Without capacitors its voltage is that at which the currents balance. With them it
goes there as e^(-t/RC), cut into pieces that the plant takes for segments: the current of a piece
is its mean, so that every piece carries the charge that it should.
"""

from math import ceil, exp, log

FOREVER = 1 << 60
HOLD_US = 50000
LOAD_KNEE_V = 12.0
"""Below it a load is a resistor: what is made for 24 V draws no more with less."""

_LIVE_V = 1.0
_FINE_V = 0.5
_CALM_V = 0.01
_SAME_V = 1e-6


class Output:
    """The node and what hangs on it, beside the packs.

    Args:
        uf: capacitance across the output in uF, 0 = none; empty at first.

    Attributes, to write through the plant (see there):
        limit_v: voltage at which the charger ends.
        needs_v, delay_us: it gives nothing until packs have held the output at needs_v for so
            long. It looks at every solution, so at least every 50 ms.
        short_s: conductance of a resistor across the output, S.
        times, inrush_us: the load draws so many times its current for so long whenever it gets
            its supply.
    Attributes, to read:
        v: voltage of the bus, its mean over the segment; start_v: that at its begin.
        load_a, source_a: what load (with the resistor) and charger carry.
        due_us: when it has to be solved anew at the latest; FOREVER = only when something else
            changes.
    """

    def __init__(self, uf=0):
        self.limit_v = 29.4
        self.needs_v = 0.0
        self.delay_us = 0
        self.short_s = 0.0
        self.times = 1
        self.inrush_us = 0
        self.v = self.start_v = self.load_a = self.source_a = 0.0
        self.due_us = FOREVER
        self._farad = uf / 1e6
        self._cap_v = self._cap_a = 0.0
        self._solved_us = 0
        self._seen_us = None
        self._fed = False
        self._inrush_until_us = 0

    def solve(self, now_us, short_a, packs_s, load_a, source_a):
        """Return the voltage of the bus in the segment that begins at now_us.

        Args:
            short_a: what the packs would drive into 0 V; packs_s: their conductance, S.
            load_a, source_a: what the load asks for, what the charger may give.
        """
        self.due_us = FOREVER
        if self._farad:
            self._cap_v += self._cap_a * (now_us - self._solved_us) / (1e6 * self._farad)
            self._solved_us = now_us
        if self.needs_v and source_a:
            source_a = self._awake_a(now_us, packs_s, source_a)
        if self.times > 1:
            return self._energise(now_us, short_a, packs_s, load_a, source_a)
        return self._balance(now_us, short_a, packs_s, load_a, source_a)

    def _awake_a(self, now_us, packs_s, source_a):
        if not packs_s or self.v < self.needs_v:
            self._seen_us = None
            return 0.0
        if self._seen_us is None:
            self._seen_us = now_us
        awake_us = self._seen_us + self.delay_us
        if now_us < awake_us:
            self.due_us = awake_us
            return 0.0
        return source_a

    def _energise(self, now_us, short_a, packs_s, load_a, source_a):
        rushing = now_us < self._inrush_until_us
        asked_a = load_a * self.times if rushing else load_a
        bus_v = self._balance(now_us, short_a, packs_s, asked_a, source_a)
        fed = packs_s > 0 or bus_v > _LIVE_V
        if fed and not self._fed:
            self._inrush_until_us = now_us + self.inrush_us
            bus_v = self._balance(now_us, short_a, packs_s, load_a * self.times, source_a)
        self._fed = fed
        if now_us < self._inrush_until_us:
            self.due_us = min(self.due_us, self._inrush_until_us)
        return bus_v

    def _balance(self, now_us, short_a, packs_s, load_a, source_a):
        bus_s = packs_s + self.short_s
        if self._farad:
            self._charge(now_us, short_a, bus_s, load_a, source_a)
            return self.v
        limit = self.limit_v
        if not bus_s:
            bus_v, load_a = (limit, load_a) if load_a < source_a else (0.0, 0.0)
            source_a = load_a
        else:
            bus_v = (short_a + source_a - load_a) / bus_s
            if bus_v < LOAD_KNEE_V:
                bus_v = (short_a + source_a) / (bus_s + load_a / LOAD_KNEE_V)
                load_a *= bus_v / LOAD_KNEE_V
            elif source_a and bus_v > limit:
                bus_v = max(limit, (short_a - load_a) / bus_s)
                source_a = max(0.0, load_a + limit * bus_s - short_a)
        self.load_a = load_a + bus_v * self.short_s if self.short_s else load_a
        self.source_a = source_a
        self.v = self.start_v = bus_v
        return bus_v

    def _charge(self, now_us, short_a, bus_s, load_a, source_a):
        """The same with capacitors: a piece of the way from their voltage to the balance.

        A piece ends where the load or the charger changes its kind: in each, the current into
        the capacitors is `drive_a` less `slope_s` times their voltage.
        """
        limit = self.limit_v
        begin_v = self._cap_v
        for edge_v in (LOAD_KNEE_V, limit):
            if abs(begin_v - edge_v) < _SAME_V:
                begin_v = edge_v
        self.start_v = self._cap_v = begin_v
        given_a = source_a if begin_v < limit else 0.0
        if begin_v == limit and source_a:
            lack_a = load_a + bus_s * limit - short_a
            if 0 <= lack_a <= source_a:
                self._hold(now_us, limit, load_a, lack_a)
                return
            given_a = source_a if lack_a > 0 else 0.0
        net_a = short_a + given_a - bus_s * begin_v - load_a * min(1, begin_v / LOAD_KNEE_V)
        resistive = begin_v < LOAD_KNEE_V or begin_v == LOAD_KNEE_V and net_a < 0
        slope_s = bus_s + load_a / LOAD_KNEE_V if resistive else bus_s
        drive_a = short_a + given_a - (0.0 if resistive else load_a)
        edges = [LOAD_KNEE_V] if load_a else []
        if source_a:
            edges.append(limit)
        us, end_v = self._piece(begin_v, net_a, drive_a, slope_s, edges)
        self._cap_a = cap_a = self._farad * (end_v - begin_v) * 1e6 / us
        if slope_s:
            self.v = (drive_a - cap_a) / slope_s
        else:
            # A piece of whole us ends at its edge: the charger or the load makes up for the rest.
            self.v = (begin_v + end_v) / 2
            if net_a > 0:
                given_a -= drive_a - cap_a
            else:
                load_a += drive_a - cap_a
        self.load_a = load_a * (self.v / LOAD_KNEE_V if resistive else 1) + self.v * self.short_s
        self.source_a = given_a
        self.due_us = min(self.due_us, now_us + us)

    def _hold(self, now_us, bus_v, load_a, source_a):
        self._cap_a = 0.0
        self.v = bus_v
        self.load_a = load_a + bus_v * self.short_s
        self.source_a = source_a
        self.due_us = min(self.due_us, now_us + HOLD_US)

    def _piece(self, begin_v, net_a, drive_a, slope_s, edges):
        """Length of the next piece in whole us, and the capacitors' voltage at its end."""
        us = HOLD_US
        if slope_s:
            tau_us = 1e6 * self._farad / slope_s
            far_v = drive_a / slope_s - begin_v
            if abs(far_v) > _CALM_V:
                us = tau_us / (4 if abs(far_v) > _FINE_V else 2)
                us = int(min(max(us, 1), HOLD_US))
            end_v = begin_v + far_v * (1 - exp(-us / tau_us))
        else:
            end_v = begin_v + net_a * us / (1e6 * self._farad)
        passed = [edge_v for edge_v in edges if (edge_v - begin_v) * (end_v - edge_v) > 0]
        if not passed:
            return us, end_v
        edge_v = min(passed, key=lambda edge_v: abs(edge_v - begin_v))
        if slope_s:
            us = -tau_us * log(1 - (edge_v - begin_v) / far_v)
        else:
            us = (edge_v - begin_v) * 1e6 * self._farad / net_a
        return max(1, ceil(us)), edge_v
