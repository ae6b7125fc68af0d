# SPDX-License-Identifier: GPL-3.0-only
"""tools/logs/parsing.py reads every row that the firmware writes, and names every other line."""

import re

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import logs_fixture as fixture
from logs import parsing
from parallelator import snapshot

GOOD = fixture.log(fixture.rows(range(10, 60)))
LINES = GOOD.split(b"\n")


def flaw_lines(log):
    return [flaw.line for flaw in log.flaws]


def test_the_number_of_batteries_is_the_firmwares():
    assert parsing.BATTERIES == snapshot.BATTERIES


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_both_layouts_and_all_separators_say_the_same(separator):
    long = parsing.parse_log("2026-07-14.csv", fixture.log(fixture.rows(range(10, 60)), separator))
    wide = parsing.parse_log("2026-07-14.csv", fixture.wide(range(10, 60), separator=separator))
    assert long.flaws == wide.flaws == []
    assert len(long.rows) == 200 and len(wide.rows) == 16 * 50
    there = wide.rows[wide.rows["state"] != "absent"].reset_index(drop=True)
    pd.testing.assert_frame_equal(long.rows.drop(columns="line"), there.drop(columns="line"))
    first = long.rows.iloc[0]
    assert first["time"] == pd.Timestamp("2026-07-14T20:00:10") and first["uptime_s"] == 10
    assert (first["battery"], first["voltage_mv"], first["state"]) == (1, 26989, "on")
    assert set(wide.rows["state"]) == {"on", "absent"}


def test_what_is_unknown_is_empty_and_no_flaw():
    log = parsing.parse_log("boot-0001.csv", fixture.log([",5000,7,,,absent,,"]))
    assert log.flaws == [] and log.rows["time"].isna().all()
    assert log.rows[["voltage_mv", "current_ma", "discharge_mah"]].isna().all(axis=None)


def test_whatever_a_sensor_can_read_is_no_damage():
    lines = ["2026-07-14T20:00:10Z,10000,1,102396,81920,tripped,5,0"]
    log = parsing.parse_log("2026-07-14.csv", fixture.log(lines))
    assert log.flaws == [] and log.rows["voltage_mv"][0] == 102396


def test_the_line_that_dates_a_boot():
    lines = [*fixture.rows([5, 6], None), "# 2026-07-14T20:00:07Z is uptime_ms 7000; goes on in x"]
    log = parsing.parse_log("boot-0001.csv", fixture.log(lines))
    assert log.flaws == [] and log.offset == pd.Timestamp("2026-07-14T20:00:00")


@pytest.mark.parametrize(
    "line, column",
    [
        ("2026-07-14T20:00:10Z,10000,1,2x8,2000,on,5,0", "voltage_mv is “2x8”"),
        ("2026-07-14T20:00:10Z,10000,1,-5,2000,on,5,0", "voltage_mv is “-5”"),
        ("2026-07-14T20:00:10Z,10000,1,27000,9999999,on,5,0", "current_ma is “9999999”"),
        ("2026-07-14T20:00:10Z,10000,1,27000,2000,om,5,0", "state is “om”"),
        ("2026-07-14T20:00:10Z,10000,17,27000,2000,on,5,0", "battery is “17”"),
        ("2026-07-14T20:00:10Z,1e3x,1,27000,2000,on,5,0", "uptime_ms is “1e3x”"),
        ("2026-07-34T20:00:10Z,10000,1,27000,2000,on,5,0", "time is “2026-07-34T20:00:10Z”"),
        ("2026-07-14T20:00:10Z,10000,1,27000,2000,on,-5,0", "discharge_mah is “-5”"),
        ("2026-07-14T20:00:10Z,10000,1,27000,2000,on,5", "torn"),
        ("\0" * 300, "torn"),
        ("", "torn"),
    ],
)
def test_each_damage_is_named_with_its_line(line, column):
    data = b"\n".join([*LINES[:21], line.encode(), *LINES[21:]])
    log = parsing.parse_log("2026-07-14.csv", data)
    assert [flaw.line for flaw in log.flaws] == [22], log.flaws
    assert column in log.flaws[0].text and "line 22" in log.flaws[0].text
    assert len(log.rows) in (200, 201)


