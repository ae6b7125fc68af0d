# SPDX-License-Identifier: GPL-3.0-only
"""Power-on with broken files, storage and cards: protection all the same, and the fault is named.

Every state is a row of a table; the whole firmware runs for thirteen seconds of virtual time.
"""

import builtins
import struct

from parallelator import catalog
from sim import current, harness, scenario
from sim.chips.sdcard import SdCard
from sim.chips.sdimage import BLOCK, Image
from support import ROOT, state_at

SECTORS = 65536
GIGABYTE = 2097152  # in blocks
LATEST_S = 10


class Start:
    """One power-on.

    Args:
        files: as of `harness.run`; nvs: key to what the storage holds; card: an `SdCard`.
        worn: method of `esp32.NVS` that fails, "" = none.

    Attributes:
        starts: how often the controller started; ticked_s: when the guard first ticked.
        report: of the harness; said: what was printed; codes: of all events;
        alarms: code to text of what stands at the end.
        name, trips: settings in use at the end.
    """

    def __init__(self, files=None, nvs=None, card=None, worn=""):
        self.starts = 0
        self.ticked_s = None
        self.said = []
        self.codes = []
        self.alarms = {}
        self._nvs = nvs or {}
        self._worn = worn
        self._app = None
        plan = {"name": "broken", "batteries": 1, "duration_s": 13}
        plan = scenario.complete(dict(plan, settings={"name": "broken"}))
        self._print = builtins.print
        builtins.print = self._hear
        try:
            self.report = harness.run(
                ROOT, plan, True, quiet=True, sabotage=self._listen, card=card, files=files
            )
        finally:
            builtins.print = self._print
        app = self._app
        self.name, self.trips = app.settings["name"], app.settings["limits.max_trips"]
        for alarm in app.rig.alarms():
            self.alarms[alarm["code"]] = self.alarms.get(alarm["code"], "") + alarm["text"]
        number = 0
        while app.events.after(number):
            event = app.events.after(number)
            number = event[0] + 1
            self.codes.append(event[2])

    def _hear(self, *words, **options):
        self.said.append(" ".join(str(word) for word in words))

    def _listen(self):
        import esp32

        from parallelator.app import App
        from parallelator.protection.guard import Guard

        self.starts += 1
        if self.starts == 1:
            current.world.nvs["parallelator"] = self._nvs
        if self._worn:
            setattr(esp32.NVS, self._worn, _worn)
        tick, begin = Guard.tick, App._main

        def first_tick(guard):
            Guard.tick = tick
            if self.ticked_s is None:
                self.ticked_s = current.world.now_us / 1000000
            tick(guard)

        async def main(app, settled):
            self._app = app
            await begin(app, settled)

        async def no_web(app):
            import asyncio

            # Not every host lets a program listen on the default port.
            await asyncio.sleep_ms(1 << 28)

        Guard.tick = first_tick
        App._main = main
        App._web = no_web


def _worn(store, *_):
    raise OSError(-0x1101, "ESP_ERR_NVS_NOT_INITIALIZED")


def protects(title, start, code, word, settings):
    """Assert that a start came to protection in time, once, and tells what is broken.

    Args:
        code: of the event, and of the alarm if it has one; word: of what the console says.
        settings: (name, most trips) that are in use.
    """
    assert start.starts == 1 and start.ticked_s < LATEST_S, (title, start.starts, start.ticked_s)
    assert state_at(start.report, 1, LATEST_S) == ("on", ""), (
        title,
        state_at(start.report, 1, LATEST_S),
    )
    assert start.report["violations"] == [], (title, start.report["violations"])
    assert (start.name, start.trips) == settings, (title, start.name, start.trips)
    assert code in start.codes, (title, start.codes)
    assert any(word in line for line in start.said), (title, word, start.said)
    if catalog.row(code)[3] & catalog.ALARM:
        assert code in start.alarms, (title, start.alarms)


# Settings, as (title, config.json, a word of what is said)

