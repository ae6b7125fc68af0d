# SPDX-License-Identifier: GPL-3.0-only
"""What the tests of the device share: the built application, for the host's processor."""

import pytest

from device import build

HOST = "x64"


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """The folder that `make build` makes, with viper code for the host."""
    folder = tmp_path_factory.mktemp("build") / "device"
    build.build(folder, HOST)
    return folder
