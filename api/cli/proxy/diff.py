"""`arcpoint proxy diff`: a saved request before and after rewriting."""

from __future__ import annotations

import asyncio
import difflib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from api.cli.failure import BAD_INPUT
from api.cli.terminal.streams import print_error, say
from api.proxy.rewriting.opened import open_rewriter
from api.proxy.rewriting.policy import Policies, Policy
from api.proxy.rewriting.rewriting import RewritingOptions
from api.proxy.rewriting.turn_store import TurnStore
from api.redaction import make_redaction
from api.services import open_database
from api.settings import Settings, load_settings
from context_builder.conversation.cut import Cut
from context_builder.conversation.record import TurnRecord
from context_builder.conversation.rewriter import ProxiedRequest, Rewrite
from context_builder.conversation.turns import read_transcript
from context_builder.text.redaction import Redaction

_DEADLINE_S = 30.0
"""No client waits."""

app = typer.Typer()


class _Unstored(TurnStore):
    """Decisions that are made for a look, and stored nowhere."""

    async def store(self, decided: Sequence[tuple[str, TurnRecord]], until: float | None = None) -> None:
        del until
        for credential, record in decided:
            self.remember(credential, record)

    async def add_cut(
        self, credential: str, record: TurnRecord, cut: Cut, until: float | None = None
    ) -> bool:
        del until
        self.remember(credential, replace(record, cuts=(*record.cuts, cut)))
        return True

    async def bind(self, credential: str, records: Sequence[TurnRecord]) -> None:
        """Know it already: the rewriter remembers what it binds."""


@app.command()
def diff(
    file: Annotated[Path, typer.Argument(help="Body of a request to /v1/messages, as JSON.")],
    *,
    policy: Annotated[Policy, typer.Option(help="When context is inserted.")] = Policy.ALWAYS,
    user: Annotated[str | None, typer.Option(help="The user whose budget may be told.")] = None,
    credential: Annotated[str, typer.Option(help="Digest of the credential the request came with.")] = "",
) -> None:
    """Show a request before and after rewriting; nothing is sent, and nothing is stored."""
    body = file.read_bytes()
    if read_transcript(body) is None:
        print_error(f"{file} is no request that is rewritten: expected a JSON object with `messages`")
        raise typer.Exit(BAD_INPUT)
    request = ProxiedRequest("/v1/messages", {}, body, credential, user)
    settings = load_settings()
    rewrite = asyncio.run(_rewrite(settings, request, policy, make_redaction(settings)))
    for line in _lines(body, rewrite):
        say(line)


async def _rewrite(
    settings: Settings, request: ProxiedRequest, policy: Policy, redaction: Redaction
) -> Rewrite:
    options = RewritingOptions(policies=Policies(policy), deadline_s=_DEADLINE_S)
    async with (
        open_database(settings) as database,
        open_rewriter(database, options=options, store=_Unstored(database), redaction=redaction) as rewriter,
    ):
        return await rewriter.rewrite(request)


def _lines(body: bytes, rewrite: Rewrite) -> list[str]:
    """Return the changes in words, then as a unified diff of both bodies."""
    if rewrite.body == body:
        return ["unchanged"]
    before, after = (
        json.dumps(json.loads(each), indent=1, ensure_ascii=False).split("\n")
        for each in (body, rewrite.body)
    )
    found = difflib.unified_diff(before, after, "before", "after", lineterm="", n=2)
    return [*rewrite.changes, *found]
