"""Several worker processes behind one port, each replaced when it dies."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import typer
import uvicorn
from fastapi import FastAPI
from prometheus_client.multiprocess import mark_process_dead
from starlette.routing import Router
from starlette.types import ASGIApp
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from api.access.key_ring import has_keys
from api.cli.allocator import bound_arenas
from api.cli.draining import WAIVE_DRAIN, drain_before_stop
from api.cli.failure import EXIT_FAILURE
from api.cli.service_app import service_app
from api.http.bounded_protocol import BoundedProtocol
from api.log_setup import configure_logging
from api.proxy.mounting import proxy_service
from api.redaction import make_redaction
from api.services import make_model, open_database
from api.settings import Settings, SettingsError, load_settings, shared_metrics_folder
from context_builder.llm.pricing import PriceList

_UNRESPONSIVE_AFTER_S = 30.0
"""A worker is killed and replaced only then: one that is starved of the processor must not be."""


class Supervisor(Multiprocess):
    """Starts, replaces and stops the workers, and forgets the gauges of those that have ended."""

    def __init__(self, config: uvicorn.Config, sockets: list[socket.socket], metrics: Path) -> None:
        """`metrics` is the folder that the workers share."""
        super().__init__(config, sockets)
        self._metrics = metrics
        self._running: set[int | None] = set()

    def keep_subprocess_alive(self) -> None:
        """Replace the workers that have died."""
        super().keep_subprocess_alive()
        running = {process.pid for process in self.processes}
        for ended in self._running - running:
            mark_process_dead(ended, str(self._metrics))  # type: ignore[no-untyped-call]
        self._running = running

    def restart_all(self) -> None:
        """Replace all workers one by one; the port stays, so none of them drains."""
        for process in self.processes:
            if process.pid is not None:
                os.kill(process.pid, WAIVE_DRAIN)
        super().restart_all()

    def terminate_all(self) -> None:
        """Stop the workers; new connections are refused at once rather than left in a queue."""
        for listener in self.sockets:
            listener.close()
        super().terminate_all()


async def require_startable(settings: Settings) -> bool:
    """Raise here, once and in one line, what would keep every worker from starting; return if there are keys.

    Raises:
        SettingsError: There is no memory server, or a setting of the model cannot be used.
        PriceFileError: The price file cannot be used.
        DatabaseError: The database is unavailable, or its schema is of another version.
    """
    if settings.memory_url is None:
        raise SettingsError(
            f"{settings.workers} workers need a memory server, since a folder belongs to one process: start "
            "`chroma run --path FOLDER` and set ARCPOINT_MEMORY_URL to its address (docs/chroma-server.md)"
        )
    prices = await asyncio.to_thread(PriceList.load, settings.prices_file)
    model = await asyncio.to_thread(make_model, settings, prices)
    if model is not None:
        await model.close()
    async with open_database(settings) as database:
        return await has_keys(database)


def run_workers(
    settings: Settings,
    listener: socket.socket,
    *,
    factory: Callable[[], ASGIApp] | None = None,
    loop: Literal["asyncio", "uvloop"] = "asyncio",
) -> None:
    """Serve on a listening socket until SIGINT or SIGTERM; SIGHUP replaces the workers one by one.

    `factory` makes the application of a worker, by default the HTTP service; a function of this module.
    """
    config = uvicorn.Config(
        f"{__name__}:{(factory or worker_app).__name__}",
        factory=True,
        workers=settings.workers,
        loop=loop,
        http=BoundedProtocol,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # as in one process
        timeout_graceful_shutdown=settings.shutdown_s,
        timeout_worker_healthcheck=round(_UNRESPONSIVE_AFTER_S),
        ws="none",
    )
    with shared_metrics_folder() as folder:
        supervisor = Supervisor(config, [listener], folder)
        supervisor.run()
    if any(process.exitcode == STARTUP_FAILURE for process in supervisor.processes):
        raise typer.Exit(EXIT_FAILURE)  # the worker has logged why


def worker_app() -> FastAPI:
    """Create the application of one worker, with the environment's settings, within its event loop."""
    settings = load_settings()
    configure_logging(settings.log_format, make_redaction(settings))
    bound_arenas()
    threading.Thread(target=_stop_with_parent, daemon=True).start()
    app = service_app(settings)
    drain_before_stop(app.state, settings.drain_s)
    return app


def proxy_worker_app() -> Router:
    """Create the proxy of one worker, with the environment's settings."""
    settings = load_settings()
    configure_logging(settings.log_format, make_redaction(settings))
    threading.Thread(target=_stop_with_parent, daemon=True).start()
    return proxy_service(settings)


def _stop_with_parent() -> None:
    """Stop this worker when its supervisor is gone: nobody could stop or replace it any more."""
    if parent := multiprocessing.parent_process():
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
