"""Rewrites conversations: what was decided about each turn is applied again, and the newest one decided."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TypeVar

import structlog

from api.proxy.rewriting.gateway_states import GatewayStates, question_in
from api.proxy.rewriting.in_time import InTime, Unavailable
from api.proxy.rewriting.learning import Learning
from api.proxy.rewriting.policy import Policies, Policy
from api.proxy.rewriting.recovery import Trouble, trouble_of
from api.proxy.rewriting.turn_store import TurnStore, Versions
from context_builder.conversation.cut import Cut, latest_cut, make_cut, without_thinking
from context_builder.conversation.gateway_state import what_is_new
from context_builder.conversation.record import (
    TurnRecord,
    choose_version,
    conversation_id,
    rewritten,
    told,
)
from context_builder.conversation.rewriter import ProxiedRequest, Rewrite
from context_builder.conversation.turns import Transcript, read_transcript
from context_builder.conversation.window import Windows, raw_overhead, raw_tokens
from context_builder.prompt.tokens import TokenBound
from context_builder.text.clock import utc_now

log = structlog.get_logger(__name__)

DEADLINE_S = 0.15
"""Longest that a request waits for what may be inserted into it."""
BUDGET = 600
"""Tokens of a block that is inserted."""
FRESH = timedelta(hours=1)
"""How long a conversation that begins with the same words is taken for the same one: the longest cache."""
_LARGE = 1_000_000
"""Bytes from which a body is read in a thread."""
_MAX_CHANGES = 20

_T = TypeVar("_T")


@dataclass(slots=True)
class _Known:
    """What is known of the turns of a request."""

    records: dict[int, TurnRecord]
    """By index of the turn's message."""
    is_complete: bool
    """False if the store could not be asked: then nothing new is decided."""


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
        self.store = store
        self.counts: Counter[str] = Counter()
        """What happened, in words: `no store`, `prefix mismatch`, `cut`."""
        self.windows = Windows()
        self._states = states
        self._storing = storing
        self._options = options or RewritingOptions()
        self._learning = learning
        self._clock = clock

    async def rewrite(self, request: ProxiedRequest) -> Rewrite:
        """Return the body with what was inserted before, what is new, and without what was cut."""
        until = asyncio.get_running_loop().time() + self._options.deadline_s
        return await self._or(Rewrite(request.body), lambda: self._rewrite(request, until))

    async def recover(
        self, request: ProxiedRequest, sent: Rewrite, status: int, error: bytes
    ) -> Rewrite | None:
        """Return another body after a refusal that a change can mend; None: the refusal stands."""
        trouble = trouble_of(status, error)
        if trouble is None or sent.conversation is None:
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
        await self._or(None, lambda: self._replied(request, sent, text, usage))

    async def _or(self, otherwise: _T, work: Callable[[], Awaitable[_T]]) -> _T:
        """Return the result of work; a defect in it never fails a request, and is logged as one."""
        task = asyncio.ensure_future(work())
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            task.cancel()
            raise
        if (error := task.exception()) is None:
            return task.result()
        self.counts["defect"] += 1
        log.error("proxy could not rewrite", error=repr(error), exc_info=error)
        return otherwise

    async def _rewrite(self, request: ProxiedRequest, until: float) -> Rewrite:
        transcript = await _read(request)
        if transcript is None or not transcript.turns:
            return Rewrite(request.body)
        known = await self._known_turns(request.credential, transcript, until)
        cuts = [cut for record in known.records.values() for cut in record.cuts]
        cut = await self._keep_window(request, transcript, known, latest_cut(transcript, cuts), until)
        await self._decide_newest(request, transcript, known, cut, until)
        return self._result(request, transcript, known, cut)

    async def _known_turns(self, credential: str, transcript: Transcript, until: float) -> _Known:
        """Return the decisions about the turns; those that nobody decided about are decided: nothing."""
        prefixes = [transcript.digests[turn] for turn in transcript.turns]
        versions = self.store.known(credential, prefixes)
        is_complete = True
        if missing := [prefix for prefix in prefixes if prefix not in versions]:
            try:
                await self._storing.result(self.store.load(credential, missing), until, "stored turns")
            except Unavailable:
                self.counts["no store"] += 1
                is_complete = False
            versions |= self.store.known(credential, missing)
        known = _Known(self._chosen(credential, transcript, versions), is_complete)
        if is_complete:
            older = [
                turn for turn in transcript.turns if turn not in known.records and turn != transcript.newest
            ]
            nothing = [self._undecided(credential, transcript, known, turn) for turn in older]
            if nothing:
                self._storing.later(self.store.decide(credential, nothing), "storing turns")
        return known

    def _chosen(
        self, credential: str, transcript: Transcript, versions: Mapping[str, Versions]
    ) -> dict[int, TurnRecord]:
        """Choose the versions of this conversation, and store what went on from which."""
        chosen, bound = {}, []
        for turn in transcript.turns:
            follows = turn + 1 < len(transcript.digests)
            reply = transcript.digests[turn + 1] if follows else None
            record = choose_version(versions.get(transcript.digests[turn], ()), reply)
            if record is None or (not follows and self._clock() - record.decided_at > FRESH):
                continue
            if reply and record.reply is None:
                record = replace(record, reply=reply)
                self.store.remember(credential, record)
                bound.append(record)
            chosen[turn] = record
        if bound:
            self._storing.later(self.store.bind(credential, bound), "storing replies")
        return chosen

    def _undecided(self, credential: str, transcript: Transcript, known: _Known, turn: int) -> TurnRecord:
        """Return, and know from now on, that nothing is inserted behind a turn."""
        prefix = transcript.digests[turn]
        earlier = self.store.known(credential, [prefix]).get(prefix, ())
        version = max((record.version for record in earlier), default=-1) + 1
        first = next((known.records[t] for t in transcript.turns if t in known.records and t < turn), None)
        conversation = first.conversation if first else None
        if conversation is None:
            own = version if turn == transcript.turns[0] else 0
            conversation = conversation_id(credential, transcript.digests[transcript.turns[0]], own)
        following = transcript.digests[turn + 1] if turn + 1 < len(transcript.digests) else None
        record = TurnRecord(prefix, self._clock(), conversation, version=version, reply=following)
        known.records[turn] = record
        self.store.remember(credential, record)
        return record

    async def _decide_newest(
        self, request: ProxiedRequest, transcript: Transcript, known: _Known, cut: Cut | None, until: float
    ) -> None:
        """Decide what is inserted behind the turn that the request ends with, unless that is decided."""
        turn = transcript.newest
        if turn is None or turn in known.records or not known.is_complete:
            return
        record = self._undecided(request.credential, transcript, known, turn)
        policy = self._options.policies.of(request)
        state = None
        if policy is not Policy.OFF and "container" not in transcript.conversation.fields:
            question = question_in(transcript.messages[turn].text)
            state = await self._states.state(request.asker, question, until)
            self.counts["context" if state else "no context"] += 1
        block = state and what_is_new(
            state,
            told(transcript, known.records, cut),
            only_alarms=policy is Policy.TROUBLE,
            budget=self._options.budget,
            bound=TokenBound.for_model(transcript.conversation.model),
            weights=self._learning.weights(request.credential) if self._learning else None,
        )
        if block:
            found = replace(
                record, text=block.text, tokens=block.tokens, stated=block.stated, kinds=block.kinds
            )
            try:
                await self._storing.result(
                    self.store.decide(request.credential, [found], until), until, "a decision"
                )
            except Unavailable:  # what no other worker could insert again is not inserted
                self.counts["not stored"] += 1
                return
            stored = self.store.known(request.credential, [record.prefix])[record.prefix]
            known.records[turn] = next(each for each in stored if each.version == record.version)
        else:
            self._storing.later(self.store.decide(request.credential, [record]), "a decision")

    async def _keep_window(
        self,
        request: ProxiedRequest,
        transcript: Transcript,
        known: _Known,
        cut: Cut | None,
        until: float,
    ) -> Cut | None:
        """Return the cut that keeps a conversation within its window: the one it has, or a new one."""
        conversation = transcript.conversation
        if not _may_be_cut(transcript) or len(conversation.body) < self.windows.room(conversation):
            return cut  # a token has at least one byte
        room = self.windows.room(conversation)
        if self._size(transcript, cut) <= room or not known.is_complete:
            return cut
        newest = transcript.digests[transcript.turns[-1]]
        try:  # another worker may have cut it meanwhile
            await self._storing.result(self.store.load(request.credential, [newest]), until, "stored cuts")
        except Unavailable:
            return cut
        versions = self.store.known(request.credential, [newest])
        known.records |= self._chosen(request.credential, transcript, versions)
        cut = latest_cut(transcript, [each for r in known.records.values() for each in r.cuts])
        if self._size(transcript, cut) <= room:
            return cut
        raw_room = room / self.windows.estimate(conversation.model, 1_000_000) * 1_000_000
        made = make_cut(transcript, raw_room - raw_overhead(conversation), cut)
        return await self._store_cut(request.credential, transcript, known, made, until) or cut

    async def _store_cut(
        self, credential: str, transcript: Transcript, known: _Known, cut: Cut | None, until: float
    ) -> Cut | None:
        """Return a cut once it is stored, or that of a worker which was first; None if neither can be had."""
        if cut is None:
            return None
        turn = transcript.turns[-1]
        record = known.records.get(turn) or self._undecided(credential, transcript, known, turn)
        try:
            await self._storing.result(self.store.add_cut(credential, record, cut, until), until, "a cut")
        except Unavailable:
            self.counts["not stored"] += 1
            return None
        self.counts["cut"] += 1
        stored = self.store.known(credential, [record.prefix])[record.prefix]
        known.records[turn] = next(each for each in stored if each.version == record.version)
        return latest_cut(transcript, known.records[turn].cuts)

    def _size(self, transcript: Transcript, cut: Cut | None) -> int:
        """Estimate the tokens of a request, what is inserted aside, which is small."""
        messages = transcript.messages
        kept = [*messages[: cut.start], *messages[cut.end :]] if cut else messages
        raw = sum(map(raw_tokens, kept)) + raw_overhead(transcript.conversation)
        return self.windows.estimate(transcript.conversation.model, raw)

    async def _recover(self, request: ProxiedRequest, trouble: Trouble, until: float) -> Rewrite | None:
        transcript = await _read(request)
        if transcript is None or not transcript.turns:
            return None
        known = await self._known_turns(request.credential, transcript, until)
        cuts = [cut for record in known.records.values() for cut in record.cuts]
        cut = latest_cut(transcript, cuts)
        made = self._remedy(transcript, trouble, cut)
        if made is None:
            return None
        stored = await self._store_cut(request.credential, transcript, known, made, until)
        return self._result(request, transcript, known, stored or made)

    def _remedy(self, transcript: Transcript, trouble: Trouble, cut: Cut | None) -> Cut | None:
        """Return the cut after which a request would not have been refused."""
        conversation = transcript.conversation
        if trouble.limit is None:
            thinking = conversation.fields.get("thinking")
            asked = isinstance(thinking, dict) and thinking.get("block_binding") is not None
            return None if asked else without_thinking(transcript, cut)
        if not _may_be_cut(transcript):
            return None
        raw = self._size(transcript, cut) / self.windows.estimate(conversation.model, 1_000_000) * 1_000_000
        self.windows.refused(conversation.model, raw, trouble.tokens, trouble.limit)
        raw_room = self.windows.room(conversation) / self.windows.estimate(conversation.model, 1_000_000)
        return make_cut(transcript, raw_room * 1_000_000 - raw_overhead(conversation), cut)

    def _result(
        self, request: ProxiedRequest, transcript: Transcript, known: _Known, cut: Cut | None
    ) -> Rewrite:
        body = rewritten(transcript, known.records, cut)
        first, newest = transcript.turns[0], transcript.turns[-1]
        record = known.records.get(newest) or known.records.get(first)
        own = conversation_id(request.credential, transcript.digests[first])
        return Rewrite(
            body,
            conversation=record.conversation if record else own,
            turn=transcript.digests[newest],
            changes=tuple(_changes(transcript, known.records, cut))[-_MAX_CHANGES:],
            dropped_encoding=body is not request.body and "content-encoding" in request.headers,
        )

    async def _replied(
        self, request: ProxiedRequest, sent: Rewrite, text: str, usage: Mapping[str, int]
    ) -> None:
        billed = sum(
            usage.get(f"{kind}input_tokens", 0) or 0 for kind in ("", "cache_read_", "cache_creation_")
        )
        transcript = await _read(replace(request, body=sent.body))
        if transcript is None or sent.conversation is None:
            return
        model = transcript.conversation.model
        raw = sum(map(raw_tokens, transcript.messages)) + raw_overhead(transcript.conversation)
        self.windows.billed(model, raw, billed)
        if self._learning and sent.turn and request.path.endswith("/messages"):
            versions = self.store.known(request.credential, [sent.turn]).get(sent.turn, ())
            record = choose_version(versions, None)
            if record and record.text:
                noted = self._learning.note(request.credential, record, text)
                self._storing.later(noted, "what was learnt")


async def _read(request: ProxiedRequest) -> Transcript | None:
    """Read a request's conversation; None if it is to be left alone."""
    if "message-threads" in request.headers.get("anthropic-beta", ""):
        return None  # the API keeps that conversation itself
    if len(request.body) < _LARGE:
        return read_transcript(request.body)
    return await asyncio.to_thread(read_transcript, request.body)


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
    if cut and cut.end > cut.start:
        said.append(f"cut {cut.end - cut.start:,} messages")
    if cut:
        said.append("left out thinking from before the cut" if cut.note else "left out thinking")
    return said
