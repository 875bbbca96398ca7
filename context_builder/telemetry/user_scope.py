"""SQL condition for the users within a question's scope, the only place that knows who is left out."""

from __future__ import annotations

from sqlalchemy import ColumnElement, true
from sqlalchemy.orm import InstrumentedAttribute

from context_builder.question.request import Scope


def of_users(scope: Scope, user_id: InstrumentedAttribute[int] | ColumnElement[int]) -> ColumnElement[bool]:
    """Select rows of the users that the scope names, or of all, without those that it leaves out.

    With a tier in scope the named users restrict nothing: users of the tier are in scope as well.
    """
    named = user_id.in_(scope.user_ids) if scope.user_ids and not scope.tiers else true()
    return named & user_id.not_in(scope.excluded_user_ids) if scope.excluded_user_ids else named
