"""Other machines are served only for senders that the operator has named."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path

import httpx
import pytest

from api.proxy.opening import open_proxy
from api.settings import Settings
from models.database import Database
from tests.loopback.raw_upstream import RawUpstream, whole
from tests.support.patience import PATIENCE_S

KNOWN = {"x-api-key": "sk-ant-known"}
DIGEST = hmac.digest(b"arcpoint proxy senders", b"sk-ant-known", hashlib.sha256).hex()


@pytest.mark.parametrize("peer", ["203.0.113.9", "127.0.0.1"])
async def test_a_stranger_is_refused_before_anything_is_forwarded(
    upstream: RawUpstream, tmp_path: Path, peer: str
) -> None:
    """By its address, or since somebody forwards its request: 401 in the shape of the API."""
    file = tmp_path / "proxy.toml"
    file.write_text(f'[[users]]\ndigest = "{DIGEST}"\nuser = "user_a"\n')
    settings = Settings(proxy_upstream_url=upstream.url, proxy_file=file, read_only=True)
    upstream.default = whole(b"{}")
    database = Database("sqlite:////none/none.db")
    forwarded = {"x-forwarded-for": "127.0.0.1"}
    async with open_proxy(settings, database) as proxy:
        transport = httpx.ASGITransport(proxy.app, client=(peer, 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://p", timeout=PATIENCE_S) as client:
            refused = await client.get("/v1/models", headers={"x-api-key": "sk-ant-other"} | forwarded)
            assert (refused.status_code, refused.json()["error"]["type"]) == (401, "authentication_error")
            assert not upstream.requests
            await client.get("/v1/models", headers=KNOWN | forwarded)
            assert len(upstream.requests) == 1
    await database.close()
