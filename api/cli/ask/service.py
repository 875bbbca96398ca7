"""A running service, asked over HTTP: by the Unix socket of the same data, or by its address."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

import httpx

from api.cli.ask.output import AnswerOutput
from api.errors import ArcpointApiError
from api.http.json_body import from_json, prepare
from api.version import version
from context_builder.answer.answer import Answer
from context_builder.prompt.manifest import Manifest
from context_builder.question.request import QuestionError, QuestionInput

_CONNECT_S = 2.0
_SILENCE_S = 60.0
"""It sends a comment every 15 s while it answers, and has built a context long before."""
_QUESTION = "urn:arcpoint:problem:question"
_REFUSED = (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN, httpx.codes.TOO_MANY_REQUESTS)
_MALFORMED = (ValueError, KeyError, TypeError)


class ServiceRefuses(ArcpointApiError):
    """The service does not let us in; the message says why, and what to set."""


class ServiceLost(ArcpointApiError):
    """The service does not answer, or refuses; the message says why. The question can be asked elsewhere."""


@dataclass(frozen=True, slots=True)
class Service:
    """A service that was found alive."""

    address: str
    """For people: its URL, or the path of its socket."""
    http: httpx.AsyncClient
    database: str
    """Key of its database."""
    model: str | None

    async def show_answer(self, ask: QuestionInput, output: AnswerOutput) -> Answer:
        """Ask, and show the answer as it is written. Raises QuestionError, ServiceRefuses and ServiceLost."""
        output.wait(f"asking the service at {self.address}")
        async with aclosing(self._events(ask)) as events:
            async for event in events:
                match event:
                    case Manifest():
                        output.built(event, self.model)
                    case str():
                        output.add(event)
                    case Answer():
                        output.finish(event)
                        return event
        raise ServiceLost("it broke off")

    async def _events(self, ask: QuestionInput) -> AsyncGenerator[Manifest | str | Answer, None]:
        """Yield the manifest, pieces of text, and the answer. Raises what `show_answer` raises."""
        request = self.http.build_request(
            "POST", "/v1/query", json=_body(ask), headers={"accept": "text/event-stream"}
        )
        try:
            response = await self.http.send(request, stream=True)
            async with aclosing(response):
                if response.status_code != httpx.codes.OK:
                    _refuse(await response.aread())
                async for block in _blocks(response.aiter_bytes()):
                    if block.startswith(b"event: "):
                        yield _event(block)
        except httpx.HTTPError as error:
            raise ServiceLost(_reason(error)) from None


@asynccontextmanager
async def open_service(address: Path | str, api_key: str | None = None) -> AsyncIterator[Service]:
    """Find the service at a socket or URL, to ask it with a key. Raises ServiceLost."""
    # These read files.
    expected = await asyncio.to_thread(version)
    await asyncio.to_thread(prepare, Answer, Manifest)
    async with await asyncio.to_thread(_client, address, api_key) as http:
        try:
            response = await http.get("/healthz")
            health = response.raise_for_status().json()
            found, database, model = health["version"], str(health["database"]), health["model"]
        except httpx.HTTPError as error:
            raise ServiceLost(_reason(error)) from None
        except _MALFORMED:
            raise ServiceLost("it is no Arcpoint service") from None
        if found != expected:
            raise ServiceLost(f"it is Arcpoint {found}, this is {expected}")
        yield Service(str(address), http, database, model)


def _client(address: Path | str, api_key: str | None) -> httpx.AsyncClient:
    is_local = isinstance(address, Path)
    transport = httpx.AsyncHTTPTransport(uds=str(address), verify=False) if is_local else None
    return httpx.AsyncClient(
        base_url="http://arcpoint" if is_local else str(address),
        transport=transport,
        headers={} if api_key is None else {"authorization": f"Bearer {api_key}"},
        trust_env=False,
        timeout=httpx.Timeout(_SILENCE_S, connect=_CONNECT_S),
    )


def _body(ask: QuestionInput) -> dict[str, Any]:
    times = {"as_of": ask.as_of, "since": ask.since, "until": ask.until}
    given = {
        "question": ask.question,
        "user": ask.asked_by,
        "scope": asdict(ask.scope),
        "token_budget": ask.token_budget,
        **{name: moment.isoformat() for name, moment in times.items() if moment},
    }
    return {name: value for name, value in given.items() if value is not None}


async def _blocks(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield what lies between empty lines; only a line feed ends a line, unlike in Python's text."""
    rest = b""
    async for chunk in chunks:
        *blocks, rest = (rest + chunk).split(b"\n\n")
        for block in blocks:
            yield block


def _event(block: bytes) -> Manifest | str | Answer:
    """Parse an event. Raises ServiceLost, also for one that reports an error."""
    name, _, data = block.removeprefix(b"event: ").partition(b"\ndata: ")
    try:
        match name:
            case b"context":
                return from_json(Manifest, data)
            case b"delta":
                return str(json.loads(data)["text"])
            case b"answer":
                return from_json(Answer, data)
            case _:
                problem = json.loads(data)
                raise ServiceLost(f"it reported: {problem['detail']}")
    except _MALFORMED as error:
        raise ServiceLost(f"its event {name!r} cannot be read: {type(error).__name__}") from None


def _refuse(content: bytes) -> NoReturn:
    """Raise what a problem document means: QuestionError, ServiceRefuses or ServiceLost."""
    try:
        problem = json.loads(content)
        kind, status, detail = problem["type"], problem["status"], str(problem["detail"])
    except _MALFORMED:
        raise ServiceLost("it refused with something that is no problem document") from None
    if kind == _QUESTION:
        raise QuestionError(detail)
    if status in _REFUSED:
        raise ServiceRefuses(f"the service refuses ({status}): {detail}; the key is that of ARCPOINT_API_KEY")
    raise ServiceLost(f"it answered {status}: {detail}")


def _reason(error: httpx.HTTPError) -> str:
    return " ".join(str(error).split()) or type(error).__name__
