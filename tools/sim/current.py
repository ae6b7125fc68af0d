# SPDX-License-Identifier: GPL-3.0-only
"""What the stand-ins speak to: harness.py sets the first two before the firmware starts."""

world = None
probe = None
volumes = []
"""Every volume that the firmware mounted and its block device, in all runs of this process."""
