# SPDX-License-Identifier: GPL-3.0-only
"""What an image holds: its list, its flash, and how it starts on a flash that was never used."""

import json
import re
import subprocess

import pytest

from controllers import MICROPYTHON, ROOT
from device import build
from device.image import images

IMAGE = ROOT / "tools/device/image"
FLASH_BYTES = 4 << 20
BLOCK = 4096
APP_ALIGNMENT = 0x10000

START = """
import json, os, sys
sys.path[:] = [{rom!r}, {tools!r}, ".frozen"]
import rom
from sim.flash import Flash

file = open({flash!r}, "r+b")
boot = open({image!r} + "/_boot.py").read()

class Partition:
    TYPE_DATA = 1
    def find(kind, label=None):
        assert (kind, label) == (1, "vfs")
        return [Flash(file)]

class Module:
    Partition = Partition

sys.modules["esp32"] = Module
os.umount("/")
exec(compile(boot, "_boot.py", "exec"), {{}})
assert sys.path[-1] == "/rom"
from hashlib import sha256
from binascii import hexlify
def files(folder):
    found = {{}}
    for name, kind, *_ in os.ilistdir(folder):
        path = folder + "/" + name if folder else name
        if path == "rom":
            continue
        if kind == 0x4000:
            found.update(files(path))
        else:
            found[path] = hexlify(sha256(open(path, "rb").read()).digest()).decode()
    return found
try:
    open("nothing")
except OSError as error:
    own = files("") if error.errno == 2 else None
{then}
print(json.dumps([own, files("/rom")]))
"""


def start(flash, then=""):
    """Start as a controller with the image does; returns what it said, and path to SHA-256 of the
    files in the flash (None: no file system) and in the image."""
    names = {"image": str(IMAGE), "rom": str(build.ROM), "tools": str(ROOT / "tools")}
    code = START.format(flash=str(flash), then=then, **names)
    process = subprocess.run(
        [MICROPYTHON, "-X", "heapsize=4m", "-c", code], capture_output=True, text=True
    )
    assert process.returncode == 0, process.stdout + process.stderr
    said, _, last = process.stdout.rstrip().rpartition("\n")
    return said, *json.loads(last)


@pytest.fixture
def flash(built, tmp_path):
    """A file as the partition for what people own, never used."""
    path = tmp_path / "flash"
    path.write_bytes(b"\xff" * images.partitions()["vfs"][3])
    return path


def frozen_names(host):
    """Paths of what the manifest freezes, as modules are called."""
    frozen = []

    def add(base, paths):
        frozen.extend(path.relative_to(base).as_posix() for path in paths)

    def add_package(name, base_path, opt):
        assert opt == 2
        base = (IMAGE / base_path).resolve()
        add(base, (base / name).rglob("*.py"))

    def add_module(name, base_path=".", opt=0):
        assert opt == 2
        base = (IMAGE / base_path).resolve()
        assert (base / name).is_file(), name
        add(base, [base / name])

    class Options:
        def defaults(self, **given):
            assert given == {"host": False}

    Options.host = host
    names = {"package": add_package, "module": add_module, "options": Options()}
    names["include"] = names["require"] = frozen.append
    exec((IMAGE / "manifest.py").read_text(), names)
    assert len(frozen) == len(set(frozen))
    return set(frozen)


def test_the_manifest_freezes_all_that_a_rig_runs(built):
    joined = {"microdot", "sdcard.py"}  # in the joined module, and nothing else asks for them
    modules = {name for name, _ in build.modules() if name.parts[0] not in joined}
    wanted = {name.as_posix() for name in modules}
    wanted |= {"parallelator/joined.py", "umqtt/simple.py", "rom.py"}
    wanted |= {"_boot.py", "boot.py", "main.py", "$(MPY_DIR)/extmod/asyncio"}
    assert frozen_names(host=True) == wanted
    assert frozen_names(host=False) == wanted | {"ssl"}


def test_the_partitions_fill_the_flash_and_neither_overlap_nor_lie_askew():
    table = images.partitions()
    at = images.TABLE_AT + BLOCK
    for label, (kind, _, offset, size) in table.items():
        assert offset == at, label
        assert size % BLOCK == 0
        if kind == "app":
            assert offset % APP_ALIGNMENT == 0
        at = offset + size
    assert at == FLASH_BYTES
    assert [row[1] for row in table.values() if row[0] == "app"] == ["ota_0", "ota_1"]
    assert table["ota_0"][3] == table["ota_1"][3]
    assert table["otadata"][:2] == ("data", "ota") and table["otadata"][3] == 2 * BLOCK


def test_every_image_has_a_board_and_a_name_of_its_own():
    for image in images.IMAGES:
        board = IMAGE / image.board
        assert (board / "mpconfigboard.cmake").is_file() and (board / "mpconfigboard.h").is_file()
        if image.variant:
            assert (board / f"mpconfigvariant_{image.variant}.cmake").is_file()
    assert len({image.name for image in images.IMAGES}) == len(images.IMAGES)


def test_the_configuration_is_one_that_esp_idf_reads():
    line = re.compile(r'CONFIG_[A-Z0-9_]+=(y|n|\d+|".*")')
    lines = (IMAGE / "sdkconfig").read_text().splitlines()
    settings = [text for text in lines if text and not text.startswith("#")]
    assert settings and all(line.fullmatch(text) for text in settings)
    keys = [text.partition("=")[0] for text in settings]
    assert len(keys) == len(set(keys))
    assert "CONFIG_FREERTOS_HZ=1000" in settings


def test_a_new_controller_gets_a_file_system_with_nothing_in_it(flash, built):
    said, own, rom = start(flash)
    assert said == "" and own == {}
    page = {path.relative_to(built / "app").as_posix() for path in (built / "app/page").iterdir()}
    messages = {f"parallelator/messages/{language}.json" for language in ("en", "fr")}
    assert set(rom) == {f"/rom/{name}" for name in page | messages}
    listing = json.loads((built / build.MANIFEST).read_text())["files"]
    assert rom == {f"/rom/{name}": listing[f"app/{name}"]["sha256"] for name in page | messages}


def test_what_people_own_stays(flash):
    start(flash, 'file = open("config.json", "w"); file.write("{}"); file.close()')
    said, own, _ = start(flash)
    assert said == "" and list(own) == ["config.json"]


def test_a_flash_that_something_else_was_in_gets_a_file_system(flash):
    flash.write_bytes(bytes(range(256)) * (flash.stat().st_size // 256))
    said, own, _ = start(flash)
    assert said == "" and own == {}


def test_a_damaged_file_system_is_left_for_who_can_save_it(flash):
    start(flash, 'file = open("config.json", "w"); file.write("{}"); file.close()')
    content = bytearray(flash.read_bytes())
    for block in (0, 1):
        content[block * BLOCK + 20 : block * BLOCK + 200] = bytes(180)
    flash.write_bytes(content)
    said, own, rom = start(flash)
    assert said.startswith("boot: the file system is damaged: ")
    assert own is None and rom
    assert flash.read_bytes() == content
