# SPDX-License-Identifier: GPL-3.0-only
"""Modules joined into one do what they did apart, and what cannot be joined is refused."""

import os
import re
import shutil
import subprocess

import pytest

from device import build, join

MICROPYTHON = build.MICROPYTHON
MANY = ("test_life_of_a_battery.py", "test_hazards.py", "test_records.py", "test_network.py")
ONE = '''"""One."""
from array import array
import time
from micropython import const
from two import LIMIT, Base, value as other
import two

STEPS = const(3)
_STEPS = const(4)
NAMES = ("a", LIMIT, STEPS + 1)
CODES = tuple(name for name in NAMES if name != two.Number.TWO) + (sum(range(STEPS)),)
made = array("i", [STEPS])


class Thing(Base):
    value = 5

    def shown(self, value=STEPS):
        time = value + two.LIMIT
        return [value for value in range(time)], self.value, other(), (lambda two: two)(STEPS)

    def outer(self):
        count = 1

        def inner():
            nonlocal count
            from two import late as LIMIT

            count += 1
            return LIMIT(), count

        return inner()


def value():
    try:
        raise two.Fault("x")
    except two.Fault as error:
        return "%s %d" % (error, _STEPS)


def run():
    thing = Thing()
    found = NAMES, CODES, two.Number.TWO, time.__name__, made[0], two.late()
    return thing.shown(), thing.outer(), value(), found
'''
TWO = """LIMIT = 2
ONE_MORE = 1
TEXT = "a" + str(LIMIT)


class Fault(Exception):
    pass


class Number:
    'Numbers.'

    ONE = 1
    TWO = ONE_MORE + 1


class Base:
    def base(self):
        return value()


def value():
    return TEXT


def late():
    import one

    return one.STEPS
"""


def joined(tmp_path, apart=(), left_out=None, **texts):
    """Join the modules of these names and texts; return the folders before and after."""
    source = tmp_path / "apart"
    sources = {name: source / f"{name}.py" for name in texts}
    sources["parallelator"] = source / "parallelator/__init__.py"
    sources["parallelator"].parent.mkdir(parents=True)
    for name, path in sources.items():
        path.write_text(texts.get(name, ""))
    join.write(sources, tmp_path / "joined", apart, left_out)
    return source, tmp_path / "joined"


def said(folder, code="import one; print(one.run())"):
    """What MicroPython prints that finds modules in a folder."""
    command = [MICROPYTHON, "-c", code]
    environment = {"MICROPYPATH": f"{folder}:.frozen"}
    return subprocess.run(command, env=environment, check=True, capture_output=True).stdout


def test_joined_modules_do_what_they_did(tmp_path):
    apart, together = joined(tmp_path, two=TWO, one=ONE)
    assert said(together) == said(apart) != b""
    code = "from parallelator import joined; print([n for n in dir(joined) if %r in n])"
    for name in ("STEPS", "NAMES", "CODES", "Number"):
        assert said(together, code % name) == b"[]\n", (
            "constants stand in the place of their names"
        )
    assert said(together, "import two; print(two.Number.TWO)") == b"2\n"


def test_what_is_assigned_together_is_not_made_a_tuple_first(tmp_path):
    lines = "def f(a, b):\n    a, b = b, a\n    return a, b\n"
    _, together = joined(tmp_path, two=TWO.partition("def late")[0], one=lines)
    assert "    a, b = b, a\n" in (together / "parallelator/joined.py").read_text()


APART = """from two import LIMIT, value
import time
import two

STEPS = 5
_HIDDEN = STEPS + 1


class Late:
    def shown(self):
        return [LIMIT, two.late(), value(), _HIDDEN, time.__name__]
"""
LATER = "from three import Late as Base\n\n\nclass Late(Base):\n    pass\n"
USER = """def run():
    import sys

    before = [name for name in ("three", "four") if name in sys.modules]
    from four import Late

    return before, Late().shown(), [name for name in ("three", "four") if name in sys.modules]


STEPS = 1
"""


def test_a_module_that_stays_apart_is_imported_when_it_is_needed(tmp_path):
    texts = {"two": TWO, "one": USER, "three": APART, "four": LATER}
    apart, together = joined(tmp_path, ("three", "four"), **texts)
    assert said(together) == said(apart)
    assert said(together).startswith(b"([], [2,")


def test_a_module_that_stays_apart_is_not_imported_at_once(tmp_path):
    lines = "from three import Late\n\n\ndef run():\n    return Late()\n"
    with pytest.raises(join.JoinError, match="three is imported by more than a function"):
        joined(tmp_path, ("three",), two=TWO.partition("def late")[0], three="Late = 1", one=lines)


