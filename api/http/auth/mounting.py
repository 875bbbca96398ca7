"""The ways in which people prove who they are, as the settings ask for them."""

from __future__ import annotations

from fastapi import FastAPI

from api.http.auth.people import CallerOf
from api.settings import Settings, SettingsError


def add_people(app: FastAPI, settings: Settings) -> None:
    """Put the ways into `app.state.people`, and add the routes of logins.

    Reads the disk. Raises SettingsError.
    """
    ways: list[CallerOf] = []
    if settings.trusted_proxy_header:
        from api.http.auth.trusted_header import TrustedHeader  # noqa: PLC0415  most services need none

        ways.append(TrustedHeader(settings).caller_of)
    if settings.oidc_issuer is not None:
        try:
            from api.http.auth.oidc import IdentityProvider  # noqa: PLC0415  an extra
            from api.http.auth.session import Sessions  # noqa: PLC0415  likewise
            from api.http.routes.access import login  # noqa: PLC0415  likewise
        except ImportError as error:
            raise SettingsError(f"ARCPOINT_OIDC_ISSUER needs {error.name}; install arcpoint[oidc]") from None
        app.state.identity_provider = IdentityProvider(settings)
        app.state.sessions = sessions = Sessions(settings)
        ways.append(sessions.caller_of)
        app.include_router(login.router)
    app.state.people = ways
