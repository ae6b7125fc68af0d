# SPDX-License-Identifier: GPL-3.0-only
"""Starts the application. When it ends, restarts the controller and keeps why across the reset.

After Ctrl-C, which mpremote sends, the controller comes back without application and watchdog, so
that files can be changed. The next reset starts the application; so do ten minutes without one.

An application that does not fit into the memory is not even imported: the console says so, the
LEDs of all boards blink, the switches stay open, and the prompt is there for mpremote.

A new version is on trial until it has protected for two seconds: when it ends before that, or a
minute passes, the version before it runs again. Of files, the two that decide this, boot.py and
this one, are never changed over the air. An image has its own: there the boot loader of the chip
decides, which takes the one before at the next reset unless this file has confirmed the new one.
"""

import gc
import io
import os
import sys
import time
from errno import EIO, ENOENT

from esp32 import HEAP_DATA, NVS, Partition, idf_heap_info
from machine import PWRON_RESET, WDT, Timer, reset, reset_cause

TRIES = 3
PAUSE_MS = 3000
MAINTENANCE = "maintenance"
UPDATE = "update"
SERVICED = "serviced"
RETURNED = "returned "
MISNAMED = "misnamed"
TEXT_BYTES = 200
SLOTS = ("app-a", "app-b")
POINTER = "app"
"""Names the folder to boot, and while it is on trial the one before it and its starts so far. When
the application is frozen into an image, it names partitions by their labels."""

WATCHDOG_MS = 15000
START_MS = 60000
START_TIMER = 1

FROZEN_KB = 145
"""What must be free here for an application that is frozen: 120 KB, in which everything works, and
25 that the radio takes with station and access point, see `make memory`."""

FILES_KB = 400
"""The same for one of .mpy files."""

EXPANDERS = range(0x20, 0x24)
BLINK_MS = 500
BLINK_TIMER = 2


