# SPDX-License-Identifier: GPL-3.0-only
"""Drivers by other people run against the simulated chips, next to those of the firmware.

They are Adafruit's for the INA237, INA228 and INA219 and James Carr's for the TCA9555. Each has
a chip of its own at the same place of the plant as the firmware's driver, so that all three must
agree: what the sensors feel, their driver and ours. No such driver of the INA226 is at hand; ours
is compared with the plant alone.
"""

import random
from types import SimpleNamespace

import pytest

import i2c_adapter
from parallelator.hardware import ina2xx, ina_others
from parallelator.hardware.i2c import I2c
from parallelator.hardware.tca9555 import Tca9555
from sim.chips.ina219 import Ina219
from sim.chips.ina226 import Ina226
from sim.chips.ina228 import Ina228
from sim.chips.ina237 import Ina237
from sim.chips.tca9555 import Tca9555 as Expander
from sim.plant import Plant

CLOCK = SimpleNamespace(us=lambda: 0, diff=lambda end, start: end - start)

adafruit_ina219 = i2c_adapter.load("adafruit_ina219")
adafruit_ina228 = i2c_adapter.load("adafruit_ina228")
adafruit_ina23x = i2c_adapter.load("adafruit_ina23x")
community_tca9555 = i2c_adapter.load("community_tca9555")
i2c_struct = i2c_adapter.load("adafruit_register.i2c_struct")

POINTS = 250
SHUNT_UOHM = 2000
SHUNT_OHM = 0.002
THEIRS, OURS = 0x40, 0x41


class Rig:
    """Two chips of one model that feel the same pack, and what the test makes them feel."""

    def __init__(self, model, shunt_uohm=SHUNT_UOHM):
        self.plant = Plant([{"n": 1, "soc": 0.65}])
        self.rest_v = self.plant.voltage_v[0]
        self.chips = [model(at, 0, self.plant, shunt_uohm) for at in (THEIRS, OURS)]
        self.i2c = i2c_adapter.I2C(self.chips)
        self.shunt_uohm = shunt_uohm
        self.wait_us = 60000

    def ours(self, driver, discharge_ma=0, charge_ma=0):
        sensor = driver(
            I2c(lambda khz: self.i2c, lambda: True, lambda: True, CLOCK), OURS, self.shunt_uohm
        )
        assert sensor.configure(discharge_ma, charge_ma)
        return sensor

    def feel(self, amps, volts=24.0, celsius=25.0):
        """Some cycles pass at this point. Returns what the sensors feel, in A and V."""
        self.plant.inject_current(0, amps * 1000)
        self.plant.inject_voltage(0, (volts - self.rest_v) * 1000)
        self.plant.step(self.i2c.now_us)
        for chip in self.chips:
            chip.heat_c = celsius
        self.i2c.now_us += self.wait_us
        return self.plant.sensed_a[0], self.plant.sensed_v[0]

    def alerts(self):
        return [chip.alert_low(self.i2c.now_us) for chip in self.chips]


def points(seed, amps, volts):
    draw = random.Random(seed)
    for _ in range(POINTS):
        yield draw.uniform(-amps, amps), draw.uniform(*volts), draw.uniform(-40, 125)


def check_ours(sensor, amps, volts, step_a, step_v):
    """Ours against the truth: rounded to a step of the chip, then to whole mA or down to mV."""
    assert abs(sensor.current_ma() - amps * 1000) <= step_a * 500 + 0.5
    assert -1 - step_v * 500 <= sensor.voltage_mv() - volts * 1000 <= step_v * 500


