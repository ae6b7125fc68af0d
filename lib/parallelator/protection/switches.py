# SPDX-License-Identifier: GPL-3.0-only
"""All expanders together: masks of batteries in, verified switches out. Owned by `guard`.

Bit i of a mask is battery i; its board is i // 4. An opening that a board did not take stays
wanted and is written again each tick. What is found open though it was closed stays open: only
`close` closes.
"""

from micropython import const

from parallelator import catalog
from parallelator.snapshot import BOARDS, CHANNELS

_LOST_AFTER = const(3)
"""Failed ALERT reads in a row after which a board counts as gone."""
_WRONG_TICKS = const(3)
"""Ticks, or closings, in a row after which a board whose registers stay wrong is faulty."""


class Switches:
    """All switches, ALERT lines and LEDs of a rig.

    Args:
        expanders: list of four `hardware.tca9555.Tca9555`, one per board address.
        wiring: a `hardware.controller.Wiring`.

    Attributes:
        wanted: mask of batteries whose switch shall be closed.
        silent: bit b set when board b did not answer the last `poll`.
        present: bit b set while board b answers and its outputs are enabled.
        faulty: bit b set when board b's registers stayed wrong for three ticks, though rewritten,
            or in three closings.
        restored: bit b set when board b had lost registers and got them back.
        fallen: mask of batteries that were found open though they had been closed.
        stray: mask of batteries whose pin differed from its command in three polls.
        low: mask of batteries whose pin stays low though registers and command say high.
        high: the opposite: the pin stays high, so that the switch cannot be opened.
    """

    def __init__(self, expanders: "list[Tca9555]", wiring: "Wiring"):
        self._expanders = expanders
        self._port = bytes(
            sum(1 << wiring.switch[c] for c in range(CHANNELS) if nibble >> c & 1)
            for nibble in range(16)
        )
        self._alert_bits = wiring.alert
        self._alert_idle = sum(1 << bit for bit in wiring.alert)
        self._wiring = wiring
        self._dark = 0xFF if wiring.leds_inverted else 0
        self._written = bytearray(BOARDS)
        self._verified = bytearray(BOARDS)
        self._pending = 0
        self._wrong = 0
        self._wrong_ticks = bytearray(BOARDS)
        self._refused = bytearray(BOARDS)
        self._odd = bytearray(BOARDS)
        self._odder = bytearray(BOARDS)
        self._failures = bytearray(BOARDS)
        self._lit = bytearray(BOARDS)
        self.wanted = 0
        self.silent = 0
        self.present = 0
        self.faulty = 0
        self.restored = 0
        self.fallen = 0
        self.stray = 0
        self.low = 0
        self.high = 0

    def start(self, b: int):
        """Bring board b up with every switch off; True when it answers and verifies."""
        self.wanted &= ~(15 << b * CHANNELS)
        self._written[b] = self._verified[b] = 0
        self._lit[b] = self._dark
        if not self._expanders[b].start(0, self._dark) or not self._stands(b):
            return False
        self._failures[b] = 0
        self._accept(b)
        self.present |= 1 << b
        return True

    def _stands(self, b: int):
        # True when latch, direction and polarity are as written, None without an answer.
        found = self._expanders[b].outputs()
        polarity = self._expanders[b].polarity()
        if found is None or polarity is None:
            return None
        return found == self._written[b] << 8 | self._alert_idle and not polarity

    def _accept(self, b: int):
        self._verified[b] = self._written[b]
        self._pending &= ~(1 << b)
        self._wrong &= ~(1 << b)
        self._wrong_ticks[b] = 0

    def poll(self, watched: int):
        """Read the pins of every board: ALERT lines, and whether the switch outputs follow.

        Args:
            watched: mask of the batteries whose ALERT matters.

        Returns:
            int: mask of those whose ALERT is low.
        """
        alerts = 0
        self.silent = 0
        idle = self._alert_idle
        for b in range(BOARDS):
            if self.present >> b & 1:
                levels = self._expanders[b].levels()
                if levels is None:
                    self.silent |= 1 << b
                else:
                    self._failures[b] = 0
                    odd = levels ^ (idle | self._written[b])
                    if odd or self._odd[b] or self.high:
                        alerts |= self._compare(b, odd)
        return alerts & watched

    def alert_lines(self):
        """Mask of the batteries whose ALERT is low; those of a silent board are not."""
        low = 0
        for b in range(BOARDS):
            if self.present >> b & 1:
                levels = self._expanders[b].levels()
                if levels is not None:
                    low |= self._alerted(b, ~levels)
        return low

    def _compare(self, b: int, odd: int):
        # Note the switch outputs that are not as commanded; return the batteries whose ALERT is.
        pins = odd & ~self._alert_idle
        # All of them wrong: an inverted port, or one that was reset, tells nothing of ALERT.
        alerts = 0 if pins == self._port[15] else self._alerted(b, odd)
        if self._pending >> b & 1:
            return alerts
        written = self._written[b]
        odd, odder = self._odd[b], self._odder[b]
        self._odd[b], self._odder[b] = pins, odd
        thrice = pins & odd & odder
        low = self._places(b, thrice & written)
        high = self._places(b, thrice & ~written)
        self.stray |= low & ~self.low | high & ~self.high
        self.high &= ~self._places(b, ~(pins | odd | odder | written))
        return alerts

    def judge_pins(self):
        """The pins of `stray` are at fault, unless registers are: those are written again."""
        for b in range(BOARDS):
            stray = self.stray & 15 << b * CHANNELS
            if not stray:
                continue
            stands = self._stands(b)
            if stands:
                self.low |= stray & self.wanted
                self.high |= stray & ~self.wanted
            elif stands is not None:
                self._mend(b)
            self._compare_anew(b)

    def _compare_anew(self, b: int):
        self._odd[b] = self._odder[b] = 0
        self.stray &= ~(15 << b * CHANNELS)

    def alert_low(self, i: int):
        """True while battery i's ALERT line is low; None when its board does not answer."""
        levels = self._expanders[i // CHANNELS].levels()
        return None if levels is None else not levels >> self._alert_bits[i % CHANNELS] & 1

    def _alerted(self, b: int, low: int):
        mask = 0
        for c in range(CHANNELS):
            if low >> self._alert_bits[c] & 1:
                mask |= 1 << b * CHANNELS + c
        return mask

    def _places(self, b: int, bits: int):
        # The batteries of switch outputs.
        mask = 0
        for c in range(CHANNELS):
            if bits & self._port[1 << c]:
                mask |= 1 << b * CHANNELS + c
        return mask

    def count_silent(self):
        """The boards, not I2C, did not answer the last `poll`: after three such, one is gone."""
        for b in range(BOARDS):
            if self.silent >> b & 1:
                self._failures[b] += 1
                if self._failures[b] >= _LOST_AFTER:
                    self.present &= ~(1 << b)

    def unsure(self, b: int):
        """Mask of the batteries of board b whose opening has not been read back."""
        if not self._pending >> b & 1:
            return 0
        return self._places(b, self._verified[b] & ~self._written[b])

    def rejoin(self, b: int):
        """Open what is due on board b; look whether latch, direction and pins stand as written.

        Returns:
            bool or None: True when they do, and it counts as present again; None when it does
            not answer.
        """
        expander = self._expanders[b]
        bits = self._written[b]
        self.present &= ~(1 << b)
        for _ in range(2):  # one answer may be garbled
            if self._pending >> b & 1:
                expander.switches(bits)
            levels = expander.levels()
            outputs = expander.outputs()
            if levels is None or outputs is None:
                return None
            odd = levels & ~self._alert_idle ^ bits
            odd &= ~self._port[self.high >> b * CHANNELS & 15]
            if not odd and outputs == bits << 8 | self._alert_idle:
                self._failures[b] = 0
                self._accept(b)
                self.present |= 1 << b
                return True
        return False

    def open(self, mask: int):
        """Open the switches of `mask`: one write per board, then read back."""
        self.wanted &= ~mask
        self.flush()

    def close(self, mask: int):
        """Close the switches of `mask`, the only place where a switch closes.

        Returns:
            int: mask of those that read back as closed; the others are open again.
        """
        self.wanted |= mask
        self.flush()
        failed = 0
        for b in range(BOARDS):
            board = mask & 15 << b * CHANNELS
            if self._pending >> b & 1 or not self.present >> b & 1:
                failed |= board
            if board:
                self._refused[b] = self._refused[b] + 1 if self._wrong >> b & 1 else 0
                if self._refused[b] >= _WRONG_TICKS:
                    self.faulty |= 1 << b
        if failed:
            self.open(failed)
        return mask & self.wanted

    def flush(self):
        """Write every present board whose outputs are not verified to be what is wanted.

        All are written before the first is read back: what starts together closes together.
        """
        wanted = self.wanted
        moved = 0
        for b in range(BOARDS):
            bits = self._port[wanted & 15]
            wanted >>= CHANNELS
            if self.present >> b & 1 and (bits != self._written[b] or self._pending >> b & 1):
                self._written[b] = bits
                self._pending |= 1 << b
                self._compare_anew(b)
                self._expanders[b].switches(bits)
                moved |= 1 << b
        for b in range(BOARDS):
            if moved >> b & 1:
                self.verify(b, True)

    def verify(self, b: int, just_written: bool = False):
        """Read board b's latch and direction back; write them again when they are wrong.

        Args:
            just_written: True right after a write: a latch that differs is its doing.
        """
        found = self._expanders[b].outputs()
        if found == self._written[b] << 8 | self._alert_idle:
            self._accept(b)
        elif found is not None:
            self._mend(b, just_written)

    def verify_polarity(self, b: int):
        """Read board b's polarity back; write it again when it is wrong."""
        if self._expanders[b].polarity():
            self._mend(b)

    def _mend(self, b: int, just_written: bool = False):
        # Look again, since one answer may be garbled. An output that floats, or whose latch has
        # lost its bit, is open: it stays so, unless a write that arrived garbled has just opened
        # it, for milliseconds.
        expander = self._expanders[b]
        found = expander.outputs()
        polarity = expander.polarity()
        if found is None or polarity is None:
            return
        direction = found & 0xFF
        floating = direction & ~self._alert_idle
        stood = 0 if just_written else self._verified[b]
        lost = self._written[b] & (floating | stood & ~(found >> 8))
        fallen = self._places(b, lost)
        self.fallen |= fallen
        self.wanted &= ~fallen
        self._written[b] &= ~lost
        misled = direction != self._alert_idle or polarity
        if lost or misled or found >> 8 != self._written[b]:
            self._pending |= 1 << b
            self._compare_anew(b)
            expander.start(self._written[b], self._lit[b])
            stands = self._stands(b)
            if not stands:
                self._wrong |= 0 if stands is None else 1 << b
                return
            if lost or misled:
                self.restored |= 1 << b
        self._accept(b)

    def count_wrong(self):
        """A tick is over: a board whose registers stay wrong becomes `faulty`."""
        for b in range(BOARDS):
            if self._wrong & self.present & 1 << b:
                self._wrong_ticks[b] += 1
                if self._wrong_ticks[b] >= _WRONG_TICKS:
                    self._wrong_ticks[b] = 0
                    self.faulty |= 1 << b

    def show(self, b: int, states: bytearray, alarmed: int, blink: bool):
        """Light board b's LEDs as the catalogue says of states and alarms.

        Args:
            states: the snapshot's states; alarmed: mask of those whose red LED is lit besides.
            blink: True in the lit half of a blink.
        """
        bits = 0
        for c in range(CHANNELS):
            _, _, _, red, green = catalog.STATES[states[b * CHANNELS + c]]
            if red == catalog.LIT or red and blink or alarmed >> b * CHANNELS + c & 1:
                bits |= 1 << self._wiring.red[c]
            if green == catalog.LIT or green and blink:
                bits |= 1 << self._wiring.green[c]
        bits ^= self._dark
        if bits != self._lit[b] and self._expanders[b].leds(bits):
            self._lit[b] = bits
