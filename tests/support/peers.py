"""Programs that other people wrote, of the system or of the environment's own folder of them."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path


def program(name: str) -> str | None:
    """Where a program is: of the system, or unpacked by `make test` because the system has none."""
    return shutil.which(name) or shutil.which(name, path=f"{sys.prefix}/debian/bin")


def litellm() -> str | None:
    """LiteLLM's proxy, of the environment that `make test` makes or ARCPOINT_TEST_LITELLM names."""
    own = Path(sys.prefix, "litellm")
    folder = os.environ.get("ARCPOINT_TEST_LITELLM") or (own if (own / ".ready").exists() else None)
    return shutil.which("litellm", path=f"{folder}/bin") if folder else None
