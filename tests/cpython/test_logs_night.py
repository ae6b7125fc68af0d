# SPDX-License-Identifier: GPL-3.0-only
"""tools/logs joins logs to one timeline, names what is missing, and counts what flowed."""

from datetime import timedelta

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import logs_fixture as fixture
from logs import drawing, lives, nights, report

START = fixture.START


def join(**files):
    """Joins files named by keywords: d14 is 2026-07-14.csv, b1 is boot-0001.csv."""
    names = {"d": "2026-07-%s.csv", "b": "boot-%04d.csv"}
    return fixture.joined(
        {
            names[key[0]] % (key[1:] if key[0] == "d" else int(key[1:])): data
            for key, data in files.items()
        }
    )


def texts(flaws, kind):
    return [flaw.text for flaw in flaws if flaw.kind == kind]


def test_every_flaw_of_an_archive_is_named_once():
    found = fixture.joined(fixture.flawed())
    lines = "\n".join(line for _, line in report.flaw_lines(found.flaws))
    assert lines == (
        "Damaged: 2026-07-14.csv, line 408: torn, “2026-07-14T20:02:21Z,141000,3,2”\n"
        "Damaged: 2026-07-14.csv, line 602: current_ma is “2o00”, allowed: -200000 to 200000\n"
        "Clock: 2026-07-14.csv, the clock jumped forward by 1 h 00 min, to 2026-07-14 21:10:00\n"
        "Missing rows: 2026-07-14.csv, from 2026-07-14 20:04:59: 30 samples missing in 31 s\n"
        "Missing days: 2026-07-15: no log of this day"
    )
    assert [boot.number for boot in found.boots] == [1, 2]


def test_the_last_night_is_drawn_unless_another_is_asked_for():
    found = fixture.joined(fixture.flawed())
    last = nights.night_of(found)
    assert last.title == "Night of Thursday 16 July 2026"
    assert last.flaws == [] and len(last.others) == 5
    assert last.trips[["battery", "text"]].values.tolist() == [[3, "far too much current, 25.0 A"]]
    assert [boot.number for boot in last.boots] == [2]
    first = nights.night_of(found, "2026-07-14")
    assert len(first.flaws) == 4 and texts(first.others, "day")
    assert len(nights.night_of(found, nights.ALL).flaws) == 5
    with pytest.raises(ValueError, match="no night 2026-07-15; there are: 2026-07-14, 2026-07-16"):
        nights.night_of(found, "2026-07-15")


def test_states_are_bands_that_end_where_rows_end():
    night = nights.night_of(fixture.joined(fixture.flawed()))
    bands = night.bands[night.bands["battery"] == 3]
    assert list(bands["state"]) == ["on", "tripped", "on"]
    assert list((bands["end"] - bands["start"]).dt.total_seconds()) == [98, 10, 290]
    first = nights.night_of(fixture.joined(fixture.flawed()), "2026-07-14")
    bands = first.bands[first.bands["battery"] == 1]
    ends = [(band.end - START).total_seconds() for band in bands.itertuples()]
    assert ends == [300, 600, 4500]


def test_a_trip_that_no_event_tells_is_seen_in_the_rows():
    files = fixture.flawed()
    del files["events.csv"]
    night = nights.night_of(fixture.joined(files))
    assert night.trips[["battery", "text"]].values.tolist() == [[3, "no reason in the events"]]


def test_events_find_the_boot_they_are_of():
    night = timedelta(hours=3)
    found = fixture.joined(
        {
            "boot-0003.csv": fixture.log(fixture.rows(range(3, 90), None)),
            "boot-0004.csv": fixture.log(fixture.rows(range(3, 50), None)),
            "2026-07-14.csv": fixture.log(
                fixture.rows(range(60, 99)) + fixture.rows(range(60, 99), START + night)
            ),
            "events.csv": fixture.events(
                (None, 0, "info", "boot", None, "Started, boot 3"),
                (None, 50, "alarm", "trip", 1, "Battery 1: opened, a"),
                (None, 40, "alarm", "trip", 2, "Battery 2: opened, b"),
                (None, 10, "alarm", "trip", 3, "Battery 3: opened, c"),
                (START + timedelta(seconds=70), 70, "alarm", "trip", 4, "Battery 4: opened, d"),
                (START + night + timedelta(seconds=65), 65, "info", "joined", 1, "e"),
            ),
        }
    )
    assert [boot.number for boot in found.boots] == [3, 4, None, None]
    assert list(found.events["boot"]) == [0, 0, 1, 2, 2, 3]
    assert found.events["time"].iloc[1] == pd.Timestamp(50, unit="s")
    assert found.events["time"].iloc[3] == START + timedelta(seconds=10)