def start():
    """Run the application until it ends, then restart; only return for maintenance."""
    store = storage()
    why = kept_reason(store)
    if why == MAINTENANCE and keep(store, "why", SERVICED):
        print("Maintenance: every switch is off. A reset or Ctrl-D returns to work.")
        return
    if why:
        keep(store, "why", "")
    slot, previous, starts = pointer()
    if slot is None:
        slot = running()
        why = why or RETURNED + MISNAMED
        if slot:
            point(slot)
    lacking = shortage()
    given_up = previous and slot != running()  # by the boot loader
    if previous and (lacking or given_up or failed(starts, why)) and point(previous):
        why = "" if why == UPDATE else why  # it did not come so far as to take note of that
        why = why or lacking or ("power" if reset_cause() == PWRON_RESET else "hang")
        keep(store, "why", (RETURNED + why)[:TEXT_BYTES])
        keep(store, "starts", 0)
        reset()
    if lacking:
        print(lacking)
        blink()
        return
    if previous:
        point(slot, previous, starts + 1)
    limit_start()
    vain = vain_starts(store)
    keep(store, "starts", min(vain + 1, 2 * TRIES))

    def settled():
        keep(store, "starts", 0)
        Timer(START_TIMER).deinit()
        return confirm(slot) and bool(previous) and point(slot)

    try:
        from parallelator import app

        why = app.run(why, vain // TRIES, settled, slot, lambda other: point(other, slot))
        if why == UPDATE and slot not in SLOTS:
            # It reads the whole image, which takes long: now every switch is open.
            Partition(Partition.RUNNING).get_next_update().set_boot()
    except KeyboardInterrupt:
        why = MAINTENANCE
        keep(store, "starts", vain)
        if pointer()[1]:
            point(slot, previous, 0)
    except Exception as error:
        sys.print_exception(error)
        why = told(error)
        if vain >= TRIES:
            time.sleep_ms(PAUSE_MS)
    keep(store, "why", why)
    reset()


def frozen():
    """Is the application frozen into the image? None when it cannot be imported."""
    try:
        import parallelator  # no more than its version
    except Exception:
        return None  # what is wrong is told below
    return parallelator.__file__.startswith("parallelator/")


def shortage():
    """Why the application does not fit into the memory, and what to do; "" when it does."""
    inside = frozen()
    if inside is None:
        return ""
    needed_kb = FROZEN_KB if inside else FILES_KB
    if free_bytes() >= needed_kb << 10:
        return ""
    gc.collect()
    free_kb = free_bytes() >> 10
    if free_kb >= needed_kb:
        return ""
    return (
        "Too little memory: the application, %s, needs %d KB, %d are free. Every switch is off. "
        "%s Then reset. mpremote works meanwhile."
        % (
            "frozen" if inside else "as .mpy files",
            needed_kb,
            free_kb,
            "Remove what else runs on this controller, or use one with PSRAM."
            if inside
            else "Use a controller with PSRAM and the image that knows it (ESP32_GENERIC-SPIRAM), "
            "or an image with the application frozen (tools/device/README.md, Memory) and remove "
            "the folders app-a and app-b.",
        )
    )


def free_bytes():
    """What the heap has left and may still get."""
    pieces = idf_heap_info(HEAP_DATA)  # size, free, largest free piece, least free of each region
    # mem_free counts the largest piece in.
    return gc.mem_free() + sum(p[1] for p in pieces) - max([p[2] for p in pieces] or [0])


def blink():
    """Have the LEDs of all boards go on and off together from now on."""
    import boot  # pyright: ignore - it lies beside; opens the switches again, and knows the pins

    sda, scl = boot.configured_pins()
    i2c = boot.I2C(0, sda=boot.Pin(sda), scl=boot.Pin(scl), freq=100000, timeout=30000)
    lit = bytearray(b"\x03\x00")  # the latch of port 1, which has the LEDs and nothing else

    def turn(timer: "Timer"):
        lit[1] ^= 0xFF
        for address in EXPANDERS:
            try:
                i2c.writeto(address, b"\x07\x00")  # its pins are outputs
                i2c.writeto(address, lit)
            except OSError:
                continue  # there is none

    Timer(BLINK_TIMER).init(mode=Timer.PERIODIC, period=BLINK_MS, callback=turn)


def running():
    """What runs: a folder, or the partition of a frozen application; "" when it is neither."""
    if sys.path[0] in SLOTS:
        return sys.path[0]
    return Partition(Partition.RUNNING).info()[4] if frozen() else ""


def pointer():
    """What POINTER says: the folder that runs, the one before it, the starts of the trial so far.

    The one before is "" when there is no trial. The first is None when POINTER does not name the
    folder that runs: it cannot be read, or the folder it names is missing. But it is that of a
    trial which the boot loader has given up, when the one before runs.
    """
    try:
        with open(POINTER) as file:
            words = file.read(32).split()
    except ValueError:
        words = []
    except OSError as error:
        words = [running()] if error.errno == ENOENT else []
    here = running()
    try:
        slot, previous, starts = words
        starts = int(starts)
    except ValueError:
        slot, previous, starts = (words or [None])[0], "", 0
    if here in SLOTS and previous not in SLOTS:
        previous = ""
    given_up = here and here == previous and here not in SLOTS
    return (slot, previous, starts) if slot == here or given_up else (None, "", 0)


def confirm(slot: str):
    """Have the boot loader keep the partition that runs; False when it did not take note.

    It may be called at every start. A folder needs none, nor has an image that lies in the only
    partition a version to return to.
    """
    try:
        if slot.startswith("ota_"):
            Partition.mark_app_valid_cancel_rollback()
    except OSError as error:
        print("main: image:", error)
        return False
    return True


def point(folder: str, previous: str = "", starts: int = 0):
    """From the next start on, boot from `folder`; on trial when there is a `previous` one.

    Returns:
        bool: False when the file system did not take it.
    """
    try:
        with open(POINTER + ".new", "w") as file:
            file.write("%s %s %d" % (folder, previous, starts) if previous else folder)
        os.rename(POINTER + ".new", POINTER)
    except OSError as error:
        print("main: file system:", error)
        return False
    return True


def failed(starts: int, why: str):
    """True when a trial has failed: it ended, and not by a power cut, or it began three times."""
    return starts and (why or reset_cause() != PWRON_RESET or starts >= TRIES)


def limit_start():
    """Restart the controller in a minute, unless the application settles before.

    The timer ends an application that loops; the watchdog one that hangs in an import or in C
    code, and the application makes it shorter once it protects.
    """
    Timer(START_TIMER).init(mode=Timer.ONE_SHOT, period=START_MS, callback=lambda timer: reset())
    WDT(timeout=WATCHDOG_MS)


class NoStorage:
    """Stands for a storage that cannot be opened: whatever is asked of it fails."""

    def __getattr__(self, name: str):
        raise OSError(EIO)


def storage():
    """What outlives a reset."""
    try:
        return NVS("parallelator")
    except OSError as error:
        print("main: storage:", error)
        return NoStorage()


def kept_reason(store: "NVS | NoStorage"):
    """Why the application ended last: a word or the text of an exception, "" = not known."""
    text = bytearray(TEXT_BYTES)
    try:
        return text[: store.get_blob("why", text)].decode()
    except (OSError, ValueError):
        return ""


def vain_starts(store: "NVS | NoStorage"):
    """How many starts in a row failed before this one, 0 to 2 * TRIES."""
    try:
        return min(max(store.get_i32("starts"), 0), 2 * TRIES)
    except OSError:
        return 0


def keep(store: "NVS | NoStorage", key: str, value: "int | str"):
    """Write a number or a text; a storage that is full or worn out must not stop the rig.

    Returns:
        bool: False when it was not kept.
    """
    for _ in range(2):
        try:
            if isinstance(value, int):
                store.set_i32(key, value)
            else:
                store.set_blob(key, value.encode())
            store.commit()
            return True
        except OSError as error:
            print("main: storage:", error)
            erase(store, key)
    return False


def erase(store: "NVS | NoStorage", key: str):
    """Erase a key: a value of another type cannot be overwritten."""
    try:
        store.erase_key(key)
    except OSError:
        pass


def told(error: Exception):
    """The last lines of a traceback as one, TEXT_BYTES at most."""
    text = io.StringIO()
    sys.print_exception(error, text)
    lines = [line.strip() for line in text.getvalue().strip().split("\n")[-2:]]
    text = "; ".join(lines).encode()[-TEXT_BYTES:]
    return "".join(chr(byte) if 32 <= byte < 127 else "?" for byte in text)


start()
