"""`arcpoint postmortem batches`: list open batches; adopt or discard one whose submission was interrupted."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated

import typer

from api.cli.failure import EXIT_FAILURE
from api.cli.options import AsJson
from api.cli.terminal.json_output import say_json
from api.cli.terminal.streams import print_error, say
from api.services import make_batch_model, open_database
from api.settings import Settings, load_settings
from context_builder.llm.batch_model import BatchStatus, BatchUnavailable
from context_builder.llm.pricing import PriceList
from context_builder.postmortems.batches.journal import BatchConflict, BatchJournal, OpenBatch
from context_builder.postmortems.journal import CallJournal
from context_builder.spend.ledger import SpendLedger
from context_builder.text.formatting import format_count, format_dollars, format_time

Number = Annotated[
    int | None, typer.Argument(metavar="[BATCH]", help="Number of an interrupted batch in the list.")
]
Adopt = Annotated[
    str | None, typer.Option("--adopt", metavar="ID", help="The API has the batch, under this id.")
]
Discard = Annotated[
    bool, typer.Option("--discard", help="The API does not have the batch: its incidents become free.")
]


def batches(
    number: Number = None, *, adopt: Adopt = None, discard: Discard = False, as_json: AsJson = False
) -> None:
    """List the batches that are not finished, or settle one whose submission was interrupted.

    Look for an interrupted batch in the Console, by its time and number of prompts. If a batch is discarded
    although the API has it, its prompts are paid for twice.
    """
    if (adopt is not None) + discard != (number is not None):
        raise typer.BadParameter("give either a BATCH with one of --adopt ID and --discard, or nothing")
    try:
        asyncio.run(_batches(load_settings(), number, adopt, as_json=as_json))
    except (BatchConflict, BatchUnavailable) as error:
        print_error(str(error))
        raise typer.Exit(EXIT_FAILURE) from None


async def _batches(settings: Settings, number: int | None, api_id: str | None, *, as_json: bool) -> None:
    async with open_database(settings) as database:
        journal = BatchJournal(database, CallJournal(database))
        if number is None:
            _show(await journal.open(), as_json=as_json)
        elif api_id is None:
            freed, ledger = await journal.discard_interrupted(number), SpendLedger(database)
            for custom_id in freed:
                await ledger.settle(custom_id, Decimal(0))
            say(f"batch {number} discarded; {format_count(len(freed), 'incident')} can be submitted again")
        else:
            status = await _status(settings, api_id)
            await journal.adopt(number, api_id, prompts=status.total)
            say(f"batch {number} adopted as {api_id}; `arcpoint postmortem --batch-api` collects it")


async def _status(settings: Settings, api_id: str) -> BatchStatus:
    prices = await asyncio.to_thread(PriceList.load, settings.prices_file)
    model = await asyncio.to_thread(make_batch_model, settings, prices)
    try:
        return await model.status(api_id)
    finally:
        await model.close()


def _show(found: Sequence[OpenBatch], *, as_json: bool) -> None:
    if as_json:
        documents = [
            {
                "batch": each.id,
                "api_id": each.api_id,
                "interrupted": each.is_interrupted,
                "model": each.model,
                "created_at": each.created_at.isoformat(),
                "waiting": each.waiting,
                "worst_cost_usd": str(each.worst_cost_usd),
            }
            for each in found
        ]
        say_json({"batches": documents})
        return
    for each in found:
        state = "submission interrupted" if each.is_interrupted else each.api_id or "being submitted"
        prompts, most = format_count(each.waiting, "prompt"), format_dollars(each.worst_cost_usd)
        say(f"{each.id}  {state}, {prompts}, at most {most}, {format_time(each.created_at)} UTC")
    say("1 open batch" if len(found) == 1 else f"{len(found):,} open batches")
