# SPDX-License-Identifier: GPL-3.0-only
"""What is known of the DC output, which no sensor measures. Run by `guard`, read by the rules.

Every pack has a sensor on its own side of the switch. What the output is follows from packs that
are connected and carry: from their voltage and current, while the reading is fresh. Two that agree
are needed for whatever could darken the rig; a rig of one pack has one witness.

A pack's link is *closed* (told to be, read back, and read lately), *open*, or *doubtful*: it may
be connected or not. Pure: numbers in, statements out; allocates nothing after the start.
"""

from array import array

from micropython import const

from parallelator.snapshot import BATTERIES, BOARDS, CHANNELS, IDLE_MA

FRESH_MS = const(400)
"""The age of a reading that still speaks for the present, at most: two scans and a half."""
_TRUSTED_PCT = const(120)
"""A current beyond this share of the hard limit is a fault of the pack or of its sensor."""
_STEP_MA = const(300)
_STEADY_MA = const(100)
_LEAVER_LOOKS = const(2)
_DEPARTED_MS = const(1000)
_LATELY_MS = const(1000)
"""For so long what was seen of a charge tells the direction of a current that ends."""
_TOLD_MV = const(20)
"""A drop inside the pack that is large enough to be missed when its current ends."""
_APART_MV = const(200)
"""A pack that differs from the output by as much, and carries nothing, is open."""
_RISE_MV = const(30)
_RISE_MS = const(300000)
_FAR_MV = const(3000)
"""A larger difference of voltages is taken for this one: products stay below 2**30."""
_LEAST_MOHM = const(10)


