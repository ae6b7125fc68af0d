# SPDX-License-Identifier: GPL-3.0-only
"""Model of an SD memory card in SPI mode, byte by byte, after the SD Physical Layer Simplified
Specification (chapters 4, 5 and 7).

The stand-in `machine.SPI` clocks it. What it keeps lies in an `Image` (sdimage.py),
which outlives it.
"""

from micropython import const

from sim.chips.sdimage import BLOCK, checksum7, checksum16, table16

_COMMAND_BYTES = const(6)
_DATA_BYTES = const(514)
_WAKING_BYTES = const(10)  # 74 clocks with the card deselected come before the first command

_R1_IDLE = const(0x01)
_R1_ILLEGAL = const(0x04)
_R1_CRC = const(0x08)
_R1_ADDRESS = const(0x20)
_R1_PARAMETER = const(0x40)
_STATUS_WRITE_ERROR = const(0x04)
_TOKEN_ONE = const(0xFE)
_TOKEN_MANY = const(0xFC)
_TOKEN_STOP = const(0xFD)
_OUT_OF_RANGE = const(0x09)
_UNREADABLE = const(0x05)  # an error that its own checksums could not mend [7.3.3.3]
_TAKEN = const(0xE5)
_GARBLED = const(0xEB)
_REFUSED = const(0xED)

_WHILE_IDLE = (0, 8, 41, 55, 58, 59)
_HIGH_CAPACITY_WANTED = const(0x40000000)
_FOR_EVER = const(1 << 30)


