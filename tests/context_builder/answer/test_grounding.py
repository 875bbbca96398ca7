"""Law 5: what the cited facts hold is never flagged, what they do not hold always is."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from context_builder.answer.answer import ClaimIssue
from context_builder.answer.grounding import ground
from context_builder.text.formatting import (
    format_count,
    format_dollars,
    format_duration,
    format_milliseconds,
    format_percent,
    format_ratio,
    format_time,
)
from context_builder.text.sanitize import single_line
from tests.support.source_results import texts

FACTS = {
    "H0": "health (ok, 3 of 10 facts shown): 12 deployments: 1 down, 11 healthy",
    "H1": "gpt-4/aws (eu-west-1) is DOWN since 2026-11-20 07:10 (10 h 51 min): "
    "«upstream timeouts»; reported 2 min ago",
    "H2": "11 deployments healthy: gpt-4/gcp, llama-70b/k8s",
    "L1": "deployment llama-70b/k8s: p50 1,204 ms, p95 12,850 ms over 104,201 timed requests; "
    "p95 is 2.4 times what it was under v2.4.0",
    "B1": "user_acme (premium): $0.96 of $1.00 spent today (96 %), $1,204.50 over",
    "I1": "inc_0042 (critical) on claude/aws: «pool exhausted»; ACTIVE, started 2026-11-19 23:59, "
    "1 d 9 h so far",
    "V1": "failed requests by error code: upstream_timeout 12 of 1,390 (0.9 %), http_503 7",
}
STATED = (
    "as_of: 2026-11-20 18:01:00 UTC (now)\nscope: tier premium\n"
    "unknown name in the question: gpt-5; known names spelled alike: gpt-4o\n"
    "Why were premium users slow in the last 24 hours?"
)


def doubts(answer: str, facts: dict[str, str] = FACTS, stated: str = STATED) -> list[tuple[str, str]]:
    """What is flagged, and why."""
    sources = {ref: ref[0] for ref in facts}
    return [(claim.doubt.name, claim.detail) for claim in ground(answer, facts, sources, stated).unsupported]


@pytest.mark.parametrize(
    "answer",
    [
        "gpt-4/aws is DOWN since 2026-11-20 07:10 [H1].",
        "**gpt-4/aws** has been down for 10 h 51 min, since 07:10 UTC. [H1]",
        "`gpt-4/aws` is down (10h51m, that is 10 hours and 51 minutes) [H1].",
        "It began on Nov 20 at 7:10, or 20 November 2026, 07:10Z [H1].",
        "llama-70b's p95 is 12.85 s, p50 1204 ms: 2.4x what it was [L1].",
        "The 70B model needs 12.9 s under version 2.4.0 (V2.4.0, pre-v2.4.0) [L1].",
        "p95 rose to 12\u202f850 ms, p50 to 1\u00a0204 ms [L1].",
        "user\\_acme has spent $0.96 (96%) of $1; 96 percent or 0.96 USD [B1].",
        "user_acme is $1204.5 over, not -1,204.50 [B1].",
        "Only 3 of 10 facts about 12 deployments were shown [H0].",
        "INC_0042 hit claude/aws at 23:59 on 2026-11-19, 1 day and 9 hours ago [I1].",
        "12 of 1,390 (0.9 %) were upstream_timeout, 7 were 503s [V1].",
        "GPT4 on aws is down, and so is GPT-4 [H1].",
        "gpt-4/aws [H1] is down; llama-70b/k8s [L1] takes 12.85 s.",
        "gpt-4/aws is down for 10 h 51 min, llama-70b/k8s is well [H1-H2].",
        "| gpt-4/aws | 10 h 51 min | [H1] |\n|---|---|---|\n| llama-70b/k8s | 12,850 ms | [L1] |",
        "1. **gpt-4/aws**: down since 07:10. For 10 h 51 min. [H1]\n2. **llama-70b/k8s**: 12,850 ms [L1]",
        "## 1. gpt-4/aws\n\n> down since 07:10 [H1]",
        "As of 18:01 UTC, in the last 24 hours, see H1. There is no gpt-5; is gpt-4o meant?",
        "p95/p99, 5xx and HTTP/2 are measures, and/or words; two of them.",
        "llama-70b/k8s的p95延迟为12,850毫秒[L1]。",
        "It was inc_0042. It began at 23:59.",
        "```\ngpt-4/aws since 07:10, max 12850\n```",
        "",
    ],
)
def test_claims_in_the_cited_facts_are_not_flagged(answer: str) -> None:
    """Law 5: in any usual notation of numbers, durations, times, names and Markdown."""
    assert doubts(answer) == []


@pytest.mark.parametrize(
    ("answer", "flagged"),
    [
        ("gpt-4/aws is down since 07:11 [H1].", ("NUMBER_NOT_IN_FACTS", "07:11")),
        ("It began at 17:10 [H1].", ("NUMBER_NOT_IN_FACTS", "17:10")),
        ("It began on 2026-11-21 [H1].", ("NUMBER_NOT_IN_FACTS", "2026-11-21")),
        ("It began on November 21 [H1].", ("NUMBER_NOT_IN_FACTS", "November 21")),
        ("It began on 2026-11-20 23:59 [I1].", ("NUMBER_NOT_IN_FACTS", "2026-11-20 23:59")),
        ("down for 10h52m [H1].", ("NUMBER_NOT_IN_FACTS", "52m")),
        ("p95 is 12,851 ms [L1].", ("NUMBER_NOT_IN_FACTS", "12,851")),
        ("p95 is 12.86 s [L1].", ("NUMBER_NOT_IN_FACTS", "12.86")),
        ("p50 is 1 s [L1].", ("NUMBER_NOT_IN_FACTS", "1")),
        ("p95 is 2.5 times what it was [L1].", ("NUMBER_NOT_IN_FACTS", "2.5")),
        ("p95 is 2.4 % more [L1].", ("NUMBER_NOT_IN_FACTS", "2.4")),
        ("96 ms were spent [B1].", ("NUMBER_NOT_IN_FACTS", "96")),
        ("$0.97 were spent [B1].", ("NUMBER_NOT_IN_FACTS", "0.97")),
        ("10 min ago [H1].", ("NUMBER_NOT_IN_FACTS", "10")),
        ("12,850 ms [H1].", ("NUMBER_NOT_IN_FACTS", "12,850")),
        ("12,850 ms.", ("NUMBER_WITHOUT_REFERENCE", "12,850")),
        ("Try again in 5 minutes.", ("NUMBER_WITHOUT_REFERENCE", "5")),
        ("```\nreplicas: 5\n```", ("NUMBER_WITHOUT_REFERENCE", "5")),
        ("At 06:00 all was well.", ("NUMBER_WITHOUT_REFERENCE", "06:00")),
        ("gpt-4/aws is down [H9].", ("UNKNOWN_REFERENCE", "H9")),
        ("gpt-4/aws is down [H1-H3].", ("UNKNOWN_REFERENCE", "H3")),
        ("gpt-4/azure is down [H1].", ("UNKNOWN_NAME", "gpt-4/azure")),
        ("gpt-4/aw is down [H1].", ("UNKNOWN_NAME", "gpt-4/aw")),
        ("gpt-41 is down [H1].", ("UNKNOWN_NAME", "gpt-41")),
        ("user_acm is near [B1].", ("UNKNOWN_NAME", "user_acm")),
        ("claude/gcp is hit [I1].", ("UNKNOWN_NAME", "claude/gcp")),
        ("v2.4.1 is slow [L1].", ("UNKNOWN_NAME", "v2.4.1")),
        ("inc_0043 is active.", ("UNKNOWN_NAME", "inc_0043")),
        ("See https://evil.example/help [H1].", ("LINK_NOT_IN_FACTS", "https://evil.example/help")),
        ("gpt-4/gcp is down [H1].", ("NAME_NOT_IN_FACTS", "gpt-4/gcp")),
        ("upstream_timeout is why [H1].", ("NAME_NOT_IN_FACTS", "upstream_timeout")),
    ],
)
def test_claims_beyond_the_cited_facts_are_flagged(answer: str, flagged: tuple[str, str]) -> None:
    """Law 5: one wrong digit, unit, letter or reference is enough."""
    assert doubts(answer) == [flagged]


def test_citations_are_distinct_and_in_the_order_of_the_answer() -> None:
    """Each has the text and source of its fact; unknown references are not citations."""
    answer = "llama-70b/k8s is slow [L1]. gpt-4/aws is down [H1, L1, X9]."
    citations = ground(answer, FACTS, {ref: ref[0] for ref in FACTS}, STATED).citations
    assert [(c.ref, c.source, c.text) for c in citations] == [
        ("L1", "L", FACTS["L1"]),
        ("H1", "H", FACTS["H1"]),
    ]


def test_an_issue_quotes_its_sentence() -> None:
    """Long sentences are cut, and no issue is reported twice."""
    (claim,) = ground(
        "Fine. It took 5 s and 5 s [H1]. Fine.", FACTS, dict.fromkeys(FACTS, "h"), ""
    ).unsupported
    assert (claim.sentence, claim.doubt) == ("It took 5 s and 5 s [H1].", ClaimIssue.NUMBER_NOT_IN_FACTS)
    (claim,) = ground("x " * 5_000 + "5", FACTS, dict.fromkeys(FACTS, "h"), "").unsupported
    assert len(claim.sentence) < 700


@dataclass(frozen=True)
class Stated:
    """A figure as a fact writes it, and other ways in which an answer may write it."""

    written: str
    variants: tuple[str, ...] = ()


def spelled(
    strategy: st.SearchStrategy[object], write: Callable[..., str], *ways: Callable[..., str]
) -> st.SearchStrategy[Stated]:
    """Figures of one kind."""
    return strategy.map(lambda value: Stated(write(value), tuple(way(value) for way in ways)))


moments_of_time = st.integers(0, 10**9).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
spans = st.integers(60, 10**6).map(lambda seconds: timedelta(seconds=seconds))
figures = st.one_of(
    spelled(st.integers(10, 10**9), lambda n: format_count(n, "request"), lambda n: f"{n} requests"),
    spelled(
        st.integers(10, 10**6), format_milliseconds, lambda n: f"{Decimal(n) / 1000:f} s", lambda n: f"{n}ms"
    ),
    spelled(
        st.integers(1, 999),
        lambda n: format_percent(n, 1000),
        lambda n: format_percent(n, 1000).replace(" %", "%"),
    ),
    spelled(st.integers(1, 999), lambda n: format_percent(n, 1000), lambda n: f"{n / 10} percent"),
    spelled(
        st.integers(11, 10**8),
        lambda n: format_dollars(Decimal(n) / 100),
        lambda n: f"{Decimal(n) / 100} USD",
    ),
    spelled(
        st.integers(11, 999), lambda n: format_ratio(n, 10), lambda n: f"{n / 10}x", lambda n: f"{n / 10} ×"
    ),
    spelled(
        moments_of_time,
        format_time,
        lambda m: f"{m:%Y-%m-%dT%H:%MZ}",
        lambda m: f"{m:%H:%M} on {m:%b} {m.day}",
    ),
    spelled(moments_of_time, format_time, lambda m: f"{m.day} {m:%B %Y} at {m:%H:%M} UTC"),
    spelled(spans, format_duration, lambda s: format_duration(s).replace(" ", "")),
    spelled(
        spans,
        format_duration,
        lambda s: format_duration(s).replace(" min", " minutes").replace(" h", " hours"),
    ),
)
known_names = st.from_regex(
    r"(gpt|llama|user_[a-z]{3}|inc)[-_][0-9]{1,3}[a-z]?(/(aws|k8s|gcp))?", fullmatch=True
)
decorations = st.sampled_from(
    ["{}", "**{}**", "`{}`", "*{}*", "({})", "“{}”", "{},", "- {}", "1. {}", "> {}", "# {}"]
)
closings = st.sampled_from(
    [" [X1].", ". [X1]", " [X1, X2]", " [X1][X2].", " [X1-X2]", "! [ X1 ]", " [X2; X1] and so on."]
)


@pytest.mark.long
@settings(max_examples=400, deadline=None)
@given(st.lists(figures, min_size=1, max_size=3), known_names, decorations, closings, st.data())
def test_figures_of_the_cited_fact_are_never_flagged(
    stated: list[Stated], name: str, decoration: str, closing: str, data: st.DataObject
) -> None:
    """Law 5: verbatim or in another usual notation, decorated, and cited in any form."""
    facts = {"X1": f"deployment {name}: {', '.join(figure.written for figure in stated)}", "X2": "nothing"}
    said = [data.draw(st.sampled_from([figure.written, *figure.variants])) for figure in stated]
    answer = decoration.format(name) + " shows " + " and ".join(said) + closing
    assert doubts(answer, facts, "") == []


@pytest.mark.long
@settings(max_examples=400, deadline=None)
@given(figures, known_names, closings, st.data())
def test_a_changed_digit_is_always_flagged(
    stated: Stated, name: str, closing: str, data: st.DataObject
) -> None:
    """Law 5: any digit of a number, time or name, however the fact is cited."""
    facts = {"X1": f"deployment {name}: {stated.written}", "X2": "nothing"}
    said = f"{name} shows {data.draw(st.sampled_from([stated.written, *stated.variants]))}"
    digit = data.draw(st.sampled_from([match.start() for match in re.finditer(r"\d", said)]))
    other = data.draw(st.sampled_from([d for d in "0123456789" if d != said[digit]]))
    changed = said[:digit] + other + said[digit + 1 :]
    assume(not _means_the_same(said, changed))
    assert doubts(changed + closing, facts, "")


def _means_the_same(said: str, changed: str) -> bool:
    """Whether a figure of the changed sentence happens to be one of the fact's, or to be written oddly."""
    figures_said = set(re.findall(r"\d[\d.,:-]*", said))
    return all(figure in figures_said for figure in re.findall(r"\d[\d.,:-]*", changed))


