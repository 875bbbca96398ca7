"""`arcpoint serve`: runs the HTTP service."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Annotated

import typer
import uvicorn
from fastapi import FastAPI
from sqlalchemy.engine import make_url
from starlette.types import ASGIApp

from api.access.peer import is_loopback
from api.cli.allocator import bound_arenas
from api.cli.draining import drain_before_stop
from api.cli.failure import INTERRUPTED
from api.cli.service_app import service_app
from api.cli.service_socket import local_listener, socket_path
from api.cli.workers import require_startable, run_workers
from api.errors import ArcpointApiError
from api.http.bounded_protocol import BoundedProtocol
from api.log_setup import configure_logging
from api.proxy.mounting import PREFIX
from api.redaction import make_redaction
from api.settings import Settings, SettingsError, load_settings

Host = Annotated[
    str | None, typer.Option(metavar="ADDRESS", help="Address to listen on; overrides ARCPOINT_HOST.")
]
Port = Annotated[
    int | None,
    typer.Option(min=0, max=65535, help="Port to listen on; overrides ARCPOINT_PORT, 0 picks a free one."),
]
Workers = Annotated[
    int | None,
    typer.Option(min=1, max=256, help="Processes that serve the port; overrides ARCPOINT_WORKERS."),
]


def serve(host: Host = None, port: Port = None, workers: Workers = None) -> None:
    """Run the HTTP service until Ctrl-C or SIGTERM; requests in flight are completed.

    After SIGTERM it goes on accepting for ARCPOINT_DRAIN_S, while /readyz says that it drains.
    """
    options = {"host": host, "port": port, "workers": workers}
    given = {name: value for name, value in options.items() if value is not None}
    settings = load_settings().model_copy(update=given)
    configure_logging(settings.log_format, make_redaction(settings))
    bound_arenas()
    try:
        if settings.workers > 1:
            with _announced(settings, has_keys=asyncio.run(require_startable(settings))) as listener:
                run_workers(settings, listener)
        else:
            asyncio.run(run(service_app(settings), settings))
    except KeyboardInterrupt:  # before the server was running
        raise typer.Exit(INTERRUPTED) from None


class CannotListen(ArcpointApiError, OSError):
    """The address cannot be listened on; choose another with --host and --port."""


class StoppableServer(uvicorn.Server):
    """A server that exits normally when it is stopped; uvicorn's own finally dies of the signal.

    `drains` is what SIGTERM does before that, once the server would be stopped by it.
    """

    def __init__(self, config: uvicorn.Config, drains: Callable[[], None] | None = None) -> None:
        super().__init__(config)
        self._drains = drains

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Treat SIGINT and SIGTERM as requests to stop."""
        signals = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, self.handle_exit) for number in signals}
        if self._drains is not None:
            self._drains()
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


async def run(app: FastAPI, settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM. Raises CannotListen, and what opening the services raises."""
    async with app.router.lifespan_context(app):
        keys = await app.state.keys.has_keys()
        drains = partial(drain_before_stop, app.state, settings.drain_s)
        with _announced(settings, has_keys=keys) as listener, local_listener(socket_path(settings)) as local:
            await StoppableServer(server_config(app, settings), drains).serve(sockets=[listener, *local])


def server_config(app: ASGIApp, settings: Settings) -> uvicorn.Config:
    """Return how an application is served in this process."""
    return uvicorn.Config(
        app,
        http=BoundedProtocol,
        # Entered before, where errors keep their type; the server would log them and exit.
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        # Who connects is who connects: no header makes anyone else of a peer.
        proxy_headers=False,
        timeout_graceful_shutdown=settings.shutdown_s,
        ws="none",
    )


@contextmanager
def _announced(settings: Settings, *, has_keys: bool) -> Iterator[socket.socket]:
    """Listen, and print where, with what and for whom. Raises CannotListen and SettingsError."""
    with listening(settings.host, settings.port) as listener:
        is_open = not (has_keys or settings.knows_people)
        if is_open:
            require_loopback(listener, "make an API key first with `arcpoint keys create NAME --role ROLE`")
        typer.echo(f"Arcpoint listens on {address_of(listener)}, described at /openapi.json")
        if settings.proxy_mounted:
            typer.echo(f"It proxies {settings.proxy_upstream_url} under {PREFIX}")
        if settings.poll_file is not None:
            typer.echo(settings.no_poll_reason or f"It polls what {settings.poll_file} lists")
        typer.echo(_configured(settings))
        if is_open:
            typer.echo("There is no API key: every program on this machine may do everything")
        yield listener


def listening(host: str, port: int) -> socket.socket:
    """Return a listening socket. Raises CannotListen."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        # Positive numbers are the system's; the library's message is longer than anyone needs.
        number = error.errno or 0
        reason = os.strerror(number) if number > 0 else error.strerror
        raise CannotListen(f"cannot listen on {host} port {port}: {reason}; use --host and --port") from None


def require_loopback(listener: socket.socket, remedy: str) -> None:
    """Check that only this machine can reach a socket. Raises SettingsError."""
    address = listener.getsockname()[0]
    if not is_loopback(address):
        raise SettingsError(
            f"listening on {address} would let in everybody who reaches it: {remedy}, or listen on 127.0.0.1"
        )


def address_of(listener: socket.socket) -> str:
    """Return the URL that a socket is listened on."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _configured(settings: Settings) -> str:
    """Return the main settings in one line, without secrets."""
    if settings.no_model_reason is not None:
        variable = (
            "ARCPOINT_EGRESS is off" if settings.egress == "off" else "ARCPOINT_ANTHROPIC_API_KEY is not set"
        )
        model = f"no model ({variable}: answers are briefs)"
    else:
        model = settings.model + (f" at {settings.anthropic_base_url}" if settings.anthropic_base_url else "")
    database = make_url(settings.database_url).difference_update_query(["password"]).render_as_string()
    return f"model: {model}; database: {database}; memory: {settings.memory_url or settings.memory_path}"
