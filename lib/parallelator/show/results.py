# SPDX-License-Identifier: GPL-3.0-only
"""The results of self-tests: kept on the card, told, compared with. Loaded by `drive`, `web.api`.

/sd/selftest/0.json to 9.json are the last ten; the first line of each has what later ones are
compared with.
"""

import asyncio
import json
import sys

from micropython import const

from parallelator.records.card import FOLDER, Opened, make_folder
from parallelator.records.fatfile import there
from parallelator.web import answer, problem

_PLACE = FOLDER + "/selftest"
_FILES = const(10)
_PIECE = const(512)
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


def _path(number: int):
    return "%s/%d.json" % (_PLACE, number % _FILES)


async def earlier(card: "Card"):
    """The tests on the card: (number of the newest, 0 = none; list of their resistances and
    zeros)."""
    newest, rows = 0, []
    for k in range(_FILES):
        await asyncio.sleep_ms(0)
        if not card.mounted or not there(_path(k)):
            continue
        try:
            with Opened(card, _path(k), "r") as file:
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
    for _ in test.found.comparing(rows):
        await asyncio.sleep_ms(0)
    card = rig.card
    if card.writable:
        try:
            make_folder(_PLACE)
            with Opened(card, _path(number + 1), "w") as file:
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
    from parallelator.show.selftest import MEASURES, VERDICTS

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


# Over HTTP

_REFUSED = {
    "selftest_running": "A self-test runs already.",
    "selftest_none": "No battery is on.",
    "selftest_strained": "A battery starts, or carries more than 80 % of a limit.",
}


async def answering(rig: "Rig", access: "Auth", request: "Request"):
    """/api/selftest: GET tells how far a test is, or the result of the last one; POST begins one,
    or says with 409 why not; DELETE ends the one that runs."""
    if request.method == "POST" or request.method == "DELETE":
        res = await access.refusal(request)
        if res:
            return res
    if request.method == "POST":
        why = await rig.self_test()
        if why:
            return problem(409, why, _REFUSED[why])
    elif request.method == "DELETE" and is_running(rig):
        rig.selftest.stop()
    test = rig.selftest
    number = 0
    if not test:
        number, _ = await earlier(rig.card)
    let_go(rig)
    return answer(_view(rig, test, number), 202 if request.method == "POST" else 200)


def is_running(rig: "Rig"):
    """True while a self-test runs."""
    return rig.selftest is not None and not isinstance(rig.selftest, str)


def _view(rig: "Rig", test: "SelfTest | str | None", number: int):
    running = test is not None and not isinstance(test, str)
    view = {"running": running, "n": 0, "step": 0, "steps": 0}
    if running:
        view.update({"n": test.n, "step": test.step, "steps": test.steps})
    yield json.dumps(view)[:-1] + ',"result":'
    if isinstance(test, str):
        yield test
    elif not number:
        yield "null"
    else:
        try:
            with Opened(rig.card, _path(number), "r") as file:
                while True:
                    text = file.read(_PIECE)
                    if not text:
                        break
                    yield text
        except OSError as error:
            rig.card.fail(error)
            return  # cut short, the answer cannot be taken for a whole one
    yield "}"


def let_go(rig: "Rig"):
    """Free the memory of the modules of the self-test, unless one runs."""
    if is_running(rig):
        return
    package = sys.modules.get("parallelator.show")
    for name in ("drive", "results", "selftest"):
        if sys.modules.pop("parallelator.show." + name, None) and hasattr(package, name):
            delattr(package, name)