class SdCard:
    """One card.

    Args:
        image: a `sdimage.Image`. An SDSC card has a multiple of 512 blocks, 4096 * 512 at most.
        high_capacity: True for SDHC (addressed by block), else SDSC (by byte).
        legacy: True for a card of version 1, which does not know CMD8; SDSC only.

    Attributes:
        present: False while it is out of its slot.
        read_us, write_us: time to find a block, and to program one.
        stall_us: busy time of the next block written instead of `write_us`; 0 = none.
        stall_every: (n, us): the same for every n-th block; None = none.
        refuse: how many of the next blocks written it refuses; spoil: how many it takes and then
            reports as failed; garble_in, garble_out, garble_commands: how many of the next blocks
            received, blocks sent and commands received get a bit inverted on the wire.
        writes_left: blocks it still keeps before the power cut, after which it loses everything
            it is told to write; None = no cut.
        unreadable: numbers of damaged blocks, which answer with an error until written again.
        written: blocks written; busy_from_us, busy_until_us: its last busy time; worst_us: the
            longest.
        commands: how often each command came, by its number, application commands from 64 on.
    """

    def __init__(self, image, high_capacity=True, legacy=False):
        self.image = image
        self.present = True
        self.read_us = 500
        self.write_us = 2000
        self.start_us = 100000
        self.stall_us = 0
        self.stall_every = None
        self.refuse = self.spoil = 0
        self.garble_in = self.garble_out = self.garble_commands = 0
        self.writes_left = None
        self.unreadable = set()
        self.written = 0
        self.worst_us = self.busy_from_us = self.busy_until_us = 0
        self.commands = {}
        self._table = table16()
        self._high = high_capacity
        self._legacy = legacy
        self._pending = None
        self._busy_us = 0
        self.power_on(0)

    # Power and slot

    def power_on(self, now_us):
        """Supply back: whatever was not on the card by now is lost."""
        self._settle(now_us)
        self._pending = None
        self._selected = False
        self._clocks = 0
        self._spi = False
        self._busy_us = 0
        self._reset()

    def remove(self, now_us):
        """Pulled out of its slot."""
        self.power_on(now_us)
        self.present = False

    def insert(self):
        """Put back; it needs a new start."""
        self.present = True

    def _reset(self):
        self._idle = True
        self._ready_us = None
        self._crc = False
        self._application = False
        self._status = 0
        self._frame = bytearray()
        self._need = 0
        self._token = 0
        self._out = b""
        self._reads = 0
        self._data_us = 0

    # The wire

    def select(self, level, now_us):
        """Chip select goes to `level`; low selects."""
        self._selected = not level
        if level:
            self._need = 0 if self._need and len(self._frame) < _COMMAND_BYTES else self._need

    def exchange(self, sent, received, now_us, byte_us):
        """Clock bytes both ways.

        Args:
            sent: what the host sends; received: a buffer of the same length for what the card
                sends, or None; now_us: time of the first byte; byte_us: of one byte, a float.
        """
        count = len(sent)
        if received is not None:
            received[:] = b"\xff" * count
        if not self.present:
            return
        self._settle(now_us)
        if not self._selected:
            self._clocks += count
            return
        quiet = sent.count(b"\xff") == count
        k = 0
        while k < count:
            at_us = now_us + int(k * byte_us)
            run = 1
            if self._need:
                run = min(self._need, count - k)
            elif quiet and not self._busy_us:
                run = min(count - k, max(len(self._out), 1))
            self._send(received, k, run, at_us)
            if self._need:
                self._frame.extend(sent[k : k + run])
                self._need -= run
                if not self._need:
                    self._take(at_us)
            elif sent[k] != 0xFF:
                self._begin(sent[k], at_us)
            k += run

    def _send(self, received, k, count, now_us):
        if self._busy_us:
            self._settle(now_us)
            if self._busy_us and not self._out:
                if received is not None:
                    received[k : k + count] = bytes(count)
                return
        if not self._out and self._reads and now_us >= self._data_us:
            self._fetch(now_us)
        piece = self._out[:count]
        self._out = self._out[count:]
        if received is not None and piece:
            received[k : k + len(piece)] = piece

    def _settle(self, now_us):
        if self._busy_us and now_us >= self._busy_us:
            self._busy_us = 0
            if self._pending:
                number, data = self._pending
                self._pending = None
                self._keep(number, data)

    def _keep(self, number, data):
        if self.writes_left is not None:
            if not self.writes_left:
                return
            self.writes_left -= 1
        self.written += 1
        self.unreadable.discard(number)
        self.image.write(number, data)

    def _begin(self, byte, now_us):
        # The first byte of a command, or the token before a block.
        if self._busy_us:
            return
        if byte & 0xC0 == 0x40:
            self._frame = bytearray((byte,))
            self._need = _COMMAND_BYTES - 1
        elif self._token and byte == self._token:
            self._frame = bytearray()
            self._need = _DATA_BYTES
        elif self._token == _TOKEN_MANY and byte == _TOKEN_STOP:
            self._token = 0
            self._out = b"\xff"
            self._busy_us = now_us + self.write_us

    def _take(self, now_us):
        if len(self._frame) == _COMMAND_BYTES:
            self._command(now_us)
        else:
            self._receive(now_us)

    # Commands

    def _command(self, now_us):
        frame = self._frame
        if self.garble_commands:
            self.garble_commands -= 1
            frame[4] ^= 0x10
        number = frame[0] & 0x3F
        argument = frame[1] << 24 | frame[2] << 16 | frame[3] << 8 | frame[4]
        if not self._spi and (number or self._clocks < _WAKING_BYTES):
            return
        application = self._application
        self._application = False
        self._out = b"\xff"
        if number == 12:
            self._reads = 0
            self._out = b"\xff\xff"
        idle = _R1_IDLE if self._idle else 0
        if (self._crc or number in (0, 8)) and frame[5] != checksum7(frame[:5]) << 1 | 1:
            self._out += bytes((_R1_CRC | idle,))
            return
        key = number + (64 if application else 0)
        self.commands[key] = self.commands.get(key, 0) + 1
        name = ("_acmd%d" if application else "_cmd%d") % number
        answer = getattr(self, name, None)
        if not answer or self._idle and number not in _WHILE_IDLE:
            self._out += bytes((_R1_ILLEGAL | idle,))
            return
        answer(argument, now_us)

    def _r1(self, flags=0, tail=b""):
        self._out += bytes((flags | (_R1_IDLE if self._idle else 0),)) + tail

    def _cmd0(self, argument, now_us):
        self._spi = True
        self._reset()
        self._out = b"\xff"
        self._r1()

    def _cmd8(self, argument, now_us):
        if self._legacy:
            self._r1(_R1_ILLEGAL)
        else:
            self._r1(0, bytes((0, 0, argument >> 8 & 0x0F, argument & 0xFF)))

    def _cmd9(self, argument, now_us):
        self._r1()
        self._out += b"\xff" + self._packet(self._csd())

    def _cmd10(self, argument, now_us):
        self._r1()
        cid = b"\x1bSMSIMUL\x10\x00\x00\x00\x01\x01\x9a"
        self._out += b"\xff" + self._packet(cid + bytes((checksum7(cid) << 1 | 1,)))

    def _cmd12(self, argument, now_us):
        self._token = 0
        self._r1()

    def _cmd13(self, argument, now_us):
        self._r1(0, bytes((self._status,)))
        self._status = 0

    def _cmd16(self, argument, now_us):
        self._r1(0 if argument == BLOCK else _R1_PARAMETER)

    def _cmd17(self, argument, now_us):
        self._start_read(argument, now_us, 1)

    def _cmd18(self, argument, now_us):
        self._start_read(argument, now_us, _FOR_EVER)

    def _cmd24(self, argument, now_us):
        self._start_write(argument, _TOKEN_ONE)

    def _cmd25(self, argument, now_us):
        self._start_write(argument, _TOKEN_MANY)

    def _cmd55(self, argument, now_us):
        self._application = True
        self._r1()

    def _cmd58(self, argument, now_us):
        powered = 0x80 if not self._idle else 0
        capacity = 0x40 if self._high and not self._idle else 0
        self._r1(0, bytes((powered | capacity, 0xFF, 0x80, 0)))

    def _cmd59(self, argument, now_us):
        self._crc = bool(argument & 1)
        self._r1()

    def _acmd41(self, argument, now_us):
        if self._ready_us is None:
            self._ready_us = now_us + self.start_us
        if now_us >= self._ready_us and (not self._high or argument & _HIGH_CAPACITY_WANTED):
            self._idle = False
        self._r1()

    def _csd(self):
        sectors = self.image.sectors
        if self._high:
            size = sectors // 1024 - 1
            csd = bytearray(b"\x40\x0e\x00\x32\x5b\x59\x00\x00\x00\x00\x7f\x80\x0a\x40\x00")
            csd[7:10] = bytes((size >> 16, size >> 8 & 0xFF, size & 0xFF))
        else:
            # READ_BL_LEN 9, C_SIZE_MULT 7: units of 512 blocks.
            size = sectors // 512 - 1
            csd = bytearray(b"\x00\x26\x00\x32\x5b\x59\x80\x00\x00\x03\x80\x00\x0a\x40\x00")
            csd[6] |= size >> 10
            csd[7] = size >> 2 & 0xFF
            csd[8] |= size << 6 & 0xC0
        return csd + bytes((checksum7(csd) << 1 | 1,))

    # Data

    def _address(self, argument):
        """(block, R1 flags) of an address."""
        if not self._high:
            if argument % BLOCK:
                return 0, _R1_ADDRESS
            argument //= BLOCK
        return argument, _R1_PARAMETER if argument >= self.image.sectors else 0

    def _start_read(self, argument, now_us, count):
        self._block, flags = self._address(argument)
        self._r1(flags)
        if not flags:
            self._reads = count
            self._data_us = now_us + self.read_us

    def _fetch(self, now_us):
        self._reads -= 1
        if self._block >= self.image.sectors:
            self._reads = 0
            self._out = bytes((_OUT_OF_RANGE,))
            return
        if self._block in self.unreadable:
            self._reads = 0
            self._out = bytes((_UNREADABLE,))
            return
        self._out = self._packet(self.image.read(self._block))
        self._block += 1
        self._data_us = now_us + self.read_us

    def _packet(self, data):
        packet = bytearray((_TOKEN_ONE,)) + data
        crc = checksum16(data, self._table)
        packet.extend(bytes((crc >> 8, crc & 0xFF)))
        if self.garble_out:
            self.garble_out -= 1
            packet[7] ^= 0x20
        return packet

    def _start_write(self, argument, token):
        self._block, flags = self._address(argument)
        self._r1(flags)
        self._token = 0 if flags else token

    def _receive(self, now_us):
        data = self._frame[:BLOCK]
        if self.garble_in:
            self.garble_in -= 1
            data[100] ^= 0x01
        crc = self._frame[BLOCK] << 8 | self._frame[BLOCK + 1]
        self._frame = bytearray()
        if self._token == _TOKEN_ONE:
            self._token = 0
        if self._crc and crc != checksum16(data, self._table):
            self._out = bytes((_GARBLED,))
            return
        if self.refuse or self._block >= self.image.sectors:
            self.refuse = max(self.refuse - 1, 0)
            self._status |= _STATUS_WRITE_ERROR
            self._out = bytes((_REFUSED,))
            return
        self._out = bytes((_TAKEN,))
        busy_us = self.stall_us or self.write_us
        if self.stall_every and not (self.written + 1) % self.stall_every[0]:
            busy_us = self.stall_every[1]
        self.stall_us = 0
        self.worst_us = max(self.worst_us, busy_us)
        self.busy_from_us = now_us
        self._busy_us = self.busy_until_us = now_us + busy_us
        if self.spoil:
            self.spoil -= 1
            self._status |= _STATUS_WRITE_ERROR
        else:
            self._pending = (self._block, data)
        self._block += 1
