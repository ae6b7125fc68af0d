"""Judges a run by what the plant really did, never by the firmware's own numbers."""

BATTERIES = 16
CHANNELS = 4
_REACTION_US = 250000
_SETTLE_US = 30000
_LIVE_V = 5.0
_ON = 3
_UNCONTROLLED = 6


class Limits:
    """The settings of the rig, in amperes and volts, from the flat settings dict."""

    def __init__(self, values):
        ceiling_ma = values["limits.max_current_ma"]
        pct = values["limits.hard_current_pct"] or 1000000
        discharge_ma = min(ceiling_ma, values["limits.max_discharge_current_ma"])
        charge_ma = min(ceiling_ma, values["limits.max_charge_current_ma"])
        self.hard_discharge_a = discharge_ma * pct / 100000
        self.hard_charge_a = charge_ma * pct / 100000
        self.offset_v = values["limits.voltage_offset_mv"] / 1000
        self.spread_v = values["limits.start_spread_mv"] / 1000


class Referee:
    """Collects violations of a run.

    Args:
        world: the `World`; limits: a `Limits`.

    Attributes:
        violations: list of [ms, battery number, what].
    """

    def __init__(self, world, limits):
        self._world = world
        self._limits = limits
        self._beyond_us = [None] * BATTERIES
        self._astray_us = [None] * BATTERIES
        self.violations = []

    def stepped(self, at_us, snap):
        """Look at every really closed switch."""
        plant = self._world.plant
        limits = self._limits
        current = plant.current_a
        for i in range(BATTERIES):
            if not plant.switch[i]:
                self._beyond_us[i] = self._astray_us[i] = None
                continue
            beyond = not -limits.hard_charge_a <= current[i] <= limits.hard_discharge_a
            self._timed(self._beyond_us, i, beyond, at_us, _REACTION_US, "beyond a hard limit")
            if snap is not None:
                astray = snap.state[i] != _ON and snap.state[i] != _UNCONTROLLED
                self._timed(self._astray_us, i, astray, at_us, _SETTLE_US, "closed while not on")

    def _timed(self, since_us, i, wrong, at_us, allowed_us, what):
        if not wrong:
            since_us[i] = None
        elif since_us[i] is None:
            since_us[i] = at_us
        elif 0 <= since_us[i] < at_us - allowed_us:
            self._report(at_us, i, what)
            since_us[i] = at_us + (1 << 60)

    def switched(self, at_us, before):
        """Judge closings: onto a live bus within the offset, onto a dead one within the spread."""
        plant = self._world.plant
        joined = [i for i in range(BATTERIES) if plant.switch[i] and not before[i]]
        if not joined:
            return
        others = [i for i in range(BATTERIES) if plant.closed(i) and i not in joined]
        if others:
            rest = sorted(plant.rest_v(i) for i in others)
            bus_v = (rest[len(rest) // 2] + rest[(len(rest) - 1) // 2]) / 2
            for i in joined:
                # A group start is one write per board: its later boards are no joiners.
                if abs(plant.rest_v(i) - bus_v) > self._limits.offset_v + 0.05:
                    self._report(at_us, i, "joined from too far away")
        spread = [plant.rest_v(i) for i in joined]
        if max(spread) - min(spread) > self._limits.spread_v + 0.05:
            self._report(at_us, joined[0], "a group wider than the start spread")

    def _report(self, at_us, i, what):
        self.violations.append([round(at_us / 1000, 3), i + 1, what])
