# SPDX-License-Identifier: GPL-3.0-only
"""The output as it really is, and as it may look to the firmware. Read by the judges of a run."""

from sim.evidence import CARRIES_A, FOREVER, MS, S

DARK_V = 12.0
"""Below this a load has no supply."""
QUANTUM_V = 0.02
"""Six codes of an INA237: two readings, and what relaxes between them."""
PREDICTED = 0.9
"""What stays below this share of a joining limit has to be granted."""
MOST_PREDICTED = 1.15
"""What is beyond this share of it must not be."""
SHARE = 0.8
"""Of the hard limit: predicted currents stay within it."""
STRAY_A = 0.2
_TRUSTED = 1.15
"""Beyond this share of its hard limit a current may be too much to be believed."""

_STRAY_US = S
_SAMPLED_US = 150 * MS  # a reading may be this old
_RECOVERY_US = 100 * MS


class Truth:
    """Who holds the output, at which voltage, and what flows.

    Args:
        world: the `World`; limits: an `evidence.RefereeLimits`; packs: list of `evidence.Pack`.

    Attributes:
        stirred_us: when currents or voltages last jumped: a reading may be of before or after.
        charged_us: when a pack was last charged through the output.
        given_us: when one last gave.
    """

    def __init__(self, world, limits, packs):
        self._world = world
        self._limits = limits
        self._packs = packs
        self.stirred_us = self.charged_us = self.given_us = -FOREVER

    def note(self, at_us):
        """Note who charges and gives."""
        amps = self._world.plant.current_a
        for pack in self._packs:
            if amps[pack.i] < 0.02 - CARRIES_A:
                self.charged_us = at_us
            elif amps[pack.i] > CARRIES_A:
                self.given_us = at_us

    def conducting(self):
        """The packs that are connected to the output, whatever their gates are told."""
        closed = self._world.plant.closed
        return [pack for pack in self._packs if closed(pack.i)]

    def is_live(self, pack, at_us):
        """True when a pack really holds the output; a weld that carries nothing cannot be seen,
        but the pin of an expander that stays high can."""
        world = self._world
        if not world.plant.closed(pack.i):
            return False
        strays = pack.stray_us is not None and at_us - pack.stray_us >= _STRAY_US
        return pack.closed or strays or world.is_pin_high(pack.i)

    def cannot_conduct(self, pack):
        """True when no current can flow whatever its switch is told."""
        return self._world.plant.cannot_conduct(pack.i)

    def lies(self, pack):
        """True when its sensor shows another current than there is."""
        plant = self._world.plant
        return abs(plant.sensed_a[pack.i] - plant.current_a[pack.i]) > 0.08

    def dark(self):
        """True when a load is there and has no supply."""
        plant = self._world.plant
        return plant.load_a > CARRIES_A and plant.bus_v < DARK_V

    def speaks(self, amps):
        """True for a current that says what the output is: neither none, nor more than can be.

        The contract leaves out what is beyond 1.2 times the hard limit.
        """
        limits = self._limits
        hard_a = limits.hard_discharge_a if amps > 0 else limits.hard_charge_a
        return CARRIES_A < abs(amps) < _TRUSTED * hard_a

    def before_a(self, pack, at_us):
        """What its sensor felt just before at_us."""
        return self._world.plant.mean_current(pack.i, at_us - 1, at_us)

    def moments_us(self, at_us):
        """Of when a reading may be: of now, or of before a pack opened just before."""
        opened_us = [pack.opened_us for pack in self._packs]
        return [at_us] + [us for us in opened_us if 0 < at_us - us < _SAMPLED_US]

    def are_measured(self, packs, at_us):
        """False when what the firmware read of these packs may be false or of another moment."""
        if at_us - self.stirred_us < _SAMPLED_US:
            return False
        return all(at_us - pack.falsified_us > _RECOVERY_US for pack in packs)

    def rest_v(self, pack):
        """Voltage at rest of a pack, as its sensor sees it."""
        plant = self._world.plant
        return plant.shown_v(pack.i, plant.rest_v(pack.i))

    def bus_v(self, live):
        """Median voltage at rest of the packs that hold the output, as their sensors see it."""
        plant = self._world.plant
        ohm = self._limits.pack_ohm
        return median(
            [
                self.rest_v(pack) + (plant.sensed_a[pack.i] - plant.current_a[pack.i]) * ohm
                for pack in live
            ]
        )

    def seen_v(self, packs, at_us):
        """The same by the contract's V + I * R, from what the sensors felt just before at_us.

        R is that of the settings, and the relaxation of a pack passes for its sag.
        """
        plant = self._world.plant
        ohm = self._limits.pack_ohm
        return median(
            [
                plant.mean_voltage(pack.i, at_us - 1, at_us) + self.before_a(pack, at_us) * ohm
                for pack in packs
            ]
        )

    def agreeing(self, packs, at_us):
        """Those of `packs` whose voltage another one confirms, as the firmware may see them."""
        seen = [self.seen_v([pack], at_us) for pack in packs]
        near_v = self._limits.offset_v + QUANTUM_V
        return [
            pack
            for k, pack in enumerate(packs)
            if any(abs(seen[k] - seen[j]) <= near_v for j in range(len(packs)) if j != k)
        ]

    def circulating_a(self, pack, bus_v, count):
        """Predicted current of a pack at rest that joins `count` others at `bus_v`."""
        ohm = (count + 1) * (self._limits.pack_ohm + self._limits.path_ohm)
        return (self.rest_v(pack) - bus_v) * count / ohm

    def is_beyond_share(self, amps, margin):
        """True beyond `margin` times the share of the hard limit that a join may use."""
        limits = self._limits
        hard_a = limits.hard_discharge_a if amps > 0 else limits.hard_charge_a
        return abs(amps) > hard_a * SHARE * margin

    def load_share(self, amps):
        """A current as a share of the continuous limit of its direction."""
        return abs(amps) / (self._limits.discharge_a if amps > 0 else self._limits.charge_a)


def median(values):
    """Of a list, which is sorted for it."""
    values.sort()
    return (values[len(values) // 2] + values[(len(values) - 1) // 2]) / 2
