"""Settings: the only code that reads the environment; everything else receives values."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import SettingsConfigDict

from api.errors import ArcpointApiError
from api.people_settings import PeopleSettings
from context_builder.text.secret_patterns import PERSONAL_KINDS
from memory.index.server_address import checked_server_token, checked_server_url
from models.tables.gateway.users import Tier


class SettingsError(ArcpointApiError, ValueError):
    """A variable cannot be used; the message names it and what it accepts."""


class Settings(PeopleSettings):
    """Configuration, from environment variables that start with ARCPOINT_."""

    model_config = SettingsConfigDict(env_prefix="ARCPOINT_", frozen=True, env_ignore_empty=True)

    database_url: str = "sqlite:///.arcpoint/arcpoint.db"
    database_connections: Annotated[int, Field(ge=8, le=1000)] = 32
    """Read connections of one process; each question uses up to eight of them."""
    rollup_memory_mb: Annotated[int, Field(ge=1)] = 256
    """Bound of the rollups that one process keeps in memory, in MiB."""

    cold_path: str = ".arcpoint/cold"
    """Folder, or `s3://bucket/prefix`, of the days of the request log that were moved out of the database."""
    cold_endpoint: str = ""
    """URL of the server of that bucket, if it is not AWS's."""
    cold_after_d: Annotated[int, Field(ge=0, le=3650)] = 0
    """Age in days from which a service moves days there in the background; 0: it moves none."""
    keep_d: Annotated[int, Field(ge=0, le=3650)] = 0
    """Age in days from which a service removes requests for good, and takes none in; 0: it keeps all."""

    memory_path: Path = Path(".arcpoint/memory")
    """Folder of the vector index; unused with a memory_url."""
    memory_url: str | None = None
    """Chroma server that holds the vector index instead of the folder."""
    memory_token: SecretStr | None = None
    """Bearer token for that server, or for a proxy in front of it."""
    embedder: Literal["sentence-transformers", "hashing"] = "sentence-transformers"
    embedder_path: Path | None = None
    """Folder of a sentence-transformers model; None selects the packaged all-MiniLM-L6-v2."""
    embedder_sha256: str | None = None
    """Expected SHA-256 of its model.safetensors; None skips the check."""
    memory_deadline_s: Annotated[float, Field(gt=0)] = 5.0
    memory_follow_s: Annotated[float, Field(ge=0.1)] = 5.0
    """Polling interval of the outbox in a running service, in seconds."""
    read_only: bool = False
    """True if nothing may be written: no question is logged, memory and postmortems stay unchanged."""

    risk_path: Path = Path(".arcpoint/risk")
    """Folder of the trained forecasting models."""

    egress: Literal["on", "off"] = "on"
    """`off` makes every model call and poll impossible, whatever else is set; the proxy does not start."""
    anthropic_api_key: SecretStr | None = None
    """Without it no model is called. The SDK's own variables are ignored: nothing leaves by accident."""
    anthropic_base_url: str | None = None
    model: str = "claude-sonnet-5-5"
    max_output_tokens: Annotated[int, Field(ge=256)] = 4096
    model_deadline_s: Annotated[float, Field(gt=0)] = 120.0
    """Of the whole call, including retries."""
    model_retries: Annotated[int, Field(ge=0, le=10)] = 2
    prices_file: Path | None = None

    token_budget: Annotated[int, Field(ge=500, le=1_000_000)] = 8000
    """Token budget of a prompt if the question sets none."""
    tick_s: Annotated[float, Field(ge=0, le=60)] = 2.0
    """How old what questions about now share may be when one begins, in seconds; 0: nothing is shared."""
    risk_tick_s: Annotated[float, Field(ge=0, le=60)] = 10.0
    """Interval at which a service observes its fleet for routing decisions, in seconds; 0: it does not."""
    risk_train_h: Annotated[float, Field(ge=0, le=8760)] = 24.0
    """Interval at which a service trains its forecasting model again, in hours; 0: it does not."""
    risk_mode: Literal["shadow", "active", "switchback"] = "shadow"
    """`shadow`: the policy only advises; `active`: it acts, once its forecasts have earned it; `switchback`:
    it then acts in half of the blocks of time, so that its effect can be measured."""
    risk_block_min: Annotated[int, Field(ge=5, le=1440)] = 30
    """Length of these blocks, in minutes."""
    risk_agent_below: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Confidence below which the model is asked about a routing decision; 0: only where it is wanted."""
    risk_agent_per_hour: Annotated[int, Field(ge=0, le=10_000)] = 60
    """Most routing decisions that the model is asked about in an hour, in one worker; 0: none."""
    risk_agent_usd_per_hour: Annotated[Decimal, Field(ge=0)] = Decimal("1.00")
    """Most that these calls may cost in an hour, in US dollars, in one worker."""
    postmortem_path: Path = Path("postmortems")
    runbooks_path: Path | None = None
    """Folder of your own runbooks in Markdown; None if there are none."""

    redaction_key_path: Path = Path(".arcpoint/redaction.key")
    """File with the key of the placeholders of secrets; made when first needed."""
    redact_personal: str = ""
    """Kinds of personal data to replace besides secrets, separated by commas, or `all`."""
    ingest_body_mb: Annotated[int, Field(ge=1, le=1024)] = 16
    """Bound of one body of live ingestion as it is sent, in MiB."""
    ingest_unpacked_mb: Annotated[int, Field(ge=1, le=4096)] = 64
    """Bound of it unpacked, in MiB."""
    ingest_memory_mb: Annotated[int, Field(ge=1)] = 256
    """Bound of what one process holds of bodies until they are committed, in MiB; beyond it, 503."""
    ingest_read_s: Annotated[float, Field(gt=0)] = 60.0
    """How long one body may take to come in, in seconds; beyond it, 503."""
    ingest_items: Annotated[int, Field(ge=1)] = 20_000
    """Bound of the items of one body."""
    ingest_join_ms: Annotated[int, Field(ge=0, le=5000)] = 50
    """How long a post waits for others to share its transaction, in milliseconds."""
    ingest_tier: Tier = Tier.STANDARD
    """Tier of new users whose sender states none."""
    ingest_users: Annotated[int, Field(ge=1)] = 200_000
    """Users that live requests may create; requests of further ones count as the user `other`."""
    ingest_deployments: Annotated[int, Field(ge=1)] = 2_000
    """Deployments that live requests may create; further ones count as `other/other`."""
    ingest_secrets: SecretStr = SecretStr("")
    """`name=secret` of kinds and receivers, separated by spaces; senders have to prove that they know it."""
    otlp_ignore_scopes: str = ""
    """Names of OpenTelemetry scopes whose spans are not counted, separated by commas."""
    poll_file: Path | None = None
    """TOML file that lists what a service polls: status pages, model servers, LiteLLM; None: nothing."""

    api_key: SecretStr | None = None
    """Key that `ask` and `chat` send to a running service."""
    service_url: str | None = None
    """Running service that `ask` and `chat` use; None looks for the one of the same data on this machine."""
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    cors_origins: str = ""
    """Origins of other sites whose pages may call the service, separated by commas; empty: none."""
    log_format: Literal["console", "json"] = "console"
    tracing: Literal["on", "off"] = "off"
    """`on` exports traces as the OTEL_* variables say; without egress to this machine only."""
    workers: Annotated[int, Field(ge=1, le=256)] = 1
    """Processes of `arcpoint serve`; the four bounds below are of each."""
    max_builds: Annotated[int, Field(ge=1, le=1000)] = 2
    """Contexts that are built at the same time."""
    max_waiting: Annotated[int, Field(ge=0, le=100_000)] = 256
    """Questions that wait for that; beyond it they are refused with 503."""
    max_wait_s: Annotated[float, Field(gt=0)] = 10.0
    """How long one of them waits before it is refused, in seconds; at once if that is to be expected.

    Whatever needs a connection to the database waits as long for it.
    """
    max_answers: Annotated[int, Field(ge=1, le=100_000)] = 256
    """Answers in flight, which wait for the model most of their time."""
    drain_s: Annotated[float, Field(ge=0, le=600)] = 5.0
    """How long a service that is to stop still accepts requests, with /readyz saying that it drains."""
    shutdown_s: Annotated[int, Field(ge=1)] = 130
    """Grace period for requests in flight when it then stops, in seconds."""

    proxy_mounted: bool = False
    """True if `arcpoint serve` proxies the Messages API, too, under `/anthropic`."""
    proxy_port: Annotated[int, Field(ge=0, le=65535)] = 8081
    """Of `arcpoint proxy`."""
    proxy_upstream_url: str = "https://api.anthropic.com"
    proxy_file: Path | None = None
    """TOML file with several upstreams, and names of users by digest; None: one upstream, no names."""
    proxy_connections: Annotated[int, Field(ge=1, le=100_000)] = 1000
    """Connections of one process to its upstreams."""
    proxy_silence_s: Annotated[float, Field(gt=0)] = 600.0
    """How long an upstream, or a client, may neither send nor read a byte, in seconds."""
    proxy_retries: Annotated[int, Field(ge=0, le=10)] = 1
    """Of a request that no byte has been answered to; clients retry, too."""
    proxy_retry_wait_s: Annotated[float, Field(ge=0)] = 10.0
    """Of all pauses before retries of one request, in seconds; longer ones are not waited for."""
    proxy_routing: Literal["order", "risk"] = "order"
    """How one of several upstreams is chosen: in the file's order, or by the routing policy."""
    proxy_context: Literal["off", "trouble", "always"] = "trouble"
    """When the gateway's state is inserted into conversations, where neither request nor user says."""
    proxy_context_tokens: Annotated[int, Field(ge=100, le=10_000)] = 600
    """Of one block that is inserted."""
    proxy_deadline_s: Annotated[float, Field(gt=0, le=10)] = 0.15
    """How long a request waits for that; then it goes without."""
    proxy_rewrites: bool = True
    """False: nothing is inserted and nothing left out, whatever conversations were told before."""
    proxy_learns: bool = False
    """True: what replies use of what was inserted decides what is inserted later."""
    proxy_keeps_caps: bool = False
    """True: a request that does not fit under a cap or its user's budget is refused, not forwarded."""
    proxy_cache_mb: Annotated[int, Field(ge=0, le=100_000)] = 0
    """Answers that one process keeps for the very same requests, in megabytes; 0: none."""
    proxy_broker_url: SecretStr | None = None
    """Of a broker that is told of every request (NATS, Redis, RabbitMQ, Kafka); it may hold a password."""
    proxy_digest_key: SecretStr | None = None
    """Key of the digests by which senders are known; a change makes every sender a new one."""

    @property
    def personal_kinds(self) -> tuple[str, ...]:
        """The kinds of `redact_personal`."""
        return _personal_kinds(self.redact_personal)

    @property
    def cors_allowed(self) -> tuple[str, ...]:
        """The origins of `cors_origins`."""
        return tuple(origin.strip() for origin in self.cors_origins.split(",") if origin.strip())

    @property
    def no_model_reason(self) -> str | None:
        """Why no model can be called; None if one can."""
        if self.egress == "off":
            return "ARCPOINT_EGRESS=off: no model is called"
        if self.anthropic_api_key is None:
            return "no API key is configured; set ARCPOINT_ANTHROPIC_API_KEY to have Claude answer"
        return None

    @property
    def no_poll_reason(self) -> str | None:
        """Why nothing can be polled; None if it can, or if nothing is to be."""
        if self.read_only:
            return "ARCPOINT_READ_ONLY: nothing is polled, since nothing could be stored"
        return "ARCPOINT_EGRESS=off: nothing is polled" if self.egress == "off" else None

    def secrets_of_senders(self) -> dict[str, str]:
        """Return the secrets of live ingestion by the name of the kind or receiver."""
        pairs = (each.partition("=") for each in self.ingest_secrets.get_secret_value().split())
        return {name: secret for name, _, secret in pairs}

    def database_key(self) -> str:
        """Return the same text for the same database, with no secret and no name in it; reads the disk."""
        scheme, _, rest = self.database_url.partition("//")
        if scheme.startswith("sqlite"):
            place = os.path.realpath(rest.removeprefix("/").partition("?")[0])
        else:
            place = rest.rpartition("@")[2].partition("?")[0]
        return hashlib.sha256(place.encode()).hexdigest()[:16]

    @field_validator("ingest_secrets")
    @classmethod
    def _named_secrets(cls, secrets: SecretStr) -> SecretStr:
        for each in secrets.get_secret_value().split():
            name, _, secret = each.partition("=")
            if not name or not secret:
                raise ValueError(
                    "expected name=secret for each, separated by spaces, as in github=abc otlp=def"
                )
        return secrets

    @field_validator("cors_origins")
    @classmethod
    def _whole_origins(cls, origins: str) -> str:
        for origin in filter(None, map(str.strip, origins.split(","))):
            parts = urlsplit(origin)
            if f"{parts.scheme}://{parts.netloc}" != origin or parts.scheme not in ("http", "https"):
                raise ValueError("expected origins such as https://console.example.org, without path or *")
        return origins

    @field_validator("service_url")
    @classmethod
    def _service_address(cls, url: str | None) -> str | None:
        return None if url is None else checked_service_url(url)

    @field_validator("proxy_upstream_url")
    @classmethod
    def _upstream_url(cls, url: str) -> str:
        return checked_upstream_url(url)

    @field_validator("redact_personal")
    @classmethod
    def _known_kinds(cls, kinds: str) -> str:
        if unknown := sorted(set(_personal_kinds(kinds)) - set(PERSONAL_KINDS)):
            raise ValueError(f"{unknown[0]!r} is unknown; give some of {', '.join(PERSONAL_KINDS)}, or all")
        return kinds

    @field_validator("memory_url")
    @classmethod
    def _server_url(cls, url: str | None) -> str | None:
        return None if url is None else checked_server_url(url)

    @field_validator("memory_token")
    @classmethod
    def _server_token(cls, token: SecretStr | None) -> SecretStr | None:
        return None if token is None else SecretStr(checked_server_token(token.get_secret_value()))


