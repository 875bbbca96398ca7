"""Runs the proxy on a port of its own."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import typer
import uvloop

from api.cli.failure import INTERRUPTED
from api.cli.serve import StoppableServer, address_of, listening, require_loopback, server_config
from api.cli.workers import proxy_worker_app, run_workers
from api.log_setup import configure_logging
from api.proxy.mounting import proxy_service
from api.proxy.proxy_file import ProxyFile
from api.redaction import make_redaction
from api.settings import Settings


def run_proxy(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM; requests in flight are completed. Raises CannotListen."""
    configure_logging(settings.log_format, make_redaction(settings))
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            if settings.workers == 1:
                runner.run(_serve(settings))
                return
            runner.run(_require_startable(settings))
        with _listening(settings) as listener:
            _announce(settings, listener)
            run_workers(settings, listener, factory=proxy_worker_app, loop="uvloop")
    except KeyboardInterrupt:  # before the server was running
        raise typer.Exit(INTERRUPTED) from None


async def _serve(settings: Settings) -> None:
    app = proxy_service(settings)
    # What cannot be listened on is refused before anything is opened.
    with _listening(settings) as listener:
        async with app.lifespan_context(app):
            _announce(settings, listener)
            await StoppableServer(server_config(app, settings)).serve(sockets=[listener])


async def _require_startable(settings: Settings) -> None:
    """Raise here, once and in one line, what would keep every worker from starting."""
    app = proxy_service(settings)
    async with app.lifespan_context(app):
        pass


@contextmanager
def _listening(settings: Settings) -> Iterator[socket.socket]:
    """Listen. Raises CannotListen, and SettingsError if strangers were let in."""
    with listening(settings.host, settings.proxy_port) as listener:
        if not ProxyFile.load(settings.proxy_file).users:
            remedy = "name its senders in ARCPOINT_PROXY_FILE (docs/proxy.md), which alone are then served"
            require_loopback(listener, remedy)
        yield listener


def _announce(settings: Settings, listener: socket.socket) -> None:
    """Print where clients find the proxy."""
    address = address_of(listener)
    typer.echo(f"Arcpoint's proxy listens on {address} and forwards to {settings.proxy_upstream_url}")
    typer.echo(f"point a client at it: export ANTHROPIC_BASE_URL={address}")
