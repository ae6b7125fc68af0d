# SPDX-License-Identifier: GPL-3.0-only
"""An MQTT broker on loopback with moods, served by the world's clock. For scenario and harness.

It knows just enough of MQTT 3.1.1 for the firmware, and it can misbehave. Whether a real broker
accepts the messages is tested in tests/network.
"""

import os

import usocket

_SO_REUSEADDR = 2
_SOL_SOCKET = 1
_TRIES = 20
_SLOW_US = 4000000
_SLOW_BYTES = 40
_READ = 4096  # of the heap, each time that nothing has come
_CONNECT = 1
_PUBLISH = 3
_SUBSCRIBE = 8
_PING = 12
_ACCEPTED = b"\x20\x02\x00\x00"
_DENIED = b"\x20\x02\x00\x05"
_PONG = b"\xd0\x00"
_HALF = b"\x30\x7f\x00\x09half"

MOODS = ("good", "hang", "vanish", "cut", "slow", "garbage", "deny")
"""`hang` takes connections and reads nothing; `vanish` is gone; `cut` closes amid a packet;
`slow` reads 40 bytes a step and answers after 4 s; `garbage` is no broker; `deny` says no."""


class Broker:
    """A broker that starts in a good mood.

    Args:
        random: function that returns a number above 0 and below 1.

    Attributes:
        port: where it listens.
        mood: one of MOODS.
        connections: how often somebody was let in.
        counts: messages by topic; last: the last payload by topic.
    """

    def __init__(self, random):
        self._random = random
        self.mood = "good"
        self.connections = 0
        self.counts = {}
        self.last = {}
        self._clients = []
        self._listener = None
        for _ in range(_TRIES):
            self.port = 20000 + int.from_bytes(os.urandom(2), "big") % 12000
            try:
                self._listen()
                return
            except OSError:
                self._listener.close()
        raise OSError("no free port")

    def _listen(self):
        self._listener = usocket.socket()
        self._listener.setsockopt(_SOL_SOCKET, _SO_REUSEADDR, 1)
        self._listener.bind(usocket.getaddrinfo("127.0.0.1", self.port)[0][-1])
        self._listener.listen(8)
        self._listener.setblocking(False)

    def change(self, mood):
        """Behave in another way from now on."""
        if mood == "vanish":
            self.close()
        elif self._listener is None:
            self._listen()
        self.mood = mood

    def close(self):
        """Stop listening and leave every client."""
        for client in self._clients:
            client.leave()
        if self._listener:
            self._listener.close()
            self._listener = None

    def say(self, topic, payload, retain=False):
        """Send a message to everybody."""
        name = topic.encode()
        body = bytes((len(name) >> 8, len(name) & 0xFF)) + name + payload.encode()
        size = len(body)
        length = (size,) if size < 0x80 else (size & 0x7F | 0x80, size >> 7)
        for client in self._clients:
            client.send(bytes((_PUBLISH << 4 | retain,) + length) + body, 0)

    def serve(self, now_us):
        """Do what can be done now without waiting."""
        if self._listener is None:
            return
        try:
            self._clients.append(_Client(self._listener.accept()[0]))
        except OSError:
            pass
        for client in self._clients:
            if self.mood != "hang":
                client.read(_SLOW_BYTES if self.mood == "slow" else _READ)
                for kind, body in client.packets():
                    self._answer(client, kind, body, now_us)
            client.flush(now_us)
        self._clients = [client for client in self._clients if client.here]

    def _answer(self, client, kind, body, now_us):
        due_us = now_us + _SLOW_US if self.mood == "slow" else now_us
        if self.mood == "garbage":
            client.send(bytes(int(self._random() * 256) for _ in range(40)), due_us)
        elif self.mood == "cut" and kind != _CONNECT:
            client.send(_HALF, due_us)
            client.flush(now_us)
            client.leave()
        elif kind == _CONNECT:
            client.send(_DENIED if self.mood == "deny" else _ACCEPTED, due_us)
            self.connections += self.mood != "deny"
        elif kind == _SUBSCRIBE:
            client.send(b"\x90\x03" + body[:2] + b"\x00", due_us)
        elif kind == _PING:
            client.send(_PONG, due_us)
        elif kind == _PUBLISH:
            end = 2 + (body[0] << 8 | body[1])
            topic = body[2:end].decode()
            self.counts[topic] = self.counts.get(topic, 0) + 1
            self.last[topic] = body[end:].decode()


class _Client:
    """One connection.

    Attributes:
        here: False when it is over.
    """

    def __init__(self, link):
        self._link = link
        self._received = b""
        self._waiting = []
        self.here = True
        link.setblocking(False)

    def leave(self):
        if self.here:
            self._link.close()
            self.here = False

    def read(self, size):
        if not self.here:
            return
        try:
            data = self._link.recv(size)
        except OSError:
            return
        if not data:
            self.leave()
        self._received += data

    def packets(self):
        """The packets that have arrived: (kind, body)."""
        while True:
            data = self._received
            length = 0
            at = 0
            while at < len(data) - 1:
                length |= (data[at + 1] & 0x7F) << 7 * at
                at += 1
                if data[at] < 0x80:
                    break
            else:
                return
            if len(data) < at + 1 + length:
                return
            self._received = data[at + 1 + length :]
            yield data[0] >> 4, data[at + 1 : at + 1 + length]

    def send(self, data, due_us):
        self._waiting.append((due_us, data))

    def flush(self, now_us):
        """Send what is due."""
        while self.here and self._waiting and self._waiting[0][0] <= now_us:
            try:
                self._link.send(self._waiting.pop(0)[1])
            except OSError:
                self.leave()
