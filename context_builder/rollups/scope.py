"""The rows of the rollups within a question's scope."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from sqlalchemy import select

from context_builder.question.request import ContextRequest, Scope
from context_builder.rollups.rows import Mask, Rows
from context_builder.rollups.span import minute_of
from context_builder.rollups.store import Rollups
from context_builder.text.formatting import format_list
from models import User
from models.database import ReadSession

MAX_EXCLUDED = 100
MAX_EXCLUDED_SHOWN = 5


@dataclass(frozen=True, slots=True)
class RollupScope:
    """Which rows are in scope, and the gaps of their figures."""

    deployment_ids: Collection[int] = ()
    """Empty: all."""
    tiers: Collection[str] | None = None
    """None: all."""
    gaps: tuple[str, ...] = ()

    def mask(self, rows: Rows) -> Mask:
        """Return which rows are in scope."""
        chosen = np.ones(len(rows), dtype=np.bool_)
        if self.deployment_ids:
            chosen &= np.isin(rows["deployment_id"], list(self.deployment_ids))
        if self.tiers is not None:
            chosen &= rows.having("tier", self.tiers)
        return chosen

    def of(self, rows: Rows) -> Rows:
        """Return the rows in scope."""
        return rows.where(self.mask(rows)) if self.deployment_ids or self.tiers is not None else rows


async def rollup_scope(rollups: Rollups, request: ContextRequest) -> RollupScope:
    """Return the deployments and tiers in scope.

    Rollups have no users: a user in scope is represented by their tier at `as_of`, and a user left out is
    counted, which is a gap.
    """
    scope = request.scope
    if not scope.user_ids and not scope.excluded_user_ids:
        return RollupScope(scope.deployment_ids, scope.tiers or None)
    async with rollups.snapshot.session() as session:
        excluded = await _excluded_users(session, scope)
        if not scope.user_ids:
            return RollupScope(scope.deployment_ids, scope.tiers or None, excluded)
        rows = await session.execute(
            select(User.public_id, User.tier, User.updated_at).where(User.id.in_(scope.user_ids))
        )
        users = rows.all()
    changed = sorted(user.public_id for user in users if user.updated_at > request.as_of)
    tiers = sorted({*scope.tiers, *(user.tier for user in users if user.public_id not in changed)})
    gaps = [f"figures per user; those here cover all users of tier {', '.join(tiers) or 'unknown'}"]
    if changed:
        gaps.append(f"the tier at this moment of {', '.join(changed)}, whose tier or budget changed later")
    return RollupScope(scope.deployment_ids, tiers, (*gaps, *excluded))


def users_in_scope(scope: Scope, rows: Rows) -> Mask:
    """Return which rows are of users that the scope names, or of all, without those that it leaves out.

    The same as `of_users` in SQL.
    """
    user = rows["user_id"]
    named = np.isin(user, scope.user_ids) if scope.user_ids and not scope.tiers else np.ones(len(user), bool)
    return named & ~np.isin(user, scope.excluded_user_ids)


def known_scores(rows: Rows, request: ContextRequest) -> Mask:
    """Return which scores were known at `as_of`; those of its current hour only if it is the present."""
    hour = minute_of(request.as_of.replace(minute=0, second=0, microsecond=0))
    known: Mask = rows["scored_hour"] <= hour - (0 if request.is_now else 1)
    return known


async def _excluded_users(session: ReadSession, scope: Scope) -> tuple[str, ...]:
    """Return the gap that rollups have with users left out."""
    if not scope.excluded_user_ids:
        return ()
    names = await session.scalars(
        select(User.public_id).where(User.id.in_(scope.excluded_user_ids)).limit(MAX_EXCLUDED)
    )
    listed = format_list(sorted(names), MAX_EXCLUDED_SHOWN)
    return (f"figures without {listed}; those here include their requests, as rollups have no users",)
