# SPDX-License-Identifier: GPL-3.0-only
"""The whole firmware tells contacts that age, before and behind the sensor, and no others."""

from support import clean, play

PACKS = [{"n": n, "r_mohm": r_mohm} for n, r_mohm in ((1, 30), (2, 40), (3, 25), (4, 35))]
BEGIN_S = 60
LOAD = [[0, 0]] + [[at, 24 if at % 2 else 10] for at in range(13, 200, 5)]


def aging(n, side):
    """Steps with which a contact of pack n gets worse, within half a minute, by 60 mOhm."""
    return [
        {"at": BEGIN_S + 3 * k, "do": "contact", "n": n, "mohm": 6 * k, "side": side}
        for k in range(1, 11)
    ]


class Listener:
    """A sabotage that breaks nothing: it notes what is told of contacts."""

    def __init__(self):
        self.told = []

    def __call__(self):
        from parallelator.show.sharing import Sharing
        from sim import current

        make = Sharing.__init__

        def made(sharing, snap, limits, emit):
            def heard(code, i, state, reason, value):
                emit(code, i, state, reason, value)
                self.told.append((code, i + 1, value, current.world.now_us // 1000000))

            make(sharing, snap, limits, heard)

        Sharing.__init__ = made


def test_contacts_that_age_are_told_by_their_side():
    listener = Listener()
    steps = aging(2, "bus") + aging(3, "battery")
    clean(play(listener, batteries=PACKS, load=LOAD, steps=steps, duration_s=190))
    told = sorted((code, n) for code, n, _, _ in listener.told)
    assert told == [("contact_battery", 3), ("contact_output", 2)], listener.told
    for _, _, mohm, at_s in listener.told:
        assert 15 <= mohm <= 66 and BEGIN_S + 60 < at_s < BEGIN_S + 125, listener.told
