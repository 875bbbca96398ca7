"""The predicates: right facts pass in any wording, wrong ones and other people's do not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.evaluation.faults.signs import onset, signs
from tests.evaluation.ledger import Ledger, Metric
from tests.evaluation.lines import lines_of
from tests.evaluation.traffic import Sent
from tests.evaluation.truth import Event, Onset, Prompt, ShownRows, Symptom
from tests.evaluation.world import HOUR, MINUTE, Deployed, make_world

AS_OF = datetime(2026, 4, 8, 15, 0, tzinfo=UTC)
ONSET = AS_OF - 2 * HOUR
WORLD = make_world(5, 0)
HIT, OTHER = WORLD.deployments[0], WORLD.deployments[-1]


def sent(deployed: Deployed, minutes_ago: int, *, failed: bool = False, latency_ms: int = 500) -> Sent:
    return Sent(
        public_id=f"req_{deployed.id}_{minutes_ago}",
        moment=AS_OF - minutes_ago * MINUTE,
        account=WORLD.accounts[0],
        deployment=deployed.public_id,
        task="chat",
        router_version="v1.0.0",
        reason={},
        status="error" if failed else "success",
        code="502" if failed else None,
        latency_ms=latency_ms,
    )


def ledger() -> Ledger:
    """Two requests a minute: 1 % fail, and 25 % at HIT since the onset, where answers take 1,500 ms since."""
    requests = []
    for minutes in range(1, 1440):
        since = minutes <= 120
        requests.append(sent(OTHER, minutes, failed=minutes % 100 == 0))
        bad = minutes % 4 == 0 if since else minutes % 100 == 0
        requests.append(sent(HIT, minutes, failed=bad, latency_ms=1_500 if since else 500))
    return Ledger(requests, AS_OF)


LEDGER = ledger()
SPAN = (ONSET, AS_OF)
ERRORS = Symptom("errors", signs([HIT], Metric.ERRORS), SPAN)
LATENCY = Symptom("latency", signs([HIT], Metric.LATENCY), SPAN)
BEGAN = onset(ERRORS)
CHANGE = Event(
    "change", ONSET - MINUTE, (frozenset({"cfg_9"}), frozenset({"pool.x", "80"})), "config_changes", "cfg_9"
)


def prompt(*texts: str, reference: str = "X1") -> Prompt:
    kinds = (frozenset(deployed.public_id for deployed in WORLD.deployments),)
    lines = lines_of("\n".join(f"[{reference}] {text}" for text in texts))
    return Prompt(lines, LEDGER, (AS_OF - 24 * HOUR, AS_OF), kinds)


@pytest.mark.parametrize(
    "text",
    [
        f"{HIT.public_id}: 25.0 % of 120 requests failed since then, usually 1.0 %",
        f"error rate of {HIT.model} on {HIT.backend} is 26 times what it was",
        f"failed requests: {OTHER.public_id} 14 of 1,439 (1 %), {HIT.public_id} 30 of 120 (25 %)",
        f"errors at {HIT.public_id} went from 1 % to 24 %",
    ],
)
def test_any_wording_of_the_symptom_passes(text: str) -> None:
    """Name and figure are asked for, not words."""
    assert ERRORS.found(prompt(text)) == 0


@pytest.mark.parametrize(
    "text",
    [
        f"{HIT.public_id} is doing well",
        f"{OTHER.public_id}: 25.0 % of 120 requests failed",
        f"{HIT.public_id}: 1.0 % of 1,319 requests failed",
        f"{HIT.public_id} 3 errors (25 % of all failures)",
        f"{HIT.public_id} carries 25 % of the traffic",
        f"failed requests: {HIT.public_id} 13 of 1,319 (1 %), {OTHER.public_id} 30 of 120 (25 %)",
        f"{HIT.public_id} errors: before 25 %, now 1 %",
        f"req_1 on {HIT.public_id}: error 502, 25 % of its deadline",
        "25 % of requests failed",
        "",
    ],
)
def test_what_is_not_the_symptom_fails(text: str) -> None:
    """Ordinary figures, another deployment's, shares of something else and single requests say nothing."""
    assert ERRORS.found(prompt(text)) is None


def test_a_summary_line_is_no_fact() -> None:
    """The line of a source as a whole does not stand for the fact."""
    text = f"{HIT.public_id}: 25.0 % of 120 requests failed"
    assert ERRORS.found(prompt(text, reference="X0")) is None


