"""What the steps of one run through the Message Batches API share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from context_builder.llm.batch_model import BatchModel
from context_builder.llm.pricing import PriceList
from context_builder.postmortems.batches.journal import BatchJournal
from context_builder.postmortems.batches.progress import Progress
from context_builder.postmortems.template import Template
from context_builder.postmortems.writer import PostmortemWriter
from context_builder.spend.accounts import Payer
from context_builder.spend.ledger import SpendLedger
from context_builder.text.clock import utc_now


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchContext:
    """The services and options of one run."""

    model: BatchModel
    writer: PostmortemWriter
    """Uses the same model for single calls: worst cases are computed from it."""
    journal: BatchJournal
    """Over the writer's calls."""
    prices: PriceList
    ledger: SpendLedger
    payer: Payer
    report: Callable[[Progress], Awaitable[None]]
    template: Template | None = None
    """None: the writer's default."""
    clock: Callable[[], datetime] = utc_now

    @property
    def min_worst_cost_usd(self) -> Decimal:
        """The smallest worst case that any prompt can have."""
        return self.writer.min_worst_cost_usd * self.prices.batch_share
