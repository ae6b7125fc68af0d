# SPDX-License-Identifier: GPL-3.0-only
"""What a crew asks of a rig before, during and after a show. Its modules come when they are asked
for."""

import asyncio

UNTOLD = "/sd/shows/now.bin"
"""Holds what is counted of a show until its report is written: `report` puts that beside it."""


async def self_test(rig: "Rig"):
    """Start the self-test of a rig.

    Returns:
        str or None: why not, a code of `refused` in messages/.
    """
    if rig.selftest and not isinstance(rig.selftest, str):
        return "selftest_running"
    # One by one, so that no tick waits for all of them.
    import parallelator.show.selftest  # noqa: F401

    await asyncio.sleep_ms(0)
    import parallelator.show.results  # noqa: F401

    await asyncio.sleep_ms(0)
    from parallelator.show.drive import begin

    return begin(rig)
