"""One snapshot and its moment, with everything that questions have read of it so far."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field, replace
from datetime import datetime

from context_builder.question.lookups import Lookups
from context_builder.question.request import ContextRequest
from context_builder.shared_work import SharedWork
from context_builder.source import ContextSource, Section, SourceResult, Status, Stores

NOT_SHOWN = Section("not shown to those who see one user only", status=Status.EMPTY, applies=False)


@dataclass(frozen=True, slots=True)
class Tick:
    """What the questions of one moment share; every section of a prompt is of one tick."""

    moment: datetime
    """`as_of` of the questions about now."""
    stores: Stores
    lookups: Lookups
    work: SharedWork
    """Contexts by question, and sections by source and what it is asked."""
    _results: dict[Hashable, SourceResult] = field(default_factory=dict)

    def known_result(self, source: ContextSource, request: ContextRequest) -> SourceResult | None:
        """Return what a source says if it was read before, the same object to all who ask."""
        asked = source.asked(request)
        key = (source.name, asked)
        section: Section | None = NOT_SHOWN if asked is None else self.work.known(key)
        if section is None:
            return None
        return self._results.get(key) or self._results.setdefault(
            key, SourceResult(source, section, section.status, 0)
        )

    async def section(self, source: ContextSource, request: ContextRequest) -> Section:
        """Read a source, once for all questions that are the same to it and come from one kind of asker.

        A failure is shared like a result, and ends with the tick; a caller's deadline is its own.
        """
        asked = source.asked(request)
        if asked is None:
            return NOT_SHOWN
        stores = self.stores
        if asked.confined_to is not None:
            stores = replace(stores, snapshot=stores.snapshot.confined_to(asked.confined_to))
        return await self.work.result((source.name, asked), lambda: source.read(asked, stores))
