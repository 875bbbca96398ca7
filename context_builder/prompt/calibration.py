"""Calibrates the factor of a model's token bound from billed prompts.

A bound is linear in its factor (see `tokens`). The bound of a prompt with any other factor therefore follows
from three recorded figures (bound, factor, and increase per unit of the factor) without storing or rendering
the prompt. Only words scale with the factor: ids, digits and symbols are never counted more coarsely because
prompts full of words turned out cheap.

Records without these figures, or from other counting rules, are ignored.
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
"""Minimum share by which a bound exceeds every billed count."""
MIN_SAMPLES = 20
"""Distinct samples required before the factor may fall below the model's initial one."""
MAX_SAMPLES = 200
"""Newest samples that are used."""
_MAX_SEARCHED = 1_000
"""Newest questions that are searched for samples, so that a long log of other models costs nothing."""
_DEADLINE_S = 5.0

_ROUNDING = 2
"""Maximum rounding difference in tokens: system text and user message are rounded separately."""
_STEPS = 100
"""Factors are multiples of 1/100."""

_TERMS = TypeAdapter(BoundTerms | None)


@dataclass(frozen=True, slots=True)
class BilledPrompt:
    """Bound and billed size of one prompt, in tokens."""

    bound: int
    billed: int
    factor: float
    """The factor of the bound."""
    words: float
    """Increase of the bound per unit of the factor."""

    def required_factor(self) -> float:
        """Return the smallest factor whose bound exceeds the billed count by the margin; inf if none does."""
        missing = self.billed * (1 + MARGIN) + _ROUNDING - self.bound
        if self.words <= 0:
            return MIN_FACTOR if missing <= 0 else math.inf
        return self.factor + missing / self.words


def recalibrated_factor(samples: Sequence[BilledPrompt], initial: float) -> float:
    """Return the factor that samples of one model require, from MIN_FACTOR to MAX_FACTOR.

    It is the maximum over the samples, rounded up, in any order of samples: a single count near its bound
    raises the factor at once. Below `initial` it falls only with at least MIN_SAMPLES distinct samples.
    """
    required = max((sample.required_factor() for sample in samples), default=initial)
    if len({(sample.bound, sample.billed) for sample in samples}) < MIN_SAMPLES:
        required = max(required, initial)
    clamped = min(MAX_FACTOR, max(MIN_FACTOR, required))
    return math.ceil(round(clamped * _STEPS, 6)) / _STEPS


class Calibration:
    """The calibrated token bound of one model; shared by all questions of a process."""

    def __init__(self, model: str | None = None) -> None:
        """Start with the model's own bound; without a model, with the most conservative one."""
        self._model = model
        self._initial = TokenBound.for_model(model)
        self.bound = self._initial
        """The bound for the next prompt."""

    def learn(self, manifest: Manifest, billed: int) -> None:
        """Compare a prompt's bound with its billed tokens; raise the next bound if they are too close."""
        sample = _sample(manifest.bound_terms, manifest.token_bound, billed, self.bound)
        if sample is None:
            return
        factor = recalibrated_factor([sample], self.bound.factor)
        if billed > manifest.token_bound:
            log.warning(
                "a prompt exceeded its token bound", bound=manifest.token_bound, billed=billed, factor=factor
            )
        self.bound = self.bound.with_factor(factor)

    async def load(self, database: Database) -> None:
        """Calibrate from the question log; if it cannot be read, log a warning and keep the bound."""
        if self._model is None:
            return
        try:
            async with asyncio.timeout(_DEADLINE_S):
                samples = await load_samples(database, self._model, self._initial)
        except (SQLAlchemyError, OSError) as error:  # a timeout is an OSError
            log.warning("token bound not recalibrated", error=(str(error).splitlines() or [repr(error)])[0])
            return
        self.bound = self._initial.with_factor(recalibrated_factor(samples, self._initial.factor))
        log.info("token bound", model=self._model, factor=self.bound.factor, samples=len(samples))


async def load_samples(database: Database, model: str, bound: TokenBound) -> tuple[BilledPrompt, ...]:
    """Load the newest samples of a model and its dated ids with the bound's counting rules, newest first.

    Raises:
        SQLAlchemyError: The question log cannot be read.
        OSError: The database cannot be reached.
    """
    searched = (
        select(Question.id)
        .order_by(Question.asked_at.desc(), Question.id.desc())
        .limit(_MAX_SEARCHED)
        .subquery()
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
    # Select single figures only: a manifest can contain thousands of facts.
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
    """Parse the stored terms of a manifest; None if there are no valid ones."""
    try:
        return _TERMS.validate_python(document)
    except ValidationError:
        return None


def _sample(
    terms: BoundTerms | None, token_bound: int, billed: int, bound: TokenBound
) -> BilledPrompt | None:
    """Return a sample; None if its terms are missing or from other counting rules than `bound`."""
    if terms is None or (terms.rule, terms.whole_words) != (RULE, bound.whole_words):
        return None
    if not (MIN_FACTOR <= terms.factor <= MAX_FACTOR and 0 <= terms.words < math.inf):
        return None
    return BilledPrompt(token_bound, billed, terms.factor, terms.words)
