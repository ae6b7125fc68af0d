"""Starts the application, and the controller anew when it ends; keeps why across the reset.

After Ctrl-C, which mpremote sends, the controller comes back without application and watchdog, so
that files can be changed. The next reset returns to work, and ten minutes do so by themselves.

A new version is on trial until it has protected for two seconds: when it ends before that, or a
minute passes, the version before it runs again. What decides this is never changed over the air.
"""

import io
import os
import sys
import time

from esp32 import NVS
from machine import PWRON_RESET, WDT, Timer, reset, reset_cause

TRIES = 3
PAUSE_MS = 3000
MAINTENANCE = "maintenance"
SERVICED = "serviced"
RETURNED = "returned "
TEXT_BYTES = 200
POINTER = "app"
"""Names the folder to boot, and while it is on trial the one before it and its starts so far."""

WATCHDOG_MS = 15000
TRIAL_MS = 60000
TRIAL_TIMER = 1


def start():
    """Run the application until it ends, then restart; only return for maintenance."""
    store = NVS("parallelator")
    why = kept_reason(store)
    if why == MAINTENANCE:
        keep(store, "why", SERVICED)
        print("Maintenance: every switch is off. A reset or Ctrl-D returns to work.")
        return
    if why:
        keep(store, "why", "")
    slot, previous, starts = pointer()
    if previous and failed(starts, why):
        point(previous)
        why = why or ("power" if reset_cause() == PWRON_RESET else "hang")
        keep(store, "why", (RETURNED + why)[:TEXT_BYTES])
        keep(store, "starts", 0)
        reset()
    if previous:
        point(slot, previous, starts + 1)
        limit_trial()
    vain = vain_starts(store)
    keep(store, "starts", vain + 1)

    def settled():
        keep(store, "starts", 0)
        if not previous:
            return False
        Timer(TRIAL_TIMER).deinit()
        return point(slot)

    # Before all that may hang; the application makes it shorter once it protects.
    WDT(timeout=WATCHDOG_MS)
    try:
        from parallelator import app

        why = app.run(why, vain >= TRIES, settled, slot, lambda folder: point(folder, slot))
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


def pointer():
    """The folder that runs, the one before it, "" if it is not on trial, and its starts before.

    The first is "" when the application comes from somewhere else.
    """
    running = sys.path[0] if sys.path[0] in ("app-a", "app-b") else ""
    try:
        with open(POINTER) as file:
            chosen, previous, starts = file.read(32).split()
        if chosen == running:
            return running, previous, int(starts)
    except (OSError, ValueError):
        pass
    return running, "", 0


def point(folder, previous="", starts=0):
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


def failed(starts, why):
    """True when a trial is over: any end before it settled but a power cut, or three of those."""
    return starts and (why or reset_cause() != PWRON_RESET or starts >= TRIES)


def limit_trial():
    """A minute from now the controller restarts unless the application settles.

    That ends a version that goes in circles; the watchdog one that hangs.
    """
    Timer(TRIAL_TIMER).init(mode=Timer.ONE_SHOT, period=TRIAL_MS, callback=lambda timer: reset())


def kept_reason(store: "NVS"):
    """Why the application ended last: a word or the text of an exception, "" = not known."""
    text = bytearray(TEXT_BYTES)
    try:
        return text[: store.get_blob("why", text)].decode()
    except (OSError, ValueError):
        return ""


def vain_starts(store: "NVS"):
    """How many starts in a row came to nothing before this one."""
    try:
        return store.get_i32("starts")
    except OSError:
        return 0


def keep(store: "NVS", key, value):
    """Write a number or a text; a storage that is full or worn must not keep the rig off."""
    try:
        if isinstance(value, int):
            store.set_i32(key, min(value, TRIES))
        else:
            store.set_blob(key, value.encode())
        store.commit()
    except OSError as error:
        print("main: storage:", error)


def told(error):
    """The last lines of a traceback as one, TEXT_BYTES at most."""
    text = io.StringIO()
    sys.print_exception(error, text)
    lines = [line.strip() for line in text.getvalue().strip().split("\n")[-2:]]
    text = "; ".join(lines).encode()[-TEXT_BYTES:]
    return "".join(chr(byte) if 32 <= byte < 127 else "?" for byte in text)


start()
