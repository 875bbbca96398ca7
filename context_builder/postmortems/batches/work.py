"""What the parts of a run with batches share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from context_builder.llm.batch_model import BatchModel
from context_builder.llm.pricing import PriceList
from context_builder.postmortems.batches.events import Event
from context_builder.postmortems.batches.journal import BatchJournal
from context_builder.postmortems.spending import Spending
from context_builder.postmortems.template import Template
from context_builder.postmortems.writer import PostmortemWriter
from context_builder.text.clock import utc_now


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchWork:
    """One run: with what it works, from what it spends, and to whom it tells what it does."""

    model: BatchModel
    writer: PostmortemWriter
    """With the same model for single calls: by it the worst cases are reckoned."""
    journal: BatchJournal
    """Over the writer's calls."""
    prices: PriceList
    spending: Spending
    report: Callable[[Event], Awaitable[None]]
    template: Template | None = None
    """None is the writer's own."""
    clock: Callable[[], datetime] = utc_now

    @property
    def least_cost_usd(self) -> Decimal:
        """What the worst case of any prompt is at the least."""
        return self.writer.least_worst_case * self.prices.batch_share
