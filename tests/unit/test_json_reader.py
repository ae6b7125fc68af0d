# SPDX-License-Identifier: GPL-3.0-only
"""The strict JSON reader: what it takes, what it refuses, and in which words."""

import gc
import io
import json

from parallelator import json_reader, settings
from parallelator.json_error import JsonError
from parallelator.settings import finish, nesting
from parallelator.wording import Words
from soak import mutations

BATTERY = "\U0001f50b"
DEEPEST = b"[" * 8 + b"]" * 8


def read(source, **limits):
    return finish(json_reader.reading(source, **limits))


def fault(source, **limits):
    """The JsonError of a text; it must have one."""
    try:
        value = read(source, **limits)
    except JsonError as error:
        return error
    raise AssertionError("%r was read as %r" % (source, value))


def code(source, **limits):
    return fault(source, **limits).code


# What people get wrong: the text, and what they are told.
SLIPS = (
    (
        b'{"limits": {"min_voltage_mv": 24,5, "max_voltage_mv": 30,0}}',
        "line 1, column 31: 24,5 has a comma. Write 24.5",
    ),
    (b'{"limits": {"min_voltage_mv": 25000,5}}', "column 31: 25000,5 has a comma. Write 25000.5"),
    (b'{\n "a": -3,50\n}', "line 2, column 7: -3,50 has a comma. Write -3.50"),
    (b'{"limits": {"min": 24 000, "max": 30 000}}', "column 20: 24 000 has a blank. Write 24000"),
    (b'{"limits": {"trip_decay_s": 3 600}}', "column 29: 3 600 has a blank. Write 3600"),
    (
        b'{"batteries": {3: {"label": "x"}}}',
        'line 1, column 16: the key 3 has no double quotes. Write "3"',
    ),
    (b"{limits: {}}", 'column 2: the key limits has no double quotes. Write "limits"'),
    (b'{"a": 1,2: 3}', 'column 9: the key 2 has no double quotes. Write "2"'),
    (b'{"a": 1, b: 3}', 'column 10: the key b has no double quotes. Write "b"'),
    (b'{"limits": {"max_trips": }}', "line 1, column 26: a value is missing before }"),
    (b'{"a": , "b": 1}', "column 7: a value is missing before ,"),
    (
        b'{"limits": {"min": 25000}, "limits": {"max_trips": 3}}',
        "line 1, column 28: the key limits is there twice",
    ),
    (b'{"a": "\\ud83d"}', "column 14: \\ud83d is only half a character"),
    (b'{"a": "\\ud83dx"}', "column 14: \\ud83d is only half a character"),
    (b'{"a": "\\ud83d\\n"}', "column 15: \\ud83d is only half a character"),
    (b'{"a": "\\ud83d\\u0041"}', "column 19: \\ud83d is only half a character"),
    (b'{"a": "\\udd0b"}', "column 13: \\udd0b is only half a character"),
    (
        b'{\n// our limits\n"limits": {"max_trips": 7}}',
        "line 2, column 1: / begins a comment. JSON has none: remove it",
    ),
    (b'{"a": 1} # end', "column 10: # begins a comment. JSON has none: remove it"),
    (b'{"a": /* old */ 1}', "column 7: / begins a comment. JSON has none: remove it"),
    (
        "{\u201climits\u201d: {\u201cmax_trips\u201d: 7}}".encode(),
        'line 1, column 2: \u201c is not a straight double quote. Write "',
    ),
    ('{"a": \u00abx\u00bb}'.encode(), 'column 7: \u00ab is not a straight double quote. Write "'),
    (b"{'a': 1}", "column 2: ' is not a straight double quote. Write \""),
    (b'{"a": 1\n', "line 2, column 1: the text ends too early"),
    (b'{"limits": {"max_trips": 7}, "na', "line 1, column 33: the text ends too early"),
    (
        b'{"a": tr',
        'column 7: tr is neither a number nor true, false or null. Text is written "tr"',
    ),
    (b"", "line 1, column 1: the text ends too early"),
    (b" \n ", "line 2, column 2: the text ends too early"),
    (
        b'{"limits": {"max_trips": 7}, "name": "sc\xe9ne"}',
        "line 1, column 41: \xe9 is saved as Latin-1 (ANSI). Save the file as UTF-8",
    ),
    (b'{"a": "\x80 5"}', "column 8: 0x80 is saved as Latin-1 (ANSI). Save the file as UTF-8"),
    (b'\xff\xfe{\0"\0', "line 1, column 1: the file is saved as UTF-16. Save it as UTF-8"),
    (b'\xfe\xff\0{\0"', "line 1, column 1: the file is saved as UTF-16. Save it as UTF-8"),
    (b'{\0"\0a\0', "line 1, column 1: the file is saved as UTF-16. Save it as UTF-8"),
    (b"\xff\xfe\0\0{\0\0\0", "line 1, column 1: the file is saved as UTF-32. Save it as UTF-8"),
    (b'\0\0\0{\0\0\0"', "line 1, column 1: the file is saved as UTF-32. Save it as UTF-8"),
    (b'{"a": "\xc0\xaf"}', "column 8: the byte 0xAF is not UTF-8. Save the file as UTF-8"),
    (b'{"a": 1,}', "line 1, column 9: remove the comma before }"),
    (b'{"a": [1, 2,\n]}', "line 2, column 1: remove the comma before ]"),
    (b'{"a": 1} {"b": 2}', "column 10: { comes after the end of the object"),
    (b'{"a": 1} x', "column 10: x comes after the end of the object"),
    (b'{"a" 1}', "column 6: a colon is missing before 1"),
    (b'{"a" = 1}', "column 6: a colon is missing before ="),
    (b'{"a": 1 "b": 2}', 'column 9: a comma or } is missing before "'),
    (b'{"a": "x" 000}', "column 11: a comma or } is missing before 000"),
    (b'{"a": 5\n000}', "line 2, column 1: a comma or } is missing before 000"),
    (b'{"a": [5] 000}', "column 11: a comma or } is missing before 000"),
    (b'{"a": [1 2]}', "column 10: a comma or ] is missing before 2"),
    (b'{"a": [1}', "column 9: a comma or ] is missing before }"),
    (b'{"a": 1;}', "column 8: a comma or } is missing before ;"),
    (b'{"a": 24\'000}', "column 9: a comma or } is missing before '"),
    (b'{"a": True}', "column 7: in JSON, True is written true"),
    (b'{"a": None}', "column 7: in JSON, None is written null"),
    (b'{"a": -Infinity}', "column 7: JSON has no -Infinity. Write null for an unknown value"),
    (b'{"a": NaN}', "column 7: JSON has no NaN. Write null for an unknown value"),
    (b'{"a": 01}', "column 7: 01 is no number in JSON. Write 1"),
    (b'{"a": +1}', "column 7: +1 is no number in JSON. Write 1"),
    (b'{"a": -.5}', "column 7: -.5 is no number in JSON. Write -0.5"),
    (b'{"a": 5.}', "column 7: 5. is no number in JSON. Write 5"),
    (b'{"a": 24_000}', "column 7: 24_000 is no number in JSON. Write 24000"),
    (
        b'{"mode": auto}',
        'column 10: auto is neither a number nor true, false or null. Text is written "auto"',
    ),
    (
        b'{"ip": 192.168.4.1}',
        "column 8: 192.168.4.1 is neither a number nor true, false or null. "
        'Text is written "192.168.4.1"',
    ),
    (b'{"a": 1e999}', "column 7: the number 1e999 is too large or too long"),
    (b'{"a": "x\n"}', "column 9: a double quote is missing at the end of the text"),
    (
        b'{"a": "x\ty"}',
        "column 9: the control character U+0009 in a text. A tab is written \\t",
    ),
    (b'{"a": "C:\\logs"}', "column 11: \\l means nothing. A backslash is written \\\\"),
    (b'{"a": "\\u12g4"}', "column 12: \\u means nothing. A backslash is written \\\\"),
    (
        '{"a": 24\u202f000}'.encode(),
        "column 9: an invisible character, U+202F. Replace it with a plain blank",
    ),
    (
        b'{"a": 1}\0\0\0',
        "column 9: an invisible character, U+0000. Replace it with a plain blank",
    ),
    (b'{"a": @}', "column 7: a value is missing before @"),
    (b"{,}", "column 2: , where a key in double quotes belongs"),
)


