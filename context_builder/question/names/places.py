"""Finds regions and sites: `eu`, `Frankfurt`, `us-east`, `eu-west-1`. Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

from context_builder.question.names.words import ORDINARY_WORDS, Word, word_set

_SITES = {
    "africa": "af africa", "america": "us", "apac": "ap asia apac", "asia": "ap asia", "europe": "eu",
    "american": "us", "emea": "eu", "european": "eu",
    "amsterdam": "ams europe-west4 westeurope", "california": "us-west-1 westus",
    "dublin": "dub eu-west-1 northeurope",
    "frankfurt": "fra frankfurt eu-central-1 europe-west3 germanywestcentral", "iowa": "us-central1",
    "germany": "eu-central-1 europe-west3 germanywestcentral germany", "ireland": "eu-west-1 northeurope",
    "london": "lon lhr london eu-west-2 europe-west2 uksouth", "mumbai": "bom mumbai ap-south-1 asia-south1",
    "netherlands": "ams europe-west4 westeurope", "ohio": "us-east-2", "oregon": "pdx us-west-2 us-west1",
    "paris": "par cdg paris eu-west-3 europe-west9 francecentral",
    "seoul": "icn seoul ap-northeast-2 asia-northeast3 koreacentral",
    "singapore": "sin singapore ap-southeast-1 asia-southeast1 southeastasia",
    "stockholm": "arn eu-north-1 swedencentral",
    "sydney": "syd ap-southeast-2 australia-southeast1 australiaeast",
    "tokyo": "nrt tokyo ap-northeast-1 asia-northeast1 japaneast", "usa": "us",
    "virginia": "iad us-east-1 us-east4 eastus", "zurich": "zrh eu-central-2 europe-west6 switzerlandnorth",
}  # fmt: skip
"""What places are called in the codes of regions."""
_CONTINENTS = frozenset({"af", "ap", "asia", "au", "ca", "eu", "me", "sa", "uk", "us"})
_NAMED = frozenset({"asia", "eu", "uk", "us"})
"""Meant as a region even if there is none."""
_DIRECTION = r"north|south|east|west|central"
_PIECE = re.compile(
    rf"{_DIRECTION}|\d+[a-z]?|europe|australia|us|uk|[a-z]{{3,}}?(?={_DIRECTION}|\d)|[^\W\d_]+"
)
_CONTINENT = rf"(?:{'|'.join(_CONTINENTS)}|europe)"
_CODE = re.compile(rf"{_CONTINENT}-(?:(?:{_DIRECTION})+-?\d*|\d+)[a-z]?")
_CODE_INSIDE = re.compile(rf"(?<![^\W_])(?:{_CODE.pattern}|{_CONTINENT})(?![^\W_])")
_MAX_WORDS = 3
"""As in `eu west 1`."""
_DOUBTFUL = (ORDINARY_WORDS | _CONTINENTS) - {"eu", "uk", "asia"}
"""Regions only in capitals or beside another."""
_BEFORE_US = frozenset({"in", "from", "vs", "versus", "against", "across"})
_NO_REGION_BEFORE = word_set("dollar dollars eastern holiday holidays mountain pacific time timezone tz")
_LINKS = frozenset({"and", "or", "than", "to", "with", "vs", "versus", "against"})

Bag = frozenset[str]


class Places:
    """The regions of deployments by their parts, also those that a backend's or model's name carries."""

    def __init__(self, regions: Iterable[str], names: Iterable[str]) -> None:
        regions = [region for region in dict.fromkeys(regions) if region]
        self.has_regions = bool(regions)
        self._by_part: defaultdict[str, set[str]] = defaultdict(set)
        self._anchors: set[str] = set()
        for region in regions:
            self._anchors.update(part for part in _parts(region) if part.isalpha() and len(part) > 1)
            for part in _parts(region):
                self._by_part[part].add(region)
        for name in dict.fromkeys(names):
            for code in _CODE_INSIDE.findall(name.casefold()):
                for part in _parts(code):
                    self._by_part[part].add(name)
        self._anchors -= set(_DIRECTION.split("|"))

    def find(self, words: Sequence[Word], text: str) -> Iterator[tuple[range, frozenset[str]]]:
        """Yield the words that name a place, with the regions or names in it; none if it is unknown."""
        position = 0
        while position < len(words):
            for length in range(min(_MAX_WORDS, len(words) - position), 0, -1):
                run = range(position, position + length)
                found = self._named(words, run, text)
                if found is not None:
                    yield run, found
                    break
            position += length if found is not None else 1

    def _named(self, words: Sequence[Word], run: range, text: str) -> frozenset[str] | None:
        said = " ".join(words[n].folded for n in run)
        if any(text[words[n].span.end : words[n + 1].span.start].strip(" -") for n in run[:-1]):
            return None
        is_generic = said in _SITES or said in _NAMED or _CODE.fullmatch(said)
        if not (is_generic or self._is_code(said)) or not self._is_place(words, run):
            return None
        found = self._matching(said)
        return found if found or (self.has_regions and is_generic and len(said) > 1) else None

    def _is_code(self, said: str) -> bool:
        parts = _parts(said)
        return bool(parts & (self._anchors | _CONTINENTS)) and all(part in self._by_part for part in parts)

    def _matching(self, said: str) -> frozenset[str]:
        bags = [_parts(code) for code in (_SITES[said].split() if said in _SITES else [said])]
        return frozenset(
            name
            for bag in bags
            if bag
            for name in set.intersection(*(self._by_part.get(part, set()) for part in bag))
        )

    def _is_place(self, words: Sequence[Word], run: range) -> bool:
        """Tell the region `us` from the word, and a region from a time zone."""
        after = [word.folded for word in words[run.stop : run.stop + 2]]
        if after and after[0] in _NO_REGION_BEFORE:
            return False
        word = words[run.start]
        if len(run) > 1 or word.folded not in _DOUBTFUL:
            return True
        is_shouted = len(words) > _MAX_WORDS and all(near.text.isupper() for near in words[:_MAX_WORDS])
        if word.text.isupper() and not is_shouted:
            return True
        before = [word.folded for word in reversed(words[max(0, run.start - 3) : run.start])]
        if {*before[:1], *after[:1]} & {"region", "regions"}:
            return True
        before = [near for near in before if near != "the"]
        is_listed = any(
            near[0] in _LINKS and (near[1] in _SITES or near[1] in _NAMED or _CODE.fullmatch(near[1]))
            for near in (before, after)
            if len(near) > 1 and near[1] != word.folded
        )
        return word.folded == "us" and (is_listed or bool(before and before[0] in _BEFORE_US))


@lru_cache(maxsize=4096)
def _parts(name: str) -> Bag:
    """Return the parts of a region's code: of `europe-west4` eu, west and 4."""
    pieces = (piece for word in re.split(r"[\W_]+", name.casefold()) for piece in _PIECE.findall(word))
    return frozenset({"europe": "eu", "northeurope": "eu"}.get(piece, piece) for piece in pieces)
