# SPDX-License-Identifier: GPL-3.0-only
"""One MQTT 3.1.1 connection: umqtt.simple makes and reads the packets, an asyncio stream carries
them. Used by mqtt.

umqtt expects a blocking socket and waits for answers in it. Here it gets a buffer that already
holds each answer that it waits for; the real answers are read from the stream, as whole packets.
One of 512 bytes, the longest that is accepted, uses 6 KB for a moment.
"""

import asyncio

import umqtt.simple as umqtt
from micropython import const

_CONNACK = const(0x20)
_PUBLISH = const(0x30)
_SUBACK = const(0x90)
_UNSUBSCRIBE = const(0xA2)
_UNSUBACK = const(0xB0)
_PINGRESP = const(0xD0)
_REFUSED = const(0x80)
_ACCEPTED = b"\x20\x02\x00\x00"
_RETAINED = const(0x31)
_PACKET = const(512)
_CHUNK = const(128)
_SEGMENT = const(512)
_LENGTH_BYTES = const(4)
_ANSWER_MS = const(10000)
_STALL_MS = const(10000)
_PIECE_MS = const(5)  # a description is in no hurry
_KEEPALIVE_S = const(30)
"""The broker sends the will when it hears nothing for one and a half times as long."""


class Garbage(Exception):
    """The other side does not speak MQTT."""


class Denied(Exception):
    """The broker refuses the connection; `args[0]` is its code (MQTT 3.1.1, table 3.1)."""


class Wire:
    """What umqtt takes for the module `socket`, and for a socket: a buffer each way."""

    def __init__(self):
        self._sent = bytearray()
        self._received = b""

    def socket(self):
        return self

    def getaddrinfo(self, host: bytes, port: int):
        return ((None,),)

    def connect(self, address: object):
        """Nothing to do: the stream is connected before."""

    settimeout = setblocking = connect

    def write(self, data: "Buffer", size: "int | None" = None):
        self._sent += data if size is None else data[:size]

    def read(self, size: int):
        data = self._received[:size]
        self._received = self._received[size:]
        return data

    def answer(self, data: bytes):
        """Set what umqtt will read next."""
        self._received = data

    def take(self):
        """What umqtt has written since the last call."""
        sent = self._sent
        self._sent = bytearray()
        return sent


