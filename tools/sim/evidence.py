# SPDX-License-Identifier: GPL-3.0-only
"""What the referee holds of each battery: limits passed, faults, wishes, counted trips."""

CHANNELS = 4
FOREVER = 1 << 60
MS = 1000
S = 1000000

(
    HARD,
    INRUSH,
    OVER_HARD,
    OVER,
    OVERLOAD,
    UNDER_HARD,
    UNDER,
    IMBALANCE,
    NO_SHARE,
    GIVING,
    UNSEEN,
    UNWISHED,
    ASTRAY,
) = range(13)

# what is wrong with a closed switch, for how long that may last in us, after how many us in the
# plant it explains an opening (None: never), whether that opening is counted. To a hard
# limit the scan, which takes 160 ms, may add 350 ms at most; to a delay 250, since its end is not
# left to the scan.
RULES = (
    ("closed beyond the hard current limit", 350 * MS, 0, True),
    ("closed beyond the limit of a start", 350 * MS, 0, True),
    ("closed above the hard voltage limit", 350 * MS, 0, True),
    ("closed above the voltage limit", 750 * MS, 490 * MS, True),
    ("closed beyond the overload sum", 250 * MS, 0, True),
    ("closed below the hard voltage limit", 350 * MS, 0, False),
    ("closed below the voltage limit", 1250 * MS, 990 * MS, False),
    ("closed though out of balance", 2000 * MS, 1490 * MS, False),
    ("closed though it carries nothing", 6500 * MS, 4900 * MS, False),
    ("closed though it joined to be charged and gives", 1500 * MS, 990 * MS, False),
    ("closed without a valid reading", 750 * MS, None, False),
    ("closed though switched off", 100 * MS, None, False),
    ("closed while not on", 30 * MS, None, False),
)
OF_LOAD = (HARD, INRUSH, OVERLOAD, UNDER_HARD)
"""Rules that a load, a charger or a short of the output breaks."""
ALERTED_US = 80 * MS
"""How long a hard over-current may last where an ALERT reports it."""
SEVERAL_US = 100 * MS
"""The same where several report at once, and of a voltage, which passes its limit at several."""
INRUSH_US = 300 * MS
"""Of a start, in which the limit is another one."""
LOST_US = 500 * MS
"""How long a sensor may be without a valid reading."""
FALSIFIED_US = 2 * MS  # a falsified write acts within this

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
_CAPACITORS_US = 20 * MS  # of a start, in which everything is allowed
_INRUSH_A = 40
_EARLY_US = 20 * MS  # the firmware may count these times from a moment before or after
LOOSE = 3
"""How often one may open since it carries nothing before it is locked."""
GIVES_A = 0.1
CARRIES_A = 0.05
_REPEAT_US = 3600 * S
_NOTED_US = 50 * MS  # a trip may be forgotten in a reset that follows it sooner
_LOAD_US = 30 * S  # within which packs open for the same load
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
        self.take(values)
        self.modes_off = [n - 1 for n in range(1, 17) if values["batteries.%d.mode" % n] == "off"]

    def take(self, values):
        """The limits have changed while the rig runs."""

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
        self.inrush_a = min(2 * max(self.hard_discharge_a, self.hard_charge_a), _INRUSH_A)
        self.unlimited = not setting("hard_current_pct")
        self.low_v = setting("min_voltage_mv") / 1000
        self.high_v = setting("max_voltage_mv") / 1000
        self.floor_v = min(setting("charge_floor_mv") / 1000, self.low_v)
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
        self.trial_us = setting("trial_interval_ms") * MS
        self.pack_ohm = setting("pack_resistance_mohm") / 1000
        self.path_ohm = setting("path_resistance_mohm") / 1000
        self.calm = (
            _NEAR_A - self.charge_a,
            self.discharge_a - _NEAR_A,
            self.low_v + _NEAR_V,
            self.high_v - _NEAR_V,
        )


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

    def lasted_us(self):
        """How long it was there when it was last there."""
        return self.seen_us - self._begun_us

    def explains(self, at_us, after_us, slack_us):
        """True when it was there for after_us and until a moment (and slack_us) ago."""
        recent = at_us - self.seen_us <= _LAG_US + slack_us
        return recent and self.lasted_us() >= after_us


