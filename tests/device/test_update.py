# SPDX-License-Identifier: GPL-3.0-only
"""make bundle and make update: from a build on this host to a rig that runs it, or returns."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

import pytest
from playwright.sync_api import expect, sync_playwright

from browser import launch
from controllers import MICROPYTHON, ROOT, Controller
from device import build, bundle, deploy, key, simulated, update
from device.update import Refusal, UpdateFault
from test_deploy import booted, crashing, on, quiet, reseal, wanted_of

KEY = b"a5" * 32 + b"\n"
PASSWORD = "Stage-77"
TOOLS = ROOT / "tools/device"
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT / "tools"), "PASSWORD": PASSWORD}
SCENARIO = {
    "name": "update",
    "batteries": [{"n": n} for n in (1, 2, 3, 4)],
    "settings": {"web": {"password": PASSWORD}, "name": "stage left"},
    "load": [[0, 8]],
}


@pytest.fixture(scope="module")
def flashed(built, tmp_path_factory):
    """A device onto which the build and a key were deployed, not powered."""
    folder = tmp_path_factory.mktemp("flashed")
    with Controller(folder) as controller:
        deploy.deploy(controller.port, built, quiet, KEY)
    return folder / "flash.img"


@pytest.fixture(scope="module")
def newer(built, tmp_path_factory):
    """Version 0.2.0: other numbers, and a module more."""
    base = tmp_path_factory.mktemp("newer")
    folder = base / "build"
    shutil.copytree(built, folder)
    source = base / "version.py"
    source.write_text('"""Newer."""\n\nVERSION = "0.2.0"\nBOOT = 1\n')
    name = "parallelator/__init__"
    build.compile_module(f"{name}.py", source, folder / f"app/{name}.mpy", "x64")
    (folder / "app/parallelator/more.mpy").write_bytes(b"M\x06\0\0more")
    reseal(folder)
    return folder


class Running:
    """The rig on a flash image, or a folder, in real time, while the context lasts; `host`: its
    address."""

    def __init__(self, image, folder, kind="--image"):
        self._image = kind, image
        self._folder = folder
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        self._port = port
        self.host = f"127.0.0.1:{port}"

    def __enter__(self):
        scenario = self._folder / "scenario.json"
        scenario.write_text(json.dumps(SCENARIO))
        command = [MICROPYTHON, "-X", "heapsize=64m", ROOT / "tools/sim/run.py", "--clock", "real"]
        command += [*self._image, "--port", str(self._port), "--scenario", scenario]
        command += ["--sd", self._folder / "sd.img", "--speed", "2"]
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        self.until(lambda state: state["bus"]["connected"] == 4)
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()

    def state(self):
        with urllib.request.urlopen(f"http://{self.host}/api/state", timeout=10) as answer:
            return json.load(answer)

    def until(self, true, seconds=60):
        """Wait until `true(state)`; returns that state."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                state = self.state()
                if true(state):
                    return state
            except OSError:
                state = None
            assert time.monotonic() < deadline, (state, (self._folder / "log").read_text()[-2000:])
            time.sleep(0.1)


@pytest.fixture
def running(flashed, tmp_path):
    image = tmp_path / "flash.img"
    shutil.copy(flashed, image)
    with Running(image, tmp_path) as rig:
        rig.image = image
        yield rig


def refusals_reach_the_person_at_the_keyboard(running, newer, tmp_path):
    path = tmp_path / "other.bundle"
    path.write_bytes(bundle.bundle(newer, b"b6" * 32 + b"\n"))
    for arguments, password, words in (
        ([running.host, path, "--confirm"], PASSWORD, "was made with another key"),
        ([running.host, path], PASSWORD, "carry"),
        ([running.host, path], "wrong", "not the password"),
        ([running.host, tmp_path / "none"], PASSWORD, "No such file"),
        (["127.0.0.1:9", path], PASSWORD, "refused"),
    ):
        command = [sys.executable, TOOLS / "update.py", *arguments]
        said = subprocess.run(
            command, capture_output=True, text=True, env=ENVIRONMENT | {"PASSWORD": password}
        )
        assert said.returncode == 1 and words in said.stderr, said
        assert "Traceback" not in said.stderr
        assert ("CONFIRM=1" in said.stderr) == (words == "carry")
    assert running.state()["version"] == "0.1.0"


def test_a_rig_under_load_is_updated_when_that_is_confirmed(running, newer, built, tmp_path):
    refusals_reach_the_person_at_the_keyboard(running, newer, tmp_path)
    content = bundle.bundle(newer, KEY)
    said = []

    def say(text, end="\n"):
        said.append(text)

    with pytest.raises(Refusal, match=r"carry \d.\d A. Confirm"):
        update.update(running.host, content, PASSWORD, False, say)
    event = update.update(running.host, content, PASSWORD, True, say)
    assert event["text"] == "Update finished: version 0.2.0 is in use"
    assert said[0] == "stage left runs Parallelator 0.1.0" and "100 %" in said[-2]
    state = running.until(lambda state: state["bus"]["connected"] == 4)
    assert (state["version"], state["name"]) == ("0.2.0", "stage left")
    assert booted(running.image) == ("app-b", wanted_of(newer))
    # By cable there is nothing left to bring: the same slots, the same manifest.
    chosen, files = on(running.image)
    listing, wanted = deploy.contents(newer)
    assert deploy.plan(wanted, files, chosen, 4096).empty
    # Back to the version before, over the air, is refused.
    with pytest.raises(Refusal, match="Version 0.1.0 is older than 0.2.0"):
        update.update(running.host, bundle.bundle(built, KEY), PASSWORD, True, say)