class Output:
    """The output of one rig.

    Args:
        snap: the `Snapshot`; limits: a `rules.Limits`.

    Attributes:
        closed: mask of the packs that are connected for sure; doubtful: of those that may be.
        carriers: mask of those of `closed` whose voltage and current say what the output is.
        live: True while a pack carries: the output has the voltage `rest_mv`. Without it the
            output may be dead.
        rest_mv: median voltage of the carriers at rest, mV; meaningless unless `live`.
        other_mv: when two carriers contradict each other, what the second one says; else 0.
        error_mv: how far the carriers that count lie apart, mV.
        contradicts: mask of the packs that carry but whose voltage no other confirms.
        total_ma: what the closed packs carry together, positive = discharge.
        charging: True while the closed packs are charged, and two of them see it, or the only
            one whose voltage rises with it.
        moved: mask of the packs that are told to be open and whose current is confirmed.
        pinned: mask of those that did so, and have not shown since that they are open.
        predicted_ma: what `predict` said last.
    """

    def __init__(self, snap: "Snapshot", limits: "Limits"):
        self._snap = snap
        self._limits = limits
        self._scratch = _words()
        self._steady_ma = _words()
        self._steady_mv = _words()
        self._others_ma = _words()
        self._before_ma = array("i", bytes(4 * BOARDS))
        self._lately_ma = array("i", bytes(4 * BOARDS))
        self._share_ma = array("i", bytes(4 * BOARDS))
        self._silent_ms = array("i", [-1] * BOARDS)
        self._alone_mv = 0
        self._alone_ms = 0
        self._alone = 0
        self._uncharged_ms = _LATELY_MS
        self._opened = 0
        self._opening = 0
        self._leaver = 0
        self._leaver_ma = 0
        self._leaver_looks = 0
        self.predicted_ma = _words()
        self.closed = 0
        self.doubtful = 0
        self.carriers = 0
        self.live = False
        self.rest_mv = 0
        self.other_mv = 0
        self.error_mv = 0
        self.contradicts = 0
        self.total_ma = 0
        self.charging = False
        self.moved = 0
        self.pinned = 0

    # Statements

    def look(self, on: int, held: int, stuck: int, fresh: int, dt_ms: int):
        """Say anew what is known, once a scan and before a decision.

        Args:
            on: mask of the packs that are told to be connected, and read back so.
            held: mask of those whose expander does not answer; stuck: of those that show a
                current although they are told to be open.
            fresh: mask of those with a valid reading that is not older than FRESH_MS.
            dt_ms: time since the last call.
        """
        amps = self._snap.current_ma
        closed = fresh & (on | stuck & self.moved)
        carrying = total_ma = 0
        speaking = fresh & (on | held | stuck)
        for i in range(BATTERIES):
            if speaking >> i & 1 and not -IDLE_MA < amps[i] < IDLE_MA:
                carrying |= 1 << i
        # An expander alone that does not answer leaves the sensor: a current tells of the link.
        closed |= carrying & held
        self.closed = closed
        self.doubtful = (on | held | stuck) & ~closed
        packs = charged = 0
        for i in range(BATTERIES):
            if closed >> i & 1:
                packs += 1
                total_ma += amps[i]
                charged += amps[i] <= -IDLE_MA
        self.total_ma = total_ma
        self._judge(carrying & closed)
        self._look_at_charge(closed, packs, charged, dt_ms)
        self._uncharged_ms = 0 if self.charging else min(self._uncharged_ms + dt_ms, _LATELY_MS)
        self._remember(closed)

    def _judge(self, carrying: int):
        amps = self._snap.current_ma
        limits = self._limits
        most = limits.hard_discharge_ma * _TRUSTED_PCT // 100
        least = -limits.hard_charge_ma * _TRUSTED_PCT // 100
        count = 0
        for i in range(BATTERIES):
            if carrying >> i & 1:
                if (most and amps[i] > most) or (least and amps[i] < least):
                    carrying &= ~(1 << i)
                else:
                    insert(self._scratch, count, self.at_rest_mv(i) << 4 | i)
                    count += 1
        self.live = count > 0
        self.carriers = carrying
        self.contradicts = self.other_mv = self.error_mv = 0
        if count > 2:
            count = self._leave_out_strangers(count)
        if not count:
            return
        low_mv = self._scratch[0] >> 4
        high_mv = self._scratch[count - 1] >> 4
        self.rest_mv = (
            (self._scratch[count // 2] >> 4) + (self._scratch[(count - 1) // 2] >> 4)
        ) // 2
        self.error_mv = high_mv - low_mv
        if count == 2 and high_mv - low_mv > limits.voltage_offset_mv:
            self.contradicts = carrying
            self.rest_mv = low_mv
            self.other_mv = high_mv

    def _leave_out_strangers(self, count: int):
        # Of three and more, one that lies near no other says nothing of the output. When nobody
        # is near anybody the median is still the best that is known.
        near_mv = self._limits.voltage_offset_mv
        sorted_ = self._scratch
        strangers = 0
        for k in range(count):
            here = sorted_[k] >> 4
            below = k and here - (sorted_[k - 1] >> 4) <= near_mv
            above = k < count - 1 and (sorted_[k + 1] >> 4) - here <= near_mv
            if not (below or above):
                strangers |= 1 << (sorted_[k] & 15)
        self.contradicts = strangers
        if strangers == self.carriers:
            return count
        kept = 0
        for k in range(count):
            if not strangers >> (sorted_[k] & 15) & 1:
                sorted_[kept] = sorted_[k]
                kept += 1
        self.carriers &= ~strangers
        return kept

    def _look_at_charge(self, closed: int, packs: int, charged: int, dt_ms: int):
        flows = self.total_ma <= -IDLE_MA * packs
        if not flows or charged != 1:
            self._alone = 0
            self.charging = flows and charged > 1
            return
        # One witness: its current may be wrong, but then its voltage does not rise.
        rest_mv = self.rest_mv
        if self._alone != closed:
            self._alone = closed
            self._alone_mv = rest_mv
            self._alone_ms = 0
            self.charging = False
        if rest_mv - self._alone_mv >= _RISE_MV:
            self.charging = True
        self._alone_ms += dt_ms
        if self._alone_ms >= _RISE_MS:
            self.charging = rest_mv - self._alone_mv >= _RISE_MV
            self._alone_mv = rest_mv
            self._alone_ms = 0

    # Links in doubt

    def watch_open(self, i: int, voltage_mv: int, current_ma: int, stuck: int):
        """A reading of pack i, which is told to be open: does it carry all the same?

        A current alone may be the sensor's. One that changes, while the voltage follows or the
        others' currents do, is real (`moved`).

        Args:
            stuck: mask of the packs that have carried for some time.
        """
        bit = 1 << i
        if self._opening & bit:
            # The mean of a conversion that the opening may have fallen into.
            self._opening &= ~bit
            return
        if self.pinned & bit and -IDLE_MA <= current_ma <= IDLE_MA:
            if self._is_apart(bit, voltage_mv):
                self.pinned &= ~bit
        step_ma = current_ma - self._steady_ma[i]
        # A sensor that shows too much loses its pack's own current when it opens: that change is
        # real, and what is left is not.
        opened = self._opened & bit
        charges = opened and current_ma < 0
        ended = opened and (step_ma < 0 if self._uncharged_ms >= _LATELY_MS else step_ma > 0)
        if not -_STEP_MA < step_ma < _STEP_MA:
            sag_mv = self._steady_mv[i] - voltage_mv
            expected_mv = step_ma * self._pack_mohm(i) // 1000
            others_ma = self._others_ma[i] - self.total_ma
            follows = _follows(sag_mv, expected_mv) or _follows(others_ma, step_ma)
            if self._steady_mv[i] and follows and not (charges or ended):
                self.moved |= bit
        elif opened and not -_STEP_MA < current_ma < _STEP_MA:
            # It was told to open, and nothing changed: without its current the voltage would.
            sag_mv = self._steady_mv[i] - voltage_mv
            expected_mv = -current_ma * self._pack_mohm(i) // 1000
            if abs(expected_mv) >= _TOLD_MV and not _follows(sag_mv, expected_mv):
                if charges:
                    # It comes from the others; and a voltage that rises has lost a load.
                    given_ma = self.total_ma - (current_ma if self.closed & bit else 0)
                    real = 2 * given_ma >= -current_ma and sag_mv > -_TOLD_MV
                else:
                    # Without it, this would be a voltage like those of the others.
                    apart_mv = voltage_mv - expected_mv - self.rest_mv
                    real = not self.live or abs(apart_mv) <= self._limits.voltage_offset_mv
                if real:
                    self.moved |= bit
        elif not -_STEADY_MA < step_ma < _STEADY_MA:
            return
        if -IDLE_MA <= current_ma <= IDLE_MA:
            self.moved &= ~bit
        self._opened &= ~bit
        self.pinned |= bit & self.moved & stuck
        self._steady_ma[i] = current_ma
        self._steady_mv[i] = voltage_mv
        self._others_ma[i] = self.total_ma

    def _is_apart(self, bit: int, voltage_mv: int):
        # From the output; or, as long as nobody carries, from one that is connected to it, or
        # from another that seems to be: both cannot.
        if self.live:
            return abs(voltage_mv - self.rest_mv) > _APART_MV
        others = self.closed & ~self.pinned or self.pinned & ~bit
        for k in range(BATTERIES):
            if others >> k & 1 and self._snap.valid[k]:
                return abs(voltage_mv - self._snap.voltage_mv[k]) > _APART_MV
        return False

    def pin(self, mask: int):
        """The switches of `mask` are driven, whatever they are told: they cannot be opened."""
        self.moved |= mask
        self.pinned |= mask

    def opened(self, mask: int):
        """The packs of `mask` were told to open: what they read next is compared with this."""
        snap = self._snap
        self._opened |= mask
        self._opening |= mask
        for i in range(BATTERIES):
            if mask >> i & 1:
                self._steady_ma[i] = snap.current_ma[i]
                self._steady_mv[i] = snap.voltage_mv[i] if snap.valid[i] else 0
                self._others_ma[i] = self.total_ma

    def forget(self, i: int):
        """Pack i is connected, or its sensor is gone: what it showed while open is over."""
        self.moved &= ~(1 << i)
        self.pinned &= ~(1 << i)
        self._opened &= ~(1 << i)
        self._opening &= ~(1 << i)
        self._steady_mv[i] = 0

    def fall_silent(self, b: int):
        """Board b and its sensors, which were connected, answer no more."""
        if self._silent_ms[b] < 0:
            self._silent_ms[b] = 0
            share_ma = 0
            for i in range(b * CHANNELS, b * CHANNELS + CHANNELS):
                if self._snap.valid[i]:
                    share_ma += self._snap.current_ma[i]
            self._share_ma[b] = share_ma
            self._lately_ma[b] = self._before_ma[b]

    def leave(self, i: int):
        """Pack i, which seems to carry nothing, opens: the others will tell."""
        self._leaver = i
        self._leaver_ma = self.total_ma - self._snap.current_ma[i]
        self._leaver_looks = _LEAVER_LOOKS

    def missed(self):
        """The pack that seemed to carry nothing and whose current the others carry since it
        opened, -1 = there is none. Its sensor is wrong. Called after each scan."""
        if not self._leaver_looks:
            return -1
        self._leaver_looks -= 1
        if self._leaver_looks or abs(self.total_ma) - abs(self._leaver_ma) < _STEP_MA:
            return -1
        return self._leaver

    def answer(self, b: int):
        """Board b answers again."""
        self._silent_ms[b] = -1

    def departed(self, b: int, dt_ms: int):
        """True when silent board b hangs on the output no more: within a second of its silence
        the others took over half of what it carried."""
        if not 0 <= self._silent_ms[b] < _DEPARTED_MS:
            return False
        self._silent_ms[b] += dt_ms
        share_ma = self._share_ma[b]
        taken_ma = self.total_ma - self._lately_ma[b]
        if share_ma < 0:
            share_ma, taken_ma = -share_ma, -taken_ma
        return taken_ma >= max(share_ma // 2, _STEP_MA)

    def _remember(self, closed: int):
        # What the others carried one and two scans ago: a board is noticed to be gone only after
        # some of them have been read since.
        for b in range(BOARDS):
            if self._silent_ms[b] < 0:
                others_ma = self.total_ma
                for i in range(b * CHANNELS, b * CHANNELS + CHANNELS):
                    if closed >> i & 1:
                        others_ma -= self._snap.current_ma[i]
                self._before_ma[b] = self._lately_ma[b]
                self._lately_ma[b] = others_ma

    # What would be

    def at_rest_mv(self, i: int):
        """The voltage that pack i would show without current: V + I * R, mV."""
        snap = self._snap
        current_ma = snap.current_ma[i] if (self.closed | self.doubtful) >> i & 1 else 0
        return snap.voltage_mv[i] + current_ma * self._pack_mohm(i) // 1000

    def resistance_mohm(self, i: int):
        """Of pack i with its path to the output, mOhm."""
        return max(self._pack_mohm(i) + self._limits.path_mohm, _LEAST_MOHM)

    def _pack_mohm(self, i: int):
        return self._snap.r_mohm[i] or self._limits.pack_mohm

    def predict(self, mask: int, total_ma: int):
        """What each pack of `mask` would carry, were these and no others connected.

        Every pack is its voltage at rest behind its resistance; the load or charger takes
        `total_ma` whatever the voltage is.

        Args:
            mask: the packs, not empty; total_ma: what the output takes, positive = discharge.

        Returns:
            array: mA of each pack of `mask`, valid until the next call.
        """
        base_mv = currents = conductance = 0
        for i in range(BATTERIES):
            if mask >> i & 1:
                here_mv = self.at_rest_mv(i)
                base_mv = base_mv or here_mv
                here_mv = min(max(here_mv - base_mv, -_FAR_MV), _FAR_MV)
                siemens = 100000 // self.resistance_mohm(i)
                self._scratch[i] = here_mv
                currents += here_mv * siemens
                conductance += siemens
        drop_mv = (currents - 100 * total_ma) // conductance
        for i in range(BATTERIES):
            if mask >> i & 1:
                siemens = 100000 // self.resistance_mohm(i)
                self.predicted_ma[i] = (self._scratch[i] - drop_mv) * siemens // 100
        return self.predicted_ma


def _follows(change: int, expected: int):
    """True when a change has the sign that is expected, and its size within a factor of three."""
    if expected < 0:
        change, expected = -change, -expected
    return expected > 0 and expected <= 3 * change and change <= 3 * expected + 10


def insert(scratch: "array", count: int, value: int):
    """Put `value` into its place among the `count` sorted values of `scratch`."""
    at = count
    while at and scratch[at - 1] > value:
        scratch[at] = scratch[at - 1]
        at -= 1
    scratch[at] = value


def _words():
    return array("i", bytes(4 * BATTERIES))
