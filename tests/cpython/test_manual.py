"""README.md and README.fr.md: links, commands, completeness, and that they are twins."""

import json
import re
import shlex
import subprocess
import sys
import urllib.request
from collections import Counter

import pytest

import openapi
from manual import tables
from manuals import LANGUAGES, NAMES, ROOT, Text, manual
from parallelator import settings, snapshot
from rigs import simulated
from sim import plant, scenario, values

PICTURE_BYTES = 90000
MICROPYTHON = "build/venv/bin/micropython"
BOTH = pytest.mark.parametrize("name", NAMES)


def said(name):
    return (ROOT / name).read_text()


def run(command, **options):
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=120, **options
    )


# Links


@BOTH
def test_every_link_and_picture_is_there(name):
    text = manual(name)
    local = [link for link in text.links if not re.match("https?:|#", link)]
    assert len(local) >= 6
    for link in local:
        path, _, anchor = link.partition("#")
        assert (ROOT / path).is_file(), link
        assert not anchor or anchor in manual(path).anchors(), link
        if path.endswith(".png"):
            assert (ROOT / path).stat().st_size <= PICTURE_BYTES, link


@BOTH
def test_every_anchor_leads_to_one_heading(name):
    text = manual(name)
    inner = [link[1:] for link in text.links if link.startswith("#")]
    assert len(inner) >= 5
    for anchor in inner:
        assert text.anchors().count(anchor) == 1, anchor


@BOTH
def test_every_file_and_folder_named_is_there(name):
    begins = ("lib/", "tools/", "tests/")
    named = [span for span in manual(name).spans if span.startswith(begins)]
    assert len(named) > 50
    for path in named:
        assert (ROOT / path.partition("::")[0]).exists(), path


# Commands


def targets():
    return set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@BOTH
def test_every_make_is_a_target_and_its_variables_are_used(name):
    text = manual(name)
    spans = [span for span in text.spans if span.startswith("make ")]
    commands = [line for line in text.commands if line.startswith("make ")] + spans
    makefile = (ROOT / "Makefile").read_text()
    assert len(commands) > 25
    for command in commands:
        _, target, *variables = shlex.split(command)
        assert target in targets(), command
        for variable in variables:
            assert f"$({variable.split('=')[0]})" in makefile, command
    for span in text.spans:
        if match := re.fullmatch("([A-Z]+)=.*", span):
            assert f"$({match[1]})" in makefile, span


def test_every_make_of_a_code_block_can_be_made():
    for command in {line for line in manual(NAMES[0]).commands if line.startswith("make ")}:
        done = run(["make", "-n", *shlex.split(command)[1:]])
        assert done.returncode == 0 and done.stdout, (command, done.stderr)


def test_every_target_for_people_is_told_of():
    commands = " ".join(manual(NAMES[0]).commands) + " ".join(manual(NAMES[0]).spans)
    assert [target for target in targets() if f"make {target}" not in commands] == ["page"]


def example():
    """The scenario that the manual tells a reader to write."""
    blocks = [block for block in manual(NAMES[0]).blocks if block.startswith('{\n  "name"')]
    assert len(blocks) == 1
    return blocks[0]


def test_the_programs_of_the_code_blocks_do_what_they_say(tmp_path):
    commands = [line for line in manual(NAMES[0]).commands if line.startswith("build/")]
    assert len(commands) == 3
    mine = tmp_path / "mine.json"
    mine.write_text(example())
    for command in commands:
        words = shlex.split(command)
        words = [str(mine) if word == "mine.json" else word for word in words]
        words = [str(tmp_path / word) if word == "report.json" else word for word in words]
        done = run(words)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["violations"] == []
    for _, n, state, reason in report["timeline"]:
        assert state == "on" or state in tables.REASONS_IN[reason], (n, state, reason)


def test_a_scenario_that_expects_something_else_exits_with_1(tmp_path):
    mine = tmp_path / "mine.json"
    mine.write_text(example().replace('"n": 4, "state": "waiting"', '"n": 4, "state": "on"'))
    done = run([MICROPYTHON, "-X", "heapsize=64m", "tools/sim/run.py"]
               + ["--clock", "virtual", "--scenario", mine])  # fmt: skip
    assert done.returncode == 1 and "battery 4 at 12 s" in done.stdout, done.stdout


def test_the_requests_are_answered():
    commands = [line for line in manual(NAMES[0]).commands if line.startswith("curl ")]
    assert len(commands) == 3
    token = ""
    plan = json.loads(example())
    with simulated(batteries=plan["batteries"], settings=plan["settings"]) as rig:
        for command in commands:
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


@BOTH
def test_options_of_the_simulator_exist(name):
    done = run([MICROPYTHON, "tools/sim/run.py", "--help"])
    options = set(re.findall(r"--[a-z]+", " ".join(manual(name).commands + manual(name).spans)))
    assert {"--clock", "--scenario", "--sd"} <= options
    assert options <= set(re.findall(r"--[a-z]+", done.stdout)), done.stdout


# Twins


def test_both_have_the_same_sections_tables_and_code():
    one, other = (manual(name) for name in NAMES)
    assert [level for level, _ in one.headings] == [level for level, _ in other.headings]
    assert len(one.headings) >= 20
    assert one.commands == other.commands
    assert [b for b in one.blocks if "#" not in b] == [b for b in other.blocks if "#" not in b]
    tables = [[line.count("|") for line in text.prose if line.startswith("|")]
              for text in (one, other)]  # fmt: skip
    assert tables[0] == tables[1]