def test_a_log_without_a_date_is_drawn_over_uptime():
    found = join(b7=fixture.log(fixture.rows(range(3, 90), None)))
    night = nights.night_of(found)
    assert night.title == "boot-0007, date not known" and not night.dated
    assert night.start == pd.Timestamp(3, unit="s") and night.flaws == []
    assert "uptime 3 s  boot 7" in report.text(found, night)


def test_dated_and_undated_boots_do_not_mix():
    undated = fixture.log([*fixture.rows(range(3, 90), None), "torn"])
    found = join(b1=undated, d14=fixture.log(fixture.rows(range(40, 99))))
    assert nights.night_of(found).title == "Night of Tuesday 14 July 2026"
    assert nights.night_of(found).flaws == []
    night = nights.night_of(found, "boot-0001")
    assert [flaw.line for flaw in night.flaws] == [350] and len(night.rows) == 4 * 87


def test_a_boot_goes_on_after_midnight():
    late = START.replace(hour=23, minute=59, second=30)
    found = join(
        d14=fixture.log(fixture.rows(range(0, 30), late)),
        d15=fixture.log(fixture.rows(range(30, 60), late)),
    )
    assert len(found.boots) == 1 and found.flaws == []
    assert len(nights.night_of(found).rows) == 240


def test_a_restart_within_a_day_is_a_boot_with_its_pause():
    again = START + timedelta(seconds=400)
    rows = fixture.rows(range(10, 300)) + fixture.rows(range(10, 99), again)
    found = join(d14=fixture.log(rows))
    assert [boot.pause_s for boot in found.boots] == [None, 111] and found.flaws == []


def test_a_clock_that_jumps_to_another_day_is_one_boot():
    found = join(
        d14=fixture.log(fixture.rows(range(10, 60))),
        d20=fixture.log(fixture.rows(range(60, 90), START + timedelta(days=6))),
    )
    assert len(found.boots) == 1
    assert texts(found.flaws, "clock") == [
        "the clock jumped forward by 6 d 00 h, to 2026-07-20 20:01:00"
    ]
    assert texts(found.flaws, "day") == ["2026-07-15 to 2026-07-19: no log of these 5 days"]


def test_days_that_were_not_read_are_not_missing():
    files = {
        f"2026-07-{d}.csv": fixture.log(fixture.rows([1], START.replace(day=d))) for d in (10, 14)
    }
    names = [f"2026-07-{d}.csv" for d in range(10, 15)]
    assert fixture.joined(files, names).flaws == []


def test_a_row_of_one_battery_is_missing():
    rows = fixture.rows(range(10, 60))
    del rows[41]
    found = join(d14=fixture.log(rows))
    assert texts(found.flaws, "gap") == ["1 sample of pack 2 missing in 2 s"]
    assert [flaw.packs for flaw in found.flaws] == [(2,)]


def test_a_counter_that_falls_is_damage():
    rows = fixture.rows(range(1000, 1100), packs=(1, 2))
    rows[100] = rows[100].rpartition(",")[0][:-1] + ",0"
    found = join(d14=fixture.log(rows))
    assert [flaw.line for flaw in found.flaws] == [102]
    assert "discharge_mah of pack 1 falls" in found.flaws[0].text


def test_nothing_to_read_says_so():
    with pytest.raises(ValueError, match="no row of a log"):
        fixture.joined({"2026-07-14.csv": b"rubbish"})


