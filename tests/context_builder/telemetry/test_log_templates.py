"""Lines are grouped into templates, whatever their order, in linear time."""

from __future__ import annotations

import random
import string
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from context_builder.telemetry.log_templates import MIN_VARIABLE_VALUES, WILDCARD, templates_of
from tests.support.source_results import ATTACKS


def template(line: str) -> str:
    return templates_of([line])[line]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("took 3000 ms", "took <*> ms"),
        ("timeout=3000ms, retry", "timeout=<*>, retry"),
        ("no route to 10.0.0.1:8080.", "no route to <*>."),
        ("peer [fe80::1] gone", "peer [<*>] gone"),
        ("at 0xDEADBEEF in req_7f3a", "at <*> in <*>"),
        ("trace 123e4567-e89b-12d3-a456-426614174000 lost", "trace <*> lost"),
        ("cannot open /var/lib/models: denied", "cannot open <*>: denied"),
        ("GET https://example.test/a?b=c failed", "GET <*> failed"),
        ("key of kim@example.test revoked", "key of <*> revoked"),
        ('user "Kim Lee" is unknown', "user <*> is unknown"),
        ("can't reach it, don't know why", "can't reach it, don't know why"),
        ("2026-03-10 12:00:01.123 pool exhausted", "<*> pool exhausted"),
        ("lost workers 1 2 3", "lost workers <*>"),
        ("HTTP 503 from upstream", "HTTP 503 from upstream"),
        ("status=429, slow down", "status=429, slow down"),
        ("returned 200 tokens of 512", "returned 200 tokens of <*>"),
        ('{"msg": "pool exhausted", "n": 7}', '{"msg": "pool exhausted", "n": <*>}'),
        ("line\nand\tline", "line and line"),
        ("", WILDCARD),
    ],
)
def test_variable_pieces_are_masked(line: str, expected: str) -> None:
    """Numbers, ids, addresses, paths and quotations are masked; words and HTTP statuses are not."""
    assert template(line) == expected


def test_a_word_is_variable_only_with_many_values() -> None:
    """A few ways to fail are separate templates; as many names as users are one."""
    few = [f"connection {how} by peer" for how in ("refused", "reset", "closed", "aborted")]
    assert set(templates_of(few).values()) == set(few)
    many = [
        f"user {name * 3} cannot read bucket {name * 2}"
        for name in string.ascii_lowercase[: MIN_VARIABLE_VALUES + 1]
    ]
    assert set(templates_of(many).values()) == {"user <*> cannot read bucket <*>"}
    both = [f"{line} for {name}" for line in few for name in ("ada", "bob", "cy", "di", "eve")]
    assert set(templates_of(both).values()) == {f"{line} for <*>" for line in few}


def test_many_first_words_are_variable() -> None:
    """Lines that start with a name are one template, however many names there are."""
    lines = [f"{a}{b}: cannot read" for a in string.ascii_lowercase for b in string.ascii_lowercase]
    assert set(templates_of(lines).values()) == {"<*> cannot read"}


@given(
    lines=st.lists(st.text(max_size=40) | st.lists(st.sampled_from(ATTACKS), max_size=5).map(" ".join)),
    chance=st.randoms(),
)
def test_order_and_repetition_of_lines_do_not_matter(lines: list[str], chance: random.Random) -> None:
    """Every line has a template with no more words, the same after any shuffle and repetition."""
    templates = templates_of(lines)
    assert templates.keys() == set(lines)
    assert all(len(mine.split()) <= max(1, len(line.split())) for line, mine in templates.items())
    again = [*lines, *lines]
    chance.shuffle(again)
    assert templates_of(again) == templates


def _flood(kind: str, number: int) -> list[str]:
    chance = random.Random(5)  # noqa: S311  test data

    def word() -> str:
        return "".join(chance.choices(string.ascii_lowercase, k=5))

    floods: dict[str, Callable[[], list[str]]] = {
        "words": lambda: [" ".join(word() for _ in range(20)) for _ in range(number)],
        "first words": lambda: [f"{word()}: a b c {n}" for n in range(number)],
        "dots": lambda: ["." * 300 + "'" * 90 + word() for _ in range(number)],
        "blanks": lambda: [word() + " x" * 190 for _ in range(number)],
    }
    return floods[kind]()


@pytest.mark.long
@pytest.mark.parametrize("kind", ["words", "first words", "dots", "blanks"])
def test_hostile_lines_take_linear_time(kind: str) -> None:
    """Four times as many lines take far less than sixteen times as long, and have few templates."""
    seconds = []
    for number in (1_000, 4_000):
        lines = _flood(kind, number)
        attempts = []
        for _ in range(3):
            started = time.process_time()
            templates = templates_of(lines)
            attempts.append(time.process_time() - started)
        seconds.append(min(attempts))
        assert len(set(templates.values())) < 100
    assert seconds[1] < 10 * seconds[0] + 0.05
