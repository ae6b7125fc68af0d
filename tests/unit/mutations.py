# SPDX-License-Identifier: GPL-3.0-only
"""Packets that are cut and changed at random, always the same ones, for tests of parsers.

`make test` tries 2,000 on each parser, `make soak` 50,000 (SOAK=1).
"""

import gc
import os
import random

COUNT = 50000 if os.getenv("SOAK") else 2000
_EDGES = (0, 1, 0x0C, 0x3F, 0x40, 0x7F, 0x80, 0xC0, 0xFF)


def mutations(seeds, count=COUNT):
    """Yields `count` packets, each one of `seeds` with one to four changes."""
    random.seed(18)
    for _ in range(count):
        packet = bytearray(random.choice(seeds))
        for _ in range(random.randrange(1, 5)):
            packet = _changed(packet, random.choice(seeds))
        yield bytes(packet)


def _changed(packet, other):
    """The packet with one change: cut, noise, an edge of a length, a part lost or taken twice."""
    at = random.randrange(len(packet) + 1)
    end = min(at + random.randrange(1, 9), len(packet))
    kind = random.randrange(8)
    if kind == 0:
        return packet[:at]
    if kind == 1:
        return packet[:at] + packet[end:]
    if kind == 2:
        return packet[:end] + packet[at:]
    if kind == 3:
        return packet[:at] + other[random.randrange(len(other)) :]
    if kind == 4:
        return packet + bytes(random.getrandbits(8) for _ in range(random.randrange(40)))
    if at < len(packet):
        if kind == 5:
            packet[at] = random.choice(_EDGES)
        elif kind == 6:
            packet[at] ^= 1 << random.randrange(8)
        else:
            packet[at:end] = b"\xff" * (end - at)
    return packet


def flat(parse, seeds):
    """Give all mutations to `parse`; returns how many it took something from.

    No more memory is in use at the end than after the first tenth.
    """
    taken = 0
    used = 0
    for k, packet in enumerate(mutations(seeds)):
        taken += bool(parse(packet))
        if k == COUNT // 10:
            gc.collect()
            used = gc.mem_alloc()
    packet = None
    gc.collect()
    assert gc.mem_alloc() - used < 512, (used, gc.mem_alloc())
    return taken
