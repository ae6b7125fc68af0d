# SPDX-License-Identifier: GPL-3.0-only
"""The results of self-tests: kept on the card, told, compared with. Loaded by `drive`, `serving`.

The head of each, as of `last_ten`, has what later ones are compared with.
"""

import asyncio
import json

from parallelator.catalog import VERDICTS
from parallelator.show.last_ten import SELFTESTS, heads, newest, put
from parallelator.show.last_ten import let_go as free

_CONNECTED = "connected"


def signal(rig: "Rig"):
    """Strength of the Wi-Fi signal in dBm, None without a connection."""
    from network import STA_IF, WLAN

    if rig.network is None or rig.network.wifi.state != _CONNECTED:
        return None
    try:
        return WLAN(STA_IF).status("rssi")
    except (OSError, ValueError):
        return None


async def keep(rig: "Rig", test: "SelfTest"):
    """Compare a test with those before, and keep it on the card.

    Returns:
        str or None: the result as JSON when no card took it.
    """
    earlier = await heads(rig.card, SELFTESTS)
    rows = [(head["r_mohm"], head["zero_ma"]) for head in earlier]
    for _ in test.found.comparing(rows, rig.settings["limits.pack_resistance_mohm"]):
        await asyncio.sleep_ms(0)
    number = newest(earlier) + 1
    writable = rig.card.writable
    if await put(rig.card, SELFTESTS, number, pieces(rig, test, number)):
        return None
    test.found.note(0, "card", writable, "")
    return "".join(pieces(rig, test, number))


def pieces(rig: "Rig", test: "SelfTest", number: int):
    """The result of a test as JSON, in pieces."""
    from parallelator.show.selftest import MEASURES

    found = test.found
    head = {"number": number, "r_mohm": found.r_mohm, "zero_ma": found.zero_ma}
    # The keys in this order, whatever the order of a dict is.
    yield "{" + ",".join('"%s":%s' % (key, json.dumps(head[key])) for key in sorted(head))
    batteries = test.present()
    worst = max([found.verdict(0)] + [found.verdict(n) for n in batteries])
    facts = {
        "time": rig.clock.iso(),
        "boot": rig.boot,
        "stopped": test.stopped,
        "load_ma": test.load_ma,
        "verdict": VERDICTS[worst],
        "rig": VERDICTS[found.verdict(0)],
    }
    yield ",\n" + json.dumps(facts)[1:-1] + ',\n"batteries":['
    mark = ""
    for n in batteries:
        done = found.measured[n - 1]
        missing = [name for k, name in enumerate(MEASURES) if not done >> k & 1]
        row = {"n": n, "verdict": VERDICTS[found.verdict(n)], "missing": missing}
        yield mark + json.dumps(row)
        mark = ",\n"
    yield '],\n"findings":['
    mark = ""
    for n, code, level, value in found.rows:
        row = {"n": n, "code": code, "level": VERDICTS[level], "value": value}
        yield mark + json.dumps(row)
        mark = ",\n"
    yield "]}\n"


def is_running(rig: "Rig"):
    """True while a self-test runs."""
    return rig.selftest is not None and not isinstance(rig.selftest, str)


def let_go(rig: "Rig"):
    """Free the memory of the modules of the self-test, unless one runs."""
    if not is_running(rig):
        free("drive", "results", "selftest", "serving")
