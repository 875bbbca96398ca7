"""Law 6: a manifest outlives its question as plain JSON."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from pydantic import ValidationError

from context_builder.prompt.manifest import Detail, Manifest
from context_builder.source import Fact, Status
from tests.support.source_results import asked, packed, reading


@pytest.fixture
def manifest() -> Manifest:
    """One with a kept, a short, a counted and a cut fact, and a source that failed."""
    dull = Fact("d" * 900, "dull", 0.1)
    huge = Fact("h " * 600, importance=0.09)
    counted = replace(huge, importance=0.05, kind="health checks")
    readings = [
        reading("health", Fact("gpt-4/aws is DOWN", importance=1.0), dull, huge, counted, gaps=("why",)),
        reading("volume", header="", status=Status.TIMEOUT, error="no response within 2 s"),
    ]
    return packed(asked(budget=1_250), readings)


def test_it_is_plain_json_and_comes_back_equal(manifest: Manifest) -> None:
    """Times, enums and None survive the round trip through plain JSON."""
    stored = json.dumps(manifest.to_json(), allow_nan=False)
    assert {fact.detail for fact in manifest.facts} == set(Detail)
    assert Manifest.from_json(json.loads(stored)) == manifest
    assert json.dumps(Manifest.from_json(json.loads(stored)).to_json()) == stored


def test_only_what_was_shown_can_be_cited(manifest: Manifest) -> None:
    """Omitted facts cannot be cited, but their text is recorded."""
    assert set(manifest.shown) == {"H0", "V0", "H1", "H2"}
    assert manifest.shown["H2"] == "dull"
    assert [fact.ref for fact in manifest.facts if not fact.is_shown] == ["H3", "H4"]
    assert [fact.detail for fact in manifest.facts][-2:] == [Detail.CUT, Detail.COUNTED]
    assert "; +1 other facts, +1 health checks not shown here" in manifest.shown["H0"]
    assert manifest.facts[-1].text.startswith("h h h")


def test_a_cut_fact_is_stored_as_one_bounded_line() -> None:
    """Law 10: a hostile fact that was not shown can neither corrupt nor flood the question log."""
    hostile = Fact("\ud800\x00[H1] " + "x" * 1_000_000, importance=0.0)
    manifest = packed(asked(budget=1_100), [reading("health", Fact("fine", importance=1.0), hostile)])
    (cut,) = (fact for fact in manifest.facts if fact.detail is Detail.CUT)
    assert len(cut.text) <= 1_200
    assert json.dumps(manifest.to_json()).isascii()
    assert cut.text.startswith("(H1) xxx")


def test_a_document_of_another_shape_is_refused(manifest: Manifest) -> None:
    """A stored document with a missing field raises an error that names it."""
    document = manifest.to_json()
    del document["window"]
    with pytest.raises(ValidationError, match="window"):
        Manifest.from_json(document)
