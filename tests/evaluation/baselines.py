"""What one would do without the product: the newest rows of every table, until the budget is full."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import chain, zip_longest
from typing import Any

from sqlalchemy import select

from context_builder.prompt.render import SYSTEM
from context_builder.prompt.tokens import FRAMING_TOKENS, TokenBound
from models import (
    AuditEvent,
    ConfigChange,
    Deployment,
    ErrorLog,
    HealthCheck,
    Incident,
    Job,
    MaintenanceWindow,
    Notification,
    QualityScore,
    Request,
    StateTransition,
    User,
    UserAction,
)
from models.database import Database
from models.tables.schema import Table
from tests.evaluation.traffic import Sent
from tests.evaluation.truth import ShownRows

FORMATS = ("json", "csv")
_MOST = 400
"""Rows read of each table: more than any budget holds."""
_NEWEST_BY: dict[type[Table], str] = {
    Request: "created_at", Incident: "started_at", StateTransition: "changed_at", ErrorLog: "logged_at",
    Deployment: "updated_at", Job: "created_at", ConfigChange: "changed_at", HealthCheck: "checked_at",
    QualityScore: "scored_at", Notification: "created_at", AuditEvent: "occurred_at",
    UserAction: "occurred_at", MaintenanceWindow: "announced_at", User: "updated_at",
}  # fmt: skip
_NAMES = {"deployment_id": "deployment", "user_id": "user", "request_id": "request"}
"""Foreign keys that are shown as the public id that they stand for: no join is asked of the reader."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of one table, as a reader gets it."""

    table: str
    values: dict[str, Any]

    def text(self, form: str) -> str:
        """In one line; a line of JSON also names its table."""
        if form == "json":
            return json.dumps({"table": self.table} | self.values, ensure_ascii=False)
        line = io.StringIO()
        csv.writer(line, lineterminator="").writerow(
            json.dumps(value) if isinstance(value, dict) else value for value in self.values.values()
        )
        return line.getvalue()


@dataclass(frozen=True, slots=True)
class RawPrompt:
    """Rows that fill a budget."""

    text: str
    bound: int
    rows: Sequence[Row]

    def shown(self, requests: dict[str, Sent]) -> ShownRows:
        """What a reader sees of the requests, and of all tables."""
        texts: dict[str, list[str]] = {}
        for row in self.rows:
            texts.setdefault(row.table, []).append("|".join(str(value) for value in row.values.values()))
        return ShownRows(
            requests=[requests[row.values["public_id"]] for row in self.rows if row.table == "requests"],
            scored=frozenset(row.values["request"] for row in self.rows if row.table == "quality_scores"),
            texts=texts,
        )


async def newest_rows(database: Database) -> list[Row]:
    """Rows of all tables in turn, each table's newest first."""
    async with database.read() as session:
        tables = []
        ids: dict[str, dict[int, str]] = {}
        for key, table in (("deployment_id", Deployment), ("user_id", User)):
            found = await session.execute(select(table.id, table.public_id))
            ids[key] = {row[0]: row[1] for row in found}
        scored = (
            select(Request.id, Request.public_id)
            .join(QualityScore, QualityScore.request_id == Request.id)
            .order_by(QualityScore.scored_at.desc())
            .limit(_MOST * 2)
        )
        ids["request_id"] = {row[0]: row[1] for row in await session.execute(scored)}
        for shown, time in _NEWEST_BY.items():
            newest = (
                select(shown).order_by(getattr(shown, time).desc(), shown.__table__.c.id.desc()).limit(_MOST)
            )
            tables.append([_row(row, ids) for row in await session.scalars(newest)])
    return [row for row in chain.from_iterable(zip_longest(*tables)) if row is not None]


def _row(row: Table, ids: dict[str, dict[int, str]]) -> Row:
    values: dict[str, object] = {}
    for column in row.__mapper__.columns:
        name = row.__mapper__.get_property_by_column(column).key
        value = getattr(row, name)
        if name in _NAMES:
            values[_NAMES[name]] = ids[name].get(value)
        elif name != "id" and value is not None:
            values[name] = _plain(value)
    return Row(row.__tablename__, values)


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%SZ")
    return float(value) if isinstance(value, Decimal) else value


def fill(question: str, rows: Sequence[Row], form: str, budget: int) -> RawPrompt:
    """The longest beginning of the rows that fits the budget together with rules and question."""
    bound = TokenBound()
    asked = f"\nQuestion: {question}\n"
    tokens = bound.of(SYSTEM) + bound.of(asked) + FRAMING_TOKENS
    taken: list[Row] = []
    headers: set[str] = set()
    for row in rows:
        cost = sum(bound.of(f"{line}\n") for line in _lines(row, form, headers))
        if tokens + cost > budget:
            break
        tokens += cost
        headers.add(row.table)
        taken.append(row)
    return RawPrompt(f"{_text(taken, form)}{asked}", tokens, taken)


def _lines(row: Row, form: str, headers: set[str]) -> Iterator[str]:
    if form == "csv" and row.table not in headers:
        yield f"{row.table}: {','.join(row.values)}"
    yield row.text(form)


def _text(rows: Sequence[Row], form: str) -> str:
    """Table by table, each with one header line where the format has one."""
    headers: set[str] = set()
    lines: list[str] = []
    for table in dict.fromkeys(row.table for row in rows):
        for row in rows:
            if row.table == table:
                lines += _lines(row, form, headers)
                headers.add(table)
    return "\n".join(lines)
