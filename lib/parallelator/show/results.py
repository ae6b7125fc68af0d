# SPDX-License-Identifier: GPL-3.0-only
"""The results of self-tests: kept on the card, told, compared with. Loaded by `drive`, `serving`.

/sd/selftest/0.json to 9.json are the last ten; the first line of each has what later ones are
compared with.
"""

import asyncio
import json
import sys

from micropython import const

from parallelator.catalog import VERDICTS
from parallelator.records.card import FOLDER, Opened, make_folder
from parallelator.records.fatfile import there

_PLACE = FOLDER + "/selftest"
_FILES = const(10)
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


def path_of(number: int):
    """The file of a test."""
    return "%s/%d.json" % (_PLACE, number % _FILES)


async def earlier(card: "Card"):
    """The tests on the card: (number of the newest, 0 = none; list of their resistances and
    zeros)."""
    newest, rows = 0, []
    for k in range(_FILES):
        await asyncio.sleep_ms(0)
        if not card.mounted or not there(path_of(k)):
            continue
        try:
            with Opened(card, path_of(k), "r") as file:
                head = json.loads(file.readline().strip().rstrip(",") + "}")
            newest = max(newest, head["number"])
            rows.append((head["r_mohm"], head["zero_ma"]))
        except OSError as error:
            card.fail(error)
        except (ValueError, KeyError):
            continue  # cut off by a power cut
    return newest, rows


async def keep(rig: "Rig", test: "SelfTest"):
    """Compare a test with those before, and keep it on the card.

    Returns:
        str or None: the result as JSON when no card took it.
    """
    number, rows = await earlier(rig.card)
    for _ in test.found.comparing(rows, rig.settings["limits.pack_resistance_mohm"]):
        await asyncio.sleep_ms(0)
    card = rig.card
    if card.writable:
        try:
            make_folder(_PLACE)
            with Opened(card, path_of(number + 1), "w") as file:
                for text in pieces(rig, test, number + 1):
                    file.write(text)
                    await asyncio.sleep_ms(0)
            return None
        except OSError as error:
            card.fail(error)
            test.found.note(0, "card", 1, "")
    return "".join(pieces(rig, test, number + 1))


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
    if is_running(rig):
        return
    package = sys.modules.get("parallelator.show")
    for name in ("drive", "results", "selftest", "serving"):
        if sys.modules.pop("parallelator.show." + name, None) and hasattr(package, name):
            delattr(package, name)
