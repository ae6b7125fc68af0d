# SPDX-License-Identifier: GPL-3.0-only
"""make deploy: through mpremote onto a stand-in device with a LittleFS image."""

import gzip
import hashlib
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.request

import pytest

from controllers import MICROPYTHON, ROOT, Controller
from device import build, deploy, link
from device.deploy import Plan, plan
from device.link import Device, DeviceError, attach

NO_MEMORY = "160 KB of memory free.*needs 400 KB.*Nothing was changed.*frozen.*SPIRAM"
LISTING = """
import os, sys
sys.path[:0] = [{tools!r}, {device!r}]
from sim.flash import Flash
os.umount("/")
os.mount(os.VfsLfs2(Flash(open_image)), "/")
from agent import pointer, survey
pointer()
survey()
"""


def on(image):
    """What is on the flash: (folder that it boots from, paths to (size, SHA-256))."""
    code = LISTING.format(tools=str(ROOT / "tools"), device=str(ROOT / "tools/device"))
    code = f"open_image = open({str(image)!r}, 'r+b')\n{code}"
    # The agent must be imported before the root folder is another one.
    code = code.replace("os.umount", "from agent import pointer, survey\nos.umount", 1)
    command = [MICROPYTHON, "-X", "heapsize=8m", "-c", code]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    chosen, *files = (eval(line) for line in said.splitlines())
    return chosen, {path: (size, sha256) for path, size, sha256 in files}


def booted(image):
    """The version that would boot now, by its manifest; it must be complete and undamaged."""
    chosen, files = on(image)
    folder = next(slot for slot in (chosen, *deploy.SLOTS) if f"{slot}/manifest.json" in files)
    found = {path[6:]: files[path] for path in files if path.startswith(folder + "/")}
    return folder, {name: found[name] for name in sorted(found) if name != "manifest.json"}


def wanted_of(folder):
    _, wanted = deploy.contents(folder)
    return {name[4:]: content for name, content in sorted(wanted.items()) if name[:4] == "app/"}


def reseal(folder, version="0.2.0"):
    """Write the manifest of a build anew after a change."""
    listing = build.manifest(folder, "x64")
    listing["files"].pop(build.MANIFEST, None)
    listing["version"] = version
    (folder / build.MANIFEST).write_text(json.dumps(listing))


@pytest.fixture
def newer(built, tmp_path):
    """A second version: one file changed, one new, one gone; and another config.json."""
    folder = tmp_path / "newer"
    shutil.copytree(built, folder)
    name = "parallelator/__init__"
    source = tmp_path / "version.py"
    source.write_text('"""Newer."""\n\nVERSION = "0.2.0"\n')
    build.compile_module(f"{name}.py", source, folder / f"app/{name}.mpy", "x64")
    (folder / "app/parallelator/network/new.mpy").write_bytes(b"M\x06\0\0new")
    (folder / "app/page/charts.js.gz").unlink()
    (folder / "config.json").write_text("{}")
    reseal(folder)
    return folder


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory):
    """A device with the built version on it, not powered; its lines of progress."""
    folder = tmp_path_factory.mktemp("installed")
    lines = []
    with Controller(folder) as controller:
        made = deploy.deploy(controller.port, built, lines.append)
    return folder, made, lines


@pytest.fixture
def controller(installed, tmp_path):
    """A copy of that device, in maintenance when it is powered."""
    for path in installed[0].iterdir():
        shutil.copy(path, tmp_path)
    controller = Controller(tmp_path)
    controller.start_with("maintenance")
    return controller


def quiet(line):
    pass


def test_first_install(installed, built):
    folder, made, lines = installed
    assert made.slot == "app-a" and made.switch and made.config
    assert booted(folder / "flash.img") == ("app-a", wanted_of(built))
    _, files = on(folder / "flash.img")
    _, wanted = deploy.contents(built)
    for name in ("boot.py", "main.py", "config.json"):
        assert files[name] == wanted[name], name
    assert not [path for path in files if path.endswith(".new")]
    total = len(wanted_of(built)) + 1
    assert f"[1/{total}] app-a/microdot/__init__.mpy, " in lines[2]
    assert any(line.startswith(f"[{total}/{total}] app-a/manifest.json") for line in lines)
    assert lines[-1] == "The rig runs Parallelator 0.1.0 from app-a."


