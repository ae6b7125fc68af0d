# SPDX-License-Identifier: GPL-3.0-only
"""Free space on the SD card, and files in the way: the whole firmware in virtual time."""

import struct

from sim.chips.sdcard import SdCard
from sim.chips.sdimage import BLOCK, Image
from support import clean, state_at
from test_records import MB, SECTORS, Run, complete, uptimes

LARGE = 32 * 2097152  # 32 GB, which is a FAT32 volume
HEADER = "time,uptime_ms,battery,voltage_mv,current_ma,state,discharge_mah,charge_mah,soc_pct\n"


def play(image, **plan):
    """A `Run` of a rig of four batteries with this card."""
    return Run(SdCard(image), batteries=4, load=[[0, 10]], **plan)


def put(volume, name, rows=1, time="%s:00:00Z", header=HEADER, end=""):
    """A log of the rig in the log folder, as large as `rows` rows of 8 KB.

    Args:
        time: of its first row; its name fills in the hour.
    """
    if "log" not in [entry[0] for entry in volume.ilistdir("/")]:
        volume.mkdir("/log")
    with volume.open("/log/" + name, "w") as file:
        file.write(header)
        for hour in range(rows):
            text = time % (name[:10] + "T%02d" % (hour % 24)) if "%" in time else time
            file.write(text + ",1000,1,26000,0,on,0," + "0" * 8150 + "\n")
        file.write(end)


def protect(image, name):
    """Give a log of a size of its own the attribute read-only, as a PC does."""
    size = struct.pack("<I", image.volume().stat("/log/" + name)[6])
    entries = []
    for number in image._blocks:
        block = image.read(number)
        entries += [
            (number, at)
            for at in range(0, BLOCK, 32)
            if block[at + 8 : at + 12] == b"CSV\x20" and block[at + 28 : at + 32] == size
        ]
    ((number, at),) = entries
    block = bytearray(image.read(number))
    block[at + 11] = 0x21
    image.write(number, block)


def with_fsinfo(image, count, hint):
    """What FSInfo says of a large card: free clusters, and where to look for one."""
    start = struct.unpack_from("<I", image.read(0), 454)[0]
    block = bytearray(image.read(start + 1))
    struct.pack_into("<II", block, 488, count, hint)
    image.write(start + 1, block)


def fill_up(image):
    """Leave no cluster free."""
    image.fill(0)
    with image.volume().open("/rest.bin", "wb") as file:
        file.write(b"x")


def logs(run):
    """The names in the log folder but those that this run began."""
    return {name for name in run.files() if name not in ("events.csv", "boot-0001.csv")}


def test_a_nearly_full_card_gives_up_its_oldest_logs_one_by_one():
    image = Image(SECTORS)
    volume = image.volume()
    for name in ("2026-01-01.csv", "2026-01-02.csv", "2026-01-03.csv"):
        put(volume, name, 160)
    put(volume, "boot-0009.csv", 160, ",")
    image.fill(int(7.8 * MB))
    run = play(image, duration_s=60)
    clean(run.report)
    assert 0 < run.pause_ms < 20, run.pause_ms
    assert run.named == [("log_removed", 9), ("log_removed", 20260101)], run.named
    assert logs(run) == {"2026-01-02.csv", "2026-01-03.csv"}
    assert complete(uptimes(run.rows("boot-0001.csv")), 2, 47)
    assert run.codes() == ["sd_ready"], run.codes()


def test_no_log_goes_for_what_fsinfo_says():
    for count, hint in ((0, 2), (100, 300), (0xFFFFFFFF, 0xFFFFFFFF), (5, 0)):
        image = Image(LARGE)
        volume = image.volume()
        for day in range(10, 15):
            put(volume, "2026-07-%d.csv" % day)
        with_fsinfo(image, count, hint)
        run = play(image, duration_s=25)
        clean(run.report)
        assert logs(run) == {"2026-07-%d.csv" % day for day in range(10, 15)}, run.files()
        assert run.codes() == ["sd_ready"] and run.named == [], (run.codes(), run.named)
        assert complete(uptimes(run.rows("boot-0001.csv")), 2, 12)


