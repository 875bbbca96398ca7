"""`arcpoint postmortem show`, `list`, `edit`, `approve` and `reject`: read, edit and review postmortems."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from api.archive.postmortem_files import read_edited
from api.cli.failure import EXIT_FAILURE
from api.cli.memory.review import approve, reject
from api.cli.options import AsJson
from api.cli.terminal.json_output import say_json
from api.cli.terminal.streams import print_error, printable, say, write
from api.services import open_database
from api.settings import load_settings
from context_builder.postmortems.records import PostmortemRecords, PromptEvidence, StoredPostmortem
from context_builder.question.request import QuestionError
from context_builder.text.formatting import format_count, format_dollars, format_time
from models import ReviewStatus

OneIncident = Annotated[str, typer.Argument(metavar="INCIDENT", help="Public id of the incident.")]


def add_commands(app: typer.Typer) -> None:
    """Add these commands to `arcpoint postmortem`."""
    app.command("show")(show)
    app.command("list")(list_all)
    app.command("edit")(edit)
    # One decision covers an incident and its postmortem, whichever command makes it.
    app.command("approve")(approve)
    app.command("reject")(reject)


def show(
    incident: OneIncident,
    *,
    evidence: Annotated[
        bool, typer.Option("--evidence", help="Print the exact prompt it was written from instead.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Print a postmortem. With --evidence, exit code 1 means that the prompt is not the one that was sent."""
    text, found = asyncio.run(_read(incident, evidence=evidence))
    if not evidence:
        _show_text(text, as_json=as_json)
    elif found is None:
        origin = "it was imported or written by a person"
        print_error(f"the postmortem of {incident} was not written from a prompt: {origin}")
        raise typer.Exit(EXIT_FAILURE)
    else:
        _show_evidence(found, as_json=as_json)


def list_all(
    *,
    stale: Annotated[
        bool, typer.Option("--stale", help="Only those whose incident has changed since they were written.")
    ] = False,
    draft: Annotated[bool, typer.Option("--draft", help="Only those that nobody has reviewed.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the postmortems, oldest incident first."""
    found = asyncio.run(_list(stale=stale, draft=draft, as_json=as_json))
    if not as_json:
        say(format_count(found, "postmortem"))


def edit(
    incident: OneIncident,
    file: Annotated[Path, typer.Option("--file", metavar="FILE", help="Markdown; front matter is ignored.")],
) -> None:
    """Replace a postmortem by a person's text. It is a draft until it is approved."""
    body = read_edited(file, incident)
    text, changed = asyncio.run(_edit(incident, body))
    if changed:
        say(f"{text.incident}  stored as {text.provenance} text, {text.status}; no run replaces it")
    else:
        say(f"{text.incident}  already has this text; nothing was changed")


async def _read(incident: str, *, evidence: bool) -> tuple[StoredPostmortem, PromptEvidence | None]:
    async with open_database(load_settings()) as database:
        records = PostmortemRecords(database)
        text = await records.get(incident)
        if text is None:
            remedy = f"`arcpoint postmortem --incident {incident}` writes it"
            raise QuestionError(f"incident {incident!r} has no postmortem; {remedy}")
        return text, await records.evidence(incident) if evidence else None


async def _list(*, stale: bool, draft: bool, as_json: bool) -> int:
    """Print while reading, so that any number can be listed; return how many."""
    found = 0
    documents: list[dict[str, Any]] = []
    async with open_database(load_settings()) as database:
        async for text in PostmortemRecords(database).all():
            if (stale and not text.is_stale) or (draft and text.status != ReviewStatus.DRAFT):
                continue
            found += 1
            if as_json:
                documents.append(_facts(text))
            else:
                say(f"{text.incident}  {', '.join(_described(text))}")
    if as_json:
        say_json({"postmortems": documents})
    return found


async def _edit(incident: str, body: str) -> tuple[StoredPostmortem, bool]:
    async with open_database(load_settings()) as database:
        records = PostmortemRecords(database)
        before = await records.get(incident)
        after = await records.edit(incident, body)
        return after, before is None or before.markdown != after.markdown


def _show_text(text: StoredPostmortem, *, as_json: bool) -> None:
    if as_json:
        say_json(_facts(text) | {"markdown": text.markdown})
        return
    say(f"{text.incident}: {', '.join(_described(text))}")
    say()
    say(text.markdown.rstrip())


def _described(text: StoredPostmortem) -> Iterator[str]:
    """Yield what is known about it besides its text."""
    yield str(text.status)
    by = f"{text.provenance} ({text.model})" if text.model and text.provenance == "model" else text.provenance
    yield f"by {by}"
    yield f"written {format_time(text.created_at)} UTC"
    if text.edited_at is not None:
        yield f"edited {format_time(text.edited_at)} UTC"
    if text.reviewed_by is not None and text.reviewed_at is not None:
        yield f"{text.status} by {text.reviewed_by} {format_time(text.reviewed_at)} UTC"
    if text.model is not None:
        yield format_dollars(text.cost_usd)
    if text.is_stale:
        yield "STALE: the incident has changed since"


def _facts(text: StoredPostmortem) -> dict[str, Any]:
    return {
        "incident": text.incident,
        "status": str(text.status),
        "provenance": str(text.provenance),
        "stale": text.is_stale,
        "template": text.template,
        "model": text.model,
        "cost_usd": str(text.cost_usd),
        "created_at": text.created_at.isoformat(),
        "edited_at": _iso(text.edited_at),
        "reviewed_at": _iso(text.reviewed_at),
        "reviewed_by": text.reviewed_by,
    }


def _iso(value: datetime | None) -> str | None:
    return None if value is None else value.isoformat()


def _show_evidence(found: PromptEvidence, *, as_json: bool) -> None:
    """Print the prompt, byte for byte unless standard output is a terminal that it could control."""
    if as_json:
        say_json(
            {
                "prompt": found.prompt.whole,
                "sha256": found.sha256,
                "expected_sha256": found.expected_sha256,
                "identical": found.is_identical,
                "model": found.model,
                "input_tokens": found.input_tokens,
                "output_tokens": found.output_tokens,
                "cost_usd": str(found.cost_usd),
                "question": found.question,
            }
        )
    else:
        write(printable(found.prompt.whole) if sys.stdout.isatty() else found.prompt.whole)
        if found.model is None:
            call = "no model was called"
        else:
            read, written = found.input_tokens or 0, found.output_tokens or 0
            tokens = f"{format_count(read, 'input token')}, {format_count(written, 'output token')}"
            call = f"{found.model}, {tokens}, {format_dollars(found.cost_usd)}"
        print_error(f"prompt SHA-256 {found.sha256}; {call}; question log {found.question}")
    if not found.is_identical:
        print_error(f"this is not the prompt that was sent; its SHA-256 was {found.expected_sha256}")
        raise typer.Exit(EXIT_FAILURE)
