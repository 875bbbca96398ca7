"""Claude through the Message Batches API: many prompts together, at half the price, within a day."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import quote

import anthropic
import httpx2
from anthropic import AsyncStream
from pydantic import AwareDatetime, BaseModel, NonNegativeInt

from context_builder.llm.api_errors import ApiError, quoted_message
from context_builder.llm.batch_model import (
    RESULTS_KEPT,
    BatchFailure,
    BatchGone,
    BatchState,
    BatchStatus,
    BatchUnavailable,
    BatchUncertain,
)
from context_builder.llm.chat_model import Reply
from context_builder.llm.claude_connection import (
    FAILURES,
    ApiCall,
    ClaudeConnection,
    NoResponse,
    api_error_of,
    error_text,
)
from context_builder.llm.claude_options import ClaudeOptions
from context_builder.llm.claude_request import request_body
from context_builder.llm.message_events import Transcript
from context_builder.prompt.prompt import Prompt

MAX_REQUESTS = 100_000
MAX_BYTES = 256_000_000
"""Of a whole request; the API documents 256 MB."""

_PATH = "/v1/messages/batches"
_UPLOAD_BYTES_PER_S = 500_000
"""Assumed speed of a slow connection: a large batch gets more time than other calls."""
_OPENING, _BETWEEN, _CLOSING = b'{"requests":[', b",", b"]}"
_T = TypeVar("_T")


class _Batch(BaseModel):
    """The wire format of a batch."""

    id: str
    processing_status: BatchState
    request_counts: dict[str, NonNegativeInt]
    created_at: AwareDatetime
    ended_at: AwareDatetime | None = None
    archived_at: AwareDatetime | None = None
    results_url: str | None = None


class ClaudeBatches:
    """Batches of one model's calls through one connection pool; a BatchModel.

    Isolated from the machine, see ClaudeConnection.
    """

    def __init__(self, options: ClaudeOptions) -> None:
        """Create the client; `options.deadline_s` limits each call and the wait for each result.

        The deadline of `submit` is extended by the time that the upload takes on a slow connection.
        Blocks, because it reads certificates and imports modules: call it in a thread.

        Raises:
            ValueError: The key or the address is not usable.
        """
        self.model = options.model
        self.max_output_tokens = options.max_output_tokens
        self.max_requests = MAX_REQUESTS
        self.max_bytes = MAX_BYTES - len(_OPENING) - len(_CLOSING)
        self.submit_deadline_s = options.deadline_s + MAX_BYTES / _UPLOAD_BYTES_PER_S
        self._deadline_s = options.deadline_s
        self._options = options
        self._connection = ClaudeConnection(options)

    async def close(self) -> None:
        """Close the connections; no call may follow."""
        await self._connection.close()

    def size_of(self, custom_id: str, prompt: Prompt) -> int:
        """Return what a prompt adds to a batch, in bytes; see BatchModel."""
        return len(self._encoded(custom_id, prompt)) + len(_BETWEEN)

    async def submit(self, items: Sequence[tuple[str, Prompt]]) -> str:
        """Submit a batch and return the API's id of it.

        Retries only if the API certainly accepted nothing, so that one call never makes two batches. See
        BatchModel.
        """
        # In a thread: assembling hundreds of megabytes takes seconds.
        body = await asyncio.to_thread(self._body, items)
        call = self._call(len(body) / _UPLOAD_BYTES_PER_S)
        call.idempotent = False
        post = self._connection.client.post
        response = await self._answer(
            lambda: post(
                _PATH,
                content=body,
                cast_to=object,
                options={"headers": {"content-type": "application/json"}},
            ),
            call,
        )
        try:
            return _Batch.model_validate(response).id
        except ValueError as error:
            raise BatchUncertain(self._reason(error, call)) from error

    async def status(self, api_id: str) -> BatchStatus:
        """Return the state of a batch; see BatchModel."""
        call, get = self._call(), self._connection.client.get
        response = await self._answer(lambda: get(_path_of(api_id), cast_to=object), call)
        try:
            batch = _Batch.model_validate(response)
        except ValueError as error:
            raise BatchUnavailable(self._reason(error, call)) from error
        return BatchStatus(
            api_id=batch.id,
            state=batch.processing_status,
            created_at=batch.created_at,
            ended_at=batch.ended_at,
            total=sum(batch.request_counts.values()),
            has_results=batch.results_url is not None and batch.archived_at is None,
        )

    async def results(self, api_id: str) -> AsyncGenerator[tuple[str, Reply | BatchFailure], None]:
        """Yield the result of each prompt of an ended batch by custom id, in any order; see BatchModel."""
        status = await self.status(api_id)
        if status.state is not BatchState.ENDED:
            raise BatchUnavailable(f"batch {api_id} has not ended yet")
        if not status.has_results:
            raise BatchGone(f"the API no longer keeps the results of batch {api_id}")
        call = self._call()
        seen: set[str] = set()
        async with aclosing(self._lines(status, call)) as lines:
            async for line in lines:
                try:
                    custom_id, result = _result(line, status)
                except ValueError as error:
                    raise BatchUnavailable(self._reason(error, call)) from error
                seen.add(custom_id)
                yield custom_id, result
        if len(seen) < status.total:
            raise BatchUnavailable(
                f"the results of batch {api_id} ended early: {len(seen)} of {status.total} arrived"
            )

    async def _lines(self, batch: BatchStatus, call: ApiCall) -> AsyncGenerator[object, None]:
        """Yield the results as JSON values, from the endpoint: `results_url` could name another host."""
        get = self._connection.client.get
        try:
            stream = await self._answer(
                lambda: get(
                    f"{_path_of(batch.api_id)}/results",
                    cast_to=object,
                    options={"headers": {"accept": "application/x-jsonl"}},
                    stream=True,
                    stream_cls=AsyncStream[object],
                ),
                call,
            )
        except BatchGone as error:
            if datetime.now(UTC) - batch.created_at > RESULTS_KEPT:
                raise
            # The batch itself says that it has results, so this is not final.
            raise BatchUnavailable(error.reason) from error
        try:
            async with aclosing(_json_lines(stream.response)) as lines:
                while True:
                    # Not around the `yield`: the caller may take its time with a result.
                    async with asyncio.timeout(self._deadline_s):
                        line = await anext(lines, None)
                    if line is None:
                        return
                    yield line
        except FAILURES as error:
            raise BatchUnavailable(self._reason(error, call)) from error
        finally:
            await stream.close()

    async def _answer(self, request: Callable[[], Awaitable[_T]], call: ApiCall) -> _T:
        """Return the API's answer within the deadline; raises BatchUnavailable or one of its subclasses."""
        try:
            with self._connection.track_attempts(call):
                async with asyncio.timeout_at(call.deadline):
                    return await request()
        except (*FAILURES, NoResponse) as error:
            kind = BatchUnavailable
            if call.outcome_unknown:
                kind = BatchUncertain
            elif isinstance(error, anthropic.APIStatusError) and _is_gone(api_error_of(error), call):
                kind = BatchGone
            raise kind(self._reason(error, call)) from error

    def _call(self, extra_s: float = 0.0) -> ApiCall:
        return ApiCall(deadline=asyncio.get_running_loop().time() + self._deadline_s + extra_s)

    def _reason(self, error: Exception, call: ApiCall) -> str:
        """Return one line that says what to do, without the key."""
        refusal = api_error_of(error) if isinstance(error, anthropic.APIStatusError) else None
        if refusal and _is_gone(refusal, call):
            reason = f"the API knows no such batch (404): {quoted_message(refusal.message)}"
        elif refusal and refusal.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            reason = "the batch is too large for the API (413); ask for fewer postmortems at once"
        elif (shared := self._connection.reason(error, call)) is not None:
            reason = shared
        elif isinstance(error, TimeoutError):
            reason = f"no answer within {self._deadline_s:g} s (ARCPOINT_MODEL_DEADLINE_S)"
        elif isinstance(error, ValueError):
            place = self._options.base_url
            reason = f"{place} did not answer like the Message Batches API: {error_text(error)}"
        else:
            reason = f"the connection broke during the answer: {error_text(error)}"
        return self._connection.redacted(reason)

    def _body(self, items: Sequence[tuple[str, Prompt]]) -> bytes:
        requests = (self._encoded(custom_id, prompt) for custom_id, prompt in items)
        return _OPENING + _BETWEEN.join(requests) + _CLOSING

    def _encoded(self, custom_id: str, prompt: Prompt) -> bytes:
        params = request_body(prompt, self._options)
        request = {"custom_id": custom_id, "params": params}
        return json.dumps(request, ensure_ascii=False, separators=(",", ":")).encode()


