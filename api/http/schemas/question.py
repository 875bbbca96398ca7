"""The body of a question."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictInt

from context_builder.question.request import QuestionInput, ScopeNames


def _moment(value: object) -> datetime:
    """Parse ISO 8601 text only: a number could be seconds or milliseconds."""
    try:
        return datetime.fromisoformat(value if isinstance(value, str) else "")
    except ValueError:
        raise ValueError("a time is ISO 8601 text such as 2026-11-20T08:00:00Z") from None


Moment = Annotated[datetime, BeforeValidator(_moment)]


class ScopeBody(BaseModel):
    """Entities that the question is limited to, by public id; overrides names in the question."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    deployments: list[str] = Field([], description="Deployments, such as `gpt-4/aws`.")
    models: list[str] = Field([], description="Models, such as `gpt-4`.")
    backends: list[str] = Field([], description="Backends, such as `aws`.")
    tiers: list[str] = Field([], description="Tiers: `premium`, `standard`, `budget`.")
    users: list[str] = Field([], description="Users, by public id.")
    incidents: list[str] = Field([], description="Incidents, by public id.")


class QuestionBody(BaseModel):
    """A question about the gateway. Only `question` is required."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={
            "examples": [
                {"question": "Which deployments are unhealthy?"},
                {
                    "question": "Why are premium users slow?",
                    "user": "user_alice",
                    "since": "2026-11-20T06:00:00Z",
                    "until": "2026-11-20T08:00:00Z",
                    "scope": {"deployments": ["gpt-4/aws"], "tiers": ["premium"]},
                    "token_budget": 4000,
                },
            ]
        },
    )

    question: str = Field(description="The question, in plain words.")
    user: str | None = Field(None, description="Public id of the user who asks.")
    as_of: Moment | None = Field(None, description="Answer as of this time, with its time zone, not now.")
    since: Moment | None = Field(None, description="Start of the window; overrides times in the question.")
    until: Moment | None = Field(None, description="End of the window, exclusive.")
    scope: ScopeBody | None = Field(None, description="Entities that the question is limited to.")
    token_budget: StrictInt | None = Field(
        None, description="Maximum tokens of the whole prompt; the default is set by the service."
    )

    def to_input(self) -> QuestionInput:
        """Convert to the input of the context builder, which validates the values."""
        return QuestionInput(
            question=self.question,
            asked_by=self.user,
            as_of=self.as_of,
            since=self.since,
            until=self.until,
            scope=ScopeNames(**{kind: tuple(names) for kind, names in self.scope or ScopeBody()}),
            token_budget=self.token_budget,
        )
