"""The table of phrases is sound, and measuring tells a right reading from a wrong one."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from io import StringIO

import pytest
from rich.console import Console

from tests.evaluation.understanding.measure import Difference, Result, results
from tests.evaluation.understanding.phrase import (
    CHECKED,
    HELD,
    MOMENTS,
    NIGHT,
    PARTS,
    SECOND,
    VARIED,
    Phrase,
    phrases,
)
from tests.evaluation.understanding.tables import print_understanding, to_json

LANGUAGES = {"en": 200, "de": 35, "es": 35, "fr": 35, "pt": 35, "ja": 35, "zh": 35}
"""How many phrases there are at least."""
KINDS = (
    "plain", "trap", "clock", "zone", "period", "relative", "event", "told_time", "name", "unknown",
    "exclusion", "two_windows", "two_scopes", "before_after", "messy",
)  # fmt: skip
MAX_UNCHECKED = 0.03
"""Share of the fields in which several readings pass."""


def test_every_phrase_is_one_of_its_own() -> None:
    """No id, and no question at one moment, is there twice; questions are as people type them."""
    table = phrases()
    assert len({phrase.id for phrase in table}) == len(table)
    assert len({(phrase.question, phrase.as_of) for phrase in table}) == len(table)
    assert all(phrase.id.startswith(f"{phrase.language}-") for phrase in table)


def test_languages_kinds_and_moments_are_covered() -> None:
    """Each with enough phrases to mean something, in both halves."""
    table = phrases()
    assert len(table) >= 420
    by_language = Counter(phrase.language for phrase in table)
    assert set(by_language) == set(LANGUAGES)
    assert all(by_language[language] >= least for language, least in LANGUAGES.items())
    by_kind = Counter(phrase.kind for phrase in table)
    assert set(by_kind) == set(KINDS)
    assert min(by_kind.values()) >= 5
    assert by_kind["plain"] >= 40
    assert len({phrase.as_of for phrase in table}) == len(MOMENTS)
    by_part = Counter(phrase.part for phrase in table)
    assert set(by_part) == set(PARTS)
    assert by_part[NIGHT] == 10
    assert by_part[SECOND] == 150
    assert (by_part[VARIED], by_part[HELD]) == (77, 75)
    assert 0.8 < by_part["tune"] / by_part["report"] < 1.25


def test_expected_intervals_are_possible() -> None:
    """Whole minutes, in order, disjoint, not after the moment; the window is that of the later side."""
    for phrase in phrases():
        spans = [*phrase.windows, *(each for side in phrase.sides for each in side.intervals)]
        for start, end in spans:
            assert start < end <= phrase.as_of, phrase.id
            assert not any(moment.second or moment.microsecond for moment in (start, end)), phrase.id
        for side in phrase.sides:
            ends = [moment for each in side.intervals for moment in each]
            assert ends == sorted(ends), phrase.id
        outer = {(side.intervals[0][0], side.intervals[-1][1]) for side in phrase.sides}
        if outer:
            assert max(outer, key=lambda window: (window[1], window[0])) == phrase.windows[0], phrase.id
            assert len(phrase.sides) == 2 or len(phrase.sides[0].intervals) > 1, phrase.id


def test_what_must_be_told_is_in_the_question() -> None:
    """Words that nobody asked cannot be reported as not used; few fields are left unchecked."""
    for phrase in phrases():
        asked = phrase.question.casefold()
        for words in (*phrase.told, *phrase.unknown):
            assert any(one in asked for one in words.casefold().split("|")), phrase.id
        quiet = phrase.kind == "plain"
        assert not quiet or not (phrase.told or phrase.unknown or phrase.sides), phrase.id
    unchecked = sum(len(phrase.unchecked) for phrase in phrases())
    assert unchecked / (len(CHECKED) * len(phrases())) <= MAX_UNCHECKED


@pytest.mark.database
async def test_measuring_tells_right_from_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reading passes the table of itself; with an hour, a tier or a told word more it does not."""
    right = next(phrase for phrase in phrases() if phrase.id == "en-plain-01")
    (start, end), hour = right.windows[0], timedelta(hours=1)
    wrong: dict[str, Phrase] = {
        "window": replace(right, windows=((start - hour, end),)),
        "tiers": replace(right, scope=replace(right.scope, tiers=frozenset({"premium"}))),
        "incidents": replace(right, incidents=frozenset({"inc_0117"})),
        "unknown": replace(right, unknown=("gpt-9",)),
        "told": replace(right, told=("unhealthy",)),
    }
    monkeypatch.setattr("tests.evaluation.understanding.measure.phrases", lambda: (right, *wrong.values()))
    exact, *misread = await results()
    assert exact.is_exact
    assert not exact.is_silent
    for field, result in zip(wrong, misread, strict=True):
        assert [difference.field for difference in result.differences] == [field]
        assert result.is_silent


def test_misreadings_of_the_unseen_part_are_only_counted() -> None:
    """Neither its ids nor its wrong fields are shown; those of the other parts are."""
    night = next(phrase for phrase in phrases() if phrase.part == NIGHT)
    unseen = next(phrase for phrase in phrases() if phrase.part == SECOND)
    misread = [
        Result(night, (Difference("window", "an hour", "a day"),), ()),
        Result(unseen, (Difference("tiers", "premium", "none"),), ()),
    ]
    console = Console(file=StringIO(), width=200)
    print_understanding(console, misread, verbose=True)
    shown = console.file.getvalue() if isinstance(console.file, StringIO) else ""
    assert f"part {SECOND}" in shown
    assert night.id in shown
    assert unseen.id not in shown
    assert "Wrong: window 1\n" in shown
    found = to_json(misread)
    assert found[NIGHT]["silent_ids"] == [night.id]
    assert (found[SECOND]["silent"], found[SECOND]["silent_ids"]) == (1, [])
