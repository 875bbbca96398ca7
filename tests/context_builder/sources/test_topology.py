"""Topology: the same for every question about a moment, in few lines."""

from __future__ import annotations

from datetime import timedelta

import pytest

from context_builder.question.request import ContextRequest
from context_builder.source import Section, Status
from context_builder.sources.topology import source
from tests.support.gateway import DAY, HOUR, NOON, Gateway, asking, people

pytestmark = pytest.mark.asyncio(loop_scope="session")
SECOND = timedelta(seconds=1)


def texts(section: Section) -> list[str]:
    return [fact.text for fact in section.facts]


async def test_models_backends_and_tiers_have_a_line_each(gateway: Gateway) -> None:
    """Facts show models by backend, region and version, and users by tier."""
    await people(gateway)
    await gateway.deployment("gpt-4/edge", region="eu-1", version="v2")
    section = await gateway.read(source)
    assert section.header == "the whole gateway: 6 deployments of 3 models on 4 backends, 4 users"
    assert texts(section) == [
        "model gpt-4 on aws, edge (eu-1, version v2), k8s",
        "model llama-70b on gcp, k8s",
        "model mistral on gcp",
        "backend gcp serves llama-70b, mistral",
        "backend k8s serves gpt-4, llama-70b",
        "backend aws serves gpt-4",
        "backend edge serves gpt-4",
        "users by tier: premium 2, standard 1, budget 1",
    ]
    assert source.stable


async def test_it_is_the_same_for_every_question(gateway: Gateway) -> None:
    """Topology does not depend on question, window or scope, so it can be cached."""
    await people(gateway)
    requests: list[ContextRequest] = [
        asking(),
        asking(live=True, question="Who spends most?"),
        asking(since=NOON - HOUR),
        asking(deployment_ids=(1,), tiers=("budget",), user_ids=(2,), request_ids=(3,), incident_ids=(4,)),
        asking(NOON + DAY, live=True),
    ]
    sections = [await gateway.read(source, request) for request in requests]
    assert all(section == sections[0] for section in sections)


async def test_a_past_moment_knows_only_what_was_there(gateway: Gateway) -> None:
    """Law 3: later deployments and users are left out; later versions and tiers are gaps."""
    await gateway.deployment("a/x", version="of later", region="of later", updated_at=NOON + SECOND)
    await gateway.deployment("b/x", created_at=NOON + SECOND)
    await gateway.user("user_a", "premium", updated_at=NOON + SECOND)
    await gateway.user("user_b", "budget", created_at=NOON + SECOND, updated_at=NOON + SECOND)
    section = await gateway.read(source)
    assert texts(section) == ["model a on x", "backend x serves a", "users by tier: unknown at this moment 1"]
    assert section.gaps == (
        "region and version at this moment of a/x: written later",
        "tier at this moment of 1 user changed later",
    )


async def test_a_huge_gateway_fits_in_forty_lines(gateway: Gateway) -> None:
    """Lines and their length are bounded, and the rest is counted."""
    await gateway.deployment(*(f"model-{n % 60:02}/site-{n // 60:02}" for n in range(1_200)))
    section = await gateway.read(source)
    assert section.header == "the whole gateway: 1,200 deployments of 60 models on 20 backends, 0 users"
    assert len(section.facts) + 1 <= 40
    assert "38 more models: model-22" in "\n".join(texts(section))
    assert texts(section)[0].endswith("site-11 and 8 more")
    assert all(len(text) < 500 for text in texts(section))


async def test_nothing_is_empty(gateway: Gateway) -> None:
    """An empty gateway says so."""
    section = await gateway.read(source)
    assert (section.status, section.header) == (Status.EMPTY, "no deployments and no users are known")
