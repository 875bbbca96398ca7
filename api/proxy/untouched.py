"""A rewriter that changes nothing."""

from __future__ import annotations

from collections.abc import Mapping

from context_builder.conversation.rewriter import ProxiedRequest, Rewrite


class Untouched:
    """Sends every request as it came."""

    async def rewrite(self, request: ProxiedRequest) -> Rewrite:
        """Return the request's own bytes."""
        return Rewrite(request.body)

    async def recover(
        self, request: ProxiedRequest, sent: Rewrite, status: int, error: bytes
    ) -> Rewrite | None:
        """Return None: no error comes from what was changed."""
        del request, sent, status, error
        return None

    async def replied(
        self, request: ProxiedRequest, sent: Rewrite, text: str, usage: Mapping[str, int]
    ) -> None:
        """Learn nothing."""
