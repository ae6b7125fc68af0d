# SPDX-License-Identifier: GPL-3.0-only
"""The one table of settings: checking, layering, last good values."""

import errno
import json
import os

from parallelator import config, settings
from parallelator.hardware import ina_models

FOLDER = "build/sim/settings"
CONFIG = FOLDER + "/config.json"
CARD = FOLDER + "/card.json"
GOOD = FOLDER + "/good.json"


def fresh(main=None, card=None, good=None):
    """An empty folder with these files (dict or text); what `load` makes of it."""
    for path in ("build", "build/sim", FOLDER):
        try:
            os.mkdir(path)
        except OSError:
            continue
    for path in (CONFIG, CARD, GOOD):
        try:
            os.remove(path)
        except OSError:
            continue
    for path, content in ((CONFIG, main), (CARD, card), (GOOD, good)):
        if content is not None:
            with open(path, "w") as file:
                file.write(content if isinstance(content, str) else json.dumps(content))
    return config.load((CONFIG, CARD), GOOD)


def text_of(path):
    with open(path) as file:
        return file.read()


def test_without_a_file_the_defaults_rule():
    values, faults, renamed = fresh()
    assert values.given == {} and faults == [] and renamed == []
    assert values["limits.min_voltage_mv"] == 24000 and values["batteries.16.mode"] == "auto"


def test_the_card_wins_over_the_flash_key_by_key():
    values, faults, _ = fresh(
        {"name": "left", "limits": {"max_trips": 3}}, {"limits": {"max_trips": 4}}
    )
    assert faults == []
    assert values["name"] == "left" and values["limits.max_trips"] == 4


def test_every_fault_names_file_key_value_and_what_is_allowed():
    values, faults, _ = fresh(
        {"limits": {"max_trips": "five", "min_voltage_mv": 1, "colour": 3}, "language": "de"}
    )
    assert values.given == {}
    found = {fault["key"]: fault for fault in faults}
    assert sorted(found) == [
        "language",
        "limits.colour",
        "limits.max_trips",
        "limits.min_voltage_mv",
    ]
    for fault in faults:
        assert fault["file"] == CONFIG
    assert found["limits.max_trips"]["found"] == "five"
    assert found["limits.max_trips"]["allowed"] == "a whole number, 1 to 1000"
    assert found["limits.min_voltage_mv"]["allowed"] == "a whole number, 5000 to 60000 mV"
    assert found["language"]["allowed"] == "one of en, fr"
    assert found["limits.colour"]["allowed"] == "no such setting"


def test_a_truth_value_is_no_number_and_no_number_is_a_truth_value():
    _, faults, _ = fresh({"limits": {"max_trips": True}, "serial_messages": 1})
    assert sorted(fault["key"] for fault in faults) == ["limits.max_trips", "serial_messages"]
    _, faults, _ = fresh({"serial_messages": False})
    assert faults == []


def test_a_file_that_is_not_json_keeps_the_last_good_settings_and_is_left_alone():
    fresh({"limits": {"max_trips": 3}})
    good = text_of(GOOD)
    values, faults, _ = fresh("{broken", good=good)
    assert values["limits.max_trips"] == 3
    assert [fault["file"] for fault in faults] == [CONFIG]
    assert text_of(CONFIG) == "{broken" and text_of(GOOD) == good


SLIPS = (
    ('{"limits": {"min_voltage_mv": 24,5}}', "decimal_comma", 1, 31),
    ('{"limits": {"min_voltage_mv": 24 000}}', "blank_in_number", 1, 31),
    ('{"batteries": {3: {"mode": "off"}}}', "unquoted", 1, 16),
    ('{"limits": {"trip_decay_s": 3 600}}', "blank_in_number", 1, 29),
    ('{"limits": {"max_trips": 3}, "limits": {"max_trips": 4}}', "duplicate", 1, 30),
    ('{"limits": {"max_trips": }}', "value", 1, 26),
    ('{\n  "name": "left",\n}', "trailing", 3, 1),
    ('{\n  // the stage\n  "name": "left"}', "comment", 2, 3),
    ('{"name": \u201cleft\u201d}', "quotes", 1, 10),
    ('{"limits": {"max_trips": 3', "cut", 1, 27),
    ('["name"]', "object", 1, 1),
    ("", "cut", 1, 1),
)


