# SPDX-License-Identifier: GPL-3.0-only
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
        self.inverted = 0
        self.lit = None
        self.low_lines = 0
        self.stuck_high = self.stuck_low = 0
        self.silent = False
        self.deaf_writes = 0
        self.deaf = False
        self.writes = []
        self.reads = 0

    def start(self, bits, leds):
        if self.silent:
            return False
        if not self.deaf:
            self.latch = bits
            self.direction = 0xF0
            self.inverted = 0
        self.lit = leds
        return True

    def switches(self, bits):
        self.writes.append(bits)
        if self.silent:
            return False
        if self.deaf_writes:
            self.deaf_writes -= 1
        elif not self.deaf:
            self.latch = bits
        return True

    def leds(self, bits):
        self.lit = bits
        return True

    def levels(self):
        # A pin that floats is low: the pull-down of the switch wins.
        self.reads += 1
        pins = (self.latch & ~self.direction & 0x0F | self.stuck_high) & ~self.stuck_low
        levels = (0xF0 & ~self.low_lines | pins) ^ self.inverted
        return None if self.silent else levels

    def outputs(self):
        self.reads += 1
        return None if self.silent else self.latch << 8 | self.direction

    def polarity(self):
        self.reads += 1
        return None if self.silent else self.inverted


def rig(board="kxkm-v2", **custom):
    values = settings.Values({})
    values["board"] = board
    values.given.update({"board." + key: value for key, value in custom.items()})
    expanders = [Expander() for _ in range(4)]
    switches = Switches(expanders, wiring(values))
    for b in range(4):
        assert switches.start(b)
    return switches, expanders


def test_all_boards_are_written_before_the_first_is_read_back():
    order = []

    class Watched(Expander):
        def switches(self, bits):
            order.append("write")
            return Expander.switches(self, bits)

        def outputs(self):
            order.append("read")
            return Expander.outputs(self)

    boards = [Watched() for _ in range(4)]
    switches = Switches(boards, wiring(settings.Values({})))
    for b in range(4):
        switches.start(b)
    del order[:]
    assert switches.close(0x1111) == 0x1111
    assert order[:4] == ["write"] * 4 and "write" not in order[4:], order


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


def test_alert_bits_follow_the_map():
    switches, expanders = rig()
    expanders[1].low_lines = 1 << 7 | 1 << 4
    assert switches.poll(0xFFFF) == 0b1001 << 4
    assert switches.poll(0x0010) == 0x0010
    assert switches.alert_lines() == 0b1001 << 4


def test_a_quiet_poll_reads_each_board_once():
    switches, expanders = rig()
    switches.close(0xFFFF)
    for expander in expanders:
        expander.reads = 0
    assert switches.poll(0xFFFF) == 0
    assert [expander.reads for expander in expanders] == [1, 1, 1, 1]


def test_a_latch_that_missed_a_write_is_written_once_more():
    switches, expanders = rig()
    expanders[0].deaf_writes = 1
    assert switches.close(1) == 1
    assert expanders[0].latch == 8 and not switches.faulty and not switches.restored


def test_a_latch_that_never_opens_is_faulty_after_three_ticks():
    switches, expanders = rig()
    switches.close(1)
    expanders[0].deaf = True
    switches.open(1)
    for _ in range(2):
        switches.count_wrong()
        switches.flush()
        assert switches.faulty == 0
    switches.count_wrong()
    assert switches.faulty == 1


def test_a_latch_that_never_closes_is_faulty_after_three_tries():
    switches, expanders = rig()
    expanders[0].deaf = True
    for tries in range(3):
        assert switches.faulty == 0, tries
        assert switches.close(1) == 0 and switches.wanted == 0
        for _ in range(25):
            switches.count_wrong()
            switches.flush()
    assert switches.faulty == 1


def test_a_latch_that_obeys_again_within_three_ticks_is_not_faulty():
    switches, expanders = rig()
    switches.close(2)
    expanders[0].deaf = True
    switches.open(2)
    for _ in range(2):
        switches.count_wrong()
    expanders[0].deaf = False
    switches.flush()
    for _ in range(5):
        switches.count_wrong()
    assert switches.faulty == 0 and switches.close(1) == 1


def test_a_board_that_was_reset_is_set_up_again_with_all_its_switches_open():
    switches, expanders = rig()
    switches.close(0b10011)
    expanders[0].latch = expanders[0].direction = 0xFF
    expanders[0].lit = None
    switches.verify(0)
    assert (expanders[0].latch, expanders[0].direction) == (0, 0xF0)
    assert expanders[0].lit == 0
    assert switches.present == 0b1111 and switches.restored == 1 and not switches.faulty
    assert switches.fallen == 0b11 and switches.wanted == 0b10000


def test_alert_lines_that_have_become_outputs_are_inputs_again():
    switches, expanders = rig()
    switches.close(0b0001)
    expanders[0].direction = 0x10
    switches.verify(0)
    assert expanders[0].direction == 0xF0 and switches.restored == 1
    assert switches.wanted == 0b0001 and not switches.fallen


