"""What a scrape of `/metrics` says."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

Scrape = dict[tuple[str, frozenset[tuple[str, str]]], float]


def parsed(text: str) -> Scrape:
    """Every sample by its name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(scrape: Scrape, name: str, **labels: str) -> float:
    """One sample; 0 if it is not there, as before the first event."""
    return scrape.get((f"arcpoint_{name}", frozenset(labels.items())), 0.0)
