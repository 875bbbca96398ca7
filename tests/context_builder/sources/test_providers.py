"""Whether it is us or them: what providers report, beside how requests to them and to others end."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from context_builder.source import Section, Status
from context_builder.sources.providers import source
from tests.support.gateway import HOUR, MINUTE, NOON, Gateway, asking
from tests.support.gateway_context import status_page

pytestmark = pytest.mark.asyncio(loop_scope="session")
PAGE = "sp_p1_x1_1773136800"


def texts(section: Section) -> list[str]:
    return [fact.text for fact in section.facts]


async def two_backends(gateway: Gateway, *, failing: int = 0) -> None:
    """Twenty requests to each in the last half hour, of which so many on `aws` failed."""
    await gateway.deployment("gpt-4/aws", "gpt-4/k8s")
    await gateway.user()
    moments = [NOON - (1 + number) * MINUTE for number in range(20)]
    await gateway.send(*moments[:failing], status="error")
    await gateway.send(*moments[failing:])
    await gateway.send(*moments, deployment="gpt-4/k8s")


async def test_an_open_incident_of_a_provider_stands_beside_what_its_requests_say(gateway: Gateway) -> None:
    """Title, severity, start and both shares; an incident of ours with the same target is none of a page."""
    await two_backends(gateway, failing=12)
    await gateway.incident(PAGE, title="Elevated errors", target="aws")
    await gateway.incident("inc_9", title="Ours", target="aws")
    await gateway.add(status_page("aws"), status_page("k8s"))
    section = await gateway.read(source, asking(live=True))
    assert section.header == "1 open incident of 1 provider; 2 status pages read"
    assert texts(section)[0] == (
        "the provider of aws reports «Elevated errors» (high) since 2026-03-10 11:00 (1 h 0 min); "
        "of 20 requests there in the last 30 minutes 60.0 % failed, elsewhere 0 %"
    )
    assert "Ours" not in str(section)
    assert [text.partition(" (")[0] for text in texts(section)[1:]] == [
        "the status page of aws has an open incident",
        "the status page of k8s has no open incident",
    ]


@pytest.mark.parametrize(("failing", "is_remarkable"), [(12, True), (9, False)])
async def test_a_page_that_says_nothing_of_our_failures(
    gateway: Gateway, failing: int, *, is_remarkable: bool
) -> None:
    """Only where more fail than chance lets is the page's silence told as such, and comes first."""
    await two_backends(gateway, failing=failing)
    await gateway.add(status_page("aws"))
    section = await gateway.read(source, asking(live=True))
    (text,) = texts(section)
    assert text.endswith(": the fault is ours, or not reported yet") == is_remarkable
    assert "(read 1 min ago), it says «All Systems Operational»; of 20 requests there" in text
    assert section.facts[0].importance == (0.8 if is_remarkable else 0.35)


async def test_an_old_page_says_nothing_about_now(gateway: Gateway) -> None:
    """It makes the source stale, with why it could not be read; what it said is not repeated."""
    await two_backends(gateway, failing=12)
    old = status_page("aws", succeeded_at=NOON - 3 * HOUR, failures=9, error="HTTP status 503")
    await gateway.add(old, status_page("k8s", succeeded_at=None, failures=1))
    section = await gateway.read(source, asking(live=True))
    assert section.status is Status.STALE
    assert texts(section) == [
        "the status page of aws last read 2026-03-10 09:00: «HTTP status 503»; what it says now is unknown",
        "the status page of k8s was never read; what it says now is unknown",
    ]


@pytest.mark.parametrize("resolved_at", [NOON + HOUR, None])
async def test_a_past_moment_has_its_incidents_and_no_later_page(
    gateway: Gateway, resolved_at: datetime | None
) -> None:
    """What a page said then is not kept, which is a gap; an end that came later is not known."""
    await two_backends(gateway)
    await gateway.incident(PAGE, title="Elevated errors", target="aws", resolved_at=resolved_at)
    await gateway.incident(f"{PAGE}0", target="aws", resolved_at=NOON - timedelta(seconds=1))
    await gateway.add(status_page("aws", NOON + HOUR))
    section = await gateway.read(source)
    assert len(texts(section)) == 1
    assert "since 2026-03-10 11:00 (1 h 0 min)" in texts(section)[0]
    assert section.gaps == ("what the status page of aws said at this moment",)


async def test_without_pages_there_is_nothing_to_say(gateway: Gateway) -> None:
    """Pages of backends that nobody uses are left out, and the source takes no line."""
    await two_backends(gateway, failing=12)
    await gateway.add(status_page("elsewhere"))
    section = await gateway.read(source)
    assert (section.status, section.applies, section.facts) == (Status.EMPTY, False, ())
