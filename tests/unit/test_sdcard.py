# SPDX-License-Identifier: GPL-3.0-only
"""Tests the SD card driver of the firmware against the simulated card, down to the wire."""

import errno
import os

import micropython

from parallelator.clock import Clock
from parallelator.hardware.sdcard import SpiCard, crc7, crc16
from sim import current
from sim.chips.sdcard import SdCard
from sim.chips.sdimage import Image
from sim.costs import Costs
from sim.standins.machine import SPI, Pin

SDHC_SECTORS = 8192
SDSC_SECTORS = 4096


class Wires:
    def pull(self, pin, level):
        pass


class Time:
    """The clock of the bench, as the modules `time` and `sim.world` show it."""

    def __init__(self):
        self.now_us = 0
        self.costs = Costs()
        self.controller = "plain"
        self.wires = Wires()
        self.card = None
        self.on_spend = None

    def spend(self, us):
        self.now_us += us
        if self.on_spend:
            self.on_spend()

    sleep_us = compute = spend

    def ticks_ms(self):
        return self.now_us // 1000

    def ticks_us(self):
        return self.now_us

    def ticks_diff(self, end, start):
        return end - start

    def ticks_add(self, ticks, delta):
        return ticks + delta


class Bench:
    """A card in its slot, the controller's SPI, and how long `idle` was not called."""

    def __init__(self, sectors=SDHC_SECTORS, image=None, **kind):
        self.time = current.world = Time()
        self.image = image or Image(sectors)
        self.card = self.time.card = SdCard(self.image, **kind)
        self.idles = 0
        self.gap_us = 0
        self.idle_us = 0

    def idle(self):
        self.idles += 1
        self.gap_us = max(self.gap_us, self.time.now_us - self.idle_us)
        self.idle_us = self.time.now_us

    def start(self):
        spi = SPI(2, sck=Pin(18), mosi=Pin(23), miso=Pin(19))
        return SpiCard(spi, Pin(5), 5000000, Clock(self.time), self.idle)


def block(number):
    return bytes((number + k) & 0xFF for k in range(512))


def failure(function, *args):
    """The OSError that a call must end in."""
    try:
        function(*args)
    except OSError as error:
        return error
    raise AssertionError("no OSError")


def read(driver, number, count=1):
    buf = bytearray(512 * count)
    driver.readblocks(number, buf)
    return bytes(buf)


# Checksums: the examples of the specification, section 4.5.


def test_checksums_are_those_of_the_specification():
    assert crc7(b"\x40\x00\x00\x00\x00", 5) == 0x4A
    assert crc7(b"\x51\x00\x00\x00\x00", 5) == 0x2A
    assert crc7(b"\x11\x00\x00\x09\x00", 5) == 0x33
    assert crc16(b"\xff" * 512, 512) == 0x7FA1


# Start


def test_start_of_every_kind_of_card():
    for kind, sectors, factor in (
        ({"high_capacity": True}, SDHC_SECTORS, 1),
        ({"high_capacity": False}, SDSC_SECTORS, 512),
        ({"high_capacity": False, "legacy": True}, SDSC_SECTORS, 512),
    ):
        bench = Bench(sectors, **kind)
        driver = bench.start()
        assert driver.ioctl(4, 0) == sectors and driver.ioctl(5, 0) == 512
        assert driver.cdv == factor
        assert bench.card.commands[59] == 1
        bench.image.write(7, block(7))
        assert read(driver, 7) == block(7)


def test_capacity_at_the_ends_and_beyond_32_gb():
    for sectors in (1024, 1024 * 65536, 1024 * 65537, 1024 * (1 << 22)):
        assert Bench(sectors).start().sectors == sectors
    for sectors in (512, 512 * 4096):
        assert Bench(sectors, high_capacity=False).start().sectors == sectors


def test_an_empty_slot_costs_little():
    bench = Bench()
    bench.card.present = False
    assert failure(bench.start).errno == errno.ENODEV
    assert bench.time.now_us < 60000, bench.time.now_us
    assert bench.gap_us < 7000, bench.gap_us


def test_a_card_that_never_gets_ready_is_given_up():
    bench = Bench()
    bench.card.start_us = 2000000
    assert failure(bench.start).errno == errno.ETIMEDOUT
    assert 1000000 < bench.time.now_us < 1200000


def test_the_slowest_start_allowed_is_waited_for():
    bench = Bench()
    bench.card.start_us = 1000000
    bench.start()
    assert bench.gap_us < 7000


def test_a_controller_that_restarts_within_a_block_gets_its_card_back():
    for token, command in ((b"\xfe", 24), (b"\xfc", 25)):
        bench = Bench()
        driver = bench.start()
        driver.cmd(command, 0)
        driver.cs(0)
        driver.spi.write(token + bytes(100))
        bench.start()
        assert bench.image.read(0) == bytes(512)