def test_a_slip_in_a_file_is_told_with_its_place_and_changes_nothing():
    for text, code, line, column in SLIPS:
        values, (fault,), _ = fresh(text, good={"name": "good"})
        assert values["name"] == "good" and fault["file"] == CONFIG, text
        assert (fault["code"], fault["line"], fault["column"]) == (code, line, column), fault
        assert text_of(CONFIG) == text


def test_a_setting_that_is_given_nested_and_dotted_is_a_fault():
    values, (fault,), _ = fresh(
        '{"limits": {"max_trips": 3}, "limits.max_trips": 4}', good={"name": "good"}
    )
    assert (fault["key"], fault["allowed"]) == ("limits.max_trips", "this setting once")
    assert values["name"] == "good" and values["limits.max_trips"] == 5


def test_a_file_may_give_every_setting_by_its_whole_name():
    values = {row[0]: row[1] for row in settings.rows()}
    values["limits.max_trips"] = 7
    assert len(values) > 64
    found, faults, _ = fresh(values)
    assert faults == [] and found.given == values


def test_an_emoji_in_two_halves_is_the_character_it_is():
    values, faults, _ = fresh('{"batteries": {"1": {"label": "\\ud83d\\udd0b"}}}')
    assert faults == [] and values["batteries.1.label"] == "\U0001f50b"


def test_the_last_good_settings_are_read_back_whole():
    kept, _, _ = fresh({"name": "good", "batteries": {"16": {"label": "x" * 24}}})
    with open(CONFIG, "w") as file:
        file.write("{")
    values, faults, _ = config.load((CONFIG, CARD), GOOD)
    assert len(faults) == 1 and values.given == kept.given


def test_a_broken_copy_of_the_last_good_settings_means_defaults():
    values, faults, _ = fresh("[]", good="{broken")
    assert values.given == {} and len(faults) == 1


def test_limits_that_contradict_each_other_are_refused():
    for limits, key in (
        ({"min_voltage_mv": 30000}, "limits.min_voltage_mv"),
        ({"uv_hysteresis_mv": 6000}, "limits.uv_hysteresis_mv"),
        ({"ov_hysteresis_mv": 6000}, "limits.ov_hysteresis_mv"),
        ({"max_current_ma": 30000, "max_discharge_current_ma": 30000}, "limits.hard_current_pct"),
        ({"hard_current_pct": 50}, "limits.hard_current_pct"),
    ):
        values, faults, _ = fresh({"limits": limits})
        assert values.given == {}
        assert [fault["key"] for fault in faults] == [key], (limits, faults)


def test_an_id_names_one_battery_and_a_file():
    def fault(**ids):
        _, faults, _ = settings.check({"batteries.%s.id" % n[1:]: ids[n] for n in ids})
        return [(found["key"], found["allowed"]) for found in faults]

    assert fault(n1="A-7_b", n2="a-8", n16="0123456789abcdef") == []
    allowed = "nothing, or letters, digits, - and _"
    for wrong in ("../x", "a b", "é", "a.b", "con:"):
        assert fault(n3=wrong) == [("batteries.3.id", allowed)], wrong
    assert fault(n3="0123456789abcdefg") == [("batteries.3.id", "text of 0 to 16 characters")]
    another = "an id that no other battery has"
    assert fault(n2="a7", n9="A7") == [("batteries.9.id", another)], "one file on the card"
    assert settings.is_live("batteries.3.id") and not settings.is_live("mqtt.prefix")


def test_a_hard_limit_beyond_the_range_of_the_sensor_is_refused():
    # 20 mOhm: 8.19 A full scale, so a hard limit of 15 A could never fire.
    _, faults, _ = fresh({"sensor": {"shunt_uohm": 20000}})
    assert faults and faults[0]["key"] == "limits.hard_current_pct", faults


def test_the_names_of_the_first_firmware_are_accepted_and_reported():
    values, faults, renamed = fresh({"set_max_current": 1000, "nb_switch_on": 7, "I2C_Speed": 50})
    assert faults == []
    assert values["limits.max_current_ma"] == 1000 and values["limits.max_trips"] == 7
    assert sorted(renamed)[0] == ("I2C_Speed", "i2c_khz") and len(renamed) == 3


def test_a_wrong_password_setting_is_not_repeated_in_the_fault():
    _, faults, _ = fresh({"web": {"password": 1234}})
    assert faults[0]["found"] == "***"


