"""Error names and codes quoted in a text: a log line without its variable parts."""

from __future__ import annotations

import re
from collections.abc import Set as AbstractSet
from functools import lru_cache

_MAX_CHARACTERS = 8_000
"""Bounds the work on one text."""

_NAME = re.compile(r"\b(?:[A-Za-z]{1,40}(?:_[A-Za-z]{1,40}){1,6}|[A-Z]{5,40}|(?:[A-Z][a-z]{1,40}){2,6})\b")
"""`rate_limit_exceeded`, `ECONNRESET`, `CrashLoopBackOff`, `TimeoutError`."""
_STATUS = re.compile(r"(?<![\w.,:/-])([45]\d\d|13[79])(?![\w.%/-])(?! *(?:ms|s|m|h|GB|MB|USD|%)\b)")
"""Of HTTP, or the exit code of a killed process; not a figure with a unit."""


def error_templates(text: str) -> frozenset[str]:
    """Return names and status codes of errors, case-folded; figures, ids and hosts are omitted."""
    return _templates(text[:_MAX_CHARACTERS])


@lru_cache(maxsize=2_048)
def _templates(start: str) -> frozenset[str]:
    names = {name.casefold() for name in _NAME.findall(start)}
    return frozenset(names.union(_STATUS.findall(start)))


def share_quoted(errors: AbstractSet[str], text: str) -> float:
    """Return the share of some errors that a text quotes too, from 0 to 1; 0 if there are none."""
    folded = text[:_MAX_CHARACTERS].casefold()
    # Looking for one string takes a hundredth of looking for all that could be an error.
    if not any(error in folded for error in errors):
        return 0.0
    return shared_templates(errors, error_templates(text))


def shared_templates(ours: AbstractSet[str], theirs: AbstractSet[str]) -> float:
    """Return the share of our errors that are also theirs, from 0 to 1; 0 if we have none."""
    return len(ours & theirs) / len(ours) if ours else 0.0
