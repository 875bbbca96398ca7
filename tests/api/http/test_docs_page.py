"""`/docs`: works in a browser that reaches no other host."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from api.http.app import create_app
from tests.support.http_service import client_of, settings_of


@pytest.mark.long
async def test_the_page_and_its_assets_come_from_this_service_alone(tmp_path: Path) -> None:
    """No other host in the page, and a policy that has the browser refuse any; every asset is served."""
    app = await asyncio.to_thread(create_app, settings_of("sqlite:///none.db", tmp_path))
    async with client_of(app) as client:
        page = await client.get("/docs")
        assert page.status_code == 200
        assert "//" not in re.sub(r"^\s*//.*$|<!--.*?-->", "", page.text, flags=re.MULTILINE | re.DOTALL)
        assets = re.findall(r"""(?:src|href|url)\s*[=:]\s*["']([^"']+)""", page.text)
        assert len(assets) == 4
        for asset in assets:
            assert (await client.get(asset)).status_code == 200, asset
        assert page.headers["content-security-policy"].startswith("default-src 'self';")
        assert '"validatorUrl": null' in page.text
        assert (await client.get("/redoc")).status_code == 404