@pytest.mark.parametrize("device_id", [0x2370, 0x2381])
@pytest.mark.parametrize(("adc_range", "amps"), [(0, 79), (1, 20)])
def test_ina237_reads_the_same(device_id, adc_range, amps):
    def model(address, i, plant, shunt_uohm):
        return Ina237(address, i, plant, shunt_uohm, device_id)

    rig = Rig(model)
    theirs = adafruit_ina23x.INA23X(rig.i2c, THEIRS)
    theirs.set_calibration(SHUNT_OHM, 80 >> 2 * adc_range)
    theirs.adc_range = adc_range
    ours = rig.ours(ina2xx.Ina237)
    step_uv = 1.25 if adc_range else 5
    for wanted_a, wanted_v, celsius in points(1, amps, (0, 85)):
        a, v = rig.feel(wanted_a, wanted_v, celsius)
        assert abs(theirs.shunt_voltage - a * SHUNT_OHM) <= step_uv * 0.501e-6
        assert abs(theirs.current - a) <= step_uv / SHUNT_UOHM
        assert abs(theirs.bus_voltage - v) <= 0.0015626
        assert abs(theirs.power - abs(theirs.current) * theirs.bus_voltage) <= 0.00049
        assert abs(theirs.die_temperature - celsius) <= 0.0626
        assert theirs.conversion_ready
        check_ours(ours, a, v, 0.0025, 0.003125)
        assert abs(ours.current_ma() - theirs.current * 1000) <= 2.5 + 0.5
        assert 0 <= theirs.bus_voltage * 1000 - ours.voltage_mv() < 1
        assert ours.temperature_mc() == theirs.die_temperature * 1000


@pytest.mark.parametrize(("adc_range", "amps"), [(0, 79), (1, 20)])
def test_ina228_reads_the_same(adc_range, amps):
    rig = Rig(Ina228)
    theirs = adafruit_ina228.INA228(rig.i2c, THEIRS)
    theirs.set_calibration(SHUNT_OHM, 80 >> 2 * adc_range)
    theirs.adc_range = adc_range
    ours = rig.ours(ina_others.Ina228)
    step_uv = 0.078125 if adc_range else 0.3125
    for wanted_a, wanted_v, celsius in points(2, amps, (0, 85)):
        a, v = rig.feel(wanted_a, wanted_v, celsius)
        assert abs(theirs.shunt_voltage - a * SHUNT_OHM) <= step_uv * 0.501e-6
        assert abs(theirs.current - a) <= step_uv / SHUNT_UOHM
        assert abs(theirs.bus_voltage - v) <= 0.000097657
        assert abs(theirs.power - abs(theirs.current) * theirs.bus_voltage) <= 0.00049
        assert abs(theirs.die_temperature - celsius) <= 0.0039063
        assert theirs.conversion_ready
        assert abs(ours.current_ma() - theirs.current * 1000) <= 0.15625 + 0.5
        assert abs(ours.current_ma() - a * 1000) <= 0.15625 / 2 + 0.5
        # Ours rounds a voltage up or down, so that it stays beyond a limit it is beyond.
        assert abs(ours.voltage_mv() - theirs.bus_voltage * 1000) < 1
        assert abs(ours.voltage_mv() - v * 1000) < 1.1
        assert 0 <= theirs.die_temperature * 1000 - ours.temperature_mc() < 1


def test_ina228_accumulates_what_flowed():
    rig = Rig(Ina228)
    theirs = adafruit_ina228.INA228(rig.i2c, THEIRS)
    theirs.set_calibration(SHUNT_OHM, 80)
    # Adafruit's conversions of 150, 280 and 1052 us, so that none straddles two points.
    rig.wait_us = 40 * (150 + 280 + 1052)
    rig.feel(20)
    theirs.reset_accumulators()
    assert theirs.charge == theirs.energy == 0
    seconds = coulombs = joules = 0
    for wanted_a, wanted_v, _ in points(3, 79, (20, 30)):
        a, v = rig.feel(max(wanted_a, -20), wanted_v)
        seconds += rig.wait_us / 1e6
        coulombs += a * rig.wait_us / 1e6
        joules += abs(a) * v * rig.wait_us / 1e6
        # Half a step of VSHUNT and half a step of CURRENT, all of the time.
        assert abs(theirs.charge - coulombs) <= seconds * 0.000155 + 0.000153
        assert abs(theirs.energy - joules) <= seconds * 0.013 + 0.0079
    assert coulombs > 100 and joules > 10000


def test_ina226_reads_what_the_sensors_feel():
    rig = Rig(Ina226)
    ours = rig.ours(ina_others.Ina226)
    for wanted_a, wanted_v, _ in points(4, 40.9, (0, 36)):
        a, v = rig.feel(wanted_a, wanted_v)
        check_ours(ours, a, v, 0.00125, 0.00125)