def test_nothing_changed_on_a_running_rig(controller, built):
    lines = []
    controller.start_with("")
    with controller:
        controller.until("Started, boot")
        made = deploy.deploy(controller.port, built, lines.append)
        # Its life as found, the maintenance, and back at work.
        assert controller.lives == 3
        controller.until("Back at work after maintenance")
    assert made.empty and "Nothing has changed." in lines
    assert b"Every switch is open." in controller.said


def test_upgrade_sends_what_changed_keeps_config_json_and_goes_back(controller, built, newer):
    before = on(controller.image)
    with controller:
        made = deploy.deploy(controller.port, newer, quiet)
    assert made.slot == "app-b"
    assert sorted(made.send.values()) == [
        "app-b/manifest.json",
        "app-b/parallelator/__init__.mpy",
        "app-b/parallelator/network/new.mpy",
    ]
    assert booted(controller.image) == ("app-b", wanted_of(newer))
    _, files = on(controller.image)
    assert files["config.json"] == before[1]["config.json"]
    assert b"Parallelator 0.2.0" in controller.said
    # The version before is still there: back to it takes the rename and nothing else.
    controller.start_with("maintenance")
    with controller:
        made = deploy.deploy(controller.port, built, quiet)
    assert made == Plan("app-a", switch=True, previous="app-b")
    assert booted(controller.image) == ("app-a", wanted_of(built))


def another(built, folder, names):
    """A build in which every file is another one, with only so many modules."""
    shutil.copytree(built, folder)
    paths = sorted(path for path in (folder / "app").rglob("*") if path.is_file())
    for path in paths[:names]:
        path.write_bytes(path.read_bytes()[:40] + b"?")
    for path in paths[names:]:
        path.unlink()
    for name in deploy.BOOT_FILES:
        (folder / name).write_text((folder / name).read_text() + "# another\n")
    reseal(folder)
    return folder


def test_interrupted_at_every_file_it_boots_the_old_version_and_goes_on(
    controller, built, tmp_path
):
    other = another(built, tmp_path / "other", 50 if "SOAK" in os.environ else 8)
    old, new = wanted_of(built), wanted_of(other)
    for _ in range(len(new) - 1):
        # Each try gets one file further.
        cut_short(controller, other, "begin('app-b", 2)
        assert booted(controller.image) == ("app-a", old)
    marks = ("begin('app-b/man", "take('app-b/man", "begin('boot", "take('boot", "take('main")
    for mark in (*marks, "switch("):
        cut_short(controller, other, mark, 1)
        assert booted(controller.image) == ("app-a", old), mark
        _, files = on(controller.image)
        assert {"boot.py", "main.py", "config.json"} <= set(files)
    assert files["boot.py"] == deploy.contents(other)[1]["boot.py"]
    assert {name: files["app-b/" + name] for name in new} == new


def cut_short(controller, folder, mark, count):
    controller.start_with("maintenance")
    with controller:
        controller.unplug_at(mark, count)
        with pytest.raises(DeviceError, match="broke"):
            deploy.deploy(controller.port, folder, quiet)


def test_full_flash_is_told_before_anything_changes(built, tmp_path):
    complaint = r"too full: \d+ KB are needed, \d+ KB are free"
    with (
        Controller(tmp_path, blocks=40) as controller,
        pytest.raises(DeviceError, match=complaint),
    ):
        deploy.deploy(controller.port, built, quiet)
    assert on(controller.image)[1] == {}


def test_flash_that_fills_up_meanwhile_is_told(controller, newer, monkeypatch):
    monkeypatch.setattr(deploy, "SPARE_BLOCKS", -1000)
    with controller:
        device = attach(controller.port)
        free = device.check()[2]
        device.call("begin('mine.bin')")
        device.call(f"for _ in range({free - 12}): _out.write(bytes(4096))")
        device.call("_out.close()")
        device.close()
        with pytest.raises(DeviceError, match="flash of the device is full"):
            deploy.deploy(controller.port, newer, quiet)
    assert booted(controller.image)[0] == "app-a"


