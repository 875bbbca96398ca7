"""Models whose calls are reserved and settled in the ledger of a test's database."""

from __future__ import annotations

from decimal import Decimal

from sqlalchemy import select

from context_builder.llm.chat_model import ChatModel
from context_builder.llm.paid_model import PaidModel
from context_builder.llm.pricing import PriceList
from context_builder.spend.accounts import Payer
from context_builder.spend.ledger import SpendLedger
from models import AccountKind, SpendBalance
from models.database import Database

PRICES = PriceList.load()


def paid(database: Database, model: ChatModel | None) -> PaidModel | None:
    """The model at list prices; None stays None."""
    return None if model is None else PaidModel(model, PRICES, SpendLedger(database))


def run_with(limit_usd: Decimal | str | int | None = None) -> Payer:
    """A run with a cap of its own."""
    return Payer(run="run_1", run_limit_usd=None if limit_usd is None else Decimal(limit_usd))


async def spent_and_reserved(
    database: Database, kind: AccountKind = AccountKind.INSTALLATION
) -> tuple[Decimal | int, Decimal | int]:
    """What all accounts of a kind have spent and reserved in all periods."""
    async with database.read() as session:
        rows = list(await session.scalars(select(SpendBalance).where(SpendBalance.kind == kind)))
    return sum((row.spent_usd for row in rows), Decimal(0)), sum(
        (row.reserved_usd for row in rows), Decimal(0)
    )
