# SPDX-License-Identifier: GPL-3.0-only
"""An image goes onto a controller: which, from where, and what stays. esptool is a stand-in that
has a flash and speaks as esptool 5.6 does."""

import functools
import http.server
import json
import subprocess
import sys
import threading

import pytest

from controllers import Controller
from device import build, flash
from device.image import board, fetch, images, make
from device.link import DeviceError
from fake_image import whole

ESPTOOL = """#!{python}
import json, pathlib, sys
home = pathlib.Path({folder!r})
with open(home / "called", "a") as file:
    file.write(json.dumps(sys.argv[1:]) + "\\\\n")
options = {{}}
rest = sys.argv[1:]
while rest[0].startswith("--"):
    options[rest[0]], rest = rest[1], rest[2:]
verb, *rest = rest
told = json.loads((home / "board").read_text())
chip = told["chip"].lower().replace("-", "")
if options["--chip"] not in ("auto", chip):
    sys.exit("A fatal error occurred: This chip is " + told["chip"])
print("esptool v5.6.0")
print(f"Connected to {{told['chip']}} on {{options['--port']}}:")
print(f"{{'Chip type:':<20}}{{told['kind']}}")
print(f"{{'Features:':<20}}{{', '.join(told['features'])}}")
flash = home / "flash"
content = bytearray(flash.read_bytes())
if verb == "flash-id":
    print(f"Detected flash size: {{told['flash']}}")
elif verb == "erase-flash":
    content[:] = b"\\\\xff" * len(content)
elif verb == "read-flash":
    at, size = (int(word, 0) for word in rest[:2])
    pathlib.Path(rest[2]).write_bytes(content[at : at + size])
elif verb == "write-flash":
    for at, name in zip(rest[::2], rest[1::2]):
        data = pathlib.Path(name).read_bytes()
        begin, end = int(at, 0) // 4096 * 4096, -(-(int(at, 0) + len(data)) // 4096) * 4096
        content[begin:end] = b"\\\\xff" * (end - begin)
        content[int(at, 0) : int(at, 0) + len(data)] = data
elif verb != "run":
    sys.exit("no such verb")
flash.write_bytes(content)
""".replace("\\\\", "\\")
PLAIN = {"chip": "ESP32", "kind": "ESP32-D0WD-V3 (revision v3.1)", "flash": "4MB"}
S3 = {"chip": "ESP32-S3", "kind": "ESP32-S3 (QFN56) (revision v0.2)", "flash": "8MB"}
C3 = {"chip": "ESP32-C3", "kind": "ESP32-C3 (QFN32) (revision v0.4)", "flash": "4MB"}
VERSION = "1.2.3"


class Bench:
    """A board at a port, and the images that were built."""

    def __init__(self, folder):
        self.folder = folder
        self.plug(PLAIN)
        (folder / "flash").write_bytes(bytes(range(1, 256)) * (4 << 12))

    def plug(self, kind, psram=""):
        told = kind | {"features": ["Wi-Fi", "Dual Core", *[psram] * bool(psram)]}
        (self.folder / "board").write_text(json.dumps(told))
        (self.folder / "called").write_text("")

    def flash(self, name=None, keep=False, releases=None):
        flash.flash("/dev/nothing", name, VERSION, releases, keep)

    @property
    def content(self):
        return (self.folder / "flash").read_bytes()

    @property
    def verbs(self):
        """(verb, what the board does then) of each call."""
        calls = [json.loads(line) for line in (self.folder / "called").open()]
        verbs = ("flash-id", "erase-flash", "read-flash", "write-flash", "run")
        return [
            (next(word for word in call if word in verbs), call[call.index("--after") + 1])
            for call in calls
        ]


