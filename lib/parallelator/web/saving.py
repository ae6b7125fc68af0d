# SPDX-License-Identifier: GPL-3.0-only
"""Settings over HTTP: shown, described, and saved all or nothing. Routed by api.

Secrets never leave: GET tells only whether they are set.
"""

import asyncio
import json
import os

from micropython import const

from parallelator import config, json_reader, settings
from parallelator.json_error import JsonError
from parallelator.records import fatfile

from . import answer, auth, calmly, dump, joined, json_object, problem

_CHANGES = const(100)
_LOOK_MS = const(100)
_PATIENCE = const(50)


class Saving:
    """The settings of a rig.

    Args:
        rig: the `Rig`; of it `settings` (in use), `pending` (saved, in use after the next
            restart), `faults`, `config_files`, `find_limits` and `take_over`.
    """

    def __init__(self, rig: "Rig", access: "Auth"):
        self._rig = rig
        self._access = access
        self._one_at_a_time = asyncio.Lock()

    def show(self, request: "Request"):
        """GET /api/settings: what is saved, which secrets are set, what waits for a restart."""
        return answer(self._values())

    def _values(self):
        rig = self._rig

        def saved(key: str):
            return rig.pending.get(key, rig.settings[key])

        shown = (row[0] for row in settings.rows() if row[0] not in settings.SECRETS)
        yield '{"values":{'
        yield from joined(dump(key) + ":" + dump(saved(key)) for key in shown)
        yield '},"secrets":' + dump({key: bool(saved(key)) for key in settings.SECRETS})
        yield ',"pending":' + dump(sorted(rig.pending)) + ',"faults":['
        yield from joined(dump(fault) for fault in rig.faults)
        yield "]}"

    def schema(self, request: "Request"):
        """GET /api/settings/schema: an object for each setting, in the order of the table."""
        return answer(_schema())

    async def change(self, request: "Request"):
        """PATCH /api/settings {key: value, ...}, dotted or nested, old names allowed."""
        res = await self._access.refusal(request)
        if res:
            return res
        tree = await json_object(request)
        try:
            flat = await calmly(settings.flattening(tree))
        except settings.Twice as error:
            return _refused([settings.fault_of(str(error), "", "this setting once")])
        return await self.save(flat)

    async def save(self, changes: dict):
        """What `change` does with a flat dict, for callers that have checked the permission."""
        async with self._one_at_a_time:
            return await self._save(changes)

    async def save_text(self, key: bytes, text: bytes):
        """Save one setting as MQTT brings it, if it may change while the rig runs.

        Args:
            key: of the setting; text: its value in JSON.

        Returns:
            bool or None: True when it was saved, False when it is refused, None when it has that
            value already.
        """
        try:
            name = key.decode()
            changes = await calmly(json_reader.reading_object(b'{"%s":%s}' % (key, text)))
        except (JsonError, UnicodeError):
            return False
        if list(changes) != [name] or not (settings.row_of(name) and settings.is_live(name)):
            return False
        if self._rig.settings[name] == changes[name]:
            return None
        return (await self.save(changes)).status_code == 200

    async def _save(self, flat: dict):
        rig = self._rig
        if len(flat) > _CHANGES:
            allowed = "at most %d settings at once" % _CHANGES
            return _refused([settings.fault_of("", len(flat), allowed)])
        changes = {settings.new_name(key): value for key, value in flat.items()}
        faults = []
        values = rig.settings.with_changes(rig.pending)
        await calmly(settings.checking(changes, values, faults, []))
        if faults:
            return _refused(faults)
        if changes.get("web.password"):
            changes["web.password"] = await auth.hashed(changes["web.password"])
        try:
            await self._better_moment()
            limits = await rig.find_limits(changes)
            faults = await write(
                changes, rig.settings, rig.config_files, rig.card, rig.pauses.flash
            )
        except OSError:
            return problem(507, "storage", "The settings could not be written; nothing changed.")
        if faults:
            return _refused(faults)
        rig.take_over(changes, limits)
        return answer({"saved": sorted(changes), "pending": sorted(rig.pending)})

    async def _better_moment(self):
        """Wait while a battery is close to a limit; five seconds at most: a person waits."""
        for _ in range(_PATIENCE):
            if not self._rig.guard.strained():
                return
            await asyncio.sleep_ms(_LOOK_MS)