UNUSED = """from two import LIMIT, late
from array import array


class Thing:
    kept = 1
    unused = 2

    def shown(self):
        return self.kept + LIMIT

    def hidden(self):
        return helper()


def helper():
    return late(), array("b")


Thing.more = helper()


def run():
    return Thing().shown(), hasattr(Thing, "hidden"), hasattr(Thing, "more")
"""


def test_what_is_not_used_is_left_out(tmp_path):
    left_out = {"one": {"": "late Thing.more helper", "Thing": "hidden unused"}}
    two = TWO.partition("def late")[0] + "def late():\n    pass\n"
    apart, together = joined(tmp_path, left_out=left_out, two=two, one=UNUSED)
    assert said(apart) == b"(3, True, True)\n" and said(together) == b"(3, False, False)\n"
    text = (together / "parallelator/joined.py").read_text()
    assert "helper" not in text and "unused" not in text and "array" not in text


@pytest.mark.parametrize(
    ("left_out", "why"),
    [
        ({"": "helper", "Thing": "hidden"}, "one:20: helper is left out"),
        ({"": "Thing.more nobody"}, "no \\['nobody'\\] to leave out of the module"),
        ({"Nobody": "kept"}, "no \\['kept'\\] to leave out of Nobody"),
    ],
)
def test_what_is_used_or_not_there_cannot_be_left_out(tmp_path, left_out, why):
    with pytest.raises(join.JoinError, match=why):
        joined(tmp_path, left_out={"one": left_out}, two=TWO, one=UNUSED)


def test_the_firmware_uses_nothing_that_is_left_out():
    web = "".join(path.read_text() for path in (build.LIB / "parallelator/web").glob("*.py"))
    asked = {
        "Microdot": r"(?:app|super\(\)|self\.app)",
        "MultiDict": r"args",
        "Request": r"(?:req|request|Request)",
        "Response": r"(?:res|Response)",
    }
    names = build.LEFT_OUT["microdot.microdot"]
    routes = web.partition("class Routes(Microdot):")[2].partition("\nclass ")[0]
    own = set(re.findall(r"    def (\w+)\(", routes))
    assert {"find_route", "default_options_handler"} <= own
    for owner, text in asked.items():
        used = set(re.findall(rf"\b{text}\.(\w+)", web)) - own
        assert used and used.isdisjoint(names[owner].split()), owner
    card = (build.LIB / "parallelator/hardware/sdcard.py").read_text()
    for name in build.LEFT_OUT["sdcard"]["SDCard"].split():
        own = re.search(rf"def {name}\(", card) or name in ("init_card_v1", "init_card_v2")
        assert own and not re.search(rf"super\(\)\.{name}\b", card), name


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ("x = 1\ndef f():\n    global x\n    x = 2", "global"),
        ("def f():\n    return globals()", "globals"),
        ("import two\ndef f():\n    return two", "as a value"),
        ("from two import Number\ndef f():\n    return Number", "as a value"),
        ("from two import Number\ndef f():\n    return Number.FOUR", "Number.FOUR"),
        ("import two\ndef f():\n    return two.missing", "two.missing"),
        ("import two\ntwo.LIMIT = 3", "two.LIMIT"),
        ("from two import missing", "two has no missing"),
        ("def f(value__two):\n    return value__two", "hidden"),
    ],
)
def test_what_cannot_be_joined_is_refused(tmp_path, lines, why):
    with pytest.raises(join.JoinError, match=why):
        joined(tmp_path, two=TWO.partition("def late")[0], one=lines + "\n")


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """A copy of what the simulator needs, with the firmware joined."""
    root = tmp_path_factory.mktemp("together")
    build.write_words()
    join.write(build.ordered(), root / "lib", build.APART, build.LEFT_OUT)
    messages = "lib/parallelator/messages"
    shutil.copytree(build.ROOT / messages, root / messages)
    for name in (*build.SOURCES, "build"):
        (root / name).symlink_to(build.ROOT / name)
    for name in ("tests", "tools"):
        shutil.copytree(build.ROOT / name, root / name)
    return root


def test_the_joined_firmware_protects(together):
    command = [MICROPYTHON, "-X", "heapsize=64m", together / "tools/sim/run.py"]
    options = ["--clock", "virtual", "--scenario", together / "tools/sim/scenarios/demo.json"]
    process = subprocess.run([*command, *options], capture_output=True, text=True)
    assert process.returncode == 0, process.stdout + process.stderr


@pytest.mark.parametrize("name", MANY if os.environ.get("SOAK") else MANY[:1])
def test_the_joined_firmware_does_what_the_other_does(together, name):
    command = [build.ROOT / "build/venv/bin/python", together / "tests/run.py"]
    process = subprocess.run(
        [*command, "--timeout", "3000", together / "tests/sim" / name],
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stdout + process.stderr
