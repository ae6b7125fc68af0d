# SPDX-License-Identifier: GPL-3.0-only
"""Bundles over the air onto a LittleFS image: taken, refused, and cut at every write of the flash.

The receiver is the rig's, the pointer is moved by main.py's own functions, boot.py chooses.
"""

import os
import sys

from bundles import (
    KEY,
    MANIFEST,
    NEW,
    auth,
    bundle,
    bundle_files,
    made,
    made_image,
    run,
    sealed,
    starter,
    upload,
)
from sim.flash import BLOCK, Flash
from test_boot import boot, world_with_closed_switches
from test_deploy_cuts import Image, powered, read

BLOCKS = 64
OLDER = {"parallelator/older.mpy": b"older" * 100, MANIFEST: b"0"}
OLD = {"parallelator/app.mpy": b"old" * 700, "page/app.js.gz": b"page" * 3000, MANIFEST: b"1"}


def put(slot, files):
    """Write the files of a version."""
    for name in sorted(files):
        path = slot + "/" + name
        parts = path.split("/")
        for k in range(1, len(parts)):
            try:
                os.mkdir("/".join(parts[:k]))
            except OSError:
                continue
        with open(path, "wb") as file:
            file.write(files[name])


def rig(blocks=BLOCKS):
    """The flash of a rig that runs from app-a; in app-b is what it ran before."""
    image = Image(b"\xff" * BLOCK * blocks)
    os.VfsLfs2.mkfs(Flash(image))

    def install():
        put("app-a", OLD)
        put("app-b", OLDER)
        starter()["point"]("app-a")

    powered(image, install)
    return image


def booted():
    """The slot that boots and what is in it, with the pointer as main.py reads it."""
    before = list(sys.path)
    world_with_closed_switches()
    try:
        boot()
        slot = sys.path[0]
        pointer = starter()["pointer"]()
    finally:
        sys.path[:] = before
    return slot, contents(slot), pointer


def contents(folder, prefix=""):
    found = {}
    for entry in os.ilistdir(folder):
        path = folder + "/" + entry[0]
        if entry[1] == 0x4000:
            found.update(contents(path, prefix + entry[0] + "/"))
        else:
            found[prefix + entry[0]] = read(path)
    return found


def seen(image):
    """As `booted`; a slot with a manifest must be whole, whichever boots."""
    found = []

    def look():
        found.append(booted())
        found.append(contents("app-b"))

    powered(image, look)
    assert found[1] in (OLDER, NEW) or MANIFEST not in found[1], found[1]
    return found[0]


def update():
    """All that an update writes, to the end of its trial."""
    upload(made())
    main = starter()
    assert main["point"]("app-b", "app-a")
    main["point"]("app-b", "app-a", 1)
    main["point"]("app-b")


def test_a_bundle_in_pieces_of_any_size_becomes_the_version_that_boots():
    image = rig()
    start = bytes(image.content)
    for piece in (250, 511, 513, 4096, 100000):
        image = Image(start)
        powered(image, lambda piece=piece: upload(made(), piece=piece))
        assert seen(image) == ("app-a", OLD, ("app-a", "", 0)), "nothing switches by itself"
        powered(image, lambda: starter()["point"]("app-b", "app-a"))
        assert seen(image) == ("app-b", NEW, ("app-b", "app-a", 0)), piece


def test_an_update_cut_at_every_write_boots_the_old_version_or_the_new_one():
    start = bytes(rig().content)
    whole = powered(Image(start), update)
    assert whole > 60, whole
    pointers = set()
    for cut in range(1, whole + 2):
        image = Image(start)
        powered(image, update, cut)
        slot, files, pointer = seen(image)
        assert (slot, files) in (("app-a", OLD), ("app-b", NEW)), (cut, slot)
        pointers.add(pointer)
        # Doing it again from there ends well.
        if slot == "app-a":
            powered(image, update)
            assert seen(image) == ("app-b", NEW, ("app-b", "", 0)), cut
    assert ("app-a", "", 0) in pointers and len(pointers) > 1, pointers


def test_the_steps_of_a_trial_cut_at_every_write_boot_one_of_the_two():
    image = rig()
    powered(image, lambda: upload(made()))
    uploaded = bytes(image.content)
    steps = (("app-b", "app-a"), ("app-b", "app-a", 1), ("app-b", "app-a", 2), ("app-a",))

    def walk():
        for step in steps:
            starter()["point"](*step)

    whole = powered(Image(uploaded), walk)
    pointers = []
    for cut in range(1, whole + 2):
        image = Image(uploaded)
        powered(image, walk, cut)
        slot, files, pointer = seen(image)
        assert files == (OLD if slot == "app-a" else NEW), cut
        if pointer not in pointers:
            pointers.append(pointer)
    assert pointers == [("app-a", "", 0)] + [("app-b", "app-a", k) for k in range(3)], pointers


def refusal(content, image=None, **how):
    """The code with which a bundle is refused; the version that runs stays what boots."""
    image = image or rig()
    found = []

    def work():
        try:
            upload(content, **how)
        except bundle.Refused as error:
            found.append(error.args[1])
        found.append(contents("app-b"))

    powered(image, work)
    slot, files, pointer = seen(image)
    assert (slot, files, pointer) == ("app-a", OLD, ("app-a", "", 0))
    code, rest = found if len(found) == 2 else (None, found[0])
    assert code is None or MANIFEST not in rest or rest[MANIFEST] == b"0"
    return code, rest


