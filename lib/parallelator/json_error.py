# SPDX-License-Identifier: GPL-3.0-only
"""Names what is wrong in a text that is not JSON, so that its writer can mend it. For json_reader.

What is found is shown short and without control characters.
"""

from micropython import const

_SHOWN_CHARS = const(32)
_QUOTES = "'`\u00ab\u00b4\u00bb\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f\u2032\u2033\uff02"


class JsonError(ValueError):
    """A text that is not JSON, or exceeds a limit.

    Args:
        code: short word, a key of `json` in messages/.
        line, column: place of the fault, from 1 on; columns count characters.
        found: what is there; `***` where a password may be.
        allowed: how it is to be written, or the limit; "" when the code says it.
    """

    def __init__(
        self, code: str, line: int, column: int, found: str = "", allowed: "str | int" = ""
    ):
        self.code = code
        self.line = line
        self.column = column
        self.found = _shown(found)
        self.allowed = _shown(str(allowed))
        place = "line %d, column %d" % (line, column)
        super().__init__("%s: %s %s (%s)" % (place, code, self.found, self.allowed))

    def fault(self):
        """The same as a dict: a fault of a file or a body, see `config.load`."""
        return {
            "key": "",
            "found": self.found,
            "allowed": self.allowed,
            "code": self.code,
            "line": self.line,
            "column": self.column,
        }


def refuse_wide_encoding(head: bytes):
    """Raise a JsonError when the first four bytes are those of a wider encoding than UTF-8."""
    zeros = "".join("x" if byte else "0" for byte in head)
    if zeros in ("x000", "000x") or head in (b"\xff\xfe\0\0", b"\0\0\xfe\xff"):
        raise JsonError("wide", 1, 1, "UTF-32")
    if zeros in ("x0x0", "0x0x") or head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise JsonError("wide", 1, 1, "UTF-16")


def slip(char: str):
    """(code, found, allowed) of a character that JSON has within texts only, else None."""
    if char < " " or char == "\x7f" or _is_odd_blank(char):
        return "blank", "U+%04X" % ord(char), ""
    if char == "/" or char == "#":
        return "comment", char, ""
    if char in _QUOTES:
        return "quotes", char, '"'
    return None


def misspelt(word: bytes):
    """(code, found, allowed) of a word (bytes) that is no value."""
    text = word.decode()
    plain = text.lower()
    if plain in ("true", "false", "null", "none"):
        return "capital", text, "null" if plain == "none" else plain
    if plain.lstrip("+-") in ("nan", "inf", "infinity"):
        return "nan", text, "null"
    digits = text.replace("_", "").lstrip("+-0").rstrip(".")
    if not digits[:1].isdigit():
        digits = "0" + digits
    if is_number(digits.encode()):
        return "number", text, ("-" if text.startswith("-") else "") + digits
    return "word", text, '"%s"' % text


def is_number(word: bytes):
    """True when a word (bytes) is a number as RFC 8259 has it."""
    whole, e, exponent = word.lower().partition(b"e")
    whole, point, fraction = whole.partition(b".")
    if whole.startswith(b"-"):
        whole = whole[1:]
    if exponent[:1] in (b"+", b"-"):
        exponent = exponent[1:]
    return (
        whole.isdigit()
        and (whole == b"0" or not whole.startswith(b"0"))
        and (fraction.isdigit() or not point)
        and (exponent.isdigit() or not e)
    )


def _shown(text: str):
    """A text as it is shown. The loop is over bytes: of a loop over a str MicroPython keeps each
    new character for ever."""
    if len(text) > _SHOWN_CHARS:
        text = text[:_SHOWN_CHARS] + "\u2026"
    data = bytearray(text.encode())
    for k, byte in enumerate(data):
        if byte < 0x20 or byte == 0x7F:
            data[k] = 0x3F
        elif byte == 0xC2 and data[k + 1] < 0xA0:
            data[k] = data[k + 1] = 0x3F
    return data.decode()


def _is_odd_blank(char: str):
    return (
        "\x80" <= char <= "\xa0"
        or "\u2000" <= char <= "\u200f"
        or "\u2028" <= char <= "\u202f"
        or char in "\xad\u205f\u2060\u3000\ufeff"
    )
