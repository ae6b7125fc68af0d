# SPDX-License-Identifier: GPL-3.0-only
"""Which chip of the INA2xx family answers, and its driver. Called by sensors and settings."""

from micropython import const

from parallelator.hardware.ina2xx import RESET, Ina237, value_of

MODELS = ("ina237", "ina228", "ina226", "ina219")
"""The chips by the names that the settings use."""

_TEXAS_INSTRUMENTS = const(0x5449)


def driver(model: str) -> "type[Ina2xx]":
    """The driver class for one of MODELS; for "auto" that of the first."""
    if model == "auto" or model == MODELS[0]:
        return Ina237
    from parallelator.hardware.ina_others import DRIVERS

    return DRIVERS[model]


def detect(i2c: "I2c", address: int):
    """Which of MODELS is at `address`, None when none of the family answers.

    The INA219 has no identification: it is known by its configuration after a reset. Allocates
    nothing.
    """
    word = i2c.word
    if not i2c.read(address, 0x3E, word):
        return None
    if value_of(word) == _TEXAS_INSTRUMENTS:
        if not i2c.read(address, 0x3F, word):
            return None
        return "ina228" if value_of(word) >> 4 == 0x228 else "ina237"
    if not i2c.read(address, 0xFE, word):
        return None
    if value_of(word) == _TEXAS_INSTRUMENTS:
        if not i2c.read(address, 0xFF, word):
            return None
        return "ina226" if value_of(word) == 0x2260 else None
    if i2c.write16(address, 0x00, RESET) and i2c.read(address, 0x00, word):
        return "ina219" if value_of(word) == 0x399F else None
    return None
