"""What counts as a secret or as personal data: the patterns of `secret_patterns.toml`. Pure."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_TABLE = tomllib.loads(Path(__file__).with_name("secret_patterns.toml").read_text("utf-8"))

_IS_CUT = r"(?=»? … \(|…)"
"""Where `single_line` cut a text."""
_SUFFIX = r"(?:[_-]?(?:value|base64|b64|prod|production|dev|live|test|staging|primary|old|new|\d{1,2}))?+"
_SIGN = r"""(?>\\?["'’]?(?:\s{0,3}(?:=>?|:=|%3d|:)\s{0,3}|\s(?:is|was|set\sto|changed\sto)\s)\\?["'‘]?)"""
_VALUE = (
    r"""(?:[^\s"'«»&,;<>\\]|<(?!secret:|person:|/)|\\(?!["'])|&(?![\w.-]{1,24}=)"""
    r"""|[,;](?![\w.-]{1,24}=)(?=[^\s"'])){1,512}+"""
)
"""Up to white space, a quotation mark, or the next `name=`."""

_WORDS_FOR_NONE = frozenset(_TABLE["words-for-none"].split())
"""They stand in the place of a secret and are none."""
_VARIABLE_OR_PATH = re.compile(
    r"\$\{?[A-Za-z_][\w.]*\}?|\$\(.*|%\w+%|%[sd]|\{\{?[\w. ]*\}?\}?|<[^>]*>?|\[\w*\]?|\W*|x{3,}"
    r"|(?:[A-Za-z]:)?(?:[/\\~][a-z0-9._-]{0,24})+"
)
"""A variable, a mask, or a path such as that of PWD."""
_NAME_OF_A_THING = re.compile(r"[A-Za-z]{2,24}(?:[-_./:][A-Za-z]{1,24}|[-_./:]?\d{1,4}(?![A-Za-z0-9])){0,16}")
"""`gateway-tls-2`, `user_acme`, `expired`."""
_NUMBER = re.compile(r"[\d.,:%+-]+")
_PUNCTUATION_BEHIND = " .:…)]}"
_MIN_PASSWORD = 3
_MIN_RANDOM = 8
_MIN_LONG = 20
_MAX_NAME = 40

Accepts = Callable[[str, str, str], bool]
"""Tells of kind, text and the few characters before it whether it is what its pattern looks for."""


@dataclass(frozen=True, slots=True)
class SecretPattern:
    """One way in which a secret or a datum appears."""

    kind: str
    hints: tuple[str, ...]
    """Every text that it matches has one of them."""
    expression: str
    """Its group `secret`, or else the whole match, is what it finds; compiled by `re` when first needed."""
    accepts: Accepts
    label: str = "SECRET"

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Yield where it occurs; in a text in lower case if its group is about those."""
        group = "secret" if "(?P<secret>" in self.expression else 0
        return (match.span(group) for match in re.finditer(self.expression, text))


@dataclass(frozen=True, slots=True)
class PatternGroup:
    """Patterns of which none matches a text in which `needs` is not found, which is fast to tell."""

    needs: re.Pattern[str]
    patterns: tuple[SecretPattern, ...]
    in_lower_case: bool = False
    """True if the patterns are about texts in lower case."""

    def read(self, text: str) -> str:
        """Return the text as the patterns read it, each character in its place."""
        return _in_lower_case(text) if self.in_lower_case else text

    def possible(self, text: str) -> list[SecretPattern]:
        """Return the patterns that may occur in a text as they read it."""
        if self.needs.search(text) is None:
            return []
        # A loop, since it runs for every text and a generator for each pattern takes several times as long.
        found = []
        for pattern in self.patterns:
            for hint in pattern.hints:
                if hint in text:
                    found.append(pattern)
                    break
        return found


def _in_lower_case(text: str) -> str:
    """Return the text in lower case, each character in its place."""
    lower = text.lower()
    return lower if len(lower) == len(text) else text.replace("İ", "I").lower()


def _tokens(table: Mapping[str, tuple[Sequence[str], str, int]]) -> Iterator[SecretPattern]:
    for kind, (beginnings, characters, least) in table.items():
        rest = f"(?:[{characters}]{{{least},}}+|[{characters}]{{1,{least}}}+{_IS_CUT})"
        expression = f"(?:{'|'.join(map(re.escape, beginnings))}){rest}"
        yield SecretPattern(kind, tuple(beginnings), expression, _begins_word)


def _rows(table: Mapping[str, Sequence[str]], accepts: Accepts, **options: Any) -> Iterator[SecretPattern]:
    for key, (*hints, pattern) in table.items():
        yield SecretPattern(key.partition(".")[0], tuple(hints), pattern, accepts, **options)


def _named(table: Mapping[str, Sequence[str]]) -> Iterator[SecretPattern]:
    """Yield patterns of names with their value behind a sign."""
    spelled = {
        kind: [*hints, f"(?>{names.replace(' ', '[ _.-]?')}){_SUFFIX}{_SIGN}(?P<secret>{_VALUE})"]
        for kind, (*hints, names) in table.items()
    }
    return _rows(spelled, _is_named)


def _always(_kind: str, _text: str, _before: str) -> bool:
    return True


def _begins_word(_kind: str, _text: str, before: str) -> bool:
    return not (before[-1:].isascii() and before[-1:].isalnum())


def _is_placed(_kind: str, text: str, _before: str) -> bool:
    """Return True unless a word for none, a variable or a mask is in the place of a secret."""
    bare = text.strip(_PUNCTUATION_BEHIND)
    return bare.casefold() not in _WORDS_FOR_NONE and not _VARIABLE_OR_PATH.fullmatch(text)


def _is_named(kind: str, text: str, before: str) -> bool:
    """Tell by the strength of the sign: nobody writes `password=expired`, but `password: expired`."""
    is_assigned = "=" in before or before.endswith(('"', "'", "‘")) or before.casefold().endswith("%3d")
    if is_assigned and kind == "password" and len(text) >= _MIN_PASSWORD:
        return _is_placed(kind, text, before)
    return _is_random(kind, text, before)


def _is_random(kind: str, text: str, before: str) -> bool:
    """Return True for what is neither a word, a number nor the name of a thing."""
    bare = text.strip(_PUNCTUATION_BEHIND)
    is_mixed = any(map(str.isdigit, bare)) or (bare != bare.lower() and bare[1:] != bare[1:].lower())
    return (
        len(bare) >= _MIN_RANDOM
        and (is_mixed or len(bare) >= _MIN_LONG)
        and _is_placed(kind, text, before)
        and not _NUMBER.fullmatch(bare)
        and (len(bare) > _MAX_NAME or not _NAME_OF_A_THING.fullmatch(bare))
    )


def _is_datum(kind: str, text: str, _before: str) -> bool:
    """Return True unless the check digits of a card or an IBAN are wrong."""
    digits = "".join(filter(str.isalnum, text))
    if kind == "iban":
        return int("".join(str(int(each, 36)) for each in digits[4:] + digits[:4])) % 97 == 1
    if kind == "card":
        doubled = [sum(divmod(2 * int(each), 10)) for each in digits[-2::-2]]
        return (sum(doubled) + sum(map(int, digits[-1::-2]))) % 10 == 0
    return True


SECRETS = (
    PatternGroup(
        re.compile(r"\S{16}|…|-----BEGIN"),
        (*_tokens(_TABLE["tokens"]), *_rows(_TABLE["shapes"], _always)),
    ),
    PatternGroup(
        re.compile(
            "pass|pwd|secret|token|key|credential|auth|cookie|sess|[cx]srf|sid=|://|sig|login|curl|mysql|mariadb|bearer"
            "|basic|[?&;]code=|sharedaccess|identified"
        ),
        (
            *_rows(_TABLE["places"], _is_placed),
            *_named(_TABLE["names"]),
        ),
        in_lower_case=True,
    ),
)
PERSONAL_KINDS = tuple(_TABLE["personal"])
PERSONAL = tuple(_rows(_TABLE["personal"], _is_datum, label="PERSON"))
