# SPDX-License-Identifier: GPL-3.0-only
"""Backup, restore, monitor, flash and mip."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from controllers import ROOT, Controller
from device import backup, deploy, flash, link, package
from device.image import images
from device.link import DeviceError, attach

TOOLS = ROOT / "tools/device"
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT / "tools"), "PYTHONUNBUFFERED": "1"}


def quiet(line):
    pass


def tool(name, *arguments, **options):
    """Run a command of tools/device as make does."""
    command = [sys.executable, TOOLS / name, *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, **options)


@pytest.fixture
def controller(tmp_path):
    """A blank device."""
    return Controller(tmp_path)


def test_backup_and_restore_onto_another_device(built, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    kept = tmp_path / "kept"
    config = {"name": "stage left", "limits": {"max_trips": 3}}
    with Controller(tmp_path / "one") as controller:
        deploy.deploy(controller.port, built, quiet)
        device = attach(controller.port)
        device.write("config.json", json.dumps(config).encode())
        device.write("notes/of mine.txt", b"\xff\x00" * 3000)
        device.close()
        said = tool("backup.py", "save", kept, "--port", controller.port)
        assert said.returncode == 0, said.stderr
        assert "The rig is back at work." in said.stdout
        controller.until("Back at work after maintenance")
    found = sorted(path.relative_to(kept).as_posix() for path in kept.rglob("*"))
    assert found == ["config.good.json", "config.json", "notes", "notes/of mine.txt"]
    with Controller(tmp_path / "two") as controller:
        deploy.deploy(controller.port, built, quiet)
        said = tool("backup.py", "restore", kept, "--port", controller.port)
        assert said.returncode == 0, said.stderr
        device = attach(controller.port)
        assert json.loads(device.read("config.json")) == config
        assert device.read("notes/of mine.txt") == b"\xff\x00" * 3000
        device.close()


def test_restore_refuses_what_is_no_backup(tmp_path):
    with pytest.raises(DeviceError, match="holds no backup"):
        backup.restore(None, tmp_path)
    for text in ("{", "[]"):
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(DeviceError, match="not a JSON object. Nothing was changed"):
            backup.restore(None, tmp_path)


def test_backup_leaves_the_application_alone():
    paths = ("app", "app-a/page/x", "app-b/manifest.json", "boot.py", "main.py", "config.json.new")
    assert [path for path in paths if backup.belongs_to_the_rig(path)] == []
    assert backup.belongs_to_the_rig("config.json") and backup.belongs_to_the_rig("my/main.py")


def test_monitor_shows_what_the_rig_says_and_ctrl_c_leaves_the_rig_alone(built, controller):
    with controller:
        deploy.deploy(controller.port, built, quiet)
        lives = controller.lives
        command = [sys.executable, TOOLS / "monitor.py", "--port", controller.port]
        shown = controller.image.with_name("shown")
        with shown.open("wb") as out:
            monitor = subprocess.Popen(command, stdout=out, stderr=out, env=ENVIRONMENT)
            try:
                deadline = time.monotonic() + 30
                while b"started together" not in shown.read_bytes():
                    assert time.monotonic() < deadline, shown.read_text()
                    time.sleep(0.05)
                monitor.send_signal(signal.SIGINT)
                assert monitor.wait(10) == 0
            finally:
                monitor.kill()
        assert "Ctrl-C ends this and nothing else." in shown.read_text()
        assert "Traceback" not in shown.read_text(), shown.read_text()
        assert controller.lives == lives


def test_commands_say_what_is_wrong(tmp_path):
    for name, *arguments in (
        ("deploy.py", "--build", tmp_path),
        ("backup.py", "save", tmp_path),
        ("backup.py", "restore", tmp_path),
    ):
        if name == "deploy.py":
            listing = {"version": "1", "march": "x64", "files": {}}
            (tmp_path / "manifest.json").write_text(json.dumps(listing))
        said = tool(name, *arguments, "--port", tmp_path / "ttyUSB9")
        assert said.returncode == 1 and "There is no " in said.stderr, said
        assert "Traceback" not in said.stderr


def test_ports_are_found(monkeypatch):
    class Port:
        def __init__(self, device, vid):
            self.device = device
            self.vid = vid

    for ports, found in (
        ([Port("/dev/ttyS0", None), Port("/dev/ttyUSB0", 0x10C4)], "/dev/ttyUSB0"),
        ([Port("/dev/ttyS0", None)], "No device is plugged in"),
        ([Port("a", 1), Port("b", 2)], "PORT=a or PORT=b"),
    ):
        monkeypatch.setattr(link.list_ports, "comports", lambda ports=ports: ports)
        try:
            assert link.find_port() == found
        except DeviceError as error:
            assert found in str(error)
    assert link.find_port("/dev/mine") == "/dev/mine"


def test_flash_calls_mpflash_for_every_controller(monkeypatch, capsys):
    for controller in flash.CONTROLLERS:
        called = []
        monkeypatch.setattr(
            sys, "argv", ["flash.py", "--port", "/dev/x", "--controller", controller]
        )

        def run(command, called=called):
            called.append(command)
            return subprocess.CompletedProcess(command, 0)

        monkeypatch.setattr(subprocess, "run", run)
        assert flash.main() == 0
        assert called == [flash.command("/dev/x", controller, False)]
        board, _, variant = controller.partition("-")
        assert board in called[0] and "--erase" in called[0]
        assert (
            called[0][called[0].index("--variant") + 1] == variant
            if variant
            else ("--variant" not in called[0])
        )
    assert "--no-erase" in flash.command("/dev/x", "ESP32_GENERIC", True)
    pinned = (TOOLS / "flash.txt").read_text().splitlines()
    assert {f"mpflash=={images.MICROPYTHON}", "esptool==5.6.0"} <= set(pinned)


def test_package_json_is_current():
    assert package.PACKAGE.read_text() == package.document(), "run tools/device/package.py"


def test_mip_installs_the_modules_from_package_json(controller, tmp_path):
    # Everything but what comes from elsewhere, through the real mpremote.
    source = tmp_path / "source"
    shutil.copytree(ROOT / "lib", source)
    listing = json.loads((source / "package.json").read_text())
    urls = [pair for pair in listing["urls"] if not pair[1].startswith("https:")]
    assert len(urls) == len(listing["urls"]) - len(package.MODULES)
    listing.update(urls=urls, deps=[])
    (source / "package.json").write_text(json.dumps(listing))
    with controller:
        command = [sys.executable, "-m", "mpremote", "connect", controller.port, "resume"]
        command += ["mip", "install", "--no-mpy", "--target", "/lib", source / "package.json"]
        said = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert said.returncode == 0, said
        device = attach(controller.port)
        found = {path: size for path, size, _ in device.call("survey()")}
        device.close()
    for path in [*source.rglob("*.py"), *source.glob("parallelator/messages/*.json")]:
        name = f"lib/{path.relative_to(source).as_posix()}"
        assert found.pop(name) == path.stat().st_size, name
    assert not found