def test_a_wide_row_names_the_battery_whose_value_is_wrong():
    data = fixture.wide(range(10, 20)).replace(b",26984,", b",2698?,", 1)
    log = parsing.parse_log("2026-07-14.csv", data)
    assert len(log.flaws) == 1 and "voltage_mv_" in log.flaws[0].text, log.flaws
    assert len(log.rows) == 160


def test_a_file_without_a_header_is_read_all_the_same():
    log = parsing.parse_log("2026-07-14.csv", b"\n".join(LINES[1:]))
    assert flaw_lines(log) == [1] and "no header" in log.flaws[0].text
    assert len(log.rows) == 200


def test_a_row_that_the_end_of_the_file_cuts():
    log = parsing.parse_log("2026-07-14.csv", GOOD[:-9])
    assert flaw_lines(log) == [201] and "end of the file" in log.flaws[0].text
    assert len(log.rows) == 199


def test_line_ends_of_another_system():
    log = parsing.parse_log("2026-07-14.csv", GOOD.replace(b"\n", b"\r\n"))
    assert log.flaws == [] and len(log.rows) == 200


LINK = "# 2026-07-14T20:00:00Z is uptime_ms 0; goes on in 2026-07-14.csv"
SAVED = {
    "with CR LF": lambda text: text.replace("\n", "\r\n").encode(),
    "with CR": lambda text: text.replace("\n", "\r").encode(),
    "with a byte order mark": lambda text: text.encode("utf-8-sig"),
    "with every cell in quotes": lambda text: re.sub("[^,\n]+", r'"\g<0>"', text).encode(),
    "with semicolons": lambda text: text.replace(",", ";").encode(),
    "with decimals": lambda text: re.sub(r"(\d+)(?=,2000,)", r"\1.0", text).encode(),
    "with a decimal comma": lambda text: re.sub(
        r"(\d+)(?=;2000;)", r"\1,0", text.replace(",", ";")
    ).encode(),
    "without the T and the Z": lambda text: re.sub("(?m)T([0-9:]+)Z,", r" \1,", text).encode(),
    "as one column": lambda text: text.replace("\n", ";\n").encode(),
    "in columns": lambda text: text.replace(",", ";").replace(".csv\n", ".csv;;;;;;\n").encode(),
    "UTF-16": lambda text: text.replace(",", "\t").encode("utf-16"),
    "UTF-16, big end first": lambda text: text.encode("utf-16-be"),
}
"""What spreadsheets and editors make of a log in which nothing is lost."""


@pytest.mark.parametrize("how", SAVED)
def test_what_a_spreadsheet_has_saved_is_read(how):
    rows = fixture.rows(range(10, 60))
    expected = parsing.parse_log("boot-0001.csv", fixture.log([*rows, LINK]))
    assert len(expected.rows) == 200 and expected.offset is not None and not expected.flaws
    found = parsing.parse_log("boot-0001.csv", SAVED[how](fixture.log([*rows, LINK]).decode()))
    pd.testing.assert_frame_equal(found.rows, expected.rows)
    assert found.offset == expected.offset
    said = ["UTF-16" in flaw.text for flaw in found.flaws]
    assert said == ([True] if how.startswith("UTF-16") else []), found.flaws


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_the_line_that_dates_a_boot_with_any_separator(separator):
    lines = fixture.log(fixture.rows([5, 6], None), separator).decode() + LINK + "\n"
    log = parsing.parse_log("boot-0001.csv", lines.encode())
    assert log.flaws == [] and log.offset == pd.Timestamp("2026-07-14T20:00:00")


