# SPDX-License-Identifier: GPL-3.0-only
"""Finds what is surely a mistake in a text that was typed or pasted. Called by settings; pure."""

_BLANKS = (0x20, 0xA0, 0x2002, 0x2003, 0x2009, 0x202F, 0x3000)
_JOINER = 0x200D
_UNSEEN = (
    (0, 0x1F),  # controls
    (0x7F, 0x9F),
    (0xAD, 0xAD),  # soft hyphen
    (0x200B, 0x200F),  # of no width, and marks of direction
    (0x2028, 0x202E),
    (0x2060, 0x206F),
    (0xD800, 0xDFFF),  # halves of a UTF-16 pair
    (0xFEFF, 0xFEFF),  # byte order mark
)
"""Characters that nobody sees, from first to last, in rising order."""


def slip(text: str, foreign: bool):
    """What is surely a mistake in a text, as an addition to what is allowed; "" for nothing.

    Args:
        foreign: True for a text that somebody else has chosen, such as the name of a network: it
            may have blanks around it, and joiners.
    """
    data = text.encode()
    if data and min(data) >= 0x20 and max(data) < 0x7F:  # the usual case, and ten times as fast
        codes = (data[0], data[-1])
    else:
        codes = [code for _, _, code in _characters(data)]
    for code in codes:
        if _is_unseen(code) and not (foreign and code == _JOINER):
            return ", without U+%04X, which nobody sees" % code
    if codes and not foreign and (codes[0] in _BLANKS or codes[-1] in _BLANKS):
        return ", without a blank before or after it"
    return ""


def printable(text: str):
    """`text` with `?` in place of what nobody sees, such as control characters."""
    data = text.encode()
    shown = bytearray()
    for begin, end, code in _characters(data):
        shown.extend(b"?" if _is_unseen(code) else data[begin:end])
    return shown.decode()


def _characters(data: bytes):
    """Yields (place, place behind, code point) of each character of a text in UTF-8.

    The loop is over bytes: of a loop over a str MicroPython keeps each new character for ever.
    """
    begin = code = 0
    for at, byte in enumerate(data):
        if byte & 0xC0 == 0x80:
            code = code << 6 | byte & 0x3F
            continue
        if at:
            yield begin, at, code
        begin = at
        code = byte if byte < 0x80 else byte & 0x1F >> (byte >= 0xE0) >> (byte >= 0xF0)
    if data:
        yield begin, len(data), code


def _is_unseen(code: int):
    if 0x20 <= code <= 0x7E:
        return False
    for first, last in _UNSEEN:
        if code <= last:
            return code >= first
    return False
