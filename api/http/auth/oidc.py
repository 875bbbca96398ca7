"""Logins at an OpenID provider: authorization code with PKCE, and an ID token that is verified in full."""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote_plus, urlsplit

import httpx2
from authlib.common.security import generate_token
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from httpx2 import HTTPError
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from api.errors import ArcpointApiError
from api.http.auth.people import is_name
from api.http.auth.session import LoginAttempt
from api.settings import Settings

CALLBACK = "/login/callback"
_SIGNATURES = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")
"""Only such as need the provider's private key: neither `none` nor those of a shared secret."""
_CLOCKS_DIFFER_S = 60
_KNOWN_FOR_S = 3600.0
_TIMEOUT_S = 10.0


class LoginRefused(ArcpointApiError):
    """A login that proves nothing; the message says what is wrong with it."""


class ProviderUnavailable(ArcpointApiError):
    """The identity provider does not answer as one does."""


class IdentityProvider:
    """The OpenID provider of the settings. What it says of itself is asked for when first needed."""

    def __init__(self, settings: Settings) -> None:
        secret = settings.oidc_client_secret
        self._issuer = settings.oidc_issuer or ""
        self._client_id = settings.oidc_client_id
        self._secret = None if secret is None else secret.get_secret_value()
        self._scopes = settings.oidc_scopes
        self._name_claim, self._groups_claim = settings.oidc_name_claim, settings.oidc_groups_claim
        self._redirect_uri = f"{settings.public_url}{CALLBACK}"
        self._metadata: Mapping[str, Any] = {}
        self._keys: KeySet | None = None
        self._asked_at = 0.0

    async def begin(self, next_path: str) -> tuple[str, LoginAttempt]:
        """Return where the browser has to go, and what its callback must match.

        Raises:
            ProviderUnavailable: The provider does not answer.
        """
        attempt = LoginAttempt(
            state=generate_token(43), nonce=generate_token(43), verifier=generate_token(64), next=next_path
        )
        async with await asyncio.to_thread(self._client) as client:
            metadata, _ = await self._known(client)
        url = prepare_grant_uri(
            metadata["authorization_endpoint"],
            self._client_id,
            "code",
            redirect_uri=self._redirect_uri,
            scope=self._scopes,
            state=attempt.state,
            nonce=attempt.nonce,
            code_challenge=create_s256_code_challenge(attempt.verifier),
            code_challenge_method="S256",
        )
        return str(url), attempt

    async def finish(self, query: Mapping[str, str], attempt: LoginAttempt | None) -> tuple[str, list[str]]:
        """Return who has logged in, and the groups of theirs.

        Raises:
            LoginRefused: This browser began no such login, or the provider's answer proves nothing.
            ProviderUnavailable: The provider does not answer.
        """
        if attempt is None:
            raise LoginRefused("this browser began no login in the last minutes; begin at /login")
        if not hmac.compare_digest(query.get("state", "").encode(), attempt.state.encode()):
            raise LoginRefused("the state is not that of the login that this browser began; begin at /login")
        if "error" in query or not query.get("code"):
            raise LoginRefused(f"the identity provider refused: {query.get('error', 'no code')[:100]}")
        async with await asyncio.to_thread(self._client) as client:
            metadata, _ = await self._known(client)
            token = await self._token(client, metadata["token_endpoint"], query["code"], attempt.verifier)
            claims = await self._claims(client, token)
        self._check_claims(claims, attempt.nonce)
        return self._person(claims)

    async def _token(self, client: httpx2.AsyncClient, endpoint: str, code: str, verifier: str) -> str:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect_uri,
            "client_id": self._client_id,
            "code_verifier": verifier,
        }
        proof: dict[str, Any] = {}
        if self._secret is not None:
            proof["auth"] = httpx2.BasicAuth(quote_plus(self._client_id), quote_plus(self._secret))
        try:
            response = await client.post(endpoint, data=form, **proof)
            answer = response.json()
            error, token = answer.get("error"), answer.get("id_token")
        except (HTTPError, ValueError, AttributeError) as failure:
            raise ProviderUnavailable(
                f"the identity provider gave no token: {_first_line(failure)}"
            ) from None
        if error is not None or not response.is_success:
            raise LoginRefused(
                f"the identity provider did not accept the code: {error or response.status_code!s:.100}"
            )
        if not isinstance(token, str):
            raise LoginRefused("the identity provider sent no ID token; is `openid` among the scopes?")
        return token

    async def _claims(self, client: httpx2.AsyncClient, token: str) -> Mapping[str, Any]:
        """Return what the provider has signed. Raises LoginRefused and ProviderUnavailable."""
        for again in (False, True):  # it may have changed its keys meanwhile
            _, keys = await self._known(client, again=again)
            try:
                return jwt.decode(token, keys, algorithms=_SIGNATURES).claims
            except (JoseError, ValueError) as error:
                reason = _first_line(error)
        raise LoginRefused(f"the ID token is not signed by the identity provider: {reason}")

    def _check_claims(self, claims: Mapping[str, Any], nonce: str) -> None:
        """Check that a token is of this provider, for this client, for this login, and of now."""
        wanted = jwt.JWTClaimsRegistry(
            leeway=_CLOCKS_DIFFER_S,
            iss={"essential": True, "value": self._issuer},
            aud={"essential": True, "value": self._client_id},
            nonce={"essential": True, "value": nonce},
            exp={"essential": True},
            iat={"essential": True},
            sub={"essential": True},
        )
        try:
            wanted.validate(dict(claims))
        except JoseError as error:
            raise LoginRefused(f"the ID token cannot be accepted: {_first_line(error)}") from None
        if claims.get("azp", self._client_id) != self._client_id:
            raise LoginRefused("the ID token was made for another client")

    def _person(self, claims: Mapping[str, Any]) -> tuple[str, list[str]]:
        name = claims.get(self._name_claim)
        is_unverified = self._name_claim == "email" and claims.get("email_verified") is not True
        if not isinstance(name, str) or is_unverified:
            name = claims["sub"]
        if not is_name(name):
            raise LoginRefused("the ID token does not name the person in plain text")
        groups = claims.get(self._groups_claim, [])
        listed = [groups] if isinstance(groups, str) else groups
        return name, [each for each in listed if isinstance(each, str)] if isinstance(listed, list) else []

    def _client(self) -> httpx2.AsyncClient:
        """Return a client. Blocks: it reads the certificates that it trusts."""
        return httpx2.AsyncClient(timeout=_TIMEOUT_S, trust_env=False, headers={"accept": "application/json"})

    async def _known(
        self, client: httpx2.AsyncClient, *, again: bool = False
    ) -> tuple[Mapping[str, Any], KeySet]:
        """Return the discovery document and the keys, an hour old at most. Raises ProviderUnavailable."""
        now = time.monotonic()
        if self._keys is None or again or now - self._asked_at > _KNOWN_FOR_S:
            try:
                url = f"{self._issuer.rstrip('/')}/.well-known/openid-configuration"
                metadata = (await client.get(url)).raise_for_status().json()
                self._check(metadata)
                answer = await client.get(metadata["jwks_uri"])
                keys = KeySet.import_key_set(answer.raise_for_status().json())
            except (HTTPError, JoseError, ValueError, KeyError, TypeError) as error:
                raise ProviderUnavailable(
                    f"the identity provider {self._issuer} cannot be used: {_first_line(error)}"
                ) from None
            self._metadata, self._keys, self._asked_at = metadata, keys, now
        return self._metadata, self._keys

    def _check(self, metadata: Mapping[str, Any]) -> None:
        """Raise ValueError unless the document is that of the provider, and its addresses are as safe."""
        if metadata["issuer"] != self._issuer:
            raise ValueError(f"it calls itself {metadata['issuer']!s:.200}")
        scheme = urlsplit(self._issuer).scheme
        for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
            if urlsplit(metadata[name]).scheme != scheme:
                raise ValueError(f"its {name} is no {scheme} URL")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
