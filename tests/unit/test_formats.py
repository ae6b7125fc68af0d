# SPDX-License-Identifier: GPL-3.0-only
"""What a text of the settings may be: limits in bytes, names of hosts, obvious mistakes."""

from parallelator import formats, settings, texts


def faults(**changes):
    """Key to what is allowed, of the faults that these changes have; `_` stands for a dot."""
    flat = {key.replace("_", ".", 1): value for key, value in changes.items()}
    _, found, _ = settings.check(flat)
    return {fault["key"]: fault["allowed"] for fault in found}


def allowed(key, *accepted):
    for value in accepted:
        assert faults(**{key: value}) == {}, (key, value)


def refused(key, words, *wrong):
    for value in wrong:
        found = faults(**{key: value})
        assert list(found) == [key.replace("_", ".", 1)], (key, value, found)
        assert words in found[key.replace("_", ".", 1)], (value, found)


def test_bytes_are_counted_where_the_other_side_counts_them():
    allowed("wifi_ssid", "", "x", "x" * 32, "é" * 16, "👋" * 8, " Stage ", "a\u200db")
    refused("wifi_ssid", "1 to 32 bytes", "x" * 33, "é" * 17, "👋" * 9)
    allowed("wifi_password", "", "x" * 8, "x" * 63, "é" * 4, "é" * 31, " 7 blanks", "0aF9" * 16)
    refused("wifi_password", "8 to 64 bytes", "x" * 7, "é" * 3, "é" * 33)
    refused("wifi_password", "64 hexadecimal digits", "x" * 64, "é" * 32, "0aF9" * 15 + "0aFg")
    allowed("wifi_ap_password", "", "x" * 8, "x" * 63, "with blanks in it")
    refused("wifi_ap_password", "8 to 63 bytes", "x" * 7, "x" * 64, "é" * 63)
    refused("wifi_ap_password", "ASCII", "é" * 5, "Métro-12")
    allowed("mqtt_prefix", "x" * 32, "é" * 16, "stage/rigs", "/stage/")
    refused("mqtt_prefix", "1 to 32 bytes", "", "x" * 33, "é" * 17)
    refused("mqtt_prefix", "no + and #", "a+b", "#", "$SYS", "a//b", "/", "mqtt://a")


def test_a_password_of_the_page_has_eight_characters_and_fits_into_a_login():
    digest = "pbkdf2$1000$" + "0a" * 16 + "$" + "ff" * 32
    allowed("web_password", "", "x" * 8, "é" * 8, "x" * 80, "é" * 40, digest, "a b c d e")
    refused("web_password", "8 to 80 characters", "x" * 7, "é" * 7, "x" * 81, "👋" * 3)
    refused("web_password", "80 bytes", "é" * 41, "👋" * 21)
    refused("web_password", "without a blank", " 12345678", "12345678 ", "\u00a012345678")
    for wrong in (
        "pbkdf2$10000000$" + "0a" * 16 + "$" + "ff" * 32,
        "pbkdf2$1$" + "0a" * 16 + "$" + "ff" * 32,
        "pbkdf2$1000$" + "0a" * 15 + "$" + "ff" * 32,
        "pbkdf2$1000$" + "0a" * 16 + "$" + "ff" * 31,
        "pbkdf2$1000$" + "0g" * 16 + "$" + "ff" * 32,
        "pbkdf2$1000$$",
        "pbkdf2$",
    ):
        assert "web.password" in faults(web_password=wrong), wrong
    refused("web_password", "a hash that the rig has made", "pbkdf2$1000$$")


def test_a_host_is_a_name_or_an_address_and_nothing_else():
    names = ("broker.local", "10.0.0.5", "a", "broker_1.example.org.", "xn--bcher-kva.de", "1a.de")
    for key in ("mqtt_host", "time_ntp"):
        allowed(key, "", *names)
        refused(key, "no mqtt://", "mqtt://10.0.0.5", "mqtt://")
        refused(key, "no ntp://", "ntp://pool.ntp.org")
        refused(key, "no port", "10.0.0.5:1883", "broker:1883")
        refused(key, "no path", "broker/mqtt", "10.0.0.5/24")
        refused(key, "no user", "me@broker", "me:secret@broker")
        refused(key, "no blank", "bro ker")
        refused(key, "without a blank", " pool.ntp.org", "pool.ntp.org ")
        refused(key, "without U+200B", "pool.ntp\u200b.org")
        refused(key, "0 to 255", "10.0.0", "10.0.0.256", "1.2.3.4.5", "1")
        refused(key, "no 'ü'", "bücher.de")
        refused(key, "no ','", "10,0,0,5", "a,b")
        refused(key, "1 to 63 characters", "a..b", ".a", "x" * 64)
        refused(key, "no '-'", "-a", "a-.de")
    refused("mqtt_host", "mqtt.port", "10.0.0.5:1883")
    allowed("web_hosts", "", "rig.example.org", "a.lan, b.lan", "10.0.0.1,rig")
    refused("web_hosts", "no https://", "https://rig.example.org", "a.lan, https://b.lan")
    refused("web_hosts", "no port", "rig.example.org:8443")
    refused("web_hosts", "1 to 63 characters", "a.lan,,b.lan", "a,")


def test_addresses_and_names_of_the_rig():
    for key in ("wifi_ip", "wifi_gateway", "wifi_dns"):
        allowed(key, "", "192.168.1.50")
        refused(key, "an address alone", "192.168.1", "192.168.1.50/24", "rig", "192.168.1.256")
    allowed("wifi_netmask", "", "255.255.255.0", "255.255.128.0", "255.255.255.252", "128.0.0.0")
    refused("wifi_netmask", "a netmask", "255.0.255.0", "0.0.0.255", "255.255.255.255", "0.0.0.0")
    assert "wifi.netmask" in faults(wifi_ip="192.168.1.50", wifi_netmask="")
    allowed("wifi_hostname", "rig", "rig-2", "R2D2")
    refused("wifi_hostname", ".local, which comes by itself", "rig.local", "Rig.LOCAL")
    refused("wifi_hostname", "letters, digits", "rig 2", "rig_2", "-rig", "rig-", "é", "a.b")


def test_what_nobody_sees_or_means_is_named():
    for key in ("name", "batteries_1.label", "mqtt_user", "mqtt_ca_file"):
        allowed(key, "Noël 2", "日本")
        refused(key, "without U+200B", "Bass\u200b")
        refused(key, "without U+FEFF", "\ufeffBass")
        refused(key, "without U+00AD", "Ba\u00adss")
        refused(key, "without U+202E", "Ba\u202ess")
        refused(key, "without U+0007", "Ba\u0007ss")
        refused(key, "without U+0085", "Ba\u0085ss")
    for key in ("name", "batteries_1.label", "mqtt_ca_file", "mqtt_prefix"):
        refused(key, "without a blank before or after it", " Bass", "Bass ", "Bass\u00a0")
        refused(key, "without U+200D", "Ba\u200dss")
    allowed("mqtt_user", " me ", "a\u200db")
    assert texts.printable("a\u200bb\x07c\ufeff") == "a?b?c?"
    assert texts.printable("Noël, 日本 👋") == "Noël, 日本 👋"


def test_the_name_in_an_authority():
    for text, name in (
        ("rig", "rig"),
        ("Rig.LOCAL.:80", "rig.local"),
        ("10.0.0.1:8080", "10.0.0.1"),
        ("[fe80::1]:80", "[fe80::1]:80"),
        ("", ""),
    ):
        assert formats.host_of(text) == name
    assert formats.hosts("") == [] and formats.hosts("A.lan, b.") == ["a.lan", "b"]
