"""The composition root: the only place where concrete classes meet."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property, partial
from typing import TYPE_CHECKING, TypeVar

from api.audit.trail import AuditTrail
from api.embedders import make_embedder
from api.redaction import make_redaction
from api.risk_ticker import Feed, MakeFeed, RiskTicker
from api.settings import Settings, SettingsError
from context_builder.answer.question_log import QuestionLog
from context_builder.answering import Answerer
from context_builder.builder import ContextBuilder
from context_builder.deadlines import Deadlines
from context_builder.llm.batch_model import BatchModel
from context_builder.llm.chat_model import ChatModel
from context_builder.llm.claude_options import API_URL, ClaudeOptions
from context_builder.llm.paid_model import PaidModel
from context_builder.llm.pricing import PriceList, UnknownPrice
from context_builder.observation import Observe
from context_builder.prompt.calibration import Calibration
from context_builder.routing_agent import RoutingAgent
from context_builder.sources import discover
from context_builder.spend.ledger import SpendLedger
from context_builder.telemetry.runbooks import Runbooks
from context_builder.text.clock import utc_now
from context_builder.text.redaction import Redaction
from memory.embedding.embedder import Embedder
from memory.entries.stored_index import StoredIndex
from memory.incident_memory import IncidentMemory
from memory.index.contract import VectorIndex
from models.database import HEAD_REVISION, Database
from models.request_log.cold import ColdFiles

if TYPE_CHECKING:
    from api.retraining import Retraining
    from context_builder.llm.unsent_request import UnsentRequest
    from context_builder.postmortems.writer import PostmortemWriter
    from context_builder.prompt.prompt import Prompt
    from context_builder.risk.feeder import Feeder
    from context_builder.risk.outlook import Outlook

_Client = TypeVar("_Client")

MEMORY_START_S = 60.0
"""A slow machine may take half of this to load the embedding model from a cold disk."""


@dataclass(frozen=True)
class Services:
    """Services behind every interface; shared by all questions of a process."""

    settings: Settings
    database: Database
    embedder: Embedder
    memory: IncidentMemory
    answerer: Answerer
    questions: QuestionLog
    prices: PriceList
    ledger: SpendLedger
    risk: RiskTicker
    routing_agent: RoutingAgent
    audit: AuditTrail

    def report_to(self, observe: Observe) -> None:
        """Let all parts report what they do."""
        self.answerer.builder.observe = self.memory.observe = observe
        if self.answerer.model is not None:
            self.answerer.model.observe = observe

    @cached_property
    def postmortems(self) -> PostmortemWriter:
        """Write postmortems with these services."""
        from context_builder.postmortems.writer import PostmortemWriter  # noqa: PLC0415  answers need none

        return PostmortemWriter(self.database, self.answerer, self.questions)


@asynccontextmanager
async def open_database(settings: Settings) -> AsyncIterator[Database]:
    """Open the database and check its schema. Raises DatabaseError."""
    database = Database(
        settings.database_url,
        connections=settings.database_connections,
        wait_s=settings.max_wait_s,
        read_only=settings.read_only,
        cold_files=ColdFiles(settings.cold_path, endpoint=settings.cold_endpoint),
    )
    try:
        await database.require_revision(HEAD_REVISION)
        await database.require_writable()
        yield database
    finally:
        await database.close()


@asynccontextmanager
async def open_memory(
    settings: Settings,
    database: Database,
    embedder: Embedder | None = None,
    *,
    redaction: Redaction | None = None,
    only_asks: bool = False,
) -> AsyncIterator[IncidentMemory]:
    """Open incident memory, which loads in the background; its errors surface when it is used.

    `only_asks` is for a process that changes nothing in memory: where the index would be a folder, the
    embeddings in the database are searched instead.
    """
    if embedder is None:
        embedder = await asyncio.to_thread(make_embedder, settings)
    if redaction is None:
        redaction = await asyncio.to_thread(make_redaction, settings)
    searches_database = only_asks and settings.memory_url is None
    memory = IncidentMemory(
        database,
        embedder,
        StoredIndex(database, embedder) if searches_database else make_index(settings),
        deadline_s=settings.memory_deadline_s,
        # Entries outlive the key, and processes with different keys share them.
        redact=redaction.without_digest,
        within=Deadlines().within,
    )
    await memory.start()
    try:
        yield memory
    finally:
        await memory.close()


@asynccontextmanager
async def open_services(
    settings: Settings,
    *,
    wait_for_memory: bool = True,
    shares_ticks: bool = False,
    only_asks: bool = False,
    embedder: Embedder | None = None,
    redaction: Redaction | None = None,
) -> AsyncIterator[Services]:
    """Open all services on one database and one memory, which `only_asks` opens for recalls alone.

    A program that asks once should wait for memory to load its model; until then answers do without it.
    With `shares_ticks` questions about now share what is read, as old as the settings allow. `embedder` is
    one that loads already, `redaction` one that remembers for this process what it replaces.

    Raises:
        DatabaseError: The database is unavailable, or its schema is of another version.
        PriceFileError: The price file cannot be used.
        SettingsError: A setting of the model cannot be used.
    """
    async with AsyncExitStack() as stack:
        prices = await asyncio.to_thread(PriceList.load, settings.prices_file)
        database = await stack.enter_async_context(open_database(settings))
        if embedder is None:
            embedder = await asyncio.to_thread(make_embedder, settings)
        if redaction is None:
            redaction = await asyncio.to_thread(make_redaction, settings)
        memory = await stack.enter_async_context(
            open_memory(settings, database, embedder, redaction=redaction, only_asks=only_asks)
        )
        ledger = SpendLedger(database)
        model = await asyncio.to_thread(make_model, settings, prices)
        if model is not None:
            stack.push_async_callback(model.close)
        builder = await _make_builder(settings, database, memory, None if model is None else settings.model)
        builder.redaction = redaction
        await stack.enter_async_context(builder.shared_ticks(settings.tick_s if shares_ticks else 0.0))
        questions = QuestionLog(database)
        answerer = Answerer(
            builder,
            questions,
            None if model is None else PaidModel(model, prices, ledger),
            no_model_reason=settings.no_model_reason or "",
        )
        if wait_for_memory:
            await memory.started(at_most_s=MEMORY_START_S)
        risk = make_risk_ticker(settings, database, partial(make_feed, settings, database))
        agent = RoutingAgent(
            answerer, per_hour=settings.risk_agent_per_hour, usd_per_hour=settings.risk_agent_usd_per_hour
        )
        audit = AuditTrail(database)
        await stack.enter_async_context(audit.writing())
        yield Services(
            *(settings, database, embedder, memory, answerer, questions, prices, ledger, risk, agent, audit)
        )


async def _make_builder(
    settings: Settings, database: Database, memory: IncidentMemory, model: str | None
) -> ContextBuilder:
    """Create the context builder, whose estimates of tokens are those of a model."""
    calibration = Calibration(model)
    await calibration.load(database)
    builder = ContextBuilder(
        database,
        memory,
        await asyncio.to_thread(discover),
        default_budget=settings.token_budget,
        calibration=calibration,
        runbooks=Runbooks(settings.runbooks_path),
    )
    builder.rollups.max_bytes = settings.rollup_memory_mb * 2**20
    return builder


def make_risk_ticker(settings: Settings, database: Database, make_feed: MakeFeed | None = None) -> RiskTicker:
    """Create the routing policy of a process; without a feed it reads what another process forecasts."""
    return RiskTicker(
        database,
        every_s=settings.risk_tick_s,
        may_act=settings.risk_mode != "shadow",
        block=timedelta(minutes=settings.risk_block_min) if settings.risk_mode == "switchback" else None,
        make_feed=make_feed,
    )


async def make_feed(settings: Settings, database: Database) -> Feed:
    """Load a forecaster that follows the database, with the newest trained model."""

    def load() -> tuple[Feeder, Retraining]:
        # Together they import for seconds, and only a running service needs them.
        from api.retraining import Retraining  # noqa: PLC0415
        from context_builder.risk.feeder import Feeder  # noqa: PLC0415
        from context_builder.risk.forecast.forecaster import Forecaster  # noqa: PLC0415

        forecaster = Forecaster()
        feeder = Feeder(database, forecaster, stores=not settings.read_only)
        return feeder, Retraining(settings, forecaster, utc_now())

    feeder, retraining = await asyncio.to_thread(load)

    async def feed(now: datetime) -> Mapping[int, Outlook]:
        await retraining.keep_up(now, drifted_at=feeder.drifted_at)
        return await feeder.feed(now)

    return feed


def make_index(settings: Settings) -> VectorIndex:
    """Create the index: a folder that this process owns, or a server shared by many."""
    if settings.memory_url is None:
        from memory.index.chroma import ChromaIndex  # noqa: PLC0415  a process that only asks needs none

        return ChromaIndex(settings.memory_path, read_only=settings.read_only)
    from memory.index.chroma_server import ChromaServerIndex  # noqa: PLC0415  imports an HTTP client

    token = settings.memory_token
    return ChromaServerIndex(settings.memory_url, token=token.get_secret_value() if token else None)


def make_model(settings: Settings, prices: PriceList) -> ChatModel | None:
    """Create the Claude client, if the settings allow calls. Raises SettingsError."""
    if settings.no_model_reason is not None:
        return None
    from context_builder.llm.claude import Claude  # noqa: PLC0415  importing the SDK takes a second

    return _api_client(Claude, settings, prices)


def make_batch_model(settings: Settings, prices: PriceList) -> BatchModel:
    """Create the client of the Message Batches API. Raises SettingsError, also without a key."""
    from context_builder.llm.claude_batches import ClaudeBatches  # noqa: PLC0415  likewise

    return _api_client(ClaudeBatches, settings, prices)


async def unsent(settings: Settings, prices: PriceList, prompt: Prompt) -> UnsentRequest:
    """Return the request that a call would send, also where none is allowed. Raises SettingsError."""
    from context_builder.llm.unsent_request import unsent_request  # noqa: PLC0415  imports the SDK

    key = settings.anthropic_api_key
    with _usable():
        return await unsent_request(
            prompt, _options(settings, prices, key.get_secret_value() if key else "-")
        )


def _api_client(kind: Callable[[ClaudeOptions], _Client], settings: Settings, prices: PriceList) -> _Client:
    """Create an API client from the settings: the only place where one is made. Raises SettingsError."""
    key = settings.anthropic_api_key
    if key is None or settings.no_model_reason is not None:
        raise SettingsError(settings.no_model_reason)
    with _usable():
        prices.require(settings.model)
        return kind(_options(settings, prices, key.get_secret_value()))


def _options(settings: Settings, prices: PriceList, key: str) -> ClaudeOptions:
    return ClaudeOptions(
        api_key=key,
        model=settings.model,
        max_output_tokens=settings.max_output_tokens,
        deadline_s=settings.model_deadline_s,
        base_url=settings.anthropic_base_url or API_URL,
        max_retries=settings.model_retries,
        cache_minimum=prices.cache_minimum(settings.model),
    )


@contextmanager
def _usable() -> Iterator[None]:
    """Name the settings that a client cannot use. Raises SettingsError."""
    try:
        yield
    except UnknownPrice as error:
        raise SettingsError(str(error)) from None
    except ValueError as error:
        raise SettingsError(
            f"ARCPOINT_ANTHROPIC_API_KEY or ARCPOINT_ANTHROPIC_BASE_URL cannot be used: {error}"
        ) from None
