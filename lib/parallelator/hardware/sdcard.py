# SPDX-License-Identifier: GPL-3.0-only
"""SD card over SPI: micropython-lib's driver with bounded waits, checksums and reported errors.

Made by `controller`, mounted by `records.card`. Every wait calls the `idle` hook, so that the
guard goes on while the card is busy. The numbers are those of the SD Physical Layer Simplified
Specification, chapter 7 (SPI mode); its sections are in brackets.
"""

import errno

import micropython
from micropython import const
from sdcard import SDCard

_BLOCK = const(512)
_START_BAUD = const(400000)  # while a card is identified [6.5: fOD]
_START_MS = const(1100)  # the slowest card powers up in 1 s [4.2.3]
_WAIT_MS = const(500)  # longest busy of a write [4.6.2.2]
_POLL_US = const(200)
_TRIES = const(3)
_ANSWER_BYTES = const(9)  # a command is answered within eight bytes [7.5.4: NCR]
_DRAIN_BYTES = const(128)

_GO_IDLE = const(0)
_IF_COND = const(8)
_SEND_CSD = const(9)
_STOP = const(12)
_STATUS = const(13)
_BLOCK_LENGTH = const(16)
_READ_ONE = const(17)
_READ_MANY = const(18)
_START_UP = const(41)
_APPLICATION = const(55)
_READ_OCR = const(58)
_CRC_ON = const(59)

_IDLE = const(0x01)  # R1 [7.3.2.1]
_BAD_CRC = const(0x08)
_VOLTAGE_AND_ECHO = const(0x1AA)  # 2.7 to 3.6 V, and a pattern that comes back [4.3.13]
_HIGH_CAPACITY = const(0x40000000)  # in the argument of ACMD41; CCS in byte 3 of the OCR
_CCS = const(0x40)
_TOKEN_ONE = const(0xFE)  # [7.3.3.2]
_TAKEN = const(0x05)  # [7.3.3.1]
_TAKEN_GARBLED = const(0x0B)


class Garbled(OSError):
    """What was sent or received does not fit its checksum."""