def test_a_rig_that_got_a_version_that_fails_says_so_and_runs_the_one_before(
    running, built, tmp_path
):
    path = tmp_path / "broken.bundle"
    path.write_bytes(bundle.bundle(crashing(built, tmp_path), KEY))
    command = [sys.executable, TOOLS / "update.py", running.host, path, "--confirm"]
    said = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, timeout=120)
    assert said.returncode == 1, said
    assert "The new version failed, the one before it runs again: " in said.stdout, said
    assert "ValueError: broken version" in said.stdout
    state = running.until(lambda state: state["bus"]["connected"] == 4)
    assert state["version"] == "0.1.0"
    assert booted(running.image) == ("app-a", wanted_of(built))


@pytest.fixture
def page(running):
    """The rig's page on a phone, in French."""
    with sync_playwright() as playwright:
        browser = launch(playwright)
        context = browser.new_context(viewport={"width": 360, "height": 740})
        context.add_init_script("localStorage.setItem('language', 'fr')")
        page = context.new_page()
        faults = []
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(f"http://{running.host}/#system")
        yield page
        browser.close()
    assert faults == []


def test_the_page_refuses_a_foreign_bundle_and_takes_a_good_one(running, page, newer, tmp_path):
    good, foreign = tmp_path / "parallelator-0.2.0.bundle", tmp_path / "foreign.bundle"
    good.write_bytes(bundle.bundle(newer, KEY))
    foreign.write_bytes(bundle.bundle(newer, b"b6" * 32 + b"\n"))
    line = page.locator("#update-text")

    def press(name):
        expect(page.locator(name)).to_be_visible(timeout=20000)
        page.locator(name).focus()
        page.keyboard.press("Enter")

    def picture(name):
        folder = ROOT / "build/screenshots"
        folder.mkdir(exist_ok=True)
        page.screenshot(path=folder / f"update-{name}.png")

    expect(page.locator("#update")).to_be_visible()
    press("#upload")
    expect(line).to_have_text("Choisissez d’abord un fichier.")
    page.locator("#bundle").set_input_files(foreign)
    press("#upload")
    page.locator("#password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.locator("#ask-text")).to_contain_text("Les batteries débitent", timeout=20000)
    press("#ask-yes")
    expect(line).to_contain_text("fait avec une autre clé", timeout=20000)
    expect(page.locator("#switch")).to_be_hidden()
    line.scroll_into_view_if_needed()
    picture("refused")
    page.locator("#bundle").set_input_files(good)
    press("#upload")
    press("#ask-yes")
    expect(page.locator("#update-bar")).to_be_visible()
    expect(page.locator("#ask-text")).to_contain_text("Passer à la version 0.2.0", timeout=60000)
    picture("ask")
    # Not now: the rig keeps what was uploaded, and the page a key for it.
    page.keyboard.press("Escape")
    expect(line).to_contain_text("0.2.0 est envoyée et vérifiée")
    assert running.state()["version"] == "0.1.0"
    page.reload()
    press("#switch")
    press("#ask-yes")
    expect(line).to_contain_text("à l’essai")
    expect(line).to_have_text(
        "Mise à jour terminée\u00a0: la version 0.2.0 est en service", timeout=90000
    )
    picture("done")
    assert running.state()["version"] == "0.2.0"


def test_a_rig_of_the_simulator_is_updated_as_one_of_hardware(newer, built, tmp_path):
    flash = tmp_path / "updated"
    flash.mkdir()
    assert simulated.install(flash, built, KEY)
    with Running(flash, tmp_path, "--flash") as rig:
        assert rig.state()["version"] == "0.1.0"
        event = update.update(
            rig.host, bundle.bundle(newer, KEY), PASSWORD, True, lambda *_, **__: 0
        )
        assert event["text"] == "Update finished: version 0.2.0 is in use"
        rig.until(lambda state: state["version"] == "0.2.0")
    assert (flash / "app").read_text() == "app-b"
    assert not simulated.install(flash, built, KEY), "it goes on with what it was updated to"


def test_a_rig_that_runs_an_image_is_updated_by_the_same_tool(
    newer, tmp_path, monkeypatch, capsys
):
    flash = tmp_path / "frozen"
    flash.mkdir()
    (flash / "app").write_text("ota_1")  # of a run before, which ended with its slots
    place, made = tmp_path / "crew.key", tmp_path / "made.bundle"
    place.write_bytes(KEY)
    monkeypatch.setattr(simulated, "BUNDLE", made)

    def simulate(*arguments):
        monkeypatch.setattr(
            sys, "argv", ["simulated.py", *map(str, arguments), "--key", str(place)]
        )
        return simulated.main()

    assert simulate("install", flash, "--image", "esp32") == 0
    assert not (flash / "app").exists()
    assert simulate("bundle", "--image", "esp32", "--version", "0.2.0") == 0
    assert "version 0.2.0, an image" in capsys.readouterr().out
    with Running(flash, tmp_path, "--flash") as rig:
        assert rig.state()["version"] == build.version()
        with pytest.raises(Refusal, match="runs an image"):
            update.update(
                rig.host, bundle.bundle(newer, KEY), PASSWORD, True, lambda *_, **__: None
            )
        event = update.update(rig.host, made.read_bytes(), PASSWORD, True, lambda *_, **__: None)
        assert event["text"] == "Update finished: version 0.2.0 is in use"
        rig.until(lambda state: state["version"] == "0.2.0")
    assert (flash / "app").read_text() == "ota_1"
    assert simulate("install", flash, "--image", "esp32s3") == 1
    assert "IMAGE=esp32" in capsys.readouterr().err


def test_an_upload_goes_on_after_a_broken_connection(monkeypatch):
    content = bytes(range(256)) * 60
    got = bytearray()
    asked, bodies = [], []

    def ask(rig, method, path, body=None):
        asked.append(path)
        if len(asked) % 3 == 0:
            raise OSError("cut")
        if method == "PUT":
            bodies.append(body)
            if f"offset={len(got)}&size={len(content)}" not in path:
                raise Refusal({"code": "update_offset", "message": "not that"})
            got.extend(body)
            if len(asked) % 5 == 0:
                raise OSError("taken, but the answer is lost")
        return {"received": len(got)}

    monkeypatch.setattr(update.Rig, "ask", ask)
    monkeypatch.setattr(update, "PAUSE_S", 0)
    update.Rig("nowhere").upload(content, False, lambda count: None)
    assert got == content and len(asked) > 10
    pieces = [len(body) for body in bodies]
    assert pieces[0] == update.PIECE and set(pieces[3:-1]) == {update.LESS}
    monkeypatch.setattr(update.Rig, "ask", lambda *_: (_ for _ in ()).throw(OSError("gone")))
    with pytest.raises(UpdateFault, match="does not answer: gone"):
        update.Rig("nowhere").upload(content, False, lambda count: None)


def test_deploy_brings_the_key_and_backup_leaves_it(flashed, built, tmp_path):
    assert on(flashed)[1]["update.key"][0] == len(KEY)
    for name in ("flash.img", "storage.json"):
        shutil.copy(flashed.with_name(name), tmp_path)
    lines = []
    controller = Controller(tmp_path)
    controller.start_with("maintenance")
    with controller:
        deploy.deploy(controller.port, built, lines.append, KEY)
        assert "Nothing has changed." in lines
        other = b"c7" * 32 + b"\n"
        controller.start_with("maintenance")
        deploy.deploy(controller.port, built, lines.append, other)
        assert f"takes bundles made with key {key.fingerprint(other)}" in "".join(lines)
        assert "Nothing has changed." not in lines[-3:]
    from device import backup

    assert not backup.belongs_to_the_rig("update.key")


def test_the_bundle_tool(built, tmp_path):
    place = tmp_path / "crew.key"
    place.write_bytes(KEY)
    into = tmp_path / "made.bundle"
    command = [sys.executable, TOOLS / "bundle.py", "--build", built, "--into", into]
    said = subprocess.run(
        [*command, "--key", str(place)], capture_output=True, text=True, env=ENVIRONMENT
    )
    assert said.returncode == 0, said
    assert said.stdout == f"made.bundle: {into.stat().st_size} bytes, key {key.fingerprint(KEY)}\n"
    assert into.read_bytes() == bundle.bundle(built, KEY)
    header = json.loads(into.read_bytes().partition(b"\n")[0])
    listing = json.loads((built / build.MANIFEST).read_text())
    assert header["version"] == build.version()
    names = [name for name in listing["files"] if name.startswith("app/")]
    assert header["files"] == len(names) + 1
    for name in ("missing", "bad"):
        if name == "bad":
            (tmp_path / name).write_text("secret")
        said = subprocess.run(
            [*command, "--key", tmp_path / name], capture_output=True, text=True, env=ENVIRONMENT
        )
        assert said.returncode == 1 and "Traceback" not in said.stderr, said
        assert str(tmp_path / name) in said.stderr


def test_the_first_key_is_made_for_its_owner_alone(tmp_path, monkeypatch, capsys):
    place = tmp_path / ".update-key"
    monkeypatch.setattr(key, "DEFAULT", place)
    text = key.load()
    assert place.stat().st_mode & 0o777 == 0o600
    assert key.load() == text and len(key.secret(text)) == 32
    assert capsys.readouterr().out.count("Keep it, and keep it secret.") == 1
    assert "/.update-key" in (ROOT / ".gitignore").read_text().splitlines()
