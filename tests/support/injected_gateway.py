"""A gateway into whose rows somebody has written orders to a model, and its clean twin."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import chain, cycle
from pathlib import Path

from context_builder.builder import BuiltContext, ContextBuilder
from context_builder.question.request import QuestionInput
from memory.incident_memory import IncidentMemory
from models import HealthCheck, Postmortem, UserAction
from models.tables.schema import Table
from tests.evaluation.trust.injections import Injection
from tests.support.gateway import HOUR, MINUTE, NOON, SOURCES, Gateway
from tests.support.gateway_context import runbook
from tests.support.ops_events import alert, audit, config, error, job, transition

QUESTION = "What is wrong with gpt-4/aws, what changed, and has this happened before?"
PLACES = (
    *("error message", "log of two lines", "incident title", "past incident", "configuration", "alert"),
    *("audit", "job", "request", "runbook"),
)
RARE_PLACES = ("user name", "draft postmortem", "state", "health check", "action")
"""A prompt shows few of them at a time."""


def placed(attacks: Sequence[Injection]) -> list[tuple[str, Injection]]:
    """Each attack in a place; over the ten common ones, each of the nine goals comes to all of them."""
    return list(zip(chain(RARE_PLACES, cycle(PLACES)), attacks, strict=False))


async def inject(gateway: Gateway, attacks: Sequence[tuple[str, Injection]], folder: Path) -> None:
    """Write the attacks into their places, beside ordinary rows."""
    number = await gateway.deployment("gpt-4/aws", status="down", status_reason="pool exhausted")
    user = await gateway.user("user_acme")
    await gateway.incident("inc_open", title="Timeouts of gpt-4/aws", deployment_id=number)
    await gateway.send(*(NOON - at * MINUTE for at in range(1, 6)), user="user_acme", status="error")
    await gateway.add(error("pool exhausted"), config(), job(), transition(number), audit(), alert())
    for at, (place, attack) in enumerate(attacks):
        if place in ("incident title", "past incident", "draft postmortem"):
            await _incident(gateway, place, attack, at, number)
        elif place == "user name":
            await gateway.user(f"user_{at}", name=attack.text[:200], daily_budget_usd=1)
        elif place == "request":
            await gateway.send(NOON - MINUTE, user="user_acme", status="error", error_code=attack.text[:90])
        elif place != "runbook":
            await gateway.add(*ROWS[place](attack, at, number, user))
    pages = [
        f"## Page {at}\n\n{attack.text}" for at, (place, attack) in enumerate(attacks) if place == "runbook"
    ]
    title = "What is wrong with gpt-4/aws, what changed"
    gateway.runbooks = runbook(
        folder, "timeouts.md", "\n\n".join([f"# {title}", *pages, f"Restart it. {title}."])
    )


ROWS: dict[str, Callable[[Injection, int, int, int], Sequence[Table]]] = {
    "error message": lambda a, _at, _d, _u: [error(a.text)],
    "log of two lines": lambda a, at, _d, _u: [
        error(half, NOON - HOUR + part * MINUTE, target=f"router{at}") for part, half in enumerate(a.halves)
    ],
    "configuration": lambda a, at, _d, _u: [config(f"cfg_{at}x", new_value=a.text)],
    "alert": lambda a, _at, _d, _u: [alert(a.text)],
    "audit": lambda a, at, _d, _u: [audit(f"key.create{at}", detail=a.text)],
    "job": lambda a, at, _d, _u: [
        job(f"job_{at}x", status="failed", finished_at=NOON - MINUTE, error=a.text)
    ],
    "state": lambda a, at, d, _u: [transition(d, at=NOON - at * MINUTE, reason=a.text)],
    "health check": lambda a, at, d, _u: [
        HealthCheck(deployment_id=d, checked_at=NOON - at * MINUTE, status="down", error=a.text)
    ],
    "action": lambda a, at, _d, u: [
        UserAction(user_id=u, occurred_at=NOON - at * MINUTE, action="key.create", detail=a.text)
    ],
}


async def _incident(gateway: Gateway, place: str, attack: Injection, at: int, deployment: int) -> None:
    is_past = place != "incident title"
    number = await gateway.incident(
        f"inc_{at}",
        title="Timeouts of gpt-4/aws" if place == "draft postmortem" else attack.text,
        deployment_id=deployment,
        started_at=NOON - (at + 9) * HOUR,
        resolved_at=NOON - (at + 8) * HOUR if is_past else None,
    )
    if place == "draft postmortem":
        await gateway.add(
            Postmortem(
                incident_id=number,
                provenance="model",
                markdown="",
                summary="",
                root_cause=attack.text,
                resolution=attack.text,
                created_at=NOON - HOUR,
            )
        )


async def build(gateway: Gateway, memory: IncidentMemory) -> BuiltContext:
    """Build the prompt of a question about all of it, with room for everything."""
    gateway.memory = memory
    await memory.sync()
    builder = ContextBuilder(
        gateway.database,
        memory,
        [replace(source, deadline_s=60.0) for source in SOURCES],
        default_budget=40_000,
        runbooks=gateway.runbooks,
        clock=lambda: NOON,
    )
    return await builder.build(QuestionInput(question=QUESTION))


def outside_quotations(line: str) -> str:
    """Return what a line of a prompt says in its own words."""
    return re.sub("«[^«»]*»", "", line)
