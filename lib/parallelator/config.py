"""The settings files: read, layered over the defaults, the last good ones kept.

`load` is called by app at boot. A file that is not wholly valid changes nothing: the rig starts
with its last good settings and every fault is named. `web.saving` writes what the page changes.
"""

import errno
import json
import os

from parallelator import settings

_MAX_BYTES = 16384
_ROWS_A_STEP = 8
_BYTE_ORDER_MARK = "\ufeff"
"""What some editors put before the text."""


def load(paths, good_path):
    """The settings to run with: the files of `paths` over the defaults, or the last good ones.

    Args:
        paths: config files, the later one wins; a missing one is skipped.
        good_path: where a copy of the last good settings is kept.

    Returns:
        (values, faults, renamed) as `settings.check` does; each fault also carries `file`.
    """
    values, faults, renamed = layer(paths)
    if not faults:
        _keep(values, good_path)
        return values, faults, renamed
    return _good(good_path), faults, renamed


def _good(path):
    """The last good settings, without what an update has made a fault if no limit is among it."""
    kept, problem = read(path)
    while kept and not problem:
        good, found, _ = settings.check(kept, settings.defaults())
        if not found:
            return good
        for fault in found:
            if settings.is_protective(fault["key"]) or fault["key"] not in kept:
                return settings.defaults()
        for fault in found:
            kept.pop(fault["key"], None)
    return settings.defaults()


def layer(paths):
    """The files of `paths` over the defaults: (values, faults, renamed) as `load` gives them."""
    values = {}
    faults = []
    renamed = []
    for _ in layering(paths, values, faults, renamed):
        pass
    return values, faults, renamed


def layering(paths, values, faults, renamed, instead=None):
    """What `layer` does, as a generator with short steps; fills the three.

    Args:
        instead: (path, flat dict) that stands for what this file says now, or None.
    """
    for k, row in enumerate(settings.rows()):
        if k % _ROWS_A_STEP == 0:
            yield
        values[row[0]] = row[1]
    for path in paths:
        yield
        if instead and instead[0] == path:
            changes, problem = instead[1], None
        else:
            changes, problem = yield from reading(path)
        if problem:
            faults.append({"file": path, "key": "", "found": problem, "allowed": "a JSON object"})
        elif changes:
            found = []
            yield from settings.checking(changes, values, found, renamed)
            for fault in found:
                fault["file"] = path
            faults += found


def read(path):
    """(flat dict or None, problem or None); a missing file is neither."""
    return settings.finish(reading(path))


def reading(path):
    """What `read` does, as a generator with short steps that returns the same."""
    try:
        if os.stat(path)[6] > _MAX_BYTES:
            return None, "larger than %d bytes" % _MAX_BYTES
        yield
        with open(path) as file:
            if file.read(1) != _BYTE_ORDER_MARK:
                file.seek(0)
            text = file.read()
        yield
        tree = json.loads(text)
    except OSError as error:
        return None, None if error.errno in (errno.ENOENT, errno.ENODEV) else "not readable"
    except ValueError:
        return None, "not JSON"
    if not isinstance(tree, dict):
        return None, "not an object"
    yield
    return (yield from settings.flattening(tree)), None


def _keep(values, path):
    kept, problem = read(path)
    if kept == values and not problem:
        return
    try:
        with open(path + ".new", "w") as file:
            json.dump(values, file)
        os.rename(path + ".new", path)
    except OSError:
        # A full or read-only flash costs the copy, not the start.
        return
