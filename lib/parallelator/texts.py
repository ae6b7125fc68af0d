"""What nobody can have meant in a text that is typed or pasted. Called by settings; pure."""

_BLANKS = " \u00a0\u2002\u2003\u2009\u202f\u3000"
_JOINER = "\u200d"
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


def slip(text, foreign):
    """What nobody can have meant in a text, as words for what is allowed; "" for nothing.

    Args:
        foreign: somebody else has chosen it: it may have blanks around it, and joiners.
    """
    for char in text:
        if _is_unseen(char) and not (foreign and char == _JOINER):
            return ", without U+%04X, which nobody sees" % ord(char)
    if text and not foreign and (text[0] in _BLANKS or text[-1] in _BLANKS):
        return ", without a blank before or after it"
    return ""


def printable(text):
    """`text` with `?` in place of what nobody sees, such as control characters."""
    for char in text:
        if _is_unseen(char):
            text = text.replace(char, "?")
    return text


def _is_unseen(char):
    if " " <= char <= "~":
        return False
    code = ord(char)
    for first, last in _UNSEEN:
        if code <= last:
            return code >= first
    return False
