"""Starts the application, and the controller anew when it ends; keeps why across the reset.

After Ctrl-C, which mpremote sends, the controller comes back without application and watchdog, so
that files can be changed. The next reset returns to work, and ten minutes do so by themselves.
"""

import io
import sys
import time

from esp32 import NVS
from machine import reset

TRIES = 3
PAUSE_MS = 3000
MAINTENANCE = "maintenance"
SERVICED = "serviced"
TEXT_BYTES = 200


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
    vain = vain_starts(store)
    keep(store, "starts", vain + 1)
    try:
        from parallelator import app

        why = app.run(why, vain >= TRIES, lambda: keep(store, "starts", 0))
    except KeyboardInterrupt:
        why = MAINTENANCE
        keep(store, "starts", vain)
    except Exception as error:
        sys.print_exception(error)
        why = told(error)
        if vain >= TRIES:
            time.sleep_ms(PAUSE_MS)
    keep(store, "why", why)
    reset()


def kept_reason(store):
    """Why the application ended last: a word or the text of an exception, "" = not known."""
    text = bytearray(TEXT_BYTES)
    try:
        return text[: store.get_blob("why", text)].decode()
    except (OSError, ValueError):
        return ""


def vain_starts(store):
    """How many starts in a row came to nothing before this one."""
    try:
        return store.get_i32("starts")
    except OSError:
        return 0


def keep(store, key, value):
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