def test_an_output_that_became_an_input_or_lost_its_latch_is_not_closed_again():
    for spoil in ("direction", "latch"):
        switches, expanders = rig()
        switches.close(0b11)
        if spoil == "direction":
            expanders[0].direction = 0xF8
        else:
            expanders[0].latch = 0b0100
        switches.verify(0)
        assert (expanders[0].latch, expanders[0].direction) == (0b0100, 0xF0), spoil
        assert switches.fallen == 1 and switches.wanted == 0b10, spoil


def test_a_latch_with_a_bit_too_many_is_opened():
    switches, expanders = rig()
    switches.close(0b10)
    expanders[0].latch = 0b1100
    switches.verify(0)
    assert expanders[0].latch == 0b0100 and not switches.fallen


def test_a_write_that_arrives_garbled_leaves_open_what_was_meant_only():
    switches, expanders = rig()
    switches.close(0b111)

    def garbled(_):
        expanders[0].latch = 0b0001

    expanders[0].switches = garbled
    switches.open(0b100)
    assert expanders[0].latch == 0b1100
    assert switches.wanted == 0b11 and not switches.fallen and not switches.restored


def test_a_garbled_read_back_changes_nothing():
    switches, expanders = rig()
    switches.close(0b11)
    answers = [0xFFFF, 0b1100 << 8 | 0xF0]
    expanders[0].outputs = lambda: answers.pop(0)
    writes = len(expanders[0].writes)
    switches.verify(0)
    assert len(expanders[0].writes) == writes and not switches.fallen and not switches.restored


def test_a_polarity_that_is_not_zero_is_found_and_written_again():
    switches, expanders = rig()
    switches.close(0b11)
    expanders[0].inverted = 0x80
    switches.verify(0)
    assert expanders[0].inverted == 0x80, "not read with each write"
    switches.verify_polarity(0)
    assert expanders[0].inverted == 0 and expanders[0].latch == 0b1100
    assert switches.restored == 1 and not switches.fallen and switches.wanted == 0b11


def test_a_board_whose_polarity_cannot_be_written_does_not_start():
    switches, expanders = rig()
    expanders[0].deaf = True
    expanders[0].inverted = 0xFF
    assert not switches.start(0)


def polls(switches, count):
    for _ in range(count):
        switches.poll(0xFFFF)
        if switches.stray:
            switches.judge_pins()


def test_a_pin_that_stays_low_is_told_after_three_polls():
    switches, expanders = rig()
    switches.close(0b11)
    expanders[0].stuck_low = 8
    polls(switches, 2)
    assert switches.low == 0
    polls(switches, 1)
    assert switches.low == 0b01 and switches.high == 0 and not switches.restored


def test_a_pin_that_stays_high_is_told_until_it_falls_and_costs_no_more_reads():
    switches, expanders = rig()
    switches.close(0b11)
    expanders[0].stuck_high = 4
    switches.open(0b11)
    polls(switches, 2)
    assert switches.high == 0
    polls(switches, 1)
    assert switches.high == 0b10 and switches.low == 0
    expanders[0].reads = 0
    polls(switches, 10)
    assert expanders[0].reads == 10
    switches.close(0b10)
    polls(switches, 10)
    assert switches.high == 0b10, "told to be closed, it says nothing"
    switches.open(0b10)
    polls(switches, 10)
    assert switches.high == 0b10
    expanders[0].stuck_high = 0
    polls(switches, 3)
    assert switches.high == 0


def test_a_pin_that_is_wrong_in_two_polls_of_three_is_not():
    switches, expanders = rig()
    switches.close(0b1)
    for k in range(30):
        expanders[0].stuck_low = 8 if k % 3 else 0
        polls(switches, 1)
    assert switches.low == 0


def test_a_command_between_two_polls_begins_the_comparison_anew():
    switches, expanders = rig()
    switches.close(0b1)
    expanders[0].stuck_low = 8
    polls(switches, 2)
    switches.poll(0xFFFF)
    assert switches.stray == 1
    switches.open(0b1)
    switches.judge_pins()
    polls(switches, 3)
    assert switches.low == 0 and switches.high == 0


def test_pins_that_are_inverted_are_the_polaritys_and_raise_no_alert():
    switches, expanders = rig()
    switches.close(0b0101)
    expanders[0].inverted = 0xFF
    for _ in range(2):
        assert switches.poll(0xFFFF) == 0
    polls(switches, 2)
    assert expanders[0].inverted == 0 and switches.restored == 1
    assert switches.low == 0 and switches.high == 0 and switches.wanted == 0b0101


def test_pins_of_a_board_that_was_reset_tell_of_it_before_its_turn():
    switches, expanders = rig()
    switches.close(0b0101)
    expanders[0].latch = expanders[0].direction = 0xFF
    polls(switches, 3)
    assert expanders[0].direction == 0xF0 and switches.fallen == 0b0101 and not switches.low


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
    assert switches.rejoin(0) is True and switches.unsure(0) == 0
    assert expanders[0].latch == 0b1001
    expanders[0].latch = 0b1011
    assert switches.rejoin(0) is False


def test_a_pin_that_is_known_to_stay_high_keeps_no_board_from_going_on():
    switches, expanders = rig()
    switches.close(0b11)
    expanders[0].stuck_high = 4
    switches.open(0b10)
    polls(switches, 3)
    assert switches.high == 0b10 and switches.rejoin(0) is True
