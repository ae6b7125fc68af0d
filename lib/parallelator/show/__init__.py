# SPDX-License-Identifier: GPL-3.0-only
"""Before, during and after the show. Its modules are loaded once the rig protects."""