@pytest.mark.parametrize(
    ("setting", "amps", "volts"),
    [("32V_2A", 1.59, 26), ("32V_1A", 1.59, 26), ("16V_400mA", 0.39, 16)],
)
def test_ina219_reads_the_same(setting, amps, volts):
    # Adafruit's settings are for a shunt of 0.1 ohm.
    rig = Rig(Ina219, 100000)
    theirs = adafruit_ina219.INA219(rig.i2c, THEIRS)
    getattr(theirs, "set_calibration_" + setting)()
    ours = rig.ours(ina_others.Ina219)
    for wanted_a, wanted_v, _ in points(5, amps, (0, volts)):
        a, v = rig.feel(wanted_a, wanted_v)
        assert abs(theirs.shunt_voltage - a * 0.1) <= 5.01e-6
        assert abs(theirs.current - a * 1000) <= 0.1
        assert abs(theirs.bus_voltage - v) <= 0.002001
        assert theirs.conversion_ready and not theirs.overflow
        check_ours(ours, a, v, 0.0001, 0.004)
        assert abs(ours.current_ma() - theirs.shunt_voltage * 10000) <= 0.501
        assert abs(ours.voltage_mv() - theirs.bus_voltage * 1000) < 0.001


class LimitedIna23x(adafruit_ina23x.INA23X):
    """Adafruit's driver has no access to the limits: they are added by its own means."""

    shunt_over = i2c_struct.UnaryStruct(0x0C, ">h")
    shunt_under = i2c_struct.UnaryStruct(0x0D, ">h")


def ina237_with_limits(i2c, over, under):
    """Set the limits, in steps of the registers.

    Without Adafruit's reset: after it conversion-ready asserts ALERT, and no property undoes it.
    """
    theirs = LimitedIna23x(i2c, THEIRS, skip_reset=True)
    theirs.shunt_over = over
    theirs.shunt_under = under
    return theirs


def ina228_with_limits(i2c, over, under):
    """Set the limits, in steps of the registers.

    Adafruit takes 312.5 uV for a step of SOVL and SUVL, 62.5 times what it is: 5 uV (SLYS021,
    sections 7.6.1.13 and 7.6.1.14). It takes no negative limit either, although both registers
    are signed. So it gets what makes it write the right words.
    """
    theirs = adafruit_ina228.INA228(i2c, THEIRS, skip_reset=True)
    theirs.shunt_voltage_overlimit = (over + 0.5) * 312.5e-6
    theirs.shunt_voltage_underlimit = ((under & 0xFFFF) + 0.5) * 312.5e-6
    return theirs


LIMITED = pytest.mark.parametrize(
    ("model", "driver", "with_limits"),
    [(Ina237, ina2xx.Ina237, ina237_with_limits), (Ina228, ina_others.Ina228, ina228_with_limits)],
)


