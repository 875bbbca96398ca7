"""Rewrites conversations: what was decided about each turn is applied again, and the newest one decided."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TypeVar

import structlog

from api.proxy.rewriting.decisions import Decisions, Keeping
from api.proxy.rewriting.gateway_states import GENERAL, GatewayStates, question_in
from api.proxy.rewriting.in_time import InTime
from api.proxy.rewriting.learning import Learning
from api.proxy.rewriting.policy import Policies, Policy
from api.proxy.rewriting.recovery import Trouble, trouble_of
from api.proxy.rewriting.turn_store import TurnStore
from context_builder.conversation.cut import Cut, make_cut, without_thinking
from context_builder.conversation.gateway_state import Block, GatewayState, Stated, merged, what_is_new
from context_builder.conversation.recall import recall
from context_builder.conversation.record import (
    TurnRecord,
    choose_version,
    rewritten,
    told,
)
from context_builder.conversation.rewriter import ProxiedRequest, Rewrite
from context_builder.conversation.turns import Transcript, read_transcript
from context_builder.conversation.window import (
    API_EDITING_BETA,
    BYTES_PER_TOKEN,
    Windows,
    raw_overhead,
    raw_tokens,
    with_api_editing,
)
from context_builder.prompt.tokens import TokenBound
from context_builder.text.clock import utc_now

log = structlog.get_logger(__name__)

DEADLINE_S = 0.15
"""Longest that a request waits for what may be inserted into it."""
BUDGET = 600
"""Tokens of a block that is inserted."""
WINDOW_HEADER = "x-arcpoint-window"
"""`api`: the client allows that the API itself edits the conversation, instead of cuts."""
_BILLED = 100_000
"""Bytes of a body from which its bill corrects estimates: of a short one the frame counts most."""
MAX_TURNS = 5_000
"""Human turns of a conversation that is looked after: one statement has room for their digests."""
_LARGE = 1_000_000
"""Bytes from which a body is read in a thread."""
_MAX_CHANGES = 20

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class RewritingOptions:
    """When, how much and how long."""

    policies: Policies = field(default_factory=Policies)
    budget: int = BUDGET
    """Tokens of a block."""
    deadline_s: float = DEADLINE_S


class ContextRewriter:
    """The rewriter of one process."""

    def __init__(
        self,
        store: TurnStore,
        states: GatewayStates,
        *,
        storing: InTime,
        options: RewritingOptions | None = None,
        learning: Learning | None = None,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        """Keep decisions in `store`, for which `storing` waits; without `learning` nothing is learnt."""
        self._keeping = Keeping(store, storing, clock)
        self.store = store
        self.counts = self._keeping.counts
        self.windows = Windows()
        self._states = states
        self._options = options or RewritingOptions()
        self._learning = learning

    async def rewrite(self, request: ProxiedRequest) -> Rewrite:
        """Return the body with what was inserted before, what is new, and without what was cut."""
        until = asyncio.get_running_loop().time() + self._options.deadline_s
        return await self._or(Rewrite(request.body), lambda: self._rewrite(request, until))

    async def recover(
        self, request: ProxiedRequest, sent: Rewrite, status: int, error: bytes
    ) -> Rewrite | None:
        """Return another body after a refusal that a change can avoid; None: the refusal stands."""
        trouble = trouble_of(status, error)
        if trouble is None:
            return None
        until = asyncio.get_running_loop().time() + self._options.deadline_s
        recovered = await self._or(None, lambda: self._recover(request, trouble, until))
        if recovered is None or recovered.body == sent.body:
            return None
        self.counts[f"recovered: {trouble.kind}"] += 1
        log.warning("proxy changed a refused request", trouble=trouble.kind, conversation=sent.conversation)
        return recovered

    async def replied(
        self, request: ProxiedRequest, sent: Rewrite, text: str, usage: Mapping[str, int]
    ) -> None:
        """Learn what a window holds, and which facts the reply used."""
        if sent.raw_tokens or self._learning:
            await self._or(None, lambda: self._replied(request, sent, text, usage))

    async def _or(self, otherwise: _T, work: Callable[[], Awaitable[_T]]) -> _T:
        """Return the result of work; a defect in it never fails a request, and is logged as one."""
        try:
            return await work()
        except asyncio.CancelledError as cancelled:
            task = asyncio.current_task()
            if task is None or task.cancelling():  # it is the request that ends, not its work that is broken
                raise
            error: BaseException = cancelled
        except Exception as failure:  # noqa: BLE001  whatever it is
            error = failure
        self.counts["defect"] += 1
        # Not with its traceback: formatting one reads source files, and this is the event loop.
        log.error("proxy could not rewrite", error=repr(error), where=_where(error))
        return otherwise

    async def _rewrite(self, request: ProxiedRequest, until: float) -> Rewrite:
        transcript = await _read(request)
        if transcript is None:
            return Rewrite(request.body)
        decisions = Decisions(self._keeping, request.credential, transcript, until)
        await decisions.load()
        lets_api_edit = request.headers.get(WINDOW_HEADER) == "api" and _may_be_cut(transcript)
        cut = decisions.cut if lets_api_edit else await self._keep_window(transcript, decisions)
        turn = transcript.newest
        if turn is not None and turn not in decisions.records and decisions.is_complete:
            # A defect in what is new must not cost what was inserted before.
            known = told(transcript, decisions.records, cut)
            news = await self._or(None, lambda: self._news(request, transcript, known, until))
            room = self._options.budget - (news.tokens if news else 0)
            nothing: tuple[int, ...] = ()
            found = await self._or(nothing, lambda: self._recalled(request, transcript, cut, room, until))
            await decisions.decide(turn, news, found)
        rewrite = _result(request, transcript, decisions, cut)
        return self._with_api_editing(request, transcript, rewrite) if lets_api_edit else rewrite

    def _with_api_editing(self, request: ProxiedRequest, transcript: Transcript, rewrite: Rewrite) -> Rewrite:
        betas = filter(None, (request.headers.get("anthropic-beta"), API_EDITING_BETA))
        return replace(
            rewrite,
            body=with_api_editing(rewrite.body, self.windows.room(transcript.conversation)),
            changes=(*rewrite.changes, "asked the API to clear old results of tools"),
            dropped_encoding="content-encoding" in request.headers,
            headers={"anthropic-beta": ",".join(betas)},
        )

    async def _news(
        self, request: ProxiedRequest, transcript: Transcript, known: Sequence[Stated], until: float
    ) -> Block | None:
        """Return what is to be told behind the turn that a request ends with."""
        policy = self._options.policies.of(request)
        if policy is Policy.OFF or "container" in transcript.conversation.fields:
            return None
        state = await self._state(request.asker, transcript.messages[-1].text, until)
        self.counts["context" if state else "no context"] += 1
        if state is None:
            return None
        return what_is_new(
            state,
            known,
            only_alarms=policy is Policy.TROUBLE,
            budget=self._options.budget,
            bound=TokenBound.for_model(transcript.conversation.model),
            weights=self._learning.weights(request.credential) if self._learning else None,
        )

    async def _recalled(
        self, request: ProxiedRequest, transcript: Transcript, cut: Cut | None, room: int, until: float
    ) -> tuple[int, ...]:
        """Return which messages that were left out the newest turn asks about."""
        if cut is None or cut.end == cut.start or self._options.policies.of(request) is Policy.OFF:
            return ()
        bound = TokenBound.for_model(transcript.conversation.model)
        searching = asyncio.to_thread(recall, transcript, cut, transcript.turns[-1], room, bound)
        try:
            async with asyncio.timeout_at(until):
                return await searching
        except TimeoutError:
            self.counts["no recall"] += 1
            return ()

    async def _state(self, asker: str | None, text: str, until: float) -> GatewayState | None:
        """Return the state of the gateway, and what a turn asks of it in particular if that is in time."""
        general = await self._states.state(asker, GENERAL, until)
        question = question_in(text)
        if general is None or question == GENERAL:
            return general
        return merged(general, await self._states.state(asker, question, until))

    async def _keep_window(self, transcript: Transcript, decisions: Decisions) -> Cut | None:
        """Return the cut that keeps a conversation within its window: the one it has, or a new one."""
        conversation = transcript.conversation
        room = self.windows.room(conversation)
        if not _may_be_cut(transcript) or len(conversation.body) < room:  # a token has at least one byte
            return decisions.cut
        if self._size(transcript, decisions.cut) <= room or not decisions.is_complete:
            return decisions.cut
        if not await decisions.reload(transcript.turns[-1]):
            return decisions.cut
        if self._size(transcript, decisions.cut) <= room:  # another worker has cut it meanwhile
            return decisions.cut
        made = self._made_cut(transcript, decisions.cut)
        return (made and await decisions.add_cut(made)) or decisions.cut

    def _made_cut(self, transcript: Transcript, earlier: Cut | None) -> Cut | None:
        conversation = transcript.conversation
        raw_room = self.windows.room(conversation) / self.windows.ratio(conversation.model)
        return make_cut(transcript, raw_room - raw_overhead(conversation), earlier)

    def _size(self, transcript: Transcript, cut: Cut | None) -> float:
        """Estimate the tokens of a request, what is inserted aside, which is small."""
        return _raw_size(transcript, cut) * self.windows.ratio(transcript.conversation.model)

    async def _recover(self, request: ProxiedRequest, trouble: Trouble, until: float) -> Rewrite | None:
        transcript = await _read(request)
        if transcript is None:
            return None
        decisions = Decisions(self._keeping, request.credential, transcript, until)
        await decisions.load()
        made = self._remedy(transcript, trouble, decisions.cut)
        if made is None:
            return None
        return _result(request, transcript, decisions, await decisions.add_cut(made) or made)

    def _remedy(self, transcript: Transcript, trouble: Trouble, cut: Cut | None) -> Cut | None:
        """Return the cut after which a request would not have been refused."""
        conversation = transcript.conversation
        if trouble.limit is None:
            thinking = conversation.fields.get("thinking")
            asked = isinstance(thinking, dict) and thinking.get("block_binding") is not None
            return None if asked else without_thinking(transcript, cut)
        if not _may_be_cut(transcript):
            return None
        raw = _raw_size(transcript, cut)
        self.windows.refused(conversation.model, raw, trouble.tokens, trouble.limit)
        return self._made_cut(transcript, cut)

    async def _replied(
        self, request: ProxiedRequest, sent: Rewrite, text: str, usage: Mapping[str, int]
    ) -> None:
        if sent.raw_tokens:
            billed = sum(
                usage.get(f"{kind}input_tokens", 0) or 0 for kind in ("", "cache_read_", "cache_creation_")
            )
            self.windows.billed(sent.model, sent.raw_tokens, billed)
        if self._learning and sent.turn and request.path.endswith("/messages"):
            versions = self.store.known(request.credential, [sent.turn]).get(sent.turn, ())
            record = choose_version(versions, None)
            if record and record.text:
                noted = self._learning.note(request.credential, record, text)
                self._keeping.waits.later(noted, "what was learnt")


async def _read(request: ProxiedRequest) -> Transcript | None:
    """Read a request's conversation; None if it is to be left alone."""
    if "message-threads" in request.headers.get("anthropic-beta", ""):
        return None  # the API keeps that conversation itself
    if len(request.body) < _LARGE:
        transcript = read_transcript(request.body)
    else:
        transcript = await asyncio.to_thread(read_transcript, request.body)
    return transcript if transcript and 0 < len(transcript.turns) <= MAX_TURNS else None


