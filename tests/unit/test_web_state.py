# SPDX-License-Identifier: GPL-3.0-only
"""The text of the state is made once for all who ask at the same time."""

import asyncio

from parallelator.web.state import StateText


class Counted(StateText):
    """Counts how often the text is made; the rig stays as it is."""

    def __init__(self):
        super().__init__(None, None)
        self.made = 0

    def _present(self):
        return "unchanged"

    async def _made(self):
        self.made += 1
        for _ in range(5):
            await asyncio.sleep_ms(0)
        return [b'{"bus":{}']


async def test_four_phones_at_once_get_one_copy():
    text = Counted()
    found = await asyncio.gather(*[text.pieces(k == 0) for k in range(4)])
    assert text.made == 1
    assert all(pieces[0] is found[0][0] for pieces in found)
    assert found[0][1:] == [b',"logged_in":true}'] and found[3][1:] == [b',"logged_in":false}']


async def test_what_was_swept_is_made_again():
    text = Counted()
    await text.pieces(False)
    text.sweep()
    await text.pieces(False)
    assert text.made == 1
    text._key = "before"
    text.sweep()
    await text.pieces(False)
    assert text.made == 2
