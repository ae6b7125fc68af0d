# SPDX-License-Identifier: GPL-3.0-only
"""How much is left in each pack and in the rig, and for how long."""
