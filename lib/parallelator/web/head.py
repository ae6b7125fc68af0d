# SPDX-License-Identifier: GPL-3.0-only
"""The head of a request: line and headers, with a bound on all of it. Read by server."""

import asyncio

from micropython import const

from . import Refused

_HEADERS = const(40)
_URL = const(512)
_PATH = const(96)  # Microdot's patterns recurse once per character
_BODY = const(16384)
_HEADER_NAMES = (
    ("host", "Host"),
    ("origin", "Origin"),
    ("cookie", "Cookie"),
    ("authorization", "Authorization"),
    ("content-type", "Content-Type"),
    ("content-length", "Content-Length"),
    ("transfer-encoding", "Transfer-Encoding"),
    ("content-encoding", "Content-Encoding"),
    ("expect", "Expect"),
    ("accept-encoding", "Accept-Encoding"),
    ("if-none-match", "If-None-Match"),
    ("if-range", "If-Range"),
    ("range", "Range"),
)
_HEX = "0123456789abcdefABCDEF"
CONTROL = (400, "control", "Lines end with CR LF; NUL, CR and LF stand nowhere else.")


async def parse_head(text: str):
    """Splits request line and headers, without their last empty line.

    Other tasks run after every fourth header.

    Returns:
        tuple: method, url, HTTP version ("1.0" or "1.1") and a dict of the headers that anybody
        here asks for, under their usual names.

    Raises:
        Refused: they are not HTTP, or beyond a limit.
    """
    lines = text.split("\r\n")
    if "\0" in text or not len(lines) - 1 == text.count("\r") == text.count("\n"):
        raise Refused(*CONTROL)
    words = lines.pop(0).split(" ")
    if len(words) != 3:
        raise Refused(400, "request_line", "The request line is not HTTP.")
    method, url, version = words
    scheme, absolute, rest = url.partition("://")
    absolute = absolute and scheme.lower() in ("http", "https")
    if absolute:  # RFC 9112 section 3.2.2: its authority is the host, whatever Host says
        host, _, rest = rest.partition("/")
        url = "/" + rest
    if not url.startswith("/") and (method, url) != ("OPTIONS", "*"):
        raise Refused(400, "request_line", "The request line is not HTTP.")
    if not method.isalpha() or not method.isupper():
        raise Refused(400, "request_line", "A method is made of capital letters.")
    if version not in ("HTTP/1.0", "HTTP/1.1"):
        if version.startswith("HTTP/"):
            raise Refused(505, "version", "HTTP/1.0 and HTTP/1.1 are understood.")
        raise Refused(400, "version", "The request line does not end with an HTTP version.")
    if len(url) > _URL or len(url.split("?", 1)[0]) > _PATH:
        raise Refused(414, "url", f"An address may be {_URL} bytes long, {_PATH} up to the '?'.")
    if not _escapes_ok(url):
        raise Refused(400, "url", "The address has a bad % escape.")
    if len(lines) > _HEADERS:
        raise Refused(431, "head", f"A request may have {_HEADERS} headers.")
    usual = dict(_HEADER_NAMES)
    headers = {}
    for k, line in enumerate(lines):
        if k % 4 == 3:
            await asyncio.sleep_ms(0)
        name, colon, value = line.partition(":")
        if not colon or not name or " " in name or "\t" in name:
            raise Refused(400, "header", "A header is not of the form 'Name: value'.")
        name = usual.get(name.lower())
        value = value.strip()
        if name == "Cookie" and name in headers:
            value = headers[name] + "; " + value  # as RFC 9113 section 8.2.3 joins them
        elif name in headers:
            raise Refused(400, "header", "A header comes twice.", name)
        if name:
            headers[name] = value
    if version == "HTTP/1.1" and "Host" not in headers:
        raise Refused(400, "header", "HTTP/1.1 requires a Host header.", "Host")
    if absolute:
        headers["Host"] = host
    return method, url, version[5:], headers


def body_length(headers: dict):
    """The length of the body in bytes, 0..16384; most routes take less. Raises Refused."""
    if "Transfer-Encoding" in headers:
        raise Refused(411, "length", "Send a Content-Length; no encoding is understood.")
    if "Content-Encoding" in headers:
        raise Refused(415, "type", "Send the body without a Content-Encoding.", "Content-Encoding")
    text = headers.get("Content-Length", "0")
    if not text.isdigit():
        raise Refused(400, "length", "Content-Length must be a number.", "Content-Length")
    if len(text) > 5 or int(text) > _BODY:
        raise Refused(413, "body", "A body may be %d bytes long." % _BODY)
    return int(text)


def _escapes_ok(text: str):
    for part in text.split("%")[1:]:
        if len(part) < 2 or part[0] not in _HEX or part[1] not in _HEX:
            return False
    return True
