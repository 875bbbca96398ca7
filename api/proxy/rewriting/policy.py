"""When context may be inserted: a policy by header, credential or path."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from context_builder.conversation.rewriter import ProxiedRequest

HEADER = "x-arcpoint-context"


class Policy(StrEnum):
    """What may be inserted anew; what was inserted before stays in any case."""

    OFF = "off"
    TROUBLE = "trouble"
    """What is wrong, while something is wrong, and that it is over."""
    ALWAYS = "always"


@dataclass(frozen=True, slots=True)
class Policies:
    """The policy of each request: the header's, else the credential's, else the path's, else the default."""

    default: Policy = Policy.TROUBLE
    by_credential: Mapping[str, Policy] = field(default_factory=dict)
    by_path: Mapping[str, Policy] = field(default_factory=dict)

    def of(self, request: ProxiedRequest) -> Policy:
        """Return the policy of a request; a header of another value is as none."""
        asked = request.headers.get(HEADER, "").strip().lower()
        if asked in tuple(Policy):
            return Policy(asked)
        by_key = self.by_credential.get(request.credential)
        return by_key or self.by_path.get(request.path) or self.default