class Pack:
    """One battery.

    Args:
        i: its place; chip: the model of its sensor; limits: a `RefereeLimits`.

    Attributes:
        fits: its sensor can measure up to the limits.
        spans: a `Span` for each of RULES.
        closed: the gate as last judged; closed_us, opened_us: when it moved; fell_us: when it
            last opened other than at the end of a trial.
        stirred: True while a span has to be followed although nothing new happens.
        blind: its sensor does not tell the truth; lost: its board does not listen; held: so since
            it was closed (at held_us), and the firmware has to count it as connected; unknown: the
            controller restarted since then, and only its current tells of it; mistaken: its sensor
            and another one answer for each other.
        blind_us, trouble_us: when that, or a fault of board, I2C or controller, was last so;
        falsified_us: when a transaction with its board was last falsified.
        returned_us: when its board, silent while it was closed, last came back.
        faulted: there was trouble since the last reset by the operator.
        off: the operator's last wish is off; None when a reset may have forgotten it.
        off_us: when off was last wished, perhaps to be taken back before the guard came to it.
        sure, maybe: counted trips, as few and as many as the rules can mean; trip_us: when the
            last sure one was; cool_us: until when it keeps the battery off, whatever resets.
        ready_us: since when the rules let it join, None while they do not.
        told: True when it was reported as kept off.
        stray_us: since when it carries current though its gate is open, or None.
        excused_us: when a fault that explains an opening was last there.
        start_us: when it closed onto an output that nobody supplied, None = it joined.
        surely_started: False when the firmware had a reason to take that output for supplied.
        on_trial: True from a closing that the firmware calls a trial until that ends.
        joined_low: True when it closed below the voltage limit, other than on trial.
        empty, full: it opened by a voltage and has not recovered since.
        asked_us: when an operator last wanted it on, or reset it.
        lied_us: when its sensor last showed another current than there was.
        drawn: `Span` of its taking more charge than allowed though its gate is open.
        overcounted: `Span` of its being counted more trips than it can have had.
        overclosed: `Span` of its being told to be on though its switch is open.
        overlocked: `Span` of its being locked without a fault of its own.
        able_us: since when nothing of its own keeps it from supplying a load, or None.
        starved_us: since when it is empty and a charger is there, or None.
        beyond: sign of the current that was last beyond its hard limit.
        by_load: sign of the current that opened it last, 1 also for a collapse of the voltage, 0
            when it was something else.
        may_load: True when it may have been a load, a charger, or the end of what there was.
        torn: True when it opened with its board, by a power cut or by a false register: by
            nobody's command.
        other_us: when it last opened for anything else.
        explained: True when that opening had a cause of its own.
        may_cool: True when the firmware may hold that opening against it for a cooling.
        loose: how often it opened since it carried nothing.
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
        self.closed_us = self.opened_us = self.fell_us = -FOREVER
        self.stirred = False
        self.blind = self.lost = self.held = self.unknown = self.mistaken = False
        self.blind_us = self.trouble_us = self.falsified_us = -FOREVER
        self.held_us = self.returned_us = -FOREVER
        self.faulted = False
        self.off = i in limits.modes_off
        self.wish_us = self.off_us = self.trip_us = self.cool_us = -FOREVER
        self.sure = self.maybe = 0
        self.ready_us = self.stray_us = None
        self.told = False
        self.excused_us = self.asked_us = self.lied_us = -FOREVER
        self.other_us = -FOREVER
        self.start_us = self.able_us = self.starved_us = None
        self.surely_started = self.on_trial = self.joined_low = False
        self.empty = self.full = self.explained = self.may_cool = False
        self.may_load = self.torn = False
        self.drawn = Span()
        self.overcounted = Span()
        self.overclosed = Span()
        self.overlocked = Span()
        self.beyond = self.by_load = self.loose = 0
        self._count_us = -FOREVER
        self._counted_surely = False
        self._amps = 0.0
        self._sensed_us = 0
        self._heat_most = self._heat_least = 0.0
        self._reset = False
        self._healthy_us = self._calm_us = 0
        self._repeats = 0
        self._repeat_us = -FOREVER

    # What its sensor feels while it is closed

    def close(self, at_us):
        """The switch closed: everything starts empty but the overload sum, which has drained."""
        self._drain((at_us - self.opened_us) / S)
        self.closed = True
        self.unknown = False
        self.closed_us = at_us
        self.ready_us = self.stray_us = self.able_us = None
        self.spans = [Span() for _ in RULES]
        self.stirred = False

    def _drain(self, open_s):
        """The overload sum drained while it was open; by how much is not sure when the firmware
        booted meanwhile, did not read it, or read a current.
        """
        blind = max(self.trouble_us, self.blind_us) >= self.opened_us
        self._heat_least = 0.0 if blind else max(self._heat_least - 1.1 * open_s, 0.0)
        if self.stray_us is not None:
            self._heat_most = 1.05 * _OVERLOAD_S
        elif not blind and not self._reset:
            self._heat_most = max(self._heat_most - 0.9 * open_s, 0.0)
        self._reset = False

    def sense(self, at_us, amps, volts):
        """Note the currents and voltages of the segment that begins."""
        limits = self._limits
        amps = min(max(amps, -self._range_a), self._range_a)
        seconds = (at_us - self._sensed_us) / S if self.stirred else 0.0
        self._heat_most = self._heated(self._heat_most, _A, seconds)
        known = at_us > self.trouble_us + LOST_US and at_us > self.blind_us + LOST_US
        least = self._heated(self._heat_least, -_A, seconds)
        if least < self._heat_least or known and self._start_age_us(at_us) >= INRUSH_US:
            self._heat_least = least
        before = self._rate(-_A)
        self._amps = amps
        fall = before - self._rate(-_A)
        if fall > _FALL * before > 0:
            # The sample that follows takes the new current for that of the time before, too; and
            # the first of what has ended took that for the time before it.
            self._heat_least = max(self._heat_least - fall * _SCAN_S, 0.0)
            self._heat_most += fall * _SCAN_S
        self._sensed_us = at_us
        spans = self.spans
        self._sense_current(at_us, amps)
        # In the first moments of a start no voltage is judged.
        begun = self._start_age_us(at_us) >= INRUSH_US
        over = volts - limits.high_v
        # The first limits do not hold for one that gives, or that is charged above the floor.
        spans[OVER].note(
            at_us,
            over > -_NEAR_V and amps < GIVES_A + _NEAR_A,
            begun and over > _V and amps < GIVES_A - _NEAR_A,
        )
        over -= 0.03 * limits.high_v
        spans[OVER_HARD].note(at_us, over > -_NEAR_V, begun and over > _V)
        # On trial a pack may be empty; it takes part above the charge floor only.
        under = (limits.floor_v if self.on_trial else limits.low_v) - volts
        near = not (amps < -GIVES_A - _NEAR_A and volts > limits.floor_v + _NEAR_V)
        clear = begun and not (amps < -GIVES_A + _NEAR_A and volts > limits.floor_v - _NEAR_V)
        spans[UNDER].note(at_us, near and under > -_NEAR_V, clear and under > _V)
        under -= 0.1 * limits.low_v
        spans[UNDER_HARD].note(at_us, near and under > -_NEAR_V, clear and under > _V)
        low = self.joined_low and volts < limits.healthy_low_v
        spans[GIVING].note(
            at_us,
            low and amps > GIVES_A - _NEAR_A,
            low and volts < limits.low_v and amps > GIVES_A + _NEAR_A,
        )
        self._sense_overload(at_us)

    def _start_age_us(self, at_us):
        return FOREVER if self.start_us is None else at_us - self.start_us

    def _limits_hold(self, at_us):
        """False while a start surely goes on, in which other limits hold."""
        return not self.surely_started or self._start_age_us(at_us) >= INRUSH_US - _EARLY_US

    def _sense_overload(self, at_us):
        # A sample takes its current for that of the time since the sample before.
        most = self._heated(self._heat_most, _A, _SCAN_S)
        self.spans[OVERLOAD].note(
            at_us,
            most > 0.95 * _OVERLOAD_S and self._limits_hold(at_us),
            self._heat_least > 1.1 * _OVERLOAD_S and self._start_age_us(at_us) >= INRUSH_US,
        )

    def _sense_current(self, at_us, amps):
        """Hard limit, and in the first 300 ms of a start the one that takes its place."""
        limits = self._limits
        hard = max(amps / limits.hard_discharge_a, -amps / limits.hard_charge_a)
        near = max(amps - limits.hard_discharge_a, -amps - limits.hard_charge_a) > -_NEAR_A
        age_us = self._start_age_us(at_us)
        begun = self._limits_hold(at_us)
        if near:
            self.beyond = 1 if amps > 0 else -1
        self.spans[HARD].note(at_us, near and begun, hard >= 1.0999 and age_us >= INRUSH_US)
        amps = abs(amps)
        self.spans[INRUSH].note(
            at_us,
            amps > limits.inrush_a - _NEAR_A
            and _CAPACITORS_US - _EARLY_US // 2 <= age_us < INRUSH_US + _EARLY_US,
            amps >= 1.0999 * limits.inrush_a
            and not limits.unlimited
            and _CAPACITORS_US <= age_us < INRUSH_US,
        )

    def _rate(self, margin_a):
        limit_a = self._limits.discharge_a if self._amps >= 0 else self._limits.charge_a
        ratio = min(max(abs(self._amps) + margin_a, 0.0) / limit_a, _RATIO_CAP)
        return ratio * ratio - 1

    def _heated(self, heat, margin_a, seconds):
        return max(heat + self._rate(margin_a) * seconds, 0.0)

    def settle(self):
        """Note whether a span has to be followed; called after all of them are noted."""
        self.stirred = self.joined_low or self._heated(self._heat_most, _A, _SCAN_S) > 0
        for span in self.spans:
            if span.near or span.since_us is not None:
                self.stirred = True

    def rest(self, at_us):
        """The switch opens: what held until now ends."""
        if self.start_us is not None:
            self._sense_current(at_us, self._amps)
        for span in self.spans:
            span.note(at_us, False, False)

    def bound_us(self, rule, alert_works, several):
        """How long `rule` may be broken; `several`: others are beyond a hard limit, too."""
        bound_us = RULES[rule][1]
        if rule > UNDER:
            return bound_us
        if self.spans[rule].since_us - self.blind_us < LOST_US:
            return max(bound_us, RULES[UNSEEN][1])
        if rule <= INRUSH and alert_works and self.alerts():
            return SEVERAL_US if several or rule == INRUSH else ALERTED_US
        if rule in (OVER_HARD, UNDER_HARD) and alert_works and self._alerts_voltage:
            return SEVERAL_US
        return bound_us

    def amps(self):
        """What its sensor felt last while it was closed."""
        return self._amps

    def is_beyond_hard(self):
        """True when that is surely beyond the hard limit."""
        limits = self._limits
        hard_a = limits.hard_discharge_a if self._amps > 0 else limits.hard_charge_a
        return abs(self._amps) > 1.05 * hard_a

    def is_doubtful(self):
        """True when nothing of it answers: it makes no output live."""
        return self.blind and self.lost

    def alerts(self):
        """True when its sensor reports a current of the present direction beyond its limit."""
        return self._alerts[self._amps < 0]

    def moment_us(self, rules):
        """When one of these rules was last broken, within tolerances."""
        return max(self.spans[rule].seen_us for rule in rules)

    def lasted_us(self, rules):
        """How long one of these rules was broken at most when it was last."""
        return max(self.spans[rule].lasted_us() for rule in rules)

    # What happened to it

    def misread(self):
        """What its sensor said was falsified: any current may have been taken for a sample."""
        self._heat_most += (_RATIO_CAP * _RATIO_CAP - 1) * _SCAN_S

    def suffer(self, at_us, excused=True):
        """Note a fault of its board, of I2C or of the controller.

        Args:
            excused: True when it explains an opening; an outage of I2C leaves all as it is.
        """
        self.trouble_us = at_us
        if excused:
            self.excused_us = at_us
        self.faulted = True
        self.count_repeat(at_us, _EPISODE_US)

    def go_blind(self, at_us):
        """Note a fault of its sensor: found again, it may join like any other."""
        self.blind_us = at_us
        self.empty = False
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

    def open(self, at_us, trial):
        """The switch opened: forgive the trips that the time since closing has earned.

        Args:
            trial: True when that is the end of a trial, after which it waits for nothing.
        """
        self.closed = False
        self.opened_us = at_us
        self._heat_most = min(self._heat_most, 1.05 * _OVERLOAD_S)
        self._heat_least = min(self._heat_least, 0.95 * _OVERLOAD_S)
        if not trial:
            self.fell_us = at_us
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
        self._count_us = at_us
        self._counted_surely = surely
        if surely:
            self.sure += 1
            self.trip_us = at_us
            self.cool_us = at_us + self._limits.reconnect_us

    def refund(self, at_us, surely):
        """Its last trip may have been the load's fault, or was `surely`."""
        past_us = at_us - self._count_us
        if past_us > _LOAD_US + S:
            return
        if self._counted_surely:
            self.sure = max(self.sure - 1, 0)
            self.cool_us = -FOREVER
            self._counted_surely = False
        # What it counted before it closed again is over.
        if surely and past_us <= _LOAD_US - S and self._count_us > self.closed_us:
            self.maybe = max(self.maybe - 1, 0)
            self._count_us = -FOREVER

    def forget(self, at_us, everything, kept_us, powered_on):
        """The controller restarts: what it had no time (or no means) to keep is unknown."""
        self.ready_us = self.able_us = self.starved_us = None
        self.on_trial = self.empty = self.full = False
        self.unknown = self.lost
        self._reset = True
        if powered_on and self.loose < LOOSE:
            self.loose = 0
        if powered_on or at_us - self.trip_us < _NOTED_US:
            self.cool_us = -FOREVER
        # What is kept of the overload sum is up to a second old.
        kept = 0.0 if powered_on else self._heat_least - max(self._rate(_A), 0.0)
        self._heat_least = max(kept, 0.0)
        if everything or at_us - self.wish_us < kept_us:
            self.off = None
        if everything:
            self.sure = 0
        elif at_us - self.trip_us < kept_us:
            self.sure = max(self.sure - 1, 0)

    def wish(self, at_us, action):
        """The operator wants something of it."""
        if action in ("on", "reset"):
            self.asked_us = at_us
        if action == "on":
            self.cool_us = at_us
        if action == "reset":
            self._pardon()
            return
        self.off = action == "off"
        self.wish_us = at_us
        if self.off:
            self.off_us = at_us

    def _pardon(self):
        self.sure = self.maybe = self.loose = 0
        self._count_us = -FOREVER
        self._counted_surely = False
        self.faulted = False
