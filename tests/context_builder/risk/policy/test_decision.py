"""The decision: one candidate, its reason, and never one that the policy excludes unless all are."""

from __future__ import annotations

from collections import Counter
from types import MappingProxyType

import pytest

from context_builder.risk.chaos.comparison import chance
from context_builder.risk.policy.breaker import BreakerState
from context_builder.risk.policy.decision import Router, RouteRequest, UnknownCandidates
from context_builder.risk.policy.live_load import LiveLoad
from context_builder.risk.policy.outcomes import UpstreamResult
from context_builder.risk.policy.probes import ProbeTickets
from context_builder.risk.policy.verdicts import RoutingVerdict, VerdictTable

CLOSED, OPEN, HALF = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN


def table_of(states: dict[str, BreakerState], *, shadow: bool = False, probes: int = 3) -> VerdictTable:
    """Return a table in which the usable deployments share the traffic equally."""
    usable = sum(state not in (OPEN, HALF) for state in states.values())
    return VerdictTable(
        None,
        MappingProxyType(
            {
                name: RoutingVerdict(
                    name,
                    state,
                    0.0 if state in (OPEN, HALF) else 1 / usable,
                    1 / len(states),
                    reason="" if state is CLOSED else "it failed",
                    tickets=ProbeTickets(probes if state is HALF else 0),
                )
                for name, state in states.items()
            }
        ),
        shadow=shadow,
    )


FLEET = table_of({"a": CLOSED, "b": CLOSED, "c": CLOSED, "d": OPEN})


def routed(router: Router, table: VerdictTable, times: int = 400, tier: str = "premium") -> Counter[str]:
    request = RouteRequest(tier=tier)
    return Counter(router.decide(request, table).chosen.deployment for _ in range(times))


def test_an_ejected_candidate_gets_nothing() -> None:
    """The others share the traffic."""
    counts = routed(Router(chance(1)), FLEET)
    assert counts.keys() == {"a", "b", "c"}
    assert min(counts.values()) > 90


def test_the_same_random_source_makes_the_same_decisions() -> None:
    """A decision can be replayed."""
    runs = [
        [Router(random).decide(RouteRequest(), FLEET).chosen.deployment for _ in range(50)]
        for random in (chance(4), chance(4))
    ]
    assert runs[0] == runs[1]


@pytest.mark.parametrize(
    ("candidates", "panics"), [(("a", "d"), False), (("d",), True), (("a", "b"), False), ((), False)]
)
def test_where_fewer_than_half_are_usable_all_of_them_are_used(
    candidates: tuple[str, ...], panics: bool
) -> None:
    """A panic says so; half of the candidates are enough not to."""
    decision = Router(chance(1)).decide(RouteRequest(candidates), FLEET)
    assert bool(decision.panic) is panics
    assert panics == ("panic" in decision.reason)


def test_all_ejected_is_an_answer_that_says_so() -> None:
    """No blackout: the traffic goes to all of them."""
    table = table_of({"a": OPEN, "b": OPEN, "c": HALF}, probes=0)
    decision = Router(chance(1)).decide(RouteRequest(), table)
    assert decision.panic == "3 of 3 candidates are ejected"
    assert routed(Router(chance(1)), table).keys() == {"a", "b", "c"}


def test_a_half_open_one_gets_three_probes_and_none_of_premium() -> None:
    """However many requests come, and a large one is none."""
    table = table_of({"a": CLOSED, "b": CLOSED, "c": HALF})
    assert "c" not in routed(Router(chance(1)), table)
    large = RouteRequest(tier="budget", prompt_tokens=9000)
    router = Router(chance(1))
    assert "c" not in {router.decide(large, table).chosen.deployment for _ in range(400)}
    assert routed(router, table, tier="budget")["c"] == 3


def test_about_one_request_in_a_hundred_explores() -> None:
    """A deployment with next to no share is not starved for ever."""
    verdicts = {name: RoutingVerdict(name, CLOSED, share, 0.5) for name, share in (("a", 1.0), ("b", 1e-12))}
    table = VerdictTable(None, MappingProxyType(verdicts), shadow=False)
    assert 15 <= routed(Router(chance(1)), table, 5000, tier="standard")["b"] <= 40
    assert routed(Router(chance(1)), table, 5000)["b"] == 0


def test_an_unknown_candidate_is_named_with_similar_ones() -> None:
    """The message says which, and what is known."""
    table = table_of({"gpt-4/aws": CLOSED, "gpt-4/azure": CLOSED})
    with pytest.raises(UnknownCandidates, match=r"'gpt-4/awss' \(known are gpt-4/aws, gpt-4/azure\)"):
        Router(chance(1)).decide(RouteRequest(("gpt-4/aws", "gpt-4/awss")), table)
    with pytest.raises(UnknownCandidates, match="no deployment is known yet"):
        Router(chance(1)).decide(RouteRequest(("x",)), VerdictTable(None))


def test_ten_thousand_candidates_are_no_matter() -> None:
    """The decision and its alternatives are complete."""
    table = table_of({f"m/{number}": CLOSED for number in range(10_000)})
    decision = Router(chance(1), LiveLoad()).decide(RouteRequest(), table)
    assert len(decision.alternatives) == 9999
    assert decision.chosen not in decision.alternatives


def test_shadow_mode_advises_and_acts_not() -> None:
    """An ejected deployment keeps its usual share, and the reason holds the advice."""
    table = table_of({"a": CLOSED, "b": OPEN}, shadow=True)
    router = Router(chance(1))
    assert routed(router, table)["b"] > 150
    decision = router.decide(RouteRequest(), table)
    assert decision.advised.deployment == "a"
    assert "the policy advises a" in decision.reason


def test_an_old_table_is_not_acted_on() -> None:
    """If the ticks end, an ejection does not last for ever."""
    decisions = [
        Router(chance(seed)).decide(RouteRequest(), FLEET, age_s=61.0).chosen.deployment for seed in range(60)
    ]
    assert set(decisions) == {"a", "b", "c", "d"}


def test_with_live_signals_the_less_loaded_of_two_is_taken() -> None:
    """Requests in flight count before they end."""
    live = LiveLoad()
    table = table_of({"a": CLOSED, "b": CLOSED})
    live.ended("b", live.started("b", 0.0), 0.5, UpstreamResult.SUCCESS)
    for _ in range(9):
        live.started("a", 0.0)
    request = RouteRequest(tier="premium")
    assert {
        Router(chance(1), live).decide(request, table, now_s=1.0).chosen.deployment for _ in range(50)
    } == {"b"}


def test_failures_in_a_row_suspend_until_the_breaker_has_seen_them() -> None:
    """Five at once do not wait for a tick; a refusal does not count."""
    live = LiveLoad()
    for result in [UpstreamResult.NEUTRAL] * 9 + [UpstreamResult.FAILURE] * 4:
        live.ended("a", live.started("a", 0.0), 0.1, result)
    assert not live.is_suspended("a", 0.2)
    live.ended("a", live.started("a", 0.0), 0.1, UpstreamResult.FAILURE)
    assert live.is_suspended("a", 0.2)
    assert not live.is_suspended("a", 11.0)


def test_a_fast_refusal_does_not_look_like_a_fast_deployment() -> None:
    """Otherwise a deployment that refuses everything would draw all traffic."""
    live = LiveLoad()
    for name in "ab":
        live.ended(name, live.started(name, 0.0), 1.0, UpstreamResult.SUCCESS)
    live.ended("a", live.started("a", 5.0), 5.01, UpstreamResult.NEUTRAL)
    assert live.cost("a", 6.0) > 2 * live.cost("b", 6.0)
