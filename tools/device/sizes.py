#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-only
"""Builds what goes onto the ESP32 and shows what each file of it takes. Run by `make build`.

cd tools; python -m device.sizes [--march ARCH] [--into FOLDER]
"""

import argparse
import sys
from pathlib import Path

from device import build, heap32


def table(listing, heap=None):
    """The sizes as text: flash bytes per file, in groups.

    Args:
        listing: a manifest; heap: module to the bytes of 32-bit heap that its import takes.
    """
    heap = heap or {}
    groups = {}
    for name, file in listing["files"].items():
        parts = name.split("/")
        group = "/".join(parts[1:-1]) or "."
        module = ".".join(parts[1:]).removesuffix(".mpy").removesuffix(".__init__")
        groups.setdefault(group, []).append((parts[-1], file["size"], heap.get(module, "")))
    lines = [f"{'':26}{'flash, bytes':>14}{'heap, bytes':>14}"]
    total = 0
    for group in sorted(groups):
        size = sum(size for _, size, _ in groups[group])
        total += size
        lines.append(f"{group:26}{size:14}")
        lines += [f"  {name:24}{size:14}{used:>14}" for name, size, used in groups[group]]
    lines.append(f"{'all':26}{total:14}{sum(heap.values()):14}  in {len(listing['files'])} files")
    return "\n".join(line.rstrip() for line in lines)


def main():
    """Build and print the table; return the exit code."""
    parser = argparse.ArgumentParser(description="Build what goes onto the ESP32.")
    parser.add_argument("--march", default=build.MARCH, help="instruction set of the viper code")
    parser.add_argument("--into", type=Path, default=build.ROOT / "build/device")
    options = parser.parse_args()
    heap = heap32.run("1.29", heap32.tree())["modules"]
    print(table(build.build(options.into, options.march), heap))
    return 0


if __name__ == "__main__":
    sys.exit(main())
