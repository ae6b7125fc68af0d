"""What the settings of the network must be, beyond type and range. Called by settings; pure."""

_HOST_CHARS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-"
_KEYS = ("wifi.password", "wifi.ap_password")
_ADDRESSES = ("wifi.ip", "wifi.netmask", "wifi.gateway", "wifi.dns")


def is_ip(text):
    """True for an IPv4 address: four decimal numbers, 0 to 255."""
    parts = text.split(".")
    return len(parts) == 4 and all(p.isdigit() and len(p) < 4 and int(p) < 256 for p in parts)


def faults(values):
    """Yields (key, what is allowed) for each setting that is not as it must be.

    Args:
        values: a complete flat dict of settings, each of the right type and range.
    """
    for key in _KEYS:
        if 0 < len(values[key].encode()) < 8:
            yield key, "nothing, or 8 to 63 characters (WPA2)"
    host = values["wifi.hostname"]
    if any(char not in _HOST_CHARS for char in host) or host[0] == "-" or host[-1] == "-":
        yield "wifi.hostname", "letters, digits, and hyphens in between"
    country = values["wifi.country"]
    if country and not (len(country) == 2 and country.isalpha() and country.isupper()):
        yield "wifi.country", "nothing, or two capital letters as FR"
    for key in _ADDRESSES:
        if values[key] and not is_ip(values[key]):
            yield key, "nothing, or an address as 192.168.1.50"
    if values["wifi.ip"] and not values["wifi.netmask"]:
        yield "wifi.netmask", "an address as 255.255.255.0, next to wifi.ip"
    if any(not "!" <= char <= "~" for char in values["time.ntp"]):
        yield "time.ntp", "nothing, or the name or address of a server"
    if values["time.zone"] != "UTC0":
        from . import zone

        try:
            zone.parsed(values["time.zone"])
        except ValueError:
            yield "time.zone", zone.ALLOWED
