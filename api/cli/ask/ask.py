"""`arcpoint ask`: one question, one answer."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from datetime import datetime
from typing import Annotated

import typer

from api.cli.ask.asker import open_asker
from api.cli.ask.output import AnswerOutput, Extras, JsonOutput, text_output
from api.cli.options import (
    EXAMPLE_TIME,
    AsJson,
    AskedBy,
    AsOf,
    AsUser,
    Budget,
    Local,
    ServiceUrl,
    parse_time_option,
    settings_for,
)
from api.settings import Settings
from context_builder.question.request import QuestionError, QuestionInput, ScopeNames

_MAX_BYTES = 1_000_000

Names = list[str] | None
Why = Annotated[
    bool, typer.Option("--why", help="Show every source, and every fact with the reason it was kept or cut.")
]
Reveal = Annotated[
    bool,
    typer.Option("--reveal", help="Show replaced secrets, on this terminal only; answers without a service."),
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run", help="Send nothing: print the bytes of the request, and the most it could cost."
    ),
]


def _only(what: str, example: str) -> typer.models.OptionInfo:
    """Return a repeatable option that limits the question."""
    option: typer.models.OptionInfo = typer.Option(
        metavar="NAME", help=f"Only this {what}, such as {example}. Can be repeated.", show_default=False
    )
    return option


def _time_option(text: str) -> typer.models.OptionInfo:
    """Return an option that is a time."""
    option: typer.models.OptionInfo = typer.Option(metavar="ISO", parser=parse_time_option, help=text)
    return option


def ask(  # noqa: PLR0913  each option of the command is a parameter
    question: Annotated[
        str, typer.Argument(help="The question in plain words; - reads it from standard input.")
    ],
    *,
    user: AskedBy = None,
    as_user: AsUser = None,
    as_of: AsOf = None,
    since: Annotated[datetime | None, _time_option(f"Start of the window: {EXAMPLE_TIME}.")] = None,
    until: Annotated[datetime | None, _time_option("End of the window.")] = None,
    deployment: Annotated[Names, _only("deployment", "gpt-4/aws")] = None,
    model: Annotated[Names, _only("model", "gpt-4")] = None,
    backend: Annotated[Names, _only("backend", "aws")] = None,
    tier: Annotated[Names, _only("tier", "premium")] = None,
    user_scope: Annotated[Names, _only("user", "user_acme")] = None,
    incident: Annotated[Names, _only("incident", "inc_0119")] = None,
    budget: Budget = None,
    as_json: AsJson = False,
    show_prompt: Annotated[bool, typer.Option("--show-prompt", help="Show the prompt.")] = False,
    why: Why = False,
    reveal: Reveal = False,
    dry_run: DryRun = False,
    service: ServiceUrl = None,
    local: Local = False,
) -> None:
    """Ask one question about the gateway.

    All sources are read in parallel and packed into one prompt for one model call; every reference and
    number in the answer is checked against the facts. Without ARCPOINT_ANTHROPIC_API_KEY no model is
    called, and the answer lists the most important facts. A running `arcpoint serve` of the same database
    answers at once.
    """
    if reveal and not sys.stdout.isatty():
        raise QuestionError(
            "--reveal shows secrets, and only on a terminal; leave it out, or do not redirect the output"
        )
    scope = ScopeNames(
        deployments=tuple(deployment or ()),
        models=tuple(model or ()),
        backends=tuple(backend or ()),
        tiers=tuple(tier or ()),
        users=tuple(user_scope or ()),
        incidents=tuple(incident or ()),
    )
    asked = QuestionInput(
        question=_read_question() if question == "-" else question,
        asked_by=user,
        as_of=as_of,
        since=since,
        until=until,
        scope=scope,
        token_budget=budget,
        confined_to=as_user,
    )
    if dry_run:
        from api.cli.ask.dry_run import show_unsent  # noqa: PLC0415  an answer needs none

        asyncio.run(show_unsent(settings_for(service), asked, as_json=as_json))
        return
    extras = Extras(prompt=show_prompt, manifest=why)
    if as_json:
        JsonOutput.prepare()

    def new_output() -> AnswerOutput:
        return JsonOutput(extras) if as_json else text_output(extras)

    asyncio.run(
        _ask(settings_for(service), asked, new_output, only_here=local or as_user is not None, reveals=reveal)
    )


def _read_question() -> str:
    """Read the question from standard input. Raises QuestionError."""
    data = sys.stdin.buffer.read(_MAX_BYTES)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise QuestionError(
            f"the question on standard input is not UTF-8 text (byte {error.start})"
        ) from None


async def _ask(
    settings: Settings,
    asked: QuestionInput,
    new_output: Callable[[], AnswerOutput],
    *,
    only_here: bool,
    reveals: bool,
) -> None:
    async with open_asker(settings, only_here=only_here or reveals, reveals=reveals) as asker:
        await asker.show_answer(asked, new_output)