@pytest.fixture
def bench(tmp_path, monkeypatch):
    tool = tmp_path / "esptool"
    tool.write_text(ESPTOOL.format(python=sys.executable, folder=str(tmp_path)))
    tool.chmod(0o755)
    monkeypatch.setattr(board, "ESPTOOL", tool)
    monkeypatch.setattr(images, "BUILT", tmp_path / "image")
    images.BUILT.mkdir()
    for image in images.IMAGES:
        (images.BUILT / images.file_name(image, VERSION)).write_bytes(whole(image))
        (images.BUILT / images.file_name(image, VERSION, True)).write_bytes(b"\xe9")
    return Bench(tmp_path)


def test_a_new_controller_gets_the_image_and_nothing_else_stays(bench, capsys):
    bench.flash()
    image = images.named("esp32")
    assert bench.content[image.begin :].startswith(whole(image))
    after = bench.content[image.begin + len(whole(image)) :]
    assert set(after) == set(bench.content[: image.begin]) == {0xFF}
    assert bench.verbs == [
        ("flash-id", "no-reset"),
        ("erase-flash", "no-reset"),
        ("write-flash", "hard-reset"),
    ]
    said = capsys.readouterr().out
    assert "ESP32-D0WD-V3 (revision v3.1), 4 MB of flash, no PSRAM seen" in said
    assert flash.ability(False) in said and flash.PULL in said and "make monitor" in said


def test_a_rig_keeps_what_people_own_and_its_locks(bench):
    bench.flash()
    content = bytearray(bench.content)
    kept = {}
    for label in ("nvs", "phy_init", "ota_1", "vfs"):
        _, _, offset, size = images.partitions()[label]
        kept[label] = bytes(7 * k % 256 for k in range(size))
        content[offset : offset + size] = kept[label]
    choice = images.partitions()["otadata"][2]
    content[choice : choice + 4] = b"slot"
    (bench.folder / "flash").write_bytes(content)
    newer = whole(images.named("esp32")) + b" newer"
    (images.BUILT / images.file_name(images.named("esp32"), VERSION)).write_bytes(newer)
    bench.flash(keep=True)
    for label, wanted in kept.items():
        offset = images.partitions()[label][2]
        assert bench.content[offset : offset + len(wanted)] == wanted, label
    assert bench.content[choice : choice + 4] == b"\xff" * 4
    at = images.partitions()["ota_0"][2]
    assert bench.content[at:].startswith(b"\xe9esp32 newer")


def test_files_that_lie_elsewhere_cannot_be_kept(bench):
    before = bench.content
    with pytest.raises(DeviceError, match="Nothing was changed"):
        bench.flash(keep=True)
    assert bench.content == before
    assert bench.verbs[-1] == ("run", "hard-reset")


@pytest.mark.parametrize(
    "kind, psram, name, found",
    [
        (PLAIN, "", None, "esp32"),
        (PLAIN, "", "esp32-psram", "esp32-psram"),
        (PLAIN, "Embedded PSRAM", None, "esp32-psram"),
        (S3, "", None, "esp32s3"),
        (S3, "Embedded PSRAM 2MB (AP_3v3)", None, "esp32s3"),
        (S3, "Embedded PSRAM 8MB (AP_3v3)", None, "esp32s3-octal"),
        (S3, "Embedded PSRAM 16MB (AP_1v8)", None, "esp32s3-octal"),
        (PLAIN, "", "esp32s3", "not for this ESP32-D0WD-V3 .*: IMAGE=esp32"),
        (S3, "Embedded PSRAM 8MB (AP_3v3)", "esp32s3", "IMAGE=esp32s3-octal"),
        (S3, "", "esp32s3-octal", "IMAGE=esp32s3"),
        (S3, "", "esp32", "IMAGE=esp32s3"),
        (PLAIN, "Embedded PSRAM", "esp32", "leave its PSRAM unused: IMAGE=esp32-psram"),
        (C3, "", None, "There are images for ESP32 and ESP32-S3"),
        (PLAIN | {"flash": "2MB"}, "", None, "2 MB, 4 are needed"),
        (PLAIN | {"flash": "Unknown"}, "", None, "does not tell what this is"),
    ],
)
def test_the_image_is_the_one_for_the_board_or_none(bench, kind, psram, name, found):
    bench.plug(kind, psram)
    before = bench.content
    if found in [image.name for image in images.IMAGES]:
        bench.flash(name)
        image = images.named(found)
        assert bench.content[image.begin :].startswith(whole(image))
    else:
        with pytest.raises(DeviceError, match=found):
            bench.flash(name)
        assert bench.content == before
        assert {verb for verb, _ in bench.verbs} <= {"flash-id", "run"}


