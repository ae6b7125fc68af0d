# SPDX-License-Identifier: GPL-3.0-only
"""Reads JSON that comes from outside: RFC 8259 and no more, in short steps, within limits.

    tree = yield from json_reader.reading_object(file)

A `JsonError` says where the fault is, what was found and what is allowed, as a sentence with
`wording.Words.json_error`. A number without fraction and exponent becomes an int, exact; any other
a float, which has single precision on an ESP32 (7 digits).

With json_error it takes 8.5 KB of heap from .mpy files, about 1.6 KB frozen, and the value that it
reads at most 22 KB. On an ESP32 it reads a KB of settings in 40 ms, a KB of the worst text in
150 ms, and its longest step takes 4.8 ms.
"""

from micropython import const

from parallelator.json_error import JsonError, is_number, misspelt, refuse_wide_encoding, slip

_PIECE_BYTES = const(64)
_STEP_TOKENS = const(10)
_NUMBER_BYTES = const(24)  # a double: sign, 17 digits, point, exponent
_SECRET = "password"  # the value of a key that ends so is not shown

# What may come next. The odd numbers also allow the end of the open object or list.
_VALUE = const(0)
_ITEM = const(1)
_KEY = const(2)
_FIRST_KEY = const(3)
_COLON = const(4)
_COMMA = const(5)
_END = const(6)
_MISSING = ("value", "value", "key", "key", "colon", "comma", "end")

# What the next byte belongs to: places in _Reader.takers.
_STRUCTURE = const(0)
_WORD = const(1)
_TEXT = const(2)
_ESCAPE = const(3)
_HEX = const(4)
_TAIL = const(5)

_NAMES = (b"true", b"false", b"null")
_VALUES = (True, False, None)
_WORD_MARKS = (
    b"                                "
    b"           + -. 0123456789      "
    b" ABCDEFGHIJKLMNOPQRSTUVWXYZ    _"
    b" abcdefghijklmnopqrstuvwxyz     "
)
"""For each byte of ASCII whether it may be part of a word: a blank for those that may not."""
_ESCAPES = b'"\\/bfnrt'
_ESCAPED = b'"\\/\b\f\n\r\t'


def reading(
    source: "Buffer | IO",
    most_bytes: int = 16384,
    levels: int = 8,
    entries: int = 64,
    values: int = 256,
    key_bytes: int = 64,
    text_bytes: int = 512,
):
    """Read one JSON text: a generator with short steps that returns its value.

    Args:
        source: bytes or the like, or a file that is open for reading bytes.
        most_bytes: limit of the whole text; levels: of objects and lists within each other.
        entries: of one object or list; values: of all, which bounds the memory that they take.
        key_bytes: of a key: no more of a setting's is shown; text_bytes: of any other text: 512
            are 128 characters of four bytes.

    Raises:
        JsonError: it is not JSON, or exceeds a limit.
        OSError: the file cannot be read.
    """
    reader = _Reader(levels, entries, values, key_bytes, text_bytes)
    for piece in _pieces(source):
        if reader.bytes == 0:
            refuse_wide_encoding(piece[:4])
            if piece.startswith(b"\xef\xbb\xbf"):  # a byte order mark, which some editors write
                piece = piece[3:]
        if reader.bytes + len(piece) > most_bytes:
            reader.fail_at(0, "size", "", str(most_bytes))
        at = tokens = 0
        while at < len(piece):
            at = reader.takers[reader.mode](reader, piece, at)
            tokens += 1
            if tokens % _STEP_TOKENS == 0:
                yield
        reader.bytes += len(piece)
        yield
    return reader.end()


def reading_object(source: "Buffer | IO", **limits: int):
    """As `reading`, of a text that must be an object: returns a dict."""
    value = yield from reading(source, **limits)
    if not isinstance(value, dict):
        raise JsonError("object", 1, 1, "", "{")
    return value


def _pieces(source: "Any"):
    if hasattr(source, "read"):
        piece = source.read(_PIECE_BYTES)
        while piece:
            yield piece
            piece = source.read(_PIECE_BYTES)
    else:
        for at in range(0, len(source), _PIECE_BYTES):
            yield bytes(source[at : at + _PIECE_BYTES])


