"""The first lines of briefs answer questions of every form on the demo's week, as counted from its rows."""

from __future__ import annotations

from models.database import Database
from tests.evaluation.brief_form import CASES, judge_all
from tests.support.prepared_databases import STORY_ANCHOR


async def test_briefs_answer_first_and_keep_their_form(story: Database) -> None:
    """Briefs of the story are short and grounded and hold what was asked in their first two lines."""
    outcomes = await judge_all(story, STORY_ANCHOR, cases=CASES[::3])  # all of them: `make eval`
    assert len(outcomes) == len(CASES[::3])
    assert [one.case.question for one in outcomes if not one.well_formed] == []
    assert {one.case.question: one.missing for one in outcomes if one.missing} == {}
