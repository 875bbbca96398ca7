"""When context may be inserted: a policy by header, which a path may stand for, or by credential."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from context_builder.conversation.rewriter import ProxiedRequest

HEADER = "x-arcpoint-context"
_PATH = re.compile(rb"/context/(off|trouble|always)(?=/)")
"""What a base URL may begin its path with, for clients that cannot send the header."""


class Policy(StrEnum):
    """What may be inserted anew; what was inserted before stays in any case."""

    OFF = "off"
    TROUBLE = "trouble"
    """What is wrong, while something is wrong, and that it is over."""
    ALWAYS = "always"


def policy_in(raw_path: bytes) -> tuple[str, int]:
    """Return the policy that a path begins with, and the length of that part; empty and 0: it has none."""
    found = _PATH.match(raw_path)
    return (found[1].decode(), found.end()) if found else ("", 0)


@dataclass(frozen=True, slots=True)
class Policies:
    """The policy of each request: the header's, else the credential's, else the default."""

    default: Policy = Policy.TROUBLE
    by_credential: Mapping[str, Policy] = field(default_factory=dict)

    def of(self, request: ProxiedRequest) -> Policy:
        """Return the policy of a request; a header of another value is as none."""
        asked = request.headers.get(HEADER, "").strip().lower()
        if asked in tuple(Policy):
            return Policy(asked)
        return self.by_credential.get(request.credential, self.default)
