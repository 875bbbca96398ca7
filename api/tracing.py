"""Sends traces to a collector of OpenTelemetry if the settings say so; the `OTEL_*` variables say where."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from opentelemetry import trace

from api.settings import Settings, SettingsError, trace_address
from api.version import version

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider


@asynccontextmanager
async def tracing(settings: Settings) -> AsyncIterator[None]:
    """Export the spans of the block, and what is left of them at its end.

    Raises:
        SettingsError: The extra `tracing` is not installed, or nothing may leave.
    """
    if settings.tracing == "off":
        yield
        return
    provider = await asyncio.to_thread(_start, settings)
    try:
        yield
    finally:
        await asyncio.to_thread(provider.shutdown)


def _start(settings: Settings) -> TracerProvider:
    """Set up the SDK of this process; a sampler, limits and headers are what its own variables say."""
    is_local = settings.egress == "off"
    address = trace_address()
    if is_local and not _is_loopback(address):
        raise SettingsError(
            f"ARCPOINT_EGRESS=off: traces may not leave for {urlsplit(address).hostname}; name a collector "
            "on this machine in OTEL_EXPORTER_OTLP_ENDPOINT, or set ARCPOINT_TRACING=off"
        )
    try:
        import requests  # noqa: PLC0415  what the exporter sends with
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415  an extra
            OTLPSpanExporter,
        )
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415  likewise
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415  likewise
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415  likewise
    except ImportError as error:
        raise SettingsError(
            f"ARCPOINT_TRACING=on needs the extra `tracing` ({error}): pip install 'arcpoint[tracing]'"
        ) from None
    resource = Resource.create({"service.version": version()})
    if str(resource.attributes["service.name"]).startswith("unknown_service"):
        resource = resource.merge(Resource({"service.name": "arcpoint"}))
    session = requests.Session()
    session.trust_env = not is_local  # a proxy of the environment would carry them away
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(session=session)))
    trace.set_tracer_provider(provider)
    return provider


def _is_loopback(address: str) -> bool:
    host = urlsplit(address).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
