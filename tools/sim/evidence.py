# SPDX-License-Identifier: GPL-3.0-only
"""What the referee holds of each battery: limits passed, faults, wishes, counted trips."""

CHANNELS = 4
FOREVER = 1 << 60
MS = 1000
S = 1000000

(
    HARD,
    OVER_HARD,
    OVER,
    OVERLOAD,
    UNDER_HARD,
    UNDER,
    IMBALANCE,
    UNSEEN,
    UNWISHED,
    ASTRAY,
) = range(10)

# what is wrong with a closed switch, for how long that may last in us, after how many us in the
# plant it explains an opening (None: never), whether that opening is counted. To a hard
# limit the scan, which takes 160 ms, may add 350 ms at most; to a delay 250, since its end is not
# left to the scan.
RULES = (
    ("closed beyond the hard current limit", 350 * MS, 0, True),
    ("closed above the hard voltage limit", 350 * MS, 0, True),
    ("closed above the voltage limit", 750 * MS, 490 * MS, True),
    ("closed beyond the overload sum", 250 * MS, 0, True),
    ("closed below the hard voltage limit", 350 * MS, 0, False),
    ("closed below the voltage limit", 1250 * MS, 990 * MS, False),
    ("closed though out of balance", 2000 * MS, 1490 * MS, False),
    ("closed without a valid reading", 750 * MS, None, False),
    ("closed though switched off", 100 * MS, None, False),
    ("closed while not on", 30 * MS, None, False),
)
ALERTED_US = 80 * MS
"""How long a hard over-current may last where an ALERT reports it."""
SEVERAL_US = 100 * MS
"""The same of a voltage, which passes its limit at several at once."""
LOST_US = 500 * MS
"""How long a sensor may be without a valid reading."""

# ALERT on discharge, on charge, on voltage; highest voltage; full scale of the shunt in mV (data
# sheets)
_CHIPS = {
    "Ina237": (True, True, True, 85, 163.84),
    "Ina228": (True, True, True, 85, 163.84),
    "Ina226": (True, False, False, 36, 81.92),
    "Ina219": (False, False, False, 26, 160),
}
_RANGE_SHARE = 0.9
_GAP_US = 200 * MS  # what comes and goes within this is one excursion to a scan
_LAG_US = 250 * MS  # how long after its end an excursion still explains an opening
_OVERLOAD_S = 4.4
_SCAN_S = 0.2
_FALL = 0.1  # a smaller change between two samples is ignored
_RATIO_CAP = 30
_REPEAT_US = 3600 * S
_EPISODE_US = 2 * S  # a lost battery needs valid readings for this long to be lost again

# Tolerances: two codes of an INA237 on 2 mOhm are 5 mA, one of its voltage is 3.1 mV.
_A = 0.005
_NEAR_A = 0.02
_V = 0.01
_NEAR_V = 0.02


class RefereeLimits:
    """The settings of the rig in amperes, volts, ohms and us, from the flat settings dict.

    Attributes:
        measured_a: the highest limit, which a sensor has to be able to measure.
        calm: lowest and highest current and voltage at which there is nothing to look at.
        modes_off: battery indexes that the settings switch off.
    """

    def __init__(self, values):
        def setting(name):
            return values["limits." + name]

        ceiling_ma = setting("max_current_ma")
        pct = setting("hard_current_pct") or 1000000
        self.discharge_a = min(ceiling_ma, setting("max_discharge_current_ma")) / 1000
        self.charge_a = min(ceiling_ma, setting("max_charge_current_ma")) / 1000
        self.hard_discharge_a = self.discharge_a * pct / 100
        self.hard_charge_a = self.charge_a * pct / 100
        self.measured_a = max(self.discharge_a, self.charge_a) * max(
            setting("hard_current_pct") / 100, 1
        )
        self.low_v = setting("min_voltage_mv") / 1000
        self.high_v = setting("max_voltage_mv") / 1000
        self.healthy_low_v = self.low_v + setting("uv_hysteresis_mv") / 1000 + _NEAR_V
        self.healthy_high_v = self.high_v - setting("ov_hysteresis_mv") / 1000 - _NEAR_V
        self.offset_v = setting("voltage_offset_mv") / 1000
        self.spread_v = setting("start_spread_mv") / 1000
        self.imbalance_v = setting("imbalance_mv") / 1000
        self.alarm_c = setting("temperature_alarm_c")
        self.trip_c = setting("temperature_trip_c")
        self.reconnect_us = setting("reconnect_delay_ms") * MS
        self.max_trips = setting("max_trips")
        self.decay_us = setting("trip_decay_s") * S or FOREVER
        self.join_us = setting("join_interval_ms") * MS
        self.start_us = setting("start_delay_ms") * MS
        self.pack_ohm = setting("pack_resistance_mohm") / 1000
        self.path_ohm = setting("path_resistance_mohm") / 1000
        self.calm = (
            _NEAR_A - self.charge_a,
            self.discharge_a - _NEAR_A,
            self.low_v + _NEAR_V,
            self.high_v - _NEAR_V,
        )
        self.modes_off = [n - 1 for n in range(1, 17) if values["batteries.%d.mode" % n] == "off"]


