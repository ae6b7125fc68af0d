# SPDX-License-Identifier: GPL-3.0-only
"""The sensor drivers on chips that answer, stop answering, or are not what they seem.

tests/cpython/test_second_opinion.py compares what they read with drivers by other people.
"""

import time
from errno import ENODEV

from parallelator.clock import Clock
from parallelator.hardware.i2c import I2c
from parallelator.hardware.ina2xx import (
    ALERT,
    FRESH,
    HIGH,
    INTACT,
    LOW,
    Ina237,
)
from parallelator.hardware.ina_models import detect, driver
from parallelator.hardware.ina_others import Ina219, Ina226, Ina228
from sim.chips.ina219 import Ina219 as Model219
from sim.chips.ina226 import Ina226 as Model226
from sim.chips.ina228 import Ina228 as Model228
from sim.chips.ina237 import Ina237 as Model237
from sim.plant import Plant

CLOCK = Clock(time)
MODELS = {"ina237": Model237, "ina228": Model228, "ina226": Model226, "ina219": Model219}


class Line:
    """An I2C unit with one chip model at 0x40; fails from the transaction `silent_from` on."""

    def __init__(self, model):
        self.plant = Plant([{"n": 1, "soc": 0.5}])
        self.chip = model(0x40, 0, self.plant)
        self.now_us = 0
        self.count = 0
        self.silent_from = 1 << 60

    def _step(self):
        self.count += 1
        self.now_us += 10000
        self.plant.step(self.now_us)
        self.chip.follow(self.now_us)
        if self.count >= self.silent_from:
            raise OSError(ENODEV)

    def readfrom_mem_into(self, address, register, buf):
        self._step()
        self.chip.read(register, buf, self.now_us)

    def writeto(self, address, data):
        self._step()
        self.chip.write(data[0], bytes(data)[1:], self.now_us)


def chip_on(name):
    line = Line(MODELS[name])
    return line, driver(name)(I2c(lambda khz: line, lambda: True, lambda: True, CLOCK), 0x40, 2000)


def test_every_chip_is_detected_as_what_it_is():
    for name, model in MODELS.items():
        line = Line(model)
        i2c = I2c(lambda khz, line=line: line, lambda: True, lambda: True, CLOCK)
        found = detect(i2c, 0x40)
        assert found == name and driver(name).NAME.lower() == name, (name, found)


def test_detection_ends_wherever_the_chip_stops_answering():
    for model in MODELS.values():
        for silent_from in range(1, 5):
            line = Line(model)
            line.silent_from = silent_from
            i2c = I2c(lambda khz, line=line: line, lambda: True, lambda: True, CLOCK)
            found = detect(i2c, 0x40)
            assert found is None or line.count < silent_from


def test_configuring_fails_wherever_the_chip_stops_answering():
    for name in MODELS:
        line, driver = chip_on(name)
        assert driver.configure(15000, 12000, 27000), name
        needed = line.count
        for silent_from in range(1, needed + 1):
            line, driver = chip_on(name)
            line.silent_from = silent_from
            assert not driver.configure(15000, 12000, 27000), (name, silent_from)


def test_a_setting_that_does_not_read_back_is_no_success():
    for name in MODELS:
        line, driver = chip_on(name)
        line.chip.write = lambda reg, data, now_us: None
        assert not driver.configure(15000, 12000), name


def test_every_read_returns_none_without_an_answer():
    for name in MODELS:
        line, driver = chip_on(name)
        assert driver.configure(15000, 12000, 27000)
        line.silent_from = 0
        assert driver.current_ma() is None and driver.voltage_mv() is None
        assert driver.temperature_mc() is None and driver.prove() is None
        line, driver = chip_on(name)
        driver.configure(15000, 12000, 27000)
        line.silent_from = line.count + 3
        assert driver.prove() is None or not isinstance(driver, Ina219)


def test_proof_shows_intact_and_fresh_then_a_reset_and_a_frozen_chip():
    for name in MODELS:
        line, driver = chip_on(name)
        driver.configure(15000, 12000, 27000)
        for _ in range(6):
            assert driver.prove() == INTACT | FRESH, name
        line.chip.power_on(line.now_us)
        assert any(not driver.prove() & INTACT for _ in range(4)), name
        driver.configure(15000, 12000, 27000)
        driver.prove()
        line.chip.freeze(True, line.now_us)
        driver.prove()
        assert driver.prove() == INTACT, name


def test_a_passed_limit_shows_in_the_proof_and_is_cleared_by_it():
    for name in ("ina237", "ina228", "ina226"):
        line, driver = chip_on(name)
        driver.configure(15000, 12000, 27000)
        line.plant.inject_current(0, 15100)
        for _ in range(3):
            line._step()
        line.plant.inject_current(0, 0)
        for _ in range(3):
            line._step()
        assert driver.prove() & ALERT, name
        assert not driver.prove() & ALERT, name


