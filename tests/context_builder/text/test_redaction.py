"""Law 7: secrets are replaced, wherever they stand, and nothing else is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from importlib import import_module
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from context_builder.text.redaction import Redaction
from context_builder.text.sanitize import quote, single_line
from context_builder.text.secret_patterns import PERSONAL, PERSONAL_KINDS, SECRETS
from tests.evaluation.trust.ordinary_texts import ordinary
from tests.evaluation.trust.planted_secrets import planted

sre, parser = (import_module(f"re._{name}") for name in ("constants", "parser"))
REDACT = Redaction(b"a key of thirty-two bytes or more")
PATTERNS = [*(pattern for group in SECRETS for pattern in group.patterns), *PERSONAL]
SEED = 5
KEY = "AKIA" + "Q7X2" * 4


@pytest.mark.parametrize("show", [str, quote, single_line])
def test_secrets_of_all_kinds_are_replaced_in_their_usual_surroundings(show: Any) -> None:
    """At least 99 of 100, of more than 60 kinds, in a text as it is and as a fact quotes it."""
    found = [(one, REDACT(show(one.text))) for one in planted(SEED, 1)]
    leaked = [one.text for one, redacted in found if one.leaks(redacted)]
    assert len({one.kind for one, _ in found}) >= 60
    assert len(leaked) <= 0.01 * len(found), leaked[:5]


def test_ordinary_lines_are_left_alone() -> None:
    """At most one of a thousand lines with ids, hashes, UUIDs, base64 and words about keys is changed."""
    lines = [line for _, line in ordinary(SEED, 100)]
    changed = [line for line in lines if REDACT(line) != line]
    assert len(changed) <= 0.001 * len(lines), changed[:5]


FRAGMENTS = st.sampled_from(
    [
        "password=", "token: ", "Authorization: Bearer ", "://u:", "@", "eyJhbGciOi", ".", KEY, "sk-ant-",
        "cookie: a=", " ", "-----BEGIN PRIVATE KEY-----", "<SECRET:aws:", "12345678>", "«", "»", "… (", "=",
        "'", '"', "a1B2c3D4e5F6", "secret",
    ]
)  # fmt: skip


@settings(max_examples=500, deadline=None)
@example(f"cookie: a={KEY}; b=abcdefgh")
@given(st.lists(FRAGMENTS | st.text(max_size=12), max_size=12).map("".join))
def test_what_is_redacted_stays_as_it_is(text: str) -> None:
    """Redacting twice is redacting once, and placeholders survive a fact's quotation."""
    once = REDACT(text)
    assert REDACT(once) == once
    assert REDACT(quote(once, limit=5_000)).count("<SECRET") >= quote(once, limit=5_000).count("<SECRET")


def test_equal_secrets_are_equal_and_only_under_one_key() -> None:
    """The digest tells secrets apart, and nothing without its key."""
    one, other = REDACT(f"{KEY} {KEY} AKIA{'Z' * 16}").split()[1:]
    assert REDACT(KEY) == one != other
    assert Redaction(b"another key of thirty-two bytes!")(KEY) != one
    assert REDACT.without_digest(KEY) == Redaction().without_digest(KEY) == "<SECRET:aws>"


def test_only_what_was_replaced_here_is_revealed() -> None:
    """A redaction that remembers gives secrets back; any other has none to give."""
    remembering = Redaction(can_reveal=True)
    text = f"cookie: a={KEY}; session=abcdefgh password=hunter22"
    assert remembering.reveal(remembering(text)) == text
    assert KEY not in REDACT.reveal(remembering(text))


@pytest.mark.parametrize("cut", range(30, 48))
def test_a_secret_that_was_cut_is_replaced_as_well(cut: int) -> None:
    """Of a text cut within a token, no more is left than the mark of the cut."""
    line = single_line(f"the call failed with key sk-ant-api03-{'Xy7' * 20}", limit=cut + 25)
    assert "Xy7" not in REDACT(line)


class Colour(StrEnum):
    SECRET = "password=hunter22"


@dataclass(frozen=True)
class Row:
    text: str
    others: tuple[str, ...]
    colour: Colour = Colour.SECRET


