"""The tables of how questions are understood."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.evaluation.understanding.measure import Result
from tests.evaluation.understanding.phrase import PARTS, UNSEEN

_ALL = "all"


def print_understanding(console: Console, results: Sequence[Result], *, verbose: bool = False) -> None:
    """One table for each part, by language and by kind; with `verbose` also every misreading.

    Of the unseen parts nothing but their tables are shown: what nobody sees nobody tunes by.
    """
    for part in PARTS:
        of_part = [result for result in results if result.phrase.part == part]
        if of_part:
            console.print(_table(part, of_part))
            console.print()
    seen = [result for result in results if result.phrase.part not in UNSEEN]
    console.print(_wrong_fields(seen), markup=False, highlight=False, soft_wrap=True)
    silent = [result.phrase.id for result in seen if result.is_silent]
    listed = f"Silently misread, {len(silent)}: {', '.join(silent) or 'none'}"
    console.print(listed, markup=False, highlight=False, soft_wrap=True)
    if verbose:
        for result in seen:
            if not result.is_exact:
                console.print(misreading(result), markup=False, highlight=False, soft_wrap=True)


def _table(part: str, results: Sequence[Result]) -> Table:
    table = Table(title=f"Understanding of questions, part {part}", title_justify="left")
    for position, column in enumerate(("by", "of", "phrases", "exact", "misread", "told", "silent")):
        table.add_column(column, justify="left" if position < 2 else "right", no_wrap=True)
    keys: dict[str, Callable[[Result], str]] = {
        "language": lambda result: result.phrase.language,
        "kind": lambda result: result.phrase.kind,
    }
    for by, key in keys.items():
        for value in dict.fromkeys(map(key, results)):
            table.add_row(by, value, *_shares([result for result in results if key(result) == value]))
        table.add_section()
    table.add_row(_ALL, "", *_shares(results))
    return table


def _shares(results: Sequence[Result]) -> list[str]:
    misread = [result for result in results if not result.is_exact]
    exact = len(results) - len(misread)
    told = sum(result.is_told for result in misread)
    told_share = f"{told / len(misread):.0%}" if misread else "-"
    return [
        str(len(results)), f"{exact / len(results):.1%}", str(len(misread)), told_share,
        str(len(misread) - told),
    ]  # fmt: skip


def _wrong_fields(results: Sequence[Result]) -> str:
    """How often each field was wrong."""
    fields = [difference.field for result in results for difference in result.differences]
    counts = sorted(((fields.count(field), field) for field in set(fields)), reverse=True)
    return f"Wrong: {', '.join(f'{field} {count}' for count, field in counts) or 'nothing'}"


def misreading(result: Result) -> str:
    """A phrase that was misread, what was expected, and what came."""
    phrase = result.phrase
    how = "silent" if result.is_silent else "told"
    lines = [f"{phrase.id} ({how}, asked {phrase.as_of:%a %Y-%m-%dT%H:%M}): {phrase.question}"]
    lines += [f"    {one.field}: expected {one.expected}; got {one.got}" for one in result.differences]
    lines += [f"    reported: {text}" for text in result.reported]
    return "\n".join(lines)


def to_json(results: Sequence[Result]) -> dict[str, Any]:
    """The same for `--json`; of the unseen parts no ids."""
    return {
        part: {
            "phrases": len(of_part),
            "exact": sum(result.is_exact for result in of_part),
            "told": sum(result.is_told for result in of_part),
            "silent": sum(result.is_silent for result in of_part),
            "silent_ids": [one.phrase.id for one in of_part if one.is_silent and part not in UNSEEN],
        }
        for part in PARTS
        if (of_part := [result for result in results if result.phrase.part == part])
    }
