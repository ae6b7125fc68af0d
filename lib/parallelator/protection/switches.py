"""The expanders as one: masks of batteries in, verified switches out. Owned by `guard`.

Bit i of a mask is battery i; its board is i // 4. An opening that a board did not take stays
wanted and is written again each tick.
"""

from micropython import const

from parallelator import catalog
from parallelator.snapshot import BOARDS, CHANNELS

_LOST_AFTER = const(3)
"""Failed ALERT reads in a row after which a board counts as gone."""


class Switches:
    """All switches, ALERT lines and LEDs of a rig.

    Args:
        expanders: list of four `hardware.tca9555.Tca9555`, one per board address.
        wiring: a `hardware.controller.Wiring`.

    Attributes:
        wanted: mask of batteries whose switch shall be closed.
        silent: bit b set when board b did not answer the last `poll`.
        present: bit b set while board b answers and its outputs are enabled.
        faulty: bit b set when board b's read-back stayed wrong after one rewrite.
    """

    def __init__(self, expanders, wiring):
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
        self._failures = bytearray(BOARDS)
        self._lit = bytearray(BOARDS)
        self.wanted = 0
        self.silent = 0
        self.present = 0
        self.faulty = 0

    def start(self, b):
        """Bring board b up with every switch off; True when it answers and verifies."""
        expander = self._expanders[b]
        self.wanted &= ~(15 << b * CHANNELS)
        self._written[b] = self._verified[b] = 0
        self._lit[b] = self._dark
        if not expander.start(self._dark) or expander.outputs() != self._alert_idle:
            return False
        self._failures[b] = 0
        self._pending &= ~(1 << b)
        self.present |= 1 << b
        return True

    def poll(self, watched):
        """Read the ALERT lines of every board.

        Args:
            watched: mask of the batteries whose ALERT matters; only these are read twice.

        Returns:
            int: mask of watched batteries whose ALERT is low in two reads.
        """
        alerts = 0
        self.silent = 0
        for b in range(BOARDS):
            if self.present >> b & 1:
                levels = self._expanders[b].levels()
                if levels is None:
                    self.silent |= 1 << b
                else:
                    self._failures[b] = 0
                    low = ~levels & self._alert_idle
                    if low:
                        alerts |= self._confirmed(b, low, watched)
        return alerts

    def alert_low(self, i):
        """True while battery i's ALERT line is low; None when its board does not answer."""
        levels = self._expanders[i // CHANNELS].levels()
        return None if levels is None else not levels >> self._alert_bits[i % CHANNELS] & 1

    def _confirmed(self, b, low, watched):
        mask = self._channels(low) << b * CHANNELS & watched
        if mask:
            levels = self._expanders[b].levels()
            mask &= 0 if levels is None else self._channels(~levels) << b * CHANNELS
        return mask

    def _channels(self, port):
        mask = 0
        for c in range(CHANNELS):
            if port >> self._alert_bits[c] & 1:
                mask |= 1 << c
        return mask

    def count_silent(self):
        """The silence of the last `poll` is that of its boards: after three, one is gone."""
        for b in range(BOARDS):
            if self.silent >> b & 1:
                self._failures[b] += 1
                if self._failures[b] >= _LOST_AFTER:
                    self.present &= ~(1 << b)

    def unsure(self, b):
        """Mask of the batteries of board b whose opening has not been read back."""
        if not self._pending >> b & 1:
            return 0
        mask = 0
        for c in range(CHANNELS):
            if self._verified[b] & ~self._written[b] & self._port[1 << c]:
                mask |= 1 << b * CHANNELS + c
        return mask

    def rejoin(self, b):
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
            if levels & ~self._alert_idle == bits and outputs == bits << 8 | self._alert_idle:
                self._failures[b] = 0
                self._verified[b] = bits
                self._pending &= ~(1 << b)
                self.present |= 1 << b
                return True
        return False

    def open(self, mask):
        """Open the switches of `mask`: one write per board, then read back."""
        self.wanted &= ~mask
        self.flush()

    def close(self, mask):
        """Close the switches of `mask`, the only place where a switch closes.

        Returns:
            int: mask of those that read back as closed; the others are open again.
        """
        self.wanted |= mask
        self.flush()
        failed = 0
        for b in range(BOARDS):
            if self._pending >> b & 1 or not self.present >> b & 1:
                failed |= mask & 15 << b * CHANNELS
        if failed:
            self.open(failed)
        return mask & ~failed

    def flush(self):
        """Write every present board whose outputs are not verified to be what is wanted."""
        wanted = self.wanted
        for b in range(BOARDS):
            bits = self._port[wanted & 15]
            wanted >>= CHANNELS
            if self.present >> b & 1 and (bits != self._written[b] or self._pending >> b & 1):
                self._written[b] = bits
                self._pending |= 1 << b
                self._expanders[b].switches(bits)
                self.verify(b)

    def verify(self, b):
        """Read board b's outputs back; rewrite the latch once, give up on a reset expander."""
        expander = self._expanders[b]
        bits = self._written[b]
        found = expander.outputs()
        if found is not None and found != bits << 8 | self._alert_idle and found & 0xFF != 0xFF:
            self._pending |= 1 << b
            expander.switches(bits)
            found = expander.outputs()
        if found is None:
            return
        if found == bits << 8 | self._alert_idle:
            self._verified[b] = bits
            self._pending &= ~(1 << b)
        elif found & 0xFF == 0xFF:
            self.present &= ~(1 << b)
        else:
            self.faulty |= 1 << b

    def show(self, b, states, alarmed, blink):
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