def test_a_large_card_of_which_nothing_is_known_keeps_nobody_waiting():
    for steps in ([], [{"at": 0, "do": "sd_remove"}, {"at": 9, "do": "sd_insert"}]):
        image = Image(LARGE)
        image.volume()
        with_fsinfo(image, 0xFFFFFFFF, 0xFFFFFFFF)
        free = []
        run = play(
            image,
            duration_s=45,
            steps=steps,
            watch=lambda app, free=free: free.append(app.card.free),
        )
        clean(run.report)
        assert state_at(run.report, 1, 7) == ("on", "")
        # A new folder is cleared block by block, 64 KB of it.
        assert run.waited_ms < 1500, run.waited_ms
        assert complete(uptimes(run.rows("boot-0001.csv")), 18 if steps else 2, 32)
        assert set(free) == {None}, "what is not counted is not known"


def test_the_first_room_of_a_large_card_is_looked_for_in_steps():
    image = Image(LARGE)
    image.volume()
    start = struct.unpack_from("<I", image.read(0), 454)[0]
    table = start + struct.unpack_from("<H", image.read(start), 14)[0]
    for number in range(table + 1, table + 2001):
        image.write(number, b"\xff\xff\xff\x0f" * 128)
    with_fsinfo(image, 0xFFFFFFFF, 3)
    run = play(image, duration_s=40, watch=lambda app: None)
    clean(run.report)
    # Two thousand blocks in one call would take four seconds.
    assert run.waited_ms < 1500, run.waited_ms
    assert complete(uptimes(run.rows("boot-0001.csv")), 15, 27)


def test_what_is_free_is_known_after_a_count():
    image = Image(SECTORS)
    free = []
    play(image, duration_s=30, watch=lambda app: free.append(app.card.free))
    size, _, _, left = image.volume().statvfs("/")[1:5]
    assert left * size - 100000 < free[-1] <= left * size + 50000, free


def test_what_nobody_may_delete_is_passed_over():
    image = Image(SECTORS)
    volume = image.volume()
    put(volume, "2026-01-01.csv", 3)
    put(volume, "2026-01-02.csv", 5)
    put(volume, "2026-01-03.csv", 60)
    volume.mkdir("/log/2025-12-31.csv")
    protect(image, "2026-01-01.csv")
    image.fill(9 * MB)

    def read(app):
        if app.rig.datalog and "2026-01-02.csv" not in app.rig.datalog.held:
            app.rig.datalog.held.append("2026-01-02.csv")

    run = play(image, duration_s=40, watch=read)
    clean(run.report)
    assert run.named == [("log_removed", 20260103)], run.named
    assert logs(run) == {"2025-12-31.csv", "2026-01-01.csv", "2026-01-02.csv"}, run.files()
    assert complete(uptimes(run.rows("boot-0001.csv")), 2, 27)
    assert run.codes() == ["sd_ready"], run.codes()


def test_what_is_no_log_of_the_rig_stays():
    image = Image(SECTORS)
    volume = image.volume()
    put(volume, "2026-01-02.csv", header="date;tune\n")
    put(volume, "boot-0003.csv", header="")
    for name in ("2026-1-1.csv", "2019-photos.csv", "a-2026-01-01.csv", "2026-01-01.csv.bak"):
        put(volume, name)
    put(volume, "2026-01-03.csv")
    kept = {entry[0] for entry in volume.ilistdir("/log")}
    image.fill(2 * MB)
    run = play(image, duration_s=60)
    clean(run.report)
    assert run.named == [("log_removed", 20260103)], run.named
    assert logs(run) == kept - {"2026-01-03.csv"}, run.files()
    assert run.codes() == ["sd_ready"], run.codes()


def test_how_old_a_log_is_stands_in_it():
    image = Image(SECTORS)
    volume = image.volume()
    link = "# 2026-03-05T20:00:00Z is uptime_ms 9000; goes on in 2026-03-05.csv\n"
    put(volume, "boot-0007.csv", 9, ",", end=link)
    put(volume, "2026-03-09.csv", 9, "2026-03-01T20:00:00Z")  # somebody renamed it
    put(volume, "2026-03-04.csv", 9)
    put(volume, "2026-03-04-2.csv", 9)
    put(volume, "boot-0012.csv", 9, ",")
    put(volume, "boot-0005.csv", 9, ",")
    image.fill(MB)
    run = play(image, duration_s=90, log={"keep_free_mb": 11})
    further = 100000000
    assert [value for _, value in run.named] == [
        5,
        12,
        20260309,
        20260304,
        20260304 + further,
        7,
    ], run.named
    assert logs(run) == set()


