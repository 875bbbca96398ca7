"""Reads names of models, as gateways write them and as people say them, into typed parts. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property, lru_cache
from typing import NamedTuple

from context_builder.question.names.words import ORDINARY_WORDS, plain_word, word_set

FAMILY_WORDS = word_set(
    """
    chatgpt claude codestral deepseek falcon gemini gemma glm gpt grok jamba kimi llama ministral
    mistral mixtral nova o1 o3 o4 phi qwen titan
    """
)
"""Families of models, known or not."""
MEMBER_WORDS = frozenset({"haiku", "opus", "sonnet"})
"""Models of a family that are called by their own name."""
VARIANT_WORDS = word_set(
    """
    distill flash instruct large lite medium mini nano plus pro small turbo ultra
    """
)
"""Words that tell one model of a family from another."""
COSMETIC_WORDS = word_set(
    """
    accounts awq base beta bf16 chat deployments exp experimental extended fp8 free gguf gptq hf
    instruct int4 int8 it latest models nitro online preview stable
    """
)
"""Words in a model's name that people leave out without meaning another model."""
_NO_ANCHORS = ORDINARY_WORDS | word_set(
    """
    coder express free instruct it lite online plus preview pro thinking ultra
    """
)
"""Words too common to be the name of a model on their own."""
_MIN_ANCHOR_CHARACTERS = 3
PLACE_WORDS = frozenset({"eu", "europe", "us", "uk", "apac", "ap", "asia", "global"})


class PartKind(StrEnum):
    """What a part of a model's name says."""

    WORD = "word"
    VERSION = "version"
    SIZE = "size"
    DATE = "date"


class Part(NamedTuple):
    """A typed part of a model's name."""

    kind: PartKind
    text: str


_PART = re.compile(
    r"""
    (?<![^\W_])(?P<date>20\d\d-[01]\d-[0-3]\d|20\d{6}|[01]\d-20\d\d|[01]\d-[0-3]\d|\d{4}|0\d\d)(?![^\W_])
    |(?<!\d)(?P<size>\d+(?:\.\d+)?(?:x\d+(?:\.\d+)?)?[bkm])(?![^\W_])
    |(?<![^\W_])v?(?P<version>\d{1,3}(?:(?:[.p]|[-_](?=\d{1,2}(?![\d.a-z])))\d{1,2})*[a-z]?)(?![^\W_])
    |(?<=[a-z]{2})v?(?P<glued>\d{1,2}(?:[.p]\d{1,2})*o?)(?![^\W_])
    |(?<![^\W_])(?P<code>[a-z]\d+[a-z]?)(?![^\W_])
    |(?P<word>[^\W\d_]+)
    |(?P<number>\d+)
    """,
    re.VERBOSE,
)


@dataclass(frozen=True)
class ModelName:
    """A known model's name in parts."""

    name: str
    words: tuple[str, ...]
    """Essential words in order; the first is the family's head."""
    essential: frozenset[Part]
    cosmetic: frozenset[Part]
    """Date, tag and format: left out in speech, but part of the exact name."""
    loose: frozenset[Part]
    """Provider and place: said or not, as one likes."""

    @cached_property
    def parts(self) -> frozenset[Part]:
        """All parts."""
        return self.essential | self.cosmetic | self.loose


@lru_cache(maxsize=4096)
def parts_of(text: str) -> tuple[Part, ...]:
    """Return the parts of a name in order: `v3p1`, `3-1` and `3.1` are one version."""
    parts = []
    for match in _PART.finditer(text.casefold()):
        kind, value = match.lastgroup or "", match.group(match.lastgroup or 0)
        if kind in ("version", "glued"):
            version = re.sub(r"[.p_-]", ".", value)
            parts.append(Part(PartKind.VERSION, version.removesuffix(".0") if "." in version else version))
        elif kind in ("date", "size"):
            parts.append(Part(PartKind(kind), value.replace("-", "")))
        elif kind == "number":
            parts.append(Part(PartKind.VERSION, value))
        else:
            parts.append(Part(PartKind.WORD, plain_word(value)))
    if Part(PartKind.WORD, "gpt") in parts:
        # Azure allows no dot in a deployment's name.
        return tuple(Part(kind, "3.5" if text == "35" else text) for kind, text in parts)
    return tuple(parts)


def read_model(name: str) -> ModelName:
    """Return a known model's name in parts: `provider/model-3-5-mini-20241022:tag`."""
    provider, _, last = name.rpartition("/")
    last, _, tag = last.partition(":")
    if tag.isdecimal():
        # The revision of an offer, `-v1:0`, is no version of the model.
        last, tag = re.sub(r"-v\d+$", "", last, flags=re.IGNORECASE), ""
    dotted = re.match(r"(?:[a-z]{2,}\.)+(?=[a-z])", last, re.IGNORECASE)
    own = parts_of(last[dotted.end() :] if dotted else last)
    loose = {*parts_of(f"{provider} {dotted.group() if dotted else ''}")}
    cosmetic = {*parts_of(tag)}
    essential: dict[Part, None] = {}
    for part in own:
        if part.text in PLACE_WORDS:
            loose.add(part)
        elif part.kind is PartKind.DATE or part.text in COSMETIC_WORDS:
            cosmetic.add(part)
        else:
            essential[part] = None
    if not essential:
        essential, cosmetic = dict.fromkeys(own), cosmetic - {*own}
    return ModelName(
        name=name,
        words=tuple(part.text for part in essential if part.kind is PartKind.WORD),
        essential=frozenset(essential),
        cosmetic=frozenset(cosmetic) - essential.keys(),
        loose=frozenset(part for part in loose if part.text not in COSMETIC_WORDS) - essential.keys(),
    )


def most_exact(said: frozenset[Part], models: list[ModelName]) -> list[ModelName]:
    """Return those of the models with all parts said that are meant: the plain one, else the family."""
    exact = [model for model in models if model.essential <= said]
    if exact:
        return exact
    words = [part.text for part in said if part.kind is PartKind.WORD]
    versions = [part for part in said if part.kind is not PartKind.WORD]
    if len(words) == 1 and not versions:
        return [model for model in models if model.words[:1] == (words[0],)] or models
    if not words and all(part.kind is PartKind.SIZE for part in versions):
        return models
    unsaid = {model.name: len({*model.words} - {*words}) for model in models}
    return [model for model in models if unsaid[model.name] == min(unsaid.values())]


def is_anchored(said: frozenset[Part]) -> bool:
    """Return whether parts are too unlike ordinary words and numbers to occur by chance."""
    return any(
        (part.kind is PartKind.SIZE and part.text.endswith("b"))
        or (part.kind is PartKind.VERSION and part.text[-1].isalpha())
        or (
            part.kind is PartKind.WORD
            and part.text not in _NO_ANCHORS
            and (len(part.text) >= _MIN_ANCHOR_CHARACTERS or not part.text.isalpha())
        )
        for part in said
    )
