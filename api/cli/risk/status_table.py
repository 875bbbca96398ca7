"""The model in use and the outlooks of deployments as tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from api.cli.terminal.text_table import TextTable
from context_builder.risk.learning.model_file import ModelCard
from context_builder.risk.outlook import Outlook
from context_builder.text.formatting import format_milliseconds

_COLUMNS = ("deployment", "breach", "p95", "90 % interval", "usual", "limit", "expert", "skill", "note")


def status_tables(
    card: ModelCard | None, refused: Sequence[str], outlooks: Mapping[str, Outlook]
) -> Iterator[TextTable]:
    """Yield the model, the files that are no use, and the outlook of each deployment."""
    if card is None:
        yield TextTable(title="no trained model; run `arcpoint risk train`", rows=())
    else:
        rows = (
            ("trained", card.trained_at),
            ("on data from", card.data_from),
            ("until", card.data_until),
            ("forecasts", f"{card.pairs:,}"),
            ("skill against no change", f"{card.skill_against_now:+.3f}"),
            ("skill against the moving average", f"{card.skill_against_average:+.3f}"),
        )
        yield TextTable(title="model in use", rows=rows)
    if refused:
        yield TextTable(title="refused", rows=tuple((text,) for text in refused), warns=True)
    if outlooks:
        shown = tuple(_row(name, outlooks[name]) for name in sorted(outlooks))
        yield TextTable(title="the next 5 minutes", columns=_COLUMNS, rows=shown)
    else:
        yield TextTable(title="no deployment had requests", rows=())


def _row(name: str, one: Outlook) -> tuple[str, ...]:
    interval = "" if one.low_ms is None else f"{_ms(one.low_ms)} to {_ms(one.high_ms)}"
    return (
        name,
        "-" if one.breach_probability is None else f"{one.breach_probability:.0%}",
        _ms(one.latency_ms),
        interval,
        _ms(one.baseline_ms),
        _ms(one.limit_ms),
        one.expert,
        "-" if one.skill is None else f"{one.skill:+.2f} ({one.matured:,})",
        one.silence or one.anomaly,
    )


def _ms(value: float | None) -> str:
    return "-" if value is None else format_milliseconds(value)
