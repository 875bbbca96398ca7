"""What each way of recalling gives for the queries of one corpus."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from memory.embedding.embedder import Embedder, Vectors
from memory.recall.abstention import MIN_CONFIDENCE
from memory.recall.lexical_candidates import NEWEST_OF_EACH
from memory.recall.ranking import Candidate, Ranked, clusters, ordered
from memory.text.error_template import error_templates, shared_templates
from memory.text.lexical import wording, wording_scores, words
from tests.evaluation.recall.bm25 import BM25
from tests.evaluation.recall.corpus import Corpus, LabelledQuery

OURS = "arcpoint"
DENSE = "dense alone"
LEXICAL = "BM25 alone"
METHODS = (OURS, DENSE, LEXICAL)

_CLOSE = 100
"""As many as memory asks its index for."""
_DEPTH = 100


@dataclass(frozen=True, slots=True)
class Entry:
    """One query, what each method found, and how sure each was of its first."""

    query: LabelledQuery
    found: dict[str, list[int]]
    """Positions, best first, before recurrences are put together."""
    sure: dict[str, float]
    """Our confidence; the cosine or the score of the baseline's first."""
    results: tuple[Ranked, ...]
    """One per cluster, best first, whether it would be shown or not."""

    @property
    def shown(self) -> list[int]:
        """Positions of the results that are sure enough to be shown, best first."""
        return [one.candidate.incident_id for one in self.results if one.confidence >= MIN_CONFIDENCE]

    def right(self, method: str) -> bool:
        """Whether the first result is an answer."""
        return bool(self.found[method]) and self.found[method][0] in self.query.relevant


class Contest:
    """One corpus under one embedder."""

    def __init__(self, corpus: Corpus, embedder: Embedder) -> None:
        self._corpus = corpus
        self._embedder = embedder
        self._texts = [incident.text for incident in corpus.incidents]
        self._words = [f" {' '.join(words(text))} " for text in self._texts]
        self._errors = [error_templates(text) for text in self._texts]
        self._over = np.array([one.resolved_at.timestamp() for one in corpus.incidents])
        self._bm25 = BM25(self._texts)

    async def entries(self) -> list[Entry]:
        """One per query, in their order."""
        stored = await self._embedder.embed(self._texts)
        asked = await self._embedder.embed([query.text for query in self._corpus.queries])
        return [
            self._entry(query, stored @ vector)
            for query, vector in zip(self._corpus.queries, asked, strict=True)
        ]

    def _entry(self, query: LabelledQuery, cosines: Vectors) -> Entry:
        allowed = self._over < query.as_of.timestamp()
        if query.own is not None:
            allowed[query.own] = False
        places = np.flatnonzero(allowed)
        lexical = self._bm25.scores(query.text)
        by_cosine, by_words = _best(places, cosines), _best(places, lexical)
        close = dict.fromkeys([*by_cosine[:_CLOSE], *self._holding(query, places)])
        candidates = self._candidates(query, list(close), cosines)
        results = tuple(
            clusters(
                candidates,
                wanted=wording(query.text, query.target),
                as_of=query.as_of,
                background=self._embedder.background,
            )
        )
        ours = [candidate.incident_id for _, candidate in ordered(candidates, as_of=query.as_of)]
        return Entry(
            query=query,
            found={OURS: ours, DENSE: by_cosine, LEXICAL: by_words},
            sure={
                OURS: max((one.confidence for one in results), default=0.0),
                DENSE: float(cosines[by_cosine[0]]) if by_cosine else -1.0,
                LEXICAL: float(lexical[by_words[0]]) if by_words else 0.0,
            },
            results=results,
        )

    def _holding(self, query: LabelledQuery, places: NDArray[np.int64]) -> list[int]:
        """The newest incidents that hold what the query names, as the database finds them."""
        found: list[int] = []
        for identifier in wording(query.text, query.target).identifiers:
            phrase = f" {' '.join(words(identifier))} "
            holding = [int(place) for place in places if phrase in self._words[place]]
            found += sorted(holding, key=lambda place: -self._over[place])[:NEWEST_OF_EACH]
        return found

    def _candidates(self, query: LabelledQuery, places: Sequence[int], cosines: Vectors) -> list[Candidate]:
        shares = wording_scores(wording(query.text, query.target), [self._texts[place] for place in places])
        quoted = error_templates(query.text)
        return [
            Candidate(
                key=f"{place:06}",
                incident_id=place,
                similarity=float(cosines[place]),
                lexical=share,
                target=incident.facts.target,
                same_target=query.target is not None and query.target == incident.facts.target,
                same_errors=shared_templates(quoted, self._errors[place]),
                recurrences=1,
                started_at=incident.started_at,
                resolved_at=incident.resolved_at,
                gist=f"{incident.facts.title}\n{incident.facts.root_cause or ''}",
            )
            for place, share in zip(places, shares, strict=True)
            for incident in [self._corpus.incidents[place]]
        ]


def _best(places: NDArray[np.int64], scores: NDArray[np.floating]) -> list[int]:
    return [int(place) for place in places[np.argsort(-scores[places], kind="stable")][:_DEPTH]]
