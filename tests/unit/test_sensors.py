# SPDX-License-Identifier: GPL-3.0-only
"""Doubtful readings: which are believed or read again, and when a sensor counts as lost."""

from parallelator import settings
from parallelator.catalog import Reason
from parallelator.hardware.ina2xx import Ina237
from parallelator.hardware.ina_others import Ina219, Ina226
from parallelator.protection import rules
from parallelator.protection.sensors import Sensors
from parallelator.snapshot import Snapshot


class Chip:
    """Voltages one a read (the last one for ever), always 1000 mA; None = no answer."""

    def __init__(self, *voltages):
        self.voltages = list(voltages)
        self.reads = 0

    def voltage_mv(self):
        self.reads += 1
        return self.voltages.pop(0) if len(self.voltages) > 1 else self.voltages[0]

    def current_ma(self):
        return 1000


class Wire:
    def __init__(self):
        self.recovered = 0

    def recover(self):
        self.recovered += 1
        return True


def rig(zero_ma=0, **changes):
    values = settings.Values({})
    values.given.update(changes)
    snap = Snapshot()
    wire = Wire()
    limits, shunt_uohm = rules.Limits(values), values["sensor.shunt_uohm"]
    return Sensors(wire, snap, limits, shunt_uohm, [zero_ma] * 16), snap, wire


def read(last_mv, *voltages):
    """(believed, voltage in the snapshot, reads) after one read with `last_mv` before."""
    sensors, snap, _ = rig()
    snap.voltage_mv[3] = last_mv
    sensors.chips[3] = chip = Chip(*voltages)
    return sensors.read(3), snap.voltage_mv[3], chip.reads


def test_the_zero_of_a_sensor_is_taken_off():
    sensors, snap, _ = rig(zero_ma=-80)
    sensors.chips[3] = Chip(26000)
    assert sensors.read(3) and snap.current_ma[3] == 1080
    assert sensors.current_ma(3) == 1080 and sensors.current_ma(4) is None


def test_a_reading_near_the_last_one_is_believed_at_once():
    assert read(26000, 25000) == (True, 25000, 1)
    assert read(26000, 18200) == (True, 18200, 1)
    assert read(26000, 33800) == (True, 33800, 1)


def test_one_corrupt_reading_does_not_reach_the_snapshot():
    for corrupt in (13000, 36400, 1012, 0, 65535):
        assert read(26000, corrupt, 26010, 26010) == (True, 26010, 3), corrupt


def test_two_readings_that_agree_are_the_truth_however_bad():
    assert read(26000, 12000, 12100) == (True, 12100, 2)
    assert read(26000, 38000, 38500) == (True, 38500, 2)
    assert read(26000, 0, 0) == (True, 0, 2)


def test_three_readings_that_disagree_are_a_failed_read_and_no_reference():
    assert read(26000, 13000, 5000, 40000) == (False, 26000, 3)


def test_the_first_reading_of_a_sensor_needs_a_second():
    assert read(0, 26000, 26100) == (True, 26100, 2)


def test_no_answer_is_a_failed_read_wherever_it_happens():
    assert read(26000, None)[0] is False
    assert read(26000, 13000, None)[0] is False
    assert read(26000, 13000, 5000, None)[0] is False


def test_three_failed_reads_or_half_a_second_lose_a_sensor():
    sensors, _, _ = rig()
    sensors.chips[0] = sensors.chips[1] = Chip(26000)
    assert [sensors.missed(0, 80 * k) for k in (1, 2, 3)] == [False, False, True]
    sensors.chips[4] = sensors.chips[5] = Chip(26000)
    assert not sensors.missed(4, 500), "one: the guard may have been kept off"
    assert sensors.missed(4, 580)


def test_a_whole_board_that_fails_frees_the_bus_first_and_once():
    sensors, _, wire = rig()
    for i in (4, 5):
        sensors.chips[i] = Chip(None)
    for i in (4, 5):
        sensors.missed(i, 80)
        sensors.missed(i, 160)
    assert not sensors.missed(4, 240) and wire.recovered == 1
    assert sensors.missed(5, 240) and wire.recovered == 1
    sensors.chips[4] = Chip(26000)
    sensors.read(4)
    assert sensors._rescued == 0


def test_a_chip_that_cannot_measure_up_to_the_limits_is_refused_with_the_reason():
    sensors, snap, _ = rig()
    assert sensors.refusal(Ina219) == Reason.SENSOR_RANGE
    small, _, _ = rig(**{"limits.max_voltage_mv": 15000, "sensor.shunt_uohm": 20000})
    assert small.refusal(Ina237) == Reason.SENSOR_RANGE
    wide, _, _ = rig(**{"limits.max_current_ma": 26000, "limits.max_discharge_current_ma": 26000})
    assert wide.refusal(Ina226) == Reason.SENSOR_RANGE and wide.refusal(Ina237) == Reason.NONE


