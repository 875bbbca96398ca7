"""The only reader of the environment; every other part is handed values."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict


class SettingsError(ValueError):
    """A variable cannot be used; the message names it and what it accepts."""


class Settings(BaseSettings):
    """Configuration, from variables that begin with ARCPOINT_."""

    model_config = SettingsConfigDict(env_prefix="ARCPOINT_", frozen=True, env_ignore_empty=True)

    database_url: str = "sqlite:///.arcpoint/arcpoint.db"
    database_connections: Annotated[int, Field(ge=8, le=1000)] = 32
    """Read connections of one process; a question takes one per source."""

    memory_path: Path = Path(".arcpoint/memory")
    embedder: Literal["sentence-transformers", "hashing"] = "sentence-transformers"
    embedder_path: Path | None = None
    """Folder of a sentence-transformers model; None takes the packaged all-MiniLM-L6-v2."""
    embedder_sha256: str | None = None
    """Expected SHA-256 of its model.safetensors; None does not check a folder of your own."""
    memory_deadline_s: Annotated[float, Field(gt=0)] = 5.0

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


def load_settings() -> Settings:
    """Reads the environment. Raises SettingsError naming the variable."""
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = "ARCPOINT_" + "_".join(str(part) for part in first["loc"]).upper()
        raise SettingsError(f"{name}={first['input']!r}: {first['msg'].lower()}") from None
