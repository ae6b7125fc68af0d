# SPDX-License-Identifier: GPL-3.0-only
"""The records of trips over HTTP. Routed by api.

Everything is sent in small pieces, other tasks run in between.
"""

import asyncio
import errno

from parallelator.records.tripfile import described, readings

from . import answer, dump, joined, problem


class Trips:
    """What the black box of one rig tells.

    Args:
        rig: the `Rig`.
    """

    def __init__(self, rig: "Rig"):
        self._rig = rig

    def all(self, request: "Request"):
        """GET /api/blackbox: the trips of which there is a record, newest first."""
        return answer(self._all())

    def _all(self):
        box = self._rig.blackbox
        yield '{"records":['
        try:
            yield from joined(_trips(box))
        except OSError as error:
            self._fail(error)
        yield '],"missed":%d}' % box.missed

    async def one(self, request: "Request", id: str):
        """GET /api/blackbox/<id>: the readings around a trip."""
        boot, _, number = id.partition("-")
        found = None
        try:
            if len(id) <= 13 and boot.isdigit() and number.isdigit():
                found = self._rig.blackbox.find(int(boot), int(number))
        except OSError as error:
            self._fail(error)
        if not found:
            return problem(404, "record", "There is no record of such a trip.", "id")
        await asyncio.sleep_ms(0)
        record, pieces = found
        return answer(self._one(record, int(number), pieces))

    def _one(self, record: "Record", number: int, pieces: "Iterable"):
        trip = record.trips[number - record.number]
        yield dump(described(record, trip, number))[:-1] + ',"samples":['
        try:
            yield from joined(dump(rows)[1:-1] for rows in readings(record, trip, pieces))
        except OSError as error:
            # Cut short, the answer cannot be taken for a whole one.
            self._fail(error)
            return
        yield "]}"

    def _fail(self, error: OSError):
        # A file that was meanwhile removed is no fault of the card.
        if error.errno != errno.ENOENT:
            self._rig.card.fail(error)


def _trips(box: "BlackBox"):
    for record in box.records():
        # Where there is no record, nothing is gone through.
        for k in range(len(record.trips) - 1, -1, -1) if record else ():
            yield dump(described(record, record.trips[k], record.number + k))  # pyright: ignore
        yield ""
