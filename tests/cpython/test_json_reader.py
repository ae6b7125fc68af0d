# SPDX-License-Identifier: GPL-3.0-only
"""The strict JSON reader against CPython's, made strict: what both read is the same."""

import json
import os
import random
import unicodedata

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from parallelator import json_reader
from parallelator.json_error import JsonError
from parallelator.settings import finish
from soak import mutations

EXAMPLES = 20000 if os.environ.get("SOAK") == "1" else 1000
LEVELS, ENTRIES, VALUES, KEY_BYTES, TEXT_BYTES, NUMBER_BYTES = 8, 64, 256, 64, 512, 24

KEYS = st.text(max_size=KEY_BYTES // 4)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(10**22), 10**22)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=TEXT_BYTES // 4)
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(KEYS, inner, max_size=6),
    max_leaves=40,
)

WRITTEN = st.builds(json.dumps, TREES, ensure_ascii=st.booleans()).map(str.encode)

TEXTS = (
    b'{"limits":{"min_voltage_mv":24000,"max_trips":3},"batteries":{"3":{"label":"x"}}}',
    b'{\n"limits": {"max_trips": 7}, "name": "sc\xc3\xa8ne \xf0\x9f\x94\x8b"\n}\n',
    b'\xef\xbb\xbf{"wifi": {"ssid": "stage", "password": "a\\tb"},\r\n "mqtt": {"port": 1883}}',
    b'[-1.25e-3,0,true,[false,null,{"a":[[[[]]]]}],"\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\udd0b"]',
)
SMALL = (
    b'{"a":[1,-2.5e3,true,null],"b":{}}',
    b'["\\n\\ud83d\\udd0b","\xe0\xa0\x80\xed\x9f\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"] ',
    b"[" * LEVELS + b"1" + b"]" * LEVELS,
    b"[" + b"1," * (ENTRIES - 1) + b"1]",
    b'{"' + b"k" * KEY_BYTES + b'":0}',
    b'"\\t' + b"x" * (TEXT_BYTES - 1) + b'"',
    b"1" * NUMBER_BYTES,
)
"""Some of them full up to a limit."""


WHOLE = st.sampled_from(TEXTS) | WRITTEN
SEEDS = st.integers(0, 2**32)


def mutated(text, seed):
    random.seed(seed)
    return mutations.mutated(text)


def refuse(text):
    raise ValueError(text)


def number(kind):
    def read(word):
        value = kind(word)
        return value if len(word) <= NUMBER_BYTES and abs(value) != float("inf") else refuse(word)

    return read


def unequal(pairs):
    keys = [key for key, _ in pairs]
    return dict(pairs) if len(set(keys)) == len(keys) else refuse(keys)


def parts(tree, depth=0):
    """Every value of a tree with its depth, and its keys as texts of depth None."""
    yield tree, depth
    if isinstance(tree, dict):
        for key in tree:
            yield key, None
    if isinstance(tree, (dict, list)):
        for value in tree.values() if isinstance(tree, dict) else tree:
            yield from parts(value, depth + 1)


def within_limits(tree):
    everything = list(parts(tree))
    for value, depth in everything:
        if isinstance(value, str):
            if len(value.encode()) > (KEY_BYTES if depth is None else TEXT_BYTES):
                return False
        elif isinstance(value, (dict, list)) and (len(value) > ENTRIES or depth >= LEVELS):
            return False
    return sum(depth is not None for _, depth in everything) <= VALUES


def strictly(text):
    """What RFC 8259 makes of it, within the limits.

    Raises:
        ValueError: it is no JSON or exceeds them.
    """
    tree = json.loads(
        text.decode("utf-8-sig"),
        parse_constant=refuse,
        parse_int=number(int),
        parse_float=number(float),
        object_pairs_hook=unequal,
    )
    return tree if within_limits(tree) else refuse(text)  # half a pair does not encode


def read(text):
    return finish(json_reader.reading(text))


@settings(max_examples=EXAMPLES // 5)
@given(TREES, st.booleans(), st.sampled_from((None, 0, 1, "\t")))
def test_what_python_writes_is_read_back_equal(tree, ascii_only, indent):
    text = json.dumps(tree, ensure_ascii=ascii_only, indent=indent).encode()
    assume(within_limits(tree) and len(text) <= 16384)
    found = read(text)
    assert repr(found) == repr(tree)
    assert repr(read(b"\xef\xbb\xbf" + text)) == repr(tree)


def check(text):
    """Read a text as a strict reader does, or refuse it at a place within it."""
    try:
        wanted = repr(strictly(text))
    except (ValueError, RecursionError):
        wanted = None
    try:
        found = repr(read(text))
    except JsonError as error:
        found = None
        lines = text.split(b"\n")
        assert 1 <= error.line <= len(lines)
        assert 1 <= error.column <= len(lines[error.line - 1]) + 1
        told = error.found + error.allowed + str(error)
        assert not [char for char in told if unicodedata.category(char) == "Cc"]
        assert len(error.found) <= 33 and len(error.allowed) <= 33
    assert found == wanted


def test_every_scrap_at_every_place_of_small_texts():
    for text in SMALL:
        check(text)
        for at in {*range(min(len(text), 45)), *range(len(text) - 2, len(text) + 1)}:
            for scrap in (*mutations.SCRAPS, text[at : at + 1] * 2):
                check(text[:at] + scrap + text[at:])
                check(text[:at] + scrap + text[at + 1 :])


@settings(max_examples=EXAMPLES)
@given(WHOLE, SEEDS)
def test_a_mutated_text_is_read_as_by_a_strict_reader_or_refused(text, seed):
    check(text)
    check(mutated(text, seed))


@given(WHOLE, SEEDS)
def test_the_steps_are_as_many_as_the_bytes_allow(text, seed):
    text = mutated(text, seed)
    steps = 0
    try:
        for _ in json_reader.reading(text):
            steps += 1
        assert steps >= len(text) / 64
    except JsonError:
        pass
    assert steps <= len(text) / 10 + len(text) / 64 + 1


def outcome(text):
    try:
        return repr(read(text))
    except JsonError as error:
        return error


@given(WHOLE, SEEDS, st.integers(1, 70))
def test_blanks_before_a_text_change_nothing_but_the_place(text, seed, blanks):
    text = mutated(text, seed)
    assume(not text.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")) and 0 not in text[:4])
    plain, moved = outcome(text), outcome(b" " * blanks + text)
    if isinstance(plain, str):
        assert moved == plain
    else:
        column = plain.column + (blanks if plain.line == 1 else 0)
        assert (moved.line, moved.column) == (plain.line, column)
        assert (moved.code, moved.found, moved.allowed) == (plain.code, plain.found, plain.allowed)
