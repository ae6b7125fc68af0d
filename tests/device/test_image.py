# SPDX-License-Identifier: GPL-3.0-only
"""What an image holds: its list, its flash, and how it is built, and how it
starts on a flash that was never used."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys

import pytest

from controllers import MICROPYTHON, ROOT
from device import build
from device.image import images, make
from fake_image import whole

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


FAKE_ENGINE = """#!/bin/sh
echo "$@" >>"{folder}/called"
for into; do :; done
mkdir -p "{folder}/$into"
cp "{folder}/firmware.bin" "{folder}/micropython.bin" "{folder}/$into"
"""
FAKE_IDF = """#!/bin/sh
echo "ESP-IDF v{version}"
"""


@pytest.fixture
def workshop(tmp_path, monkeypatch):
    """A folder in the place of the repository, with nothing but what this test puts into PATH."""
    (tmp_path / "bin").mkdir()
    for name in ("cp", "mkdir", "sh"):
        (tmp_path / "bin" / name).symlink_to(shutil.which(name))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("IDF_PATH", raising=False)
    monkeypatch.setattr(images, "BUILT", tmp_path / "build/image")
    monkeypatch.setattr(build, "ROOT", tmp_path)
    monkeypatch.setattr(build, "build", lambda folder: None)
    monkeypatch.setattr(sys, "argv", ["make.py"])
    return tmp_path


def put(path, text):
    path.write_text(text)
    path.chmod(0o755)


def test_images_are_built_in_a_container_and_described(workshop, capfd):
    put(workshop / "bin/docker", FAKE_ENGINE.format(folder=workshop))
    (workshop / "micropython.bin").write_bytes(b"\xe9 application")
    contents = {}
    for image in images.IMAGES:
        contents[image.name] = whole(image)
        (workshop / "firmware.bin").write_bytes(contents[image.name])
        sys.argv[1:] = [image.name]
        assert make.main() == 0
    called = (workshop / "called").read_text().splitlines()
    assert len(called) == len(images.IMAGES)
    for line, image in zip(called, images.IMAGES, strict=True):
        assert f"--volume {workshop}:{workshop} docker.io/espressif/idf:v{images.IDF} " in line
        arguments = f"{image.board} {image.variant} {images.MICROPYTHON} build/image/{image.name}"
        assert line.endswith(f"{workshop}/tools/device/image/build.sh {arguments}")
    found = json.loads((images.BUILT / images.LISTING).read_text())
    assert found["version"] == build.version() and found["micropython"] == images.MICROPYTHON
    assert [row["name"] for row in found["images"]] == [image.name for image in images.IMAGES]
    sums = dict(line.split()[::-1] for line in (images.BUILT / images.SUMS).open())
    for row in found["images"]:
        for file in (row, row["update"]):
            content = (images.BUILT / file["file"]).read_bytes()
            digest = hashlib.sha256(content).hexdigest()
            assert file["size"] == len(content)
            assert file["sha256"] == sums.pop(file["file"]) == digest
        assert (images.BUILT / row["file"]).read_bytes() == contents[row["name"]]
        assert build.version() in row["file"] and row["name"] in row["update"]["file"]
    assert not sums
    assert "esp32s3-octal.bin: " in capfd.readouterr().out


def test_a_sourced_esp_idf_of_the_right_version_is_used_and_no_other(workshop, monkeypatch):
    monkeypatch.setenv("IDF_PATH", "/somewhere")
    put(workshop / "bin/idf.py", FAKE_IDF.format(version=images.IDF))
    assert make.way() == []
    put(workshop / "bin/idf.py", FAKE_IDF.format(version="5.4"))
    with pytest.raises(make.ImageFault, match=r"ESP-IDF 5\.4 is sourced"):
        make.way()
    put(workshop / "bin/podman", "")
    assert make.way()[0] == "podman" and "--userns=keep-id" in make.way()


def test_without_a_way_to_build_it_says_what_to_install(workshop, capsys):
    assert make.main() == 1
    said = capsys.readouterr().err
    assert images.IDF in said and "apt-get install podman" in said and "make flash" in said


def test_an_image_that_does_not_fit_or_is_none_is_refused(workshop, capsys):
    put(workshop / "bin/docker", FAKE_ENGINE.format(folder=workshop))
    (workshop / "micropython.bin").write_bytes(b"")
    image = images.IMAGES[0]
    sys.argv[1:] = [image.name]
    good = whole(image)
    slot = images.partitions()["ota_0"][3]
    for content, fault in (
        (whole(image, b"\xe9" * (slot + 1)), "do not fit into a slot of 1966080"),
        (b"\x00" + good[1:], "no image at its places"),
        (good.replace(b"\xaa\x50", b"\x00\x00"), "no table of partitions"),
        (b"", "no image at its places"),
    ):
        (workshop / "firmware.bin").write_bytes(content)
        assert make.main() == 1
        assert fault in capsys.readouterr().err
    assert not list(images.BUILT.glob("parallelator*"))


def test_what_is_written_leaves_locks_and_files_alone():
    for image in images.IMAGES:
        written = images.parts(image, whole(image))
        assert [row[0] for row in written] == ["bootloader", "partitions", "otadata", "app"]
        taken = {at for _, offset, data in written for at in range(offset, offset + len(data))}
        for label in ("nvs", "phy_init", "ota_1", "vfs"):
            _, _, offset, size = images.partitions()[label]
            assert taken.isdisjoint(range(offset, offset + size)), label
        assert written[0][1:] == (image.begin, b"\xe9 bootloader")
        assert written[3][1:] == (0x10000, b"\xe9" + image.name.encode())


def test_the_script_builds_the_board_with_a_compiler_that_takes_the_joined_module(tmp_path):
    for name in ("git", "make"):
        put(tmp_path / name, f'#!/bin/sh\necho "{name} $@ | $MICROPY_MPYCROSS $MPY_CROSS"\n')
    script = tmp_path / "tools/device/image/build.sh"
    script.parent.mkdir(parents=True)
    shutil.copy(IMAGE / "build.sh", script)
    source = tmp_path / "build/image/micropython-1.2.3"
    put(tmp_path / "mv", f'#!/bin/sh\n[ "$2" = "{source}" ]\n')
    command = [script, "BOARD", "VARIANT", "1.2.3", "build/image/esp32"]
    path = f"{tmp_path}:{os.environ['PATH']}"
    said = subprocess.run(command, check=True, capture_output=True, text=True, env={"PATH": path})
    cloned, crossed, submodules, built = said.stdout.splitlines()
    assert "--branch v1.2.3" in cloned and crossed.startswith(
        f"make --directory={source}/mpy-cross"
    )
    for line, target in ((submodules, "submodules"), (built, "all")):
        port, _, compiler = line.partition(" | ")
        assert port.split() == [
            "make",
            f"--directory={source}/ports/esp32",
            f"BOARD_DIR={tmp_path}/tools/device/image/BOARD",
            "BOARD_VARIANT=VARIANT",
            f"BUILD={tmp_path}/build/image/esp32",
            target,
        ]
        wrapper = f"{tmp_path}/tools/device/mpy_cross.sh"
        assert compiler == f"{wrapper} {source}/mpy-cross/build/mpy-cross"
