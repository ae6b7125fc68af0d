"""The rig's web side: HTTP front, API, live stream, login and page. `app` starts `server.serve`.

`problem` is the one way a request is refused; server, api, live and auth all answer with it.
"""

import json

from microdot import Response

IDLE = {"phase": "idle", "offered": None, "received": 0, "size": 0}
"""What GET /api/update shows while no update is under way: its module need not be there."""


def dump(value):
    """JSON text of `value` without spaces."""
    return json.dumps(value, separators=(",", ":"))


def answer(value, status=200, headers=None):
    """A response with `value` as its JSON body; an iterator yields the text in pieces."""
    body = value if hasattr(value, "__next__") else dump(value)
    res = Response(body, status, headers, "OK")
    res.headers["Content-Type"] = "application/json"
    return res


def json_object(request):
    """The JSON object in the body of a request, None when it is something else."""
    try:
        value = json.loads(request.body)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def problem(status, code, message, field=None, wait_s=None, **values):
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


def whole(text, low, high):
    """The whole number in `text` if it lies within low..high, else None."""
    if not text.isdigit() or len(text) > 9 or not low <= int(text) <= high:
        return None
    return int(text)