def test_both_name_the_same_things():
    def things(name):
        # Words that are code in one language only: what is said, not what is named.
        named = set(manual(name).spans)
        return {span for span in named if re.search(r"[._/=]|::", span)}

    one, other = (things(name) for name in NAMES)
    assert {span.replace("-fr.", "-en.") for span in other} ^ one == set()


def test_both_have_the_same_numbers():
    # In the order of the language, and with its decimal sign.
    one, other = (
        [Counter(re.findall(r"\d+", section)) for section in manual(name).sections()]
        for name in NAMES
    )
    for ours, theirs in zip(one, other, strict=True):
        assert ours == theirs, (ours - theirs, theirs - ours)


def test_french_has_its_own_signs():
    prose = "\n".join(manual("README.fr.md").prose)
    prose = re.sub(r"`[^`\n]*`|\]\([^)]*\)|https?:\S+", "", prose)
    prose = re.sub(r"(?s)<details>.*?</details>", "", prose)
    assert "'" not in prose
    assert re.findall(r".{0,20} [:;?!»](?=[\s*)]|$)", prose) == []


# Complete


def rows(name, part):
    """The first code of each row of a generated table."""
    match = re.search(f"<!-- manual: {part} -->(.*?)<!-- manual: end -->", said(name), re.DOTALL)
    return re.findall(r"^\| .*?`([^`]+)`", match[1], re.MULTILINE)


@BOTH
def test_every_setting_is_there(name):
    keys = [row[0] for row in settings.TABLE]
    keys += ["batteries.<n>." + row[0] for row in settings.BATTERY_TABLE]
    assert sorted(rows(name, "settings")) == sorted(keys)


@BOTH
def test_every_state_reason_and_alarm_is_there(name):
    assert rows(name, "states") == list(snapshot.STATES)
    assert rows(name, "reasons") == list(snapshot.REASONS[1:])
    assert set(rows(name, "alarms")) > set(snapshot.ALARMS)
    opened = set(rows(name, "rules"))
    assert {"overcurrent", "imbalance"} <= opened <= set(snapshot.REASONS)


@BOTH
def test_every_state_has_its_leds(name):
    words = json.loads((ROOT / f"lib/parallelator/messages/{LANGUAGES[name]}.json").read_text())[
        "state"
    ]
    part = re.search("<!-- manual: leds -->(.*?)<!-- manual: end -->", said(name), re.DOTALL)[1]
    cells = [line.strip("| ").split(" | ") for line in part.strip().splitlines()[2:]]
    patterns = {word: (red, green) for red, green, states in cells for word in states.split(", ")}
    assert set(patterns) == {words[state] for state in snapshot.STATES}
    assert patterns[words["off"]] == patterns[words["absent"]]
    assert len(set(patterns.values())) == len(snapshot.STATES) - 1
    dark, lit = patterns[words["on"]]
    assert patterns[words["locked"]] == (lit, dark) != (dark, lit)
    assert patterns[words["uncontrolled"]] == (lit, lit)


@BOTH
def test_every_route_is_there(name):
    routes = [f"{verb.upper()} {path}" for path, item in openapi.paths().items() for verb in item]
    assert rows(name, "api") == routes


@BOTH
def test_every_key_and_step_of_a_scenario_is_there(name):
    assert rows(name, "steps") == list(scenario.STEPS)
    spans = set(manual(name).spans)
    for key in (*values.KEYS, *values.PACK, *scenario.SENSORS, *plant.CURVES):
        assert key in spans, key


@BOTH
def test_the_pins_are_those_of_the_settings(name):
    source = (ROOT / "lib/parallelator/settings.py").read_text()
    s3, esp32 = re.search(r"_CS = \(([\d, ]+)\) if _S3 else \(([\d, ]+)\)", source).groups()
    for line in manual(name).prose:
        if "`pins.i2c_sda`, `pins.i2c_scl`" in line or "`pins.sd_sck`" in line and "CS" in line:
            cells = [cell.strip() for cell in line.split("|")]
            order = (0, 1) if "I2C" in line else (2, 4, 3, 5)
            for cell, pins in ((cells[2], esp32), (cells[3], s3)):
                assert cell == ", ".join(pins.split(", ")[k] for k in order), line


def test_the_invariants_are_guarded_by_tests_that_exist():
    guards = [[span for span in manual(name).spans if "::" in span] for name in NAMES]
    assert guards[0] == guards[1] and len(guards[0]) >= 14
    for guard in guards[0]:
        path, test = guard.split("::")
        assert re.search(rf"^(async )?def {test}\(", (ROOT / path).read_text(), re.MULTILINE), (
            guard
        )


# Generated


def test_the_generated_parts_are_current():
    done = run([sys.executable, "tools/manual/run.py", "--check"])
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_angle_bracket_is_lost():
    for name in NAMES:
        prose = "\n".join(manual(name).prose)
        tags = set(re.findall(r"</?(\w+)", re.sub(r"`[^`\n]*`", "", prose)))
        assert tags <= {"br", "details", "summary"}, tags


def test_code_is_told_from_prose():
    text = Text(
        "# A b-c\n\nSee `x`:\n\n    make a  # why\n    b\n\n- item\n    more\n```\nc\n```\n"
    )
    assert text.blocks == ["make a  # why\nb", "c"] and text.commands == ["make a"]
    assert text.headings == [(1, "A b-c")] and text.anchors() == ["a-b-c"]
    assert text.spans == ["x"] and "    more" in text.prose
