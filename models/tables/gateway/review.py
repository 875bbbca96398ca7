"""Where a text comes from and whether a person stands behind it."""

from __future__ import annotations

from enum import StrEnum


class Provenance(StrEnum):
    """Who wrote a text."""

    HUMAN = "human"
    MODEL = "model"
    IMPORT = "import"
    """It came from an archive or a file."""
    CODE = "code"
    """Put together from records alone."""


class ReviewStatus(StrEnum):
    """Who vouches for a text: nobody yet, a person, or a person against it."""

    DRAFT = "draft"
    APPROVED = "approved"
    REJECTED = "rejected"