def test_each_slip_is_named_with_its_place():
    words = Words("en")
    for text, sentence in SLIPS:
        said = words.json_error(fault(text).fault())
        assert said.startswith("line ") and said.endswith(sentence), (text, said)


def test_the_same_in_french():
    words = Words("fr")
    said = words.json_error(fault(b'{\n  "a": 12,5\n}').fault())
    assert said == "ligne 2, colonne 8\xa0: 12,5 contient une virgule. \xc9crivez 12.5", said
    for text, _ in SLIPS:
        error = fault(text)
        said = words.json_error(error.fault())
        assert "{" not in said.replace(error.found, "").replace(error.allowed, ""), said


def test_a_place_counts_characters_not_bytes():
    error = fault('{"\u00e9\u20ac\U0001f50b": 1,}'.encode())
    assert (error.line, error.column) == (1, 11)
    error = fault('{"\u00e9": "\U0001f50b",\r\n "\u20ac": \u00e9'.encode())
    assert (error.code, error.line, error.column) == ("value", 2, 7)
    error = fault(b'\xef\xbb\xbf{"a": x}')
    assert (error.code, error.line, error.column) == ("word", 1, 7)


def test_what_was_found_is_short_and_printable():
    error = fault(b'{"' + b"\\u0007\\n" * 20 + b'": 1, "' + b"\\u0007\\n" * 20 + b'": 1}')
    assert error.code == "duplicate" and error.found == "?" * 32 + "\u2026", error.found
    error = fault(b'{"\\u0085\\u009f\\u007f\\u00a0": 1, "\\u0085\\u009f\\u007f\\u00a0": 1}')
    assert error.found == "?????\xa0", error.found
    assert str(error) == "line 1, column 33: duplicate ?????\xa0 ()", str(error)
    error = fault(b'{"a": ' + b"x" * 3000 + b"}")
    assert error.code == "word" and len(error.found) == len(error.allowed) == 33


