"""The result of a backtest as a table."""

from __future__ import annotations

from collections.abc import Iterator

from api.cli.terminal.text_table import Row, TextTable
from context_builder.risk.forecast.backtest import Report
from context_builder.text.formatting import format_duration


def backtest_table(name: str, report: Report) -> TextTable:
    """Return the figures of one series, beside those of simple forecasts."""
    return TextTable(title=f"backtest of {name}", rows=tuple(_rows(report)))


def _rows(report: Report) -> Iterator[Row]:
    left_out = f", {report.left_out:,} rows left out" if report.left_out else ""
    yield "values", f"{report.points:,} every {format_duration(report.step)}{left_out}"
    yield "forecasts", f"{report.forecasts:,} of the second half, {report.horizon} steps ahead"
    yield "skill against “as now”", f"{report.skill:+.3f} (1 - error / error of “as now”)"
    for name, skill in sorted(report.naive.items(), key=lambda pair: -pair[1]):
        yield f"  {name} alone", f"{skill:+.3f}"
    for level, share in report.coverage.items():
        yield f"below the {level:.0%} bound", f"{share:.1%}"
    yield "limit", f"{report.limit:g}"
    yield "breaches", f"{report.onsets:,} of {report.base_rate:.2%} of the moments below the limit"
    yield "average precision", f"{report.precision:.3f}, by the present value {report.margin_precision:.3f}"
    yield "Brier skill", f"{report.brier_skill:+.3f} against always giving the base rate"