@settings(max_examples=20)
@given(
    st.integers(1, 60),
    st.sets(st.integers(1, 98), max_size=30),
    st.integers(-5000, 5000).filter(lambda s: abs(s) > 2),
    st.integers(1, 99),
)
def test_all_that_is_missing_is_counted_and_every_jump_is_named(every, lost, jump, at):
    uptimes = [every * k for k in range(1, 101)]
    kept = [uptimes[k] for k in range(100) if k not in lost]
    turn = uptimes[at]
    moved = START + timedelta(seconds=jump)
    rows = fixture.rows([s for s in kept if s < turn], packs=(1, 2))
    rows += fixture.rows([s for s in kept if s >= turn], moved, packs=(1, 2))
    found = join(d14=fixture.log(rows))
    missing = [int(text.split()[0]) for text in texts(found.flaws, "gap")]
    step = min(s for s in kept if s >= turn) - max(s for s in kept if s < turn)
    if step <= max(10, 3 * every):
        assert len(texts(found.flaws, "clock")) == 1, found.flaws
        assert len(found.boots) == 1 and sum(missing) == len(lost), found.flaws


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 5000), st.booleans()), min_size=1, max_size=6))
def test_what_flowed_is_counted_across_restarts(boots):
    rows, counter, true = [], 0, 0
    for k, (flowed, kept) in enumerate(boots):
        first = 0 if k == 0 or not kept else counter
        counter = first + flowed
        true += flowed
        rows += [(k, first), (k, first + flowed // 2), (k, counter)]
    table = pd.DataFrame(rows, columns=["boot", "discharge_mah"])
    assert nights.counted(table, "discharge_mah") == true


def told(volts, counted, percents, boots=(0, 0, 0, 0)):
    """The night of pack 1 with these readings, one a second."""
    lines = []
    for k, (volt, mah, percent, boot) in enumerate(
        zip(volts, counted, percents, boots, strict=True)
    ):
        uptime_ms = 10000 + 1000 * (k - boots.index(boot))
        time = fixture.stamp(START + timedelta(seconds=10 + k + 60 * boot))
        lines.append(f"{time},{uptime_ms},1,{volt},2000,on,{mah},0,{percent}")
    data = "".join(f"{line}\n" for line in [fixture.LONG + ",soc_pct", *lines]).encode()
    return nights.night_of(join(d14=data))


def test_energy_is_what_flowed_at_the_voltage_at_which_it_flowed():
    pack = told((28000, 28000, 24000, 24000), (0, 1000, 1000, 4000), ("",) * 4).packs.loc[1]
    assert pack.out_ah == 4 and pack.out_wh == 28 + 3 * 24
    assert (pack.in_ah, pack.in_wh) == (0, 0)


def test_energy_across_a_restart_is_of_all_that_was_counted():
    night = told((25000,) * 4, (0, 1000, 1100, 2000), ("",) * 4, (0, 0, 1, 1))
    assert night.packs.loc[1, "out_wh"] == 2 * 25


def test_charge_at_the_beginning_and_at_the_end():
    night = told((26000,) * 4, (0, 1, 2, 3), ("", 93, 60, 41))
    assert (night.packs.loc[1, "first_pct"], night.packs.loc[1, "last_pct"]) == (93, 41)
    assert "charge 93 to 41 %" in report.headline(night)
    assert drawing.pack_line(night, 1)[-2:] == ["93 to 41 %", "peak 2.0 A"]
    assert next(report.pack_rows(night))[1][4:6] == ["93", "41"]


def test_charge_that_nobody_knew_is_not_told():
    night = told((26000,) * 4, (0, 1, 2, 3), ("",) * 4)
    assert "charge" not in report.headline(night)
    assert next(report.pack_rows(night))[1][4:6] == ["–", "–"]


def test_a_counter_that_began_again_counts_from_zero():
    table = pd.DataFrame({"boot": [0, 0, 1, 1], "mah": [100.0, 900.0, 4.0, 50.0]})
    assert nights.counted(table, "mah") == 850


def test_what_a_power_cut_took_from_a_kept_counter_is_not_counted_twice():
    table = pd.DataFrame({"boot": [0, 0, 1, 1], "mah": [100.0, 900.0, 880.0, 1000.0]})
    assert nights.counted(table, "mah") == 920


@given(
    st.lists(st.one_of(st.floats(-100, 100), st.just(float("nan"))), min_size=1, max_size=400),
    st.integers(6, 200),
)
def test_thinning_keeps_every_extreme_in_order(values, points):
    values = pd.Series(values, dtype=float).to_numpy()
    keep = drawing.thinned(values, points)
    assert list(keep) == sorted(set(keep)) and keep[0] == 0 and keep[-1] == len(values) - 1
    assert len(keep) <= points + 2
    kept = pd.Series(values[keep])
    assert kept.min() == pd.Series(values).min() or pd.Series(values).isna().all()
    assert kept.max() == pd.Series(values).max() or pd.Series(values).isna().all()


def test_numbers_of_flaws_do_not_cover_each_other():
    night = nights.night_of(fixture.joined(fixture.flawed()), "2026-07-14")
    marks = drawing.flaw_marks(night, report.flaw_lines(night.flaws), 0.05)
    assert sorted(k for k, _, _ in marks) == [1, 2, 3, 4]
    times = [at for _, _, at in marks]
    width = night.end - night.start
    assert all(b - a >= width * 0.05 for a, b in zip(times, times[1:], strict=False))


UNTIL = pd.Timestamp("2026-11-29T18:00:00")
FUTURE = fixture.log(fixture.rows(range(300, 305), START.replace(year=2068)))


def test_the_last_night_is_never_one_in_the_future():
    files = fixture.flawed() | {"2068-07-14.csv": FUTURE}
    found = fixture.joined(files, until=UNTIL)
    night = nights.night_of(found)
    assert night.title == "Night of Thursday 16 July 2026"
    said = "from 2068-07-14 on it lies in the future of this computer's clock"
    assert said in texts(night.others, "clock")
    assert texts(found.flaws, "day") == ["2026-07-15: no log of this day"]
    assert nights.night_of(found, nights.ALL).title == "2026-07-14 to 2026-07-16"
    asked = nights.night_of(found, "2068-07-14")
    assert len(asked.rows) == 20 and said in texts(asked.flaws, "clock")


def test_a_log_that_was_not_read_is_told_to_lie_in_the_future_too():
    found = fixture.joined(fixture.flawed(), ["2068-07-14.csv", "2026-07-16.csv"], UNTIL)
    assert "2068-07-14.csv" in [flaw.file for flaw in found.flaws if flaw.kind == "clock"]
    assert texts(found.flaws, "day") == ["2026-07-15: no log of this day"]


def test_a_computer_whose_clock_is_wrong_draws_the_last_night_and_says_so():
    found = fixture.joined({"2068-07-14.csv": FUTURE}, until=UNTIL)
    night = nights.night_of(found)
    assert night.title == "Night of Saturday 14 July 2068"
    assert ["in the future" in text for text in texts(night.flaws, "clock")] == [True]


def test_a_rig_may_be_a_little_ahead():
    found = fixture.joined(fixture.flawed(), until=pd.Timestamp("2026-07-16T20:10:00"))
    assert nights.night_of(found).title == "Night of Thursday 16 July 2026"
    assert len(texts(found.flaws, "clock")) == 1


def test_files_of_which_nothing_can_be_read_say_why():
    local = fixture.log(fixture.rows(range(9))).replace(
        b"2026-07-14T20:00:0", b"14/07/2026 20:00:0"
    )
    with pytest.raises(ValueError, match="no row .* in 2026-07-14.csv(?s:.*)by a spreadsheet"):
        join(d14=local)


def test_the_health_of_a_pack_is_that_of_the_night_wherever_it_was():
    files = {
        "A": fixture.life(
            ("2026-07-14", 1, 19000, 1500, 21, 20),
            ("2026-07-15", 2, 18000, 1500, 22, 20),
            ("2026-07-16", 2, 17000, 1500, 30, 20),
        ),
        "B": fixture.life(("2026-07-15", 1, 15000, 2400, "", "")),
        "C": b"\xff\xfe,broken\n\n1,2\n",
        "D": fixture.life(("2026-07-15", "x", 1, 1, 1, 1)),
    }

    def told(evening):
        found = lives.health(files, evening)
        return {
            n: (
                row["id"],
                *(None if x != x else round(x) for x in row[["health_pct", "growth_pct"]]),
            )
            for n, row in found.iterrows()
        }

    assert told("2026-07-13") == {}
    assert told("2026-07-14") == {1: ("A", 95, 5)}
    assert told("2026-07-15") == {1: ("B", None, None), 2: ("A", 90, 10)}
    assert told(None) == told("2026-08-01") == {1: ("B", None, None), 2: ("A", 85, 50)}


ABOUT = "# times are UTC; zone CET-1CEST,M3.5.0,M10.5.0/3; boot 1; rig 246f28000001; name left"


def test_a_clock_that_was_set_back_leaves_no_hour_twice():
    hour = timedelta(hours=1)
    rows = fixture.rows(range(10, 600)) + fixture.rows(range(600, 4200), START - hour)
    found = join(d14=fixture.log(rows))
    said = "the clock jumped back by 1 h 00 min, to 2026-07-14 19:10:00; 2360 rows dated later"
    assert texts(found.flaws, "clock") == [f"{said} left aside"]
    night = nights.night_of(found)
    times = night.rows[night.rows["battery"] == 1]["time"]
    assert times.is_monotonic_increasing and times.is_unique
    assert len(found.boots) == 1 and not texts(found.flaws, "gap")


@pytest.mark.parametrize("year", [1970, 2000])
def test_rows_of_a_clock_that_was_never_set_are_told_and_left_aside(year):
    wrong = fixture.rows(range(10, 20), START.replace(year=year))
    found = join(d14=fixture.log(wrong + fixture.rows(range(20, 60))))
    assert texts(found.flaws, "clock") == [
        f"line 2: the clock was wrong, {year}-07-14 20:00:10; 40 rows left aside"
    ]
    assert len(found.rows) == 160 and nights.night_of(found).title.endswith("14 July 2026")
    files = {"2026-07-14.csv": fixture.log(fixture.rows(range(9)))}
    named = fixture.joined(files, [*files, f"{year}-01-01.csv"])
    said = [(flaw.file, flaw.text) for flaw in named.flaws if flaw.kind == "clock"]
    text = f"the clock was wrong, {year}-01-01: the whole log is left aside"
    assert said == [(f"{year}-01-01.csv", text)] and len(named.flaws) == 1


def test_rows_that_are_there_twice_are_read_once():
    rows = fixture.rows(range(10, 300))
    files = {
        "2026-07-14.csv": fixture.log(rows),
        "2026-07-14 (2).csv": fixture.log(rows[: 4 * 100]),
        "night 2026-07-14.csv": fixture.log(rows[4 * 50 :] + fixture.rows(range(300, 310))),
    }
    found = fixture.joined(files)
    assert len(found.rows) == 4 * 300 and len(found.boots) == 1
    said = sorted((flaw.file, flaw.text) for flaw in found.flaws)
    assert [file for file, _ in said] == ["2026-07-14 (2).csv", "night 2026-07-14.csv"]
    assert all("once more: left aside" in text for _, text in said), said


def test_the_night_begins_at_noon_where_the_rig_is():
    zone = ABOUT.replace("CET-1CEST,M3.5.0,M10.5.0/3", "<-10>10")
    rows = [ABOUT, *fixture.rows(range(10)), *fixture.rows(range(9), START + timedelta(hours=3))]
    assert len(nights.night_of(join(d14=fixture.log(rows)), "2026-07-14").rows) == 76
    night = nights.night_of(join(d14=fixture.log([zone, *rows[1:]])), "2026-07-13")
    assert len(night.rows) == 40
    assert "rig left (246f28000001), its clock is UTC−10" in report.text(
        join(d14=fixture.log([zone, *rows[1:]])), night
    )


def test_ids_and_labels_are_those_that_the_log_tells():
    about = ["# battery 2; id A-7; label by the bass", "# battery 3; id ; label x"]
    night = nights.night_of(join(d14=fixture.log([*about, *fixture.rows(range(10))])))
    rows = {n: cells[-2:] for n, cells in report.pack_rows(night)}
    assert rows == {1: ["–", "–"], 2: ["by the bass", "A-7"], 3: ["x", "–"], 4: ["–", "–"]}


def test_a_night_is_read_through_a_window():
    late = START.replace(hour=13)
    data = fixture.log(fixture.rows(range(0, 4 * 3600, 60), START.replace(hour=10)))
    window = pd.Timestamp(late), pd.Timestamp(late + timedelta(hours=24))
    found = fixture.joined({"2026-07-14.csv": data}, window=window)
    assert found.rows["time"].min() == late and len(found.rows) == 4 * 60 and not found.flaws
