"""The text by which an incident is found, made only from its values in the database."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

RECIPE = "1"
"""Version of the texts below: change it with any change to a text, and memory is rebuilt."""

Redact = Callable[[str], str]
"""Replaces secrets in a text before it is embedded or stored."""

MAX_TITLE = 300
MAX_SYMPTOMS = 2_000
MAX_CAUSE = 1_000
MAX_RESOLUTION = 1_000
"""Characters of each part: a model reads a few hundred words, and a log dump must not crowd out the rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentFacts:
    """The parts of an incident that retrieval uses; None and blank parts are omitted from the text."""

    title: str
    symptoms: str = ""
    target: str | None = None
    root_cause: str | None = None
    resolution: str | None = None


def incident_text(facts: IncidentFacts) -> str:
    """Return the text that is embedded and stored for a resolved incident."""
    return _joined(
        ("", facts.title, MAX_TITLE),
        ("Target: ", facts.target, MAX_TITLE),
        ("Symptoms: ", facts.symptoms, MAX_SYMPTOMS),
        ("Root cause: ", facts.root_cause, MAX_CAUSE),
        ("Resolution: ", facts.resolution, MAX_RESOLUTION),
    )


def query_text(*, title: str, symptoms: str = "", target: str | None = None) -> str:
    """Return the text for an ongoing incident, whose cause is what memory is asked for."""
    return incident_text(IncidentFacts(title=title, symptoms=symptoms, target=target))


def content_hash(text: str, *, model_id: str, weights_hash: str, recipe: str = RECIPE) -> str:
    """Return a SHA-256 (hex) that changes with the text, the model and the recipe."""
    digest = hashlib.sha256()
    for part in (recipe, model_id, weights_hash, text):
        data = part.encode("utf-8", "surrogatepass")
        # Prefixed with its length, so that no part can pass for the end of another.
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()


def _joined(*parts: tuple[str, str | None, int]) -> str:
    lines = []
    for label, value, max_length in parts:
        plain = " ".join((value or "")[: 2 * max_length].split())[:max_length]
        if plain:
            lines.append(label + plain)
    return "\n".join(lines)