def test_a_damaged_transfer_is_noticed(controller, newer, monkeypatch):
    write = Device.write

    def damaged(device, path, content, *rest):
        return write(device, path, content[:-1] + b"\0", *rest)

    monkeypatch.setattr(Device, "write", damaged)
    with controller, pytest.raises(DeviceError, match="arrived damaged"):
        deploy.deploy(controller.port, newer, quiet)
    assert booted(controller.image)[0] == "app-a"


@pytest.mark.parametrize(
    "answer, complaint",
    [
        (
            (False, "micropython", (1, 29, 0), "Pico with RP2040", 6, 4096, 500, 1 << 21),
            "not an ESP32",
        ),
        (
            (True, "circuitpython", (9, 0, 0), "S3", 6, 4096, 500, 1 << 21),
            "MicroPython 1.25 or newer",
        ),
        (
            (True, "micropython", (1, 24, 1), "ESP32", 6, 4096, 500, 1 << 21),
            "1.25 or newer.*1.24.1",
        ),
        ((True, "micropython", (1, 29, 0), "ESP32", 5, 4096, 500, 1 << 21), "cannot load .mpy"),
        (
            (True, "micropython", (1, 29, 0), "C3", 6 | 11 << 10, 4096, 500, 1 << 21),
            "C3 does not run",
        ),
        (
            (True, "micropython", (1, 29, 0), "ESP32", 6 | 10 << 10, 4096, 500, 160 << 10),
            NO_MEMORY,
        ),
    ],
)
def test_wrong_device(answer, complaint, monkeypatch):
    monkeypatch.setattr(Device, "call", lambda device, code: [answer])
    with pytest.raises(DeviceError, match=complaint):
        Device("port", None).check("xtensawin", build.needed_kb())


def test_a_build_for_another_processor_is_refused(controller, built, tmp_path):
    folder = tmp_path / "esp32"
    shutil.copytree(built, folder)
    listing = build.manifest(folder, "xtensawin")
    (folder / build.MANIFEST).write_text(json.dumps(listing))
    with controller, pytest.raises(DeviceError, match="The build is for xtensawin"):
        deploy.deploy(controller.port, folder, quiet)


@pytest.mark.parametrize("program", [["cat"], ["sleep", "60"]], ids=["echo", "silence"])
def test_a_port_where_something_else_answers_or_nothing(program, tmp_path):
    complaint = "does not answer like MicroPython"
    with (
        Controller(tmp_path, program=program) as controller,
        pytest.raises(DeviceError, match=complaint),
    ):
        attach(controller.port, patience_s=1)


def test_a_port_that_is_not_there(tmp_path):
    with pytest.raises(DeviceError, match="There is no "):
        attach(str(tmp_path / "ttyUSB9"))


def test_a_port_in_use(controller):
    with controller:
        device = attach(controller.port)
        try:
            with pytest.raises(DeviceError, match="in use by another program"):
                attach(controller.port)
        finally:
            device.close()


def test_a_version_that_crashes_is_told_and_the_one_before_is_back(
    controller, built, tmp_path, monkeypatch
):
    broken = crashing(built, tmp_path)
    monkeypatch.setattr(link, "START_S", 8)
    with controller:
        with pytest.raises(DeviceError, match="does not say .*(?s:.*)broken version"):
            deploy.deploy(controller.port, broken, quiet)
        controller.until("The new version failed, the one before it runs again: ")
    assert booted(controller.image) == ("app-a", wanted_of(built))


def crashing(built, tmp_path):
    """A version 0.2.0 that fails at import."""
    broken = tmp_path / "broken"
    shutil.copytree(built, broken)
    source = tmp_path / "app.py"
    source.write_text("raise ValueError('broken version')\n")
    build.compile_module("app.py", source, broken / "app/parallelator/app.mpy", "x64")
    reseal(broken)
    return broken


