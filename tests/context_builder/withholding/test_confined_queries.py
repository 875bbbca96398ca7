"""The queries for one user: their own rows, and no way to learn of another."""

from __future__ import annotations

from pathlib import Path

import pytest

from context_builder.queries import (
    NotFound,
    RequestFilter,
    active_incidents,
    deployment_status,
    recent_requests,
    request_detail,
    user_context,
)
from context_builder.question.request import QuestionError
from context_builder.withholding.confined_queries import confined_queries
from tests.support.gateway import Gateway
from tests.support.private_users import CANARY, OWN, private_gateway

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_results_are_of_the_user_alone(gateway: Gateway, tmp_path: Path) -> None:
    """Own budget and requests, the gateway's state without text that names others, and nobody else."""
    await private_gateway(gateway, tmp_path)
    async with confined_queries(gateway.database, OWN) as confined:
        session = confined.session
        page = await recent_requests(session)
        results = [
            page,
            await user_context(session, OWN),
            await request_detail(session, "req_meadow_23"),
            await active_incidents(session),
            await deployment_status(session),
        ]
        shown = " ".join(str(confined.shown(result)) for result in results)
        assert CANARY.findall(shown) == []
        assert {request.user for request in page.requests} == {OWN}
        for seen in ("meadow_quota", "inc_plain", "(withheld: it names another user)"):
            assert seen in shown
        errors = []
        for name in ("user_zq7", "user_none"):
            with pytest.raises(NotFound) as unknown:
                await user_context(session, name)
            errors.append(str(unknown.value).replace(name, "<user>"))
            with pytest.raises(QuestionError) as filtered:
                await recent_requests(session, RequestFilter(users=(name,)))
            errors.append(str(filtered.value).replace(name, "<user>"))
        for name in ("req_zq7_3", "req_nobody"):
            with pytest.raises(NotFound) as unknown:
                await request_detail(session, name)
            errors.append(str(unknown.value).partition(";")[0].replace(name, "<request>"))
            assert "zq7" not in str(unknown.value).replace(name, "")
    assert errors[:2] == errors[2:4]
    assert errors[4] == errors[5]
    with pytest.raises(NotFound, match=r"user 'user_zq' is not known$"):
        async with confined_queries(gateway.database, "user_zq"):
            pass
