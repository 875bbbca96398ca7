"""Claude through the Message Batches API: many prompts at once, for half the price, within a day."""

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
from pydantic import AwareDatetime, BaseModel, NonNegativeInt, TypeAdapter

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
"""Of a whole request; the API says 256 MB."""

_PATH = "/v1/messages/batches"
_PER_PAGE = 1000
_UPLOAD_BYTES_PER_S = 500_000
"""Of a slow connection: how much longer than other calls a large batch may take."""
_OPENING, _BETWEEN, _CLOSING = b'{"requests":[', b",", b"]}"


class _Counts(BaseModel):
    processing: NonNegativeInt
    succeeded: NonNegativeInt
    errored: NonNegativeInt
    canceled: NonNegativeInt
    expired: NonNegativeInt


class _Batch(BaseModel):
    id: str
    processing_status: BatchState
    request_counts: _Counts
    created_at: AwareDatetime
    ended_at: AwareDatetime | None = None
    archived_at: AwareDatetime | None = None
    results_url: str | None = None

    def status(self) -> BatchStatus:
        """The batch in our words."""
        return BatchStatus(
            api_id=self.id,
            state=self.processing_status,
            created_at=self.created_at,
            ended_at=self.ended_at,
            has_results=self.results_url is not None and self.archived_at is None,
            **self.request_counts.model_dump(),
        )


class _Page(BaseModel):
    data: list[_Batch]
    has_more: bool
    last_id: str | None = None


_T = TypeVar("_T")
_BATCH = TypeAdapter(_Batch)
_PAGE = TypeAdapter(_Page)


