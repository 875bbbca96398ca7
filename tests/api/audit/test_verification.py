"""The walk along the chain names the first entry that does not fit, and what is wrong with it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from api.audit.verification import Anchor, BadAnchor, Fault, verify
from models.audit_chain import BEFORE_THE_FIRST, ChainedEntry

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
Entries = list[ChainedEntry]


def chain(length: int) -> Entries:
    entries: Entries = []
    previous = BEFORE_THE_FIRST
    for number in range(1, length + 1):
        entry = ChainedEntry(
            sequence=number, at=NOON + timedelta(seconds=number), caller="loopback", key_id=None,
            action="question", subject=f"ans_{number}", outcome="done", detail="{}", previous=previous,
        )  # fmt: skip
        entries.append(replace(entry, hash=entry.digest()))
        previous = entries[-1].hash
    return entries


def changed(entries: Entries, number: int, *, rehashed: bool = False, **fields: object) -> Entries:
    entry = replace(entries[number - 1], **fields)  # type: ignore[arg-type]
    entry = replace(entry, hash=entry.digest()) if rehashed else entry
    return [*entries[: number - 1], entry, *entries[number:]]


def swapped(entries: Entries) -> Entries:
    third, fourth = entries[2:4]
    return [*entries[:2], replace(fourth, sequence=3), replace(third, sequence=4), *entries[4:]]


def closed_up(entries: Entries) -> Entries:
    return [*entries[:2], *(replace(each, sequence=each.sequence - 1) for each in entries[3:])]


def forked(entries: Entries) -> Entries:
    other = replace(entries[3], subject="ans_other", previous=entries[2].hash)
    return [*entries[:4], replace(other, hash=other.digest()), *entries[4:]]


@pytest.mark.parametrize(
    ("tamper", "number", "fault"),
    [
        (lambda entries: changed(entries, 3, subject="ans_9"), 3, Fault.ALTERED),
        (lambda entries: changed(entries, 3, at=NOON), 3, Fault.ALTERED),
        (lambda entries: changed(entries, 3, detail='{"a":1}'), 3, Fault.ALTERED),
        (lambda entries: changed(entries, 3, caller="x", rehashed=True), 4, Fault.FORKED),
        (lambda entries: changed(entries, 1, previous="1" * 64, rehashed=True), 1, Fault.FORKED),
        (lambda entries: [*entries[:2], *entries[3:]], 3, Fault.MISSING),
        (lambda entries: entries[2:], 1, Fault.MISSING),
        (swapped, 3, Fault.REORDERED),
        (closed_up, 3, Fault.REORDERED),
        (forked, 4, Fault.FORKED),
        (lambda entries: [replace(entries[0], sequence=0), *entries], 0, Fault.FORKED),
        (lambda entries: changed(entries, 3, caller=b"x"), 3, Fault.ALTERED),
    ],
)
async def test_the_first_break_is_named(
    tamper: Callable[[Entries], Entries], number: int, fault: Fault
) -> None:
    """Whatever is done to some entries of a chain is found at the first of them, or right behind it."""
    verdict = await verify(streamed(tamper(chain(6))))
    assert verdict.broken is not None
    assert (verdict.broken.sequence, verdict.broken.fault) == (number, fault)


async def test_an_untouched_chain_is_in_order() -> None:
    """From its beginning, and from any anchor in it."""
    entries = chain(6)
    assert (await verify(streamed(entries))).entries == 6
    verdict = await verify(streamed(entries[4:]), Anchor(4, entries[3].hash))
    assert (verdict.entries, verdict.broken) == (2, None)


ZEROS = "0" * 64


@pytest.mark.parametrize("text", ["", "12", f"x:{ZEROS}", f"1:{ZEROS[1:]}", f"1:{ZEROS[1:]}G", f"-1:{ZEROS}"])
def test_what_is_no_anchor_is_refused(text: str) -> None:
    """The message says what one looks like."""
    with pytest.raises(BadAnchor, match="give what `arcpoint audit head` printed"):
        Anchor.parse(text)


async def streamed(entries: Entries) -> AsyncIterator[ChainedEntry]:
    for entry in entries:
        yield entry
