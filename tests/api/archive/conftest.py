"""An empty archive, and the import of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from api.archive import ImportDefaults, ImportOptions, ImportPolicy, ImportSummary, import_archive
from models.database import Database
from tests.support.archives import NOW, Archive, Import


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    (tmp_path / "archive").mkdir()
    return Archive(tmp_path / "archive")


@pytest.fixture
def run_import(database: Database, archive: Archive) -> Import:
    async def run(*paths: Path, replace: bool = False, **options: Any) -> ImportSummary:
        summary = ImportSummary()
        defaults = ImportDefaults(zone=options.pop("zone", None), severity=options.pop("severity", None))
        policy = ImportPolicy(replace=replace, by="ada", at=options.pop("at", NOW))
        given = ImportOptions(policy=policy, defaults=defaults, **options)
        await import_archive(database, paths or (archive.path,), given, summary=summary)
        return summary

    return run
