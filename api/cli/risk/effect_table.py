"""The effect of the routing policy that a switchback test has measured, as a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from random import Random
from statistics import fmean

from api.cli.terminal.text_table import TextTable
from context_builder.risk.measures.fleet_series import FleetSeries
from context_builder.risk.policy.arms import SwitchbackBlock, SwitchbackUnusable
from context_builder.risk.policy.switchback import (
    SwitchbackEffect,
    estimate_effect,
    false_positive_share,
    pairs_needed,
)

WORTH_FINDING = 0.1
"""Share of the usual level that a test should be able to find."""
_COLUMNS = ("measure", "usual", "effect", "95 % interval", "pairs", "A/A", "pairs to find 10 %")


@dataclass(frozen=True, slots=True)
class MeasuredEffect:
    """What a test says of one measure."""

    usual: float
    """Mean of all minutes."""
    effect: SwitchbackEffect
    false_positives: float
    """Share of A/A tests on the same minutes that find a difference; 0.05 is right."""
    pairs_needed: int | None
    """Pairs of blocks that find WORTH_FINDING in 80 % of tests; None: more than can be planned."""


def measure_effects(
    blocks: Sequence[SwitchbackBlock], series: Mapping[str, FleetSeries]
) -> dict[str, MeasuredEffect]:
    """Return the effect on each measure. Raises SwitchbackUnusable."""
    return {name: _measured(blocks, values) for name, values in series.items()}


def _measured(blocks: Sequence[SwitchbackBlock], values: FleetSeries) -> MeasuredEffect:
    effect = estimate_effect(blocks, values)
    usual = fmean(value for _, value in values)
    try:
        needed = pairs_needed(effect.spread, WORTH_FINDING * usual)
    except SwitchbackUnusable:
        needed = None
    chance = Random(1)  # noqa: S311  the same draws each time
    return MeasuredEffect(usual, effect, false_positive_share(chance, blocks, values), needed)


def effect_table(blocks: Sequence[SwitchbackBlock], effects: Mapping[str, MeasuredEffect]) -> TextTable:
    """Return the effects as people read them."""
    title = (
        f"blocks in which a promoted service acts against the others: {len(blocks) // 2} pairs from "
        f"{blocks[0].start:%Y-%m-%d %H:%M} to {blocks[-1].end:%Y-%m-%d %H:%M} UTC; an effect only if it ran "
        "in mode switchback"
    )
    return TextTable(title=title, columns=_COLUMNS, rows=tuple(_rows(effects)))


def _rows(effects: Mapping[str, MeasuredEffect]) -> Iterator[tuple[str, ...]]:
    for name, one in effects.items():
        found = one.effect
        yield (
            name,
            f"{one.usual:,.2f}",
            f"{found.difference:+,.2f}",
            f"{found.low:+,.2f} to {found.high:+,.2f}{'' if found.differs else ', no more than chance'}",
            f"{found.pairs:,}" + (f" ({found.dropped:,} too sparse)" if found.dropped else ""),
            f"{one.false_positives:.2f}",
            "-" if one.pairs_needed is None else f"{one.pairs_needed:,}",
        )


def effects_document(effects: Mapping[str, MeasuredEffect]) -> dict[str, object]:
    """Return the effects as JSON."""
    return {name: asdict(one) | {"differs": one.effect.differs} for name, one in effects.items()}
