"""Measures recall: held-out families and reports, under the embedding model that is the default."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from memory.embedding.embedder import Embedder
from memory.embedding.hashing import HashingEmbedder
from memory.embedding.sentence_transformer import SentenceTransformerEmbedder
from tests.evaluation.recall.bug_reports import FOLDER, held_out_half, load_reports
from tests.evaluation.recall.catalogue import families, held_out_families
from tests.evaluation.recall.contest import Contest, Entry
from tests.evaluation.recall.corpus import Corpus
from tests.evaluation.recall.histories import make_history
from tests.evaluation.recall.leaks import Leaks, find_leaks
from tests.evaluation.recall.score import AbstentionScore, RankingScore, abstention, ranking

_HISTORIES = 2
_ASKED_FOR_LEAKS = 120

EMBEDDERS: dict[str, type[SentenceTransformerEmbedder | HashingEmbedder]] = {
    "sentence-transformers": SentenceTransformerEmbedder,
    "hashing": HashingEmbedder,
}


@dataclass(frozen=True, slots=True)
class RecallReport:
    """Everything that was measured."""

    seed: int
    rankings: tuple[RankingScore, ...]
    abstentions: tuple[AbstentionScore, ...]
    leaks: Leaks

    def to_json(self) -> dict[str, Any]:
        """Plain values; equal for equal seeds and code."""
        return asdict(self)


async def measure(seed: int, embedder: Embedder) -> RecallReport:
    """Takes a minute or two with the model, seconds without."""
    present, asked_about = families(), held_out_families()
    histories = [
        make_history(f"{seed}.{number}", present=present, asked_about=asked_about)
        for number in range(_HISTORIES)
    ]
    entries = [await _entries(history, embedder) for history in histories]
    results: list[tuple[str, list[Entry]]] = [("incidents", [e for some in entries for e in some])]
    results += [(corpus.name, await _entries(corpus, embedder)) for corpus in _reports()]
    leaks = await _leaks(histories[0], entries[0])
    return RecallReport(
        seed=seed,
        rankings=tuple(score for name, found in results for score in ranking(name, found)),
        abstentions=tuple(abstention(name, found) for name, found in results),
        leaks=leaks,
    )


def _reports() -> Sequence[Corpus]:
    reports = load_reports()
    if reports is None:
        sys.stderr.write(f"recall: no labelled reports, since there is no folder {FOLDER}\n")
        return ()
    return (held_out_half(reports), reports)


async def _entries(corpus: Corpus, embedder: Embedder) -> list[Entry]:
    started = time.monotonic()
    found = await Contest(corpus, embedder).entries()
    sys.stderr.write(f"recall: {corpus.name}, {len(found)} queries, {time.monotonic() - started:.0f} s\n")
    return found


async def _leaks(history: Corpus, entries: Sequence[Entry]) -> Leaks:
    """Under the embedder that needs no model: a leak is one whatever the vectors."""
    embedder = HashingEmbedder()
    every = max(1, len(entries) // _ASKED_FOR_LEAKS)
    again = (await Contest(history, embedder).entries())[::every]
    with tempfile.TemporaryDirectory(prefix="arcpoint-recall-") as folder:
        return await find_leaks(history, again, embedder, Path(folder))