def test_the_shipped_config_is_valid():
    _, faults, _ = fresh(text_of("config.json"))
    assert faults == []


def test_the_clock_of_i2c_is_one_of_three_or_left_to_the_rig():
    good, bad = (50, 100, 400, "auto"), (200, "100", "fast")
    for value, fits in [(value, True) for value in good] + [(value, False) for value in bad]:
        _, faults, _ = settings.check({"i2c_khz": value})
        assert (faults == []) == fits, (value, faults)
        assert fits or faults[0]["allowed"] == "one of 50, 100, 400, auto"
    for value in (True, 100.0, None):
        assert settings.check({"i2c_khz": value})[1], value


def test_pins_that_are_not_there_or_cannot_drive_are_refused():
    for key, pin, fits in (
        ("i2c_sda", 34, False),
        ("i2c_scl", 39, False),
        ("sd_cs", 36, False),
        ("sd_miso", 39, True),
        ("sd_miso", 40, False),
        ("i2c_sda", 24, False),
        ("i2c_sda", 27, True),
        ("i2c_sda", 33, False),
    ):
        _, faults, _ = settings.check({"pins." + key: pin})
        assert (faults == []) == fits, (key, pin, faults)


def test_the_pins_of_the_flash_memory_are_refused():
    for pin in (6, 11):
        _, faults, _ = settings.check({"pins.i2c_sda": pin})
        assert [fault["key"] for fault in faults] == ["pins.i2c_sda"], faults
        assert "flash" in faults[0]["allowed"]
    for pin in (5, 12):
        assert settings.check({"pins.sd_cs": pin})[1] == []


def test_what_is_a_fault_since_an_update_costs_no_limit():
    good = {"limits": {"max_trips": 3}, "web": {"password": "short"}, "mqtt": {"host": "a:1883"}}
    values, faults, _ = fresh(good, good=good)
    assert sorted(fault["key"] for fault in faults) == ["mqtt.host", "web.password"]
    assert values["limits.max_trips"] == 3
    assert values["web.password"] == "" and values["mqtt.host"] == ""


def test_the_pins_of_an_s3_are_its_defaults():
    settings._S3 = 1
    try:
        values = settings.Values({})
        found = [values[key] for key, _ in settings.S3_PINS]
        _, faults, _ = settings.check({"pins.i2c_sda": 48, "pins.i2c_scl": 22})
    finally:
        settings._S3 = 0
    assert found == [41, 40, 12, 11, 13, 10]
    assert [fault["key"] for fault in faults] == ["pins.i2c_scl"], faults
    assert settings.Values({})["pins.i2c_sda"] == 32
    assert [row[1:] for row in settings.rows()] == [row[1:] for row in settings.TABLE]


def test_each_sensor_model_has_a_driver():
    models = [row[2] for row in settings.TABLE if row[0] == "sensor.model"][0]
    names = [ina_models.driver(model).NAME for model in models]
    assert names == ["INA237", "INA237", "INA228", "INA226", "INA219"]


def test_true_is_no_number_among_what_is_allowed():
    for value, fits in ((True, True), (False, True), ("all", True), (1, False), (0, False)):
        _, faults, _ = settings.check({"mqtt.commands": value})
        assert (not faults) == fits, value
    _, faults, _ = settings.check({"mqtt.commands": 1})
    assert faults[0]["allowed"] == "one of false, true, all", faults


def test_a_flash_without_a_file_system_is_told_and_a_rig_without_a_card_is_not():
    def absent(path, mode="r"):
        raise OSError(errno.ENODEV)

    config.open = absent
    try:
        values, faults, _ = config.load(("config.json", "/sd/config.json"), "good.json")
    finally:
        del config.open
    assert values.given == {}
    assert [(fault["file"], fault["found"]) for fault in faults] == [("config.json", "OSError 19")]


def test_values_hold_what_is_given_over_the_defaults():
    given = settings.Values({"limits.max_trips": 3})
    changed = given.with_changes({"limits.max_trips": 4, "batteries.16.label": "Bass"})
    assert given["limits.max_trips"] == 3 and changed["limits.max_trips"] == 4
    assert changed["batteries.16.label"] == "Bass" and changed["batteries.1.label"] == ""
    values = settings.Values({})
    assert [values[row[0]] for row in settings.TABLE] == [row[1] for row in settings.TABLE]
    try:
        found = values["limits.colour"]
    except KeyError:
        return
    raise AssertionError(found)
