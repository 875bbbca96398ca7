"""`arcpoint proxy`: runs the proxy, shows what went through it, and names senders."""

from __future__ import annotations

import asyncio
import sys
from typing import Annotated

import typer

from api.cli.failure import BAD_INPUT
from api.cli.options import AsJson
from api.cli.proxy import diff as proxy_diff
from api.cli.proxy import learned as proxy_learned
from api.cli.proxy.status import show_status
from api.cli.terminal.streams import print_error, say
from api.settings import Settings, load_settings

app = typer.Typer(invoke_without_command=True)
app.add_typer(proxy_diff.app)
app.add_typer(proxy_learned.app)

Host = Annotated[
    str | None, typer.Option(metavar="ADDRESS", help="Address to listen on; overrides ARCPOINT_HOST.")
]
Port = Annotated[
    int | None,
    typer.Option(min=0, max=65535, help="Port to listen on; overrides ARCPOINT_PROXY_PORT, 0 picks one."),
]
Workers = Annotated[
    int | None,
    typer.Option(min=1, max=256, help="Processes that serve the port; overrides ARCPOINT_WORKERS."),
]
Upstream = Annotated[
    str | None,
    typer.Option(metavar="URL", help="Where to forward to; overrides ARCPOINT_PROXY_UPSTREAM_URL."),
]


@app.callback()
def proxy(
    context: typer.Context,
    host: Host = None,
    port: Port = None,
    workers: Workers = None,
    upstream: Upstream = None,
) -> None:
    """Forward requests of Anthropic clients, and record them, until Ctrl-C or SIGTERM."""
    if context.invoked_subcommand is not None:
        return
    from api.cli.proxy.server import run_proxy  # noqa: PLC0415  a status needs no server

    settings = load_settings()
    options = {"host": host, "proxy_port": port, "workers": workers, "proxy_upstream_url": upstream}
    given = {name: value for name, value in options.items() if value is not None}
    run_proxy(Settings(**{**settings.model_dump(), **given}))


@app.command()
def status(
    hours: Annotated[int, typer.Option(min=1, max=24 * 90, help="How far back to look.")] = 24,
    *,
    as_json: AsJson = False,
) -> None:
    """Show what went through the proxy: how requests ended, tokens, cost, time to first byte."""
    asyncio.run(show_status(load_settings(), hours=hours, as_json=as_json))


@app.command()
def digest() -> None:
    """Print the digest of a key on standard input, by which ARCPOINT_PROXY_FILE can name its user."""
    from api.proxy.opening import senders_of  # noqa: PLC0415  a status needs none

    token = sys.stdin.readline().strip()
    if not token:
        print_error("no key on standard input; pipe one in, so that it is in no history of commands")
        raise typer.Exit(BAD_INPUT)
    say(senders_of(load_settings()).digest(token))
