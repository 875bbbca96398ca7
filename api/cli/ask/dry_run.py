"""`arcpoint ask --dry-run`: what a question would send and could cost, without sending it."""

from __future__ import annotations

import sys
from decimal import Decimal

from api.cli.terminal.json_output import say_json
from api.cli.terminal.streams import print_error
from api.services import MEMORY_START_S, Services, open_services, unsent
from api.settings import Settings
from context_builder.llm.unsent_request import UnsentRequest
from context_builder.prompt.manifest import Manifest
from context_builder.question.request import QuestionInput
from context_builder.spend.accounts import Payer
from context_builder.spend.ledger import CapReached
from context_builder.text.formatting import format_dollars


async def show_unsent(settings: Settings, asked: QuestionInput, *, as_json: bool) -> None:
    """Print the bytes of the request on standard output, and what they could cost on standard error.

    Nothing is logged, reserved or sent. Raises QuestionError, and what `open_services` raises.
    """
    async with open_services(settings, wait_for_memory=False, only_asks=True) as services:
        await services.memory.started(at_most_s=MEMORY_START_S)
        built = await services.answerer.builder.build(asked)
        request = await unsent(settings, services.prices, built.prompt)
        worst = services.prices.worst_case(
            settings.model, built.manifest.token_bound, settings.max_output_tokens
        )
        why_not = await _why_not_sent(services, worst, Payer(user=asked.asker))
    document = _document(services, built.manifest, request, worst, why_not)
    if as_json:
        say_json(document)
        return
    sys.stdout.flush()
    sys.stdout.buffer.write(request.body)
    sys.stdout.buffer.flush()
    print_error(
        f"{'' if why_not is None else f'would not be sent ({why_not}): '}POST {request.url}, "
        f"{len(request.body):,} bytes; {settings.model} at the prices of {services.prices.as_of}: at most "
        f"{format_dollars(worst)} for at most {built.manifest.token_bound:,} tokens and a reply of at most "
        f"{settings.max_output_tokens:,}"
    )


async def _why_not_sent(services: Services, worst: Decimal, payer: Payer) -> str | None:
    try:
        await services.ledger.require(worst, payer)
    except CapReached as reached:
        return services.settings.no_model_reason or str(reached)
    return services.settings.no_model_reason


def _document(
    services: Services, manifest: Manifest, request: UnsentRequest, worst: Decimal, why_not: str | None
) -> dict[str, object]:
    return {
        "url": request.url,
        "body": request.body.decode(),
        "bytes": len(request.body),
        "model": services.settings.model,
        "token_bound": manifest.token_bound,
        "max_output_tokens": services.settings.max_output_tokens,
        "worst_case_usd": f"{worst:f}",
        "prices_as_of": services.prices.as_of.isoformat(),
        "why_not_sent": why_not,
    }