class Link:
    """A connection to a broker.

    Args:
        client_id, user, password: bytes; an empty user connects without one.
        will: (topic, payload) that the broker publishes, retained, when the connection breaks.
        heard: function (topic, payload, retained) called with each message: bytes, the payload
            None when the message is too long.
        within: as of `scheduler.Scheduler`.

    Attributes:
        skipped: messages of more than 512 bytes, which are discarded.
        refused: subscriptions that the broker refused.
        pongs: answers to `ping` so far.
    """

    def __init__(
        self,
        client_id: bytes,
        user: bytes,
        password: bytes,
        will: tuple,
        heard: "Callable[[bytes, bytes | None, bool], None]",
        within: "Callable[[int, Coroutine], Coroutine]",
    ):
        self._wire = Wire()
        self._client = umqtt.MQTTClient(
            client_id, b"", 1, user or None, password, keepalive=_KEEPALIVE_S
        )
        self._client.set_last_will(will[0], will[1], True)
        self._client.set_callback(self._called)
        self._heard = heard
        self._within = within
        self._retained = False
        self._stream = None
        self.skipped = 0
        self.refused = 0
        self.pongs = 0

    async def open(
        self,
        address: str,
        port: int,
        context: "SSLContext | None" = None,
        name: "str | None" = None,
    ):
        """Connect, and wait until the broker has accepted.

        Args:
            address: an IP address; port: of the broker.
            context: an ssl.SSLContext; name: what the broker's certificate must be made for.

        Raises:
            OSError: not reached, or TLS failed; asyncio.TimeoutError: no answer within ten
            seconds; EOFError: closed; Garbage, Denied.
        """
        await self._within(_ANSWER_MS, self._connect(address, port, context, name))
        await asyncio.sleep_ms(0)
        umqtt.socket = self._wire  # pyright: ignore - what umqtt imported
        self._wire.answer(_ACCEPTED)
        self._client.connect()
        await asyncio.sleep_ms(0)
        await self._flush()
        head, body = await self._within(_ANSWER_MS, self._packet())
        if head[0] != _CONNACK or not body or len(body) != 2:
            raise Garbage
        if body[1]:
            raise Denied(body[1])

    async def _connect(
        self, address: str, port: int, context: "SSLContext | None", name: "str | None"
    ):
        connecting = asyncio.open_connection(address, port, context, name)  # pyright: ignore - TLS
        _, self._stream = await connecting

    async def publish(self, topic: bytes, payload: bytes, retain: bool = False):
        """Send a message at QoS 0; topic and payload are bytes.

        Raises:
            OSError, asyncio.TimeoutError: the connection cannot be used any more.
        """
        self._client.publish(topic, payload, retain)
        await self._flush()

    async def publish_pieces(self, topic: bytes, pieces: "Callable[[], Iterable[str]]"):
        """Send a retained message that is never in memory as a whole, at QoS 0.

        Args:
            topic: where to; pieces: function that gives the text in pieces, the same each time.

        Raises:
            OSError, asyncio.TimeoutError: the connection cannot be used any more.
        """
        length = 2 + len(topic)
        for piece in pieces():
            length += len(piece.encode())
            await asyncio.sleep_ms(_PIECE_MS)
        write = self._wire.write
        write(bytes((_RETAINED,)))
        while length > 0x7F:
            write(bytes((length & 0x7F | 0x80,)))
            length >>= 7
        write(bytes((length, len(topic) >> 8, len(topic) & 0xFF)))
        write(topic)
        waiting = 0
        for piece in pieces():
            data = piece.encode()
            write(data)
            waiting += len(data)
            await asyncio.sleep_ms(_PIECE_MS)
            if waiting > _SEGMENT:
                await self._flush()
                waiting = 0
        await self._flush()

    async def unsubscribe(self, topic: bytes):
        """Ask for no more messages of a topic filter."""
        self._client.pid += 1
        pid = self._client.pid
        head = bytes((_UNSUBSCRIBE, 4 + len(topic), pid >> 8, pid & 0xFF, 0, len(topic)))
        self._wire.write(head + topic)
        await self._flush()

    async def subscribe(self, topic: bytes):
        """Ask for the messages of a topic filter of at most 122 bytes, at QoS 0."""
        pid = self._client.pid + 1
        self._wire.answer(bytes((_SUBACK, 3, pid >> 8, pid & 0xFF, 0)))
        self._client.subscribe(topic)
        await asyncio.sleep_ms(0)
        await self._flush()

    async def ping(self):
        """Send a PINGREQ; `pongs` counts the answers."""
        self._client.ping()
        await self._flush()

    async def receive(self):
        """Receive one packet, however long it takes to come.

        Raises:
            OSError, EOFError: the connection is broken; Garbage.
        """
        head, body = await self._packet()
        if head[0] & 0xF0 == _PUBLISH:
            self._take(head, body)
        elif head[0] == _PINGRESP and not body:
            self.pongs += 1
        elif head[0] == _SUBACK and body and len(body) == 3:
            self.refused += body[2] >= _REFUSED
        elif head[0] == _UNSUBACK and body and len(body) == 2:
            pass
        else:
            raise Garbage

    def close(self):
        """Break the connection off; the broker sends the will."""
        if self._stream:
            self._stream.s.close()
            self._stream = None

    def _take(self, head: bytes, body: "bytes | None"):
        if body is None:
            return
        # Bits 1 and 2 are the QoS: none but 0 was asked for.
        if head[0] & 6 or len(body) < 2 or len(body) < 2 + (body[0] << 8 | body[1]):
            raise Garbage
        self._retained = bool(head[0] & 1)
        self._wire.answer(head + body)
        self._client.wait_msg()

    def _called(self, topic: bytes, payload: bytes):
        self._heard(topic, payload, self._retained)

    async def _packet(self):
        """The next packet: (fixed header, the rest). A message that is too long is skipped, its
        rest is None.

        Raises:
            OSError, EOFError: the connection is broken; Garbage: a length of more than four
            bytes, or too long for what is no message.
        """
        read = self._stream.readexactly
        head = await read(1)
        length = 0
        for k in range(_LENGTH_BYTES):
            byte = await read(1)
            head += byte
            length |= (byte[0] & 0x7F) << 7 * k
            if byte[0] < 0x80:
                break
        else:
            raise Garbage
        if length <= _PACKET:
            return head, await read(length) if length else b""
        if head[0] & 0xF0 != _PUBLISH:
            raise Garbage
        size = await read(2)
        size = size[0] << 8 | size[1]
        length -= 2
        self.skipped += 1
        if size <= min(length, _PACKET):
            self._heard(await read(size), None, bool(head[0] & 1))
            length -= size
        while length:
            length -= len(await read(min(length, _CHUNK)))
        return head, None

    async def _flush(self):
        stream = self._stream
        stream.write(self._wire.take())
        if stream.out_buf:  # the socket did not take all of it
            await self._within(_STALL_MS, stream.drain())


def tls_context(ca_file: str):
    """An ssl.SSLContext.

    Args:
        ca_file: path of the certificate, PEM or DER, that must have signed the broker's; without
            one the connection is encrypted, but anybody can pose as the broker.

    Raises:
        OSError: there is no such file; ValueError: it holds no certificate.
    """
    import ssl
    from binascii import a2b_base64

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if not ca_file:
        context.verify_mode = ssl.CERT_NONE
        return context
    with open(ca_file, "rb") as file:
        data = file.read()
    if b"-----BEGIN" in data:
        data = a2b_base64(b"".join(data.split(b"-----")[2].split()))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=data)
    return context