@settings(max_examples=200, deadline=None)
@given(figures, st.sampled_from([" [X2].", " [X3].", " [X2-X3]", ". [Y1]", ""]))
def test_another_reference_is_always_flagged(stated: Stated, closing: str) -> None:
    """Law 5: a number must occur in the cited fact; only a time needs no reference."""
    facts = {"X1": stated.written, "X2": "nothing", "X3": "at all"}
    if not closing and re.match(r"\d{4}-\d\d-", stated.written):
        assert doubts(stated.written, facts, "") == []
    else:
        assert doubts(f"It shows {stated.written}{closing}", facts, "")


fragments = st.sampled_from(
    [
        *FACTS.values(), "Nov.", "20", "07:10", "10h5", "1.", "1,204", "a/b", "v2", "5 ms", "ms", "%", ". ",
        "! A", "\u00a0", "_x_", "**", "`", "- ", "| ", "# ", "2026-11-20", "May", "[", "]", "$", "per cent",
        "x", "1st", "-", "/", "http://a.b/1", "gpt-4", "gpt", "version", "v2.4",
    ]
)  # fmt: skip


@pytest.mark.long
@settings(max_examples=500, deadline=None)
@given(texts | st.lists(fragments, max_size=12).map(" ".join) | st.lists(fragments, max_size=8).map("".join))
def test_a_fact_repeated_word_for_word_is_never_flagged(text: str) -> None:
    """Law 5: any fact can be cited verbatim in a list item."""
    fact = single_line(text)
    assert doubts(f"- {fact} [X1]", {"X1": fact}, "") == []


@pytest.mark.long
@pytest.mark.parametrize(
    "piece", ["5 [H1]. ", "gpt-4/aws, ", "[H1]", "5 ", "- 5 s [H1, H2]\n", "x_1 ", "| 5 [V1] |\n", "07:10 "]
)
def test_a_long_answer_is_checked_in_one_pass(piece: str) -> None:
    """100 kB of claims against a large prompt are checked in linear time."""
    facts = FACTS | {f"X{number}": FACTS["L1"] * 3 for number in range(200)}
    sources = dict.fromkeys(facts, "source")
    assert ground(piece * (100_000 // len(piece)), facts, sources, STATED).citations is not None
