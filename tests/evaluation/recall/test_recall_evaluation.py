"""The evaluation of recall: what it measures on is as it says, its figures are right, and nothing leaks."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from memory.embedding.hashing import HashingEmbedder
from tests.evaluation.recall.bm25 import BM25
from tests.evaluation.recall.bug_reports import FOLDER, held_out_half, load_reports, tuning_half
from tests.evaluation.recall.catalogue import families, held_out_families, tuning_families
from tests.evaluation.recall.contest import DENSE, LEXICAL, OURS, Contest
from tests.evaluation.recall.corpus import Corpus
from tests.evaluation.recall.histories import make_history
from tests.evaluation.recall.leaks import find_leaks
from tests.evaluation.recall.measures import auc, ranking_scores, risk_coverage
from tests.evaluation.recall.score import abstention, ranking
from tests.evaluation.recall.significance import interval, paired_p


@pytest.fixture(scope="module")
def history() -> Corpus:
    return make_history("a test", present=families(), asked_about=held_out_families(), incidents=200)


def test_no_family_is_both_tuned_by_and_reported_on() -> None:
    """The halves are disjoint and whole, there are more than forty, and none is worded as another."""
    tuned, held = tuning_families(), held_out_families()
    assert len(families()) == len(tuned) + len(held) >= 40
    assert not set(tuned) & set(held)
    assert {family.name for family in (*tuned, *held)} == {family.name for family in families()}
    for family in families():
        for texts in (family.titles, family.symptoms, family.causes, family.fixes, family.questions):
            assert len(set(texts)) == len(texts) >= 3
            assert not any(other.causes == family.causes for other in families() if other != family)


def test_a_history_is_the_same_twice_and_another_under_another_name(history: Corpus) -> None:
    """Everything is drawn from the name."""
    again = make_history("a test", present=families(), asked_about=held_out_families(), incidents=200)
    other = make_history("another", present=families(), asked_about=held_out_families(), incidents=200)
    assert again == history
    assert {one.text for one in other.incidents}.isdisjoint(one.text for one in history.incidents)


def test_what_is_relevant_was_over_and_is_not_the_question_itself(history: Corpus) -> None:
    """No label asks for what could not be known, and some queries of every kind have no answer."""
    for query in history.queries:
        assert all(history.may_find(query, place) for place in query.relevant)
    for kind in ("open incident", "question", "identifier"):
        assert {bool(query.relevant) for query in history.queries if query.kind == kind} == {True, False}


def test_most_recurrences_come_soon_and_some_failures_never_come_back(history: Corpus) -> None:
    """As in published operations data: about 94 % within 20 days, and a quarter of the causes once only."""
    times: dict[str, list[float]] = {}
    for one in history.incidents:
        cause = next(f.name for f in families() if any(_like(c, one.facts.root_cause) for c in f.causes))
        times.setdefault(cause, []).append(one.started_at.timestamp())
    gaps = [later - sooner for at in times.values() for sooner, later in pairwise(at)]
    assert np.mean(np.array(gaps) < timedelta(days=20).total_seconds()) > 0.85
    assert sum(len(at) == 1 for at in times.values()) == len(families()) // 4


def _like(template: str, text: str | None) -> bool:
    start = template.split("{", 1)[0]
    return text is not None and (text.startswith(start) if start else text.endswith(template[-20:]))


def test_the_metrics_of_rankings_worked_out_by_hand() -> None:
    """Two relevant of which the second and fourth places hold one each."""
    scores = ranking_scores([7, 1, 8, 2], {1, 2})
    assert scores["hit@1"] == 0
    assert scores["MRR"] == 0.5
    assert scores["recall@5"] == scores["recall@10"] == 1
    assert scores["nDCG@10"] == pytest.approx((1 / np.log2(3) + 1 / np.log2(5)) / (1 + 1 / np.log2(3)))
    assert set(ranking_scores([], {1}).values()) == {0}
    assert ranking_scores(list(range(30)), set(range(30)))["recall@5"] == 1


def test_the_measures_of_refusal_worked_out_by_hand() -> None:
    """Ties count half; risk is counted from the surest on."""
    has = np.array([True, True, False, False])
    assert auc(np.array([0.9, 0.5, 0.5, 0.1]), has) == pytest.approx(3.5 / 4)
    risk, area = risk_coverage(np.array([0.9, 0.1, 0.5, 0.3]), np.array([True, False, False, True]))
    assert risk.tolist() == pytest.approx([0, 1 / 2, 1 / 3, 2 / 4])
    assert area == pytest.approx(np.mean([0, 1 / 2, 1 / 3, 2 / 4]))


def test_the_paired_test_tells_a_difference_from_chance() -> None:
    """A steady gain over many groups is significant; the same gain in one large group is one observation."""
    ours, theirs = [1.0] * 40, [0.0] * 20 + [1.0] * 20
    assert paired_p(ours, theirs, [str(n) for n in range(40)]) < 0.001
    assert paired_p(ours, theirs, ["one"] * 20 + [str(n) for n in range(20)]) == 1
    assert paired_p(ours, ours, [str(n) for n in range(40)]) == 1
    low, high = interval([0.0, 1.0] * 50, [str(n) for n in range(100)])
    assert 0.38 < low < 0.5 < high < 0.62


@pytest.mark.long
async def test_scores_of_a_contest_are_shares_and_ours_finds_what_is_named(history: Corpus) -> None:
    """Every figure is a share; identifiers, which an embedding blurs, are found."""
    entries = await Contest(history, HashingEmbedder()).entries()
    assert [entry.query for entry in entries] == list(history.queries)
    for entry in entries:
        assert all(history.may_find(entry.query, place) for found in entry.found.values() for place in found)
    scores = ranking("test", entries)
    for score in scores:
        assert score.low <= score.means[OURS] <= score.high
        assert all(0 <= value <= 1 for value in (*score.means.values(), *score.p.values()))
    named = {score.metric: score.means for score in scores if score.kind == "identifier"}["hit@1"]
    assert named[OURS] > max(0.9, named[DENSE], named[LEXICAL])
    known = abstention("test", entries)
    assert known.without_answer == sum(not query.relevant for query in history.queries)
    assert known.auc[OURS] > 0.8
    assert known.right_shown > 0.75


@pytest.mark.database
@pytest.mark.process
async def test_the_real_memory_leaks_nothing_and_recalls_what_the_tables_are_of(
    history: Corpus, tmp_path: Path
) -> None:
    """SQL and Chroma hold the future too, and every query gets the past alone, without itself."""
    embedder = HashingEmbedder()
    entries = (await Contest(history, embedder).entries())[::6]
    leaks = await find_leaks(history, entries, embedder, tmp_path)
    assert leaks.asked == len(entries)
    assert leaks.recalled > 0
    assert leaks.from_the_future == leaks.itself == []
    assert leaks.alike >= 0.9 * leaks.asked


@pytest.mark.skipif(not FOLDER.is_dir(), reason="the labelled reports are not part of the repository")
def test_the_baseline_on_reports_is_as_published() -> None:
    """BM25 over titles finds a duplicate first for 0.45 to 0.49 of 75 queries; the halves do not overlap."""
    reports = load_reports()
    assert reports is not None
    titles = BM25([one.facts.title for one in reports.incidents])
    asked = [query for query in reports.queries if query.relevant]
    first = []
    for query in asked:
        assert query.own is not None
        scores = titles.scores(reports.incidents[query.own].facts.title)
        scores[query.own] = -1
        first.append(int(scores.argmax()) in query.relevant)
    assert len(first) == 75
    assert 0.45 <= np.mean(first) <= 0.49
    halves = (tuning_half(reports), held_out_half(reports))
    groups = [{query.group for query in half.queries} for half in halves]
    assert not groups[0] & groups[1]
    assert sum(len(half.queries) for half in halves) == len(reports.queries)