LAST_GOOD = b'{"name": "stage left", "limits": {"max_trips": 3}}'
LAST = ("stage left", 3)
FACTORY = ("parallelator", 5)
OWN = ("broken", 5)
"""Settings in use: the last good ones, those of the factory, those of the scenario."""

SETTINGS = (
    ("decimal comma", b'{"limits": {"min_voltage_mv": 24,5}}', "24,5"),
    ("blank in a number", b'{"limits": {"trip_decay_s": 3 600}}', "3 600"),
    ("key that is no text", b'{"batteries": {3: {"label": "x"}}}', "column 16"),
    ("no value", b'{"limits": {"max_trips": }}', "column 26"),
    ("key twice", b'{"limits": {}, "limits": {"max_trips": 4}}', "limits"),
    ("comment", b'{"name": "x" // mine\n}', "column 14"),
    ("empty", b"", "config.json"),
    ("zeros", bytes(300), "config.json"),
    ("noise", bytes(range(256)), "config.json"),
    ("Latin-1", b'{"name": "Sc\xe8ne"}', "UTF-8"),
    ("UTF-16", b"\xff\xfe{\0}\0", "UTF-8"),
    ("cut short", LAST_GOOD[:20], "config.json"),
    ("much too long", b" " * 100000, "16384"),
    ("very deep", b'{"a":' * 3000, "config.json"),
    ("list", b"[]", "config.json"),
    ("out of range", b'{"limits": {"max_trips": -1}}', "max_trips"),
    ("unknown setting", b'{"limit": 7}', "limit"),
    ("folder", None, "config.json"),
)


def test_settings_that_cannot_be_used_give_way_to_the_last_good_ones():
    for title, content, word in SETTINGS:
        start = Start({"config.json": content, "config.good.json": LAST_GOOD})
        protects(title, start, "config_fault", word, LAST)


def test_without_last_good_settings_those_of_the_factory_are_in_use():
    for title, good in (
        ("none", {}),
        ("noise", {"config.good.json": b"\xff{"}),
        ("folder", {"config.good.json": None}),
        ("too long", {"config.good.json": b" " * 20000}),
        ("out of range", {"config.good.json": b'{"limits": {"max_trips": -1}}'}),
    ):
        good["config.json"] = b"{"
        protects(title, Start(good), "config_fault", "config.json", FACTORY)


# The file that names the version to run


def test_a_pointer_to_nowhere_is_told():
    for title, content in (
        ("noise", b"\xff\xfe\x00"),
        ("nothing there", b"app-b app-a 9"),
        ("huge number", b"app-b app-a 99999999999999999999999"),
        ("empty", b""),
        ("folder", None),
    ):
        protects(title, Start({"app": content}), "app_unknown", "`app`", OWN)


# Storage, as (title, what it holds, what of it fails)

STORAGE = (
    ("locks too short", {"fleet": b"\x01"}, ""),
    ("locks too long", {"fleet": bytes(500)}, ""),
    ("locks a number", {"fleet": 7}, ""),
    ("locks of another version", {"fleet": b"\x09" + bytes(65)}, ""),
    ("boots no number", {"boots": b"x"}, ""),
    ("counters noise", {"counters": b"\xa5" * 400}, ""),
    ("counters cut short", {"counters": b"\xa5" * 40}, ""),
    ("password noise", {"ap_key": b"\xff" * 10}, ""),
    ("closed", {}, "__init__"),
    ("numbers unreadable", {}, "get_i32"),
    ("bytes unreadable", {}, "get_blob"),
    ("full for numbers", {}, "set_i32"),
    ("full for bytes", {}, "set_blob"),
    ("worn", {}, "commit"),
    ("worn in maintenance", {"why": b"maintenance"}, "commit"),
)


def test_storage_that_fails_is_told():
    for title, holds, worn in STORAGE:
        protects(title, Start(nvs=holds, worn=worn), "storage_fault", "locks", OWN)