class Span:
    """How long one condition of one battery has held.

    Attributes:
        since_us: since when it clearly holds; None while it does not.
        told: True when that was reported.
        seen_us: when it was last there, at least within tolerances.
        near: True while it is.
    """

    def __init__(self):
        self.since_us = None
        self.told = False
        self.near = False
        self.seen_us = self._begun_us = -FOREVER

    def note(self, at_us, near, clear):
        """From at_us on the condition holds `near` its border, or `clear` of any tolerance."""
        if self.near:
            self.seen_us = at_us
        if near:
            if at_us - self.seen_us > _GAP_US:
                self._begun_us = at_us
            self.seen_us = at_us
        self.near = near
        if not clear:
            self.since_us = None
            self.told = False
        elif self.since_us is None:
            self.since_us = at_us

    def explains(self, at_us, after_us, slack_us):
        """True when it was there for after_us and until a moment (and slack_us) ago."""
        recent = at_us - self.seen_us <= _LAG_US + slack_us
        return recent and self.seen_us - self._begun_us >= after_us


class Pack:
    """One battery.

    Args:
        i: its place; chip: the model of its sensor; limits: a `RefereeLimits`.

    Attributes:
        fits: its sensor can measure up to the limits.
        spans: a `Span` for each of RULES.
        closed: the gate as last judged; closed_us, opened_us: when it moved.
        stirred: True while a span has to be followed although nothing new happens.
        blind: its sensor does not tell the truth; lost: its board does not listen; held: so since
            it was closed, and the firmware has to count it as connected; mistaken: its sensor
            and another one answer for each other.
        blind_us, trouble_us: when that, or a fault of board, I2C or controller, was last so;
        falsified_us: when a transaction with its board was last falsified.
        faulted: there was trouble since the last reset by the operator.
        off: the operator's last wish is off; None when a reset may have forgotten it.
        off_us: when off was last wished, perhaps to be taken back before the guard came to it.
        sure, maybe: counted trips, as few and as many as the rules can mean.
        ready_us: since when the rules let it join, None while they do not.
        told: True when it was reported as kept off.
        stray_us: since when it carries current though its gate is open, or None.
    """

    def __init__(self, i, chip, limits):
        self.i = i
        self.board = i // CHANNELS
        self._limits = limits
        on_discharge, on_charge, on_voltage, high_v, shunt_mv = _CHIPS[type(chip).__name__]
        self._alerts = on_discharge, on_charge
        self._alerts_voltage = on_voltage
        self._range_a = shunt_mv * 1000 / chip.shunt_uohm
        usable_a = _RANGE_SHARE * self._range_a
        self.fits = limits.high_v <= high_v and limits.measured_a <= usable_a
        self.spans = [Span() for _ in RULES]
        self.closed = False
        self.closed_us = self.opened_us = -FOREVER
        self.stirred = False
        self.blind = self.lost = self.held = self.mistaken = False
        self.blind_us = self.trouble_us = self.falsified_us = -FOREVER
        self.faulted = False
        self.off = i in limits.modes_off
        self.wish_us = self.off_us = self.trip_us = -FOREVER
        self.sure = self.maybe = 0
        self.ready_us = self.stray_us = None
        self.told = False
        self._amps = 0.0
        self._sensed_us = 0
        self._heat_most = self._heat_least = 0.0
        self._healthy_us = self._calm_us = 0
        self._repeats = 0
        self._repeat_us = -FOREVER

    # What its sensor feels while it is closed

    def close(self, at_us):
        """The switch closed: everything starts empty."""
        self.closed = True
        self.closed_us = at_us
        self.ready_us = self.stray_us = None
        self.spans = [Span() for _ in RULES]
        self.stirred = False
        self._heat_most = self._heat_least = 0.0

    def sense(self, at_us, amps, volts):
        """Note the currents and voltages of the segment that begins."""
        limits = self._limits
        amps = min(max(amps, -self._range_a), self._range_a)
        seconds = (at_us - self._sensed_us) / S if self.stirred else 0.0
        self._heat_most = self._heated(self._heat_most, _A, seconds)
        if at_us > self.trouble_us + LOST_US and at_us > self.blind_us + LOST_US:
            self._heat_least = self._heated(self._heat_least, -_A, seconds)
        before = self._rate(-_A)
        self._amps = amps
        fall = before - self._rate(-_A)
        if fall > _FALL * before > 0:
            # The sample that follows takes the new current for that of the time before, too.
            self._heat_least = max(self._heat_least - fall * _SCAN_S, 0.0)
        self._sensed_us = at_us
        spans = self.spans
        hard = max(amps / limits.hard_discharge_a, -amps / limits.hard_charge_a)
        near = max(amps - limits.hard_discharge_a, -amps - limits.hard_charge_a) > -_NEAR_A
        spans[HARD].note(at_us, near, hard >= 1.0999)
        over = volts - limits.high_v
        under = limits.low_v - volts
        spans[OVER].note(at_us, over > -_NEAR_V, over > _V)
        spans[UNDER].note(at_us, under > -_NEAR_V, under > _V)
        over -= 0.03 * limits.high_v
        under -= 0.1 * limits.low_v
        spans[OVER_HARD].note(at_us, over > -_NEAR_V, over > _V)
        spans[UNDER_HARD].note(at_us, under > -_NEAR_V, under > _V)
        # A sample takes its current for that of the time since the sample before.
        most = self._heated(self._heat_most, _A, _SCAN_S)
        spans[OVERLOAD].note(
            at_us, most > 0.95 * _OVERLOAD_S, self._heat_least > 1.1 * _OVERLOAD_S
        )

    def _rate(self, margin_a):
        limit_a = self._limits.discharge_a if self._amps >= 0 else self._limits.charge_a
        ratio = min(max(abs(self._amps) + margin_a, 0.0) / limit_a, _RATIO_CAP)
        return ratio * ratio - 1

    def _heated(self, heat, margin_a, seconds):
        return max(heat + self._rate(margin_a) * seconds, 0.0)

    def settle(self):
        """Note whether a span has to be followed; called after all of them are noted."""
        self.stirred = self._heated(self._heat_most, _A, _SCAN_S) > 0
        for span in self.spans:
            if span.near or span.since_us is not None:
                self.stirred = True

    def rest(self, at_us):
        """The switch opens: what held until now ends."""
        for span in self.spans:
            span.note(at_us, False, False)

    def bound_us(self, rule, alert_works):
        """How long `rule` may be broken."""
        bound_us = RULES[rule][1]
        if rule > UNDER:
            return bound_us
        if self.spans[rule].since_us - self.blind_us < LOST_US:
            return max(bound_us, RULES[UNSEEN][1])
        if rule == HARD and alert_works and self._alerts[self._amps < 0]:
            return ALERTED_US
        if rule in (OVER_HARD, UNDER_HARD) and alert_works and self._alerts_voltage:
            return SEVERAL_US
        return bound_us

    # What happened to it

    def suffer(self, at_us):
        """Note a fault of its board, of I2C or of the controller."""
        self.trouble_us = at_us
        self.faulted = True
        self.count_repeat(at_us, _EPISODE_US)

    def go_blind(self, at_us):
        """Note a fault of its sensor."""
        self.blind_us = at_us
        self.count_repeat(at_us, _EPISODE_US)

    def count_repeat(self, at_us, apart_us=0):
        """Something that may double its next pause."""
        past_us = at_us - self._repeat_us
        if past_us > _REPEAT_US:
            self._repeats = 0
        if past_us >= apart_us:
            self._repeats += 1
            self._repeat_us = at_us

    def pause_us(self):
        """The longest time the rules can keep it off for what happened so far."""
        pause_us = self._limits.reconnect_us << min(self._repeats, 20)
        return min(pause_us, max(600 * S, self._limits.reconnect_us))

    def open(self, at_us):
        """The switch opened: forgive the trips that the time since closing has earned."""
        self.closed = False
        self.opened_us = at_us
        self.count_repeat(at_us)
        decay_us = self._limits.decay_us
        on_us = at_us - self.closed_us
        self._healthy_us += on_us
        self.sure = max(self.sure - self._healthy_us * 100 // (decay_us * 99), 0)
        self._healthy_us %= decay_us
        self._calm_us += on_us
        self.maybe = max(self.maybe - self._calm_us * 100 // (decay_us * 102), 0)
        self._calm_us %= decay_us

    def trip(self, at_us, surely):
        """A trip that may be counted, or has to be."""
        self.maybe += 1
        self._calm_us = 0
        if surely:
            self.sure += 1
            self.trip_us = at_us

    def forget(self, at_us, everything, kept_us):
        """The controller restarts: what it had no time (or no means) to keep is unknown."""
        self.ready_us = None
        if everything or at_us - self.wish_us < kept_us:
            self.off = None
        if everything:
            self.sure = 0
        elif at_us - self.trip_us < kept_us:
            self.sure = max(self.sure - 1, 0)

    def pardon(self):
        """The operator resets it."""
        self.sure = self.maybe = 0
        self.faulted = False
