"""`arcpoint proxy status`: what went through the proxy, and what the running one says of itself."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx

from api.cli.terminal.json_output import say_json
from api.cli.terminal.streams import say
from api.cli.terminal.text_table import Row, TextTable, plain_lines
from api.http.json_body import to_document
from api.proxy.mounting import STATUS_PATH
from api.proxy.recording.traffic import ProxyTraffic, proxy_traffic
from api.services import open_database
from api.settings import Settings
from context_builder.text.clock import utc_now
from context_builder.text.formatting import format_dollars, format_time

_ANSWER_S = 3.0


async def show_status(settings: Settings, *, hours: int, as_json: bool) -> None:
    """Print the traffic of the last hours, and the counts of the proxy at the configured port."""
    async with open_database(settings) as database, database.read() as session:
        traffic = await proxy_traffic(session, utc_now() - timedelta(hours=hours))
    running = await _running(settings)
    if as_json:
        say_json({"traffic": to_document(traffic), "running": running})
        return
    title = f"Requests for messages since {format_time(traffic.since)}"
    for line in plain_lines(TextTable(title=title, rows=tuple(_rows(traffic)))):
        say(line)
    if running is None:
        say(f"no proxy answers at {_address(settings)}")
    else:
        counts = ", ".join(
            f"{running[name]:,} {name.replace('_', ' ')}" for name in sorted(running) if name != "ended"
        )
        say(f"proxy at {_address(settings)}: {sum(running['ended'].values()):,} ended, {counts}")


def _rows(traffic: ProxyTraffic) -> list[Row]:
    ratio, first = traffic.cache_read_ratio, traffic.first_byte_p50_ms
    return [
        ("requests", f"{traffic.requests:,}"),
        *((f"- {state.replace('_', ' ')}", f"{count:,}") for state, count in traffic.ended.items()),
        ("changed", f"{traffic.changed:,}"),
        ("retried", f"{traffic.retried:,}"),
        (
            "input tokens",
            f"{traffic.input_tokens + traffic.cache_read_tokens + traffic.cache_write_tokens:,}",
        ),
        ("read from the prompt cache", "no input" if ratio is None else f"{ratio:.1%}"),
        ("output tokens", f"{traffic.output_tokens:,}"),
        ("cost", format_dollars(traffic.cost_usd)),
        (
            "time to first byte, p50 / p99",
            "none" if first is None else f"{first:,.0f} / {traffic.first_byte_p99_ms:,.0f} ms",
        ),
    ]


def _address(settings: Settings) -> str:
    return f"http://{settings.host}:{settings.proxy_port}"


async def _running(settings: Settings) -> dict[str, Any] | None:
    """Return the counts of the worker that answers; None: none does."""
    try:
        async with httpx.AsyncClient(timeout=_ANSWER_S) as client:
            answer = await client.get(_address(settings) + STATUS_PATH)
            counts: dict[str, Any] = answer.raise_for_status().json()
            return counts if isinstance(counts.get("ended"), dict) else None
    except (httpx.HTTPError, ValueError, AttributeError):
        return None
