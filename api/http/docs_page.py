"""`/docs`: the interactive description, with assets from this process alone, so that it works offline."""

from __future__ import annotations

import mimetypes

from fastapi import FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import HTMLResponse
from starlette.staticfiles import StaticFiles

_ASSETS = "/docs/assets"
# Swagger UI would otherwise have an outside service validate the description.
_PARAMETERS = {"validatorUrl": None}
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; frame-ancestors 'none'"
)
"""Content-Security-Policy: the browser may not reach any other host."""


def add_docs_page(app: FastAPI) -> None:
    """Serve the page at `/docs` and its assets below it."""
    # Reads files of the system, which must not happen in the event loop.
    mimetypes.init()
    app.mount(_ASSETS, StaticFiles(packages=[("fastapi_offline", "static")]))

    @app.get("/docs", include_in_schema=False)
    async def docs(request: Request) -> HTMLResponse:
        """Return the page."""
        root = request.scope.get("root_path", "").rstrip("/")
        page = get_swagger_ui_html(
            openapi_url=f"{root}{app.openapi_url}",
            title=app.title,
            swagger_js_url=f"{root}{_ASSETS}/swagger-ui-bundle.js",
            swagger_css_url=f"{root}{_ASSETS}/swagger-ui.css",
            swagger_favicon_url=f"{root}{_ASSETS}/favicon.png",
            swagger_ui_parameters=_PARAMETERS,
        )
        page.headers["content-security-policy"] = _POLICY
        return page
