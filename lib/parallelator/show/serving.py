# SPDX-License-Identifier: GPL-3.0-only
"""The self-test and the report of a show over HTTP. Loaded by `web.api` for each request."""

import json

from micropython import const

from parallelator.records.card import Opened
from parallelator.show import self_test
from parallelator.show.last_ten import SELFTESTS, SHOWS, heads, newest, path_of
from parallelator.show.last_ten import let_go as free
from parallelator.show.results import is_running, let_go
from parallelator.web import answer, problem

_PIECE = const(512)

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
        why = await self_test(rig)
        if why:
            return problem(409, why, _REFUSED[why])
    elif request.method == "DELETE" and is_running(rig):
        rig.selftest.stop()  # pyright: ignore - a `SelfTest`
    test = rig.selftest
    number = 0
    if not test:
        number = newest(await heads(rig.card, SELFTESTS))
    let_go(rig)
    at = None if isinstance(test, str) else test
    head = {"running": at is not None, "n": 0, "step": 0, "steps": 0}
    if at:
        head.update({"n": at.n, "step": at.step, "steps": at.steps})
    pieces = (test,) if isinstance(test, str) else ()
    view = _view(rig.card, head, pieces, path_of(SELFTESTS, number) if number else None)
    return answer(view, 202 if request.method == "POST" else 200)


async def reported(rig: "Rig"):
    """GET /api/show: the report of the last show; true in `running` while one stands."""
    tally, stands = rig.tally, rig.show_s() > 0
    texts, path = (), None
    if tally:
        from parallelator.show.report import pieces

        texts = pieces(tally)
    else:
        number = newest(await heads(rig.card, SHOWS))
        path = path_of(SHOWS, number) if number else None
    let_go(rig)
    free("outlook", "report", *(() if stands else ("tally",)))
    return answer(_view(rig.card, {"running": stands}, texts, path))


def _view(card: "Card", head: dict, pieces: "Iterable", path: "str | None"):
    """JSON of `head` and a result, which is in memory as `pieces`, or in a file, or nowhere."""
    yield json.dumps(head)[:-1] + ',"result":'
    some = False
    for text in pieces:
        some = True
        yield text
    if not some and not path:
        yield "null"
    elif not some and path:
        try:
            with Opened(card, path, "r") as file:
                while True:
                    text = file.read(_PIECE)
                    if not text:
                        break
                    yield text
        except OSError as error:
            card.fail(error)
            return  # cut short, the answer cannot be taken for a whole one
    yield "}"
