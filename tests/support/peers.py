"""LiteLLM's proxy, which has an environment of its own."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path


def litellm() -> str | None:
    """Its command, of the environment that `make test` makes or ARCPOINT_TEST_LITELLM names."""
    own = Path(sys.prefix, "litellm")
    folder = os.environ.get("ARCPOINT_TEST_LITELLM") or (own if (own / ".ready").exists() else None)
    return shutil.which("litellm", path=f"{folder}/bin") if folder else None
