# SPDX-License-Identifier: GPL-3.0-only
"""Firmware broken on purpose, one fault each, to see that the referee finds it.

Every function here takes no argument and changes the classes of the firmware that is about to
boot: what `harness.run` calls a sabotage. Each is an error that somebody could really make.
"""


def a_fuller_pack_joins():
    """Only an emptier pack is judged before it joins."""
    from parallelator.protection.joining import Connector

    honest = Connector.refusal

    def refusal(connector, i):
        if connector._snap.voltage_mv[i] > connector._output.rest_mv:
            return 0
        return honest(connector, i)

    Connector.refusal = refusal


def alerts_are_ignored():
    """The ALERT lines are read and nobody looks at them."""
    from parallelator.protection.switches import Switches

    honest = Switches.poll

    def poll(switches, watched):
        honest(switches, watched)
        return 0

    Switches.poll = poll


def an_off_is_not_retried():
    """A write is taken for done: neither register nor pin read back, nor written again."""
    from parallelator.protection.switches import Switches

    def verify(switches, b, _=False):
        switches._pending &= ~(1 << b)

    def judge_pins(switches):
        switches.stray = 0

    Switches.verify = verify
    Switches.judge_pins = judge_pins


def stale_readings_are_used():
    """A chip that completes no conversion passes for fresh."""
    from parallelator.hardware.ina2xx import FRESH, Ina237

    honest = Ina237.prove

    def prove(chip):
        shown = honest(chip)
        return None if shown is None else shown | FRESH

    Ina237.prove = prove


def locks_are_forgotten():
    """Nothing is brought back from storage after a reset."""
    from parallelator.records.nvs_state import NvsState

    NvsState.restore = lambda nvs_state: False
    short_terms_are_forgotten()


def short_terms_are_forgotten():
    """Nothing is brought back from RTC memory after a reset."""
    from parallelator.records.rtc_state import RtcState

    RtcState._newest = lambda rtc_state: (0, 0)


def the_odd_one_is_the_reference():
    """Everybody is compared with the highest pack, however odd it is."""
    from parallelator.protection.rules import Balance

    honest = Balance.look

    def look(balance, mask):
        honest(balance, mask)
        if balance.odd >= 0:
            balance.reference_mv = balance._snap.voltage_mv[balance.odd]
            balance.odd = -1

    Balance.look = look


def outputs_before_latch():
    """An expander's outputs are enabled while its latch is still as after power-on."""
    from parallelator.hardware.tca9555 import Tca9555

    honest = Tca9555.start

    def start(chip, bits, leds):
        chip._i2c.write16(chip._address, 0x06, chip._inputs << 8)
        return honest(chip, bits, leds)

    Tca9555.start = start


def a_limit_in_microamps():
    """The hard current limits are a thousand times too high, in the rules and in the chips."""
    from parallelator.hardware.ina2xx import Ina237
    from parallelator.protection.rules import Judge

    init = Judge.__init__
    configure = Ina237.configure

    def start(judge, limits):
        hard = limits.hard_discharge_ma, limits.hard_charge_ma
        limits.hard_discharge_ma, limits.hard_charge_ma = hard[0] * 1000, hard[1] * 1000
        init(judge, limits)
        limits.hard_discharge_ma, limits.hard_charge_ma = hard

    def set_up(chip, discharge_ma, charge_ma, *volts):
        return configure(chip, discharge_ma * 1000, charge_ma * 1000, *volts)

    Judge.__init__ = start
    Ina237.configure = set_up


# Beyond those: one for each rule of the referee that they leave untouched.


def anybody_starts_a_dead_bus():
    """Every healthy pack closes at once on a dead bus, whatever its voltage."""
    from parallelator.protection.joining import Connector

    Connector.largest_group = lambda connector, mask, wide: mask


def a_charger_is_not_asked_for():
    """A trial leaves on whoever took part."""
    from parallelator.protection.starts import Starts

    Starts.verdict = lambda starts: starts.trial


def what_failed_is_not_started_again():
    """After a failure the output rests for ever."""
    from parallelator.protection.starts import Starts

    honest = Starts.fail

    def fail(starts, by_charge):
        honest(starts, by_charge)
        starts.pause_ms = 1 << 29
        return starts.pause_ms

    Starts.fail = fail


def the_load_is_every_packs_fault():
    """Nobody is refunded what the load made it count."""
    from parallelator.protection.states import States

    States._refund = lambda states, i: None


def one_trip_opens_all():
    """An over-current of one opens everybody, to be sure."""
    from parallelator.protection.states import States

    honest = States.trip

    def trip(states, i, reason, value):
        states._open(states.on)
        honest(states, i, reason, value)

    States.trip = trip


def closings_are_not_entered():
    """A switch closes and its battery stays in the state it was in."""
    from parallelator.protection.states import States

    States.connect = lambda states, mask: states._switches.close(mask)


def an_off_is_not_obeyed():
    """The operator's off is accepted and not carried out."""
    from parallelator.catalog import ACTIONS
    from parallelator.protection.states import States

    honest = States.obey

    def obey(states, action, i):
        if ACTIONS[action] != "off":
            honest(states, action, i)

    States.obey = obey


def starts_are_not_counted():
    """A dead bus is started into its overload for ever."""
    from parallelator.protection.starts import Starts

    def fail(starts, by_charge):
        starts.age_ms = 60000
        starts.pause_ms = 1000
        return 1000

    Starts.fail = fail


def a_limit_is_too_low():
    """The highest voltage is taken a volt too low."""
    from parallelator.protection.rules import Judge

    init = Judge.__init__

    def start(judge, limits):
        limits.max_voltage_mv -= 1000
        init(judge, limits)

    Judge.__init__ = start


def voltage_is_not_judged():
    """No voltage opens a switch."""
    from parallelator.protection import alerts, rules

    def init(judge, limits):
        honest(judge, limits)
        for row, rule in enumerate(rules.RULES):
            if rule[0] in judged:
                judge._limit[row] = rules.NEVER

    honest = rules.Judge.__init__
    judged = (rules.Reason.OVERVOLTAGE, rules.Reason.UNDERVOLTAGE)
    rules.Judge.__init__ = init
    alerts.Alerts._open_flagged = lambda alerts, mask: None


def overload_is_not_judged():
    """The inverse-time sum stays empty."""
    from parallelator.protection.rules import Judge

    Judge._heated = lambda judge, i, current_ma, dt_ms: 0


def nobody_returns():
    """A battery that tripped waits for ever."""
    from parallelator.protection.states import States

    States.count_down = lambda states, i, dt_ms: None


def the_guard_waits_for_its_turn():
    """The guard goes when the loop comes to its task, not before a step of another one."""
    from parallelator.scheduler import Scheduler

    Scheduler.run_after_guard = lambda work, coroutine, supervised=None: coroutine