def test_a_log_from_the_future_is_told_and_goes_first():
    image = Image(SECTORS)
    volume = image.volume()
    for name in ("2026-07-01.csv", "2026-07-13.csv", "2068-01-01.csv", "2067-12-31.csv"):
        put(volume, name, 20)
    image.fill(int(9.9 * MB))
    run = play(image, duration_s=40, time_at_s=3)
    assert run.named == [("log_future", 20680101), ("log_removed", 20671231)], run.named
    assert "2026-07-01.csv" in run.files() and "2026-07-14.csv" in run.files()
    events = run.read("events.csv")
    assert "Log 2068-01-01 is dated in the future" in events
    assert "Log 2067-12-31 deleted to make room" in events


def test_a_write_without_room_costs_the_oldest_log_and_no_more():
    image = Image(SECTORS)
    volume = image.volume()
    put(volume, "2026-01-01.csv", 20)
    put(volume, "2026-01-02.csv", 20)
    fill_up(image)
    run = play(image, duration_s=100, log={"keep_free_mb": 1})
    clean(run.report)
    assert run.codes() == ["sd_ready", "sd_full", "sd_ready"], run.codes()
    assert run.named[0] == ("log_removed", 20260101), run.named
    assert uptimes(run.rows("boot-0001.csv"))[-1] > 80


def test_a_card_without_any_room_is_told_and_harms_nothing():
    for fill in (lambda image: image.fill(0), fill_up):
        image = Image(SECTORS)
        fill(image)
        run = play(image, duration_s=60, watch=lambda app: None)
        clean(run.report)
        assert run.pause_ms < 20, run.pause_ms
        assert run.waited_ms < 600, run.waited_ms
        assert run.codes() == ["sd_ready", "sd_full"], run.codes()
        assert "filler.bin" in [entry[0] for entry in image.volume().ilistdir("/")]


# Things in the way


def blocked(run):
    """How often something in the way was told."""
    return [code for _, code in run.events].count("card_blocked")


def test_a_log_of_today_that_is_protected_or_a_folder_goes_on_beside():
    for folder in (False, True):
        image = Image(SECTORS)
        volume = image.volume()
        for day in range(10, 14):
            put(volume, "2026-07-%d.csv" % day)
        if folder:
            volume.mkdir("/log/2026-07-14.csv")
            volume.mkdir("/log/boot-0001.csv")
        else:
            put(volume, "2026-07-14.csv", 3)
            protect(image, "2026-07-14.csv")
        before = {entry[0]: entry[3] for entry in volume.ilistdir("/log")}
        run = play(image, duration_s=40, time_at_s=5)
        clean(run.report)
        after = run.files()
        assert {name: after[name] for name in before} == before, after
        assert run.codes() == ["sd_ready"] and run.named == [] and not blocked(run)
        assert complete(uptimes(run.rows("2026-07-14-2.csv")), 8, 27)


def test_what_lies_in_the_way_is_named_and_the_rest_is_written():
    for folders, files in (
        (("/log", "/log/events.csv"), ("/counters", "/blackbox")),
        ((), ("/log",)),
    ):
        image = Image(SECTORS)
        volume = image.volume()
        for path in folders:
            volume.mkdir(path)
        for path in files:
            volume.open(path, "wb").close()
        texts = []

        def look(app, texts=texts):
            texts[:] = [alarm["text"] for alarm in app.rig.alarms() if "card" in alarm["code"]]

        steps = [
            {"at": 20, "do": "inject_current", "n": 3, "ma": 24000},
            {"at": 21, "do": "inject_current", "n": 3, "ma": 0},
        ]
        run = play(image, duration_s=45, steps=steps, watch=look)
        clean(run.report)
        assert run.codes() == ["sd_ready"], run.codes()
        assert [code for _, code in run.events if code == "task_died"] == []
        wanted = ["%s is a folder." % path[1:] for path in folders[1:]]
        wanted += ["%s is a file and no folder." % path[1:] for path in files]
        assert blocked(run) == len(texts) == len(wanted), (texts, run.events)
        for words in wanted:
            assert any(text.endswith(" " + words) for text in texts), (words, texts)
        if folders:
            assert complete(uptimes(run.rows("boot-0001.csv")), 2, 32)
