"""An answer, as clients see it: the fields of `context_builder.answer.answer`."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer

from api.http.schemas import manifest
from api.http.schemas.manifest import ManifestBody
from context_builder.answer.answer import ClaimIssue
from context_builder.answer.confidence import ConfidenceLevel

Usd = Annotated[Decimal, PlainSerializer(lambda amount: f"{amount:f}", return_type=str)]
"""Never in scientific notation, which is how Python writes tiny amounts."""


class CitationBody(BaseModel):
    """A reference that the answer uses, with the fact it stands for."""

    model_config = ConfigDict(from_attributes=True)

    ref: str
    source: str
    text: str


class UnsupportedBody(BaseModel):
    """A sentence of the answer that the facts shown do not back."""

    model_config = ConfigDict(from_attributes=True)

    sentence: str
    doubt: ClaimIssue
    detail: str = Field(description="The reference, number or name in question.")


class ConfidenceBody(BaseModel):
    """How far an answer can be relied on, judged by what it was built from."""

    model_config = ConfigDict(from_attributes=True)

    level: ConfidenceLevel
    reasons: list[str] = Field(description="What keeps it from being higher, the worst first.")


class UsageBody(BaseModel):
    """Tokens as billed."""

    model_config = ConfigDict(from_attributes=True)

    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int


class AnswerBody(BaseModel):
    """The answer to one question."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={
            "examples": [
                {
                    "id": "ans_4f0c3f6e8f5a4c0c9a5d0f6f0a2b1c3d",
                    "question": "Which deployments are unhealthy?",
                    "as_of": "2026-11-20T08:00:00Z",
                    "text": "gpt-4/aws is unhealthy since 07:12 [H1].",
                    "citations": [
                        {
                            "ref": "H1",
                            "source": "health",
                            "text": "gpt-4/aws is unhealthy since 2026-11-20 07:12",
                        }
                    ],
                    "unsupported": [],
                    "confidence": {"level": "high", "reasons": []},
                    "model": "claude-sonnet-5-5",
                    "stop_reason": "end_turn",
                    "usage": {
                        "input_tokens": 371,
                        "output_tokens": 19,
                        "cache_read_tokens": 0,
                        "cache_write_tokens": 0,
                    },
                    "cost_usd": "0.001398",
                    "latency_ms": 2140,
                    "manifest": manifest.EXAMPLE,
                }
            ]
        },
    )

    id: str
    question: str
    as_of: datetime
    text: str = Field(description="Markdown with references such as [H1].")
    citations: list[CitationBody]
    unsupported: list[UnsupportedBody]
    confidence: ConfidenceBody
    model: str | None = Field(
        description="Who wrote the text; null: no model was called or it failed, see `no_model_reason`."
    )
    no_model_reason: str | None = Field(None, description="Why no model wrote the text.")
    stop_reason: str | None = Field(
        description="The model API's stop reason; anything but `end_turn` means that the text is not whole."
    )
    usage: UsageBody | None
    cost_usd: Usd = Field(description="US dollars, exact, as text.")
    latency_ms: int
    manifest: ManifestBody
