"""A built prompt that was not sent."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from api.http.schemas import manifest
from api.http.schemas.manifest import ManifestBody


class PromptBody(BaseModel):
    """What a model would be sent."""

    model_config = ConfigDict(from_attributes=True)

    system: str = Field(description="The rules, the same for every question.")
    stable: str = Field(description="Facts that hold for every question, sent first; may be empty.")
    user: str = Field(description="The facts read for the question, and the question.")


class ContextBody(BaseModel):
    """The prompt of a question and its record."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={
            "examples": [
                {
                    "prompt": {
                        "system": "Answer from the facts alone.",
                        "stable": "",
                        "user": "[H1] gpt-4/aws is unhealthy\n\nWhich deployments are unhealthy?",
                    },
                    "manifest": manifest.EXAMPLE,
                }
            ]
        },
    )

    prompt: PromptBody
    manifest: ManifestBody
