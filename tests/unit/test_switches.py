"""Masks of batteries in, register bytes out: maps, LEDs, verification, boards that fail."""

import sys

# The maps need no hardware: what the board module imports may be anything here.
sys.modules.setdefault("esp32", sys)
sys.modules.setdefault("machine", sys)

from parallelator import settings  # noqa: E402
from parallelator.catalog import ABSENT, LOCKED, OFF, ON, TRIPPED, UNCONTROLLED, WAITING  # noqa: E402
from parallelator.hardware.controller import wiring  # noqa: E402
from parallelator.protection.switches import Switches  # noqa: E402


class Expander:
    """A board's expander: obeys, unless told otherwise."""

    def __init__(self):
        self.latch = 0xFF
        self.direction = 0xFF
        self.lit = None
        self.inputs = 0xFF
        self.silent = False
        self.deaf_writes = 0
        self.writes = []

    def start(self, leds):
        if self.silent:
            return False
        self.latch = 0
        self.direction = 0xF0
        self.lit = leds
        return True

    def switches(self, bits):
        self.writes.append(bits)
        if self.silent:
            return False
        if self.deaf_writes:
            self.deaf_writes -= 1
        else:
            self.latch = bits
        return True

    def leds(self, bits):
        self.lit = bits
        return True

    def levels(self):
        return None if self.silent else self.inputs

    def outputs(self):
        return None if self.silent else self.latch << 8 | self.direction


def rig(board="kxkm-v2", **custom):
    values = settings.defaults()
    values["board"] = board
    values.update({"board." + key: value for key, value in custom.items()})
    expanders = [Expander() for _ in range(4)]
    switches = Switches(expanders, wiring(values))
    for b in range(4):
        assert switches.start(b)
    return switches, expanders


def test_the_map_of_the_board_places_every_switch():
    for board, bits in (("kxkm-v2", (8, 4, 2, 1)), ("straight", (1, 2, 4, 8))):
        for i in range(16):
            switches, expanders = rig(board)
            assert switches.close(1 << i) == 1 << i
            latches = [expander.latch for expander in expanders]
            assert latches[i // 4] == bits[i % 4] and sum(latches) == bits[i % 4]


def test_a_custom_map_wins_over_the_preset():
    switches, expanders = rig(switch=[2, 0, 3, 1])
    switches.close(0b0101)
    assert expanders[0].latch == 0b1100


def test_one_write_per_board_opens_and_closes():
    switches, expanders = rig()
    switches.close(0xFFFF)
    switches.open(0x0F0F)
    assert [expander.writes for expander in expanders] == [[15, 0], [15], [15, 0], [15]]


def test_alert_bits_follow_the_map_and_need_two_reads():
    switches, expanders = rig()
    expanders[1].inputs = 0xFF & ~(1 << 7) & ~(1 << 4)
    assert switches.poll(0xFFFF) == 0b1001 << 4
    assert switches.poll(0x0010) == 0x0010
    reads = [0xFF & ~(1 << 6), 0xFF]
    expanders[1].levels = lambda: reads.pop(0)
    assert switches.poll(0xFFFF) == 0


def test_a_latch_that_missed_a_write_is_written_once_more():
    switches, expanders = rig()
    expanders[0].deaf_writes = 1
    assert switches.close(1) == 1
    assert expanders[0].writes == [8, 8] and not switches.faulty


def test_a_latch_that_never_obeys_is_faulty_and_its_closing_is_withdrawn():
    switches, expanders = rig()
    expanders[0].deaf_writes = 100
    assert switches.close(1) == 0
    assert switches.faulty == 1 and switches.wanted == 0


def test_outputs_that_float_again_mean_a_lost_board():
    switches, expanders = rig()
    switches.close(1)
    expanders[0].direction = 0xFF
    switches.verify(0)
    assert switches.present == 0b1110


def test_a_closing_on_a_board_that_is_gone_is_no_closing():
    switches, expanders = rig()
    for _ in range(3):
        expanders[2].silent = True
        switches.poll(0)
        assert switches.silent == 0b100
        switches.count_silent()
    assert switches.present == 0b1011
    assert switches.close(1 << 8) == 0 and switches.wanted == 0


def test_an_opening_that_got_no_answer_stays_wanted():
    switches, expanders = rig()
    switches.close(0b11)
    expanders[0].silent = True
    switches.open(0b01)
    expanders[0].silent = False
    assert expanders[0].latch == 0b1100
    switches.flush()
    assert expanders[0].latch == 0b0100


def test_a_start_without_answer_is_reported():
    switches, expanders = rig()
    expanders[3].silent = True
    assert not switches.start(3)


def shown(board, states, blink, alarmed=0):
    switches, expanders = rig(board)
    switches.show(0, bytes(states) + bytes(12), alarmed, blink)
    return expanders[0].lit


def test_leds_tell_the_state():
    # Red of channel c is bit 2c, green bit 2c + 1.
    assert shown("kxkm-v2", (ON, LOCKED, UNCONTROLLED, ABSENT), True) == 0b00110110
    assert shown("kxkm-v2", (WAITING, TRIPPED, OFF, ON), True) == 0b10000110
    assert shown("kxkm-v2", (WAITING, TRIPPED, OFF, ON), False) == 0b10000000


def test_an_alarm_lights_the_red_led():
    assert shown("kxkm-v2", (OFF, OFF, OFF, ON), False, 0b1100) == 0b11010000
    assert shown("kxkm-v2", (OFF, OFF, OFF, ON), False, 0xF0) == 0b10000000


def test_leds_of_board_v1_are_inverted_and_dark_at_start():
    assert shown("kxkm-v1", (ON, LOCKED, UNCONTROLLED, ABSENT), True) == 0xFF ^ 0b00110110
    _, expanders = rig("kxkm-v1")
    assert expanders[0].lit == 0xFF
    _, expanders = rig("kxkm-v2")
    assert expanders[0].lit == 0


def test_a_board_that_returns_opens_what_is_due_and_stands_as_written():
    switches, expanders = rig()
    switches.close(0b1011)
    expanders[0].silent = True
    switches.open(0b10)
    assert switches.unsure(0) == 0b10 and switches.unsure(1) == 0
    assert switches.rejoin(0) is None
    expanders[0].silent = False
    # A pin reads as its latch says, the lines of ALERT are high.
    expanders[0].levels = lambda: 0xF0 | expanders[0].latch
    assert switches.rejoin(0) is True and switches.unsure(0) == 0
    assert expanders[0].latch == 0b1001
    expanders[0].latch = 0b1011
    assert switches.rejoin(0) is False
