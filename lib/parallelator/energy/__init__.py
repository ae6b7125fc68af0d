# SPDX-License-Identifier: GPL-3.0-only
"""How much is left in each pack and in the rig, and for how long.

The package itself has what is needed before the guard starts; its modules are loaded when the
settings tell the capacity of the packs.
"""

from parallelator.snapshot import BATTERIES

ROW = "<HBBBbbbHH"
"""What is kept of a pack, as of `struct`: see `Charge.row`; the low ends of the energy out and in,
in 1/160 Wh, as of `Meter`."""
ROW_BYTES = 12
ROWS_BYTES = ROW_BYTES * BATTERIES
IDS = "packs"
"""The key of what the flash keeps of the ids of all packs, see `packs`."""
IDS_BYTES = 4 * BATTERIES


def table(rows: bytearray):
    """The rows of all packs as a row that `records.rtc_state.RtcState` takes."""
    return ((rows, "B", 0, 255, False),)


def capacity_mah(settings: "Values", i: int):
    """The capacity of pack i by the settings, its own or that of all, mAh; 0 = not known."""
    return settings["batteries.%d.capacity_mah" % (i + 1)] or settings["pack.capacity_mah"]


def ids(settings: "Values"):
    """The ids of the packs, a list of 16; "" = it has none."""
    return [settings["batteries.%d.id" % n] for n in range(1, BATTERIES + 1)]


def is_asked(settings: "Values"):
    """True when the settings tell enough to know the charge of a pack."""
    return any(capacity_mah(settings, i) for i in range(BATTERIES))


def kept(store: "Storage", key: str, size: int):
    """The bytes that the flash keeps under `key`, zeros when there are none."""
    block = bytearray(size)
    try:
        store.get_blob(key, block)
    except OSError:
        pass  # there is none, or the storage has reported a fault
    return block


def keep(store: "Storage", key: str, block: bytes):
    """Write `block` to the flash; False when that failed, which the storage has reported."""
    try:
        store.set_blob(key, block)
        store.commit()
    except OSError:
        return False
    return True