def test_a_password_is_never_shown():
    for text in (
        b'{"wifi": {"password": hunter2}}',
        b'{"web.password": 12,50}',
        b'{"ap_password": 12 500}',
        b'{"password": 0123}',
        b'{"PASSWORD": "12"34"}',
        b'{"password": ["a", hunter2]}',
        b'{"password": 1e99999}',
    ):
        error = fault(text)
        assert error.found == "***", text
        assert not error.allowed.strip('}]*"'), (text, error.allowed)
    assert fault(b'{"password": "x", ssid: 1}').found == "ssid"
    assert fault(b'{"a": 1, "password": "x", "a": 1}').found == "a"


ACCEPTED = (
    (b"{}", {}),
    (b"[]", []),
    (b' \t\r\n{ "a" : [ ] } \n', {"a": []}),
    (b"\xef\xbb\xbf{}", {}),
    (b"0", 0),
    (b"-0", 0),
    (b"7", 7),
    (b"-12", -12),
    (b"9007199254740993", 9007199254740993),
    (b"-99999999999999999999999", -99999999999999999999999),
    (b"true", True),
    (b"[true, false, null]", [True, False, None]),
    (b'""', ""),
    (b'"\\"\\\\\\/\\b\\f\\n\\r\\t"', '"\\/\b\f\n\r\t'),
    (b'"\\u0000\\u0041\\u00e9\\u20AC\\uFFFF"', "\0A\xe9\u20ac\uffff"),
    (b'"\\uD83D\\uDD0B"', BATTERY),
    (b'"\\udbff\\udfff\\ud800\\udc00"', "\U0010ffff\U00010000"),
    (
        '"\xe9\u20ac\U0001f50b\ud7ff\ue000\U0010ffff"'.encode(),
        "\xe9\u20ac" + BATTERY + "\ud7ff\ue000\U0010ffff",
    ),
    (b'"\x7f \xe2\x80\xa8"', "\x7f \u2028"),
    (b'{"": {"": 1}}', {"": {"": 1}}),
    (b'{"a": 1, "A": 2, "\\u0061b": 3}', {"a": 1, "A": 2, "ab": 3}),
    (b'{"password": "// # \xe2\x80\x9c , 1 000"}', {"password": "// # \u201c , 1 000"}),
    (b'[[1,2],{"a":3},"x",4]', [[1, 2], {"a": 3}, "x", 4]),
)
FLOATS = (b"0.5", b"-0.0", b"1e3", b"1E+3", b"1.25e-2", b"123.5", b"0e0", b"1e-400")

REJECTED = rb"""
[
]
{
}
[}
{]
[1
{"a"
{"a":
{"a":1
[]]
[][]
[,]
[1,]
[,1]
[1,,2]
[1 2]
[1:2]
[1;2]
[1]x
[1],
1 2
{"a"}
{"a",1}
{"a"::1}
{:1}
{1:1}
{null:1}
{"a":1 "b":2}
{"a":1,,"b":2}
{"a":1,}
{,}
{"a" "b"}
{[]:1}
{"a":1}}
<null>
*
(
tru
truee
True
TRUE
nul
nil
undefined
NaN
-NaN
Infinity
-
+1
01
-01
00
1.
.1
-.1
1.e3
0.e1
1e
1e+
1e1.5
1e5e5
e1
1.2.3
--1
1-
1+2
- 1
0x1F
1_000
1 000
1e400
-1e400
1000000000000000000000000
"
"a
"\"
"\
"\u
"\u12
"\u12"
"\u123g"
"\x41"
"\a"
"\'"
"\U00e9"
"\ "
'a'
a"
"a" "b"
"\ud800"
"\udc00"
"\ud800\ud800"
"\udc00\ud800"
"\ud800\"
"\ud800
1//x
/**/1
#1
""".split(b"\n")
"""One a line; the first and the last are empty."""

