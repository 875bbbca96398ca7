"""The operator's file: several upstreams, and who is behind which credential."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError

from api.proxy.client.credentials import ProxyUser
from api.proxy.forwarding.upstream import Upstream
from api.proxy.rewriting.policy import Policy
from api.settings import SettingsError, checked_upstream_url
from models import Tier

_Name = Annotated[str, Field(pattern=r"^[\w.-]{1,60}$")]


class _UpstreamEntry(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: _Name
    url: Annotated[str, AfterValidator(checked_upstream_url)]
    api_key: SecretStr | None = None


class _UserEntry(BaseModel):
    model_config = ConfigDict(extra="forbid")

    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    user: _Name
    tier: Tier = Tier.STANDARD
    context: Policy | None = None


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid")

    upstreams: list[_UpstreamEntry] = []
    users: list[_UserEntry] = []


@dataclass(frozen=True, slots=True)
class ProxyFile:
    """What the file says; nothing, if there is none."""

    upstreams: Sequence[Upstream] = ()
    """In order of preference."""
    users: Mapping[str, ProxyUser] = field(default_factory=dict)
    """Users by the digest of their credential."""
    context: Mapping[str, Policy] = field(default_factory=dict)
    """When context is inserted for them, where the file says so."""

    @classmethod
    def load(cls, path: Path | None) -> ProxyFile:
        """Read the file; blocks.

        Raises:
            SettingsError: It cannot be read, or says something that is not accepted; values are not shown.
        """
        if path is None:
            return cls()
        try:
            document = _Document.model_validate(tomllib.loads(path.read_text("utf-8")))
        except OSError as error:
            raise SettingsError(f"ARCPOINT_PROXY_FILE={path}: cannot be read: {error.strerror}") from None
        except ValidationError as error:
            raise SettingsError(f"{path}: {'; '.join(_problems(error))}") from None
        except (ValueError, RecursionError) as error:
            raise SettingsError(f"{path}: is not TOML in UTF-8: {error}") from None
        names = [entry.name for entry in document.upstreams]
        if len(set(names)) < len(names):
            raise SettingsError(f"{path}: upstreams: each needs a name of its own")
        return cls(
            tuple(Upstream(entry.name, entry.url, entry.api_key) for entry in document.upstreams),
            {entry.digest: ProxyUser(entry.user, entry.tier) for entry in document.users},
            {entry.digest: entry.context for entry in document.users if entry.context is not None},
        )


def _problems(error: ValidationError) -> Iterator[str]:
    for problem in error.errors(include_input=False, include_url=False):
        yield f"{'.'.join(map(str, problem['loc']))}: {problem['msg'].removeprefix('Value error, ')}"