def test_every_text_of_a_value_is_redacted_and_keys_split_over_rows() -> None:
    """Texts in any structure, but no enum; the lines of a key are found where another row begins it."""
    line = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7"
    alone = Row(KEY, (f"digest {line}", {"a": [KEY]}["a"][0]))
    assert REDACT.of(alone) == Row(REDACT(KEY), (f"digest {line}", REDACT(KEY)))
    split = REDACT.of(Row("«-----BEGIN RSA PRIVATE KEY-----»", (f"«{line}»", "«ordinary words»")))
    assert line not in split.others[0]
    assert split.others[1] == "«ordinary words»"


PEOPLE = {
    "email": ["bob.smith+x@mail.example.com"],
    "phone": ["+49 30 901820", "(415) 555-0132", "+1-202-555-0123"],
    "card": ["4111 1111 1111 1111", "5500005555555559"],
    "iban": ["DE89 3704 0044 0532 0130 00", "GB29NWBK60161331926819"],
    "ip": ["203.0.113.7", "2001:0db8:0000:0000:0000:ff00:0042:8329"],
}
NOBODY = (
    "4111 1111 1111 1112",
    "DE89 3704 0044 0532 0130 01",
    "router v1.2.3 at 2026-11-20 09:30",
    "12,850 ms",
    "gpt-4/aws",
)


@pytest.mark.parametrize("kind", PERSONAL_KINDS)
def test_personal_data_is_replaced_only_if_wanted(kind: str) -> None:
    """Each kind by itself; numbers with wrong check digits are no cards and no accounts."""
    wanted, all_of_them = Redaction(personal=[kind]), Redaction(personal=PERSONAL_KINDS)
    for text in PEOPLE[kind]:
        assert REDACT(f"by {text} today") == f"by {text} today"
        assert re.fullmatch(f"by <PERSON:{kind}:[0-9a-f]{{8}}> today", wanted(f"by {text} today"))
        assert re.fullmatch(f"by <PERSON:{kind}:[0-9a-f]{{8}}> today", all_of_them(f"by {text} today"))
    assert [all_of_them(text) for text in NOBODY] == list(NOBODY)


@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda pattern: pattern.kind)
def test_a_pattern_works_in_linear_time_on_any_text(pattern: Any) -> None:
    """The steps of one attempt are bounded, however long and hostile the text, but for what is replaced."""
    steps, _ = cost(parser.parse(pattern.expression))
    assert steps <= MAX_STEPS, steps


MAX_STEPS = 200_000
"""Of one attempt at one place; hardly any place gets beyond the first characters of a pattern."""


def cost(nodes: Any) -> tuple[int, int]:
    """The steps that an attempt takes at most, and in how many ways it can match before the rest fails."""
    steps, ways = 1, 1
    for kind, value in nodes:
        inner_steps, inner_ways = cost_of(kind, value)
        steps, ways = steps + ways * inner_steps, ways * inner_ways
    return steps, ways


def cost_of(kind: Any, value: Any) -> tuple[int, int]:
    """The same of one node; what is atomic or possessive matches in one way."""
    if kind is sre.SUBPATTERN:
        return cost(value[-1])
    if kind is sre.BRANCH:
        parts = [cost(part) for part in value[1]]
        return sum(steps for steps, _ in parts), sum(ways for _, ways in parts)
    if kind in (sre.ASSERT, sre.ASSERT_NOT, sre.ATOMIC_GROUP):
        return cost(value if kind is sre.ATOMIC_GROUP else value[1])[0], 1
    if kind is sre.POSSESSIVE_REPEAT:
        low, high, body = value
        return cost(body)[0] * (1 if high is sre.MAXREPEAT else int(high)), 1
    if kind in (sre.MAX_REPEAT, sre.MIN_REPEAT):
        low, high, body = value
        assert high is not sre.MAXREPEAT, "an unbounded repetition that gives back"
        steps, ways = cost(body)
        reached = [ways**times for times in range(int(high) + 1)]
        return steps * sum(reached), sum(reached[int(low) :])
    return 1, 1