def test_what_the_board_will_be_able_to_do_is_said_in_words_of_the_firmware(bench, capsys):
    for kind, psram, name, with_psram in (
        (PLAIN, "", None, False),
        (PLAIN, "", "esp32-psram", True),
        (S3, "", None, False),
        (S3, "Embedded PSRAM 2MB (AP_3v3)", None, True),
    ):
        bench.plug(kind, psram)
        bench.flash(name)
        said = capsys.readouterr().out
        assert flash.ability(with_psram) in said and flash.ability(not with_psram) not in said


@pytest.fixture
def released(bench, tmp_path):
    """The address of a release with these images, and its folder."""
    folder = tmp_path / "site" / "download" / f"v{VERSION}"
    folder.mkdir(parents=True)
    make.describe(images.BUILT, VERSION)
    for path in images.BUILT.iterdir():
        path.rename(folder / path.name)
    handler = functools.partial(
        http.server.SimpleHTTPRequestHandler, directory=str(tmp_path / "site")
    )
    handler.log_message = lambda *_: None
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", folder
    server.shutdown()


def test_a_released_image_is_fetched_checked_and_kept(bench, released):
    address, folder = released
    bench.flash(releases=address)
    image = images.named("esp32")
    assert bench.content[image.begin :].startswith(whole(image))
    assert (images.BUILT / images.file_name(image, VERSION)).read_bytes() == whole(image)


def test_a_damaged_or_missing_release_changes_nothing(bench, released):
    address, folder = released
    before = bench.content
    path = folder / images.file_name(images.named("esp32"), VERSION)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(fetch.FetchFault, match="arrived damaged"):
        bench.flash(releases=address)
    path.unlink()
    with pytest.raises(fetch.FetchFault, match=r"404.*make image"):
        bench.flash(releases=address)
    (folder / images.LISTING).write_text('{"images": []}')
    with pytest.raises(fetch.FetchFault, match="has no image esp32"):
        bench.flash(releases=address)
    assert bench.content == before and not list(images.BUILT.iterdir())


def test_the_releases_are_those_of_the_repository(tmp_path, monkeypatch):
    monkeypatch.setattr(build, "ROOT", tmp_path)
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    with pytest.raises(fetch.FetchFault, match="no clone of .* on GitHub: say RELEASES="):
        fetch.releases()
    subprocess.run(["git", "-C", tmp_path, "remote", "add", "origin", "x"], check=True)
    for origin in ("https://github.com/crew/rig.git", "git@github.com:crew/rig.git"):
        command = ["git", "-C", tmp_path, "remote", "set-url", "origin", origin]
        subprocess.run(command, check=True)
        assert fetch.releases() == "https://github.com/crew/rig/releases"


def test_a_board_that_does_not_answer_is_told(bench):
    (bench.folder / "board").write_text("{}")
    with pytest.raises(DeviceError, match="Hold BOOT, press RESET"):
        bench.flash()


def test_a_rig_that_runs_opens_its_switches_first(tmp_path, monkeypatch):
    monkeypatch.setattr(flash, "ASK_S", 0.2)
    assert not flash.open_switches(str(tmp_path / "ttyUSB9"))
    controller = Controller(tmp_path)
    controller.start_with("maintenance")
    monkeypatch.setattr(flash, "ASK_S", 10)
    with controller:
        assert flash.open_switches(controller.port)
