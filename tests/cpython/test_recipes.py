# SPDX-License-Identifier: GPL-3.0-only
"""The recipes for developers: what they name exists, and a copy of the repository follows them."""

import ast
import os
import re
import shutil
import signal
import subprocess
import sys

import pytest

from manuals import ALL, ROOT
from parallelator import settings
from rigs import Client, free_port

RECIPES = ALL["lib/parallelator/README.md"]
REFERENCES = ("lib/parallelator/REFERENCE.md", "lib/parallelator/REFERENCE.fr.md")

OWN = ("page", "bundle", "mpy-lib", "sim")
"""What a copy has of its own below build/; the rest is the repository's."""


class Copy:
    """A copy of the repository at `root`."""

    def __init__(self, root):
        self.root = root
        listing = subprocess.check_output(
            ["git", "-C", ROOT, "ls-files", "-z", "-co", "--exclude-standard"], text=True
        )
        for name in listing.split("\0"):
            if name and (ROOT / name).is_file():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, root / name)
        (root / "build").mkdir()
        for path in (ROOT / "build").iterdir():
            here = root / "build" / path.name
            if path.suffix == ".stamp":
                here.touch()  # what it stands for is there, and newer than the copy
            elif path.name not in OWN:
                here.symlink_to(path)
        for name in ("page", "mpy-lib"):
            shutil.copytree(ROOT / "build" / name, root / "build" / name, symlinks=True)

    def edit(self, path, old, new):
        """Put `new` in the place of `old`, which stands there once."""
        text = (self.root / path).read_text()
        assert text.count(old) == 1, (path, old, text.count(old))
        (self.root / path).write_text(text.replace(old, new))

    def add(self, path, old, new):
        """Put `new` behind `old`, which stands there once."""
        self.edit(path, old, old + new)

    def write(self, path, text):
        """Make a file."""
        (self.root / path).write_text(text)

    def run(self, *command):
        """Run a Python program of the copy; returns (exit code, what it said)."""
        done = subprocess.run(
            [sys.executable, *command], cwd=self.root, capture_output=True, text=True, timeout=200
        )
        return done.returncode, done.stdout + done.stderr

    def test(self, *places):
        """Tests of the copy must pass."""
        code, said = self.run("tests/run.py", *places)
        assert code == 0, said

    def manual(self, missing=None):
        """`make manual`; it fails over `missing`, if something is."""
        code, said = self.run("tools/manual/run.py")
        if missing:
            assert code == 1 and missing in said, said
        else:
            assert code == 0, said
            assert self.run("tools/manual/run.py", "--check")[0] == 0

    def told(self, text):
        """Both references have `text`."""
        assert all(text in (self.root / name).read_text() for name in REFERENCES)


@pytest.fixture
def copy(tmp_path):
    return Copy(tmp_path)


def names_in(path):
    """Every name that a file, or a file of a folder, gives to something; `Class.name` as well."""
    if path.is_dir():
        return set().union(*(names_in(file) for file in path.iterdir() if file.is_file()))
    if path.suffix == ".json":
        return set(re.findall(r'"([^"]+)":', path.read_text()))
    if path.suffix != ".py":
        return set()
    nodes = list(ast.walk(ast.parse(path.read_text())))
    classes = [node for node in nodes if isinstance(node, ast.ClassDef)]
    stored = [node for node in nodes if isinstance(getattr(node, "ctx", None), ast.Store)]
    return (
        {getattr(node, "name", None) or getattr(node, "arg", None) for node in nodes}
        | {ast.unparse(node).rpartition(".")[2] for node in stored}
        | {f"{node.name}.{getattr(part, 'name', '')}" for node in classes for part in node.body}
    )


def unknown(spans):
    """What a recipe names, of its code `spans`, and is in none of the files that it names."""
    paths = [ROOT / span for span in spans if "/" in span]
    known = {row[0] for row in settings.TABLE}.union(*(names_in(p) for p in paths if p.exists()))
    missing = [span for span in spans if "/" in span and not (ROOT / span).exists()]
    for span in spans:
        if "/" in span or span.startswith("make ") or span in known:
            continue
        parts = set(re.findall("[A-Za-z_]\\w*", re.sub('".*?"', "", span)))
        if re.fullmatch(r"[A-Z]\w*\.\w+", span) or not parts <= known:
            missing.append(span)
    return missing