def _where(error: BaseException) -> str:
    """Return file and line at which an error was raised."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    return f"{last.tb_frame.f_code.co_filename}:{last.tb_lineno}" if last else ""


def _raw_size(transcript: Transcript, cut: Cut | None) -> float:
    messages = transcript.messages
    kept = [*messages[: cut.start], *messages[cut.end :]] if cut else messages
    return sum(map(raw_tokens, kept)) + raw_overhead(transcript.conversation)


def _raw_sent(transcript: Transcript, cut: Cut | None, size: int) -> float:
    """Estimate the tokens of a rewritten body of so many bytes, which need not be read again for that."""
    messages, before = transcript.messages, len(transcript.conversation.body)
    if cut and cut.end > cut.start:
        before -= messages[cut.end - 1].span.end - messages[cut.start - 1].span.end
    return _raw_size(transcript, cut) + (size - before) / BYTES_PER_TOKEN


def _result(
    request: ProxiedRequest, transcript: Transcript, decisions: Decisions, cut: Cut | None
) -> Rewrite:
    body = rewritten(transcript, decisions.records, cut)
    return Rewrite(
        body,
        model=transcript.conversation.model,
        raw_tokens=_raw_sent(transcript, cut, len(body)) if len(body) >= _BILLED else 0.0,
        conversation=decisions.conversation,
        turn=transcript.digests[transcript.turns[-1]],
        changes=tuple(_changes(transcript, decisions.records, cut))[-_MAX_CHANGES:],
        dropped_encoding=body is not request.body and "content-encoding" in request.headers,
    )


def _may_be_cut(transcript: Transcript) -> bool:
    """Return whether the client leaves its window to us; those that have the API edit it do not."""
    return not {"context_management", "compaction", "container"} & set(transcript.conversation.fields)


def _changes(transcript: Transcript, records: Mapping[int, TurnRecord], cut: Cut | None) -> Sequence[str]:
    """Describe what differs from the client's body."""
    said = []
    for number, turn in enumerate(transcript.turns, start=1):
        record = records.get(turn)
        if record and record.text and not (cut and cut.start <= turn < cut.end):
            said.append(f"inserted {record.tokens:,} tokens into turn {number:,}")
        if record and record.recalled and not (cut and cut.start <= turn < cut.end):
            said.append(f"quoted {len(record.recalled):,} left-out messages in turn {number:,}")
    if cut and cut.end > cut.start:
        said.append(f"cut {cut.end - cut.start:,} messages")
    if cut:
        said.append(f"left out thinking of the first {cut.through + 1:,} messages")
    return said
