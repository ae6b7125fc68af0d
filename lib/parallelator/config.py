# SPDX-License-Identifier: GPL-3.0-only
"""The settings files: read, layered over the defaults, the last good ones kept.

`load` is called by app at boot. A file that is not wholly valid changes nothing: the rig starts
with its last good settings and every fault is named. `web.saving` writes what the page changes.
"""

import errno
import json
import os

from micropython import const

from parallelator import json_reader, settings
from parallelator.json_error import JsonError

_MOST_KEYS = const(160)  # of one object: a file may give all settings by their whole names


def load(paths: tuple, good_path: str):
    """The settings to run with: the files of `paths` over the defaults, or the last good ones.

    Args:
        paths: config files, the later one wins; a missing one is skipped.
        good_path: where a copy of the last good settings is kept. When there is none, the first
            file alone stands in for them.

    Returns:
        (values, faults, renamed) as `settings.check` does; each fault also carries `file`, and
        that of a text that is not JSON `code`, `line` and `column`, see `JsonError.fault`.
    """
    values, faults, renamed = layer(paths)
    if faults:
        values = first_good((good_path, paths[0]))
    else:
        _keep(values, good_path)
    # One that was made at its size has no room for more, which takes memory.
    sized = dict.fromkeys(values.given)
    sized.update(values.given)
    return settings.Values(sized), faults, renamed


def first_good(paths: tuple):
    """The settings of the first of these files that can be used, else the defaults."""
    for path in paths:
        changes, problem = read(path)
        good = None if problem else _good(changes)
        if good is not None:
            return good
    return settings.Values({})


def _good(changes: "dict | None"):
    """The settings of a file, without those that an update no longer accepts; None when one of
    these bears on the protection, or when there is no file."""
    while changes is not None:
        values, found, _ = settings.check(changes)
        if not found:
            return values
        for fault in found:
            if settings.is_protective(fault["key"]) or fault["key"] not in changes:
                return None
        for fault in found:
            changes.pop(fault["key"], None)
    return None


def layer(paths: tuple):
    """The files of `paths` over the defaults: (values, faults, renamed) as `load` gives them."""
    values = settings.Values({})
    faults = []
    renamed = []
    for _ in layering(paths, values, faults, renamed):
        pass
    return values, faults, renamed


def layering(
    paths: tuple,
    values: "Values",
    faults: list,
    renamed: list,
    instead: "tuple | None" = None,
):
    """What `layer` does, as a generator with short steps; fills the three.

    Args:
        instead: (path, flat dict): use this dict instead of what that file holds; or None.
    """
    for path in paths:
        yield
        if instead and instead[0] == path:
            changes, problem = instead[1], None
        else:
            changes, problem = yield from reading(path)
        if problem:
            problem["file"] = path
            faults.append(problem)
        elif changes:
            found = []
            yield from settings.checking(changes, values, found, renamed)
            for fault in found:
                fault["file"] = path
            faults += found


def read(path: str):
    """The settings of a file as (flat dict, None), or (None, fault); two None without a file."""
    return settings.finish(reading(path))


def reading(path: str):
    """What `read` does, as a generator with short steps that returns the same."""
    try:
        with open(path, "rb") as file:
            tree = yield from json_reader.reading_object(file, entries=_MOST_KEYS)
        return (yield from settings.flattening(tree)), None
    except JsonError as error:
        return None, error.fault()
    except settings.Twice as error:
        return None, settings.fault_of(str(error), "", "this setting once")
    except OSError as error:
        if error.errno == errno.ENOENT or (error.errno == errno.ENODEV and path[0] == "/"):
            return None, None  # the second: no card; in the flash, its file system is damaged
        return None, settings.fault_of("", "OSError %s" % error.errno, "a file that can be read")


def _keep(values: "Values", path: str):
    kept, problem = read(path)
    if kept == values.given and not problem:
        return
    try:
        with open(path + ".new", "w") as file:
            json.dump(settings.finish(settings.nesting(values.given)), file)
        os.rename(path + ".new", path)
    except OSError:
        # With a full or read-only flash there is no copy; the rig starts all the same.
        return
