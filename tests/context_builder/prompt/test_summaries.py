"""Summary lines keep their figures, and what does not apply has none."""

from __future__ import annotations

import re

from context_builder.prompt.render import render
from context_builder.prompt.summaries import Summary, SummaryWidth
from context_builder.source import Fact, Status
from tests.context_builder.prompt.test_packing import fixed_tokens
from tests.support.source_results import AMPLE, LINE, asked, packed, reading


def test_a_source_that_does_not_apply_has_no_line_of_its_own() -> None:
    """It is named with the others at the end, with its reason where there is room."""
    results = [
        reading("health", *[Fact(f"{LINE} {n}", importance=0.5) for n in range(40)]),
        reading("volume", header="no folder is configured", status=Status.EMPTY, applies=False),
    ]
    tight = fixed_tokens(asked(), results)
    for budget, said in ((tight, "volume"), (AMPLE, "volume (no folder is configured)")):
        user = render(packed(asked(budget=budget), results)).user
        assert f"\nfurther sources, empty: {said}\n" in user
        assert "[V0]" not in user


def test_a_summary_is_cut_between_clauses() -> None:
    """Whatever the width, no figure is cut in two, and no number loses its unit."""
    header = "all requests: p50 813 ms, p95 2,394 ms, p99 12,044 ms; the 7 days before: p50 813 ms"
    clauses = set(re.split(r"[;,] ", header))
    for width in (40, 50, 60, 80):
        summary = Summary(reading("latency", header=header), frozenset(), SummaryWidth(width, 0))
        *whole, end = re.split(r"[;,] ", summary.entry(kept=0, omitted=()).header)
        assert clauses.issuperset(whole)
        assert end == "…"
