"""Submit batches: claim incidents, build their prompts, and submit as many together as one batch holds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from decimal import Decimal

from sqlalchemy.exc import SQLAlchemyError

from context_builder.jobs.lease import LeaseLost
from context_builder.llm.batch_model import RESULTS_KEPT, BatchUnavailable, BatchUncertain
from context_builder.postmortems.batches.context import BatchContext
from context_builder.postmortems.batches.progress import BatchSubmitted, Notice, NotWritten, PostmortemWritten
from context_builder.postmortems.candidates import PostmortemCandidate
from context_builder.postmortems.journal import ClaimedCall
from context_builder.postmortems.writer import NothingToDo, PostmortemFailed
from context_builder.prompt.prompt import Prompt
from context_builder.prompt.render import render
from context_builder.question.request import QuestionError
from context_builder.spend.accounts import Payer
from context_builder.spend.ledger import CapReached
from context_builder.text.formatting import format_count
from models.errors import DatabaseError


@dataclass(frozen=True, slots=True)
class _BuiltCall:
    call: ClaimedCall
    """Without its plan, which is stored and many times as large."""
    prompt: Prompt
    size: int
    """In bytes."""


@dataclass(slots=True)
class _Draft:
    """Calls that go into one batch."""

    calls: list[_BuiltCall] = field(default_factory=list)
    size: int = 0
    """In bytes."""

    @property
    def worst_cost_usd(self) -> Decimal:
        return sum((each.call.worst_cost_usd for each in self.calls), Decimal(0))


class BatchSubmitter:
    """Submits the batches of one run."""

    def __init__(self, context: BatchContext, payer: Payer, *, refresh_stale: bool) -> None:
        self._context = context
        self._payer = payer
        self._refresh_stale = refresh_stale
        self.capped: set[str] = set()
        """Public ids of incidents that do not fit under the cap."""
        self.refusal: str | None = None
        """Why the API accepts no batch; nothing more is submitted then."""
        self._draft = _Draft()
        self._next = asyncio.Lock()

    async def submit(self, candidates: AsyncIterator[PostmortemCandidate], *, concurrency: int) -> None:
        """Submit a batch whenever one is full, and the last one at the end.

        If cancelled or failed, everything that has not been submitted is released.
        """
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(concurrency):
                    group.create_task(self._work(candidates))
            rest, self._draft = self._draft, _Draft()
            await self._submit_uninterrupted(rest)
        except* (DatabaseError, SQLAlchemyError, OSError) as errors:
            raise _first(errors) from None
        finally:
            rest, self._draft = self._draft, _Draft()
            await self._release(rest)

    async def _work(self, candidates: AsyncIterator[PostmortemCandidate]) -> None:
        """Build the prompts of candidates; several of these share one iterator."""
        while self.refusal is None:
            async with self._next:
                candidate = await anext(candidates, None)
            if candidate is None:
                return
            built = await self._built(candidate.incident)
            if built is not None:
                await self._add(built)

    async def _built(self, incident: str) -> _BuiltCall | None:
        """Build the prompt and reserve its worst case.

        Returns None if the incident was skipped and reported.
        """
        writer, report = self._context.writer, self._context.report
        try:
            await self._context.ledger.require(self._context.min_worst_cost_usd, self._payer)
            call = await writer.claim(incident, refresh_stale=self._refresh_stale)
            if call.reply is not None:
                await report(PostmortemWritten(await writer.finish(call)))
                return None
            return await self._reserved(call)
        except CapReached:
            self.capped.add(incident)
            return None
        except (PostmortemFailed, QuestionError, LeaseLost, ValueError) as error:
            is_failure = not isinstance(error, NothingToDo)
            await report(NotWritten(incident, str(error), is_failure=is_failure))
            return None

    async def _reserved(self, call: ClaimedCall) -> _BuiltCall:
        """Build a claimed call and reserve its worst case. Raises CapReached."""
        model, built = self._context.model, None
        try:
            call = await self._context.writer.build(call, self._context.template, batch=True)
            prompt = await asyncio.to_thread(render, call.built_plan.manifest)
            # In a thread: encoding a large prompt takes a while.
            size = await asyncio.to_thread(model.size_of, call.custom_id, prompt)
            if size > model.max_bytes:
                raise PostmortemFailed(f"its prompt of {size:,} bytes is too large for a batch")
            await self._context.ledger.hold(
                call.custom_id, call.worst_cost_usd, self._payer, duration=RESULTS_KEPT
            )
            built = _BuiltCall(replace(call, plan=None), prompt, size)
        finally:
            if built is None:
                await self._context.ledger.settle(call.custom_id, Decimal(0))
                await self._context.writer.journal.release(call)
        return built

    async def _add(self, built: _BuiltCall) -> None:
        # Nothing is awaited before the call is in the draft, so that a cancelled run releases it.
        model, full = self._context.model, _Draft()
        is_full = len(self._draft.calls) == model.max_requests
        if is_full or self._draft.size + built.size > model.max_bytes:
            full, self._draft = self._draft, full
        self._draft.calls.append(built)
        self._draft.size += built.size
        await self._submit_uninterrupted(full)

    async def _submit_uninterrupted(self, draft: _Draft) -> None:
        """Submit a draft to the end, even if cancelled: else nobody would know whether the API has it."""
        if not draft.calls:
            return
        submitting = asyncio.ensure_future(self._submit(draft))
        try:
            await asyncio.shield(submitting)
        except asyncio.CancelledError:
            patience = f"at most {self._context.model.submit_deadline_s:.0f} s"
            await self._context.report(
                Notice(f"waiting for the API's answer to the submission, {patience}, then stopping")
            )
            await asyncio.wait([submitting])
            raise

    async def _submit(self, draft: _Draft) -> None:
        model, journal = self._context.model, self._context.journal
        if self.refusal is not None:
            await self._release(draft)
            return
        try:
            batch_id = await journal.begin([each.call for each in draft.calls], model.model)
        except LeaseLost as error:
            await self._context.report(Notice(f"a batch was not submitted: {error}"))
            await self._release(draft)
            return
        try:
            api_id = await model.submit([(each.call.custom_id, each.prompt) for each in draft.calls])
        except BatchUncertain as error:
            await journal.interrupted(batch_id)
            prompts = format_count(len(draft.calls), "prompt")
            await self._context.report(
                Notice(f"the API may or may not have accepted a batch of {prompts}: {error.reason}")
            )
        except BatchUnavailable as error:
            self.refusal = error.reason
            await journal.discard(batch_id)
            await self._release(draft)
        else:
            await self._store_id(batch_id, api_id)
            await self._context.report(BatchSubmitted(api_id, len(draft.calls), draft.worst_cost_usd))

    async def _store_id(self, batch_id: int, api_id: str) -> None:
        try:
            await self._context.journal.submitted(batch_id, api_id)
        except (DatabaseError, SQLAlchemyError, OSError):
            command = f"arcpoint postmortem batches {batch_id} --adopt {api_id}"
            notice = f"the API accepted a batch whose id could not be stored; `{command}` stores it"
            await self._context.report(Notice(notice))
            raise

    async def _release(self, draft: _Draft) -> None:
        for each in draft.calls:
            await self._context.ledger.settle(each.call.custom_id, Decimal(0))
        await self._context.writer.journal.release(*(each.call for each in draft.calls))


def _first(errors: BaseExceptionGroup[Exception]) -> Exception:
    error = errors.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