def test_a_rig_that_crashes_at_every_start_is_mended(built, tmp_path, monkeypatch):
    broken = crashing(built, tmp_path)
    with Controller(tmp_path) as controller:
        with monkeypatch.context() as patch:
            patch.setattr(link, "START_S", 8)
            with pytest.raises(DeviceError, match="does not say .*(?s:.*)broken version"):
                deploy.deploy(controller.port, broken, quiet)
        deploy.deploy(controller.port, built, quiet)
        controller.until("Started, boot")
        assert controller.said.count(b"ValueError: broken version") > 1, "it had tried again"


def test_what_was_deployed_runs_and_its_page_answers(controller, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [MICROPYTHON, "-X", "heapsize=64m", ROOT / "tools/sim/run.py", "--clock", "real"]
    command += ["--image", controller.image, "--port", str(port), "--sd", tmp_path / "sd.img"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        try:
            page = patiently(f"http://127.0.0.1:{port}/")
            state = json.loads(patiently(f"http://127.0.0.1:{port}/api/state"))
        finally:
            process.kill()
            process.wait()
    built_page = (ROOT / "build/page/index.html.gz").read_bytes()
    assert hashlib.sha256(page).digest() == hashlib.sha256(gzip.decompress(built_page)).digest()
    assert state["version"] == "0.1.0" and len(state["batteries"]) == 16


def patiently(url):
    deadline = time.monotonic() + 60
    while True:
        try:
            return urllib.request.urlopen(url, timeout=10).read()
        except OSError:
            assert time.monotonic() < deadline, url
            time.sleep(0.1)


def test_the_deployed_tree_and_not_the_source_is_what_runs(controller, newer, tmp_path):
    with controller:
        deploy.deploy(controller.port, newer, quiet)
    command = [MICROPYTHON, "-X", "heapsize=64m", ROOT / "tools/sim/run.py", "--clock", "virtual"]
    command += ["--image", controller.image, "--duration", "8"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "Parallelator 0.2.0" in said and "batteries started together" in said
    assert "Every switch is open." in said


WANTED = {
    "app/x.mpy": (5000, "x"),
    "app/y.mpy": (100, "y"),
    "boot.py": (10, "b"),
    "main.py": (10, "m"),
    "config.json": (10, "c"),
    "manifest.json": (50, "2"),
}
ROOT_FILES = {name: WANTED[name] for name in ("boot.py", "main.py", "config.json")}


@pytest.mark.parametrize(
    "found, chosen, slot, remove, copy, send, blocks",
    [
        # The file `app` is lost or garbage, but a version is complete.
        ({"app-a/manifest.json": (50, "1")}, "", "app-b", [], [], 3, 2 + 1 + 1 + 2),
        ({"app-a/manifest.json": (50, "1")}, "?", "app-b", [], [], 3, 6),
        # A version that is half there goes on, whoever is chosen.
        ({"app-a/x.mpy": (5000, "x")}, "", "app-a", [], [], 2, 2),
        # A version that was damaged after it was complete: its manifest goes first.
        (
            {"app-a/manifest.json": (50, "2"), "app-a/x.mpy": (9, "?"), "app-a/y.mpy": (100, "y")},
            "app-b",
            "app-b",
            [],
            [("app-a/y.mpy", "app-b/y.mpy")],
            2,
            6,
        ),
        (
            {
                "app-a/manifest.json": (50, "1"),
                "app-b/manifest.json": (50, "2"),
                "app-b/x.mpy": (9, "?"),
                "app-b/z.mpy": (9, "z"),
            },
            "app-a",
            "app-b",
            ["app-b/manifest.json", "app-b/x.mpy", "app-b/z.mpy"],
            [],
            3,
            3,
        ),
    ],
)
def test_plans(found, chosen, slot, remove, copy, send, blocks):
    made = plan(WANTED, found | ROOT_FILES, chosen, 4096)
    assert made.slot == slot
    assert (made.remove, made.copy, len(made.send), made.blocks) == (remove, copy, send, blocks)
    assert list(made.send.values())[-1] == f"{slot}/manifest.json"
    assert made.switch == (chosen != slot)
    assert not made.config and made.boot == []