def recipes():
    """Title of each recipe to what stands in it as code."""
    pairs = zip(RECIPES.headings, RECIPES.sections[1:], strict=True)
    return {title: re.findall("`(.+?)`", text) for (level, title), text in pairs if level == 3}


@pytest.mark.parametrize("title", recipes())
def test_what_a_recipe_names_exists(title):
    assert unknown(recipes()[title]) == []


@pytest.mark.parametrize(
    "spans, missing",
    [
        (["lib/parallelator/settings.py", "_contradictions"], "_contradictions"),
        (["lib/parallelator/setting.py", "make manual"], "lib/parallelator/setting.py"),
        (["lib/parallelator/protection/rules.py", "Judge.judge"], "Judge.judge"),
        (
            ["lib/parallelator/web/", "self._access.refuse(request)"],
            "self._access.refuse(request)",
        ),
        (["lib/parallelator/messages/en.json", "reason", "reasons"], "reasons"),
        (["limits.max_trips", "limits.most_trips"], "limits.most_trips"),
    ],
)
def test_what_does_not_exist_is_found(spans, missing):
    assert unknown(spans) == [missing]


def test_the_first_make_sim(copy):
    # Nothing was ever run here: there is no build/sim.
    assert not (copy.root / "build/sim").exists()
    client = Client(free_port())
    with subprocess.Popen(
        ["make", "-s", "sim", f"PORT={client.port}"],
        cwd=copy.root,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as rig:
        try:
            client.wait(rig)
            status, _, page = client.ask("GET", "/")
            assert status == 200 and b"<title>Parallelator</title>" in page
        finally:
            if rig.poll() is None:
                os.killpg(rig.pid, signal.SIGINT)
        said = rig.stdout.read()
    assert "password: backstage" in said and "Every switch is open." in said, said


def name_setting(copy, after, key, english, french):
    words = "lib/parallelator/web/ui/settings_words.js"
    for name, line in zip(after, (english, french), strict=True):
        copy.add(words, f"{name},\n", f'    "{key}": "{line}",\n')


def test_a_setting(copy):
    table = "lib/parallelator/settings.py"
    copy.add(
        table,
        '    ("log.keep_free_mb", 20, 1, 10000, "MB"),\n',
        '    ("log.events_kb", 64, 8, 1000, "KB"),\n',
    )
    copy.manual(missing="log.events_kb is not in words: see the recipes")
    name_setting(
        copy,
        (
            '"log.keep_free_mb": "Space left free. The oldest logs go first."',
            '"log.keep_free_mb": "Place laissée libre. Les journaux les plus anciens sont '
            'effacés d’abord."',
        ),
        "log.events_kb",
        "Size of the events",
        "Taille du journal",
    )
    copy.manual()
    copy.told("| `log.events_kb` | `64` | 8")
    copy.write(
        "tests/unit/test_recipe.py",
        """
from parallelator import settings


def test_it_is_read_and_checked():
    values, faults, _ = settings.check({"log.events_kb": 100})
    assert values["log.events_kb"] == 100 and not faults
    _, faults, _ = settings.check({"log.events_kb": 7})
    assert faults[0]["allowed"] == "a whole number, 8 to 1000 KB", faults
""",
    )
    copy.test("tests/unit/test_recipe.py", "tests/unit/test_settings.py")


def test_a_rule(copy):
    package = "lib/parallelator/"
    rules = package + "protection/rules.py"
    catalog = package + "catalog.py"
    text = (copy.root / catalog).read_text()
    last, number = re.findall(r"^    ([A-Z_]+) = (\d+)$", text, re.MULTILINE)[-1]
    copy.add(catalog, f"    {last} = {number}\n", f"    SAGGING = {int(number) + 1}\n")
    (row,) = re.findall(rf'^    \("{last.lower()}", .* ".*"\),\n', text, re.MULTILINE)
    copy.add(catalog, row, '    ("sagging", "mV", "voltage", "tripped"),\n')
    copy.add(
        rules,
        '    (Reason.UNDERVOLTAGE, _LOWNESS, "min_voltage_mv", 1000, 1, False),\n',
        '    (Reason.SAGGING, _LOWNESS, "sag_voltage_mv", 5000, 1, False),\n',
    )
    (rows,) = re.findall(
        r"^_ROWS = const\((\d+)\)$", (copy.root / rules).read_text(), re.MULTILINE
    )
    copy.edit(rules, f"_ROWS = const({rows})", f"_ROWS = const({int(rows) + 1})")
    copy.add(
        rules,
        '        self.min_voltage_mv = limit("min_voltage_mv")\n',
        '        self.sag_voltage_mv = limit("sag_voltage_mv")\n',
    )
    copy.edit(
        rules, "and lim.min_voltage_mv <= voltage_mv", "and lim.sag_voltage_mv <= voltage_mv"
    )
    copy.add(
        rules,
        "        return voltage_mv <= limits.max_voltage_mv - margin_mv\n",
        "    if reason == Reason.SAGGING:\n        return voltage_mv >= limits.sag_voltage_mv\n",
    )
    copy.add(
        package + "settings.py",
        '    ("limits.max_voltage_mv", 30000, 5000, 60000, _MV),\n',
        '    ("limits.sag_voltage_mv", 24500, 5000, 60000, _MV),\n',
    )
    name_setting(
        copy,
        (
            '"limits.start_spread_mv": "Difference allowed when starting together"',
            '"limits.start_spread_mv": "Écart admis pour démarrer ensemble"',
        ),
        "limits.sag_voltage_mv",
        "Voltage under load",
        "Tension sous charge",
    )
    copy.manual(missing="sagging")
    for language, text in (("en", "sagging"), ("fr", "elle s’affaisse")):
        for folder, new in (
            (package + "messages", f'    "sagging": "{text}",\n'),
            ("tools/manual", f'    "sagging": ["{text}", "{text}"],\n'),
        ):
            copy.add(
                f"{folder}/{language}.json",
                '  "reason": {\n' if "mess" in folder else '  "reasons": {\n',
                new,
            )
    copy.manual()
    copy.told("`sagging`")
    copy.write(
        "tests/sim/test_recipe.py",
        """
from support import clean, play, state_at


def sagged(mv):
    steps = [{"at": 10, "do": "inject_voltage", "n": 1, "mv": mv}]
    report = play(duration_s=18, batteries=[{"n": 1, "soc": 0.5}], steps=steps)
    clean(report)
    return state_at(report, 1, 14.8), state_at(report, 1, 15.5)


def test_both_sides_of_the_limit():
    # At rest it has 26.11 V.
    assert sagged(-1560) == (("on", ""), ("on", ""))
    assert sagged(-1660) == (("on", ""), ("tripped", "sagging"))
""",
    )
    code, said = copy.run("tests/run.py", "tests/sim/test_recipe.py")
    assert code == 1 and "opened without a cause" in said, said
    referee = "tools/sim/evidence.py"
    (count,) = re.findall(
        r"^\) = range\((\d+)\)$", (copy.root / referee).read_text(), re.MULTILINE
    )
    copy.edit(referee, f"\n) = range({count})", f"\n    SAGGING,\n) = range({int(count) + 1})")
    copy.add(
        referee,
        '    ("closed while not on", 30 * MS, None, False),\n',
        '    ("closed while it sags", 5250 * MS, 4990 * MS, False),\n',
    )
    copy.add(
        referee,
        '        self.low_v = setting("min_voltage_mv") / 1000\n',
        '        self.sag_v = setting("sag_voltage_mv") / 1000\n',
    )
    copy.edit(
        referee, "            self.low_v + _NEAR_V,\n", "            self.sag_v + _NEAR_V,\n"
    )
    copy.add(
        referee,
        "        spans[UNDER].note(at_us, near and under > -_NEAR_V, clear and under > _V)\n",
        "        sag = limits.sag_v - volts\n"
        "        spans[SAGGING].note(at_us, sag > -_NEAR_V, sag > _V)\n",
    )
    copy.test(
        "tests/sim/test_recipe.py",
        "tests/unit/test_rules.py",
        "tests/unit/test_settings.py",
        "tests/unit/test_web_messages.py",
    )


def test_a_sensor_chip(copy):
    # An INA236 is an INA226 with other identification, 1.6 mV steps and inputs for 48 V.
    others = "lib/parallelator/hardware/ina_others.py"
    copy.edit(
        others,
        "\n\nclass Ina219(",
        '''

class Ina236(Ina226):
    """INA236: as the INA226, but 1.6 mV bus steps."""

    NAME = "INA236"
    MAX_MV = 48000

    def voltage_mv(self):
        """Voltage of the battery in mV, rounded down; None when the chip does not answer."""
        code = self._read(0x02)
        return None if code is None else code * 8 // 5


class Ina219(''',
    )
    copy.edit(others, '"ina219": Ina219}', '"ina219": Ina219, "ina236": Ina236}')
    driver = "lib/parallelator/hardware/ina_models.py"
    copy.edit(driver, '"ina226", "ina219"', '"ina226", "ina219", "ina236"')
    copy.add(
        driver,
        "        if not i2c.read(address, 0x3F, word):\n            return None\n",
        '        if value_of(word) == 0xA080:\n            return "ina236"\n',
    )
    copy.write(
        "tools/sim/chips/ina236.py",
        '''"""Model of the TI INA236. Used by world."""

from sim.chips.ina226 import Ina226


class Ina236(Ina226):
    """One INA236 on the plant."""

    def _start_clock(self, now_us):
        super()._start_clock(now_us)
        self._bus_per_v = 625.0

    def _value(self, reg, now_us):
        if reg in (0x3E, 0x3F):
            return 0x5449 if reg == 0x3E else 0xA080
        return super()._value(reg, now_us)
''',
    )
    copy.write(
        "tests/sim/test_recipe.py",
        """
from support import clean, play, state_at

PACKS = [{"n": n, "soc": 0.8, "sensor": "ina236"} for n in range(1, 5)]


def test_it_protects():
    steps = [
        {"at": 10, "do": "inject_current", "n": 2, "ma": 24000},
        {"at": 10.5, "do": "inject_voltage", "n": 3, "mv": 3500},
    ]
    report = play(duration_s=12, batteries=PACKS, load=[[0, 8]], steps=steps)
    clean(report)
    assert state_at(report, 1, 11.5) == ("on", "")
    assert state_at(report, 2, 11.5) == ("tripped", "overcurrent")
    assert state_at(report, 3, 11.5) == ("tripped", "overvoltage")
    assert abs(report["energy"]["1"]["counted_mah"] - report["energy"]["1"]["true_mah"]) < 2
""",
    )
    refused = copy.run("tests/run.py", "tests/sim/test_recipe.py")
    assert refused[0] == 1 and "ina236; allowed" in refused[1], refused[1]
    copy.edit("tools/sim/scenario.py", '"ina219")', '"ina219", "ina236")')
    world = "tools/sim/world.py"
    copy.add(
        world, "from sim.chips.ina228 import Ina228\n", "from sim.chips.ina236 import Ina236\n"
    )
    copy.edit(world, '"ina219": Ina219}', '"ina219": Ina219, "ina236": Ina236}')
    copy.add(
        "tools/sim/evidence.py",
        '    "Ina226": (True, False, False, 36, 81.92),\n',
        '    "Ina236": (True, False, False, 48, 81.92),\n',
    )
    copy.test("tests/sim/test_recipe.py", "tests/unit/test_sim_ina226.py")
    copy.manual()
    copy.told("`ina236`")


def test_an_alarm(copy):
    package = "lib/parallelator/"
    check = "tests/cpython/test_catalog.py"
    copy.add(
        package + "catalog.py",
        "CODES = (\n",
        '    ("fan_stopped", "trouble", "C", _BATTERY | _ACK),\n',
    )
    for language, alarm, event in (
        ("en", "Battery {n}: its fan stands still.", "Battery {n}: fan stands still, {v}"),
        ("fr", "Batterie {n} : son ventilateur est arrêté.", "Batterie {n} : arrêté, {v}"),
    ):
        code, said = copy.run("tests/run.py", check)
        assert code == 1 and "fan_stopped" in said, said
        words = f"{package}messages/{language}.json"
        copy.add(words, '  "alarm": {\n', f'    "fan_stopped": "{alarm}",\n')
        copy.add(words, '  "event": {\n', f'    "fan_stopped": "{event}",\n')
    code, said = copy.run("tests/run.py", check)
    assert code == 1 and "nothing raises them" in said, said
    copy.add(
        package + "protection/warnings.py",
        'temperature: `temperature`, until it is five degrees lower again."""\n',
        """        if self._snap.alarm("fan_stopped", i, celsius > 60) and celsius > 60:
            self._emit("fan_stopped", i, self._snap.state[i], 0, celsius)
""",
    )
    copy.manual()
    copy.told("| `fan_stopped` |")
    copy.write(
        "tests/unit/test_recipe.py",
        """
from parallelator import settings
from parallelator.protection.rules import Limits
from parallelator.protection.warnings import Warnings
from parallelator.records.events import Events
from parallelator.snapshot import Snapshot
from parallelator.wording import Words


def test_it_comes_and_goes():
    snap = Snapshot()
    events = Events(snap)
    warnings = Warnings(snap, Limits(settings.Values({})), None, events.emit)
    for celsius in (30, 65, 66, 30):
        warnings.temperature(2, celsius)
        assert snap.alarms() == ([("fan_stopped", 2, 0)] if celsius > 60 else [])
    assert events.count == 1
    assert Words("en").event(events.after(0)) == "Battery 3: fan stands still, 65 \u00b0C"
""",
    )
    copy.test(check, "tests/unit/test_recipe.py", "tests/unit/test_snapshot.py")


def test_a_log_column(copy):
    last = '    ("soc_pct", READ, 0, 100),\n'
    row = '    ("temperature_c", READ, -40, 150),\n'
    copy.add("lib/parallelator/catalog.py", last, row)
    copy.write(
        "tests/cpython/test_recipe.py",
        """
import logs_fixture as fixture

from logs import parsing


def test_a_log_of_before_and_one_of_now_are_read():
    old = fixture.log(fixture.rows(range(10, 60)))
    now = b"".join(
        line + (b",soc_pct,temperature_c" if number == 0 else b",80,31") + b"\\n"
        for number, line in enumerate(old.splitlines())
    )
    rows = parsing.parse_log("2026-07-14.csv", old).rows
    assert len(rows) == 200 and rows["temperature_c"].isna().all()
    for text in (now, now.split(b"\\n", 1)[1]):
        rows = parsing.parse_log("2026-07-14.csv", text).rows
        assert len(rows) >= 199 and (rows["temperature_c"] == 31).all()
    hot = parsing.parse_log("2026-07-14.csv", now.replace(b",31", b",151"))
    assert "temperature_c is “151”, allowed: -40 to 150" in hot.flaws[0].text
""",
    )
    copy.test("tests/cpython/test_recipe.py")
    code, said = copy.run("tests/run.py", "-k", "tells_what", "tests/sim/test_records.py")
    assert code == 1 and "test_the_long_log_tells_what_the_plant_did" in said, said


def test_a_route(copy):
    reports = "lib/parallelator/web/reports.py"
    copy.edit(
        reports,
        "    async def system(self",
        '''    def uptime(self, request: "Request"):
        """GET /api/uptime: how long the rig runs, in ms."""
        return answer({"uptime_ms": self._rig.snap.uptime_s * 1000})

    async def system(self''',
    )
    copy.add(
        "lib/parallelator/web/api.py",
        '    ("GET", "/log", "reports.log", _BODY),\n',
        '    ("GET", "/api/uptime", "reports.uptime", _BODY),\n',
    )
    described = "tests/web/test_interface.py", "-k", "description"
    code, said = copy.run("tests/run.py", *described)
    assert code == 1 and "/api/uptime" in said, said
    state = '        "/api/state": {"get": read("Everything about the rig.", ref("State"))},\n'
    uptime = '"/api/uptime": {"get": read("How long it runs.", fields(uptime_ms="int"))},'
    copy.add("tools/openapi.py", state, f"        {uptime}\n")
    copy.manual(missing="GET /api/uptime")
    copy.add(
        "tools/manual/fr.json",
        '    "GET /api/state": "Tout sur le parc.",\n',
        '    "GET /api/uptime": "Depuis quand il tourne.",\n',
    )
    copy.manual()
    copy.told("`GET /api/uptime`")
    assert copy.run("tools/build_page.py")[0] == 0
    copy.test(*described)
