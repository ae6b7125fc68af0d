#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-only
"""Makes the pictures of the manual from those that tests/web took of the page. `make pictures`."""

import sys
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
TAKEN = ROOT / "build/screenshots"
PICTURES = {
    "rig-en": "trouble-en-light-360",
    "rig-fr": "trouble-fr-dark-360",
    "charts-en": "charts-86400-en-light-360",
    "charts-fr": "charts-86400-fr-dark-360",
    "trip-en": "trip-en-light-360",
    "trip-fr": "trip-fr-dark-360",
}
"""Name in the manual to name among the screenshots."""
COLOURS = 64


def main():
    """Reduce the colours of each picture and write it beside this file."""
    for name, source in PICTURES.items():
        path = ROOT / f"tools/manual/{name}.png"
        with Image.open(TAKEN / f"{source}.png") as taken:
            taken.convert("RGB").quantize(COLOURS).save(path, optimize=True)
        print(f"{path.relative_to(ROOT)}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    sys.exit(main())
