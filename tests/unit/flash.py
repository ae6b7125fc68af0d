# SPDX-License-Identifier: GPL-3.0-only
"""A `Storage` in memory, for the tests of what the flash keeps."""

import errno


class Flash:
    """Blobs by key, as `esp32.NVS` has them."""

    def __init__(self):
        self.blobs = {}

    def get_blob(self, key, block):
        """Fill `block`; OSError ENOENT when there is none."""
        if key not in self.blobs:
            raise OSError(errno.ENOENT)
        block[:] = self.blobs[key]

    def set_blob(self, key, block):
        """Keep a copy."""
        self.blobs[key] = bytes(block)

    def commit(self):
        """Nothing waits."""