class ClaudeBatches:
    """Batches of one model's calls, through one pool of connections; a BatchModel.

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
        self.most_requests = MAX_REQUESTS
        self.most_bytes = MAX_BYTES - len(_OPENING) - len(_CLOSING)
        self.submit_deadline_s = options.deadline_s + MAX_BYTES / _UPLOAD_BYTES_PER_S
        self._deadline_s = options.deadline_s
        self._options = options
        self._connection = ClaudeConnection(options)

    async def close(self) -> None:
        """Closes the connections; no call may follow."""
        await self._connection.close()

    def size_of(self, custom_id: str, prompt: Prompt) -> int:
        """What a prompt adds to a batch, in bytes. Raises ValueError for one that is not valid Unicode."""
        return len(self._encoded(custom_id, prompt)) + len(_BETWEEN)

    async def submit(self, items: Sequence[tuple[str, Prompt]]) -> str:
        """Hands over a batch; gives the API's id of it.

        Tried again only where the API certainly took nothing: no two batches come of one call.
        Raises BatchUncertain, and BatchUnavailable where the batch was not taken for certain.
        """
        # Hundreds of megabytes take seconds to put together.
        body = await asyncio.to_thread(self._body, items)
        now = asyncio.get_running_loop().time()
        call = ApiCall(deadline=now + self._deadline_s + len(body) / _UPLOAD_BYTES_PER_S, idempotent=False)
        request = self._connection.client.post
        response = await self._answered(
            lambda: request(
                _PATH,
                content=body,
                cast_to=object,
                options={"headers": {"content-type": "application/json"}},
            ),
            call,
        )
        try:
            return _BATCH.validate_python(response).id
        except ValueError as error:
            raise BatchUncertain(self._reason(error, call)) from error

    async def status(self, api_id: str) -> BatchStatus:
        """How far a batch is. Raises BatchUnavailable, BatchGone."""
        return (await self._get(f"{_PATH}/{_in_path(api_id)}", _BATCH)).status()

    async def recent(self, since: datetime) -> tuple[BatchStatus, ...]:
        """All batches of the key's workspace created from then on. Raises BatchUnavailable."""
        found: dict[str, BatchStatus] = {}
        query: dict[str, object] = {"limit": _PER_PAGE}
        while True:
            page = await self._get(_PATH, _PAGE, query)
            news = [each.status() for each in page.data if each.id not in found]
            found |= {each.api_id: each for each in news if each.created_at >= since}
            is_last = not page.has_more or not page.last_id or not news
            if is_last or min(each.created_at for each in news) < since:
                return tuple(found.values())
            query["after_id"] = page.last_id

    async def results(self, api_id: str) -> AsyncGenerator[tuple[str, Reply | BatchFailure], None]:
        """What became of each prompt of an ended batch, by custom id, in no order.

        Raises BatchUnavailable, also where results are missing at the end, and BatchGone.
        """
        status = await self.status(api_id)
        if status.state is not BatchState.ENDED:
            raise BatchUnavailable(f"batch {api_id} is not done yet")
        if not status.has_results:
            raise BatchGone(f"the API keeps the results of batch {api_id} no more")
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
        """The results as JSON values; by the endpoint, since `results_url` could name another host."""
        request = self._connection.client.get
        try:
            stream = await self._answered(
                lambda: request(
                    f"{_PATH}/{_in_path(batch.api_id)}/results",
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
            # The batch itself says that there are results: not final.
            raise BatchUnavailable(error.reason) from error
        try:
            async with aclosing(_json_lines(stream.response)) as lines:
                while True:
                    # Never around the `yield`: the caller may take its time with a result.
                    async with asyncio.timeout(self._deadline_s):
                        line = await anext(lines, None)
                    if line is None:
                        return
                    yield line
        except FAILURES as error:
            raise BatchUnavailable(self._reason(error, call)) from error
        finally:
            await stream.close()

    async def _get(
        self, path: str, expected: TypeAdapter[_T], query: Mapping[str, object] | None = None
    ) -> _T:
        call = self._call()
        request = self._connection.client.get
        response = await self._answered(
            lambda: request(path, cast_to=object, options={"params": dict(query or {})}), call
        )
        try:
            return expected.validate_python(response)
        except ValueError as error:
            raise BatchUnavailable(self._reason(error, call)) from error

    async def _answered(self, request: Callable[[], Awaitable[_T]], call: ApiCall) -> _T:
        """What the API answers, within the deadline; raises BatchUnavailable and its kinds."""
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

    def _call(self) -> ApiCall:
        return ApiCall(deadline=asyncio.get_running_loop().time() + self._deadline_s)

    def _reason(self, error: Exception, call: ApiCall) -> str:
        """One line that says what to do, without the key."""
        said, place = error_text(error), self._options.base_url
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
            reason = f"{place} did not answer as the Message Batches API does: {said}"
        else:
            reason = f"the connection broke during the answer: {said}"
        return self._connection.redacted(reason)

    def _body(self, items: Sequence[tuple[str, Prompt]]) -> bytes:
        requests = (self._encoded(custom_id, prompt) for custom_id, prompt in items)
        return _OPENING + _BETWEEN.join(requests) + _CLOSING

    def _encoded(self, custom_id: str, prompt: Prompt) -> bytes:
        params = request_body(prompt, self._options)
        request = {"custom_id": custom_id, "params": params}
        return json.dumps(request, ensure_ascii=False, separators=(",", ":")).encode()


def _is_gone(refusal: ApiError, call: ApiCall) -> bool:
    """Whether the API, and not something in between, says that it has no such batch."""
    return refusal.status == HTTPStatus.NOT_FOUND and bool(refusal.kind) and call.idempotent


async def _json_lines(response: httpx2.Response) -> AsyncGenerator[object, None]:
    """The lines of a body as JSON values; raises ValueError for one that is none."""
    waiting = bytearray()
    async for part in response.aiter_bytes():
        # By bytes: a text may hold other characters that end a line of Unicode text.
        head, newline, rest = part.partition(b"\n")
        waiting += head
        while newline:
            if waiting.strip():
                yield json.loads(waiting)
            head, newline, rest = rest.partition(b"\n")
            waiting = bytearray(head)
    if waiting.strip():
        yield json.loads(waiting)


def _in_path(api_id: str) -> str:
    """An id as one segment of a path, whatever it holds."""
    return quote(api_id, safe="")


def _result(line: object, status: BatchStatus) -> tuple[str, Reply | BatchFailure]:
    """One line of the results; raises ValueError where it is none."""
    match line:
        case {"custom_id": str(custom_id), "result": {"type": "succeeded", "message": dict(message)}}:
            return custom_id, _reply(message, status)
        case {"custom_id": str(custom_id), "result": {"type": "errored", "error": error}}:
            return custom_id, BatchFailure("errored", _told(error))
        case {"custom_id": str(custom_id), "result": {"type": str(kind)}}:
            return custom_id, BatchFailure(
                quoted_message(kind), f"the batch ended without a reply: {quoted_message(kind)}"
            )
    raise ValueError(f"unexpected line {line!r:.120}")


def _told(error: object) -> str:
    match error:
        case {"error": {"type": str(kind), "message": str(message)}}:
            return quoted_message(f"the API failed on it ({kind}): {message}")
    return quoted_message(f"the API failed on it: {error!r}")


def _reply(message: Mapping[str, Any], status: BatchStatus) -> Reply:
    """A whole message; raises ValueError."""
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
