# SPDX-License-Identifier: GPL-3.0-only
"""Power cuts while a version is brought onto a device: at every write to its flash.

The steps are those that tools/device/deploy.py lets agent.py do; boot.py chooses what boots.
"""

import os
import sys
from binascii import b2a_base64

from sim.flash import BLOCK, Flash
from support import ROOT
from test_boot import boot, world_with_closed_switches

sys.path.append(ROOT + "/tools/device")

BLOCKS = 64
MOUNT = "/cut"
OLD = {"parallelator/app.mpy": b"old" * 700, "page/index.html.gz": b"page" * 3000}
NEW = {"parallelator/app.mpy": b"new" * 900, "page/index.html.gz": b"page" * 3000, "new.mpy": b"n"}


class PowerCut(Exception):
    pass


class Image:
    """A file in memory."""

    def __init__(self, content):
        self.content = bytearray(content)
        self._at = 0

    def seek(self, at, whence=0):
        self._at = len(self.content) if whence else at
        return self._at

    def readinto(self, buf):
        buf[:] = self.content[self._at : self._at + len(buf)]

    def write(self, data):
        self.content[self._at : self._at + len(data)] = data


def go_off():
    raise PowerCut


def powered(image, work, cut=0):
    """Mount the image, do the work there until the power goes; returns the writes so far."""
    flash = Flash(image, cut, go_off)
    home = os.getcwd()
    os.mount(os.VfsLfs2(flash), MOUNT)
    os.chdir(MOUNT)
    try:
        work()
    except PowerCut:
        close_rest()
    finally:
        os.chdir(home)
        os.umount(MOUNT)
    return flash.writes


def close_rest():
    """A file that was being written: closed now, it writes nothing; later the collector would."""
    import agent

    try:
        agent._out.close()
    except (AttributeError, OSError):
        return


def write(path, content):
    import agent

    agent.begin(path)
    for at in range(0, len(content), 1024):
        agent.more(b2a_base64(content[at : at + 1024]))
    agent.end(path)


def write_whole(path, content):
    import agent

    write(path + ".new", content)
    agent.take(path)


def install(slot, files, version):
    """Everything that a first install does."""
    import agent

    for name in sorted(files):
        write(slot + "/" + name, files[name])
    for name in (slot + "/manifest.json", "boot.py", "main.py", "config.json"):
        write_whole(name, version)
    agent.switch(slot)


def upgrade():
    """An upgrade over the rest of another one: remove, copy, send, boot files, switch."""
    import agent

    agent.remove("app-b/manifest.json")
    agent.remove("app-b/rest/old.mpy")
    agent.copy("app-a/page/index.html.gz", "app-b/page/index.html.gz")
    for name in ("new.mpy", "parallelator/app.mpy"):
        write("app-b/" + name, NEW[name])
    for name in ("app-b/manifest.json", "boot.py", "main.py"):
        write_whole(name, b"2")
    agent.switch("app-b")


def silently(work):
    """The agent prints its answers: do the work without."""
    import agent

    agent.print = lambda *_: None
    return work


def read(path):
    with open(path, "rb") as file:
        return file.read()


def what_boots():
    """The folder that boot.py chooses, its version and files."""
    before = list(sys.path)
    world_with_closed_switches()
    try:
        boot()
        slot = sys.path[0] if sys.path != before else None
    finally:
        sys.path[:] = before
    if slot is None:
        return None, None, None
    version = read(slot + "/manifest.json")
    files = NEW if version == b"2" else OLD
    return slot, version, {name: read(slot + "/" + name) for name in files}


def fresh():
    image = Image(b"\xff" * BLOCK * BLOCKS)
    os.VfsLfs2.mkfs(Flash(image))
    return image


def test_an_upgrade_cut_at_every_write_boots_the_old_version_or_the_new_one():
    image = fresh()

    def first():
        install("app-a", OLD, b"1")
        write("app-b/rest/old.mpy", b"rest")
        write("app-b/manifest.json", b"0")

    powered(image, silently(first))
    start = bytes(image.content)
    whole = powered(Image(start), upgrade)
    assert whole > 40, whole
    seen = set()
    for cut in range(1, whole + 2):
        image = Image(start)
        powered(image, upgrade, cut)
        found = []

        def look(found=found):
            found.append(what_boots())
            found.append([read(name) for name in ("boot.py", "main.py", "config.json")])

        powered(image, look)
        slot, version, files = found[0]
        assert (slot, version, files) in (("app-a", b"1", OLD), ("app-b", b"2", NEW)), (cut, slot)
        assert all(content in (b"1", b"2") for content in found[1]), cut
        assert slot == "app-a" or found[1][:2] == [b"2", b"2"], cut
        seen.add(slot)
        # Doing it again from there ends well.
        powered(image, lambda slot=slot: again(slot))
        powered(image, lambda found=found: found.append(what_boots()))
        assert found[2] == ("app-b", b"2", NEW), cut
    assert seen == {"app-a", "app-b"}


def again(slot):
    import agent

    if slot == "app-a":
        for path in ("app-b/manifest.json", "app-b/rest/old.mpy"):
            try:
                os.stat(path)
            except OSError:
                write(path, b"rest")
        upgrade()
    else:
        agent.switch(slot)


def test_a_first_install_cut_at_every_write_boots_nothing_or_all_of_it():
    start = bytes(fresh().content)
    work = silently(lambda: install("app-a", OLD, b"1"))
    whole = powered(Image(start), work)
    for cut in range(1, whole + 1):
        image = Image(start)
        powered(image, work, cut)
        found = []
        powered(image, lambda found=found: found.append(what_boots()))
        assert found[0] in ((None, None, None), ("app-a", b"1", OLD)), cut
