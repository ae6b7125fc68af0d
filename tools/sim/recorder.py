# SPDX-License-Identifier: GPL-3.0-only
"""Writes down what happened in a run, and refereeing it from the plant's truth: the report."""

from sim import referee
from sim.output import LOAD_KNEE_V

BATTERIES = 16


class Recorder:
    """Observes a world and the firmware's snapshot.

    Args:
        world: the `World`; limits: a `referee.Limits`.

    Attributes:
        snap: the firmware's snapshot, set when its guard appears; None before.
    """

    GROWING = ("timeline", "switch_writes", "closings", "dark", "reactions", "spans")
    """Lists that grow as long as the run lasts."""

    def __init__(self, world, limits):
        self._world = world
        self._limits = limits
        self._referee = referee.Referee(world, limits)
        self._solution = -1
        self._dark_us = None
        self._closed = {}
        self.snap = None
        self._known = None
        self._crossed_us = [None] * BATTERIES
        self._watching = False
        self._opened = []
        self._crossed_at = 0
        self.spans = []
        self.timeline = []
        self.switch_writes = []
        self.closings = []
        self.dark = []
        self.reactions = []
        self.ticks = 0
        self.late = 0
        self.worst_us = 0
        self.calm_us = 0
        self.busy_us = 0
        self.busiest_us = 0
        self.alloc_violations = []
        self.exempt_ticks = 0
        self._tick_us = None
        self._period_us = 0
        self._final = None

    def adopted(self, values):
        """The limits of these settings are in force from now on."""
        self._limits.take(values)

    # What the world reports

    def stepped(self, at_us):
        """A new segment may have begun: note who is beyond a hard limit, and who is dark."""
        plant = self._world.plant
        if plant.solutions != self._solution:
            self._solution = plant.solutions
            self._look(at_us, plant)
        self._referee.stepped(at_us, self.snap)

    def _look(self, at_us, plant):
        if (plant.bus_v < LOAD_KNEE_V and plant.load_a > 0) != (self._dark_us is not None):
            self._turn(at_us)
        limits = self._limits
        if plant.high_a > limits.hard_discharge_a or plant.low_a < -limits.hard_charge_a:
            self._watching = True
            sensed = plant.sensed_a
            for i in range(BATTERIES):
                beyond = sensed[i] > limits.hard_discharge_a or sensed[i] < -limits.hard_charge_a
                if not beyond:
                    self._crossed_us[i] = None
                elif self._crossed_us[i] is None and self._world.plant.switch[i]:
                    self._crossed_us[i] = at_us
                    self._crossed_at = self._world.wires.transactions
        elif self._watching:
            self._watching = False
            self._crossed_us = [None] * BATTERIES

    def _turn(self, at_us):
        """The load loses its supply, or gets it."""
        if self._dark_us is None:
            self._dark_us = at_us
        else:
            self.dark.append([_ms(self._dark_us), _ms(at_us)])
            self._dark_us = None

    def switched(self, at_us, before):
        """Gates moved; `before` holds the old ones."""
        plant = self._world.plant
        gates = plant.switch
        for i in range(BATTERIES):
            if gates[i] != before[i]:
                self.switch_writes.append([_ms(at_us), i + 1, gates[i]])
                if gates[i]:
                    self._closed[i] = (at_us, plant.out_ah[i] - plant.in_ah[i])
                else:
                    self._note_closing(i, at_us)
                if not gates[i] and self._crossed_us[i] is not None:
                    self._opened.append((self._crossed_us[i], at_us, i))
                    self.spans.append([self._crossed_at, self._world.wires.transactions])
                    self._crossed_us[i] = None
        self._referee.switched(at_us, before)

    def _note_closing(self, i, opened_us):
        closed_us, known_ah = self._closed.pop(i)
        plant = self._world.plant
        self.closings.append(
            {
                "n": i + 1,
                "closed_ms": _ms(closed_us),
                "opened_ms": None if opened_us is None else _ms(opened_us),
                "peak_a": round(plant.peak_a[i], 2),
                "a2s": round(plant.a2s[i], 3),
                "mah": round(1000 * (plant.out_ah[i] - plant.in_ah[i] - known_ah), 4),
            }
        )

    def played(self, at_us, step):
        """A step of the scenario is about to be played."""
        self._referee.played(at_us, step)

    def requested(self, action, i):
        """The firmware accepted a wish."""
        self._referee.requested(self._world.now_us, action, i)

    def ended(self):
        """The firmware ends: it opens every switch."""
        self._referee.ended()

    def restarted(self, at_us):
        """The controller resets: its snapshot is gone."""
        self.snap = None
        self._referee.restarted(at_us)

    def tick_begins(self):
        """The guard starts a cycle."""
        from parallelator.protection import guard

        self._period_us = 1000 * guard.TICK_MS
        now_us = self._world.now_us
        if self._tick_us is not None:
            gap_us = now_us - self._tick_us
            self.worst_us = max(self.worst_us, gap_us)
            writes = self._world.flash_us
            if not writes or writes[-1][1] <= self._tick_us:
                self.calm_us = max(self.calm_us, gap_us)
            if gap_us > 2 * self._period_us:
                self.late += 1
        self._tick_us = now_us

    def tick_ends(self):
        """The guard's cycle is over: note what changed."""
        self.ticks += 1
        now_us = self._world.now_us
        busy_us = now_us - self._tick_us
        self.busy_us += busy_us
        self.busiest_us = max(self.busiest_us, busy_us)
        snap = self.snap
        known = self._known
        if known is None:
            self._known = known = (bytearray(BATTERIES), bytearray(BATTERIES))
        if snap.state != known[0] or snap.reason != known[1]:
            for i in range(BATTERIES):
                if snap.state[i] != known[0][i] or snap.reason[i] != known[1][i]:
                    self.timeline.append([_ms(now_us), i + 1] + self._names(i))
            known[0][:] = snap.state
            known[1][:] = snap.reason
        for crossed_us, opened_us, i in self._opened:
            self.reactions.append([_ms(crossed_us), _ms(opened_us), i + 1, self._names(i)[1]])
        self._opened.clear()

    def _names(self, i):
        from parallelator.catalog import reason_name, state_name

        return [state_name(self.snap.state[i]), reason_name(self.snap.reason[i])]

    # The report

    def freeze(self):
        """Make the report now: what the firmware does while it ends does not belong to it."""
        if self._final is None:
            self._final = self._report()
            self._world.observers.remove(self)
        return self._final

    def _report(self):
        world = self._world
        wires = world.wires
        snap = self.snap
        world.plant.solve(world.now_us)
        for i in sorted(self._closed):
            self._note_closing(i, None)
        if self._dark_us is not None:
            self._turn(world.now_us)
        ticks = max(self.ticks, 1)
        period_us = max(self._period_us, 1)
        energy = {}
        for sensor in world.sensors:
            if sensor and snap:
                i = sensor.i
                energy[str(i + 1)] = {
                    "true_mah": round(1000 * world.plant.out_ah[i], 3),
                    "counted_mah": round(
                        snap.discharge_mah[i] + snap.discharge_rest[i] / 3600000, 3
                    ),
                    "true_charge_mah": round(1000 * world.plant.in_ah[i], 3),
                    "counted_charge_mah": round(
                        snap.charge_mah[i] + snap.charge_rest[i] / 3600000, 3
                    ),
                }
        return {
            "end_ms": _ms(world.now_us),
            "timeline": self.timeline,
            "switch_writes": self.switch_writes,
            "closings": self.closings,
            "dark_ms": self.dark,
            "reactions": self.reactions,
            "ticks": {
                "count": self.ticks,
                "late": self.late,
                "worst_ms": _ms(self.worst_us),
                "calm_ms": _ms(self.calm_us),
                "exempt": self.exempt_ticks,
                "load_pct": round(100 * self.busy_us / ticks / period_us, 1),
                "worst_load_pct": round(100 * self.busiest_us / period_us, 1),
                "alert_read_us": wires.alert_us // ticks,
                "scan_us": wires.scan_us // ticks,
            },
            "alloc_violations": self.alloc_violations,
            "i2c": {
                "transactions": wires.transactions,
                "bytes": wires.bytes,
                "wire_ms": wires.wire_us // 1000,
                "errors": wires.errors,
                "recoveries": wires.recoveries,
                "reaction_spans": self.spans,
            },
            "resets": world.resets,
            "nvs_writes": world.nvs_writes,
            "flash": [[_ms(begin_us), _ms(end_us)] for begin_us, end_us in world.flash_us],
            "energy": energy,
            "r_mohm": {n: snap.r_mohm[int(n) - 1] for n in energy},
            "violations": self._referee.violations,
        }


