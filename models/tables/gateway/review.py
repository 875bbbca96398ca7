"""Provenance and review status of a text."""

from __future__ import annotations

from enum import StrEnum


class Provenance(StrEnum):
    """Who wrote a text."""

    HUMAN = "human"
    MODEL = "model"
    IMPORT = "import"
    """Imported from an archive or a file."""
    CODE = "code"
    """Generated from records, without a model."""


class ReviewStatus(StrEnum):
    """A person's verdict on a text; `draft`: none yet."""

    DRAFT = "draft"
    APPROVED = "approved"
    REJECTED = "rejected"
