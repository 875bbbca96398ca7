"""The page on archives: its examples are what it says, and the paths on the page about HTTP are served."""

from __future__ import annotations

import io
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from api.archive import ArchiveRecord, ImportDefaults
from api.archive.document_parser import KEYS, parse_document
from api.archive.documents import RawDocument
from api.archive.front_matter import read_markdown
from api.archive.json_lines import read_json_lines
from api.http.app import create_app
from api.ingest.files import bind, load_mapping
from tests.support.http_service import settings_of

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def page(repository: Path) -> str:
    return (repository / "docs" / "archive.md").read_text()


def test_the_examples_go_in(page: str) -> None:
    """The file with its sections, the line with its other names."""
    blocks = dict(BLOCK.findall(page))
    document = parse_document(read_markdown(blocks["markdown"].encode(), "x.md"), ImportDefaults())
    assert (document.public_id, document.columns["severity"]) == ("inc-2024-117", "critical")
    assert document.columns["started_at"] == datetime(2024, 3, 1, 9, 12, tzinfo=UTC)
    assert document.columns["root_cause"].startswith("Compaction had been")
    assert document.columns["resolution"].startswith("The volume")
    (written,) = read_json_lines(io.BytesIO(blocks["json"].encode()), "x.jsonl")
    assert isinstance(written, RawDocument)
    line = parse_document(written, ImportDefaults())
    assert (line.public_id, line.columns["severity"]) == ("118", "high")
    assert line.columns["resolution"] == "It got a key of its own."


def test_the_example_of_a_mapping_is_one(page: str, tmp_path: Path) -> None:
    """It loads, and every field and setting of it exists."""
    path = tmp_path / "mapping.toml"
    path.write_text(dict(BLOCK.findall(page))["toml"])
    mapping = load_mapping(ArchiveRecord, path)
    assert bind(mapping, None, "page").values({"times.opened": "1", "urgency": "page"}) == {
        "title": "", "started_at": "1", "severity": "critical", "markdown": "",
    }  # fmt: skip


def test_every_key_is_on_the_page(page: str) -> None:
    """All names of all fields."""
    named = set(re.findall(r"`(\w+)`", page))
    assert {key for field, keys in KEYS.items() for key in keys if field != "markdown"} - {
        "state",
        "review",
    } <= named


@pytest.mark.long
def test_the_paths_of_postmortems_and_memory_are_served(repository: Path, tmp_path: Path) -> None:
    """All of them, and no other is."""
    text = (repository / "docs" / "http.md").read_text()
    paths = create_app(settings_of("sqlite:///none.db", tmp_path)).openapi()["paths"]
    served = {
        f"{method.upper()} {path}"
        for path, methods in paths.items()
        for method, operation in methods.items()
        if operation["tags"] in (["postmortems"], ["memory"], ["spend"], ["access"])
    }
    named = set(re.findall(r"`((?:GET|POST) /v1/\S+)`", text))
    assert named == served | {"GET /v1/incidents/{incident_id}/postmortem"}
