"""Settings of how people with a browser prove who they are. Without them, only API keys do."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings

_PERSONS_ROLES = ("viewer", "operator", "admin")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


class PeopleSettings(BaseSettings):
    """Of each field, those that it needs are declared before it, so that an error names the right one."""

    public_url: str | None = None
    """Address of the service as browsers know it, such as https://arcpoint.example.org, without a path."""
    people_roles: str = ""
    """`group=role` separated by commas; `person:NAME=role` is one person, `*=role` everybody known."""

    trusted_proxies: str = ""
    """Addresses or networks of authenticating proxies, separated by commas."""
    trusted_proxy_groups_header: str = ""
    """Header in which they name the person's groups, separated by commas; empty: none."""
    trusted_proxy_header: str = ""
    """Header in which they name the person; empty: nobody is believed."""

    session_key_path: Path = Path(".arcpoint/session.key")
    """File with the key that signs cookies; made when first needed. Workers on several hosts share it."""
    session_h: Annotated[float, Field(gt=0, le=720)] = 8.0
    """How long a login lasts, in hours."""
    oidc_client_id: str = ""
    oidc_client_secret: SecretStr | None = None
    """None: a public client, which proves itself by PKCE alone."""
    oidc_scopes: str = "openid email profile"
    oidc_name_claim: str = "email"
    """Claim of the ID token that names a person; where it is missing or unverified, `sub` does."""
    oidc_groups_claim: str = "groups"
    oidc_issuer: str | None = None
    """OpenID provider, exactly as its discovery document names itself; None: no logins."""

    @property
    def knows_people(self) -> bool:
        """True if people can prove who they are."""
        return bool(self.trusted_proxy_header) or self.oidc_issuer is not None

    def role_names(self) -> dict[str, str]:
        """Return the roles of `people_roles` by group."""
        return _role_names(self.people_roles)

    def proxy_networks(self) -> list[IPv4Network | IPv6Network]:
        """Return the networks of `trusted_proxies`."""
        return _networks(self.trusted_proxies)

    @field_validator("public_url")
    @classmethod
    def _origin(cls, url: str | None) -> str | None:
        return None if url is None else _checked_origin(url)

    @field_validator("people_roles")
    @classmethod
    def _known_roles(cls, roles: str) -> str:
        for group, role in _role_names(roles).items():
            if not group or role not in _PERSONS_ROLES:
                raise ValueError(
                    "expected group=role, separated by commas, with one of the roles "
                    f"{', '.join(_PERSONS_ROLES)}, as in sre=operator,*=viewer"
                )
        return roles

    @field_validator("trusted_proxies")
    @classmethod
    def _known_networks(cls, networks: str) -> str:
        _networks(networks)
        return networks

    @field_validator("trusted_proxy_header")
    @classmethod
    def _whose_header(cls, name: str, info: ValidationInfo) -> str:
        if name:
            _require(info, "trusted_proxies", "public_url", "people_roles")
        return name

    @field_validator("oidc_issuer")
    @classmethod
    def _whose_tokens(cls, issuer: str | None, info: ValidationInfo) -> str | None:
        if issuer is not None:
            _require(info, "oidc_client_id", "public_url", "people_roles")
            parts = urlsplit(issuer)
            if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
                raise ValueError("expected an https:// URL: keys that come over http can be anybody's")
        return issuer


def _require(info: ValidationInfo, *names: str) -> None:
    missing = [f"ARCPOINT_{name.upper()}" for name in names if not info.data.get(name)]
    if missing:
        raise ValueError(f"it needs {' and '.join(missing)} as well")


def _role_names(roles: str) -> dict[str, str]:
    pairs = (each.strip().rpartition("=") for each in roles.split(",") if each.strip())
    return {group.strip(): role.strip() for group, _, role in pairs}


def _networks(networks: str) -> list[IPv4Network | IPv6Network]:
    return [ip_network(each.strip()) for each in networks.split(",") if each.strip()]


def _checked_origin(url: str) -> str:
    """Return a URL as browsers write it in Origin. Raises ValueError if it is no origin."""
    parts = urlsplit(url.rstrip("/"))
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or parts.path or parts.query:
        raise ValueError("expected https://host, with a port if need be, and no path")
    if parts.username or parts.fragment:
        raise ValueError("expected https://host, without a user or a fragment")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    port = "" if parts.port in (None, _DEFAULT_PORTS[parts.scheme]) else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}"