def test_percentiles_are_told_apart() -> None:
    """A number said to be a p95 is compared with the p95; without a label any percentile will do."""
    assert LATENCY.found(prompt(f"latency of {HIT.public_id}: p95 1,500 ms, before 500 ms")) == 0
    assert LATENCY.found(prompt(f"latency of {HIT.public_id}: median 1.5 s")) == 0
    assert LATENCY.found(prompt(f"latency of {HIT.public_id}: p95 900 ms")) is None
    assert LATENCY.found(prompt(f"latency of {HIT.public_id}: p50 500 ms")) is None


def test_removing_the_line_makes_the_predicate_fail() -> None:
    """What holds by one line does not hold without it."""
    texts = ("nothing to see", f"{HIT.public_id}: 25.0 % of 120 requests failed from 2026-04-08 13:02 on")
    assert ERRORS.found(prompt(*texts)) == 1
    assert BEGAN.found(prompt(*texts)) == 1
    assert ERRORS.found(prompt(texts[0])) is None
    assert BEGAN.found(prompt(texts[0])) is None


@pytest.mark.parametrize(
    ("text", "held"),
    [
        (f"{HIT.public_id} is DEGRADED since 2026-04-08 13:05", True),
        (f"{HIT.public_id} is DEGRADED since 2026-04-08 14:05", False),
        (f"{HIT.public_id} is DEGRADED (1 h 55 min so far)", True),
        (f"{OTHER.public_id} is DEGRADED since 2026-04-08 13:05", False),
        (f"2026-04-08 12:58: ann changed a dashboard of {HIT.public_id}", False),
        ("2026-04-08 12:30, 32 min before the onset: ann changed a dashboard", True),
        ("2026-04-08 13:00, 45 min before the onset: ann changed a dashboard", False),
        ("the onset was 2026-04-08 13:10", True),
        (f"req_1 at 2026-04-08 13:00 on {HIT.public_id}: error 502", False),
        (f"{HIT.public_id} is down from 2026-04-08 14:30 (not before 2026-04-08 13:01)", False),
    ],
)
def test_an_onset_is_a_time_about_those_affected(text: str, held: bool) -> None:
    """A time near the onset counts where it is said of the beginning, not of an event that is merely near."""
    assert (BEGAN.found(prompt(text)) == 0) is held


def test_the_tolerance_of_an_onset_is_kept() -> None:
    """Fifteen minutes either side, and not sixteen."""
    for minutes, held in ((15, True), (-15, True), (16, False), (-16, False)):
        at = ONSET + timedelta(minutes=minutes)
        text = f"{HIT.public_id} is down since {at:%Y-%m-%d %H:%M}"
        assert (BEGAN.found(prompt(text)) is not None) is held


def test_an_event_is_known_by_id_or_by_what_it_did() -> None:
    """One set of its words in one line; not spread over two, not in part of another word."""
    assert CHANGE.found(prompt("cfg_9 by ann")) == 0
    assert CHANGE.found(prompt("pool.x: «10» -> «80»")) == 0
    assert CHANGE.found(prompt("pool.x changed", "to 80")) is None
    assert CHANGE.found(prompt("cfg_99 by ann")) is None


def shown(*requests: Sent, **texts: list[str]) -> ShownRows:
    return ShownRows(requests, frozenset(), texts)


def test_rows_tell_a_symptom_when_there_are_enough_on_both_sides() -> None:
    """Twenty requests before and twenty after let a reader of rows see it; nineteen do not."""
    before = [sent(HIT, 121 + n) for n in range(20)]
    after = [sent(HIT, 1 + n) for n in range(20)]
    assert ERRORS.derivable(shown(*before, *after))
    assert not ERRORS.derivable(shown(*before[1:], *after))
    assert not ERRORS.derivable(shown(*before, *after[1:]))
    others = [sent(OTHER, minutes) for minutes in range(1, 300)]
    assert not ERRORS.derivable(shown(*others))


def test_rows_tell_an_onset_when_they_surround_it() -> None:
    """Enough rows on both sides, and some of them close."""
    close = [sent(HIT, 100 + n) for n in range(41)]
    apart = [sent(HIT, 1 + n) for n in range(20)] + [sent(HIT, 600 + n) for n in range(20)]
    assert BEGAN.derivable(shown(*close))
    assert not BEGAN.derivable(shown(*apart))


def test_rows_tell_an_event_by_its_row() -> None:
    """The row itself, in its own table."""
    assert CHANGE.derivable(shown(config_changes=["cfg_9|pool.x|80"]))
    assert not CHANGE.derivable(shown(config_changes=["cfg_8|pool.x|80"], jobs=["cfg_9"]))


def test_two_moments_may_be_the_onset() -> None:
    """Where a fault has two beginnings, either will do."""
    two = Onset("either", (ONSET, ONSET - 5 * HOUR), ERRORS)
    assert two.found(prompt(f"{HIT.public_id} is down since 2026-04-08 08:00")) == 0