def test_bundles_that_are_not_for_this_rig_are_refused_before_anything_is_lost():
    good = made()
    for content, code in (
        (b"PK\x03\x04" + bytes(3000), "update_format"),
        (b"[1]\n" + bytes(300), "update_format"),
        (b"{" + b"x" * 3000, "update_format"),
        (made(product="toaster"), "update_format"),
        (made(format=2), "update_format"),
        (made(kind=None), "update_image"),
        (made_image(b"image" * 700), "update_image"),
        (made(version="new"), "update_format"),
        (made(version="1.2"), "update_format"),
        (made(size=None), "update_format"),
        (made(files="3"), "update_format"),
        (made(key=b"another key of thirty-two bytes!"), "update_foreign"),
        (made(mpy=[6, 9]), "update_controller"),
        (made(mpy=[5, good[0]]), "update_controller"),
        (made(micropython="1.99.0"), "update_controller"),
        (made(boot=2), "update_boot"),
        (made(version="0.0.9"), "update_old"),
        (made(blocks=BLOCKS), "update_full"),
        (good[:-1], "update_torn"),
        (good[: len(good) // 2], "update_torn"),
        (good + b"x", "update_torn"),
    ):
        assert refusal(content) == (code, OLDER), code


def test_a_bundle_of_the_same_version_is_taken():
    from parallelator import VERSION

    image = rig()
    powered(image, lambda: upload(made(version=VERSION)))
    powered(image, lambda: starter()["point"]("app-b", "app-a"))
    assert seen(image)[:2] == ("app-b", NEW)


def test_damage_anywhere_is_found():
    good = made()
    begin = good.index(b"\n") + 1
    start = bytes(rig().content)
    codes = set()
    for at in range(begin, len(good), 197):
        bad = bytearray(good)
        bad[at] ^= 1
        code, _ = refusal(bytes(bad), Image(start))
        assert code in ("update_torn", "update_format", "update_seal"), (at, code)
        codes.add(code)
    for at in range(len(good) - 32, len(good), 8):
        bad = bytearray(good)
        bad[at] ^= 0x80
        assert refusal(bytes(bad), Image(start))[0] == "update_seal", at
    assert len(codes) > 1, codes


def test_one_who_has_no_key_cannot_pass_for_one_who_has():
    forged = made(key=b"another key of thirty-two bytes!", **{"key_": 0})
    line = forged.index(b"\n")
    header = forged[:line].replace(
        bundle.fingerprint(b"another key of thirty-two bytes!").encode(),
        bundle.fingerprint(KEY).encode(),
    )
    content = header + forged[line:-32]
    assert refusal(sealed(content, b"another key of thirty-two bytes!"))[0] == "update_seal"
    assert refusal(sealed(content, KEY))[0] is None, "with the key it would have been taken"


def test_no_path_leaves_the_slot():
    for path in (
        "../boot.py",
        "/boot.py",
        "parallelator/../../main.py",
        "parallelator//x",
        "./x",
        "x/",
        "",
        ".hidden",
        "a\\b",
        "é.py",
        "x" * 97,
        7,
        None,
    ):

        def entries(listed, path=path):
            return [(path, b"bad", "0")] + listed

        image = rig()
        before = sorted(os_list(image))
        assert refusal(made(entries=entries), image)[0] == "update_torn", path
        assert sorted(os_list(image)) == before


def os_list(image):
    found = []
    powered(image, lambda: found.extend(os.listdir()))
    return found


def test_files_that_are_not_as_said_are_refused():
    def manifest_first(listed):
        return listed[-1:] + listed[:-1]

    def without_manifest(listed):
        return listed[:-1]

    def another_digest(listed):
        return [(path, content, "0" * 64) for path, content, _ in listed]

    def empty(listed):
        return [("empty.py", b"", "0")] + listed

    for change in (manifest_first, without_manifest, another_digest, empty):
        assert refusal(made(entries=change))[0] == "update_torn", change


def test_every_write_of_an_update_is_timed():
    image = rig()
    timed = []

    def flash(job):
        timed.append(job)
        return job()

    powered(image, lambda: upload(made(), flash=flash))
    assert len(timed) >= 3 * len(NEW), "open, write and close of each file"


def test_nothing_is_written_while_a_trip_is_pending_and_it_goes_on_after():
    image = rig()
    good = made()
    presses = [False]

    def strained():
        return presses[0]

    def work():
        target = bundle_files.Files("app-b", lambda job: job())
        receiver = bundle.Receiver(target, KEY, auth.pads(KEY), strained)
        run(receiver.offer(good[:1000], len(good)))
        run(receiver.fill(good[:1000]))
        presses[0] = True
        try:
            run(receiver.take(good[1000:2000]))
        except bundle.Busy:
            assert receiver.received == 1000
        else:
            raise AssertionError("it wrote")
        presses[0] = False
        run(receiver.take(good[1000:]))
        assert receiver.ready

    powered(image, work)
    powered(image, lambda: starter()["point"]("app-b", "app-a"))
    assert seen(image)[:2] == ("app-b", NEW)
