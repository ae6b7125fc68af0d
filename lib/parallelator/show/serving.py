# SPDX-License-Identifier: GPL-3.0-only
"""The self-test over HTTP. Loaded by `web.api` for each request."""

import json

from micropython import const

from parallelator.records.card import Opened
from parallelator.show import self_test
from parallelator.show.results import earlier, is_running, let_go, path_of
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
        number, _ = await earlier(rig.card)
    let_go(rig)
    return answer(_view(rig, test, number), 202 if request.method == "POST" else 200)


def _view(rig: "Rig", test: "Any", number: int):
    at = None if isinstance(test, str) else test
    view = {"running": at is not None, "n": 0, "step": 0, "steps": 0}
    if at:
        view.update({"n": at.n, "step": at.step, "steps": at.steps})
    yield json.dumps(view)[:-1] + ',"result":'
    if isinstance(test, str):
        yield test
    elif not number:
        yield "null"
    else:
        try:
            with Opened(rig.card, path_of(number), "r") as file:
                while True:
                    text = file.read(_PIECE)
                    if not text:
                        break
                    yield text
        except OSError as error:
            rig.card.fail(error)
            return  # cut short, the answer cannot be taken for a whole one
    yield "}"
