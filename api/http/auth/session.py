"""Logins that are kept in cookies, which are signed and expire; nothing is stored here."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from typing import Any

from itsdangerous import BadData, URLSafeTimedSerializer
from starlette.requests import Request
from starlette.responses import Response

from api.access.caller import Caller
from api.http.auth.people import PeopleRoles, require_own_page
from api.key_file import key_in
from api.settings import Settings

LOGIN_S = 600
"""How long a person may take at the identity provider."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginAttempt:
    """What the callback must match; kept in a cookie between login and callback."""

    state: str
    nonce: str
    verifier: str
    """Of PKCE."""
    next: str
    """Path to go to after the login."""


class Sessions:
    """Reads and writes the cookies."""

    def __init__(self, settings: Settings) -> None:
        """Load the key. Reads the disk; raises SettingsError."""
        key = key_in(settings.session_key_path, "ARCPOINT_SESSION_KEY_PATH", may_write=not settings.read_only)
        self._public_url = settings.public_url or ""
        self._lasts_s = round(settings.session_h * 3600)
        self._roles = PeopleRoles.of(settings)
        self._is_secure = self._public_url.startswith("https://")
        # With this prefix browsers take it over https only, for this host only.
        self.cookie = "__Host-arcpoint" if self._is_secure else "arcpoint"
        self.login_cookie = f"{self.cookie}-login"
        self._sessions = _serializer(key, "session")
        self._logins = _serializer(key, "login")

    async def caller_of(self, request: Request) -> Caller | None:
        """Return the person who is logged in; None without a cookie, or with one that expired or is not ours.

        Raises:
            HTTPException: The person has no role any more, or no page of ours asked for the change.
        """
        content = _content(self._sessions, request.cookies.get(self.cookie, ""), self._lasts_s)
        if content is None:
            return None
        require_own_page(request, self._public_url)
        return self._roles.caller(content["name"], content["groups"])

    def begin(self, response: Response, name: str, groups: list[str]) -> None:
        """Let the response log a person in. Only groups that matter are kept: cookies are small."""
        value = self._sessions.dumps({"name": name, "groups": self._roles.relevant(groups)})
        self._set(response, self.cookie, value, self._lasts_s)
        self._set(response, self.login_cookie, "", 0)

    def end(self, response: Response) -> None:
        """Let the response log a person out of this browser."""
        self._set(response, self.cookie, "", 0)

    def remember(self, response: Response, attempt: LoginAttempt) -> None:
        """Let the browser keep what the callback must match."""
        self._set(response, self.login_cookie, self._logins.dumps(asdict(attempt)), LOGIN_S)

    def attempt(self, request: Request) -> LoginAttempt | None:
        """Return the login that this browser began; None if it began none recently."""
        content = _content(self._logins, request.cookies.get(self.login_cookie, ""), LOGIN_S)
        return None if content is None else LoginAttempt(**content)

    def _set(self, response: Response, name: str, value: str, max_age_s: int) -> None:
        response.set_cookie(
            name, value, max_age=max_age_s, path="/", secure=self._is_secure, httponly=True, samesite="lax"
        )


def _serializer(key: bytes, purpose: str) -> URLSafeTimedSerializer:
    signed = {"key_derivation": "hmac", "digest_method": hashlib.sha256}
    return URLSafeTimedSerializer(key, salt=f"arcpoint {purpose}", signer_kwargs=signed)


def _content(serializer: URLSafeTimedSerializer, value: str, max_age_s: int) -> dict[str, Any] | None:
    try:
        content: dict[str, Any] = serializer.loads(value, max_age=max_age_s)
    except BadData:
        return None
    return content
