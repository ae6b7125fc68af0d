# SPDX-License-Identifier: GPL-3.0-only
"""The rig's web side: HTTP server, API, live stream, login and page. `app` starts `server.serve`.

`problem` is the one way a request is refused; server, api, live and auth all answer with it.
"""

import asyncio
import json

from microdot import Response

from parallelator import json_reader
from parallelator.json_error import JsonError

IDLE = {"phase": "idle", "offered": None, "received": 0, "size": 0}
"""What GET /api/update shows while no update is under way: its module need not be there."""


def dump(value: object):
    """JSON text of `value` without spaces."""
    return json.dumps(value, separators=(",", ":"))


def joined(items: "Iterable[str]"):
    """The texts of an iterator with commas between; empty ones stay: they are pauses."""
    mark = ""
    for text in items:
        yield mark + text if text else ""
        if text:
            mark = ","


def answer(value: object, status: int = 200, headers: "dict | None" = None):
    """A response with `value` as its JSON body; an iterator yields the text in pieces."""
    body = value if hasattr(value, "__next__") else dump(value)
    res = Response(body, status, headers, "OK")
    res.headers["Content-Type"] = "application/json"
    return res


async def json_object(request: "Request"):
    """The JSON object in the body of a request, a dict; other tasks run meanwhile.

    To be called after it was checked that the request is allowed: the body is read only here.

    Raises:
        Refused: it does not come whole, or is something else.
    """
    body = await request.stream.read()
    try:
        return await calmly(json_reader.reading_object(body))
    except JsonError as error:
        # A JSON object is taken under any type: pages and curl name another one by default.
        kind = request.content_type or "json"
        if "json" not in kind.lower() and not body.lstrip().startswith(b"{"):
            message = "The body is of type %s. Send JSON: application/json." % kind
            raise Refused(415, "type", message, "Content-Type")
        raise Refused(400, "body", "The body must be a JSON object. %s" % error)


async def calmly(steps: "Generator"):
    """Goes through a generator; other tasks run between its steps. Returns what it returns."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value
        await asyncio.sleep_ms(0)


def problem(
    status: int,
    code: str,
    message: str,
    field: "str | None" = None,
    wait_s: "int | None" = None,
    **values: object,
):
    """A refusal: `{"error": {"code", "message", "field"}}`.

    Args:
        status: HTTP status, 400..503.
        code: short word programs can act on; the page has words for it (`refused` in messages/).
        message: one English sentence that says what is wrong and what is allowed.
        field: the name of the faulty value in the request, or None.
        wait_s: seconds after which a new try makes sense, sent as Retry-After, or None.
        values: `v` and `n`, what the page puts into its words for the code.
    """
    error = {"code": code, "message": message, "field": field}
    error.update(values)
    res = answer({"error": error}, status)
    res.reason = code
    if wait_s is not None:
        res.headers["Retry-After"] = str(wait_s)
    return res


class Refused(Exception):
    """A request that cannot be read; `args` are those of `problem`."""


def not_found(request: "Request"):
    """The answer to an unknown address."""
    return problem(404, "not_found", "There is nothing at this address.")


def whole(text: str, low: int, high: int):
    """The whole number in `text` if it lies within low..high, else None."""
    if not text.isdigit() or len(text) > 9 or not low <= int(text) <= high:
        return None
    return int(text)
