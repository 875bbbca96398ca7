"""The operator's file: what is polled, how often and within which bounds."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from api.ingest.records.fields import DeploymentName, Name
from api.settings import SettingsError, checked_upstream_url
from models import PollerKind

MAX_TARGETS = 500
MAX_DEADLINE_S = 300.0
_SECONDS = {PollerKind.STATUS_PAGE: 60.0, PollerKind.MODEL_SERVER: 30.0, PollerKind.LITELLM: 30.0}
"""Between two polls of one target, where the file does not say."""
_PATHS = {
    PollerKind.STATUS_PAGE: "/api/v2/summary.json",
    PollerKind.MODEL_SERVER: "/metrics",
    PollerKind.LITELLM: "/health/readiness",
}
"""Of a URL that has none."""


class Target(BaseModel):
    """One address that is polled, and what it tells of."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: PollerKind
    url: Annotated[str, Field(max_length=2_000)]
    backend: Name | None = None
    deployment: DeploymentName | None = None
    components: frozenset[str] = frozenset()
    """Of a status page: those that matter; empty: all."""
    headers: dict[str, SecretStr] = {}
    every_s: Annotated[float, Field(ge=1, le=86_400)] = 0.0
    deadline_s: Annotated[float, Field(gt=0, le=MAX_DEADLINE_S)] = 10.0
    max_mb: Annotated[float, Field(gt=0, le=64)] = 4.0

    @property
    def about(self) -> str:
        """The deployment or backend."""
        return self.deployment or self.backend or ""

    @property
    def name(self) -> str:
        """Unique among the targets of a file."""
        return f"{self.kind} {self.about}"

    @model_validator(mode="before")
    @classmethod
    def _with_defaults(cls, values: dict[str, object]) -> dict[str, object]:
        kind = PollerKind(str(values["kind"]))
        try:
            url = checked_upstream_url(str(values.get("url") or ""))
        except ValueError as error:
            raise ValueError(f"url: {error}") from None
        path = "" if url.partition("://")[2].count("/") else _PATHS[kind]
        return {"every_s": _SECONDS[kind]} | values | {"url": url + path}

    @model_validator(mode="after")
    def _has_a_subject(self) -> Self:
        given = {name for name in ("backend", "deployment") if getattr(self, name)}
        accepted = {
            PollerKind.STATUS_PAGE: ({"backend"},),
            PollerKind.MODEL_SERVER: ({"backend"}, {"deployment"}),
            PollerKind.LITELLM: ({"deployment"},),
        }[self.kind]
        if given not in accepted:
            raise ValueError(f"expected {' or '.join(name for each in accepted for name in each)}")
        if self.components and self.kind is not PollerKind.STATUS_PAGE:
            raise ValueError("only status pages have components")
        return self


def load_targets(path: Path) -> Sequence[Target]:
    """Read the file; blocks.

    Raises:
        SettingsError: It cannot be read, or says something that is not accepted; values are not shown.
    """
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise SettingsError(f"ARCPOINT_POLL_FILE={path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise SettingsError(f"{path}: is not TOML in UTF-8: {error}") from None
    targets: dict[str, Target] = {}
    for kind, entries in document.items():
        if kind not in set(PollerKind) or not isinstance(entries, list):
            accepted = ", ".join(f"[[{each}]]" for each in PollerKind)
            raise SettingsError(f"{path}: {kind!r} is unknown; accepted are tables {accepted}")
        for place, entry in enumerate(entries, 1):
            target = _target(path, f"{kind} {place}", {**entry, "kind": kind})
            if target.name in targets:
                raise SettingsError(f"{path}: {kind} {place}: {target.about!r} is there already")
            targets[target.name] = target
    if not 0 < len(targets) <= MAX_TARGETS:
        raise SettingsError(f"{path}: has {len(targets)} targets; expected 1 to {MAX_TARGETS}")
    return tuple(targets.values())


def _target(path: Path, place: str, values: dict[str, object]) -> Target:
    try:
        return Target.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join([place, *map(str, first["loc"])])
        why = str(first["msg"]).removeprefix("Value error, ")
        raise SettingsError(f"{path}: {where}: {why[0].lower()}{why[1:]}") from None
