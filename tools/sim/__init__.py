# SPDX-License-Identifier: GPL-3.0-only
"""The simulator: the whole firmware on the host, against simulated chips and batteries."""
