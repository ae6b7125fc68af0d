# SPDX-License-Identifier: GPL-3.0-only
"""Settings files and bodies of requests with mistakes in them, read. For `make soak` and tests.

    micropython tools/soak/mutations.py [COUNT [SEED]]

COUNT texts of each kind are cut, doubled and overwritten at random places. Whatever comes out is
read as MicroPython's own JSON reads it, or refused with a place and a sentence in both languages;
no step takes more than it may, and what is in use of the heap stays the same.
"""

import gc
import io
import json
import random
import sys

COUNT = 20000
SEED = 1
STEP_BYTES = 64
"""The most that one step may take from its source."""
_HEAP_SLACK = 2048
"""Bytes: the last text and the value read from it may still be in memory."""
_SHOWN_CHARS = 33
BODIES = (
    b'{"password": "correct horse battery"}',
    b'{"unix_s": 1796083200}',
    b'{"confirmed": true}',
    b'{"limits.max_trips": 7, "batteries.3.label": "\\ud83d\\udd0b sc\\u00e8ne"}',
    b'{"board.switch": [0, 1, 2, 3], "sensor": {"shunt_uohm": 2.0e3}, "wifi": {"ip": null}}',
    '{"name": "sc\u00e8ne \U0001f50b", "time": {"zone": "CET-1CEST,M3.5.0,M10.5.0/3"}}'.encode(),
)
SCRAPS = (
    b'" { } [ ] , : 0 00 - . + e5 1e999 ,5 000 \\ \\u d83d \\udd0b true False null NaN / // #'
    b" ' ; = \xc3\xa9 \xe9 \xe2\x80\x9c \xc2\xa0 \xf0\x9f\x94\x8b \x80 \xff \xfe \xef\xbb\xbf"
    b" \xc0\x80 \xe0\x80\x80 \xed\xa0\x80 \xf4\x90\x80\x80 \0 \n \t \x1b 12345678901234567890"
    b" [[[[[[[[ {{{{ "
).split(b" ")
"""What is written over a place; the last, of no bytes, cuts."""


class _Source:
    """A stream that counts what a step takes from it."""

    def __init__(self, text):
        self._stream = io.BytesIO(text)
        self.taken = 0

    def read(self, size):
        piece = self._stream.read(size)
        self.taken += len(piece)
        return piece


class Campaign:
    """Texts of one kind, mutated and read.

    Args:
        reader: the module json_reader; words: the `Words` of each language.
        texts: list of bytes; most_bytes: limit of one.

    Attributes:
        read, refused: how many texts were; codes: set of the codes of the refusals.
        longest: bytes that the longest step took.
        wrong: what must not happen, as texts; one is enough.
    """

    def __init__(self, reader, words, texts, most_bytes):
        self._reader = reader
        self._words = words
        self._texts = texts
        self._most_bytes = most_bytes
        self.read = self.refused = self.longest = 0
        self.codes = set()
        self.wrong = []

    def run(self, count, seed):
        """Read `count` texts; returns the heap in use after a quarter of them and after all."""
        random.seed(seed)
        used = []
        for k in range(count):
            text = mutated(self._texts[k % len(self._texts)])
            try:
                self._try(text)
            except Exception as error:  # whatever it is, it should not have left the reader
                self.wrong.append("%r: %r" % (text, error))
            if self.wrong:
                break
            if k + 1 == count // 4 or k + 1 == count:
                gc.collect()
                used.append(0)
                used[-1] = gc.mem_alloc()
        if len(used) == 2 and used[1] - used[0] > _HEAP_SLACK:
            self.wrong.append("heap in use %d, then %d" % tuple(used))
        return used

    def _try(self, text):
        try:
            value = self._value_of(text)
        except self._reader.JsonError as error:
            self.refused += 1
            self.codes.add(error.code)
            self._check(text, error)
            return
        self.read += 1
        if b"\\ud" not in text.lower() and json.loads(text.lstrip(b"\xef\xbb\xbf")) != value:
            self.wrong.append("%r was read as %r" % (text, value))

    def _value_of(self, text):
        source = _Source(text)
        steps = self._reader.reading(source, most_bytes=self._most_bytes)
        while True:
            source.taken = 0
            try:
                next(steps)
            except StopIteration as end:
                return end.value
            finally:
                self.longest = max(self.longest, source.taken)
                if source.taken > STEP_BYTES:
                    self.wrong.append("%r: %d bytes in a step" % (text, source.taken))

    def _check(self, text, error):
        lines = text.split(b"\n")
        inside = 1 <= error.line <= len(lines) and (
            1 <= error.column <= len(lines[error.line - 1]) + 1
        )
        said = [words.json_error(error.fault()) for words in self._words]
        plain = all(byte >= 0x20 and byte != 0x7F for each in said for byte in each.encode())
        if not inside or not plain or len(error.found) > _SHOWN_CHARS:
            self.wrong.append("%r: %r" % (text, said))


def mutated(text):
    """A text with one to four mistakes."""
    for _ in range(1 + random.randrange(4)):
        start = random.randrange(len(text) + 1)
        end = min(len(text), start + random.randrange(4) ** 2)
        kind = random.randrange(3)
        scrap = SCRAPS[random.randrange(len(SCRAPS))]
        if kind == 1:
            scrap = text[start:end] * 2
        elif kind == 2:
            end = start
        text = text[:start] + scrap + text[end:]
    return text


def campaigns(root):
    """(name, `Campaign`) of the settings file and of the bodies; root: of the repository."""
    from parallelator import json_reader
    from parallelator.wording import Words

    words = (Words("en"), Words("fr"))
    with open(root + "/config.json", "rb") as file:
        text = file.read()
    return (
        ("files", Campaign(json_reader, words, (text, text.replace(b"\n", b"\r\n")), 16384)),
        ("bodies", Campaign(json_reader, words, BODIES, 256)),
    )


def main():
    """Run both; return the exit code."""
    root = __file__.rsplit("/tools/soak/", 1)[0] if "/tools/soak/" in __file__ else "."
    sys.path[:] = [root + "/lib", ".frozen"]
    count = int(sys.argv[1]) if len(sys.argv) > 1 else COUNT
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else SEED
    failed = 0
    for name, campaign in campaigns(root):
        used = campaign.run(count, seed)
        print(
            "%d %s, seed %d: %d read, %d refused with %d codes, at most %d bytes in a step, heap "
            "in use %s"
            % (
                count,
                name,
                seed,
                campaign.read,
                campaign.refused,
                len(campaign.codes),
                campaign.longest,
                used,
            )
        )
        for text in campaign.wrong:
            print("wrong:", text)
        failed += bool(campaign.wrong)
    print("%d passed, %d failed" % (2 - failed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
