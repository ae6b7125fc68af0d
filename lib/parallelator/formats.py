# SPDX-License-Identifier: GPL-3.0-only
"""Checks how addresses, names, password hashes and the like are written, which type and range of
a setting do not tell. Called by settings, web and network; pure."""

from micropython import const

from parallelator.snapshot import BATTERIES

ITERATIONS = const(1000)  # about 0.3 s on an ESP32
PBKDF2 = "pbkdf2$1000$"
"""How the hash of a password begins, of as many iterations of PBKDF2-HMAC-SHA256."""

PASSWORD_BYTES = const(80)  # a login then fits 256 bytes with each character escaped
_HOST_CHARS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-"
_HEX = "0123456789abcdefABCDEF"
_ADDRESSES = ("wifi.ip", "wifi.netmask", "wifi.gateway", "wifi.dns")
_LABEL = 63
"""Longest part of a name between its dots, RFC 1035 section 2.3.4."""


def is_ip(text: str):
    """True for an IPv4 address: four decimal numbers, 0 to 255."""
    parts = text.split(".")
    return len(parts) == 4 and all(p.isdigit() and len(p) < 4 and int(p) < 256 for p in parts)


def is_netmask(text: str):
    """True for an IPv4 netmask: ones, then zeros, some of each."""
    if not is_ip(text):
        return False
    zeros = 0
    for part in text.split("."):
        zeros = zeros << 8 | 255 - int(part)
    return 0 < zeros < 0xFFFFFFFF and not zeros & zeros + 1


def is_hex(text: str, count: int):
    """True for `count` hexadecimal digits."""
    return len(text) == count and all(char in _HEX for char in text)


def is_hash(text: object):
    """True for the hash of a password as the rig makes it; nothing else is taken for one."""
    if not isinstance(text, str) or not text.startswith(PBKDF2):
        return False
    salt, _, digest = text[len(PBKDF2) :].partition("$")
    return is_hex(salt, 32) and is_hex(digest, 64)


def host_of(authority: str):
    """The name in `name:port` in small letters, without the dot of the root behind it."""
    name = authority.lower()
    if not name.startswith("["):  # else an IPv6 address
        name = name.split(":")[0]
    return name.rstrip(".")


def hosts(text: str):
    """The names in a list with commas, as of `host_of`."""
    return [host_of(name.strip()) for name in text.split(",") if name.strip()]


def slip(text: str):
    """What is wrong with a text that must be the name or address of a host; "" for nothing."""
    scheme, _, rest = text.partition("://")
    if rest or text.endswith("://"):
        return "no %s://" % scheme
    for mark, what in (("@", "user"), ("/", "path"), (":", "port")):
        if mark in text:
            return "no %s" % what
    if is_ip(text):
        return ""
    if text.replace(".", "").isdigit():
        return "four numbers, 0 to 255"
    for label in (text[:-1] if text.endswith(".") else text).split("."):
        if not 1 <= len(label) <= _LABEL:
            return "1 to %d characters between the dots" % _LABEL
        for char in label:
            if char not in _HOST_CHARS and char != "_":
                return "no %s" % ("blank" if char == " " else "'%s'" % char)
        if label[0] == "-" or label[-1] == "-":
            return "no '-' at an end"
    return ""


def minute_of_day(text: str):
    """A time of the clocks, as "23:00", in minutes since midnight; None when it is none."""
    hour, _, minute = text.partition(":")
    if not (hour.isdigit() and minute.isdigit() and len(hour) <= 2 and len(minute) == 2):
        return None
    return int(hour) * 60 + int(minute) if int(hour) < 24 and int(minute) < 60 else None


def hours_of(text: str):
    """The minutes of the day of two times, as "20:30-23:00"; None when they are none."""
    begin, _, end = text.partition("-")
    begin, end = minute_of_day(begin), minute_of_day(end)
    return None if begin is None or end is None or begin == end else (begin, end)


def faults(values: "Values"):
    """Yields (key, what is allowed) for each setting that is not as it must be, None between.

    Args:
        values: a complete flat dict of settings, each of the right type and range.
    """
    key = values["web.password"]
    if not is_hash(key) and (key.startswith("pbkdf2$") or len(key.encode()) > PASSWORD_BYTES):
        allowed = "nothing, 8 characters to %d bytes of text, or a hash that the rig has made"
        yield "web.password", allowed % PASSWORD_BYTES
    key = values["wifi.password"]
    if len(key.encode()) > 63 and not is_hex(key, 64):
        yield "wifi.password", "nothing, 8 to 63 bytes, or 64 hexadecimal digits (WPA2)"
    if any(not " " <= char <= "~" for char in values["wifi.ap_password"]):
        yield "wifi.ap_password", "nothing, or 8 to 63 ASCII characters: no accents (WPA2)"
    host = values["wifi.hostname"]
    if host.lower().endswith(".local"):
        yield "wifi.hostname", "a name without .local, which comes by itself"
    elif any(char not in _HOST_CHARS for char in host) or host[0] == "-" or host[-1] == "-":
        yield "wifi.hostname", "letters, digits, and hyphens in between"
    yield
    country = values["wifi.country"]
    if country and not (len(country) == 2 and country.isalpha() and country.isupper()):
        yield "wifi.country", "nothing, or two capital letters as FR"
    for key in _ADDRESSES:
        if values[key] and not is_ip(values[key]):
            yield key, "nothing, or an address alone as 192.168.1.50"
    mask = values["wifi.netmask"]
    if (mask or values["wifi.ip"]) and not is_netmask(mask):
        yield "wifi.netmask", "a netmask as 255.255.255.0, next to wifi.ip"
    yield
    for key, more in (("time.ntp", ""), ("mqtt.host", " (its port is mqtt.port)")):
        wrong = values[key] and slip(values[key])
        yield (key, "nothing, or a name or address alone%s: %s" % (more, wrong)) if wrong else None
    for name in values["web.hosts"].split(",") if values["web.hosts"] else ():
        wrong = slip(name.strip())
        if wrong:
            yield "web.hosts", "nothing, or names alone, with commas between: " + wrong
            break
    yield
    ids = []
    for n in range(1, BATTERIES + 1):
        key = "batteries.%d.id" % n
        id = values[key].lower()  # it names a file on the card
        if any(char not in _HOST_CHARS and char != "_" for char in id):
            yield key, "nothing, or letters, digits, - and _"
        elif id and id in ids:
            yield key, "an id that no other battery has"
        ids.append(id)
    yield
    prefix = values["mqtt.prefix"]
    if "+" in prefix or "#" in prefix or prefix[0] == "$" or "" in prefix.strip("/").split("/"):
        yield "mqtt.prefix", "a topic as stage/rigs: no + and #, no $ in front, no empty level"
    yield from _of_time(values)


def _of_time(values: "Values"):
    if values["time.show"] and hours_of(values["time.show"]) is None:
        yield "time.show", "nothing, or two times of the day as 20:30-23:00"
    if values["time.zone"] != "UTC0":
        from parallelator import zone

        try:
            zone.parsed(values["time.zone"])
        except ValueError:
            yield "time.zone", zone.ALLOWED
