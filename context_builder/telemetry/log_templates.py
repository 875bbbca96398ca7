"""Log templates: which lines differ only in numbers, ids, addresses and the like. Pure.

Drain's fixed-depth tree (number of words, then the first word, then similarity), made independent of the
order of lines by building it from sorted, distinct ones. A word that is no number counts as variable only
where it takes MANY values in lines that are otherwise alike: `refused` and `reset` stay two templates.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from operator import eq

WILDCARD = "<*>"
MIN_VARIABLE_VALUES = 5
"""So many values at one place make it variable."""
MAX_WORDS = 40
"""Lines are compared by their first words; what follows is cut."""
MAX_WORD_CHARACTERS = 100
_MAX_FIRST_WORDS = 100
"""With more first words than this among lines of one length, the rare ones are variable."""
_MAX_CLUSTERS = 16
"""Per leaf of the tree, so that time stays linear; what is like none of them is put together."""
_MIN_SIMILARITY = 0.5
"""Share of equal words from which two lines are taken for one template."""

_QUOTED = re.compile(r"\"[^\"]*\"|(?<!\w)'[^']*'(?!\w)|`[^`]*`")
_PIECE = re.compile(r"[\w.:/@%+#~&?$*-]+")
_URL = re.compile(r"\w[\w+.-]*://[^\s<>()\[\]{},;\"']*")
_DIGIT = re.compile(r"\d")
_HTTP_STATUS = re.compile(r"\W*[1-5]\d\d\W*")
_STATUS_KEYS = frozenset({"http", "status", "code", "status_code", "returned", "response", "error", "with"})
_KEY_PUNCTUATION = ".:-+#?&*$"

Words = tuple[str, ...]


def templates_of(lines: Iterable[str]) -> dict[str, str]:
    """The template of each distinct line, the same whatever the order and the number of the lines."""
    masked = _MaskCache()
    words_of = {line: _masked_words(line, masked) for line in set(lines)}
    template_of: dict[Words, str] = {}
    for leaf in _leaves(sorted(set(words_of.values()))):
        for cluster in _clusters(leaf):
            template_of |= _templates(cluster)
    return {line: template_of[words] for line, words in words_of.items()}


class _MaskCache(dict[str, str]):
    """What a word becomes, remembered, since most words of a log come again and again."""

    def __missing__(self, word: str) -> str:
        cut = word[:MAX_WORD_CHARACTERS]
        if "://" in cut:
            cut = _URL.sub(WILDCARD, cut)
        self[word] = masked = cut if cut.isalpha() else _PIECE.sub(_mask_piece, cut)
        return masked


def _mask_piece(match: re.Match[str]) -> str:
    """A piece of a word without punctuation around it: masked if it is a number, id, address or path."""
    piece = match.group()
    core = piece.strip(_KEY_PUNCTUATION)
    if not core or not (_DIGIT.search(core) or core.startswith("/") or "@" in core):
        return piece
    before, _, after = piece.partition(core)
    return f"{before}{WILDCARD}{after}"


def _masked_words(line: str, masked: _MaskCache) -> Words:
    """The masked words of a line. Codes of HTTP statuses stay: 429 and 503 are not the same error."""
    if not line.lstrip().startswith("{"):  # in JSON, everything would be a quotation
        line = _QUOTED.sub(WILDCARD, line)
    words = line.split()[:MAX_WORDS]
    masks: list[str] = []
    for position, word in enumerate(words):
        mask = masked[word]
        if WILDCARD in mask and _is_http_status(word, words[position - 1] if position else ""):
            mask = word
        elif mask == WILDCARD and masks and masks[-1] == WILDCARD:
            continue  # a date and a time, or a list of any length
        masks.append(mask)
    return tuple(masks) or (WILDCARD,)


def _is_http_status(word: str, before: str) -> bool:
    """Whether a word is an HTTP status, by what stands before it or before its `=`."""
    key, equals, value = word.partition("=")
    if equals:
        before, word = key, value
    return (
        _HTTP_STATUS.fullmatch(word) is not None
        and before.strip(_KEY_PUNCTUATION + "()[],").casefold() in _STATUS_KEYS
    )


def _leaves(lines: Sequence[Words]) -> Iterator[Sequence[Words]]:
    """Lines with as many words and the same first word; rare first words share a leaf where they are many."""
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
    """Lines of one leaf that are like the first of their cluster."""
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
    """The template of each line: places with MANY values are variable, the others stay as they are."""
    variable = [len(set(place)) >= MIN_VARIABLE_VALUES for place in zip(*cluster, strict=True)]
    return {words: _template(words, variable) for words in cluster}


def _template(words: Words, variable: Sequence[bool]) -> str:
    shown: list[str] = []
    for word, varies in zip(words, variable, strict=True):
        mask = WILDCARD if varies else word
        if mask != WILDCARD or not shown or shown[-1] != WILDCARD:
            shown.append(mask)
    return " ".join(shown)
