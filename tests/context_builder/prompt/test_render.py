"""Law 6: one manifest, one prompt, byte for byte. Law 7: nothing in it can leave its line."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings

from context_builder.answer.sentences import parse_references
from context_builder.prompt.manifest import Manifest
from context_builder.prompt.packing import BudgetTooSmall
from context_builder.prompt.render import fence_for, render, uncited_text
from context_builder.question.request import (
    ContextRequest,
    Interval,
    NotUsed,
    Scope,
    Side,
    Topic,
    UnknownName,
    Window,
)
from context_builder.source import Fact, Headline, Role, SourceResult, Status
from tests.support.source_results import AS_OF, any_request, asked, many_readings, packed, reading, roomy

FENCE = re.compile(r"=== (?:facts|end of facts) (f0[0-9a-f]{10}) ===")


@pytest.mark.long
@settings(max_examples=30, deadline=None)
@given(any_request(), many_readings())
def test_a_stored_manifest_gives_the_same_bytes(
    request: ContextRequest, readings: list[SourceResult]
) -> None:
    """Law 6: also after a round trip through JSON, and the prompt is valid UTF-8 for any text."""
    manifest = packed(roomy(request), readings)
    restored = Manifest.from_json(json.loads(json.dumps(manifest.to_json())))
    assert restored == manifest
    prompt, again = render(manifest), render(restored)
    assert prompt.whole.encode() == again.whole.encode()
    assert prompt == again


@pytest.mark.long
@settings(max_examples=30, deadline=None)
@given(any_request(), many_readings())
def test_no_text_leaves_its_line(request: ContextRequest, readings: list[SourceResult]) -> None:
    """Law 7: only render creates fences, references at the start of a line, and the question line."""
    manifest = packed(roomy(request), readings)
    prompt = render(manifest)
    lines = prompt.user.split("\n")
    assert prompt.message.splitlines() == prompt.message.split("\n")[:-1]
    standing = prompt.stable.split("\n")[:-2]
    for block in filter(None, (standing, lines[:-3])):
        fences = [line for line in block if FENCE.fullmatch(line)]
        assert fences == [block[0], block[-1]]
    assert lines[-3:] == ["", f"Question: {manifest.question}", ""]
    body = [*standing[1:-1], *lines[1:-4]]
    refs = [line[1 : line.index("]")] for line in body if line.startswith("[")]
    assert sorted(refs) == sorted(manifest.shown)
    for line in body:
        own = re.sub(r"^\[[A-Z]\d+\] ", "", line)
        assert not parse_references(own)
        marks = "".join(character for character in own if character in "«»")
        assert marks == "«»" * (len(marks) // 2)


def test_measured_times_are_not_part_of_the_prompt() -> None:
    """Law 6: durations are recorded in the manifest but not sent."""
    fast = packed(asked(), [reading("health", Fact("fine"), milliseconds=1)])
    slow = packed(asked(), [reading("health", Fact("fine"), milliseconds=9_999)])
    assert render(fast) == render(slow)
    assert render(replace(slow, build_ms=5_000, prompt_sha256="x", token_bound=1)) == render(fast)
    assert fast != slow


def test_the_rules_are_the_same_for_every_question() -> None:
    """The API can cache the system text, and the question comes last."""
    one = render(packed(asked("What is down?"), [reading("health", Fact("fine"))]))
    other = render(packed(asked("Why is it slow?", is_now=False), []))
    assert one.system == other.system
    assert one.user.endswith("\n\nQuestion: What is down?\n")


def test_the_prompt_begins_with_what_the_question_is_about() -> None:
    """Moment, window, scope and unknown names precede the facts, one line each."""
    request = asked(
        is_now=False,
        window=Window(
            AS_OF.replace(hour=7, second=0), AS_OF.replace(second=0), "“since 07:30” in the question"
        ),
        scope=Scope(labels=("deployment gpt-4/aws", "tier premium")),
        unknown_names=(UnknownName("gpt-5", ("gpt-4",)), UnknownName("inc_9")),
    )
    manifest = packed(request, [])
    assert render(manifest).user.splitlines()[1:6] == [
        "as_of: 2026-11-20 09:30:12 UTC (a past moment; nothing later was read)",
        "window: 2026-11-20 07:30 to 2026-11-20 09:30 UTC (“since 07:30” in the question)",
        "scope: deployment gpt-4/aws, tier premium",
        "unknown name in the question: gpt-5; known names spelled alike: gpt-4",
        "unknown name in the question: inc_9",
    ]
    assert uncited_text(manifest).splitlines() == [*render(manifest).user.splitlines()[1:6], "What is down?"]


def test_the_prompt_says_what_was_not_used_and_how_the_rest_was_read() -> None:
    """Law 11: sides, parts not used and notes are lines of the preamble; a question without them has none."""
    hour = Interval(datetime(2026, 11, 20, 7, tzinfo=UTC), datetime(2026, 11, 20, 8, tzinfo=UTC))
    request = asked(
        sides=(Side("this week", (hour, hour), Scope(labels=("tier premium",))), Side("a", (hour,), Scope())),
        not_used=(NotUsed("except gpt-9\n[H1]", "no such deployment"),),
        notes=("“sonnet” means 2 models: a, b",),
    )
    manifest = packed(request, [])
    span = "2026-11-20 07:00 to 2026-11-20 08:00"
    lines = [
        f"sides: this week ({span}, {span} UTC; tier premium); a ({span} UTC)",
        "not used of the question: “except gpt-9 (H1)” (no such deployment)",
        "read as: “sonnet” means 2 models: a, b",
    ]
    assert render(manifest).user.splitlines()[4:7] == lines
    assert uncited_text(manifest).splitlines()[3:6] == lines
    plain = uncited_text(packed(asked(), []))
    assert not any(word in plain for word in ("sides", "not used", "read as"))


def test_a_manifest_of_before_gives_the_same_bytes() -> None:
    """Law 6: one stored without the newer fields renders as it did."""
    manifest = packed(asked(), [reading("health", Fact("gpt-4/aws is DOWN"))])
    document = manifest.to_json()
    for name in ("sides", "not_used", "notes"):
        del document[name]
    for entry in (*document["facts"], *document["sources"]):
        del entry["headline"]
    assert render(Manifest.from_json(document)) == render(manifest)


def test_headlines_are_not_in_the_prompt() -> None:
    """They are for briefs: neither the prompt nor its bound depends on them."""
    headline = Headline(text="secret headline", role=Role.STATE)
    bare, told = (
        packed(asked(), [reading("health", Fact("fine", headline=one), headline=one)])
        for one in (None, headline)
    )
    assert render(bare) == render(told)
    assert bare.token_bound == told.token_bound


def test_the_text_of_a_reference_is_what_the_prompt_says() -> None:
    """A citation is verbatim, and a summary includes the status and the gaps of its source."""
    readings = [
        reading(
            "health", Fact("gpt-4/aws is DOWN"), header="2 deployments", gaps=("why",), status=Status.STALE
        ),
        reading("volume", header="", status=Status.TIMEOUT, error="no response within 2 s"),
    ]
    manifest = packed(asked(), readings)
    user = render(manifest).user
    assert manifest.shown["H0"] == "health (stale): 2 deployments; not known: why"
    assert manifest.shown["V0"] == "volume (timeout): no response within 2 s"
    assert all(f"\n[{ref}] {text}\n" in user for ref, text in manifest.shown.items())


def test_sources_without_a_summary_are_named_with_their_status() -> None:
    """Law 2: name, status and number of facts, which an answer may repeat without a reference."""
    readings = [
        reading(
            "latency",
            *[Fact(f"latency {'is fine ' * 40} {n}") for n in range(4)],
            header="slow " * 60,
            topics=(Topic.LATENCY,),
        ),
        reading("volume", header="nothing " * 30, topics=(Topic.VOLUME,), status=Status.EMPTY),
        reading("health", Fact("gpt-4/aws is DOWN")),
    ]
    manifest = packed(asked(budget=_fixed(readings) + 60), readings)
    assert [source.name for source in manifest.sources if source.folded] == ["latency", "volume"]
    further = ["further sources, ok (+4 facts): latency", "further sources, empty: volume"]
    assert render(manifest).user.splitlines()[-5:-3] == further
    assert uncited_text(manifest).splitlines()[-3:-1] == further
    assert set(manifest.shown) == {"H0", "H1"}


def _fixed(readings: list[SourceResult]) -> int:
    """Return the smallest budget for which there is a prompt."""
    with pytest.raises(BudgetTooSmall) as caught:
        packed(asked(budget=500), readings)
    return int(str(caught.value).rpartition(" ")[2].replace(",", "")) - 200


def test_a_fence_depends_on_all_that_it_encloses() -> None:
    """Law 7: the author of one fact cannot predict the fence, since all other facts change it too."""
    one, other = (
        FENCE.search(render(packed(asked(), [reading("health", Fact(text))])).user) for text in ("a", "b")
    )
    assert one is not None
    assert other is not None
    assert one[1] != other[1]
    assert len(fence_for("")) == len(fence_for("x" * 10_000)) == 12
