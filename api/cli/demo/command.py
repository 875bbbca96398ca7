"""`arcpoint demo`: example data, five questions, a conversation, a fault of a fleet, a postmortem."""

from __future__ import annotations

import asyncio
import shlex
from pathlib import Path
from typing import Annotated

import typer
from rich.rule import Rule
from rich.text import Text

from api.archive.postmortem_files import PostmortemFiles
from api.cli.ask.local import show_answer
from api.cli.ask.output import Extras, PlainOutput, TerminalOutput, text_output
from api.cli.demo.conversation import conversation_lines
from api.cli.demo.files import open_demo_folder
from api.cli.demo.posting import post_week
from api.cli.risk.chaos import chaos_lines
from api.cli.terminal.progress_bar import progress_bar
from api.cli.terminal.streams import print_error, say
from api.demo_data import generate
from api.services import Services, open_services
from api.settings import Settings, load_settings
from context_builder.postmortems.template import load_template
from context_builder.question.request import QuestionInput
from context_builder.risk.chaos.comparison import compare
from context_builder.risk.chaos.faults import SCENARIOS
from context_builder.text.clock import utc_now
from context_builder.text.formatting import format_time
from memory.errors import MemoryUnavailable
from models.database import Database
from models.migrations import upgrade

QUESTIONS = (
    "Which deployments are unhealthy?",
    "Why are premium users slow?",
    "How many requests did each tier send in the last 7 days?",
    "Has the outage of llama-70b/neocloud happened before, and what fixed it?",
    "What capacity risks are we taking in the next 5 minutes?",
)
FAULT = "latency-ramp"
"""The chaos scenario that is shown."""
_RESOLVED = "inc_0118"
"""The newest resolved incident of the demo data."""
_TEMPLATE = "brief"
_SEED = 1


def demo(
    folder: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder of the demo's database and memory.")
    ] = Path(".arcpoint/demo"),
) -> None:
    """Generate a week of example data that ends now, ask about it, and write a postmortem.

    Each run recreates the demo's own database and memory; yours are not touched.
    """
    own = load_settings()
    with open_demo_folder(folder) as files:
        demos = {"database_url": files.database_url, "memory_path": files.memory, "memory_url": None}
        settings = own.model_copy(update=demos)
        asyncio.run(_demo(settings, PostmortemFiles(files.postmortems)))
    variables = {"ARCPOINT_DATABASE_URL": files.database_url, "ARCPOINT_MEMORY_PATH": str(files.memory)}
    if own.memory_url is not None:
        variables["ARCPOINT_MEMORY_URL"] = ""
    where = " ".join(f"{name}={shlex.quote(value)}" for name, value in variables.items())
    say(f"\nTo ask your own questions about this week:\n\n  {where} arcpoint chat\n")
    if settings.anthropic_api_key is None and settings.egress == "on":
        say("With ARCPOINT_ANTHROPIC_API_KEY set, Claude writes the answers from the same facts.")
    say("For your own data: arcpoint db upgrade, then arcpoint ingest --help")


async def _demo(settings: Settings, files: PostmortemFiles) -> None:
    await _migrate(settings)
    async with open_services(settings, wait_for_memory=False) as services:
        await _take_in_a_week(services)
        try:
            with progress_bar("updating memory") as progress:
                await services.memory.sync(progress)
        except MemoryUnavailable as error:
            print_error(f"warning: the answers will not include past incidents: {error}")
        for question in QUESTIONS:
            await _ask(services, question)
        await _show_conversation(services)
        await asyncio.to_thread(_show_chaos)
        await _write_postmortem(services, files)


async def _show_conversation(services: Services) -> None:
    """Show what a client of the proxy sends before and during the outage, and what the API gets."""
    _headline(text_output(Extras()), "A conversation through arcpoint proxy, before and during the outage")
    async for line in conversation_lines(services.settings, services.database):
        say(line)
    say("\nFor your own: arcpoint proxy &, then export ANTHROPIC_BASE_URL=http://127.0.0.1:8081")


def _show_chaos() -> None:
    """Compare the routing policy with the usual ones under a fault, in ten lines."""
    scenario = SCENARIOS[FAULT]
    results = compare(scenario, _SEED)
    _headline(text_output(Extras()), f"arcpoint risk chaos {FAULT}")
    for line in chaos_lines(scenario, results):
        say(line)


async def _migrate(settings: Settings) -> None:
    database = Database(settings.database_url)
    try:
        await upgrade(database)
    finally:
        await database.close()


async def _take_in_a_week(services: Services) -> None:
    """Let the week that ends now come in as a gateway's would, and report what came."""
    data = await asyncio.to_thread(generate, _SEED, utc_now())
    with progress_bar("posting a week of records") as progress:
        posted = await post_week(services, data, progress)
    say(f"One week of a gateway, ending {format_time(data.anchor)} UTC.\n{posted}")


async def _write_postmortem(services: Services, files: PostmortemFiles) -> None:
    """Write a postmortem and show its first part; the evidence is in the file."""
    template = await asyncio.to_thread(load_template, _TEMPLATE)
    stored = await services.postmortems.write(_RESOLVED, template=template)
    await asyncio.to_thread(files.prepare)
    path = await asyncio.to_thread(files.write, stored)
    _headline(text_output(Extras()), f"The postmortem of {_RESOLVED}")
    shown, _, _ = stored.markdown.partition("\n## Blind spots")
    say(shown.strip())
    say(f"\nBlind spots, and the evidence for every figure: {path}")


def _headline(output: PlainOutput | TerminalOutput, title: str) -> None:
    if isinstance(output, TerminalOutput):
        output.console.print()
        output.console.print(Rule(Text(title, style="bold"), align="left", style="dim"))
    else:
        say(f"\n## {title}\n")


async def _ask(services: Services, question: str) -> None:
    output = text_output(Extras())
    _headline(output, question)
    with output:
        await show_answer(services, QuestionInput(question=question), output)
