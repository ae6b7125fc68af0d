# SPDX-License-Identifier: GPL-3.0-only
"""What lies between the cells of one pack and the bus bar, beside its switch. Called by plant.

In the order of the current: cells, the pack's own BMS, its plug, a fuse, the sensor, the switch,
perhaps a second fuse, the bus bar. What opens before the sensor leaves it at the bus through a
closed switch, without current, and at 0 V behind an open one. A fuse that blows behind the switch
leaves it the pack alone.
"""

from sim.output import FOREVER

SIDES = ("battery", "bus")
_FEED_V = 0.2


class Link:
    """The BMS, the plug and the fuses of one pack.

    Args:
        bms: limits of its own BMS, or None: `min_mv`, `max_mv` of the pack under load, `max_a` of
            either direction, `delay_ms` for which one has to be passed (default 100),
            `charge_wake` (default true): opened by a voltage, it closes by itself once the switch
            brings 0.2 V more to the pack than it has, or, after too high a voltage, 0.2 V less.

    A BMS looks at every solution of the plant. It opens on too low a voltage while it is not
    charged, on too high a one while it does not discharge.

    Attributes:
        blown: side of each fuse that has blown, of SIDES.
        ohm: resistance of the plug; bus_ohm: of a bad joint between the sensor and the bus bar.
        gated: True while the switch of the pack conducts.
        due_us: when it may change by itself.
    """

    def __init__(self, bms=None):
        bms = bms or {}
        self._low_v = bms.get("min_mv", 0) / 1000
        self._high_v = bms.get("max_mv", 1000000) / 1000
        self._most_a = bms.get("max_a", 1000000)
        self._delay_us = int(bms.get("delay_ms", 100) * 1000)
        self._wakes = bms.get("charge_wake", True)
        self._open = False
        self._opened_by = 0
        self._since_us = None
        self._bounce = ()
        self._phase = 0
        self._flips_us = FOREVER
        self.blown = set()
        self.ohm = self.bus_ohm = 0.0
        self.gated = False
        self.due_us = FOREVER

    def move_bms(self, is_open):
        """The BMS opens, and stays so, or closes."""
        self._open = is_open
        self._opened_by = 0
        self._since_us = None

    def set_bounce(self, bounce_us, now_us):
        """The plug opens for the first of these times, holds for the second, and so on anew."""
        self._bounce = bounce_us
        self._phase = 0
        self._flips_us = now_us + bounce_us[0] if bounce_us else FOREVER

    def cut_before(self):
        """True while nothing reaches the sensor from the cells."""
        return self._open or self._apart() or "battery" in self.blown

    def _apart(self):
        return bool(self._bounce) and not self._phase & 1

    def cut(self):
        """True while no current can flow, whatever the switch does."""
        return self.cut_before() or "bus" in self.blown

    def flip(self, now_us):
        """The plug opens or makes contact if it is time; True when it did."""
        if now_us < self._flips_us:
            return False
        self._phase = (self._phase + 1) % len(self._bounce)
        self._flips_us += self._bounce[self._phase]
        return True

    def judge(self, now_us, rest_v, pack_v, amps, bus_v):
        """The BMS looks at its pack; True when it opens or closes.

        Args:
            rest_v: the pack without current; pack_v, amps: as it is; bus_v: on the bus bar.
        """
        self.due_us = self._flips_us
        if self._open:
            fed_v = bus_v - rest_v if self.gated and not (self._apart() or self.blown) else 0.0
            wakes = self._wakes and self._opened_by * fed_v > _FEED_V
            if wakes:
                self.move_bms(False)
            return wakes
        low = pack_v < self._low_v and amps >= 0
        high = pack_v > self._high_v and amps <= 0
        if not (low or high or abs(amps) > self._most_a):
            self._since_us = None
            return False
        if self._since_us is None:
            self._since_us = now_us
        opens_us = self._since_us + self._delay_us
        if now_us < opens_us:
            self.due_us = min(self.due_us, opens_us)
            return False
        self.move_bms(True)
        self._opened_by = 1 if low else -1 if high else 0
        return True
