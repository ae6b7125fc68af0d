# SPDX-License-Identifier: GPL-3.0-only
"""How long the guard may wait while JSON is read: the longest step of a text, on an ESP32.

    micropython -X heapsize=8m tools/bench/json_steps.py

Reads settings files, bodies and texts made to be slow, whole and with the mistakes of
soak/mutations.py. Each is read several times; the shortest time of a step counts, which none of
the host's pauses reaches, and an ESP32 is 90 times slower. Collections are left out: they are a
cost of their own. Prints a table; the exit code is 1 when a step takes more than 5 ms.
"""

import gc
import io
import random
import sys

ROOT = __file__.rsplit("/tools/bench/", 1)[0] if "/tools/bench/" in __file__ else "."
ESP32_RATIO = 90
LIMIT_US = 5000
REPEATS = 15
MUTATED = 40
SEED = 1
MOST_BYTES = 16384


def texts(bodies):
    """Yield (what it is, text)."""
    with open(ROOT + "/config.json", "rb") as file:
        yield "config.json", file.read()
    for body in bodies:
        yield "bodies", body
    keys = b",".join(b'"key%d.%d": %d' % (k, 7 * k, k) for k in range(60))
    yield "60 keys", b"{" + keys + b"}"
    yield "escapes", b'{"a": "' + b"\\u00e9" * 300 + b'"}'
    yield "surrogate pairs", b'{"a": "' + b"\\ud83d\\udd0b" * 120 + b'"}'
    yield "text beyond ASCII", b'{"a": "' + "\u00e9".encode() * 250 + b'"}'
    yield "numbers", b"[" + b"0," * 200 + b"0]"
    yield "long numbers", b"[" + b"-1.234567890123456e-300," * 100 + b"0]"
    yield "brackets", b"[[[[[[[[" * 8
    yield "blanks", b" " * 4000 + b"{}"
    yield "odd blanks", "\u00a0".encode() * 2000
    yield "quotes of a word processor", b"{" + "\u201c".encode() * 400
    yield "a word without end", b"{" + b"x" * 4000


def steps_us(reader, text):
    """Read once; returns how long each step took."""
    from utime import ticks_diff, ticks_us

    gc.collect()
    found = []
    steps = reader.reading(io.BytesIO(text), most_bytes=MOST_BYTES)
    while True:
        began_us = ticks_us()
        try:
            next(steps)
            ended = False
        except (StopIteration, reader.JsonError):
            ended = True
        found.append(ticks_diff(ticks_us(), began_us))
        if ended:
            return found


def longest_us(reader, text):
    """The longest step of a text, of the shortest times seen."""
    best = steps_us(reader, text)
    for _ in range(REPEATS - 1):
        best = [min(pair) for pair in zip(best, steps_us(reader, text))]  # noqa: B905 - unknown to MicroPython
    return max(best)


def main():
    """Measure and print; returns the exit code."""
    sys.path[:] = [ROOT + "/lib", ROOT + "/tools/soak", ".frozen"]
    import mutations
    from parallelator import json_reader

    random.seed(SEED)
    gc.disable()
    worst = {}
    for name, text in texts(mutations.BODIES):
        changed = [mutations.mutated(text) for _ in range(MUTATED)]
        took_us = max(longest_us(json_reader, each) for each in [text] + changed)
        worst[name] = max(took_us, worst.get(name, 0))
    print("%8s %9s  text, and %d with mistakes" % ("us here", "us ESP32", MUTATED))
    for name in sorted(worst, key=lambda name: -worst[name]):
        print("%8d %9d  %s" % (worst[name], worst[name] * ESP32_RATIO, name))
    return 1 if max(worst.values()) * ESP32_RATIO > LIMIT_US else 0


sys.exit(main())