@pytest.mark.parametrize(
    "pattern", ["%d/%m/%Y %H:%M", "%d.%m.%Y %H:%M:%S", "%m/%d/%y %I:%M %p", "%Y-%m-%d %H:%M"]
)
def test_times_of_a_country_are_named_once(pattern):
    def local(found):
        return pd.Timestamp(found[0]).strftime(pattern)

    text = re.sub(r"2026-07-14T\d\d:\d\d:\d\dZ", local, GOOD.decode())
    saved = text.replace(",", ";").replace("\n", "\r\n").encode()
    log = parsing.parse_log("2026-07-14.csv", saved)
    assert log.rows.empty and [flaw.line for flaw in log.flaws] == [2]
    said = log.flaws[0].text
    assert "not those of the rig (saved by a spreadsheet?)" in said and "200 rows" in said
    assert local(["2026-07-14T20:00:10"]) in said


def test_times_as_days_are_named_too():
    text = re.sub(r"2026-07-14T\d\d:\d\d:\d\dZ", "46217,83345", GOOD.decode().replace(",", ";"))
    log = parsing.parse_log("2026-07-14.csv", text.encode())
    assert "spreadsheet" in log.flaws[0].text and len(log.flaws) == 1


@settings(max_examples=25)
@given(st.integers(1, 200), st.data())
def test_a_torn_line_costs_that_line_only(number, data):
    whole = LINES[number]
    cut = data.draw(st.integers(0, whole.rindex(b",")))
    lines = [*LINES[:number], whole[:cut], *LINES[number + 1 :]]
    log = parsing.parse_log("2026-07-14.csv", b"\n".join(lines))
    assert flaw_lines(log) == [number + 1]
    assert list(log.rows["line"]) == [k for k in range(2, 202) if k != number + 1]


@settings(max_examples=40)
@given(st.integers(0, len(GOOD) - 1), st.binary(max_size=600))
def test_whatever_is_on_the_card_is_read(at, rubbish):
    log = parsing.parse_log("2026-07-14.csv", GOOD[:at] + rubbish + GOOD[at + len(rubbish) :])
    hit = 1 + rubbish.count(b"\n") + GOOD[at : at + len(rubbish)].count(b"\n")
    assert len(log.rows) >= 200 - 2 * hit
    assert all(flaw.kind == "damage" and flaw.line for flaw in log.flaws)


@settings(max_examples=20)
@given(st.binary(max_size=400))
def test_rubbish_is_no_row(data):
    assert parsing.parse_log("boot-0001.csv", data).rows.empty
    table, _ = parsing.parse_events("events.csv", data)
    assert table.empty


def test_events():
    table, flaws = parsing.parse_events("events.csv", fixture.flawed()["events.csv"])
    assert flaws == [] and list(table["code"]) == ["boot", "time_set", "boot", "trip"]
    assert list(table["battery"]) == [0, 0, 0, 3]
    assert table["detail"].iloc[3] == "Battery 3: opened, far too much current, 25.0 A"


def test_torn_events_are_named():
    data = fixture.flawed()["events.csv"]
    torn = data.replace(b'"Clock set"', b'"Clo')
    table, flaws = parsing.parse_events("events.csv", torn)
    assert [flaw.line for flaw in flaws] == [3] and len(table) == 3


def test_events_that_a_spreadsheet_has_saved():
    data = fixture.flawed()["events.csv"]
    expected, _ = parsing.parse_events("events.csv", data)
    plain = data.decode()
    bare = "\r\n".join(
        line if line.count(",") > 5 else line.replace('"', "") for line in plain.split("\n")
    )
    columns = re.sub(r',(?=(?:[^"]*"[^"]*")*[^"]*$)', ";", plain.replace("\n", "\r\n"))
    for saved in (
        bare.encode(),
        columns.replace('"', "").encode("utf-8-sig"),
        plain.encode("utf-16"),
        plain.replace("\n", "\r\n").encode(),
    ):
        found, flaws = parsing.parse_events("events.csv", saved)
        pd.testing.assert_frame_equal(found, expected)
        assert all("UTF-16" in flaw.text for flaw in flaws), flaws
    local = columns.replace("2026-07-14T20:00:40Z", "14/07/2026 20:00")
    found, flaws = parsing.parse_events("events.csv", local.encode())
    assert len(found) == len(expected) and found["time"].isna().sum() == 3
    assert len(flaws) == 1 and "spreadsheet" in flaws[0].text, flaws
