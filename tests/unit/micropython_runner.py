"""Runs the tests of one file under MicroPython; tests/run.py starts it once per file.

    micropython micropython_runner.py FILE [TEXT]

Every function named `test_*` is called, in the order of the names, and an `async` one runs in
an event loop. With TEXT only the tests with TEXT in their name run. An exception that a
background task leaves to the loop fails the test during which it happened. The last line is
`RESULT passed failed`; the exit code is 0 when the file has tests and none failed.

Only `sys` is imported before the file, so that a test of the whole firmware can put the
simulator's stand-ins in place of `time` or `asyncio` first.
"""

import sys


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
