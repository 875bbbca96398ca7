"""Ranking: laws that hold for any scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from memory.recall.abstention import MIN_CONFIDENCE
from memory.recall.ranking import (
    DECAY_FLOOR,
    Candidate,
    Ranked,
    clusters,
    decay,
    merge,
    ordered,
    rank,
    relevance,
)
from memory.text.lexical import wording
from tests.support.incident_world import LATER

BACKGROUND = 0.3
ASKED = wording("connection pool of the router exhausted, 504 for 12 % of the requests")

ages = st.integers(1, 5000).map(lambda hours: timedelta(hours=hours))
targets = st.sampled_from([None, "gpt-4/aws", "llama-3/azure"])


@st.composite
def candidates(draw: st.DrawFn, incident_id: int = 1) -> Candidate:
    resolved_at = LATER - draw(ages)
    return Candidate(
        key=str(incident_id),
        incident_id=incident_id,
        recurrences=draw(st.integers(1, 3)),
        similarity=draw(st.floats(-1, 1)),
        lexical=draw(st.floats(0, 1)),
        target=draw(targets),
        same_target=draw(st.booleans()),
        same_errors=draw(st.floats(0, 1)),
        is_draft=draw(st.booleans()),
        started_at=resolved_at - draw(ages),
        resolved_at=resolved_at,
        gist=draw(
            st.sampled_from(["pool exhausted", "pool exhausted at 12:31", "429 from provider", "", "504"])
        ),
    )


@st.composite
def many(draw: st.DrawFn) -> list[Candidate]:
    return [draw(candidates(number)) for number in range(draw(st.integers(0, 12)))]


def ranked(found: Sequence[Candidate], limit: int = 100) -> list[Ranked]:
    return rank(found, wanted=ASKED, as_of=LATER, background=BACKGROUND, limit=limit)


def grouped(found: Sequence[Candidate]) -> list[Ranked]:
    return list(clusters(found, wanted=ASKED, as_of=LATER, background=BACKGROUND))


def order(*found: Candidate) -> list[Candidate]:
    return [candidate for _, candidate in ordered(found, as_of=LATER)]


def alike(one: Candidate, **values: Any) -> Candidate:
    """Another incident with the same scores that is not a recurrence of it."""
    return replace(one, **{"key": "other", "incident_id": 2, "gist": "quite another story"} | values)  # type: ignore[arg-type]


@pytest.mark.long
@given(st.data(), many(), st.integers(1, 5))
def test_the_result_is_at_most_the_limit_best_first_whatever_the_order_of_input(
    data: st.DataObject, found: list[Candidate], limit: int
) -> None:
    """The input's order does not matter, and a smaller limit cuts the end of a longer answer."""
    answer = ranked(found, limit)
    assert answer == ranked(data.draw(st.permutations(found)), limit) == ranked(found)[:limit]
    assert len(answer) <= limit
    places = [(one.candidate.is_draft, -one.score) for one in answer]
    assert places == sorted(places)


@pytest.mark.long
@given(many())
def test_every_candidate_is_in_exactly_one_cluster_and_the_likely_ones_are_the_answer(
    found: list[Candidate],
) -> None:
    """Nothing is lost or counted twice, and a cluster knows when it was last seen."""
    groups = grouped(found)
    assert sorted(key for one in groups for key in one.keys) == sorted(one.key for one in found)
    for one in groups:
        cluster = [each for each in found if each.key in one.keys]
        assert one.recurrences == sum(each.recurrences for each in cluster)
        assert one.last_seen == max(each.started_at for each in cluster)
        assert {each.target for each in cluster} == {one.candidate.target}
        assert 0 <= one.confidence <= 1
    assert ranked(found) == [one for one in groups if one.confidence >= MIN_CONFIDENCE]


@pytest.mark.long
@given(candidates(), st.floats(0, 1), st.floats(0, 1), many())
def test_more_likeness_never_ranks_lower(
    one: Candidate, more_similar: float, more_lexical: float, others: list[Candidate]
) -> None:
    """Raising the cosine or the lexical score, all else equal, never costs a place or confidence."""
    assume(relevance(one) > 0)
    others = [replace(other, key=f"other {other.key}", target=f"b/{other.key}") for other in others]
    better = replace(one, similarity=one.similarity + more_similar, lexical=one.lexical + more_lexical)
    assert order(better, *others).index(better) <= order(one, *others).index(one)
    [before] = [each for each in grouped([one, *others]) if one.key in each.keys]
    [after] = [each for each in grouped([better, *others]) if one.key in each.keys]
    assert after.confidence >= before.confidence - 1e-9


