# SPDX-License-Identifier: GPL-3.0-only
"""A file like an image: it begins as one at each of its places, and holds nothing."""

from device.image import images


def whole(image, app=None):
    """The bytes of a whole image, as `make image` leaves it.

    Args:
        app: bytes of the application, None = some that tell the image.
    """
    content = bytearray(b"\xff" * (images.partitions()["ota_0"][2] - image.begin))
    content[:12] = b"\xe9 bootloader"
    at = images.TABLE_AT - image.begin
    content[at : at + 8] = b"\xaa\x50 table"
    return bytes(content) + (b"\xe9" + image.name.encode() if app is None else app)