def undisturbed(report):
    """The reactions of a report that no write to the flash fell into."""
    return [
        reaction
        for reaction in report["reactions"]
        if not any(begin < reaction[1] and end > reaction[0] for begin, end in report["flash"])
    ]


def _ms(us):
    return round(us / 1000, 3)


def summary(report):
    """The report in a few lines for a person."""
    ticks = report["ticks"]
    reactions = sorted(opened - crossed for crossed, opened, _, _ in report["reactions"])
    lines = [
        "ticks %d, late %d, longest gap %.1f ms, load %.1f %% (worst %.1f %%), exempt %d"
        % (
            ticks["count"],
            ticks["late"],
            ticks["worst_ms"],
            ticks["load_pct"],
            ticks["worst_load_pct"],
            ticks["exempt"],
        ),
        "per tick: ALERT read %d us, sensor reads %d us"
        % (ticks["alert_read_us"], ticks["scan_us"]),
        "i2c: %(transactions)d transactions, %(errors)d errors, %(recoveries)d recoveries"
        % report["i2c"],
    ]
    if reactions:
        lines.append(
            "reactions %d: median %.2f ms, p99.9 %.2f ms, worst %.2f ms"
            % (
                len(reactions),
                reactions[len(reactions) // 2],
                reactions[min(len(reactions) * 999 // 1000, len(reactions) - 1)],
                reactions[-1],
            )
        )
    for entry in report["alloc_violations"]:
        lines.append("allocation in a steady tick: " + entry)
    for entry in report["violations"]:
        lines.append("violation: %s" % entry)
    return "\n".join(lines)
