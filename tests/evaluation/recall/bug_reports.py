"""Real reports of which people have marked those that say the same."""

from __future__ import annotations

import json
import zlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from memory.text.recipe import IncidentFacts, query_text
from tests.evaluation.recall.corpus import Corpus, LabelledQuery, PastIncident

FOLDER = Path(__file__).resolve().parents[4] / "shared" / "data" / "recall"
"""Beside the repository, not in it."""

_AFTER_ALL = datetime(2030, 1, 1, tzinfo=UTC)
_UNMARKED = 4
"""Every so many of the reports without a known duplicate is asked about too."""


def load_reports() -> Corpus | None:
    """All reports, each asked of all others; None where the data is not.

    Duplicates are mostly reported while the first is open, so nothing is left out for its time.
    """
    if not FOLDER.is_dir():
        return None
    rows = _lines("seamonkey_corpus.jsonl")
    place = {row["id"]: at for at, row in enumerate(rows)}
    same = {row["query"]: row["relevant"] for row in _lines("seamonkey_qrels.jsonl")}
    known = set(same) | {one for found in same.values() for one in found}
    alone = [row["id"] for row in rows if row["id"] not in known][::_UNMARKED]
    past = tuple(_incident(row) for row in rows)
    queries = tuple(
        LabelledQuery(
            kind="report",
            group=_group(one, same.get(one, [])),
            text=query_text(title=past[place[one]].facts.title, symptoms=past[place[one]].facts.symptoms),
            as_of=_AFTER_ALL,
            relevant=frozenset(place[other] for other in same.get(one, [])),
            own=place[one],
        )
        for one in (*same, *alone)
    )
    return Corpus("all bug reports", past, queries)


def tuning_half(reports: Corpus) -> Corpus:
    """All reports, and the half of the queries that weights and coefficients may be chosen by."""
    return Corpus("tuning reports", reports.incidents, tuple(q for q in reports.queries if _tuned_by(q)))


def held_out_half(reports: Corpus) -> Corpus:
    """All reports, and the other half of the queries."""
    return Corpus("bug reports", reports.incidents, tuple(q for q in reports.queries if not _tuned_by(q)))


def _tuned_by(query: LabelledQuery) -> bool:
    return zlib.crc32(query.group.encode()) % 2 == 0


def _group(one: str, same: list[str]) -> str:
    """Duplicates ask for each other, so they count as one."""
    return min([one, *same])


def _lines(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (FOLDER / name).read_text(encoding="utf-8").splitlines()]


def _incident(row: dict[str, Any]) -> PastIncident:
    created = datetime.fromisoformat(row["created"])
    resolved = datetime.fromisoformat(row["resolved"]) if row["resolved"] else created
    return PastIncident(
        public_id=row["id"],
        facts=IncidentFacts(title=row["title"], symptoms=row["body"]),
        started_at=created,
        resolved_at=max(created, resolved),
    )
