"""A question as a client sends it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictInt

from context_builder.question.request import QuestionInput, ScopeNames


def _moment(value: object) -> datetime:
    """Takes ISO 8601 alone: a number could be seconds or milliseconds."""
    try:
        return datetime.fromisoformat(value if isinstance(value, str) else "")
    except ValueError:
        raise ValueError("a moment is text such as 2026-11-20T08:00:00Z") from None


Moment = Annotated[datetime, BeforeValidator(_moment)]


class ScopeBody(BaseModel):
    """What the question is restricted to, in public ids; wins over what its text names."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    deployments: list[str] = Field([], description="Deployments, such as `gpt-4/aws`.")
    models: list[str] = Field([], description="Models, such as `gpt-4`.")
    backends: list[str] = Field([], description="Backends, such as `aws`.")
    tiers: list[str] = Field([], description="Tiers: `premium`, `standard`, `budget`.")
    users: list[str] = Field([], description="Users, by public id.")
    incidents: list[str] = Field([], description="Incidents, by public id.")


class QuestionBody(BaseModel):
    """A question about the gateway. All but `question` may be left out."""

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

    question: str = Field(description="The question in plain words.")
    user: str | None = Field(None, description="Public id of the user who asks.")
    as_of: Moment | None = Field(
        None, description="A moment to ask about instead of now, with its time zone."
    )
    since: Moment | None = Field(None, description="Start of the window; wins over times in the question.")
    until: Moment | None = Field(None, description="End of the window, which does not belong to it.")
    scope: ScopeBody | None = Field(None, description="What the question is restricted to.")
    token_budget: StrictInt | None = Field(
        None, description="Bound of the whole prompt, in tokens; by default the one of the service."
    )

    def to_ask(self) -> QuestionInput:
        """The question as the context builder takes it, which checks what the values say."""
        scope = self.scope or ScopeBody()
        return QuestionInput(
            question=self.question,
            asked_by=self.user,
            as_of=self.as_of,
            since=self.since,
            until=self.until,
            scope=ScopeNames(**{name: tuple(names) for name, names in scope}),
            token_budget=self.token_budget,
        )
