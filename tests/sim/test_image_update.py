# SPDX-License-Identifier: GPL-3.0-only
"""Images over the air: taken, refused, cut at every write, on trial. The chip is the simulator's.

The partitions behave as ESP-IDF's do; what writes them is the rig's receiver and main.py.
"""

from bundles import bundle, made, made_image, upload
from device import esp_image
from parallelator.web.bundle_image import Image
from sim import current
from sim.partitions import BLOCK, LABELS, Partitions
from soak.image_cuts import NEW, OLD, Rig, campaign, image
from support import ROOT, moves


class PowerCut(Exception):
    pass


class World:
    """A controller and nothing around it; the power goes in the middle of write number `cut`."""

    def __init__(self):
        self.writes = 0
        self.cut = 0
        self.kinds = []
        self.partitions = Partitions("ESP32", esp_image.make(OLD, b"old" * 3000), self._spend)
        self.partitions.write(1, 0, bytes(3 * BLOCK))  # what was there before
        self.writes = 0
        self.kinds.clear()

    def _spend(self, kind):
        self.writes += 1
        self.kinds.append(kind)
        if self.writes == self.cut:
            raise PowerCut


def world():
    current.world = World()
    return current.world


def update(content):
    """Upload, choose, restart, confirm: all that writes a partition or chooses one."""
    from esp32 import Partition

    chip = current.world.partitions
    assert upload(content, image=Image).ready
    Partition(Partition.RUNNING).get_next_update().set_boot()
    chip.boot()
    assert chip.version == NEW
    Partition.mark_app_valid_cancel_rollback()
    chip.boot()


