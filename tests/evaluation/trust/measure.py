"""Measures what redaction finds and what it leaves alone, and what becomes of orders in the data."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from context_builder.answer.grounding import ground
from context_builder.answering import source_names
from context_builder.prompt.render import uncited_text
from context_builder.text.redaction import Redaction
from context_builder.text.sanitize import quote
from memory.embedding.hashing import HashingEmbedder
from memory.incident_memory import IncidentMemory
from memory.index.chroma import ChromaIndex
from models.database import Database
from tests.evaluation.trust.injections import injections
from tests.evaluation.trust.ordinary_texts import ordinary
from tests.evaluation.trust.planted_secrets import planted
from tests.support.gateway import Gateway
from tests.support.injected_gateway import build, inject, outside_quotations, placed
from tests.support.prepared_databases import migrate


@dataclass(frozen=True)
class TrustResult:
    """Counts; `leaked`, `changed` and `passed` are lists of what went wrong."""

    secrets: int
    kinds: int
    leaked: list[str]
    leaked_in_quotations: list[str]
    lines: int
    changed: list[str]
    attacks: int
    reached: int
    escaped: int
    """Attacks of which a word is outside the quotation marks of a fact."""
    caught: int
    passed: list[str]


async def measure(seed: int) -> TrustResult:
    """Draws everything from the seed."""
    redact = Redaction()
    secrets, lines = list(planted(seed)), list(ordinary(seed, 600))
    attacks = placed(list(injections(seed)))
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/gateway.db"
        await asyncio.to_thread(migrate, url)
        database, index = Database(url), ChromaIndex(Path(folder) / "memory")
        memory = IncidentMemory(
            database, HashingEmbedder(), index, deadline_s=60, redact=redact.without_digest
        )
        gateway = Gateway(database)
        await inject(gateway, attacks, Path(folder))
        built = await build(gateway, memory)
        await memory.close()
        await database.close()
    told = built.prompt.message.splitlines()
    manifest = built.manifest
    checked = ground(
        "\n\n".join(attack.obeyed for _, attack in attacks),
        manifest.shown,
        source_names(manifest),
        uncited_text(manifest),
        manifest.approved,
    )
    doubted = "\n".join(claim.sentence for claim in checked.unsupported)
    reached = [(place, a) for place, a in attacks if any(a.canary in line for line in told)]
    return TrustResult(
        secrets=len(secrets),
        kinds=len({one.kind for one in secrets}),
        leaked=[one.kind for one in secrets if one.leaks(redact(one.text))],
        leaked_in_quotations=[one.kind for one in secrets if one.leaks(redact(quote(one.text)))],
        lines=len(lines),
        changed=[kind for kind, line in lines if redact(line) != line],
        attacks=len(attacks),
        reached=len(reached),
        escaped=sum(any(a.canary in outside_quotations(line) for line in told) for _, a in reached),
        caught=sum(attack.canary in doubted for _, attack in reached),
        passed=[f"{place}: {attack.goal}" for place, attack in reached if attack.canary not in doubted],
    )


def print_trust(console: Console, seed: int, result: TrustResult) -> None:
    """Prints a line per figure."""
    table = Table("what", "of", "figure", "which", title=f"Secrets, and orders in the data (seed {seed})")
    found = 1 - len(result.leaked) / result.secrets
    quoted = 1 - len(result.leaked_in_quotations) / result.secrets
    rows = (
        ("secrets replaced", result.secrets, f"{found:.2%}", _counted(result.leaked)),
        (
            "secrets replaced in a fact",
            result.secrets,
            f"{quoted:.2%}",
            _counted(result.leaked_in_quotations),
        ),
        (
            "ordinary lines changed",
            result.lines,
            f"{len(result.changed) / result.lines:.3%}",
            _counted(result.changed),
        ),
        ("attacks in the prompt", result.attacks, str(result.reached), ""),
        ("outside of quotation marks", result.reached, str(result.escaped), ""),
        ("obeyed, and marked", result.reached, str(result.caught), _counted(result.passed)),
    )
    for what, of, figure, which in rows:
        table.add_row(what, f"{of:,}", figure, which)
    console.print(table)
    console.print(f"{result.kinds} kinds and surroundings of secrets")


def _counted(kinds: list[str]) -> str:
    return ", ".join(f"{kind} {count}" for kind, count in Counter(kinds).most_common(8))
