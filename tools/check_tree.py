#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-only
"""Checks the rules of the source tree that ruff does not know; `make lint` calls it.

Prints one line per fault, `path:line: what is wrong`, and exits with 1 when there is any.
"""

import ast
import functools
import re
import subprocess
import sys
import tomllib
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

TOP_LEVEL = {
    "LICENSE",
    "Makefile",
    "README.fr.md",
    "README.md",
    "boot.py",
    "config.json",
    "lib",
    "main.py",
    "pyproject.toml",
    "tests",
    "tools",
}
"""Names allowed in the root folder, next to those that begin with a dot."""

MAX_LINES = 60
"""Of a function in lib/ or tools/; a file may be as long as its subject."""

FORBIDDEN_TEXT = (
    (re.compile(r"(?<![\w.])/(?:home/\w|Users/\w|root/|work/)"), "path of somebody's machine"),
    (
        re.compile(
            r"(?:pypi|pythonhosted|npmjs|yarnpkg)\.(?:com|org)"
            r"|(?:deb|security)\.debian\.org|crates\.io|proxy\.golang\.org"
        ),
        "host name of a package registry",
    ),
)

SOURCES = (".conf", ".css", ".html", ".js", ".mjs", ".py", ".sh", ".toml", ".yml", "Makefile")
"""How the names of source files end; a file that begins with `#!` is one as well."""

LICENCE = re.compile(r"(#!.*\n)?(#|//|/\*|<!--) SPDX-License-Identifier: GPL-3\.0-only\b")

PACKAGE = "lib/parallelator/"
CONTROLLER = PACKAGE + "hardware/controller.py"
PROTECTION = PACKAGE + "protection/"
TELLING = (PACKAGE + "web/", PACKAGE + "network/mqtt.py")
ROOMS = ("hardware", "protection", "records", "network", "web")
"""Folders of the firmware in the order of the data flow: none imports from one that comes later.
The modules beside them, except app, import from the first two only."""

PURE = (PROTECTION + "rules.py", PROTECTION + "joining.py")

FORBIDDEN_IMPORTS = (
    (lambda path: path not in (CONTROLLER, "boot.py", "main.py"), ("machine", "umachine")),
    (lambda path: path != "main.py", ("parallelator.app",)),
    *(
        (
            lambda path, room=room: path.startswith(f"{PACKAGE}{room}/"),
            [f"parallelator.{later}" for later in ROOMS[k + 1 :]],
        )
        for k, room in enumerate(ROOMS)
    ),
    (
        lambda path: (
            path.startswith(PACKAGE) and path.count("/") == 2 and path != PACKAGE + "app.py"
        ),
        [f"parallelator.{room}" for room in ROOMS[2:]],
    ),
    (lambda path: not path.startswith(TELLING), ("parallelator.views",)),
    (
        lambda path: path in PURE,
        ("parallelator.hardware", "parallelator.clock", "machine", "time", "utime"),
    ),
)
"""Which files of the firmware must not import which modules (architecture, invariants)."""

OLDEST_NAMES = {
    "asyncio": "CancelledError Event Lock Loop StreamReader StreamWriter Task ThreadSafeFlag"
    " TimeoutError core create_task current_task gather get_event_loop new_event_loop"
    " open_connection run run_until_complete sleep sleep_ms start_server wait_for wait_for_ms",
    "os": "chdir dupterm getcwd ilistdir listdir mkdir remove rename rmdir sep stat statvfs uname"
    " unlink urandom",
    "sys": "argv byteorder exit implementation maxsize modules path platform print_exception"
    " stderr stdin stdout version version_info",
}
"""What MicroPython 1.25 has on the ESP32 of modules whose type stubs allow more.

Not there: asyncio.Future (1.29), Queue, TaskGroup, timeout; sys.atexit, settrace. `os` still has
what now belongs to `vfs`.
"""

NEWER_MODULES = ("string.templatelib", "weakref")  # both 1.28


def listed_files(root):
    """Return the paths, relative to `root`, of all files that git tracks or would add."""
    command = ["git", "-C", root, "ls-files", "-z", "-co", "--exclude-standard"]
    listing = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return sorted(path for path in listing.split("\0") if path and (root / path).is_file())


def imports(tree, path):
    """Yield (line, module) for every import in `tree`; `from a import b` gives a and a.b."""
    package = Path(path).with_suffix("").parts[:-1]
    if package[:1] == ("lib",):
        package = package[1:]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for name in node.names:
                yield node.lineno, name.name
        elif isinstance(node, ast.ImportFrom):
            parents = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*parents, *([node.module] if node.module else [])])
            yield node.lineno, module
            for name in node.names:
                yield node.lineno, f"{module}.{name.name}"