class Register:
    """The register of each chip that may hold its number, and who mistakes addresses.

    Attributes:
        values: address to contents; also: address to the one that takes its transfers, too;
        deaf: addresses that do not answer.
    """

    stuck = False

    def __init__(self):
        self.word = bytearray(2)
        self.values = dict.fromkeys(range(0x40, 0x50), 0x26A0)
        self.also = {}
        self.deaf = set()

    def write16(self, address, register, value):
        for at in (address, self.also.get(address, address)):
            if at not in self.deaf:
                self.values[at] = value
        return address not in self.deaf

    def read(self, address, register, buf):
        value = self.values[address] & self.values[self.also.get(address, address)]
        buf[0], buf[1] = value >> 8, value & 0xFF
        return address not in self.deaf


class Running:
    """A chip that was set up: its register holds a limit."""

    def standing(self, register):
        return 0x26A0


def aliases(mask, answered=None, also=(), deaf=(), running=()):
    sensors, _, _ = rig()
    sensors._i2c = register = Register()
    register.also = dict(also)
    register.deaf = set(deaf)
    for i in running:
        sensors.chips[i] = Running()
    return sensors.aliases(mask, mask if answered is None else answered)


def test_chips_that_keep_their_numbers_are_no_aliases():
    assert aliases(0xFFFF) == 0
    assert aliases(0x0010, running=(5, 6, 7, 8)) == 0


def test_a_chip_that_takes_its_neighbours_number_makes_both_aliases():
    for i in range(16):
        for k in range(16):
            if i != k:
                found = aliases(0xFFFF, also=((0x40 + i, 0x40 + k),))
                assert found == 1 << i | 1 << k, (i, k, found)


def test_a_chip_that_does_not_answer_is_one_only_where_it_was_just_found():
    assert aliases(0b11, deaf=(0x41,)) == 0b10
    assert aliases(0b11, 0b01, deaf=(0x41,)) == 0


def test_a_neighbour_that_runs_and_takes_the_number_of_another_is_one():
    assert aliases(1 << 4, also=((0x44, 0x47),), running=(5, 6, 7)) == 0b10010000
    # One whose limit is another for another reason is left to its proof.
    sensors, _, _ = rig()
    sensors._i2c = register = Register()
    sensors.chips[5] = Running()
    register.values[0x45] = 0x7FFF
    assert sensors.aliases(1 << 4, 1 << 4) == 0


def test_nothing_is_said_while_i2c_is_stuck():
    sensors, _, _ = rig()
    sensors._i2c = register = Register()
    register.deaf = set(range(0x40, 0x50))
    register.stuck = True
    assert sensors.aliases(0xFFFF, 0xFFFF) == 0


class Jumping(Chip):
    """A chip whose currents are told, one a read."""

    def __init__(self, *currents):
        super().__init__(26000)
        self.currents = list(currents)

    def current_ma(self):
        return self.currents.pop(0)


def test_a_current_that_jumps_beyond_its_hard_limit_is_read_again():
    for last_ma, currents, believed in (
        (2500, (-79435, 2500), 2500),
        (2500, (25000, 24000), 24000),
        (25000, (24000,), 24000),
        (-25000, (24000, -25000), -25000),
        (2500, (14999,), 14999),
    ):
        sensors, snap, _ = rig()
        snap.voltage_mv[3], snap.current_ma[3] = 26000, last_ma
        sensors.chips[3] = Jumping(*currents)
        assert sensors.read(3) and snap.current_ma[3] == believed, currents
        assert sensors.chips[3].currents == [], currents


class Low(Chip):
    """A sensor that remembers what its lower limit was told."""

    def __init__(self, *voltages):
        super().__init__(*voltages)
        self.told = []
        self.settings = ()

    def watch_low(self, on):
        self.told.append(on)
        return True

    def configure(self, *limits):
        return True


def test_a_battery_below_its_hard_limit_has_no_lower_limit_until_it_is_charged():
    # 90 % of 24 V are 21.6 V.
    sensors, snap, _ = rig()
    sensors.chips[3] = chip = Low(21600)
    for mv, told, low in (
        (21601, [], False),
        (21600, [False], True),
        (21900, [False], True),
        (21901, [False, True], False),
    ):
        snap.voltage_mv[3] = mv
        sensors.watch_low(3)
        assert (chip.told, bool(sensors.low)) == (told, low), mv
    snap.voltage_mv[3] = 21500
    sensors.watch_low(3)
    assert sensors.configure(3) and chip.told[-1] is False, "set up anew, it is told again"
    sensors.drop(3)
    assert not sensors.low
