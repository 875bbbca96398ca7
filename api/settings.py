"""The only reader of the environment; every other part is handed values."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from memory.index.server_address import checked_server_token, checked_server_url


class SettingsError(ValueError):
    """A variable cannot be used; the message names it and what it accepts."""


class Settings(BaseSettings):
    """Configuration, from variables that begin with ARCPOINT_."""

    model_config = SettingsConfigDict(env_prefix="ARCPOINT_", frozen=True, env_ignore_empty=True)

    database_url: str = "sqlite:///.arcpoint/arcpoint.db"
    database_connections: Annotated[int, Field(ge=8, le=1000)] = 32
    """Read connections of one process; a question takes one per source."""

    memory_path: Path = Path(".arcpoint/memory")
    """Folder of the vector index; not used with a memory_url."""
    memory_url: str | None = None
    """A Chroma server that keeps the vector index instead of the folder."""
    memory_token: SecretStr | None = None
    """What that server, or the proxy before it, wants as a bearer token."""
    embedder: Literal["sentence-transformers", "hashing"] = "sentence-transformers"
    embedder_path: Path | None = None
    """Folder of a sentence-transformers model; None takes the packaged all-MiniLM-L6-v2."""
    embedder_sha256: str | None = None
    """Expected SHA-256 of its model.safetensors; None does not check a folder of your own."""
    memory_deadline_s: Annotated[float, Field(gt=0)] = 5.0
    memory_follow_s: Annotated[float, Field(ge=0.1)] = 5.0
    """Seconds between two looks of a service at what memory has yet to take in."""
    read_only: bool = False
    """Whether nothing may be written: no question is logged, memory and postmortems stay as they are."""

    anthropic_api_key: SecretStr | None = None
    """Without it no model is called. The SDK's own variables are not read: nothing leaves by accident."""
    anthropic_base_url: str | None = None
    model: str = "claude-sonnet-5-5"
    max_output_tokens: Annotated[int, Field(ge=256)] = 4096
    model_deadline_s: Annotated[float, Field(gt=0)] = 120.0
    """Bound of the whole call, its retries included."""
    model_retries: Annotated[int, Field(ge=0, le=10)] = 2
    prices_file: Path | None = None

    token_budget: Annotated[int, Field(ge=500, le=1_000_000)] = 8000
    """Bound of a prompt where the question sets none."""
    postmortem_path: Path = Path("postmortems")
    runbooks_path: Path | None = None
    """Folder of Markdown files that the operator wrote; None: there are none."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    log_format: Literal["console", "json"] = "console"
    shutdown_s: Annotated[int, Field(ge=1)] = 130
    """How long a stopping service lets calls in flight finish."""

    @field_validator("memory_url")
    @classmethod
    def _server_url(cls, url: str | None) -> str | None:
        return None if url is None else checked_server_url(url)

    @field_validator("memory_token")
    @classmethod
    def _server_token(cls, token: SecretStr | None) -> SecretStr | None:
        return None if token is None else SecretStr(checked_server_token(token.get_secret_value()))


def load_settings() -> Settings:
    """Reads the environment. Raises SettingsError naming the variable."""
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = "ARCPOINT_" + "_".join(str(part) for part in first["loc"]).upper()
        why = str(first["msg"]).removeprefix("Value error, ")
        raise SettingsError(f"{name}={_shown(name, first['input'])}: {why[0].lower()}{why[1:]}") from None


def _shown(name: str, value: object) -> str:
    """A value as an error may show it: without what could be a secret."""
    if name.endswith(("_TOKEN", "_KEY")):
        return "***"
    return repr(re.sub(r"//[^/]*@", "//***@", value) if isinstance(value, str) else value)