@given(candidates(), ages)
def test_of_two_equally_alike_the_newer_the_same_target_and_the_same_error_win(
    one: Candidate, older: timedelta
) -> None:
    """Age, target and quoted errors decide between equals."""
    assume(relevance(one) > 0)
    older_one = alike(one, resolved_at=one.resolved_at - older, started_at=one.started_at - older)
    assume(decay(LATER - older_one.resolved_at) < decay(LATER - one.resolved_at))
    assert order(older_one, one)[0] == one
    for feature in ({"same_target": True}, {"same_errors": 1.0}):
        plain = alike(one, same_target=False, same_errors=0.0)
        preferred = replace(plain, key="preferred", **feature)
        assert order(plain, preferred)[0] == preferred


@given(candidates(), st.floats(0.04, 1), st.floats(0, 1))
def test_target_and_errors_only_soften(one: Candidate, less_similar: float, share: float) -> None:
    """No bonus lifts a candidate over one that is clearly more alike."""
    one = replace(one, same_target=False, same_errors=0.0)
    other = alike(
        one,
        similarity=one.similarity - less_similar,
        lexical=share * one.lexical,
        same_target=True,
        same_errors=1.0,
    )
    assert order(other, one)[0] == one


@pytest.mark.long
@given(candidates(), candidates(2), ages)
def test_a_clear_match_wins_however_old_it_is(old: Candidate, fresh: Candidate, age: timedelta) -> None:
    """Time decay has a floor: years cannot make a good match worse than a mediocre one."""
    old = replace(old, resolved_at=LATER - 100 * age, started_at=LATER - 101 * age, is_draft=False)
    assume(relevance(old) * DECAY_FLOOR > max(relevance(fresh), 0))
    assert order(fresh, old)[0] == old


@given(candidates(), candidates(2))
def test_what_nobody_has_approved_comes_last(draft: Candidate, approved: Candidate) -> None:
    """However alike a draft is, what somebody has approved goes before it."""
    draft, approved = replace(draft, is_draft=True), replace(approved, is_draft=False)
    assert order(draft, approved) == [approved, draft]


def test_an_exact_match_of_two_years_ago_beats_a_mediocre_one_of_today() -> None:
    """The case that the floor is for, in figures."""
    resolved_at = LATER - timedelta(days=730)
    exact = Candidate(
        key="1", recurrences=1, incident_id=1, similarity=0.95, lexical=0.5, target=None, same_target=False,
        started_at=resolved_at, resolved_at=resolved_at, gist="exact",
    )  # fmt: skip
    fresh = alike(
        exact, similarity=0.6, lexical=0.2, same_target=True, resolved_at=LATER - timedelta(hours=1)
    )
    assert [one.candidate for one in ranked([fresh, exact])] == [exact, fresh]


def test_recurrences_differ_in_figures_but_not_in_words_or_target() -> None:
    """Times and counts in a title do not hide a recurrence; another cause or target is another incident."""
    base = Candidate(
        key="1", recurrences=1, incident_id=1, similarity=0.9, lexical=0.5, target="a", same_target=True,
        started_at=LATER, resolved_at=LATER, gist="pool of 50 empty at 12:31\nrollout 3.2 capped the pool",
    )  # fmt: skip
    again = replace(
        base, key="2", incident_id=2, gist="pool of 80 empty at 04:10\nrollout 3.9 capped the pool"
    )
    caused = replace(base, key="3", incident_id=3, gist="pool of 50 empty at 12:31\nclients leak connections")
    elsewhere = replace(base, key="4", incident_id=4, target="b")
    assert [one.keys for one in grouped([base, again, caused, elsewhere])] == [{"1", "2"}, {"3"}, {"4"}]


@pytest.mark.long
@given(st.lists(many(), max_size=4), st.integers(1, 6))
def test_merging_lists_each_cluster_once_and_starves_no_query(
    answers: list[list[Candidate]], limit: int
) -> None:
    """Merged answers overlap nowhere, and each query's best is there, itself or as part of another's."""
    per_query = [ranked(found) for found in answers]
    merged = merge(per_query, limit=100)
    assert merge(per_query, limit=limit) == merged[:limit]
    bests = [answer[0] for answer in per_query if answer and not answer[0].candidate.is_draft]
    first = merged[: len(bests)]
    for best in bests:
        assert any(best.keys & found.keys for _, found in first)
    for query, found in merged:
        assert found in per_query[query]
