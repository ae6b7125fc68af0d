# SPDX-License-Identifier: GPL-3.0-only
"""Judges closings, and packs that never close, from the plant's truth. Called by the referee."""

from sim.evidence import FOREVER, HARD, MS, S

_WAITING, _LOCKED = 2, 5

_RECOVERY_US = 100 * MS
_FALSIFIED_US = 2 * MS  # a falsified write acts within this
_OBEY_US = 30 * MS  # a wish may come while a closing is under way
_SAMPLED_US = 150 * MS  # a reading may be this old
_TOGETHER_US = 20 * MS
_STARTING_US = S
_STARTING_SLACK_US = 250 * MS
_START_FAILURES = 3
_START_WINDOW_US = 600 * S
_STRAY_A = 0.2
_STRAY_US = S
_STUCK_US = 700 * MS  # 500 ms of samples: what carries current for longer is on the bus
_FOUND_US = 10 * S  # the longest pause between two probes, and two seconds of valid readings
_PATIENCE_US = 5 * S

_QUANTUM_V = 0.02  # six codes of an INA237: two readings, and what relaxes between them
_PREDICTED = 0.9  # what stays below this share of a joining limit has to be granted
_SHARE = 0.8


class Closings:
    """The bus as it really is: who starts it, who joins it, who could.

    Args:
        world: the `World`; limits: an `evidence.RefereeLimits`; packs: list of `evidence.Pack`.
        slack_us: added to every pause; report: function (at_us, pack, what).

    Attributes:
        group: the packs that last started a dead bus together.
    """

    def __init__(self, world, limits, packs, slack_us, report):
        self._world = world
        self._limits = limits
        self._packs = packs
        self._slack_us = slack_us
        self._report = report
        self._boot_us = 0
        self._stirred_us = -FOREVER
        self.group = []
        self._group_us = -FOREVER
        self._group_told = False
        self._start_failed = True
        self._failures = []
        self._sure_failures = []
        self._locked = self._surely_locked = False
        self._alive = False

    def stir(self, at_us):
        """Currents or voltages jump: readings may be of before or after."""
        self._stirred_us = at_us

    def pardon(self):
        """The operator resets the bus."""
        self._locked = self._surely_locked = False
        self._failures.clear()
        self._sure_failures.clear()

    def restarted(self, at_us, forgotten):
        """The controller restarts; locks stay unless they were `forgotten`."""
        self._boot_us = at_us
        self._group_us = -FOREVER
        self._failures.clear()
        self._sure_failures.clear()
        if forgotten:
            self._surely_locked = False

    # Starts of a dead bus

    def starting(self, at_us):
        """True in the first second after the start of a dead bus, when trips count against it."""
        return at_us - self._group_us < _STARTING_US - _STARTING_SLACK_US

    def start_fails(self, at_us):
        """True when an over-current opens the group that has just started a dead bus."""
        if at_us - self._group_us > _STARTING_US + _STARTING_SLACK_US:
            return False
        if not any(pack.spans[HARD].seen_us >= self._group_us for pack in self._packs):
            return False
        if not self._start_failed:
            self._start_failed = True
            self._locked = _count_failure(self._failures, at_us) or self._locked
            if self.starting(at_us):
                surely = _count_failure(self._sure_failures, at_us)
                self._surely_locked = surely or self._surely_locked
        return True

    # Closings

    def judge(self, at_us, joined, snap):
        """Judge the packs of `joined`, which closed at this moment; `snap` may be None."""
        honest = [pack for pack in joined if at_us - pack.falsified_us > _FALSIFIED_US]
        for pack in honest:
            if snap is None or snap.state[pack.i] != _WAITING:
                self._report(at_us, pack, "closed without having waited")
            if pack.off and at_us - pack.wish_us > _OBEY_US:
                self._report(at_us, pack, "closed though the operator wants it off")
            if pack.sure >= self._limits.max_trips:
                self._report(at_us, pack, "closed though it tripped too often")
            if self._surely_locked:
                self._report(at_us, pack, "closed though the bus is locked")
        others = [pack for pack in self._packs if pack not in joined]
        live = [pack for pack in others if self._is_live(pack, at_us)]
        told = [pack for pack in others if pack.closed or pack.held]
        stray = [pack for pack in others if pack.stray_us is not None]
        if at_us - self._group_us <= _TOGETHER_US:
            self.group += joined
            self._judge_group(at_us)
        elif live and self._are_measured(joined + live, at_us):
            bus_v = self._bus_v(live)
            far_v = self._limits.offset_v + _QUANTUM_V
            # The bus voltage that the firmware works out from its readings may differ from that.
            read = [pack for pack in told if not pack.blind]
            seen_v = [self._seen_v(view, at_us) for view in (read, read + stray, live) if view]
            far_v += max(abs(seen - bus_v) for seen in seen_v)
            for pack in honest:
                if not self._carried(pack, at_us) and abs(self._rest_v(pack) - bus_v) > far_v:
                    self._report(at_us, pack, "joined from too far away")
        elif not (live or told or any(at_us - pack.stray_us > _STUCK_US for pack in stray)):
            self.group = joined
            self._group_us = at_us
            self._group_told = self._start_failed = False
            self._judge_group(at_us)

    def _judge_group(self, at_us):
        rest = [self._rest_v(pack) for pack in self.group]
        if (
            not self._group_told
            and max(rest) - min(rest) > self._limits.spread_v + _QUANTUM_V
            and self._are_measured(self.group, at_us)
        ):
            self._group_told = True
            self._report(at_us, self.group[-1], "a group wider than the start spread")

    def _is_live(self, pack, at_us):
        """True when a pack really holds the bus; a weld that carries nothing cannot be seen."""
        if not self._world.plant.closed(pack.i):
            return False
        return pack.closed or pack.stray_us is not None and at_us - pack.stray_us >= _STRAY_US

    def _carried(self, pack, at_us):
        """True when a jumper or a weld had already connected it."""
        return abs(self._world.plant.mean_current(pack.i, at_us - 1, at_us)) > _STRAY_A

    def _are_measured(self, packs, at_us):
        """False when what the firmware read of these packs may be false or of another moment."""
        if at_us - self._stirred_us < _SAMPLED_US:
            return False
        return all(at_us - pack.falsified_us > _RECOVERY_US for pack in packs)

    def _rest_v(self, pack):
        """Voltage at rest of an open pack, as its sensor sees it."""
        plant = self._world.plant
        i = pack.i
        return plant.rest_v(i) + plant.sensed_v[i] - plant.voltage_v[i]

    def _bus_v(self, live):
        """Median voltage at rest of the packs that hold the bus, as their sensors see it."""
        plant = self._world.plant
        ohm = self._limits.pack_ohm
        return _median(
            [
                self._rest_v(pack) + (plant.sensed_a[pack.i] - plant.current_a[pack.i]) * ohm
                for pack in live
            ]
        )

    def _seen_v(self, packs, at_us):
        """The same by the contract's V + I * R, from what the sensors felt just before at_us.

        R is that of the settings, and the relaxation of a pack passes for its sag.
        """
        plant = self._world.plant
        ohm = self._limits.pack_ohm
        begin_us = at_us - 1
        return _median(
            [
                plant.mean_voltage(pack.i, begin_us, at_us)
                + plant.mean_current(pack.i, begin_us, at_us) * ohm
                for pack in packs
            ]
        )

    # Open switches

    def look_at_the_open(self, at_us, states, undisturbed):
        """Who could be on the bus, and for how long?

        Args:
            states: the firmware's states; undisturbed: False while the view of the bus is not.
        """
        plant = self._world.plant
        waiting = [pack for pack in self._packs if not pack.closed]
        if not waiting:
            return
        sensed = plant.sensed_a
        for pack in waiting:
            if abs(sensed[pack.i]) <= _STRAY_A:
                pack.stray_us = None
            elif pack.stray_us is None:
                pack.stray_us = at_us
        live = [pack for pack in self._packs if plant.closed(pack.i)]
        if self._alive and not live:
            # Everybody waits anew: the same group may start the bus again, until it is locked.
            for pack in waiting:
                pack.ready_us = None
        self._alive = bool(live)
        bus_v = self._bus_v(live) if live else None
        seeming = [pack for pack in self._packs if pack.closed or pack.stray_us is not None]
        seen_v = self._seen_v(seeming, at_us) if seeming else None
        current = [sensed[pack.i] for pack in seeming]
        undisturbed = undisturbed and not self._locked
        for pack in waiting:
            if not (
                undisturbed
                and self._may_join(pack, states[pack.i])
                and (not live or self._is_near(pack, bus_v))
                and (not seeming or self._is_welcome(pack, seen_v, current))
            ):
                pack.ready_us = None
            elif pack.ready_us is None:
                pack.ready_us = at_us
                pack.told = False
            elif not pack.told and at_us > self._latest_us(pack):
                pack.told = True
                self._report(at_us, pack, "kept off without a cause")

    def _may_join(self, pack, state):
        limits = self._limits
        i = pack.i
        if (
            pack.off is not False
            or not pack.fits
            or pack.maybe >= limits.max_trips
            or pack.faulted
            and state == _LOCKED
            or self._world.plant.closed(i)
            or self._world.plant.cannot_conduct(i)
            or self._world.sensors[i].heat_c > limits.alarm_c - 1
        ):
            return False
        return limits.healthy_low_v <= self._world.plant.sensed_v[i] <= limits.healthy_high_v

    def _is_near(self, pack, bus_v):
        return abs(self._rest_v(pack) - bus_v) < self._limits.offset_v - _QUANTUM_V

    def _is_welcome(self, pack, bus_v, current):
        """The two tests of a join, each with a margin in the firmware's favour."""
        limits = self._limits
        if not self._is_near(pack, bus_v):
            return False
        count = len(current)
        ohm = (count + 1) * (limits.pack_ohm + limits.path_ohm)
        circulating_a = (self._rest_v(pack) - bus_v) * count / ohm
        most_a = limits.discharge_a if circulating_a > 0 else limits.charge_a
        if abs(circulating_a) > most_a * _PREDICTED:
            return False
        joining_a = circulating_a + sum(current) / (count + 1)
        if self._beyond_share(joining_a):
            return False
        return not any(self._beyond_share(amps - joining_a / count) for amps in current)

    def _beyond_share(self, amps):
        hard_a = self._limits.hard_discharge_a if amps > 0 else self._limits.hard_charge_a
        return abs(amps) > hard_a * _SHARE * _PREDICTED

    def _latest_us(self, pack):
        """When a pack that may join has to be on the bus at the latest."""
        limits = self._limits
        latest_us = max(
            pack.ready_us + _FOUND_US,
            self._boot_us + limits.start_us + _FOUND_US,
            max(pack.opened_us, pack.trouble_us, pack.blind_us) + pack.pause_us(),
        )
        return latest_us + limits.join_us * len(self._packs) + _PATIENCE_US + self._slack_us


def _median(values):
    values.sort()
    return (values[len(values) // 2] + values[(len(values) - 1) // 2]) / 2


def _count_failure(failures, at_us):
    """Note a failed start; True when it is the third in ten minutes."""
    failures.append(at_us)
    while failures[0] < at_us - _START_WINDOW_US:
        failures.pop(0)
    return len(failures) >= _START_FAILURES
