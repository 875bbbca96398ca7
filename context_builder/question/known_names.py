"""Entities that the database knows, and sentences on names that it does not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches

from sqlalchemy import select

from context_builder.question.deployment_names import DeploymentName
from context_builder.question.request import QuestionError
from models import Deployment, Incident, User
from models.database import ReadSession

_MAX_SAMPLED = 5_000
"""How many known ids of a kind are compared when one is not known."""


@dataclass(frozen=True, slots=True)
class MatchedRows:
    """Rows of one table that a text names: ids and public ids side by side."""

    ids: tuple[int, ...] = ()
    public_ids: tuple[str, ...] = ()
    words: frozenset[str] = frozenset()
    """The words of the text that named them."""


def require_known(
    kind: str, names: Sequence[str], known: Iterable[str], near: Iterable[str] | None = None
) -> None:
    """Raises QuestionError, with names that are spelled alike, for a name that is not known."""
    accepted = list(dict.fromkeys(known))
    for name in names:
        if name not in accepted:
            raise QuestionError(unknown_name_text(kind, name, accepted if near is None else list(near)))


def unknown_name_text(kind: str, name: str, candidates: Sequence[str]) -> str:
    """A sentence on a name that is not known, with known ones that are spelled alike."""
    alike = get_close_matches(name, candidates, n=3, cutoff=0.6) or sorted(candidates)[:5]
    hint = f"; known are for example {', '.join(alike)}" if alike else "; none is known yet"
    return f"{kind} {name!r} is not known{hint}"


async def deployment_names_at(session: ReadSession, as_of: datetime) -> list[DeploymentName]:
    """Return the deployments created by `as_of`, sorted by public id."""
    rows = await session.execute(
        select(Deployment.id, Deployment.public_id, Deployment.model, Deployment.backend).where(
            Deployment.created_at <= as_of
        )
    )
    # Databases sort text each in their own way.
    return sorted((DeploymentName(*row) for row in rows), key=lambda deployment: deployment.public_id)


async def sample_users(session: ReadSession, as_of: datetime) -> Sequence[str]:
    """Known users, for near matches."""
    found = await session.scalars(
        select(User.public_id).where(User.created_at <= as_of).order_by(User.id).limit(_MAX_SAMPLED)
    )
    return found.all()


async def sample_incidents(session: ReadSession, as_of: datetime) -> Sequence[str]:
    """Known incidents, for near matches."""
    found = await session.scalars(
        select(Incident.public_id)
        .where(Incident.started_at <= as_of)
        .order_by(Incident.started_at.desc())
        .limit(_MAX_SAMPLED)
    )
    return found.all()
