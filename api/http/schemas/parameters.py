"""Parameters that several queries take in their URL."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from api.http.schemas.question import Moment
from context_builder.queries import Page, TrafficFilter
from context_builder.queries.page import DEFAULT_LIMIT, MAX_LIMIT

AsOf = Annotated[
    Moment | None, Field(description="A moment to ask about instead of now, with its time zone.")
]
Deployments = Annotated[
    list[str], Field(description="Deployments, such as `gpt-4/aws`. Lists repeat the parameter.")
]
Models = Annotated[list[str], Field(description="Models, such as `gpt-4`.")]
Backends = Annotated[list[str], Field(description="Backends, such as `aws`.")]
Tiers = Annotated[list[str], Field(description="Tiers: `premium`, `standard`, `budget`.")]


class Parameters(BaseModel):
    """A misspelled parameter is refused: ignoring it would give an answer to another question."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PageParameters(Parameters):
    """Which part of a list is wanted."""

    limit: int = Field(DEFAULT_LIMIT, ge=1, le=MAX_LIMIT, description="Rows at the most.")
    cursor: str | None = Field(
        None, description="`next` of the page before, with the same filters; without it, the first page."
    )

    def to_page(self) -> Page:
        """The page as the query takes it."""
        return Page(limit=self.limit, cursor=self.cursor)


class TrafficParameters(Parameters):
    """Which traffic is counted."""

    deployment: Deployments = Field([])
    model: Models = Field([])
    backend: Backends = Field([])
    tier: Tiers = Field([])
    since: Moment | None = Field(None, description="Start of the window, with its time zone.")
    until: Moment | None = Field(None, description="End of the window, which does not belong to it.")
    as_of: AsOf = None

    def to_filter(self) -> TrafficFilter:
        """The filter as the query takes it."""
        return TrafficFilter(
            deployments=tuple(self.deployment),
            models=tuple(self.model),
            backends=tuple(self.backend),
            tiers=tuple(self.tier),
            since=self.since,
            until=self.until,
            as_of=self.as_of,
        )


NEXT = "Cursor of the page that follows; null: this is the last."
EXAMPLE_CURSOR = "OGJhZTk1NmI4ZjZhNGI5ZSAxNzk1MTU3OTI3MTIzMDAwIDQ3MTEgNmIyYzQ0ZGY5ZjM1YTBlNw"
EXAMPLE_WINDOW: JsonDict = {
    "as_of": "2026-11-20T08:00:42Z",
    "since": "2026-11-19T08:00:00Z",
    "until": "2026-11-20T08:00:00Z",
}


class Record(BaseModel):
    """Read from the attributes of what a query found."""

    model_config = ConfigDict(from_attributes=True)
