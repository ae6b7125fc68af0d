# SPDX-License-Identifier: GPL-3.0-only
"""Name and time servers on loopback that can lie, delay or die. For the world and for tests.

They answer when `serve` is called: it takes in what has arrived and sends what is due.
"""

import errno
import os
import socket
import struct

_SIZE = 512
_UNIX_OF_1970 = 2208988800  # in seconds since 1900


class Server:
    """A UDP server on a free port of 127.0.0.1.

    Attributes:
        port: where it listens.
        delay_us: how long an answer takes; None: it never answers.
        lie: function (honest answer) that returns the list of those to send instead; None: honest.
        asked: datagrams so far; asker: address of who sent the last one.
    """

    def __init__(self):
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self.port = bind(self._socket)
        self.delay_us = 0
        self.lie = None
        self.asked = 0
        self.asker = None
        self._waiting = []

    def serve(self, now_us):
        """Receive and answer; `now_us` is the time, of any clock."""
        while True:
            try:
                query, self.asker = self._socket.recvfrom(_SIZE)
            except OSError as error:
                if error.errno != errno.EAGAIN:
                    raise
                break
            self.asked += 1
            if self.delay_us is not None:
                honest = self.answer(query, now_us)
                for packet in self.lie(honest) if self.lie else [honest]:
                    self._waiting.append((now_us + self.delay_us, packet, self.asker))
        while self._waiting and self._waiting[0][0] <= now_us:
            _, packet, sender = self._waiting.pop(0)
            self.send(packet, sender)

    def send(self, packet, receiver):
        """Send a datagram unasked."""
        self._socket.sendto(packet, receiver)

    def close(self):
        """Stop listening, as a server that has died."""
        self._socket.close()


def bind(sock):
    """Bind a socket to a free port of 127.0.0.1; returns the port, which no call here tells."""
    while True:
        port = 20000 + int.from_bytes(os.urandom(2), "big") % 40000
        try:
            sock.bind(socket.getaddrinfo("127.0.0.1", port)[0][-1])
            return port
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise


class NameServer(Server):
    """Knows some names.

    Attributes:
        names: name to IP, or to another name whose address follows in the same answer.
        ttl_s: how long its answers hold.
    """

    def __init__(self, names=(), ttl_s=60):
        super().__init__()
        self.names = dict(names)
        self.ttl_s = ttl_s

    def answer(self, query, now_us):
        """The honest answer to a query for an address."""
        end = query.index(b"\0", 12)
        name = query[12:end]
        labels = []
        while name:
            labels.append(name[1 : 1 + name[0]].decode())
            name = name[1 + name[0] :]
        name = ".".join(labels)
        records = []
        owner = b"\xc0\x0c"
        while name in self.names and len(records) < 5:
            name = self.names[name]
            if name.replace(".", "").isdigit():
                data = bytes(int(part) for part in name.split("."))
                kind = 1
            else:
                data = b"".join(bytes((len(p),)) + p.encode() for p in name.split(".")) + b"\0"
                kind = 5
            head = struct.pack(">HHIH", kind, 1, self.ttl_s, len(data))
            records.append(owner + head + data)
            owner = data
        code = 0 if records else 3
        head = query[:2] + struct.pack(">HHHHH", 0x8180 | code, 1, len(records), 0, 0)
        return head + query[12 : end + 5] + b"".join(records)


class TimeServer(Server):
    """Knows the time.

    Attributes:
        unix_s: its time when `now_us` is 0, seconds since 1970.
        head: the first two bytes of its answers: flags (leap, version, mode) and stratum.
    """

    def __init__(self, unix_s):
        super().__init__()
        self.unix_s = unix_s
        self.head = b"\x24\x02"

    def answer(self, query, now_us):
        """The honest answer to a client."""
        seconds = self.unix_s + now_us // 1000000 + _UNIX_OF_1970
        fraction = (now_us % 1000000 << 32) // 1000000
        stamp = struct.pack(">II", seconds & 0xFFFFFFFF, fraction)
        return self.head + bytes(14) + stamp + query[40:48] + stamp + stamp
