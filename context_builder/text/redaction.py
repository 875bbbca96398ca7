"""Replaces secrets, and personal data if wanted, by placeholders: `<SECRET:aws:3f9a0c12>`. Pure.

A placeholder tells the kind, and by a keyed digest whether two secrets are equal; nothing else.
"""

from __future__ import annotations

import dataclasses
import re
import secrets
from collections.abc import Callable, Collection
from functools import lru_cache
from hashlib import blake2s
from typing import Any, TypeVar, cast

from context_builder.text.secret_patterns import PERSONAL, SECRETS, PatternGroup, SecretPattern

_Value = TypeVar("_Value")

_PROCESS_KEY = secrets.token_bytes(32)
"""Key of the digests where no other is given: equal secrets have equal placeholders within this process."""
_DIGEST_BYTES = 4
_MAX_KEPT_TEXTS = 16_384
"""Texts whose result is remembered: the facts of many questions are the same."""
_ANYTHING = re.compile("")
_WORD_END = re.compile(r"\w*+")
_BEFORE = 5
_KEY_BEGINS = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY")
_KEY_LINE = re.compile(r"(?<![\w+/=])[A-Za-z0-9+/]{40,}+={0,2}+")
_MAX_PLACEHOLDER = 64
_PLACEHOLDER = re.compile(r"<((?:SECRET|PERSON):[a-z0-9-]{1,40}):[0-9a-f]{8}>")


class Redaction:
    """Replaces secrets in texts; equal secrets get equal placeholders under one key. Safe for threads."""

    def __init__(
        self, key: bytes = _PROCESS_KEY, *, personal: Collection[str] = (), can_reveal: bool = False
    ) -> None:
        """Create a redaction of secrets and of these kinds of personal data.

        With `can_reveal` it remembers what it has replaced.
        """
        self._key = blake2s(key).digest()
        wanted = tuple(each for each in PERSONAL if each.kind in personal)
        self._groups = (*SECRETS, *([PatternGroup(_ANYTHING, wanted)] if wanted else []))
        self._replaced: dict[str, str] | None = {} if can_reveal else None
        self._known = lru_cache(_MAX_KEPT_TEXTS)(self._redact)

    def __call__(self, text: str) -> str:
        """Return the text with a placeholder for each secret. Idempotent; linear in its length."""
        return self._known(text)

    def of(self, value: _Value) -> _Value:
        """Return the value with its texts redacted, in dataclasses, mappings and sequences alike.

        Where one of them holds the first line of a private key, the others may hold its further lines.
        """
        begun = False

        def redacted(text: str) -> str:
            nonlocal begun
            begun = begun or _KEY_BEGINS.search(text) is not None
            return self(text)

        changed = with_texts(value, redacted)
        return cast("_Value", with_texts(changed, self._without_key_lines) if begun else changed)

    def without_digest(self, text: str) -> str:
        """Return the text with placeholders that do not depend on the key, for what outlives it."""
        return _PLACEHOLDER.sub(r"<\1>", self(text))

    def reveal(self, text: str) -> str:
        """Return the text with the secrets in it that this object has replaced and remembers."""
        known = self._replaced or {}
        revealed = _PLACEHOLDER.sub(lambda found: known.get(found.group(), found.group()), text)
        return text if revealed == text else self.reveal(revealed)  # one may hold another

    def revealed(self, value: _Value) -> _Value:
        """Return the value with all of its texts revealed."""
        return cast("_Value", with_texts(value, self.reveal))

    def _redact(self, text: str) -> str:
        for group in self._groups:
            for pattern in group.possible(group.read(text)):
                text = self._without(text, pattern, group.read(text))
        return text

    def _without(self, text: str, pattern: SecretPattern, read: str) -> str:
        """Return the text without what a pattern finds in it, as it reads it."""
        parts, done = [], 0
        for start, end in pattern.spans(read):
            secret = text[start:end]
            if (
                start < done
                or _is_in_placeholder(text, start)
                or not _PLACEHOLDER.sub("", secret).strip(" ;,")
            ):
                continue
            if pattern.accepts(pattern.kind, secret, text[max(0, start - _BEFORE) : start]):
                # What follows within the word would begin one if only this were replaced.
                end = _WORD_END.match(text, end).end()  # type: ignore[union-attr]  # noqa: PLW2901
                parts += [
                    text[done:start],
                    self._placeholder(f"{pattern.label}:{pattern.kind}", text[start:end]),
                ]
                done = end
        return "".join([*parts, text[done:]]) if parts else text

    def _without_key_lines(self, text: str) -> str:
        return _KEY_LINE.sub(lambda line: self._placeholder("SECRET:private-key", line.group()), text)

    def _placeholder(self, label: str, secret: str) -> str:
        digest = blake2s(secret.encode("utf-8", "surrogatepass"), digest_size=_DIGEST_BYTES, key=self._key)
        placeholder = f"<{label}:{digest.hexdigest()}>"
        if self._replaced is not None:
            self._replaced[placeholder] = secret
        return placeholder


def _is_in_placeholder(text: str, position: int) -> bool:
    start = text.rfind("<", max(0, position - _MAX_PLACEHOLDER), position)
    found = _PLACEHOLDER.match(text, start) if start >= 0 else None
    return found is not None and found.end() > position


def with_texts(value: Any, change: Callable[[str], str]) -> Any:
    """Return a value with all of its texts changed; what is no text stays the same object."""
    if type(value) is str:  # not an enum, whose values are no text of others
        return change(value)
    if isinstance(value, tuple | list | frozenset | set):
        changed = [with_texts(each, change) for each in value]
        return type(value)(changed) if not hasattr(value, "_fields") else type(value)(*changed)
    if isinstance(value, dict):
        return {with_texts(key, change): with_texts(each, change) for key, each in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value) if field.init}
        changes = {name: with_texts(each, change) for name, each in fields.items()}
        return dataclasses.replace(value, **{n: c for n, c in changes.items() if c is not fields[n]})
    return value
