# SPDX-License-Identifier: GPL-3.0-only
"""Every document: links, commands, completeness; and what has a French twin says the same."""

import json
import re
import shlex
import subprocess
import sys
import urllib.request
from collections import Counter

import pytest

import openapi
from manual import run
from manuals import ALL, ROOT, TWINS
from parallelator import catalog, settings
from rigs import simulated
from sim import plant, scenario, values

FRONT_LINES = 250
PICTURE_BYTES = 90000
MICROPYTHON = "build/venv/bin/micropython"
MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = set(re.findall(r"^([a-z]+):", MAKEFILE, re.MULTILINE))
GUIDES = ("README.md", "README.fr.md")
REFERENCES = ("lib/parallelator/REFERENCE.md", "lib/parallelator/REFERENCE.fr.md")
SIMULATOR = ALL["tools/sim/README.md"]
EACH = pytest.mark.parametrize("name", ALL)
EACH_TWIN = pytest.mark.parametrize("name", TWINS)


def told(*command, **options):
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=120, **options
    )


def commands(start):
    """Every command of every document that starts so, once."""
    found = [line for document in ALL.values() for line in document.commands]
    return sorted({line for line in found if line.startswith(start)})


@pytest.mark.parametrize("name", GUIDES)
def test_the_front_door_is_short(name):
    assert len((ROOT / name).read_text().splitlines()) <= FRONT_LINES


# Links