def test_a_controller_that_restarts_while_the_card_is_busy_waits_for_it():
    bench = Bench()
    driver = bench.start()
    bench.card.stall_us = 400000
    bench.time.on_spend = lambda: fail_at(bench, 250000)
    assert isinstance(failure(driver.writeblocks, 3, block(3)), Restart)
    bench.time.on_spend = None
    assert read(bench.start(), 3) == block(3)


class Restart(OSError):
    pass


def fail_at(bench, us):
    if bench.time.now_us > us:
        raise Restart


# Blocks


def test_one_block_and_many_both_ways():
    for kind in ({}, {"high_capacity": False}):
        bench = Bench(SDSC_SECTORS, **kind)
        driver = bench.start()
        driver.writeblocks(5, block(5))
        many = b"".join(block(10 + k) for k in range(9))
        driver.writeblocks(100, many)
        assert bench.image.read(5) == block(5)
        assert [bench.image.read(100 + k) for k in range(9)] == [block(10 + k) for k in range(9)]
        assert bench.image.read(99) == bench.image.read(109) == bytes(512)
        assert read(driver, 100, 9) == many and read(driver, 5) == block(5)
        assert bench.card.commands[25] == bench.card.commands[18] == 1
        assert bench.card.written == 10


def test_the_last_block_and_none_beyond():
    bench = Bench()
    driver = bench.start()
    last = SDHC_SECTORS - 1
    driver.writeblocks(last, block(1))
    assert read(driver, last) == block(1)
    assert failure(read, driver, last + 1).errno == errno.EIO
    assert failure(driver.writeblocks, last, block(1) + block(2)).errno == errno.EIO
    assert failure(read, driver, last, 2).errno == errno.EIO
    assert read(driver, last) == block(1)


def test_wrong_checksums_are_repeated_then_told():
    for count in (1, 3):
        for fault in ("garble_in", "garble_out", "garble_commands"):
            bench = Bench()
            driver = bench.start()
            data = b"".join(block(k) for k in range(count))
            setattr(bench.card, fault, 2)
            driver.writeblocks(8, data)
            assert read(driver, 8, count) == data, (fault, count)
            assert 1 <= driver.garbled <= 2, fault
            setattr(bench.card, fault, 99)
            transfer = read if fault == "garble_out" else driver.writeblocks
            args = (driver, 8, count) if fault == "garble_out" else (8, data)
            assert failure(transfer, *args).errno == errno.EIO
            setattr(bench.card, fault, 0)
            assert read(driver, 8, count) == data


def test_a_block_that_fails_its_checksum_does_not_reach_the_reader():
    bench = Bench()
    driver = bench.start()
    bench.card.garble_out = 3
    buf = bytearray(b"\x55" * 512)
    failure(driver.readblocks, 8, buf)
    assert buf == b"\x55" * 512


def test_a_refused_write_is_an_error_and_is_not_repeated():
    for count in (1, 4):
        bench = Bench()
        driver = bench.start()
        bench.card.refuse = 1
        assert failure(driver.writeblocks, 8, block(8) * count).errno == errno.EIO
        assert bench.image.read(8) == bytes(512)
        driver.writeblocks(8, block(8) * count)
        assert read(driver, 8, count) == block(8) * count


def test_a_write_that_fails_after_it_was_taken_is_an_error():
    for count in (1, 4):
        bench = Bench()
        driver = bench.start()
        bench.card.spoil = 1
        assert failure(driver.writeblocks, 8, block(8) * count).errno == errno.EIO
        driver.writeblocks(8, block(8) * count)


# Waiting


def test_stalls_are_waited_for_and_call_idle():
    for stall_us in (250000, 500000):
        for count in (1, 4):
            bench = Bench()
            driver = bench.start()
            bench.card.stall_us = stall_us
            bench.idles = bench.gap_us = 0
            begin_us = bench.idle_us = bench.time.now_us
            driver.writeblocks(8, block(8) * count)
            took_us = bench.time.now_us - begin_us
            assert stall_us < took_us < stall_us + 20000 * count, took_us
            assert bench.idles > stall_us // 1000, bench.idles
            assert bench.gap_us < 3000, bench.gap_us
            assert bench.image.read(8) == block(8)


def test_a_card_that_stays_busy_is_given_up_in_time():
    bench = Bench()
    driver = bench.start()
    bench.card.stall_us = 5000000
    begin_us = bench.time.now_us
    assert failure(driver.writeblocks, 8, block(8)).errno == errno.ETIMEDOUT
    assert bench.time.now_us - begin_us < 520000
    begin_us = bench.time.now_us
    failure(driver.writeblocks, 8, block(8) * 3)
    assert bench.time.now_us - begin_us < 1100000