class _Reader:
    """The state of the reader between two pieces of a text."""

    def __init__(self, levels: int, entries: int, values: int, key_bytes: int, text_bytes: int):
        self._levels, self._entries = levels, entries
        self._values = self._values_left = values
        self._key_bytes, self._text_bytes = key_bytes, text_bytes
        self._open: list = [[]]  # what is open, outermost first; the first takes the whole value
        self._key = ""  # the key of the next value, or of the last one
        self._want = _VALUE
        self._letters = b""  # of a word so far
        self._token = bytearray()  # a text or a character so far
        self._number = b""  # the last value if it is a number on this line
        self._number_end = 0  # the column after it
        self._pair = 0  # first half of a surrogate pair
        self._line = 1
        self._line_start = 0  # plus the bytes beyond the first of each character on the line
        self._column = 1  # where the token begins
        self.mode = _STRUCTURE
        self.bytes = 0  # before this piece

    def end(self):
        """The text is over: returns its value."""
        if self.mode == _WORD:
            self._take_word(self._letters, 0)
        if self.mode != _STRUCTURE or self._want != _END:
            self.fail_at(0, "cut")
        return self._open[0][0]

    def fail_at(self, at: int, code: str, found: str = "", allowed: "str | int" = ""):
        """Raise the JsonError of a fault at a place in the piece."""
        self._column = self.bytes + at - self._line_start + 1
        self._fail(code, found, allowed)

    def _fail(self, code: str, found: str = "", allowed: "str | int" = ""):
        if len(found) > 1 and self._key.lower().endswith(_SECRET):
            found = "***"
            allowed = found if len(allowed) > 1 else allowed  # pyright: ignore - it is a text
        raise JsonError(code, self._line, self._column, found, allowed)

    # Structure: what is between texts and words.

    def _structure(self, piece: bytes, at: int):
        byte = piece[at]
        while byte == 0x20 or byte == 0x0D or byte == 0x09:
            at += 1
            if at == len(piece):
                return at
            byte = piece[at]
        want = self._want
        if byte == 0x0A:
            self._line += 1
            self._line_start = self.bytes + at + 1
            self._number = b""
            return at + 1
        self._column = self.bytes + at - self._line_start + 1
        if byte == 0x22 and want <= _FIRST_KEY:
            self.mode = _TEXT
            self._token = bytearray()
            if want >= _KEY:
                self._key = ""
        elif byte == 0x3A and want == _COLON:
            self._want = _VALUE
        elif byte == 0x2C and want == _COMMA:
            self._want = _KEY if isinstance(self._open[-1], dict) else _VALUE
        elif byte >= 0x80:
            self._token = bytearray()
            self._lead(byte)
        elif _WORD_MARKS[byte] != 0x20:
            self.mode = _WORD
            self._letters = b""
            return at
        elif byte == 0x7B and want <= _ITEM:
            self._descend({}, _FIRST_KEY)
        elif byte == 0x5B and want <= _ITEM:
            self._descend([], _ITEM)
        elif want & 1 and byte == self._closing():
            self._open.pop()
            self._complete()
        else:
            self._refuse(piece[at : at + 1].decode())
        return at + 1

    def _closing(self):
        if len(self._open) == 1:
            return 0
        return 0x7D if isinstance(self._open[-1], dict) else 0x5D

    def _descend(self, container: "dict | list", want: int):
        if len(self._open) > self._levels:
            self._fail("deep", "", self._levels)
        self._put(container)
        self._open.append(container)
        self._want = want

    def _put(self, value: object):
        container = self._open[-1]
        full = len(container) == self._entries
        if full or not self._values_left:
            self._fail("many", "", self._entries if full else self._values)
        self._values_left -= 1
        if isinstance(container, list):
            container.append(value)
        else:
            container[self._key] = value
        self._complete()

    def _complete(self):
        self._want = _COMMA if len(self._open) > 1 else _END
        self._number = b""

    def _refuse(self, char: str):
        want = self._want
        known = slip(char)
        if known and (known[0] != "quotes" or want <= _FIRST_KEY):
            self._fail(*known)
        if char in "}]" and (want == _KEY or (want == _VALUE and self._closing() == 0x5D)):
            self._fail("trailing", char)
        self._fail_missing(char)

    def _fail_missing(self, found: str):
        want = self._want
        self._fail(_MISSING[want], found, chr(self._closing()) if want == _COMMA else "")

    # Words: what has no quotes, so numbers and names.

    def _word(self, piece: bytes, at: int):
        start = at
        size = len(piece)
        marks = _WORD_MARKS
        while at < size and piece[at] < 0x80 and marks[piece[at]] != 0x20:
            at += 1
        self._letters += piece[start:at]
        if at < size or len(self._letters) > _NUMBER_BYTES:
            self._take_word(self._letters, piece[at] if at < size else 0)
        return at

    def _take_word(self, word: bytes, following: int):
        self.mode = _STRUCTURE
        if self._want > _ITEM:
            self._refuse_word(word, following)
        if word in _NAMES:
            self._put(_VALUES[_NAMES.index(word)])
        elif word.isdigit() and (word[0] != 0x30 or len(word) == 1) or is_number(word):
            value = float(word) if b"." in word or b"e" in word or b"E" in word else int(word)
            if len(word) > _NUMBER_BYTES or value - value != 0:
                self._fail("large", word.decode())
            self._put(value)
            self._number = word
            self._number_end = self._column + len(word)
        else:
            self._fail(*misspelt(word))

    def _refuse_word(self, word: bytes, following: int):
        """A word where there must be a key, a colon, a comma or nothing."""
        want = self._want
        number = self._number.decode()
        text = word.decode()
        thousands = len(text) > 2 and text[:3].isdigit() and not text[3:4].isdigit()
        if number and want == _COMMA and thousands:
            self._column = self._number_end - len(number)
            self._fail("blank_in_number", number + " " + text, number + text)
        if want == _KEY or want == _FIRST_KEY:
            joined = self._column == self._number_end + 1 and following != 0x3A
            if number and joined and text.isdigit():
                self._column = self._number_end - len(number)
                self._fail("decimal_comma", number + "," + text, number + "." + text)
            self._key = ""
            self._fail("unquoted", text, '"%s"' % text)
        self._fail_missing(text)

    # Texts: what is between quotes.

    def _text(self, piece: bytes, at: int):
        start = at
        size = len(piece)
        while at < size:
            byte = piece[at]
            if byte < 0x20 or byte == 0x22 or byte == 0x5C or byte >= 0x80:
                break
            at += 1
        token = self._token
        token.extend(piece[start:at])
        most = self._key_bytes if self._want >= _KEY else self._text_bytes
        if len(token) > most:
            self._fail("long", "", most)
        if self._pair and (at > start or byte != 0x5C):
            self.fail_at(start, "surrogate", "\\u%04x" % self._pair)
        if at == size:
            return at
        if byte == 0x22:
            self.mode = _STRUCTURE
            self._take_text(token.decode())
        elif byte == 0x5C:
            self.mode = _ESCAPE
        elif byte >= 0x80:
            self._lead(byte)
        else:
            newline = byte == 0x0A or byte == 0x0D
            self.fail_at(at, "newline" if newline else "control", "U+%04X" % byte)
        return at + 1

    def _take_text(self, text: str):
        if self._want <= _ITEM:
            self._put(text)
        elif text in self._open[-1]:
            self._fail("duplicate", text)
        else:
            self._key, self._want = text, _COLON

    def _escape(self, piece: bytes, at: int):
        byte = piece[at]
        if byte == 0x75:
            self.mode = _HEX
            self._unit = 1  # reaches bit 16 after four digits
        elif self._pair:
            self.fail_at(at, "surrogate", "\\u%04x" % self._pair)
        elif byte not in _ESCAPES:
            self.fail_at(at, "escape", "\\" + _utf8(byte).decode() if byte < 0x80 else "\\")
        else:
            self.mode = _TEXT
            self._token.append(_ESCAPED[_ESCAPES.find(bytes((byte,)))])
        return at + 1

    def _hex(self, piece: bytes, at: int):
        byte = piece[at]
        if 0x30 <= byte <= 0x39:
            digit = byte - 0x30
        elif 0x61 <= byte | 0x20 <= 0x66:
            digit = (byte | 0x20) - 0x57
        else:
            self.fail_at(at, "escape", "\\u")
        self._unit = self._unit << 4 | digit
        if self._unit >> 16:
            self._take_unit(self._unit & 0xFFFF, at)
        return at + 1

    def _take_unit(self, unit: int, at: int):
        """A UTF-16 code unit: a character, or half of one."""
        pair = self._pair
        if bool(pair) != (0xDC00 <= unit < 0xE000):
            self.fail_at(at, "surrogate", "\\u%04x" % (pair or unit))
        self.mode = _TEXT
        if 0xD800 <= unit < 0xDC00:
            self._pair = unit
            return
        self._pair = 0
        if pair:
            unit = 0x10000 + ((pair & 0x3FF) << 10 | unit & 0x3FF)
        self._token.extend(_utf8(unit))

    # UTF-8: the bounds of each byte are those of Unicode's table of well-formed sequences.

    def _lead(self, byte: int):
        self._back, self.mode = self.mode, _TAIL
        self._tails = 1 if byte < 0xE0 else 2 if byte < 0xF0 else 3
        self._low = 0xA0 if byte == 0xE0 else 0x90 if byte == 0xF0 else 0x80
        self._high = 0x9F if byte == 0xED else 0x8F if byte == 0xF4 else 0xBF
        if not 0xC2 <= byte <= 0xF4:
            self._high = 0
        self._first = byte
        self._token.append(byte)

    def _tail(self, piece: bytes, at: int):
        byte = piece[at]
        if not self._low <= byte <= self._high:
            first = self._first
            if not first or byte & 0xC0 == 0x80:
                self.fail_at(at - 1, "utf8", "0x%02X" % byte)
            found = _utf8(first).decode() if first >= 0xA0 else "0x%02X" % first
            self.fail_at(at - 1, "latin1", found)
        self._first = 0
        self._token.append(byte)
        self._line_start += 1
        self._tails -= 1
        self._low, self._high = 0x80, 0xBF
        if not self._tails:
            self.mode = self._back
            if self.mode == _STRUCTURE:
                self._refuse(self._token.decode())
        return at + 1

    takers = (_structure, _word, _text, _escape, _hex, _tail)


def _utf8(unit: int):
    """The bytes of a character, made without `chr`: MicroPython keeps for ever what that makes."""
    if unit < 0x80:
        return bytes((unit,))
    tail = 0x80 | unit & 0x3F
    if unit < 0x800:
        return bytes((0xC0 | unit >> 6, tail))
    middle = 0x80 | unit >> 6 & 0x3F
    if unit < 0x10000:
        return bytes((0xE0 | unit >> 12, middle, tail))
    return bytes((0xF0 | unit >> 18, 0x80 | unit >> 12 & 0x3F, middle, tail))