def _personal_kinds(kinds: str) -> tuple[str, ...]:
    if kinds.strip() == "all":
        return PERSONAL_KINDS
    return tuple(kind.strip() for kind in kinds.split(",") if kind.strip())


def checked_service_url(url: str) -> str:
    """Return the address of a service without a trailing slash. Raises ValueError if it is invalid."""
    return checked_server_url(url, remedy="the service takes none")


def checked_upstream_url(url: str) -> str:
    """Return the base URL of an upstream without a trailing slash. Raises ValueError if it is invalid."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("expected http://host or https://host, with a port or a path if need be")
    if parts.username or parts.password:
        raise ValueError("no user or password can be in it; clients send their own keys")
    return url.rstrip("/")


def load_settings() -> Settings:
    """Read the environment. Raises SettingsError, which names the variable."""
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = "ARCPOINT_" + "_".join(str(part) for part in first["loc"]).upper()
        why = str(first["msg"]).removeprefix("Value error, ")
        raise SettingsError(f"{name}={_shown(name, first['input'])}: {why[0].lower()}{why[1:]}") from None


def _shown(name: str, value: object) -> str:
    """Return a value as an error may show it: without possible secrets."""
    if name.endswith(("_TOKEN", "_KEY", "_SECRET", "_SECRETS")):
        return "***"
    return repr(re.sub(r"//[^/]*@", "//***@", value) if isinstance(value, str) else value)


_METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""Read by prometheus_client where it is imported, so that it has to be there before a worker starts."""


def unknown_variables() -> list[str]:
    """Return the variables of the environment that look like settings and are none."""
    names = {f"ARCPOINT_{name.upper()}" for name in Settings.model_fields}
    return sorted(name for name in os.environ if name.startswith("ARCPOINT_") and name not in names)


def trace_address() -> str:
    """Return where OpenTelemetry's variables say that traces are sent; the exporter reads them itself."""
    names = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
    return next((address for name in names if (address := os.environ.get(name))), "http://localhost:4318")


def metrics_folder() -> Path | None:
    """Return the folder in which workers of one service keep their metrics; None if this process is alone."""
    folder = os.environ.get(_METRICS_FOLDER)
    return Path(folder) if folder else None


@contextmanager
def shared_metrics_folder() -> Iterator[Path]:
    """Give the workers that are started in the block one folder for their metrics; removed at its end."""
    with TemporaryDirectory(prefix="arcpoint-metrics-") as folder:
        os.environ[_METRICS_FOLDER] = folder
        try:
            yield Path(folder)
        finally:
            del os.environ[_METRICS_FOLDER]
