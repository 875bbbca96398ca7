"""Opens the proxy: its connections, its recorder, and what it is told by the settings."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import structlog
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from api.proxy.client.credentials import Senders
from api.proxy.endpoint import Proxy
from api.proxy.errors import ProxyRefusal
from api.proxy.forwarding.answer_cache import AnswerCache
from api.proxy.forwarding.forwarding import Forwarding, Patience
from api.proxy.forwarding.risk_choice import RiskChoice
from api.proxy.forwarding.upstream import Upstream, open_connections
from api.proxy.forwarding.upstreams import Upstreams
from api.proxy.headers import REQUEST_ID
from api.proxy.payment import Payment
from api.proxy.proxy_file import ProxyFile
from api.proxy.recording.brokers import open_broker
from api.proxy.recording.call_store import CallStore
from api.proxy.recording.publisher import Publisher
from api.proxy.recording.recorder import Recorder
from api.proxy.rewriting.in_time import InTime
from api.proxy.rewriting.opened import PAUSE_S, open_rewriter
from api.proxy.rewriting.policy import Policies, Policy
from api.proxy.rewriting.rewriting import RewritingOptions
from api.proxy.untouched import Untouched
from api.redaction import make_redaction
from api.risk_ticker import RiskTicker
from api.settings import Settings, SettingsError
from context_builder.conversation.rewriter import Rewriter
from context_builder.llm.pricing import PriceList
from context_builder.observation import Observe, ignore
from context_builder.spend.ledger import SpendLedger
from models.database import Database

log = structlog.get_logger(__name__)

_DIGEST_KEY = b"arcpoint proxy senders"
"""Keys of the API cannot be guessed, so a digest needs no secret key to hide them."""
DEFAULT_UPSTREAM = "anthropic"


@dataclass(frozen=True, slots=True)
class OpenProxy:
    """A proxy that serves."""

    app: ASGIApp
    recorder: Recorder

    def status(self) -> dict[str, Any]:
        """Return what this process has done since it started, as JSON has it."""
        counts = {"in_flight", "stored", "waiting", "dropped"}
        return {"ended": dict(self.recorder.ended)} | {
            name: getattr(self.recorder, name) for name in sorted(counts)
        }


@asynccontextmanager
async def open_proxy(
    settings: Settings,
    database: Database,
    rewriter: Rewriter | None = None,
    *,
    risk: RiskTicker | None = None,
    observe: Observe = ignore,
) -> AsyncIterator[OpenProxy]:
    """Open the proxy; a rewriter takes the place of the one of the settings.

    What has ended is stored before it closes. The policy of `risk`, which ticks, chooses the upstream if the
    settings say so.

    Raises:
        SettingsError: The proxy file cannot be used, or nothing may leave.
        PriceFileError: The price file cannot be used.
    """
    if settings.egress == "off":
        raise SettingsError("ARCPOINT_EGRESS=off: the proxy forwards nothing; set it to on to run the proxy")
    async with AsyncExitStack() as stack:
        prices = await asyncio.to_thread(PriceList.load, settings.prices_file)
        file = await asyncio.to_thread(ProxyFile.load, settings.proxy_file)
        upstreams = file.upstreams or (Upstream(DEFAULT_UPSTREAM, settings.proxy_upstream_url),)
        # In a thread: certificates are read from files.
        trusted = await asyncio.to_thread(ssl.create_default_context)
        connections = await stack.enter_async_context(
            open_connections(
                limit=settings.proxy_connections, silence_s=settings.proxy_silence_s, trusted=trusted
            )
        )
        url = settings.proxy_broker_url
        store = None if settings.read_only else CallStore(database, prices, publishes=url is not None).store
        if url is not None:
            broker = await stack.enter_async_context(open_broker(url.get_secret_value()))
            await stack.enter_async_context(Publisher(database, broker).running())
        reads_text = rewriter is not None or settings.proxy_learns
        recorder = Recorder(store, observe=observe)
        await stack.enter_async_context(recorder.running())
        if rewriter is None:
            rewriter = await stack.enter_async_context(_rewriter_of(settings, database, file))
        payment = None
        if settings.proxy_keeps_caps and not settings.read_only:
            payment = Payment(SpendLedger(database), prices, InTime(PAUSE_S), settings.proxy_deadline_s)
            stack.push_async_callback(payment.close)
        choice = RiskChoice(risk) if risk is not None and settings.proxy_routing == "risk" else None
        patience = Patience(settings.proxy_retries, settings.proxy_retry_wait_s)
        proxy = Proxy(
            senders=senders_of(settings, file),
            rewriter=rewriter,
            forwarding=Forwarding(connections, Upstreams(upstreams, choice), rewriter, patience),
            recorder=recorder,
            cache=AnswerCache(settings.proxy_cache_mb * 2**20),
            silence_s=settings.proxy_silence_s,
            payment=payment,
            reads_text=reads_text,
            only_known=any(upstream.api_key for upstream in upstreams),
        )
        yield OpenProxy(ServerErrorMiddleware(proxy, handler=_answer_failure), recorder)


@asynccontextmanager
async def _rewriter_of(settings: Settings, database: Database, file: ProxyFile) -> AsyncIterator[Rewriter]:
    """Open the rewriter of the settings; one that cannot store its decisions may make none."""
    if settings.read_only or not settings.proxy_rewrites:
        yield Untouched()
        return
    options = RewritingOptions(
        policies=Policies(Policy(settings.proxy_context), file.context),
        budget=settings.proxy_context_tokens,
        deadline_s=settings.proxy_deadline_s,
    )
    redaction = await asyncio.to_thread(make_redaction, settings)
    async with open_rewriter(
        database, options=options, learns=settings.proxy_learns, redaction=redaction
    ) as rewriter:
        yield rewriter


def senders_of(settings: Settings, file: ProxyFile | None = None) -> Senders:
    """Return how senders are recognized."""
    key = settings.proxy_digest_key
    return Senders(key.get_secret_value().encode() if key else _DIGEST_KEY, file.users if file else {})


async def _answer_failure(request: Request, error: Exception) -> Response:
    """Log an error of the proxy itself, and answer in the shape of the API."""
    request_id = request.scope["state"][REQUEST_ID]
    # In a thread: a traceback quotes source files.
    await asyncio.to_thread(log.error, "proxying failed", exc_info=error, request_id=request_id)
    refusal = ProxyRefusal(500, "an internal error of the proxy; its log has the details")
    headers = {"request-id": request_id, REQUEST_ID: request_id}
    return Response(refusal.body(request_id), 500, headers, "application/json")
