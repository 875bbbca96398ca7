"""The factor of a model's token bound, learnt from what its prompts were billed.

A bound is linear in its factor (see `tokens`). So three recorded figures (the bound, the factor it was made
with, and its growth per unit of the factor) tell exactly what the bound of the same prompt would have been
with any other factor, without keeping or rendering the prompt again. Only the words of a prompt scale: ids,
digits and symbols are never counted more coarsely because prompts full of words turned out cheap.

Figures that another way of counting made, or none, are left out.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from pydantic import TypeAdapter, ValidationError
from sqlalchemy import or_, select
from sqlalchemy.exc import SQLAlchemyError

from context_builder.prompt.manifest import Manifest
from context_builder.prompt.tokens import MAX_FACTOR, MIN_FACTOR, RULE, BoundTerms, TokenBound
from models import Question
from models.database import Database

log = structlog.get_logger(__name__)

MARGIN = 0.05
"""A bound stays this share above every count it was learnt from."""
MIN_SAMPLES = 20
"""Different samples before the factor may fall below the model's own."""
MAX_SAMPLES = 200
"""Samples that count; older ones are forgotten."""
_SEARCHED = 1_000
"""Questions that are searched for them, newest first, so that a long log of other models costs nothing."""
_DEADLINE_S = 5.0

_ROUNDING = 2
"""Tokens by which rounding up can differ: the system text and the user message are rounded apart."""
_STEPS = 100
"""Factors are whole hundredths."""

_TERMS = TypeAdapter(BoundTerms | None)


@dataclass(frozen=True, slots=True)
class BilledPrompt:
    """One prompt: what it was bounded by and what it was billed, in tokens."""

    bound: int
    counted: int
    factor: float
    """That the bound was made with."""
    words: float
    """What the bound grows by when the factor grows by one."""

    def needed_factor(self) -> float:
        """The least factor whose bound stays above the count by the margin; infinite where none can."""
        missing = self.counted * (1 + MARGIN) + _ROUNDING - self.bound
        if self.words <= 0:
            return MIN_FACTOR if missing <= 0 else math.inf
        return self.factor + missing / self.words


def recalibrated_factor(samples: Sequence[BilledPrompt], start: float) -> float:
    """The factor that samples of one model ask for; `start` is the one that it has by itself.

    It is the greatest that any sample needs, rounded up: a single count near its bound raises it at once,
    and it falls below `start` only once there are FEWEST different samples. Within MIN_FACTOR and
    MAX_FACTOR; the order of the samples does not matter.
    """
    needed = max((sample.needed_factor() for sample in samples), default=start)
    if len({(sample.bound, sample.counted) for sample in samples}) < MIN_SAMPLES:
        needed = max(needed, start)
    clamped = min(MAX_FACTOR, max(MIN_FACTOR, needed))
    return math.ceil(round(clamped * _STEPS, 6)) / _STEPS


class Calibration:
    """The token bound of one model as usage has taught it so far; shared by all questions of a process."""

    def __init__(self, model: str | None = None) -> None:
        """Without a model, the most careful bound."""
        self._model = model
        self._own = TokenBound.for_model(model)
        self.bound = self._own
        """For the next prompt."""

    def learn(self, manifest: Manifest, counted: int) -> None:
        """Holds a prompt's bound against its bill; if they came too near, the next bound is higher."""
        sample = _sample(manifest.bound_terms, manifest.token_bound, counted, self.bound)
        if sample is None:
            return
        factor = recalibrated_factor([sample], self.bound.factor)
        if counted > manifest.token_bound:
            log.warning(
                "a prompt passed its token bound", bound=manifest.token_bound, billed=counted, factor=factor
            )
        self.bound = self.bound.with_factor(factor)

    async def load(self, database: Database) -> None:
        """Learns from the question log. What keeps it from being read is logged, and nothing is learnt."""
        if self._model is None:
            return
        try:
            async with asyncio.timeout(_DEADLINE_S):
                samples = await load_samples(database, self._model, self._own)
        except (SQLAlchemyError, OSError) as error:  # a timeout is an OSError
            log.warning("token bound not recalibrated", error=(str(error).splitlines() or [repr(error)])[0])
            return
        self.bound = self._own.with_factor(recalibrated_factor(samples, self._own.factor))
        log.info("token bound", model=self._model, factor=self.bound.factor, samples=len(samples))


async def load_samples(database: Database, model: str, bound: TokenBound) -> tuple[BilledPrompt, ...]:
    """The newest samples of a model or of its dated ids, newest first, that the bound's way of counting made.

    Raises SQLAlchemyError and OSError.
    """
    searched = (
        select(Question.id).order_by(Question.asked_at.desc(), Question.id.desc()).limit(_SEARCHED).subquery()
    )
    dated = (Question.model.startswith(f"{model}{mark}20", autoescape=True) for mark in "-@")
    newest = (
        select(Question.id)
        .where(
            Question.id.in_(select(searched.c.id)),
            or_(Question.model == model, *dated),
            Question.input_tokens > 0,
        )
        .order_by(Question.asked_at.desc(), Question.id.desc())
        .limit(MAX_SAMPLES)
        .subquery()
    )
    # Only what is needed leaves the database: a manifest can hold thousands of facts.
    statement = (
        select(Question.token_bound, Question.input_tokens, Question.manifest["bound_terms"].label("terms"))
        .where(Question.id.in_(select(newest.c.id)))
        .order_by(Question.asked_at.desc(), Question.id.desc())
    )
    async with database.read() as session:
        rows = (await session.execute(statement)).all()
    found = (_sample(_terms(row.terms), row.token_bound, row.input_tokens, bound) for row in rows)
    return tuple(sample for sample in found if sample is not None)


def _terms(document: Any) -> BoundTerms | None:
    """The terms that a manifest stored; None where there are none."""
    try:
        return _TERMS.validate_python(document)
    except ValidationError:
        return None


def _sample(terms: BoundTerms | None, token_bound: int, counted: int, bound: TokenBound) -> BilledPrompt | None:
    """None where the bound came about in another way than this one counts, or in none."""
    if terms is None or (terms.rule, terms.whole_words) != (RULE, bound.whole_words):
        return None
    if not (MIN_FACTOR <= terms.factor <= MAX_FACTOR and 0 <= terms.words < math.inf):
        return None
    return BilledPrompt(token_bound, counted, terms.factor, terms.words)
