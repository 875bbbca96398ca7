"""The application that `arcpoint serve` runs, in one process or in each of several."""

from __future__ import annotations

from fastapi import FastAPI

from api.http.app import create_app
from api.proxy.mounting import mount_proxy
from api.settings import Settings


def service_app(settings: Settings) -> FastAPI:
    """Create the HTTP service, with the proxy if the settings ask for it."""
    app = create_app(settings)
    if settings.proxy_mounted:
        mount_proxy(app)
    return app