@pytest.mark.parametrize("discharge_ma", [10000, 15000, 45000])
@LIMITED
def test_limits_fire_at_the_same_points(model, driver, with_limits, discharge_ma):
    charge_ma = discharge_ma // 2
    rig = Rig(model)
    theirs = with_limits(rig.i2c, discharge_ma * 2 // 5, -charge_ma * 2 // 5)
    theirs.alert_latch = 1
    ours = rig.ours(driver, discharge_ma, charge_ma)
    draw = random.Random(6)
    fired = 0
    for _ in range(POINTS):
        milliamps = draw.choice((discharge_ma, -charge_ma)) + draw.choice(
            (draw.uniform(-6, 6), draw.uniform(-5000, 5000))
        )
        rig.feel(milliamps / 1000)
        step_ma = 2.5 if model is Ina237 else 0.15625
        beyond = round(milliamps / step_ma) * step_ma
        beyond = beyond > discharge_ma or beyond < -charge_ma
        assert rig.alerts() == [beyond, beyond], milliamps
        fired += beyond
        # Latched: the alert outlives its cause until the flags are read.
        rig.feel(0)
        assert rig.alerts() == [beyond, beyond]
        assert bool(ours.prove() & ina2xx.ALERT) == beyond
        flags = theirs.alert_flags
        if model is Ina237:
            flags = {"SHNTOL": flags & 0x40, "SHNTUL": flags & 0x20}
        assert bool(flags["SHNTOL"]) == (beyond and milliamps > 0)
        assert bool(flags["SHNTUL"]) == (beyond and milliamps < 0)
        assert rig.alerts() == [False, False]
    assert 50 < fired < POINTS - 50


@LIMITED
def test_transparent_and_inverted_alert(model, driver, with_limits):
    rig = Rig(model)
    theirs = with_limits(rig.i2c, 4000, -4000)
    ours = rig.ours(driver, 10000, 10000)
    theirs.alert_latch = 0
    rig.feel(11)
    assert rig.alerts() == [True, True]
    rig.feel(0)
    assert rig.alerts() == [False, True]
    ours.clear_alert()
    # Adafruit's documentation has it the other way round, but APOL 0 is active low and 1 active
    # high (SBOSA20 section 7.6.1.11, SLYS021 section 7.6.1.12).
    theirs.alert_polarity = 1
    assert ours.invert_alert(True) is not None
    assert rig.alerts() == [True, True]
    rig.feel(11)
    assert rig.alerts() == [False, False]


def test_ina228_limits_of_bus_and_temperature():
    rig = Rig(Ina228)
    theirs = ina228_with_limits(rig.i2c, 0x7FFF, -0x8000)
    theirs.bus_voltage_overlimit = 30.0
    theirs.bus_voltage_underlimit = 24.0
    theirs.temperature_limit = 85.0
    draw = random.Random(7)
    for _ in range(POINTS):
        volts = draw.choice((24.0, 30.0)) + draw.choice((draw.gauss(0, 0.001), draw.gauss(0, 2)))
        celsius = 85 + draw.gauss(0, 5)
        _, v = rig.feel(0, volts, celsius)
        code = round(v / 195.3125e-6)
        hot = round(celsius * 128) > 85 * 128
        rig.chips[0].follow(rig.i2c.now_us)
        flags = theirs.alert_flags
        assert flags["BUSOL"] == (code > 153600)
        assert flags["BUSUL"] == (code < 122880)
        assert flags["TMPOL"] == hot


def test_expander_drivers_agree_on_every_pin():
    inputs = 0xF0
    outside = 0xFFFF
    chip = Expander(0x20, lambda now_us: outside, lambda chip, now_us: None)
    i2c = i2c_adapter.I2C([chip])
    theirs = community_tca9555.TCA9555(i2c)
    assert theirs.configuration_ports == theirs.output_ports == 0xFFFF
    ours = Tca9555(I2c(lambda khz: i2c, lambda: True, lambda: True, CLOCK), 0x20, inputs)
    assert ours.start(0, 0x5A) and ours.polarity() == 0
    assert theirs.configuration_ports == inputs and theirs.output_ports == 0x5A00
    assert theirs.polarity_inversions == 0

    def high():
        return sum(1 << bit for bit in range(16) if chip.driven_high(bit))

    draw = random.Random(8)
    for turn in range(POINTS):
        outside = draw.getrandbits(16)
        switches, leds = draw.getrandbits(4), draw.getrandbits(8)
        if turn % 3 == 0:
            assert ours.switches(switches) and ours.leds(leds)
        elif turn % 3 == 1:
            theirs.output_ports = leds << 8 | switches
        else:
            for bit in range(4):
                setattr(theirs, f"output_port_0_pin_{bit}", bool(switches >> bit & 1))
            for bit in range(8):
                setattr(theirs, f"output_port_1_pin_{bit}", bool(leds >> bit & 1))
        assert high() == leds << 8 | switches
        assert ours.outputs() == theirs.output_port_0 << 8 | theirs.configuration_port_0
        assert ours.outputs() == switches << 8 | inputs
        assert ours.levels() == theirs.input_port_0 == outside & inputs | switches
        assert theirs.input_ports == leds << 8 | outside & inputs | switches
        for bit in range(4, 8):
            assert getattr(theirs, f"input_port_0_pin_{bit}") == bool(outside >> bit & 1)


def test_both_drivers_see_a_chip_that_is_gone():
    rig = Rig(Ina237)
    theirs = adafruit_ina23x.INA23X(rig.i2c, THEIRS)
    ours = rig.ours(ina2xx.Ina237)
    assert rig.i2c.scan() == [THEIRS, OURS]
    for chip in rig.chips:
        chip.powered = False
    assert rig.i2c.scan() == [] and ours.current_ma() is None
    with pytest.raises(OSError, match="no answer"):
        _ = theirs.bus_voltage
    with pytest.raises(ValueError, match="No I2C device"):
        adafruit_ina23x.INA23X(rig.i2c, 0x42)
