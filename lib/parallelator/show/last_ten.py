# SPDX-License-Identifier: GPL-3.0-only
"""The last ten results of a kind on the card: of self-tests, of shows. Loaded by those who keep
them and by `serving`.

/sd/KIND/0.json to 9.json. The first line of each is its head: what it is found by, and what later
ones are compared with. A result that was cut off by a power cut may lack the rest.
"""

import asyncio
import json
import sys

from micropython import const

from parallelator.records.card import FOLDER, Opened, make_folder
from parallelator.records.fatfile import there

SELFTESTS, SHOWS = "selftest", "shows"
"""The kinds."""
_FILES = const(10)


def path_of(kind: str, number: int):
    """The file of a result."""
    return "%s/%s/%d.json" % (FOLDER, kind, number % _FILES)


async def heads(card: "Card", kind: str):
    """The heads of those on the card, a list of dicts with `number`."""
    found = []
    for k in range(_FILES):
        await asyncio.sleep_ms(0)
        if not card.mounted or not there(path_of(kind, k)):
            continue
        try:
            with Opened(card, path_of(kind, k), "r") as file:
                head = line_of(file)
            head["number"] += 0  # it is there, and a number
            found.append(head)
        except OSError as error:
            card.fail(error)
        except (ValueError, KeyError, TypeError):
            continue  # cut off by a power cut
    return found


def line_of(file: "IO"):
    """The next line of a result as a dict; raises ValueError when it is none."""
    return json.loads("{" + file.readline().strip().strip("{,") + "}")


def newest(found: list):
    """The number of the newest of these heads, 0 = there is none."""
    return max([head["number"] for head in found] + [0])


async def put(card: "Card", kind: str, number: int, pieces: "Iterable"):
    """Write a result; False when no card took it."""
    if not card.writable:
        return False
    try:
        make_folder("%s/%s" % (FOLDER, kind))
        with Opened(card, path_of(kind, number), "w") as file:
            for text in pieces:
                file.write(text)
                await asyncio.sleep_ms(0)
    except OSError as error:
        card.fail(error)
        return False
    return True


def let_go(*names: str):
    """Free the memory of modules of this package, and of this one."""
    package = sys.modules.get("parallelator.show")
    for name in names + ("last_ten",):
        if sys.modules.pop("parallelator.show." + name, None) and hasattr(package, name):
            delattr(package, name)
