"""The arms of an A/B test by switchback: blocks of time in which one policy or the other is in use. Pure.

Each pair of neighbouring blocks holds both arms in random order. Which, follows from the time alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from random import Random

from context_builder.errors import ContextBuilderError

MIN_PAIRS = 6
MAX_PAIRS = 100_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class SwitchbackUnusable(ContextBuilderError, ValueError):
    """A plan or its result cannot be used; the message says what is accepted."""


class Arm(StrEnum):
    """A policy of the test."""

    A = "A"
    B = "B"


@dataclass(frozen=True, slots=True)
class SwitchbackBlock:
    """A span of time in which one arm is in use."""

    start: datetime
    end: datetime
    arm: Arm


def arm_at(moment: datetime, block: timedelta) -> Arm:
    """Return the arm of the block that a moment is in: every process reaches the same, without a word."""
    pair, half = divmod(_place(moment, block), 2)
    first = Random(f"{block} {pair}").choice((Arm.A, Arm.B))  # noqa: S311  an assignment, no secret
    return first if half == 0 else (Arm.B if first is Arm.A else Arm.A)


def _place(moment: datetime, block: timedelta) -> int:
    return (moment - _EPOCH) // block


def declared_blocks(start: datetime, end: datetime, *, block: timedelta) -> tuple[SwitchbackBlock, ...]:
    """Return the blocks of all pairs that lie in a span. Raises SwitchbackUnusable."""
    if block <= timedelta(0):
        raise SwitchbackUnusable(f"a block of {block} is none; it must last")
    first = -(-_place(start + block - timedelta.resolution, block) // 2)
    pairs = max(0, _place(end, block) // 2 - first)
    if not MIN_PAIRS <= pairs <= MAX_PAIRS:
        raise SwitchbackUnusable(
            f"{pairs:,} pairs of blocks of {block} lie between {start:%Y-%m-%d %H:%M} and "
            f"{end:%Y-%m-%d %H:%M}; {MIN_PAIRS} to {MAX_PAIRS:,} are needed"
        )
    starts = [_EPOCH + place * block for place in range(2 * first, 2 * (first + pairs))]
    return tuple(SwitchbackBlock(each, each + block, arm_at(each, block)) for each in starts)
