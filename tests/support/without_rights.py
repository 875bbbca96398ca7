"""Runs a command as people do who may not write everywhere, even where the tests run as root."""

from __future__ import annotations

import os
import shutil

import pytest

_OVERRIDES = "-dac_override,-dac_read_search,-fowner"
"""With these root writes into any file; without them it is bound by modes like everybody."""


def without_rights(command: list[str]) -> list[str]:
    """The command, bound by the modes of files. Skips the test where that cannot be arranged."""
    if os.geteuid() != 0:
        return command
    if shutil.which("setpriv") is None:
        pytest.skip("the tests run as root, and setpriv is not there to take its rights away")
    return ["setpriv", f"--bounding-set={_OVERRIDES}", *command]