def test_an_image_comes_into_the_other_partition_and_nothing_switches_by_itself():
    for piece in (250, 511, 4096, 100000):
        chip = world().partitions
        receiver = upload(made_image(image()), piece=piece, image=Image)
        assert receiver.ready and receiver.target.slot == LABELS[1] and receiver.version == NEW
        assert chip.read(1, 0, len(image())) == image()
        chip.boot()
        assert (chip.running, chip.version) == (0, OLD)
    kinds = current.world.kinds
    assert kinds.count("erase") == -(-len(image()) // BLOCK)
    assert kinds.count("write") >= len(image()) // 512


def test_one_that_is_not_confirmed_gives_way_at_the_next_reset():
    from esp32 import Partition

    chip = world().partitions
    upload(made_image(image()), image=Image)
    Partition(LABELS[1]).set_boot()
    assert Partition(Partition.BOOT).info()[4] == LABELS[1]
    chip.boot()
    assert (chip.running, chip.version) == (1, NEW)
    assert Partition(Partition.RUNNING).info()[4] == LABELS[1]
    chip.boot()
    assert (chip.running, chip.version) == (0, OLD)
    # It may come again, and stay.
    update(made_image(image()))
    assert (chip.running, chip.version) == (1, NEW)
    # The next one goes the other way.
    update(made_image(esp_image.make(NEW, b"third")))
    assert chip.running == 0


def test_an_update_cut_at_every_write_leaves_one_that_boots():
    content = made_image(image())
    whole = world()
    update(content)
    assert whole.writes > 20, whole.writes
    versions = []
    for cut in range(1, whole.writes + 2):
        rig = world()
        rig.cut = cut
        try:
            update(content)
        except PowerCut:
            pass
        rig.partitions.boot()
        versions.append(rig.partitions.version)
        rig.partitions.boot()
        assert rig.partitions.version in (OLD, NEW)
        if rig.partitions.version == OLD:
            update(content)
        assert rig.partitions.version == NEW
    assert versions[0] == OLD and versions[-1] == NEW and set(versions) == {OLD, NEW}


def refusal(content, **how):
    """The code with which a bundle is refused."""
    rig = world()
    try:
        upload(content, image=Image, **how)
    except bundle.Refused as error:
        code = error.args[1]
    else:
        code = None
    rig.partitions.boot()
    assert rig.partitions.version == OLD
    return code, rig.writes


def test_bundles_that_are_not_for_this_rig_are_refused_before_anything_is_written():
    good = made_image(image())
    for content, code in (
        (made(), "update_files"),
        (made_image(image(), kind="toaster"), "update_files"),
        (made_image(image(), b"another key of thirty-two bytes!"), "update_foreign"),
        (made_image(image(), chip="ESP32-S3"), "update_controller"),
        (made_image(image(), chip=None), "update_controller"),
        (made_image(image(), version="0.0.9"), "update_old"),
        (made_image(image(), blocks=481), "update_large"),
        (made_image(image(), blocks=0), "update_format"),
        (made_image(image(), format=2), "update_format"),
        (good[:-1], "update_torn"),
        (good + b"x", "update_torn"),
        (made_image(image(), path="boot.py"), "update_torn"),
        (made_image(image(), files=2), "update_torn"),
    ):
        assert refusal(content) == (code, 0), code


def test_damage_on_the_way_or_in_the_flash_is_found():
    good = made_image(image())
    begin = good.index(b"\n") + 200
    for at in range(begin, len(good) - 32, 1497):
        bad = bytearray(good)
        bad[at] ^= 1
        assert refusal(bytes(bad))[0] == "update_torn", at
    for at in range(len(good) - 32, len(good), 8):
        bad = bytearray(good)
        bad[at] ^= 0x80
        assert refusal(bytes(bad))[0] == "update_seal", at
    assert refusal(made_image(image(), digest="0" * 64))[0] == "update_torn"

    steps = []

    def forgets(job):
        steps.append(job)
        return None if len(steps) == 5 else job()

    assert refusal(good, flash=forgets)[0] == "update_torn", "a write that did not take place"


def test_no_image_is_chosen_that_the_chip_would_not_start():
    from esp32 import Partition

    good = image()
    for bad in (b"no image" * 900, good[:-1] + b"x", esp_image.make(NEW, b"s3", 9)):
        chip = world().partitions
        assert upload(made_image(bad), image=Image).ready
        try:
            Partition(LABELS[1]).set_boot()
        except OSError as error:
            assert error.args == (-0x1503, "ESP_ERR_OTA_VALIDATE_FAILED")
        else:
            raise AssertionError("it was chosen")
        chip.boot()
        assert chip.version == OLD


def test_a_rig_with_an_image_updates_itself_under_load():
    rig = Rig(ROOT, made_image(image()))
    assert rig.faults(NEW) == []
    assert rig.started == [OLD, NEW] and rig.pointer == "ota_1"
    assert "updated" in rig.codes() and "reset_update" in rig.codes()
    closed = [at for at, closed in moves(rig.report, 1) if closed]
    assert len(closed) == 2, "once by each version"


def test_a_trip_while_an_image_is_written_waits_for_one_erased_block_at_most():
    for at in (12.29, 12.3, 12.45):
        steps = [
            {"at": at, "do": "inject_current", "n": 2, "ma": 40000},
            {"at": at + 0.5, "do": "inject_current", "n": 2, "ma": 0},
        ]
        content = esp_image.make(NEW, bytes(range(256)) * 200)
        rig = Rig(ROOT, made_image(content), steps=steps)
        assert rig.report["violations"] == [] and rig.settled == [OLD, NEW]
        begin, end = rig.report["reactions"][1][:2]
        writes = [span for span in rig.report["flash"] if begin - 50 < span[0] < end]
        assert begin == 1000 * at and end - begin < 80, (begin, end)
        waits = sum(min(stop, end) - max(start, begin) for start, stop in writes if stop > begin)
        assert waits <= 50, writes


def test_the_power_goes_in_each_kind_of_write():
    table, wrong = campaign(ROOT, made_image(image()), lambda number, operation: number == 2)
    assert wrong == []
    assert all(row[1] == 1 for row in table.values()), table


def returned(rig, code, allowed=()):
    """OLD runs again, for good, and says why."""
    assert rig.faults(OLD, allowed) == []
    assert rig.started[-1] == OLD and NEW not in rig.settled
    assert code in rig.codes(), rig.codes()
    return rig


def test_a_version_that_crashes_gives_way():
    def harm(App, Guard):
        def broken(app, *_):
            raise MemoryError("no room for it")

        App.__init__ = broken

    rig = returned(Rig(ROOT, made_image(image()), harm=harm), "update_failed")
    assert rig.started == [OLD, OLD]


def test_one_that_ends_before_any_of_its_code_gives_way():
    def harm(App, Guard):
        current.world.reset_controller(4)

    returned(Rig(ROOT, made_image(image()), harm=harm), "update_hung")


def test_one_during_whose_trial_the_power_goes_gives_way():
    def harm(App, Guard):
        async def waits(app, settled):
            import asyncio

            await asyncio.sleep_ms(500)
            current.world.script.play(current.world.now_us, {"do": "power_cycle"})

        App._settle = waits

    returned(Rig(ROOT, made_image(image()), harm=harm), "update_cut")


def test_an_image_that_the_chip_refuses_is_told():
    rig = Rig(ROOT, made_image(b"no image" * 900))
    assert rig.faults(OLD) == []
    assert "update_failed" in rig.codes() and rig.started == [OLD, OLD]
