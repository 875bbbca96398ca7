"""Groups log lines into templates, in which numbers, ids, addresses and the like are wildcards. Pure.

Drain's fixed-depth parse tree (He et al., ICWS 2017: number of words, first word, similarity), built from
sorted distinct lines so that their order does not matter. Other words are variable only where similar lines
have MIN_VARIABLE_VALUES different ones: `refused` and `reset` remain two templates.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from operator import eq

WILDCARD = "<*>"
MIN_VARIABLE_VALUES = 5
"""Distinct values from which a position is variable."""
MAX_WORDS = 40
"""Words of a line that are compared; the rest is ignored."""
MAX_WORD_CHARACTERS = 100
_MAX_FIRST_WORDS = 100
"""Above this number of first words among lines of one length, rare ones are variable."""
_MAX_CLUSTERS = 16
"""Per leaf of the tree, which keeps the time linear; lines similar to none share one more cluster."""
_MIN_SIMILARITY = 0.5
"""Fraction of equal words from which two lines belong to one cluster."""

_QUOTED = re.compile(r"\"[^\"]*\"|(?<!\w)'[^']*'(?!\w)|`[^`]*`")
_PIECE = re.compile(r"[\w.:/@%+#~&?$*-]+")
_URL = re.compile(r"\w[\w+.-]*://[^\s<>()\[\]{},;\"']*")
_DIGIT = re.compile(r"\d")
_HTTP_STATUS = re.compile(r"\W*[1-5]\d\d\W*")
_STATUS_KEYS = frozenset({"http", "status", "code", "status_code", "returned", "response", "error", "with"})
_KEY_PUNCTUATION = ".:-+#?&*$"

_MAX_KEPT_LINES = 32_768
"""Lines whose words are remembered, since the next question reads most of them again: some 30 MB."""
_MAX_KEPT_WORDS = 16_384

Words = tuple[str, ...]


def templates_of(lines: Iterable[str]) -> dict[str, str]:
    """Return the template of each distinct line, independent of the order and repetition of lines."""
    words_of = {line: _masked_words(line) for line in set(lines)}
    template_of: dict[Words, str] = {}
    for leaf in _leaves(sorted(set(words_of.values()))):
        for cluster in _clusters(leaf):
            template_of |= _templates(cluster)
    return {line: template_of[words] for line, words in words_of.items()}


@lru_cache(maxsize=_MAX_KEPT_WORDS)
def _mask_word(word: str) -> str:
    """Mask the numbers, ids, addresses and paths in a word."""
    cut = word[:MAX_WORD_CHARACTERS]
    if "://" in cut:
        cut = _URL.sub(WILDCARD, cut)
    return cut if cut.isalpha() else _PIECE.sub(_mask_piece, cut)


def _mask_piece(match: re.Match[str]) -> str:
    """Mask a number, id, address or path, but not the punctuation around it."""
    piece = match.group()
    core = piece.strip(_KEY_PUNCTUATION)
    if not core or not (_DIGIT.search(core) or core.startswith("/") or "@" in core):
        return piece
    before, _, after = piece.partition(core)
    return f"{before}{WILDCARD}{after}"


@lru_cache(maxsize=_MAX_KEPT_LINES)
def _masked_words(line: str) -> Words:
    """Return the masked words of a line. HTTP statuses are kept: 429 and 503 are different errors."""
    if not line.lstrip().startswith("{"):  # in JSON, everything is quoted
        line = _QUOTED.sub(WILDCARD, line)
    words = line.split()[:MAX_WORDS]
    masks: list[str] = []
    for position, word in enumerate(words):
        mask = _mask_word(word)
        if WILDCARD in mask and _is_http_status(word, words[position - 1] if position else ""):
            mask = word
        elif mask == WILDCARD and masks and masks[-1] == WILDCARD:
            continue  # consecutive wildcards, such as a date and a time
        masks.append(mask)
    return tuple(masks) or (WILDCARD,)


def _is_http_status(word: str, before: str) -> bool:
    """Return whether a word is an HTTP status, judged by the preceding word or key."""
    key, equals, value = word.partition("=")
    if equals:
        before, word = key, value
    return (
        _HTTP_STATUS.fullmatch(word) is not None
        and before.strip(_KEY_PUNCTUATION + "()[],").casefold() in _STATUS_KEYS
    )


def _leaves(lines: Sequence[Words]) -> Iterator[Sequence[Words]]:
    """Group lines by number of words and first word; too many rare first words share one leaf."""
    by_first: defaultdict[int, defaultdict[str, list[Words]]] = defaultdict(lambda: defaultdict(list))
    for words in lines:
        by_first[len(words)][words[0]].append(words)
    for leaves in by_first.values():
        if len(leaves) <= _MAX_FIRST_WORDS:
            yield from leaves.values()
            continue
        rare: list[Words] = []
        for leaf in leaves.values():
            if len(leaf) < MIN_VARIABLE_VALUES:
                rare += leaf
            else:
                yield leaf
        if rare:
            yield rare


def _clusters(leaf: Sequence[Words]) -> Iterator[Sequence[Words]]:
    """Group the lines of a leaf by similarity to the first line of a cluster."""
    clusters: list[list[Words]] = []
    others: list[Words] = []
    needed = _MIN_SIMILARITY * len(leaf[0])
    for words in leaf:
        for cluster in clusters:
            if sum(map(eq, words, cluster[0])) >= needed:
                cluster.append(words)
                break
        else:
            if len(clusters) < _MAX_CLUSTERS:
                clusters.append([words])
            else:
                others.append(words)
    yield from clusters
    if others:
        yield others


def _templates(cluster: Sequence[Words]) -> dict[Words, str]:
    """Return the template of each line, with a wildcard at every variable position."""
    variable = [len(set(values)) >= MIN_VARIABLE_VALUES for values in zip(*cluster, strict=True)]
    return {words: _template(words, variable) for words in cluster}


def _template(words: Words, variable: Sequence[bool]) -> str:
    masks: list[str] = []
    for word, is_variable in zip(words, variable, strict=True):
        mask = WILDCARD if is_variable else word
        if mask != WILDCARD or masks[-1:] != [WILDCARD]:
            masks.append(mask)
    return " ".join(masks)