def import_faults(tree, path):
    """Yield (line, fault) for each import that the architecture forbids in `path`."""
    found = set()
    for line, module in imports(tree, path):
        for applies, names in FORBIDDEN_IMPORTS:
            for name in names:
                if applies(path) and (module == name or module.startswith(name + ".")):
                    found.add((line, f"must not import {name}"))
    yield from sorted(found)


def newer_faults(tree, path):
    """Yield (line, fault) for what MicroPython 1.25 lacks; check_types.py knows of more."""
    for line, module in imports(tree, path):
        if module in NEWER_MODULES:
            yield line, f"{module} is newer than MicroPython 1.25"
        package, _, name = module.rpartition(".")
        if package in OLDEST_NAMES and name not in OLDEST_NAMES[package].split():
            yield line, f"not known of MicroPython 1.25: {module}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            names = OLDEST_NAMES.get(node.value.id)
            if names and node.attr not in names.split():
                yield node.lineno, f"not known of MicroPython 1.25: {node.value.id}.{node.attr}"
        elif isinstance(node, ast.FormattedValue):
            if any(isinstance(inner, ast.JoinedStr) for inner in ast.walk(node.value)):
                yield node.lineno, "an f-string in an f-string is newer than MicroPython 1.25"


@functools.cache
def annotation_names():
    """Return what annotations name without an import, and ruff takes for built in."""
    return set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]["builtins"])


def unbound_faults(tree):
    """Yield (line, fault) for each name that is for annotations and that the code uses."""
    used, bound = [], set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            if isinstance(node.ctx, ast.Store):
                bound.add(node.id)
            elif node.id in annotation_names():
                used.append(node)
        elif isinstance(node, ast.alias):
            bound.add(node.asname or node.name)
        elif isinstance(node, ast.ClassDef):
            bound.add(node.name)
    for name in used:
        if name.id not in bound:
            yield name.lineno, f"{name.id} is not imported"


def python_faults(path, text):
    """Yield (line, fault) for the Python file `path` of which `text` is the source."""
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        yield error.lineno, f"syntax error: {error.msg}"
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler) and node.type is None:
            yield node.lineno, "bare except"
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            size = node.end_lineno - node.lineno + 1
            if size > MAX_LINES and path.startswith(("lib/", "tools/")):
                yield node.lineno, f"{node.name} has {size} lines, {MAX_LINES} allowed"
    yield from unbound_faults(tree)
    if path.startswith("lib/") or path in ("boot.py", "main.py"):
        yield from import_faults(tree, path)
        yield from newer_faults(tree, path)


def file_faults(path, text):
    """Yield (line, fault) for the file `path` with the content `text`."""
    top = path.split("/")[0]
    if top not in TOP_LEVEL and not top.startswith("."):
        yield 1, "does not belong in the root folder"
    for number, line in enumerate(text.splitlines(), 1):
        for pattern, fault in FORBIDDEN_TEXT:
            if pattern.search(line):
                yield number, fault
    if path.endswith(".py"):
        yield from python_faults(path, text)
    if (path.endswith(SOURCES) or text.startswith("#!")) and not LICENCE.match(text):
        yield 1, "does not begin with the SPDX line of its licence"


def circle_faults(texts):
    """Yield a fault when modules of lib/ or tools/ import each other; `texts` of files by path."""
    paths, graph = {}, {}
    for path, text in texts.items():
        if path.startswith(("lib/", "tools/")) and path.endswith(".py"):
            name = ".".join(Path(path).with_suffix("").parts[1:]).removesuffix(".__init__")
            paths[name] = path
            graph[name] = {module for _, module in imports(ast.parse(text), path)}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        circle = error.args[1]
        yield f"{paths[circle[0]]}:1: imports in a circle: {', '.join(circle[1:])}"


def faults(root):
    """Return the faults of the git work tree `root` as lines `path:line: fault`."""
    texts = {path: (root / path).read_text(errors="replace") for path in listed_files(root)}
    found = [
        f"{path}:{line}: {fault}"
        for path, text in texts.items()
        for line, fault in file_faults(path, text)
    ]
    return found or list(circle_faults(texts))


def main():
    """Check the repository this file lies in; return the exit code."""
    found = faults(ROOT)
    print("\n".join(found) if found else "check_tree: no fault")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
