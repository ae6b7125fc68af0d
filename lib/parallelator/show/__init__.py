# SPDX-License-Identifier: GPL-3.0-only
"""What a crew asks of a rig before, during and after a show. Loaded when it is asked for."""