class SpiCard(SDCard):
    """One card, ready for `VfsFat`. The constructor initialises it.

    Args:
        spi: a `machine.SPI`; cs: the `machine.Pin` of its chip select.
        baudrate: Hz for everything but the start, 25 MHz at most.
        clock: a `clock.Clock`.
        idle: function without arguments, called about every millisecond of waiting.

    Attributes:
        sectors: capacity in blocks of 512 bytes.
        block: a bytearray of one block, of anybody's use between two calls.
        garbled: transfers repeated because of a wrong checksum.

    Raises:
        OSError: in every method that speaks to the card: ENODEV there is none, ETIMEDOUT it was
            busy for too long, EIO it refused or did not answer, `Garbled` three times running.
    """

    cs: "Pin"
    spi: "SPI"

    def __init__(
        self, spi: "SPI", cs: "Pin", baudrate: int, clock: "Clock", idle: "Callable[[], object]"
    ):
        self._clock = clock
        self._idle = idle
        self._answer = bytearray(4)
        self._checksum = bytearray(2)
        self._detached = False
        self.garbled = 0
        super().__init__(spi, cs, baudrate)
        self.block = self.dummybuf

    # Start

    def init_card(self, baudrate: int):
        """Reset the card, power it up and learn its size [7.2.1]."""
        self.cs.init(self.cs.OUT, value=1)
        self.init_spi(_START_BAUD)
        self.spi.readinto(self.dummybuf_memoryview[:16], 0xFF)
        self._reset()
        self.cmd(_CRC_ON, 1)
        modern = self.cmd(_IF_COND, _VOLTAGE_AND_ECHO) == _IDLE
        self._power_up(_HIGH_CAPACITY if modern else 0)
        by_block = modern and self.cmd(_READ_OCR, 0) == 0 and self._answer[0] & _CCS
        self.cdv = 1 if by_block else _BLOCK
        self.sectors = self._capacity()
        if self.cmd(_BLOCK_LENGTH, _BLOCK):
            raise OSError(errno.EIO)
        self.init_spi(baudrate)

    def _reset(self):
        for _ in range(_TRIES):
            if self.cmd(_GO_IDLE, 0) == _IDLE:
                return
            self._drain()
        raise OSError(errno.ENODEV)

    def _drain(self):
        # The controller may have restarted in the middle of a block: clock the rest of it out.
        self.cs(0)
        piece = self.dummybuf_memoryview[:_DRAIN_BYTES]
        for _ in range(_BLOCK // _DRAIN_BYTES + 1):
            self._idle()
            self.spi.readinto(piece, 0xFF)
        self._await_other(0x00)
        self._release()

    def _power_up(self, capacity: int):
        begin = self._clock.ms()
        while True:
            self.cmd(_APPLICATION, 0)
            answer = self.cmd(_START_UP, capacity)
            if not answer:
                return
            if answer != _IDLE:
                raise OSError(errno.EIO)
            if self._clock.diff(self._clock.ms(), begin) > _START_MS:
                raise OSError(errno.ETIMEDOUT)
            self._clock.sleep_us(_POLL_US)

    def _capacity(self):
        # The CSD register, version 2.0 [5.3.3] or 1.0 [5.3.2].
        if self.cmd(_SEND_CSD, 0):
            raise OSError(errno.EIO)
        csd = bytearray(16)
        self.readinto(csd)
        if csd[0] >> 6:
            return (((csd[7] & 0x3F) << 16 | csd[8] << 8 | csd[9]) + 1) * 1024
        size = ((csd[6] & 3) << 10 | csd[7] << 2 | csd[8] >> 6) + 1
        factor = 1 << (((csd[9] & 3) << 1 | csd[10] >> 7) + 2)
        return size * factor * (1 << (csd[5] & 15)) // _BLOCK

    def detach(self):
        """Stop talking to the card: writes are dropped without an error, reads give zeros.

        So files that are open on a lost card can be closed, even by the garbage collector, which
        must not allocate; and nothing meant for the lost card is written to the next one.
        """
        self._detached = True

    # Blocks

    def readblocks(self, block_num: int, buf: "bytearray | memoryview"):
        """Fill `buf`, a multiple of 512 bytes, from block `block_num` on."""
        if self._detached:
            for k in range(len(buf)):
                buf[k] = 0
        else:
            self._persist(super().readblocks, block_num, buf)

    def writeblocks(self, block_num: int, buf: "Buffer"):
        """Write `buf`, a multiple of 512 bytes, from block `block_num` on."""
        if not self._detached:
            self._persist(super().writeblocks, block_num, buf)

    def _persist(self, transfer: "Callable[[int, Any], object]", block_num: int, buf: "Buffer"):
        tries = _TRIES
        while True:
            try:
                return transfer(block_num, buf)
            except OSError as error:
                if error.errno != errno.ETIMEDOUT:
                    self._calm()
                tries -= 1
                if not tries or not isinstance(error, Garbled):
                    raise error
                self.garbled += 1

    def _calm(self):
        # After an error: end a transfer of several blocks, clear the status.
        self._release()
        for command in (_STOP, _STATUS):
            try:
                self.cmd(command, 0)
            except OSError:
                continue

    def check(self):
        """Raise an OSError unless the card is there and its last write succeeded [7.2.4]."""
        if self.cmd(_STATUS, 0) or self._answer[0]:
            raise OSError(errno.EIO)

    # What the base class calls

    def cmd(self, cmd: int, arg: int, *_: object, **__: object):
        """Send a command; its R1 (0 = done, 1 = done and idle), -1 when nothing answers.

        The versions of the base class describe the answer in different ways, all of them ignored
        here: it follows from the command [7.3.1.3].
        """
        self._idle()
        frame = self.cmdbuf
        frame[0] = 0x40 | cmd
        frame[1] = arg >> 24 & 0xFF
        frame[2] = arg >> 16 & 0xFF
        frame[3] = arg >> 8 & 0xFF
        frame[4] = arg & 0xFF
        frame[5] = crc7(frame, 5) << 1 | 1
        self.cs(0)
        if cmd != _GO_IDLE and cmd != _STOP:
            self._await_other(0x00)
        self.spi.write(frame)
        if cmd == _STOP:
            self._byte()
        answer = -1
        for _ in range(_ANSWER_BYTES):
            byte = self._byte()
            if byte < 0x80:
                answer = byte
                break
        if cmd == _IF_COND or cmd == _STATUS or cmd == _READ_OCR:
            self.spi.readinto(self._answer, 0xFF)
        elif cmd == _STOP:
            self._await_other(0x00)
        if answer or cmd != _SEND_CSD and cmd != _READ_ONE and cmd != _READ_MANY:
            self._release()
        if answer > 0 and answer & _BAD_CRC:
            raise Garbled(errno.EIO)
        return answer

    def readinto(self, buf: "bytearray | memoryview"):
        """Receive one block; `buf` stays as it is unless all of it was good."""
        self._idle()
        self.cs(0)
        if self._await_other(0xFF) != _TOKEN_ONE:
            self._release()
            raise OSError(errno.EIO)
        count = len(buf)
        block = self.dummybuf_memoryview[:count]
        checksum = self._checksum
        self.spi.readinto(block, 0xFF)
        self.spi.readinto(checksum, 0xFF)
        self._release()
        if crc16(block, count) != checksum[0] << 8 | checksum[1]:
            raise Garbled(errno.EIO)
        buf[:] = block

    def write(self, token: int, buf: "Buffer"):
        """Send one block of 512 bytes and wait until it is on the card."""
        self._idle()
        checksum = crc16(buf, _BLOCK)
        self._checksum[0] = checksum >> 8
        self._checksum[1] = checksum & 0xFF
        self._send(token)
        self.spi.write(buf)
        self.spi.write(self._checksum)
        answer = self._byte() & 0x1F
        if answer == _TAKEN_GARBLED:
            raise Garbled(errno.EIO)
        if answer != _TAKEN:
            raise OSError(errno.EIO)
        self._await_other(0x00)
        self._release()
        if token == _TOKEN_ONE:
            self.check()

    def write_token(self, token: int):
        """End a write of several blocks."""
        self._send(token)
        self._byte()
        self._await_other(0x00)
        self._release()
        self.check()

    # Bytes

    def _await_other(self, waiting: int):
        """Wait until the card sends anything but `waiting` (0xFF no data yet, 0x00 busy)."""
        clock = self._clock
        begin = clock.ms()
        while True:
            byte = self._byte()
            if byte != waiting:
                return byte
            if clock.diff(clock.ms(), begin) > _WAIT_MS:
                self._release()
                raise OSError(errno.ETIMEDOUT)
            self._idle()
            clock.sleep_us(_POLL_US)

    def _byte(self):
        self.spi.readinto(self.tokenbuf, 0xFF)
        return self.tokenbuf[0]

    def _send(self, token: int):
        self.cs(0)
        self.tokenbuf[0] = token
        self.spi.write(self.tokenbuf)

    def _release(self):
        # The card lets go of its line at the clock after its deselection.
        self.cs(1)
        self._byte()


@micropython.viper
def crc7(data: ptr8, count: int) -> int:  # noqa: F821 - a type of viper
    """Checksum of a command, x^7 + x^3 + 1, over the first `count` bytes of `data` [4.5]."""
    crc = 0
    for k in range(count):
        crc ^= data[k]
        for _ in range(8):
            crc <<= 1
            if crc & 0x100:
                crc ^= 0x112
    return crc >> 1


@micropython.viper
def crc16(data: ptr8, count: int) -> int:  # noqa: F821 - a type of viper
    """Checksum of a block, x^16 + x^12 + x^5 + 1, over the first `count` bytes of `data` [4.5]."""
    crc = 0
    for k in range(count):
        x = crc >> 8 ^ data[k]
        x ^= x >> 4
        crc = (crc << 8 ^ x << 12 ^ x << 5 ^ x) & 0xFFFF
    return crc
