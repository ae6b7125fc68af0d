# SPDX-License-Identifier: GPL-3.0-only
"""tools/check_types.py finds calls that the ESP32 lacks, wherever the object comes from."""

import os
import re
import shutil

import pytest

import check_types

HARDWARE = "lib/parallelator/hardware/"
BOTH = ("1.29", "1.25")
TRIED = BOTH if os.environ.get("SOAK") == "1" else BOTH[1:]
"""In the fast tests only the older one, in which every breakage is one."""

BREAKAGES = [
    ("boot.py", "timeout=30000)", "timeout_us=10000)", BOTH),
    (HARDWARE + "controller.py", "I2C(\n            0,", "I2C(\n            0, speed=1,", BOTH),
    (HARDWARE + "controller.py", "WDT(timeout=", "WDT(timeout_ms=", BOTH),
    (HARDWARE + "controller.py", 'NVS("parallelator")', "NVS()", BOTH),
    (HARDWARE + "controller.py", "machine.unique_id()", "machine.unique_id(8)", BOTH),
    (HARDWARE + "i2c.py", "readfrom_mem_into(address, register, buf)", "scan(address)", BOTH),
    (HARDWARE + "i2c.py", "writeto(address, data)", "writeto(address)", BOTH),
    (HARDWARE + "i2c.py", "self.stuck = not self._release()", "self._i2c.deinit()", ("1.25",)),
    (HARDWARE + "sdcard.py", "self.cs.init(", "self.cs.configure(", BOTH),
    (HARDWARE + "sdcard.py", "self.spi.write(frame)", "self.spi.write(frame, 6, 7)", BOTH),
    ("lib/parallelator/network/wifi.py", "network.STA_IF", "network.STATION", BOTH),
    ("lib/parallelator/network/wifi.py", "active(True)", "active(True, False)", BOTH),
    ("lib/parallelator/records/nvs_state.py", 'get_i32("boots")', 'get_i32("boots", 0)', BOTH),
    ("lib/parallelator/records/nvs_state.py", "self._store.commit()", "self._store.save()", BOTH),
    ("lib/parallelator/records/card.py", "mount(volume, FOLDER)", "mount(volume)", BOTH),
    ("lib/parallelator/clock.py", "time.sleep_us", "time.sleep_usec", BOTH),
    ("lib/parallelator/records/events.py", 'snap: "Snapshot"', 'snap: "Snapshop"', BOTH),
    ("lib/parallelator/protection/guard.py", "Judge(limits)", "Judge(snap)", BOTH),
    ("lib/parallelator/protection/states.py", "limits.max_trips", "limits.most_trips", BOTH),
    ("lib/parallelator/app.py", 'set_zone(self.settings["time.zone"])', "set_zone(1)", BOTH),
    ("lib/parallelator/web/auth.py", "os.urandom(16)", "os.urandom()", BOTH),
    ("lib/parallelator/web/auth.py", "asyncio.sleep_ms(0)", "asyncio.sleep_ms()", BOTH),
    ("lib/parallelator/scheduler.py", "clock.diff(self._due, now)", "clock.diff(now, 1, 2)", BOTH),
]


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """What is found in a copy of the firmware with all the breakages at once, and where they are:
    (lines of the report, the `path:line` of each breakage)."""
    root = tmp_path_factory.mktemp("tree")
    for name in ("boot.py", "main.py", "lib"):
        source = check_types.ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, root / name)
    places = []
    for path, good, bad, _ in BREAKAGES:
        text = (root / path).read_text()
        assert good in text, (path, good)
        places.append(f"{path}:{text[: text.index(good)].count(chr(10)) + 1}")
        (root / path).write_text(text.replace(good, bad, 1))
    return check_types.faults(root, tmp_path_factory.mktemp("work"), TRIED), places


@pytest.mark.parametrize("number", range(len(BREAKAGES)))
def test_a_call_that_does_not_exist_is_reported(reports, number):
    found, places = reports
    versions = BREAKAGES[number][3]
    for version in TRIED:
        pattern = re.compile(rf"{re.escape(places[number])}: .+\(MicroPython {version}\)")
        hits = [line for line in found if pattern.fullmatch(line)]
        assert bool(hits) == (version in versions), (version, hits)


def test_nothing_else_is_reported(reports):
    found, places = reports
    assert [line for line in found if line.split(": ")[0] not in places] == []