REJECTED_BYTES = (
    b'"\n" "\r" "\t" "\0" "\x1f" "\x80" "\xbf" "\xe9" "\xff" "\xc3" "\xe2\x82" "\xf0\x9f\x94"'
    b' "\xc0\x80" "\xc1\xbf" "\xe0\x9f\xbf" "\xed\xa0\x80" "\xed\xbf\xbf" "\xf0\x8f\xbf\xbf"'
    b' "\xf4\x90\x80\x80" "\xf5\x80\x80\x80" "\xe2\x82x" "\xc3 \xc3 \xe2\x82 \xa0 \xef\xbb 1\0'
    b" \0 \0\0\0\0 1\x0b 1\x0c \xc2\xa01 1\xc2\xa0 \xe2\x80\xa91 \xef\xbc\x91 \xd9\xa1"
    b" 1\xc3 1\xe2\x80"
).split(b" ")
"""A control character in a text, bytes that are not UTF-8, and characters outside texts."""


def test_what_json_allows_is_read():
    for text, value in ACCEPTED:
        found = read(text)
        assert found == value and type(found) is type(value), (text, found)
    for text in FLOATS:
        found = read(text)
        assert isinstance(found, float) and found == float(text), (text, found)


def test_what_json_does_not_allow_is_refused():
    for text in REJECTED + REJECTED_BYTES:
        for around in (b"%s", b" %s ", b"[1, %s]"):
            fault(around % text)
    fault(b"\xef\xbb\xbf\xef\xbb\xbf1")


def test_what_json_leaves_open_is_settled():
    assert code(b'{"a": 1, "\\u0061": 2}') == "duplicate"
    assert code(b'"\\ud83d"') == "surrogate"
    assert read(b"\xef\xbb\xbf1") == 1
    assert read(b"1E-999") == 0 and code(b"1E999") == "large"
    assert read(b"123456789012345678901234") == 123456789012345678901234
    assert code(b"1234567890123456789012345") == "large"
    assert read(DEEPEST) == [[[[[[[[]]]]]]]]
    assert code(b"[" + DEEPEST + b"]") == "deep"
    assert read(b'"\\u0000"') == "\0" and read('"\ufdd0\uffff"'.encode()) == "\ufdd0\uffff"


def keys(count, key=b"k%d"):
    return b"{" + b",".join(b'"' + key % k + b'":1' for k in range(count)) + b"}"


def test_the_limits_hold_at_their_edges():
    assert len(read(keys(64))) == 64 and code(keys(65)) == "many"
    assert len(read(b"[" + b"1," * 63 + b"1]")) == 64
    assert code(b"[" + b"1," * 64 + b"1]") == "many"
    lists = b"[" + b",".join([b"[" + b",".join([b"1"] * 50) + b"]"] * 5) + b"]"
    assert len(read(lists)) == 5 and code(lists, values=255) == "many"
    assert read(b'{"%s": 1}' % (b"k" * 64)) == {"k" * 64: 1}
    assert code(b'{"%s": 1}' % (b"k" * 65)) == "long"
    assert len(read(b'"%s"' % ("\xe9" * 256).encode())) == 256
    assert code(b'"%s\\n"' % ("\xe9" * 256).encode()) == "long"
    assert read(b" " * 16382 + b"{}") == {} and code(b" " * 16383 + b"{}") == "size"
    assert code(b'{"password":"x"}', most_bytes=15) == "size"
    assert read(b'{"password":"x"}', most_bytes=16) == {"password": "x"}
    assert code(b"[[]]", levels=1) == "deep" and code(b"[1,2]", entries=1) == "many"


def test_a_file_with_every_setting_fits():
    tree = finish(nesting({row[0]: row[1] for row in settings.rows()}))
    for n in range(1, 17):
        tree["batteries"][str(n)]["label"] = "\u20ac" * 24
    text = json.dumps(tree)
    assert read(text.encode()) == tree and len(text) < 8192


