"""Entities known to the database, and error messages for names that are not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches

from sqlalchemy import func, select

from context_builder.question.names.catalog import DeploymentName
from context_builder.question.request import QuestionError
from models import Deployment, Incident, User
from models.database import ReadSession

_MAX_SAMPLED = 5_000
"""Known ids of a kind that an unknown one is compared with."""


@dataclass(frozen=True, slots=True)
class MatchedRows:
    """Rows of one table that are named, as parallel tuples."""

    ids: tuple[int, ...] = ()
    public_ids: tuple[str, ...] = ()


def require_known(
    kind: str, names: Sequence[str], known: Iterable[str], near: Iterable[str] | None = None
) -> None:
    """Check that every name is known.

    Raises:
        QuestionError: One is not; the message suggests similar names, from `near` if given.
    """
    accepted = list(dict.fromkeys(known))
    for name in names:
        if name not in accepted:
            raise QuestionError(unknown_name_text(kind, name, accepted if near is None else list(near)))


def unknown_name_text(kind: str, name: str, candidates: Sequence[str]) -> str:
    """Return the error message for an unknown name, with similar known ones."""
    similar = get_close_matches(name, candidates, n=3, cutoff=0.6) or sorted(candidates)[:5]
    hint = f"; known names include {', '.join(similar)}" if similar else "; none exist yet"
    return f"{kind} {name!r} is not known{hint}"


async def deployment_names_at(session: ReadSession, as_of: datetime) -> list[DeploymentName]:
    """Load the deployments created by `as_of`, sorted by public id."""
    rows = await session.execute(
        select(
            Deployment.id, Deployment.public_id, Deployment.model, Deployment.backend,
            func.coalesce(Deployment.region, ""),
        ).where(Deployment.created_at <= as_of)
    )  # fmt: skip
    # Sorted here because databases collate text differently.
    return sorted((DeploymentName(*row) for row in rows), key=lambda deployment: deployment.public_id)


async def sample_users(session: ReadSession, as_of: datetime) -> Sequence[str]:
    """Load public ids of users, for suggesting similar names."""
    found = await session.scalars(
        select(User.public_id).where(User.created_at <= as_of).order_by(User.id).limit(_MAX_SAMPLED)
    )
    return found.all()


async def sample_incidents(session: ReadSession, as_of: datetime) -> Sequence[str]:
    """Load public ids of incidents, newest first, for suggesting similar names."""
    found = await session.scalars(
        select(Incident.public_id)
        .where(Incident.started_at <= as_of)
        .order_by(Incident.started_at.desc())
        .limit(_MAX_SAMPLED)
    )
    return found.all()
