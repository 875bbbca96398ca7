"""Fixtures: an upstream that keeps the bytes it gets, and the proxy in front of it, for a module each."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from models.database import Database
from tests.loopback.raw_upstream import RawUpstream, raw_upstream
from tests.support.served_proxy import ServedProxy, served_proxy


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served_upstream() -> AsyncIterator[RawUpstream]:
    async with raw_upstream() as upstream:
        yield upstream


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def unrecorded_proxy(served_upstream: RawUpstream) -> AsyncIterator[ServedProxy]:
    database = Database("sqlite:////none/none.db")
    async with served_proxy(database, served_upstream.url, read_only=True) as proxy:
        yield proxy
    await database.close()


@pytest.fixture
def upstream(served_upstream: RawUpstream) -> RawUpstream:
    """An upstream that has been asked nothing yet."""
    served_upstream.reset()
    return served_upstream


@pytest.fixture
def proxy(unrecorded_proxy: ServedProxy, upstream: RawUpstream) -> ServedProxy:
    """The proxy in front of it, which has no database and has counted nothing yet."""
    unrecorded_proxy.proxy.recorder.ended.clear()
    return unrecorded_proxy
