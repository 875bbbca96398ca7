"""The users and deployments that requests belong to, created when they are first seen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, Generic, TypeVar

from sqlalchemy import Row, bindparam, case, select, tuple_, update

from api.ingest.errors import LoadStopped
from api.ingest.records.problems import excerpt
from models import Deployment, User
from models.database import WriteSession
from models.request_log import among, dialect_of
from models.tables.schema import UtcDateTime

Record = TypeVar("Record")
Key = tuple[str, ...]
Columns = dict[str, Any]
_OTHERS = ("id", "created_at", "tier")
"""Columns that are needed of an entity besides its key."""


async def resolve_entities(
    session: WriteSession, table: type[User | Deployment], key: Sequence[str], described: Iterable[Columns]
) -> tuple[dict[Key, Row[Any]], int]:
    """Find or create the entities that records describe; return their rows by key, and how many are new.

    `described` holds the columns of an entity for each record, its `created_at` being the time of the
    record; the first description counts. Of existing entities only `created_at` changes, to the earliest
    record. `key` are the columns that name an entity; they are unique together.

    Raises:
        LoadStopped: the public id of a new entity is taken by another one.
    """
    wanted: dict[Key, Columns] = {}
    for columns in described:
        first = wanted.setdefault(tuple(columns[name] for name in key), columns)
        for moment in {"created_at", "updated_at"} & first.keys():
            first[moment] = min(first[moment], columns[moment])
    # In the same order everywhere, so that two loads do not wait for each other's rows.
    wanted = dict(sorted(wanted.items()))
    found = await _load(session, table, key, wanted)
    created: Sequence[Any] = ()
    if new := {identity: columns for identity, columns in wanted.items() if identity not in found}:
        insert = dialect_of(session).insert(table).on_conflict_do_nothing().returning(table.id)
        created = (await session.execute(insert, list(new.values()))).all()
        found |= await _load(session, table, key, new)
    for identity, columns in wanted.items():
        if identity not in found:
            name = excerpt(columns["public_id"])
            raise LoadStopped(f"{table.__tablename__}: {name} is stored under another name")
    earlier = {found[identity]: columns["created_at"] for identity, columns in wanted.items()}
    await _move_back(
        session, table, {each.id: moment for each, moment in earlier.items() if moment < each.created_at}
    )
    return found, len(created)


class Earliest(Generic[Record]):
    """The first record that names each entity, with the time of the earliest that does."""

    def __init__(self) -> None:
        self._found: dict[Key, tuple[Record, datetime]] = {}

    def add(self, key: Key, record: Record, moment: datetime) -> None:
        """Note a record."""
        found = self._found.get(key)
        if found is None:
            self._found[key] = record, moment
        elif moment < found[1]:
            self._found[key] = found[0], moment

    def __iter__(self) -> Iterator[tuple[Record, datetime]]:
        return iter(self._found.values())


async def _load(
    session: WriteSession, table: type[User | Deployment], key: Sequence[str], identities: Iterable[Key]
) -> dict[Key, Row[Any]]:
    """Return the rows of entities that are stored, by key; objects of them would take three times as long."""
    stored_columns = table.metadata.tables[table.__tablename__].c
    columns = [stored_columns[name] for name in key]
    chosen = list(identities)
    named = (
        among(session, columns[0], {first for first, *_ in chosen})
        if len(key) == 1
        else (tuple_(*columns).in_(chosen))
    )
    others = [stored_columns[name] for name in _OTHERS if name in stored_columns]
    stored = await session.execute(select(*columns, *others).where(named))
    return {tuple(row[: len(key)]): row for row in stored}


async def _move_back(
    session: WriteSession, table: type[User | Deployment], earlier: dict[int, datetime]
) -> None:
    """Let entities, by database id, exist from an earlier time on."""
    if not earlier:
        return
    columns = table.metadata.tables[table.__tablename__].c
    moment = bindparam("moment", type_=UtcDateTime())
    values: Columns = {"created_at": moment}
    if table is User:
        # A user whose tier never changed has had it since the beginning.
        values["updated_at"] = case(
            (columns.updated_at == columns.created_at, moment), else_=columns.updated_at
        )
    statement = update(columns.id.table).where(columns.id == bindparam("entity"), columns.created_at > moment)
    await session.execute(
        statement.values(values), [{"entity": key, "moment": value} for key, value in earlier.items()]
    )