@EACH
def test_every_link_leads_somewhere(name):
    for link in ALL[name].links:
        if re.match("https?:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (ALL[name].path.parent / path).resolve() if path else ALL[name].path
        assert target.exists(), link
        if target.suffix == ".png":
            assert target.stat().st_size <= PICTURE_BYTES, link
        if anchor:
            found = ALL[target.relative_to(ROOT).as_posix()].anchors()
            assert found.count(anchor) == 1, (link, found)


def test_the_front_door_leads_to_every_document():
    seen, waiting = set(), ["README.md"]
    while waiting:
        document = ALL[waiting.pop()]
        seen.add(document.name)
        for link in document.links:
            target = (document.path.parent / link.partition("#")[0]).resolve()
            name = target.relative_to(ROOT).as_posix() if target.is_relative_to(ROOT) else ""
            waiting += [name] if name in ALL and name not in seen else []
    assert {name for name in ALL if not name.startswith(".")} <= seen


@EACH
def test_every_file_folder_and_test_named_is_there(name):
    for span in ALL[name].spans:
        path, _, test = span.partition("::")
        if path.startswith(("lib/", "tools/", "tests/")) and " " not in path:
            assert (ROOT / path).exists(), span
            source = (ROOT / path).read_text() if test else ""
            assert not test or re.search(rf"^(async )?def {test}\(", source, re.MULTILINE), span


# Commands


def test_somebody_tests_every_kind_of_command():
    kinds = ("make ", "curl ", f"{MICROPYTHON} ", "build/venv/bin/python tests/run.py ")
    assert [line for line in commands("") if not line.startswith(kinds)] == []


@EACH
def test_every_make_is_a_target_and_its_variables_are_used(name):
    document = ALL[name]
    spans = [span for span in document.spans if span.startswith("make ")]
    for command in [line for line in document.commands if line.startswith("make ")] + spans:
        _, target, *variables = shlex.split(command)
        assert target in TARGETS, command
        for variable in variables:
            assert f"$({variable.split('=')[0]})" in MAKEFILE, command
    for span in document.spans:
        if match := re.fullmatch("([A-Z]+)=.*", span):
            assert f"$({match[1]})" in MAKEFILE, span


def test_every_make_of_a_code_block_can_be_made():
    for command in commands("make "):
        done = told("make", "-n", *shlex.split(command)[1:])
        assert done.returncode == 0 and done.stdout, (command, done.stderr)


def test_every_target_for_people_is_told_of():
    spans = [span for document in ALL.values() for span in document.spans]
    said = " ".join(commands("make ") + spans)
    assert [target for target in TARGETS if f"make {target}" not in said] == ["page"]


def example():
    """The scenario that the document on the simulator tells a reader to write."""
    (found,) = (text for language, text in SIMULATOR.blocks if language == "json")
    return found


def test_the_programs_of_the_code_blocks_do_what_they_say(tmp_path):
    files = {name: str(tmp_path / name) for name in ("mine.json", "report.json")}
    (tmp_path / "mine.json").write_text(example())
    for command in commands("build/"):
        done = told(*(files.get(word, word) for word in shlex.split(command)))
        assert done.returncode == 0, (command, done.stdout, done.stderr)
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["violations"] == []
    states_of = {row[0]: row[3].split() for row in catalog.REASONS}
    for _, n, state, reason in report["timeline"]:
        assert state == "on" or state in states_of[reason], (n, state, reason)


def test_a_scenario_that_expects_something_else_exits_with_1(tmp_path):
    mine = tmp_path / "mine.json"
    mine.write_text(example().replace('"n": 4, "state": "waiting"', '"n": 4, "state": "on"'))
    (command,) = (line for line in commands(MICROPYTHON) if "mine.json" in line)
    done = told(*shlex.split(command.replace("mine.json", str(mine))))
    assert done.returncode == 1 and "battery 4 at 12 s" in done.stdout, done.stdout


def test_the_requests_are_answered():
    token = ""
    plan = json.loads(example())
    with simulated(batteries=plan["batteries"], settings=plan["settings"]) as rig:
        for command in ALL[REFERENCES[0]].commands:
            words = shlex.split(command)
            url = words[-1].replace("http://192.168.4.1", rig.url)
            request = urllib.request.Request(url)
            for option, value in zip(words, words[1:], strict=False):
                if option == "-d":
                    request.data = value.encode()
                elif option == "-X":
                    request.method = value
                elif option == "-H":
                    request.add_header(*value.replace("TOKEN", token).split(": "))
            with urllib.request.urlopen(request) as answer:
                body = json.load(answer)
            token = body.get("token", token)
        state = rig.until(lambda state: state["batteries"][2]["wish"] == "off")
        assert state["batteries"][1]["wish"] == "auto"


def test_options_of_the_simulator_exist():
    said = " ".join([*SIMULATOR.commands, *SIMULATOR.spans, *ALL["tools/logs/README.md"].spans])
    known = told(MICROPYTHON, "tools/sim/run.py", "--help").stdout
    assert {"--clock", "--scenario", "--sd"} <= set(re.findall(r"--[a-z]+", said))
    assert set(re.findall(r"--[a-z]+", said)) <= set(re.findall(r"--[a-z]+", known)), known


# Twins


@EACH_TWIN
def test_twins_have_the_same_sections_tables_and_code(name):
    one, other = ALL[name], ALL[TWINS[name]]
    assert [level for level, _ in one.headings] == [level for level, _ in other.headings]
    assert one.commands == other.commands and one.tables == other.tables
    assert [block for block in one.blocks if block[0] != "sh"] == [
        block for block in other.blocks if block[0] != "sh"
    ]


def named(document):
    """What a document names by its code and its links, without what its language adds."""
    things = [*document.spans, *(link.partition("#")[0] for link in document.links)]
    # Words that are code in one language only are what is said, not what is named.
    found = {thing for thing in things if re.search(r"[._/=]|::", thing)}
    return {re.sub(r"\.fr(?=\.)", "", thing).replace("-fr.", "-en.") for thing in found}


@EACH_TWIN
def test_twins_name_the_same_things(name):
    assert named(ALL[name]) == named(ALL[TWINS[name]])


@EACH_TWIN
def test_twins_have_the_same_numbers(name):
    # In the order of the language, and with its decimal sign.
    for ours, theirs in zip(ALL[name].sections, ALL[TWINS[name]].sections, strict=True):
        ours, theirs = (Counter(re.findall(r"\d+", text)) for text in (ours, theirs))
        assert ours == theirs, (ours - theirs, theirs - ours)


@EACH_TWIN
def test_french_has_its_own_signs(name):
    prose = "\n".join(ALL[TWINS[name]].sections)
    prose = re.sub(r"`[^`\n]*`|\]\([^)]*\)|https?:\S+", "", prose)
    assert re.findall(r".{0,20}'.{0,20}|.{0,20} [:;?!»](?=[\s*)]|$)", prose) == []


# Complete


def rows(name, part):
    """The first code of each row of a generated table."""
    text = ALL[name].path.read_text()
    table = next(place[0] for place in run.PLACE.finditer(text) if place[2] == part)
    return re.findall(r"^\| .*?`([^`]+)`", table, re.MULTILINE)


@pytest.mark.parametrize("name", REFERENCES)
def test_the_reference_is_complete(name):
    keys = [row[0] for row in settings.RIG_TABLE]
    keys += ["batteries.<n>." + row[0] for row in settings.BATTERY_TABLE]
    assert sorted(rows(name, "settings")) == sorted(keys)
    assert rows(name, "states") == catalog.names(catalog.STATES)
    assert rows(name, "reasons") == catalog.names(catalog.REASONS[1:])
    assert set(rows(name, "alarms")) == {row[0] for row in catalog.CODES if row[3] & catalog.ALARM}
    opened = set(rows(name, "rules"))
    assert {"overcurrent", "imbalance"} <= opened <= set(catalog.names(catalog.REASONS))
    routes = [f"{verb.upper()} {path}" for path, item in openapi.paths().items() for verb in item]
    assert rows(name, "api") == routes


def test_every_key_and_step_of_a_scenario_is_there():
    assert rows(SIMULATOR.name, "steps") == list(scenario.STEPS)
    for key in (*values.KEYS, *values.PACK, *scenario.SENSORS, *plant.CURVES):
        assert key in SIMULATOR.spans, key


@pytest.mark.parametrize("name", GUIDES)
def test_the_pins_are_those_of_the_settings(name):
    s3 = [str(pin) for _, pin in settings.S3_PINS]
    esp32 = [str(row[1]) for row in settings.TABLE if row[0] in dict(settings.S3_PINS)]
    for first, order in (("I2C", (0, 1)), (".*SCK", (2, 4, 3, 5))):
        line = re.search(rf"^\| {first}.*", ALL[name].path.read_text(), re.MULTILINE)[0]
        cells = [cell.strip() for cell in line.split("|")][2:4]
        wanted = [", ".join(pins[k] for k in order) for pins in (esp32, s3)]
        assert cells == wanted, line


def test_every_package_is_accounted_for():
    direct, _ = (ROOT / "tools/requirements.txt").read_text().split("# What the packages above")
    names = re.findall(r"^([\w-]+)==", direct, re.MULTILINE)
    npm = json.loads((ROOT / "tools/package.json").read_text())["dependencies"]
    for name, version in npm.items():
        names.append(version[4:].rpartition("@")[0] if version.startswith("npm:") else name)
    table = ALL["lib/parallelator/README.md"].sections[-1]
    assert [name for name in names if not re.search(rf"(?<![\w-]){name}(?![\w-])", table)] == []


def test_the_generated_parts_are_current():
    done = told(sys.executable, "tools/manual/run.py", "--check")
    assert done.returncode == 0, done.stdout + done.stderr


@EACH
def test_no_angle_bracket_is_lost(name):
    assert set(ALL[name].html) <= {"br", "details", "img", "summary"}