async def write(changes: dict, running: "Values", paths: tuple, card: "Card", flash: "Callable"):
    """Write changes into the last of `paths` that is there: all of them, or none.

    The file keeps its other settings; one that cannot be used is replaced by the running ones,
    and kept as `.bad` beside. What is written has passed the checks of the next boot. The first
    path lies on LittleFS, where a renamed file is the old or the new one at every power cut; the
    others on FAT, see `fatfile`. Blocks while a flash sector is erased, and at no other time for
    long.

    Args:
        changes: flat dict that `settings.check` found good, no old names.
        running: the settings in use; paths: as `config.load` takes them; card: the `Card`.
        flash: as of `Pauses`.

    Returns:
        list: the faults for which nothing was saved; each carries `file`.

    Raises:
        OSError: the file system is full or broken; the old file is as it was.
    """
    path = paths[0]
    for later in paths[1:]:
        if fatfile.there(later):
            path = later
    flat = await _kept(path, running, card)
    flat.update(changes)
    faults = []
    await calmly(config.layering(paths, settings.Values({}), faults, [], (path, flat)))
    if faults:
        return faults
    texts = []
    await calmly(_branches(await calmly(settings.nesting(flat)), texts))
    if path == paths[0]:
        file = flash(lambda: open(path + ".new", "w"))  # noqa: SIM115
        try:
            for text in texts:
                file.write(text)
                await asyncio.sleep_ms(0)
        finally:
            flash(file.close)
        flash(lambda: os.rename(path + ".new", path))
    else:
        fatfile.replace(card, path, texts)
    return []


async def _kept(path: str, running: "Values", card: "Card"):
    """The settings of a file, flat, under their new names; the running ones if it has faults."""
    found, _ = await calmly(config.reading(path))
    faults = []
    await calmly(config.layering((path,), settings.Values({}), faults, []))
    if faults:
        fatfile.copy(card, path, path + ".bad")
        return {row[0]: running[row[0]] for row in settings.rows() if running[row[0]] != row[1]}
    return {settings.new_name(key): value for key, value in (found or {}).items()}


def _branches(tree: dict, texts: list):
    """Adds the JSON text of a tree, a line for each branch."""
    texts.append("{")
    branches = ("\n%s: %s" % (json.dumps(key), json.dumps(tree[key])) for key in tree)
    for text in joined(branches):
        texts.append(text)
        yield
    texts.append("\n}\n" if tree else "}\n")


def _refused(faults: list):
    message = "Nothing was changed. Faults in the settings: %d." % len(faults)
    res = problem(422, "settings", message, faults[0]["key"])
    start = res.body.decode()[:-2]
    res.body = _with_faults(start, faults)
    return res


def _with_faults(start: str, faults: list):
    yield start + ',"faults":['
    yield from joined(dump(fault) for fault in faults)
    yield "]}}"


def _schema():
    yield "["
    yield from joined(dump(describe(row)) for row in settings.rows())
    yield "]"


def describe(row: tuple):
    """A row of `settings.rows` as the page and other programs need it: a dict."""
    key, default, low, high, unit = row
    kind = "integer"
    if default is None:
        kind = {settings.FLAG: "flag", settings.CURVE: "curve"}.get(low, "bits")
    elif isinstance(low, tuple):
        kind = "choice"
    elif isinstance(default, bool):
        kind = "flag"
    elif isinstance(default, str):
        kind = "secret" if key in settings.SECRETS else "text"
    ranged = kind in ("integer", "text", "secret")
    return {
        "key": key,
        "type": kind,
        "default": default,
        "preset": default is None,
        "min": low if ranged else None,
        "max": high if ranged else None,
        "choices": low if kind == "choice" else None,
        "unit": unit,
        "restart": not settings.is_live(key),
    }
