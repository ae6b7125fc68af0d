# SPDX-License-Identifier: GPL-3.0-only
"""Runs the tests of one file under MicroPython; tests/run.py starts it once per file.

    micropython micropython_runner.py FILE [TEXT]

Every function named `test_*` is called, in the order of the names, and an `async` one runs in
an event loop. With TEXT only the tests with TEXT in their name run. An exception that a
background task leaves to the loop fails the test during which it happened. The last line is
`RESULT passed failed`; the exit code is 0 when the file has tests and none failed.

Only `sys` and `builtins` are imported before the file, so that a test of the whole firmware can
put the simulator's stand-ins in place of `time` or `asyncio` first.
"""

import builtins
import sys

SHOWN = 1000
"""Characters of a value in the message of an assert."""

HOLDS = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "is": lambda a, b: a is b,
    "is not": lambda a, b: a is not b,
    "in": lambda a, b: a in b,
    "not in": lambda a, b: a not in b,
    "not": lambda a, _: not a,
}


def telling():
    """Return `_compared` and `_found`, which the asserts call that ../asserts.py writes."""
    last = []

    def compared(left, *rest):
        last[:] = ()
        for k in range(0, len(rest), 2):
            if not HOLDS[rest[k]](left, rest[k + 1]):
                last.extend((left, rest[k], rest[k + 1]))
                return False
            left = rest[k + 1]
        return True

    def found(*message):
        texts = [str(said) for said in message]
        if last:
            left, sign, right = last
            wanted = "a false value" if sign == "not" else sign + " " + shown(right)
            texts.insert(0, "found " + shown(left) + ", wanted " + wanted)
            last[:] = ()
        return ": ".join(texts)

    return compared, found


def shown(value):
    """Return the text of a value, its beginning if it is long."""
    text = repr(value)
    return text if len(text) <= SHOWN else text[:SHOWN] + "..."


def call(function):
    """Run one test; return the exceptions that fail it."""
    errors = []
    if "asyncio" in sys.modules:
        loop = sys.modules["asyncio"].new_event_loop()
        loop.set_exception_handler(lambda loop, context: errors.append(context["exception"]))
    try:
        result = function()
        if hasattr(result, "throw"):
            import asyncio

            asyncio.run(result)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        errors.append(error)
    return errors


def main(path, text=""):
    """Run the tests of the file `path` and return the exit code."""
    builtins._compared, builtins._found = telling()
    folder, name = path.rsplit("/", 1)
    sys.path.insert(0, folder)
    module = __import__(name[: -len(".py")])
    tests = sorted(name for name in dir(module) if name.startswith("test_"))
    if not tests:
        print("no test in this file")
        return 1
    selected = [name for name in tests if text in name]
    failed = 0
    for name in selected:
        errors = call(getattr(module, name))
        print("FAIL" if errors else "PASS", name)
        for error in errors:
            sys.print_exception(error)
        failed += bool(errors)
    print("RESULT", len(selected) - failed, failed)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
