# SPDX-License-Identifier: GPL-3.0-only
"""make build: everything that the ESP32 needs is there, and nothing else."""

import gzip
import hashlib
import json
import subprocess

import pytest

from device import build, sizes

ROOT = build.ROOT


@pytest.fixture(scope="module")
def device(tmp_path_factory):
    """What goes onto an ESP32."""
    folder = tmp_path_factory.mktemp("esp32")
    build.build(folder)
    return folder


def names(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_every_module_is_there_compiled_and_nothing_as_source(device):
    found = names(device)
    for path in (ROOT / "lib").rglob("*.py"):
        name = path.relative_to(ROOT / "lib").with_suffix(".mpy").as_posix()
        assert "app/" + name in found, name
    assert {"app/words_en.mpy", "app/words_fr.mpy"} <= found
    assert {"app/microdot/microdot.mpy", "app/sdcard.mpy"} <= found
    assert {name for name in found if name.endswith(".py")} == {"boot.py", "main.py"}
    assert not [name for name in found if "umqtt" in name], "the image has it frozen"
    assert not [name for name in found if name.endswith(".md")], "documents stay here"


def test_modules_are_in_the_format_of_the_device_and_name_no_path_of_the_host(device):
    for path in device.rglob("*.mpy"):
        content = path.read_bytes()
        assert content[:2] == b"M\x06", path
        assert str(ROOT).encode() not in content, path
        assert b"build/mpy-lib" not in content, path
    assert b"parallelator/app.py" in (device / "app/parallelator/app.mpy").read_bytes()


def test_viper_code_is_for_the_processor_of_the_esp32(device, built):
    name = "app/parallelator/hardware/sdcard.mpy"
    architecture = {folder: (folder / name).read_bytes()[2] >> 2 for folder in (device, built)}
    assert architecture == {device: 10, built: 2}, "10 is xtensawin, 2 is x64"


def test_page_and_messages(device):
    for path in (ROOT / "build/page").iterdir():
        assert gzip.decompress((device / "app/page" / path.name).read_bytes()), path.name
    for language in ("en", "fr"):
        name = f"parallelator/messages/{language}.json"
        source = json.loads((ROOT / "lib" / name).read_text())
        assert json.loads((device / "app" / name).read_text()) == source


def test_the_rig_says_the_same_with_and_without_modules_of_its_words(device):
    code = """
from parallelator.wording import Words
print([Words(language)._text for language in ("en", "fr")])
"""
    said = []
    for path in (ROOT / "lib", f"{build.WORDS}:{ROOT / 'lib'}"):
        environment = {"MICROPYPATH": f"{path}:.frozen"}
        command = [build.MICROPYTHON, "-c", code]
        said.append(subprocess.check_output(command, env=environment, text=True))
    assert said[0] == said[1]
    assert "Battery {n}: connected" in said[0] and "Batterie {n}" in said[0]


def test_manifest_names_every_file_as_it_is(device):
    listing = json.loads((device / build.MANIFEST).read_text())
    assert set(listing["files"]) == names(device) - {build.MANIFEST}
    for name, file in listing["files"].items():
        content = (device / name).read_bytes()
        assert file == {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    assert listing["mpy"] == 6
    assert f'"{listing["version"]}"' in (ROOT / "lib/parallelator/__init__.py").read_text()


def test_table_sums_up(device):
    listing = json.loads((device / build.MANIFEST).read_text())
    lines = sizes.table(listing, {"parallelator.app": 5000, "microdot": 16}).splitlines()
    files = listing["files"]
    total = sum(file["size"] for file in files.values())
    assert lines[-1].split() == ["all", str(total), "5016", "in", str(len(files)), "files"]
    size = files["app/parallelator/app.mpy"]["size"]
    assert ["app.mpy", str(size), "5000"] in [line.split() for line in lines]


def test_a_module_that_does_not_compile_ends_the_build(tmp_path):
    source = tmp_path / "broken.py"
    source.write_text("def f(:\n")
    with pytest.raises(SystemExit, match="broken.py"):
        build.compile_module("broken.py", source, tmp_path / "broken.mpy", "x64")
