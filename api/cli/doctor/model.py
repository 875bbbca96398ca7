"""Whether the model can be called: key, price, and, if wanted, a call."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

from sqlalchemy.exc import SQLAlchemyError

from api.cli.doctor.finding import Finding, ok, problem, warning
from api.services import make_model, open_database
from api.settings import Settings, SettingsError
from context_builder.llm.chat_model import ModelUnavailable, Reply
from context_builder.llm.paid_model import PaidModel
from context_builder.llm.pricing import PriceFileError, PriceList, UnknownPrice
from context_builder.prompt.prompt import Prompt
from context_builder.spend.accounts import Payer
from context_builder.spend.ledger import CapReached, SpendLedger
from context_builder.text.formatting import format_dollars
from models.errors import DatabaseError

_BOUND = 100
"""Of the tokens of the prompt of a check."""


def check_model(settings: Settings) -> list[Finding]:
    """Report whether there is a key, and a price for the model. Reads files; calls nothing."""
    findings = []
    if settings.no_model_reason is None:
        findings.append(ok("model", f"{settings.model}, with a key"))
    else:
        fix = "set ARCPOINT_ANTHROPIC_API_KEY, unless briefs are what you want"
        findings.append(warning("model", f"{settings.no_model_reason}; answers are briefs", fix))
    try:
        prices = PriceList.load(settings.prices_file)
        prices.require(settings.model)
        findings.append(ok("prices", f"of {prices.as_of}; {settings.model} has one"))
    except (PriceFileError, UnknownPrice) as error:
        fix = "correct the file of ARCPOINT_PRICES_FILE, or choose a model that has a price"
        findings.append(problem("prices", str(error), fix))
    return findings


async def check_call(settings: Settings) -> Finding:
    """Make one small call, which is reserved and settled like any other."""
    fix = "do what the message says; without a call, leave out --call"
    try:
        prices = await asyncio.to_thread(PriceList.load, settings.prices_file)
        model = await asyncio.to_thread(make_model, settings, prices)
        if model is None:
            return warning("call", f"not made: {settings.no_model_reason}", fix)
        try:
            async with open_database(settings) as database:
                paid = PaidModel(model, prices, SpendLedger(database))
                async with paid.reserved(_BOUND, Payer()) as call:
                    prompt = Prompt(system="Answer in one word.", user="Say yes.")
                    async with aclosing(call.stream(prompt)) as pieces:
                        reply = [piece async for piece in pieces if isinstance(piece, Reply)][-1]
                cost = format_dollars(paid.cost(reply.usage, reply.model))
                return ok("call", f"{reply.model} answered in {reply.latency_ms} ms for {cost}")
        finally:
            await model.close()
    except (ModelUnavailable, CapReached, DatabaseError, SQLAlchemyError, SettingsError) as error:
        return problem("call", str(error).partition("\n")[0], fix)
    except (PriceFileError, UnknownPrice) as error:
        return problem("call", f"not made: {error}", fix)
