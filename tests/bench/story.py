"""The story database, which several parts of the bench need: written once, then copied."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

from tests.support.prepared_databases import seed_story


def story_url(folder: str) -> str:
    """Put the story into a folder and return its URL."""
    path = Path(folder) / "story.db"
    path.write_bytes(_story())
    return f"sqlite:///{path}"


@cache
def _story() -> bytes:
    """Seed the story; its database is closed, so that one file holds all of it."""
    with tempfile.TemporaryDirectory(prefix="arcpoint-bench-") as folder:
        path = Path(folder) / "story.db"
        seed_story(f"sqlite:///{path}")
        return path.read_bytes()
