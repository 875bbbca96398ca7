"""Who answers: a running service of the same database if there is one, else this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from api.cli.ask.output import AnswerOutput
from api.cli.service_socket import socket_path
from api.cli.terminal.streams import print_error
from api.embedders import make_embedder
from api.redaction import make_redaction
from api.settings import Settings
from context_builder.answer.answer import Answer
from context_builder.question.request import QuestionInput

if TYPE_CHECKING:
    from api.cli.ask.service import Service
    from api.services import Services


@dataclass
class Asker:
    """Asks the service until it is lost, and from then on opens what is needed here."""

    settings: Settings
    stack: AsyncExitStack
    service: Service | None = None
    services: Services | None = None
    reveals: bool = False
    """True if what is shown here has the secrets that were replaced before it was sent and stored."""

    async def show_answer(self, ask: QuestionInput, new_output: Callable[[], AnswerOutput]) -> Answer:
        """Ask, and show the answer as it is written, by an output of its own.

        Raises QuestionError, ServiceRefuses if the service that was named does not let us in, and what
        `open_services` raises.
        """
        if self.service is not None:
            from api.cli.ask.service import ServiceLost, ServiceRefuses  # noqa: PLC0415  imported already

            try:
                with new_output() as output:
                    answer = await self.service.show_answer(ask, output)
            except (ServiceLost, ServiceRefuses) as lost:
                if isinstance(lost, ServiceRefuses) and self.settings.service_url is not None:
                    raise
                _say_lost(self.service.address, lost)
                self.service = None
            else:
                print_error(f"answered by the service at {self.service.address}")
                return answer
        with new_output() as output:
            services = await self.opened()
            from api.cli.ask.local import show_answer  # noqa: PLC0415  needs what is open now

            return await show_answer(services, ask, output, reveals=self.reveals)

    async def opened(self) -> Services:
        """Return the services of this process, opened on first use."""
        if self.services is None:
            embedder = await asyncio.to_thread(make_embedder, self.settings)
            # The longest step needs none of the others. What fails here fails again when memory is used.
            loading = asyncio.gather(embedder.load(), return_exceptions=True)
            self.stack.callback(loading.cancel)
            await asyncio.to_thread(import_module, "api.services")
            from api.services import open_services  # noqa: PLC0415  imported above, off the loop

            opening = open_services(
                self.settings,
                wait_for_memory=False,
                only_asks=True,
                embedder=embedder,
                redaction=await asyncio.to_thread(make_redaction, self.settings, can_reveal=self.reveals),
            )
            self.services = await self.stack.enter_async_context(opening)
        return self.services


@asynccontextmanager
async def open_asker(
    settings: Settings, *, only_here: bool = False, reveals: bool = False
) -> AsyncIterator[Asker]:
    """Find a service, unless the answer is to be made here; without one, open what is needed here."""
    async with AsyncExitStack() as stack:
        asker = Asker(settings, stack, reveals=reveals)
        if not only_here:
            asker.service = await _found(settings, stack)
        if asker.service is None:
            await asker.opened()
        yield asker


async def _found(settings: Settings, stack: AsyncExitStack) -> Service | None:
    """Return the service at the URL of the settings, or the one of the same database at the socket."""
    address: Path | str = settings.service_url or socket_path(settings)
    key = settings.api_key
    # A service would log the question.
    if settings.read_only or (isinstance(address, Path) and not await asyncio.to_thread(address.is_socket)):
        return None
    await asyncio.to_thread(import_module, "api.cli.ask.service")
    from api.cli.ask.service import ServiceLost, open_service  # noqa: PLC0415  imported above, off the loop

    try:
        service = await stack.enter_async_context(
            open_service(address, key.get_secret_value() if key else None)
        )
    except ServiceLost as lost:
        if settings.service_url is not None:
            _say_lost(settings.service_url, lost)
        return None
    if settings.service_url is None and service.database != await asyncio.to_thread(settings.database_key):
        return None
    return service


def _say_lost(address: str, lost: Exception) -> None:
    print_error(f"the service at {address} cannot answer ({lost}); answering without it")