def test_the_first_code_beyond_a_limit_of_the_voltage_pulls_the_line():
    for name in ("ina237", "ina228"):
        for mv, shows in ((30900, 0), (30904, HIGH), (21600, 0), (21596, LOW)):
            line, driver = chip_on(name)
            driver.configure(15000, 12000, 27000, 21600, 30900)
            line.plant.set_pack(0, voltage_mv=26000)
            line.plant.inject_voltage(0, mv - 26000)
            for _ in range(3):
                line._step()
            assert line.chip.alert_low(line.now_us) == bool(shows), (name, mv)
            line.plant.inject_voltage(0, 0)
            for _ in range(3):
                line._step()
            # It stays so until the flags are read.
            assert line.chip.alert_low(line.now_us) == bool(shows), (name, mv)
            assert driver.clear_alert() == shows and driver.clear_alert() == 0, (name, mv)


def test_no_limit_means_no_alert():
    for name in ("ina237", "ina228", "ina226"):
        line, driver = chip_on(name)
        assert driver.configure(0, 0)
        line.plant.inject_current(0, 40000)
        for _ in range(3):
            line._step()
        assert not driver.prove() & ALERT and not line.chip.alert_low(line.now_us), name


def test_inverting_the_polarity_pulls_the_line_of_a_quiet_chip():
    for name in ("ina237", "ina228", "ina226"):
        line, driver = chip_on(name)
        driver.configure(15000, 12000, 27000)
        assert driver.invert_alert(True) == 0 and line.chip.alert_low(line.now_us), name
        assert driver.invert_alert(False) == 0 and not line.chip.alert_low(line.now_us), name


def test_flags_that_the_proof_of_the_line_clears_are_told():
    for name in ("ina237", "ina228", "ina226"):
        line, driver = chip_on(name)
        driver.configure(15000, 12000, 27000)
        line.plant.inject_current(0, 16000)
        for _ in range(3):
            line._step()
        line.plant.inject_current(0, 0)
        for _ in range(3):
            line._step()
        assert driver.invert_alert(True) == ALERT and driver.invert_alert(False) == 0, name
        assert driver.clear_alert() == 0, name


def test_one_garbled_answer_is_no_lost_setting():
    for name in MODELS:
        for read in range(2):
            line, driver = chip_on(name)
            driver.configure(15000, 12000, 27000)
            for _ in range(3):
                line._step()
            i2c = driver._i2c
            honest, left = i2c.read, [read]

            def garbled(address, register, buf, honest=honest, left=left):
                good = honest(address, register, buf)
                if register != 0x03:
                    left[0] -= 1
                    if left[0] == -1:
                        buf[0] ^= 0x80
                return good

            i2c.read = garbled
            shown = driver.prove()
            i2c.read = honest
            assert shown & INTACT, (name, read)


def test_voltages_of_the_ina228_round_away_from_the_centre():
    line, driver = chip_on("ina228")
    driver.configure(15000, 15000, 27000)
    for mv, wanted in ((24000, 24000), (23999.8, 23999), (30000, 30000), (30000.2, 30001)):
        line.plant.set_pack(0, voltage_mv=28000)
        line.plant.inject_voltage(0, mv - 28000)
        for _ in range(3):
            line._step()
        assert driver.voltage_mv() == wanted, (mv, driver.voltage_mv())


def test_currents_are_signed_and_in_milliamps():
    for name in MODELS:
        line, driver = chip_on(name)
        driver.configure(15000, 12000, 27000)
        for ma in (0, 1000, -1000, 9995, -15000):
            line.plant.inject_current(0, ma)
            for _ in range(3):
                line._step()
            assert abs(driver.current_ma() - ma) <= 5, (name, ma)


def test_ranges_and_abilities_are_stated():
    assert (Ina237.MAX_MV, Ina219.MAX_MV) == (85000, 26000)
    assert Ina226.RANGE_UV == 81920 and Ina228.RANGE_UV == 163840
    assert not Ina219.HAS_ALERT and Ina226.HAS_ALERT


def test_the_lower_limit_of_the_voltage_can_be_left_out_and_is_intact_so():
    for name in ("ina237", "ina228"):
        line, chip = chip_on(name)
        assert chip.configure(10000, 10000, 26000, 21600, 30000)
        line.plant.inject_voltage(0, -6000)
        chip.clear_alert()
        assert chip.prove() & LOW, name
        assert chip.watch_low(False) and chip.watch_low(False)
        chip.clear_alert()
        for _ in range(2 * len(chip.settings)):
            assert chip.prove() & (INTACT | LOW) == INTACT, name
        assert chip.watch_low(True)
        chip.clear_alert()
        assert chip.prove() & (INTACT | LOW) == INTACT | LOW, name
        chip.watch_low(False)
        assert chip.configure(10000, 10000, 26000, 21600, 30000)
        chip.clear_alert()
        assert chip.prove() & LOW, "set up anew"
    for name in ("ina226", "ina219"):
        line, chip = chip_on(name)
        chip.configure(10000, 10000)
        written = line.count
        assert chip.watch_low(False) and line.count == written, name