def test_an_object_can_be_asked_for():
    assert finish(json_reader.reading_object(b"{}", most_bytes=2)) == {}
    try:
        finish(json_reader.reading_object(b"[1]"))
        raise AssertionError
    except JsonError as error:
        assert (error.code, error.line, error.column) == ("object", 1, 1)
        assert Words("en").json_error(error.fault()).endswith("this is no object. Begin with {")


def test_bytes_of_any_kind_and_files_are_read():
    text = b'{"limits": {"max_trips": 7}, "name": "' + b"x" * 100 + b'"}'
    value = read(text)
    assert value == {"limits": {"max_trips": 7}, "name": "x" * 100}
    assert read(bytearray(text)) == read(memoryview(text)) == read(io.BytesIO(text)) == value


def test_a_token_may_lie_across_pieces():
    token = '"\\ud83d\\udd0b\\n\u20ac\U0001f50bxyz", -12.5e1, true, "'
    for blanks in range(70):
        text = ("[" + " " * blanks + token + '"]').encode()
        assert read(text) == [BATTERY + "\n\u20ac" + BATTERY + "xyz", -125.0, True, ""]
        error = fault(("[" + " " * blanks + "24 000]").encode())
        assert (error.found, error.column) == ("24 000", blanks + 2)
        error = fault((" " * blanks + '{"a": 24,5}').encode())
        assert (error.found, error.column) == ("24,5", blanks + 7)
        error = fault((" " * blanks + "\u201c").encode())
        assert (error.found, error.column) == ("\u201c", blanks + 1)


def steps(text):
    """How often the reading of a text pauses; it may fail."""
    count = 0
    try:
        for _ in json_reader.reading(text):
            count += 1
    except JsonError:
        pass
    return count


def test_it_goes_in_short_steps():
    for text in (keys(64), b" " * 16000, b"\n" * 16000, b'"' + b"\\n" * 500 + b'"', b"[" * 8):
        assert len(text) / 64 <= steps(text) <= len(text) / 10 + len(text) / 64 + 1, text[:9]


def colliding(count):
    """Keys that share MicroPython's hash: found by undoing two letters from its end."""
    undo = 0x83E1
    assert 33 * undo & 0xFFFF == 1
    letters = b"abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGH"
    tails = {}
    for last in letters:
        for before in letters:
            state = ((0x1234 ^ last) * undo ^ before) * undo & 0xFFFF
            tails[state] = bytes((before, last))
    found = []
    for a in letters:
        for b in letters:
            for c in letters:
                state = 5381
                for byte in (a, b, c):
                    state = (state * 33 ^ byte) & 0xFFFF
                if state in tails:
                    found.append(bytes((a, b, c)) + tails[state])
                    if len(found) == count:
                        return found
    raise AssertionError(len(found))


def test_keys_that_share_a_hash_end_at_the_limit():
    found = colliding(1000)
    assert len({hash(key.decode()) & 0xFFFF for key in found}) == 1
    text = b"{" + b",".join(b'"%s":1' % key for key in found) + b"}"
    error = fault(text)
    assert error.code == "many" and error.column < 66 * 10
    assert steps(text) < 66 * 10 / 10 + 66 * 10 / 64 + 1


def test_no_character_is_kept_when_its_text_is_gone():
    def meet(first):
        for unit in range(first, first + 512):
            read(b'"\\u%04x"' % unit)
            read(b'"%s"' % bytes((0xE0 | unit >> 12, 0x80 | unit >> 6 & 63, 0x80 | unit & 63)))
            key = b'"\\u%04x": 1' % unit
            assert code(b"{%s, %s}" % (key, key)) == "duplicate"

    meet(0x4000)
    gc.collect()
    before = gc.mem_alloc()
    meet(0x5000)
    gc.collect()
    assert gc.mem_alloc() - before < 1024, gc.mem_alloc() - before


def test_a_thousand_mistakes_of_each_kind():
    for name, campaign in mutations.campaigns("."):
        campaign.run(1000, mutations.SEED)
        assert campaign.wrong == [], (name, campaign.wrong)
        assert campaign.read > 50 and campaign.refused > 500 and len(campaign.codes) > 15, name


def test_the_campaign_sees_what_is_wrong():
    mutations.STEP_BYTES -= 1
    try:
        for _, campaign in mutations.campaigns("."):
            campaign.run(1000, mutations.SEED)
            assert "64 bytes in a step" in campaign.wrong[0]
    finally:
        mutations.STEP_BYTES += 1
