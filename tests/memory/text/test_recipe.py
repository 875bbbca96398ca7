"""The retrieval text: facts of the database, bounded, and a hash that notices every change."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from memory.text.recipe import (
    MAX_CAUSE,
    MAX_RESOLUTION,
    MAX_SYMPTOMS,
    MAX_TITLE,
    IncidentFacts,
    content_hash,
    incident_text,
    query_text,
)


def test_a_text_names_its_parts_and_leaves_out_what_is_not_known() -> None:
    """Each part is one labelled line; absent and blank parts leave nothing behind."""
    facts = IncidentFacts(title="Pool\nexhausted", symptoms="504  and\t503", target="a/b", root_cause="cap")
    assert incident_text(facts) == "Pool exhausted\nTarget: a/b\nSymptoms: 504 and 503\nRoot cause: cap"
    assert incident_text(IncidentFacts(title="T", symptoms=" \n ", root_cause="")) == "T"


def test_an_ongoing_incident_is_compared_by_what_is_known_of_it() -> None:
    """A query is worded like the text it looks for, without the cause and the resolution."""
    assert query_text(title="T", symptoms="S", target="a") == "T\nTarget: a\nSymptoms: S"


@given(*(st.text(max_size=50).map(lambda text: text * 200) for _ in range(5)))
def test_no_part_crowds_out_another(title: str, symptoms: str, target: str, cause: str, fix: str) -> None:
    """However long the parts are, the text has one line for each and is bounded."""
    text = incident_text(
        IncidentFacts(title=title, symptoms=symptoms, target=target, root_cause=cause, resolution=fix)
    )
    assert len(text) <= 2 * MAX_TITLE + MAX_SYMPTOMS + MAX_CAUSE + MAX_RESOLUTION + 60
    for label, part in (("Root cause: ", cause), ("Resolution: ", fix)):
        assert (label in text) >= bool(part.split())


@given(*(st.text(max_size=4) for _ in range(4)), st.integers(0, 3), st.text(min_size=1, max_size=2))
def test_the_hash_changes_with_each_of_its_parts(
    text: str, model: str, weights: str, recipe: str, which: int, more: str
) -> None:
    """A change of text, model, weights or recipe changes the hash, also when it only moves between them."""
    parts = [text, model, weights, recipe]
    changed = parts.copy()
    changed[which] += more
    moved = parts.copy()
    moved[which] += more
    moved[(which + 1) % 4] = moved[(which + 1) % 4].removeprefix(more)
    hashes = [
        content_hash(each[0], model_id=each[1], weights_hash=each[2], recipe=each[3])
        for each in (parts, changed, moved)
    ]
    assert hashes[0] not in hashes[1:]
    assert content_hash(text, model_id=model, weights_hash=weights, recipe=recipe) == hashes[0]
