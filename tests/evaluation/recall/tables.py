"""The tables of recall."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.table import Table

from tests.evaluation.recall.contest import DENSE, LEXICAL, METHODS, OURS
from tests.evaluation.recall.leaks import Leaks
from tests.evaluation.recall.score import AbstentionScore, RankingScore


def print_tables(
    console: Console, rankings: Sequence[RankingScore], abstentions: Sequence[AbstentionScore], leaks: Leaks
) -> None:
    """All of them."""
    console.print(_ranking(rankings))
    console.print()
    console.print(_abstention(abstentions))
    console.print()
    console.print(_coverage(abstentions))
    console.print()
    console.print(_leaks(leaks), markup=False, highlight=False, soft_wrap=True)
    for line in behind(rankings, abstentions):
        console.print(f"not ahead: {line}", markup=False, highlight=False, soft_wrap=True)


def _leaks(leaks: Leaks) -> str:
    return (
        f"Leak test, the real memory over SQL and Chroma: {leaks.asked} queries recalled {leaks.recalled} "
        f"incidents, {len(leaks.from_the_future)} of them from the future, {len(leaks.itself)} the one asked "
        f"about; the first result, or none, is that of the tables' method for {leaks.alike}"
    )


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left")
    for position, column in enumerate(columns):
        table.add_column(column, justify="left" if position < 2 else "right", no_wrap=True)
    return table


def _ranking(scores: Sequence[RankingScore]) -> Table:
    table = _table(
        "Recall: similar past incidents, best first, over the queries that have an answer",
        "corpus", "queries", "number", "metric", *METHODS, "95 % of ours", "ahead of the better",
        f"p to {DENSE}", f"p to {LEXICAL}",
    )  # fmt: skip
    for score in scores:
        table.add_row(
            score.corpus, score.kind, str(score.queries), score.metric,
            *(f"{score.means[method]:.3f}" for method in METHODS), f"{score.low:.3f}-{score.high:.3f}",
            f"{score.ahead:+.3f}", *(f"{score.p[method]:.4f}" for method in (DENSE, LEXICAL)),
        )  # fmt: skip
    return table


def _abstention(scores: Sequence[AbstentionScore]) -> Table:
    table = _table(
        '"Nothing similar": how well it is known that there is no answer',
        "corpus", "queries", "without answer", "precision", "recall", "answered", "first shown right",
        *(f"AUC {method}" for method in METHODS),
    )  # fmt: skip
    for score in scores:
        table.add_row(
            score.corpus, str(score.queries), str(score.without_answer), f"{score.precision:.3f}",
            f"{score.recall:.3f}", f"{score.answered:.3f}", f"{score.right_shown:.3f}",
            *(f"{score.auc[method]:.3f}" for method in METHODS),
        )  # fmt: skip
    return table


def _coverage(scores: Sequence[AbstentionScore]) -> Table:
    table = _table(
        "Risk and coverage: the share of wrong first results among the surest queries",
        "corpus", "method", "25 %", "50 %", "75 %", "100 %", "area", "least possible",
    )  # fmt: skip
    for score in scores:
        for method in METHODS:
            table.add_row(
                score.corpus, method, *(f"{risk:.3f}" for risk in score.covered[method]),
                f"{score.aurc[method]:.3f}", f"{score.least_aurc[method]:.3f}",
            )  # fmt: skip
    return table


def behind(rankings: Sequence[RankingScore], abstentions: Sequence[AbstentionScore]) -> Iterator[str]:
    """Where ours is not ahead of both baselines, and by how much."""
    for score in rankings:
        if score.ahead <= 0:
            yield (
                f"{score.corpus}, {score.kind}, {score.metric}: {score.means[OURS]:.3f}, {score.ahead:+.3f}"
            )
    for known in abstentions:
        above = known.auc[OURS] - max(known.auc[DENSE], known.auc[LEXICAL])
        below = min(known.aurc[DENSE], known.aurc[LEXICAL]) - known.aurc[OURS]
        if above <= 0:
            yield f"{known.corpus}, AUC of having no answer: {known.auc[OURS]:.3f}, {above:+.3f}"
        if below <= 0:
            yield f"{known.corpus}, area under risk and coverage: {known.aurc[OURS]:.3f}, {-below:+.3f}"