def test_a_block_that_never_comes_is_given_up_in_time():
    bench = Bench()
    driver = bench.start()
    bench.card.read_us = 5000000
    begin_us = bench.time.now_us
    assert failure(read, driver, 8).errno == errno.ETIMEDOUT
    assert bench.time.now_us - begin_us < 520000


def test_a_tick_of_the_guard_in_idle_neither_shortens_nor_lengthens_the_wait():
    bench = Bench()
    driver = bench.start()
    driver._idle = lambda: bench.time.spend(9000)
    bench.card.stall_us = 500000
    driver.writeblocks(8, block(8))
    bench.card.stall_us = 5000000
    begin_us = bench.time.now_us
    failure(driver.writeblocks, 8, block(8))
    assert bench.time.now_us - begin_us < 560000


# Removal


def remove_after(bench, us):
    at_us = bench.time.now_us + us

    def pull():
        if bench.time.now_us >= at_us:
            bench.card.remove(bench.time.now_us)
            bench.time.on_spend = None

    bench.time.on_spend = pull


def test_a_card_pulled_at_any_moment_of_a_write_is_an_error_and_starts_again():
    for count in (1, 4):
        for us in range(100, 3500 * count, 300):
            bench = Bench()
            driver = bench.start()
            remove_after(bench, us)
            failure(driver.writeblocks, 8, block(8) * count)
            assert bench.image.read(8) in (bytes(512), block(8))
            begin_us = bench.time.now_us
            failure(read, driver, 8)
            assert bench.time.now_us - begin_us < 20000
            bench.card.insert()
            failure(read, driver, 8)
            driver = bench.start()
            driver.writeblocks(8, block(9) * count)
            assert read(driver, 8, count) == block(9) * count


# A file system on it


def mounted(bench):
    volume = os.VfsFat(bench.start())
    os.mount(volume, "/sd")
    return volume


def unmounted():
    os.umount("/sd")


def test_files_survive_on_a_volume_made_through_the_driver():
    bench = Bench()
    os.VfsFat.mkfs(bench.start())
    mounted(bench)
    with open("/sd/long name of a log.csv", "w") as file:
        for k in range(300):
            file.write("%d,%d\n" % (k, k * k))
    unmounted()
    bench = Bench(image=bench.image)
    mounted(bench)
    with open("/sd/long name of a log.csv") as file:
        assert file.read() == "".join("%d,%d\n" % (k, k * k) for k in range(300))
    unmounted()


def test_a_detached_card_lets_files_be_closed_and_writes_nothing():
    bench = Bench()
    bench.image.volume()
    driver = bench.start()
    volume = os.VfsFat(driver)
    os.mount(volume, "/sd")
    with open("/sd/a.txt", "w") as file:
        file.write("lost")
        written = bench.card.written
        driver.detach()
        file.write("x" * 2000)
        file.flush()
    assert bench.card.written == written
    buf = bytearray(b"\x55" * 512)
    micropython.heap_lock()
    driver.readblocks(0, buf)
    driver.writeblocks(0, buf)
    micropython.heap_unlock()
    assert buf == bytes(512)
    os.umount("/sd")


ROWS = 12


def append_rows(bench):
    """Append rows, each flushed; how many were when the power went."""
    safe = 0
    mounted(bench)
    try:
        with open("/sd/rows.csv", "a") as file:
            for k in range(ROWS):
                file.write("%04d %s\n" % (k, "x" * 90))
                file.flush()
                if bench.card.writes_left == 0:
                    break
                safe += 1
    finally:
        unmounted()
    return safe


def test_a_power_cut_at_every_block_loses_no_flushed_row():
    cuts = 0
    safe = -1
    while safe < ROWS:
        bench = Bench()
        bench.image.volume()
        bench.card.writes_left = cuts
        safe = append_rows(bench)
        rows = []
        volume = bench.image.volume()
        if "rows.csv" in [entry[0] for entry in volume.ilistdir("/")]:
            with volume.open("/rows.csv", "r") as file:
                rows = file.read().split("\n")[:-1]
        assert safe <= len(rows) <= safe + 1, (cuts, safe, rows)
        assert rows == ["%04d %s" % (k, "x" * 90) for k in range(len(rows))], (cuts, rows)
        cuts += 1
    assert cuts > 2 * ROWS, cuts


def test_an_image_is_kept_in_a_file():
    path = "build/kept-%s.img" % os.urandom(4).hex()
    try:
        image = Image(SDHC_SECTORS, path)
        image.volume()
        bench = Bench(image=image)
        mounted(bench)
        with open("/sd/kept.txt", "w") as file:
            file.write("kept")
        unmounted()
        image.close()
        again = Image(1, path)
        assert again.sectors == SDHC_SECTORS and not again.fresh
        with again.volume().open("/kept.txt", "r") as file:
            assert file.read() == "kept"
        again.close()
    finally:
        os.remove(path)