def test_what_only_the_start_itself_keeps_is_put_right_in_silence():
    start = Start(nvs={"starts": b"x", "why": 7, "boots": 0x7FFFFFFF})
    protects("wrong types", start, "boot", "boot 1", OWN)
    kept = current.world.nvs["parallelator"]
    assert (kept["starts"], kept["boots"]) == (0, 1), kept
    start = Start(nvs={"starts": -5, "why": b"\xff\xfe"})
    protects("noise", start, "boot", "boot 1", OWN)


# Cards, as (title, function that makes one, code, a word of what is said)


def fresh(sectors=SECTORS):
    """An image with an empty FAT volume, and the volume."""
    image = Image(sectors)
    return image, image.volume()


def with_settings(content):
    image, volume = fresh()
    with volume.open("/config.json", "wb") as file:
        file.write(content)
    return SdCard(image)


def with_log_as_a_file():
    image, volume = fresh()
    volume.open("/log", "wb").close()
    return SdCard(image)


def with_events_as_a_folder():
    image, volume = fresh()
    for path in ("/log", "/log/events.csv"):
        volume.mkdir(path)
    return SdCard(image)


def with_first_block(content, second=b""):
    image = Image(SECTORS)
    for number, begin in enumerate((content, second)):
        image.write(number, begin + bytes(BLOCK - len(begin)))
    return SdCard(image)


def with_gpt():
    """A protective MBR with one partition of type EE, and the header of a GPT."""
    entry = bytes((0, 0, 2, 0, 0xEE, 0xFF, 0xFF, 0xFF)) + struct.pack("<II", 1, SECTORS - 1)
    return with_first_block(bytes(446) + entry + bytes(48) + b"\x55\xaa", b"EFI PART")


def with_a_folder_without_end():
    """32 GB; the first folder, full of other files, goes on in its second cluster for ever."""
    image, _ = fresh(32 * GIGABYTE)
    start = struct.unpack_from("<I", image.read(0), 454)[0]
    boot = image.read(start)
    table = start + struct.unpack_from("<H", boot, 14)[0]
    root = table + boot[16] * struct.unpack_from("<I", boot, 36)[0]
    chain = image.read(table)[:8] + struct.pack("<II", 3, 3)
    image.write(table, chain + bytes(BLOCK - len(chain)))
    for number in range(root, root + 2 * boot[13]):
        image.write(number, (b"PHOTO000JPG\x20" + bytes(20)) * 16)
    return SdCard(image)


def full():
    image, _ = fresh()
    image.fill(0)
    return SdCard(image)


def slow(read_us):
    image, volume = fresh()
    for number in range(100):
        volume.open("/a photo of the stage %d.jpg" % number, "wb").close()
    card = SdCard(image)
    card.read_us = read_us
    return card


def damaged():
    card = with_settings(b'{"name": "card"}')
    card.unreadable = {0}
    return card


CARDS = (
    ("no FAT", lambda: with_first_block(b"precious"), "sd_foreign", "FAT32"),
    ("exFAT", lambda: with_first_block(b"\xeb\x76\x90EXFAT   "), "sd_foreign", "FAT32"),
    ("GPT", with_gpt, "sd_gpt", "GPT"),
    ("first block lost", damaged, "sd_unreadable", "SD card"),
    ("reads take 60 ms", lambda: slow(60000), "config_fault", "/sd/config.json"),
    ("reads never end", lambda: slow(1 << 28), "sd_unreadable", "SD card"),
    ("folder without end", with_a_folder_without_end, "config_fault", "/sd/config.json"),
    ("decimal comma", lambda: with_settings(b'{"name": 1,5}'), "config_fault", "/sd/config.json"),
    ("file for a folder", with_log_as_a_file, "card_blocked", "log is a file"),
    ("folder for a file", with_events_as_a_folder, "card_blocked", "log/events.csv is a folder"),
    ("full", full, "sd_full", "full"),
)


def test_a_card_that_cannot_be_used_is_told():
    for title, card, code, word in CARDS:
        protects(title, Start(card=card()), code, word, OWN)
