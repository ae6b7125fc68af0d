# SPDX-License-Identifier: GPL-3.0-only
"""Draws how a rig is wired, as SVG. Called by run.py."""

from xml.sax.saxutils import escape

WIDTH, HEIGHT = 860, 490
PACK, FUSE, SHUNT, SWITCH, BAR = 20, 170, 300, 470, 640
FIRST, STEP = 66, 52
STYLE = """
rect { fill: #fff; stroke: #222; stroke-width: 1.5 }
.board { fill: #eef4fa; stroke: #4a7096; stroke-dasharray: 6 4 }
.thick { stroke: #b3261e; stroke-width: 4; fill: none }
.wire { stroke: #b3261e; stroke-width: 2; fill: none }
.data { stroke: #1f5f99; stroke-width: 2; fill: none }
text { font: 13px sans-serif; fill: #111 }
.small { font-size: 11px }
.middle { text-anchor: middle }
"""


def box(x, y, width, height, *lines, kind=""):
    """A box with one or two lines of text in it."""
    parts = [f'<rect class="{kind}" x="{x}" y="{y}" width="{width}" height="{height}" rx="4"/>']
    middle = y + height / 2 + 4.5 - 7.5 * (len(lines) - 1)
    for k, line in enumerate(lines):
        size = "middle" if not k else "middle small"
        parts.append(text(x + width / 2, middle + 15 * k, line, size))
    return "".join(parts)


def text(x, y, line, kind=""):
    """A line of text."""
    return f'<text class="{kind}" x="{x:g}" y="{y:g}">{escape(line)}</text>'


def line(kind, *points):
    """A line through points."""
    path = " ".join(f"{x:g},{y:g}" for x, y in points)
    return f'<polyline class="{kind}" points="{path}"/>'


def channel(words, c):
    """One battery channel of the first board: pack, fuse, shunt, switch, bus bar."""
    y = FIRST + STEP * c
    wire = y + 18
    return [
        line("wire", (PACK, wire), (BAR + 8, wire)),
        box(PACK, y, 120, 36, f"{words['pack']} {c + 1}", words["bms"]),
        box(FUSE, y, 90, 36, words["fuse"]),
        box(SHUNT, y, 140, 36, words["shunt"], f"INA237 0x{0x40 + c:02X}"),
        box(SWITCH, y, 140, 36, words["switch"], "MOSFET, 40 A"),
    ]


def drawn(words, settings):
    """The drawing.

    Args:
        words: `diagram` of the language; settings: rows of the table, for the pins.
    """
    pins = {row[0]: row[1] for row in settings}
    bus = f"I2C: SDA {pins['pins.i2c_sda']}, SCL {pins['pins.i2c_scl']}"
    card = "SPI: SCK {}, MISO {}, MOSI {}, CS {}".format(
        *(pins[f"pins.sd_{name}"] for name in ("sck", "miso", "mosi", "cs"))
    )
    bottom = FIRST + 4 * STEP
    parts = [
        f'<rect width="{WIDTH}" height="{HEIGHT}" style="stroke: none"/>',
        box(SHUNT - 15, 30, 340, bottom + 42, kind="board"),
        text(SHUNT - 5, 50, f"{words['board']} 1 – {words['times']}"),
        line("thick", (BAR + 8, 40), (BAR + 8, bottom)),
        text(BAR + 18, 60, words["bar"].split(",")[0]),
    ]
    for k, rest in enumerate(words["bar"].split(",", 1)[1].split(";")):
        parts.append(text(BAR + 18, 78 + 16 * k, rest.strip(), "small"))
    for c in range(4):
        parts += channel(words, c)
    parts += [
        box(SHUNT, bottom + 4, 310, 46, "TCA9535 0x20", words["drives"]),
        text(PACK, bottom + 14, words["minus"].split(";")[0], "small"),
        text(PACK, bottom + 30, words["minus"].split(";")[1].strip(), "small"),
    ]
    low = bottom + 104
    parts += [
        box(PACK, low, 120, 46, "ESP32", "MicroPython"),
        box(FUSE + 130, low, 100, 46, "ISO1540", words["isolator"]),
        line("data", (PACK + 120, low + 23), (FUSE + 130, low + 23)),
        text(PACK + 128, low + 15, bus, "small"),
        line("data", (FUSE + 230, low + 23), (SWITCH, low + 23), (SWITCH, bottom + 50)),
        line("data", (SWITCH, low + 23), (BAR - 20, low + 23)),
    ]
    for b in (3, 2, 1):
        shift = 8 * (b - 1)
        lines = () if b > 1 else (f"{words['board']} 2 … 4", "0x21 … 0x23")
        parts.append(box(BAR - 20 + shift, low - shift, 130, 46, *lines, kind="board"))
    parts += [
        box(PACK, low + 66, 120, 26, words["card"]),
        line("data", (PACK + 60, low + 46), (PACK + 60, low + 66)),
        text(PACK + 128, low + 84, card, "small"),
    ]
    opening = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}" role="img">'
    )
    title = f"<title>{escape(words['title'])}</title>"
    return "\n".join([opening, title, f"<style>{STYLE}</style>", *parts, "</svg>", ""])