def _is_gone(refusal: ApiError, call: ApiCall) -> bool:
    """Return whether the API, and not something in between, says that it has no such batch."""
    return refusal.status == HTTPStatus.NOT_FOUND and bool(refusal.kind) and call.idempotent


async def _json_lines(response: httpx2.Response) -> AsyncGenerator[object, None]:
    """Yield the lines of a body as JSON values. Raises ValueError if one is not JSON."""
    rest = bytearray()
    async for chunk in response.aiter_bytes():
        rest += chunk
        # Split bytes, not text: a text may contain other characters that end a line in Unicode.
        if b"\n" in chunk:
            *lines, rest = rest.split(b"\n")
            for line in lines:
                if line.strip():
                    yield json.loads(line)
    if rest.strip():
        yield json.loads(rest)


def _path_of(api_id: str) -> str:
    """Return the path of a batch; the id becomes one segment, whatever it contains."""
    return f"{_PATH}/{quote(api_id, safe='')}"


def _result(line: object, status: BatchStatus) -> tuple[str, Reply | BatchFailure]:
    """Parse one line of the results. Raises ValueError."""
    match line:
        case {"custom_id": str(custom_id), "result": {"type": "succeeded", "message": dict(message)}}:
            return custom_id, _reply(message, status)
        case {"custom_id": str(custom_id), "result": {"type": "errored", "error": error}}:
            return custom_id, BatchFailure("errored", _failure_text(error))
        case {"custom_id": str(custom_id), "result": {"type": str(kind)}}:
            return custom_id, BatchFailure(
                quoted_message(kind), f"the batch ended without a reply: {quoted_message(kind)}"
            )
    raise ValueError(f"unexpected line {line!r:.120}")


def _failure_text(error: object) -> str:
    match error:
        case {"error": {"type": str(kind), "message": str(message)}}:
            return quoted_message(f"the API failed on it ({kind}): {message}")
    return quoted_message(f"the API failed on it: {error!r}")


def _reply(message: Mapping[str, Any], status: BatchStatus) -> Reply:
    """Parse a complete message. Raises ValueError."""
    transcript = Transcript.from_message(message)
    lasted = (status.ended_at or status.created_at) - status.created_at
    return Reply(
        text=transcript.text,
        stop_reason=transcript.stop_reason,
        model=transcript.model,
        usage=transcript.usage,
        request_id=status.api_id,
        first_token_ms=None,
        latency_ms=round(lasted.total_seconds() * 1000),
    )
