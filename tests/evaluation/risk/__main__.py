"""Prints the goal table of the forecasts: `python -m tests.evaluation.risk`.

Thresholds of breaches come from the first half of each series, figures from the second. Thresholds of
anomalies are chosen on the same series, as the benchmarks do it.
"""

from __future__ import annotations

from api.cli.terminal.streams import say
from api.cli.terminal.text_table import TextTable, plain_lines
from tests.evaluation.risk import rows
from tests.evaluation.risk.rows import DATA, GoalRow

MEASURED = (
    rows.skill_rows, rows.breach_rows, rows.nab_row, rows.latency_anomaly_row, rows.trial_row,
    rows.request_row,
)  # fmt: skip
ALONE = (rows.model_row, rows.cost_rows)
"""Rows that need no series."""
NO_DATA = (("5", "recall / lead / false alarms on GenTD26"),)


def main() -> None:
    """Measure every row whose data is there."""
    found: list[GoalRow] = []
    if (DATA / "series").is_dir():
        found += [row for measure in MEASURED for row in measure()]
    else:
        say(f"rows 1 to 9 and 14 are skipped: there are no series in {DATA}")
    found += [row for measure in ALONE for row in measure()]
    found += [GoalRow(number, metric, "", "", "", "no data") for number, metric in NO_DATA]
    columns = ("row", "metric", "floor", "target", "published design", "measured")
    shown = [(one.number, one.metric, one.floor, one.target, one.published, one.measured) for one in found]
    for line in plain_lines(TextTable(title="forecasts", columns=columns, rows=tuple(shown))):
        say(line)


if __name__ == "__main__":
    main()
